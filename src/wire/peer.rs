//! Messages between peers: `proto/creditmesh/v1/peer.proto` in and out.

use std::str::FromStr;

use prost::bytes::Bytes;

use super::{Malformed, pb};
use crate::domain::{Epoch, InvalidName, Level, MemberId, NetworkId, Purpose, Timestamp};
use crate::limits::{
    CHECKPOINT_BYTES_MAX, CONSISTENCY_HASHES_MAX, ELEMENT_BYTES, EVALUATE_ELEMENTS_MAX,
    FEED_GROUP_LEAVES, LEAF_BYTES, STATED_FEEDS_MAX, STATED_KEYS_MAX, TAIL_LEAVES_MAX,
};
use crate::membership::{KeyStatement, KeyTerms};
use crate::merkle::Hash;

/// An evaluation request: blinded elements, and where the asker's mirror stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Chosen by the asker; makes a retry recognisable.
    pub request_id: [u8; 16],
    /// Key epoch of the evaluation and of the mirror.
    pub epoch: Epoch,
    /// Why the member asks.
    pub purpose: Purpose,
    /// Salted commitment to borrower and consent reference.
    pub commitment: [u8; 32],
    /// Blinded elements, 32 bytes each, 1 to [`EVALUATE_ELEMENTS_MAX`].
    pub elements: Bytes,
    /// Leaves that the asker's mirror holds.
    pub mirror_size: u64,
}

/// Consecutive leaves of a feed with their proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Position of the first leaf.
    pub from: u64,
    /// Leaves, [`LEAF_BYTES`] each, at most [`TAIL_LEAVES_MAX`].
    pub leaves: Bytes,
    /// Signed checkpoint that covers them.
    pub checkpoint: String,
    /// Consistency proof from the end of `leaves` to the checkpoint.
    pub consistency: Vec<Hash>,
}

/// Evaluated elements with proof, and the feed's tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Evaluated elements, 32 bytes each.
    pub elements: Bytes,
    /// DLEQ proof over the batch.
    pub proof: [u8; 64],
    /// The feed since the asker's position.
    pub tail: Chunk,
    /// Whether the tail was cut short.
    pub truncated: bool,
}

/// A feed asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedWanted {
    /// Key epoch of the feed.
    pub epoch: Epoch,
    /// First position wanted.
    pub from: u64,
    /// Where to stop; `None` follows the feed.
    pub until: Option<u64>,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its network.
    pub network: NetworkId,
    /// Its member.
    pub member: MemberId,
    /// Protocol version spoken.
    pub protocol_version: u32,
    /// Member list version held.
    pub list_version: u64,
    /// Its time.
    pub now: Timestamp,
    /// Keys offered to the caller.
    pub keys: Vec<KeyStatement>,
    /// Latest checkpoints of the feeds offered, by epoch.
    pub checkpoints: Vec<(Epoch, String)>,
    /// Elements that the caller may still ask in this epoch.
    pub quota_left: u64,
}

pub(super) fn fixed<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], Malformed> {
    bytes
        .try_into()
        .map_err(|_| Malformed::new(field, format!("must be {N} bytes and is {}", bytes.len())))
}

pub(super) fn named<T: FromStr<Err = InvalidName>>(
    field: &'static str,
    text: &str,
) -> Result<T, Malformed> {
    text.parse()
        .map_err(|error: InvalidName| Malformed::new(field, error.to_string()))
}

fn group_aligned(field: &'static str, position: u64) -> Result<u64, Malformed> {
    if position.is_multiple_of(FEED_GROUP_LEAVES as u64) {
        Ok(position)
    } else {
        Err(Malformed::new(
            field,
            format!("must be a multiple of {FEED_GROUP_LEAVES}"),
        ))
    }
}

impl TryFrom<pb::EvaluateRequest> for Question {
    type Error = Malformed;

    fn try_from(message: pb::EvaluateRequest) -> Result<Self, Malformed> {
        let count = message.elements.len() / ELEMENT_BYTES;
        if !message.elements.len().is_multiple_of(ELEMENT_BYTES)
            || !(1..=EVALUATE_ELEMENTS_MAX).contains(&count)
        {
            return Err(Malformed::new(
                "elements",
                format!("must be 1 to {EVALUATE_ELEMENTS_MAX} elements of {ELEMENT_BYTES} bytes"),
            ));
        }
        let purpose = Purpose::read(&message.purpose)
            .map_err(|error| Malformed::new("purpose", error.to_string()))?;
        Ok(Self {
            request_id: fixed("request_id", &message.request_id)?,
            epoch: Epoch(message.epoch),
            purpose,
            commitment: fixed("commitment", &message.commitment)?,
            elements: message.elements,
            mirror_size: group_aligned("mirror_size", message.mirror_size)?,
        })
    }
}

