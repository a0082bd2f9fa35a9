//! The entries of an audit log that tell of queries, read back from their text.

use crate::domain::{Epoch, Level, MemberId, Purpose, QueryId, Timestamp};

/// An `asked` entry of an audit log, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedLine {
    /// When it was logged.
    pub at: Timestamp,
    /// The query.
    pub query: QueryId,
    /// Why.
    pub purpose: Purpose,
    /// Commitment to borrower and consent reference.
    pub commitment: [u8; 32],
    /// SHA-256 over the batch roots of all peers asked.
    pub batches: [u8; 32],
    /// How many peers.
    pub peers: u32,
}

/// An `answered` entry of an audit log, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredLine {
    /// When it was logged.
    pub at: Timestamp,
    /// Who asked.
    pub member: MemberId,
    /// Under which level.
    pub level: Level,
    /// In which key epoch.
    pub epoch: Epoch,
    /// Why.
    pub purpose: Purpose,
    /// Commitment to borrower and consent reference.
    pub commitment: [u8; 32],
    /// Merkle root over the blinded elements.
    pub batch: [u8; 32],
    /// How many there were.
    pub elements: u32,
}

fn digest(word: Option<&str>) -> Option<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER.decode(word?.as_bytes()).ok()?;
    bytes.try_into().ok()
}

/// When an entry of an audit log was logged, and its words behind the kind, where it is of `kind`.
fn words<'a>(line: &'a str, kind: &str) -> Option<(Timestamp, std::str::Split<'a, char>)> {
    let mut words = line.split(' ');
    let is_first = words.next() == Some("1");
    let at = words.next()?.parse().ok()?;
    (is_first && words.next() == Some(kind)).then_some((Timestamp::from_unix_ms(at), words))
}

/// When an entry of an audit log was logged.
#[must_use]
pub fn logged_at(line: &str) -> Option<Timestamp> {
    let at = line.split(' ').nth(1)?.parse().ok()?;
    Some(Timestamp::from_unix_ms(at))
}

impl AskedLine {
    /// Reads an entry; `None` where it is of another kind.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (at, mut words) = words(line, "asked")?;
        Some(Self {
            at,
            query: words.next()?.parse().ok().map(QueryId)?,
            purpose: Purpose::from_word(words.next()?)?,
            commitment: digest(words.next())?,
            batches: digest(words.next())?,
            peers: words.next()?.parse().ok()?,
        })
    }
}

impl AnsweredLine {
    /// Reads an entry; `None` where it is of another kind.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (at, mut words) = words(line, "answered")?;
        Some(Self {
            at,
            member: words.next()?.parse().ok()?,
            level: Level::from_word(words.next()?)?,
            epoch: Epoch(words.next()?.parse().ok()?),
            purpose: Purpose::from_word(words.next()?)?,
            commitment: digest(words.next())?,
            batch: digest(words.next())?,
            elements: words.next()?.parse().ok()?,
        })
    }
}
