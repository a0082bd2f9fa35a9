"""Checks an audit log's checkpoints and evidence files, from the public specifications alone.

C2SP signed-note, tlog-checkpoint and tlog-proof, and RFC 9162 section 2.1.3.2; nothing of
creditmesh. Arguments: the member's identity key in hexadecimal, then files. A file that begins as
a tlog-proof is checked as one, every other as a signed checkpoint. Prints one JSON list with, for
each file, what was found, or why it was refused.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    pass


def require(so, why):
    if not so:
        raise Refused(why)


def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def opened_note(note, public):
    """The text of a note whose first line names the key that signed it."""
    text, found, signatures = note.rpartition("\n\n")
    require(found, "no empty line before the signatures")
    require(signatures.endswith("\n"), "the note does not end in a newline")
    text += "\n"
    name = text.split("\n", 1)[0]
    verified = False
    for line in signatures[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        require(dash == "\u2014", "a signature line does not begin with a dash")
        decoded = base64.b64decode(encoded, validate=True)
        if signer != name or decoded[:4] != key_id(name, public):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(decoded[4:], text.encode())
        except InvalidSignature:
            raise Refused("wrong signature") from None
        verified = True
    require(verified, "not signed by this key")
    return text


def opened_checkpoint(note, public):
    lines = opened_note(note, public).split("\n")
    origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    require(str(size) == lines[1] and size >= 0, "the size is not in decimal digits")
    require(len(root) == 32, "the root is not 32 bytes")
    return origin, size, root


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(index, leaf, size, path):
    """RFC 9162 section 2.1.3.2."""
    require(index < size, "the index is not in the tree")
    node, last, result = index, size - 1, leaf
    for sibling in path:
        require(last > 0, "the proof is too long")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        node >>= 1
        last >>= 1
    require(last == 0, "the proof is too short")
    return result


def checked_proof(text, public):
    head, found, note = text.partition("\n\n")
    require(found, "no empty line")
    lines = head.split("\n")
    extra, index = lines[1], lines[2]
    require(extra.startswith("extra ") and index.startswith("index "), "not extra, then index")
    entry = base64.b64decode(extra[6:], validate=True)
    path = [base64.b64decode(line, validate=True) for line in lines[3:]]
    require(all(len(one) == 32 for one in path), "a hash is not 32 bytes")
    origin, size, root = opened_checkpoint(note, public)
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    require(root_of(int(index[6:]), leaf, size, path) == root, "not in the tree that was signed")
    return {"origin": origin, "size": size, "index": int(index[6:]), "entry": entry.decode()}


def checked(path, public):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        if text.startswith("c2sp.org/tlog-proof@v1\n"):
            return checked_proof(text, public)
        origin, size, _ = opened_checkpoint(text, public)
        return {"origin": origin, "size": size}
    except (Refused, ValueError, IndexError) as error:
        return {"refused": str(error)}


def main():
    public = bytes.fromhex(sys.argv[1])
    print(json.dumps([checked(path, public) for path in sys.argv[2:]]))


main()
