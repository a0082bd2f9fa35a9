//! AES-256-GCM under a derived key, for feed leaves and other formats with their own nonces.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::Secret;
use crate::limits::{NONCE_BYTES, SEAL_TAG_BYTES};

/// The sealed bytes were altered, or belong to another key, nonce or context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open: they were altered, or belong to another key or context")]
pub struct AeadRefused;

/// Seals `plain` (at most 64 GiB) and returns ciphertext and 16-byte tag. One key and nonce pair
/// must never seal two different plaintexts.
#[must_use]
pub fn seal_with_key(
    key: &Secret<32>,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len().saturating_add(SEAL_TAG_BYTES));
    sealed.extend_from_slice(plain);
    #[expect(
        clippy::expect_used,
        reason = "fails only above 2^36 bytes, which no caller can hold"
    )]
    expanded(key)
        .seal_in_place_append_tag(nonce_of(nonce), Aad::from(aad), &mut sealed)
        .expect("plaintext below the limit of AES-GCM");
    sealed
}

/// Opens what [`seal_with_key`] sealed under the same key, nonce and associated data.
///
/// # Errors
/// [`AeadRefused`] where anything differs.
pub fn open_with_key(
    key: &Secret<32>,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadRefused> {
    let mut plain = Zeroizing::new(sealed.to_vec());
    let plain_bytes = expanded(key)
        .open_in_place(nonce_of(nonce), Aad::from(aad), &mut plain)
        .map_err(|_| AeadRefused)?
        .len();
    plain.truncate(plain_bytes);
    Ok(plain)
}

/// The expanded key. ring does not wipe it on drop.
pub(crate) fn expanded(key: &Secret<32>) -> LessSafeKey {
    #[expect(
        clippy::expect_used,
        reason = "fails only for a key that has not 32 bytes"
    )]
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).expect("a key of 32 bytes"))
}

fn nonce_of(nonce: [u8; NONCE_BYTES]) -> Nonce {
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_was_sealed_and_refuses_everything_else() {
        let key = Secret::from_bytes([1; 32]);
        let sealed = seal_with_key(&key, [2; 12], b"context", b"summary");
        assert_eq!(sealed.len(), 7 + SEAL_TAG_BYTES);
        let opened = open_with_key(&key, [2; 12], b"context", &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"summary");

        let other_key = Secret::from_bytes([3; 32]);
        assert!(open_with_key(&other_key, [2; 12], b"context", &sealed).is_err());
        assert!(open_with_key(&key, [3; 12], b"context", &sealed).is_err());
        assert!(open_with_key(&key, [2; 12], b"Context", &sealed).is_err());
        assert!(open_with_key(&key, [2; 12], b"context", b"short").is_err());
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(open_with_key(&key, [2; 12], b"context", &altered).is_err());
        }
    }

    #[test]
    fn nist_gcm_test_case_16() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
            .try_into()
            .unwrap();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let plain = hex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let expected = hex(concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b"
        ));
        assert_eq!(
            seal_with_key(&Secret::from_bytes(key), nonce, &aad, &plain),
            expected
        );
    }
}
