//! Posting notices: a record that was withdrawn is named under the notice keys of every feed in
//! which it stood, without knowing who was answered from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::feed_rows::{FeedRow, FeedRows, OpenFeed};
use super::home::Home;
use super::stood::{KEPT, Place, Stood};
use super::{Book, FlowError, OwnFeeds, retry_conflicts};
use crate::domain::{Body, Day, Epoch, Level, Record, RecordId, RevisionKind, Timestamp};
use crate::limits::{FEED_GROUP_LEAVES, NOTICE_BATCH_CHANGES, STORE_SCAN_ROWS_MAX};
use crate::protocol::feed::{FeedHead, FeedId};
use crate::protocol::leaf::{Leaf, flat};
use crate::protocol::notice::Notice;
use crate::store::{Scan, Table, Vault};

/// First byte of a row of a change.
const FORMAT: u8 = 1;

/// A change of a record that those who were answered from it are to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Withdrawn {
    record: RecordId,
    kind: RevisionKind,
    event: [u8; 8],
    at: Timestamp,
    /// The canonical identifiers under which it stood.
    names: Vec<String>,
}

impl Withdrawn {
    /// Stages that `version` withdrew something about `record`, so that notices will be posted once
    /// it is published. Everything that one version withdrew is one event.
    pub(super) fn stage(
        vault: &Vault,
        draft: &mut Draft,
        version: &Record,
        (record, kind): (RecordId, RevisionKind),
        names: Vec<String>,
    ) {
        let number = version.head.version.number().to_be_bytes();
        let name = [version.head.record_id.0.as_bytes().as_slice(), &number].concat();
        let event = vault.row_key(Table::NoticeDue, &name);
        let event = event.first_chunk().copied().unwrap_or_default();
        let name = [name.as_slice(), record.0.as_bytes()].concat();
        let key = vault.row_key(Table::NoticeDue, &name).to_vec();
        let withdrawn = Self {
            record,
            kind,
            event,
            at: version.head.reported_at,
            names,
        };
        draft.put(Table::NoticeDue, &key, 0, withdrawn.encode());
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT, self.kind as u8];
        row.extend(self.record.0.as_bytes());
        row.extend(self.event);
        row.extend(self.at.unix_ms().to_be_bytes());
        row.extend(self.names.join("\n").as_bytes());
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let ([FORMAT, kind], row) = row.split_first_chunk()? else {
            return None;
        };
        let (record, row) = row.split_first_chunk()?;
        let (event, row) = row.split_first_chunk()?;
        let (at, row) = row.split_first_chunk()?;
        let kinds = RevisionKind::ALL.iter().copied();
        let names = std::str::from_utf8(row).ok()?.lines();
        Some(Self {
            record: RecordId(uuid::Uuid::from_bytes(*record)),
            kind: kinds.clone().find(|one| *one as u8 == *kind)?,
            event: *event,
            at: Timestamp::from_unix_ms(i64::from_be_bytes(*at)),
            names: names.map(str::to_owned).collect(),
        })
    }
}

/// Whether this is a signal that is told still, up to a day that is announced.
fn ends_later(record: &Record, today: Day) -> bool {
    matches!(&record.body, Body::Signal(signal) if signal.is_live(today))
}

/// Posts this node's notices.
#[derive(Debug)]
pub(super) struct NoticeBoard {
    home: Arc<Home>,
    book: Book,
    feeds: Arc<OwnFeeds>,
}

/// Rows of what stood, as they are while a batch of notices is put together.
type Rows = BTreeMap<(FeedId, String), (u64, Stood)>;

impl NoticeBoard {
    pub(super) const fn new(home: Arc<Home>, book: Book, feeds: Arc<OwnFeeds>) -> Self {
        Self { home, book, feeds }
    }

    /// Posts all notices that are due, then keeps padding and checkpoint of the feed current.
    pub(super) async fn post(&self) -> Result<(), FlowError> {
        let home = &*self.home;
        if home
            .unfenced(home.calendar.current(home.clock.now()))
            .is_err()
        {
            return Ok(());
        }
        retry_conflicts(|| self.ensure_open()).await?;
        loop {
            let posted = retry_conflicts(|| self.post_some()).await?;
            if posted == 0 {
                break;
            }
        }
        retry_conflicts(|| self.extend(Draft::default(), &[])).await
    }

    async fn ensure_open(&self) -> Result<(), FlowError> {
        let home = &*self.home;
        let feed = home.notice_feed();
        let rows = FeedRows::new(home, &feed);
        if rows.read().await?.is_some() {
            return Ok(());
        }
        let now = home.clock.now();
        let opening = FeedHead::open(feed, None, Vec::new(), &*home.entropy, now)?;
        let mut draft = Draft::default();
        let attempt = 1;
        for (number, group) in (0..).zip(opening.leaves.chunks(FEED_GROUP_LEAVES)) {
            rows.stage_group(&mut draft, attempt, number, flat(group));
        }
        let (checkpoint, head) = opening.head.checkpoint(now)?;
        let note = checkpoint.sign(&*home.identity())?.to_string();
        let open = Some(OpenFeed { head, note });
        rows.stage_head(&mut draft, 0, &FeedRow { attempt, open });
        draft.commit(&home.vault).await
    }

