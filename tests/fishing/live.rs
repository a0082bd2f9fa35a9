//! A fishing asker is found at its own node and at its peer; an ordinary one at neither.

use std::sync::Arc;
use std::time::Duration;

use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch};
use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, MemberId, Product, Purpose, Role, Timestamp,
};
use creditmesh::env::{Clock, Entropy, OsEntropy, PlayedClock};
use creditmesh::flows::{Fishing, FlowError, NewApplication};
use creditmesh::node::NodeParts;
use creditmesh::risk::fishing::FishingCode;
use creditmesh::wire::Question;
use creditmesh::workload::{Population, PopulationSpec, Seat, SimulatedNetwork};

const POLICY: &str = include_str!("../../policies/usd.toml");

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

async fn network(dir: &std::path::Path, clock: &PlayedClock) -> SimulatedNetwork {
    let parts = NodeParts::by(clock.clone());
    let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
    let mut network = SimulatedNetwork::found(dir, id, currency, parts).unwrap();
    for name in ["alpha", "beta", "gamma"] {
        let seat = Seat {
            member: member(name),
            role: Role::Lender,
            weight: 1,
        };
        network.join(&seat).await.unwrap();
        let place = dir.join(name);
        let policy = format!("{POLICY}\n[fishing]\nrhythm_gaps = 25\n");
        std::fs::write(place.join("policy.toml"), policy).unwrap();
        let config = std::fs::read_to_string(place.join("node.toml")).unwrap();
        let config = format!("policy = \"policy.toml\"\n{config}");
        std::fs::write(place.join("node.toml"), config).unwrap();
    }
    for name in ["alpha", "beta", "gamma"] {
        network.start(&member(name)).await.unwrap();
    }
    network.mirrored().await.unwrap();
    network
}

fn wanted(borrower: Borrower, consent: &str) -> NewApplication {
    NewApplication {
        borrower,
        kind: ApplicationKind::Application,
        purpose: Purpose::CreditApplication,
        product: Product::InstalmentUnsecured,
        amount: None,
        term_days: None,
        income_month: None,
        consent_reference: consent.to_owned(),
    }
}

fn fishing(network: &SimulatedNetwork, name: &str) -> Fishing {
    network.node(&member(name)).unwrap().core().fishing.clone()
}

/// Codes and peers of what waits for a person.
async fn open(network: &SimulatedNetwork, name: &str) -> Vec<(FishingCode, Option<MemberId>)> {
    let kept = fishing(network, name).list().await.unwrap();
    let open = kept.iter().filter(|one| one.acknowledged.is_none());
    let mut about: Vec<_> = open.map(|one| (one.code, one.peer.clone())).collect();
    about.sort();
    about
}

async fn ask(network: &SimulatedNetwork, name: &str, number: u64, borrower: Borrower) {
    let desk = network.node(&member(name)).unwrap().desk().clone();
    let key = format!("key-{number}");
    desk.assess(&key, &wanted(borrower, "C-1")).await.unwrap();
}

