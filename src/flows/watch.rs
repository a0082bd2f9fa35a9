//! The watch list, and what recognises its borrowers in peers' feeds.
//!
//! Everything that writes rows of the watch goes through one lock, one after the other. What is
//! seen, how far a feed was looked at, and the alerts that follow are one commit. Of several
//! replicas the one that leads looks and evaluates; the others read its rows.

mod board;
mod customers;
mod looking;
mod pass;
mod rows;
mod taking;
mod told;
mod turning;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::alerts::{Alerts, is_conflict};
use super::draft::Draft;
use super::home::Home;
use super::question::Asker;
use super::{Book, FlowError, Ledger, Mirrors, PeerKeys};
use crate::domain::{Borrower, Epoch, MemberId, Timestamp};
use crate::limits::{WATCH_PAGE_MAX, WATCH_TICK, WATCHED_MAX};
use crate::store::{Scan, Table};
use board::{Board, Feed};
use customers::is_customer;
use rows::{ListHead, WatchedRow};

/// The row with the counts of the watch list.
const HEAD: &[u8] = b"h";

/// What stands before a watched borrower's number in its key.
const NUMBERED: u8 = b'n';

/// What stands before the hash of an identifier in the key of its index row.
const INDEXED: u8 = b'i';

/// What a configuration says of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchSettings {
    /// Whether hard applications elsewhere raise alerts.
    pub hard_applications: bool,
    /// Whether alerts are posted to a webhook.
    pub posts: bool,
}

/// A borrower to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWatched {
    /// Its identifiers, at least one.
    pub borrower: Borrower,
    /// The member's own reference to it; may be empty.
    pub reference: String,
}

/// A borrower that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedEntry {
    /// Its number in the watch list.
    pub number: u32,
    /// The member's own reference to it.
    pub reference: String,
    /// Its identifiers, masked.
    pub borrower: String,
    /// Since when.
    pub added_at: Timestamp,
}

impl WatchedEntry {
    fn of(number: u32, row: &WatchedRow) -> Result<Self, FlowError> {
        let subject = row.subject()?;
        Ok(Self {
            number,
            reference: subject.reference,
            borrower: subject.borrower,
            added_at: Timestamp::from_unix_ms(row.added_at),
        })
    }
}

/// How far the evaluation pass at one peer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerProgress {
    /// The peer.
    pub peer: MemberId,
    /// The key epoch of the pass; none before the first.
    pub epoch: Option<Epoch>,
    /// Borrowers evaluated.
    pub evaluated: u64,
    /// Whether all are.
    pub is_whole: bool,
    /// What it waits for; empty where it does not.
    pub waits: String,
}

/// The watch of one node. Clones share it.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Arc<Home>,
    book: Book,
    asker: Asker,
    ledger: Ledger,
    alerts: Arc<Alerts>,
    settings: WatchSettings,
    board: Mutex<Board>,
    /// Tells the pass that the list has grown.
    grown: Notify,
    waits: SyncMutex<BTreeMap<MemberId, String>>,
}

impl Watch {
    /// The watch list in this node's store, with these ways to peers.
    #[must_use]
    pub fn new(
        (home, book): (Arc<Home>, Book),
        (keys, mirrors): (Arc<PeerKeys>, Arc<Mirrors>),
        ledger: Ledger,
        alerts: Arc<Alerts>,
        settings: WatchSettings,
    ) -> Self {
        let asker = Asker::new(Arc::clone(&home), keys, mirrors);
        Self(Arc::new(Inner {
            home,
            book,
            asker,
            ledger,
            alerts,
            settings,
            board: Mutex::default(),
            grown: Notify::new(),
            waits: SyncMutex::default(),
        }))
    }

    /// Looks at every leaf that comes in; ends only when dropped.
    pub async fn look(self) {
        let mut news = self.0.asker.mirrors.news();
        loop {
            let looked = self.0.look_at_news().await;
            if let Err(error) = looked {
                // Another replica of this node may have written; what it wrote is read again.
                self.0.board.lock().await.forget();
                if !is_conflict(&error) {
                    tracing::error!(%error, "leaves of watched borrowers cannot be looked at");
                    tokio::time::sleep(WATCH_TICK).await;
                }
                continue;
            }
            let _woken = timeout(WATCH_TICK, news.changed()).await;
        }
    }

    /// Evaluates the watch list at every peer, once for each key epoch; ends only when dropped.
    pub async fn evaluate(self) {
        self.0.evaluate_for_ever().await;
    }

