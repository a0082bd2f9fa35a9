//! What a node tells its operator about itself.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use crate::crypto::vector_backend;
use crate::domain::Timestamp;
use crate::flows::{Answerer, FlowError, Follower, Home, Mirrors};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::service::StatusSource;
use crate::store::{Scan, Table};
use crate::wire::pb;
use crate::wire::pb::operator_server::OperatorServer;
use crate::wire::pb::peer_server::PeerServer;

/// Where the operator's status comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) home: Arc<Home>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) follower: Follower,
    pub(super) answerer: Arc<Answerer>,
    pub(super) address: SocketAddr,
    pub(super) certificate_not_after: Timestamp,
}

impl Source {
    async fn own_feeds(&self) -> Result<Vec<pb::OwnFeed>, FlowError> {
        let mut feeds = Vec::new();
        for level in self.home.levels_served() {
            for epoch in self.home.calendar.served(self.home.clock.now()) {
                if let Some(size) = self
                    .answerer
                    .feeds()
                    .size(&self.home.feed(level, epoch))
                    .await?
                {
                    feeds.push(pb::OwnFeed {
                        level: level.word().to_owned(),
                        epoch: epoch.0,
                        size,
                    });
                }
            }
        }
        Ok(feeds)
    }

    async fn peers(&self) -> Result<Vec<pb::PeerState>, FlowError> {
        let mut troubles = self.follower.troubles();
        let mut peers = Vec::new();
        for peer in self.home.asked() {
            let mut state = pb::PeerState {
                member: peer.id.to_string(),
                role: peer.role.word().to_owned(),
                weight: peer.weight,
                trouble: troubles.remove(&peer.id).unwrap_or_default(),
                ..pb::PeerState::default()
            };
            for epoch in self.home.calendar.served(self.home.clock.now()) {
                let reach = self
                    .mirrors
                    .of(&peer.id, self.home.level(), epoch)?
                    .reach()
                    .await?;
                if let Some(at) = reach.checkpoint_at {
                    state.mirror_epoch = epoch.0;
                    state.mirror_size = reach.size;
                    state.checkpoint_unix_ms = at.unix_ms();
                }
            }
            peers.push(state);
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
    async fn status(&self) -> Result<pb::StatusResponse, FlowError> {
        Ok(pb::StatusResponse {
            network: self.home.network().to_string(),
            member: self.home.member.to_string(),
            now_unix_ms: self.home.clock.now().unix_ms(),
            list_version: u64::from(self.home.trust.roster().version()),
            vector_backend: vector_backend().to_owned(),
            unpublished: self.unpublished().await?,
            feeds: self.own_feeds().await?,
            peers: self.peers().await?,
            peer_address: self.address.to_string(),
            certificate_not_after_unix_ms: self.certificate_not_after.unix_ms(),
        })
    }
}

/// Standard gRPC health: both services serve as long as the node runs.
pub(super) async fn health() -> HealthServer<impl Health> {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter
        .set_serving::<PeerServer<crate::service::PeerService>>()
        .await;
    reporter
        .set_serving::<OperatorServer<crate::service::OperatorService>>()
        .await;
    service
}

/// Standard gRPC reflection over the compiled descriptors.
pub(super) fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, FlowError> {
    Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .build_v1()
        .map_err(|error| FlowError::NotPossible(format!("reflection: {error}")))
}
