//! The proof that a member signed two histories of one of its logs, as it is kept and handed on.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::audit::{audit_origin, split_notes};
use super::feed::FeedId;
use super::mirror::{Bridge, ForkKind, ForkProof, MirrorFault};
use crate::domain::MemberId;
use crate::limits::{CONSISTENCY_HASHES_MAX, FORK_PROOF_BYTES_MAX};
use crate::merkle::{Checkpoint, Hash, LogFault, SignedNote, verify_consistency};

/// First line of a written proof.
const HEADER: &str = "creditmesh-fork-proof v1";

/// Which log of a member an origin names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogName {
    /// Its audit log.
    Audit(MemberId),
    /// One of its feeds.
    Feed(FeedId),
}

impl LogName {
    /// The log with this origin; `None` where it is none that members compare.
    #[must_use]
    pub fn of(origin: &str) -> Option<Self> {
        if let Ok(feed) = origin.parse() {
            return Some(Self::Feed(feed));
        }
        let member: MemberId = origin.split('/').next()?.parse().ok()?;
        (audit_origin(&member) == origin).then_some(Self::Audit(member))
    }

    /// Whose log it is.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        match self {
            Self::Audit(member) => member,
            Self::Feed(feed) => &feed.member,
        }
    }
}

/// Why a fork proof proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkFault {
    /// The text is no fork proof.
    #[error("not a fork proof: {0}; it must be one that `creditmesh audit forks` wrote")]
    Malformed(&'static str),
    /// A note is not a checkpoint that this key signed for this log.
    #[error("a checkpoint of the proof is refused: {0}")]
    Note(#[from] LogFault),
    /// A note of a feed breaks the rules of feeds.
    #[error("a checkpoint of the proof is refused: {0}")]
    Feed(#[from] MirrorFault),
}

/// Two checkpoints of one log that cannot both be honest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFork {
    /// The origin of the log.
    pub origin: String,
    /// The note of the checkpoint with fewer leaves, or either of two with equally many.
    pub smaller: String,
    /// The note of the other one.
    pub larger: String,
    /// What the larger tree holds in place of the smaller one, where sizes differ.
    pub bridge: Option<Bridge>,
}

impl LogFork {
    /// The log.
    #[must_use]
    pub fn log(&self) -> Option<LogName> {
        LogName::of(&self.origin)
    }

    /// What the proof proves to whoever knows the member's identity key; `None` where it proves
    /// nothing.
    ///
    /// # Errors
    /// [`ForkFault`] where a note is not a checkpoint that this key signed for this log.
    pub fn check(&self, key: &[u8; 32]) -> Result<Option<ForkKind>, ForkFault> {
        match self.log() {
            Some(LogName::Feed(feed)) => {
                let proof = ForkProof {
                    feed,
                    smaller: self.smaller.clone(),
                    larger: self.larger.clone(),
                    bridge: self.bridge.clone(),
                };
                Ok(proof.check(key)?)
            }
            Some(LogName::Audit(_)) => self.check_audit(key),
            None => Err(ForkFault::Malformed("its origin is of no log of a member")),
        }
    }

    /// Clocks are put back, and the entries of an audit log say nothing of their order: there only
    /// roots count.
    fn check_audit(&self, key: &[u8; 32]) -> Result<Option<ForkKind>, ForkFault> {
        let open = |note: &str| Checkpoint::open(&SignedNote::parse(note)?, &self.origin, key);
        let (smaller, larger) = (open(&self.smaller)?, open(&self.larger)?);
        if smaller.size() == larger.size() {
            return Ok((smaller.root() != larger.root()).then_some(ForkKind::TwoRoots));
        }
        let rewritten = self.bridge.as_ref().is_some_and(|bridge| {
            let (from, to) = (smaller.size(), larger.size());
            let leads =
                verify_consistency(from, &bridge.root, to, larger.root(), &bridge.consistency);
            bridge.root != *smaller.root() && leads.is_ok()
        });
        Ok(rewritten.then_some(ForkKind::Rewritten))
    }
}

impl From<ForkProof> for LogFork {
    fn from(proof: ForkProof) -> Self {
        Self {
            origin: proof.feed.origin(),
            smaller: proof.smaller,
            larger: proof.larger,
            bridge: proof.bridge,
        }
    }
}

impl fmt::Display for LogFork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\n{}", self.origin)?;
        if let Some(bridge) = &self.bridge {
            writeln!(f, "bridge {}", BASE64.encode(&bridge.root))?;
            for hash in &bridge.consistency {
                writeln!(f, "{}", BASE64.encode(hash))?;
            }
        }
        write!(f, "\n{}{}", self.smaller, self.larger)
    }
}

impl FromStr for LogFork {
    type Err = ForkFault;

