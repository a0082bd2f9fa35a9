//! Light mode at the answering side: one entry for each identifier in each own feed, made with the
//! leaf that it repeats, built once for what was published before, and sent by the bucket.
//!
//! An entry's row is found by the longest prefix that the network allows, so that the feed can be
//! cut otherwise when it grows, and a bucket is a range of rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::sleep;

use super::draft::Draft;
use super::feed_rows::FeedRows;
use super::home::Home;
use super::{FlowError, OwnKeys, retry_conflicts};
use crate::crypto::{Token, expanded, labels};
use crate::domain::{Epoch, Level};
use crate::limits::{
    LEAF_BYTES, LIGHT_BUILD_PAGE, LIGHT_CACHE_BYTES, LIGHT_LOOK, STORE_SCAN_ROWS_MAX, SUMMARY_BYTES,
};
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::{Leaf, flat};
use crate::protocol::light::{ENTRY_NUMBER, LightPlan, arranged, bits_max, bucket_of, prefix_of};
use crate::store::{Scan, Table, Vault};
use crate::wire::LightOffer;

/// Version of the row that says how far the entries are built.
const FORMAT: u8 = 1;

/// The entries of own feeds, and buckets that are ready to be sent.
#[derive(Debug)]
pub struct LightShelf {
    home: Arc<Home>,
    keys: Arc<OwnKeys>,
    ready: Mutex<Ready>,
}

/// Buckets as they were sent last.
#[derive(Debug, Default)]
struct Ready {
    buckets: BTreeMap<(FeedId, u32, u32), (u64, Bytes)>,
    bytes: usize,
}

/// How far the entries of a feed are built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Built {
    /// Bits of the longest prefix, by which the rows of these entries are found.
    longest: u8,
    is_whole: bool,
    /// Entries that there are, or a few more: those that were published meanwhile count twice.
    count: u64,
    /// Key of the identity that was looked at last.
    after: Vec<u8>,
}

impl Built {
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT, self.longest, u8::from(self.is_whole)];
        row.extend_from_slice(&self.count.to_be_bytes());
        row.extend_from_slice(&self.after);
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let (longest, row) = row.strip_prefix(&[FORMAT])?.split_first()?;
        let (is_whole, row) = row.split_first()?;
        let (count, after) = row.split_first_chunk::<8>()?;
        Some(Self {
            longest: *longest,
            is_whole: *is_whole == 1,
            count: u64::from_be_bytes(*count),
            after: after.to_vec(),
        })
    }
}

/// The first bytes of the keys of a feed's entries; the key of its head.
pub(super) fn light_keys(vault: &Vault, feed: &FeedId) -> Vec<u8> {
    let mut key = vault
        .row_key(Table::LightEntry, feed.origin().as_bytes())
        .to_vec();
    key.truncate(16);
    key
}

/// The longest prefix that the network allows.
pub(super) fn network_bits(home: &Home) -> u32 {
    bits_max(home.trust.root().document().population)
}

/// The longest prefix in a byte.
fn longest(home: &Home) -> u8 {
    u8::try_from(network_bits(home)).unwrap_or(u8::MAX)
}

/// What the keys of entries begin with that count now: feed, and the longest prefix (1), so that
/// those of another population of the network are not found.
fn cut_key(home: &Home, feed: &FeedId) -> Vec<u8> {
    let mut key = light_keys(&home.vault, feed);
    key.push(longest(home));
    key
}

/// The key of a borrower's entry: cut, bucket of the longest prefix (2), hash of the identifier.
fn entry_key(home: &Home, feed: &FeedId, canonical: &str) -> Vec<u8> {
    let prefix = prefix_of(home.network(), canonical.as_bytes());
    let mut key = bucket_key(home, feed, bucket_of(prefix, network_bits(home)));
    let hash = home.vault.row_key(Table::LightEntry, canonical.as_bytes());
    key.extend(hash.iter().take(16));
    key
}

/// What the keys of one bucket of the longest prefix begin with.
fn bucket_key(home: &Home, feed: &FeedId, bucket: u32) -> Vec<u8> {
    let mut key = cut_key(home, feed);
    key.extend(u16::try_from(bucket).unwrap_or(u16::MAX).to_be_bytes());
    key
}

/// How far a feed's entries are built, and the revision of the row that says so. What was built
/// under another longest prefix counts as nothing.
async fn built(home: &Home, feed: &FeedId) -> Result<(u64, Built), FlowError> {
    let nothing = Built {
        longest: longest(home),
        ..Built::default()
    };
    let key = light_keys(&home.vault, feed);
    let Some(row) = home.vault.read(Table::LightHead, &key).await? else {
        return Ok((0, nothing));
    };
    let unreadable = FlowError::Unreadable {
        what: "light mode's head",
    };
    let built = Built::decode(&row.bytes).ok_or(unreadable)?;
    let counts = built.longest == nothing.longest;
    Ok((row.revision, if counts { built } else { nothing }))
}

fn stage_built(home: &Home, draft: &mut Draft, feed: &FeedId, revision: u64, built: &Built) {
    let key = light_keys(&home.vault, feed);
    draft.put(Table::LightHead, &key, revision, built.encode());
}