impl From<Question> for pb::EvaluateRequest {
    fn from(question: Question) -> Self {
        Self {
            request_id: Bytes::copy_from_slice(&question.request_id),
            epoch: question.epoch.0,
            purpose: question.purpose.word().to_owned(),
            commitment: Bytes::copy_from_slice(&question.commitment),
            elements: question.elements,
            mirror_size: question.mirror_size,
        }
    }
}

impl TryFrom<pb::FeedChunk> for Chunk {
    type Error = Malformed;

    fn try_from(message: pb::FeedChunk) -> Result<Self, Malformed> {
        // Whether groups are whole is for the mirror to say: it knows what is missing.
        if !message.leaves.len().is_multiple_of(LEAF_BYTES)
            || message.leaves.len() > TAIL_LEAVES_MAX * LEAF_BYTES
        {
            return Err(Malformed::new(
                "leaves",
                format!("must be leaves of {LEAF_BYTES} bytes, at most {TAIL_LEAVES_MAX}"),
            ));
        }
        if message.checkpoint.len() > CHECKPOINT_BYTES_MAX {
            return Err(Malformed::new(
                "checkpoint",
                format!("must be at most {CHECKPOINT_BYTES_MAX} bytes"),
            ));
        }
        let (hashes, rest) = message.consistency.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() > CONSISTENCY_HASHES_MAX {
            return Err(Malformed::new(
                "consistency",
                format!("must be at most {CONSISTENCY_HASHES_MAX} hashes of 32 bytes"),
            ));
        }
        Ok(Self {
            from: group_aligned("from", message.from)?,
            consistency: hashes.to_vec(),
            leaves: message.leaves,
            checkpoint: message.checkpoint,
        })
    }
}

impl From<Chunk> for pb::FeedChunk {
    fn from(chunk: Chunk) -> Self {
        Self {
            from: chunk.from,
            leaves: chunk.leaves,
            checkpoint: chunk.checkpoint,
            consistency: Bytes::from(chunk.consistency.concat()),
        }
    }
}

impl TryFrom<pb::EvaluateResponse> for Evaluation {
    type Error = Malformed;

    fn try_from(message: pb::EvaluateResponse) -> Result<Self, Malformed> {
        let tail = message
            .tail
            .ok_or_else(|| Malformed::new("tail", "must be present"))?;
        if message.elements.len() > EVALUATE_ELEMENTS_MAX * ELEMENT_BYTES
            || !message.elements.len().is_multiple_of(ELEMENT_BYTES)
        {
            return Err(Malformed::new(
                "elements",
                format!("must be whole elements, at most {EVALUATE_ELEMENTS_MAX}"),
            ));
        }
        Ok(Self {
            proof: fixed("proof", &message.proof)?,
            elements: message.elements,
            tail: tail.try_into()?,
            truncated: message.truncated,
        })
    }
}

impl From<Evaluation> for pb::EvaluateResponse {
    fn from(evaluation: Evaluation) -> Self {
        Self {
            elements: evaluation.elements,
            proof: Bytes::copy_from_slice(&evaluation.proof),
            tail: Some(evaluation.tail.into()),
            truncated: evaluation.truncated,
        }
    }
}

impl TryFrom<pb::StreamFeedRequest> for FeedWanted {
    type Error = Malformed;

    fn try_from(message: pb::StreamFeedRequest) -> Result<Self, Malformed> {
        let from = group_aligned("from", message.from)?;
        let until = group_aligned("until", message.until)?;
        if until != 0 && until < from {
            return Err(Malformed::new("until", "must be 0 or not before from"));
        }
        let until = (until != 0).then_some(until);
        Ok(Self {
            epoch: Epoch(message.epoch),
            from,
            until,
        })
    }
}

impl From<FeedWanted> for pb::StreamFeedRequest {
    fn from(wanted: FeedWanted) -> Self {
        Self {
            epoch: wanted.epoch.0,
            from: wanted.from,
            until: wanted.until.unwrap_or(0),
        }
    }
}

/// A statement as `member` makes it; not yet checked.
pub(super) fn statement(
    member: &MemberId,
    message: &pb::KeyStatement,
) -> Result<KeyStatement, Malformed> {
    let level = Level::from_word(&message.level)
        .ok_or_else(|| Malformed::new("keys.level", "must be \"full\" or \"defaults\""))?;
    let terms = KeyTerms {
        member: member.clone(),
        level,
        epoch: Epoch(message.epoch),
        public_key: fixed("keys.public_key", &message.public_key)?,
        announced_at: Timestamp::from_unix_ms(message.announced_at_unix_ms),
    };
    Ok(KeyStatement {
        terms,
        signature: fixed("keys.signature", &message.signature)?,
    })
}

impl From<KeyStatement> for pb::KeyStatement {
    fn from(statement: KeyStatement) -> Self {
        let KeyTerms {
            member: _,
            level,
            epoch,
            public_key,
            announced_at,
        } = statement.terms;
        Self {
            level: level.word().to_owned(),
            epoch: epoch.0,
            public_key: Bytes::copy_from_slice(&public_key),
            announced_at_unix_ms: announced_at.unix_ms(),
            signature: Bytes::copy_from_slice(&statement.signature),
        }
    }
}

