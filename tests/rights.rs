//! Rights on real nodes: contribution levels, grants that end, and refusals that explain
//! themselves.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::sync::Arc;
use std::time::Duration;

use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch, PublicKey};
use creditmesh::domain::{Level, MemberId, Purpose, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::flows::Home;
use creditmesh::limits::{EXPLAIN_CALLS_PER_S, FURNISHING_GRACE};
use creditmesh::membership::{Grant, Member, MemberState, RightsChange, Service};
use creditmesh::net::{AskError, CallError};
use creditmesh::node::NodeParts;
use creditmesh::wire::{Description, FeedWanted, Question};
use creditmesh::workload::{Seat, SimulatedNetwork};
use tempfile::TempDir;
use tonic::{Code, Status};

const SOON: Duration = Duration::from_secs(10);

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// Alpha and gamma furnish everything, beta furnishes defaults.
struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    _dir: TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        let members = [
            ("alpha", Level::Full),
            ("beta", Level::Defaults),
            ("gamma", Level::Full),
        ];
        for (name, level) in members {
            let seat = Seat {
                member: member(name),
                role: Role::Lender,
                weight: 1,
            };
            network.join_at(&seat, level).await.unwrap();
        }
        for (name, _) in members {
            network.start(&member(name)).await.unwrap();
        }
        network.mirrored().await.unwrap();
        Self {
            network,
            clock,
            _dir: dir,
        }
    }

    fn home(&self, name: &str) -> Arc<Home> {
        Arc::clone(&self.network.node(&member(name)).unwrap().core().home)
    }

    fn entry(&self, name: &str) -> Member {
        let roster = self.network.admin().roster();
        roster.member(&member(name)).unwrap().clone()
    }

    async fn describe(&self, asker: &str, answerer: &str) -> Description {
        let home = self.home(asker);
        let described = home.peers.describe(&self.entry(answerer), SOON).await;
        described.unwrap()
    }

    async fn stop(mut self) {
        self.network.stop_all().await.unwrap();
    }
}

fn question(description: &Description, purpose: Purpose, pending: &PendingBatch) -> Question {
    let mut request_id = [0; 16];
    creditmesh::env::Entropy::fill(&OsEntropy::default(), &mut request_id).unwrap();
    Question {
        request_id,
        epoch: description.keys[0].terms.epoch,
        purpose,
        commitment: [1; 32],
        elements: pending.elements().to_vec().into(),
        mirror_size: 0,
    }
}

fn pending() -> PendingBatch {
    let seed = BatchSeed::random(&OsEntropy::default()).unwrap();
    PendingBatch::blind(&[Input::Present(b"v1|US-SSN|US|536904399")], &seed).unwrap()
}

fn key_of(description: &Description) -> PublicKey {
    PublicKey::from_bytes(&description.keys[0].terms.public_key).unwrap()
}

