//! Random histories: every engine does what a sorted map of revisions does, also across reopening.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use creditmesh::store::{Batch, Change, Row, Scan, Store, StoreError, Table};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::{Bed, MemoryBed, PostgresBed, SledBed, sealed};

const TABLES: [Table; 3] = [Table::Meta, Table::Record, Table::Due];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Put,
    Restore,
    Reseal,
    Delete,
    Expect,
}

/// A change of one of a few rows; `off` is added to the revision that would fit.
#[derive(Debug, Clone)]
struct Step {
    table: Table,
    key: Vec<u8>,
    kind: Kind,
    off: u64,
}

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Step>),
    /// The node ends: in good order, or its handle is simply gone.
    Reopen {
        in_order: bool,
    },
}

type Model = BTreeMap<(Table, Vec<u8>), Row>;

fn steps() -> impl Strategy<Value = Step> {
    let kinds = prop_oneof![
        5 => Just(Kind::Put),
        1 => Just(Kind::Restore),
        2 => Just(Kind::Reseal),
        2 => Just(Kind::Delete),
        2 => Just(Kind::Expect),
    ];
    let off = prop_oneof![19 => Just(0_u64), 1 => 1..3_u64];
    let key = prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 1..3);
    (prop::sample::select(&TABLES[..]), key, kinds, off).prop_map(|(table, key, kind, off)| Step {
        table,
        key,
        kind,
        off,
    })
}

fn histories() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => prop::collection::vec(steps(), 0..6).prop_map(Op::Commit),
        1 => any::<bool>().prop_map(|in_order| Op::Reopen { in_order }),
    ];
    prop::collection::vec(op, 1..60)
}

fn change(step: &Step, model: &Model, content: &str) -> Change {
    let held = model.get(&(step.table, step.key.clone())).cloned();
    let stored = held.as_ref();
    let stored = stored.map_or(0, |row| row.revision);
    let sealed = sealed(content);
    match step.kind {
        Kind::Put => Change::Put {
            revision: stored + 1 + step.off,
            sealed,
        },
        Kind::Restore => Change::Restore {
            revision: 5 + step.off,
            sealed,
        },
        Kind::Reseal => {
            let before = held.unwrap_or(Row {
                revision: 1,
                sealed: sealed.clone(),
            });
            let revision = before.revision + step.off;
            let before = Row { revision, ..before };
            Change::Reseal { before, sealed }
        }
        Kind::Delete => Change::Delete {
            revision: stored.max(1) + step.off,
        },
        Kind::Expect => Change::Expect {
            revision: stored + step.off,
        },
    }
}

/// What the batch must lead to; the model changes where it applies.
fn expected(model: &mut Model, batch: &Batch) -> Result<(), StoreError> {
    let mut named = BTreeSet::new();
    for change in batch.changes() {
        if !named.insert((change.table, change.key.clone())) {
            let table = change.table;
            return Err(StoreError::RowTwice { table });
        }
    }
    let mut after = model.clone();
    for change in batch.changes() {
        let (table, place) = (change.table, (change.table, change.key.clone()));
        let stored = model.get(&place).map_or(0, |row| row.revision);
        let (fits, row) = match change.change.clone() {
            Change::Put { revision, sealed } => {
                (revision == stored + 1, Some(Row { revision, sealed }))
            }
            Change::Restore { revision, sealed } => (stored == 0, Some(Row { revision, sealed })),
            Change::Reseal { before, sealed } => {
                let revision = before.revision;
                let fits = model.get(&place) == Some(&before);
                (fits, Some(Row { revision, sealed }))
            }
            Change::Delete { revision } => (revision == stored, None),
            Change::Expect { revision } => (revision == stored, model.get(&place).cloned()),
        };
        if !fits {
            return Err(StoreError::Conflict { table });
        }
        match row {
            Some(row) => after.insert(place, row),
            None => after.remove(&place),
        };
    }
    *model = after;
    Ok(())
}

async fn compare(store: &Arc<dyn Store>, model: &Model) {
    for table in TABLES {
        let page = store.scan(table, &Scan::all(500)).await.expect("a page");
        let rows: Vec<(Vec<u8>, Row)> = model
            .iter()
            .filter(|((of, _), _)| *of == table)
            .map(|((_, key), row)| (key.clone(), row.clone()))
            .collect();
        let digests = store.digests(table).await.expect("the digests");
        let counted: u64 = digests
            .iter()
            .map(|d| d.expect("a sound digest").rows)
            .sum();
        assert_eq!(counted, u64::try_from(rows.len()).expect("small"));
        assert_eq!(page, rows);
    }
}

async fn live(bed: &dyn Bed, history: Vec<Op>) {
    let mut store = bed.open().await;
    let mut model = Model::new();
    for (moment, op) in history.into_iter().enumerate() {
        match op {
            Op::Commit(steps) => {
                let mut batch = Batch::new();
                for step in &steps {
                    let content = format!("{moment}");
                    batch.push(step.table, &step.key, change(step, &model, &content));
                }
                let outcome = expected(&mut model, &batch);
                assert_eq!(store.commit(batch).await, outcome);
            }
            Op::Reopen { in_order } => {
                if in_order {
                    store.close().await.expect("the store closes");
                }
                drop(store);
                store = bed.open().await;
                compare(&store, &model).await;
            }
        }
    }
    compare(&store, &model).await;
}

fn histories_agree<B: Bed>(cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&histories(), |history| {
        runtime.block_on(async { live(&B::make().await, history).await });
        Ok(())
    });
    outcome.expect("the engine agrees with the model");
}

#[test]
fn memory_agrees_with_the_model() {
    histories_agree::<MemoryBed>(500);
}

#[test]
fn sled_agrees_with_the_model() {
    histories_agree::<SledBed>(12);
}

#[test]
fn postgres_agrees_with_the_model() {
    histories_agree::<PostgresBed>(12);
}
