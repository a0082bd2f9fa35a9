"""Callers without the right certificate: what the call says, and which TLS alert ends the connection."""

import json

from wire import PATIENCE_S, SPEC, alert, channel, failure, peer, peer_service


def refused(shown):
    stub = peer_service.PeerStub(channel(shown))
    call = lambda: stub.Describe(peer.DescribeRequest(), timeout=PATIENCE_S)
    return {**failure(call), "alert": alert(shown)}


print(
    json.dumps(
        {
            "no_certificate": refused(None),
            "foreign": refused(SPEC["foreign_shown"]),
            "expired": refused(SPEC["expired_shown"]),
            "member": refused(SPEC["member_shown"]),
        }
    )
)
