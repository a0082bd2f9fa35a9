//! Witnesses and gossip over real sockets, mutual TLS and sled: audit logs are cosigned, and a
//! member that shows two histories is found, proven and told to all.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, Level, MemberId, Money, Product, Purpose, Timestamp,
};
use creditmesh::env::{Clock, PlayedClock};
use creditmesh::flows::{AuditReader, KeptFork, NewApplication};
use creditmesh::node::{Core, NodeParts};
use creditmesh::protocol::audit::{AuditJudge, AuditVerdict, WitnessKey};
use creditmesh::protocol::fork::{LogFork, LogName};
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const NAMES: [&str; 4] = ["alpha", "beta", "delta", "gamma"];

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

struct Town {
    network: SimulatedNetwork,
    clock: PlayedClock,
}

impl Town {
    async fn found(dir: &Path) -> Self {
        let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let clock = PlayedClock::at(start);
        let parts = NodeParts::by(clock.clone());
        let id = "test-net".parse().unwrap();
        let mut network = SimulatedNetwork::found(dir, id, "USD".parse().unwrap(), parts).unwrap();
        network.join_lenders(&NAMES).await.unwrap();
        network.start_all().await.unwrap();
        Self { network, clock }
    }

    fn later(&self, seconds: i64) {
        let now = self.clock.now().unix_ms();
        let then = Timestamp::from_unix_ms(now + seconds * 1_000);
        self.clock.advance_to(then);
    }

    fn core(&self, name: &str) -> &Core {
        self.network.node(&member(name)).unwrap().core()
    }

    async fn start(&mut self, name: &str) {
        self.network.start(&member(name)).await.unwrap();
    }

    async fn stop(&mut self, name: &str) {
        self.network.stop(&member(name)).await.unwrap();
    }

    async fn assess(&self, at: &str, number: usize, key: &str) -> Value {
        let national = format!("us-ssn:5369044{number:02}");
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(&national, None).unwrap()),
                phone: None,
                name_dob: None,
            },
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(Money::of(120_000, "USD".parse().unwrap())),
            term_days: Some(90),
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let desk = self.network.node(&member(at)).unwrap().desk().clone();
        let given = desk.assess(key, &wanted).await.unwrap();
        serde_json::from_str(&given.json).unwrap()
    }

    /// Waits until these members have all that alpha published.
    async fn followed_by(&self, names: &[&str]) {
        let home = &self.core("alpha").home;
        let epoch = home.calendar.current(home.clock.now());
        let feed = home.feed(Level::Full, epoch);
        let size = self
            .core("alpha")
            .answerer
            .feeds()
            .size(&feed)
            .await
            .unwrap()
            .unwrap();
        for name in names {
            let mirror = self
                .core(name)
                .mirrors
                .of(&feed.member, Level::Full, epoch)
                .unwrap();
            let followed = async {
                while mirror.reach().await.unwrap().size < size {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, followed).await.unwrap();
        }
    }

    async fn exchange(&self, one: &str, other: &str) {
        let core = self.core(one);
        let peer = core.home.peer(&member(other)).unwrap();
        // A peer that was down a moment ago is left alone for a moment.
        let exchanged = async {
            while core.gossip.exchange(&peer).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, exchanged).await.unwrap();
    }

    async fn forks(&self, at: &str) -> Vec<KeptFork> {
        self.core(at).mirrors.forks().list().await.unwrap()
    }

    /// The whole audit log of a member, judged with the keys in the member list of another one.
    async fn judged(&self, name: &str) -> AuditVerdict {
        let core = self.core(name);
        let reader = AuditReader::new(Arc::clone(&core.home));
        let roster = core.home.trust.roster();
        let key_of = |one: &str| roster.member(&member(one)).unwrap().identity_key;
        let witnesses = NAMES.iter().filter(|one| **one != name);
        let witnesses = witnesses.map(|one| WitnessKey {
            member: member(one),
            key: key_of(one),
        });
        let judge = AuditJudge::new(&reader.origin(), vec![key_of(name)], None);
        let mut judge = judge.with_witnesses(witnesses.collect());
        let page = reader.page(0, reader.size().await.unwrap()).await.unwrap();
        page.checkpoints
            .iter()
            .for_each(|note| judge.checkpoint(note));
        for (index, line) in &page.entries {
            judge.entry(*index, line.as_bytes(), None);
        }
        judge.finish()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_cosigned_by_two_peers_and_by_others_where_they_are_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::found(dir.path()).await;
    town.assess("alpha", 1, "a-1").await;
    assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 2);
    let verdict = town.judged("alpha").await;
    assert_eq!(verdict.faults, []);
    let first: Vec<&MemberId> = verdict.witnessed.iter().map(|one| &one.witness).collect();
    assert_eq!(first.len(), 2, "{verdict:?}");
    assert!(
        verdict
            .witnessed
            .iter()
            .all(|one| one.size == verdict.entries)
    );
    let state = town.core("alpha").cosigning.state().await.unwrap();
    assert_eq!(
        (state.size, state.cosigned_size),
        (verdict.entries, verdict.entries)
    );

    // One of the two is down: the third stands in for it, from entry 0 on.
    let down = first[0].to_string();
    let other = NAMES[1..]
        .iter()
        .find(|name| !first.contains(&&member(name)));
    town.stop(&down).await;
    town.later(60);
    town.assess("alpha", 2, "a-2").await;
    assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 2);
    let verdict = town.judged("alpha").await;
    let newest = verdict
        .witnessed
        .iter()
        .filter(|one| one.size == verdict.entries);
    let newest: Vec<String> = newest.map(|one| one.witness.to_string()).collect();
    assert!(newest.contains(&(*other.unwrap()).to_owned()), "{newest:?}");
    assert!(!newest.contains(&down), "{newest:?}");

    // Nobody is left: the answer comes all the same, and after an hour that is a finding.
    for name in NAMES[1..].iter().filter(|name| **name != down) {
        town.stop(name).await;
    }
    town.assess("alpha", 3, "a-3").await;
    assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 0);
    let state = town.core("alpha").cosigning.state().await.unwrap();
    assert!(!state.late && state.waiting_since.is_some(), "{state:?}");
    assert_eq!(state.troubles.len(), 3, "{state:?}");
    town.later(3_600);
    assert!(town.core("alpha").cosigning.state().await.unwrap().late);
    town.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_goes_on_where_it_stopped_and_after_a_start_of_either_side() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::found(dir.path()).await;
    for (number, key) in ["a-1", "a-2", "a-3"].into_iter().enumerate() {
        town.assess("alpha", number, key).await;
        assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 2);
        for name in ["alpha", "beta", "delta", "gamma"] {
            town.stop(name).await;
        }
        for name in NAMES {
            town.start(name).await;
        }
        town.network.mirrored().await.unwrap();
    }
    let verdict = town.judged("alpha").await;
    assert_eq!((verdict.faults.len(), verdict.witnessed.len()), (0, 2));
    town.network.stop_all().await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Alpha shows one history to beta and delta, and another one, from a copy of its store, to gamma.
