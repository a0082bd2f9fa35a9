"""Checks a log's checkpoints, cosignatures, evidence files, growth and forks, from the public
specifications alone.

C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof and tlog-witness (the body of
add-checkpoint), and RFC 9162 sections 2.1.3.2 and 2.1.4.2; nothing of creditmesh, but for the
frame around the two notes of a fork proof, which docs/audit.md describes. Arguments: the member's
identity key in hexadecimal, then files; NAME=KEY is a witness and its key. A file that begins as a
tlog-proof, as an add-checkpoint body (after the file of the checkpoint that it continues) or as a
fork proof is checked as one, every other as a signed checkpoint. Prints one JSON list with, for
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


WITNESSES = {}


def key_id(name, public, kind=1):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def verify(public, signature, message, why):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Refused(why) from None


def cosigned(signer, decoded, text):
    """The witness's time, where the line is one of a witness that is known."""
    public = WITNESSES.get(signer)
    if public is None or decoded[:4] != key_id(signer, public, 4):
        return None
    require(len(decoded) == 4 + 8 + 64, "a cosignature has another length")
    at = int.from_bytes(decoded[4:12], "big")
    message = f"cosignature/v1\ntime {at}\n{text}"
    verify(public, decoded[12:], message.encode(), "wrong cosignature")
    return {"witness": signer, "time": at}


def opened_note(note, public):
    """The text of a note whose first line names the key that signed it, and who cosigned it."""
    text, found, signatures = note.rpartition("\n\n")
    require(found, "no empty line before the signatures")
    require(signatures.endswith("\n"), "the note does not end in a newline")
    text += "\n"
    name = text.split("\n", 1)[0]
    verified = False
    witnessed = []
    for line in signatures[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        require(dash == "\u2014", "a signature line does not begin with a dash")
        decoded = base64.b64decode(encoded, validate=True)
        witness = cosigned(signer, decoded, text)
        if witness:
            witnessed.append(witness)
        if signer != name or decoded[:4] != key_id(name, public):
            continue
        verify(public, decoded[4:], text.encode(), "wrong signature")
        verified = True
    require(verified, "not signed by this key")
    return text, witnessed


def opened_checkpoint(note, public):
    text, witnessed = opened_note(note, public)
    lines = text.split("\n")
    origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    require(str(size) == lines[1] and size >= 0, "the size is not in decimal digits")
    require(len(root) == 32, "the root is not 32 bytes")
    return origin, size, root, witnessed


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


def grew(old_size, old_root, new_size, new_root, path):
    """RFC 9162 section 2.1.4.2, and its trivial cases."""
    if old_size == 0 or old_size == new_size:
        require(not path and (old_size == 0 or old_root == new_root), "not the same tree")
        return
    require(old_size < new_size and path, "the proof is empty or goes back")
    path = list(path)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        require(last > 0, "the proof is too long")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    require(last == 0 and old == old_root and new == new_root, "the log did not just grow")


def hashes(lines):
    found = [base64.b64decode(line, validate=True) for line in lines]
    require(all(len(one) == 32 for one in found), "a hash is not 32 bytes")
    return found


def checked_growth(text, public, before):
    """An add-checkpoint body of C2SP tlog-witness, after the checkpoint that it continues."""
    head, found, note = text.partition("\n\n")
    require(found, "no empty line")
    lines = head.split("\n")
    origin, size, root, witnessed = opened_checkpoint(note, public)
    old_size = int(lines[0][4:])
    require(before[:2] == (origin, old_size), "the checkpoint before is another one")
    grew(old_size, before[2], size, root, hashes(lines[1:]))
    return {"origin": origin, "size": size, "grew_from": old_size, "witnessed": witnessed}


def checked_fork(text, public):
    head, found, notes = text.partition("\n\n")
    require(found, "no empty line")
    lines = head.split("\n")
    notes = notes.split(f"\n{lines[1]}\n")
    require(len(notes) == 2, "not two checkpoints of that log")
    smaller = opened_checkpoint(notes[0] + "\n", public)
    larger = opened_checkpoint(f"{lines[1]}\n{notes[1]}", public)
    require(smaller[0] == larger[0] == lines[1], "the checkpoints are of another log")
    if smaller[1] == larger[1]:
        require(smaller[2] != larger[2], "one history")
        return {"origin": lines[1], "forked": "two-roots"}
    require(lines[2].startswith("bridge "), "no bridge")
    (root,) = hashes([lines[2][7:]])
    grew(smaller[1], root, larger[1], larger[2], hashes(lines[3:]))
    require(root != smaller[2], "one history")
    return {"origin": lines[1], "forked": "rewritten"}


def checked_proof(text, public):
    head, found, note = text.partition("\n\n")
    require(found, "no empty line")
    lines = head.split("\n")
    extra, index = lines[1], lines[2]
    require(extra.startswith("extra ") and index.startswith("index "), "not extra, then index")
    entry = base64.b64decode(extra[6:], validate=True)
    path = [base64.b64decode(line, validate=True) for line in lines[3:]]
    require(all(len(one) == 32 for one in path), "a hash is not 32 bytes")
    origin, size, root, witnessed = opened_checkpoint(note, public)
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    require(root_of(int(index[6:]), leaf, size, path) == root, "not in the tree that was signed")
    return {
        "origin": origin,
        "size": size,
        "index": int(index[6:]),
        "entry": entry.decode(),
        "witnessed": witnessed,
    }


def checked(path, public, before):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        if text.startswith("c2sp.org/tlog-proof@v1\n"):
            return checked_proof(text, public)
        if text.startswith("creditmesh-fork-proof v1\n"):
            return checked_fork(text, public)
        if text.startswith("old "):
            return checked_growth(text, public, before[0])
        before[0] = opened_checkpoint(text, public)
        origin, size, _, witnessed = before[0]
        return {"origin": origin, "size": size, "witnessed": witnessed}
    except (Refused, ValueError, IndexError, TypeError) as error:
        return {"refused": str(error)}


def main():
    public = bytes.fromhex(sys.argv[1])
    before, files = [None], []
    for argument in sys.argv[2:]:
        name, is_witness, key = argument.partition("=")
        if is_witness:
            WITNESSES[name] = bytes.fromhex(key)
        else:
            files.append(argument)
    print(json.dumps([checked(path, public, before) for path in files]))


main()
