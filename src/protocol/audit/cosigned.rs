//! Who cosigned an audit log, up to which size, and when.

use std::collections::BTreeMap;

use crate::domain::{MemberId, Timestamp};
use crate::merkle::SignedNote;
use crate::protocol::witness::witness_name;

/// A witness whose cosignatures are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    /// The member.
    pub member: MemberId,
    /// Its identity key.
    pub key: [u8; 32],
}

/// How far a witness cosigned a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedUpTo {
    /// The witness.
    pub witness: MemberId,
    /// Entries of the largest checkpoint that it cosigned.
    pub size: u64,
    /// When it did, by its clock, in whole seconds.
    pub at: Timestamp,
}

/// The cosignatures of a log as they come.
#[derive(Debug, Default)]
pub(super) struct Cosignatures {
    pub(super) witnesses: Vec<WitnessKey>,
    newest: BTreeMap<MemberId, (u64, Timestamp)>,
    /// Cosignatures under names of which no key is known here.
    pub(super) unknown: u64,
}

impl Cosignatures {
    /// Takes the lines of a checkpoint that the log's key signed; gives the witnesses whose line
    /// does not hold.
    pub(super) fn take(&mut self, note: &SignedNote, size: u64) -> Vec<MemberId> {
        let mut wrong = Vec::new();
        let mut named = 0;
        for WitnessKey { member, key } in &self.witnesses {
            match note.cosigned(&witness_name(member), key) {
                Ok(Some(at)) => {
                    named += 1;
                    let newest = self.newest.entry(member.clone()).or_insert((size, at));
                    *newest = (*newest).max((size, at));
                }
                Ok(None) => {}
                Err(_) => {
                    named += 1;
                    wrong.push(member.clone());
                }
            }
        }
        let lines = note.signers().filter(|name| name.ends_with("/witness"));
        let lines = u64::try_from(lines.count()).unwrap_or(u64::MAX);
        self.unknown = self.unknown.saturating_add(lines.saturating_sub(named));
        wrong
    }

    pub(super) fn end(self) -> (Vec<CosignedUpTo>, u64) {
        let newest = self.newest.into_iter();
        let witnessed = newest.map(|(witness, (size, at))| CosignedUpTo { witness, size, at });
        (witnessed.collect(), self.unknown)
    }
}
