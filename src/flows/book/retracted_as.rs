//! What a retraction ended, kept beside it for the member's own months.

use super::Book;
use crate::domain::{Record, RecordId, RetractedAs, default_reported_on};
use crate::flows::FlowError;
use crate::flows::draft::Draft;
use crate::store::Table;

const DEFAULT_REPORT: u8 = 1;
const LOST_DISPUTE: u8 = 2;

impl Book {
    /// What the retraction of this record ended; `None` also where it is not retracted.
    ///
    /// # Errors
    /// The store's failure.
    pub(in crate::flows) async fn retracted_as(
        &self,
        record: &Record,
    ) -> Result<Option<RetractedAs>, FlowError> {
        if !record.is_retracted() {
            return Ok(None);
        }
        let key = self.record_key(record.head.record_id);
        let row = self.vault.read(Table::RetractedAs, &key).await?;
        match row.as_ref().map(|row| row.bytes.as_slice()) {
            None => Ok(None),
            Some([DEFAULT_REPORT]) => Ok(Some(RetractedAs::DefaultReport)),
            Some([LOST_DISPUTE]) => Ok(Some(RetractedAs::LostDispute)),
            Some(_) => Err(FlowError::Unreadable { what: "retraction" }),
        }
    }

    /// Stages what retracting `held` ends.
    pub(super) async fn stage_end_of(
        &self,
        held: &Record,
        draft: &mut Draft,
    ) -> Result<(), FlowError> {
        if default_reported_on(held).is_some() {
            let id = held.head.record_id;
            self.stage_retracted_as(id, RetractedAs::DefaultReport, draft)
                .await?;
        }
        Ok(())
    }

    /// Stages that the retraction of a record ends this.
    ///
    /// # Errors
    /// The store's failure.
    pub(in crate::flows) async fn stage_retracted_as(
        &self,
        id: RecordId,
        was: RetractedAs,
        draft: &mut Draft,
    ) -> Result<(), FlowError> {
        let code = match was {
            RetractedAs::DefaultReport => DEFAULT_REPORT,
            RetractedAs::LostDispute => LOST_DISPUTE,
        };
        let key = self.record_key(id);
        self.stage_put(draft, Table::RetractedAs, key, &[code])
            .await
    }

    /// Stages that nothing is told any more of what the retraction of a record ended.
    pub(super) async fn stage_forgotten(
        &self,
        record_key: &[u8],
        draft: &mut Draft,
    ) -> Result<(), FlowError> {
        if let Some(row) = self.vault.read(Table::RetractedAs, record_key).await? {
            draft.delete(Table::RetractedAs, record_key, row.revision);
        }
        Ok(())
    }
}