async fn forked(dir: &Path, second: &[&str]) -> Town {
    let mut town = Town::found(dir).await;
    town.stop("gamma").await;
    town.stop("alpha").await;
    let (folder, kept) = (dir.join("alpha"), dir.join("alpha-before"));
    copy(&folder, &kept);
    town.start("alpha").await;
    town.network.mirrored().await.unwrap();
    town.later(10);
    town.assess("alpha", 1, "first-1").await;
    assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 2);
    town.followed_by(&["beta", "delta"]).await;
    town.stop("alpha").await;
    std::fs::rename(&folder, dir.join("alpha-after")).unwrap();
    std::fs::rename(&kept, &folder).unwrap();
    // Whoever saw the first history must not notice by itself.
    town.stop("beta").await;
    town.stop("delta").await;
    town.later(10);
    town.start("alpha").await;
    town.start("gamma").await;
    town.network.mirrored().await.unwrap();
    for (number, key) in second.iter().enumerate() {
        town.later(10);
        town.assess("alpha", 40 + number, key).await;
    }
    town.followed_by(&["gamma"]).await;
    town.start("beta").await;
    town.start("delta").await;
    town
}

fn of_feed(forks: &[KeptFork]) -> Option<&KeptFork> {
    let is_feed = |fork: &&KeptFork| matches!(fork.proof.log(), Some(LogName::Feed(_)));
    forks.iter().find(is_feed)
}

/// The commands list the proofs, write them, and check what was written without a node.
fn proofs_by_command(folder: &Path, out: &Path, key: &[u8; 32]) {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_creditmesh"));
        command.args(args).arg("--json").output().unwrap()
    };
    let (folder, out_text) = (folder.to_str().unwrap(), out.to_str().unwrap());
    let listed = run(&["audit", "forks", "--dir", folder, "--out", out_text]);
    assert_eq!(listed.status.code(), Some(1), "{listed:?}");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let forks = listed.get("forks").and_then(Value::as_array).unwrap();
    let members = forks.iter().filter_map(|one| one.get("member"));
    assert!(members.clone().count() > 0 && members.clone().all(|one| one == "alpha"));
    let files: Vec<_> = std::fs::read_dir(out).unwrap().collect();
    assert_eq!(files.len(), forks.len());
    let hex = |key: &[u8; 32]| key.map(|byte| format!("{byte:02x}")).concat();
    for file in files {
        let file = file.unwrap().path();
        let checked = |key: &[u8; 32]| {
            let file = file.to_str().unwrap();
            run(&["audit", "verify-fork", file, "--key", &hex(key)])
        };
        let held = checked(key);
        assert_eq!(held.status.code(), Some(0), "{held:?}");
        assert!(String::from_utf8_lossy(&held.stdout).contains("alpha/"));
        assert_eq!(checked(&[9; 32]).status.code(), Some(1));
    }
}

