//! Erasing a borrower from this member's book before the terms of its records are over.
//!
//! Everything goes that stands because the member reported the borrower: records, disputes, the
//! place on the watch list, and the identifiers themselves. Who was answered from a record hears by
//! notice that it is gone. What proves that queries were lawful (queries, answers, audit log) goes
//! at its own term. What is left of deleted rows on the disk goes with the data key that sealed it.

use std::collections::BTreeSet;

use super::ageing::dated;
use super::desk::Desk;
use super::draft::Draft;
use super::feed_rows::FeedRows;
use super::notices::Withdrawn;
use super::{AuditEvent, Book, FlowError, Ledger, Watch, disputes, retry_conflicts};
use crate::domain::{
    ApplicationOutcome, Body, Borrower, ErasureReason, Identifier, Level, LoanState, OperatorName,
    QueryId, Record, RetractionReason, RevisionKind, SignalKind, Timestamp,
};
use crate::limits::{ERASED_AT_ONCE, STORE_SCAN_ROWS_MAX};
use crate::store::{Scan, Table, Vault};

/// Who erases a borrower, and why.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Who is erased.
    pub borrower: Borrower,
    /// Who at this member decided it.
    pub by: OperatorName,
    /// Why.
    pub reason: ErasureReason,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Its id, as the audit log has it.
    pub id: QueryId,
    /// When.
    pub at: Timestamp,
    /// Records that were deleted.
    pub records: u64,
    /// Whether the borrower was watched.
    pub watched: bool,
}

/// Erases borrowers.
#[derive(Debug, Clone)]
pub struct Eraser {
    desk: Desk,
    ledger: Ledger,
    watch: Watch,
}

/// The key under which a list may name an erased identifier: a keyed hash.
#[must_use]
pub fn erased_name(vault: &Vault, canonical: &str) -> [u8; 32] {
    vault.row_key(Table::Identity, canonical.as_bytes())
}

/// Deletes the records of an identifier in a store that nobody serves: what an erasure did, done
/// again after an older backup was restored. Gives how many.
///
/// # Errors
/// The store's failure; it can be done again.
pub async fn erase_again(vault: &Vault, name: &[u8; 32], at: Timestamp) -> Result<u64, FlowError> {
    let Some(canonical) = canonical_of(vault, name).await? else {
        return Ok(0);
    };
    let book = Book::new(vault.clone());
    let records = owned(&book, &[canonical]).await?;
    delete_all(&book, records, None, at).await
}

/// The records of whoever holds these identifiers. A record belongs to the national identity that
/// it names, and to its telephone number only where it names none: a number may be shared, and
/// whoever else has it is not erased along.
async fn owned(book: &Book, names: &[String]) -> Result<Vec<Record>, FlowError> {
    let mut records: Vec<Record> = Vec::new();
    for name in names {
        let of_it = book.records_of(name).await?.into_iter();
        records.extend(of_it.filter(|record| owner(record) == Some(name.as_str())));
    }
    records.sort_by_key(|record| record.head.record_id);
    records.dedup_by_key(|record| record.head.record_id);
    Ok(records)
}

/// The identifier of whom a record is about.
fn owner(record: &Record) -> Option<&str> {
    let strongest = record.borrower.identifiers().next();
    strongest.map(Identifier::canonical)
}

async fn canonical_of(vault: &Vault, name: &[u8; 32]) -> Result<Option<String>, FlowError> {
    let row = vault.read(Table::Identity, name).await?;
    row.map(|row| String::from_utf8(row.bytes.to_vec()))
        .transpose()
        .map_err(|_| FlowError::Unreadable { what: "identity" })
}

impl Eraser {
    /// Erases from the book of this desk and from this watch list, and logs it there.
    #[must_use]
    pub const fn new(desk: Desk, ledger: Ledger, watch: Watch) -> Self {
        Self {
            desk,
            ledger,
            watch,
        }
    }

