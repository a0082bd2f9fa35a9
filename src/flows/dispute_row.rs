//! A dispute as it is kept: what it is about, its clocks, and what was decided.

use data_encoding::HEXLOWER;

use super::FlowError;
use crate::crypto::sha256;
use crate::domain::{Day, Record, RecordId, Terms, Timestamp, Version};
use crate::formats::jsonl;
use crate::limits::DISPUTE_DAYS_MAX;

/// First line of the row of a dispute.
const CASE: &str = "2";

/// First line of the row of a further signal of a dispute.
const PART: &str = "part 1";

/// The hash of what a record says, whichever version says it and when.
pub(super) fn content_of(record: &Record) -> [u8; 32] {
    let mut said = record.clone();
    (said.head.version, said.head.expires_on) = (Version::FIRST, None);
    (said.head.reported_at, said.head.as_of) = (Timestamp::default(), Timestamp::default());
    sha256(jsonl::to_line(&said).as_bytes())
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The borrower was right: what it disputed is retracted.
    Upheld,
    /// The borrower was not right: the record stands again.
    Rejected,
    /// A corrected version was furnished; it stands.
    Corrected,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Self; 3] = [Self::Upheld, Self::Rejected, Self::Corrected];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upheld => "upheld",
            Self::Rejected => "rejected",
            Self::Corrected => "corrected",
        }
    }

    /// The resolution of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// A decision, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub resolution: Resolution,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Its id: that of the signal that tells of it.
    pub id: RecordId,
    /// The record that is disputed.
    pub record: RecordId,
    /// What that record said when the dispute was opened: [`content_of`] it.
    pub(super) content: [u8; 32],
    /// The signals about that record, disputed with it, and the signals that tell so, in pairs.
    pub further: Vec<(RecordId, RecordId)>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Who wrote it down.
    pub opened_by: String,
    /// What the borrower says, in one line.
    pub reason: String,
    /// By when it is to be acknowledged.
    pub acknowledge_by: Timestamp,
    /// The last day on which it may be decided; from the next on the record is suppressed.
    pub decide_by: Day,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<(String, Timestamp)>,
    /// What was decided.
    pub decision: Option<Decision>,
}

/// Where a dispute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeState {
    /// Nobody acknowledged it yet, in time still.
    Opened,
    /// Nobody acknowledged it in time.
    AcknowledgementLate,
    /// Acknowledged, and in time still.
    Acknowledged,
    /// Not decided in time: the record is suppressed.
    Suppressed,
    /// Decided.
    Decided,
}

impl DisputeState {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::AcknowledgementLate => "acknowledgement-late",
            Self::Acknowledged => "acknowledged",
            Self::Suppressed => "suppressed",
            Self::Decided => "decided",
        }
    }
}

