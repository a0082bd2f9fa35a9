//! Following the registrar: newer trust documents are pushed, asked for every minute, and fetched
//! from peers where no registrar answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Folder;
use super::log_follower::LogFollower;
use super::renew::Renewing;
use crate::limits::{
    FRESHNESS_INTERVAL, HEARD_LIST_WAIT_MAX, HEARD_LIST_WAIT_MIN, PULL_INTERVAL,
    REGISTRAR_BACKOFF_MAX, REGISTRAR_BACKOFF_MIN, RELAYS_ASKED_MAX,
};
use crate::membership::{Freshness, Supersession};
use crate::net::{
    Departed, NodeTls, RegistrarClient, RegistrarError, TrustHandle, fetch_roots, relayed_trust,
};
use crate::wire::{Acknowledgement, TrustTexts};

/// The disk refuses, and the list counts from memory.
const NOT_KEPT: &str = "the member list counts, and cannot be kept: make room on the disk; it is \
                        tried again every minute";

/// How often a node looks whether it has something new to say to its registrar.
const LOOK: Duration = Duration::from_millis(500);

/// What follows the registrars of one node.
#[derive(Debug, Clone)]
pub(super) struct TrustFollower {
    pub(super) folder: Folder,
    pub(super) trust: TrustHandle,
    pub(super) tls: NodeTls,
    pub(super) registrars: Vec<String>,
    /// How many peers were asked so far: others are asked the next time.
    pub(super) asked: Arc<AtomicUsize>,
    pub(super) renewing: Renewing,
    pub(super) logs: LogFollower,
}

