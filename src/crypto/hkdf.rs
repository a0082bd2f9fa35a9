//! HKDF-SHA-256 (RFC 5869) over ring's HMAC, such that it cannot fail and writes in place.

use ring::hmac;
use zeroize::Zeroize;

use super::Secret;

/// Bytes of a SHA-256 block of output.
const BLOCK_BYTES: usize = 32;

/// A pseudo-random key, ready to be expanded. ring keeps its state; it is not wiped on drop.
#[derive(Clone)]
pub(crate) struct Prk(hmac::Key);

impl Prk {
    /// RFC 5869 §2.2. An empty salt stands for 32 zero bytes.
    pub(crate) fn extract(salt: &[u8], key_material: &[u8]) -> Self {
        let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), key_material);
        Self(hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()))
    }

    /// A key that is already uniform (RFC 5869 §3.3): extraction is skipped.
    pub(crate) fn from_uniform(key: &Secret<32>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// RFC 5869 §2.3, with `info` given in pieces that the caller has made unambiguous.
    pub(crate) fn expand<const N: usize>(&self, info: &[&[u8]]) -> Secret<N> {
        const { assert!(N > 0 && N <= 255 * BLOCK_BYTES) };
        Secret::written(|out| self.expand_into(info, out))
    }

    fn expand_into(&self, info: &[&[u8]], out: &mut [u8]) {
        let mut previous = [0; BLOCK_BYTES];
        let mut previous_bytes = 0;
        for (counter, block) in (1..=u8::MAX).zip(out.chunks_mut(BLOCK_BYTES)) {
            let mut context = hmac::Context::with_key(&self.0);
            context.update(previous.split_at(previous_bytes).0);
            for piece in info {
                context.update(piece);
            }
            context.update(&[counter]);
            previous.copy_from_slice(context.sign().as_ref());
            previous_bytes = BLOCK_BYTES;
            block.copy_from_slice(previous.split_at(block.len()).0);
        }
        previous.zeroize();
    }
}

/// HKDF-Expand (RFC 5869) of a uniform key, for a label and what follows it.
#[must_use]
pub fn expanded<const N: usize>(key: &Secret<32>, label: &[u8], info: &[u8]) -> Secret<N> {
    Prk::from_uniform(key).expand(&[label, info])
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc_5869_test_cases_1_and_3() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let key_material = [0x0b; 22];
        let salted = Prk::extract(&hex("000102030405060708090a0b0c"), &key_material);
        assert_eq!(
            HEXLOWER.encode(
                salted
                    .expand::<42>(&[&hex("f0f1f2f3f4f5f6f7f8f9")])
                    .expose()
            ),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
        let unsalted = Prk::extract(&[], &key_material);
        assert_eq!(
            HEXLOWER.encode(unsalted.expand::<42>(&[]).expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    struct OutputBytes(usize);

    impl ring::hkdf::KeyType for OutputBytes {
        fn len(&self) -> usize {
            self.0
        }
    }

    proptest! {
        #[test]
        fn equals_the_hkdf_of_ring(
            salt: Vec<u8>, material: Vec<u8>, first: Vec<u8>, second: Vec<u8>
        ) {
            let ours = Prk::extract(&salt, &material).expand::<100>(&[&first, &second]);
            let mut theirs = [0; 100];
            ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, &salt)
                .extract(&material)
                .expand(&[&first, &second], OutputBytes(100))
                .unwrap()
                .fill(&mut theirs)
                .unwrap();
            prop_assert_eq!(ours.expose(), &theirs);
        }
    }
}
