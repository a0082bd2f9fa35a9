//! A newer list on live connections: open streams end, calls are refused, others notice nothing.

use std::time::{Duration, Instant};

use creditmesh::env::Clock;
use creditmesh::membership::{ListError, MemberState, Supersession};
use creditmesh::net::{DialError, dial_error};

use crate::support::{Network, check, id, reason, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_cut_from_its_open_stream_and_others_are_not() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let (removed, other) = (network.caller("bank-a"), network.caller("bank-c"));
    let channel = removed.channel("bank-b");
    let mut stream = watch(channel.clone()).await;
    let mut kept = watch(other.channel("bank-b")).await;

    let text = network
        .minted
        .publish(network.clock.now(), |list| {
            list.set_state(&id("bank-a"), MemberState::Removed)
        })
        .unwrap();
    let begun = Instant::now();
    let installed = node.trust.install(&text).unwrap();
    assert_eq!((installed.version, installed.cut), (3, 1));
    assert_eq!(installed.supersession, Supersession::Newer);
    let end = tokio::time::timeout(Duration::from_secs(2), stream.message()).await;
    assert!(end.expect("cut within two seconds").is_err());
    println!("cut after {:?}", begun.elapsed());
    let status = check(channel).await.unwrap_err();
    assert_eq!(reason(&status), "removed");
    assert_eq!(node.trust.connections().with(&id("bank-c")), 1);
    other.check("bank-b").await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(200), kept.message()).await;
    assert!(quiet.is_err(), "the other member's stream goes on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_member_cannot_keep_a_connection_open() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let text = network
        .minted
        .publish(network.clock.now(), |list| {
            list.set_state(&id("bank-a"), MemberState::Suspended)
        })
        .unwrap();
    node.trust.install(&text).unwrap();
    let channel = caller.channel("bank-b");
    let status = check(channel.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "suspended");
    assert_eq!(node.trust.connections().with(&id("bank-a")), 1);
    // The connection is swept once it had its time to hear why.
    network.clock.advance(Duration::from_secs(3));
    let gone = async {
        while node.trust.connections().with(&id("bank-a")) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let (idle, busy) = (network.caller("bank-a"), network.caller("bank-c"));
    let quiet = idle.channel("bank-b");
    check(quiet.clone()).await.unwrap();
    let _open = watch(busy.channel("bank-b")).await;
    network.clock.advance(Duration::from_secs(301));
    let gone = async {
        while node.trust.connections().with(&id("bank-a")) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    assert_eq!(node.trust.connections().with(&id("bank-c")), 1);
    check(quiet).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_talk_to_a_peer_that_its_own_list_removed() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    check(channel.clone()).await.unwrap();
    let text = network
        .minted
        .publish(network.clock.now(), |list| {
            list.set_state(&id("bank-b"), MemberState::Removed)
        })
        .unwrap();
    assert_eq!(caller.trust.install(&text).unwrap().cut, 1);
    let status = check(channel).await.unwrap_err();
    assert!(matches!(
        dial_error(&status),
        Some(DialError::Refused { refusal, .. }) if refusal.code() == "removed"
    ));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_foreign_lists_leave_the_list_in_force() {
    let mut network = Network::new().await;
    let trust = network.trust();
    let old = network.minted.roster.signed().to_text().unwrap();
    let new = network
        .minted
        .publish(network.clock.now(), |_| Ok(()))
        .unwrap();
    assert_eq!(
        trust.install(&new).unwrap().supersession,
        Supersession::Newer
    );
    assert_eq!(
        trust.install(&new).unwrap().supersession,
        Supersession::Same
    );
    assert_eq!(
        trust.install(&old).unwrap_err(),
        ListError::RolledBack {
            held: 3,
            offered: 2
        }
    );
    let foreign = Network::named("other-net").await;
    let text = foreign.minted.roster.signed().to_text().unwrap();
    assert!(matches!(
        trust.install(&text),
        Err(ListError::OtherNetwork { .. })
    ));
    assert_eq!(trust.roster().version(), 3);
}
