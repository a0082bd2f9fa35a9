//! The audit log as somebody checks it who has its entries and signed checkpoints and nothing else.

mod copy;
mod cosigned;
mod proof;

use std::collections::{BTreeMap, BTreeSet};

use cosigned::Cosignatures;

pub use copy::{CopiedEntry, split_notes};
pub use cosigned::{CosignedUpTo, WitnessKey};
pub use proof::{AuditProof, ProofError};

use crate::domain::{MemberId, Timestamp};
use crate::limits::{AUDIT_FAULTS_MAX, AUDIT_GAP_MAX};
use crate::merkle::{Checkpoint, Frontier, Hash, LogFault, SignedNote, leaf_hash};

/// The origin of a member's audit log.
#[must_use]
pub fn audit_origin(member: &MemberId) -> String {
    format!("{member}/audit")
}

/// What is wrong with an audit log. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// The text of an entry is not what its leaf hash was made of.
    #[error("forged leaf: entry {index} is not the text that was hashed when it was logged")]
    ForgedLeaf {
        /// Its position.
        index: u64,
    },
    /// Entries are missing in the middle.
    #[error("dropped leaf: entries {from} to {to} are missing")]
    DroppedLeaves {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// An entry stands behind a later one, or twice.
    #[error("reordered leaves: entry {index} does not stand where it belongs")]
    ReorderedLeaves {
        /// Its position.
        index: u64,
    },
    /// The entries do not lead to the root that was signed over them.
    #[error(
        "rewritten history: entries {from} to {to} are not those that the checkpoint at size \
         {size} was signed for"
    )]
    RewrittenHistory {
        /// The first entry that no fitting checkpoint covers.
        from: u64,
        /// The last entry that the checkpoint covers.
        to: u64,
        /// The size that was signed.
        size: u64,
    },
    /// Two signed checkpoints have one size and two roots.
    #[error("forked log: two different roots were signed at size {size}")]
    ForkedLog {
        /// That size.
        size: u64,
    },
    /// Entries that were signed are not there any more.
    #[error("truncated log: {signed} entries were signed, and only {held} are here")]
    TruncatedLog {
        /// Entries that are here.
        held: u64,
        /// Entries of the newest checkpoint.
        signed: u64,
    },
    /// A checkpoint is not signed by the member's key.
    #[error("wrong signature: checkpoint number {number} (from 1): {why}")]
    WrongSignature {
        /// Which of the checkpoints, in the order in which they came, from 1.
        number: u64,
        /// What is wrong with it.
        why: LogFault,
    },
    /// A witness's line under a checkpoint does not hold.
    #[error(
        "wrong cosignature: the line of {witness} under checkpoint number {number} (from 1) does \
         not hold"
    )]
    WrongCosignature {
        /// Which of the checkpoints, in the order in which they came, from 1.
        number: u64,
        /// The witness that the line names.
        witness: MemberId,
    },
    /// The newest entries are not covered by any checkpoint.
    #[error("unsigned entries: no checkpoint covers entry {from} and those behind it")]
    UnsignedEntries {
        /// The first of them.
        from: u64,
    },
}

impl AuditFault {
    /// The kind of fault in one word, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ForgedLeaf { .. } => "forged-leaf",
            Self::DroppedLeaves { .. } => "dropped-leaf",
            Self::ReorderedLeaves { .. } => "reordered-leaves",
            Self::RewrittenHistory { .. } => "rewritten-history",
            Self::ForkedLog { .. } => "forked-log",
            Self::TruncatedLog { .. } => "truncated-log",
            Self::WrongSignature { .. } => "wrong-signature",
            Self::WrongCosignature { .. } => "wrong-cosignature",
            Self::UnsignedEntries { .. } => "unsigned-entries",
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Entries that were read.
    pub entries: u64,
    /// Checkpoints whose signature was checked, and holds.
    pub checkpoints: u64,
    /// Entries of the newest checkpoint; 0 where there is none.
    pub signed: u64,
    /// How far each witness cosigned the log, in the order of their ids.
    pub witnessed: Vec<CosignedUpTo>,
    /// Cosignatures that were not checked, since no key of that name is known here.
    pub unchecked: u64,
    /// What is wrong, at most [`AUDIT_FAULTS_MAX`] of it.
    pub faults: Vec<AuditFault>,
}

/// Checks an audit log as it streams by: a checkpoint is given before the last entry it covers.
#[derive(Debug)]
pub struct AuditJudge {
    origin: String,
    keys: Vec<[u8; 32]>,
    since: Option<Timestamp>,
    given: u64,
    checked: u64,
    roots: BTreeMap<u64, Hash>,
    newest: u64,
    log: Frontier,
    next: u64,
    fitting: u64,
    missing: BTreeSet<u64>,
    /// Whether roots say nothing any more, since entries are not where they belong.
    displaced: bool,
    cosignatures: Cosignatures,
    faults: Vec<AuditFault>,
}