    /// Posts the notices of a few changes in one commit, with which the changes are no longer due.
    async fn post_some(&self) -> Result<usize, FlowError> {
        let mut draft = Draft::default();
        let (mut rows, mut leaves, mut changes) = (Rows::new(), Vec::new(), 0);
        let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
        while changes < NOTICE_BATCH_CHANGES {
            let page = self.home.vault.scan(Table::NoticeDue, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            scan.after = Some(last.clone());
            for (key, row) in &page {
                let due = Withdrawn::decode(&row.bytes).ok_or(FlowError::Unreadable {
                    what: "notice that is due",
                })?;
                if changes < NOTICE_BATCH_CHANGES && self.is_published(&due).await? {
                    draft.delete(Table::NoticeDue, key, row.revision);
                    leaves.extend(self.notices_of(&due, &mut rows).await?);
                    changes += 1;
                }
            }
        }
        if changes == 0 {
            return Ok(0);
        }
        for ((feed, canonical), (revision, stood)) in &rows {
            Place::of(&self.home, feed, canonical).put(&mut draft, *revision, stood);
        }
        self.extend(draft, &leaves).await?;
        Ok(changes)
    }

    /// Whether the change is in every feed that takes leaves: then the feeds' sizes say who was
    /// answered before it.
    async fn is_published(&self, due: &Withdrawn) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        for name in &due.names {
            let marker = vault.row_key(Table::Unpublished, name.as_bytes());
            if vault.read(Table::Unpublished, &marker).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One leaf for each stretch in which the record stood, in every feed of the last 180 days.
    async fn notices_of(&self, due: &Withdrawn, rows: &mut Rows) -> Result<Vec<Leaf>, FlowError> {
        let home = &*self.home;
        let held = self.book.find(due.record).await?;
        let stands = held.as_ref().is_some_and(|held| !held.is_retracted());
        let today = home.clock.now().day();
        let is_silent = match due.kind {
            RevisionKind::Retracted | RevisionKind::Decided => false,
            // What ends on a later day was true until then.
            RevisionKind::Corrected => held.is_some_and(|held| ends_later(&held, today)),
            // What was taken back since is told as that.
            RevisionKind::Disputed => !stands,
        };
        let board = home.notice_feed();
        let mut leaves = Vec::new();
        if is_silent {
            return Ok(leaves);
        }
        for feed in self.recent_feeds() {
            // A feed that takes no leaves any more told the record to its end.
            let is_live = home.clock.now() < home.calendar.ends_at(feed.epoch);
            for name in &due.names {
                let place = (feed.clone(), name.clone());
                if !rows.contains_key(&place) {
                    let Some(held) = Place::of(home, &feed, name).read().await? else {
                        continue;
                    };
                    rows.insert(place.clone(), held);
                }
                let Some((_, stood)) = rows.get_mut(&place) else {
                    continue;
                };
                for stretch in stood.stretches_of(due.record, stands && is_live) {
                    let notice = Notice {
                        kind: due.kind,
                        event: due.event,
                        at: due.at,
                        stretch,
                    };
                    let n = stood.posted;
                    leaves.push(notice.seal(&stood.key, n, home.nonce()?, &board));
                    stood.posted = n.saturating_add(1);
                }
            }
        }
        Ok(leaves)
    }

    /// The feeds of the last 180 days, at both levels, the next epoch's among them.
    fn recent_feeds(&self) -> Vec<FeedId> {
        let home = &*self.home;
        let now = home.clock.now();
        let first = home
            .calendar
            .current(now.minus(KEPT + Duration::from_secs(86_400)));
        // The epoch before may have ended within the 180 days.
        let first = first.previous().unwrap_or(first);
        let last = home.calendar.current(now).next();
        let epochs = (first.0..=last.0).map(Epoch);
        epochs
            .flat_map(|epoch| [Level::Full, Level::Defaults].map(|level| home.feed(level, epoch)))
            .collect()
    }

    /// Appends notices, or the padding that is owed, and signs where that is due; all of it in one
    /// commit with what is staged already.
    async fn extend(&self, mut draft: Draft, leaves: &[Leaf]) -> Result<(), FlowError> {
        let home = &*self.home;
        let feed = home.notice_feed();
        let rows = FeedRows::new(home, &feed);
        let Some((
            revision,
            FeedRow {
                attempt,
                open: Some(open),
            },
        )) = rows.read().await?
        else {
            return Err(FlowError::FeedNotOpen { epoch: feed.epoch });
        };
        let now = home.clock.now();
        let plan = if leaves.is_empty() {
            open.head.top_up(&*home.entropy, now)?
        } else {
            Some(open.head.append(leaves, &*home.entropy, now)?)
        };
        let head = match plan {
            Some(plan) => {
                let first = plan.first / FEED_GROUP_LEAVES as u64;
                for (number, group) in (first..).zip(&plan.groups) {
                    rows.stage_group(&mut draft, attempt, number, flat(group));
                }
                plan.head
            }
            None if draft.len() > 0 || open.checkpoint_due(home) => open.head,
            None => return Ok(()),
        };
        let (checkpoint, head) = head.checkpoint(now)?;
        let note = checkpoint.sign(&*home.identity())?.to_string();
        let open = Some(OpenFeed { head, note });
        rows.stage_head(&mut draft, revision, &FeedRow { attempt, open });
        draft.commit(&home.vault).await?;
        self.feeds.announce();
        Ok(())
    }
}
