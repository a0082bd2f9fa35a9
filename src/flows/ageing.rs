//! What goes with age: key epochs that are served no more, answers and openings of queries, alerts,
//! and what waits for a person or was decided by one.
//!
//! A pass is bounded, and each of its commits leaves nothing half done, so that a node that is
//! killed goes on where it was.

mod alerts;
mod answers;
mod epochs;
mod rows;

use std::sync::Arc;

use super::draft::Draft;
use super::home::Home;
use super::{Book, FlowError, Mirrors, OwnFeeds, OwnKeys, Revisions, retry_conflicts};
use crate::domain::Timestamp;
use crate::limits::{STORE_BATCH_ROWS_MAX, SWEEP_COMMITS_MAX, SWEEP_EVERY, SWEEP_PAUSE};
use crate::store::{Scan, Table};

pub(super) use answers::index_since;
pub(super) use epochs::{first_kept, is_forgotten};
pub(super) use rows::dated;

/// Deletes what is old.
#[derive(Debug, Clone)]
pub struct Ageing {
    home: Arc<Home>,
    book: Book,
    keys: Arc<OwnKeys>,
    feeds: Arc<OwnFeeds>,
    mirrors: Arc<Mirrors>,
    revisions: Arc<Revisions>,
}

/// What is deleted at a moment ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// What: `epoch N` (its leaves, mirrors, tokens and keys), `answer`, `alert`, `dated`
    /// (idempotency keys, the index from borrowers to queries, revision notices, signals that wait
    /// for a reviewer, decided disputes) or `notice-key` (what tells which answers a notice means).
    pub kind: String,
    /// The rule: `key_epoch`, `answer_days` or `notice_days`.
    pub rule: &'static str,
    /// How many leaves, answers or keys there are of it.
    pub rows: u64,
    /// How many of them are due already.
    pub due: u64,
    /// When the first of them is deleted.
    pub first_at: Timestamp,
}

/// Commits that are left of a pass.
#[derive(Debug)]
struct Budget(u32);

impl Budget {
    /// Whether there is one more.
    const fn take(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }

    /// Takes steps of one commit each, until one says that it was the last; `false` where the pass
    /// ended before.
    async fn spend<F: Future<Output = Result<bool, FlowError>>>(
        &mut self,
        step: impl Fn() -> F,
    ) -> Result<bool, FlowError> {
        while self.take() {
            if retry_conflicts(&step).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Ageing {
    /// Deletes from this node's store, and from what these hold in memory.
    #[must_use]
    pub fn new(
        (home, book): (Arc<Home>, Book),
        (keys, feeds): (Arc<OwnKeys>, Arc<OwnFeeds>),
        mirrors: Arc<Mirrors>,
        revisions: Arc<Revisions>,
    ) -> Self {
        Self {
            home,
            book,
            keys,
            feeds,
            mirrors,
            revisions,
        }
    }

    /// Deletes what is old, every hour; never ends.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            loop {
                match self.sweep().await {
                    Ok(true) => break,
                    Ok(false) => tokio::time::sleep(SWEEP_PAUSE).await,
                    Err(error) => {
                        tracing::warn!(%error, "old rows were not all deleted; it is tried again");
                        break;
                    }
                }
            }
        }
    }

    /// One pass. Gives whether all that is due is gone.
    ///
    /// # Errors
    /// The store's failure; what was deleted until then stays deleted.
    pub async fn sweep(&self) -> Result<bool, FlowError> {
        self.note_index().await?;
        let mut budget = Budget(SWEEP_COMMITS_MAX);
        Ok(self.forget_epochs(&mut budget).await?
            && budget.spend(|| self.date_some_keys()).await?
            && budget.spend(|| self.forget_some_answers()).await?
            && budget.spend(|| self.forget_some_dated()).await?
            && budget.spend(|| self.forget_some_alerts()).await?)
    }

    /// What will be deleted when, the earliest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn schedule(&self) -> Result<Vec<Ahead>, FlowError> {
        let mut ahead = self.epochs_ahead().await?;
        ahead.extend(self.answers_ahead().await?);
        ahead.extend(self.dated_ahead().await?);
        ahead.extend(self.alerts_ahead().await?);
        ahead.extend(self.revisions.ahead().await?);
        ahead.sort_by_key(|one| one.first_at);
        Ok(ahead)
    }

    /// Deletes every row whose key begins so; `false` where the pass ended before.
    async fn delete_all(
        &self,
        table: Table,
        prefix: &[u8],
        budget: &mut Budget,
    ) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        loop {
            if !budget.take() {
                return Ok(false);
            }
            let deleted = retry_conflicts(|| async {
                let scan = Scan::prefix(prefix, STORE_BATCH_ROWS_MAX);
                // What goes is not opened first.
                let page = vault.store().scan(table, &scan).await?;
                let mut draft = Draft::default();
                for (key, row) in &page {
                    draft.delete(table, key, row.revision);
                }
                draft.commit(vault).await?;
                Ok(page.len())
            });
            if deleted.await? < STORE_BATCH_ROWS_MAX {
                return Ok(true);
            }
        }
    }

    /// Stages that a row goes, where it is there.
    async fn stage_gone(
        &self,
        draft: &mut Draft,
        table: Table,
        key: &[u8],
    ) -> Result<bool, FlowError> {
        let held = self.home.vault.store().read(table, key).await?;
        if let Some(row) = &held {
            draft.delete(table, key, row.revision);
        }
        Ok(held.is_some())
    }

    /// Rows of a table.
    async fn count(&self, table: Table) -> Result<u64, FlowError> {
        let mut scan = Scan::all(STORE_BATCH_ROWS_MAX);
        let mut rows = 0;
        loop {
            let page = self.home.vault.store().scan(table, &scan).await?;
            rows += page.len() as u64;
            match page.last() {
                Some((key, _)) if page.len() == STORE_BATCH_ROWS_MAX => scan = scan.behind(key),
                Some(_) | None => return Ok(rows),
            }
        }
    }
}
