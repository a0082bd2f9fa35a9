//! What members and auditors tell each other of their logs: `Auditing` of
//! `proto/creditmesh/v1/auditing.proto` in and out.

use super::peer::{fixed, named};
use super::{Malformed, pb};
use crate::domain::{Epoch, Level, MemberId, Purpose, Timestamp};
use crate::limits::{
    EVALUATE_ELEMENTS_MAX, LOGGED_PAGE_MAX, OPENING_FILE_BYTES_MAX, SAMPLE_REQUESTED_MAX,
};
use crate::membership::AuditorKeyStatement;

/// Which entries of a log are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedWanted {
    /// Who asked.
    pub asker: MemberId,
    /// Who was asked.
    pub answerer: MemberId,
    /// Logged then or later.
    pub from: Timestamp,
    /// Logged before.
    pub until: Timestamp,
    /// Where to go on in the log; 0 to begin.
    pub next: u64,
    /// Only those with this commitment.
    pub commitment: Option<[u8; 32]>,
}

/// One evaluation, as one side logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Position in the log of the node that tells.
    pub position: u64,
    /// When it was logged there.
    pub at: Timestamp,
    /// Why it was asked.
    pub purpose: Purpose,
    /// Under which level.
    pub level: Level,
    /// In which key epoch.
    pub epoch: Epoch,
    /// Salted commitment to borrower and consent reference.
    pub commitment: [u8; 32],
    /// Merkle root over the blinded elements.
    pub batch: [u8; 32],
    /// How many there were.
    pub elements: u32,
}

/// Entries in the order of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedPage {
    /// At most [`LOGGED_PAGE_MAX`] of them.
    pub entries: Vec<LoggedEntry>,
    /// Where the next page begins; `None` where there is no more.
    pub next: Option<u64>,
    /// Queries of which the node does not keep any more whom it put them to.
    pub unknown: u32,
}

/// Queries that an auditor wants opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningsWanted {
    /// The auditor's number of the sample.
    pub sample: [u8; 8],
    /// Until when.
    pub deadline: Timestamp,
    /// The commitment of each, and when one that answered it logged it.
    pub wanted: Vec<([u8; 32], Timestamp)>,
}

/// What a member gives for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The auditor's number of the sample.
    pub sample: [u8; 8],
    /// Which query.
    pub commitment: [u8; 32],
    /// Its opening; `None` where there is none.
    pub file: Option<String>,
    /// Whether, where there is none, the query is in the log.
    pub is_gone: bool,
}

impl TryFrom<pb::RequestOpeningsRequest> for OpeningsWanted {
    type Error = Malformed;

    fn try_from(message: pb::RequestOpeningsRequest) -> Result<Self, Malformed> {
        if message.wanted.len() > SAMPLE_REQUESTED_MAX {
            let reason = format!("must be at most {SAMPLE_REQUESTED_MAX}");
            return Err(Malformed::new("wanted", reason));
        }
        let wanted = message.wanted.iter().map(|one| {
            let commitment = fixed("commitment", &one.commitment)?;
            Ok((commitment, Timestamp::from_unix_ms(one.at_unix_ms)))
        });
        Ok(Self {
            sample: fixed("sample", &message.sample)?,
            deadline: Timestamp::from_unix_ms(message.deadline_unix_ms),
            wanted: wanted.collect::<Result<_, _>>()?,
        })
    }
}

impl From<OpeningsWanted> for pb::RequestOpeningsRequest {
    fn from(wanted: OpeningsWanted) -> Self {
        let queries = wanted.wanted.iter();
        Self {
            sample: wanted.sample.to_vec().into(),
            deadline_unix_ms: wanted.deadline.unix_ms(),
            wanted: queries
                .map(|(commitment, at)| pb::WantedOpening {
                    commitment: commitment.to_vec().into(),
                    at_unix_ms: at.unix_ms(),
                })
                .collect(),
        }
    }
}

impl TryFrom<pb::DeliverOpeningRequest> for Delivered {
    type Error = Malformed;

