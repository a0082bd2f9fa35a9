//! The feeds that are watched: what of each is in memory, and where its rows are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::rows::{self, FeedRow, Shelf, State};
use super::{Inner, Watch};
use crate::domain::{Epoch, Level, MemberId, Summary};
use crate::flows::draft::Draft;
use crate::flows::home::Home;
use crate::flows::{FlowError, Mirror};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::tag_of;
use crate::protocol::watch::{WatchIndex, Watched};
use crate::store::{Plain, Scan, Table};

/// Names a feed in the order of its member's epochs.
pub(super) type Slot = (MemberId, Epoch, Level);

/// Every feed that was ever evaluated and is not settled yet.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) is_open: bool,
    /// Whether the tags to expect are there: they are where this replica leads.
    expects: bool,
    pub(super) feeds: BTreeMap<Slot, Feed>,
}

/// One feed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) id: FeedId,
    pub(super) mirror: Arc<Mirror>,
    pub(super) row: FeedRow,
    pub(super) revision: u64,
    /// The position in the stored row.
    pub(super) noted: u64,
    /// Filled while the feed is live.
    pub(super) index: WatchIndex,
    pub(super) is_loaded: bool,
}

/// An older feed of the same member, which may have told more.
pub(super) struct Elder {
    pub(super) id: FeedId,
    pub(super) evaluated: u32,
    pub(super) is_live: bool,
}

/// What was told of a borrower before.
pub(super) enum Before {
    NotWatched,
    Nothing,
    Was(Box<Summary>),
}

impl Board {
    /// Reads everything again at the next occasion.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The newest feed of a member that is live.
    pub(super) fn newest_of(
        &self,
        member: &MemberId,
        is_live: impl Fn(&Slot) -> bool,
    ) -> Option<&Feed> {
        let own = self.feeds.iter().filter(|(slot, _)| slot.0 == *member);
        let mut live = own.filter(|(slot, _)| is_live(slot));
        live.next_back().map(|(_, feed)| feed)
    }

    /// The other feeds of the same member that are not newer, the newest first: earlier epochs,
    /// and what the member told this node at another level.
    pub(super) fn elders(&self, slot: &Slot, is_live: impl Fn(&Slot) -> bool) -> Vec<Elder> {
        let (member, epoch, _) = slot;
        let is_elder = |other: &Slot| other != slot && other.0 == *member && other.1 <= *epoch;
        let elders = self.feeds.iter().rev().filter(|(other, _)| is_elder(other));
        let elder = |(slot, feed): (&Slot, &Feed)| Elder {
            id: feed.id.clone(),
            evaluated: feed.row.evaluated,
            is_live: is_live(slot),
        };
        elders.map(elder).collect()
    }
}

pub(super) fn slot_of(feed: &FeedId) -> Slot {
    (feed.member.clone(), feed.epoch, feed.level)
}

/// The first bytes of the keys of a feed's rows.
fn prefix(home: &Home, table: Table, feed: &FeedId) -> Vec<u8> {
    let mut key = home.vault.row_key(table, feed.origin().as_bytes()).to_vec();
    key.truncate(16);
    key
}

pub(super) fn state_key(home: &Home, feed: &FeedId, number: u32) -> Vec<u8> {
    let prefix = prefix(home, Table::WatchState, feed);
    [prefix.as_slice(), &number.to_be_bytes()].concat()
}

fn shelf_key(home: &Home, feed: &FeedId, shelf: u32) -> Vec<u8> {
    let prefix = prefix(home, Table::WatchToken, feed);
    [prefix.as_slice(), &shelf.to_be_bytes()].concat()
}

fn feed_key(home: &Home, feed: &FeedId) -> Vec<u8> {
    let name = feed.origin();
    home.vault
        .row_key(Table::WatchFeed, name.as_bytes())
        .to_vec()
}

