//! Deleting records at the end of their terms, and telling ahead what is deleted when.

use std::collections::{BTreeMap, BTreeSet};

use super::desk::Desk;
use super::draft::Draft;
use super::{Book, FlowError, disputes, retry_conflicts};
use crate::domain::{Body, Expiry, Record, RecordId, RecordKind, SignalKind, Timestamp, expiry};
use crate::limits::SWEEP_EVERY;

/// Records of one kind that one rule deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// What they are, or were before their retraction.
    pub kind: RecordKind,
    /// The rule: a term of the retention policy, or `expires_on`.
    pub rule: &'static str,
    /// How many.
    pub records: u64,
    /// How many of them are due already.
    pub due: u64,
    /// When the first of them is deleted.
    pub first_at: Timestamp,
}

impl Desk {
    /// Deletes every record whose terms are over, with its index rows, and has what changed
    /// published. Gives how many.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed; what was deleted until then stays deleted.
    pub async fn delete_expired(&self) -> Result<u64, FlowError> {
        let now = self.home.clock.now();
        let mut deleted = 0;
        let mut after = None;
        loop {
            let (records, next) = self.book.page(after).await?;
            for record in &records {
                if self.is_over(record, now).await? {
                    deleted += self.delete(record, now).await?;
                }
            }
            if next.is_none() {
                break;
            }
            after = next;
        }
        if deleted > 0 {
            self.nudge();
            tracing::info!(deleted, "records whose terms are over were deleted");
        }
        Ok(deleted)
    }

    /// What will be deleted, by kind and rule, the earliest first.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the book cannot be read back.
    pub async fn deletions(&self) -> Result<Vec<Scheduled>, FlowError> {
        let now = self.home.clock.now();
        let mut found: BTreeMap<(RecordKind, &'static str), Scheduled> = BTreeMap::new();
        let mut after = None;
        loop {
            let (records, next) = self.book.page(after).await?;
            for record in &records {
                let Some(end) = self.end_of(record) else {
                    continue;
                };
                let (kind, rule) = (record.kind(), end.rule_word());
                let one = found.entry((kind, rule)).or_insert(Scheduled {
                    kind,
                    rule,
                    records: 0,
                    due: 0,
                    first_at: end.at,
                });
                one.records += 1;
                one.due += u64::from(end.at <= now);
                one.first_at = one.first_at.min(end.at);
            }
            if next.is_none() {
                let mut all: Vec<Scheduled> = found.into_values().collect();
                all.sort_by_key(|one| one.first_at);
                return Ok(all);
            }
            after = next;
        }
    }

    /// Deletes what has expired, every hour.
    pub async fn keep_terms(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.delete_expired().await {
                tracing::warn!(%error, "expired records were not all deleted; it is tried again");
            }
        }
    }

    fn end_of(&self, record: &Record) -> Option<Expiry> {
        expiry(record, &self.home.retention.terms(&record.borrower))
    }

    /// Whether a record's terms are over. A dispute goes with the record that it is about.
    async fn is_over(&self, record: &Record, now: Timestamp) -> Result<bool, FlowError> {
        if self.end_of(record).is_some_and(|end| end.at <= now) {
            return Ok(true);
        }
        match &record.body {
            Body::Signal(signal) if signal.kind == SignalKind::Disputed => match signal.about {
                Some(about) => Ok(self.book.find(about).await?.is_none()),
                None => Ok(false),
            },
            Body::Signal(_)
            | Body::Loan(_)
            | Body::Application(_)
            | Body::Hold(_)
            | Body::Retracted(_) => Ok(false),
        }
    }

    /// Deletes a record; first what is said about it, where it is retracted: alone, that would be
    /// told again.
    async fn delete(&self, record: &Record, now: Timestamp) -> Result<u64, FlowError> {
        let mut deleted = 0;
        if self.is_gone(record).await? {
            for id in self.said_about(record).await? {
                deleted += u64::from(retry_conflicts(|| self.try_delete_gone(id)).await?);
            }
        }
        let id = record.head.record_id;
        Ok(deleted + u64::from(retry_conflicts(|| self.try_delete(id, now)).await?))
    }

    /// Whether a record was retracted, or what it is about, or what that is about.
    async fn is_gone(&self, record: &Record) -> Result<bool, FlowError> {
        // Signals about each other in a circle end here too.
        let mut seen = BTreeSet::new();
        let mut held = Some(record.clone());
        while let Some(one) = held {
            if one.is_retracted() {
                return Ok(true);
            }
            held = match one.subject() {
                Some(about) if seen.insert(about) => self.book.find(about).await?,
                Some(_) | None => None,
            };
        }
        Ok(false)
    }

    /// What is said about a record, and about that; each before what it is about.
    pub(super) async fn said_about(&self, record: &Record) -> Result<Vec<RecordId>, FlowError> {
        let mut found = vec![record.head.record_id];
        let mut next = vec![record.clone()];
        while let Some(one) = next.pop() {
            for name in one.borrower.identifiers() {
                for signal in self.book.records_of(name.canonical()).await? {
                    let id = signal.head.record_id;
                    if signal.subject() == Some(one.head.record_id) && !found.contains(&id) {
                        found.push(id);
                        next.push(signal);
                    }
                }
            }
        }
        found.reverse();
        found.pop();
        Ok(found)
    }

    async fn try_delete_gone(&self, id: RecordId) -> Result<bool, FlowError> {
        let mut draft = Draft::default();
        let held = self.book.stage_deletion(id, &mut draft).await?;
        draft.commit(self.vault()).await?;
        Ok(held.is_some())
    }

    /// Deletes one record, unless a newer version of it has come meanwhile that stays.
    async fn try_delete(&self, id: RecordId, now: Timestamp) -> Result<bool, FlowError> {
        let mut draft = Draft::default();
        let Some(held) = self.book.stage_deletion(id, &mut draft).await? else {
            return Ok(false);
        };
        if !self.is_over(&held, now).await? {
            return Ok(false);
        }
        if matches!(&held.body, Body::Signal(signal) if signal.kind == SignalKind::Disputed) {
            disputes::stage_end(self.vault(), id, now, &mut draft).await?;
        }
        draft.commit(self.vault()).await?;
        Ok(true)
    }

    const fn vault(&self) -> &crate::store::Vault {
        Book::vault(&self.book)
    }
}
