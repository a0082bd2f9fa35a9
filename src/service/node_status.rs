//! What a node tells its operator about itself.

use std::net::SocketAddr;

use crate::domain::{Epoch, Level, MemberId, NetworkId, Role, Timestamp};
use crate::membership::LifeLeft;
use crate::protocol::mirror::NotedFault;
use crate::store::Replicas;
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
    /// The root in force, and what is known beyond the list in force.
    pub trust: TrustStatus,
    /// Membership logs that this node keeps.
    pub logs: Vec<LogStatus>,
    /// The other processes that use the node's rows.
    pub replicas: Replicas,
}

/// What this process is among those that use the node's rows, in a word.
fn place_among(replicas: &Replicas) -> &'static str {
    if replicas.is_alone() {
        "alone"
    } else if replicas.leads() {
        "leads"
    } else {
        "follows"
    }
}

/// A membership log as this node keeps it.
#[derive(Debug, Clone)]
pub struct LogStatus {
    /// Its origin.
    pub origin: String,
    /// Entries read and checked.
    pub size: u64,
    /// When the checkpoint over them was signed.
    pub signed_at: Option<Timestamp>,
    /// What is wrong with it, in words.
    pub findings: Vec<String>,
}

/// The root in force, and what is known beyond the list in force.
#[derive(Debug, Clone, Copy)]
pub struct TrustStatus {
    /// Version of the root.
    pub root_version: u32,
    /// End of the root.
    pub root_expires_at: Timestamp,
    /// Highest list version that this node has or heard of.
    pub list_version_heard: u32,
    /// Whether the network asks for freshness statements.
    pub asks_freshness: bool,
    /// End of the newest freshness statement.
    pub freshness_ends_at: Option<Timestamp>,
    /// Whether the certificate leads only to root certificates that are about to go.
    pub certificate_must_renew: bool,
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
    /// What was found wrong with its feeds of the live epochs.
    pub faults: Vec<(Epoch, NotedFault)>,
    /// Whether it is asked in light mode.
    pub light: bool,
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
            root_version: status.trust.root_version,
            root_expires_unix_ms: status.trust.root_expires_at.unix_ms(),
            list_version_heard: u64::from(status.trust.list_version_heard),
            asks_freshness: status.trust.asks_freshness,
            freshness_ends_unix_ms: status.trust.freshness_ends_at.map_or(0, Timestamp::unix_ms),
            certificate_must_renew: status.trust.certificate_must_renew,
            logs: status.logs.into_iter().map(Into::into).collect(),
            replica: place_among(&status.replicas).to_owned(),
        }
    }
}

impl From<LogStatus> for pb::LogState {
    fn from(log: LogStatus) -> Self {
        Self {
            origin: log.origin,
            size: log.size,
            signed_unix_ms: log.signed_at.map_or(0, Timestamp::unix_ms),
            findings: log.findings,
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
            light: peer.light,
            mirror_size: size,
            checkpoint_unix_ms: at.unix_ms(),
            trouble: peer.trouble,
            faults: peer.faults.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<(Epoch, NotedFault)> for pb::FeedFault {
    fn from((epoch, fault): (Epoch, NotedFault)) -> Self {
        Self {
            name: fault.name.word().to_owned(),
            epoch: epoch.0,
            first_unix_ms: fault.first_at.unix_ms(),
            last_unix_ms: fault.last_at.unix_ms(),
            mirror_size: fault.size,
        }
    }
}
