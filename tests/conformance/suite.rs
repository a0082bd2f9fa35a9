//! The promises of the `Store` trait, each as a test over any engine.

use std::sync::Arc;

use creditmesh::crypto::Sealed;
use creditmesh::limits::{
    STORE_BATCH_ROWS_MAX, STORE_KEY_BYTES_MAX, STORE_SCAN_ROWS_MAX, STORE_VALUE_BYTES_MAX,
};
use creditmesh::store::{
    BUCKETS, Batch, BucketDigest, Change, Row, Scan, Store, StoreError, Table,
};

use crate::bed::{Bed, conflict, one, put, row, sealed};

const T: Table = Table::Record;

async fn commit(store: &Arc<dyn Store>, batch: Batch) {
    store.commit(batch).await.expect("the batch is applied");
}

async fn keys(store: &Arc<dyn Store>, scan: Scan) -> Vec<Vec<u8>> {
    let page = store.scan(T, &scan).await.expect("the page is read");
    page.into_iter().map(|(key, _)| key).collect()
}

async fn rows_by_digest(store: &Arc<dyn Store>, table: Table) -> u64 {
    let digests = store.digests(table).await.expect("the digests are read");
    digests
        .iter()
        .map(|d| d.expect("a sound digest").rows)
        .sum()
}

pub(crate) async fn row_reads_back_at_the_revision_it_was_put(bed: &dyn Bed) {
    let store = bed.open().await;
    assert_eq!(store.read(T, b"a").await, Ok(None));
    commit(&store, one(T, b"a", put(1, "one"))).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "one")));
    commit(&store, one(T, b"a", put(2, "two"))).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(2, "two")));
    commit(&store, one(T, b"a", put(3, ""))).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(3, "")));
}

pub(crate) async fn put_applies_only_behind_the_revision_it_names(bed: &dyn Bed) {
    let store = bed.open().await;
    assert_eq!(store.commit(one(T, b"a", put(2, "x"))).await, conflict(T));
    commit(&store, one(T, b"a", put(1, "one"))).await;
    for revision in [1, 3, 7, u64::MAX] {
        let late = store.commit(one(T, b"a", put(revision, "x"))).await;
        assert_eq!(late, conflict(T));
    }
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "one")));
}

pub(crate) async fn delete_applies_only_at_the_revision_it_names(bed: &dyn Bed) {
    let store = bed.open().await;
    let delete = |revision| one(T, b"a", Change::Delete { revision });
    assert_eq!(store.commit(delete(1)).await, conflict(T));
    commit(&store, one(T, b"a", put(1, "one"))).await;
    commit(&store, one(T, b"a", put(2, "two"))).await;
    assert_eq!(store.commit(delete(1)).await, conflict(T));
    commit(&store, delete(2)).await;
    assert_eq!(store.read(T, b"a").await, Ok(None));
    assert_eq!(keys(&store, Scan::all(10)).await, Vec::<Vec<u8>>::new());
    // A row that comes back counts from 1 again.
    commit(&store, one(T, b"a", put(1, "again"))).await;
}

pub(crate) async fn expectation_guards_the_whole_batch(bed: &dyn Bed) {
    let store = bed.open().await;
    commit(&store, one(T, b"guard", put(1, "g"))).await;
    let guarded = |key: &[u8], revision| {
        let mut batch = one(Table::Meta, b"absent", Change::Expect { revision: 0 });
        batch.push(T, b"guard", Change::Expect { revision });
        batch.push(T, key, put(1, "x"));
        batch
    };
    assert_eq!(store.commit(guarded(b"a", 0)).await, conflict(T));
    assert_eq!(store.commit(guarded(b"a", 2)).await, conflict(T));
    assert_eq!(store.read(T, b"a").await, Ok(None));
    commit(&store, guarded(b"a", 1)).await;
    assert_eq!(store.read(T, b"guard").await, Ok(row(1, "g")));

    commit(&store, one(Table::Meta, b"absent", put(1, "now"))).await;
    assert_eq!(store.commit(guarded(b"b", 1)).await, conflict(Table::Meta));
}

