//! Which queries of this node were about a borrower, and which reports the borrower was given:
//! noted in the commit that logs each, found by identifier.

use super::FlowError;
use super::ageing::dated;
use super::fishing::AskedRow;
use crate::domain::{Borrower, Identifier};
use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::{Scan, Table, Vault};

/// Bytes of an identifier's part of a key.
const IDENTIFIER_BYTES: usize = 16;

/// What the keys of an identifier begin with.
fn prefix(vault: &Vault, identifier: &Identifier) -> Vec<u8> {
    let name = identifier.canonical().as_bytes();
    let mut key = vault.row_key(Table::AskedAbout, name).to_vec();
    key.truncate(IDENTIFIER_BYTES);
    key
}

/// The rows of one query, and those that let them go when they are old.
pub(super) fn staged(
    vault: &Vault,
    borrower: &Borrower,
    asked: &AskedRow,
) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let (_, by_time, row) = asked.staged();
    let mut rows = Vec::new();
    for identifier in borrower.identifiers() {
        let key = [prefix(vault, identifier), by_time.clone()].concat();
        rows.push(dated(vault, (Table::AskedAbout, &key), asked.at));
        rows.push((Table::AskedAbout, key, row.clone()));
    }
    rows
}

/// Queries and reports about the holder of an identifier, the oldest first.
pub(super) async fn of(vault: &Vault, identifier: &Identifier) -> Result<Vec<AskedRow>, FlowError> {
    let mut scan = Scan::prefix(&prefix(vault, identifier), STORE_BATCH_ROWS_MAX);
    let mut found = Vec::new();
    loop {
        let page = vault.scan(Table::AskedAbout, &scan).await?;
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        scan = scan.behind(last);
        for (key, row) in &page {
            let by_time = key.get(IDENTIFIER_BYTES..).unwrap_or_default();
            found.push(AskedRow::decode(by_time, &row.bytes)?);
        }
    }
}
