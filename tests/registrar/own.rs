//! What members ask for themselves: to leave at once.

use std::process::Command;

use creditmesh::membership::Refusal;

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

    // It gets no certificate any more, and says so again without harm.
    let error = eve.renew_certificate().await.unwrap_err().to_string();
    assert!(error.contains("eve left the network"), "{error}");
    stop(eve).await;
    let clock = Arc::new(town.clock.clone());
    let again = town.folder("eve").wish(OwnWish::Leave, clock).await;
    assert_eq!(again.unwrap(), (id("eve"), Wished::Left));

    // Nodes and the registrar keep it across a restart, without each other.
    town.registrar.take().unwrap().shutdown().await;
    stop(alpha).await;
    let alpha = town.start("alpha").await;
    assert!(left_here(&alpha, "eve"));
    town.serve().await;
    the_next_list_has_it_removed(&town, &[&alpha, &beta]).await;
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
