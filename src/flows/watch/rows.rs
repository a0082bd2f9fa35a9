//! Rows of the watch. Each begins with a version byte; what is there by the million is binary, the
//! rest is JSON.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::crypto::{Secret, Token};
use crate::domain::{Borrower, Identifier, IdentifierClass, Summary};
use crate::flows::FlowError;
use crate::flows::alerts::Subject;
use crate::limits::{SUMMARY_BYTES, WATCH_SHELF_BORROWERS};

/// First byte of a row.
const FORMAT: u8 = 1;

/// Bytes of a token.
const TOKEN_BYTES: usize = 64;

/// Bytes of a borrower's place on a shelf: its number and its token.
const PLACE_BYTES: usize = 4 + TOKEN_BYTES;

/// Bytes of a state without its summary.
const STATE_BYTES: usize = 12;

pub(super) fn unreadable() -> FlowError {
    FlowError::Unreadable { what: "watch row" }
}

/// A JSON row.
pub(super) fn encode(stored: &impl Serialize) -> Vec<u8> {
    let mut row = vec![FORMAT];
    // Texts and numbers always serialise.
    row.extend(serde_json::to_vec(stored).unwrap_or_default());
    row
}

pub(super) fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, FlowError> {
    let json = row.strip_prefix(&[FORMAT]).ok_or_else(unreadable)?;
    serde_json::from_slice(json).map_err(|_| unreadable())
}

/// The number of an index row.
pub(super) fn encode_number(number: u32) -> Vec<u8> {
    [&[FORMAT], number.to_be_bytes().as_slice()].concat()
}

pub(super) fn number_in(row: &[u8]) -> Result<u32, FlowError> {
    let rest = row.strip_prefix(&[FORMAT]).map(TryInto::try_into);
    let bytes = rest.and_then(Result::ok).ok_or_else(unreadable)?;
    Ok(u32::from_be_bytes(bytes))
}

/// How many are watched, and the number given last.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct ListHead {
    pub(super) last: u32,
    pub(super) count: u32,
}

/// A watched borrower.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WatchedRow {
    pub(super) reference: String,
    pub(super) added_at: i64,
    /// Identifiers as `kind:value`, the strong one first.
    identifiers: Vec<String>,
}

impl WatchedRow {
    pub(super) fn of(borrower: &Borrower, reference: &str, added_at: i64) -> Self {
        let text = |one: &Identifier| format!("{}:{}", one.kind(), one.value());
        Self {
            reference: reference.to_owned(),
            added_at,
            identifiers: borrower.identifiers().map(text).collect(),
        }
    }

    pub(super) fn borrower(&self) -> Result<Borrower, FlowError> {
        let mut borrower = Borrower::default();
        for text in &self.identifiers {
            let (kind, value) = text.split_once(':').ok_or_else(unreadable)?;
            let kind = crate::domain::IdentifierKind::from_word(kind).ok_or_else(unreadable)?;
            let identifier = Identifier::restore(kind, value);
            match identifier.class() {
                IdentifierClass::National => borrower.national = Some(identifier),
                IdentifierClass::Phone => borrower.phone = Some(identifier),
            }
        }
        Ok(borrower)
    }

    /// What alerts say of the borrower.
    pub(super) fn subject(&self) -> Result<Subject, FlowError> {
        let borrower = self.borrower()?;
        let masked: Vec<String> = borrower.identifiers().map(Identifier::masked).collect();
        Ok(Subject {
            reference: self.reference.clone(),
            borrower: masked.join(" "),
        })
    }
}

impl Drop for WatchedRow {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.identifiers.zeroize();
    }
}

/// How far one feed has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct FeedRow {
    pub(super) origin: String,
    /// All watched borrowers up to this number were evaluated.
    pub(super) evaluated: u32,
    /// Borrowers that were.
    pub(super) borrowers: u64,
    /// Every leaf before this position was looked at.
    pub(super) cursor: u64,
}

/// A batch that is logged and may have been paid for, but whose tokens are not kept yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PendingRow {
    /// The borrowers after this number,
    pub(super) after: u32,
    /// and up to this one.
    pub(super) to: u32,
    pub(super) request_id: [u8; 16],
    pub(super) commitment: [u8; 32],
    pub(super) salt: [u8; 32],
    pub(super) seed: [u8; 32],
    /// Merkle root over the blinded elements.
    pub(super) batch: [u8; 32],
}

impl Drop for PendingRow {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.salt.zeroize();
        self.seed.zeroize();
    }
}

