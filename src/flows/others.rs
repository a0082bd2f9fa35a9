//! What a replica does after others of its node wrote: it wakes who waits for news, and reads again
//! or lets go what it holds in memory.
//!
//! Everything else that a replica remembers cannot change, or is checked against the store when it
//! is used.

use std::sync::Arc;

use tokio::time::sleep;

use super::ageing::first_kept;
use super::home::Home;
use super::{Alerts, FlowError, Mirrors, OwnFeeds, OwnKeys, Standings};
use crate::limits::{STANDING_LOOK_AGAIN, SWEEP_EVERY};

/// What is to be kept in step with the other replicas.
#[derive(Debug)]
pub struct Others {
    /// This node's own side of everything.
    pub home: Arc<Home>,
    /// Whoever follows a feed hears of what others published.
    pub feeds: Arc<OwnFeeds>,
    /// Whoever looks at mirrors hears that others brought them up to date.
    pub mirrors: Arc<Mirrors>,
    /// Whoever waits for alerts hears of those that others raised.
    pub alerts: Arc<Alerts>,
    /// How far peers are believed is read again.
    pub standings: Arc<Standings>,
    /// Keys of epochs that others forgot are forgotten.
    pub keys: Arc<OwnKeys>,
}

impl Others {
    /// Keeps in step; ends only when dropped. Beside nobody it does nothing.
    pub async fn keep_in_step(self) {
        if self.home.vault.replicas().is_alone() {
            return;
        }
        tokio::join!(self.wake(), self.look_at_standings(), self.let_go());
    }

    async fn wake(&self) {
        let replicas = self.home.vault.replicas();
        let mut seen = replicas.others_wrote();
        loop {
            seen = replicas.others_wrote_after(seen).await;
            self.feeds.announce();
            self.mirrors.announce();
            self.alerts.announce();
        }
    }

    async fn look_at_standings(&self) {
        let replicas = self.home.vault.replicas();
        let mut seen = replicas.others_wrote();
        loop {
            if let Err(error) = self.standings.look().await {
                tracing::warn!(%error, "the standing of peers could not be looked at");
            }
            sleep(STANDING_LOOK_AGAIN).await;
            seen = replicas.others_wrote_after(seen).await;
        }
    }

    async fn let_go(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            if let Err(error) = self.forget_epochs().await {
                tracing::warn!(%error, "key epochs that are over stay in memory");
            }
        }
    }

    /// Lets go of the keys, feeds and mirrors of key epochs that the store forgot.
    async fn forget_epochs(&self) -> Result<(), FlowError> {
        let first = first_kept(&self.home).await?;
        self.keys.forget_before(first);
        self.feeds.forget_before(first);
        self.mirrors.forget_before(first);
        Ok(())
    }
}
