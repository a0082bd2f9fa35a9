//! Witnesses and gossip in and out: `proto/creditmesh/v1/witness.proto`.

use prost::bytes::Bytes;

use super::{Malformed, pb};
use crate::limits::{
    CONSISTENCY_HASHES_MAX, FORK_PROOF_BYTES_MAX, GOSSIP_FORKS_MAX, GOSSIP_NOTE_BYTES_MAX,
    GOSSIP_NOTES_MAX, NOTE_BYTES_MAX,
};
use crate::merkle::Hash;

/// A checkpoint to be cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignWanted {
    /// The size that the asker believes was cosigned last; 0 for none.
    pub old_size: u64,
    /// The consistency proof from that size.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignGiven {
    /// The checkpoint's text with the witness's line; `None` where the proof must begin elsewhere.
    pub note: Option<String>,
    /// The size that was cosigned last.
    pub cosigned_size: u64,
}

/// What a node saw of all members' logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sightings {
    /// Signed checkpoints.
    pub notes: Vec<String>,
    /// Fork proofs in their written form.
    pub forks: Vec<String>,
}

/// That the audit log of the node asked grew from one size to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthGiven {
    /// The root at the old size.
    pub old_root: Hash,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
}

fn hashes(field: &'static str, bytes: &Bytes) -> Result<Vec<Hash>, Malformed> {
    let (hashes, odd) = bytes.as_chunks::<32>();
    if !odd.is_empty() || hashes.len() > CONSISTENCY_HASHES_MAX {
        let reason = format!("must be at most {CONSISTENCY_HASHES_MAX} hashes of 32 bytes");
        return Err(Malformed::new(field, reason));
    }
    Ok(hashes.to_vec())
}

fn note(field: &'static str, text: String, most: usize) -> Result<String, Malformed> {
    if text.len() > most {
        return Err(Malformed::new(
            field,
            format!("must be at most {most} bytes"),
        ));
    }
    Ok(text)
}

impl From<CosignWanted> for pb::CosignRequest {
    fn from(wanted: CosignWanted) -> Self {
        Self {
            old_size: wanted.old_size,
            proof: wanted.proof.concat().into(),
            checkpoint: wanted.note,
        }
    }
}

impl TryFrom<pb::CosignRequest> for CosignWanted {
    type Error = Malformed;

    fn try_from(message: pb::CosignRequest) -> Result<Self, Malformed> {
        Ok(Self {
            old_size: message.old_size,
            proof: hashes("proof", &message.proof)?,
            note: note("checkpoint", message.checkpoint, NOTE_BYTES_MAX)?,
        })
    }
}

impl From<CosignGiven> for pb::CosignResponse {
    fn from(given: CosignGiven) -> Self {
        Self {
            cosigned: given.note.unwrap_or_default(),
            cosigned_size: given.cosigned_size,
        }
    }
}

impl TryFrom<pb::CosignResponse> for CosignGiven {
    type Error = Malformed;

    fn try_from(message: pb::CosignResponse) -> Result<Self, Malformed> {
        let cosigned = note("cosigned", message.cosigned, NOTE_BYTES_MAX)?;
        Ok(Self {
            note: Some(cosigned).filter(|note| !note.is_empty()),
            cosigned_size: message.cosigned_size,
        })
    }
}

fn sightings(checkpoints: Vec<String>, forks: Vec<String>) -> Result<Sightings, Malformed> {
    if checkpoints.len() > GOSSIP_NOTES_MAX {
        let reason = format!("must be at most {GOSSIP_NOTES_MAX} checkpoints");
        return Err(Malformed::new("checkpoints", reason));
    }
    if forks.len() > GOSSIP_FORKS_MAX {
        let reason = format!("must be at most {GOSSIP_FORKS_MAX} fork proofs");
        return Err(Malformed::new("forks", reason));
    }
    let notes = checkpoints.into_iter();
    let notes = notes.map(|text| note("checkpoints", text, GOSSIP_NOTE_BYTES_MAX));
    let forks = forks.into_iter();
    let forks = forks.map(|text| note("forks", text, FORK_PROOF_BYTES_MAX));
    Ok(Sightings {
        notes: notes.collect::<Result<_, _>>()?,
        forks: forks.collect::<Result<_, _>>()?,
    })
}

