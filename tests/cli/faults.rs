//! What is wrong with folders, keys, lists and certificates is said, with what to do about it.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use creditmesh::env::{Clock, PlayedClock, SystemClock};
use creditmesh::node::NodeParts;
use creditmesh::workload::SimulatedNetwork;

use super::shell::{Served, Town, begin, creditmesh, free_address, sample};

#[test]
fn a_wrong_or_open_passphrase_is_named() {
    let town = Town::found();
    let admin = town.path("admin");
    let passphrase = Path::new(&admin).join("passphrase");
    let right = std::fs::read(&passphrase).unwrap();
    let invite = |member: &str| {
        let out = town.path(&format!("{member}.invite"));
        creditmesh(&[
            "network", "invite", &admin, "--member", member, "--out", &out,
        ])
    };
    std::fs::write(&passphrase, "not this one\n").unwrap();
    invite("alpha").says(
        1,
        &["passphrase does not open", "check the passphrase file"],
    );
    std::fs::write(&passphrase, &right).unwrap();
    invite("alpha").says(0, &[]);
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&passphrase, mode).unwrap();
    invite("beta").says(1, &["others can read it", "chmod 600"]);
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();

    let own = town.path("own-passphrase");
    std::fs::write(&own, "a passphrase of alpha\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&own, mode).unwrap();
    let (file, dir) = (town.path("alpha.invite"), town.path("alpha"));
    let join = [
        "node",
        "join",
        &file,
        "--dir",
        &dir,
        "--passphrase-file",
        &own,
    ];
    creditmesh(&join).says(0, &[]);
    // A request that was lost can be made again, for the member that the keys were made for.
    creditmesh(&join).says(0, &[]);
    invite("beta").says(0, &[]);
    let other = town.path("beta.invite");
    let join_as_other = ["node", "join", &other, "--dir", &dir];
    creditmesh(&join_as_other).says(4, &["was made for alpha", "--dir"]);
    let book = sample("loans.csv");
    let import = ["records", "import", &book, "--dir", &dir];
    std::fs::write(&own, "another passphrase\n").unwrap();
    creditmesh(&import).says(
        4,
        &["passphrase does not open", "check the passphrase file"],
    );
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o640)).unwrap();
    creditmesh(&import).says(4, &["others can read it", "chmod 600"]);
    std::fs::remove_file(&own).unwrap();
    creditmesh(&import).says(4, &["own-passphrase"]);
}

#[test]
fn a_join_that_was_killed_can_be_made_again() {
    let town = Town::found();
    let (admin, file) = (town.path("admin"), town.path("alpha.invite"));
    let invite = [
        "network", "invite", &admin, "--member", "alpha", "--out", &file,
    ];
    creditmesh(&invite).says(0, &[]);
    let dir = town.path("alpha");
    let join = ["node", "join", &file, "--dir", &dir];
    for wait_ms in [1, 5, 20, 80, 320, 640, 1_000, 1_400] {
        let mut child = begin(&join);
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    creditmesh(&join).says(0, &[]);
    assert!(!Path::new(&dir).join("making").exists());
    let (request, welcome) = (town.path("alpha.request"), town.path("alpha.welcome"));
    let approve = ["network", "approve", &admin, &request, "--out", &welcome];
    creditmesh(&approve).says(0, &[]);
    creditmesh(&["node", "join", &welcome, "--dir", &dir]).says(0, &[]);
    creditmesh(&join).says(4, &["holds a node already", "--dir"]);
    creditmesh(&["node", "verify", "--dir", &dir]).says(0, &[]);
}

#[test]
fn a_foreign_folder_is_no_node_and_nothing_in_it_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let place = dir.path().display().to_string();
    let book = sample("loans.csv");
    for command in [
        &["node", "serve", "--dir", &place][..],
        &["node", "verify", "--dir", &place],
        &["records", "import", &book, "--dir", &place],
        &["records", "export", "--dir", &place],
        &["cert", "show", "--dir", &place],
    ] {
        creditmesh(command).says(4, &["no node's folder", "creditmesh node join"]);
    }
    creditmesh(&["network", "show", &place]).says(4, &["network.json"]);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn an_invitation_counts_once_and_for_one_network() {
    let town = Town::found();
    town.join("alpha");
    let (admin, invite) = (town.path("admin"), town.path("alpha.invite"));
    let other = town.path("alpha-twin");
    let listen = free_address();
    let out = town.path("twin.request");
    let join = [
        "node", "join", &invite, "--dir", &other, "--listen", &listen, "--out", &out,
    ];
    creditmesh(&join).says(0, &[]);
    let welcome = town.path("twin.welcome");
    let approve = ["network", "approve", &admin, &out, "--out", &welcome];
    creditmesh(&approve).says(1, &["used before", "creditmesh network invite"]);

    // Before its welcome a node is not on the list, and has no list to go by.
    creditmesh(&["node", "serve", "--dir", &other])
        .says(4, &["members.json", "creditmesh node join"]);

    let welcome = town.path("alpha.welcome");
    creditmesh(&["node", "join", &welcome, "--dir", &other]).says(1, &["key"]);
    let elsewhere = Town::found();
    let admin = elsewhere.path("admin");
    let approve = [
        "network",
        "approve",
        &admin,
        &out,
        "--out",
        &elsewhere.path("x.welcome"),
    ];
    creditmesh(&approve).says(1, &["network"]);
    creditmesh(&["network", "remove", &admin, "nobody"]).says(1, &["nobody"]);
}

#[test]
fn a_member_that_was_removed_is_told_so() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    let (admin, alpha, beta) = (town.path("admin"), town.path("alpha"), town.path("beta"));
    creditmesh(&["network", "remove", &admin, "beta"]).says(0, &[]);
    creditmesh(&["network", "restore", &admin, "beta"]).says(1, &["beta", "removed"]);
    town.give_list("alpha");
    let _alpha = Served::start(&alpha);
    let _beta = Served::start(&beta);
    for _ in 0..100 {
        let run = creditmesh(&["node", "status", "--dir", &beta, "--json"]);
        if run.code == 3 && run.stdout.contains("removed") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("beta's status never said that it was removed");
}

/// Flips a byte in the middle of each of the store's large files.
fn damage(store: &Path) {
    let mut damaged = 0;
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "db") {
                let mut file = std::fs::File::options()
                    .read(true)
                    .write(true)
                    .open(&path)
                    .unwrap();
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                // Where there are rows, not where the file is empty.
                let rows: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                for part in 1..8 {
                    let at = rows[rows.len() * part / 8];
                    file.seek(SeekFrom::Start(u64::try_from(at).unwrap()))
                        .unwrap();
                    file.write_all(&[bytes[at] ^ 0x55]).unwrap();
                }
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "no file of the store was found");
}

