//! Key epochs that are served no more: their OPRF seeds go first, then leaves and mirrors, what
//! members spent, and how many leaves each identifier had.

use std::collections::BTreeSet;

use super::rows::Mark;
use super::{Ageing, Ahead, Budget};
use crate::domain::{Epoch, Level};
use crate::flows::draft::Draft;
use crate::flows::feed_rows::{FeedRows, feed_prefix};
use crate::flows::home::Home;
use crate::flows::ledger::quota_key;
use crate::flows::light::light_keys;
use crate::flows::mirrors::mirror_prefix;
use crate::flows::{FlowError, retry_conflicts};
use crate::limits::{QUOTA_EPOCHS_KEPT, STORE_BATCH_ROWS_MAX, SWEEP_IDENTITIES};
use crate::membership::Member;
use crate::protocol::epochs::{Standing, duties};
use crate::protocol::feed::FeedId;
use crate::protocol::mirror::MirrorHead;
use crate::store::{Scan, Table};

/// The mark of the first epoch that is not forgotten.
const EPOCHS: &[u8] = b"epochs";

/// The mark of how far leaf counts are deleted: an epoch, and the key of an identity.
const LEAF_COUNTS: &[u8] = b"leaf-counts";

/// Whether everything of an epoch was deleted: then nothing is made for it again, whatever the
/// clock says.
///
/// # Errors
/// The store's failure.
pub(in crate::flows) async fn is_forgotten(home: &Home, epoch: Epoch) -> Result<bool, FlowError> {
    let mark = Mark::read(&home.vault, EPOCHS).await?;
    Ok(u64::from(epoch.0) < mark.number())
}

/// The first key epoch that was not forgotten.
///
/// # Errors
/// The store's failure.
pub(in crate::flows) async fn first_kept(home: &Home) -> Result<Epoch, FlowError> {
    let mark = Mark::read(&home.vault, EPOCHS).await?;
    Ok(as_epoch(mark.number()))
}

fn as_epoch(number: u64) -> Epoch {
    Epoch(u32::try_from(number).unwrap_or(u32::MAX))
}

impl Ageing {
    /// Forgets the epochs that are over, the oldest first. What came in while an epoch was being
    /// forgotten goes with the next pass.
    pub(super) async fn forget_epochs(&self, budget: &mut Budget) -> Result<bool, FlowError> {
        let now = self.home.clock.now();
        let first = first_kept(&self.home).await?;
        let from = first.previous().unwrap_or(first);
        let current = self.home.calendar.current(now);
        let standing = Standing {
            kept: (from.0..=current.0).map(Epoch).collect(),
            ..Standing::default()
        };
        for epoch in duties(&self.home.calendar, now, &standing).forget {
            let is_gone = self.forget_keys_and_leaves(epoch, budget).await?
                && self.forget_mirrors(budget).await?
                && (epoch < first || self.forget_leaf_counts(epoch, budget).await?);
            if !is_gone {
                return Ok(false);
            }
            if epoch >= first {
                self.note_forgotten(epoch).await?;
                tracing::info!(%epoch, "key epoch forgotten: leaves, mirrors, tokens and keys");
            }
        }
        Ok(true)
    }

    async fn note_forgotten(&self, epoch: Epoch) -> Result<(), FlowError> {
        let next = u64::from(epoch.next().0).to_be_bytes();
        retry_conflicts(|| async {
            let mark = Mark::read(&self.home.vault, EPOCHS).await?;
            let mut draft = Draft::default();
            mark.stage(&mut draft, EPOCHS, &next);
            draft.commit(&self.home.vault).await
        })
        .await
    }

    async fn forget_keys_and_leaves(
        &self,
        epoch: Epoch,
        budget: &mut Budget,
    ) -> Result<bool, FlowError> {
        let home = &*self.home;
        self.keys.forget(epoch).await?;
        for level in Level::ALL {
            let feed = home.feed(*level, epoch);
            retry_conflicts(|| async { FeedRows::new(home, &feed).forget().await }).await?;
            self.feeds.forget(&feed);
            let prefix = feed_prefix(&home.vault, &feed.origin());
            let light = light_keys(&home.vault, &feed);
            if !self.delete_all(Table::FeedGroup, &prefix, budget).await?
                || !self.delete_all(Table::LightEntry, &light, budget).await?
                || !self.delete_all(Table::LightHead, &light, budget).await?
            {
                return Ok(false);
            }
        }
        self.forget_spent(epoch).await?;
        let repeats = epoch.0.to_be_bytes();
        self.delete_all(Table::Idempotency, &repeats, budget).await
    }