impl From<Sightings> for pb::GossipRequest {
    fn from(seen: Sightings) -> Self {
        Self {
            checkpoints: seen.notes,
            forks: seen.forks,
        }
    }
}

impl TryFrom<pb::GossipRequest> for Sightings {
    type Error = Malformed;

    fn try_from(message: pb::GossipRequest) -> Result<Self, Malformed> {
        sightings(message.checkpoints, message.forks)
    }
}

impl From<Sightings> for pb::GossipResponse {
    fn from(seen: Sightings) -> Self {
        Self {
            checkpoints: seen.notes,
            forks: seen.forks,
        }
    }
}

impl TryFrom<pb::GossipResponse> for Sightings {
    type Error = Malformed;

    fn try_from(message: pb::GossipResponse) -> Result<Self, Malformed> {
        sightings(message.checkpoints, message.forks)
    }
}

impl From<GrowthGiven> for pb::GrowthResponse {
    fn from(given: GrowthGiven) -> Self {
        Self {
            old_root: given.old_root.to_vec().into(),
            proof: given.proof.concat().into(),
        }
    }
}

impl TryFrom<pb::GrowthResponse> for GrowthGiven {
    type Error = Malformed;

    fn try_from(message: pb::GrowthResponse) -> Result<Self, Malformed> {
        let old_root = Hash::try_from(&*message.old_root)
            .map_err(|_| Malformed::new("old_root", "must be 32 bytes"))?;
        Ok(Self {
            old_root,
            proof: hashes("proof", &message.proof)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let wanted = CosignWanted {
            old_size: 7,
            proof: vec![[1; 32], [2; 32]],
            note: "note".to_owned(),
        };
        let message = pb::CosignRequest::from(wanted.clone());
        assert_eq!(CosignWanted::try_from(message).unwrap(), wanted);
        for note in [None, Some("note".to_owned())] {
            let given = CosignGiven {
                note,
                cosigned_size: 9,
            };
            let message = pb::CosignResponse::from(given.clone());
            assert_eq!(CosignGiven::try_from(message).unwrap(), given);
        }
        let seen = Sightings {
            notes: vec!["one".to_owned()],
            forks: vec!["two".to_owned()],
        };
        let message = pb::GossipRequest::from(seen.clone());
        assert_eq!(Sightings::try_from(message).unwrap(), seen);
        let growth = GrowthGiven {
            old_root: [3; 32],
            proof: vec![[4; 32]],
        };
        let message = pb::GrowthResponse::from(growth.clone());
        assert_eq!(GrowthGiven::try_from(message).unwrap(), growth);
    }

    #[test]
    fn what_is_over_its_bound_is_refused_by_name() {
        let refused = |notes: usize, length: usize, forks: usize| {
            let message = pb::GossipRequest {
                checkpoints: vec!["x".repeat(length); notes],
                forks: vec![String::new(); forks],
            };
            Sightings::try_from(message).unwrap_err().to_string()
        };
        assert!(refused(GOSSIP_NOTES_MAX + 1, 1, 0).contains("checkpoints"));
        assert!(refused(1, GOSSIP_NOTE_BYTES_MAX + 1, 0).contains("checkpoints"));
        assert!(refused(0, 1, GOSSIP_FORKS_MAX + 1).contains("forks"));
        for proof in [vec![0; 31], vec![0; 32 * (CONSISTENCY_HASHES_MAX + 1)]] {
            let message = pb::CosignRequest {
                old_size: 0,
                proof: proof.into(),
                checkpoint: String::new(),
            };
            assert!(CosignWanted::try_from(message).is_err());
        }
        assert!(GrowthGiven::try_from(pb::GrowthResponse::default()).is_err());
    }
}
