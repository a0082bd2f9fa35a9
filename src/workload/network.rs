//! A whole network on this machine: administrators' folder, members' folders, running nodes.
//!
//! Everything goes the way that the documented commands go: founded, invited, requested, approved,
//! welcomed by file; real sockets on loopback, mutual TLS, and a store on disk.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;

use crate::config::{StoreConfig, UnlockSource};
use crate::crypto::KdfCost;
use crate::domain::{Currency, Level, MemberId, NetworkId, Purpose, Role};
use crate::env::{Entropy, OsEntropy};
use crate::membership::{MemberState, RightsChange, Terms};
use crate::node::{
    AdminError, AdminFolder, Folder, Found, Invited, NodeError, NodeParts, RunningNode,
};

/// How long a node may take to mirror what its peers have.
const SYNC_PATIENCE: Duration = Duration::from_secs(180);

/// A member to be.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its id; also its lender group.
    pub member: MemberId,
    /// What it is.
    pub role: Role,
    /// Its weight in the coverage.
    pub weight: u32,
}

/// Where a member's nodes are reached, and what keeps their rows.
#[derive(Debug, Clone)]
pub struct Place {
    /// Addresses of its replicas; the folder that joins listens at the first.
    pub addresses: Vec<SocketAddr>,
    /// What keeps the rows.
    pub store: StoreConfig,
}

