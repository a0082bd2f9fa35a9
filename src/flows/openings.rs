//! What opens a query later, in rows of the store: written in the commit that logs the query.

use super::{FlowError, Home};
use crate::domain::{QueryId, Timestamp};
use crate::limits::OPENING_CHUNK_BYTES;
use crate::protocol::opening::Opening;
use crate::store::{Table, Vault};

/// First byte of a row. Rows of the version before are 64 bytes, salt and seed, and nothing tells
/// what they belong to.
const FORMAT: u8 = 2;

/// Bytes of a row of the version before.
const FORMER_BYTES: usize = 64;

/// Bytes before an opening's own in each of its rows: the version, when the query was asked
/// (milliseconds since 1970, 8 bytes, network byte order), which row it is, how many there are.
const HEAD_BYTES: usize = 11;

/// The key of one of a query's rows.
fn row_key(vault: &Vault, query: QueryId, number: u8) -> Vec<u8> {
    let name = match number {
        0 => query.0.as_bytes().to_vec(),
        _ => [query.0.as_bytes().as_slice(), &[number]].concat(),
    };
    vault.row_key(Table::Query, &name).to_vec()
}

/// The rows of an opening, for the commit that logs its query.
pub(super) fn staged(vault: &Vault, opening: &Opening) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let bytes = opening.encode();
    let chunks = bytes.chunks(OPENING_CHUNK_BYTES);
    let count = u8::try_from(chunks.len()).unwrap_or(u8::MAX);
    let at = opening.at.unix_ms().to_be_bytes();
    let row = |(number, chunk): (u8, &[u8])| {
        let mut row = [&[FORMAT], at.as_slice(), &[number, count], chunk].concat();
        if row.len() == FORMER_BYTES {
            // It changes nothing behind the last chunk, and the length tells the version.
            row.push(b' ');
        }
        (Table::Query, row_key(vault, opening.query, number), row)
    };
    (0..count).zip(chunks).map(row).collect()
}

/// One row, taken apart: when its query was asked, how many rows the opening has, its own part.
fn parts(row: &[u8]) -> Option<(Timestamp, u8, &[u8])> {
    let (head, part) = row.split_first_chunk::<HEAD_BYTES>()?;
    let [FORMAT, at @ .., _number, count] = head else {
        return None;
    };
    let at = Timestamp::from_unix_ms(i64::from_be_bytes(*at));
    (row.len() != FORMER_BYTES).then_some((at, *count, part))
}

/// The keys of the rows of an opening that are there.
pub(super) async fn keys(vault: &Vault, query: QueryId) -> Result<Vec<Vec<u8>>, FlowError> {
    let mut keys = Vec::new();
    for number in 0..u8::MAX {
        let key = row_key(vault, query, number);
        if vault.store().read(Table::Query, &key).await?.is_none() {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

/// What opens a query; `None` where it was logged before there was enough in the row, or where the
/// row is deleted.
pub(super) async fn read(home: &Home, query: QueryId) -> Result<Option<Opening>, FlowError> {
    let unreadable = || FlowError::Unreadable { what: "query" };
    let key = row_key(&home.vault, query, 0);
    let Some(row) = home.vault.read(Table::Query, &key).await? else {
        return Ok(None);
    };
    if row.bytes.len() == FORMER_BYTES {
        return Ok(None);
    }
    let (_, count, first) = parts(&row.bytes).ok_or_else(unreadable)?;
    let mut bytes = zeroize::Zeroizing::new(first.to_vec());
    for number in 1..count {
        let key = row_key(&home.vault, query, number);
        let Some(row) = home.vault.read(Table::Query, &key).await? else {
            return Ok(None);
        };
        let (_, _, part) = parts(&row.bytes).ok_or_else(unreadable)?;
        bytes.extend_from_slice(part);
    }
    Opening::decode(&bytes).map(Some).ok_or_else(unreadable)
}
