//! From one key epoch to the next: what the old feed told last is compared with what the new one
//! tells, so that nothing is told twice and nothing is missed; then the old feed's rows go.
//!
//! While two epochs live, alerts are drawn from the older feed, and the newer one is only noted.
//! The comparison waits until the newer feed has a checkpoint from after the older one's end: by
//! then it tells everything that the older one told.

use super::Inner;
use super::board::{Before, Board, Feed, Slot, number_of, slot_of, state_key, state_of};
use super::looking::Place;
use super::rows::State;
use crate::domain::Summary;
use crate::flows::FlowError;
use crate::flows::draft::Draft;
use crate::limits::WATCH_COMMIT_ROWS;
use crate::store::Table;

impl Inner {
    /// Settles feeds that are live no more.
    pub(super) async fn settle_ended(&self, board: &mut Board) -> Result<(), FlowError> {
        let ended: Vec<Slot> = board
            .feeds
            .keys()
            .filter(|slot| !self.is_live(slot))
            .cloned()
            .collect();
        for slot in ended {
            let Some(old) = board.feeds.remove(&slot) else {
                continue;
            };
            match self.settle(board, &slot, old).await {
                Ok(None) => {}
                // Not yet: it stays until the next time.
                Ok(Some(old)) => {
                    board.feeds.insert(slot, old);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Settles one feed, or gives it back where its time has not come.
    async fn settle(
        &self,
        board: &mut Board,
        slot: &Slot,
        old: Feed,
    ) -> Result<Option<Feed>, FlowError> {
        let (member, epoch, _) = slot;
        let Some(side) = self.side(member)? else {
            // The peer has left: there is nothing to compare with.
            self.delete_rows(&old).await?;
            return Ok(None);
        };
        let newest = board.newest_of(member, |slot| self.is_live(slot));
        let newest = newest.map(|feed| slot_of(&feed.id));
        let Some(new) = newest.and_then(|slot| board.feeds.get_mut(&slot)) else {
            return Ok(Some(old));
        };
        let reach = new.mirror.reach().await?;
        let ends_at = self.home.calendar.ends_at(*epoch);
        let is_due = reach.size >= reach.checkpoint_size
            && new.row.cursor >= reach.size
            && reach.checkpoint_at.is_some_and(|at| at >= ends_at)
            && new.row.evaluated >= old.row.evaluated;
        if !is_due {
            return Ok(Some(old));
        }
        let place = Place { side, elders: &[] };
        self.compare_old(new, &old, &place).await?;
        self.compare_new(new, &place).await?;
        self.delete_rows(&old).await?;
        Ok(None)
    }

    /// Compares what the old feed told last with what the new one tells; each borrower's old row
    /// goes with the alerts that follow.
    async fn compare_old(
        &self,
        new: &mut Feed,
        old: &Feed,
        place: &Place<'_>,
    ) -> Result<(), FlowError> {
        loop {
            let page = old.rows(&self.home, Table::WatchState, None).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut draft = Draft::default();
            for (key, row) in &page {
                let was = State::decode(&row.bytes)?.summary;
                let before = was.map_or(Before::Nothing, |was| Before::Was(Box::new(was)));
                self.compare(new, place, &mut draft, (number_of(key)?, before))
                    .await?;
                draft.delete(Table::WatchState, key, row.revision);
                if draft.len() >= WATCH_COMMIT_ROWS {
                    break;
                }
            }
            self.keep(new, draft).await?;
        }
    }

    /// Draws alerts for borrowers of whom the old feed told nothing.
    async fn compare_new(&self, new: &mut Feed, place: &Place<'_>) -> Result<(), FlowError> {
        let mut after = None;
        loop {
            let page = new.rows(&self.home, Table::WatchState, after).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let mut draft = Draft::default();
            for (key, row) in &page {
                if !State::decode(&row.bytes)?.told {
                    let number = number_of(key)?;
                    self.compare(new, place, &mut draft, (number, Before::Nothing))
                        .await?;
                }
                if draft.len() >= WATCH_COMMIT_ROWS {
                    after = Some(key.clone());
                    break;
                }
            }
            if draft.len() > 0 {
                self.keep(new, draft).await?;
            }
        }
    }

    async fn compare(
        &self,
        new: &Feed,
        place: &Place<'_>,
        draft: &mut Draft,
        (number, before): (u32, Before),
    ) -> Result<(), FlowError> {
        let key = state_key(&self.home, &new.id, number);
        let (revision, held) = state_of(&self.home, draft, &key).await?;
        let mut state = held.unwrap_or_default();
        if state.told {
            return Ok(());
        }
        let told = state.summary.take();
        let is_nothing = told.is_none();
        let summary = told.unwrap_or_else(|| Summary {
            level: new.id.level,
            ..Summary::default()
        });
        self.draw(new, place, draft, (number, &mut state, before, summary))
            .await?;
        // Past a day's alerts nothing more is told of it: it counts as told all the same.
        state.told = true;
        if is_nothing {
            state.summary = None;
        }
        draft.put(Table::WatchState, &key, revision, state.encode());
        Ok(())
    }

    /// Deletes everything that was kept for a feed.
    async fn delete_rows(&self, old: &Feed) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        for table in [Table::WatchState, Table::WatchToken] {
            loop {
                let page = old.rows(&self.home, table, None).await?;
                if page.is_empty() {
                    break;
                }
                let mut draft = Draft::default();
                for (key, row) in &page {
                    draft.delete(table, key, row.revision);
                }
                draft.commit(vault).await?;
            }
        }
        let mut draft = Draft::default();
        for key in old.keys(&self.home) {
            let held = vault.read(Table::WatchFeed, &key).await?;
            draft.delete(Table::WatchFeed, &key, held.map_or(0, |row| row.revision));
        }
        draft.commit(vault).await
    }
}