    /// What members spent goes with an epoch that is judged no more. Members that have left keep
    /// their row, of a few bytes: nothing names it any more.
    async fn forget_spent(&self, epoch: Epoch) -> Result<(), FlowError> {
        let home = &self.home;
        let Some(old) = epoch.0.checked_sub(QUOTA_EPOCHS_KEPT - 1).map(Epoch) else {
            return Ok(());
        };
        let roster = home.trust.roster();
        let suspended = roster.suspended_of(&home.member);
        let members: Vec<&Member> = roster.peers_of(&home.member).chain(suspended).collect();
        for part in members.chunks(STORE_BATCH_ROWS_MAX) {
            let mut draft = Draft::default();
            for member in part {
                let key = quota_key(&home.vault, &member.id, old);
                self.stage_gone(&mut draft, Table::Quota, &key).await?;
            }
            draft.commit(&home.vault).await?;
        }
        Ok(())
    }

    /// Deletes every mirror of an epoch that is over, also of members that have left.
    async fn forget_mirrors(&self, budget: &mut Budget) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        for (key, feed) in self.mirrored().await? {
            if self.home.clock.now() < self.home.calendar.ends_at(feed.epoch) {
                continue;
            }
            self.mirrors.forget(&feed);
            // Emptied first: a mirror without its leaves is then an empty one, not a damaged one.
            retry_conflicts(|| async {
                let Some(row) = vault.read(Table::MirrorHead, &key).await? else {
                    return Ok(());
                };
                let mut draft = Draft::default();
                let empty = MirrorHead::new(feed.clone()).encode();
                draft.put(Table::MirrorHead, &key, row.revision, empty);
                draft.commit(vault).await
            })
            .await?;
            let prefix = mirror_prefix(vault, &feed);
            if !self.delete_all(Table::MirrorGroup, &prefix, budget).await? {
                return Ok(false);
            }
            retry_conflicts(|| async {
                let mut draft = Draft::default();
                self.stage_gone(&mut draft, Table::MirrorHead, &key).await?;
                draft.commit(vault).await
            })
            .await?;
        }
        Ok(true)
    }

    /// Every mirror that there is.
    async fn mirrored(&self) -> Result<Vec<(Vec<u8>, FeedId)>, FlowError> {
        let mut found = Vec::new();
        let mut scan = Scan::all(STORE_BATCH_ROWS_MAX);
        loop {
            let page = self.home.vault.scan(Table::MirrorHead, &scan).await?;
            let Some((last, _)) = page.last() else {
                return Ok(found);
            };
            scan = scan.behind(last);
            for (key, row) in page {
                let head = MirrorHead::decode(&row.bytes);
                let head = head.map_err(|_| FlowError::Unreadable { what: "mirror" })?;
                found.push((key, head.feed().clone()));
            }
        }
    }

    /// Deletes how many leaves each identifier had in an epoch and the one before, and identifiers
    /// of which nothing is left.
    async fn forget_leaf_counts(
        &self,
        epoch: Epoch,
        budget: &mut Budget,
    ) -> Result<bool, FlowError> {
        if !self.published_in(epoch).await? {
            return Ok(true);
        }
        loop {
            if !budget.take() {
                return Ok(false);
            }
            let done = retry_conflicts(|| self.forget_some_counts(epoch)).await?;
            if done {
                return Ok(true);
            }
        }
    }

    async fn published_in(&self, epoch: Epoch) -> Result<bool, FlowError> {
        for level in Level::ALL {
            let feed = self.home.feed(*level, epoch);
            if FeedRows::new(&self.home, &feed).read().await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One commit; gives whether it was the last.
    async fn forget_some_counts(&self, epoch: Epoch) -> Result<bool, FlowError> {
        let home = &*self.home;
        let mark = Mark::read(&home.vault, LEAF_COUNTS).await?;
        let here = epoch.0.to_be_bytes();
        let after = mark.at.strip_prefix(here.as_slice());
        let scan = Scan {
            prefix: Vec::new(),
            after: after.filter(|key| !key.is_empty()).map(<[u8]>::to_vec),
            limit: SWEEP_IDENTITIES,
        };
        let page = home.vault.scan(Table::Identity, &scan).await?;
        let mut draft = Draft::default();
        let epochs = [Some(epoch), epoch.previous()];
        for (key, row) in &page {
            let name = std::str::from_utf8(&row.bytes)
                .map_err(|_| FlowError::Unreadable { what: "identity" })?;
            for old in epochs.into_iter().flatten() {
                for level in Level::ALL {
                    let feed = home.feed(*level, old);
                    let count = FeedRows::new(home, &feed).leaf_count_key(name);
                    self.stage_gone(&mut draft, Table::LeafCount, &count)
                        .await?;
                }
            }
            self.stage_identity_gone(&mut draft, key, row.revision, name)
                .await?;
        }
        let at = match page.last() {
            Some((key, _)) => [here.as_slice(), key].concat(),
            None => here.to_vec(),
        };
        mark.stage(&mut draft, LEAF_COUNTS, &at);
        draft.commit(&home.vault).await?;
        Ok(page.len() < SWEEP_IDENTITIES)
    }

    /// Stages that an identifier goes of which there is no record, and nothing published in an
    /// epoch that is served. Whoever files a record of it at this moment makes the commit fail: the
    /// marker for its publication, or the leaf that came of it, is there.
    async fn stage_identity_gone(
        &self,
        draft: &mut Draft,
        key: &[u8],
        revision: u64,
        name: &str,
    ) -> Result<(), FlowError> {
        let home = &*self.home;
        let marker = home.vault.row_key(Table::Unpublished, name.as_bytes());
        let mut traces = vec![(Table::Unpublished, marker.to_vec())];
        let now = home.clock.now();
        let next = home.calendar.current(now).next();
        let live: BTreeSet<Epoch> = home.calendar.served(now).into_iter().collect();
        for epoch in live.into_iter().chain([next]) {
            for level in Level::ALL {
                let rows = FeedRows::new(home, &home.feed(*level, epoch)).leaf_count_key(name);
                traces.push((Table::LeafCount, rows));
            }
        }
        for (table, trace) in &traces {
            let held = home.vault.store().read(*table, trace).await?;
            if held.is_some() && draft.staged(*table, trace) != Some(None) {
                return Ok(());
            }
        }
        if self.book.has_records(name).await? {
            return Ok(());
        }
        draft.delete(Table::Identity, key, revision);
        for (table, trace) in traces {
            if draft.staged(table, &trace).is_none() {
                draft.expect(table, trace, 0);
            }
        }
        Ok(())
    }

    /// The epochs that are not forgotten, and when they are.
    pub(super) async fn epochs_ahead(&self) -> Result<Vec<Ahead>, FlowError> {
        let home = &*self.home;
        let now = home.clock.now();
        let mut leaves: std::collections::BTreeMap<Epoch, u64> = std::collections::BTreeMap::new();
        let first = as_epoch(Mark::read(&home.vault, EPOCHS).await?.number());
        for epoch in (first.0..=home.calendar.current(now).0).map(Epoch) {
            for level in Level::ALL {
                let feed = home.feed(*level, epoch);
                let size = self.feeds.size(&feed).await?;
                if let Some(size) = size {
                    *leaves.entry(epoch).or_default() += size;
                }
            }
        }
        for (key, feed) in self.mirrored().await? {
            // Feeds of notices have no epochs.
            if feed.notices_generation().is_some() {
                continue;
            }
            let row = home.vault.read(Table::MirrorHead, &key).await?;
            let head = row.and_then(|row| MirrorHead::decode(&row.bytes).ok());
            *leaves.entry(feed.epoch).or_default() += head.map_or(0, |head| head.size());
        }
        let ahead = leaves.into_iter().map(|(epoch, rows)| {
            let first_at = home.calendar.ends_at(epoch);
            Ahead {
                kind: format!("epoch {epoch}"),
                rule: "key_epoch",
                rows,
                due: if first_at <= now { rows } else { 0 },
                first_at,
            }
        });
        Ok(ahead.collect())
    }
}
