//! Replicas use a store side by side and one of them leads; a process that wants it alone is
//! refused while they run, and one that was silent writes nothing after others came.

use std::time::Duration;

use creditmesh::crypto::Secret;
use creditmesh::store::{Holding, OpenMode, PostgresOptions, PostgresStore, Store, StoreError};
use tokio::time::{Instant, timeout};

use crate::put;
use crate::server::Server;

async fn open(server: &Server, holding: Holding) -> Result<PostgresStore, StoreError> {
    let options = PostgresOptions {
        config: server.config(),
        tls: None,
        mode: OpenMode::ExistingOrNew,
        connections: 4,
        holding,
        folder: None,
    };
    PostgresStore::open(options, &Secret::from_bytes([7; 32]), rand::random()).await
}

/// How long until it leads.
async fn leading(store: &PostgresStore) -> Duration {
    let since = Instant::now();
    let leads = timeout(Duration::from_secs(20), async {
        store.replicas().until(true).await;
    });
    leads.await.expect("it leads");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_leads_at_a_time_and_another_comes_after_it() {
    let server = Server::start().await;
    let first = open(&server, Holding::Replica).await.expect("the first");
    leading(&first).await;
    let second = open(&server, Holding::Replica).await.expect("the second");
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(first.replicas().leads() && !second.replicas().leads());

    // Each hears that the other wrote, and only then.
    let (seen_first, seen_second) = (
        first.replicas().others_wrote(),
        second.replicas().others_wrote(),
    );
    assert_eq!(first.commit(put(b"row", 1)).await, Ok(()));
    let beside = second.replicas();
    let heard = beside.others_wrote_after(seen_second);
    let heard = timeout(Duration::from_secs(2), heard).await;
    assert!(heard.is_ok(), "the second hears of it");
    assert_eq!(first.replicas().others_wrote(), seen_first);

    // Nobody has it alone meanwhile.
    let refused = open(&server, Holding::Alone).await.map(drop);
    assert_eq!(refused, Err(StoreError::HeldElsewhere));

    // Closed, and killed.
    first.close().await.expect("it closes");
    let gap = leading(&second).await;
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    second.close().await.expect("it closes");
    let alone = open(&server, Holding::Alone).await.expect("now it is free");
    assert!(alone.replicas().is_alone());
    let mut waiting = Box::pin(open(&server, Holding::Replica));
    let waited = timeout(Duration::from_secs(6), &mut waiting).await;
    assert!(waited.is_err(), "a replica waits for who is alone");
    alone.close().await.expect("it closes");
    let third = waiting.await.expect("the third");
    assert_eq!(third.commit(put(b"row", 2)).await, Ok(()));
    third.close().await.expect("it closes");
}

#[test]
fn a_process_that_was_alone_and_hung_writes_nothing_after_a_replica_came() {
    let live = tokio::runtime::Runtime::new().expect("a runtime");
    let server = live.block_on(Server::start());
    // Nothing of this one runs while its runtime is of one thread that nobody drives.
    let stopped = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let first = stopped.block_on(open(&server, Holding::Alone));
    let first = first.expect("the first");
    assert_eq!(stopped.block_on(first.commit(put(b"row", 1))), Ok(()));

    let second = live.block_on(open(&server, Holding::Replica));
    let second = second.expect("the second");
    let gap = live.block_on(leading(&second));
    println!("leads {:.1} s after it was let in", gap.as_secs_f32());
    assert_eq!(live.block_on(second.commit(put(b"row", 2))), Ok(()));

    let late = stopped.block_on(first.commit(put(b"row", 3)));
    assert_eq!(late, Err(StoreError::TakenOver));
    let read = stopped.block_on(first.read(creditmesh::store::Table::Quota, b"row"));
    assert_eq!(read, Err(StoreError::TakenOver));
    // Its end takes the lease from nobody.
    stopped.block_on(first.close()).expect("it closes");
    assert!(second.replicas().leads());
    assert_eq!(live.block_on(second.commit(put(b"row", 3))), Ok(()));
    live.block_on(second.close()).expect("it closes");
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_ring_is_replaced_by_one_writer_and_who_stays_behind_writes_no_more() {
    let server = Server::start().await;
    let (first, second) = (
        open(&server, Holding::Replica).await.expect("the first"),
        open(&server, Holding::Replica).await.expect("the second"),
    );
    assert_eq!(first.shared_ring().await, Ok(None));
    assert_eq!(first.share_ring("ring 1", 0).await, Ok(1));
    // Of two that replace one generation the later one is told.
    assert_eq!(first.share_ring("ring 2", 1).await, Ok(2));
    let lost = second.share_ring("another", 1).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    let held = second
        .shared_ring()
        .await
        .expect("it reads")
        .expect("a ring");
    assert_eq!((held.generation, held.text.as_str()), (2, "ring 2"));
    assert_eq!(second.replicas().ring_after(0).await, 2);

    // Whoever was slow enters with no ring but the newest.
    assert_eq!(first.took_ring(1).await, Err(StoreError::RingBehind));
    first.took_ring(2).await.expect("it takes it");
    let patience = Duration::from_millis(500);
    assert_eq!(
        first.settle_ring(2, patience).await,
        Ok(1),
        "the second is behind"
    );
    assert_eq!(
        second.commit(put(b"row", 1)).await,
        Err(StoreError::RingBehind)
    );
    assert_eq!(first.commit(put(b"row", 1)).await, Ok(()));
    second.took_ring(2).await.expect("it takes it");
    assert_eq!(second.commit(put(b"row", 2)).await, Ok(()));
    assert_eq!(first.settle_ring(2, patience).await, Ok(0));
    first.close().await.expect("it closes");
    second.close().await.expect("it closes");
}
