"""Mints the certificate requests anew; run it only to add a case.

    python tests/certificates/mint.py      (with the packages of tests/python/requirements.txt)

Each file of `data` is one PKCS#10 request (RFC 2986) named for what it asks for, or for its one
defect. Written by hand where a library would not write such a thing.
"""

import base64
import os
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

DATA = pathlib.Path(__file__).parent / "data"


def tlv(tag, content):
    size = len(content)
    if size < 0x80:
        length = bytes([size])
    else:
        digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + length + content


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def set_of(*parts):
    return tlv(0x31, b"".join(sorted(parts)))


def oid(text):
    arcs = [int(arc) for arc in text.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1], *arcs[2:]]:
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(0x80 | arc & 0x7F)
        out += bytes(reversed(part))
    return tlv(0x06, out)


def utf8(text):
    return tlv(0x0C, text.encode())


TRUE = tlv(0x01, b"\xff")


def name(**attributes):
    oids = {"CN": "2.5.4.3", "O": "2.5.4.10"}
    return sequence(
        *(set_of(sequence(oid(oids[kind]), utf8(text))) for kind, text in attributes.items())
    )


def extension(number, value, critical=False):
    return sequence(oid(number), *([TRUE] if critical else []), tlv(0x04, value))


def attribute(number, *values):
    return sequence(oid(number), set_of(*values))


def asks(*extensions):
    """The attribute extensionRequest (RFC 2985 5.4.2)."""
    return attribute("1.2.840.113549.1.9.14", sequence(*extensions))


def alternative_names(*names):
    return extension("2.5.29.17", sequence(*names))


def uri(text):
    return tlv(0x86, text.encode())


def dns(text):
    return tlv(0x82, text.encode())


def pem(der, label="CERTIFICATE REQUEST"):
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
ECDSA_SHA384 = sequence(oid("1.2.840.10045.4.3.3"))
RSA_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), tlv(0x05, b""))
ED25519 = sequence(oid("1.3.101.112"))


