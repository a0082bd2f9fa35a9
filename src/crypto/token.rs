//! The OPRF output of one identifier under one member's key, and what is derived from it.

use std::fmt;

use super::hkdf::Prk;
use super::labels;
use super::secret::Secret;

/// Bytes of a token: one SHA-512 digest (RFC 9497 §4.1).
pub(crate) const TOKEN_BYTES: usize = 64;

/// `F(key of a member, identifier)`: what opens that member's leaves about one borrower. Secret:
/// whoever holds it can read what that member published about the borrower.
#[derive(PartialEq, Eq)]
pub struct Token(Secret<TOKEN_BYTES>);

impl Token {
    /// A token that was kept (sealed) earlier.
    #[must_use]
    pub fn from_secret(secret: Secret<TOKEN_BYTES>) -> Self {
        Self(secret)
    }

    /// The 64 bytes themselves. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8; TOKEN_BYTES] {
        self.0.expose()
    }

    /// `N` bytes of HKDF-SHA-256 with the token as key material, no salt, and `label ‖ n` (four
    /// bytes, big endian) as info. `N` is at most 8,160. Labels come from [`super::labels`].
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &[u8], n: u32) -> Secret<N> {
        Prk::extract(&[], self.0.expose()).expand(&[label, &n.to_be_bytes()])
    }
}

/// `HKDF(y, "notice")`: finds and opens the notices about one borrower under one key of a member,
/// and nothing else. Both sides keep it when the token is long forgotten.
#[derive(PartialEq, Eq)]
pub struct NoticeKey(Secret<32>);

impl NoticeKey {
    /// The key that belongs to a token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self(token.derive(labels::NOTICE, 0))
    }

    /// A key that was kept (sealed) earlier.
    #[must_use]
    pub const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The 32 bytes themselves, to be sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// `N` bytes of HKDF-SHA-256 with this key and `label ‖ n` (four bytes, big endian) as info.
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &[u8], n: u32) -> Secret<N> {
        Prk::from_uniform(&self.0).expand(&[label, &n.to_be_bytes()])
    }
}

impl fmt::Debug for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoticeKey(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_label_and_number() {
        let token = Token::from_secret(Secret::from_bytes([7; 64]));
        let tag = token.derive::<12>(labels::FEED_TAG, 0);
        assert_eq!(tag, token.derive(labels::FEED_TAG, 0));
        assert_ne!(tag, token.derive(labels::FEED_TAG, 1));
        assert_ne!(tag, token.derive(labels::FEED_CONTENT, 0));
    }

    #[test]
    fn debug_shows_nothing_of_a_token() {
        let token = Token::from_secret(Secret::from_bytes([7; 64]));
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
