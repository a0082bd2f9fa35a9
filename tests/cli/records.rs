//! The member's own book: import, rejects, resume, export, show, retract, backup, restore, verify.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::shell::{Served, Town, begin, creditmesh, sample};

const SAMPLES: [&str; 5] = [
    "applications.csv",
    "holds.csv",
    "loans.csv",
    "signals.csv",
    "records.jsonl",
];

fn import(dir: &str, file: &str, more: &[&str]) -> super::shell::Run {
    let fixed = ["records", "import", file, "--dir", dir, "--json"];
    creditmesh(&[&fixed[..], more].concat())
}

fn member() -> (Town, String) {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    (town, alpha)
}

#[test]
fn samples_are_imported_and_what_is_exported_changes_nothing_when_imported_again() {
    let (town, alpha) = member();
    for name in SAMPLES {
        let copy = town.path(name);
        std::fs::copy(sample(name), &copy).unwrap();
        let rehearsed = import(&alpha, &copy, &["--dry-run"]).json(0);
        assert_eq!(rehearsed["dry_run"], true);
        assert_eq!(rehearsed["rejected"], 0, "{name}: {rehearsed}");
        let filed = import(&alpha, &copy, &[]).json(0);
        assert_eq!(filed["rejected"], 0, "{name}: {filed}");
        let again = import(&alpha, &copy, &[]).json(0);
        assert_eq!(again["new"], 0, "{name}: {again}");
        assert_eq!(again["newer"], 0, "{name}: {again}");
    }
    let out = town.path("book.jsonl");
    let exported = creditmesh(&[
        "records", "export", "--dir", &alpha, "--out", &out, "--json",
    ]);
    let count = exported.json(0)["exported"].as_u64().unwrap();
    assert_eq!(count, 10);
    let again = import(&alpha, &out, &[]).json(0);
    assert_eq!(again["unchanged"], count, "{again}");
    let other = town.path("again.jsonl");
    creditmesh(&["records", "export", "--dir", &alpha, "--out", &other]).says(0, &[]);
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&other).unwrap());
    creditmesh(&["records", "export", "--dir", &alpha, "--out", &out]).says(1, &["exists"]);

    let id = "019c0000-0000-7000-8000-000000000003";
    let shown = creditmesh(&["records", "show", id, "--dir", &alpha]);
    let row: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(row["record_id"], id);
    let retract = [
        "records",
        "retract",
        id,
        "--dir",
        &alpha,
        "--reason",
        "wrong-person",
        "--json",
    ];
    assert_eq!(creditmesh(&retract).json(0)["record_id"], id);
    let shown = creditmesh(&["records", "show", id, "--dir", &alpha]);
    assert!(shown.stdout.contains("wrong-person"), "{shown:?}");
    // Only a node with peers publishes.
    town.join("beta");
    town.give_list("alpha");
    backup_is_restored_and_sound(&town, &alpha);
}

fn backup_is_restored_and_sound(town: &Town, alpha: &str) {
    let (backup, other) = (town.path("alpha.backup"), town.path("alpha-new"));
    let rows = creditmesh(&["node", "backup", "--dir", alpha, &backup, "--json"]).json(0);
    creditmesh(&["node", "backup", "--dir", alpha, &backup]).says(4, &["exists"]);
    let key = Path::new(alpha).join("unlock.key").display().to_string();
    let restore = [
        "node",
        "restore",
        "--dir",
        &other,
        &backup,
        "--key-file",
        &key,
        "--json",
    ];
    assert_eq!(creditmesh(&restore).json(0)["rows"], rows["rows"]);
    creditmesh(&restore).says(4, &["holds a node already"]);
    let verified = creditmesh(&["node", "verify", "--dir", &other, "--json"]).json(0);
    assert_eq!(verified["clean"], true, "{verified}");
    let export = |dir: &str| creditmesh(&["records", "export", "--dir", dir]).stdout;
    assert_eq!(export(&other), export(alpha));
    restored_node_is_silent_unless_its_backup_is_the_latest(town, &other, &backup, &key);
    let damaged = town.path("damaged.backup");
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let third = town.path("alpha-third");
    let restore = [
        "node",
        "restore",
        "--dir",
        &third,
        &damaged,
        "--key-file",
        &key,
    ];
    creditmesh(&restore).says(4, &["backup"]);
    creditmesh(&["node", "verify", "--dir", &third]).says(4, &["no node's folder"]);
}