    /// Watches borrowers, at most [`WATCH_PAGE_MAX`] at once; gives for each its number and whether
    /// it is new. Who is watched already stays as it is. That the borrowers are this member's is
    /// the caller's to know: [`Self::add_customers`] looks.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the list is full; the store's failure.
    pub async fn add(&self, borrowers: &[NewWatched]) -> Result<Vec<(u32, bool)>, FlowError> {
        let inner = &self.0;
        let _one_at_a_time = inner.board.lock().await;
        let mut added = Vec::with_capacity(borrowers.len());
        for page in borrowers.chunks(WATCH_PAGE_MAX) {
            added.extend(super::retry_conflicts(|| inner.add_page(page)).await?);
        }
        inner.grown.notify_one();
        Ok(added)
    }

    /// Watches those of one page of the book with whom a contract runs: loans that are not paid,
    /// and live holds. Gives records read, borrowers added, and where the next page begins.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn add_book_page(
        &self,
        after: Option<Vec<u8>>,
    ) -> Result<(usize, usize, Option<Vec<u8>>), FlowError> {
        let (records, next) = self.0.book.page(after).await?;
        let now = self.0.home.clock.now();
        let customers = records.iter().filter(|record| is_customer(record, now));
        let customers: Vec<NewWatched> = customers
            .map(|record| NewWatched {
                borrower: record.borrower.clone(),
                reference: record.head.record_id.to_string(),
            })
            .collect();
        let added = self.add(&customers).await?;
        let new = added.iter().filter(|(_, is_new)| *is_new).count();
        Ok((records.len(), new, next))
    }

    /// Watches a borrower no more, and deletes what was derived for it. Gives whether it was
    /// watched.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn remove(&self, canonical: &str) -> Result<bool, FlowError> {
        let inner = &self.0;
        super::retry_conflicts(|| async {
            let mut board = inner.board.lock().await;
            inner.open_board(&mut board).await?;
            let removed = inner.remove_from(&mut board, canonical).await;
            if removed.is_err() {
                board.forget();
            }
            removed
        })
        .await
    }

    /// Since when the holder of an identifier is watched; `None` where it is not.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn watched_since(&self, canonical: &str) -> Result<Option<Timestamp>, FlowError> {
        let inner = &self.0;
        let vault = &inner.home.vault;
        let index = inner.indexed(canonical);
        let Some(held) = vault.read(Table::Watched, &index).await? else {
            return Ok(None);
        };
        let number = rows::number_in(&held.bytes)?;
        let row = inner.watched_after(number.saturating_sub(1), 1).await?;
        let row = row.first().filter(|(found, _)| *found == number);
        Ok(row.map(|(_, row)| Timestamp::from_unix_ms(row.added_at)))
    }

    /// Watched borrowers after a number, at most [`WATCH_PAGE_MAX`].
    ///
    /// # Errors
    /// The store's failure.
    pub async fn page(&self, after: u32) -> Result<Vec<WatchedEntry>, FlowError> {
        let rows = self.0.watched_after(after, WATCH_PAGE_MAX).await?;
        let entry = |(number, row): &(u32, WatchedRow)| WatchedEntry::of(*number, row);
        rows.iter().map(entry).collect()
    }

    /// How many are watched, and how far the pass at each peer has come.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn progress(&self) -> Result<(u32, Vec<PeerProgress>), FlowError> {
        let inner = &self.0;
        let mut board = inner.board.lock().await;
        inner.open_board(&mut board).await?;
        let (_, head) = inner.head().await?;
        let mut peers = Vec::new();
        for peer in inner.home.asked() {
            let newest = board.newest_of(&peer.id, |slot| inner.is_live(slot));
            let waits = inner.waits().get(&peer.id).cloned();
            peers.push(PeerProgress {
                epoch: newest.map(|feed| feed.id.epoch),
                evaluated: newest.map_or(0, |feed| feed.row.borrowers),
                is_whole: head.last == 0
                    || newest.is_some_and(|feed| feed.row.evaluated >= head.last),
                waits: waits.unwrap_or_default(),
                peer: peer.id.clone(),
            });
        }
        Ok((head.count, peers))
    }
}

fn numbered(number: u32) -> Vec<u8> {
    [&[NUMBERED], number.to_be_bytes().as_slice()].concat()
}

