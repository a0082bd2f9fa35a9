//! How far deletion came, and which rows go on which day.

use super::super::FlowError;
use super::super::draft::Draft;
use crate::domain::Timestamp;
use crate::store::{Table, Vault};

/// First byte of each row.
const FORMAT: u8 = 1;

/// Bytes of what makes the keys of one day differ.
const NAME_BYTES: usize = 16;

/// A mark of how far something came, with the revision at which it stands.
#[derive(Debug, Default)]
pub(super) struct Mark {
    pub(super) revision: u64,
    pub(super) at: Vec<u8>,
}

impl Mark {
    pub(super) async fn read(vault: &Vault, name: &[u8]) -> Result<Self, FlowError> {
        let Some(row) = vault.read(Table::Swept, name).await? else {
            return Ok(Self::default());
        };
        let at = row.bytes.split_first();
        let at = at.filter(|(format, _)| **format == FORMAT);
        let (_, at) = at.ok_or(FlowError::Unreadable {
            what: "mark of what was deleted",
        })?;
        Ok(Self {
            revision: row.revision,
            at: at.to_vec(),
        })
    }

    /// Stages that it came as far as `at`.
    pub(super) fn stage(&self, draft: &mut Draft, name: &[u8], at: &[u8]) {
        let row = [&[FORMAT], at].concat();
        draft.put(Table::Swept, name, self.revision, row);
    }

    /// The number that it begins with; 0 where there is none.
    pub(super) fn number(&self) -> u64 {
        self.at
            .first_chunk::<8>()
            .map_or(0, |at| u64::from_be_bytes(*at))
    }
}

/// The day of a moment as bytes that sort as days do; what lies before 1970 is 1970.
pub(super) fn day_key(at: Timestamp) -> [u8; 4] {
    let days = at.day().unix_days().max(0);
    u32::try_from(days).unwrap_or(u32::MAX).to_be_bytes()
}

/// The row that lets another one go [`ANSWER_DAYS`](crate::limits::ANSWER_DAYS) days from now: for
/// the commit that writes that one.
pub(in crate::flows) fn dated(
    vault: &Vault,
    (table, key): (Table, &[u8]),
    now: Timestamp,
) -> (Table, Vec<u8>, Vec<u8>) {
    let named = [&[table.code()], key].concat();
    let mut name = vault.row_key(Table::Dated, &named).to_vec();
    name.truncate(NAME_BYTES);
    let row = [&[FORMAT], named.as_slice()].concat();
    (Table::Dated, [day_key(now).as_slice(), &name].concat(), row)
}

/// The row that a dated row is about.
pub(super) fn about(row: &[u8]) -> Option<(Table, &[u8])> {
    match row {
        [FORMAT, table, key @ ..] => Some((Table::from_code(*table)?, key)),
        _ => None,
    }
}

/// The day that a dated row's key begins with, in days since 1970.
pub(super) fn day_of(key: &[u8]) -> u32 {
    key.first_chunk::<4>()
        .map_or(0, |day| u32::from_be_bytes(*day))
}
