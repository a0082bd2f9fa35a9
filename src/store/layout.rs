//! How rows lie in an ordered key-value engine, and the row that says which layout that is.
//!
//! ```text
//! 00 'L'                  layout row: version (4, big-endian), table codes, tag (16)
//! 00 'D' table shelf      digests of eight buckets (`digest.rs`)
//! 00 'G'                  number of groups of batches written (sled only, `sled/mark.rs`)
//! table key               row: revision (8, big-endian), sealed content
//! ```

use crate::crypto::{Sealed, labels};

use super::digest::Digester;
use super::{Row, StoreError, Table};

/// The version of the layout that this program writes, and the only one that it reads.
pub const LAYOUT_VERSION: u32 = 1;

/// Key of the layout row.
pub(super) const LAYOUT_KEY: &[u8] = &[0, b'L'];

/// Key of the number of groups written.
pub(super) const GROUPS_KEY: &[u8] = &[0, b'G'];

const TAG_BYTES: usize = 16;

/// The engine's key of a row.
pub(super) fn row_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(table.code());
    full.extend_from_slice(key);
    full
}

/// The engine's key of a shelf of digests.
pub(super) fn shelf_key(table: Table, number: u8) -> Vec<u8> {
    vec![0, b'D', table.code(), number]
}

/// The engine's value of a row.
pub(super) fn encode_row(row: &Row) -> Vec<u8> {
    let sealed = row.sealed.as_bytes();
    let mut value = Vec::with_capacity(8 + sealed.len());
    value.extend_from_slice(&row.revision.to_be_bytes());
    value.extend_from_slice(sealed);
    value
}

/// The row behind the engine's value.
///
/// # Errors
/// [`StoreError::Damaged`] where the value is too short or at revision 0.
pub(super) fn decode_row(table: Table, value: &[u8]) -> Result<Row, StoreError> {
    let damaged = || StoreError::Damaged {
        what: format!("a row of table {table} is cut short"),
    };
    let (revision, sealed) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
    let revision = u64::from_be_bytes(*revision);
    if revision == 0 {
        return Err(damaged());
    }
    Ok(Row {
        revision,
        sealed: Sealed::from_stored(sealed.to_vec()),
    })
}

/// The layout row of a store that keeps digests of `tables`.
pub(super) fn encode_layout(digester: &Digester, tables: &[Table]) -> Vec<u8> {
    let mut value = LAYOUT_VERSION.to_be_bytes().to_vec();
    value.extend(tables.iter().map(|table| table.code()));
    let tag = digester.tag(labels::STORE_LAYOUT, &[&value]);
    value.extend_from_slice(&tag);
    value
}

/// The tables of which a store keeps digests, from its layout row.
///
/// # Errors
/// [`StoreError::LayoutVersion`] or [`StoreError::NewerTable`] where another program version wrote
/// it, [`StoreError::ForeignKeys`] where another key ring did.
pub(super) fn decode_layout(digester: &Digester, value: &[u8]) -> Result<Vec<Table>, StoreError> {
    let cut = || StoreError::Damaged {
        what: "the layout row is cut short".to_owned(),
    };
    let (version, _) = value.split_first_chunk::<4>().ok_or_else(cut)?;
    let found = u32::from_be_bytes(*version);
    if found != LAYOUT_VERSION {
        return Err(StoreError::LayoutVersion {
            found,
            ours: LAYOUT_VERSION,
        });
    }
    let (body, tag) = value.split_last_chunk::<TAG_BYTES>().ok_or_else(cut)?;
    if !digester.verify_tag(labels::STORE_LAYOUT, &[body], tag) {
        return Err(StoreError::ForeignKeys);
    }
    let codes = body.get(4..).unwrap_or_default();
    codes
        .iter()
        .map(|code| Table::from_code(*code).ok_or(StoreError::NewerTable { code: *code }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    #[test]
    fn layout_of_another_version_or_another_key_ring_is_refused() {
        let ours = Digester::new(&Secret::from_bytes([1; 32]));
        let theirs = Digester::new(&Secret::from_bytes([2; 32]));
        let value = encode_layout(&ours, Table::ALL);
        assert_eq!(decode_layout(&ours, &value).unwrap(), Table::ALL);
        assert_eq!(decode_layout(&theirs, &value), Err(StoreError::ForeignKeys));

        let mut newer = value.clone();
        newer[3] += 1;
        let refused = decode_layout(&ours, &newer);
        assert_eq!(
            refused,
            Err(StoreError::LayoutVersion { found: 2, ours: 1 })
        );

        let mut fewer = value;
        fewer.remove(4);
        assert_eq!(decode_layout(&ours, &fewer), Err(StoreError::ForeignKeys));
    }

    #[test]
    fn row_cut_short_is_damage() {
        for value in [&[][..], &[0; 7][..], &[0; 9][..]] {
            let refused = decode_row(Table::Record, value);
            assert!(matches!(refused, Err(StoreError::Damaged { .. })));
        }
    }
}
