"""RFC 9497 (mode 0x01, ristretto255-SHA512), written from the document alone.

The group is libsodium's, called through ctypes: nothing here shares a line with the node's arithmetic.
"""

import ctypes
import hashlib
import secrets

SODIUM = ctypes.CDLL("libsodium.so.23")
if SODIUM.sodium_init() < 0:
    raise SystemExit("libsodium does not start")

ORDER = 2**252 + 27742317777372353535851937790883648493
CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"


def sodium(function, out_bytes, *parts):
    """Calls a libsodium function that fills a buffer; anything but 0 is a refusal."""
    out = ctypes.create_string_buffer(out_bytes)
    if getattr(SODIUM, function)(out, *parts) != 0:
        raise ValueError(f"{function} refuses its input")
    return out.raw


def add(left, right):
    return sodium("crypto_core_ristretto255_add", 32, left, right)


def times(scalar, point):
    """libsodium refuses a result that is the identity, and an encoding that is not canonical."""
    return sodium("crypto_scalarmult_ristretto255", 32, scalar_bytes(scalar), point)


def times_base(scalar):
    return sodium("crypto_scalarmult_ristretto255_base", 32, scalar_bytes(scalar))


def is_canonical_point(point):
    return len(point) == 32 and SODIUM.crypto_core_ristretto255_is_valid_point(point) == 1


def ed25519_verifies(signature, message, public_key):
    length = ctypes.c_ulonglong(len(message))
    return (
        SODIUM.crypto_sign_ed25519_verify_detached(signature, message, length, public_key) == 0
    )


def scalar_bytes(scalar):
    return (scalar % ORDER).to_bytes(32, "little")


def i2osp(number, length):
    return number.to_bytes(length, "big")


def prefixed(content):
    return i2osp(len(content), 2) + content


def expand_message_xmd(message, dst, length):
    """RFC 9380 section 5.3.1 with SHA-512: 64 bytes a block, 128 bytes of input a round."""
    blocks = -(-length // 64)
    dst_prime = dst + i2osp(len(dst), 1)
    prefix = bytes(128) + message + i2osp(length, 2) + b"\x00" + dst_prime
    first = hashlib.sha512(prefix).digest()
    block = hashlib.sha512(first + b"\x01" + dst_prime).digest()
    uniform = block
    for number in range(2, blocks + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block))
        block = hashlib.sha512(mixed + i2osp(number, 1) + dst_prime).digest()
        uniform += block
    return uniform[:length]


def hash_to_group(message):
    uniform = expand_message_xmd(message, b"HashToGroup-" + CONTEXT, 64)
    return sodium("crypto_core_ristretto255_from_hash", 32, uniform)


def hash_to_scalar(message):
    uniform = expand_message_xmd(message, b"HashToScalar-" + CONTEXT, 64)
    return int.from_bytes(uniform, "little") % ORDER


def random_scalar():
    return 1 + secrets.randbelow(ORDER - 1)


def blind(identifier, scalar):
    return times(scalar, hash_to_group(identifier))


def composites(public_key, blinded, evaluated):
    """RFC 9497 section 2.2.1, ComputeComposites."""
    seed_dst = b"Seed-" + CONTEXT
    seed = hashlib.sha512(prefixed(public_key) + prefixed(seed_dst)).digest()
    sums = [None, None]
    for index, pair in enumerate(zip(blinded, evaluated)):
        transcript = prefixed(seed) + i2osp(index, 2)
        transcript += prefixed(pair[0]) + prefixed(pair[1]) + b"Composite"
        weight = hash_to_scalar(transcript)
        for side, point in enumerate(pair):
            term = times(weight, point)
            sums[side] = term if sums[side] is None else add(sums[side], term)
    return sums


def proof_holds(public_key, blinded, evaluated, proof):
    """RFC 9497 section 2.2.2, VerifyProof over a whole batch."""
    if len(proof) != 64 or len(blinded) != len(evaluated):
        return False
    challenge = int.from_bytes(proof[:32], "little")
    response = int.from_bytes(proof[32:], "little")
    if challenge >= ORDER or response >= ORDER:
        return False
    m, z = composites(public_key, blinded, evaluated)
    t2 = add(times_base(response), times(challenge, public_key))
    t3 = add(times(response, m), times(challenge, z))
    transcript = b"".join(prefixed(point) for point in (public_key, m, z, t2, t3))
    return hash_to_scalar(transcript + b"Challenge") == challenge


def finalize(identifier, scalar, evaluated):
    """RFC 9497 section 3.3.2, Finalize, after the proof was checked."""
    unblinded = times(pow(scalar, -1, ORDER), evaluated)
    return hashlib.sha512(prefixed(identifier) + prefixed(unblinded) + b"Finalize").digest()
