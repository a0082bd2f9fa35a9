//! What a witness decides about a checkpoint of a peer's audit log, and whom a node asks.

use super::fields::{Fields, put_sized};
use super::fork::LogFork;
use crate::domain::MemberId;
use crate::merkle::{Checkpoint, Hash, LogFault, SignedNote, verify_consistency};

/// Version of the row of what was cosigned.
const FORMAT: u8 = 1;

/// The name of a member's key as a witness.
#[must_use]
pub fn witness_name(member: &MemberId) -> String {
    format!("{member}/witness")
}

/// The newest checkpoint of a log that this node cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCosigned {
    note: String,
    size: u64,
    root: Hash,
}

/// A checkpoint to be cosigned, and the proof that it continues the last one.
#[derive(Debug, Clone, Copy)]
pub struct WitnessQuestion<'a> {
    /// The size that the asker believes was cosigned last; 0 for none.
    pub old_size: u64,
    /// The consistency proof from that size.
    pub proof: &'a [Hash],
    /// The signed checkpoint.
    pub note: &'a str,
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessRefusal {
    /// The note is not a checkpoint of the asker's own audit log.
    #[error("the checkpoint is refused: {0}")]
    Note(#[from] LogFault),
    /// The proof begins at another size than the one that was cosigned last.
    #[error("the last checkpoint cosigned here has {size} entries: prove growth from there")]
    OtherSize {
        /// The size cosigned last.
        size: u64,
    },
    /// A larger checkpoint was cosigned before.
    #[error(
        "a checkpoint of {cosigned} entries was cosigned here, and this one has {given}: the log \
         was cut"
    )]
    Cut {
        /// Entries of the checkpoint cosigned last.
        cosigned: u64,
        /// Entries of this one.
        given: u64,
    },
    /// One size, two roots.
    #[error("another root was cosigned here at this size: the log has two histories")]
    Fork(Box<LogFork>),
    /// The proof does not lead from the checkpoint cosigned last to this one.
    #[error("this checkpoint does not continue the one of {cosigned} entries cosigned here")]
    Inconsistent {
        /// Entries of the checkpoint cosigned last.
        cosigned: u64,
    },
}

impl LastCosigned {
    /// Keeps a checkpoint that was judged.
    #[must_use]
    pub fn of(note: &str, checkpoint: &Checkpoint) -> Self {
        Self {
            note: note.to_owned(),
            size: checkpoint.size(),
            root: *checkpoint.root(),
        }
    }

    /// Its entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// The signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// For storage: version, length of the note in two bytes, note.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        put_sized(&mut row, self.note.as_bytes());
        row
    }

    /// Reads what [`Self::encode`] wrote.
    #[must_use]
    pub fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Fields::of(row);
        (row.byte()? == FORMAT).then_some(())?;
        let note = row.text()?;
        row.end()?;
        let checkpoint = Checkpoint::stored(&SignedNote::parse(note).ok()?).ok()?;
        Some(Self::of(note, &checkpoint))
    }
}

/// Judges a checkpoint of the log `origin`, which the holder of `key` signs.
///
/// # Errors
/// [`WitnessRefusal`] where it must not be cosigned.
pub fn judge(
    last: Option<&LastCosigned>,
    origin: &str,
    key: &[u8; 32],
    question: &WitnessQuestion<'_>,
) -> Result<Checkpoint, WitnessRefusal> {
    let note = SignedNote::parse(question.note)?;
    let given = Checkpoint::open(&note, origin, key)?;
    let cosigned = last.map_or(0, LastCosigned::size);
    if let Some(last) = last {
        if last.size == given.size() && last.root != *given.root() {
            return Err(WitnessRefusal::Fork(Box::new(LogFork {
                origin: origin.to_owned(),
                smaller: last.note.clone(),
                larger: question.note.to_owned(),
                bridge: None,
            })));
        }
        if last.size == given.size() {
            return Ok(given);
        }
    }
    if given.size() < cosigned {
        let given = given.size();
        return Err(WitnessRefusal::Cut { cosigned, given });
    }
    if question.old_size != cosigned {
        return Err(WitnessRefusal::OtherSize { size: cosigned });
    }
    let root = last.map_or_else(crate::merkle::empty_root, |last| last.root);
    verify_consistency(cosigned, &root, given.size(), given.root(), question.proof)
        .map_err(|_| WitnessRefusal::Inconsistent { cosigned })?;
    Ok(given)
}

