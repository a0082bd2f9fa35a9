//! What the disk engine answers to wrong folders, damage and full disks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::crypto::Secret;
use creditmesh::limits::{STORE_BATCH_ROWS_MAX, STORE_VALUE_BYTES_MAX};
use creditmesh::store::{
    Batch, Change, OpenMode, Scan, SledOptions, SledStore, Space, SpaceSource, Store, StoreError,
    Table,
};

use crate::bed::{digest_key, one, put, row, sealed, sled_options};

const T: Table = Table::Record;
const MIB: u64 = 1 << 20;

async fn open(options: SledOptions) -> Result<SledStore, StoreError> {
    SledStore::open(options, &digest_key()).await
}

fn with_mode(folder: &Path, mode: OpenMode) -> SledOptions {
    let mut options = sled_options(folder.to_owned());
    options.mode = mode;
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder_is_taken_only_as_its_mode_says() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = place.path().join("a").join("store");
    let none = open(with_mode(&folder, OpenMode::Existing)).await;
    let folder_of = |folder: &Path| folder.to_owned();
    let expected = StoreError::NoStore {
        folder: folder_of(&folder),
    };
    assert_eq!(none.err(), Some(expected));
    assert!(!folder.exists());

    let store = open(with_mode(&folder, OpenMode::New))
        .await
        .expect("a new store");
    store
        .commit(one(T, b"a", put(1, "x")))
        .await
        .expect("a write");
    store.close().await.expect("the store closes");
    let again = open(with_mode(&folder, OpenMode::New)).await;
    assert!(matches!(again, Err(StoreError::NotEmpty { .. })));
    let store = open(with_mode(&folder, OpenMode::Existing))
        .await
        .expect("the store");
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "x")));

    let foreign = place.path().join("foreign");
    fs::create_dir(&foreign).expect("a folder");
    fs::write(foreign.join("thesis.txt"), "precious").expect("a file");
    for mode in [OpenMode::Existing, OpenMode::ExistingOrNew] {
        let refused = open(with_mode(&foreign, mode)).await;
        assert!(matches!(refused, Err(StoreError::ForeignFolder { .. })));
    }
    assert!(open(with_mode(&foreign, OpenMode::New)).await.is_err());
    assert_eq!(fs::read_dir(&foreign).expect("a folder").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_in_use_is_refused_at_once_and_free_after_closing() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let first = open(options.clone()).await.expect("the store opens");
    let second = open(options.clone()).await;
    assert!(matches!(second, Err(StoreError::Locked { .. })));
    first.close().await.expect("the store closes");
    let second = open(options.clone()).await.expect("the store opens");
    drop(second);
    open(options).await.expect("the store opens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_of_another_key_ring_or_layout_is_refused() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let store = open(options.clone()).await.expect("the store opens");
    store.close().await.expect("the store closes");
    let other = SledStore::open(options.clone(), &Secret::from_bytes([1; 32])).await;
    assert_eq!(other.err(), Some(StoreError::ForeignKeys));

    let layout = |value: Option<Vec<u8>>| {
        let db = crate::keeping::raw(&options.folder);
        let old = match value {
            Some(value) => db.insert([0, b'L'], value),
            None => db.remove([0, b'L']),
        };
        old.expect("a write").expect("a layout row").to_vec()
    };
    let sound = layout(Some(vec![0, 0, 0, 9, 1, 2, 3]));
    let newer = open(options.clone()).await;
    let expected = StoreError::LayoutVersion { found: 9, ours: 1 };
    assert_eq!(newer.err(), Some(expected));
    layout(None);
    let damaged = open(options.clone()).await;
    assert!(matches!(damaged, Err(StoreError::Damaged { .. })));
    let db = crate::keeping::raw(&options.folder);
    db.insert([0, b'L'], sound).expect("a write");
    drop(db);
    open(options).await.expect("the store opens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_torn_by_a_crash_does_not_keep_the_store_from_opening() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let store = open(options.clone()).await.expect("the store opens");
    store
        .commit(one(T, b"a", put(1, "x")))
        .await
        .expect("a write");
    store.close().await.expect("the store closes");
    let torn = options.folder.join("sled/snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(torn, [7; 40]).expect("a file");
    let store = open(options).await.expect("the store opens");
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "x")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_ends_before_what_was_acknowledged_is_refused() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let earlier = place.path().join("earlier");
    let store = open(options.clone()).await.expect("the store opens");
    store
        .commit(one(T, b"a", put(1, "x")))
        .await
        .expect("a write");
    store.close().await.expect("the store closes");
    run(
        "cp",
        &["-r", &text(&options.folder.join("sled")), &text(&earlier)],
    )
    .expect("a copy");
    let store = open(options.clone()).await.expect("the store opens");
    store
        .commit(one(T, b"a", put(2, "y")))
        .await
        .expect("a write");
    store.close().await.expect("the store closes");

    fs::remove_dir_all(options.folder.join("sled")).expect("sled goes");
    fs::rename(&earlier, options.folder.join("sled")).expect("the earlier one comes");
    let refused = open(options.clone()).await.expect_err("a store put back");
    assert!(
        refused.to_string().contains("ends 1 groups before"),
        "{refused}"
    );

    fs::remove_dir_all(options.folder.join("sled")).expect("sled goes");
    let refused = open(options).await.expect_err("a store without its log");
    assert!(matches!(refused, StoreError::Damaged { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_cut_short_begins_anew_and_a_lost_format_file_does_not() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let store = open(options.clone()).await.expect("the store opens");
    store.close().await.expect("the store closes");
    fs::remove_file(options.folder.join("store.format")).expect("the format goes");
    let refused = open(options.clone()).await;
    assert!(matches!(refused, Err(StoreError::ForeignFolder { .. })));

    fs::write(options.folder.join("store.creating"), "").expect("a file");
    let store = open(options.clone()).await.expect("the store opens");
    store
        .commit(one(T, b"a", put(1, "x")))
        .await
        .expect("a write");
    assert!(!options.folder.join("store.creating").exists());
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_writes_but_not_reads_until_space_returns() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut options = SledOptions::new(place.path().join("store"), OpenMode::New);
    let space = |free_mib: u64| Space {
        free_bytes: free_mib * MIB,
        total_bytes: 1_000 * MIB,
    };
    let told = Arc::new(Mutex::new(space(500)));
    options.space = SpaceSource::Told(Arc::clone(&told));
    let store = open(options).await.expect("the store opens");
    store
        .commit(one(T, b"a", put(1, "x")))
        .await
        .expect("a write");

    *told.lock().expect("a lock") = space(99);
    let refused = store.commit(one(T, b"a", put(2, "y"))).await;
    assert_eq!(refused, Err(StoreError::DiskFull { free_mib: 99 }));
    assert_eq!(store.read(T, b"a").await, Ok(row(1, "x")));

    *told.lock().expect("a lock") = space(101);
    store
        .commit(one(T, b"a", put(2, "y")))
        .await
        .expect("a write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn largest_rows_stay_within_the_log_that_is_synced() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let options = sled_options(place.path().join("store"));
    let store = open(options.clone()).await.expect("the store opens");
    let content = "x".repeat(STORE_VALUE_BYTES_MAX);
    for revision in 1..=4 {
        let mut batch = Batch::new();
        for n in 0..STORE_BATCH_ROWS_MAX {
            batch.push(T, &n.to_be_bytes(), put(revision, &content));
        }
        store.commit(batch).await.expect("a write");
    }
    for n in (0..STORE_BATCH_ROWS_MAX).filter(|n| !n.is_multiple_of(3)) {
        let gone = Change::Delete { revision: 4 };
        store
            .commit(one(T, &n.to_be_bytes(), gone))
            .await
            .expect("a write");
    }
    store.close().await.expect("the store closes");
    let aside = fs::read_dir(options.folder.join("sled/blobs"))
        .expect("a folder")
        .count();
    assert_eq!(aside, 0, "sled put pages aside, which it never syncs");
}

/// Copies a store's folder with one bit of sled's file flipped.
fn copy_with_a_flip(from: &Path, to: &Path, at: usize) {
    fs::create_dir_all(to.join("sled/blobs")).expect("a folder");
    for name in ["store.format", "store.mark"] {
        fs::copy(from.join(name), to.join(name)).expect("a copy");
    }
    for entry in fs::read_dir(from.join("sled")).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            let mut bytes = fs::read(entry.path()).expect("a file");
            if entry.file_name() == "db" {
                bytes[at] ^= 0x04;
            }
            fs::write(to.join("sled").join(entry.file_name()), bytes).expect("a write");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bit_never_ends_the_process_and_never_goes_unseen() {
    const ROWS: u32 = 2_000;
    let wanted = std::env::var_os("CREDITMESH_STORE_TEST_FLIPS");
    let wanted = wanted.as_deref().and_then(std::ffi::OsStr::to_str);
    let flips: usize = wanted.map_or(24, |text| text.parse().expect("a number"));
    let place = tempfile::tempdir().expect("a temporary folder");
    let (keys, _) = crate::keeping::keyring(1);
    let sound = place.path().join("sound");
    // Once with a log that sled has to read at opening, once with a snapshot of it.
    for opened_again in [false, true] {
        let vault = crate::keeping::sled_vault(&sound, &keys)
            .await
            .expect("the store opens");
        if !opened_again {
            crate::keeping::fill(&vault, ROWS).await;
        }
        vault.store().close().await.expect("the store closes");
        let bytes = fs::read(sound.join("sled/db")).expect("sled's file");
        let last = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .expect("a used byte");
        let (mut refused, mut found, mut harmless) = (0, 0, 0);
        for n in 0..flips {
            let copy = place.path().join(format!("flip-{opened_again}-{n}"));
            copy_with_a_flip(&sound, &copy, last * n / (flips - 1));
            let judged = tokio::time::timeout(Duration::from_secs(20), async {
                let vault = crate::keeping::sled_vault(&copy, &keys).await?;
                creditmesh::store::verify(&vault, &[], &mut |_| ()).await
            });
            match judged.await.expect("an answer in time") {
                Err(_) => refused += 1,
                Ok(report) if report.is_clean() => {
                    assert_eq!(report.rows(), u64::from(2 * ROWS));
                    harmless += 1;
                }
                Ok(_) => found += 1,
            }
        }
        println!("with a snapshot: {opened_again}; of {flips} flipped bits {refused} are refused");
        println!("at opening, {found} are found by verify, {harmless} are without effect");
        assert!(refused + found > 0);
    }
}

/// A small file system of its own, mounted until dropped; needs root and loop devices.
pub(crate) struct Mount(pub(crate) tempfile::TempDir);

impl Mount {
    /// A mounted ext4 file system, or why there is none.
    pub(crate) fn new(mib: u64) -> Result<Self, String> {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mount = Self(place);
        let image = fs::File::create(mount.image()).map_err(|error| error.to_string())?;
        image
            .set_len(mib * MIB)
            .map_err(|error| error.to_string())?;
        fs::create_dir(mount.path()).map_err(|error| error.to_string())?;
        let image = mount.image();
        run("mkfs.ext4", &["-q", "-m", "0", &image.to_string_lossy()])?;
        mount.mount()?;
        Ok(mount)
    }

    fn image(&self) -> std::path::PathBuf {
        self.0.path().join("image")
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mounted")
    }

    pub(crate) fn mount(&self) -> Result<(), String> {
        let (image, path) = (self.image(), self.path());
        let [image, path] = [image.to_string_lossy(), path.to_string_lossy()];
        run("mount", &["-o", "loop", &image, &path])
    }

    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", &[&self.path().to_string_lossy()])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.unmount());
    }
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(format!("{program}: {said}"))
}

/// Writes rows of 8 KiB until the store refuses; gives their number and the refusal.
async fn write_until_refused(store: &SledStore, from: u32) -> (u32, StoreError) {
    let content = "x".repeat(8 << 10);
    let mut n = from;
    loop {
        match store
            .commit(one(T, &n.to_be_bytes(), put(1, &content)))
            .await
        {
            Ok(()) => n += 1,
            Err(refusal) => return (n, refusal),
        }
    }
}

async fn rows(store: &SledStore) -> u32 {
    let mut rows = 0;
    let mut scan = Scan::all(500);
    loop {
        let page = store.scan(T, &scan).await.expect("a page");
        rows += u32::try_from(page.len()).expect("small");
        match page.last() {
            Some((key, _)) if page.len() == 500 => scan = scan.behind(key),
            _ => return rows,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_that_really_fills_up_loses_nothing_acknowledged() {
    let mount = match Mount::new(96) {
        Ok(mount) => mount,
        Err(reason) => return println!("skipped: needs root and a loop device ({reason})"),
    };
    let ballast = mount.path().join("ballast");
    fs::write(&ballast, vec![1; 24 << 20]).expect("a file");
    let mut options = sled_options(mount.path().join("store"));
    options.watermark.free_bytes_min = 16 * MIB;
    let store = open(options.clone()).await.expect("the store opens");
    let (refused_at, refusal) = write_until_refused(&store, 0).await;
    assert!(matches!(refusal, StoreError::DiskFull { .. }), "{refusal}");
    assert_eq!(rows(&store).await, refused_at);
    store.close().await.expect("the store closes");

    // Without the watermark the disk fills up to the last byte.
    options.watermark.free_bytes_min = 0;
    let store = open(options.clone()).await.expect("the store opens");
    let (full_at, refusal) = write_until_refused(&store, refused_at).await;
    assert!(matches!(refusal, StoreError::Stopped { .. }), "{refusal}");
    // sled may fail reads now, which need a place for what they push out; they are never wrong.
    match store.read(T, &0_u32.to_be_bytes()).await {
        Ok(row) => assert_eq!(row.map(|row| row.revision), Some(1)),
        Err(refusal) => assert!(matches!(refusal, StoreError::ReadFailed { .. })),
    }
    drop(store);

    fs::remove_file(&ballast).expect("the ballast goes");
    let store = open(options).await.expect("the store opens");
    let held = rows(&store).await;
    assert!(held >= full_at, "{held} rows of {full_at} acknowledged");
    let more = Change::Put {
        revision: 1,
        sealed: sealed("space"),
    };
    store.commit(one(T, b"more", more)).await.expect("a write");
    store.close().await.expect("the store closes");
    println!("refused by the watermark after {refused_at} rows, full after {full_at}");
}
