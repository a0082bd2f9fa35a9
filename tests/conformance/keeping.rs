//! Sealing, verifying, backing up and restoring, over whole stores.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use creditmesh::crypto::{KdfCost, Keyring, Sealed, Secret, Unlock};
use creditmesh::domain::Timestamp;
use creditmesh::env::SeededEntropy;
use creditmesh::store::{
    BackupError, Change, Finding, IndexCheck, MemoryStore, OpenMode, Scan, SledStore, StoreError,
    Table, Vault, VerifyReport, back_up, check_backup, read_backup_header, restore, restore_rows,
    verify,
};

use crate::bed::{one, sled_options};

const T: Table = Table::Record;

pub(crate) fn keyring(seed: u64) -> (Arc<Keyring>, String) {
    let unlock = Unlock::KeyFile(Secret::from_bytes([3; 32]));
    let entropy = SeededEntropy::from_seed(seed);
    let made = Keyring::create(&unlock, "lender-a", &entropy, KdfCost::default());
    let (keys, text) = made.expect("a key ring");
    (Arc::new(keys), text)
}

fn memory_vault(keys: &Arc<Keyring>) -> Vault {
    let store = MemoryStore::new(&keys.digest_key());
    Vault::new(Arc::new(store), Arc::clone(keys))
}

pub(crate) async fn sled_vault(folder: &Path, keys: &Arc<Keyring>) -> Result<Vault, StoreError> {
    let options = sled_options(folder.to_owned());
    let store = SledStore::open(options, &keys.digest_key()).await?;
    Ok(Vault::new(Arc::new(store), Arc::clone(keys)))
}

pub(crate) async fn fill(vault: &Vault, rows: u32) {
    let names: Vec<u32> = (0..rows).collect();
    for revision in 0..2_u64 {
        for chunk in names.chunks(200) {
            let mut batch = vault.batch();
            for n in chunk {
                let key = vault.row_key(T, &n.to_be_bytes());
                batch.put(
                    T,
                    &key,
                    revision,
                    format!("row {n} at {revision}").as_bytes(),
                );
                if revision == 0 {
                    batch.put(Table::Borrower, &key, 0, b"index");
                }
            }
            vault.commit(batch).await.expect("the rows are written");
        }
    }
}

async fn verified(vault: &Vault) -> VerifyReport {
    let report = verify(vault, &[], &mut |_| ()).await;
    report.expect("the store is read")
}

