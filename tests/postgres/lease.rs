//! One process at a time uses a store that is not shared; the others wait, and one that was
//! silent writes nothing after another took over.

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
    };
    PostgresStore::open(options, &Secret::from_bytes([7; 32]), rand::random()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_held_is_refused_and_a_standby_takes_it_over() {
    let server = Server::start().await;
    let first = open(&server, Holding::Alone).await.expect("the first");
    first.share_ring("ring 1").await.expect("a ring");
    assert_eq!(first.commit(put(b"row", 1)).await, Ok(()));
    let refused = open(&server, Holding::Alone).await.map(drop);
    assert_eq!(refused, Err(StoreError::HeldElsewhere));

    // A standby waits as long as the first one lives, and no longer.
    let mut waiting = Box::pin(open(&server, Holding::AloneWhenFree));
    let waited = timeout(Duration::from_secs(7), &mut waiting).await;
    assert!(waited.is_err(), "the holder lives");
    assert_eq!(first.commit(put(b"row", 2)).await, Ok(()));
    first.close().await.expect("it closes");
    let freed = Instant::now();
    let standby = waiting.await.expect("the standby");
    let gap = freed.elapsed();
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    assert_eq!(standby.commit(put(b"row", 3)).await, Ok(()));
    assert_eq!(standby.shared_ring().await, Ok(Some("ring 1".to_owned())));
    standby.close().await.expect("it closes");
}

#[test]
fn a_holder_that_hung_writes_nothing_after_another_took_over() {
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

    let began = std::time::Instant::now();
    let second = live.block_on(open(&server, Holding::AloneWhenFree));
    let second = second.expect("the second");
    println!(
        "took over after {:.1} s of silence",
        began.elapsed().as_secs_f32()
    );
    assert_eq!(live.block_on(second.commit(put(b"row", 2))), Ok(()));

    let late = stopped.block_on(first.commit(put(b"row", 3)));
    assert_eq!(late, Err(StoreError::TakenOver));
    stopped.block_on(first.taken_over());
    let read = stopped.block_on(first.read(creditmesh::store::Table::Quota, b"row"));
    assert_eq!(read, Err(StoreError::TakenOver));
    // Its end takes the lease from nobody.
    stopped.block_on(first.close()).expect("it closes");
    assert_eq!(live.block_on(second.commit(put(b"row", 3))), Ok(()));
    live.block_on(second.close()).expect("it closes");
    drop(server);
}
