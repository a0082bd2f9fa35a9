//! How an own feed lies in the store: one head row, one row per group, every checkpoint for ever.
//!
//! A feed is opened in two steps: the head row names an attempt, the attempt's groups are written,
//! then the head row says that the feed is open. An attempt that was interrupted leaves groups
//! behind that nothing names; the next attempt has a number of its own. When the epoch is over the
//! leaves go, and the head says so by the attempt 0.

use zeroize::Zeroizing;

use super::FlowError;
use super::draft::Draft;
use super::home::Home;
use crate::limits::{CHECKPOINT_BYTES_MAX, FEED_GROUP_LEAVES, LEAF_BYTES, STORE_BATCH_ROWS_MAX};
use crate::merkle::SignedNote;
use crate::protocol::feed::{FeedHead, FeedId};
use crate::store::{Scan, Table, Vault};

/// The head row of one feed.
#[derive(Debug, Clone)]
pub(super) struct FeedRow {
    /// Which opening of the feed its groups belong to, from 1.
    pub(super) attempt: u32,
    /// The feed's state, once it is open.
    pub(super) open: Option<OpenFeed>,
}

/// An open feed: how far it has come, and the checkpoint signed there.
#[derive(Debug, Clone)]
pub(super) struct OpenFeed {
    pub(super) head: FeedHead,
    pub(super) note: String,
}

impl OpenFeed {
    /// Whether a checkpoint must be signed now: see [`FeedHead::checkpoint_due`]; also where the
    /// newest one is signed by another key than the one in use.
    pub(super) fn checkpoint_due(&self, home: &Home) -> bool {
        let (origin, signer) = (self.head.feed().origin(), home.identity().public());
        let note = SignedNote::parse(&self.note);
        self.head.checkpoint_due(home.clock.now())
            || !note.is_ok_and(|note| note.names(&origin, &signer))
    }
}

/// The attempt of a feed whose leaves were deleted; attempts count from 1.
const FORGOTTEN: u32 = 0;

impl FeedRow {
    /// Whether its leaves were deleted, when its epoch was over.
    pub(super) const fn is_forgotten(&self) -> bool {
        self.attempt == FORGOTTEN
    }

    /// The attempt and the open feed, where there is one with its leaves.
    pub(super) fn published(self) -> Option<(u32, OpenFeed)> {
        let open = self.open.filter(|_| self.attempt != FORGOTTEN);
        open.map(|open| (self.attempt, open))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.attempt.to_be_bytes().to_vec();
        if let Some(open) = &self.open {
            let length = u32::try_from(open.note.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(open.note.as_bytes());
            bytes.extend_from_slice(&open.head.encode());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (attempt, rest) = bytes.split_first_chunk::<4>()?;
        let attempt = u32::from_be_bytes(*attempt);
        if rest.is_empty() {
            return Some(Self {
                attempt,
                open: None,
            });
        }
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (note, head) = rest.split_at_checked(length.min(CHECKPOINT_BYTES_MAX))?;
        let note = String::from_utf8(note.to_vec()).ok()?;
        let open = OpenFeed {
            head: FeedHead::decode(head).ok()?,
            note,
        };
        Some(Self {
            attempt,
            open: Some(open),
        })
    }
}

/// The rows of one feed.
#[derive(Debug)]
pub(super) struct FeedRows<'a> {
    home: &'a Home,
    origin: String,
}

impl<'a> FeedRows<'a> {
    pub(super) fn new(home: &'a Home, feed: &FeedId) -> Self {
        Self {
            home,
            origin: feed.origin(),
        }
    }

    /// The head row with its revision, as the primary store holds it now.
    pub(super) async fn read(&self) -> Result<Option<(u64, FeedRow)>, FlowError> {
        let Some(row) = self
            .home
            .vault
            .read(Table::FeedHead, &self.head_key())
            .await?
        else {
            return Ok(None);
        };
        let decoded =
            FeedRow::decode(&row.bytes).ok_or(FlowError::Unreadable { what: "feed head" })?;
        Ok(Some((row.revision, decoded)))
    }

    /// Stages a new head row in place of the one read at `revision`.
    pub(super) fn stage_head(&self, draft: &mut Draft, revision: u64, row: &FeedRow) {
        draft.put(Table::FeedHead, &self.head_key(), revision, row.encode());
        if let Some(open) = &row.open {
            let size = open.head.size().to_be_bytes();
            let key = [
                self.checkpoint_prefix().as_slice(),
                &size,
                &revision.to_be_bytes(),
            ]
            .concat();
            draft.put(Table::Checkpoint, &key, 0, open.note.clone().into_bytes());
        }
    }

    /// Notes that the feed's leaves are deleted. Its head stays, so that it is never opened again
    /// with another history and the next epoch can name its last checkpoint.
    pub(super) async fn forget(&self) -> Result<(), FlowError> {
        let Some((revision, row)) = self.read().await? else {
            return Ok(());
        };
        if row.is_forgotten() || row.open.is_none() {
            return Ok(());
        }
        let forgotten = FeedRow {
            attempt: FORGOTTEN,
            ..row
        };
        let mut draft = Draft::default();
        draft.put(
            Table::FeedHead,
            &self.head_key(),
            revision,
            forgotten.encode(),
        );
        draft.commit(&self.home.vault).await
    }

