//! Encryption to a key whose holder alone can read it (HPKE, RFC 9180, base mode): DHKEM(X25519,
//! HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{CryptoRng, SeedableRng};
use zeroize::Zeroizing;

use super::Secret;
use crate::env::{Entropy, EntropyUnavailable};

type Suite = X25519HkdfSha256;

/// Something was not encrypted, or could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HpkeError {
    /// The public key is none.
    #[error("the key is no X25519 public key")]
    KeyRefused,
    /// It was encrypted to another key or in another context, or it was altered.
    #[error("it is not encrypted to this key, or it was altered on the way")]
    Refused,
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// What was encrypted, with the half of the fresh key that the holder needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The sender's half (`enc` of the RFC).
    pub encapsulated: [u8; 32],
    /// The ciphertext with its 16 bytes of authentication.
    pub ciphertext: Vec<u8>,
}

/// The private key of whom things are encrypted to.
pub struct HpkeKey {
    private: <Suite as Kem>::PrivateKey,
    public: [u8; 32],
}

impl HpkeKey {
    /// The key pair of a seed (`DeriveKeyPair` of the RFC).
    #[must_use]
    pub fn derive(seed: &Secret<32>) -> Self {
        let (private, public) = Suite::derive_keypair(seed.expose());
        Self {
            private,
            public: public.to_bytes().into(),
        }
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Reads what was encrypted to this key in the context `info` with the associated data `aad`.
    ///
    /// # Errors
    /// [`HpkeError::Refused`].
    pub fn open(
        &self,
        encrypted: &Encrypted,
        info: &[u8],
        aad: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
        let half = <Suite as Kem>::EncappedKey::from_bytes(&encrypted.encapsulated);
        let half = half.map_err(|_| HpkeError::Refused)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &self.private,
            &half,
            info,
            &encrypted.ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| HpkeError::Refused)
    }
}

impl fmt::Debug for HpkeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkeKey(..)")
    }
}

/// Encrypts to the holder of `public`, in the context `info`, with the associated data `aad`.
///
/// # Errors
/// [`HpkeError::KeyRefused`], [`HpkeError::Entropy`].
pub fn encrypt(
    public: &[u8; 32],
    (info, aad): (&[u8], &[u8]),
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Encrypted, HpkeError> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed)?;
    encrypt_with(
        public,
        (info, aad),
        plain,
        &mut ChaCha20Rng::from_seed(*seed),
    )
}

fn encrypt_with(
    public: &[u8; 32],
    (info, aad): (&[u8], &[u8]),
    plain: &[u8],
    random: &mut impl CryptoRng,
) -> Result<Encrypted, HpkeError> {
    let public = <Suite as Kem>::PublicKey::from_bytes(public);
    let public = public.map_err(|_| HpkeError::KeyRefused)?;
    let (half, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeS::Base,
            &public,
            info,
            plain,
            aad,
            random,
        )
        .map_err(|_| HpkeError::KeyRefused)?;
    Ok(Encrypted {
        encapsulated: half.to_bytes().into(),
        ciphertext,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use data_encoding::HEXLOWER;
    use rand_chacha::rand_core::{TryCryptoRng, TryRng};

    use super::*;
    use crate::env::SeededEntropy;

    /// Gives the bytes of a test vector.
    struct Replayed(Vec<u8>);

    impl TryRng for Replayed {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.copy_from_slice(&self.0.split_off(self.0.len() - out.len()));
            Ok(())
        }
    }

    impl TryCryptoRng for Replayed {}

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 9180, appendix A.2.1, sequence number 0.
    #[test]
    fn rfc_9180_appendix_a_2_1() {
        let seed = hex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df");
        let key = HpkeKey::derive(&Secret::from_bytes(seed.try_into().unwrap()));
        assert_eq!(
            HEXLOWER.encode(&key.public()),
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
        );
        let context = (
            &*hex("4f6465206f6e2061204772656369616e2055726e"),
            &*hex("436f756e742d30"),
        );
        let plain = hex("4265617574792069732074727574682c20747275746820626561757479");
        let fresh = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
        let mut fresh = Replayed(hex(fresh));
        let sent = encrypt_with(&key.public(), context, &plain, &mut fresh).unwrap();
        assert_eq!(
            HEXLOWER.encode(&sent.encapsulated),
            "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
        );
        assert_eq!(
            HEXLOWER.encode(&sent.ciphertext),
            concat!(
                "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db",
                "21993c62ce81883d2dd1b51a28"
            )
        );
        assert_eq!(*key.open(&sent, context.0, context.1).unwrap(), plain);
    }

    #[test]
    fn another_key_context_or_text_is_refused() {
        let entropy = SeededEntropy::from_seed(1);
        let key = HpkeKey::derive(&Secret::from_bytes([1; 32]));
        let sent = encrypt(&key.public(), (b"a", b"b"), b"text", &entropy).unwrap();
        assert_eq!(*key.open(&sent, b"a", b"b").unwrap(), b"text");
        let other = HpkeKey::derive(&Secret::from_bytes([2; 32]));
        assert!(other.open(&sent, b"a", b"b").is_err());
        assert!(key.open(&sent, b"A", b"b").is_err());
        assert!(key.open(&sent, b"a", b"B").is_err());
        let mut altered = sent.clone();
        altered.ciphertext[0] ^= 1;
        assert!(key.open(&altered, b"a", b"b").is_err());
        let again = encrypt(&key.public(), (b"a", b"b"), b"text", &entropy).unwrap();
        assert_ne!(again, sent, "a fresh key each time");
        assert!(encrypt(&[0; 32], (b"", b""), b"", &entropy).is_err());
        assert!(!format!("{key:?}").contains('1'));
    }
}
