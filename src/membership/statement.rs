//! Statements under a member's identity key: which TLS key and which OPRF keys are its own.
//!
//! The authority that signs certificates cannot make a certificate that the gate accepts, because
//! each carries a statement by the member's identity key, which only the administrators' list pins.

use crate::crypto::{IdentityKey, labels, verify};
use crate::domain::{Epoch, Level, MemberId, NetworkId, Timestamp};
use crate::limits::CLOCK_SKEW_MAX;

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The signature does not belong to the statement and the pinned identity key.
    #[error(
        "the key statement of {member} is not signed by the identity key on the member list; \
         tell the administrators"
    )]
    Forged {
        /// Whose statement it says it is.
        member: MemberId,
    },
    /// It says it was made in the future.
    #[error("the key statement of {member} is dated {announced_at}; compare the clocks")]
    AnnouncedInFuture {
        /// Whose statement.
        member: MemberId,
        /// When it says it was made.
        announced_at: Timestamp,
    },
    /// The member stated two keys for one level and epoch: proof of misconduct.
    #[error(
        "{member} stated two OPRF keys for level {level} and epoch {epoch}; its answers count as \
         silence, and both statements go to the administrators"
    )]
    TwoKeys {
        /// Whose statements.
        member: MemberId,
        /// For which level.
        level: Level,
        /// For which epoch.
        epoch: Epoch,
    },
}

/// The identity key's signature over a TLS public key and the end of its use, carried in the
/// certificate. The end is the member's own: nobody can certify a key for longer than it stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateStatement {
    until_unix_s: i64,
    signature: [u8; 64],
}

impl CertificateStatement {
    /// Bytes of a statement: the end (8 bytes, seconds since 1970, network byte order), then the
    /// Ed25519 signature.
    pub const BYTES: usize = 72;

    /// States that the key with this `SubjectPublicKeyInfo` digest (SHA-256 of the DER form) is
    /// `member`'s until `until`, rounded down to a second.
    #[must_use]
    pub fn make(
        identity: &IdentityKey,
        network: &NetworkId,
        member: &MemberId,
        spki_sha256: &[u8; 32],
        until: Timestamp,
    ) -> Self {
        let until_unix_s = until.unix_ms().div_euclid(1_000);
        let message = certificate_message(network, member, spki_sha256, until_unix_s);
        Self {
            until_unix_s,
            signature: identity.sign(&message),
        }
    }

    /// The statement as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&self.until_unix_s.to_be_bytes());
        tail.copy_from_slice(&self.signature);
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; nothing of it is checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut head, mut signature) = ([0; 8], [0; 64]);
        let (until, rest) = bytes.split_at(head.len());
        head.copy_from_slice(until);
        signature.copy_from_slice(rest);
        Self {
            until_unix_s: i64::from_be_bytes(head),
            signature,
        }
    }

    /// The end of the key's use.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.until_unix_s.saturating_mul(1_000))
    }

    /// Whether `identity_key` made this statement.
    #[must_use]
    pub fn is_by(
        &self,
        identity_key: &[u8; 32],
        network: &NetworkId,
        member: &MemberId,
        spki_sha256: &[u8; 32],
    ) -> bool {
        let message = certificate_message(network, member, spki_sha256, self.until_unix_s);
        verify(identity_key, &message, &self.signature).is_ok()
    }
}

/// Label, network, zero, member, zero, digest, end: names have no zero bytes, so nothing can be
/// read twice.
fn certificate_message(
    network: &NetworkId,
    member: &MemberId,
    spki_sha256: &[u8; 32],
    until_unix_s: i64,
) -> Vec<u8> {
    let mut message = named(labels::CERTIFICATE_KEY, network, member);
    message.extend_from_slice(spki_sha256);
    message.extend_from_slice(&until_unix_s.to_be_bytes());
    message
}

pub(super) fn named(label: &[u8], network: &NetworkId, member: &MemberId) -> Vec<u8> {
    let mut message = label.to_vec();
    for name in [network.as_str(), member.as_str()] {
        message.extend_from_slice(name.as_bytes());
        message.push(0);
    }
    message
}

/// What a member states about one of its OPRF keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerms {
    /// Whose key.
    pub member: MemberId,
    /// Under which level's rights it evaluates.
    pub level: Level,
    /// For which key epoch.
    pub epoch: Epoch,
    /// The OPRF public key (ristretto255, RFC 9496 encoding).
    pub public_key: [u8; 32],
    /// When the statement was made.
    pub announced_at: Timestamp,
}

/// A signed statement about an OPRF key. It proves nothing until [`KeyStatement::check`] took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatement {
    /// What is stated.
    pub terms: KeyTerms,
    /// The identity key's signature.
    pub signature: [u8; 64],
}

