//! Roots exchanged under load, freshness that ends, and what is noted before it is in force.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::crypto::{IdentityKey, Secret};
use creditmesh::env::Clock;
use creditmesh::membership::{
    Authority, Departures, Freshness, FreshnessError, Issuance, NetworkRoot, Profiles, Refusal,
    RequestedKey, RootAuthority, RootDocument, RootError, Roster, Seen, Signed, Supersession,
    state_freshness,
};
use creditmesh::net::{Memory, TrustHandle};

use crate::support::{Network, check, entropy, id, reason, watch};

/// The next root, signed by every administrator; the minted network then has it too.
fn next_root(network: &mut Network, change: impl FnOnce(&mut RootDocument)) -> String {
    let now = network.clock.now();
    let mut document = RootDocument::following(&network.minted.root, now);
    change(&mut document);
    let mut signed = Signed::unsigned(document);
    for seed in &network.minted.administrator_seeds {
        signed.sign(&IdentityKey::from_seed(seed)).unwrap();
    }
    let text = signed.to_text().unwrap();
    network.minted.root = NetworkRoot::succeed(&network.minted.root, &text, now).unwrap();
    text
}

/// A second X.509 root, and the issuing authority as it certifies it.
fn second_root(network: &Network) -> (RootAuthority, String) {
    let (profiles, entropy) = (Profiles::embedded().unwrap(), entropy());
    let issuance = |profile| Issuance {
        profile,
        now: network.clock.now(),
        entropy: &entropy,
    };
    let name = network.minted.root.network();
    let root = RootAuthority::found(name, &issuance(&profiles.root)).unwrap();
    let request = network.minted.authority.key().request_pem().unwrap();
    let requested = RequestedKey::from_pem(&request).unwrap();
    let issuing = root.sign_issuing(name, &requested, &issuance(&profiles.issuing));
    (root, issuing.unwrap())
}

