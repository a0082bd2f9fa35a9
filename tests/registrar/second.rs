//! Two registrars: the loss of one stops nobody, and what contradicts itself is refused and shown.

use std::net::SocketAddr;
use std::time::Duration;

use creditmesh::config::RegistrarConfig;
use creditmesh::crypto::KdfCost;
use creditmesh::domain::{Currency, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::MemberState;
use creditmesh::node::{
    AdminFolder, Found, MemberWish, RunningNode, RunningRegistrar, Stage, require_ready,
};

use super::{Town, describe, free_address, id, until};

impl Town {
    /// A network with two registrars, both of which serve; the second one's is given.
    async fn with_two() -> (Self, RunningRegistrar) {
        let (one, two) = (free_address(), free_address());
        let config = |listen: SocketAddr, other: SocketAddr| RegistrarConfig {
            addresses: vec![one.to_string(), two.to_string()],
            listen,
            follows: vec![other.to_string()],
        };
        let found = Found {
            network: "credit-net".parse().unwrap(),
            currency: Currency::from_code("USD").unwrap(),
            population: 1_000_000,
            administrators: vec!["chair".to_owned()],
            threshold: 1,
            cost: KdfCost::FLOOR,
            registrar: Some(config(one, two)),
            other_registrars: vec![config(two, one)],
        };
        let mut town = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: PlayedClock::at(Timestamp::parse_rfc3339("2026-11-02T08:00:00Z").unwrap()),
            registrar: None,
        };
        let (now, entropy) = (town.clock.now(), OsEntropy::default());
        AdminFolder::found(&town.admin(), &found, &Self::passphrase(), now, &entropy).unwrap();
        town.serve().await;
        let second = town.serve_second().await;
        (town, second)
    }

    async fn serve_second(&self) -> RunningRegistrar {
        let folder = self.admin().join("registrar-2");
        let started = RunningRegistrar::start(&folder, &Self::passphrase(), self.parts()).await;
        started.unwrap()
    }

    async fn end_first(&mut self) {
        self.registrar.take().unwrap().shutdown().await;
    }

    async fn list_version(&self) -> u32 {
        let mut administration = self.administration().await;
        administration.roster().await.unwrap().version()
    }
}

async fn both_answer(alpha: &RunningNode, beta: &RunningNode) -> bool {
    describe(alpha, "beta").await.is_ok() && describe(beta, "alpha").await.is_ok()
}

fn stated_at(node: &RunningNode) -> Option<Timestamp> {
    let held = node.core().home.trust.freshness();
    held.map(|held| held.issued_at())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_registrar_alone_keeps_the_network_fresh_removes_renews_and_enrols() {
    let (mut town, second) = Town::with_two().await;
    for name in ["alpha", "beta", "gamma"] {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    until("answered", async || both_answer(&alpha, &beta).await).await;

    town.end_first().await;
    for _ in 0..2 {
        let now = town.clock.now().plus(Duration::from_secs(480));
        town.clock.advance_to(now);
        let took = until("fresh by the second", async || {
            stated_at(&alpha) >= Some(now) && stated_at(&beta) >= Some(now)
        });
        println!("fresh by the second registrar after {:?}", took.await);
        assert!(both_answer(&alpha, &beta).await);
    }
    let unreached = town.administration().await.unreached().len();
    assert_eq!(unreached, 1);
    let wish = MemberWish::State(id("gamma"), MemberState::Removed);
    let version = town.change(&wish).await;
    for node in [&alpha, &beta] {
        let trust = &node.core().home.trust;
        until("removed there", async || {
            trust.roster().version() == version
        })
        .await;
    }
    alpha.renew_certificate().await.unwrap();
    town.join("delta").await;

    // The first comes back, and takes from the second what it missed.
    town.serve().await;
    let newest = format!("\"version\": {}", version + 1);
    until("caught up", async || {
        let list = std::fs::read_to_string(town.admin().join("members.json"));
        list.unwrap().contains(&newest)
    })
    .await;
    second.shutdown().await;
    assert_eq!(town.list_version().await, version + 1);
    alpha.renew_certificate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_registrars_take_part_in_an_exchange_of_the_x509_root() {
    let (mut town, second) = Town::with_two().await;
    for name in ["alpha", "beta"] {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    until("answered", async || both_answer(&alpha, &beta).await).await;
    town.prepare_and_activate().await;
    require_ready(&town.ready(Stage::Active).await, &[]).unwrap();
    // The second misses a root, and takes it from the first.
    second.shutdown().await;
    town.taint().await;
    let second = town.serve_second().await;
    require_ready(&town.ready(Stage::Tainted).await, &[]).unwrap();
    town.revoke().await;
    town.end_first().await;
    let renewed = async || alpha.renew_certificate().await.is_ok();
    until("renewed by the second", renewed).await;
    assert!(both_answer(&alpha, &beta).await);
    let folder = town.administration().await;
    assert_eq!(folder.root().version(), 4);
    assert_eq!(alpha.core().home.trust.root().version(), 4);
    drop(folder);
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lists_of_one_version_are_refused_by_the_registrars_and_shown() {
    let (mut town, second) = Town::with_two().await;
    for name in ["alpha", "beta"] {
        town.join(name).await;
    }
    let both = town.list_version().await;
    // Signed while the registrars do not see each other.
    second.shutdown().await;
    let wish = |name, state| MemberWish::State(id(name), state);
    let one = town.change(&wish("alpha", MemberState::Suspended)).await;
    town.end_first().await;
    let second = town.serve_second().await;
    let other = town.change(&wish("beta", MemberState::Suspended)).await;
    assert_eq!((one, other), (both + 1, both + 1));
    town.serve().await;
    let mut administration = town.administration().await;
    let refused = administration.roster().await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("different lists with version {one}")),
        "{refused}"
    );
    second.shutdown().await;
}
