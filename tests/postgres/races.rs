//! Several replicas over one database.

use std::sync::Arc;

use creditmesh::crypto::Sealed;
use creditmesh::store::{Batch, Change, Scan, Store, StoreError, Table};

use crate::server::Server;
use crate::{put, store};

const REPLICAS: usize = 3;

async fn replicas(server: &Server) -> Vec<Arc<dyn Store>> {
    // All at once, so that they race to create the tables.
    let opened = (0..REPLICAS).map(|_| store(server.config()));
    let opened = futures::future::join_all(opened).await;
    let shared = |store| Arc::new(store) as Arc<dyn Store>;
    opened
        .into_iter()
        .map(|store| shared(store.expect("a replica opens")))
        .collect()
}

/// Adds one to a counter, whoever else does.
async fn count_up(store: &Arc<dyn Store>, key: &[u8]) {
    loop {
        let found = store.read(Table::Quota, key).await.expect("a read");
        let revision = found.map_or(0, |row| row.revision) + 1;
        match store.commit(put(key, revision)).await {
            Ok(()) => return,
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_lose_no_update_and_agree_on_every_row() {
    const TASKS: usize = 12;
    const UPDATES: usize = 40;
    let server = Server::start().await;
    let replicas = replicas(&server).await;
    let counting = (0..TASKS).map(|task| {
        let store = Arc::clone(&replicas[task % REPLICAS]);
        tokio::spawn(async move {
            for update in 0..UPDATES {
                let key = format!("counter {}", update % 3);
                count_up(&store, key.as_bytes()).await;
            }
        })
    });
    futures::future::try_join_all(counting)
        .await
        .expect("all tasks end");
    let mut pages = Vec::new();
    for replica in &replicas {
        let page = replica.scan(Table::Quota, &Scan::all(10)).await;
        pages.push(page.expect("a page"));
        let digests = replica.digests(Table::Quota).await.expect("the digests");
        let rows: u64 = digests.iter().flatten().map(|digest| digest.rows).sum();
        assert_eq!(rows, 3);
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    let counted: u64 = pages[0].iter().map(|(_, row)| row.revision).sum();
    assert_eq!(counted, u64::try_from(TASKS * UPDATES).expect("small"));
    for replica in replicas {
        replica.close().await.expect("the replica closes");
    }
}

/// A position of a log: written once, by whoever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_that_want_one_position_exactly_one_gets_it() {
    const POSITIONS: u64 = 60;
    let server = Server::start().await;
    let replicas = replicas(&server).await;
    let racing = replicas.iter().zip(0_u8..).map(|(replica, name)| {
        let replica = Arc::clone(replica);
        tokio::spawn(async move {
            let mut won = 0;
            for position in 0..POSITIONS {
                let sealed = Sealed::from_stored(vec![name]);
                let change = Change::Put {
                    revision: 1,
                    sealed,
                };
                let mut batch = Batch::new();
                batch.push(Table::AuditEntry, &position.to_be_bytes(), change);
                match replica.commit(batch).await {
                    Ok(()) => won += 1,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            won
        })
    });
    let won: Vec<u64> = futures::future::try_join_all(racing)
        .await
        .expect("all tasks end");
    assert_eq!(won.iter().sum::<u64>(), POSITIONS, "{won:?}");
    let page = replicas[0]
        .scan(Table::AuditEntry, &Scan::all(500))
        .await
        .expect("a page");
    assert_eq!(page.len(), 60);
    assert!(page.iter().all(|(_, row)| row.revision == 1));
}
