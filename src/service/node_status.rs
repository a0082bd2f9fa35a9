//! What a node tells its operator about itself.

use std::net::SocketAddr;

use crate::domain::{Epoch, Level, MemberId, NetworkId, Role, Timestamp};
use crate::membership::LifeLeft;
use crate::wire::pb;

/// The node's state.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// The network.
    pub network: NetworkId,
    /// This member.
    pub member: MemberId,
    /// The node's time.
    pub now: Timestamp,
    /// Version of the member list in force.
    pub list_version: u32,
    /// Vector backend of the group arithmetic.
    pub vector_backend: &'static str,
    /// Borrowers to be published, counted up to one page of the store.
    pub unpublished: u64,
    /// Own feeds.
    pub feeds: Vec<FeedStatus>,
    /// Peers and their mirrors.
    pub peers: Vec<PeerStatus>,
    /// Address that peers reach.
    pub peer_address: SocketAddr,
    /// End of the node's certificate.
    pub certificate_not_after: Timestamp,
    /// Life that the certificate has left.
    pub certificate_life: LifeLeft,
    /// End of the member list in force.
    pub list_expires_at: Timestamp,
}

/// One of the node's own feeds.
#[derive(Debug, Clone, Copy)]
pub struct FeedStatus {
    /// Contribution level.
    pub level: Level,
    /// Key epoch.
    pub epoch: Epoch,
    /// Leaves published.
    pub size: u64,
}

/// A peer as this node sees it.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Who.
    pub member: MemberId,
    /// What it is.
    pub role: Role,
    /// Its weight in the coverage.
    pub weight: u32,
    /// The newest mirror: its epoch, leaves, and when its checkpoint was signed.
    pub mirror: Option<(Epoch, u64, Timestamp)>,
    /// What is wrong with it, in words; empty where nothing is.
    pub trouble: String,
}

impl From<NodeStatus> for pb::StatusResponse {
    fn from(status: NodeStatus) -> Self {
        Self {
            network: status.network.to_string(),
            member: status.member.to_string(),
            now_unix_ms: status.now.unix_ms(),
            list_version: u64::from(status.list_version),
            vector_backend: status.vector_backend.to_owned(),
            unpublished: status.unpublished,
            feeds: status.feeds.into_iter().map(Into::into).collect(),
            peers: status.peers.into_iter().map(Into::into).collect(),
            peer_address: status.peer_address.to_string(),
            certificate_not_after_unix_ms: status.certificate_not_after.unix_ms(),
            list_expires_unix_ms: status.list_expires_at.unix_ms(),
            certificate_life: status.certificate_life.word().to_owned(),
        }
    }
}

impl From<FeedStatus> for pb::OwnFeed {
    fn from(feed: FeedStatus) -> Self {
        Self {
            level: feed.level.word().to_owned(),
            epoch: feed.epoch.0,
            size: feed.size,
        }
    }
}

impl From<PeerStatus> for pb::PeerState {
    fn from(peer: PeerStatus) -> Self {
        let (epoch, size, at) = peer.mirror.unwrap_or((Epoch(0), 0, Timestamp::default()));
        Self {
            member: peer.member.to_string(),
            role: peer.role.word().to_owned(),
            weight: peer.weight,
            mirror_epoch: epoch.0,
            mirror_size: size,
            checkpoint_unix_ms: at.unix_ms(),
            trouble: peer.trouble,
        }
    }
}