/// Asks `beta` six times under one commitment, past alpha's own desk.
async fn reuse_a_commitment(network: &SimulatedNetwork) {
    let home = Arc::clone(&network.node(&member("alpha")).unwrap().core().home);
    let beta = home.peer(&member("beta")).unwrap();
    let soon = Duration::from_secs(10);
    let described = home.peers.describe(&beta, soon).await.unwrap();
    for _ in 0..6 {
        let seed = BatchSeed::random(&OsEntropy::default()).unwrap();
        let inputs = [Input::Present(b"v1|US-SSN|US|536904399"), Input::Missing];
        let pending = PendingBatch::blind(&inputs, &seed).unwrap();
        let mut request_id = [0; 16];
        Entropy::fill(&OsEntropy::default(), &mut request_id).unwrap();
        let question = Question {
            request_id,
            epoch: described.keys[0].terms.epoch,
            purpose: Purpose::FraudPrevention,
            commitment: [1; 32],
            elements: pending.elements().to_vec().into(),
            mirror_size: 0,
        };
        home.peers.evaluate(&beta, soon, question).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fishing_asker_is_found_at_its_own_node_and_at_its_peer() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
    let clock = PlayedClock::at(start);
    let mut network = network(dir.path(), &clock).await;
    let ordinary = Population::draw(PopulationSpec {
        seed: 7,
        borrowers: 30,
        lenders: 1,
        outside_lenders: 0,
        start,
    });
    let people = ordinary.unwrap().people;
    for number in 0..30 {
        let text = format!("us-ssn:536-90-{:04}", 4_000 + number);
        let borrower = Borrower {
            national: Some(Identifier::parse(&text, None).unwrap()),
            ..Borrower::default()
        };
        ask(&network, "alpha", number, borrower).await;
        let person = &people[number as usize];
        ask(&network, "gamma", number, person.borrower.clone()).await;
        // Both ask once in ten seconds, alpha at once and gamma as people come.
        let pause = if number % 3 == 0 { 4 } else { 10 + number % 7 };
        clock.advance_to(clock.now().plus(Duration::from_secs(10)));
        if number % pause == 0 {
            ask(&network, "gamma", 1_000 + number, person.borrower.clone()).await;
        }
    }
    reuse_a_commitment(&network).await;
    for name in ["alpha", "beta", "gamma"] {
        fishing(&network, name).judge().await.unwrap();
    }
    assert_eq!(
        open(&network, "alpha").await.first(),
        Some(&(FishingCode::Sequential, None))
    );
    let of_alpha = |code| (code, Some(member("alpha")));
    let at_beta = open(&network, "beta").await;
    assert!(
        at_beta.contains(&of_alpha(FishingCode::Rhythm)),
        "{at_beta:?}"
    );
    assert!(
        at_beta.contains(&of_alpha(FishingCode::CommitmentReused)),
        "{at_beta:?}"
    );
    let own_of_gamma = open(&network, "gamma").await;
    assert!(
        own_of_gamma.iter().all(|(_, peer)| peer.is_some()),
        "{own_of_gamma:?}"
    );
    for one in fishing(&network, "alpha").list().await.unwrap() {
        assert!(
            !one.seen.contains("536") && !one.seen.contains("4000"),
            "{}",
            one.seen
        );
    }
    settled(&network, &clock).await;
    let before = fishing(&network, "beta").list().await.unwrap();
    network.stop(&member("beta")).await.unwrap();
    network.start(&member("beta")).await.unwrap();
    assert_eq!(fishing(&network, "beta").list().await.unwrap(), before);
    network.stop_all().await.unwrap();
}

/// What a person acknowledged stays, is not found again, and is found again by what comes after.
async fn settled(network: &SimulatedNetwork, clock: &PlayedClock) {
    let alpha = fishing(network, "alpha");
    let found = alpha.list().await.unwrap();
    let one = found.iter().find(|one| one.code == FishingCode::Sequential);
    let id = one.unwrap().id;
    let blank = alpha.acknowledge(id, "Chen Wei", " ").await;
    assert!(matches!(blank, Err(FlowError::Malformed(_))));
    let unknown = alpha.acknowledge([0; 8], "Chen Wei", "seen").await;
    assert!(matches!(unknown, Err(FlowError::NotFound { .. })));
    clock.advance_to(clock.now().plus(Duration::from_secs(60)));
    alpha
        .acknowledge(id, "Chen Wei", "a test of ours")
        .await
        .unwrap();
    let again = alpha.acknowledge(id, "Li Na", "mine").await.unwrap_err();
    assert!(again.to_string().contains("Chen Wei"), "{again}");
    alpha.judge().await.unwrap();
    assert!(
        !open(network, "alpha")
            .await
            .contains(&(FishingCode::Sequential, None))
    );
    clock.advance_to(clock.now().plus(Duration::from_secs(60)));
    for number in 0..25_u64 {
        let text = format!("us-ssn:536-91-{:04}", 6_000 + number);
        let borrower = Borrower {
            national: Some(Identifier::parse(&text, None).unwrap()),
            ..Borrower::default()
        };
        ask(network, "alpha", 5_000 + number, borrower).await;
    }
    assert!(alpha.judge().await.unwrap() >= 1);
    assert!(
        open(network, "alpha")
            .await
            .contains(&(FishingCode::Sequential, None))
    );
    assert_eq!(
        alpha.judge().await.unwrap(),
        0,
        "the same is not found twice"
    );
}