    /// Refuses what may not be erased: a borrower of whom nothing is held, or with whom something
    /// still runs. Gives the identifiers that are erased.
    ///
    /// # Errors
    /// [`FlowError::NotFound`], [`FlowError::NotPossible`] with what is to be ended first.
    pub async fn check(&self, borrower: &Borrower) -> Result<Vec<String>, FlowError> {
        let now = self.desk.now();
        let names = names_of(borrower);
        let records = self.records(&names).await?;
        if records.is_empty() && !self.is_watched(&names).await? {
            return Err(FlowError::NotFound {
                what: "borrower in this book",
            });
        }
        for record in &records {
            disputes::check_undecided(self.vault(), record, &Draft::default()).await?;
            if let Some(why) = still_runs(record, now) {
                let id = record.head.record_id;
                let why = format!("record {id} is {why}: nothing was erased");
                return Err(FlowError::NotPossible(why));
            }
        }
        for pending in self.desk.pending_signals().await? {
            if owner(&pending).is_some_and(|owner| names.iter().any(|name| name == owner)) {
                let id = pending.head.record_id;
                let why = format!("signal {id} waits for its reviewer: review it first");
                return Err(FlowError::NotPossible(why));
            }
        }
        Ok(names)
    }

    /// Deletes the borrower's records and publishes that. It is logged before, and can be done
    /// again.
    ///
    /// # Errors
    /// The store's or the ledger's failure, [`FlowError::NotPublished`].
    pub async fn erase(&self, erasure: &Erasure) -> Result<Erased, FlowError> {
        let home = &self.desk.home;
        let at = self.desk.now();
        let mut random = [0; 10];
        home.entropy.fill(&mut random)?;
        let id = QueryId::fresh(at, random);
        let event = AuditEvent::Erased {
            erasure: id,
            by: erasure.by.clone(),
            reason: erasure.reason,
        };
        self.ledger.log(event, Vec::new()).await?;
        let names = names_of(&erasure.borrower);
        let records = self.records(&names).await?;
        let watched = self.watch_no_more(&names).await?;
        let deleted = self.delete(&names, records).await?;
        Ok(Erased {
            id,
            at,
            records: deleted,
            watched,
        })
    }

    /// Comes to the end of an erasure that a stop cut short: of the records that were reported
    /// until its moment, where that is not done, and of what names the borrower.
    ///
    /// # Errors
    /// As [`Self::erase`].
    pub async fn resume(&self, name: &[u8; 32], until: Option<Timestamp>) -> Result<(), FlowError> {
        let Some(canonical) = canonical_of(self.vault(), name).await? else {
            return Ok(());
        };
        let names = [canonical];
        let mut records = Vec::new();
        if let Some(until) = until {
            self.watch_no_more(&names).await?;
            records = self.records(&names).await?;
            records.retain(|record| record.head.reported_at <= until);
        }
        self.delete(&names, records).await.map(|_| ())
    }

    async fn watch_no_more(&self, names: &[String]) -> Result<bool, FlowError> {
        let mut watched = false;
        for name in names {
            watched |= self.watch.remove(name).await?;
        }
        Ok(watched)
    }

    async fn delete(&self, names: &[String], records: Vec<Record>) -> Result<u64, FlowError> {
        let mut touched: BTreeSet<String> = names.iter().cloned().collect();
        for record in &records {
            touched.extend(names_of(&record.borrower));
        }
        let book = &self.desk.book;
        let now = self.desk.now();
        let deleted = delete_all(book, records, Some(&self.desk), now).await?;
        self.desk.publish_names(touched.iter().cloned()).await?;
        for name in &touched {
            retry_conflicts(|| self.forget_name(name)).await?;
        }
        Ok(deleted)
    }

