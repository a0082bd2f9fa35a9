"""Describe and Evaluate as another implementation does them; prints what it found as JSON."""

import base64
import hashlib
import hmac
import json
import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import oprf
from wire import PATIENCE_S, SPEC, channel, peer, peer_service

LEAF_BYTES = 160


def statement_message(network, member, key):
    """What a member's identity key signs about an OPRF key (docs/protocol.md, key statements)."""
    message = b"creditmesh/v1/signed/oprf-key/"
    for word in (network, member, key.level):
        message += word.encode() + b"\x00"
    message += key.epoch.to_bytes(4, "big")
    message += key.announced_at_unix_ms.to_bytes(8, "big")
    return message + key.public_key


def derived(token, label, number, length):
    """HKDF-SHA-256 (RFC 5869) without salt; one block is enough for what is derived here."""
    key = hmac.digest(bytes(32), token, "sha256")
    info = label + number.to_bytes(4, "big")
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


def newest_summary(token, leaves, origin):
    """Looks for leaf 0, 1, ... of the token until one is missing; opens the last one found."""
    by_tag = {leaf[:12]: leaf for leaf in leaves}
    found, number = None, 0
    while (leaf := by_tag.get(derived(token, b"creditmesh/v1/feed/tag", number, 12))) is not None:
        key = derived(token, b"creditmesh/v1/feed/content", number, 32)
        found = AESGCM(key).decrypt(leaf[12:24], leaf[24:], origin.encode() + leaf[:12])
        number += 1
    return found


def merkle_root(leaves):
    """RFC 6962 section 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = merkle_root(leaves[:split]), merkle_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def main():
    stub = peer_service.PeerStub(channel(SPEC["member_shown"]))
    description = stub.Describe(peer.DescribeRequest(), timeout=PATIENCE_S)
    current = description.feeds[0].epoch
    key = next(key for key in description.keys if key.epoch == current)
    message = statement_message(description.network, description.member, key)
    pinned = bytes.fromhex(SPEC["identity_key"])
    signed = oprf.ed25519_verifies(key.signature, message, pinned)
    altered = oprf.ed25519_verifies(key.signature, message + b"\x00", pinned)

    identifiers = [text.encode() for text in SPEC["identifiers"]]
    scalars = [oprf.random_scalar() for _ in identifiers]
    blinded = [oprf.blind(*pair) for pair in zip(identifiers, scalars)]
    request = peer.EvaluateRequest(
        request_id=secrets.token_bytes(16),
        epoch=key.epoch,
        purpose="credit-application",
        commitment=hashlib.sha256(secrets.token_bytes(32) + b"consent").digest(),
        elements=b"".join(blinded),
        mirror_size=0,
    )
    answer = stub.Evaluate(request, timeout=PATIENCE_S)
    again = stub.Evaluate(request, timeout=PATIENCE_S)
    flat = answer.elements
    evaluated = [flat[at : at + 32] for at in range(0, len(flat), 32)]
    swapped = [evaluated[1], evaluated[0], *evaluated[2:]]
    tokens = [oprf.finalize(*one) for one in zip(identifiers, scalars, evaluated)]

    flat = answer.tail.leaves
    leaves = [flat[at : at + LEAF_BYTES] for at in range(0, len(flat), LEAF_BYTES)]
    origin, size, root = answer.tail.checkpoint.split("\n")[:3]
    summaries = [newest_summary(token, leaves, origin) for token in tokens]
    after = stub.Describe(peer.DescribeRequest(), timeout=PATIENCE_S)
    print(
        json.dumps(
            {
                "network": description.network,
                "member": description.member,
                "level": key.level,
                "epoch": key.epoch,
                "public_key": key.public_key.hex(),
                "statement_is_signed": signed,
                "altered_statement_is_signed": altered,
                "canonical": all(map(oprf.is_canonical_point, evaluated + [key.public_key])),
                "proof_holds": oprf.proof_holds(key.public_key, blinded, evaluated, answer.proof),
                "swapped_proof_holds": oprf.proof_holds(
                    key.public_key, blinded, swapped, answer.proof
                ),
                "scalars": [oprf.scalar_bytes(scalar).hex() for scalar in scalars],
                "blinded": [element.hex() for element in blinded],
                "tokens": [token.hex() for token in tokens],
                "same_again": again.elements == answer.elements,
                "spent": description.quota_left - after.quota_left,
                "truncated": answer.truncated,
                "size_is_signed": int(size) == len(leaves),
                "root_is_signed": base64.b64decode(root) == merkle_root(leaves),
                "summaries": [summary and summary.hex() for summary in summaries],
            }
        )
    )


main()