pub(crate) async fn restored_row_keeps_its_revision_and_needs_an_absent_place(bed: &dyn Bed) {
    let store = bed.open().await;
    let restore = |revision, text| {
        let sealed = sealed(text);
        one(T, b"a", Change::Restore { revision, sealed })
    };
    commit(&store, restore(9, "nine")).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(9, "nine")));
    assert_eq!(store.commit(restore(10, "ten")).await, conflict(T));
    commit(&store, one(T, b"a", put(10, "ten"))).await;
}

pub(crate) async fn resealed_row_keeps_its_revision_and_must_be_what_was_read(bed: &dyn Bed) {
    let store = bed.open().await;
    let reseal = |before: Option<Row>, text| {
        let (before, sealed) = (before.expect("a row"), sealed(text));
        one(T, b"a", Change::Reseal { before, sealed })
    };
    let absent = reseal(row(1, "one"), "anew");
    assert_eq!(store.commit(absent).await, conflict(T));
    commit(&store, one(T, b"a", put(1, "one"))).await;
    commit(&store, reseal(row(1, "one"), "anew")).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "anew")));
    assert_eq!(rows_by_digest(&store, T).await, 1);
    // Of the same revision, but not what was read: a row that went and came back in between.
    let stale = reseal(row(1, "one"), "stale");
    assert_eq!(store.commit(stale).await, conflict(T));
    commit(&store, one(T, b"a", put(2, "two"))).await;
    assert_eq!(store.read(T, b"a").await, Ok(row(2, "two")));
}

pub(crate) async fn batch_that_conflicts_changes_nothing(bed: &dyn Bed) {
    let store = bed.open().await;
    commit(&store, one(T, b"a", put(1, "one"))).await;
    let before = store.digests(T).await;
    let mut batch = one(T, b"b", put(1, "new"));
    batch.push(T, b"c", Change::Delete { revision: 4 });
    batch.push(T, b"a", put(2, "two"));
    assert_eq!(store.commit(batch).await, conflict(T));
    assert_eq!(keys(&store, Scan::all(10)).await, [b"a".to_vec()]);
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "one")));
    assert_eq!(store.digests(T).await, before);
    commit(&store, Batch::new()).await;
}

pub(crate) async fn tables_do_not_mix(bed: &dyn Bed) {
    let store = bed.open().await;
    for table in Table::ALL {
        commit(&store, one(*table, b"k", put(1, table.name()))).await;
    }
    for table in Table::ALL {
        assert_eq!(store.read(*table, b"k").await, Ok(row(1, table.name())));
        let page = store.scan(*table, &Scan::all(10)).await.expect("a page");
        assert_eq!(page.len(), 1);
        assert_eq!(rows_by_digest(&store, *table).await, 1);
    }
}