    /// Lets the commit fail unless the head row is still at `revision`.
    pub(super) fn expect_head(&self, draft: &mut Draft, revision: u64) {
        draft.expect(Table::FeedHead, self.head_key(), revision);
    }

    /// Stages one group of leaves.
    pub(super) fn stage_group(&self, draft: &mut Draft, attempt: u32, number: u64, flat: Vec<u8>) {
        draft.put(Table::FeedGroup, &self.group_key(attempt, number), 0, flat);
    }

    /// The leaves of the groups `from..until` of an attempt, flat.
    pub(super) async fn leaves(
        &self,
        attempt: u32,
        from: u64,
        until: u64,
    ) -> Result<Vec<u8>, FlowError> {
        let wanted = usize::try_from(until.saturating_sub(from)).unwrap_or(0);
        let group_bytes = FEED_GROUP_LEAVES * LEAF_BYTES;
        let mut flat = Vec::with_capacity(wanted * group_bytes);
        let prefix = self.group_prefix(attempt);
        let before = from.checked_sub(1);
        let mut after = before.map(|before| self.group_key(attempt, before));
        while flat.len() < wanted * group_bytes {
            let limit = (wanted - flat.len() / group_bytes).min(STORE_BATCH_ROWS_MAX);
            let scan = Scan {
                prefix: prefix.clone(),
                after,
                limit,
            };
            let page = self.home.vault.scan(Table::FeedGroup, &scan).await?;
            let Some((last, _)) = page.last() else {
                return Err(FlowError::Unreadable { what: "feed" });
            };
            after = Some(last.clone());
            for (_, row) in &page {
                if row.bytes.len() != group_bytes {
                    return Err(FlowError::Unreadable { what: "feed" });
                }
                flat.extend_from_slice(&row.bytes);
            }
        }
        Ok(flat)
    }

    /// How many leaves the holder of this canonical identifier has in the feed, and the newest
    /// summary.
    pub(super) async fn published(
        &self,
        canonical: &str,
    ) -> Result<(u64, Option<(u32, Zeroizing<Vec<u8>>)>), FlowError> {
        let key = self.leaf_count_key(canonical);
        let Some(row) = self.home.vault.read(Table::LeafCount, &key).await? else {
            return Ok((0, None));
        };
        let (count, summary) = row
            .bytes
            .split_first_chunk::<4>()
            .ok_or(FlowError::Unreadable { what: "leaf count" })?;
        let summary = Zeroizing::new(summary.to_vec());
        Ok((row.revision, Some((u32::from_be_bytes(*count), summary))))
    }

    /// Stages how many leaves the holder of this canonical identifier has now, and the newest
    /// summary.
    pub(super) fn stage_published(
        &self,
        draft: &mut Draft,
        canonical: &str,
        revision: u64,
        (count, summary): (u32, &[u8]),
    ) {
        let plain = [count.to_be_bytes().as_slice(), summary].concat();
        draft.put(
            Table::LeafCount,
            &self.leaf_count_key(canonical),
            revision,
            plain,
        );
    }

    /// Lets the commit fail unless what stands of an identifier is still at `revision`.
    pub(super) fn expect_published(&self, draft: &mut Draft, canonical: &str, revision: u64) {
        draft.expect(Table::LeafCount, self.leaf_count_key(canonical), revision);
    }

    fn head_key(&self) -> Vec<u8> {
        self.home
            .vault
            .row_key(Table::FeedHead, self.origin.as_bytes())
            .to_vec()
    }

    pub(super) fn leaf_count_key(&self, canonical: &str) -> Vec<u8> {
        let name = format!("{}\n{canonical}", self.origin);
        self.home
            .vault
            .row_key(Table::LeafCount, name.as_bytes())
            .to_vec()
    }

    fn group_prefix(&self, attempt: u32) -> Vec<u8> {
        group_prefix(&self.home.vault, &self.origin, attempt)
    }

    fn group_key(&self, attempt: u32, number: u64) -> Vec<u8> {
        [self.group_prefix(attempt).as_slice(), &number.to_be_bytes()].concat()
    }

    fn checkpoint_prefix(&self) -> Vec<u8> {
        format!("{}\n", self.origin).into_bytes()
    }
}

/// What the keys of all groups of a feed begin with.
pub(super) fn feed_prefix(vault: &Vault, origin: &str) -> Vec<u8> {
    let mut prefix = group_prefix(vault, origin, 0);
    prefix.truncate(16);
    prefix
}

/// What the keys of an attempt's groups begin with.
pub(super) fn group_prefix(vault: &Vault, origin: &str, attempt: u32) -> Vec<u8> {
    let key = vault.row_key(Table::FeedGroup, origin.as_bytes());
    let feed = key
        .first_chunk::<16>()
        .map(|prefix| prefix.to_vec())
        .unwrap_or_default();
    [feed.as_slice(), &attempt.to_be_bytes()].concat()
}
