//! SHA-256 of a whole text.

use ring::digest::{SHA256, digest};

/// SHA-256 of `text`.
#[must_use]
pub fn sha256(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}
