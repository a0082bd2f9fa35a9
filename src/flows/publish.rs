//! Publishing: what changed in the book becomes leaves in every own feed, durable before it is
//! acknowledged. One task does it, so that publications share groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::Zeroizing;

use super::draft::Draft;
use super::due;
use super::feed_rows::{FeedRow, FeedRows, OpenFeed};
use super::home::Home;
use super::light::Entries;
use super::notices::NoticeBoard;
use super::stood::{Place, Standing, visible_from};
use super::{Book, FlowError, OwnFeeds, OwnKeys, retry_conflicts};
use crate::domain::{Borrower, Record};
use crate::limits::{
    FEED_GROUP_LEAVES, PUBLISH_BATCH_IDENTIFIERS, PUBLISH_QUEUE_MAX, PUBLISH_TICK,
    STORE_BATCH_ROWS_MAX,
};
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::{Leaf, flat};
use crate::store::{Scan, Table};

#[derive(Debug)]
enum Request {
    /// These canonical identifiers, and whoever waits for them.
    Publish(Vec<String>, oneshot::Sender<Result<(), FlowError>>),
    /// There may be a backlog.
    Nudge,
}

/// The way to the publishing task.
#[derive(Debug, Clone)]
pub struct Publisher {
    queue: mpsc::Sender<Request>,
}

impl Publisher {
    /// Waits until the newest records of this borrower are durable in every own feed.
    ///
    /// # Errors
    /// [`FlowError::NotPublished`] with the reason, and then nothing may be asked.
    pub async fn publish(&self, borrower: &Borrower) -> Result<(), FlowError> {
        let names = borrower.identifiers();
        let names = names.map(|identifier| identifier.canonical().to_owned());
        self.wait_for(names.collect()).await
    }

    /// As [`Self::publish`], by canonical identifiers.
    ///
    /// # Errors
    /// [`FlowError::NotPublished`] with the reason.
    pub async fn publish_names(&self, names: Vec<String>) -> Result<(), FlowError> {
        self.wait_for(names).await
    }

    async fn wait_for(&self, names: Vec<String>) -> Result<(), FlowError> {
        let (done, outcome) = oneshot::channel();
        let sent = self.queue.send(Request::Publish(names, done)).await;
        sent.map_err(|_| FlowError::ShuttingDown)?;
        outcome.await.map_err(|_| FlowError::ShuttingDown)?
    }

    /// Waits until every own feed has a checkpoint that is young enough.
    ///
    /// # Errors
    /// [`FlowError::NotPublished`] with the reason.
    pub async fn refresh(&self) -> Result<(), FlowError> {
        self.wait_for(Vec::new()).await
    }

    /// Says that records were filed that nobody waits for.
    pub fn nudge(&self) {
        // A full queue holds publications that take the backlog along.
        drop(self.queue.try_send(Request::Nudge));
    }
}

/// The one task that publishes.
#[derive(Debug)]
pub struct PublisherTask {
    home: Arc<Home>,
    book: Book,
    keys: Arc<OwnKeys>,
    feeds: Arc<OwnFeeds>,
    notices: NoticeBoard,
    inbox: mpsc::Receiver<Request>,
}

/// A row that asks for a publication, and goes away with it: its key and revision.
type Marker = (Table, Vec<u8>, u64);

/// What one pass publishes: canonical identifiers with the rows that ask for it.
type Markers = BTreeMap<String, Vec<Marker>>;

impl PublisherTask {
    /// The task and the way to it.
    #[must_use]
    pub fn new(
        home: Arc<Home>,
        book: Book,
        keys: Arc<OwnKeys>,
        feeds: Arc<OwnFeeds>,
    ) -> (Publisher, Self) {
        let (queue, inbox) = mpsc::channel(PUBLISH_QUEUE_MAX);
        let notices = NoticeBoard::new(Arc::clone(&home), book.clone(), Arc::clone(&feeds));
        (
            Publisher { queue },
            Self {
                home,
                book,
                keys,
                feeds,
                notices,
                inbox,
            },
        )
    }