impl Dispute {
    /// Where it is now.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> DisputeState {
        if self.decision.is_some() {
            DisputeState::Decided
        } else if now.day() > self.decide_by {
            DisputeState::Suppressed
        } else if self.acknowledged.is_some() {
            DisputeState::Acknowledged
        } else if now > self.acknowledge_by {
            DisputeState::AcknowledgementLate
        } else {
            DisputeState::Opened
        }
    }

    /// The disputed records, and the signals that tell of each.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (RecordId, RecordId)> {
        [(self.record, self.id)]
            .into_iter()
            .chain(self.further.iter().copied())
    }

    /// The clocks of a dispute that is opened at `now`.
    pub(super) fn clocks(terms: &Terms, now: Timestamp) -> (Timestamp, Day) {
        let latest = now.day().plus_days(DISPUTE_DAYS_MAX);
        (
            terms.acknowledged_by(now),
            terms.decided_by(now).min(latest),
        )
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut lines = vec![
            CASE.to_owned(),
            self.id.to_string(),
            self.record.to_string(),
            HEXLOWER.encode(&self.content),
            self.opened_at.unix_ms().to_string(),
            self.opened_by.clone(),
            self.reason.clone(),
            self.acknowledge_by.unix_ms().to_string(),
            self.decide_by.to_string(),
        ];
        let (by, at) = match &self.acknowledged {
            Some((by, at)) => (by.clone(), at.unix_ms().to_string()),
            None => (String::new(), String::new()),
        };
        lines.extend([by, at]);
        lines.extend(match &self.decision {
            Some(made) => [
                made.resolution.word().to_owned(),
                made.by.clone(),
                made.at.unix_ms().to_string(),
            ],
            None => [const { String::new() }; 3],
        });
        let further = self.further.iter();
        lines.extend(further.map(|(record, told)| format!("{record} {told}")));
        lines.join("\n").into_bytes()
    }

    /// The dispute of a row; `None` for the row of a further signal.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, FlowError> {
        let unreadable = || FlowError::Unreadable { what: "dispute" };
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
        let mut lines = text.split('\n');
        match lines.next() {
            Some(PART) => Ok(None),
            Some(CASE) => read(lines).map(Some).ok_or_else(unreadable),
            Some(_) | None => Err(unreadable()),
        }
    }

    /// The row of a further signal: which dispute it belongs to.
    pub(super) fn part(&self) -> Vec<u8> {
        format!("{PART}\n{}", self.id).into_bytes()
    }

    /// The dispute that the row of a further signal names.
    pub(super) fn of_part(bytes: &[u8]) -> Option<RecordId> {
        let text = std::str::from_utf8(bytes).ok()?;
        record_id(text.strip_prefix(PART)?.strip_prefix('\n')?)
    }
}

fn record_id(text: &str) -> Option<RecordId> {
    text.parse().ok().map(RecordId)
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_unix_ms)
}

fn read<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Dispute> {
    let mut line = || lines.next();
    let dispute = Dispute {
        id: record_id(line()?)?,
        record: record_id(line()?)?,
        content: HEXLOWER.decode(line()?.as_bytes()).ok()?.try_into().ok()?,
        further: Vec::new(),
        opened_at: moment(line()?)?,
        opened_by: line()?.to_owned(),
        reason: line()?.to_owned(),
        acknowledge_by: moment(line()?)?,
        decide_by: line()?.parse().ok()?,
        acknowledged: match (line()?, line()?) {
            ("", _) => None,
            (by, at) => Some((by.to_owned(), moment(at)?)),
        },
        decision: match (line()?, line()?, line()?) {
            ("", _, _) => None,
            (word, by, at) => Some(Decision {
                resolution: Resolution::from_word(word)?,
                by: by.to_owned(),
                at: moment(at)?,
            }),
        },
    };
    let pair = |line: &str| {
        let (record, told) = line.split_once(' ')?;
        Some((record_id(record)?, record_id(told)?))
    };
    let further = lines.map(pair).collect::<Option<_>>()?;
    Some(Dispute { further, ..dispute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_reads_back_and_damage_is_told() {
        let id = |number| RecordId(uuid::Uuid::from_u128(number));
        let at = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let mut dispute = Dispute {
            id: id(1),
            record: id(2),
            content: [7; 32],
            further: vec![(id(3), id(4))],
            opened_at: at,
            opened_by: "desk".to_owned(),
            reason: "never borrowed there".to_owned(),
            acknowledge_by: at,
            decide_by: at.day(),
            acknowledged: None,
            decision: None,
        };
        let row = dispute.encode();
        assert_eq!(Dispute::decode(&row).unwrap(), Some(dispute.clone()));
        dispute.acknowledged = Some(("second".to_owned(), at));
        let (resolution, by) = (Resolution::Corrected, "third".to_owned());
        dispute.decision = Some(Decision { resolution, by, at });
        let row = dispute.encode();
        assert_eq!(Dispute::decode(&row).unwrap(), Some(dispute.clone()));
        assert_eq!(Dispute::decode(&dispute.part()).unwrap(), None);
        assert_eq!(Dispute::of_part(&dispute.part()), Some(id(1)));
        for damaged in [&b""[..], b"3\n", &row[..40], b"\xff"] {
            assert!(Dispute::decode(damaged).is_err());
        }
    }
}