/// What a feed last told of a borrower.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// Whether alerts were drawn from it.
    pub(super) told: bool,
    /// The number that the borrower's next leaf has.
    pub(super) next: u32,
    /// The day of the last alerts, in days since 1970, and how many there were.
    pub(super) day: u32,
    pub(super) alerts: u8,
    pub(super) summary: Option<Summary>,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT, u8::from(self.told)];
        row.extend_from_slice(&self.next.to_be_bytes());
        row.extend_from_slice(&self.day.to_be_bytes());
        row.push(self.alerts);
        row.push(u8::from(self.summary.is_some()));
        row.extend(self.summary.iter().flat_map(Summary::encode));
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        let (head, rest) = row
            .split_first_chunk::<STATE_BYTES>()
            .ok_or_else(unreadable)?;
        let [FORMAT, told, n0, n1, n2, n3, d0, d1, d2, d3, alerts, has] = *head else {
            return Err(unreadable());
        };
        let summary = match (has, <&[u8; SUMMARY_BYTES]>::try_from(rest)) {
            (0, _) if rest.is_empty() => None,
            (1, Ok(bytes)) => Some(Summary::decode(bytes).map_err(|_| unreadable())?),
            (_, Ok(_) | Err(_)) => return Err(unreadable()),
        };
        Ok(Self {
            told: told == 1,
            next: u32::from_be_bytes([n0, n1, n2, n3]),
            day: u32::from_be_bytes([d0, d1, d2, d3]),
            alerts,
            summary,
        })
    }
}

/// Tokens of borrowers whose numbers lie together.
#[derive(Debug, Default)]
pub(super) struct Shelf(Vec<(u32, Token)>);

impl Shelf {
    /// The shelf that a borrower's token lies on.
    pub(super) const fn of(number: u32) -> u32 {
        number / WATCH_SHELF_BORROWERS
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        let places = row.strip_prefix(&[FORMAT]).ok_or_else(unreadable)?;
        let (places, odd) = places.as_chunks::<PLACE_BYTES>();
        if !odd.is_empty() {
            return Err(unreadable());
        }
        let place = |bytes: &[u8; PLACE_BYTES]| {
            let (number, token) = bytes.split_first_chunk::<4>()?;
            let token: [u8; TOKEN_BYTES] = token.try_into().ok()?;
            let token = Token::from_secret(Secret::from_bytes(token));
            Some((u32::from_be_bytes(*number), token))
        };
        let read: Option<Vec<_>> = places.iter().map(place).collect();
        read.map(Self).ok_or_else(unreadable)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        for (number, token) in &self.0 {
            row.extend_from_slice(&number.to_be_bytes());
            row.extend_from_slice(token.expose());
        }
        row
    }

    pub(super) fn put(&mut self, number: u32, token: Token) {
        self.take(number);
        self.0.push((number, token));
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Token> {
        let at = self.0.iter().position(|(held, _)| *held == number)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Token> {
        let held = self.0.iter().find(|(held, _)| *held == number);
        held.map(|(_, token)| token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Token)> {
        self.0.iter().map(|(number, token)| (*number, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Token {
        Token::from_secret(Secret::from_bytes([byte; 64]))
    }

    #[test]
    fn a_shelf_reads_back_and_keeps_one_token_for_each_number() {
        let mut shelf = Shelf::default();
        shelf.put(7, token(1));
        shelf.put(8, token(2));
        shelf.put(7, token(3));
        let mut read = Shelf::decode(&shelf.encode()).unwrap();
        assert_eq!(read.iter().count(), 2);
        assert_eq!(read.take(7), Some(token(3)));
        assert_eq!(read.take(7), None);
        assert!(Shelf::decode(&[1, 2, 3]).is_err() && Shelf::decode(&[]).is_err());
    }

    #[test]
    fn a_state_reads_back_with_and_without_a_summary() {
        for summary in [None, Some(Summary::default())] {
            let state = State {
                told: true,
                next: 70_000,
                day: 20_000,
                alerts: 3,
                summary,
            };
            let read = State::decode(&state.encode()).unwrap();
            assert_eq!(read.encode(), state.encode());
            assert_eq!((read.told, read.next, read.day), (true, 70_000, 20_000));
        }
        assert!(State::decode(&[1; 11]).is_err());
        assert!(State::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]).is_err());
    }

    #[test]
    fn a_watched_borrower_reads_back_and_is_told_masked() {
        let borrower = Borrower {
            national: Identifier::parse("us-ssn:536-90-4399", None).ok(),
            phone: Identifier::parse("phone:+14155552671", None).ok(),
            name_dob: None,
        };
        let row = WatchedRow::of(&borrower, "L-1", 5);
        let read: WatchedRow = decode(&encode(&row)).unwrap();
        assert_eq!(read.borrower().unwrap(), borrower);
        let subject = read.subject().unwrap();
        assert_eq!(subject.borrower, "us-ssn:…4399 phone:…2671");
        assert!(decode::<WatchedRow>(&[2]).is_err());
    }
}
