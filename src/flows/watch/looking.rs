//! Looking at the leaves that stream in, and what a match leads to: one commit.

use std::time::Duration;

use super::Inner;
use super::board::{Before, Elder, Feed, Slot, before, state_key, state_of};
use super::rows::State;
use crate::domain::{AlertKind, GroupCode, HourMark, MemberId, Summary, Timestamp};
use crate::flows::FlowError;
use crate::flows::alerts::NewAlert;
use crate::flows::draft::Draft;
use crate::limits::{
    LEAVES_PER_BORROWER_MAX, WATCH_ALERTS_PER_DAY_MAX, WATCH_COMMIT_ROWS, WATCH_NOTE_LEAVES,
};
use crate::protocol::leaf::{Leaf, tag_of};
use crate::protocol::watch::{Match, Side, Standing, Watched, changes};
use crate::store::Table;

const DAY: Duration = Duration::from_secs(86_400);

/// A feed's surroundings while its leaves are looked at.
pub(super) struct Place<'a> {
    pub(super) side: Side,
    pub(super) elders: &'a [Elder],
}

impl Place<'_> {
    /// Whether alerts are drawn from this feed: no older one that is live does it already.
    pub(super) fn leads(&self, number: u32) -> bool {
        let mut elders = self.elders.iter();
        !elders.any(|elder| elder.is_live && elder.evaluated >= number)
    }
}

impl Before {
    pub(super) fn standing(&self) -> Standing<'_> {
        match self {
            Self::NotWatched => Standing::NotWatched,
            Self::Nothing => Standing::Nothing,
            Self::Was(summary) => Standing::Was(summary),
        }
    }
}

impl Inner {
    /// Looks at everything that came in since the last time, and settles feeds that ended.
    pub(super) async fn look_at_news(&self) -> Result<(), FlowError> {
        let mut board = self.board.lock().await;
        self.open_board(&mut board).await?;
        let slots: Vec<Slot> = board.feeds.keys().cloned().collect();
        for slot in slots {
            let elders = board.elders(&slot, |slot| self.is_live(slot));
            let Some(side) = self.side(&slot.0)? else {
                continue;
            };
            let Some(feed) = board.feeds.get_mut(&slot) else {
                continue;
            };
            if feed.is_loaded {
                let place = Place {
                    side,
                    elders: &elders,
                };
                while self.advance(feed, &place).await? {}
            }
        }
        self.settle_ended(&mut board).await
    }

    /// Who the peer is, and who looks; `None` where the peer is on the list no more.
    pub(super) fn side(&self, peer: &MemberId) -> Result<Option<Side>, FlowError> {
        let home = &self.home;
        let roster = home.trust.roster();
        let Some(member) = roster.member(peer) else {
            return Ok(None);
        };
        Ok(Some(Side {
            peer: GroupCode::of(home.network(), &member.lender_group),
            own: GroupCode::of(home.network(), &home.lender_group()?),
            hard_applications: self.settings.hard_applications,
        }))
    }

    /// Looks at some leaves after the feed's position; whether there may be more.
    async fn advance(&self, feed: &mut Feed, place: &Place<'_>) -> Result<bool, FlowError> {
        let size = feed.mirror.reach().await?.size;
        if feed.row.cursor >= size {
            return Ok(false);
        }
        if feed.index.is_empty() {
            feed.row.cursor = size;
            return Ok(false);
        }
        let start = feed.row.cursor;
        let leaves = feed.mirror.leaves_from(start).await?;
        let mut draft = Draft::default();
        for (position, leaf) in (start..).zip(&leaves) {
            if let Some(found) = feed.index.observe(position, leaf) {
                self.stage_match(feed, place, &mut draft, (found, leaf))
                    .await?;
                if draft.len() >= WATCH_COMMIT_ROWS {
                    // Leaves that are looked at again are expected no more.
                    self.keep(feed, std::mem::take(&mut draft)).await?;
                }
            }
        }
        let read = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        feed.row.cursor = start.saturating_add(read).min(size);
        if draft.len() > 0 || feed.row.cursor.saturating_sub(feed.noted) >= WATCH_NOTE_LEAVES {
            self.keep(feed, draft).await?;
        }
        Ok(true)
    }

