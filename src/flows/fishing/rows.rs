//! How the index of own queries, a member's days and findings lie in the store.

use super::super::FlowError;
use crate::domain::{Day, MemberId, Purpose, QueryId, RecordId, Timestamp};
use crate::risk::fishing::{DayCounter, FishingCode};
use crate::store::{Table, Vault};

/// First byte of each row.
const FORMAT: u8 = 1;

/// What is left of a row; numbers are big-endian.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn small(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        let ms = self.array().map(i64::from_be_bytes)?;
        Some(Timestamp::from_unix_ms(ms))
    }

    fn text(&mut self) -> Option<&'a str> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn put_text(row: &mut Vec<u8>, text: &str) {
    let count = u16::try_from(text.len()).unwrap_or(u16::MAX);
    row.extend(count.to_be_bytes());
    row.extend(text.as_bytes().iter().take(usize::from(count)));
}

/// A query of this node in the index by time: which application it was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) struct AskedRow {
    pub(in crate::flows) at: Timestamp,
    pub(in crate::flows) query: QueryId,
    pub(in crate::flows) purpose: Purpose,
    pub(in crate::flows) application: RecordId,
}

/// A moment as bytes that sort as time does.
pub(super) fn moment_key(at: Timestamp) -> [u8; 8] {
    u64::try_from(at.unix_ms()).unwrap_or(0).to_be_bytes()
}

impl AskedRow {
    /// The row for the commit that logs the query.
    pub(in crate::flows) fn staged(&self) -> (Table, Vec<u8>, Vec<u8>) {
        let key = [&moment_key(self.at), self.query.0.as_bytes().as_slice()].concat();
        let mut row = vec![FORMAT];
        let place = Purpose::ALL.iter().position(|one| *one == self.purpose);
        row.push(
            place
                .and_then(|at| u8::try_from(at).ok())
                .unwrap_or(u8::MAX),
        );
        row.extend(self.application.0.as_bytes());
        (Table::Asked, key, row)
    }

    pub(in crate::flows) fn decode(key: &[u8], row: &[u8]) -> Result<Self, FlowError> {
        let read = || {
            let (mut key, mut row) = (Rest(key), Rest(row));
            let at = i64::try_from(key.number()?).ok()?;
            let query = QueryId(uuid::Uuid::from_bytes(key.array()?));
            key.end()?;
            (row.byte()? == FORMAT).then_some(())?;
            let purpose = *Purpose::ALL.get(usize::from(row.byte()?))?;
            let application = RecordId(uuid::Uuid::from_bytes(row.array()?));
            row.end()?;
            Some(Self {
                at: Timestamp::from_unix_ms(at),
                query,
                purpose,
                application,
            })
        };
        read().ok_or(FlowError::Unreadable {
            what: "query in the index by time",
        })
    }
}

/// What one member asked in one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskerRow {
    pub(super) member: MemberId,
    pub(super) counter: DayCounter,
}

impl AskerRow {
    pub(super) fn new(member: MemberId, day: Day) -> Self {
        Self {
            member,
            counter: DayCounter::new(day),
        }
    }

    /// The key of a member's day: days in the order of time.
    pub(super) fn key(vault: &Vault, member: &MemberId, day: Day) -> Vec<u8> {
        let name = vault.row_key(Table::AskerDay, member.as_str().as_bytes());
        let number = u32::try_from(day.unix_days()).unwrap_or(0);
        let short = name.first_chunk::<16>().copied().unwrap_or_default();
        [number.to_be_bytes().as_slice(), &short].concat()
    }

    /// The day that a key names.
    pub(super) fn day_of(key: &[u8]) -> Option<Day> {
        let number = u32::from_be_bytes(*key.first_chunk::<4>()?);
        Some(Day::from_unix_days(i64::from(number)))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        put_text(&mut row, self.member.as_str());
        let day = i32::try_from(self.counter.day.day.unix_days()).unwrap_or(0);
        row.extend(day.to_be_bytes());
        for elements in self.counter.day.elements {
            row.extend(elements.to_be_bytes());
        }
        for requests in self.counter.day.hours {
            row.extend(requests.to_be_bytes());
        }
        let counted = &self.counter.day;
        for number in [counted.gaps, counted.even_gaps, counted.reused] {
            row.extend(number.to_be_bytes());
        }
        let (at, gap) = self.counter.last.unwrap_or_default();
        row.push(u8::from(self.counter.last.is_some()));
        row.extend(at.unix_ms().to_be_bytes());
        row.extend(gap.to_be_bytes());
        row.push(u8::try_from(self.counter.commitments.len()).unwrap_or(u8::MAX));
        for commitment in &self.counter.commitments {
            row.extend(commitment.to_be_bytes());
        }
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        Self::read(row).ok_or(FlowError::Unreadable {
            what: "day of a member's questions",
        })
    }

    fn read(row: &[u8]) -> Option<Self> {
        let mut row = Rest(row);
        (row.byte()? == FORMAT).then_some(())?;
        let member = row.text()?.parse().ok()?;
        let day = i32::from_be_bytes(row.array()?);
        let mut read = Self::new(member, Day::from_unix_days(i64::from(day)));
        let counter = &mut read.counter;
        for elements in &mut counter.day.elements {
            *elements = row.number()?;
        }
        for requests in &mut counter.day.hours {
            *requests = row.small()?;
        }
        counter.day.gaps = row.small()?;
        counter.day.even_gaps = row.small()?;
        counter.day.reused = row.small()?;
        let was_asked = row.byte()? == 1;
        let last = (row.moment()?, row.number()?);
        counter.last = was_asked.then_some(last);
        for _ in 0..row.byte()? {
            counter.commitments.push(row.number()?);
        }
        row.end()?;
        Some(read)
    }
}

