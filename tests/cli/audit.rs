//! The audit log by the documented commands: checked, shown, copied, altered in every way, and
//! proven to a verifier in another language that knows only the public specifications.

use std::path::{Path, PathBuf};
use std::process::Command;

use creditmesh::crypto::{IdentityKey, Secret};
use creditmesh::domain::Timestamp;
use creditmesh::merkle::{Checkpoint, Frontier, GrowthBuilder, leaf_hash};
use creditmesh::protocol::fork::LogFork;
use creditmesh::protocol::mirror::Bridge;
use serde_json::Value;

use super::shell::{Run, Served, Town, creditmesh, run};

fn audit(step: &str, more: &[&str]) -> Run {
    creditmesh(&[&["audit", step, "--json"], more].concat())
}

/// Two lenders that asked each other; what `check` finds of alpha's log is read meanwhile.
fn lent(town: &Town) -> (Served, Served) {
    for member in ["alpha", "beta"] {
        town.join(member);
    }
    town.give_list("alpha");
    let served = (
        Served::start(&town.path("alpha")),
        Served::start(&town.path("beta")),
    );
    town.wait_for_mirrors("alpha", 1);
    town.wait_for_mirrors("beta", 1);
    for number in 0..7 {
        for member in ["alpha", "beta"] {
            let borrower = format!("us-ssn:23001{:04}", number + 1);
            let key = format!("{member}-{number}");
            let run = creditmesh(&[
                "assess",
                "--dir",
                &town.path(member),
                "--consent",
                "C-1",
                "--amount",
                "1200.00 USD",
                "--term-days",
                "90",
                "--idempotency-key",
                &key,
                "--id",
                &borrower,
                "--json",
            ]);
            assert!(run.code == 0 || run.code == 3, "{run:?}");
        }
    }
    served
}

