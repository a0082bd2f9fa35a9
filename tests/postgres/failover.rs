//! A primary that is killed under load, with a standby that had to confirm each commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use creditmesh::store::{Store, StoreError, Table};

use crate::server::Server;
use crate::{put, store};

const WRITERS: usize = 8;

/// What one writer was told.
struct Told {
    /// The newest revision that was acknowledged.
    acknowledged: u64,
    /// Writes of which nobody could say in time whether they stand.
    in_doubt: u64,
    longest_gap: Duration,
}

/// Writes one row again and again until the end.
async fn write(store: Arc<dyn Store>, key: Vec<u8>, end: Arc<AtomicBool>) -> Told {
    let mut told = Told {
        acknowledged: 0,
        in_doubt: 0,
        longest_gap: Duration::ZERO,
    };
    let mut last = Instant::now();
    while !end.load(Ordering::Relaxed) {
        match store.commit(put(&key, told.acknowledged + 1)).await {
            Ok(()) => {
                told.acknowledged += 1;
                told.longest_gap = told.longest_gap.max(last.elapsed());
                last = Instant::now();
            }
            Err(StoreError::Unreachable { .. }) => {}
            Err(StoreError::InDoubt { .. }) => {
                told.in_doubt += 1;
                let row = store
                    .read(Table::Quota, &key)
                    .await
                    .expect("the new primary answers");
                told.acknowledged = row.map_or(0, |row| row.revision);
            }
            Err(error) => panic!("{error}"),
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_primary_takes_no_acknowledged_write_along() {
    let mut primary = Server::start().await;
    let standby = Server::standby_of(&primary).await;
    let store: Arc<dyn Store> = Arc::new(
        store(primary.config_with(&standby))
            .await
            .expect("the store opens"),
    );
    let end = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let key = format!("writer {writer}").into_bytes();
            tokio::spawn(write(Arc::clone(&store), key, Arc::clone(&end)))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    primary.kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    standby.promote();
    tokio::time::sleep(Duration::from_secs(3)).await;
    end.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut in_doubt, mut gap) = (0, 0, Duration::ZERO);
    for (writer, told) in writers.into_iter().enumerate() {
        let told = told.await.expect("the writer ends");
        let key = format!("writer {writer}").into_bytes();
        let row = store.read(Table::Quota, &key).await.expect("a read");
        let kept = row.map_or(0, |row| row.revision);
        assert_eq!(kept, told.acknowledged, "writer {writer}");
        acknowledged += told.acknowledged;
        in_doubt += told.in_doubt;
        gap = gap.max(told.longest_gap);
    }
    println!(
        "{acknowledged} writes acknowledged, 0 missing, {in_doubt} in doubt, longest gap {} ms",
        gap.as_millis()
    );
    assert!(acknowledged > 100, "{acknowledged}");
}
