//! Openings that could not be checked in full: kept, sealed, until the peers can be asked.

use super::rows::{self, SampleId};
use super::{Sample, SampleItem, Samples};
use crate::domain::Timestamp;
use crate::flows::ageing::dated;
use crate::flows::draft::Draft;
use crate::flows::{AtPeer, FlowError};
use crate::limits::{OPENING_CHUNK_BYTES, SAMPLE_AGAIN_AFTER, SAMPLES_AGAIN_AT_ONCE};
use crate::store::{Scan, Table};
use crate::wire::Delivered;

/// Rows that the file of one opening takes at most.
const FILE_ROWS: usize = crate::limits::OPENING_FILE_BYTES_MAX / OPENING_CHUNK_BYTES + 1;

const _: () = assert!(2 * FILE_ROWS + 1 < crate::limits::STORE_BATCH_ROWS_MAX);

impl SampleItem {
    /// Whether what came of it rests on a peer that could not be asked.
    pub(super) fn is_open_ended(&self) -> bool {
        let unreachable = AtPeer::Unreachable(String::new());
        let outcome = self.outcome.as_ref();
        outcome.is_some_and(|outcome| outcome.verdict == unreachable.word())
    }

    /// Whether it may be checked again: not at once, since whoever was away may be away still.
    fn is_due(&self, now: Timestamp) -> bool {
        let tried = self.outcome.as_ref().map(|outcome| outcome.at_unix_ms);
        let tried = Timestamp::from_unix_ms(tried.unwrap_or(i64::MAX));
        self.is_open_ended() && now.since(tried) >= SAMPLE_AGAIN_AFTER
    }
}

impl Samples {
    /// Stages the file of an opening that is to be checked again, with the day on which it goes.
    pub(super) fn stage_file(
        &self,
        draft: &mut Draft,
        (sample, number): (&Sample, u16),
        file: &str,
    ) {
        let chunks = file.as_bytes().chunks(OPENING_CHUNK_BYTES);
        for (place, chunk) in (0_u16..).zip(chunks) {
            let key = rows::file_key(&sample.id, number, place);
            draft.put(Table::Sample, &key, 0, chunk.to_vec());
            let of = (Table::Sample, key.as_slice());
            let (table, key, row) = dated(&self.home.vault, of, sample.drawn_at);
            draft.put(table, &key, 0, row);
        }
    }

    /// The file that was kept, and its rows.
    async fn file(
        &self,
        id: &SampleId,
        number: u16,
    ) -> Result<Option<(String, Vec<(Vec<u8>, u64)>)>, FlowError> {
        let scan = Scan::prefix(&rows::files_prefix(id, number), FILE_ROWS);
        let page = self.home.vault.scan(Table::Sample, &scan).await?;
        let bytes: Vec<u8> = page
            .iter()
            .flat_map(|(_, row)| row.bytes.iter().copied())
            .collect();
        let unreadable = |_| FlowError::Unreadable { what: "opening" };
        let file = String::from_utf8(bytes).map_err(unreadable)?;
        let rows = page.into_iter().map(|(key, row)| (key, row.revision));
        Ok((!file.is_empty()).then(|| (file, rows.collect())))
    }

    /// Checks again what could not be checked in full, a few at a time.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn check_again(&self) -> Result<(), FlowError> {
        let (mut left, now) = (SAMPLES_AGAIN_AT_ONCE, self.home.clock.now());
        for sample in self.list().await? {
            for ((key, revision), item) in self.items(&sample.id).await? {
                let number = rows::item_number(&key);
                if left == 0 || !item.is_due(now) {
                    continue;
                }
                let Some((file, rows)) = self.file(&sample.id, number).await? else {
                    continue;
                };
                left -= 1;
                let given = Delivered {
                    sample: sample.id,
                    commitment: item.commitment,
                    file: Some(file),
                    is_gone: false,
                };
                let mut item = item;
                item.outcome = Some(self.judged(&sample, &item, &given).await?);
                let mut draft = Draft::default();
                draft.put(Table::Sample, &key, revision, item.encode());
                if !item.is_open_ended() {
                    for (key, revision) in &rows {
                        draft.delete(Table::Sample, key, *revision);
                    }
                }
                match draft.commit(&self.home.vault).await {
                    Err(error) if !error.is_conflict() => return Err(error),
                    // It goes after 180 days, or another task did the same.
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }
}