/// The key of the row with the batch that is under way.
pub(super) fn pending_key(home: &Home, feed: &FeedId) -> Vec<u8> {
    let name = format!("pending/{}", feed.origin());
    home.vault
        .row_key(Table::WatchFeed, name.as_bytes())
        .to_vec()
}

/// The number at the end of a key.
pub(super) fn number_of(key: &[u8]) -> Result<u32, FlowError> {
    let number = key.last_chunk::<4>().ok_or_else(rows::unreadable)?;
    Ok(u32::from_be_bytes(*number))
}

/// A state and its revision, as a draft or the store has it.
pub(super) async fn state_of(
    home: &Home,
    draft: &Draft,
    key: &[u8],
) -> Result<(u64, Option<State>), FlowError> {
    let held = home.vault.read(Table::WatchState, key).await?;
    let revision = held.as_ref().map_or(0, |row| row.revision);
    let state = match draft.staged(Table::WatchState, key) {
        Some(staged) => staged.map(State::decode).transpose()?,
        None => held.map(|row| State::decode(&row.bytes)).transpose()?,
    };
    Ok((revision, state))
}

/// What the elders told of a borrower.
pub(super) async fn before(
    home: &Home,
    elders: &[Elder],
    number: u32,
) -> Result<Before, FlowError> {
    let mut before = Before::NotWatched;
    for elder in elders.iter().filter(|elder| elder.evaluated >= number) {
        before = Before::Nothing;
        let key = state_key(home, &elder.id, number);
        let (_, state) = state_of(home, &Draft::default(), &key).await?;
        if let Some(state) = state.filter(|state| state.told) {
            return Ok(state
                .summary
                .map_or(Before::Nothing, |summary| Before::Was(Box::new(summary))));
        }
    }
    Ok(before)
}

impl Feed {
    /// The keys of the feed's own row and of the batch that is under way.
    pub(super) fn keys(&self, home: &Home) -> [Vec<u8>; 2] {
        [feed_key(home, &self.id), pending_key(home, &self.id)]
    }

    /// Stages how far the feed has come.
    pub(super) fn stage(&self, home: &Home, draft: &mut Draft) {
        let key = feed_key(home, &self.id);
        draft.put(
            Table::WatchFeed,
            &key,
            self.revision,
            rows::encode(&self.row),
        );
    }

    /// The row that was staged is durable.
    pub(super) fn staged(&mut self) {
        self.revision += 1;
        self.noted = self.row.cursor;
    }

    /// The shelf of a borrower's token, as a draft or the store has it.
    pub(super) async fn shelf(
        &self,
        home: &Home,
        draft: &Draft,
        number: u32,
    ) -> Result<(Vec<u8>, u64, Shelf), FlowError> {
        let key = shelf_key(home, &self.id, Shelf::of(number));
        let held = home.vault.read(Table::WatchToken, &key).await?;
        let revision = held.as_ref().map_or(0, |row| row.revision);
        let shelf = match draft.staged(Table::WatchToken, &key) {
            Some(staged) => staged.map(Shelf::decode).transpose()?,
            None => held.map(|row| Shelf::decode(&row.bytes)).transpose()?,
        };
        Ok((key, revision, shelf.unwrap_or_default()))
    }

    /// Stages that nothing of a borrower is kept for this feed; gives whether its row is staged
    /// too.
    pub(super) async fn drop_borrower(
        &mut self,
        home: &Home,
        draft: &mut Draft,
        number: u32,
    ) -> Result<bool, FlowError> {
        let key = state_key(home, &self.id, number);
        let (revision, state) = state_of(home, draft, &key).await?;
        draft.delete(Table::WatchState, &key, revision);
        let (key, revision, mut shelf) = self.shelf(home, draft, number).await?;
        let Some(token) = shelf.take(number) else {
            return Ok(false);
        };
        let next = state.map_or(0, |state| state.next);
        self.index.forget(&tag_of(&token, next));
        self.row.borrowers = self.row.borrowers.saturating_sub(1);
        if shelf.is_empty() {
            draft.delete(Table::WatchToken, &key, revision);
        } else {
            draft.put(Table::WatchToken, &key, revision, shelf.encode());
        }
        self.stage(home, draft);
        Ok(true)
    }