    fn from_str(text: &str) -> Result<Self, ForkFault> {
        let wrong = ForkFault::Malformed;
        if text.len() > FORK_PROOF_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let (head, notes) = text.split_once("\n\n").ok_or(wrong("no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(wrong("its first line is another one"));
        }
        let origin = lines.next().ok_or(wrong("it names no log"))?.to_owned();
        if LogName::of(&origin).is_none() {
            return Err(wrong("its origin is of no log of a member"));
        }
        let hash =
            |text: &str| -> Option<Hash> { BASE64.decode(text.as_bytes()).ok()?.try_into().ok() };
        let no_hash = || wrong("a hash is not 32 bytes in base64");
        let bridge = match lines.next() {
            None => None,
            Some(first) => {
                let root = first.strip_prefix("bridge ").and_then(hash);
                let consistency: Option<Vec<Hash>> = lines.map(hash).collect();
                let consistency = consistency.ok_or_else(no_hash)?;
                if consistency.len() > CONSISTENCY_HASHES_MAX {
                    return Err(wrong("its proof is too long"));
                }
                let root = root.ok_or_else(no_hash)?;
                Some(Bridge { root, consistency })
            }
        };
        let mut notes = split_notes(notes);
        let (Some(smaller), Some(larger), None) = (notes.next(), notes.next(), notes.next()) else {
            return Err(wrong("it has not two checkpoints"));
        };
        Ok(Self {
            origin,
            smaller: smaller.to_owned(),
            larger: larger.to_owned(),
            bridge,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};
    use crate::domain::Timestamp;
    use crate::merkle::{Frontier, Tree, leaf_hash};

    fn key() -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([5; 32]))
    }

    fn note(leaves: &[&str], at: i64) -> String {
        let mut log = Frontier::new();
        for leaf in leaves {
            log.append(leaf_hash(leaf.as_bytes())).unwrap();
        }
        let at = Timestamp::from_unix_ms(1_790_000_000_000 + at);
        let checkpoint = Checkpoint::new("alpha/audit", log.size(), log.root(), at).unwrap();
        checkpoint.sign(&key()).unwrap().to_string()
    }

    fn proof(smaller: String, larger: String, bridge: Option<Bridge>) -> LogFork {
        let origin = "alpha/audit".to_owned();
        LogFork {
            origin,
            smaller,
            larger,
            bridge,
        }
    }

    #[test]
    fn two_roots_of_one_size_are_a_fork_and_a_clock_put_back_is_none() {
        let public = key().public();
        let fork = proof(note(&["a", "b"], 1), note(&["a", "c"], 2), None);
        assert_eq!(fork.check(&public).unwrap(), Some(ForkKind::TwoRoots));
        assert!(fork.check(&[9; 32]).is_err());
        let back = proof(note(&["a", "b"], 2), note(&["a", "b", "c"], 1), None);
        assert_eq!(back.check(&public).unwrap(), None);
        let same = proof(note(&["a", "b"], 1), note(&["a", "b"], 2), None);
        assert_eq!(same.check(&public).unwrap(), None);
    }

    #[test]
    fn a_larger_tree_with_other_leaves_is_proven_by_its_bridge() {
        let mut tree = Tree::with_groups_of(0);
        for leaf in ["a", "x", "c", "d", "e"] {
            tree.append_root(leaf_hash(leaf.as_bytes()));
        }
        let bridge = Bridge {
            root: tree.root_at(3).unwrap(),
            consistency: tree.consistency(3, 5).unwrap(),
        };
        let larger = note(&["a", "x", "c", "d", "e"], 2);
        let fork = proof(
            note(&["a", "b", "c"], 1),
            larger.clone(),
            Some(bridge.clone()),
        );
        let public = key().public();
        assert_eq!(fork.check(&public).unwrap(), Some(ForkKind::Rewritten));
        let honest = proof(note(&["a", "x", "c"], 1), larger, Some(bridge));
        assert_eq!(honest.check(&public).unwrap(), None);
        let text = fork.to_string();
        assert_eq!(text.parse::<LogFork>().unwrap(), fork);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let proven = text[..end].parse::<LogFork>().map(|cut| cut.check(&public));
            assert!(!matches!(proven, Ok(Ok(Some(_)))), "cut to {end}");
        }
    }

    #[test]
    fn origins_of_other_logs_are_refused() {
        for origin in ["alpha", "alpha/audit/7", "Alpha/audit", "log/registrar", ""] {
            assert_eq!(LogName::of(origin), None, "{origin}");
        }
        assert!(matches!(
            LogName::of("alpha/audit"),
            Some(LogName::Audit(_))
        ));
        assert!(matches!(
            LogName::of("alpha/full/7"),
            Some(LogName::Feed(_))
        ));
    }
}
