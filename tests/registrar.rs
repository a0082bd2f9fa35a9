//! A registrar and nodes in one process, over real sockets and real TLS, by a played clock: removal
//! under load, renewal without a failed call, a node that slept, and the loss of the registrar.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

#[path = "registrar/abuse.rs"]
mod abuse;
#[path = "registrar/own.rs"]
mod own;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use creditmesh::domain::Level;
use creditmesh::env::Clock;
use creditmesh::membership::MemberState;
use creditmesh::node::{MemberWish, OwnWish, RunningNode, Wished};

#[path = "registrar/roots.rs"]
mod roots;
#[path = "registrar/second.rs"]
mod second;
mod town;

use town::{Town, free_address, id};

impl Town {
    /// Lets a member's node know a registrar that is gone.
    fn strand(&self, member: &str) {
        let config = self.folder(member).path().join("node.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let lines = text.lines().map(|line| {
            if line.starts_with("registrar = ") {
                format!("registrar = [\"{}\"]", free_address())
            } else {
                line.to_owned()
            }
        });
        let text: Vec<String> = lines.collect();
        std::fs::write(&config, text.join("\n") + "\n").unwrap();
    }
}

async fn describe(node: &RunningNode, peer: &str) -> Result<(), String> {
    let home = &node.core().home;
    let roster = home.trust.roster();
    let peer = roster.member(&id(peer)).ok_or("not on the list here")?;
    let answer = home.peers.describe(peer, Duration::from_secs(5)).await;
    answer.map(|_| ()).map_err(|error| error.to_string())
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not {what} within 30 s"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// Calls that go on until they are told to stop; each that fails is told.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(pairs: &[(Arc<RunningNode>, &'static str)], in_flight: usize) -> Self {
        let (stop, calls) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let pairs = pairs.iter().cycle().take(in_flight);
        let tasks = pairs.map(|(node, peer)| {
            let (node, peer) = (Arc::clone(node), *peer);
            let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = describe(&node, peer).await {
                        failures.push(error);
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        });
        let tasks = tasks.collect();
        Self { stop, calls, tasks }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        (self.calls.load(Ordering::Relaxed), failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_removed_under_load_is_refused_everywhere_within_seconds_and_nobody_else_is() {
    let town = Town::found().await;
    let names = ["alpha", "beta", "gamma", "delta", "eve"];
    for name in names {
        town.join(name).await;
    }
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(town.start(name).await);
    }
    let eve = nodes.pop().unwrap();
    // Every node answers every other, eve included, and follows the registrar.
    for (node, own) in nodes.iter().chain([&eve]).zip(names) {
        for peer in names.into_iter().filter(|peer| *peer != own) {
            until("answered", async || describe(node, peer).await.is_ok()).await;
        }
    }
    let mut administration = town.administration().await;
    let first = administration.roster().await.unwrap().version();
    let standings = administration.acknowledged(first).await.unwrap();
    assert!(
        standings
            .iter()
            .all(|node| node.follows && node.list_version == first)
    );

    let pairs: Vec<_> = nodes
        .iter()
        .zip(["beta", "gamma", "delta", "alpha"])
        .map(|(node, peer)| (Arc::clone(node), peer))
        .collect();
    let load = Load::begin(&pairs, 64);
    // Eve's mirrors hold a stream open at every node; besides, it calls without a pause.
    let refused: Vec<_> = names[..4]
        .iter()
        .map(|peer| {
            let (eve, peer) = (Arc::clone(&eve), *peer);
            tokio::spawn(async move {
                while describe(&eve, peer).await.is_ok() {}
                Instant::now()
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let wish = MemberWish::State(id("eve"), MemberState::Removed);
    let proposal = administration.propose(&wish).await.unwrap();
    let version = proposal.version();
    let begun = Instant::now();
    assert!(administration.put(proposal).await.unwrap().published);
    let standings = administration.acknowledged(version).await.unwrap();
    for (peer, refused) in names.iter().zip(refused) {
        let after = refused.await.unwrap().saturating_duration_since(begun);
        println!("{peer}: refuses eve {after:?} after the removal was signed");
        assert!(after < Duration::from_secs(5), "{peer}: {after:?}");
    }
    for node in &standings {
        println!(
            "{}: list {} in force, {} connections cut, {} ms",
            node.member, node.list_version, node.cut, node.took_ms
        );
        assert_eq!(node.list_version, version);
    }
    for node in &nodes {
        until("cut", async || {
            node.core().home.trust.connections().with(&id("eve")) == 0
        })
        .await;
    }
    let (calls, failures) = load.end().await;
    println!("{calls} calls of the others, {} failed", failures.len());
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_lists_change_with_64_calls_in_flight_and_none_fails() {
    let town = Town::found().await;
    for name in ["alpha", "beta", "gamma"] {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    until("answered", async || describe(&alpha, "beta").await.is_ok()).await;
    until("answered", async || describe(&beta, "alpha").await.is_ok()).await;
    let pairs = [(Arc::clone(&alpha), "beta"), (Arc::clone(&beta), "alpha")];
    let load = Load::begin(&pairs, 64);
    for state in [
        MemberState::Suspended,
        MemberState::Active,
        MemberState::Removed,
    ] {
        alpha.renew_certificate().await.unwrap();
        town.change(&MemberWish::State(id("gamma"), state)).await;
        beta.renew_certificate().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (calls, failures) = load.end().await;
    println!(
        "{calls} calls through 6 renewals and 3 lists, {} failed",
        failures.len()
    );
    assert_eq!(failures, Vec::<String>::new());
    assert!(calls > 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_past_its_certificates_end_renews_by_itself() {
    let town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let ended = town.folder("alpha").leaf().unwrap().not_after();
    town.clock
        .advance_to(ended.plus(Duration::from_secs(3 * 86_400)));
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    let took = until("back", async || {
        describe(&alpha, "beta").await.is_ok() && describe(&beta, "alpha").await.is_ok()
    });
    println!("back among its peers after {:?}", took.await);
    let leaf = town.folder("alpha").leaf().unwrap();
    assert!(leaf.not_after() > town.clock.now());
    let life = leaf.not_after().since(leaf.not_before()).as_secs();
    assert_eq!(life, 86_400 + 600, "a day, begun ten minutes early");

    // At half its life, and a tenth of it at most later, it renews again.
    town.clock.advance_to(
        leaf.not_before()
            .plus(Duration::from_secs(life / 10 * 6 + 60)),
    );
    let renewed = async || town.folder("alpha").leaf().unwrap().not_after() > leaf.not_after();
    until("renewed", renewed).await;
    // A suspended member gets no certificate.
    town.change(&MemberWish::State(id("beta"), MemberState::Suspended))
        .await;
    let error = beta.renew_certificate().await.unwrap_err().to_string();
    assert!(error.contains("beta is suspended"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_comes_from_peers_too_and_a_node_cut_off_from_all_stops() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    // Beta knows a registrar that is gone.
    town.strand("beta");
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    let both =
        async || describe(&alpha, "beta").await.is_ok() && describe(&beta, "alpha").await.is_ok();
    until("answered both ways", both).await;
    let last_stated = || {
        let held = beta.core().home.trust.freshness();
        held.unwrap().issued_at()
    };
    for _ in 0..2 {
        let now = town.clock.now().plus(Duration::from_secs(480));
        town.clock.advance_to(now);
        let took = until("handed on", async || last_stated() == now).await;
        println!("a statement came from the peer after {took:?}");
        assert!(both().await);
    }
    town.registrar.take().unwrap().shutdown().await;
    let now = town.clock.now().plus(Duration::from_secs(601));
    town.clock.advance_to(now);
    for (node, peer) in [(&alpha, "beta"), (&beta, "alpha")] {
        let error = describe(node, peer).await.unwrap_err();
        assert!(error.contains("was last known at"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_logged_and_not_yet_published_is_published_at_the_next_start() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let members = town.admin().join("members.json");
    let before = std::fs::read_to_string(&members).unwrap();
    let wish = MemberWish::State(id("beta"), MemberState::Suspended);
    let version = town.change(&wish).await;
    // As a registrar leaves its folder that is killed between log and list.
    town.registrar.take().unwrap().shutdown().await;
    let publishing = town.admin().join("registrar/publishing.json");
    std::fs::rename(&members, &publishing).unwrap();
    std::fs::write(&members, before).unwrap();
    town.serve().await;
    let roster = town.administration().await.roster().await.unwrap();
    assert_eq!(roster.version(), version);
    assert!(!publishing.exists());
}