impl TrustFollower {
    /// Follows until `stop`: one registrar at a time, the next one where it fails.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = REGISTRAR_BACKOFF_MIN;
        for endpoint in self.registrars.iter().cycle() {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                followed = self.follow(endpoint) => followed,
            };
            match followed {
                Ok(()) => {
                    pause = REGISTRAR_BACKOFF_MIN;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the registrar; tried again");
                    if matches!(error, RegistrarError::Refused { .. }) {
                        self.renewing.after_refusal().await;
                    }
                    let may_be_older = !error.is_passing();
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.catch_up(endpoint), if may_be_older => {}
                        () = self.ask_peers(), if !may_be_older => {}
                    }
                    pause = pause.saturating_mul(2).min(REGISTRAR_BACKOFF_MAX);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Asks peers, also while a registrar is followed, where one of them has spoken of a newer list
    /// and no registrar brings it: it may be cut off from the others. Until `stop`.
    pub(super) async fn hear(self, stop: CancellationToken) {
        let mut pause = HEARD_LIST_WAIT_MIN;
        let mut before = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            let missing = |follower: &Self| {
                let heard = follower.trust.newest_heard();
                (heard > follower.trust.roster().version()).then_some(heard)
            };
            let heard = missing(&self);
            if heard.is_some() && heard == before {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.ask_peers() => {}
                }
                // Hearsay: whoever made a version up costs less and less.
                pause = pause.saturating_mul(2).min(HEARD_LIST_WAIT_MAX);
            }
            if missing(&self).is_none() {
                pause = HEARD_LIST_WAIT_MIN;
            }
            before = heard;
        }
    }

    /// Follows one registrar as long as it lasts.
    async fn follow(&self, endpoint: &str) -> Result<(), RegistrarError> {
        let mut client = RegistrarClient::connect_as(endpoint, &self.tls).await?;
        let mut stream = client.follow(self.trust.root().version()).await?;
        let (mut pull, mut look) = (interval(PULL_INTERVAL), interval(LOOK));
        // The first tick is now, and the stream begins with what there is.
        pull.tick().await;
        let (mut taken, mut said) = (None, None);
        loop {
            let texts = tokio::select! {
                texts = stream.next() => match texts? {
                    Some(texts) => Some(texts),
                    None => return Ok(()),
                },
                _ = pull.tick() => Some(client.fetch(self.trust.root().version()).await?),
                // The certificate may be another one.
                _ = look.tick() => None,
            };
            if let Some(texts) = texts {
                taken = self.take(&texts).or(taken);
                if let Some(note) = texts.log_checkpoint {
                    self.logs.told(note, endpoint);
                }
            }
            let Some((list_version, cut)) = taken else {
                continue;
            };
            let now = self.acknowledgement(list_version, cut);
            if said.as_ref() != Some(&now) {
                client.installed(now.clone()).await?;
                said = Some(now);
            }
        }
    }

    /// What this node says of itself.
    fn acknowledgement(&self, list_version: u32, cut: usize) -> Acknowledgement {
        Acknowledgement {
            list_version,
            cut: u32::try_from(cut).unwrap_or(u32::MAX),
            root_version: self.trust.root().version(),
            leads_to: self.tls.leads_to(),
            certificate_not_after: Some(self.tls.certificate().not_after()),
        }
    }

    /// Fetches the roots that follow the one in force from a registrar whose certificate this node
    /// refuses, or that refuses this node's: both may lead to a root that came while it slept.
    async fn catch_up(&self, endpoint: &str) {
        let (network, clock) = (self.trust.network(), self.trust.clock());
        let next = self.trust.root().version().saturating_add(1);
        match fetch_roots(endpoint, network, next, clock).await {
            Ok(roots) => self.take_roots(&roots),
            Err(error) => tracing::info!(%error, "no newer root there"),
        }
    }

    fn take_roots(&self, texts: &[String]) {
        let (held, now) = (self.trust.root(), self.trust.clock().now());
        let kept = self.folder.keep_sent_roots(&held, texts, now);
        let taken = kept.and_then(|newer| match newer {
            0 => Ok(()),
            _ => self.folder.take_roots(&self.trust),
        });
        if let Err(error) = taken {
            tracing::error!(%error, "a network root is refused; the root in force stays");
        }
    }

    /// Puts documents in force and on disk; gives the list's version and the connections cut where
    /// there was a list to take.
    fn take(&self, texts: &TrustTexts) -> Option<(u32, usize)> {
        let mut taken = None;
        if !texts.roots.is_empty() {
            self.take_roots(&texts.roots);
        }
        if let Some(list) = &texts.list {
            if self.trust.roster().signed().to_text().as_ref() != Ok(list)
                && let Err(error) = self.folder.stage_list(list)
            {
                tracing::error!(%error, "cannot keep the member list on its way in");
            }
            match self.trust.install(list) {
                Ok(installed) => {
                    if installed.supersession == Supersession::Newer {
                        let (version, cut) = (installed.version, installed.cut);
                        tracing::info!(version, cut, "member list taken");
                    }
                    // What is not on disk is not acknowledged.
                    match (self.folder.replace_list(list), installed.not_noted) {
                        (Ok(()), None) => taken = Some((installed.version, installed.cut)),
                        (Err(error), _) => tracing::error!(%error, "{NOT_KEPT}"),
                        (Ok(()), Some(reason)) => tracing::error!(reason, "{NOT_KEPT}"),
                    }
                }
                Err(error) => tracing::error!(%error, "a member list is refused"),
            }
        }
        self.take_departures(&texts.departures);
        if let Some(freshness) = &texts.freshness {
            self.take_freshness(freshness);
        }
        taken
    }

    /// Asks a few peers, others each time, for what the registrar does not say: once its last
    /// statement is older than it should be, or a peer has spoken of a newer list.
    async fn ask_peers(&self) {
        let roster = self.trust.roster();
        let now = self.trust.clock().now();
        let held = self.trust.freshness();
        let late = |held: &Arc<Freshness>| now.since(held.issued_at()) > FRESHNESS_INTERVAL;
        let needed = match &held {
            Some(held) => late(held),
            None => !self.trust.root().freshness_keys().is_empty(),
        };
        if !needed && self.trust.newest_heard() <= roster.version() {
            return;
        }
        let own = self.tls.certificate();
        let peers: Vec<_> = roster.peers_of(own.member()).collect();
        let first = self.asked.fetch_add(RELAYS_ASKED_MAX, Ordering::Relaxed);
        let turn = peers.iter().cycle().skip(first % peers.len().max(1));
        for peer in turn.take(RELAYS_ASKED_MAX.min(peers.len())) {
            match relayed_trust(&self.tls, peer).await {
                Ok(relayed) => {
                    self.take(&relayed.texts);
                }
                Err(error) => tracing::info!(%error, "a peer hands on no trust documents"),
            }
        }
    }

    /// After the list: a departure may be of a member that only the newest list names.
    fn take_departures(&self, texts: &[String]) {
        let Departed {
            members,
            cut,
            refused,
        } = self.trust.install_departures(texts);
        for member in members {
            tracing::info!(%member, cut, "a member left");
        }
        for error in refused {
            tracing::warn!(%error, "a departure is refused");
        }
    }

    fn take_freshness(&self, text: &str) {
        let held = self.trust.freshness();
        if held.is_some_and(|held| held.text() == text) {
            return;
        }
        match self.trust.install_freshness(text) {
            Ok(_) => {
                if let Err(error) = self.folder.keep_freshness(text) {
                    tracing::error!(%error, "cannot keep the freshness statement");
                }
            }
            Err(error) => tracing::warn!(%error, "a freshness statement is refused"),
        }
    }
}
