//! The member's own book: records filed, found and taken back.

mod retracted_as;
mod subjects;

use std::collections::BTreeSet;

use super::disputes;
use super::draft::Draft;
use super::notices::Withdrawn;
use super::{FlowError, retry_conflicts};
use crate::domain::{
    Body, Identifier, Record, RecordError, RecordId, RetractionReason, RevisionKind, Rule,
    Timestamp, Verdict, merge, withdrawal,
};
use crate::formats::jsonl;
use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::{Scan, Table, Vault};

/// Bytes of a borrower's part of an index key.
const BORROWER_KEY_BYTES: usize = 16;

/// Rows that filing one record can touch: itself, the notices due about it, what its retraction
/// ends, and index, identity and marker per identifier, for the identifiers of the version before
/// and of the new one.
const ROWS_PER_RECORD_MAX: usize = 3 + 3 * 2 * 2;

/// What became of a record that was filed.
pub type Filed = Result<Verdict, FlowError>;

/// What became of records that were filed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filing {
    /// They are filed.
    Done,
    /// One of the rows that should appear with them is there already; nothing was written.
    KeyTaken,
    /// Another version of one of them was filed meanwhile; nothing was written.
    Superseded,
}

/// The member's own records, sealed in the store.
#[derive(Debug, Clone)]
pub struct Book {
    vault: Vault,
}

/// The prefix under which a borrower's records are indexed.
fn borrower_prefix(vault: &Vault, canonical: &str) -> Vec<u8> {
    let mut key = vault
        .row_key(Table::Borrower, canonical.as_bytes())
        .to_vec();
    key.truncate(BORROWER_KEY_BYTES);
    key
}

impl Book {
    /// The book in this vault.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// Files records in order: each is checked against the version held, and what is accepted is
    /// durable and marked for publication when this returns. One verdict or refusal per record;
    /// what tells of a time after `now` is refused.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed; records before the failure may have been filed,
    /// and filing them again changes nothing.
    pub async fn file(&self, records: &[Record], now: Timestamp) -> Result<Vec<Filed>, FlowError> {
        let mut filed = Vec::with_capacity(records.len());
        for chunk in records.chunks(STORE_BATCH_ROWS_MAX / (2 * ROWS_PER_RECORD_MAX)) {
            filed.extend(retry_conflicts(|| self.file_chunk(chunk, now)).await?);
        }
        Ok(filed)
    }

    /// Files records together, with new rows that must appear with them: all of it in one commit,
    /// or nothing.
    ///
    /// # Errors
    /// [`FlowError::Record`] where a record is refused, [`FlowError::Store`] where the store
    /// failed.
    pub(super) async fn file_together(
        &self,
        records: &[Record],
        also: &[(Table, Vec<u8>, Vec<u8>)],
    ) -> Result<Filing, FlowError> {
        retry_conflicts(|| async {
            let mut draft = Draft::default();
            for (table, key, plain) in also {
                if self.vault.read(*table, key).await?.is_some() {
                    return Ok(Filing::KeyTaken);
                }
                draft.put(*table, key, 0, plain.clone());
            }
            for record in records {
                match self.stage(record, &mut draft).await {
                    Ok(Verdict::New { .. } | Verdict::Newer { .. }) => {}
                    Ok(Verdict::Unchanged | Verdict::Stale) => return Ok(Filing::Superseded),
                    Err(FlowError::Record(RecordError {
                        rule: Rule::Conflict,
                        ..
                    })) => return Ok(Filing::Superseded),
                    Err(error) => return Err(error),
                }
            }
            draft.commit(&self.vault).await?;
            Ok(Filing::Done)
        })
        .await
    }

    /// What filing these records would come to; writes nothing.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed.
    pub async fn rehearse(
        &self,
        records: &[Record],
        now: Timestamp,
    ) -> Result<Vec<Filed>, FlowError> {
        let mut draft = Draft::default();
        let mut filed = Vec::with_capacity(records.len());
        for record in records {
            filed.push(keep_store_errors(
                self.arrived(record, now, &mut draft).await,
            )?);
        }
        Ok(filed)
    }

    async fn file_chunk(&self, chunk: &[Record], now: Timestamp) -> Result<Vec<Filed>, FlowError> {
        let mut draft = Draft::default();
        let mut filed = Vec::with_capacity(chunk.len());
        for record in chunk {
            filed.push(keep_store_errors(
                self.arrived(record, now, &mut draft).await,
            )?);
        }
        draft.commit(&self.vault).await?;
        Ok(filed)
    }

