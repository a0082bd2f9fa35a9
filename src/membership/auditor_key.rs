//! An auditor's statement about the key that openings are encrypted to, under its identity key.

use super::StatementError;
use super::statement::named;
use crate::crypto::{IdentityKey, labels, verify};
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::limits::CLOCK_SKEW_MAX;

/// A signed statement about an auditor's encryption key. It proves nothing until [`Self::check`]
/// took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorKeyStatement {
    /// Whose key.
    pub member: MemberId,
    /// The X25519 public key of RFC 9180.
    pub public_key: [u8; 32],
    /// When the statement was made.
    pub announced_at: Timestamp,
    /// The identity key's signature.
    pub signature: [u8; 64],
}

impl AuditorKeyStatement {
    /// States that `public_key` is `member`'s.
    #[must_use]
    pub fn make(
        identity: &IdentityKey,
        network: &NetworkId,
        member: &MemberId,
        public_key: [u8; 32],
        announced_at: Timestamp,
    ) -> Self {
        let mut made = Self {
            member: member.clone(),
            public_key,
            announced_at,
            signature: [0; 64],
        };
        made.signature = identity.sign(&made.message(network));
        made
    }

    /// Checks that the member's pinned identity key made the statement, and not in the future.
    ///
    /// # Errors
    /// [`StatementError::Forged`] or [`StatementError::AnnouncedInFuture`].
    pub fn check(
        &self,
        network: &NetworkId,
        identity_key: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StatementError> {
        let member = &self.member;
        verify(identity_key, &self.message(network), &self.signature).map_err(|_| {
            StatementError::Forged {
                member: member.clone(),
            }
        })?;
        if self.announced_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(StatementError::AnnouncedInFuture {
                member: member.clone(),
                announced_at: self.announced_at,
            });
        }
        Ok(())
    }

    /// Label, network, zero, member, zero, moment (8 bytes, milliseconds, network byte order), key.
    fn message(&self, network: &NetworkId) -> Vec<u8> {
        let mut message = named(labels::AUDITOR_KEY, network, &self.member);
        message.extend_from_slice(&self.announced_at.unix_ms().to_be_bytes());
        message.extend_from_slice(&self.public_key);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    #[test]
    fn only_the_pinned_identity_key_states_an_encryption_key() {
        let identity = IdentityKey::from_seed(&Secret::from_bytes([1; 32]));
        let other = IdentityKey::from_seed(&Secret::from_bytes([2; 32]));
        let network: NetworkId = "credit-net".parse().unwrap();
        let auditor: MemberId = "watcher".parse().unwrap();
        let at = Timestamp::from_unix_ms(1_000_000);
        let made = AuditorKeyStatement::make(&identity, &network, &auditor, [7; 32], at);
        assert_eq!(made.check(&network, &identity.public(), at), Ok(()));
        let forged = made.check(&network, &other.public(), at);
        assert!(matches!(forged, Err(StatementError::Forged { .. })));
        let elsewhere = made.check(&"other-net".parse().unwrap(), &identity.public(), at);
        assert!(elsewhere.is_err());
        let mut swapped = made.clone();
        swapped.public_key = [8; 32];
        assert!(swapped.check(&network, &identity.public(), at).is_err());
        let late = Timestamp::from_unix_ms(i64::MAX);
        let late = AuditorKeyStatement::make(&identity, &network, &auditor, [7; 32], late);
        let refused = late.check(&network, &identity.public(), at);
        assert!(matches!(
            refused,
            Err(StatementError::AnnouncedInFuture { .. })
        ));
    }
}
