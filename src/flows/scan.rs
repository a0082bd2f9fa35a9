//! Whole portfolios: what follows from all that the network tells of every watched customer, from
//! the mirrors and the tokens that are here, so that nothing is asked or metered again.

use std::sync::Arc;

use super::views::{asker_of, suspended, view_of};
use super::{Desk, FlowError, Standings, Watch, WatchedEntry};
use crate::risk::{self, Conclusion, PeerView};

/// One customer, and what is concluded about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The customer.
    pub entry: WatchedEntry,
    /// What follows, as in the answer to a query.
    pub conclusion: Conclusion,
}

/// Scans the customers that a node watches.
#[derive(Debug, Clone)]
pub struct Portfolio {
    desk: Desk,
    standings: Arc<Standings>,
    watch: Watch,
}

impl Portfolio {
    /// The customers on this watch list, by this desk's book and policy.
    #[must_use]
    pub const fn new(desk: Desk, standings: Arc<Standings>, watch: Watch) -> Self {
        Self {
            desk,
            standings,
            watch,
        }
    }

    /// The customers after a number of the watch list, at most [`crate::limits::SCAN_PAGE`]; none
    /// where the list ends. What a peer did not evaluate yet is unknown, and widens what follows.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn page(&self, after: u32) -> Result<Vec<Scanned>, FlowError> {
        let (home, standings) = (&self.desk.home, &self.standings);
        let away = suspended(home, standings);
        let mut scanned = Vec::new();
        for told in self.watch.told_after(after).await? {
            let heard = told.seen.into_iter();
            let heard = heard.map(|(peer, seen)| view_of(home, standings, &peer, seen));
            let views: Vec<PeerView> = heard.chain(away.iter().cloned()).collect();
            let asker = asker_of(home, &self.desk.book, &told.borrower).await?;
            let now = home.clock.now();
            scanned.push(Scanned {
                entry: told.entry,
                conclusion: risk::conclude(&home.policy, &asker, &views, now),
            });
        }
        Ok(scanned)
    }
}
