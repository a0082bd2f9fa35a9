//! Roots on their way through the registrar: the X.509 root is exchanged while nodes call each
//! other, and nobody fails.

use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::MemberId;
use creditmesh::env::{Clock, OsEntropy};
use creditmesh::membership::{MemberState, RootDocument, SigningKey};
use creditmesh::node::{AdminError, AdminFolder, MemberWish, Readiness, Stage, require_ready};

use super::{Load, Town, describe, id, until};

impl Town {
    fn authority(&self) -> AdminFolder {
        let (now, entropy) = (self.clock.now(), OsEntropy::default());
        AdminFolder::open(&self.admin(), &Self::passphrase(), now, &entropy).unwrap()
    }

    async fn publish(&self, document: RootDocument, added: Vec<SigningKey>) {
        let mut administration = self.administration().await;
        let next = administration.propose_root(document).await.unwrap();
        assert!(!next.differences.is_empty());
        let count = administration.put_root(next, added).await.unwrap();
        assert!(count.published, "{count:?}");
        administration.root_acknowledged().await.unwrap();
    }

    pub(super) async fn prepare_and_activate(&self) {
        let (now, entropy) = (self.clock.now(), OsEntropy::default());
        let document = self.authority();
        let document = document.preparing(&Self::passphrase(), now, &entropy);
        self.publish(document.unwrap(), Vec::new()).await;
        let mut folder = self.authority();
        let certificates = folder.issuing_to_hand().unwrap();
        let mut administration = self.administration().await;
        let handed = administration.hand_issuing(&certificates).await.unwrap();
        assert!(handed.iter().all(|(_, taken)| *taken == 1), "{handed:?}");
        folder.activate(&Self::passphrase()).unwrap();
    }

    pub(super) async fn ready(&self, stage: Stage) -> Vec<Readiness> {
        let mut administration = self.administration().await;
        administration.readiness(stage).await.unwrap()
    }

    pub(super) async fn taint(&self) {
        let now = self.clock.now();
        self.publish(self.authority().tainting(now).unwrap(), Vec::new())
            .await;
    }

    pub(super) async fn revoke(&self) {
        let now = self.clock.now();
        self.publish(self.authority().revoking(now).unwrap(), Vec::new())
            .await;
        self.authority().settle(&Self::passphrase()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_certificates_and_lists_change_by_registrar_with_64_calls_in_flight_and_none_fails() {
    let town = Town::found().await;
    for name in ["alpha", "beta", "gamma"] {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    until("answered", async || describe(&alpha, "beta").await.is_ok()).await;
    until("answered", async || describe(&beta, "alpha").await.is_ok()).await;
    let pairs = [(Arc::clone(&alpha), "beta"), (Arc::clone(&beta), "alpha")];
    let load = Load::begin(&pairs, 64);
    let pause = || tokio::time::sleep(Duration::from_millis(100));

    town.change(&MemberWish::State(id("gamma"), MemberState::Suspended))
        .await;
    town.prepare_and_activate().await;
    pause().await;
    alpha.renew_certificate().await.unwrap();
    let both = town.ready(Stage::Active).await;
    require_ready(&both, &[]).unwrap();
    let of = |ready: &[Readiness], name: &str| {
        let wanted: MemberId = id(name);
        let found = ready.iter().find(|one| one.standing.member == wanted);
        let found = found.unwrap();
        (found.leads_to_old, found.leads_to_new)
    };
    until("led to both", async || {
        of(&town.ready(Stage::Active).await, "alpha") == (true, true)
    })
    .await;
    assert_eq!(of(&both, "beta"), (true, false));
    town.taint().await;
    let tainted = town.ready(Stage::Tainted).await;
    require_ready(&tainted, &[]).unwrap();
    for name in ["alpha", "beta"] {
        assert!(of(&tainted, name).1, "{name} leads to the new one");
    }
    assert_eq!(of(&tainted, "beta"), (false, true), "renewed by itself");
    pause().await;
    town.revoke().await;
    pause().await;
    town.change(&MemberWish::State(id("gamma"), MemberState::Active))
        .await;
    pause().await;
    let (calls, failures) = load.end().await;
    println!(
        "{calls} calls through 3 roots, 2 lists and 3 renewals, {} failed",
        failures.len()
    );
    assert_eq!(failures, Vec::<String>::new());
    assert!(calls > 64);
    for node in [&alpha, &beta] {
        let trust = &node.core().home.trust;
        assert_eq!(trust.root().version(), 4);
        assert_eq!(trust.root().authorities().len(), 1);
    }

    // Gamma slept through all of it: every root, and its certificate leads nowhere.
    let gamma = town.start("gamma").await;
    let back = until("back", async || {
        describe(&gamma, "alpha").await.is_ok() && describe(&alpha, "gamma").await.is_ok()
    });
    println!("one that slept is back after {:?}", back.await);
    assert_eq!(gamma.core().home.trust.root().version(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_waits_for_whoever_is_not_ready_and_names_it() {
    let town = Town::found().await;
    for name in ["alpha", "beta"] {
        town.join(name).await;
    }
    let alpha = town.start("alpha").await;
    town.prepare_and_activate().await;
    let ready = town.ready(Stage::Active).await;
    let refused = require_ready(&ready, &[]).unwrap_err();
    assert!(matches!(refused, AdminError::NotReady(_)));
    let text = refused.to_string();
    assert!(text.contains("beta does not follow a registrar"), "{text}");
    assert!(!text.contains("alpha"), "{text}");
    require_ready(&ready, &[id("beta")]).unwrap();
    let beta = town.start("beta").await;
    until("ready", async || {
        require_ready(&town.ready(Stage::Active).await, &[]).is_ok()
    })
    .await;

    // An administrator's key is replaced meanwhile: the list is signed anew at once.
    let (now, entropy) = (town.clock.now(), OsEntropy::default());
    let (document, seed) = town
        .authority()
        .replacing("chair", "chair-2", &Town::passphrase(), (now, &entropy))
        .unwrap();
    let list = alpha.core().home.trust.roster().version();
    town.publish(document, vec![SigningKey::from_seed(seed)])
        .await;
    for node in [&alpha, &beta] {
        let trust = &node.core().home.trust;
        until("on the list signed anew", async || {
            trust.roster().version() == list + 1 && trust.roster().list().root_version == 3
        })
        .await;
    }
    town.authority().drop_key("chair");
    town.change(&MemberWish::State(id("beta"), MemberState::Suspended))
        .await;
    assert!(describe(&alpha, "beta").await.is_err());
}