/// What `node doctor` on the folder says of the mirror of a peer.
fn mirrors_by_doctor(folder: &Path) -> impl Fn(&str) -> Value + use<> {
    let run = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["node", "doctor", "--json", "--dir"])
        .arg(folder)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    let findings = told.get("findings").and_then(Value::as_array);
    let findings = findings.unwrap().clone();
    move |peer| {
        let says = |one: &Value, key: &str, word: &str| one.get(key) == Some(&word.into());
        let is = |one: &&Value| says(one, "area", "mirror") && says(one, "peer", peer);
        findings.iter().find(is).unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forks_is_proven_told_to_all_and_counts_as_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let town = forked(dir.path(), &["second-1", "second-2", "second-3"]).await;
    let reached = async {
        while of_feed(&town.forks("beta").await).is_none() {
            town.exchange("gamma", "beta").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
    // Delta, which saw the first history only, hears of the proof from beta.
    town.exchange("delta", "beta").await;
    let key = town.core("beta").home.trust.roster();
    let key = key.member(&member("alpha")).unwrap().identity_key;
    for name in ["beta", "gamma", "delta"] {
        let forks = town.forks(name).await;
        let fork = of_feed(&forks).unwrap();
        let written = fork.proof.to_string();
        let read: LogFork = written.parse().unwrap();
        assert!(read.check(&key).unwrap().is_some(), "{name}");
        assert!(read.check(&[9; 32]).is_err());
        let answer = town.assess(name, 60, &format!("{name}-1")).await;
        let silent = answer["coverage"]["silent"].to_string();
        assert!(silent.contains("unverified"), "{name}: {answer:#}");
    }
    let mut town = town;
    // The proof is still there after a start.
    town.stop("delta").await;
    town.start("delta").await;
    assert!(of_feed(&town.forks("delta").await).is_some());
    let mirror_of = mirrors_by_doctor(&dir.path().join("delta"));
    let (alpha, beta) = (mirror_of("alpha"), mirror_of("beta"));
    assert_eq!(alpha["severity"], "warning", "{alpha:#}");
    assert!(alpha["says"].to_string().contains("two histories"));
    assert!(!beta["says"].to_string().contains("two histories"));
    proofs_by_command(&dir.path().join("delta"), &dir.path().join("proofs"), &key);
    town.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_refuses_the_audit_log_of_another_history() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = forked(dir.path(), &["second-1"]).await;
    let refused = async {
        loop {
            town.core("alpha").cosigning.round().await.unwrap();
            let state = town.core("alpha").cosigning.state().await.unwrap();
            if format!("{:?}", state.troubles).contains("the log has two histories") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    let mut proven = 0;
    for name in ["beta", "delta", "gamma"] {
        let forks = town.forks(name).await;
        let audit = |fork: &&KeptFork| fork.proof.origin == "alpha/audit";
        proven += forks.iter().filter(audit).count();
    }
    assert!(proven >= 1);
    town.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_was_cut_is_told_so_by_its_doctor_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::found(dir.path()).await;
    town.assess("alpha", 1, "kept").await;
    town.stop("alpha").await;
    let (folder, kept) = (dir.path().join("alpha"), dir.path().join("alpha-before"));
    copy(&folder, &kept);
    town.start("alpha").await;
    town.network.mirrored().await.unwrap();
    for key in ["cut-1", "cut-2", "cut-3"] {
        town.later(10);
        town.assess("alpha", 2, key).await;
    }
    assert_eq!(town.core("alpha").cosigning.round().await.unwrap(), 2);
    assert!(
        town.core("alpha")
            .cosigning
            .state()
            .await
            .unwrap()
            .ahead
            .is_empty()
    );
    town.stop("alpha").await;
    std::fs::rename(&folder, dir.path().join("alpha-after")).unwrap();
    std::fs::rename(&kept, &folder).unwrap();
    town.later(10);
    town.start("alpha").await;
    town.network.mirrored().await.unwrap();
    town.assess("alpha", 3, "after").await;
    let told = async {
        loop {
            town.core("alpha").cosigning.round().await.unwrap();
            let state = town.core("alpha").cosigning.state().await.unwrap();
            if state.ahead.len() == 2 {
                assert!(state.ahead.values().all(|known| *known > state.size));
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["node", "doctor", "--dir"])
        .arg(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        said.contains("it was cut, or restored from an older backup"),
        "{said}"
    );
    town.network.stop_all().await.unwrap();
}
