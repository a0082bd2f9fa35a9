//! Keeping mirrors current: one stream per peer and live epoch, taken up again whenever it breaks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::home::Home;
use super::question::Asker;
use super::streams::Streams;
use super::{FlowError, Mirrors, PeerKeys};
use crate::domain::{Epoch, MemberId};
use crate::limits::{FOLLOW_BACKOFF_MAX, FOLLOW_LOOK};

/// What is wrong with each peer, in words.
pub type Troubles = BTreeMap<MemberId, String>;

/// Follows every peer's feeds.
#[derive(Debug, Clone)]
pub struct Follower {
    asker: Asker,
    troubles: Arc<Mutex<Troubles>>,
}

impl Follower {
    /// Follows into these mirrors.
    #[must_use]
    pub fn new(home: Arc<Home>, keys: Arc<PeerKeys>, mirrors: Arc<Mirrors>) -> Self {
        Self {
            asker: Asker::new(home, keys, mirrors),
            troubles: Arc::default(),
        }
    }

    /// What is wrong with each peer right now.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        self.troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Follows every active peer in every live epoch; ends only when dropped.
    pub async fn run(self) {
        let mut streams = Streams::new();
        loop {
            streams.keep(self.wanted(), |(peer, epoch)| {
                let follower = self.clone();
                async move { follower.keep_following(peer, epoch).await }
            });
            sleep(FOLLOW_LOOK).await;
        }
    }

    fn wanted(&self) -> Vec<(MemberId, Epoch)> {
        let home = &self.asker.home;
        let live = home.calendar.served(home.clock.now());
        let peers = home.asked();
        // What is asked in light mode is not mirrored.
        let mirrored = peers.iter().filter(|peer| !self.asker.is_light(&peer.id));
        let pairs = mirrored.flat_map(|peer| live.iter().map(|epoch| (peer.id.clone(), *epoch)));
        pairs.collect()
    }

    async fn keep_following(&self, peer: MemberId, epoch: Epoch) {
        let mut pause = self.asker.home.timing.follow_backoff;
        loop {
            let first = self.asker.home.timing.follow_backoff;
            let outcome = self.follow_once(&peer, epoch, &mut pause).await;
            let why = match outcome {
                Ok(()) => "the stream ended; it is taken up again".to_owned(),
                Err(error) => in_words(&error),
            };
            tracing::debug!(%peer, %epoch, %why, "mirror stream ended");
            self.note(&peer, Some(why));
            sleep(pause).await;
            pause = (pause * 2).clamp(first, FOLLOW_BACKOFF_MAX);
        }
    }

    async fn follow_once(
        &self,
        id: &MemberId,
        epoch: Epoch,
        pause: &mut Duration,
    ) -> Result<(), FlowError> {
        let peer = self
            .asker
            .home
            .peer(id)
            .ok_or(FlowError::NotFound { what: "peer" })?;
        let mirror = self.asker.mirrors.of(id, self.asker.home.level(), epoch)?;
        let before = mirror.head().await?;
        let told = self.asker.describe(&peer).await?.checkpoints;
        let mut found = Ok(());
        for (_, note) in told.iter().filter(|(of, _)| *of == epoch) {
            found = found.and(mirror.judge_newest(&peer, &before, note).await);
        }
        // What can be streamed all the same is taken: a warning costs nobody a loan.
        let first = self.asker.home.timing.follow_backoff;
        let ended = self.asker.follow(&peer, epoch, || {
            *pause = first;
            self.note(id, None);
        });
        let ended = ended.await;
        found.and(ended)
    }

    fn note(&self, peer: &MemberId, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(why) => troubles.insert(peer.clone(), why),
            None => troubles.remove(peer),
        };
    }
}

/// Why a peer is not followed; what is wrong with its feed by name.
fn in_words(error: &FlowError) -> String {
    let name = if let FlowError::Mirror(fault) = error {
        fault.name()
    } else {
        None
    };
    name.map_or_else(
        || error.to_string(),
        |name| format!("{}: {error}", name.word()),
    )
}
