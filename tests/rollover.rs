//! A rehearsal on a throw-away network: the X.509 root is exchanged and an administrator replaced
//! while nodes serve, one that slept walks every version at once, and nothing old comes back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::config::UnlockSource;
use creditmesh::domain::{MemberId, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::{MemberState, RootError};
use creditmesh::node::{AdminError, Elsewhere, NodeParts, Stage};
use creditmesh::workload::{Seat, SimulatedNetwork};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn source() -> UnlockSource {
    UnlockSource::PassphraseFile("passphrase".into())
}

struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    dir: TempDir,
}

impl Bed {
    /// A network of three, two of whom run.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        let mut bed = Self {
            network,
            clock,
            dir,
        };
        for name in ["alpha", "beta", "gamma"] {
            bed.join(name).await;
        }
        for name in ["alpha", "beta"] {
            bed.network.start(&member(name)).await.unwrap();
        }
        bed
    }

    async fn join(&mut self, name: &str) {
        let seat = Seat {
            member: member(name),
            role: Role::Lender,
            weight: 1,
        };
        self.network.join(&seat).await.unwrap();
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sends the newest list and every root to a node's folder, as people do by file.
    fn send(&self, name: &str) {
        let roots = self.place(name).join("roots");
        std::fs::create_dir_all(&roots).unwrap();
        for entry in std::fs::read_dir(self.place("admin").join("roots")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), roots.join(entry.file_name())).unwrap();
        }
        let list = self.place("admin").join("members.json");
        std::fs::copy(list, self.place(name).join("members.json")).unwrap();
    }

    /// Waits until a running node has the root and list in force that the administrators have.
    async fn follows(&self, name: &str) {
        let trust = &self.network.node(&member(name)).unwrap().core().home.trust;
        let admin = self.network.admin();
        for _ in 0..100 {
            let root = trust.root().version() == admin.root().version();
            if root && trust.roster().version() == admin.roster().version() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} did not take root and list");
    }

    async fn spread(&self, names: &[&str]) {
        for name in names {
            self.send(name);
        }
        for name in names {
            self.follows(name).await;
        }
    }

    async fn reaches(&self, asker: &str, answerer: &str) -> bool {
        let home = Arc::clone(&self.network.node(&member(asker)).unwrap().core().home);
        let roster = self.network.admin().roster();
        let peer = roster.member(&member(answerer)).unwrap();
        home.peers.describe(peer, SOON).await.is_ok()
    }

    async fn start_refused(&mut self, name: &str) -> String {
        let refused = self.network.start(&member(name)).await.unwrap_err();
        refused.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_x509_root_is_exchanged_in_stages_and_one_that_slept_walks_every_version() {
    let mut bed = Bed::new().await;
    let now = bed.now();
    let wrong = bed.network.admin_mut().revoke(&source(), now).unwrap_err();
    assert!(
        matches!(
            wrong,
            AdminError::WrongStage {
                found: Stage::Settled
            }
        ),
        "{wrong}"
    );

    let admin = bed.network.admin_mut();
    admin
        .prepare(&source(), now, &OsEntropy::default())
        .unwrap();
    assert_eq!(admin.stage(), Stage::Prepared);
    bed.spread(&["alpha", "beta"]).await;
    assert!(bed.reaches("alpha", "beta").await);

    bed.network.admin_mut().activate(&source()).unwrap();
    bed.join("delta").await;
    bed.network.start(&member("delta")).await.unwrap();
    bed.spread(&["alpha", "beta"]).await;
    assert!(bed.reaches("delta", "alpha").await && bed.reaches("beta", "delta").await);

    bed.network.admin_mut().taint(&source(), now).unwrap();
    bed.spread(&["alpha", "beta", "delta"]).await;
    bed.join("epsilon").await;
    bed.send("epsilon");
    bed.network.start(&member("epsilon")).await.unwrap();
    assert!(bed.reaches("epsilon", "alpha").await && bed.reaches("alpha", "epsilon").await);

    bed.network.admin_mut().revoke(&source(), now).unwrap();
    assert_eq!(bed.network.admin().stage(), Stage::Settled);
    assert!(!bed.place("admin").join("authority").join("next").exists());
    bed.spread(&["alpha", "beta", "delta", "epsilon"]).await;
    assert!(bed.reaches("delta", "epsilon").await && bed.reaches("epsilon", "delta").await);
    // Theirs lead to the old root alone.
    assert!(!bed.reaches("delta", "alpha").await && !bed.reaches("beta", "delta").await);

    // It has version 1, and gets the other three at once.
    bed.send("gamma");
    bed.network.start(&member("gamma")).await.unwrap();
    bed.follows("gamma").await;
    assert_eq!(bed.network.admin().root().version(), 4);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_replaced_and_what_the_lost_key_signed_counts_no_more() {
    let mut bed = Bed::new().await;
    let (now, entropy) = (bed.now(), OsEntropy::default());
    let admin = bed.network.admin_mut();
    let replaced = admin.replace_administrator("chair", "secretary", &source(), (now, &entropy));
    assert!(matches!(replaced, Err(AdminError::WrongAdministrator)));
    let before = admin.list_text().unwrap();
    admin
        .replace_administrator("chair", "chair-2", &source(), (now, &entropy))
        .unwrap();
    assert_eq!(admin.root().version(), 2);
    assert_eq!(admin.roster().list().root_version, 2);
    bed.spread(&["alpha", "beta"]).await;
    assert!(bed.reaches("alpha", "beta").await);
    let refused = bed
        .network
        .node(&member("alpha"))
        .unwrap()
        .take_list(&before);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("1 of the 2 signatures")
    );
    // The administrators' folder opens again with the new key.
    let path = bed.place("admin");
    let again = creditmesh::node::AdminFolder::open(&path, &source(), now, &entropy).unwrap();
    assert_eq!(again.root().version(), 2);
    // Where too few keys are left, no root follows.
    std::fs::remove_file(path.join("administrators").join("chair-2.key")).unwrap();
    let mut poor = creditmesh::node::AdminFolder::open(&path, &source(), now, &entropy).unwrap();
    let refused = poor.replace_administrator("chair-2", "chair-3", &source(), (now, &entropy));
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, AdminError::Root(RootError::NotByPredecessor(_))),
        "{refused}"
    );
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_list_an_old_root_and_an_old_backup_do_not_come_back() {
    let mut bed = Bed::new().await;
    let now = bed.now();
    let (place, alpha) = (bed.place("alpha"), member("alpha"));
    let old_list = std::fs::read(place.join("members.json")).unwrap();
    let old_root = std::fs::read(place.join("network.json")).unwrap();
    let backup = bed.dir.path().join("alpha.backup");
    bed.network.stop(&alpha).await.unwrap();
    let folder = bed.network.folder_of(&alpha).unwrap();
    folder.backup(&backup, now).await.unwrap();
    bed.network.start(&alpha).await.unwrap();
    let removed = MemberState::Removed;
    bed.network.set_state(&member("gamma"), removed).unwrap();
    let admin = bed.network.admin_mut();
    admin
        .prepare(&source(), now, &OsEntropy::default())
        .unwrap();
    bed.spread(&["alpha", "beta"]).await;
    bed.network.stop(&alpha).await.unwrap();

    // An old list, with the root in force.
    std::fs::write(place.join("members.json"), &old_list).unwrap();
    let refused = bed.start_refused("alpha").await;
    assert!(
        refused.contains("copy the newest list from the administrators"),
        "{refused}"
    );
    bed.send("alpha");
    // An old root, and the newer ones gone.
    std::fs::write(place.join("network.json"), &old_root).unwrap();
    std::fs::remove_dir_all(place.join("roots")).unwrap();
    let refused = bed.start_refused("alpha").await;
    assert!(
        refused.contains("put the newer versions into the folder"),
        "{refused}"
    );
    bed.send("alpha");
    bed.network.start(&alpha).await.unwrap();
    bed.network.stop(&alpha).await.unwrap();

    // The old backup, in another folder: no list comes with it, and the old root walks on.
    let other = creditmesh::node::Folder::at(&bed.place("alpha-again"));
    std::fs::create_dir_all(other.path()).unwrap();
    std::fs::copy(place.join("unlock.key"), other.path().join("unlock.key")).unwrap();
    other
        .restore(&backup, Elsewhere::default(), Some(now), None)
        .await
        .unwrap();
    assert!(!other.path().join("members.json").exists());
    let parts = NodeParts {
        clock: Arc::new(bed.clock.clone()),
        ..NodeParts::default()
    };
    let refused = creditmesh::node::RunningNode::start(&other, parts.clone()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("a backup does not bring it back"),
        "{refused}"
    );
    bed.send("alpha-again");
    let node = creditmesh::node::RunningNode::start(&other, parts)
        .await
        .unwrap();
    let trust = &node.core().home.trust;
    assert_eq!(trust.root().version(), 2);
    let gamma = trust.roster().member(&member("gamma")).unwrap().state;
    assert_eq!(gamma, MemberState::Removed);
    node.shutdown().await.unwrap();
    bed.network.stop_all().await.unwrap();
}
