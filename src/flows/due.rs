//! What has to be published again at a certain moment although no record changes.
//!
//! A summary may change by time alone: a signal or a retention period ends. The moment is kept
//! with the publication that it ends, so that neither is ever durable without the other.

use super::FlowError;
use super::draft::Draft;
use super::home::Home;
use crate::domain::Timestamp;
use crate::limits::PUBLISH_BATCH_IDENTIFIERS;
use crate::store::{Scan, Table};

/// Bytes of the moment that a row's key begins with, so that rows lie in the order of time.
const MOMENT_BYTES: usize = 8;

/// An identifier whose moment has come.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) canonical: String,
    pub(super) key: Vec<u8>,
    pub(super) revision: u64,
}

/// Stages that this canonical identifier is published again at `at`.
pub(super) async fn stage(
    home: &Home,
    draft: &mut Draft,
    canonical: &str,
    at: Timestamp,
) -> Result<(), FlowError> {
    let name = home.vault.row_key(Table::Due, canonical.as_bytes());
    let key = [moment(at).as_slice(), name.as_slice()].concat();
    let is_staged = draft.staged(Table::Due, &key).is_some();
    if !is_staged && home.vault.read(Table::Due, &key).await?.is_none() {
        draft.put(Table::Due, &key, 0, canonical.as_bytes().to_vec());
    }
    Ok(())
}

/// Identifiers whose moment has come, the earliest first, as many as one commit takes.
pub(super) async fn due(home: &Home) -> Result<Vec<Due>, FlowError> {
    let scan = Scan::all(PUBLISH_BATCH_IDENTIFIERS);
    let page = home.vault.scan(Table::Due, &scan).await?;
    let now = moment(home.clock.now());
    let unreadable = |_| FlowError::Unreadable {
        what: "publication that is due",
    };
    page.into_iter()
        .take_while(|(key, _)| {
            key.first_chunk::<MOMENT_BYTES>()
                .is_some_and(|at| *at <= now)
        })
        .map(|(key, row)| {
            Ok(Due {
                canonical: String::from_utf8(row.bytes.to_vec()).map_err(unreadable)?,
                key,
                revision: row.revision,
            })
        })
        .collect()
}

/// A moment as bytes that sort as time does; what lies before 1970 is 1970.
fn moment(at: Timestamp) -> [u8; MOMENT_BYTES] {
    u64::try_from(at.unix_ms()).unwrap_or(0).to_be_bytes()
}