#[test]
fn a_damaged_store_is_reported_and_never_taken_for_sound() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    let book = sample("loans.csv");
    creditmesh(&["records", "import", &book, "--dir", &alpha]).says(0, &[]);
    damage(&Path::new(&alpha).join("store"));
    let verified = creditmesh(&["node", "verify", "--dir", &alpha]);
    assert_eq!(verified.code, 4, "{verified:?}");
    let said = format!("{}{}", verified.stdout, verified.stderr);
    assert!(said.contains("backup"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_and_an_expired_list_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = SystemClock.now().minus(Duration::from_secs(200 * 86_400));
    let parts = NodeParts::by(PlayedClock::at(long_ago));
    let (id, usd) = ("old-net".parse().unwrap(), "USD".parse().unwrap());
    let mut network = SimulatedNetwork::found(dir.path(), id, usd, parts).unwrap();
    network.join_lenders(&["alpha", "beta"]).await.unwrap();
    let alpha = dir.path().join("alpha").display().to_string();
    creditmesh(&["cert", "check", "--dir", &alpha]).says(1, &["certificate expired", "renew"]);
    let _alpha = Served::start(&alpha);
    let assess = [
        "assess",
        "--dir",
        &alpha,
        "--id",
        "us-ssn:536-90-4399",
        "--consent",
        "C-1",
    ];
    // Nobody is asked by an expired list; the node says why.
    creditmesh(&assess).says(3, &[]);
    let status = creditmesh(&["node", "status", "--dir", &alpha]);
    assert_eq!(status.code, 3, "{status:?}");
    for ended in [
        "list  version 3, EXPIRED",
        "newer members.json",
        "certificate  EXPIRED",
    ] {
        assert!(status.stdout.contains(ended), "{status:?}");
    }
}

#[test]
fn a_backup_is_checked_beside_its_node_and_a_damaged_one_is_named() {
    let town = Town::found();
    town.join("alpha");
    let (alpha, backup) = (town.path("alpha"), town.path("alpha.backup"));
    creditmesh(&["records", "import", &sample("loans.csv"), "--dir", &alpha]).says(0, &[]);
    creditmesh(&["node", "backup", "--dir", &alpha, &backup]).says(0, &[]);
    let _served = Served::start(&alpha);
    let check = ["node", "verify", "--backup", &backup, "--json", "--dir"];
    let at = |dir: &str, more: &[&str]| creditmesh(&[&check[..], &[dir], more].concat());
    let sound = at(&alpha, &[]).json(0);
    assert!(sound["rows"].as_u64().unwrap() > 10, "{sound}");

    // Elsewhere there is the key file only.
    let key = format!("{alpha}/unlock.key");
    at(&town.path("."), &["--key-file", &key]).json(0);
    at(&town.path("."), &[]).says(4, &["unlock.key"]);
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() - 200;
    bytes[middle] ^= 1;
    std::fs::write(&backup, bytes).unwrap();
    at(&alpha, &[]).says(4, &["altered in the block at byte", "another copy"]);
}
