//! The program as child processes, their files, and the peers that run beside them.

use std::ffi::OsString;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use creditmesh::domain::{MemberId, RecordId};
use creditmesh::env::{Entropy, OsEntropy};
use creditmesh::node::{Folder, NodeParts};
use creditmesh::workload::SimulatedNetwork;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often each test kills.
pub(crate) fn kills_wanted() -> usize {
    let size = std::env::var("CREDITMESH_TEST_SIZE");
    if size.as_deref() == Ok("full") { 50 } else { 6 }
}

/// Waits for a random time of at most `most_ms`.
pub(crate) fn pause(most_ms: u64) {
    let mut random = [0; 8];
    OsEntropy::default().fill(&mut random).unwrap();
    let wait = u64::from_le_bytes(random) % most_ms;
    std::thread::sleep(Duration::from_millis(wait));
}

/// The program under test: the one that was built with this test, or `CREDITMESH_PROGRAM`.
fn program() -> OsString {
    let other = std::env::var_os("CREDITMESH_PROGRAM");
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_creditmesh").into())
}

/// A command that is under way.
pub(crate) fn begin(arguments: &[&str]) -> Child {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs a command to its end; gives its exit code and what it printed for machines.
pub(crate) fn run(arguments: &[&str]) -> (i32, Value) {
    let ended = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let value = serde_json::from_slice(&ended.stdout).unwrap_or_default();
    (ended.status.code().unwrap(), value)
}

/// A node that serves.
pub(crate) fn served(dir: &str) -> Child {
    let mut child = Command::new(program())
        .args(["node", "serve", "--dir", dir])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("serving peers on"), "{line:?}");
    child
}

/// Assesses a borrower; gives the exit code and the answer.
pub(crate) fn assess(dir: &str, key: &str, borrower: &str) -> (i32, Value) {
    run(&[
        "assess",
        "--dir",
        dir,
        "--id",
        borrower,
        "--consent",
        "C-1",
        "--amount",
        "1200.00 USD",
        "--idempotency-key",
        key,
        "--json",
    ])
}

/// An import file and the ids of its rows, in their order.
#[derive(Debug)]
pub(crate) struct ImportFile {
    pub(crate) path: String,
    pub(crate) ids: Vec<RecordId>,
}

/// A network on disk, some of whose nodes run in this process.
#[derive(Debug)]
pub(crate) struct Bed {
    dir: TempDir,
    network: SimulatedNetwork,
    files: u128,
}

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

impl Bed {
    pub(crate) async fn new(members: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (id, usd) = ("crash-net".parse().unwrap(), "USD".parse().unwrap());
        let parts = NodeParts::default();
        let mut network = SimulatedNetwork::found(dir.path(), id, usd, parts).unwrap();
        network.join_lenders(members).await.unwrap();
        Self {
            dir,
            network,
            files: 0,
        }
    }

    pub(crate) async fn start(&mut self, members: &[&str]) {
        for name in members {
            self.network.start(&member(name)).await.unwrap();
        }
    }

    pub(crate) async fn stop(&mut self) {
        self.network.stop_all().await.unwrap();
    }

    /// A member's folder, and its path as an argument.
    pub(crate) fn folder(&self, name: &str) -> (Folder, String) {
        let folder = self.network.folder_of(&member(name)).unwrap().clone();
        let path = folder.path().display().to_string();
        (folder, path)
    }

    /// Writes applications of borrowers of their own, each under a fresh id.
    pub(crate) fn write_import(&mut self, rows: usize) -> ImportFile {
        self.files += 1;
        let base = 0x019c_0000_0000_7000_8000_0000_0000_0000_u128 | (self.files << 32);
        let mut text = String::new();
        let mut ids = Vec::with_capacity(rows);
        for row in 1..=rows {
            let id = Uuid::from_u128(base + u128::try_from(row).unwrap());
            let application = json!({
                "kind": "application", "record_id": id.to_string(), "version": 1,
                "reported_at": "2026-01-10T12:00:00Z", "as_of": "2026-01-10T12:00:00Z",
                "national_id": format!("us-ssn:5369{row:05}"), "product": "cash-loan",
                "application_kind": "application", "purpose": "credit-application",
                "amount": "1200.00 USD", "channel": "web", "at": "2026-01-10T12:00:00Z",
                "outcome": "declined", "outcome_at": "2026-01-10T12:00:00Z",
            });
            writeln!(text, "{application}").unwrap();
            ids.push(RecordId(id));
        }
        let path = self.dir.path().join(format!("import-{}.jsonl", self.files));
        std::fs::write(&path, text).unwrap();
        ImportFile {
            path: path.display().to_string(),
            ids,
        }
    }
}

/// What the node acknowledged to a desk.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) key: String,
    pub(crate) borrower: String,
    pub(crate) application: String,
    pub(crate) answer: Value,
    pub(crate) hold: Option<RecordId>,
}

/// A desk that assesses and holds until its node is gone.
#[derive(Debug)]
pub(crate) struct Lender(JoinHandle<Vec<Step>>);

impl Lender {
    pub(crate) fn start(dir: &str, desk: usize) -> Self {
        let dir = dir.to_owned();
        Self(tokio::task::spawn_blocking(move || lend(&dir, desk)))
    }

    pub(crate) async fn join(self) -> Vec<Step> {
        self.0.await.unwrap()
    }
}

fn lend(dir: &str, desk: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for applicant in 1.. {
        let key = format!("{desk}-{applicant}");
        let borrower = format!("us-ssn:5369{:05}", desk * 50 + applicant % 50 + 1);
        let (code, answer) = assess(dir, &key, &borrower);
        // 3 says that peers were silent; application and answer are acknowledged all the same.
        if code != 0 && code != 3 {
            break;
        }
        let application = answer["application_id"].as_str().unwrap().to_owned();
        let hold = [
            "hold",
            &application,
            "--dir",
            dir,
            "--json",
            "--idempotency-key",
            &key,
        ];
        let (code, held) = run(&hold);
        let hold =
            (code == 0).then(|| RecordId(held["record_id"].as_str().unwrap().parse().unwrap()));
        let gone = hold.is_none();
        steps.push(Step {
            key,
            borrower,
            application,
            answer,
            hold,
        });
        if gone {
            break;
        }
    }
    steps
}