pub(crate) async fn scan_is_ordered_and_pages_without_gap_or_repeat(bed: &dyn Bed) {
    let store = bed.open().await;
    let mut expected: Vec<Vec<u8>> = (0..700_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes().to_vec())
        .chain([
            vec![0],
            vec![255],
            vec![255; STORE_KEY_BYTES_MAX],
            vec![0, 0],
        ])
        .collect();
    for chunk in expected.chunks(STORE_BATCH_ROWS_MAX) {
        let mut batch = Batch::new();
        for key in chunk {
            batch.push(T, key, put(1, "x"));
        }
        commit(&store, batch).await;
    }
    expected.sort();
    for limit in [1_usize, 7, 350, 352, 10_000] {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut scan = Scan::all(limit);
        loop {
            let page = keys(&store, scan.clone()).await;
            let last = page.len() < limit.min(STORE_SCAN_ROWS_MAX);
            found.extend(page);
            if last {
                break;
            }
            scan = scan.behind(found.last().expect("a full page"));
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    assert!(keys(&store, Scan::all(0)).await.is_empty());
}

pub(crate) async fn scan_keeps_to_its_prefix(bed: &dyn Bed) {
    let store = bed.open().await;
    let mut batch = Batch::new();
    for key in ["a", "ab", "aba", "abb", "ac", "b"] {
        batch.push(T, key.as_bytes(), put(1, key));
    }
    batch.push(Table::Borrower, b"abc", put(1, "x"));
    commit(&store, batch).await;
    let of = |texts: &[&str]| -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    };
    let ab = || Scan::prefix(b"ab", 10);
    assert_eq!(keys(&store, ab()).await, of(&["ab", "aba", "abb"]));
    assert_eq!(keys(&store, ab().behind(b"ab")).await, of(&["aba", "abb"]));
    assert_eq!(keys(&store, ab().behind(b"abaz")).await, of(&["abb"]));
    assert_eq!(keys(&store, ab().behind(b"abb")).await, of(&[]));
    assert_eq!(keys(&store, ab().behind(b"z")).await, of(&[]));
    // A key before the prefix takes nothing away.
    assert_eq!(
        keys(&store, ab().behind(b"a")).await,
        of(&["ab", "aba", "abb"])
    );
    assert_eq!(keys(&store, Scan::prefix(b"abab", 10)).await, of(&[]));
}

pub(crate) async fn digests_follow_the_rows_and_nothing_else(bed: &dyn Bed) {
    let store = bed.open().await;
    let empty = vec![Some(BucketDigest::default()); BUCKETS];
    assert_eq!(store.digests(T).await, Ok(empty.clone()));
    let mut batch = Batch::new();
    for n in 0..200_u32 {
        batch.push(T, &n.to_be_bytes(), put(1, "x"));
    }
    commit(&store, batch).await;
    assert_eq!(rows_by_digest(&store, T).await, 200);
    let at_one = store.digests(T).await;

    commit(&store, one(T, &7_u32.to_be_bytes(), put(2, "x"))).await;
    let at_two = store.digests(T).await;
    assert_ne!(at_two, at_one);
    assert_eq!(rows_by_digest(&store, T).await, 200);
    assert_eq!(store.digests(Table::Query).await, Ok(empty.clone()));

    let mut batch = Batch::new();
    for n in 0..200_u32 {
        let revision = if n == 7 { 2 } else { 1 };
        batch.push(T, &n.to_be_bytes(), Change::Delete { revision });
    }
    commit(&store, batch).await;
    assert_eq!(store.digests(T).await, Ok(empty));
}

pub(crate) async fn commits_race_and_exactly_one_wins(bed: &dyn Bed) {
    let store = bed.open().await;
    for revision in 1..=20 {
        let racers: Vec<_> = (0..16)
            .map(|racer| {
                let store = Arc::clone(&store);
                let batch = one(T, b"a", put(revision, &racer.to_string()));
                tokio::spawn(async move { store.commit(batch).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, outcome) in racers.into_iter().enumerate() {
            match outcome.await.expect("the racer ends") {
                Ok(()) => winners.push(racer.to_string()),
                lost => assert_eq!(lost, conflict(T)),
            }
        }
        let [winner] = winners.as_slice() else {
            panic!("{winners:?} all won");
        };
        assert_eq!(store.read(T, b"a").await, Ok(row(revision, winner)));
    }
}

pub(crate) async fn concurrent_updates_lose_nothing(bed: &dyn Bed) {
    const TASKS: usize = 32;
    const UPDATES: usize = 8;
    let store = bed.open().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for update in 0..UPDATES {
                    loop {
                        let found = store.read(T, b"n").await.expect("a read");
                        let revision = found.map_or(0, |row| row.revision) + 1;
                        let mut batch = one(T, b"n", put(revision, &revision.to_string()));
                        let name = format!("{task}/{update}");
                        batch.push(Table::Query, name.as_bytes(), put(1, "done"));
                        match store.commit(batch).await {
                            Ok(()) => break,
                            lost => assert_eq!(lost, conflict(T)),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    let total = u64::try_from(TASKS * UPDATES).expect("small");
    assert_eq!(
        store.read(T, b"n").await,
        Ok(row(total, &total.to_string()))
    );
    assert_eq!(rows_by_digest(&store, Table::Query).await, total);
}

pub(crate) async fn reader_sees_batches_whole(bed: &dyn Bed) {
    let store = bed.open().await;
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        for revision in 1..=150 {
            let mut batch = Batch::new();
            for n in 0..40_u8 {
                batch.push(T, &[b'w', n], put(revision, &revision.to_string()));
            }
            // Rows that come and go, so that pages change their length.
            let come = (1..=2).map(|n| [b'x', u8::try_from((revision - 1) % 50).unwrap_or(0), n]);
            for key in come {
                let change = if (revision - 1) / 50 != 1 {
                    put(1, "here")
                } else {
                    Change::Delete { revision: 1 }
                };
                batch.push(T, &key, change);
            }
            writing.commit(batch).await.expect("the batch is applied");
        }
    });
    let mut pages = 0;
    while !writer.is_finished() {
        let page = store
            .scan(T, &Scan::prefix(b"w", 100))
            .await
            .expect("a page");
        assert!(page.is_empty() || page.len() == 40, "{} rows", page.len());
        assert!(page.windows(2).all(|pair| pair[0].1 == pair[1].1));
        let pairs = store
            .scan(T, &Scan::prefix(b"x", 200))
            .await
            .expect("a page");
        assert_eq!(pairs.len() % 2, 0);
        assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0));
        pages += 1;
    }
    writer.await.expect("the writer ends");
    assert!(pages > 0);
}

/// Changes some rows of `0..rows`, removes others, and adds one, for the `round`th time.
fn churned(rows: u16, round: u8) -> Batch {
    let mut batch = Batch::new();
    for n in (0..rows).step_by(13) {
        let change = match (n % 2, round) {
            (0, _) => put(u64::from(round) + 1, "later"),
            (_, 1) => Change::Delete { revision: 1 },
            (_, _) => continue,
        };
        batch.push(T, &n.to_be_bytes(), change);
    }
    let added = [rows.to_be_bytes().as_slice(), &[round]].concat();
    batch.push(T, &added, put(1, "new"));
    batch
}

pub(crate) async fn snapshot_shows_its_moment_whatever_is_written_after_it(bed: &dyn Bed) {
    const ROWS: u16 = 1_300;
    let store = bed.open().await;
    for from in (0..ROWS).step_by(100) {
        let mut batch = Batch::new();
        for n in from..from + 100 {
            batch.push(T, &n.to_be_bytes(), put(1, &n.to_string()));
        }
        commit(&store, batch).await;
    }
    let digests = store.digests(T).await;
    let snapshot = store.snapshot().await.expect("a snapshot");
    let mut shown = Vec::new();
    let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
    for round in 1..=3 {
        // Rows behind and ahead of each page.
        commit(&store, churned(ROWS, round)).await;
        let page = snapshot.scan(T, &scan).await.expect("a page");
        let last = page.last().map(|(key, _)| key.clone());
        shown.extend(page);
        scan = scan.behind(&last.expect("a row"));
    }
    assert_eq!(shown.len(), usize::from(ROWS));
    for (n, (key, held)) in (0..ROWS).zip(shown) {
        assert_eq!(key, n.to_be_bytes());
        assert_eq!(Some(held), row(1, &n.to_string()));
    }
    assert_eq!(snapshot.digests(T).await, digests);
    drop(snapshot);
    assert_ne!(store.digests(T).await, digests);
    // The next one shows the next moment.
    let snapshot = store.snapshot().await.expect("a snapshot");
    let page = snapshot.scan(T, &Scan::all(1)).await.expect("a page");
    assert_eq!(page.first().map(|(_, row)| row.revision), Some(4));
    assert_eq!(snapshot.digests(T).await, store.digests(T).await);
}

pub(crate) async fn reopened_store_holds_what_was_committed(bed: &dyn Bed) {
    for revision in 1..=4_u64 {
        let store = bed.open().await;
        let found = store.read(T, b"a").await.expect("a read");
        assert_eq!(found.map_or(0, |row| row.revision), revision - 1);
        commit(&store, one(T, b"a", put(revision, "x"))).await;
        if revision.is_multiple_of(2) {
            store.close().await.expect("the store closes");
        }
    }
    let store = bed.open().await;
    assert_eq!(rows_by_digest(&store, T).await, 1);
}

pub(crate) async fn closed_store_refuses_every_call(bed: &dyn Bed) {
    let store = bed.open().await;
    commit(&store, one(T, b"a", put(1, "x"))).await;
    store.close().await.expect("the store closes");
    let late = store.commit(one(T, b"a", put(2, "x"))).await;
    assert_eq!(late, Err(StoreError::Closed));
    assert_eq!(store.read(T, b"a").await, Err(StoreError::Closed));
    assert_eq!(store.scan(T, &Scan::all(1)).await, Err(StoreError::Closed));
    assert_eq!(store.digests(T).await, Err(StoreError::Closed));
    assert_eq!(store.close().await, Ok(()));
}

pub(crate) async fn what_is_out_of_bounds_is_refused(bed: &dyn Bed) {
    let store = bed.open().await;
    let mut wide = Batch::new();
    for n in 0..=STORE_BATCH_ROWS_MAX {
        wide.push(T, &n.to_be_bytes(), put(1, "x"));
    }
    let refused = store.commit(wide).await;
    assert!(matches!(
        refused,
        Err(StoreError::BatchTooLarge { rows: 501, .. })
    ));
    for key in [vec![], vec![0; STORE_KEY_BYTES_MAX + 1]] {
        let refused = store.commit(one(T, &key, put(1, "x"))).await;
        assert!(matches!(refused, Err(StoreError::KeyLength { .. })));
    }
    let long = "x".repeat(STORE_VALUE_BYTES_MAX + 1);
    let refused = store.commit(one(T, b"a", put(1, &long))).await;
    assert!(matches!(refused, Err(StoreError::ValueTooLong { .. })));
    let mut twice = one(T, b"a", put(1, "x"));
    twice.push(T, b"a", Change::Expect { revision: 1 });
    let refused = store.commit(twice).await;
    assert_eq!(refused, Err(StoreError::RowTwice { table: T }));
    for change in [put(0, "x"), Change::Delete { revision: 0 }] {
        let refused = store.commit(one(T, b"a", change)).await;
        assert_eq!(refused, Err(StoreError::RevisionOutOfRange { table: T }));
    }
    assert!(keys(&store, Scan::all(10)).await.is_empty());
}

pub(crate) async fn largest_batch_of_largest_rows_is_taken(bed: &dyn Bed) {
    let store = bed.open().await;
    for round in 1..=3_u64 {
        let byte = u8::try_from(round).expect("small");
        let mut batch = Batch::new();
        for n in 0..STORE_BATCH_ROWS_MAX {
            let mut key = [byte; STORE_KEY_BYTES_MAX];
            key[..8].copy_from_slice(&n.to_be_bytes());
            let change = Change::Put {
                revision: 1,
                sealed: Sealed::from_stored(vec![byte; STORE_VALUE_BYTES_MAX]),
            };
            batch.push(T, &key, change);
        }
        commit(&store, batch).await;
    }
    let page = store.scan(T, &Scan::all(usize::MAX)).await.expect("a page");
    assert_eq!(page.len(), STORE_SCAN_ROWS_MAX);
}