    fn try_from(message: pb::DeliverOpeningRequest) -> Result<Self, Malformed> {
        if message.file.len() > OPENING_FILE_BYTES_MAX {
            let reason = format!("must be at most {OPENING_FILE_BYTES_MAX} bytes");
            return Err(Malformed::new("file", reason));
        }
        Ok(Self {
            sample: fixed("sample", &message.sample)?,
            commitment: fixed("commitment", &message.commitment)?,
            file: (!message.file.is_empty()).then_some(message.file),
            is_gone: message.gone,
        })
    }
}

impl From<Delivered> for pb::DeliverOpeningRequest {
    fn from(given: Delivered) -> Self {
        Self {
            sample: given.sample.to_vec().into(),
            commitment: given.commitment.to_vec().into(),
            file: given.file.unwrap_or_default(),
            gone: given.is_gone,
        }
    }
}

impl TryFrom<pb::LoggedRequest> for LoggedWanted {
    type Error = Malformed;

    fn try_from(message: pb::LoggedRequest) -> Result<Self, Malformed> {
        let commitment = match message.commitment.len() {
            0 => None,
            _ => Some(fixed("commitment", &message.commitment)?),
        };
        Ok(Self {
            asker: named("asker", &message.asker)?,
            answerer: named("answerer", &message.answerer)?,
            from: Timestamp::from_unix_ms(message.from_unix_ms),
            until: Timestamp::from_unix_ms(message.until_unix_ms),
            next: message.next,
            commitment,
        })
    }
}

impl From<LoggedWanted> for pb::LoggedRequest {
    fn from(wanted: LoggedWanted) -> Self {
        let commitment = wanted.commitment.map(|bytes| bytes.to_vec().into());
        Self {
            asker: wanted.asker.to_string(),
            answerer: wanted.answerer.to_string(),
            from_unix_ms: wanted.from.unix_ms(),
            until_unix_ms: wanted.until.unix_ms(),
            next: wanted.next,
            commitment: commitment.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::LoggedEntry> for LoggedEntry {
    type Error = Malformed;

    fn try_from(message: pb::LoggedEntry) -> Result<Self, Malformed> {
        let word = |field, reason: &str| Malformed::new(field, reason);
        let purpose = Purpose::from_word(&message.purpose);
        let level = Level::from_word(&message.level);
        let elements = usize::try_from(message.elements).unwrap_or(usize::MAX);
        if !(1..=EVALUATE_ELEMENTS_MAX).contains(&elements) {
            return Err(word("elements", "must be 1 to 1,024"));
        }
        Ok(Self {
            position: message.position,
            at: Timestamp::from_unix_ms(message.at_unix_ms),
            purpose: purpose.ok_or_else(|| word("purpose", "must be a purpose"))?,
            level: level.ok_or_else(|| word("level", "must be a contribution level"))?,
            epoch: Epoch(message.epoch),
            commitment: fixed("commitment", &message.commitment)?,
            batch: fixed("batch", &message.batch)?,
            elements: message.elements,
        })
    }
}

impl From<LoggedEntry> for pb::LoggedEntry {
    fn from(entry: LoggedEntry) -> Self {
        Self {
            position: entry.position,
            at_unix_ms: entry.at.unix_ms(),
            purpose: entry.purpose.word().to_owned(),
            level: entry.level.word().to_owned(),
            epoch: entry.epoch.0,
            commitment: entry.commitment.to_vec().into(),
            batch: entry.batch.to_vec().into(),
            elements: entry.elements,
        }
    }
}

impl TryFrom<pb::LoggedResponse> for LoggedPage {
    type Error = Malformed;

    fn try_from(message: pb::LoggedResponse) -> Result<Self, Malformed> {
        if message.entries.len() > LOGGED_PAGE_MAX {
            let reason = format!("must be at most {LOGGED_PAGE_MAX} entries");
            return Err(Malformed::new("entries", reason));
        }
        let entries = message.entries.into_iter().map(LoggedEntry::try_from);
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
            next: (message.next != 0).then_some(message.next),
            unknown: message.unknown,
        })
    }
}

impl From<LoggedPage> for pb::LoggedResponse {
    fn from(page: LoggedPage) -> Self {
        Self {
            entries: page.entries.into_iter().map(Into::into).collect(),
            next: page.next.unwrap_or(0),
            unknown: page.unknown,
        }
    }
}

impl TryFrom<pb::EncryptionKeyResponse> for AuditorKeyStatement {
    type Error = Malformed;