impl Inner {
    fn waits(&self) -> std::sync::MutexGuard<'_, BTreeMap<MemberId, String>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexed(&self, canonical: &str) -> Vec<u8> {
        let hash = self
            .home
            .vault
            .row_key(Table::Watched, canonical.as_bytes());
        [&[INDEXED], hash.as_slice()].concat()
    }

    async fn head(&self) -> Result<(u64, ListHead), FlowError> {
        let row = self.home.vault.read(Table::Watched, HEAD).await?;
        Ok(match row {
            Some(row) => (row.revision, rows::decode(&row.bytes)?),
            None => (0, ListHead::default()),
        })
    }

    async fn add_page(&self, borrowers: &[NewWatched]) -> Result<Vec<(u32, bool)>, FlowError> {
        let vault = &self.home.vault;
        let mut draft = Draft::default();
        let (revision, mut head) = self.head().await?;
        let mut added = Vec::with_capacity(borrowers.len());
        for NewWatched {
            borrower,
            reference,
        } in borrowers
        {
            let none = || FlowError::NotPossible("a borrower needs an identifier".to_owned());
            let strongest = borrower.identifiers().next().ok_or_else(none)?;
            let index = self.indexed(strongest.canonical());
            let held = match draft.staged(Table::Watched, &index).flatten() {
                Some(staged) => Some(rows::number_in(staged)?),
                None => match vault.read(Table::Watched, &index).await? {
                    Some(row) => Some(rows::number_in(&row.bytes)?),
                    None => None,
                },
            };
            if let Some(number) = held {
                added.push((number, false));
                continue;
            }
            if head.count >= WATCHED_MAX || head.last == u32::MAX {
                return Err(FlowError::NotPossible(format!(
                    "the watch list is full: it holds {WATCHED_MAX} borrowers"
                )));
            }
            head.last += 1;
            head.count += 1;
            let now = self.home.clock.now().unix_ms();
            let row = rows::encode(&WatchedRow::of(borrower, reference, now));
            draft.put(Table::Watched, &numbered(head.last), 0, row);
            draft.put(Table::Watched, &index, 0, rows::encode_number(head.last));
            added.push((head.last, true));
        }
        if draft.len() > 0 {
            draft.put(Table::Watched, HEAD, revision, rows::encode(&head));
        }
        draft.commit(vault).await?;
        Ok(added)
    }

    async fn watched_after(
        &self,
        after: u32,
        limit: usize,
    ) -> Result<Vec<(u32, WatchedRow)>, FlowError> {
        let mut found = Vec::new();
        let mut after = numbered(after);
        while found.len() < limit {
            let scan = Scan {
                prefix: vec![NUMBERED],
                after: Some(after.clone()),
                limit: (limit - found.len()).min(crate::limits::STORE_SCAN_ROWS_MAX),
            };
            let page = self.home.vault.scan(Table::Watched, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (key, row) in &page {
                let number = key.strip_prefix(&[NUMBERED]).map(TryInto::try_into);
                let number = number.and_then(Result::ok).ok_or_else(rows::unreadable)?;
                found.push((u32::from_be_bytes(number), rows::decode(&row.bytes)?));
            }
        }
        Ok(found)
    }

    async fn watched(&self, number: u32) -> Result<Option<WatchedRow>, FlowError> {
        let row = self
            .home
            .vault
            .read(Table::Watched, &numbered(number))
            .await?;
        row.map(|row| rows::decode(&row.bytes)).transpose()
    }

    async fn remove_from(&self, board: &mut Board, canonical: &str) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        let index = self.indexed(canonical);
        let Some(held) = vault.read(Table::Watched, &index).await? else {
            return Ok(false);
        };
        let number = rows::number_in(&held.bytes)?;
        let row = vault.read(Table::Watched, &numbered(number)).await?;
        let row = row.ok_or_else(rows::unreadable)?;
        let (revision, mut head) = self.head().await?;
        head.count = head.count.saturating_sub(1);
        let mut draft = Draft::default();
        draft.delete(Table::Watched, &index, held.revision);
        draft.delete(Table::Watched, &numbered(number), row.revision);
        draft.put(Table::Watched, HEAD, revision, rows::encode(&head));
        let mut touched = Vec::new();
        for feed in board.feeds.values_mut() {
            if feed.drop_borrower(&self.home, &mut draft, number).await? {
                touched.push(feed);
            }
        }
        draft.commit(vault).await?;
        touched.into_iter().for_each(Feed::staged);
        Ok(true)
    }
}