fn authority(network: &Network, first: &str, also: Option<&str>) -> Authority {
    let key = network.minted.authority.key().clone();
    let authority = Authority::open(first, key).unwrap();
    match also {
        Some(also) => authority.certified_also(also).unwrap(),
        None => authority,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_x509_root_is_exchanged_with_64_calls_in_flight_and_only_the_unrenewed_is_cut() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let (caller, sleeper) = (network.caller("bank-a"), network.caller("bank-c"));
    let mut asleep = watch(sleeper.channel("bank-b")).await;
    let channel = caller.channel("bank-b");
    let calls = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (channel, calls, stop) = (channel.clone(), calls.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    check(channel.clone()).await.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let pause = || tokio::time::sleep(Duration::from_millis(150));
    let old_issuing = network.minted.authority.certificate_pem().to_owned();
    let old_root = network.minted.root_authority.certificate_pem().to_owned();
    let (new, new_issuing) = second_root(&network);
    let new_root = new.certificate_pem().to_owned();

    // Prepared: one side has the new root before the other.
    let text = next_root(&mut network, |root| root.authorities.push(new_root.clone()));
    assert_eq!(node.trust.install_root(&text).unwrap().cut, 0);
    pause().await;
    caller.trust.install_root(&text).unwrap();
    // Active: certificates lead to both.
    network.minted.authority = authority(&network, &new_issuing, Some(&old_issuing));
    for (tls, member) in [(&caller.tls, "bank-a"), (&node.tls, "bank-b")] {
        let now = network.clock.now();
        let own = network.minted.renew(&id(member), now, &entropy()).unwrap();
        tls.install(&own).unwrap();
        pause().await;
    }
    // Tainted: who has not renewed is told to.
    let tainted = network.minted.root.authority_digests_except(&new_root);
    let text = next_root(&mut network, |root| root.tainted = tainted);
    for (trust, tls) in [(&node.trust, &node.tls), (&caller.trust, &caller.tls)] {
        assert_eq!(trust.install_root(&text).unwrap().cut, 0);
        assert!(!tls.must_renew());
        pause().await;
    }
    let old_own = network.own("bank-c");
    assert!(old_own.must_renew(&network.minted.root));
    // Revoked: the sleeper still shows a certificate that leads to the old root alone.
    let text = next_root(&mut network, |root| {
        root.authorities.retain(|pem| *pem != old_root);
        root.tainted.clear();
    });
    caller.trust.install_root(&text).unwrap();
    let revoked = node.trust.install_root(&text).unwrap();
    assert_eq!((revoked.version, revoked.cut), (4, 1));
    assert!(asleep.message().await.is_err(), "its stream is cut");
    assert!(
        sleeper.check("bank-b").await.is_err(),
        "it cannot come back"
    );
    pause().await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no call of the others fails");
    }
    println!("{} calls", calls.load(Ordering::Relaxed));
    assert!(calls.load(Ordering::Relaxed) > 64);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_freshness_ended_neither_answers_nor_asks() {
    let mut network = Network::new().await;
    let online = IdentityKey::from_seed(&Secret::from_bytes([7; 32]));
    // The caller has not heard of the new root, so it asks for no freshness itself.
    let caller = network.caller("bank-a");
    let text = next_root(&mut network, |root| {
        root.freshness_keys = vec![online.public()];
    });
    let node = network.start("bank-b");
    let state = |network: &Network| {
        let (root, roster) = (&network.minted.root, &network.minted.roster);
        state_freshness(root, roster, &online, network.clock.now()).unwrap()
    };
    let refused = caller.check("bank-b").await.unwrap_err();
    assert_eq!(reason(&refused), "not-fresh");
    let first = state(&network);
    node.trust.install_freshness(&first).unwrap();
    caller.check("bank-b").await.unwrap();
    caller.trust.install_root(&text).unwrap();

    network.clock.advance(Duration::from_secs(599));
    caller.trust.install_freshness(&first).unwrap();
    caller.check("bank-b").await.unwrap();
    let second = state(&network);
    node.trust.install_freshness(&second).unwrap();
    let older = node.trust.install_freshness(&first).unwrap_err();
    assert!(
        matches!(older, FreshnessError::RolledBack { .. }),
        "{older}"
    );
    network.clock.advance(Duration::from_secs(1));
    let ended = caller.trust.may_call(&id("bank-b")).unwrap_err();
    assert!(matches!(ended, Refusal::NotFresh { .. }), "{ended}");
    assert!(caller.check("bank-b").await.is_err(), "it does not ask");
    // Any peer's copy will do.
    caller
        .trust
        .install_freshness(node.trust.freshness().unwrap().text())
        .unwrap();
    caller.check("bank-b").await.unwrap();
    network.clock.advance(Duration::from_secs(600));
    let ended = node.trust.require_fresh(network.clock.now()).unwrap_err();
    assert_eq!(ended.code(), "not-fresh");
    node.stop().await;
}

#[tokio::test]
async fn a_statement_about_a_newer_list_is_heard_and_waits_for_that_list() {
    let mut network = Network::new().await;
    let online = IdentityKey::from_seed(&Secret::from_bytes([7; 32]));
    next_root(&mut network, |root| {
        root.freshness_keys = vec![online.public()];
    });
    let trust = network.trust();
    let held = trust.roster().version();
    let now = network.clock.now();
    network.minted.publish(now, |_| Ok(())).unwrap();
    let (root, roster) = (&network.minted.root, &network.minted.roster);
    let text = state_freshness(root, roster, &online, now).unwrap();
    let early = trust.install_freshness(&text).unwrap_err();
    assert_eq!(
        early,
        FreshnessError::NewerList {
            stated: held + 1,
            held
        }
    );
    assert_eq!(trust.newest_heard(), held + 1);
    trust.install(&roster.signed().to_text().unwrap()).unwrap();
    trust.install_freshness(&text).unwrap();
    assert!(
        Freshness::verify(root, &text, now)
            .unwrap()
            .covers(roster)
            .is_ok()
    );
}

/// Notes, or says that the disk is full.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<Seen>>, AtomicBool);

impl Memory for Notebook {
    fn note(&self, seen: &Seen) -> Result<(), String> {
        if self.1.load(Ordering::Relaxed) {
            return Err("the disk is full".to_owned());
        }
        self.0.lock().unwrap().push(seen.clone());
        Ok(())
    }

    fn note_departures(&self, _: &Departures) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_keeps_no_member_in_and_puts_no_root_in_force() {
    let mut network = Network::new().await;
    let now = network.clock.now();
    let (root, roster) = (network.minted.root.clone(), network.minted.roster.clone());
    let (seen, notes) = (Seen::first(&root, &roster), Arc::new(Notebook::default()));
    let clock = Arc::new(network.clock.clone());
    let trust = TrustHandle::remembering(root, roster, clock, seen.clone(), notes.clone());
    network.minted.publish(now, |_| Ok(())).unwrap();
    let list = network.minted.roster.signed().to_text().unwrap();
    let next = next_root(&mut network, |_| ());

    notes.1.store(true, Ordering::Relaxed);
    let full = trust.install(&list).unwrap();
    assert_eq!(full.not_noted.as_deref(), Some("the disk is full"));
    let full = trust.install_root(&next).unwrap_err();
    assert!(matches!(full, RootError::NotInForce { .. }), "{full}");
    assert_eq!(
        (trust.root().version(), trust.roster().version()),
        (1, seen.list_version() + 1)
    );
    assert!(notes.0.lock().unwrap().is_empty());

    notes.1.store(false, Ordering::Relaxed);
    let again = trust.install(&list).unwrap();
    assert_eq!(
        (again.supersession, again.not_noted),
        (Supersession::Same, None)
    );
    trust.install_root(&next).unwrap();
    let last = notes.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (last.root_version(), last.list_version()),
        (2, seen.list_version() + 1)
    );
    // A list that is older than the note is refused at the next start.
    assert!(last.check_list(&network.minted.roster).is_ok());
    let old = Roster::verify_kept(&network.minted.root, &list, now).unwrap();
    assert!(seen.check_list(&old).is_ok() && last.check_root(&network.minted.root).is_ok());
}
