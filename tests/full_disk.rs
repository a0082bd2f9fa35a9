//! A node whose file system is full refuses to ask and to answer, because neither could be logged;
//! it says why, and goes on when space returns. On a real tmpfs, which takes root to mount; without
//! root the test says that it was skipped.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, MemberId, Money, Product, Purpose,
};
use creditmesh::flows::{AuditReader, FlowError, NewApplication};
use creditmesh::node::NodeParts;
use creditmesh::protocol::audit::AuditJudge;
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;

/// Below the 64 MiB at which a store stops to write.
const LEFT_BYTES: u64 = 56 << 20;

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// A file system of 400 MiB, gone with its owner.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where it cannot be mounted.
    fn mount(place: PathBuf) -> Option<Self> {
        std::fs::create_dir(&place).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=400m", "tmpfs"])
            .arg(&place);
        let mounted = mount.output().is_ok_and(|done| done.status.success());
        mounted.then(|| Self(place))
    }

    /// Takes all space but some MiB.
    fn fill(&self) -> PathBuf {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        let free = found.f_bavail * found.f_frsize;
        let path = self.0.join("filler");
        let file = std::fs::File::create(&path).unwrap();
        let size = free.checked_sub(LEFT_BYTES).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        drop(unmounted);
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn say_skipped() {
    eprintln!("skipped: a tmpfs cannot be mounted here, which takes root");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn assess(network: &SimulatedNetwork, at: &str, key: &str) -> Result<Value, FlowError> {
    let wanted = NewApplication {
        borrower: Borrower {
            national: Some(Identifier::parse("us-ssn:536904401", None).unwrap()),
            phone: None,
            name_dob: None,
        },
        kind: ApplicationKind::Application,
        purpose: Purpose::CreditApplication,
        product: Product::InstalmentUnsecured,
        amount: Some(Money::of(120_000, "USD".parse().unwrap())),
        term_days: Some(90),
        income_month: None,
        consent_reference: "C-1".to_owned(),
    };
    let desk = network.node(&member(at)).unwrap().desk().clone();
    let given = desk.assess(key, &wanted).await?;
    Ok(serde_json::from_str(&given.json).unwrap())
}

/// Entries of alpha's audit log, all of which must hold.
async fn entries(network: &SimulatedNetwork) -> u64 {
    let home = Arc::clone(&network.node(&member("alpha")).unwrap().core().home);
    let reader = AuditReader::new(home);
    let mut judge = AuditJudge::new(&reader.origin(), reader.keys(), None);
    let page = reader.page(0, reader.size().await.unwrap()).await.unwrap();
    page.checkpoints
        .iter()
        .for_each(|note| judge.checkpoint(note));
    for (index, line) in &page.entries {
        judge.entry(*index, line.as_bytes(), None);
    }
    let verdict = judge.finish();
    assert_eq!(verdict.faults, []);
    verdict.entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_full_file_system_neither_asks_nor_answers_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tmpfs) = Tmpfs::mount(dir.path().join("small")) else {
        say_skipped();
        return;
    };
    let id = "test-net".parse().unwrap();
    let currency = "USD".parse().unwrap();
    let parts = NodeParts::default();
    let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
    network.join_lenders(&["alpha", "beta"]).await.unwrap();
    let (folder, moved) = (dir.path().join("alpha"), tmpfs.0.join("alpha"));
    copy(&folder, &moved);
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&moved, &folder).unwrap();
    network.start_all().await.unwrap();
    assess(&network, "alpha", "a-1").await.unwrap();
    let answered = assess(&network, "beta", "b-1").await.unwrap();
    assert_eq!(answered["coverage"]["answered"], 1, "{answered:#}");
    let before = entries(&network).await;

    let filler = tmpfs.fill();
    let refused = assess(&network, "alpha", "a-2")
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("below its watermark"), "{refused}");
    let unanswered = assess(&network, "beta", "b-2").await.unwrap();
    assert_eq!(unanswered["coverage"]["answered"], 0, "{unanswered:#}");
    let silent = unanswered["coverage"]["silent"].to_string();
    assert!(silent.contains("refused"), "{silent}");
    // What was logged is still read, and holds.
    assert_eq!(entries(&network).await, before);

    std::fs::remove_file(filler).unwrap();
    assess(&network, "alpha", "a-3").await.unwrap();
    let answered = assess(&network, "beta", "b-3").await.unwrap();
    assert_eq!(answered["coverage"]["answered"], 1, "{answered:#}");
    assert!(entries(&network).await >= before + 2);
    network.stop_all().await.unwrap();
}
