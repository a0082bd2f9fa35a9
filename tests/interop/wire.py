"""How the tests' Python client reaches a node: the compiled .proto files, and mutual TLS by file."""

import json
import socket
import ssl
import sys
from pathlib import Path

import grpc

SPEC = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
sys.path.insert(0, SPEC["proto"])
peer, peer_service = grpc.protos_and_services("creditmesh/v1/peer.proto")

# No call of a test takes longer.
PATIENCE_S = 20


def read(path):
    return Path(path).read_bytes()


def channel(shown=None):
    """A channel that shows a certificate (`chain` and `key`, paths), or none."""
    chain = read(shown["chain"]) if shown else None
    key = read(shown["key"]) if shown else None
    credentials = grpc.ssl_channel_credentials(read(SPEC["root"]), key, chain)
    options = [("grpc.ssl_target_name_override", SPEC["server_name"])]
    return grpc.secure_channel(SPEC["endpoint"], credentials, options)


def failure(call):
    """The status with which a call is refused, as code and words; a call that works is a failure here."""
    try:
        call()
    except grpc.RpcError as error:
        return {"code": error.code().name, "words": error.details()}
    return {"code": "OK", "words": ""}


def alert(shown=None):
    """The TLS alert that ends the connection. In TLS 1.3 it comes after the client's own handshake."""
    context = ssl.create_default_context(cafile=SPEC["root"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    if shown:
        context.load_cert_chain(shown["chain"], shown["key"])
    host, port = SPEC["endpoint"].rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as tcp:
            with context.wrap_socket(tcp, server_hostname=SPEC["server_name"]) as tls:
                tls.recv(1)
    except ssl.SSLError as error:
        return error.reason
    return "let in"
