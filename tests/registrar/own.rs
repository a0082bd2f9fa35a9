//! What members ask for themselves: to leave at once, and another identity key.

use std::process::Command;

use creditmesh::crypto::IdentityKey;
use creditmesh::domain::Epoch;
use creditmesh::flows::Mirror;
use creditmesh::membership::{
    CertificateKey, Departures, OwnChange, Refusal, check_change, check_renewal, depart,
    request_change, request_renewal,
};

use super::*;

/// Runs one command of the program to its end: exit code, standard output, standard error.
fn creditmesh(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creditmesh"));
    let ended = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        ended.status.code().unwrap(),
        text(ended.stdout),
        text(ended.stderr),
    )
}

async fn stop(node: Arc<RunningNode>) {
    // Tasks that call with it end first.
    let mut node = node;
    for _ in 0..500 {
        match Arc::try_unwrap(node) {
            Ok(only) => return only.shutdown().await.unwrap(),
            Err(shared) => node = shared,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("somebody else still has the node");
}

fn left_here(node: &RunningNode, member: &str) -> bool {
    let roster = node.core().home.trust.roster();
    matches!(roster.listed(&id(member)), Err(Refusal::Left { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_under_load_is_refused_at_once_and_nobody_else_is() {
    let mut town = Town::found().await;
    let names = ["alpha", "beta", "eve"];
    for name in names {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    let eve = town.start("eve").await;
    for (node, peer) in [
        (&alpha, "beta"),
        (&beta, "eve"),
        (&eve, "alpha"),
        (&eve, "beta"),
    ] {
        until("answered", async || describe(node, peer).await.is_ok()).await;
    }
    let pairs = [(Arc::clone(&alpha), "beta"), (Arc::clone(&beta), "alpha")];
    let load = Load::begin(&pairs, 32);
    let refused = ["alpha", "beta"].map(|peer| {
        let eve = Arc::clone(&eve);
        tokio::spawn(async move {
            loop {
                if let Err(error) = describe(&eve, peer).await {
                    return (Instant::now(), error);
                }
            }
        })
    });
    tokio::time::sleep(Duration::from_millis(300)).await;

    // On the running node, by its operator.
    let leaving = town.folder("eve").path().display().to_string();
    let begun = Instant::now();
    let run = tokio::task::spawn_blocking(move || {
        creditmesh(&["node", "change", "--dir", &leaving, "--leave", "--json"])
    });
    let run = run.await.unwrap();
    assert_eq!(run.0, 0, "{run:?}");
    assert!(run.1.contains("\"left\":true"), "{run:?}");
    for (peer, refused) in ["alpha", "beta"].iter().zip(refused) {
        let (at, error) = refused.await.unwrap();
        let after = at.saturating_duration_since(begun);
        println!("{peer}: refuses eve {after:?} after it gave the command: {error}");
        assert!(after < Duration::from_secs(5), "{peer}: {after:?}");
    }
    for node in [&alpha, &beta] {
        until("cut", async || {
            node.core().home.trust.connections().with(&id("eve")) == 0
        })
        .await;
        let asked: Vec<_> = node
            .core()
            .home
            .asked()
            .iter()
            .map(|one| one.id.clone())
            .collect();
        assert!(!asked.contains(&id("eve")), "as a removed one: {asked:?}");
    }
    let error = describe(&eve, "alpha").await.unwrap_err();
    assert!(error.contains("eve left the network at"), "{error}");
    let (calls, failures) = load.end().await;
    drop(pairs);
    println!("{calls} calls of the others, {} failed", failures.len());
    assert_eq!(failures, Vec::<String>::new());
    assert!(left_here(&eve, "eve"));

    stays_out(&town, eve).await;
    // Nodes and the registrar keep it across a restart, without each other.
    town.registrar.take().unwrap().shutdown().await;
    stop(alpha).await;
    let alpha = town.start("alpha").await;
    assert!(left_here(&alpha, "eve"));
    town.serve().await;
    the_next_list_has_it_removed(&town, &[&alpha, &beta]).await;
}

/// It gets no certificate any more, and says so again without harm.
async fn stays_out(town: &Town, eve: Arc<RunningNode>) {
    let error = eve.renew_certificate().await.unwrap_err().to_string();
    assert!(error.contains("eve left the network"), "{error}");
    stop(eve).await;
    let clock = Arc::new(town.clock.clone());
    let again = town.folder("eve").wish(OwnWish::Leave, clock).await;
    assert_eq!(again.unwrap(), (id("eve"), Wished::Left));
}

async fn the_next_list_has_it_removed(town: &Town, nodes: &[&Arc<RunningNode>]) {
    let mut administration = town.administration().await;
    assert_eq!(administration.waiting().await.unwrap(), [id("eve")]);
    let wish = MemberWish::Approve(id("eve"));
    let proposal = administration.propose(&wish).await.unwrap();
    let told = proposal.differences.join("\n");
    assert!(told.contains("eve is removed for good"), "{told}");
    assert!(told.contains("eve left by its own signature at"), "{told}");
    let version = proposal.version();
    assert!(administration.put(proposal).await.unwrap().published);
    for node in nodes {
        let trust = &node.core().home.trust;
        until("on the next list", async || {
            trust.roster().version() == version
        })
        .await;
        let refusal = trust.roster().listed(&id("eve")).unwrap_err();
        assert!(matches!(refusal, Refusal::Removed { .. }), "{refusal}");
        assert!(trust.departures().is_empty());
    }
    assert_eq!(administration.waiting().await.unwrap(), []);
    // What another wish would put in force has it removed too.
    let roster = administration.roster().await.unwrap();
    let eve = roster.member(&id("eve")).unwrap();
    assert_eq!(eve.state, MemberState::Removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_reaches_nodes_without_a_registrar_through_their_peers() {
    let mut town = Town::found().await;
    for name in ["alpha", "beta", "eve"] {
        town.join(name).await;
    }
    // Beta knows a registrar that is gone.
    town.strand("beta");
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    until("answered", async || describe(&alpha, "beta").await.is_ok()).await;
    // A stopped node leaves too; where no registrar answers nothing has happened.
    let eve = town.folder("eve");
    let clock: Arc<dyn Clock> = Arc::new(town.clock.clone());
    town.registrar.take().unwrap().shutdown().await;
    let error = eve
        .wish(OwnWish::Leave, Arc::clone(&clock))
        .await
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("has not left"), "{error}");
    assert!(error.contains("network remove"), "{error}");
    town.serve().await;
    let (member, wished) = eve.wish(OwnWish::Leave, clock).await.unwrap();
    assert_eq!((member, wished), (id("eve"), Wished::Left));
    until("told", async || left_here(&alpha, "eve")).await;
    assert!(!left_here(&beta, "eve"));
    // Beta asks its peers as soon as its last freshness statement is late.
    let now = town.clock.now().plus(Duration::from_secs(180));
    town.clock.advance_to(now);
    let took = until("handed on", async || left_here(&beta, "eve")).await;
    println!("the departure came from the peer {took:?} after it asked");
    // The registrar holds nobody's list that keeps it.
    let mut administration = town.administration().await;
    let wish = MemberWish::State(id("beta"), MemberState::Suspended);
    let proposal = administration.propose(&wish).await.unwrap();
    let told = proposal.differences.join("\n");
    assert!(told.contains("eve is removed for good"), "{told}");
}

async fn identity_of(town: &Town, member: &str) -> IdentityKey {
    let opened = town.folder(member).open().await.unwrap();
    let identity = opened.identity().await.unwrap();
    opened.close().await.unwrap();
    identity
}

fn mirror(node: &RunningNode, peer: &str) -> Arc<Mirror> {
    let now = node.core().home.clock.now();
    let epoch: Epoch = node.core().home.calendar.current(now);
    let mirrors = &node.core().mirrors;
    mirrors.of(&id(peer), Level::Full, epoch).unwrap()
}

async fn answered(folder: &str, key: &str) -> u64 {
    let arguments = [
        "assess",
        "--dir",
        folder,
        "--consent",
        "C-1",
        "--amount",
        "1200.00 USD",
        "--term-days",
        "90",
        "--idempotency-key",
        key,
        "--id",
        "us-ssn:536-90-4399",
        "--json",
    ]
    .map(str::to_owned);
    let run = tokio::task::spawn_blocking(move || creditmesh(&arguments.each_ref().map(|a| &**a)));
    let (code, stdout, stderr) = run.await.unwrap();
    let answer: serde_json::Value =
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{code}: {stdout} {stderr}"));
    answer
        .pointer("/coverage/answered")
        .unwrap()
        .as_u64()
        .unwrap()
}

/// For how long calls of `node` to `peer` fail from now on, once they do: from the last answer to
/// the first one after it.
fn silence(node: &Arc<RunningNode>, peer: &'static str) -> tokio::task::JoinHandle<Duration> {
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let begun = Instant::now();
        let mut last = begun;
        while begun.elapsed() < Duration::from_secs(20) {
            if describe(&node, peer).await.is_ok() {
                last = Instant::now();
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            while describe(&node, peer).await.is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            return last.elapsed();
        }
        Duration::ZERO
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_identity_key_is_in_use_within_seconds_and_mirrors_go_on() {
    let town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let old = identity_of(&town, "alpha").await;
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    let mirrored = mirror(&beta, "alpha");
    until("mirrored", async || {
        let reach = mirrored.reach().await.unwrap();
        reach.size > 0 && reach.size == reach.checkpoint_size
    })
    .await;
    until("mirrored", async || {
        mirror(&alpha, "beta").reach().await.unwrap().size > 0
    })
    .await;
    let folder = |member: &str| town.folder(member).path().display().to_string();
    assert_eq!(answered(&folder("alpha"), "a-1").await, 1);
    assert_eq!(answered(&folder("beta"), "b-1").await, 1);
    let before = mirrored.reach().await.unwrap();

    let dir = folder("alpha");
    let run = tokio::task::spawn_blocking(move || {
        creditmesh(&["node", "change", "--dir", &dir, "--identity-key", "--json"])
    });
    let (code, stdout, stderr) = run.await.unwrap();
    assert_eq!(code, 0, "{stderr}");
    let asked: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let next = asked["identity_key"].as_str().unwrap().to_owned();
    // It waits: the old key is in use, and every call goes on.
    assert_eq!(answered(&folder("beta"), "b-2").await, 1);

    let mut administration = town.administration().await;
    let wish = MemberWish::Approve(id("alpha"));
    let proposal = administration.propose(&wish).await.unwrap();
    let told = proposal.differences.join("\n");
    assert!(told.starts_with("alpha: identity key"), "{told}");
    assert_eq!(proposal.differences.len(), 1, "{told}");
    let gaps = [silence(&beta, "alpha"), silence(&alpha, "beta")];
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    assert!(administration.put(proposal).await.unwrap().published);
    for (who, gap) in ["beta asks alpha", "alpha asks beta"].iter().zip(gaps) {
        let gap = gap.await.unwrap();
        println!("{who}: {gap:?} without an answer");
        assert!(gap < Duration::from_secs(10), "{who}: {gap:?}");
    }
    let signer = || data_encoding::HEXLOWER.encode(&alpha.core().home.identity().public());
    until("signing with the new key", async || signer() == next).await;
    // The mirror goes on: the same leaves, under a checkpoint that the new key signed.
    until("mirrored under the new key", async || {
        let trouble = beta.core().follower.troubles();
        let reach = mirrored.reach().await.unwrap();
        assert!(reach.size >= before.size, "nothing is loaded anew");
        !trouble.contains_key(&id("alpha")) && reach.checkpoint_at > before.checkpoint_at
    })
    .await;
    println!(
        "mirrored under the new key {:?} after the list",
        begun.elapsed()
    );
    assert_eq!(answered(&folder("beta"), "b-3").await, 1);
    assert_eq!(answered(&folder("alpha"), "a-3").await, 1);
    println!("both assess {:?} after the list", begun.elapsed());
    the_old_key_counts_no_more(&town, &beta, &old);

    // Once the certificate by it is here, the new key is the only one.
    until("settled", async || {
        alpha.core().home.identities.next().is_none()
    })
    .await;
    stop(alpha).await;
    let kept = identity_of(&town, "alpha").await.public();
    assert_eq!(data_encoding::HEXLOWER.encode(&kept), next);
    let alpha = town.start("alpha").await;
    until("back", async || describe(&alpha, "beta").await.is_ok()).await;
    assert_eq!(answered(&folder("alpha"), "a-4").await, 1);
}

fn the_old_key_counts_no_more(town: &Town, beta: &RunningNode, old: &IdentityKey) {
    let trust = &beta.core().home.trust;
    let (roster, now) = (trust.roster(), town.clock.now());
    let (network, alpha) = (roster.network(), id("alpha"));
    let entry = roster.member(&alpha).unwrap();
    let former: Vec<_> = entry
        .former_identity_keys
        .iter()
        .map(|one| one.key)
        .collect();
    assert_eq!(former, [old.public()]);
    let key = CertificateKey::generate().unwrap();
    let renewal = request_renewal(old, network, &alpha, &key, now).unwrap();
    assert!(check_renewal(&roster, &renewal, now).is_err());
    let departure = depart(old, &roster, &alpha, now).unwrap();
    assert!(
        Departures::default()
            .with(&roster, &departure, now)
            .is_err()
    );
    let endpoints = OwnChange::Endpoints(vec!["127.0.0.1:1".to_owned()]);
    let change = request_change(&[old], network, &alpha, endpoints, now).unwrap();
    assert!(check_change(&roster, &change).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_while_it_takes_a_list_has_the_list_when_it_is_back() {
    let town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let alpha = town.start("alpha").await;
    let members = town.folder("alpha").members();
    let wish = MemberWish::State(id("beta"), MemberState::Suspended);
    let before = std::fs::read(&members).unwrap();
    let version = town.change(&wish).await;
    let trust = alpha.core().home.trust.clone();
    until("taken", async || {
        trust.roster().version() == version && std::fs::read(&members).unwrap() != before
    })
    .await;
    stop(alpha).await;
    // As if it had been killed after the list was noted as seen, and before it was in its place.
    std::fs::write(&members, before).unwrap();
    let alpha = town.start("alpha").await;
    assert_eq!(alpha.core().home.trust.roster().version(), version);
}
