//! Keeping the tokens of a batch that a peer evaluated, and what it had published by then.

use super::board::{Before, Board, Feed, before, pending_key, slot_of, state_key, state_of};
use super::looking::Place;
use super::rows::{FeedRow, Shelf, State};
use super::{Inner, NewWatched, Watch};
use crate::crypto::Token;
use crate::domain::Summary;
use crate::flows::FlowError;
use crate::flows::draft::Draft;
use crate::flows::home::Home;
use crate::limits::{WATCH_COMMIT_ROWS, WATCH_PAGE_MAX};
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::tag_of;
use crate::protocol::watch::Watched;
use crate::store::Table;

impl Watch {
    /// Watches borrowers whose tokens are known without asking: for tests and measurements that
    /// have the peer's key at hand. Nothing is metered or logged.
    ///
    /// # Errors
    /// As [`Watch::add`].
    #[doc(hidden)]
    pub async fn plant(
        &self,
        feed: &FeedId,
        planted: Vec<(NewWatched, Token)>,
    ) -> Result<(), FlowError> {
        let inner = &self.0;
        let mut board = inner.board.lock().await;
        inner.open_board(&mut board).await?;
        let (borrowers, tokens): (Vec<_>, Vec<_>) = planted.into_iter().unzip();
        let mut numbers = Vec::with_capacity(borrowers.len());
        for page in borrowers.chunks(WATCH_PAGE_MAX) {
            let added = inner.add_page(page).await?;
            numbers.extend(added.into_iter().map(|(number, _)| number));
        }
        let to = numbers.last().copied().unwrap_or_default();
        let tokens = numbers.into_iter().zip(tokens).collect();
        inner.take(&mut board, feed, (tokens, to)).await
    }
}

impl Inner {
    /// Keeps the tokens of borrowers in the order of their numbers, and looks up what stands. Every
    /// number up to `to` is evaluated then. Leaves that the mirror has by now are part of what
    /// stands; later ones match.
    pub(super) async fn take(
        &self,
        board: &mut Board,
        id: &FeedId,
        (tokens, to): (Vec<(u32, Token)>, u32),
    ) -> Result<(), FlowError> {
        let slot = slot_of(id);
        if !board.feeds.contains_key(&slot) {
            let mut feed = self.feed(id.clone(), FeedRow::default(), 0)?;
            feed.row.origin = id.origin();
            feed.row.cursor = feed.mirror.reach().await?.size;
            feed.is_loaded = true;
            board.feeds.insert(slot.clone(), feed);
        }
        let elders = board.elders(&slot, |slot| self.is_live(slot));
        let Some(side) = self.side(&slot.0)? else {
            return Ok(());
        };
        let place = Place {
            side,
            elders: &elders,
        };
        let Some(feed) = board.feeds.get_mut(&slot) else {
            return Ok(());
        };
        let mut draft = Draft::default();
        let mut open = None;
        for (number, token) in tokens {
            if number <= feed.row.evaluated {
                continue;
            }
            // It may have been removed while the peer evaluated it.
            if self.watched(number).await?.is_some() {
                let next = self
                    .stage_token(feed, &place, &mut draft, (number, &token))
                    .await?;
                feed.index.expect(tag_of(&token, next), Watched(number));
                OpenShelf::of(&mut open, (feed, &self.home), &mut draft, number)
                    .await?
                    .put(number, token);
                feed.row.borrowers += 1;
            }
            feed.row.evaluated = number;
            if draft.len() >= WATCH_COMMIT_ROWS {
                OpenShelf::close(&mut open, &mut draft);
                self.keep(feed, std::mem::take(&mut draft)).await?;
            }
        }
        OpenShelf::close(&mut open, &mut draft);
        feed.row.evaluated = feed.row.evaluated.max(to);
        let key = pending_key(&self.home, id);
        let pending = self.home.vault.read(Table::WatchFeed, &key).await?;
        draft.delete(
            Table::WatchFeed,
            &key,
            pending.map_or(0, |row| row.revision),
        );
        self.keep(feed, draft).await
    }

    /// Stages what stands of a borrower; gives the number of its next leaf.
    async fn stage_token(
        &self,
        feed: &Feed,
        place: &Place<'_>,
        draft: &mut Draft,
        (number, token): (u32, &Token),
    ) -> Result<u32, FlowError> {
        let home = &self.home;
        let last = feed.mirror.last(token).await?;
        let before = before(home, place.elders, number).await?;
        let had = matches!(before, Before::Was(_));
        let mut state = State {
            next: last.next,
            ..State::default()
        };
        if place.leads(number) {
            let nothing = Summary {
                level: feed.id.level,
                ..Summary::default()
            };
            let summary = last.summary.unwrap_or_else(|| nothing.clone());
            self.draw(feed, place, draft, (number, &mut state, before, summary))
                .await?;
            state.summary = state.summary.filter(|summary| *summary != nothing);
        } else {
            state.summary = last.summary;
        }
        // Of a borrower of whom the peer never told anything, nothing needs to be known.
        if had || state.next > 0 {
            let key = state_key(home, &feed.id, number);
            let (revision, _) = state_of(home, draft, &key).await?;
            draft.put(Table::WatchState, &key, revision, state.encode());
        }
        Ok(state.next)
    }
}

/// The shelf that tokens are being put on: those of a batch lie side by side.
struct OpenShelf {
    number: u32,
    key: Vec<u8>,
    revision: u64,
    shelf: Shelf,
}

impl OpenShelf {
    /// The shelf of a borrower; another one that was open is staged.
    async fn of<'a>(
        open: &'a mut Option<Self>,
        (feed, home): (&Feed, &Home),
        draft: &mut Draft,
        borrower: u32,
    ) -> Result<&'a mut Shelf, FlowError> {
        let number = Shelf::of(borrower);
        if open.as_ref().is_some_and(|held| held.number != number) {
            Self::close(open, draft);
        }
        if open.is_none() {
            let (key, revision, shelf) = feed.shelf(home, draft, borrower).await?;
            *open = Some(Self {
                number,
                key,
                revision,
                shelf,
            });
        }
        let held = open.as_mut().map(|held| &mut held.shelf);
        held.ok_or(FlowError::Busy)
    }

    /// Stages the shelf that is open.
    fn close(open: &mut Option<Self>, draft: &mut Draft) {
        if let Some(held) = open.take() {
            let row = held.shelf.encode();
            draft.put(Table::WatchToken, &held.key, held.revision, row);
        }
    }
}
