//! Roots and proofs of past sizes of a log in the store: this node's audit log, or a mirror.
//!
//! The roots of whole blocks of entries are kept, so a proof reads two blocks of entries at most.
//! Those of the audit log are in the store, so that a start does not read the whole log again.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::draft::Draft;
use super::home::Home;
use super::{FlowError, Mirror};
use crate::limits::{LOG_BLOCK_LEVEL, STORE_SCAN_ROWS_MAX};
use crate::merkle::{Frontier, GrowthBuilder, Hash, PathBuilder, Tree, leaf_hash};
use crate::store::{Scan, Table};

/// Entries of one block.
const BLOCK: u64 = 1 << LOG_BLOCK_LEVEL;

/// Version of the row of a block.
const FORMAT: u8 = 1;

/// That a log grew: the root at the old size, the proof, and the root at the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    /// The root at the old size.
    pub old_root: Hash,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The root at the new size.
    pub new_root: Hash,
}

#[derive(Debug)]
enum Source {
    Audit(Arc<Home>),
    Mirror(Arc<Mirror>),
}

/// The past sizes of one log.
#[derive(Debug)]
pub(crate) struct LogTree {
    source: Source,
    blocks: Mutex<Tree>,
}

impl LogTree {
    /// Of this node's audit log.
    pub(crate) fn of_audit(home: Arc<Home>) -> Self {
        Self::over(Source::Audit(home))
    }

    /// Of the leaves that a mirror holds.
    pub(super) fn of_mirror(mirror: Arc<Mirror>) -> Self {
        Self::over(Source::Mirror(mirror))
    }

    fn over(source: Source) -> Self {
        Self {
            source,
            blocks: Mutex::new(Tree::with_groups_of(LOG_BLOCK_LEVEL)),
        }
    }

    /// The right edge at `size`, which the log must have reached.
    ///
    /// # Errors
    /// [`FlowError::Unreadable`] where entries are missing, or the store's failure.
    pub(super) async fn frontier_at(&self, size: u64) -> Result<Frontier, FlowError> {
        let whole = size - size % BLOCK;
        let mut frontier = {
            let mut blocks = self.blocks.lock().await;
            self.grow(&mut blocks, whole).await?;
            blocks.frontier_at(whole)?
        };
        for hash in self.hashes(whole, size).await? {
            frontier.append(hash)?;
        }
        Ok(frontier)
    }

    /// The proof that the log at `new` continues the log at `old`; it must have reached both.
    ///
    /// # Errors
    /// As [`Self::frontier_at`]; [`FlowError::NotPossible`] where `old` is above `new`.
    pub(super) async fn growth(&self, old: u64, new: u64) -> Result<Growth, FlowError> {
        if old > new {
            let why = format!("no log of {new} entries continues one of {old}");
            return Err(FlowError::NotPossible(why));
        }
        let frontier = self.frontier_at(old).await?;
        let mut builder = GrowthBuilder::behind(&frontier);
        let first = old.next_multiple_of(BLOCK).min(new);
        for hash in self.hashes(old, first).await? {
            builder.append(hash);
        }
        let whole = new - new % BLOCK;
        if first < whole {
            let mut blocks = self.blocks.lock().await;
            self.grow(&mut blocks, whole).await?;
            for block in first / BLOCK..whole / BLOCK {
                builder.append_subtree(blocks.group_at(block)?, LOG_BLOCK_LEVEL);
            }
        }
        for hash in self.hashes(builder.size(), new).await? {
            builder.append(hash);
        }
        let (proof, new_root) = builder.finish();
        Ok(Growth {
            old_root: frontier.root(),
            proof,
            new_root,
        })
    }

    /// The proof that the entry at `index` is in the log of `size` entries, which it must have
    /// reached.
    ///
    /// # Errors
    /// As [`Self::frontier_at`]; [`FlowError::Log`] where `index` is not below `size`.
    pub(super) async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, FlowError> {
        let mut builder = PathBuilder::new(index);
        let whole = size - size % BLOCK;
        let mut blocks = self.blocks.lock().await;
        self.grow(&mut blocks, whole).await?;
        for block in 0..whole / BLOCK {
            if block == index / BLOCK {
                let first = builder.size();
                for hash in self.hashes(first, first + BLOCK).await? {
                    builder.append(hash);
                }
            } else {
                builder.append_subtree(blocks.group_at(block)?, LOG_BLOCK_LEVEL);
            }
        }
        drop(blocks);
        for hash in self.hashes(whole, size).await? {
            builder.append(hash);
        }
        Ok(builder.finish()?.0)
    }

