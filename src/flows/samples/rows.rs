//! How samples lie in the store: at the auditor a head, a row for each query and the canaries; at
//! the member one row.

use serde::{Deserialize, Serialize};

use super::super::FlowError;
use crate::domain::{MemberId, Timestamp};
use crate::limits::SAMPLE_SEEN_MAX;
use crate::protocol::opening::OpenedPeer;

/// First byte of each row.
const FORMAT: u8 = 1;

/// The number of a sample, drawn at random by the auditor's node.
pub type SampleId = [u8; 8];

/// What became of a drawn query. It names no borrower beyond what the member showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemOutcome {
    /// `agrees`; the code of an opening's fault; `differs`, `not-logged` or `unreachable` of a
    /// peer; `other-query`, `unreadable`, `canary`; `never-asked` or `gone` where the member opened
    /// nothing.
    pub verdict: String,
    /// The same in words.
    pub says: String,
    /// Position of the query in the member's audit log.
    pub entry: u64,
    /// What its first borrowers rest on: the reference where the member keeps it, else its SHA-256.
    pub consents: Vec<String>,
    /// When it came, milliseconds since 1970.
    pub at_unix_ms: i64,
}

/// A query that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleItem {
    #[serde(with = "hex")]
    /// Its commitment.
    pub commitment: [u8; 32],
    /// When one that answered it logged it, milliseconds since 1970.
    pub at_unix_ms: i64,
    /// Who logged that it answered it, each with the first bytes of the batch root that it logged.
    #[serde(default)]
    pub seen: Vec<(String, String)>,
    /// What became of it; `None` until the member answers.
    pub outcome: Option<ItemOutcome>,
}

/// A sample, at the auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its number.
    pub id: SampleId,
    /// Whose queries.
    pub member: MemberId,
    /// What drew them.
    pub seed: String,
    /// When.
    pub drawn_at: Timestamp,
    /// Until when they must be opened.
    pub deadline: Timestamp,
    /// How many evaluations they were drawn from.
    pub offered: u64,
    /// Whether the member has the request.
    pub is_sent: bool,
    /// How many queries.
    pub count: usize,
}

/// A sample, at the member that is to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningRequest {
    /// The auditor's number of it.
    pub id: SampleId,
    /// The auditor.
    pub auditor: MemberId,
    /// When it asked.
    pub asked_at: Timestamp,
    /// Until when it wants them.
    pub deadline: Timestamp,
    /// The queries, by their commitments, and when one that answered each logged it.
    pub wanted: Vec<([u8; 32], Timestamp)>,
    /// Whether a person had it answered.
    pub is_answering: bool,
    /// How many of them, from the first on, the auditor has.
    pub delivered: usize,
    /// How many of those could not be opened.
    pub closed: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSample {
    member: String,
    seed: String,
    drawn_at: i64,
    deadline: i64,
    offered: u64,
    is_sent: bool,
    count: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequest {
    #[serde(with = "hex")]
    id: SampleId,
    auditor: String,
    asked_at: i64,
    deadline: i64,
    wanted: Vec<(String, i64)>,
    is_answering: bool,
    delivered: usize,
    closed: usize,
}

fn batch_prefix(batch: &[u8; 32]) -> String {
    let first = batch.first_chunk::<8>().copied().unwrap_or_default();
    data_encoding::HEXLOWER.encode(&first)
}

/// Bytes as lower-case hexadecimal.
mod hex {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(super) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("length"))
    }
}

fn unreadable() -> FlowError {
    FlowError::Unreadable { what: "sample" }
}

fn written(row: &impl Serialize) -> Vec<u8> {
    // Texts and numbers always serialise.
    [vec![FORMAT], serde_json::to_vec(row).unwrap_or_default()].concat()
}

fn read<'a, T: Deserialize<'a>>(row: &'a [u8]) -> Result<T, FlowError> {
    let json = row.strip_prefix(&[FORMAT]).ok_or_else(unreadable)?;
    serde_json::from_slice(json).map_err(|_| unreadable())
}

/// The key of a sample's head.
pub(super) fn head_key(id: &SampleId) -> Vec<u8> {
    [b"h".as_slice(), id].concat()
}

/// The prefix of a sample's queries; the number of each follows, two bytes.
pub(super) fn items_prefix(id: &SampleId) -> Vec<u8> {
    [b"i".as_slice(), id].concat()
}

/// The key of one of a sample's queries.
pub(super) fn item_key(id: &SampleId, number: u16) -> Vec<u8> {
    [items_prefix(id).as_slice(), &number.to_be_bytes()].concat()
}

/// The number at the end of the key of one of a sample's queries.
pub(super) fn item_number(key: &[u8]) -> u16 {
    key.last_chunk()
        .map_or(0, |number| u16::from_be_bytes(*number))
}

/// The prefix of an opening that is to be checked again.
pub(super) fn files_prefix(id: &SampleId, number: u16) -> Vec<u8> {
    [b"f".as_slice(), id, &number.to_be_bytes()].concat()
}

