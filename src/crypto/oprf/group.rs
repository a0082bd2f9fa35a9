//! Hashing to group and scalars (RFC 9380, RFC 9497 §4.1), strict decoding.

use std::sync::LazyLock;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use ring::digest::{Context, SHA512};
use zeroize::Zeroize;

use super::super::labels;
use super::ELEMENT_BYTES;

/// Bytes of a SHA-512 digest.
pub(super) const HASH_BYTES: usize = 64;

/// Bytes of a SHA-512 input block.
const BLOCK_BYTES: usize = 128;

/// The domain-separation tags of one mode of RFC 9497.
pub(super) struct Suite {
    pub(super) hash_to_group: &'static [u8],
    pub(super) hash_to_scalar: &'static [u8],
    pub(super) derive_key_pair: &'static [u8],
    pub(super) seed: &'static [u8],
}

/// The verifiable mode, the only one that the product speaks.
pub(super) const VOPRF: Suite = Suite {
    hash_to_group: labels::OPRF_HASH_TO_GROUP,
    hash_to_scalar: labels::OPRF_HASH_TO_SCALAR,
    derive_key_pair: labels::OPRF_DERIVE_KEY_PAIR,
    seed: labels::OPRF_SEED,
};

/// SHA-512 that has already taken in `Z_pad`, the zero block that every expansion begins with.
static PADDED: LazyLock<Context> = LazyLock::new(|| {
    let mut context = Context::new(&SHA512);
    context.update(&[0; BLOCK_BYTES]);
    context
});

/// `expand_message_xmd` with SHA-512 and one block of output (RFC 9380 §5.3.1). The message comes
/// in pieces; `dst` is shorter than 256 bytes.
pub(super) fn expand_message(message: &[&[u8]], dst: &[u8]) -> [u8; HASH_BYTES] {
    debug_assert!(dst.len() < 256);
    let dst_bytes = [u8::try_from(dst.len()).unwrap_or(u8::MAX)];
    let mut context = PADDED.clone();
    for piece in message {
        context.update(piece);
    }
    // I2OSP(64, 2), I2OSP(0, 1)
    context.update(&[0, 64, 0]);
    context.update(dst);
    context.update(&dst_bytes);
    let first = context.finish();

    let mut context = Context::new(&SHA512);
    context.update(first.as_ref());
    context.update(&[1]);
    context.update(dst);
    context.update(&dst_bytes);
    let mut out = [0; HASH_BYTES];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// `HashToGroup` (RFC 9497 §4.1). The identity comes out with a probability of 2^-252.
pub(super) fn hash_to_group(input: &[u8], dst: &[u8]) -> RistrettoPoint {
    let mut uniform = expand_message(&[input], dst);
    let point = RistrettoPoint::from_uniform_bytes(&uniform);
    uniform.zeroize();
    point
}

/// The encoded element of an identifier before it is blinded. It must never leave a node, since
/// anybody can compute it: the byte scanner looks for it.
#[must_use]
pub fn unblinded_element(input: &[u8]) -> [u8; ELEMENT_BYTES] {
    let point = hash_to_group(input, VOPRF.hash_to_group);
    point.compress().to_bytes()
}

/// `HashToScalar` (RFC 9497 §4.1).
pub(super) fn hash_to_scalar(message: &[&[u8]], dst: &[u8]) -> Scalar {
    let mut uniform = expand_message(message, dst);
    let scalar = Scalar::from_bytes_mod_order_wide(&uniform);
    uniform.zeroize();
    scalar
}

/// `I2OSP(len(bytes), 2)`. RFC 9497 knows no longer strings; a longer one gets the longest length.
pub(super) fn length_prefix(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// `DeserializeElement` (RFC 9497 §2.1): canonical, non-negative, on the curve, not the identity.
pub(super) fn decode(bytes: &[u8; ELEMENT_BYTES]) -> Option<RistrettoPoint> {
    let encoded = CompressedRistretto(*bytes);
    if encoded.0 == [0; ELEMENT_BYTES] {
        return None;
    }
    encoded.decompress()
}