    /// Reads the blocks below `size`, a multiple of a block, that are not known yet.
    async fn grow(&self, blocks: &mut Tree, size: u64) -> Result<(), FlowError> {
        self.recall(blocks, size).await?;
        while blocks.size() < size {
            let first = blocks.size();
            let mut block = Frontier::new();
            for hash in self.hashes(first, first + BLOCK).await? {
                block.append(hash)?;
            }
            self.note(first / BLOCK, &block.root()).await?;
            blocks.append_root(block.root());
        }
        Ok(())
    }

    /// Takes the blocks of the audit log that are in the store.
    async fn recall(&self, blocks: &mut Tree, size: u64) -> Result<(), FlowError> {
        let Source::Audit(home) = &self.source else {
            return Ok(());
        };
        while blocks.size() < size {
            let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
            let next = blocks.size() / BLOCK;
            if let Some(before) = next.checked_sub(1) {
                scan = scan.behind(&before.to_be_bytes());
            }
            let page = home.vault.scan(Table::AuditBlock, &scan).await?;
            let mut taken = false;
            for (number, (key, row)) in (next..).zip(page) {
                let root = row.bytes.strip_prefix(&[FORMAT]);
                let root: Option<Hash> = root.and_then(|root| root.try_into().ok());
                if key != number.to_be_bytes() || blocks.size() >= size {
                    break;
                }
                blocks.append_root(root.ok_or(UNREADABLE)?);
                taken = true;
            }
            if !taken {
                break;
            }
        }
        Ok(())
    }

    async fn note(&self, block: u64, root: &Hash) -> Result<(), FlowError> {
        let Source::Audit(home) = &self.source else {
            return Ok(());
        };
        let row = [[FORMAT].as_slice(), root].concat();
        let mut draft = Draft::default();
        draft.put(Table::AuditBlock, &block.to_be_bytes(), 0, row);
        match draft.commit(&home.vault).await {
            // Another task or replica noted it meanwhile.
            Err(FlowError::Store(crate::store::StoreError::Conflict { .. })) => Ok(()),
            noted => noted,
        }
    }

    /// The leaf hashes from `from` to before `until`.
    async fn hashes(&self, from: u64, until: u64) -> Result<Vec<Hash>, FlowError> {
        let mut hashes = Vec::new();
        let mut next = from;
        while next < until {
            let page = match &self.source {
                Source::Audit(home) => entries(home, next).await?,
                Source::Mirror(mirror) => {
                    // A mirror is read by whole groups, and its sizes are whole groups.
                    let leaves = mirror.leaves_from(next).await?;
                    leaves.iter().map(|leaf| leaf_hash(leaf.bytes())).collect()
                }
            };
            if page.is_empty() {
                return Err(UNREADABLE);
            }
            let left = usize::try_from(until - next).unwrap_or(usize::MAX);
            let taken = page.len().min(left);
            hashes.extend(page.into_iter().take(taken));
            next += u64::try_from(taken).unwrap_or(0);
        }
        Ok(hashes)
    }
}

const UNREADABLE: FlowError = FlowError::Unreadable { what: "log" };

/// The leaf hashes of some entries of the audit log from a position on.
async fn entries(home: &Home, first: u64) -> Result<Vec<Hash>, FlowError> {
    let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
    if let Some(before) = first.checked_sub(1) {
        scan = scan.behind(&before.to_be_bytes());
    }
    let mut hashes = Vec::new();
    let page = home.vault.scan(Table::AuditEntry, &scan).await?;
    for (position, (key, row)) in (first..).zip(page) {
        if key != position.to_be_bytes() {
            return Err(UNREADABLE);
        }
        hashes.push(leaf_hash(&row.bytes));
    }
    Ok(hashes)
}