    async fn is_watched(&self, names: &[String]) -> Result<bool, FlowError> {
        for name in names {
            if self.watch.watched_since(name).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The borrower's records, and what is said about them under other identifiers.
    async fn records(&self, names: &[String]) -> Result<Vec<Record>, FlowError> {
        let mut records = owned(&self.desk.book, names).await?;
        for record in records.clone() {
            for id in self.desk.said_about(&record).await? {
                if records.iter().all(|held| held.head.record_id != id) {
                    records.extend(self.desk.book.find(id).await?);
                }
            }
        }
        Ok(records)
    }

    /// Lets an identifier go of which there is no record any more. How many leaves it has in live
    /// epochs stays, so that no number is used twice, and goes by its day.
    async fn forget_name(&self, canonical: &str) -> Result<(), FlowError> {
        let (home, vault) = (&*self.desk.home, self.vault());
        if self.desk.book.has_records(canonical).await? {
            return Ok(());
        }
        let mut draft = Draft::default();
        let identity = erased_name(vault, canonical);
        if let Some(row) = vault.store().read(Table::Identity, &identity).await? {
            draft.delete(Table::Identity, &identity, row.revision);
        }
        let marker = vault.row_key(Table::Unpublished, canonical.as_bytes());
        draft.expect(Table::Unpublished, marker.to_vec(), 0);
        let now = home.clock.now();
        let next = home.calendar.current(now).next();
        for epoch in home.calendar.served(now).into_iter().chain([next]) {
            for level in Level::ALL {
                let feed = home.feed(*level, epoch);
                let key = FeedRows::new(home, &feed).leaf_count_key(canonical);
                let held = vault.store().read(Table::LeafCount, &key).await?;
                let revision = held.map_or(0, |row| row.revision);
                if revision > 0 {
                    let (table, name, row) = dated(vault, (Table::LeafCount, &key), now);
                    let held = vault.store().read(table, &name).await?;
                    draft.put(table, &name, held.map_or(0, |row| row.revision), row);
                }
                draft.expect(Table::LeafCount, key, revision);
            }
        }
        for (key, revision) in due_of(vault, canonical).await? {
            draft.delete(Table::Due, &key, revision);
        }
        draft.commit(vault).await
    }

    fn vault(&self) -> &Vault {
        self.desk.book.vault()
    }
}

fn names_of(borrower: &Borrower) -> Vec<String> {
    let names = borrower.identifiers().map(Identifier::canonical);
    names.map(str::to_owned).collect()
}

/// What forbids to erase a record, and what to do about it.
fn still_runs(record: &Record, now: Timestamp) -> Option<&'static str> {
    match &record.body {
        Body::Loan(loan) if loan.state == LoanState::Active => {
            Some("a running loan, of which the others must know; report its end first")
        }
        Body::Application(one) if one.outcome == ApplicationOutcome::Pending => {
            Some("an application without an outcome; close it first (`creditmesh close`)")
        }
        Body::Hold(hold) if hold.is_live(now) => {
            Some("a live hold; give it up first with `creditmesh hold release HOLD`")
        }
        Body::Loan(_)
        | Body::Application(_)
        | Body::Hold(_)
        | Body::Signal(_)
        | Body::Retracted(_) => None,
    }
}

/// What goes first where one commit does not take all: what speaks against the borrower before what
/// excuses it, and what was retracted last, since signals about it would be told again.
fn order(record: &Record) -> u8 {
    match &record.body {
        Body::Retracted(_) => 2,
        Body::Signal(signal) if matches!(signal.kind, SignalKind::Cured | SignalKind::Disputed) => {
            1
        }
        Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Signal(_) => 0,
    }
}

/// Deletes records with what hangs on them; with notices to whoever was answered from one, where
/// there is a desk that posts them.
async fn delete_all(
    book: &Book,
    mut records: Vec<Record>,
    notices: Option<&Desk>,
    now: Timestamp,
) -> Result<u64, FlowError> {
    records.sort_by_key(order);
    let mut deleted = 0;
    for some in records.chunks(ERASED_AT_ONCE) {
        deleted += retry_conflicts(|| async {
            let mut draft = Draft::default();
            let mut gone = 0;
            for record in some {
                gone += u64::from(stage(book, record, &mut draft, (notices, now)).await?);
            }
            draft.commit(book.vault()).await?;
            Ok(gone)
        })
        .await?;
    }
    Ok(deleted)
}

async fn stage(
    book: &Book,
    record: &Record,
    draft: &mut Draft,
    (notices, now): (Option<&Desk>, Timestamp),
) -> Result<bool, FlowError> {
    let (vault, id) = (book.vault(), record.head.record_id);
    let Some(held) = book.stage_deletion(id, draft).await? else {
        return Ok(false);
    };
    let dispute = vault.row_key(Table::Dispute, id.0.as_bytes());
    if let Some(row) = vault.store().read(Table::Dispute, &dispute).await? {
        draft.delete(Table::Dispute, &dispute, row.revision);
    }
    if notices.is_some() && !held.is_retracted() {
        let last = held.retracted(RetractionReason::FurnisherError, now);
        let names = names_of(&held.borrower);
        Withdrawn::stage(vault, draft, &last, (id, RevisionKind::Retracted), names);
    }
    Ok(true)
}

/// The moments at which an identifier was to be published again.
async fn due_of(vault: &Vault, canonical: &str) -> Result<Vec<(Vec<u8>, u64)>, FlowError> {
    let name = vault.row_key(Table::Due, canonical.as_bytes());
    let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
    let mut found = Vec::new();
    loop {
        let page = vault.store().scan(Table::Due, &scan).await?;
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        scan = scan.behind(last);
        let of_it = page.into_iter().filter(|(key, _)| key.ends_with(&name));
        found.extend(of_it.map(|(key, row)| (key, row.revision)));
    }
}
