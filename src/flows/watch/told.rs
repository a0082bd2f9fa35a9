//! What peers have told of watched borrowers: looked up in the mirrors by the tokens of the
//! evaluation pass, without asking anybody again.

use std::sync::Arc;

use super::board::Feed;
use super::rows::Shelf;
use super::{Inner, Watch, WatchedEntry};
use crate::domain::{Borrower, SilentReason, Timestamp};
use crate::flows::FlowError;
use crate::flows::draft::Draft;
use crate::limits::SCAN_PAGE;
use crate::membership::Member;
use crate::risk::Seen;

/// A watched borrower, and what each peer has told of it.
pub(in crate::flows) struct Told {
    pub(in crate::flows) entry: WatchedEntry,
    pub(in crate::flows) borrower: Borrower,
    pub(in crate::flows) seen: Vec<(Arc<Member>, Seen)>,
}

impl Watch {
    /// Watched borrowers after a number, at most [`SCAN_PAGE`], with what every peer has told by
    /// now. A peer that did not evaluate one yet counts as silent about it.
    ///
    /// # Errors
    /// The store's failure.
    pub(in crate::flows) async fn told_after(&self, after: u32) -> Result<Vec<Told>, FlowError> {
        let inner = &self.0;
        let mut told = Vec::new();
        for (number, row) in inner.watched_after(after, SCAN_PAGE).await? {
            told.push(Told {
                entry: WatchedEntry::of(number, &row)?,
                borrower: row.borrower()?,
                seen: Vec::new(),
            });
        }
        let mut board = inner.board.lock().await;
        inner.open_board(&mut board).await?;
        for peer in inner.home.asked() {
            let feed = board.newest_of(&peer.id, |slot| inner.is_live(slot));
            let mut place = match feed {
                Some(feed) => Place::of(feed).await?,
                None => None,
            };
            for one in &mut told {
                let seen = match &mut place {
                    Some(place) => inner.seen_at(place, one).await?,
                    None => NOT_EVALUATED,
                };
                one.seen.push((Arc::clone(&peer), seen));
            }
        }
        Ok(told)
    }
}

const NOT_EVALUATED: Seen = Seen::Silent {
    reason: SilentReason::MirrorBehind,
};

/// A feed that is looked up in, and the shelf that was read last: the tokens of neighbours lie on
/// one.
struct Place<'a> {
    feed: &'a Feed,
    as_of: Timestamp,
    shelf: Option<(u32, Shelf)>,
}

impl<'a> Place<'a> {
    /// A feed of which a checkpoint came.
    async fn of(feed: &'a Feed) -> Result<Option<Self>, FlowError> {
        let checkpoint_at = feed.mirror.reach().await?.checkpoint_at;
        Ok(checkpoint_at.map(|as_of| Self {
            feed,
            as_of,
            shelf: None,
        }))
    }
}

impl Inner {
    /// What the mirror of a feed holds of a borrower.
    async fn seen_at(&self, place: &mut Place<'_>, one: &Told) -> Result<Seen, FlowError> {
        let Place { feed, as_of, shelf } = place;
        let number = one.entry.number;
        let at = Shelf::of(number);
        if shelf.as_ref().is_none_or(|(held, _)| *held != at) {
            let (_, _, read) = feed.shelf(&self.home, &Draft::default(), number).await?;
            *shelf = Some((at, read));
        }
        let token = shelf.as_ref().and_then(|(_, held)| held.get(number));
        let Some(token) = token else {
            return Ok(NOT_EVALUATED);
        };
        let last = feed.mirror.last(token).await?;
        let summary = last.summary.map(Box::new);
        let by_national = one.borrower.national.is_some();
        let (national, phone) = if by_national {
            (summary, None)
        } else {
            (None, summary)
        };
        Ok(Seen::Answered {
            national,
            phone,
            as_of: *as_of,
            taken_on: last.taken_on,
        })
    }
}
