//! Acknowledged means durable: the process is killed, the power is cut, and all of it is there.
//!
//! The writing process is this very test program, started again with one test's name and a folder
//! in its environment. It notes what was acknowledged in a file outside the store.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::crypto::{KdfCost, Keyring, Secret, Unlock};
use creditmesh::env::{Entropy, OsEntropy};
use creditmesh::store::{Scan, SledStore, Table, Vault, verify};

use crate::bed::sled_options;
use crate::faults::{Mount, run};

/// Names the folder with the key ring and the notes.
const NOTES: &str = "CREDITMESH_STORE_TEST_NOTES";
/// Names the folder of the store.
const STORE: &str = "CREDITMESH_STORE_TEST_STORE";
/// How many power cuts to do; three where it is not set.
const POWER_CUTS: &str = "CREDITMESH_STORE_TEST_POWER_CUTS";

const KILLS: u32 = 20;
const WRITERS: u8 = 8;
/// Rows of a batch besides its head.
const ROWS: u8 = 6;
/// Rows that every batch writes over, so that sled also cleans and reuses its log.
const HOT_ROWS: u64 = 500;

fn unlock() -> Unlock {
    Unlock::KeyFile(Secret::from_bytes([3; 32]))
}

fn new_notes(notes: &Path) {
    let made = Keyring::create(
        &unlock(),
        "lender-a",
        &OsEntropy::default(),
        KdfCost::default(),
    );
    let (_, text) = made.expect("a key ring");
    fs::write(notes.join("ring"), text).expect("a file");
    File::create(notes.join("acknowledged")).expect("a file");
}

async fn opened(notes: &Path, store: &Path) -> Vault {
    let text = fs::read_to_string(notes.join("ring")).expect("the key ring");
    let keys = Keyring::unlock(&text, &unlock(), &OsEntropy::default()).expect("the key ring");
    let options = sled_options(store.to_owned());
    let store = SledStore::open(options, &keys.digest_key()).await;
    Vault::new(Arc::new(store.expect("the store opens")), Arc::new(keys))
}

fn row_name(writer: u8, batch: u64, row: u8) -> Vec<u8> {
    let mut name = vec![writer];
    name.extend_from_slice(&batch.to_be_bytes());
    name.push(row);
    name
}

/// Commits batches one after the other and notes each that is acknowledged, until one is refused.
async fn write_batches(vault: Vault, writer: u8, acknowledged: Arc<Mutex<File>>) {
    let head = vault.read(Table::Meta, &[writer]).await.expect("a read");
    let mut done = head.map_or(0, |head| head.revision);
    // What was written but not acknowledged before a kill is durable, since it can be read.
    note(&acknowledged, writer, done);
    loop {
        let mut batch = vault.batch();
        batch.put(Table::Meta, &[writer], done, &done.to_be_bytes());
        for row in 0..ROWS {
            batch.put(Table::Record, &row_name(writer, done, row), 0, &[row; 100]);
        }
        let hot = row_name(writer, done % HOT_ROWS, 0);
        batch.put(Table::Quota, &hot, done / HOT_ROWS, &[writer; 200]);
        if vault.commit(batch).await.is_err() {
            return;
        }
        done += 1;
        note(&acknowledged, writer, done);
    }
}

/// Notes that the batches of `writer` up to `done` are durable.
fn note(acknowledged: &Mutex<File>, writer: u8, done: u64) {
    let mut note = vec![writer];
    note.extend_from_slice(&done.to_be_bytes());
    let mut file = acknowledged.lock().expect("a lock");
    file.write_all(&note).expect("a note");
}

/// Not a test by itself: what the crash tests start as a process of its own.
#[test]
fn process_that_writes_until_it_ends() {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(notes), Some(store)) = (folder(NOTES), folder(STORE)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let vault = opened(&notes, &store).await;
        let file = OpenOptions::new()
            .append(true)
            .open(notes.join("acknowledged"));
        let acknowledged = Arc::new(Mutex::new(file.expect("the notes")));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(write_batches(vault.clone(), writer, acknowledged))
            })
            .collect();
        for writer in writers {
            writer.await.expect("the writer ends");
        }
    });
}