/// The order in which `own` asks these members, of which it is none, to be witnesses on a day: one
/// after the other behind itself, one place further each day, so that all take turns.
#[must_use]
pub fn witness_order(own: &MemberId, members: &[MemberId], day: u64) -> Vec<MemberId> {
    let mut sorted = members.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() {
        return sorted;
    }
    let behind = sorted.iter().filter(|member| *member < own).count();
    let turn = u64::try_from(sorted.len()).map_or(0, |count| day % count);
    let turn = usize::try_from(turn).unwrap_or(0);
    let first = (behind + turn) % sorted.len();
    sorted.rotate_left(first);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};
    use crate::domain::Timestamp;
    use crate::merkle::{Frontier, GrowthBuilder, leaf_hash};

    const ORIGIN: &str = "alpha/audit";

    fn key() -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([5; 32]))
    }

    fn log(leaves: &[&str]) -> Frontier {
        let mut log = Frontier::new();
        for leaf in leaves {
            log.append(leaf_hash(leaf.as_bytes())).unwrap();
        }
        log
    }

    fn note(log: &Frontier) -> String {
        let at = Timestamp::from_unix_ms(1_790_000_000_000);
        let checkpoint = Checkpoint::new(ORIGIN, log.size(), log.root(), at).unwrap();
        checkpoint.sign(&key()).unwrap().to_string()
    }

    fn growth(old: &Frontier, more: &[&str]) -> Vec<Hash> {
        let mut growth = GrowthBuilder::behind(old);
        more.iter()
            .for_each(|leaf| growth.append(leaf_hash(leaf.as_bytes())));
        growth.finish().0
    }

    fn asked(
        last: Option<&LastCosigned>,
        old_size: u64,
        proof: &[Hash],
        note: &str,
    ) -> Result<LastCosigned, WitnessRefusal> {
        let question = WitnessQuestion {
            old_size,
            proof,
            note,
        };
        let judged = judge(last, ORIGIN, &key().public(), &question)?;
        Ok(LastCosigned::of(note, &judged))
    }

    #[test]
    fn what_continues_the_last_one_is_cosigned_and_nothing_else() {
        let three = log(&["a", "b", "c"]);
        let first = asked(None, 0, &[], &note(&three)).unwrap();
        assert_eq!(LastCosigned::decode(&first.encode()), Some(first.clone()));
        let five = log(&["a", "b", "c", "d", "e"]);
        let proof = growth(&three, &["d", "e"]);
        let second = asked(Some(&first), 3, &proof, &note(&five)).unwrap();
        assert_eq!(second.size(), 5);
        // The same one again, after an answer that was lost.
        asked(Some(&second), 3, &proof, &note(&five)).unwrap();

        let other =
            |old, proof: &[Hash], log: &Frontier| asked(Some(&second), old, proof, &note(log));
        let seven = log(&["a", "b", "c", "d", "e", "f", "g"]);
        let refused = other(3, &[], &seven).unwrap_err();
        assert_eq!(refused, WitnessRefusal::OtherSize { size: 5 });
        let refused = other(5, &[[1; 32]], &seven).unwrap_err();
        assert_eq!(refused, WitnessRefusal::Inconsistent { cosigned: 5 });
        let refused = other(5, &[], &three).unwrap_err();
        assert_eq!(
            refused,
            WitnessRefusal::Cut {
                cosigned: 5,
                given: 3
            }
        );
        let forked = other(5, &[], &log(&["a", "b", "c", "d", "x"])).unwrap_err();
        let WitnessRefusal::Fork(fork) = forked else {
            panic!("{forked:?}");
        };
        assert!(fork.check(&key().public()).unwrap().is_some());
        let rewritten = log(&["a", "b", "x", "d", "e", "f", "g"]);
        let proof = growth(&log(&["a", "b", "x", "d", "e"]), &["f", "g"]);
        let refused = other(5, &proof, &rewritten).unwrap_err();
        assert_eq!(refused, WitnessRefusal::Inconsistent { cosigned: 5 });
    }

    #[test]
    fn checkpoints_of_others_are_refused() {
        let note = note(&log(&["a"]));
        let question = WitnessQuestion {
            old_size: 0,
            proof: &[],
            note: &note,
        };
        let of_beta = judge(None, "beta/audit", &key().public(), &question);
        assert_eq!(of_beta, Err(WitnessRefusal::Note(LogFault::OriginOther)));
        let stranger = judge(None, ORIGIN, &[9; 32], &question);
        assert_eq!(stranger, Err(WitnessRefusal::Note(LogFault::KeyUnknown)));
    }

    #[test]
    fn every_peer_is_somebody_s_first_witness_and_all_take_turns() {
        let members: Vec<MemberId> = ["alpha", "beta", "delta", "gamma"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        for day in 0..6 {
            let mut firsts = Vec::new();
            for own in &members {
                let peers: Vec<MemberId> =
                    members.iter().filter(|one| *one != own).cloned().collect();
                let order = witness_order(own, &peers, day);
                assert_eq!(order.len(), 3);
                assert!(!order.contains(own));
                firsts.push(order[0].clone());
            }
            firsts.sort_unstable();
            assert_eq!(firsts, members, "day {day}");
        }
        let own = &members[0];
        let turns: std::collections::BTreeSet<MemberId> = (0..3)
            .map(|day| witness_order(own, &members[1..], day)[0].clone())
            .collect();
        assert_eq!(turns.len(), 3);
        assert!(witness_order(own, &[], 5).is_empty());
    }
}