    /// Publishes until the last [`Publisher`] is gone.
    pub async fn run(mut self) {
        let mut next_group = Instant::now();
        loop {
            let mut waiting = Vec::new();
            match timeout(PUBLISH_TICK, self.inbox.recv()).await {
                Ok(None) => return,
                Ok(Some(request)) => {
                    waiting.push(request);
                    sleep_until(next_group).await;
                    while let Ok(request) = self.inbox.try_recv() {
                        waiting.push(request);
                    }
                }
                // What nobody here waits for, one replica publishes.
                Err(_) if !self.home.vault.replicas().leads() => continue,
                Err(_) => {}
            }
            let wanted = waiting.iter().flat_map(|request| match request {
                Request::Publish(names, _) => names.clone(),
                Request::Nudge => Vec::new(),
            });
            let outcome = self.publish_all(wanted.collect()).await;
            next_group = Instant::now() + self.home.timing.group_interval;
            let failed = outcome.err().map(|error| error.to_string());
            for request in waiting {
                if let Request::Publish(_, done) = request {
                    let told = failed
                        .clone()
                        .map_or(Ok(()), |why| Err(FlowError::NotPublished(why)));
                    let _heard = done.send(told);
                }
            }
            // What waits for a publication does not wait for the notices about it.
            let noticed = match &failed {
                Some(why) => Err(why.clone()),
                None => self.notices.post().await.map_err(|error| error.to_string()),
            };
            if let Err(why) = noticed {
                tracing::warn!(%why, "publication failed; it is tried again");
                tokio::time::sleep(self.home.timing.follow_backoff).await;
            }
        }
    }

    /// Publishes these identifiers and then the backlog, and keeps the feeds alive; of several
    /// replicas one sees to the backlog.
    async fn publish_all(&self, wanted: BTreeSet<String>) -> Result<(), FlowError> {
        let wanted: Vec<String> = wanted.into_iter().collect();
        let is_done = !wanted.is_empty() && !self.home.vault.replicas().leads();
        let most = self.identifiers_at_once();
        for part in wanted.chunks(most) {
            retry_conflicts(|| async {
                let markers = self.markers_of(part).await?;
                self.publish_batch(markers).await
            })
            .await?;
        }
        if is_done {
            return Ok(());
        }
        loop {
            let published: usize = retry_conflicts(|| async {
                let markers = self.backlog().await?;
                let count = markers.values().map(Vec::len).sum();
                self.publish_batch(markers).await?;
                Ok(count)
            })
            .await?;
            if published < most || !self.inbox.is_empty() {
                return Ok(());
            }
        }
    }

    /// Identifiers that one commit publishes: in each feed they take a row for their leaf, one for
    /// what stood, and one for their entry where light mode is served.
    fn identifiers_at_once(&self) -> usize {
        let home = &*self.home;
        let epochs = home.calendar.served(home.clock.now()).len() + 1;
        let feeds = home.levels_served().len().max(1) * epochs;
        let rows = 3 + usize::from(home.light.entries.is_some());
        (STORE_BATCH_ROWS_MAX / (2 + rows * feeds)).min(PUBLISH_BATCH_IDENTIFIERS)
    }

    /// The feeds that must be open now, opened: live epochs, and the next one where a replica whose
    /// clock is ahead began to open it, at the levels of the members that there are.
    async fn open_feeds(&self) -> Result<Vec<FeedId>, FlowError> {
        let home = &*self.home;
        let now = home.clock.now();
        let mut feeds = Vec::new();
        for level in home.levels_served() {
            for epoch in home.calendar.served(now) {
                feeds.push(home.feed(level, epoch));
            }
            let next = home.feed(level, home.calendar.current(now).next());
            if FeedRows::new(home, &next).read().await?.is_some() {
                feeds.push(next);
            }
        }
        for feed in &feeds {
            home.unfenced(feed.epoch)?;
            super::open_feed::ensure_open(home, &self.book, &self.keys, feed).await?;
        }
        Ok(feeds)
    }

    async fn markers_of(&self, names: &[String]) -> Result<Markers, FlowError> {
        let mut markers = Markers::new();
        for name in names {
            let key = self
                .home
                .vault
                .row_key(Table::Unpublished, name.as_bytes())
                .to_vec();
            if let Some(row) = self.home.vault.read(Table::Unpublished, &key).await? {
                markers.insert(name.clone(), vec![(Table::Unpublished, key, row.revision)]);
            }
        }
        Ok(markers)
    }

