//! Sealing rows anew under the newest data key, while others read and write them.
//!
//! When every row is under the newest key, the older keys can be destroyed: what was deleted or
//! overwritten before, and still lies somewhere on the disk, is then opened by nobody.

use crate::crypto::DataKeys;
use crate::limits::STORE_BATCH_ROWS_MAX;

use super::{Batch, Change, Row, Scan, StoreError, Table, Vault};

/// What became of one page of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Rows that were looked at.
    pub rows: usize,
    /// How many of them an older key had sealed.
    pub resealed: usize,
    /// Where the next page begins; `None` where this was the last.
    pub next: Option<Vec<u8>>,
}

impl Vault {
    /// Seals and opens from now on with these data keys. When this returns, no row is on its way
    /// under others.
    ///
    /// # Errors
    /// What the store says; the keys count all the same.
    pub async fn turn_keys(&self, keys: DataKeys) -> Result<(), StoreError> {
        {
            let _nobody_else = self.in_use.write().await;
            self.keys().take_data_keys(keys);
        }
        self.turned.send_modify(|times| *times += 1);
        // A commit whose caller gave up may still be waiting in the store: this one is behind it.
        let mut behind = Batch::new();
        let key = self.row_key(Table::Meta, b"behind");
        behind.push(Table::Meta, &key, Change::Expect { revision: 0 });
        self.store().commit(behind).await
    }

    /// Seals one page of a table anew: what the newest data key did not seal. Content and revisions
    /// stay, so nobody who changes a row meanwhile is disturbed.
    ///
    /// # Errors
    /// [`StoreError::SealBroken`] where a row does not open, and what the store says, among it
    /// [`StoreError::Conflict`] where a row was changed meanwhile: the page is then to be tried
    /// again.
    pub async fn reseal_page(
        &self,
        table: Table,
        after: Option<Vec<u8>>,
    ) -> Result<Resealed, StoreError> {
        let _in_use = self.in_use.read().await;
        let scan = Scan {
            prefix: Vec::new(),
            after,
            limit: STORE_BATCH_ROWS_MAX,
        };
        let page = self.store().scan(table, &scan).await?;
        let is_last = page.len() < STORE_BATCH_ROWS_MAX;
        let next = page.last().map(|(key, _)| key.clone());
        let next = next.filter(|_| !is_last);
        let rows = page.len();
        let mut batch = Batch::new();
        for (key, before) in page {
            if !self.keys().is_newest(&before.sealed) {
                let change = self.resealed(table, &key, before)?;
                batch.push(table, &key, change);
            }
        }
        let resealed = batch.len();
        if resealed > 0 {
            self.store().commit(batch).await?;
        }
        Ok(Resealed {
            rows,
            resealed,
            next,
        })
    }

    fn resealed(&self, table: Table, key: &[u8], before: Row) -> Result<Change, StoreError> {
        let plain = self.open(table, key, &before)?;
        let sealed = self.seal_row(table, key, before.revision, &plain.bytes)?;
        Ok(Change::Reseal { before, sealed })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{MemoryStore, Store};
    use super::*;
    use crate::crypto::{KdfCost, Keyring, Secret, Unlock};
    use crate::env::SeededEntropy;

    const ROWS: u64 = 40;

    /// Adds one to a row, again and again; gives how often.
    async fn count_up(vault: Vault, first: u64, stop: Arc<AtomicBool>) -> u64 {
        let mut times = 0;
        while !stop.load(Ordering::Relaxed) {
            let key = ((first + times) % ROWS).to_be_bytes();
            loop {
                let held = vault.read(Table::Record, &key).await.unwrap();
                let revision = held.as_ref().map_or(0, |row| row.revision);
                let number = held.map_or(0, |row| {
                    u64::from_be_bytes(row.bytes.as_slice().try_into().unwrap())
                });
                let mut batch = vault.batch();
                batch.put(Table::Record, &key, revision, &(number + 1).to_be_bytes());
                match vault.commit(batch).await {
                    Ok(()) => break,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            times += 1;
            tokio::task::yield_now().await;
        }
        times
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn rows_that_change_while_they_are_sealed_anew_lose_nothing() {
        let (entropy, unlock) = (
            SeededEntropy::from_seed(1),
            Unlock::KeyFile(Secret::from_bytes([1; 32])),
        );
        let (keys, mut text) =
            Keyring::create(&unlock, "lender-a", &entropy, KdfCost::FLOOR).unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(&keys.digest_key()));
        let vault = Vault::new(store, Arc::new(keys));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|n| tokio::spawn(count_up(vault.clone(), n * 7, Arc::clone(&stop))))
            .collect();
        for _ in 0..25 {
            text = Keyring::add_data_key(&text, &unlock, &entropy).unwrap();
            let keys = vault.keys().data_keys_of(&text, &unlock).unwrap();
            vault.turn_keys(keys).await.unwrap();
            let mut resealed = 1;
            while resealed > 0 {
                resealed = match vault.reseal_page(Table::Record, None).await {
                    Ok(page) => page.resealed,
                    Err(StoreError::Conflict { .. }) => 1,
                    Err(error) => panic!("{error}"),
                };
            }
            text = Keyring::drop_old_data_keys(&text, &unlock, &entropy).unwrap();
            let keys = vault.keys().data_keys_of(&text, &unlock).unwrap();
            vault.turn_keys(keys).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let mut written = 0;
        for writer in writers {
            written += writer.await.unwrap();
        }
        let rows = vault.scan(Table::Record, &Scan::all(500)).await.unwrap();
        let counted = rows.iter().map(|(_, row)| {
            assert!(row.revision > 0);
            u64::from_be_bytes(row.bytes.as_slice().try_into().unwrap())
        });
        assert_eq!(counted.sum::<u64>(), written);
        assert!(!vault.keys().has_older_data_keys());
    }
}