fn start(notes: &Path, store: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args([
            "crash::process_that_writes_until_it_ends",
            "--exact",
            "--nocapture",
        ])
        .env(NOTES, notes)
        .env(STORE, store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the process starts")
}

fn random_ms(from: u64, to: u64) -> Duration {
    let mut bytes = [0; 8];
    OsEntropy::default().fill(&mut bytes).expect("random bytes");
    Duration::from_millis(from + u64::from_be_bytes(bytes) % (to - from))
}

/// The last acknowledged batch of each writer.
fn acknowledged(notes: &Path) -> Vec<u64> {
    let bytes = fs::read(notes.join("acknowledged")).expect("the notes");
    let mut last = vec![0; usize::from(WRITERS)];
    for note in bytes.chunks_exact(9) {
        let done = u64::from_be_bytes(note[1..].try_into().expect("eight bytes"));
        last[usize::from(note[0])] = done;
    }
    last
}

/// Checks that all that was acknowledged is there and that no batch is there in part; gives the
/// number of batches. `whole`: every seal and digest too.
async fn check(notes: &Path, store: &Path, whole: bool) -> u64 {
    let vault = opened(notes, store).await;
    let mut batches = 0;
    for (writer, acknowledged) in (0..WRITERS).zip(acknowledged(notes)) {
        let head = vault.read(Table::Meta, &[writer]).await.expect("a read");
        let done = head.map_or(0, |head| head.revision);
        assert!(
            done >= acknowledged,
            "writer {writer}: {done} of {acknowledged} acknowledged"
        );
        // A writer has one batch under way, so at most one was written and not acknowledged.
        assert!(
            done <= acknowledged + 1,
            "writer {writer}: {done} after {acknowledged}"
        );
        let mut scan = Scan::prefix(&[writer], 500);
        let mut expected = (0..done).flat_map(|batch| (0..ROWS).map(move |row| (batch, row)));
        loop {
            let page = vault.scan(Table::Record, &scan).await.expect("a page");
            for (key, _) in &page {
                let (batch, row) = expected.next().expect("no row too many");
                assert_eq!(
                    *key,
                    row_name(writer, batch, row),
                    "rows in order, none missing"
                );
            }
            match page.last() {
                Some((key, _)) if page.len() == scan.limit => scan = scan.behind(key),
                _ => break,
            }
        }
        assert_eq!(expected.next(), None, "no row missing");
        batches += done;
    }
    if whole {
        let report = verify(&vault, &[], &mut |_| ()).await;
        let findings = report.expect("the store is read").findings;
        assert!(findings.is_empty(), "{findings:?}");
    }
    vault.store().close().await.expect("the store closes");
    batches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_loses_nothing_acknowledged() {
    let place = tempfile::tempdir().expect("a temporary folder");
    new_notes(place.path());
    let store = place.path().join("store");
    let mut batches = 0;
    for kill in 0..KILLS {
        let mut child = start(place.path(), &store);
        tokio::time::sleep(random_ms(5, 300)).await;
        child.kill().expect("the process is killed");
        child.wait().expect("the process is gone");
        // The notes of a killed process end with a whole note: it is one small write.
        batches = check(place.path(), &store, kill % 4 == 3).await;
        assert!(kill < KILLS - 1 || batches > 0, "the process wrote nothing");
    }
    println!("{KILLS} kills, {batches} batches written, none lost, none in part");
}

/// Cuts the power of a mounted file system: what is not on the device is gone.
///
/// `FS_IOC_SHUTDOWN` with `NOLOGFLUSH`, the way the file systems' own tests do it.
fn cut_power(mounted: &Path) -> Result<(), String> {
    let script = "import fcntl, os, struct, sys\n\
                  fd = os.open(sys.argv[1], os.O_RDONLY)\n\
                  fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))";
    run("python3", &["-c", script, &mounted.to_string_lossy()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_loses_nothing_acknowledged() {
    let cuts = std::env::var_os(POWER_CUTS);
    let cuts = cuts
        .as_deref()
        .and_then(OsStr::to_str)
        .map_or(Ok(3), str::parse);
    let cuts: u32 = cuts.expect("a number of power cuts");
    let mut total = 0;
    for _ in 0..cuts {
        let mount = match Mount::new(256) {
            Ok(mount) => mount,
            Err(reason) => return println!("skipped: needs root and a loop device ({reason})"),
        };
        let place = tempfile::tempdir().expect("a temporary folder");
        new_notes(place.path());
        let store = mount.path().join("store");
        // The second cut of a file system meets a store with an earlier life.
        for _ in 0..2 {
            let mut child = start(place.path(), &store);
            tokio::time::sleep(random_ms(150, 1_200)).await;
            if let Err(reason) = cut_power(&mount.path()) {
                child.kill().expect("the process is killed");
                child.wait().expect("the process is gone");
                return println!("skipped: the power cannot be cut here ({reason})");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            child.kill().expect("the process is killed");
            child.wait().expect("the process is gone");
            mount.unmount().expect("the file system goes");
            mount.mount().expect("the file system comes back");
            total += check(place.path(), &store, true).await;
        }
    }
    println!("{cuts} file systems with two power cuts each, {total} batches, none lost");
}
