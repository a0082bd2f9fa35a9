//! A network with a registrar, all in one process, by a clock that moves only when told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::config::{RegistrarConfig, StoreConfig, UnlockSource};
use creditmesh::crypto::KdfCost;
use creditmesh::domain::{Currency, Level, MemberId, Purpose, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::{InvitationToken, Terms};
use creditmesh::node::{
    AdminFolder, Administration, Enrolling, Folder, Found, MemberWish, NodeParts, RunningNode,
    RunningRegistrar,
};
use tempfile::TempDir;

pub(crate) fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn free_address() -> SocketAddr {
    creditmesh::workload::free_address().unwrap()
}

pub(crate) struct Town {
    pub(crate) dir: TempDir,
    pub(crate) clock: PlayedClock,
    pub(crate) registrar: Option<RunningRegistrar>,
}

impl Town {
    pub(crate) async fn found() -> Self {
        Self::found_at(Timestamp::parse_rfc3339("2026-11-02T08:00:00Z").unwrap()).await
    }

    pub(crate) async fn found_at(now: Timestamp) -> Self {
        let address = free_address();
        let found = Found {
            network: "credit-net".parse().unwrap(),
            currency: Currency::from_code("USD").unwrap(),
            population: 1_000_000,
            administrators: vec!["chair".to_owned()],
            threshold: 1,
            cost: KdfCost::FLOOR,
            registrar: Some(RegistrarConfig {
                addresses: vec![address.to_string()],
                listen: address,
                follows: Vec::new(),
            }),
            other_registrars: Vec::new(),
        };
        let mut town = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: PlayedClock::at(now),
            registrar: None,
        };
        let entropy = OsEntropy::default();
        AdminFolder::found(&town.admin(), &found, &Self::passphrase(), now, &entropy).unwrap();
        town.serve().await;
        town
    }

    pub(crate) fn passphrase() -> UnlockSource {
        UnlockSource::PassphraseFile("passphrase".into())
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.dir.path().join("admin")
    }

    pub(crate) fn parts(&self) -> NodeParts {
        NodeParts {
            clock: Arc::new(self.clock.clone()),
            ..NodeParts::default()
        }
    }

    pub(crate) async fn try_serve(&mut self) -> Result<(), String> {
        let (admin, passphrase) = (self.admin(), Self::passphrase());
        let started = RunningRegistrar::start(&admin, &passphrase, self.parts()).await;
        self.registrar = Some(started.map_err(|error| error.to_string())?);
        Ok(())
    }

    pub(crate) async fn serve(&mut self) {
        self.try_serve().await.unwrap();
    }

    pub(crate) async fn administration(&self) -> Administration {
        let (entropy, now) = (OsEntropy::default(), self.clock.now());
        let folder = AdminFolder::open(&self.admin(), &Self::passphrase(), now, &entropy);
        let keys = folder.unwrap().signing_keys();
        let clock = Arc::new(self.clock.clone());
        let administration = Administration::open(&self.admin(), keys, clock).await;
        administration.unwrap()
    }

    pub(crate) fn folder(&self, member: &str) -> Folder {
        Folder::at(&self.dir.path().join(member))
    }

    /// Lets a member join by token.
    pub(crate) async fn join(&self, member: &str) {
        let mut administration = self.administration().await;
        let terms = Terms {
            member: id(member),
            role: Role::Lender,
            lender_group: member.parse().unwrap(),
            level: Level::Full,
            weight: 1,
            quota_elements_per_epoch: 1_000_000,
            purposes: Purpose::ALL.to_vec(),
        };
        let entropy = OsEntropy::default();
        let token = administration.invite(terms, &entropy).await.unwrap();
        let listen = free_address();
        let enrolling = Enrolling {
            token: InvitationToken::parse(&token).unwrap(),
            listen,
            endpoints: vec![listen.to_string()],
            unlock: UnlockSource::KeyFile("unlock.key".into()),
            store: StoreConfig::Sled,
            cost: KdfCost::FLOOR,
        };
        let (folder, clock) = (self.folder(member), Arc::new(self.clock.clone()));
        let joining =
            tokio::spawn(async move { folder.enrol(enrolling, clock, &entropy, |_| {}).await });
        let wish = MemberWish::Approve(id(member));
        loop {
            if let Ok(proposal) = administration.propose(&wish).await {
                assert!(administration.put(proposal).await.unwrap().published);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(joining.await.unwrap().unwrap(), id(member));
    }

    pub(crate) async fn start(&self, member: &str) -> Arc<RunningNode> {
        let node = RunningNode::start(&self.folder(member), self.parts()).await;
        Arc::new(node.unwrap())
    }

    pub(crate) async fn change(&self, wish: &MemberWish) -> u32 {
        let mut administration = self.administration().await;
        let proposal = administration.propose(wish).await.unwrap();
        let version = proposal.version();
        assert!(administration.put(proposal).await.unwrap().published);
        administration.acknowledged(version).await.unwrap();
        version
    }
}