    /// A page of the feed's rows in a table.
    pub(super) async fn rows(
        &self,
        home: &Home,
        table: Table,
        after: Option<Vec<u8>>,
    ) -> Result<Vec<(Vec<u8>, Plain)>, FlowError> {
        let scan = Scan {
            prefix: prefix(home, table, &self.id),
            after,
            limit: STORE_SCAN_ROWS_MAX / 2,
        };
        Ok(home.vault.scan(table, &scan).await?)
    }

    /// Puts the next tag of every borrower that was evaluated into the index.
    pub(super) async fn load(&mut self, home: &Home) -> Result<(), FlowError> {
        if self.is_loaded {
            return Ok(());
        }
        let mut next = HashMap::new();
        let mut after = None;
        loop {
            let page = self.rows(home, Table::WatchState, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, row) in &page {
                next.insert(number_of(key)?, State::decode(&row.bytes)?.next);
            }
        }
        let room = usize::try_from(self.row.borrowers).unwrap_or(0);
        let mut index = WatchIndex::with_room_for(room.min(1 << 24));
        let mut after = None;
        loop {
            let page = self.rows(home, Table::WatchToken, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, row) in &page {
                for (number, token) in Shelf::decode(&row.bytes)?.iter() {
                    let n = next.get(&number).copied().unwrap_or(0);
                    index.expect(tag_of(token, n), Watched(number));
                }
            }
            tokio::task::yield_now().await;
        }
        self.index = index;
        self.is_loaded = true;
        Ok(())
    }
}

impl Inner {
    /// Whether a feed still grows for this node.
    pub(super) fn is_live(&self, (_, epoch, level): &Slot) -> bool {
        let home = &self.home;
        *level == home.level() && home.calendar.served(home.clock.now()).contains(epoch)
    }

    /// Reads which feeds there are and, where this replica leads, the tags to expect in those that
    /// are live.
    pub(super) async fn open_board(&self, board: &mut Board) -> Result<(), FlowError> {
        let leads = self.home.vault.replicas().leads();
        if board.is_open && board.expects && leads {
            return Ok(());
        }
        // What the replica that leads wrote since the last time.
        board.forget();
        let mut after = None;
        loop {
            let scan = Scan {
                prefix: Vec::new(),
                after,
                limit: STORE_SCAN_ROWS_MAX,
            };
            let page = self.home.vault.scan(Table::WatchFeed, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, row) in &page {
                // Rows of batches under way lie in the same table.
                let Ok(stored) = rows::decode::<FeedRow>(&row.bytes) else {
                    continue;
                };
                let id: FeedId = stored.origin.parse().map_err(|_| rows::unreadable())?;
                if feed_key(&self.home, &id) == *key {
                    let feed = self.feed(id, stored, row.revision)?;
                    board.feeds.insert(slot_of(&feed.id), feed);
                }
            }
        }
        for (slot, feed) in &mut board.feeds {
            if leads && self.is_live(slot) {
                feed.load(&self.home).await?;
            }
        }
        board.is_open = true;
        board.expects = leads;
        Ok(())
    }

    /// A feed with its row.
    pub(super) fn feed(&self, id: FeedId, row: FeedRow, revision: u64) -> Result<Feed, FlowError> {
        let mirror = self.asker.mirrors.of(&id.member, id.level, id.epoch)?;
        Ok(Feed {
            id,
            mirror,
            noted: row.cursor,
            row,
            revision,
            index: WatchIndex::default(),
            is_loaded: false,
        })
    }
}

impl Watch {
    /// Tags that are expected, over all live feeds.
    pub async fn expected_tags(&self) -> usize {
        let board = self.0.board.lock().await;
        board.feeds.values().map(|feed| feed.index.len()).sum()
    }
}