    /// Stages what arrived from outside: it may not tell of a time that has not come.
    async fn arrived(
        &self,
        record: &Record,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Verdict, FlowError> {
        record.check_by(now)?;
        self.stage(record, draft).await
    }

    /// Stages one version of a record; what it means beside the version held.
    ///
    /// # Errors
    /// [`FlowError::Record`] where it is refused, [`FlowError::NotPossible`] where it would end a
    /// dispute that is not decided, [`FlowError::Store`] where the store failed.
    pub(super) async fn stage(
        &self,
        record: &Record,
        draft: &mut Draft,
    ) -> Result<Verdict, FlowError> {
        let key = self.record_key(record.head.record_id);
        let row = self.vault.read(Table::Record, &key).await?;
        let revision = row.as_ref().map_or(0, |row| row.revision);
        let held = match draft.staged(Table::Record, &key) {
            Some(staged) => staged.map(decode).transpose()?,
            None => row.map(|row| decode(&row.bytes)).transpose()?,
        };
        let verdict = merge(held.as_ref(), record)?;
        if matches!(verdict, Verdict::Unchanged | Verdict::Stale) {
            return Ok(verdict);
        }
        match &held {
            Some(held) => disputes::check_undecided(&self.vault, held, draft).await?,
            None => self.check_subject(record, draft).await?,
        }
        if record.is_retracted() {
            self.stage_dependents(record, held.as_ref(), draft).await?;
        }
        draft.put(
            Table::Record,
            &key,
            revision,
            jsonl::to_line(record).into_bytes(),
        );
        let now: BTreeSet<&str> = record
            .borrower
            .identifiers()
            .map(Identifier::canonical)
            .collect();
        let before: BTreeSet<&str> = held
            .iter()
            .flat_map(|held| held.borrower.identifiers())
            .map(Identifier::canonical)
            .collect();
        for canonical in &now {
            self.stage_put(
                draft,
                Table::Borrower,
                self.index_key(canonical, &key),
                &key,
            )
            .await?;
            self.stage_identity(draft, canonical).await?;
        }
        for canonical in before.difference(&now) {
            let index = self.index_key(canonical, &key);
            let held = self.vault.read(Table::Borrower, &index).await?;
            draft.delete(Table::Borrower, &index, held.map_or(0, |row| row.revision));
        }
        for canonical in now.union(&before) {
            self.stage_marker(draft, canonical).await?;
        }
        if let Some(withdrawn) = withdrawal(held.as_ref(), record) {
            let mut names: BTreeSet<&str> = now.union(&before).copied().collect();
            let subject = self.find(withdrawn.0).await?;
            let subject = subject.iter().flat_map(|one| one.borrower.identifiers());
            names.extend(subject.map(Identifier::canonical));
            let names = names.into_iter().map(str::to_owned).collect();
            let cause = self.cause(record, held.as_ref(), draft).await?;
            let (about, kind) = withdrawn;
            let (cause, kind) = match &cause {
                Some(cause) => (cause, RevisionKind::Retracted),
                None => (record, kind),
            };
            Withdrawn::stage(&self.vault, draft, cause, (about, kind), names);
        }
        Ok(verdict)
    }

    /// Stages a row whose content never changes, unless it is there.
    async fn stage_put(
        &self,
        draft: &mut Draft,
        table: Table,
        key: Vec<u8>,
        plain: &[u8],
    ) -> Result<(), FlowError> {
        if draft.staged(table, &key).is_none() && self.vault.read(table, &key).await?.is_none() {
            draft.put(table, &key, 0, plain.to_vec());
        }
        Ok(())
    }

    /// Stages the row of an identifier; one that is there must still be there when this is
    /// committed, since it goes when nothing is left of the borrower.
    async fn stage_identity(&self, draft: &mut Draft, canonical: &str) -> Result<(), FlowError> {
        let key = self.vault.row_key(Table::Identity, canonical.as_bytes());
        if draft.staged(Table::Identity, &key).is_none() {
            match self.vault.read(Table::Identity, &key).await? {
                Some(held) => draft.expect(Table::Identity, key.to_vec(), held.revision),
                None => draft.put(Table::Identity, &key, 0, canonical.as_bytes().to_vec()),
            }
        }
        Ok(())
    }

    async fn stage_marker(&self, draft: &mut Draft, canonical: &str) -> Result<(), FlowError> {
        let key = self.vault.row_key(Table::Unpublished, canonical.as_bytes());
        if draft.staged(Table::Unpublished, &key).is_none() {
            let held = self.vault.read(Table::Unpublished, &key).await?;
            let revision = held.map_or(0, |row| row.revision);
            draft.put(
                Table::Unpublished,
                &key,
                revision,
                canonical.as_bytes().to_vec(),
            );
        }
        Ok(())
    }

    /// Stages that a record goes, with its index rows, and that its borrower is published anew.
    /// Gives the version that goes; nothing where there is none.
    pub(super) async fn stage_deletion(
        &self,
        id: RecordId,
        draft: &mut Draft,
    ) -> Result<Option<Record>, FlowError> {
        let key = self.record_key(id);
        let Some(row) = self.vault.read(Table::Record, &key).await? else {
            return Ok(None);
        };
        let held = decode(&row.bytes)?;
        draft.delete(Table::Record, &key, row.revision);
        self.stage_forgotten(&key, draft).await?;
        for identifier in held.borrower.identifiers() {
            let index = self.index_key(identifier.canonical(), &key);
            let row = self.vault.read(Table::Borrower, &index).await?;
            draft.delete(Table::Borrower, &index, row.map_or(0, |row| row.revision));
            self.stage_marker(draft, identifier.canonical()).await?;
        }
        Ok(Some(held))
    }

    /// The sealed store beneath.
    pub(super) const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The newest version of a record.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read back.
    pub async fn find(&self, id: RecordId) -> Result<Option<Record>, FlowError> {
        let row = self.vault.read(Table::Record, &self.record_key(id)).await?;
        row.map(|row| decode(&row.bytes)).transpose()
    }

    /// Whether there is any record of the borrower with this canonical identifier.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed.
    pub(super) async fn has_records(&self, canonical: &str) -> Result<bool, FlowError> {
        let scan = Scan::prefix(&borrower_prefix(&self.vault, canonical), 1);
        Ok(!self.vault.scan(Table::Borrower, &scan).await?.is_empty())
    }

    /// The newest versions of every record of the borrower with this canonical identifier; and, of
    /// those under other identifiers of the borrower, what was retracted and a signal is about.
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read back.
    pub async fn records_of(&self, canonical: &str) -> Result<Vec<Record>, FlowError> {
        let prefix = borrower_prefix(&self.vault, canonical);
        let mut records = Vec::new();
        let mut after = None;
        loop {
            let scan = Scan {
                prefix: prefix.clone(),
                after,
                limit: STORE_BATCH_ROWS_MAX,
            };
            let page = self.vault.scan(Table::Borrower, &scan).await?;
            let Some((last, _)) = page.last() else {
                records.extend(self.retracted_subjects(&records).await?);
                return Ok(records);
            };
            after = Some(last.clone());
            for (_, row) in &page {
                let held = self.vault.read(Table::Record, &row.bytes).await?;
                records.extend(held.map(|row| decode(&row.bytes)).transpose()?);
            }
        }
    }

    /// The next page of the book, in the order of the store's keys, and where the page after it
    /// begins.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read back.
    pub async fn page(
        &self,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<Record>, Option<Vec<u8>>), FlowError> {
        let scan = Scan {
            prefix: Vec::new(),
            after,
            limit: STORE_BATCH_ROWS_MAX,
        };
        let page = self.vault.scan(Table::Record, &scan).await?;
        let next = page.last().map(|(key, _)| key.clone());
        let records = page
            .iter()
            .map(|(_, row)| decode(&row.bytes))
            .collect::<Result<_, _>>()?;
        Ok((records, next))
    }

    /// Retracts a record: its next version takes it back.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such record; as [`Book::file`] otherwise.
    pub async fn retract(
        &self,
        id: RecordId,
        reason: RetractionReason,
        now: Timestamp,
    ) -> Result<Record, FlowError> {
        let held = self
            .find(id)
            .await?
            .ok_or(FlowError::NotFound { what: "record" })?;
        if let Body::Retracted(retracted) = &held.body {
            if retracted.reason == reason {
                return Ok(held);
            }
            let before = retracted.reason;
            let why = format!("this record was retracted already, as {before}");
            return Err(FlowError::NotPossible(why));
        }
        let next = held.retracted(reason, now);
        match self.file_together(std::slice::from_ref(&next), &[]).await? {
            Filing::Done => Ok(next),
            Filing::KeyTaken | Filing::Superseded => Err(FlowError::Busy),
        }
    }

    fn record_key(&self, id: RecordId) -> Vec<u8> {
        self.vault.row_key(Table::Record, id.0.as_bytes()).to_vec()
    }

    fn index_key(&self, canonical: &str, record_key: &[u8]) -> Vec<u8> {
        [
            borrower_prefix(&self.vault, canonical).as_slice(),
            record_key,
        ]
        .concat()
    }
}

/// A refusal is one record's; a failure of the store is everyone's.
fn keep_store_errors(result: Result<Verdict, FlowError>) -> Result<Filed, FlowError> {
    match result {
        Err(error) if error.is_store() => Err(error),
        other => Ok(other),
    }
}

fn decode(bytes: &[u8]) -> Result<Record, FlowError> {
    let line = std::str::from_utf8(bytes).map_err(|_| FlowError::Unreadable { what: "record" })?;
    jsonl::from_sealed_line(line).map_err(|_| FlowError::Unreadable { what: "record" })
}
