//! The rows behind members' standing: own months, peers' months, what is known of each peer.

use super::FlowError;
use crate::domain::{Month, MonthlyCounts, Timestamp};
use crate::limits::DECIDER_CHARS_MAX;
use crate::membership::MonthlyStatement;

/// Version of all these rows.
const VERSION: u8 = 1;

const SIGNATURE_BYTES: usize = 64;

/// Characters of the reason of a quarantine.
const REASON_CHARS_MAX: usize = 300;

const fn unreadable() -> FlowError {
    FlowError::Unreadable { what: "standing" }
}

fn numbers(counts: &MonthlyCounts) -> Vec<u8> {
    let numbers = counts.to_numbers();
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn counts_of(bytes: &[u8]) -> Option<MonthlyCounts> {
    let (chunks, odd) = bytes.as_chunks::<4>();
    let numbers: Vec<u32> = chunks.iter().map(|n| u32::from_be_bytes(*n)).collect();
    let numbers = numbers.try_into().ok().filter(|_| odd.is_empty())?;
    Some(MonthlyCounts::from_numbers(numbers))
}

/// A month of this member: version, ten counts of 4 bytes.
pub(super) fn own_month(counts: &MonthlyCounts) -> Vec<u8> {
    [vec![VERSION], numbers(counts)].concat()
}

/// Reads what [`own_month`] wrote.
pub(super) fn read_own_month(bytes: &[u8]) -> Result<MonthlyCounts, FlowError> {
    let counts = bytes.strip_prefix(&[VERSION]).and_then(counts_of);
    counts.ok_or_else(unreadable)
}

/// A month of a peer: the statement that came first and, where it contradicted itself, the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeerMonth {
    pub(super) first: MonthlyStatement,
    pub(super) second: Option<MonthlyStatement>,
}

impl PeerMonth {
    /// Version, then each statement: ten counts of 4 bytes, signature.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for statement in [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten()
        {
            bytes.extend(numbers(&statement.counts));
            bytes.extend_from_slice(&statement.signature);
        }
        bytes
    }

    pub(super) fn decode(month: Month, bytes: &[u8]) -> Result<Self, FlowError> {
        let mut statements = Vec::new();
        let mut rest = bytes.strip_prefix(&[VERSION]).ok_or_else(unreadable)?;
        while let Some((counts, after)) = rest.split_at_checked(4 * MonthlyCounts::NUMBERS) {
            let (signature, after) = after
                .split_first_chunk::<SIGNATURE_BYTES>()
                .ok_or_else(unreadable)?;
            statements.push(MonthlyStatement {
                month,
                counts: counts_of(counts).ok_or_else(unreadable)?,
                signature: *signature,
            });
            rest = after;
        }
        let mut statements = statements.into_iter();
        match (statements.next(), statements.next(), rest) {
            (Some(first), second, []) => Ok(Self { first, second }),
            (_, _, _) => Err(unreadable()),
        }
    }
}

/// What is known here of one peer, beside its own statements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StandingRow {
    pub(super) upheld_seen: u32,
    pub(super) overturned_seen: u32,
    pub(super) quarantined_since: Option<Timestamp>,
    pub(super) troubled_since: Option<Timestamp>,
    /// Jumps up to this month were looked at by a person.
    pub(super) lifted_through: Option<Month>,
    pub(super) reason: String,
    pub(super) decided_by: String,
}

impl StandingRow {
    /// Lines of text: version, counts, moments in milliseconds, month, then the two texts.
    pub(super) fn encode(&self) -> Vec<u8> {
        let moment =
            |at: Option<Timestamp>| at.map_or(String::new(), |at| at.unix_ms().to_string());
        let month = |month: Option<Month>| month.map_or(String::new(), |one| one.to_string());
        let line = |text: &str, most: usize| -> String {
            let plain = text.chars().filter(|c| !c.is_control());
            plain.take(most).collect()
        };
        [
            VERSION.to_string(),
            self.upheld_seen.to_string(),
            self.overturned_seen.to_string(),
            moment(self.quarantined_since),
            moment(self.troubled_since),
            month(self.lifted_through),
            line(&self.reason, REASON_CHARS_MAX),
            line(&self.decided_by, DECIDER_CHARS_MAX),
        ]
        .join("\n")
        .into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FlowError> {
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
        Self::parse(text).ok_or_else(unreadable)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        if lines.next()? != VERSION.to_string() {
            return None;
        }
        let upheld_seen = lines.next()?.parse().ok()?;
        let overturned_seen = lines.next()?.parse().ok()?;
        let quarantined_since = moment(lines.next()?)?;
        let troubled_since = moment(lines.next()?)?;
        let lifted_through = match lines.next()? {
            "" => None,
            month => Some(Month::parse(month)?),
        };
        let row = Self {
            upheld_seen,
            overturned_seen,
            quarantined_since,
            troubled_since,
            lifted_through,
            reason: lines.next()?.to_owned(),
            decided_by: lines.next()?.to_owned(),
        };
        lines.next().is_none().then_some(row)
    }
}

/// A moment, or none where the text is empty.
#[expect(clippy::option_option, reason = "none to tell, and nothing readable")]
fn moment(text: &str) -> Option<Option<Timestamp>> {
    if text.is_empty() {
        return Some(None);
    }
    Some(Some(Timestamp::from_unix_ms(text.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_their_encoding() {
        let counts = MonthlyCounts::from_numbers([1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX]);
        assert_eq!(read_own_month(&own_month(&counts)).unwrap(), counts);
        let month = Month::parse("2026-02").unwrap();
        let statement = |fill| MonthlyStatement {
            month,
            counts,
            signature: [fill; 64],
        };
        for second in [None, Some(statement(2))] {
            let row = PeerMonth {
                first: statement(1),
                second,
            };
            assert_eq!(PeerMonth::decode(month, &row.encode()).unwrap(), row);
        }
        let row = StandingRow {
            upheld_seen: 3,
            overturned_seen: 4,
            quarantined_since: Some(month.start()),
            troubled_since: None,
            lifted_through: Some(month),
            reason: "filed 37 082 defaults".to_owned(),
            decided_by: "kim".to_owned(),
        };
        assert_eq!(StandingRow::decode(&row.encode()).unwrap(), row);
        let none = StandingRow::default();
        assert_eq!(StandingRow::decode(&none.encode()).unwrap(), none);
    }

    #[test]
    fn damaged_rows_are_refused() {
        for bytes in [&b""[..], b"2", b"1\n1\n2", b"1\nx\n0\n\n\n\n\n", &[0xff]] {
            assert!(StandingRow::decode(bytes).is_err());
        }
        let month = Month::parse("2026-02").unwrap();
        for length in [0, 1, 30, 104, 106, 300] {
            assert!(
                PeerMonth::decode(month, &vec![1; length]).is_err(),
                "{length}"
            );
            assert!(length == 41 || read_own_month(&vec![1; length]).is_err());
        }
    }
}
