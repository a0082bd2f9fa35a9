//! Secret bytes: wiped when dropped, never printed, compared in constant time.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::env::{Entropy, EntropyUnavailable};

/// `N` secret bytes on the heap, so that moving the value leaves no copy behind. Wiped on drop;
/// there is deliberately no `Clone`: who needs a second copy writes
/// `Secret::from_bytes(*secret.expose())`.
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes`; the copy on the caller's stack is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.0.copy_from_slice(&bytes);
        bytes.zeroize();
        secret
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] where the source fails.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        Self::filled(|out| entropy.fill(out))
    }

    /// The bytes themselves. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Lets `fill` write the bytes in place, so that they never lie on the stack.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self::zeroed();
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// As [`Self::filled`], where writing cannot fail.
    pub(crate) fn written(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self::zeroed();
        write(&mut secret.0);
        secret
    }

    fn zeroed() -> Self {
        Self(Box::new(Zeroizing::new([0; N])))
    }
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// Secret bytes of any length, such as a passphrase.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes` without copying them.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret::<4>::from_bytes([0xab; 4]);
        assert_eq!(format!("{secret:?}"), "Secret<4>(..)");
        let passphrase = SecretBytes::from("correct horse".to_owned());
        assert_eq!(format!("{passphrase:?}"), "SecretBytes(..)");
    }

    #[test]
    fn equal_secrets_are_equal_and_others_are_not() {
        let one = Secret::<32>::from_bytes([1; 32]);
        assert_eq!(one, Secret::from_bytes(*one.expose()));
        assert_ne!(one, Secret::from_bytes([2; 32]));
        assert_ne!(SecretBytes::new(vec![1]), SecretBytes::new(vec![1, 1]));
    }

    #[test]
    fn random_secrets_differ() {
        let entropy = SeededEntropy::from_seed(1);
        let one = Secret::<32>::random(&entropy).unwrap();
        assert_ne!(one, Secret::random(&entropy).unwrap());
    }
}