impl TryFrom<pb::DescribeResponse> for Description {
    type Error = Malformed;

    fn try_from(message: pb::DescribeResponse) -> Result<Self, Malformed> {
        if message.keys.len() > STATED_KEYS_MAX {
            return Err(Malformed::new(
                "keys",
                format!("must be at most {STATED_KEYS_MAX}"),
            ));
        }
        if message.feeds.len() > STATED_FEEDS_MAX
            || message
                .feeds
                .iter()
                .any(|feed| feed.checkpoint.len() > CHECKPOINT_BYTES_MAX)
        {
            return Err(Malformed::new(
                "feeds",
                format!("must be at most {STATED_FEEDS_MAX} notes of {CHECKPOINT_BYTES_MAX} bytes"),
            ));
        }
        let member: MemberId = named("member", &message.member)?;
        let keys = message
            .keys
            .iter()
            .map(|key| statement(&member, key))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            member,
            network: named("network", &message.network)?,
            protocol_version: message.protocol_version,
            list_version: message.list_version,
            now: Timestamp::from_unix_ms(message.now_unix_ms),
            keys,
            checkpoints: message
                .feeds
                .into_iter()
                .map(|feed| (Epoch(feed.epoch), feed.checkpoint))
                .collect(),
            quota_left: message.quota_left,
        })
    }
}

impl From<Description> for pb::DescribeResponse {
    fn from(description: Description) -> Self {
        Self {
            network: description.network.to_string(),
            member: description.member.to_string(),
            protocol_version: description.protocol_version,
            list_version: description.list_version,
            now_unix_ms: description.now.unix_ms(),
            keys: description.keys.into_iter().map(Into::into).collect(),
            feeds: description
                .checkpoints
                .into_iter()
                .map(|(epoch, checkpoint)| pb::FeedState {
                    epoch: epoch.0,
                    checkpoint,
                })
                .collect(),
            quota_left: description.quota_left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> pb::EvaluateRequest {
        pb::EvaluateRequest {
            request_id: Bytes::from_static(&[1; 16]),
            epoch: 3,
            purpose: "credit-application".to_owned(),
            commitment: Bytes::from_static(&[2; 32]),
            elements: Bytes::from(vec![3; 64]),
            mirror_size: 16,
        }
    }

    #[test]
    fn a_sound_question_survives_the_border_both_ways() {
        let checked = Question::try_from(question()).unwrap();
        assert_eq!(pb::EvaluateRequest::from(checked), question());
    }

    #[test]
    fn each_broken_question_names_its_field() {
        type Defect = (&'static str, fn(&mut pb::EvaluateRequest));
        let defects: [Defect; 9] = [
            ("request_id", |m| {
                m.request_id = Bytes::from_static(&[1; 15]);
            }),
            ("request_id", |m| m.request_id = Bytes::new()),
            ("purpose", |m| m.purpose = "marketing".to_owned()),
            ("purpose", |m| m.purpose = String::new()),
            ("commitment", |m| {
                m.commitment = Bytes::from_static(&[2; 33]);
            }),
            ("elements", |m| m.elements = Bytes::new()),
            ("elements", |m| m.elements = Bytes::from(vec![3; 33])),
            ("elements", |m| m.elements = Bytes::from(vec![3; 32 * 1025])),
            ("mirror_size", |m| m.mirror_size = 7),
        ];
        for (field, defect) in defects {
            let mut message = question();
            defect(&mut message);
            assert_eq!(Question::try_from(message).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_purpose_that_is_never_allowed_is_told_so() {
        for never in ["marketing", "employment", "pre-screening"] {
            let message = pb::EvaluateRequest {
                purpose: never.to_owned(),
                ..question()
            };
            let refused = Question::try_from(message).unwrap_err().to_string();
            let says = format!("{never} is never a purpose");
            assert!(refused.contains(&says), "{refused}");
        }
    }

    #[test]
    fn each_broken_chunk_names_its_field() {
        type Defect = (&'static str, fn(&mut pb::FeedChunk));
        let defects: [Defect; 6] = [
            ("leaves", |m| m.leaves = Bytes::from(vec![0; 159])),
            ("leaves", |m| m.leaves = Bytes::from(vec![0; 160 * 4104])),
            ("from", |m| m.from = 4),
            ("checkpoint", |m| m.checkpoint = "x".repeat(5_000)),
            ("consistency", |m| m.consistency = Bytes::from(vec![0; 31])),
            ("consistency", |m| {
                m.consistency = Bytes::from(vec![0; 65 * 32]);
            }),
        ];
        for (field, defect) in defects {
            let mut message = pb::FeedChunk::default();
            defect(&mut message);
            assert_eq!(Chunk::try_from(message).unwrap_err().field, field);
        }
    }
}