/// Why the simulated network does not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The administrators' side.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A node's side.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A flow.
    #[error(transparent)]
    Flow(#[from] crate::flows::FlowError),
    /// No free port, or a file.
    #[error("simulated network: {0}")]
    System(#[from] std::io::Error),
    /// Nodes did not come to the same state in time.
    #[error("{member} did not mirror its peers within {} s", SYNC_PATIENCE.as_secs())]
    NotMirrored {
        /// The node that lags.
        member: MemberId,
    },
    /// There is no member with this number.
    #[error("there is no member number {0} in the simulated network")]
    NoSuchNumber(usize),
    /// There is no such member.
    #[error("there is no member {0} in the simulated network")]
    NoSuchMember(MemberId),
}

/// The network and its nodes.
#[derive(Debug)]
pub struct SimulatedNetwork {
    folder: PathBuf,
    admin: AdminFolder,
    parts: NodeParts,
    seats: BTreeMap<MemberId, Folder>,
    running: BTreeMap<MemberId, RunningNode>,
}

impl SimulatedNetwork {
    /// The time of its nodes.
    #[must_use]
    pub fn now(&self) -> crate::domain::Timestamp {
        self.parts.clock.now()
    }

    /// Founds a network in an empty folder; nobody has joined yet.
    ///
    /// # Errors
    /// [`NetworkError::Admin`].
    pub fn found(
        folder: &Path,
        network: NetworkId,
        currency: Currency,
        parts: NodeParts,
    ) -> Result<Self, NetworkError> {
        let found = Found {
            network,
            currency,
            population: 100_000_000,
            administrators: vec!["chair".to_owned(), "secretary".to_owned()],
            threshold: 2,
            cost: KdfCost::FLOOR,
            registrar: None,
            other_registrars: Vec::new(),
        };
        let source = UnlockSource::PassphraseFile("passphrase".into());
        let now = parts.clock.now();
        let admin =
            AdminFolder::found(&folder.join("admin"), &found, &source, now, &*parts.entropy)?;
        Ok(Self {
            folder: folder.to_owned(),
            admin,
            parts,
            seats: BTreeMap::new(),
            running: BTreeMap::new(),
        })
    }

    /// Lets a member join: its folder and keys are made, and every member gets the new list.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn join(&mut self, seat: &Seat) -> Result<(), NetworkError> {
        self.join_at(seat, Level::Full).await
    }

    /// As [`Self::join`], for a member that furnishes at `level`.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn join_at(&mut self, seat: &Seat, level: Level) -> Result<(), NetworkError> {
        let place = Place {
            addresses: vec![free_address()?],
            store: StoreConfig::Sled,
        };
        self.join_in(seat, level, place).await
    }

    /// As [`Self::join_at`], with addresses and a store of its own.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn join_in(
        &mut self,
        seat: &Seat,
        level: Level,
        Place { addresses, store }: Place,
    ) -> Result<(), NetworkError> {
        let (now, entropy) = (self.parts.clock.now(), &*self.parts.entropy);
        let terms = Terms {
            member: seat.member.clone(),
            role: seat.role,
            lender_group: seat
                .member
                .as_str()
                .parse()
                .map_err(std::io::Error::other)?,
            level,
            weight: seat.weight,
            quota_elements_per_epoch: 2_000_000,
            purposes: Purpose::ALL.to_vec(),
        };
        let invite = self.admin.invite(terms, now, entropy)?;
        let none = || std::io::Error::other("a member needs an address");
        let listen = *addresses.first().ok_or_else(none)?;
        let path = self.folder.join(seat.member.as_str());
        let folder = Folder::at(&path).sealing(self.parts.sealing);
        let invited = Invited {
            invitation: &invite.text,
            listen,
            endpoints: addresses.iter().map(ToString::to_string).collect(),
            unlock: UnlockSource::KeyFile("unlock.key".into()),
            store,
            cost: KdfCost::FLOOR,
            registrars: &[],
        };
        let joined = folder.accept_invitation(invited, now, entropy).await?;
        let request = joined.request.unwrap_or_default();
        let (_, welcome) = self.admin.approve(&request, now, entropy)?;
        folder.accept_welcome(&welcome, now).await?;
        self.seats.insert(seat.member.clone(), folder);
        self.spread_list()
    }

    /// Lets lenders of weight 1 join, at full level.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn join_lenders(&mut self, names: &[&str]) -> Result<(), NetworkError> {
        for name in names {
            let seat = Seat {
                member: name.parse().map_err(std::io::Error::other)?,
                role: Role::Lender,
                weight: 1,
            };
            self.join(&seat).await?;
        }
        Ok(())
    }

    /// Changes a member's state on the next list, which every member gets.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn set_state(&mut self, member: &MemberId, state: MemberState) -> Result<(), NetworkError> {
        self.admin
            .set_state(member, state, self.parts.clock.now())?;
        self.spread_list()
    }

    /// Changes a member's rights on the next list, which every member gets.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn change_rights(
        &mut self,
        member: &MemberId,
        change: &RightsChange,
    ) -> Result<(), NetworkError> {
        self.admin
            .change_rights(member, change, self.parts.clock.now())?;
        self.spread_list()
    }

    /// Copies the newest list into every member's folder; running nodes take it at once.
    fn spread_list(&self) -> Result<(), NetworkError> {
        let text = self.admin.list_text()?;
        for (member, folder) in &self.seats {
            folder.replace_list(&text)?;
            if let Some(node) = self.running.get(member) {
                node.take_list(&text)?;
            }
        }
        Ok(())
    }

    /// Starts a member's node.
    ///
    /// # Errors
    /// [`NetworkError::Node`].
    pub async fn start(&mut self, member: &MemberId) -> Result<(), NetworkError> {
        let node = RunningNode::start(self.folder_of(member)?, self.parts.clone()).await?;
        self.running.insert(member.clone(), node);
        Ok(())
    }

    /// Starts every member's node, and waits until each holds whole mirrors of the others.
    ///
    /// # Errors
    /// [`NetworkError::Node`], [`NetworkError::NotMirrored`].
    pub async fn start_all(&mut self) -> Result<(), NetworkError> {
        let members: Vec<MemberId> = self.seats.keys().cloned().collect();
        for member in &members {
            self.start(member).await?;
        }
        self.mirrored().await
    }

    /// Stops a member's node; one that does not run stays as it is.
    ///
    /// # Errors
    /// [`NetworkError::Node`].
    pub async fn stop(&mut self, member: &MemberId) -> Result<(), NetworkError> {
        match self.running.remove(member) {
            Some(node) => Ok(node.shutdown().await?),
            None => Ok(()),
        }
    }

    /// Stops every node.
    ///
    /// # Errors
    /// [`NetworkError::Node`] of the first that could not finish.
    pub async fn stop_all(&mut self) -> Result<(), NetworkError> {
        let running = std::mem::take(&mut self.running);
        try_join_all(running.into_values().map(RunningNode::shutdown)).await?;
        Ok(())
    }

    /// A member's running node.
    ///
    /// # Errors
    /// [`NetworkError::NoSuchMember`] where it does not run.
    pub fn node(&self, member: &MemberId) -> Result<&RunningNode, NetworkError> {
        self.running
            .get(member)
            .ok_or_else(|| NetworkError::NoSuchMember(member.clone()))
    }

    /// A member's folder.
    ///
    /// # Errors
    /// [`NetworkError::NoSuchMember`].
    pub fn folder_of(&self, member: &MemberId) -> Result<&Folder, NetworkError> {
        self.seats
            .get(member)
            .ok_or_else(|| NetworkError::NoSuchMember(member.clone()))
    }

    /// Every member's folder.
    pub fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.seats.values()
    }

    /// Ids of the members whose nodes run.
    pub fn running(&self) -> impl Iterator<Item = &MemberId> {
        self.running.keys()
    }

    /// The administrators' folder.
    #[must_use]
    pub const fn admin(&self) -> &AdminFolder {
        &self.admin
    }

    /// The administrators' folder, for what is not done for every node at once.
    pub const fn admin_mut(&mut self) -> &mut AdminFolder {
        &mut self.admin
    }

    /// Waits until every running node holds a whole mirror of every other running node.
    ///
    /// # Errors
    /// [`NetworkError::NotMirrored`] after three minutes.
    pub async fn mirrored(&self) -> Result<(), NetworkError> {
        for (member, node) in &self.running {
            let peers: Vec<MemberId> = self
                .running
                .keys()
                .filter(|id| *id != member)
                .cloned()
                .collect();
            let settled = async {
                while !node.core().mirrors_all(&peers).await? {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok::<(), NetworkError>(())
            };
            match tokio::time::timeout(SYNC_PATIENCE, settled).await {
                Ok(outcome) => outcome?,
                Err(_) => {
                    return Err(NetworkError::NotMirrored {
                        member: member.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Ports to listen on: below those that Linux gives to outgoing connections, which could take a
/// port between the moment it is found free and the moment somebody listens on it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A loopback address that was free a moment ago.
///
/// # Errors
/// The system's, where no port is free or it gives no randomness.
pub fn free_address() -> std::io::Result<SocketAddr> {
    let mut bytes = [0; 2];
    let filled = OsEntropy::default().fill(&mut bytes);
    filled.map_err(std::io::Error::other)?;
    let first = u16::from_be_bytes(bytes) % (PORTS.end - PORTS.start);
    let all = PORTS.cycle().skip(usize::from(first)).take(PORTS.len());
    let mut free = all.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let listener = free.next();
    let none = || std::io::Error::other("no loopback port from 20000 to 31999 is free");
    listener.ok_or_else(none)?.local_addr()
}