fn application(number: usize, ssn: &str) -> String {
    json!({
        "kind": "application", "record_id": format!("019c0000-0000-7000-8000-{number:012x}"),
        "version": 1, "reported_at": "2026-01-10T12:00:00Z", "as_of": "2026-01-10T12:00:00Z",
        "national_id": ssn, "application_kind": "application", "purpose": "credit-application",
        "product": "cash-loan", "amount": "1200.00 USD", "channel": "web",
        "at": "2026-01-10T12:00:00Z", "outcome": "pending",
    })
    .to_string()
}

#[test]
fn bad_rows_go_to_the_rejects_file_without_their_values() {
    let (town, alpha) = member();
    let file = town.path("mixed.jsonl");
    let rows = [
        application(1, "us-ssn:536904399"),
        application(2, "us-ssn:000123456"),
        "not json".to_owned(),
        application(3, "passport:77123456"),
    ];
    std::fs::write(&file, rows.join("\n")).unwrap();
    let filed = import(&alpha, &file, &[]).json(1);
    assert_eq!(
        (&filed["new"], &filed["rejected"]),
        (&json!(1), &json!(3)),
        "{filed}"
    );
    let rejects = std::fs::read_to_string(filed["rejects_file"].as_str().unwrap()).unwrap();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines.len(), 4, "{rejects}");
    for (line, number) in lines[1..]
        .iter()
        .zip(["2,national_id,", "3,line,", "4,national_id,"])
    {
        assert!(line.starts_with(number), "{line}");
    }
    assert!(!rejects.contains("123456"), "{rejects}");
    import(&alpha, &town.path("nowhere.csv"), &[]).says(4, &["nowhere.csv"]);
    std::fs::write(town.path("book.txt"), "x").unwrap();
    import(&alpha, &town.path("book.txt"), &[]).says(1, &[".csv or .jsonl"]);
}

#[test]
fn an_interrupted_import_goes_on_where_it_was() {
    let (town, alpha) = member();
    let file = town.path("book.jsonl");
    let mut rows = String::new();
    let count = 8_000;
    for number in 1..=count {
        let ssn = format!("us-ssn:5369{number:05}");
        writeln!(rows, "{}", application(number, &ssn)).unwrap();
    }
    std::fs::write(&file, rows).unwrap();
    let mut under_way = begin(&["records", "import", &file, "--dir", &alpha]);
    let marks = Path::new(&alpha).join("imports");
    while std::fs::read_dir(&marks).map_or(0, Iterator::count) == 0 {
        assert!(
            under_way.try_wait().unwrap().is_none(),
            "it ended before it was interrupted"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    under_way.kill().unwrap();
    under_way.wait().unwrap();
    let rest = import(&alpha, &file, &[]).json(0);
    let (skipped, new) = (
        rest["skipped"].as_u64().unwrap(),
        rest["new"].as_u64().unwrap(),
    );
    assert!(skipped >= 200 && new > 0, "{rest}");
    let unchanged = rest["unchanged"].as_u64().unwrap();
    let count = u64::try_from(count).unwrap();
    assert_eq!(skipped + new + unchanged, count, "{rest}");
    let whole = import(&alpha, &file, &["--from-start"]).json(0);
    assert_eq!(whole["unchanged"], count, "{whole}");
}

fn restored_node_is_silent_unless_its_backup_is_the_latest(
    town: &Town,
    fenced: &str,
    backup: &str,
    key: &str,
) {
    let ask = |dir: &str| {
        let ask = [
            "assess",
            "--dir",
            dir,
            "--id",
            "us-ssn:536-90-4399",
            "--consent",
            "C-1",
        ];
        creditmesh(&ask)
    };
    creditmesh(&["node", "serve", "--dir", fenced])
        .says(4, &["members.json", "a backup does not bring it back"]);
    let list = |dir: &str| PathBuf::from(dir).join("members.json");
    std::fs::copy(list(&town.path("admin")), list(fenced)).unwrap();
    let served = Served::start(fenced);
    ask(fenced).says(
        4,
        &["restored from a backup", "publishes and answers again from"],
    );
    drop(served);
    let latest = town.path("alpha-latest");
    let restore = [
        "node",
        "restore",
        "--dir",
        &latest,
        backup,
        "--key-file",
        key,
        "--latest",
    ];
    creditmesh(&restore).says(0, &[]);
    let _served = Served::start(&latest);
    // Nobody else answers here, but the application is published and the peers are asked.
    ask(&latest).says(3, &[]);
}