/// Who looked at a finding, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Who, as the person gave its name.
    pub by: String,
    /// What the person says of it.
    pub says: String,
    /// When.
    pub at: Timestamp,
}

/// A finding as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFinding {
    /// Its number, eight bytes.
    pub id: [u8; 8],
    /// What it looks like.
    pub code: FishingCode,
    /// The peer that it is about; `None` where it is about this node itself.
    pub peer: Option<MemberId>,
    /// What was seen, with numbers; never an identifier.
    pub seen: String,
    /// The first moment that belongs to it.
    pub since: Timestamp,
    /// When it was found.
    pub found_at: Timestamp,
    /// Who looked at it; `None` where nobody has yet.
    pub acknowledged: Option<Acknowledged>,
}

impl KeptFinding {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        put_text(&mut row, self.code.word());
        put_text(
            &mut row,
            self.peer.as_ref().map_or("", |peer| peer.as_str()),
        );
        put_text(&mut row, &self.seen);
        row.extend(self.since.unix_ms().to_be_bytes());
        row.extend(self.found_at.unix_ms().to_be_bytes());
        row.push(u8::from(self.acknowledged.is_some()));
        if let Some(Acknowledged { by, says, at }) = &self.acknowledged {
            put_text(&mut row, by);
            put_text(&mut row, says);
            row.extend(at.unix_ms().to_be_bytes());
        }
        row
    }

    pub(super) fn decode(key: &[u8], row: &[u8]) -> Result<Self, FlowError> {
        let read = || Self::read(key, Rest(row));
        read().ok_or(FlowError::Unreadable { what: "finding" })
    }

    fn read(key: &[u8], mut row: Rest<'_>) -> Option<Self> {
        (row.byte()? == FORMAT).then_some(())?;
        let code = FishingCode::from_word(row.text()?)?;
        let peer = match row.text()? {
            "" => None,
            name => Some(name.parse().ok()?),
        };
        let seen = row.text()?.to_owned();
        let (since, found_at) = (row.moment()?, row.moment()?);
        let acknowledged = match row.byte()? {
            0 => None,
            _ => Some(Acknowledged {
                by: row.text()?.to_owned(),
                says: row.text()?.to_owned(),
                at: row.moment()?,
            }),
        };
        row.end()?;
        Some(Self {
            id: key.try_into().ok()?,
            code,
            peer,
            seen,
            since,
            found_at,
            acknowledged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::fishing::CountedQuestion;

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn rows_round_trip_and_cut_ones_are_refused() {
        let at = moment("2026-03-02T09:00:00Z");
        let mut day = AskerRow::new("beta".parse().unwrap(), at.day());
        for n in 0..80_u8 {
            day.counter.count(&CountedQuestion {
                at: at.plus(std::time::Duration::from_secs(u64::from(n) * 10)),
                purpose: Purpose::CreditApplication,
                elements: 2,
                commitment: [n % 60; 32],
            });
        }
        let bytes = day.encode();
        assert_eq!(AskerRow::decode(&bytes).unwrap(), day);
        assert_eq!((day.counter.day.gaps, day.counter.day.even_gaps), (79, 78));
        assert_eq!((day.counter.day.reused, day.counter.day.hours[9]), (20, 80));
        for length in 0..bytes.len() {
            assert!(AskerRow::decode(&bytes[..length]).is_err());
        }
        let finding = KeptFinding {
            id: [7; 8],
            code: FishingCode::Rhythm,
            peer: Some("beta".parse().unwrap()),
            seen: "90 of 99".to_owned(),
            since: at,
            found_at: at,
            acknowledged: Some(Acknowledged {
                by: "chair".to_owned(),
                says: "asked them".to_owned(),
                at,
            }),
        };
        let bytes = finding.encode();
        assert_eq!(KeptFinding::decode(&[7; 8], &bytes).unwrap(), finding);
        for length in 0..bytes.len() {
            assert!(KeptFinding::decode(&[7; 8], &bytes[..length]).is_err());
        }
        let asked = AskedRow {
            at,
            query: QueryId(uuid::Uuid::from_bytes([3; 16])),
            purpose: Purpose::Collection,
            application: RecordId(uuid::Uuid::from_bytes([4; 16])),
        };
        let (_, key, row) = asked.staged();
        assert_eq!(AskedRow::decode(&key, &row).unwrap(), asked);
        assert!(AskedRow::decode(&key, &row[1..]).is_err());
    }

    #[test]
    fn account_reviews_in_bulk_make_no_rhythm_and_reuse_nothing() {
        let at = moment("2026-03-02T09:00:00Z");
        let mut day = AskerRow::new("beta".parse().unwrap(), at.day());
        for n in 0..200_u32 {
            day.counter.count(&CountedQuestion {
                at: at.plus(std::time::Duration::from_secs(u64::from(n) * 10)),
                purpose: Purpose::AccountReview,
                elements: 1_024,
                commitment: [1; 32],
            });
        }
        let counted = &day.counter.day;
        assert_eq!((counted.gaps, counted.even_gaps, counted.reused), (0, 0, 0));
        assert_eq!(counted.hours.iter().sum::<u32>(), 0);
        assert_eq!(counted.elements.iter().sum::<u64>(), 204_800);
    }
}
