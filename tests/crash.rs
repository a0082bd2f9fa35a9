//! Kills the program with SIGKILL at random instants of imports and assessments: nothing that was
//! acknowledged is lost, and `node verify` finds every store sound.
//!
//! `CREDITMESH_TEST_SIZE=full` kills 50 times each; without it 6 times. `docs/crash-tests.md` keeps
//! the output of a full run.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests may panic, wait, and read the size that they are run with"
)]

#[path = "crash/bed.rs"]
mod bed;
#[path = "crash/erasing.rs"]
mod erasing;

use std::collections::BTreeMap;
use std::time::Duration;

use creditmesh::domain::RecordId;
use creditmesh::flows::Book;
use creditmesh::node::{Folder, NodeError, verify};
use creditmesh::store::StoreError;
use serde_json::Value;

use bed::{Bed, Lender, kills_wanted, pause, run, served};

/// Rows of one import file: several commits.
const ROWS_PER_FILE: usize = 2_000;

/// Tries again while the store is locked: the system may let go of a killed process's lock a moment
/// after the process is gone, and a child of another test that has just begun may hold a copy.
async fn unlocked<T, F>(mut open: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, NodeError>>,
{
    for _ in 0..200 {
        match open().await {
            Err(NodeError::Store(StoreError::Locked { .. })) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other.unwrap(),
        }
    }
    panic!("the store of a killed node was still locked after 10 s");
}

/// Reads everything back; gives the number of rows in the store.
async fn sound(folder: &Folder) -> u64 {
    let report = unlocked(|| verify(folder, |_| {})).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    report.rows()
}

async fn all_there(folder: &Folder, ids: impl Iterator<Item = RecordId>) -> usize {
    let opened = unlocked(|| folder.open()).await;
    let book = Book::new(opened.vault.clone());
    let mut count = 0;
    for id in ids {
        let found = book.find(id).await.unwrap();
        assert!(found.is_some(), "{id} was acknowledged and is lost");
        count += 1;
    }
    opened.close().await.unwrap();
    count
}

/// Imports file after file, killing what keeps the store; gives a line for the records.
async fn kill_during_import(through_a_running_node: bool) -> String {
    let mut bed = Bed::new(&["alpha"]).await;
    let (folder, dir) = bed.folder("alpha");
    let (mut kills, mut acknowledged, mut rows) = (0, 0, 0);
    while kills < kills_wanted() {
        let file = bed.write_import(ROWS_PER_FILE);
        loop {
            let mut node = through_a_running_node.then(|| served(&dir));
            let import = ["records", "import", &file.path, "--dir", &dir, "--json"];
            let mut import = bed::begin(&import);
            pause(if through_a_running_node { 900 } else { 600 });
            let ended = import.try_wait().unwrap();
            let victim = node.as_mut().unwrap_or(&mut import);
            victim.kill().unwrap();
            victim.wait().unwrap();
            import.wait().unwrap();
            // The mark names the last line whose rows were acknowledged as durable.
            let mark = folder.import_mark(file.path.as_ref()).unwrap().line();
            let whole = ended.is_some_and(|status| status.success());
            let line = if whole {
                ROWS_PER_FILE
            } else {
                kills += 1;
                usize::try_from(mark).unwrap()
            };
            rows = sound(&folder).await;
            let ids = file.ids.iter().take(line).copied();
            let there = all_there(&folder, ids).await;
            if whole || kills >= kills_wanted() {
                acknowledged += there;
                break;
            }
        }
    }
    let target = if through_a_running_node {
        "the running node while records import furnished"
    } else {
        "records import on a stopped node"
    };
    bed.stop().await;
    format!(
        "{target}: {kills} kills, {acknowledged} acknowledged rows all there, \
         {rows} rows in the store verified clean"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_acknowledged_by_an_import_that_is_killed_are_all_there() {
    println!("{}", kill_during_import(false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_acknowledged_by_a_node_that_is_killed_are_all_there() {
    println!("{}", kill_during_import(true).await);
}

/// What the killed node had acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Answers by query id.
    answers: BTreeMap<String, Value>,
    holds: Vec<RecordId>,
    /// Application ids by idempotency key, with the borrower.
    applications: BTreeMap<String, (String, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_holds_and_answers_of_a_node_that_is_killed_are_all_there() {
    let mut bed = Bed::new(&["alpha", "beta", "gamma"]).await;
    bed.start(&["beta", "gamma"]).await;
    let (folder, dir) = bed.folder("alpha");
    let mut known = Acknowledged::default();
    let (mut answered, mut held) = (0, 0);
    let mut rows = 0;
    for round in 0..kills_wanted() {
        let mut node = served(&dir);
        repeat_what_was_acknowledged(&dir, &known);
        known = Acknowledged::default();
        let lenders: Vec<_> = (0..2)
            .map(|desk| Lender::start(&dir, round * 2 + desk))
            .collect();
        pause(2_500);
        node.kill().unwrap();
        node.wait().unwrap();
        for lender in lenders {
            for step in lender.join().await {
                let id = step.application.clone();
                known.applications.insert(step.key, (step.borrower, id));
                let query = step.answer["query_id"].as_str().unwrap().to_owned();
                known.answers.insert(query, step.answer);
                known.holds.extend(step.hold);
            }
        }
        rows = sound(&folder).await;
        let applications = known.applications.values();
        let ids = applications.map(|(_, id)| RecordId(id.parse().unwrap()));
        answered += all_there(&folder, ids).await;
        held += all_there(&folder, known.holds.iter().copied()).await;
    }
    let mut node = served(&dir);
    repeat_what_was_acknowledged(&dir, &known);
    node.kill().unwrap();
    node.wait().unwrap();
    assert!(answered > 0 && held > 0, "{answered} {held}");
    bed.stop().await;
    let kills = kills_wanted();
    println!(
        "the node while two desks assessed and held: {kills} kills, {answered} acknowledged \
         applications with their answers and {held} holds all there, {rows} rows in the store \
         verified clean"
    );
}

/// Answers can be fetched again, and a repeated request is the same application.
fn repeat_what_was_acknowledged(dir: &str, known: &Acknowledged) {
    for (query, answer) in known.answers.iter().take(5) {
        let (_, again) = run(&["answer", query, "--dir", dir, "--json"]);
        assert_eq!(again, *answer);
    }
    for (key, (borrower, application)) in known.applications.iter().take(3) {
        let (_, again) = bed::assess(dir, key, borrower);
        assert_eq!(again["application_id"], **application, "{again:#}");
    }
}