impl AuditJudge {
    /// Checks the log `origin`, which one of `keys` signs. With `since`, checkpoints that say they
    /// were signed before are left out; every entry is hashed all the same.
    #[must_use]
    pub fn new(origin: &str, keys: Vec<[u8; 32]>, since: Option<Timestamp>) -> Self {
        Self {
            origin: origin.to_owned(),
            keys,
            since,
            given: 0,
            checked: 0,
            roots: BTreeMap::new(),
            newest: 0,
            log: Frontier::new(),
            next: 0,
            fitting: 0,
            missing: BTreeSet::new(),
            displaced: false,
            cosignatures: Cosignatures::default(),
            faults: Vec::new(),
        }
    }

    /// Checks the cosignatures of these witnesses too.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: Vec<WitnessKey>) -> Self {
        self.cosignatures.witnesses = witnesses;
        self
    }

    /// Takes a checkpoint of the log.
    pub fn checkpoint(&mut self, note: &str) {
        if let (Some(since), Ok(note)) = (self.since, SignedNote::parse(note)) {
            let signed_at = Checkpoint::stored(&note)
                .ok()
                .and_then(|one| one.signed_at());
            if signed_at.is_some_and(|at| at < since) {
                self.given += 1;
                return;
            }
        }
        self.kept_checkpoint(note);
    }

    /// Takes a checkpoint that somebody kept of the log earlier, however old it is.
    pub fn kept_checkpoint(&mut self, note: &str) {
        self.given += 1;
        let read = SignedNote::parse(note);
        let judged = read.and_then(|note| {
            let signed = opened(&note, &self.origin, &self.keys)?;
            Ok((signed, note))
        });
        match judged {
            Ok((signed, note)) => {
                self.signed(&signed);
                let number = self.given;
                for witness in self.cosignatures.take(&note, signed.size()) {
                    self.fault(AuditFault::WrongCosignature { number, witness });
                }
            }
            Err(why) => self.fault(AuditFault::WrongSignature {
                number: self.given,
                why,
            }),
        }
    }

    fn signed(&mut self, signed: &Checkpoint) {
        self.checked += 1;
        let size = signed.size();
        self.newest = self.newest.max(size);
        let other = self.roots.insert(size, *signed.root());
        if other.is_some_and(|other| other != *signed.root()) {
            self.fault(AuditFault::ForkedLog { size });
        }
    }

    /// Takes the next entry: its position, its text, and its leaf hash where a copy keeps one.
    pub fn entry(&mut self, index: u64, line: &[u8], kept: Option<Hash>) {
        let hash = leaf_hash(line);
        if kept.is_some_and(|kept| kept != hash) {
            self.fault(AuditFault::ForgedLeaf { index });
        }
        self.place(index);
        if self.log.append(kept.unwrap_or(hash)).is_err() || self.displaced {
            return;
        }
        let size = self.log.size();
        let Some(signed) = self.roots.get(&size) else {
            return;
        };
        if *signed == self.log.root() {
            self.fitting = size;
        } else if !self.is_rewritten() {
            self.fault(AuditFault::RewrittenHistory {
                from: self.fitting,
                to: size - 1,
                size,
            });
        }
    }

    /// Notes whether an entry comes where it belongs.
    fn place(&mut self, index: u64) {
        if index < self.next {
            self.missing.remove(&index);
            self.displaced = true;
            self.fault(AuditFault::ReorderedLeaves { index });
            return;
        }
        if index > self.next {
            self.displaced = true;
            if index - self.next > AUDIT_GAP_MAX {
                let (from, to) = (self.next, index - 1);
                self.fault(AuditFault::DroppedLeaves { from, to });
            } else {
                self.missing.extend(self.next..index);
            }
        }
        self.next = index.saturating_add(1);
    }

    fn is_rewritten(&self) -> bool {
        let rewritten = |one: &AuditFault| matches!(one, AuditFault::RewrittenHistory { .. });
        self.faults.iter().any(rewritten)
    }

    fn fault(&mut self, fault: AuditFault) {
        if self.faults.len() < AUDIT_FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// What the whole log came to.
    #[must_use]
    pub fn finish(mut self) -> AuditVerdict {
        let missing: Vec<u64> = std::mem::take(&mut self.missing).into_iter().collect();
        for run in missing.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
            if let [from, ..] = run {
                let (from, to) = (*from, run.last().copied().unwrap_or(*from));
                self.fault(AuditFault::DroppedLeaves { from, to });
            }
        }
        let (held, signed) = (self.next, self.newest);
        if held < signed {
            self.fault(AuditFault::TruncatedLog { held, signed });
        }
        if signed < held {
            self.fault(AuditFault::UnsignedEntries { from: signed });
        }
        let (witnessed, unchecked) = self.cosignatures.end();
        AuditVerdict {
            witnessed,
            unchecked,
            entries: self.log.size(),
            checkpoints: self.checked,
            signed,
            faults: self.faults,
        }
    }
}

/// The checkpoint in a note that one of the keys signed.
fn opened(note: &SignedNote, origin: &str, keys: &[[u8; 32]]) -> Result<Checkpoint, LogFault> {
    let mut why = LogFault::KeyUnknown;
    for key in keys {
        match Checkpoint::open(note, origin, key) {
            Ok(checkpoint) => return Ok(checkpoint),
            // What a key that is named says weighs more than that another one is not named.
            Err(LogFault::KeyUnknown) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests;