/// The key of a part of it.
pub(super) fn file_key(id: &SampleId, number: u16, part: u16) -> Vec<u8> {
    [files_prefix(id, number).as_slice(), &part.to_be_bytes()].concat()
}

/// The prefix of a sample's canaries.
pub(super) fn canaries_prefix(id: &SampleId) -> Vec<u8> {
    [b"c".as_slice(), id].concat()
}

impl SampleItem {
    /// What is kept of who answered a query.
    pub(super) fn seen_by(answered: &[(MemberId, [u8; 32])]) -> Vec<(String, String)> {
        let answered = answered.iter().take(SAMPLE_SEEN_MAX);
        answered
            .map(|(member, batch)| (member.to_string(), batch_prefix(batch)))
            .collect()
    }

    /// Who answered a question under this commitment that is not among those that an opening names.
    pub(super) fn unnamed(&self, named: &[OpenedPeer]) -> Option<&str> {
        let is_named = |(member, batch): &(String, String)| {
            let same = |one: &OpenedPeer| {
                one.member.as_str() == member && batch_prefix(&one.batch) == *batch
            };
            named.iter().any(same)
        };
        let unnamed = self.seen.iter().find(|one| !is_named(one));
        unnamed.map(|(member, _)| member.as_str())
    }

    /// How the member finds it.
    pub(super) const fn place(&self) -> ([u8; 32], Timestamp) {
        (self.commitment, Timestamp::from_unix_ms(self.at_unix_ms))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        written(self)
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        read(row)
    }
}

impl Sample {
    pub(super) fn encode(&self) -> Vec<u8> {
        written(&WrittenSample {
            member: self.member.to_string(),
            seed: self.seed.clone(),
            drawn_at: self.drawn_at.unix_ms(),
            deadline: self.deadline.unix_ms(),
            offered: self.offered,
            is_sent: self.is_sent,
            count: self.count,
        })
    }

    pub(super) fn decode(key: &[u8], row: &[u8]) -> Result<Self, FlowError> {
        let head: WrittenSample = read(row)?;
        let id = key.strip_prefix(b"h").and_then(|id| id.try_into().ok());
        Ok(Self {
            id: id.ok_or_else(unreadable)?,
            member: head.member.parse().map_err(|_| unreadable())?,
            seed: head.seed,
            drawn_at: Timestamp::from_unix_ms(head.drawn_at),
            deadline: Timestamp::from_unix_ms(head.deadline),
            offered: head.offered,
            is_sent: head.is_sent,
            count: head.count,
        })
    }
}

impl OpeningRequest {
    /// Whether the auditor has all it asked for.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.delivered >= self.wanted.len()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let wanted = self.wanted.iter();
        written(&WrittenRequest {
            id: self.id,
            auditor: self.auditor.to_string(),
            asked_at: self.asked_at.unix_ms(),
            deadline: self.deadline.unix_ms(),
            wanted: wanted
                .map(|(one, at)| (data_encoding::HEXLOWER.encode(one), at.unix_ms()))
                .collect(),
            is_answering: self.is_answering,
            delivered: self.delivered,
            closed: self.closed,
        })
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        let held: WrittenRequest = read(row)?;
        let wanted = held.wanted.iter().map(|(text, at)| {
            let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
            Some((bytes.try_into().ok()?, Timestamp::from_unix_ms(*at)))
        });
        Ok(Self {
            id: held.id,
            auditor: held.auditor.parse().map_err(|_| unreadable())?,
            asked_at: Timestamp::from_unix_ms(held.asked_at),
            deadline: Timestamp::from_unix_ms(held.deadline),
            wanted: wanted.collect::<Option<_>>().ok_or_else(unreadable)?,
            is_answering: held.is_answering,
            delivered: held.delivered,
            closed: held.closed,
        })
    }
}

#[cfg(test)]
mod seen_tests {
    use super::*;
    use crate::domain::{Epoch, Level};

    #[test]
    fn a_question_under_the_same_commitment_that_the_opening_leaves_out_is_named() {
        let member = |name: &str| -> MemberId { name.parse().unwrap() };
        let answered = [(member("beta"), [1; 32]), (member("gamma"), [2; 32])];
        let item = SampleItem {
            commitment: [0; 32],
            at_unix_ms: 0,
            seen: SampleItem::seen_by(&answered),
            outcome: None,
        };
        let peer = |name: &str, batch: u8| OpenedPeer {
            member: member(name),
            level: Level::Full,
            epoch: Epoch(0),
            batch: [batch; 32],
        };
        let whole = [peer("beta", 1), peer("gamma", 2), peer("delta", 3)];
        assert_eq!(item.unnamed(&whole), None);
        assert_eq!(item.unnamed(&whole[..1]), Some("gamma"));
        assert_eq!(
            item.unnamed(&[peer("beta", 1), peer("gamma", 1)]),
            Some("gamma")
        );
    }
}