def spki(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def content(public, *attributes, subject=None):
    return sequence(
        tlv(0x02, b"\0"),
        subject or sequence(),
        public,
        tlv(0xA0, b"".join(attributes)),
    )


def signed(body, algorithm, signature):
    return sequence(body, algorithm, tlv(0x03, b"\0" + signature))


def ecdsa(body, key, algorithm=ECDSA_SHA256, digest=None):
    return signed(body, algorithm, key.sign(body, ec.ECDSA(digest or hashes.SHA256())))


def request(*attributes, subject=None):
    key = ec.generate_private_key(ec.SECP256R1())
    return ecdsa(content(spki(key), *attributes, subject=subject), key)


def write(case, der):
    (DATA / f"{case}.csr").write_text(der if isinstance(der, str) else pem(der))


def asked():
    """Sound requests, which ask for more than a certificate for a key."""
    write("asks-for-nothing", request())
    write("asks-for-ca-rights", request(asks(extension("2.5.29.19", sequence(TRUE), True))))
    constraints = sequence(TRUE, tlv(0x02, b"\x05"))
    write("asks-for-ca-rights-with-a-path", request(asks(extension("2.5.29.19", constraints))))
    usage = tlv(0x03, bytes([1, 0b00000110]))
    write("asks-for-signing-of-certificates", request(asks(extension("2.5.29.15", usage, True))))
    beta = (uri("spiffe://credit-net/lender/beta"), dns("beta.node.credit-net"))
    write("asks-for-another-members-names", request(asks(alternative_names(*beta))))
    for case, wanted in (
        ("another-role", uri("spiffe://credit-net/regulator/alpha")),
        ("the-registrars-name", dns("registrar.credit-net")),
        ("a-wildcard", dns("*.node.credit-net")),
        ("an-email", tlv(0x81, b"chair@credit-net.example")),
        ("an-address", tlv(0x87, bytes([127, 0, 0, 1]))),
        ("a-directory-name", tlv(0xA4, name(CN="root"))),
    ):
        write(f"asks-for-{case}", request(asks(alternative_names(wanted))))
    first, second = (alternative_names(one) for one in beta)
    write("asks-for-names-twice", request(asks(first, second)))
    ca = extension("2.5.29.19", sequence(TRUE))
    write("asks-twice", request(asks(first), asks(ca)))
    subtree = sequence(dns("credit-net"))
    permitted = sequence(tlv(0xA0, subtree))
    write("asks-for-name-constraints", request(asks(extension("2.5.29.30", permitted, True))))
    purposes = sequence(oid("2.5.29.37.0"), oid("1.3.6.1.5.5.7.3.3"), oid("1.3.6.1.5.5.7.3.9"))
    write("asks-for-every-purpose", request(asks(extension("2.5.29.37", purposes))))
    period = sequence(tlv(0x80, b"19900101000000Z"), tlv(0x81, b"99991231235959Z"))
    write("asks-for-a-long-life", request(asks(extension("2.5.29.16", period))))
    years = sequence(
        *(tlv(0x1E, text.encode("utf-16-be")) for text in ("ValidityPeriodUnits", "40"))
    )
    write("asks-for-a-long-life-by-attribute", request(attribute("1.3.6.1.4.1.311.13.2.1", years)))
    statement = "1.2.840.113556.1.8000.2554.20418.7731.50263.19012.36455.9120344.14201977"
    forged = extension(statement, tlv(0x04, bytes(range(72))))
    write("brings-its-own-key-statement", request(asks(forged)))
    policies = sequence(sequence(oid("2.5.29.32.0")))
    places = sequence(sequence(tlv(0xA0, tlv(0xA0, uri("http://elsewhere.example/list.crl")))))
    write(
        "asks-for-policies-and-a-list",
        request(asks(extension("2.5.29.32", policies), extension("2.5.29.31", places))),
    )
    unknown = extension("1.3.6.1.4.1.99999.1", b"\x05\0", True)
    write("asks-for-an-unknown-extension", request(asks(unknown)))
    write("asks-for-key-identifiers", request(asks(extension("2.5.29.14", tlv(0x04, bytes(20))))))
    write("names-another-subject", request(subject=name(O="credit-net", CN="issuing")))
    write("has-a-challenge-password", request(attribute("1.2.840.113549.1.9.7", utf8("let me in"))))
    key = ec.generate_private_key(ec.SECP256R1())
    write("signed-with-sha-384", ecdsa(content(spki(key)), key, ECDSA_SHA384, hashes.SHA384()))


def defective():
    """Requests with one defect each."""
    sound = request()
    write("signature-broken", sound[:-1] + bytes([sound[-1] ^ 1]))
    one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    write("signed-by-another-key", ecdsa(content(spki(one)), other))
    write("not-signed", signed(content(spki(one)), ECDSA_SHA256, b""))
    signature = one.sign(content(spki(one)), ec.ECDSA(hashes.SHA256()))
    altered = content(spki(one), subject=name(CN="mallory"))
    write("altered-after-signing", signed(altered, ECDSA_SHA256, signature))
    for bits in (1024, 2048):
        key = rsa.generate_private_key(65537, bits)
        body = content(spki(key))
        signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
        write(f"key-rsa-{bits}", signed(body, RSA_SHA256, signature))
    key = ec.generate_private_key(ec.SECP384R1())
    write("key-p-384", ecdsa(content(spki(key)), key, ECDSA_SHA384, hashes.SHA384()))
    key = ec.generate_private_key(ec.SECP256K1())
    write("key-secp256k1", ecdsa(content(spki(key)), key))
    key = ed25519.Ed25519PrivateKey.generate()
    body = content(spki(key))
    write("key-ed25519", signed(body, ED25519, key.sign(body)))
    point = one.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    p256 = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    body = content(sequence(p256, tlv(0x03, b"\0" + point)))
    write("key-point-compressed", ecdsa(body, one))
    body = content(sequence(p256, tlv(0x03, b"\0\x04" + bytes(63) + b"\x01")))
    write("key-point-off-the-curve", ecdsa(body, one))
    names = [dns(f"{os.urandom(24).hex()}.node.credit-net") for _ in range(100)]
    write("huge", request(asks(alternative_names(*names))))
    write("followed-by-more", sound + b"\0")
    write("cut-short", sound[: len(sound) // 2])
    write("under-another-label", pem(sound, "CERTIFICATE"))
    write("two-requests", pem(sound) + pem(request()))
    write("not-pem", "asks for a certificate\n")
    write("empty", "")


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    asked()
    defective()
    print(len(list(DATA.iterdir())), "requests")