    /// What was filed and is not published, and what time alone changed.
    async fn backlog(&self) -> Result<Markers, FlowError> {
        let mut markers = Markers::new();
        for one in due::due(&self.home).await? {
            let marker = (Table::Due, one.key, one.revision);
            markers.entry(one.canonical).or_default().push(marker);
        }
        let most = self.identifiers_at_once();
        let scan = Scan::all(most.saturating_sub(markers.len()));
        let unreadable = |_| FlowError::Unreadable {
            what: "publication marker",
        };
        for (key, row) in self.home.vault.scan(Table::Unpublished, &scan).await? {
            let name = String::from_utf8(row.bytes.to_vec()).map_err(unreadable)?;
            let marker = (Table::Unpublished, key, row.revision);
            markers.entry(name).or_default().push(marker);
        }
        Ok(markers)
    }

    /// One commit: leaves in every feed, and the markers gone. The markers were read before the
    /// feeds are looked at: what was filed after a feed was opened, by whichever replica, goes into
    /// that feed.
    async fn publish_batch(&self, markers: Markers) -> Result<(), FlowError> {
        let feeds = self.open_feeds().await?;
        let mut draft = Draft::default();
        let mut records = Vec::with_capacity(markers.len());
        for (name, asked_by) in &markers {
            records.push((name.as_str(), self.book.records_of(name).await?));
            for (table, key, revision) in asked_by {
                draft.delete(*table, key, *revision);
            }
        }
        for feed in &feeds {
            self.stage_feed(&mut draft, feed, &records).await?;
        }
        if draft.len() > 0 {
            draft.commit(&self.home.vault).await?;
            tracing::debug!(identifiers = markers.len(), "published");
            self.feeds.announce();
        }
        Ok(())
    }

    async fn stage_feed(
        &self,
        draft: &mut Draft,
        feed: &FeedId,
        records: &[(&str, Vec<Record>)],
    ) -> Result<(), FlowError> {
        let home = &*self.home;
        let rows = FeedRows::new(home, feed);
        let not_open = FlowError::FeedNotOpen { epoch: feed.epoch };
        let Some((revision, row)) = rows.read().await? else {
            return Err(not_open);
        };
        let (attempt, open) = row.published().ok_or(not_open)?;
        let key = self.keys.key(feed.level, feed.epoch).await?;
        let mut leaves = Vec::with_capacity(records.len());
        let mut entries = Entries::of(home, feed);
        for (name, held) in records {
            let made = home.summarized(held, feed.level)?;
            if let Some(at) = home.changes_within(&made, feed) {
                due::stage(home, draft, name, at).await?;
            }
            let summary = made.summary.encode();
            let (count_revision, published) = rows.published(name).await?;
            let stands = Standing {
                resting: &home.resting(held, feed.level)?,
                at: visible_from(open.head.size(), leaves.len()),
                first: false,
            };
            let place = Place::of(home, feed, name);
            let stood = place.read().await?;
            let same = |(_, old): &(u32, Zeroizing<Vec<u8>>)| old.as_slice() == summary;
            // Where the same is told of other records, the feed shows from where on.
            let unchanged =
                stands.are_those_of(stood.as_ref()) && published.as_ref().is_some_and(same);
            if unchanged || home.skips(held) {
                continue;
            }
            let n = published.map_or(0, |(count, _)| count);
            let token = key.secret.token_of(name.as_bytes());
            leaves.push(Leaf::seal(&token, n, &summary, home.nonce()?, feed));
            entries.stage(draft, (name, &token), &summary).await?;
            rows.stage_published(draft, name, count_revision, (n.saturating_add(1), &summary));
            place.stage(draft, stood, &stands, &token);
        }
        entries.close(draft).await?;
        let now = home.clock.now();
        let plan = if leaves.is_empty() {
            open.head.top_up(&*home.entropy, now)?
        } else {
            Some(open.head.append(&leaves, &*home.entropy, now)?)
        };
        let head = match plan {
            Some(plan) => {
                let first = plan.first / FEED_GROUP_LEAVES as u64;
                for (number, group) in (first..).zip(&plan.groups) {
                    rows.stage_group(draft, attempt, number, flat(group));
                }
                plan.head
            }
            None if open.checkpoint_due(home) => open.head,
            None => return Ok(()),
        };
        let (checkpoint, head) = head.checkpoint(now)?;
        let note = checkpoint.sign(&*home.identity())?.to_string();
        rows.stage_head(
            draft,
            revision,
            &FeedRow {
                attempt,
                open: Some(OpenFeed { head, note }),
            },
        );
        Ok(())
    }
}