fn status_of(error: &AskError) -> &Status {
    match error {
        AskError::Call(CallError::Status { status, .. }) => status,
        AskError::Call(_) | AskError::Broken(_) | AskError::Malformed(_) => {
            panic!("no status in {error:?}")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_furnishes_defaults_is_evaluated_under_the_defaults_key_however_it_asks() {
    let bed = Bed::new().await;
    let to_beta = bed.describe("beta", "alpha").await;
    let to_gamma = bed.describe("gamma", "alpha").await;
    assert!(
        to_beta
            .keys
            .iter()
            .all(|key| key.terms.level == Level::Defaults)
    );
    assert!(
        to_gamma
            .keys
            .iter()
            .all(|key| key.terms.level == Level::Full)
    );
    let (defaults, full) = (key_of(&to_beta), key_of(&to_gamma));
    assert_ne!(defaults.to_bytes(), full.to_bytes());

    let beta = bed.home("beta");
    let alpha = bed.entry("alpha");
    for purpose in Purpose::ALL {
        for described in [&to_beta, &to_gamma] {
            let (one, again) = (pending(), pending());
            let asked = question(described, *purpose, &one);
            let answer = beta.peers.evaluate(&alpha, SOON, asked).await.unwrap();
            one.finish(&defaults, &answer.elements, &answer.proof)
                .unwrap();
            let asked = question(described, *purpose, &again);
            let answer = beta.peers.evaluate(&alpha, SOON, asked).await.unwrap();
            let under_full = again.finish(&full, &answer.elements, &answer.proof);
            assert!(under_full.is_err(), "{purpose}");
            assert!(answer.tail.checkpoint.starts_with("alpha/defaults/"));
        }
    }
    let wanted = FeedWanted {
        epoch: to_gamma.keys[0].terms.epoch,
        from: 0,
        until: None,
    };
    let mut stream = beta.peers.stream(&alpha, wanted).await.unwrap();
    let chunk = stream.next().await.unwrap().unwrap();
    assert!(chunk.checkpoint.starts_with("alpha/defaults/"));
    drop(stream);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_member_is_evaluated_as_one_that_furnishes_defaults_once_its_grace_is_over() {
    let mut bed = Bed::new().await;
    let level_of = |described: &Description| described.keys[0].terms.level;
    let warning = RightsChange::WarnLate(bed.clock.now());
    bed.network
        .change_rights(&member("gamma"), &warning)
        .unwrap();
    let warned = bed.describe("gamma", "alpha").await;
    assert_eq!(level_of(&warned), Level::Full, "it was only warned");
    bed.clock.advance_to(bed.clock.now().plus(FURNISHING_GRACE));
    let late = bed.describe("gamma", "alpha").await;
    assert_eq!(level_of(&late), Level::Defaults);
    assert_eq!(
        bed.home("gamma").level(),
        Level::Defaults,
        "it knows so itself"
    );
    let taken_back = RightsChange::TakeWarningBack;
    bed.network
        .change_rights(&member("gamma"), &taken_back)
        .unwrap();
    let restored = bed.describe("gamma", "alpha").await;
    assert_eq!(level_of(&restored), Level::Full);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_ends_cuts_the_open_stream_and_refuses_the_next_question() {
    let mut bed = Bed::new().await;
    let end = bed.clock.now().plus(Duration::from_secs(3_600));
    let gamma = member("gamma");
    let withdraw = RightsChange::Withdraw(Purpose::ALL.to_vec());
    let grant = RightsChange::Grant(Grant {
        service: Service::Evaluate,
        purposes: vec![Purpose::Collection],
        until: Some(end),
        quota_elements_per_epoch: None,
    });
    bed.network.change_rights(&gamma, &withdraw).unwrap();
    bed.network.change_rights(&gamma, &grant).unwrap();

    let (home, alpha) = (bed.home("gamma"), bed.entry("alpha"));
    let described = bed.describe("gamma", "alpha").await;
    let wanted = FeedWanted {
        epoch: described.keys[0].terms.epoch,
        from: 0,
        until: None,
    };
    let mut stream = home.peers.stream(&alpha, wanted).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let asked = question(&described, Purpose::Collection, &pending());
    home.peers.evaluate(&alpha, SOON, asked).await.unwrap();
    let asked = question(&described, Purpose::AccountReview, &pending());
    let refused = home.peers.evaluate(&alpha, SOON, asked).await.unwrap_err();
    assert_eq!(status_of(&refused).code(), Code::PermissionDenied);

    bed.clock.advance_to(end);
    let cut = async {
        loop {
            match stream.next().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        }
    };
    let cut = tokio::time::timeout(SOON, cut).await.unwrap().unwrap_err();
    assert!(cut.to_string().contains("the grant ended at"), "{cut}");
    let asked = question(&described, Purpose::Collection, &pending());
    let refused = home.peers.evaluate(&alpha, SOON, asked).await.unwrap_err();
    let reason = status_of(&refused).metadata();
    assert_eq!(reason.get("creditmesh-reason").unwrap(), "grant-ended");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_member_hears_why_by_one_call_and_reaches_nothing_else() {
    let mut bed = Bed::new().await;
    let (home, alpha) = (bed.home("gamma"), bed.entry("alpha"));
    let admitted = home.peers.explain(&alpha, SOON).await.unwrap();
    assert!(admitted.is_admitted());
    assert!(admitted.reason.is_empty() && admitted.opened_by_caller > 0);

    let suspended = MemberState::Suspended;
    bed.network.set_state(&member("gamma"), suspended).unwrap();
    let version = bed.network.admin().roster().version();
    let verdict = home.peers.explain(&alpha, SOON).await.unwrap();
    assert_eq!(verdict.code, "suspended");
    assert_eq!(verdict.list_version, u64::from(version));
    assert_eq!(verdict.member, member("gamma"));
    assert!(verdict.next_step.contains("administrators"), "{verdict:?}");
    let refused = home.peers.describe(&alpha, SOON).await.unwrap_err();
    assert_eq!(status_of(&refused).code(), Code::PermissionDenied);

    let mut refusals = Vec::new();
    for _ in 0..=2 * EXPLAIN_CALLS_PER_S {
        refusals.extend(home.peers.explain(&alpha, SOON).await.err());
    }
    let reason = status_of(&refusals[0]);
    assert_eq!(reason.code(), Code::ResourceExhausted);
    assert_eq!(
        reason.metadata().get("creditmesh-reason").unwrap(),
        "asked-too-often"
    );
    bed.stop().await;
}
