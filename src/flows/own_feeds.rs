//! This node's own feeds: read from the primary store, served with proofs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use super::FlowError;
use super::feed_rows::FeedRows;
use super::home::Home;
use crate::domain::Epoch;
use crate::limits::{FEED_GROUP_LEAVES, LEAF_BYTES, STORE_BATCH_ROWS_MAX};
use crate::merkle::Tree;
use crate::protocol::feed::FeedId;
use crate::wire::{Chunk, Malformed};

/// The level of a group's root in the tree: groups of 8 leaves.
const GROUP_LEVEL: u32 = FEED_GROUP_LEAVES.trailing_zeros();

const GROUP: u64 = FEED_GROUP_LEAVES as u64;

/// The feeds that this node publishes.
#[derive(Debug)]
pub struct OwnFeeds {
    home: Arc<Home>,
    trees: SyncMutex<BTreeMap<FeedId, Arc<Mutex<Grown>>>>,
    news: watch::Sender<u64>,
}

/// The hashes of one feed as far as they were read, and which opening of the feed they belong to.
#[derive(Debug)]
struct Grown {
    attempt: u32,
    tree: Tree,
}

impl OwnFeeds {
    /// The feeds in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            home,
            trees: SyncMutex::default(),
            news: watch::Sender::new(0),
        }
    }

    /// Tells whoever follows that something was published.
    pub(super) fn announce(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes whenever something was published, a moment later where another replica did.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The feed's newest signed checkpoint; `None` where the feed is not open.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read.
    pub async fn checkpoint(&self, feed: &FeedId) -> Result<Option<String>, FlowError> {
        let row = FeedRows::new(&self.home, feed).read().await?;
        Ok(row.and_then(|(_, row)| row.open).map(|open| open.note))
    }

    /// The revision of the feed's head, which changes with everything that is published, and its
    /// newest signed checkpoint.
    ///
    /// # Errors
    /// [`FlowError::FeedNotOpen`], or the store's failure.
    pub(super) async fn state(&self, feed: &FeedId) -> Result<(u64, String), FlowError> {
        let row = FeedRows::new(&self.home, feed).read().await?;
        let not_open = FlowError::FeedNotOpen { epoch: feed.epoch };
        let (revision, row) = row.ok_or(FlowError::FeedNotOpen { epoch: feed.epoch })?;
        let (_, open) = row.published().ok_or(not_open)?;
        Ok((revision, open.note))
    }

    /// Leaves of the feed; `None` where it is not open.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read.
    pub async fn size(&self, feed: &FeedId) -> Result<Option<u64>, FlowError> {
        let row = FeedRows::new(&self.home, feed).read().await?;
        Ok(row
            .and_then(|(_, row)| row.open)
            .map(|open| open.head.size()))
    }

    /// Whether the feed's newest checkpoint is too old to answer with, or not signed by the key in
    /// use.
    ///
    /// # Errors
    /// [`FlowError::Store`] where it cannot be read.
    pub(super) async fn checkpoint_due(&self, feed: &FeedId) -> Result<bool, FlowError> {
        let row = FeedRows::new(&self.home, feed).read().await?;
        let open = row.and_then(|(_, row)| row.open);
        Ok(open.is_some_and(|open| open.checkpoint_due(&self.home)))
    }

    /// Leaves from `from` on, at most `most` and not past `until`, under the checkpoint that the
    /// primary store holds now; and that checkpoint's size.
    ///
    /// # Errors
    /// [`FlowError::FeedNotOpen`]; [`FlowError::Malformed`] where `from` is beyond the feed.
    pub async fn chunk(
        &self,
        feed: &FeedId,
        from: u64,
        most: usize,
        until: Option<u64>,
    ) -> Result<(Chunk, u64), FlowError> {
        let rows = FeedRows::new(&self.home, feed);
        let row = rows.read().await?;
        let Some((attempt, open)) = row.and_then(|(_, row)| row.published()) else {
            return Err(FlowError::FeedNotOpen { epoch: feed.epoch });
        };
        let size = open.head.size();
        if from > size {
            let reason = format!("must not be beyond the feed's {size} leaves");
            return Err(Malformed::new("mirror_size", reason).into());
        }
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let end = size
            .min(from.saturating_add(most))
            .min(until.unwrap_or(size).max(from));
        let leaves = rows.leaves(attempt, from / GROUP, end / GROUP).await?;
        let consistency = if end == size || end == 0 {
            Vec::new()
        } else {
            let grown = self.grown(feed);
            let mut grown = grown.lock().await;
            self.grow(&rows, &mut grown, attempt, size).await?;
            grown
                .tree
                .consistency(end, size)
                .map_err(|_| FlowError::Unreadable { what: "feed" })?
        };
        let leaves = Bytes::from(leaves);
        Ok((
            Chunk {
                from,
                leaves,
                checkpoint: open.note,
                consistency,
            },
            size,
        ))
    }

    /// Lets go of what is held in memory of a feed whose epoch is over.
    pub(super) fn forget(&self, feed: &FeedId) {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.remove(feed);
    }

    /// Lets go of what is held in memory of epochs before `first`.
    pub(super) fn forget_before(&self, first: Epoch) {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.retain(|feed, _| feed.epoch >= first);
    }

    fn grown(&self, feed: &FeedId) -> Arc<Mutex<Grown>> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Grown {
            attempt: 0,
            tree: Tree::with_groups_of(GROUP_LEVEL),
        };
        Arc::clone(
            trees
                .entry(feed.clone())
                .or_insert_with(|| Arc::new(Mutex::new(fresh()))),
        )
    }

    /// Reads the groups that the tree does not know yet.
    async fn grow(
        &self,
        rows: &FeedRows<'_>,
        grown: &mut Grown,
        attempt: u32,
        size: u64,
    ) -> Result<(), FlowError> {
        if grown.attempt != attempt {
            *grown = Grown {
                attempt,
                tree: Tree::with_groups_of(GROUP_LEVEL),
            };
        }
        let page = STORE_BATCH_ROWS_MAX as u64;
        while grown.tree.size() < size {
            let first = grown.tree.size() / GROUP;
            let flat = rows
                .leaves(attempt, first, (size / GROUP).min(first + page))
                .await?;
            for group in flat.chunks_exact(FEED_GROUP_LEAVES * LEAF_BYTES) {
                let leaves: Vec<&[u8]> = group.chunks_exact(LEAF_BYTES).collect();
                grown
                    .tree
                    .append_group(&leaves)
                    .map_err(|_| FlowError::Unreadable { what: "feed" })?;
            }
        }
        Ok(())
    }
}
