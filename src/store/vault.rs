//! The store as flows see it: plaintext in, plaintext out, sealed in between.

use std::sync::Arc;

use tokio::sync::{RwLock, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::crypto::{Keyring, OpenError, SealContext, Sealed};
use crate::limits::RING_WAIT;

use super::{Batch, Change, Replicas, Row, Scan, Store, StoreError, Table};

/// A row's content, opened; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// The revision that the row is at: what a later change of it names.
    pub revision: u64,
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.len();
        write!(f, "Plain {{ revision: {}, bytes: {bytes} }}", self.revision)
    }
}

/// A store together with the key ring that seals and opens its rows. Clones share both.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Arc<dyn Store>,
    keys: Arc<Keyring>,
    /// Held for reading while rows are on their way between store and keys, for writing while the
    /// keys change.
    pub(super) in_use: Arc<RwLock<()>>,
    /// How often the keys changed.
    pub(super) turned: Arc<watch::Sender<u64>>,
    replicas: Replicas,
}

impl Vault {
    /// The rows of `store` under `keys`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keys: Arc<Keyring>) -> Self {
        let replicas = store.replicas();
        Self {
            store,
            keys,
            in_use: Arc::default(),
            turned: Arc::new(watch::Sender::new(0)),
            replicas,
        }
    }

    /// The other processes that use the same rows.
    #[must_use]
    pub const fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// The store beneath, for what needs no content: digests and closing.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The key ring.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The key that a row about `name` has: a keyed hash, so that the disk tells no names.
    #[must_use]
    pub fn row_key(&self, table: Table, name: &[u8]) -> [u8; 32] {
        self.keys.row_key(table.name(), name)
    }

    /// The content of a row. A row that another replica sealed under a newer key waits for that
    /// key.
    ///
    /// # Errors
    /// [`StoreError::SealBroken`] where the row is not what was sealed at this place, or what the
    /// engine says; never for an absent row.
    pub async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Plain>, StoreError> {
        self.with_newest_keys(|| async {
            let _in_use = self.in_use.read().await;
            let row = self.store.read(table, key).await?;
            row.map(|row| self.open(table, key, &row)).transpose()
        })
        .await
    }

    /// The contents of a page of rows, in the order of their keys; see [`Store::scan`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn scan(
        &self,
        table: Table,
        scan: &Scan,
    ) -> Result<Vec<(Vec<u8>, Plain)>, StoreError> {
        self.with_newest_keys(|| async {
            let _in_use = self.in_use.read().await;
            let rows = self.store.scan(table, scan).await?;
            let open = |(key, row): (Vec<u8>, Row)| {
                let plain = self.open(table, &key, &row)?;
                Ok((key, plain))
            };
            rows.into_iter().map(open).collect()
        })
        .await
    }

    /// Reads; and once more when the keys have changed, where a row is under a key that is not here
    /// yet.
    async fn with_newest_keys<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        read: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut turned = self.turned.subscribe();
        let first = read().await;
        if self.replicas.is_alone() || !first.as_ref().is_err_and(lacks_a_key) {
            return first;
        }
        let _turned = timeout(RING_WAIT, turned.changed()).await;
        read().await
    }

    /// An empty batch.
    #[must_use]
    pub fn batch(&self) -> VaultBatch {
        VaultBatch::default()
    }

    /// Seals and applies a batch; see [`Store::commit`].
    ///
    /// # Errors
    /// [`StoreError::SealFailed`], and all that [`Store::commit`] refuses.
    pub async fn commit(&self, batch: VaultBatch) -> Result<(), StoreError> {
        let _in_use = self.in_use.read().await;
        let batch = self.seal(&batch)?;
        self.store.commit(batch).await
    }

    pub(super) fn open(&self, table: Table, key: &[u8], row: &Row) -> Result<Plain, StoreError> {
        let context = SealContext {
            table: table.name(),
            key,
            revision: row.revision,
        };
        let bytes = self.keys.open(&context, &row.sealed);
        Ok(Plain {
            revision: row.revision,
            bytes: bytes.map_err(|reason| StoreError::SealBroken { table, reason })?,
        })
    }

    fn seal(&self, batch: &VaultBatch) -> Result<Batch, StoreError> {
        let mut sealed_batch = Batch::new();
        for PlainChange { table, key, step } in &batch.changes {
            let (table, change) = match step {
                Step::Put { previous, plain } => {
                    let out_of_range = StoreError::RevisionOutOfRange { table: *table };
                    let revision = previous.checked_add(1).ok_or(out_of_range)?;
                    let sealed = self.seal_row(*table, key, revision, plain)?;
                    (*table, Change::Put { revision, sealed })
                }
                Step::Delete { revision } => {
                    let revision = *revision;
                    (*table, Change::Delete { revision })
                }
                Step::Expect { revision } => {
                    let revision = *revision;
                    (*table, Change::Expect { revision })
                }
            };
            sealed_batch.push(table, key, change);
        }
        Ok(sealed_batch)
    }

    pub(super) fn seal_row(
        &self,
        table: Table,
        key: &[u8],
        revision: u64,
        plain: &[u8],
    ) -> Result<Sealed, StoreError> {
        let context = SealContext {
            table: table.name(),
            key,
            revision,
        };
        let sealed = self.keys.seal(&context, plain);
        sealed.map_err(|reason| StoreError::SealFailed { table, reason })
    }
}

/// Whether a row is under a data key that the ring here lacks.
const fn lacks_a_key(error: &StoreError) -> bool {
    let StoreError::SealBroken { reason, .. } = error else {
        return false;
    };
    matches!(reason, OpenError::UnknownKey(_))
}

#[derive(Clone)]
enum Step {
    Put {
        previous: u64,
        plain: Zeroizing<Vec<u8>>,
    },
    Delete {
        revision: u64,
    },
    Expect {
        revision: u64,
    },
}

#[derive(Clone)]
struct PlainChange {
    table: Table,
    key: Vec<u8>,
    step: Step,
}

/// Changes of opened rows that are applied together or not at all; see [`Batch`] for the bounds.
#[derive(Clone, Default)]
pub struct VaultBatch {
    changes: Vec<PlainChange>,
}

impl std::fmt::Debug for VaultBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VaultBatch {{ rows: {} }}", self.changes.len())
    }
}

impl VaultBatch {
    /// Writes `plain`, where the row is at `previous_revision` (0: where it is absent).
    pub fn put(
        &mut self,
        table: Table,
        key: &[u8],
        previous_revision: u64,
        plain: &[u8],
    ) -> &mut Self {
        let step = Step::Put {
            previous: previous_revision,
            plain: Zeroizing::new(plain.to_vec()),
        };
        self.push(table, key, step)
    }

    /// Removes the row, where it is at `revision`.
    pub fn delete(&mut self, table: Table, key: &[u8], revision: u64) -> &mut Self {
        self.push(table, key, Step::Delete { revision })
    }

    /// Lets the batch fail where the row is not at `revision` (0: where it is not absent).
    pub fn expect(&mut self, table: Table, key: &[u8], revision: u64) -> &mut Self {
        self.push(table, key, Step::Expect { revision })
    }

    /// Adds the changes of `other` behind these.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.changes.extend(other.changes);
        self
    }

    /// Rows of the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether the batch has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn push(&mut self, table: Table, key: &[u8], step: Step) -> &mut Self {
        self.changes.push(PlainChange {
            table,
            key: key.to_vec(),
            step,
        });
        self
    }
}