#[tokio::test]
async fn vault_gives_back_what_it_took_and_stores_no_plaintext() {
    let (keys, _) = keyring(1);
    let vault = memory_vault(&keys);
    let key = vault.row_key(T, b"loan 7");
    let mut batch = vault.batch();
    batch
        .put(T, &key, 0, b"amount 123456789012")
        .expect(T, b"other", 0);
    vault.commit(batch).await.expect("the row is written");
    let plain = vault.read(T, &key).await.expect("a read").expect("a row");
    assert_eq!(
        (plain.revision, plain.bytes.as_slice()),
        (1, &b"amount 123456789012"[..])
    );
    assert!(!format!("{plain:?}").contains("12345"));

    let stored = vault
        .store()
        .read(T, &key)
        .await
        .expect("a read")
        .expect("a row");
    let found = |text: &[u8]| {
        stored
            .sealed
            .as_bytes()
            .windows(text.len())
            .any(|w| w == text)
    };
    assert!(!found(b"amount") && !found(b"loan 7"));

    let mut stale = vault.batch();
    stale.put(T, &key, 0, b"again");
    assert_eq!(
        vault.commit(stale).await,
        Err(StoreError::Conflict { table: T })
    );
    let mut gone = vault.batch();
    gone.delete(T, &key, 1);
    vault.commit(gone).await.expect("the row is removed");
    assert_eq!(vault.scan(T, &Scan::all(9)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn row_that_was_moved_or_put_back_does_not_open() {
    let (keys, _) = keyring(1);
    let vault = memory_vault(&keys);
    let mut batch = vault.batch();
    batch.put(T, b"a", 0, b"old");
    vault.commit(batch).await.expect("the row is written");
    let row = vault
        .store()
        .read(T, b"a")
        .await
        .expect("a read")
        .expect("a row");
    let places: [(Table, &[u8], u64); 3] = [(T, b"b", 1), (Table::Answer, b"a", 1), (T, b"c", 2)];
    for (table, key, revision) in places {
        let sealed = row.sealed.clone();
        let moved = one(table, key, Change::Restore { revision, sealed });
        vault
            .store()
            .commit(moved)
            .await
            .expect("the row is written");
        let refused = vault.read(table, key).await;
        assert!(matches!(refused, Err(StoreError::SealBroken { .. })));
    }
    assert_eq!(verified(&vault).await.findings.len(), 3);
}

#[tokio::test]
async fn sound_store_verifies_clean_and_is_counted() {
    let (keys, _) = keyring(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let on_disk = sled_vault(folder.path(), &keys)
        .await
        .expect("the store opens");
    for vault in [memory_vault(&keys), on_disk] {
        fill(&vault, 700).await;
        let mut steps = Vec::new();
        let report = verify(&vault, &[], &mut |step| steps.push(step)).await;
        let report = report.expect("the store is read");
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!((report.rows(), report.buckets_unsettled), (1_400, 0));
        assert_eq!(report.tables.len(), Table::ALL.len());
        assert!(steps.iter().all(|step| step.rows_total == 1_400));
        assert_eq!(steps.last().map(|step| step.rows), Some(1_400));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_is_written_meanwhile_verifies_clean() {
    let (keys, _) = keyring(1);
    let vault = memory_vault(&keys);
    fill(&vault, 3_000).await;
    let writing = vault.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(async move {
        let key = writing.row_key(T, &7_u32.to_be_bytes());
        let mut revision = 2;
        while stopped.try_recv().is_err() {
            let mut batch = writing.batch();
            batch.put(T, &key, revision, b"busy");
            writing.commit(batch).await.expect("the row is written");
            revision += 1;
            tokio::task::yield_now().await;
        }
    });
    let report = verified(&vault).await;
    stop.send(()).expect("the writer listens");
    writer.await.expect("the writer ends");
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(report.buckets_unsettled <= 1);
}

struct Contradicting;

#[async_trait]
impl IndexCheck for Contradicting {
    fn name(&self) -> &'static str {
        "borrower index"
    }

    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError> {
        let rows = vault.scan(Table::Borrower, &Scan::all(10)).await?;
        findings.push(format!("{} rows point nowhere", rows.len()));
        Ok(())
    }
}

#[tokio::test]
async fn contradiction_of_an_index_is_a_finding() {
    let (keys, _) = keyring(1);
    let vault = memory_vault(&keys);
    fill(&vault, 5).await;
    let report = verify(&vault, &[&Contradicting], &mut |_| ()).await;
    let findings = report.expect("the store is read").findings;
    let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["borrower index: 5 rows point nowhere"]);
}

/// sled as it lies in a store's folder, for doing damage.
pub(crate) fn raw(folder: &Path) -> sled::Db {
    let config = sled::Config::new()
        .path(folder.join("sled"))
        .segment_size(2 << 20);
    (0..200)
        .find_map(|_| {
            let opened = config.open();
            if opened.is_err() {
                #[expect(clippy::disallowed_methods, reason = "sled lets its file go late")]
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            opened.ok()
        })
        .expect("sled opens")
}

fn row_keys(db: &sled::Db) -> Vec<sled::IVec> {
    let rows = db.scan_prefix([T.code()]).keys();
    rows.map(|key| key.expect("a key")).collect()
}

/// What was done to a store, and whether a finding is the right one.
type Damage = (&'static str, fn(&sled::Db), fn(&Finding) -> bool);

const DAMAGES: &[Damage] = &[
    (
        "a row is missing",
        |db| drop(db.remove(&row_keys(db)[3])),
        |finding| matches!(finding, Finding::Bucket { .. }),
    ),
    (
        "a byte is flipped",
        |db| {
            let key = row_keys(db)[5].clone();
            let mut value = db.get(&key).expect("a read").expect("a row").to_vec();
            *value.last_mut().expect("a byte") ^= 1;
            db.insert(key, value).expect("a write");
        },
        |finding| matches!(finding, Finding::Seal { .. } | Finding::Bucket { .. }),
    ),
    (
        "two rows are swapped",
        |db| {
            let keys = row_keys(db);
            let one = db.get(&keys[0]).expect("a read").expect("a row");
            let other = db.insert(&keys[9], one).expect("a write").expect("a row");
            db.insert(&keys[0], other).expect("a write");
        },
        |finding| matches!(finding, Finding::Seal { .. } | Finding::Bucket { .. }),
    ),
    (
        "a row is cut short",
        |db| drop(db.insert(&row_keys(db)[2], vec![1, 2, 3])),
        |finding| matches!(finding, Finding::Unreadable { .. }),
    ),
    (
        "a digest is missing",
        |db| drop(db.remove([0, b'D', T.code(), 1])),
        |finding| matches!(finding, Finding::BucketDigest { bucket: 8..=15, .. }),
    ),
    (
        "a digest is altered",
        |db| drop(db.insert([0, b'D', T.code(), 1], vec![0; 336])),
        |finding| matches!(finding, Finding::BucketDigest { bucket: 8..=15, .. }),
    ),
    (
        "a whole table is missing",
        |db| row_keys(db).iter().for_each(|key| drop(db.remove(key))),
        |finding| matches!(finding, Finding::Bucket { rows_found: 0, .. }),
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_names_every_kind_of_damage() {
    let (keys, _) = keyring(1);
    for (what, damage, right) in DAMAGES {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vault = sled_vault(folder.path(), &keys)
            .await
            .expect("the store opens");
        fill(&vault, 100).await;
        vault.store().close().await.expect("the store closes");
        let db = raw(folder.path());
        damage(&db);
        drop(db);
        let vault = sled_vault(folder.path(), &keys)
            .await
            .expect("the store opens");
        let report = verified(&vault).await;
        assert!(!report.is_clean(), "{what}: nothing found");
        assert!(
            report.findings.iter().all(right),
            "{what}: {:?}",
            report.findings
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_put_back_to_an_earlier_state_is_found() {
    let (keys, _) = keyring(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let vault = sled_vault(folder.path(), &keys)
        .await
        .expect("the store opens");
    let put = |revision: u64, text: &'static str| {
        let mut batch = vault.batch();
        batch.put(T, b"quota spent", revision, text.as_bytes());
        batch
    };
    vault.commit(put(0, "spent 1")).await.expect("a write");
    let early = vault
        .store()
        .read(T, b"quota spent")
        .await
        .expect("a read")
        .expect("a row");
    vault.commit(put(1, "spent 900")).await.expect("a write");
    vault.store().close().await.expect("the store closes");
    let db = raw(folder.path());
    let mut value = 1_u64.to_be_bytes().to_vec();
    value.extend_from_slice(early.sealed.as_bytes());
    let mut key = vec![T.code()];
    key.extend_from_slice(b"quota spent");
    db.insert(key, value).expect("a write");
    drop(db);

    let vault = sled_vault(folder.path(), &keys)
        .await
        .expect("the store opens");
    // The row itself is sound, so only the digest tells.
    assert!(vault.read(T, b"quota spent").await.is_ok());
    let findings = verified(&vault).await.findings;
    assert!(matches!(
        findings.as_slice(),
        [Finding::Bucket { rows_found: 1, .. }]
    ));
}

async fn backed_up(rows: u32, folder: &Path) -> (Arc<Keyring>, Vault, std::path::PathBuf) {
    let (keys, text) = keyring(1);
    let vault = memory_vault(&keys);
    fill(&vault, rows).await;
    let path = folder.join("node.backup");
    let made_at = Timestamp::from_unix_ms(1_800_000_000_000);
    let done = back_up(&vault, text.as_bytes(), made_at, &path).await;
    let done = done.expect("the backup is written");
    assert_eq!(done.rows, u64::from(2 * rows));
    assert_eq!(done.bytes, std::fs::metadata(&path).expect("a file").len());
    (keys, vault, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_store_equals_the_one_backed_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, vault, path) = backed_up(1_500, folder.path()).await;
    let header = read_backup_header(&path).await.expect("a header");
    assert_eq!(header.made_at, Timestamp::from_unix_ms(1_800_000_000_000));
    let unlock = Unlock::KeyFile(Secret::from_bytes([3; 32]));
    let text = String::from_utf8(header.wrapped_keyring).expect("text");
    let keys = Keyring::unlock(&text, &unlock, &SeededEntropy::from_seed(9));
    let keys = Arc::new(keys.expect("the key ring opens"));

    let target = folder.path().join("restored");
    let mut options = sled_options(target.clone());
    options.mode = OpenMode::Existing;
    let done = restore(&path, Arc::clone(&keys), options.clone()).await;
    assert_eq!(done.expect("the backup is restored").rows, 3_000);
    let again = restore(&path, Arc::clone(&keys), options).await;
    let not_empty = StoreError::NotEmpty {
        folder: target.clone(),
    };
    assert_eq!(again, Err(BackupError::Store(not_empty)));

    let restored = sled_vault(&target, &keys).await.expect("the store opens");
    for table in Table::ALL {
        assert_eq!(
            restored.store().digests(*table).await,
            vault.store().digests(*table).await
        );
    }
    assert!(verified(&restored).await.is_clean());
    let key = vault.row_key(T, &77_u32.to_be_bytes());
    assert_eq!(restored.read(T, &key).await, vault.read(T, &key).await);
}

#[tokio::test]
async fn backup_never_overwrites_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, vault, path) = backed_up(3, folder.path()).await;
    let before = std::fs::read(&path).expect("a file");
    let at = Timestamp::from_unix_ms(0);
    let refused = back_up(&vault, b"ring", at, &path).await;
    assert_eq!(refused, Err(BackupError::Exists { path: path.clone() }));
    assert_eq!(std::fs::read(&path).expect("a file"), before);

    vault.store().close().await.expect("the store closes");
    let other = folder.path().join("other.backup");
    let refused = back_up(&vault, b"ring", at, &other).await;
    assert_eq!(refused, Err(BackupError::Store(StoreError::Closed)));
    assert!(!other.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_store_is_not_backed_up() {
    let (keys, text) = keyring(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = folder.path().join("store");
    let vault = sled_vault(&store, &keys).await.expect("the store opens");
    fill(&vault, 20).await;
    vault.store().close().await.expect("the store closes");
    let db = raw(&store);
    db.remove(&row_keys(&db)[0]).expect("a write");
    drop(db);
    let vault = sled_vault(&store, &keys).await.expect("the store opens");
    let path = folder.path().join("node.backup");
    let refused = back_up(&vault, text.as_bytes(), Timestamp::from_unix_ms(0), &path).await;
    assert!(matches!(
        refused,
        Err(BackupError::NotWhole { table: T, .. })
    ));
    assert!(!path.exists());
}

#[tokio::test]
async fn altered_backup_is_refused_with_the_offset_of_the_block() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (keys, _, path) = backed_up(400, folder.path()).await;
    let sound = std::fs::read(&path).expect("a file");
    let first_block = u64::try_from(sound.len()).expect("small") - 70_000;
    let mut offsets = BTreeSet::new();
    for at in (0..sound.len()).step_by(37).chain([sound.len() - 1]) {
        let mut altered = sound.clone();
        altered[at] ^= 0x10;
        std::fs::write(&path, &altered).expect("a write");
        let refused = restore_rows(&path, &memory_vault(&keys)).await;
        assert_eq!(check_backup(&path, Arc::clone(&keys)).await, refused);
        match refused.expect_err("an altered backup") {
            BackupError::Altered { offset } | BackupError::Truncated { offset } => {
                assert!(offset <= u64::try_from(at).expect("small"));
                offsets.insert(offset);
            }
            BackupError::NotABackup { .. } => assert!(at < 18),
            BackupError::Version { .. } => assert!((18..24).contains(&at)),
            BackupError::HeaderRefused => assert!(u64::try_from(at).expect("small") < first_block),
            unexpected @ (BackupError::Exists { .. }
            | BackupError::File { .. }
            | BackupError::KeyringTooLong { .. }
            | BackupError::NotWhole { .. }
            | BackupError::GoesOn { .. }
            | BackupError::Store(_)
            | _) => panic!("byte {at}: {unexpected}"),
        }
    }
    assert!(offsets.len() >= 3, "{offsets:?}");
}

#[tokio::test]
async fn backup_cut_short_prolonged_or_under_another_key_ring_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (keys, _, path) = backed_up(30, folder.path()).await;
    let sound = std::fs::read(&path).expect("a file");
    for length in (0..sound.len()).step_by(41).chain([sound.len() - 1]) {
        std::fs::write(&path, &sound[..length]).expect("a write");
        let refused = restore_rows(&path, &memory_vault(&keys)).await;
        let refused = refused.expect_err("a short backup");
        assert!(matches!(
            refused,
            BackupError::NotABackup { .. } | BackupError::Truncated { .. }
        ));
    }
    let mut long = sound.clone();
    long.push(0);
    std::fs::write(&path, &long).expect("a write");
    let refused = restore_rows(&path, &memory_vault(&keys)).await;
    let offset = u64::try_from(sound.len()).expect("small");
    assert_eq!(refused, Err(BackupError::GoesOn { offset }));

    std::fs::write(&path, &sound).expect("a write");
    let (others, _) = keyring(2);
    let refused = restore_rows(&path, &memory_vault(&others)).await;
    assert_eq!(refused, Err(BackupError::HeaderRefused));
    restore_rows(&path, &memory_vault(&keys))
        .await
        .expect("the sound one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_restore_leaves_no_store_and_can_be_run_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (keys, _, path) = backed_up(600, folder.path()).await;
    let sound = std::fs::read(&path).expect("a file");
    let target = folder.path().join("restored");
    std::fs::create_dir(&target).expect("a folder");
    std::fs::write(&path, &sound[..sound.len() - 9]).expect("a write");
    let refused = restore(&path, Arc::clone(&keys), sled_options(target.clone())).await;
    assert!(matches!(refused, Err(BackupError::Truncated { .. })));
    let mut existing = sled_options(target.clone());
    existing.mode = OpenMode::Existing;
    let none = SledStore::open(existing, &keys.digest_key()).await;
    assert!(matches!(none, Err(StoreError::NoStore { .. })));

    std::fs::write(&path, &sound).expect("a write");
    let done = restore(&path, Arc::clone(&keys), sled_options(target.clone())).await;
    assert_eq!(done.expect("the backup is restored").rows, 1_200);
    let vault = sled_vault(&target, &keys).await.expect("the store opens");
    assert!(verified(&vault).await.is_clean());
    let sealed = Sealed::from_stored(vec![1]);
    let change = Change::Put {
        revision: 1,
        sealed,
    };
    vault
        .store()
        .commit(one(T, b"more", change))
        .await
        .expect("a write");
}