    fn try_from(message: pb::EncryptionKeyResponse) -> Result<Self, Malformed> {
        Ok(Self {
            member: named("member", &message.member)?,
            public_key: fixed("public_key", &message.public_key)?,
            announced_at: Timestamp::from_unix_ms(message.announced_at_unix_ms),
            signature: fixed("signature", &message.signature)?,
        })
    }
}

impl From<AuditorKeyStatement> for pb::EncryptionKeyResponse {
    fn from(statement: AuditorKeyStatement) -> Self {
        Self {
            member: statement.member.to_string(),
            public_key: statement.public_key.to_vec().into(),
            announced_at_unix_ms: statement.announced_at.unix_ms(),
            signature: statement.signature.to_vec().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> LoggedEntry {
        LoggedEntry {
            position: 7,
            at: Timestamp::from_unix_ms(5),
            purpose: Purpose::Collection,
            level: Level::Full,
            epoch: Epoch(2),
            commitment: [1; 32],
            batch: [2; 32],
            elements: 2,
        }
    }

    #[test]
    fn pages_and_requests_survive_the_wire() {
        let page = LoggedPage {
            entries: vec![entry()],
            next: Some(8),
            unknown: 3,
        };
        let message = pb::LoggedResponse::from(page.clone());
        assert_eq!(LoggedPage::try_from(message.clone()).unwrap(), page);
        let mut long = message.clone();
        long.entries = vec![entry().into(); LOGGED_PAGE_MAX + 1];
        assert!(LoggedPage::try_from(long).is_err());
        let wanted = LoggedWanted {
            asker: "alpha".parse().unwrap(),
            answerer: "beta".parse().unwrap(),
            from: Timestamp::from_unix_ms(1),
            until: Timestamp::from_unix_ms(2),
            next: 9,
            commitment: Some([3; 32]),
        };
        let message = pb::LoggedRequest::from(wanted.clone());
        assert_eq!(LoggedWanted::try_from(message.clone()).unwrap(), wanted);
        let mut short = message;
        short.commitment = vec![1; 31].into();
        assert!(LoggedWanted::try_from(short).is_err());
    }

    #[test]
    fn requests_to_open_and_what_is_given_survive_the_wire() {
        let wanted = OpeningsWanted {
            sample: [7; 8],
            deadline: Timestamp::from_unix_ms(9),
            wanted: vec![([1; 32], Timestamp::from_unix_ms(3)); SAMPLE_REQUESTED_MAX],
        };
        let mut message = pb::RequestOpeningsRequest::from(wanted.clone());
        assert_eq!(OpeningsWanted::try_from(message.clone()).unwrap(), wanted);
        message.wanted.push(pb::WantedOpening::default());
        let refused = OpeningsWanted::try_from(message.clone()).unwrap_err();
        assert_eq!(refused.field, "wanted");
        message.wanted = vec![pb::WantedOpening::default()];
        let refused = OpeningsWanted::try_from(message).unwrap_err();
        assert_eq!(refused.field, "commitment");
        for (file, is_gone) in [
            (Some("text".to_owned()), false),
            (None, true),
            (None, false),
        ] {
            let given = Delivered {
                sample: [7; 8],
                commitment: [2; 32],
                file,
                is_gone,
            };
            let message = pb::DeliverOpeningRequest::from(given.clone());
            assert_eq!(Delivered::try_from(message.clone()).unwrap(), given);
            let mut long = message;
            long.file = "x".repeat(OPENING_FILE_BYTES_MAX + 1);
            assert_eq!(Delivered::try_from(long).unwrap_err().field, "file");
        }
    }

    #[test]
    fn a_wrong_entry_is_refused_by_name() {
        let mut wrong = pb::LoggedEntry::from(entry());
        wrong.elements = 0;
        let refused = LoggedEntry::try_from(wrong).unwrap_err();
        assert_eq!(refused.field, "elements");
        let mut wrong = pb::LoggedEntry::from(entry());
        wrong.purpose = "marketing".to_owned();
        assert_eq!(LoggedEntry::try_from(wrong).unwrap_err().field, "purpose");
        let mut wrong = pb::LoggedEntry::from(entry());
        wrong.batch = vec![].into();
        assert_eq!(LoggedEntry::try_from(wrong).unwrap_err().field, "batch");
    }
}
