//! What a node tells its operator about itself.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Folder;
use super::log_book::LogBook;
use crate::crypto::vector_backend;
use crate::flows::{Answerer, Cosigning, Fishing, FlowError, Follower, Home, Mirrors};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::net::NodeTls;
use crate::service::{
    FeedStatus, Finding, LogStatus, NodeStatus, PeerStatus, StatusSource, TrustStatus,
};
use crate::store::{Scan, Table};

/// Where the operator's status comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) home: Arc<Home>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) follower: Follower,
    pub(super) answerer: Arc<Answerer>,
    pub(super) address: SocketAddr,
    pub(super) tls: NodeTls,
    pub(super) folder: Folder,
    pub(super) logs: LogBook,
    pub(super) fishing: Fishing,
    pub(super) cosigning: Arc<Cosigning>,
}

impl Source {
    async fn own_feeds(&self) -> Result<Vec<FeedStatus>, FlowError> {
        let mut feeds = Vec::new();
        for level in self.home.levels_served() {
            for epoch in self.home.calendar.served(self.home.clock.now()) {
                if let Some(size) = self
                    .answerer
                    .feeds()
                    .size(&self.home.feed(level, epoch))
                    .await?
                {
                    feeds.push(FeedStatus { level, epoch, size });
                }
            }
        }
        Ok(feeds)
    }

    fn trust(&self) -> TrustStatus {
        let trust = &self.home.trust;
        let root = trust.root();
        TrustStatus {
            root_version: root.version(),
            root_expires_at: root.document().expires_at,
            list_version_heard: trust.newest_heard(),
            asks_freshness: !root.freshness_keys().is_empty(),
            freshness_ends_at: trust.freshness().map(|held| held.expires_at()),
            certificate_must_renew: self.tls.must_renew(),
        }
    }

    fn logs(&self) -> Vec<LogStatus> {
        let states = self.logs.states().into_iter();
        let status = states.map(|state| LogStatus {
            origin: state.origin,
            size: state.size,
            signed_at: state.signed_at,
            findings: state.findings.into_iter().map(|one| one.says).collect(),
        });
        status.collect()
    }

    async fn peers(&self) -> Result<Vec<PeerStatus>, FlowError> {
        let mut troubles = self.follower.troubles();
        let mut peers = Vec::new();
        for peer in self.home.asked() {
            let (mut mirror, mut faults) = (None, Vec::new());
            for epoch in self.home.calendar.served(self.home.clock.now()) {
                let held = self.mirrors.of(&peer.id, self.home.level(), epoch)?;
                let reach = held.reach().await?;
                if let Some(at) = reach.checkpoint_at {
                    mirror = Some((epoch, reach.size, at));
                }
                let found = held.faults().await?.into_iter();
                faults.extend(found.map(|fault| (epoch, fault)));
            }
            peers.push(PeerStatus {
                light: self.home.light.peers.contains(&peer.id),
                trouble: troubles.remove(&peer.id).unwrap_or_default(),
                member: peer.id.clone(),
                role: peer.role,
                weight: peer.weight,
                mirror,
                faults,
            });
        }
        Ok(peers)
    }

    /// Markers of what is not published yet; counted up to one page.
    async fn unpublished(&self) -> Result<u64, FlowError> {
        let scan = Scan::all(STORE_SCAN_ROWS_MAX);
        let page = self.home.vault.scan(Table::Unpublished, &scan).await?;
        Ok(u64::try_from(page.len()).unwrap_or(u64::MAX))
    }
}

#[tonic::async_trait]
impl StatusSource for Source {
    async fn examine(&self) -> Result<Vec<Finding>, FlowError> {
        Self::examine(self).await
    }

    async fn status(&self) -> Result<NodeStatus, FlowError> {
        let certificate = self.tls.certificate();
        Ok(NodeStatus {
            network: self.home.network().clone(),
            member: self.home.member.clone(),
            now: self.home.clock.now(),
            list_version: self.home.trust.roster().version(),
            vector_backend: vector_backend(),
            unpublished: self.unpublished().await?,
            feeds: self.own_feeds().await?,
            peers: self.peers().await?,
            peer_address: self.address,
            certificate_not_after: certificate.not_after(),
            certificate_life: certificate.life_left(self.home.clock.now()),
            list_expires_at: self.home.trust.roster().expires_at(),
            trust: self.trust(),
            logs: self.logs(),
            replicas: self.home.vault.replicas().clone(),
        })
    }
}
