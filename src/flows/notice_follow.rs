//! Following every peer's notice feed, and forgetting what is too old to be revised.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::home::Home;
use super::streams::Streams;
use super::{FlowError, Revisions};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{FOLLOW_BACKOFF_MAX, FOLLOW_LOOK};

/// How often what is too old is deleted, by the node's clock.
const SWEEP_INTERVAL: Duration = Duration::from_secs(6 * 3_600);

/// Follows every peer's notice feed.
#[derive(Debug, Clone)]
pub struct NoticeFollower {
    home: Arc<Home>,
    revisions: Arc<Revisions>,
}

impl NoticeFollower {
    /// Follows into these revisions.
    #[must_use]
    pub const fn new(home: Arc<Home>, revisions: Arc<Revisions>) -> Self {
        Self { home, revisions }
    }

    /// Follows every active peer, from where each was left; ends only when dropped.
    pub async fn run(self) {
        let mut streams = Streams::new();
        let mut swept: Option<Timestamp> = None;
        loop {
            let now = self.home.clock.now();
            if swept.is_none_or(|at| now.since(at) >= SWEEP_INTERVAL) {
                swept = Some(now);
                match self.revisions.sweep().await {
                    Ok(rows) => tracing::debug!(rows, "keys of old answers deleted"),
                    Err(error) => tracing::warn!(%error, "old answers' keys stay for now"),
                }
            }
            let peers = self.home.asked();
            let peers = peers.iter().map(|peer| peer.id.clone()).collect();
            streams.keep(peers, |peer| {
                let follower = self.clone();
                async move { follower.keep_following(peer).await }
            });
            sleep(FOLLOW_LOOK).await;
        }
    }

    async fn keep_following(&self, peer: MemberId) {
        let first = self.home.timing.follow_backoff;
        let mut pause = first;
        loop {
            if let Err(error) = self.follow_once(&peer, &mut pause).await {
                tracing::debug!(%peer, %error, "notice stream ended");
            }
            sleep(pause).await;
            pause = (pause * 2).clamp(first, FOLLOW_BACKOFF_MAX);
        }
    }

    async fn follow_once(&self, id: &MemberId, pause: &mut Duration) -> Result<(), FlowError> {
        let home = &self.home;
        let peer = home.peer(id).ok_or(FlowError::NotFound { what: "peer" })?;
        let from = self.revisions.reach(id).await?;
        let mut stream = home.peers.notices(&peer, from).await?;
        while let Some(chunk) = stream.next().await? {
            self.revisions.take(&peer, &chunk).await?;
            *pause = home.timing.follow_backoff;
        }
        Ok(())
    }
}