/// The entries that a publication makes beside its leaves.
pub(super) struct Entries<'a> {
    home: &'a Home,
    feed: &'a FeedId,
    added: u64,
}

impl<'a> Entries<'a> {
    pub(super) const fn of(home: &'a Home, feed: &'a FeedId) -> Self {
        Self {
            home,
            feed,
            added: 0,
        }
    }

    /// Stages the entry of a borrower's newest summary, where this node serves light mode.
    pub(super) async fn stage(
        &mut self,
        draft: &mut Draft,
        (canonical, token): (&str, &Token),
        summary: &[u8; SUMMARY_BYTES],
    ) -> Result<(), FlowError> {
        let home = self.home;
        if home.light.entries.is_none() {
            return Ok(());
        }
        let key = entry_key(home, self.feed, canonical);
        let held = home.vault.read(Table::LightEntry, &key).await?;
        let revision = held.map_or(0, |row| row.revision);
        let entry = Leaf::seal(token, ENTRY_NUMBER, summary, home.nonce()?, self.feed);
        draft.put(Table::LightEntry, &key, revision, entry.bytes().to_vec());
        self.added += u64::from(revision == 0);
        Ok(())
    }

    /// Stages how many entries there are. A node that does not serve light mode publishes without
    /// entries, so what was built does not count any more.
    pub(super) async fn close(self, draft: &mut Draft) -> Result<(), FlowError> {
        let (revision, mut next) = built(self.home, self.feed).await?;
        if self.home.light.entries.is_none() {
            if revision > 0 {
                let key = light_keys(&self.home.vault, self.feed);
                draft.delete(Table::LightHead, &key, revision);
            }
        } else if self.added > 0 {
            next.count += self.added;
            stage_built(self.home, draft, self.feed, revision, &next);
        }
        Ok(())
    }
}