    /// Makes a draft durable together with how far the feed has come.
    pub(super) async fn keep(&self, feed: &mut Feed, mut draft: Draft) -> Result<(), FlowError> {
        feed.stage(&self.home, &mut draft);
        draft.commit(&self.home.vault).await?;
        feed.staged();
        self.alerts.announce();
        Ok(())
    }

    /// Opens the leaf of a watched borrower, stages what follows, and expects the next one.
    async fn stage_match(
        &self,
        feed: &mut Feed,
        place: &Place<'_>,
        draft: &mut Draft,
        (found, leaf): (Match, &Leaf),
    ) -> Result<(), FlowError> {
        let Watched(number) = found.watched;
        let (_, _, mut shelf) = feed.shelf(&self.home, draft, number).await?;
        let Some(token) = shelf.take(number) else {
            return Ok(());
        };
        let key = state_key(&self.home, &feed.id, number);
        let (revision, held) = state_of(&self.home, draft, &key).await?;
        let mut state = held.unwrap_or_default();
        let opened = leaf.open(&token, state.next, &feed.id).ok();
        let summary = opened.and_then(|plain| Summary::decode(&plain).ok());
        state.next = state.next.saturating_add(1);
        if state.next < LEAVES_PER_BORROWER_MAX {
            feed.index.expect(tag_of(&token, state.next), found.watched);
        }
        match summary {
            None => tracing::warn!(peer = %feed.id.member, "a watched borrower's leaf is unsound"),
            Some(summary) if !place.leads(number) => state.summary = Some(summary),
            Some(summary) => {
                let before = match (&state.summary, state.told) {
                    (_, false) => before(&self.home, place.elders, number).await?,
                    (None, true) => Before::Nothing,
                    (Some(was), true) => Before::Was(Box::new(was.clone())),
                };
                // The first leaf that a borrower has in a feed that was looked up: nothing stood.
                let before = match before {
                    Before::NotWatched => Before::Nothing,
                    Before::Nothing | Before::Was(_) => before,
                };
                self.draw(feed, place, draft, (number, &mut state, before, summary))
                    .await?;
            }
        }
        draft.put(Table::WatchState, &key, revision, state.encode());
        Ok(())
    }

    /// Stages the alerts that lead from what was told before to a summary, which is then the one
    /// that was told.
    pub(super) async fn draw(
        &self,
        feed: &Feed,
        place: &Place<'_>,
        draft: &mut Draft,
        (number, state, before, summary): (u32, &mut State, Before, Summary),
    ) -> Result<(), FlowError> {
        let kinds = changes(before.standing(), &summary, place.side);
        let today = self.home.clock.now().day().unix_days();
        let today = u32::try_from(today).unwrap_or(0);
        if state.day != today {
            (state.day, state.alerts) = (today, 0);
        }
        let after = state.alerts.saturating_add(count_of(&kinds));
        if after > WATCH_ALERTS_PER_DAY_MAX {
            tracing::warn!(peer = %feed.id.member, "more alerts about one borrower than a day has");
            return Ok(());
        }
        state.alerts = after;
        if !kinds.is_empty() {
            let Some(row) = self.watched(number).await? else {
                return Ok(());
            };
            let subject = row.subject()?;
            let alert = |kind| NewAlert {
                kind,
                subject: subject.clone(),
                peer: feed.id.member.clone(),
                at: told_at(&summary, self.home.clock.now()),
                standing: matches!(before, Before::NotWatched),
            };
            let alerts: Vec<NewAlert> = kinds.into_iter().map(alert).collect();
            self.alerts.stage(draft, &alerts).await?;
        }
        state.told = true;
        state.summary = Some(summary);
        Ok(())
    }
}

fn count_of(kinds: &[AlertKind]) -> u8 {
    u8::try_from(kinds.len()).unwrap_or(u8::MAX)
}

/// When a summary was made, as far as it tells: to the hour.
fn told_at(summary: &Summary, now: Timestamp) -> Timestamp {
    let at = summary.as_of.earliest();
    let is_sound = summary.as_of != HourMark::default() && at <= now.plus(DAY);
    if is_sound { at } else { now }
}
