//! Certificates exchanged under load, calls that are tried again, peers that hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use creditmesh::env::{Clock, SystemClock};
use creditmesh::net::{CallError, Peers};
use tonic::Code;

use crate::support::{Network, check, entropy, id, watch};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_on_both_sides_with_64_calls_in_flight_and_none_fails() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    let (calls, stop) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
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
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = network.clock.now();
        let own = network
            .minted
            .renew(&id("bank-a"), now, &entropy())
            .unwrap();
        caller.tls.install(&own).unwrap();
        let own = network
            .minted
            .renew(&id("bank-b"), now, &entropy())
            .unwrap();
        node.tls.install(&own).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no call fails");
    }
    println!("{} calls", calls.load(Ordering::Relaxed));
    assert!(calls.load(Ordering::Relaxed) > 64);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_goes_on_while_certificates_change() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let mut stream = watch(caller.channel("bank-b")).await;
    let own = network
        .minted
        .renew(&id("bank-b"), network.clock.now(), &entropy());
    node.tls.install(&own.unwrap()).unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
    assert!(quiet.is_err(), "the stream is open and has nothing to say");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_fresh_before_its_connection_is_too_old() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    let _open = watch(channel.clone()).await;
    for connections in [1, 2] {
        network.clock.advance(Duration::from_secs(1_501));
        check(channel.clone()).await.unwrap();
        assert_eq!(caller.trust.connections().open(), connections);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_hangs_costs_its_deadline_and_is_then_left_alone() {
    // Its socket is bound, so the system accepts the connection, and nobody ever answers.
    let network = Network::new().await;
    let caller = network.caller("bank-a");
    let peers = Peers::new(Arc::new(caller.transport), Arc::new(SystemClock));
    let roster = caller.trust.roster();
    let peer = roster.member(&id("bank-b")).unwrap();
    let deadline = Duration::from_millis(150);
    for _ in 0..3 {
        let begun = Instant::now();
        let outcome = peers.call(peer, deadline, check).await;
        assert!(
            matches!(outcome, Err(CallError::Late { .. })),
            "{outcome:?}"
        );
        assert!(begun.elapsed() < deadline * 4);
    }
    let begun = Instant::now();
    let outcome = peers.call(peer, deadline, check).await;
    assert!(
        matches!(outcome, Err(CallError::Paused { .. })),
        "{outcome:?}"
    );
    assert!(begun.elapsed() < deadline);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_meets_a_cut_connection_is_made_again() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let peers = Peers::new(Arc::new(caller.transport), Arc::new(network.clock.clone()));
    let roster = caller.trust.roster();
    let peer = roster.member(&id("bank-b")).unwrap();
    for _ in 0..100 {
        peers
            .call(peer, Duration::from_secs(5), check)
            .await
            .unwrap();
        node.trust.connections().cut_all();
    }
    node.stop().await;
    let outcome = peers.call(peer, Duration::from_secs(5), check).await;
    match outcome {
        Err(CallError::Unreachable(error)) => {
            assert!(
                error.to_string().contains("nobody listens there"),
                "{error}"
            );
        }
        Err(CallError::Status { status, .. }) => assert_eq!(status.code(), Code::Unavailable),
        other => panic!("{other:?}"),
    }
}