impl KeyStatement {
    /// Signs `terms` for `network`.
    #[must_use]
    pub fn make(identity: &IdentityKey, network: &NetworkId, terms: KeyTerms) -> Self {
        let signature = identity.sign(&terms.message(network));
        Self { terms, signature }
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
        let member = &self.terms.member;
        verify(identity_key, &self.terms.message(network), &self.signature).map_err(|_| {
            StatementError::Forged {
                member: member.clone(),
            }
        })?;
        if self.terms.announced_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(StatementError::AnnouncedInFuture {
                member: member.clone(),
                announced_at: self.terms.announced_at,
            });
        }
        Ok(())
    }

    /// Checks this statement against the one that was pinned when its member, level and epoch were
    /// first seen. Statements about another member, level or epoch do not contradict each other.
    ///
    /// # Errors
    /// [`StatementError::TwoKeys`].
    pub fn agrees_with(&self, pinned: &Self) -> Result<(), StatementError> {
        let KeyTerms {
            member,
            level,
            epoch,
            public_key,
            announced_at: _,
        } = &self.terms;
        let same_subject = *member == pinned.terms.member
            && *level == pinned.terms.level
            && *epoch == pinned.terms.epoch;
        if same_subject && *public_key != pinned.terms.public_key {
            return Err(StatementError::TwoKeys {
                member: member.clone(),
                level: *level,
                epoch: *epoch,
            });
        }
        Ok(())
    }
}

impl KeyTerms {
    /// Label, network, zero, member, zero, level, zero, epoch (4 bytes), moment (8 bytes,
    /// milliseconds), key (32 bytes); numbers in network byte order.
    fn message(&self, network: &NetworkId) -> Vec<u8> {
        let mut message = named(labels::OPRF_KEY_STATEMENT, network, &self.member);
        message.extend_from_slice(self.level.word().as_bytes());
        message.push(0);
        message.extend_from_slice(&self.epoch.0.to_be_bytes());
        message.extend_from_slice(&self.announced_at.unix_ms().to_be_bytes());
        message.extend_from_slice(&self.public_key);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    fn identity(seed: u8) -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([seed; 32]))
    }

    fn statement(public_key: [u8; 32]) -> KeyStatement {
        let terms = KeyTerms {
            member: "bank-a".parse().unwrap(),
            level: Level::Full,
            epoch: Epoch(3),
            public_key,
            announced_at: Timestamp::from_unix_ms(1_000),
        };
        KeyStatement::make(&identity(1), &"credit-net".parse().unwrap(), terms)
    }

    fn check(statement: &KeyStatement, network: &str, key: u8) -> Result<(), StatementError> {
        let now = Timestamp::from_unix_ms(2_000);
        statement.check(&network.parse().unwrap(), &identity(key).public(), now)
    }

    #[test]
    fn a_key_statement_holds_for_its_member_and_network_only() {
        let good = statement([7; 32]);
        assert_eq!(check(&good, "credit-net", 1), Ok(()));
        assert!(check(&good, "credit-net", 2).is_err());
        assert!(check(&good, "other-net", 1).is_err());
        let mut altered = good;
        altered.terms.level = Level::Defaults;
        assert!(check(&altered, "credit-net", 1).is_err());
    }

    #[test]
    fn a_statement_from_the_future_is_refused() {
        let terms = KeyTerms {
            announced_at: Timestamp::from_unix_ms(i64::MAX),
            ..statement([7; 32]).terms
        };
        let late = KeyStatement::make(&identity(1), &"credit-net".parse().unwrap(), terms);
        assert!(matches!(
            check(&late, "credit-net", 1),
            Err(StatementError::AnnouncedInFuture { .. })
        ));
    }

    #[test]
    fn two_keys_for_one_epoch_contradict_each_other() {
        let pinned = statement([7; 32]);
        assert_eq!(statement([7; 32]).agrees_with(&pinned), Ok(()));
        assert!(matches!(
            statement([8; 32]).agrees_with(&pinned),
            Err(StatementError::TwoKeys { .. })
        ));
        let mut next = statement([8; 32]);
        next.terms.epoch = Epoch(4);
        assert_eq!(next.agrees_with(&pinned), Ok(()));
    }

    #[test]
    fn a_certificate_statement_holds_for_one_key_of_one_member_and_one_end() {
        let network: NetworkId = "credit-net".parse().unwrap();
        let member: MemberId = "bank-a".parse().unwrap();
        let end = Timestamp::from_unix_ms(1_772_000_000_999);
        let made = CertificateStatement::make(&identity(1), &network, &member, &[5; 32], end);
        let key = identity(1).public();
        assert_eq!(made.until(), Timestamp::from_unix_ms(1_772_000_000_000));
        assert!(made.is_by(&key, &network, &member, &[5; 32]));
        assert!(!made.is_by(&key, &network, &member, &[6; 32]));
        assert!(!made.is_by(&key, &network, &"bank-b".parse().unwrap(), &[5; 32]));
        assert!(!made.is_by(&identity(2).public(), &network, &member, &[5; 32]));
        let mut bytes = made.to_bytes();
        assert_eq!(CertificateStatement::from_bytes(&bytes), made);
        bytes[7] ^= 1;
        let longer = CertificateStatement::from_bytes(&bytes);
        assert!(!longer.is_by(&key, &network, &member, &[5; 32]));
    }
}