/// What `audit verify` finds, once the whole log is cosigned by the one peer that there is.
fn cosigned(dir: &str) -> Value {
    let began = std::time::Instant::now();
    loop {
        let told = audit("witnesses", &["--dir", dir]).json(0);
        assert_eq!(told["needed"], 1, "{told}");
        if told["cosigned"] == told["entries"] {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "{told}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let sound = audit("verify", &["--dir", dir]).json(0);
    assert_eq!(sound["witnessed"][0]["witness"], "beta", "{sound}");
    assert_eq!(sound["witnessed"][0]["size"], sound["entries"]);
    sound
}

fn codes(found: &Value) -> Vec<&str> {
    let faults = found["faults"].as_array().unwrap();
    faults
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect()
}

/// The one file with entries of a copy.
fn entries(copy: &Path) -> PathBuf {
    copy.join("entries-00000000000000000000")
}

/// A copy with its entries' lines changed.
fn altered(copy: &Path, name: &str, change: impl FnOnce(&mut Vec<String>)) -> PathBuf {
    let other = copy.with_file_name(name);
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(copy.join("checkpoints"), other.join("checkpoints")).unwrap();
    let text = std::fs::read_to_string(entries(copy)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(entries(&other), lines.join("\n") + "\n").unwrap();
    other
}

fn verified(copy: &Path, key: &str, code: i32) -> Value {
    audit("verify", &["--from", copy.to_str().unwrap(), "--key", key]).json(code)
}

/// Python with the packages of `tests/python/requirements.txt`, which `tests/run` installs.
fn python() -> PathBuf {
    match std::env::var_os("CREDITMESH_TEST_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python"),
    }
}

/// What the verifier in another language finds in these files.
fn elsewhere(key: &str, files: &[&str]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/audit.py");
    let mut command = Command::new(python());
    command
        .arg(script)
        .arg(key)
        .args(files)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let found = run(&mut command);
    assert_eq!(found.code, 0, "{found:?}");
    serde_json::from_str(&found.stdout).unwrap()
}

#[test]
fn the_log_is_shown_and_checked_and_every_altered_copy_is_found_out() {
    let town = Town::found();
    let (alpha, beta) = lent(&town);
    let dir = town.path("alpha");

    let shown = audit("show", &["--dir", &dir]).json(0);
    let entries = shown["entries"].as_array().unwrap();
    let asked = entries.iter().find(|one| one["kind"] == "asked").unwrap();
    assert!(entries.iter().any(|one| one["member"] == "beta"), "{shown}");
    let query = asked["query"].as_str().unwrap();
    let found = audit("show", &["--dir", &dir, "--query", query]).json(0);
    assert_eq!(found["entries"][0], *asked);
    audit("show", &["99999", "--dir", &dir]).says(1, &["no such entry"]);

    let sound = audit("verify", &["--dir", &dir]).json(0);
    assert_eq!(sound["entries"], shown["size"]);
    assert_eq!(sound["signed"], sound["entries"]);
    let key = sound["keys"][0].as_str().unwrap();
    let of_beta = audit("verify", &["--dir", &town.path("beta")]).json(0);

    let copy = PathBuf::from(town.path("copy"));
    let folder = copy.to_str().unwrap();
    audit("copy", &["--dir", &dir, "--out", folder]).json(0);
    audit("copy", &["--dir", &dir, "--out", folder]).says(1, &["exists already"]);
    assert_eq!(verified(&copy, key, 0)["entries"], sound["entries"]);
    let other = of_beta["keys"][0].as_str().unwrap();
    assert!(codes(&verified(&copy, other, 1)).contains(&"wrong-signature"));

    let forged = altered(&copy, "forged", |lines| {
        lines[3] = lines[3].replace("credit-application", "collection");
    });
    assert_eq!(codes(&verified(&forged, key, 1)), ["forged-leaf"]);
    let dropped = altered(&copy, "dropped", |lines| drop(lines.remove(4)));
    assert_eq!(codes(&verified(&dropped, key, 1)), ["dropped-leaf"]);
    let reordered = altered(&copy, "reordered", |lines| lines.swap(2, 3));
    assert_eq!(codes(&verified(&reordered, key, 1)), ["reordered-leaves"]);
    let truncated = altered(&copy, "truncated", |lines| drop(lines.pop()));
    assert_eq!(codes(&verified(&truncated, key, 1)), ["truncated-log"]);
    let rewritten = altered(&copy, "rewritten", |lines| {
        let fields: Vec<String> = lines[5].splitn(3, ' ').map(str::to_owned).collect();
        let line = fields[2].replace("credit-application", "collection");
        let entry = creditmesh::protocol::audit::CopiedEntry::of(5, &line);
        lines[5] = entry.to_string();
    });
    assert_eq!(codes(&verified(&rewritten, key, 1)), ["rewritten-history"]);
    drop((alpha, beta));
}

#[test]
fn evidence_convinces_whoever_has_the_key_and_another_implementation() {
    let town = Town::found();
    let (alpha, beta) = lent(&town);
    let dir = town.path("alpha");
    let sound = cosigned(&dir);
    let key = sound["keys"][0].as_str().unwrap();
    let of_beta = audit("verify", &["--dir", &town.path("beta")]).json(0);
    let witness = format!("beta={}", of_beta["keys"][0].as_str().unwrap());
    let file = town.path("5.tlog-proof");
    audit("evidence", &["5", "--dir", &dir, "--out", &file]).json(0);
    audit("evidence", &["5", "--dir", &dir, "--out", &file]).says(1, &["exists already"]);
    let none = town.path("none");
    audit("evidence", &["99999", "--dir", &dir, "--out", &none]).says(1, &["no entry 99999"]);
    drop((alpha, beta));

    let told = audit("verify-evidence", &[&file, "--key", key]).json(0);
    assert_eq!(told["entry"]["entry"], 5);
    assert_eq!(told["origin"], "alpha/audit");
    let checked = ["--witness", &witness, "--key", key];
    let told = audit("verify-evidence", &[&[&*file], &checked[..]].concat()).json(0);
    assert_eq!(told["witnessed"][0]["witness"], "beta", "{told}");
    assert_eq!(told["witnessed"][0]["size"], told["size"]);
    let stranger = "00".repeat(32);
    audit("verify-evidence", &[&file, "--key", &stranger]).says(1, &["signature of the expected"]);

    let text = std::fs::read_to_string(&file).unwrap();
    let write = |name: &str, text: &str| {
        let path = town.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let moved = write("moved", &text.replace("index 5\n", "index 4\n"));
    let (head, note) = text.split_once("\n\n").unwrap();
    let grown = note.split('\n').nth(1).unwrap().parse::<u64>().unwrap() + 1;
    let old = format!("\n{}\n", grown - 1);
    let size = write("size", &text.replace(&old, &format!("\n{grown}\n")));
    let short = head.rsplit_once('\n').unwrap().0;
    let short = write("short", &format!("{short}\n\n{note}"));
    let checkpoint = write("checkpoint", note);
    // The time of the cosignature is altered: it stands behind the key id, 4 bytes.
    let line = note
        .lines()
        .find(|line| line.contains(" beta/witness "))
        .unwrap();
    let (name, encoded) = line.rsplit_once(' ').unwrap();
    let mut bytes = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
    bytes[11] ^= 1;
    let other = format!("{name} {}", data_encoding::BASE64.encode(&bytes));
    let dated = write("dated", &text.replace(line, &other));
    let altered = [&[&*dated], &checked[..]].concat();
    audit("verify-evidence", &altered).says(1, &["wrong cosignature"]);
    let witness = witness.replace("beta=", "beta/witness=");
    let judged = elsewhere(key, &[&witness, &file, &dated]);
    assert_eq!(
        judged[0]["witnessed"][0]["witness"], "beta/witness",
        "{judged:?}"
    );
    assert_eq!(judged[1]["refused"], "wrong cosignature");

    let files = [&*file, &checkpoint, &moved, &size, &short];
    let found = elsewhere(key, &files);
    assert_eq!(found[0]["index"], 5, "{found:?}");
    assert_eq!(found[0]["entry"], told["entry"]["line"]);
    assert_eq!(found[1]["size"], told["size"]);
    for (refused, file) in found[2..].iter().zip(&files[2..]) {
        assert!(refused["refused"].is_string(), "{file}: {refused}");
        assert_eq!(audit("verify-evidence", &[file, "--key", key]).code, 1);
    }
    let strange = elsewhere(&stranger, &[&file]);
    assert_eq!(strange[0]["refused"], "not signed by this key");
}

fn log_of(leaves: &[String]) -> Frontier {
    let mut log = Frontier::new();
    for leaf in leaves {
        log.append(leaf_hash(leaf.as_bytes())).unwrap();
    }
    log
}

fn signed(origin: &str, leaves: &[String]) -> String {
    let log = log_of(leaves);
    let at = Timestamp::from_unix_ms(1_790_000_000_000 + i64::try_from(leaves.len()).unwrap());
    let checkpoint = Checkpoint::new(origin, log.size(), log.root(), at).unwrap();
    let key = IdentityKey::from_seed(&Secret::from_bytes([5; 32]));
    checkpoint.sign(&key).unwrap().to_string()
}

fn growth(old: &[String], new: &[String]) -> Vec<[u8; 32]> {
    let mut growth = GrowthBuilder::behind(&log_of(old));
    for leaf in &new[old.len()..] {
        growth.append(leaf_hash(leaf.as_bytes()));
    }
    growth.finish().0
}

/// The body of add-checkpoint (C2SP tlog-witness).
fn continued(old: usize, proof: &[[u8; 32]], note: &str) -> String {
    let hashes: String = proof
        .iter()
        .map(|hash| data_encoding::BASE64.encode(hash) + "\n")
        .collect();
    format!("old {old}\n{hashes}\n{note}")
}

#[test]
fn growth_and_forks_of_audit_logs_and_feeds_convince_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    let key = IdentityKey::from_seed(&Secret::from_bytes([5; 32])).public();
    let key = data_encoding::HEXLOWER.encode(&key);
    let leaves: Vec<String> = (0..24).map(|n| format!("leaf {n}")).collect();
    let mut other = leaves.clone();
    other[3].push('x');
    let mut files = Vec::new();
    let mut expected = Vec::new();
    let mut file = |name: String, text: &str, holds: bool| {
        let path = dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(&path, text).unwrap();
        files.push(path);
        expected.push(holds);
    };
    for origin in ["alpha/audit", "alpha/full/7"] {
        let short = origin.replace('/', "-");
        for (old, new) in [(8, 16), (8, 24), (16, 24), (24, 24)] {
            let name = |kind: &str| format!("{short}-{old}-{new}-{kind}");
            let (before, after) = (&leaves[..old], &leaves[..new]);
            file(name("before"), &signed(origin, before), true);
            let proof = growth(before, after);
            let note = signed(origin, after);
            file(name("grown"), &continued(old, &proof, &note), true);
            // The other history, under the same signature, does not continue this one.
            let (rewritten, all) = (growth(&other[..old], &other[..new]), &other[..new]);
            let forked = signed(origin, all);
            file(
                name("rewritten"),
                &continued(old, &rewritten, &forked),
                false,
            );
            if let Some((_, cut)) = proof.split_last() {
                file(name("cut"), &continued(old, cut, &note), false);
            }
            let bridge = Bridge {
                root: log_of(&other[..old]).root(),
                consistency: rewritten,
            };
            let fork = |smaller: &[String], bridge| LogFork {
                origin: origin.to_owned(),
                smaller: signed(origin, smaller),
                larger: forked.clone(),
                bridge,
            };
            let bridge = (old < new).then_some(bridge);
            file(
                name("fork"),
                &fork(before, bridge.clone()).to_string(),
                true,
            );
            file(
                name("honest"),
                &fork(&other[..old], bridge).to_string(),
                false,
            );
        }
    }
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    let found = elsewhere(&key, &paths);
    for ((path, holds), found) in paths.iter().zip(&expected).zip(&found) {
        assert_eq!(found["refused"].is_null(), *holds, "{path}: {found}");
        if path.ends_with("-fork") || path.ends_with("-honest") {
            let run = audit("verify-fork", &[path, "--key", &key]);
            assert_eq!(run.code == 0, *holds, "{path}: {run:?}");
        }
    }
}
