//! Rates of the disk store beside the floor of the disk they ran on, measured in the same run.
//!
//! `cargo bench --bench store [-- FOLDER]`; the folder says which disk, default the current one.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints and stops where its ground gives way"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use creditmesh::crypto::{KdfCost, Keyring, Secret, Unlock};
use creditmesh::env::OsEntropy;
use creditmesh::store::{OpenMode, Scan, SledOptions, SledStore, Table, Vault};

/// Bytes of a row's content before sealing.
const CONTENT_BYTES: usize = 120;
/// Rows that are in the store before measuring begins.
const OLD_ROWS: u64 = 100_000;
const ROUNDS: u32 = 3;
const WINDOW: Duration = Duration::from_secs(2);

/// Times of single commits within one window, in microseconds.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn add(&mut self, start: Instant) {
        let micros = start.elapsed().as_micros();
        self.0.push(u64::try_from(micros).unwrap_or(u64::MAX));
    }

    fn print(mut self, name: &str, rows_each: u64, elapsed: Duration) -> f64 {
        self.0.sort_unstable();
        let at = |percent: usize| {
            let place = self.0.len() * percent / 100;
            self.0.get(place).copied().unwrap_or_default()
        };
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let rows = f64::from(count) * f64::from(u32::try_from(rows_each).unwrap_or(u32::MAX));
        let rate = rows / elapsed.as_secs_f64();
        let (p50, p99) = (at(50), at(99));
        println!("{name:<44} {rate:>10.0} rows/s   p50 {p50:>6} us   p99 {p99:>6} us");
        rate
    }
}

/// What the disk itself does: one row's bytes written over and synced.
fn floor(folder: &Path) -> f64 {
    const FILE_BYTES: u64 = 8 << 20;
    let file = File::create(folder.join("floor")).expect("a file");
    for offset in (0..FILE_BYTES).step_by(4_096) {
        file.write_all_at(&[1; 4_096], offset).expect("a write");
    }
    file.sync_all().expect("a sync");
    let mut times = Times::default();
    let (begin, mut offset) = (Instant::now(), 0);
    while begin.elapsed() < WINDOW {
        let start = Instant::now();
        file.write_all_at(&[7; 200], offset).expect("a write");
        file.sync_data().expect("a sync");
        offset = (offset + 200) % (FILE_BYTES - 200);
        times.add(start);
    }
    times.print("floor: write 200 B and fdatasync", 1, begin.elapsed())
}

/// Commits of `rows` new rows each, by `writers` tasks at once.
async fn commits(vault: &Vault, round: u32, writers: u32, rows: u64) -> f64 {
    let name = format!("commit of {rows} rows, {writers} writers");
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let vault = vault.clone();
            let name = name.clone();
            tokio::spawn(async move {
                let mut times = Times::default();
                while begin.elapsed() < WINDOW {
                    let mut batch = vault.batch();
                    for row in 0..rows {
                        let done = times.0.len();
                        let name = format!("{name} {round} {writer} {done} {row}");
                        let key = vault.row_key(Table::Record, name.as_bytes());
                        batch.put(Table::Record, &key, 0, &[7; CONTENT_BYTES]);
                    }
                    let start = Instant::now();
                    vault.commit(batch).await.expect("a commit");
                    times.add(start);
                }
                times
            })
        })
        .collect();
    let mut all = Times::default();
    for task in tasks {
        all.0.extend(task.await.expect("the task ends").0);
    }
    all.print(&name, rows, begin.elapsed())
}

async fn reads(vault: &Vault) {
    let begin = Instant::now();
    let mut times = Times::default();
    let mut n = 0_u64;
    while begin.elapsed() < WINDOW {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = vault.row_key(Table::Answer, &(n % OLD_ROWS).to_be_bytes());
        let start = Instant::now();
        let row = vault.read(Table::Answer, &key).await.expect("a read");
        assert!(row.is_some());
        times.add(start);
    }
    times.print("read and open, one after the other", 1, begin.elapsed());

    let begin = Instant::now();
    let (mut scan, mut rows) = (Scan::all(500), 0_u32);
    loop {
        let page = vault.scan(Table::Answer, &scan).await.expect("a page");
        rows += u32::try_from(page.len()).unwrap_or_default();
        match page.last() {
            Some((key, _)) if page.len() == scan.limit => scan = scan.behind(key),
            Some(_) | None => break,
        }
    }
    let rate = f64::from(rows) / begin.elapsed().as_secs_f64();
    println!("{:<44} {rate:>10.0} rows/s", "scan and open, pages of 500");
}

/// A new data key, and the old rows sealed anew under it, in one pass of pages.
async fn rekeying(vault: &Vault, text: &mut String, unlock: &Unlock) -> f64 {
    let entropy = OsEntropy::default();
    let next = Keyring::add_data_key(text, unlock, &entropy).expect("a ring");
    let keys = vault.keys().data_keys_of(&next, unlock).expect("its keys");
    vault.turn_keys(keys).await.expect("a turn");
    *text = next;
    let begin = Instant::now();
    let (mut after, mut rows) = (None, 0_u32);
    loop {
        let page = vault.reseal_page(Table::Answer, after).await;
        let page = page.expect("a page");
        rows += u32::try_from(page.resealed).unwrap_or_default();
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    let rate = f64::from(rows) / begin.elapsed().as_secs_f64();
    println!("{:<44} {rate:>10.0} rows/s", "seal anew, pages of 500");
    rate
}

async fn measure(folder: &Path) {
    let unlock = Unlock::KeyFile(Secret::from_bytes([3; 32]));
    let made = Keyring::create(&unlock, "bench", &OsEntropy::default(), KdfCost::default());
    let (keys, mut text) = made.expect("a key ring");
    let options = SledOptions::new(folder.join("store"), OpenMode::New);
    let store = SledStore::open(options, &keys.digest_key()).await;
    let vault = Vault::new(Arc::new(store.expect("a store")), Arc::new(keys));
    let names: Vec<u64> = (0..OLD_ROWS).collect();
    for chunk in names.chunks(500) {
        let mut batch = vault.batch();
        for n in chunk {
            let key = vault.row_key(Table::Answer, &n.to_be_bytes());
            batch.put(Table::Answer, &key, 0, &[7; CONTENT_BYTES]);
        }
        vault.commit(batch).await.expect("a commit");
    }
    for round in 1..=ROUNDS {
        println!("round {round}");
        let floor = floor(folder);
        let one = commits(&vault, round, 1, 1).await;
        println!("{:<44} {:>10.2}", "  ratio to the floor", one / floor);
        commits(&vault, round, 64, 1).await;
        let batches = commits(&vault, round, 1, 500).await;
        commits(&vault, round, 8, 100).await;
        reads(&vault).await;
        let anew = rekeying(&vault, &mut text, &unlock).await;
        println!(
            "{:<44} {:>10.2}",
            "  ratio to commits of 500 rows",
            anew / batches
        );
    }
    vault.store().close().await.expect("the store closes");
}

fn main() {
    let folder = std::env::args().skip(1).find(|text| !text.starts_with('-'));
    let place = tempfile::tempdir_in(folder.as_deref().unwrap_or(".")).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(place.path()));
}
