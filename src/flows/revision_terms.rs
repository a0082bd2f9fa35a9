//! How long what it takes to revise an answer is kept.

use super::draft::Draft;
use super::revision_rows::{SWEPT, kept_until};
use super::{Ahead, FlowError, Revisions};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::store::Scan;

impl Revisions {
    /// How many rows both sides' keys of notices take, how many of them are due, and when the first
    /// one goes.
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read.
    pub(super) async fn ahead(&self) -> Result<Option<Ahead>, FlowError> {
        let now = self.home.clock.now();
        let (mut rows, mut due, mut first_at) = (0, 0, None);
        for table in SWEPT {
            let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
            loop {
                let page = self.home.vault.scan(*table, &scan).await?;
                let Some((last, _)) = page.last() else { break };
                scan = scan.behind(last);
                for (_, row) in &page {
                    let end = kept_until(&row.bytes);
                    rows += 1;
                    due += u64::from(end.is_some_and(|end| end <= now));
                    first_at = first_at.into_iter().chain(end).min();
                }
            }
        }
        Ok(first_at.map(|first_at| Ahead {
            kind: "notice-key".to_owned(),
            rule: "notice_days",
            rows,
            due,
            first_at,
        }))
    }

    /// Deletes what both sides keep for notices once it is too old; gives how many rows.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read or deleted.
    pub async fn sweep(&self) -> Result<usize, FlowError> {
        let vault = &self.home.vault;
        let now = self.home.clock.now();
        let mut swept = 0;
        for table in SWEPT {
            let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
            loop {
                let page = vault.scan(*table, &scan).await?;
                let Some((last, _)) = page.last() else { break };
                scan = scan.behind(last);
                let mut draft = Draft::default();
                for (key, row) in &page {
                    if kept_until(&row.bytes).is_some_and(|end| end <= now) {
                        draft.delete(*table, key, row.revision);
                    }
                }
                let rows = draft.len();
                match draft.commit(vault).await {
                    Ok(()) => swept += rows,
                    // A row is in use again: the next sweep looks at the page anew.
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(swept)
    }
}
