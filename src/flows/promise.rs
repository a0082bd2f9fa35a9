//! Idempotency keys: a request that is made again finds what it made the first time.

use std::sync::Arc;

use super::ageing::dated;
use super::draft::Draft;
use super::{Book, Filing, FlowError, Given, retry_conflicts};
use crate::domain::{QueryId, Record, RecordId};
use crate::env::Clock;
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::store::{Table, Vault};
use crate::wire::Malformed;

/// What an idempotency key stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// The record that the request made or was about.
    pub(super) record: RecordId,
    /// The query that answered it, once there is one.
    pub(super) query: Option<QueryId>,
}

impl Promise {
    fn decode(bytes: &[u8], digest: [u8; 32]) -> Result<Self, FlowError> {
        let unreadable = || FlowError::Unreadable {
            what: "idempotency key",
        };
        let (held, rest) = bytes.split_first_chunk::<32>().ok_or_else(unreadable)?;
        if *held != digest {
            return Err(FlowError::IdempotencyKeyReused);
        }
        let (record, rest) = rest.split_first_chunk::<16>().ok_or_else(unreadable)?;
        let query = rest.first_chunk::<16>();
        Ok(Self {
            record: RecordId(uuid::Uuid::from_bytes(*record)),
            query: query.map(|id| QueryId(uuid::Uuid::from_bytes(*id))),
        })
    }
}

/// The idempotency keys in the store.
#[derive(Debug, Clone)]
pub(super) struct Promises {
    vault: Vault,
    book: Book,
    clock: Arc<dyn Clock>,
}

impl Promises {
    pub(super) fn new(vault: Vault, book: Book, clock: Arc<dyn Clock>) -> Self {
        Self { vault, book, clock }
    }

    /// What the key stands for, if it was used before for this same request.
    pub(super) async fn find(
        &self,
        step: &str,
        key: &str,
        digest: [u8; 32],
    ) -> Result<Option<Promise>, FlowError> {
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            let reason = format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
            return Err(Malformed::new("idempotency_key", reason).into());
        }
        let row_key = self.row_key(step, key);
        let row = self.vault.read(Table::Idempotency, &row_key).await?;
        row.map(|row| Promise::decode(&row.bytes, digest))
            .transpose()
    }

    /// Files the records of a step and, in the same commit, that the key stands for the first of
    /// them. Gives the record that the key stands for: another one where the same request, made
    /// twice at once, filed it first; nothing where a record that the step builds on was changed
    /// meanwhile, and then nothing is written.
    pub(super) async fn file(
        &self,
        step: &str,
        key: &str,
        digest: [u8; 32],
        records: &[Record],
    ) -> Result<Option<Record>, FlowError> {
        let Some(first) = records.first() else {
            return Err(FlowError::NotFound { what: "record" });
        };
        let plain = [digest.as_slice(), first.head.record_id.0.as_bytes()].concat();
        let row = (Table::Idempotency, self.row_key(step, key), plain);
        let date = self.dated(&row.1);
        match self.book.file_together(records, &[row, date]).await? {
            Filing::Done => return Ok(Some(first.clone())),
            Filing::Superseded => return Ok(None),
            Filing::KeyTaken => {}
        }
        let unreadable = FlowError::Unreadable {
            what: "idempotency key",
        };
        let promise = self.find(step, key, digest).await?.ok_or(unreadable)?;
        let filed = self.book.find(promise.record).await?;
        let filed = filed.ok_or(FlowError::Unreadable { what: "record" })?;
        Ok(Some(filed))
    }

    /// Notes the query that answered the request. Gives the query that stands: another one where
    /// the same request, made twice at once, was answered first.
    pub(super) async fn fulfil(
        &self,
        step: &str,
        key: &str,
        digest: [u8; 32],
        given: &Given,
    ) -> Result<QueryId, FlowError> {
        let row_key = self.row_key(step, key);
        let (record, query) = (given.application.0.as_bytes(), given.query.0.as_bytes());
        let plain = [digest.as_slice(), record, query].concat();
        retry_conflicts(|| async {
            let held = self.vault.read(Table::Idempotency, &row_key).await?;
            if let Some(row) = &held
                && let Some(query) = Promise::decode(&row.bytes, digest)?.query
            {
                return Ok(query);
            }
            let mut draft = Draft::default();
            let revision = held.map_or(0, |row| row.revision);
            draft.put(Table::Idempotency, &row_key, revision, plain.clone());
            if revision == 0 {
                let (table, key, row) = self.dated(&row_key);
                draft.put(table, &key, 0, row);
            }
            draft.commit(&self.vault).await?;
            Ok(given.query)
        })
        .await
    }

    /// Lets the key go when it is old.
    fn dated(&self, row_key: &[u8]) -> (Table, Vec<u8>, Vec<u8>) {
        dated(&self.vault, (Table::Idempotency, row_key), self.clock.now())
    }

    fn row_key(&self, step: &str, key: &str) -> Vec<u8> {
        self.vault
            .row_key(Table::Idempotency, format!("{step}/{key}").as_bytes())
            .to_vec()
    }
}