impl LightShelf {
    /// The entries in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>, keys: Arc<OwnKeys>) -> Self {
        Self {
            home,
            keys,
            ready: Mutex::default(),
        }
    }

    /// Builds what is missing, again and again; ends only when dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            if self.home.light.entries.is_some()
                && let Err(error) = self.build_all().await
            {
                tracing::warn!(%error, "entries of light mode are not built; it is tried again");
            }
            sleep(LIGHT_LOOK).await;
        }
    }

    /// Builds the entries of every live feed that lacks them.
    ///
    /// # Errors
    /// The store's failure; what was built stays.
    pub async fn build_all(&self) -> Result<(), FlowError> {
        let home = &self.home;
        for level in home.levels_served() {
            for epoch in home.calendar.served(home.clock.now()) {
                let feed = home.feed(level, epoch);
                let head = FeedRows::new(home, &feed).read().await?;
                if head.and_then(|(_, row)| row.published()).is_none() {
                    continue;
                }
                while !retry_conflicts(|| self.build_page(&feed)).await? {}
            }
        }
        Ok(())
    }

    /// Builds the entries of some identities; gives whether all are built.
    async fn build_page(&self, feed: &FeedId) -> Result<bool, FlowError> {
        let home = &*self.home;
        let (revision, mut next) = built(home, feed).await?;
        if next.is_whole {
            return Ok(true);
        }
        let scan = Scan {
            prefix: Vec::new(),
            after: Some(next.after.clone()).filter(|after| !after.is_empty()),
            limit: LIGHT_BUILD_PAGE,
        };
        let page = home.vault.scan(Table::Identity, &scan).await?;
        let mut draft = Draft::default();
        for (_, row) in &page {
            let name = std::str::from_utf8(&row.bytes);
            let name = name.map_err(|_| FlowError::Unreadable { what: "identity" })?;
            next.count += u64::from(self.build_one(&mut draft, feed, name).await?);
        }
        match page.last() {
            Some((key, _)) => next.after.clone_from(key),
            None => next.is_whole = true,
        }
        stage_built(home, &mut draft, feed, revision, &next);
        draft.commit(&home.vault).await?;
        Ok(next.is_whole)
    }

    /// Stages the entry of an identifier that has a leaf; gives whether it did. One that is there
    /// is made anew: it may be of a time before leaves were published without entries.
    async fn build_one(
        &self,
        draft: &mut Draft,
        feed: &FeedId,
        canonical: &str,
    ) -> Result<bool, FlowError> {
        let home = &*self.home;
        let rows = FeedRows::new(home, feed);
        let (revision, published) = rows.published(canonical).await?;
        let Some((_, summary)) = published.filter(|(count, _)| *count > 0) else {
            return Ok(false);
        };
        let key = entry_key(home, feed, canonical);
        let held = home.vault.read(Table::LightEntry, &key).await?;
        let unreadable = |_| FlowError::Unreadable { what: "summary" };
        let summary: &[u8; SUMMARY_BYTES] = summary.as_slice().try_into().map_err(unreadable)?;
        let own = self.keys.key(feed.level, feed.epoch).await?;
        let token = own.secret.token_of(canonical.as_bytes());
        let entry = Leaf::seal(&token, ENTRY_NUMBER, summary, home.nonce()?, feed);
        let held = held.map_or(0, |row| row.revision);
        draft.put(Table::LightEntry, &key, held, entry.bytes().to_vec());
        // Another leaf, which has an entry of its own, makes this commit fail.
        rows.expect_published(draft, canonical, revision);
        Ok(true)
    }

    /// How a feed is cut now; `None` where light mode is not served, or not built yet, or where the
    /// buckets would be larger than an asker takes.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn plan(&self, feed: &FeedId) -> Result<Option<LightPlan>, FlowError> {
        let Some(wanted) = self.home.light.entries else {
            return Ok(None);
        };
        let (_, built) = built(&self.home, feed).await?;
        let bits = network_bits(&self.home);
        let plan = LightPlan::of(built.count, wanted, bits);
        Ok(Some(plan).filter(|plan| built.is_whole && plan.is_within(bits)))
    }

    /// How the live feeds of a level are cut.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn offers(&self, level: Level) -> Result<Vec<LightOffer>, FlowError> {
        let home = &self.home;
        let served = home.calendar.served(home.clock.now());
        let whole = |epoch: &Epoch| home.unfenced(*epoch).is_ok();
        let mut offers = Vec::new();
        for epoch in served.into_iter().filter(whole) {
            if let Some(plan) = self.plan(&home.feed(level, epoch)).await? {
                offers.push(LightOffer {
                    epoch,
                    bits: plan.bits,
                    entries: plan.entries,
                });
            }
        }
        Ok(offers)
    }

    /// A bucket as it stands in the store now, ready to be sent; `state` is the revision of the
    /// feed's head, which changes with everything that is published.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where more fell into the bucket than it has room for; the store's
    /// failure.
    pub async fn bucket(
        &self,
        feed: &FeedId,
        plan: &LightPlan,
        (bucket, state): (u32, u64),
    ) -> Result<Bytes, FlowError> {
        let place = (feed.clone(), plan.bits, bucket);
        if let Some(ready) = self.ready(&place, plan, state) {
            return Ok(ready);
        }
        let entries = self.entries(feed, plan.bits, bucket).await?;
        let seed = [plan.bits.to_be_bytes(), bucket.to_be_bytes()].concat();
        let context = [feed.origin().as_bytes(), &seed].concat();
        let key = self
            .home
            .vault
            .keys()
            .derive(labels::LIGHT_PADDING, &context);
        let padding = |place: u64| {
            let bytes = expanded::<LEAF_BYTES>(&key, labels::LIGHT_PADDING, &place.to_be_bytes());
            Leaf::from_bytes(*bytes.expose())
        };
        let full = arranged(entries, plan, padding).ok_or_else(|| {
            let why = format!("bucket {bucket} of {feed} overflows: mirror this member");
            FlowError::NotPossible(why)
        })?;
        let bytes = Bytes::from(flat(&full));
        self.keep_ready(place, state, bytes.clone());
        Ok(bytes)
    }

    /// The entries of a bucket, a range of rows.
    async fn entries(&self, feed: &FeedId, bits: u32, bucket: u32) -> Result<Vec<Leaf>, FlowError> {
        let home = &self.home;
        let finer = network_bits(home).saturating_sub(bits);
        let (first, behind) = (bucket << finer, (bucket + 1) << finer);
        let mut scan = Scan {
            prefix: cut_key(home, feed),
            after: first.checked_sub(1).map(|before| {
                // Behind every key of the bucket before.
                let mut key = bucket_key(home, feed, before);
                key.extend([u8::MAX; 17]);
                key
            }),
            limit: STORE_SCAN_ROWS_MAX,
        };
        let mut entries = Vec::new();
        loop {
            let page = home.vault.scan(Table::LightEntry, &scan).await?;
            for (key, row) in &page {
                let of = key.get(17..19).and_then(|bytes| bytes.try_into().ok());
                if of.map_or(u32::MAX, |of| u32::from(u16::from_be_bytes(of))) >= behind {
                    return Ok(entries);
                }
                let bytes = row.bytes.as_slice().try_into();
                let unreadable = |_| FlowError::Unreadable {
                    what: "light entry",
                };
                entries.push(Leaf::from_bytes(bytes.map_err(unreadable)?));
            }
            match page.last() {
                Some((key, _)) if page.len() == STORE_SCAN_ROWS_MAX => scan = scan.behind(key),
                Some(_) | None => return Ok(entries),
            }
        }
    }

    fn ready(&self, place: &(FeedId, u32, u32), plan: &LightPlan, state: u64) -> Option<Bytes> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, bytes) = ready.buckets.get(place)?;
        let is_full = u64::try_from(bytes.len() / LEAF_BYTES) == Ok(plan.entries);
        (*of == state && is_full).then(|| bytes.clone())
    }

    fn keep_ready(&self, place: (FeedId, u32, u32), state: u64, bytes: Bytes) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.bytes + bytes.len() > LIGHT_CACHE_BYTES {
            *ready = Ready::default();
        }
        ready.bytes += bytes.len();
        if let Some((_, before)) = ready.buckets.insert(place, (state, bytes)) {
            ready.bytes = ready.bytes.saturating_sub(before.len());
        }
    }
}
