//! Erasing a borrower: what is refused, what nobody opens afterwards, who hears of it, and what an
//! older backup brings back.

use std::path::Path;
use std::time::Duration;

use creditmesh::crypto::{OpenError, SealContext, Sealed};
use creditmesh::node::Folder;
use creditmesh::store::{Scan, Table};
use serde_json::{Value, json};

use super::shell::{Served, Town, creditmesh};

/// The borrower that is erased.
const GONE: &str = "us-ssn:536-90-4399";
/// Another one.
const STAYS: &str = "us-ssn:536-90-4400";

/// A row as it lay on the disk.
struct Lying {
    table: Table,
    key: Vec<u8>,
    revision: u64,
    sealed: Sealed,
}

fn loan(number: u32, borrower: &str, is_over: bool) -> Value {
    let mut loan = json!({
        "kind": "loan", "record_id": format!("019c0000-0000-7000-8000-{number:012}"), "version": 1,
        "reported_at": "2026-02-01T08:00:00Z", "as_of": "2026-02-01T08:00:00Z",
        "national_id": borrower, "phone": format!("+1415555{:04}", 2_000 + number),
        "account_ref": format!("L-{number}"), "product": "instalment-unsecured",
        "principal": "9000.00 USD", "signed_at": "2025-06-01T08:00:00Z",
        "opened_on": "2025-06-01", "state": "active", "outstanding": "8000.00 USD",
        "past_due": "0.00 USD", "dpd": 0,
    });
    if is_over {
        loan["state"] = json!("paid");
        loan["outstanding"] = json!("0.00 USD");
        loan["closed_on"] = json!("2026-01-20");
    }
    loan
}

/// A loan of the borrower that is erased, which ran before and is paid now.
fn paid(number: u32) -> Value {
    let mut paid = loan(number, GONE, true);
    paid["version"] = json!(2);
    paid
}

fn import(town: &Town, member: &str, records: &[Value]) {
    let file = town.path("records.jsonl");
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let dir = town.path(member);
    let run = creditmesh(&["records", "import", &file, "--dir", &dir, "--json"]);
    let rejects = std::fs::read_to_string(format!("{file}.rejects.csv")).unwrap_or_default();
    assert_eq!((run.code, rejects.as_str()), (0, ""), "{run:?}");
}

fn erase(dir: &str, borrower: &str, more: &[&str]) -> super::shell::Run {
    let fixed = ["records", "erase", borrower, "--dir", dir, "--json"];
    creditmesh(&[&fixed, more].concat())
}

const BY: [&str; 4] = ["--reason", "request", "--by", "ann"];

fn in_runtime<T>(doing: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(doing)
}

/// Every sealed row of a stopped node that tells a text.
fn lying(dir: &str, text: &str) -> Vec<Lying> {
    in_runtime(async {
        let opened = Folder::at(Path::new(dir)).open().await.unwrap();
        let mut found = Vec::new();
        for table in Table::ALL {
            let scan = Scan::all(500);
            let rows = opened.vault.store().scan(*table, &scan).await.unwrap();
            let plain = opened.vault.scan(*table, &scan).await.unwrap();
            for ((key, row), (_, plain)) in rows.into_iter().zip(plain) {
                if plain
                    .bytes
                    .windows(text.len())
                    .any(|at| at == text.as_bytes())
                {
                    let (table, revision, sealed) = (*table, row.revision, row.sealed);
                    found.push(Lying {
                        table,
                        key,
                        revision,
                        sealed,
                    });
                }
            }
        }
        opened.close().await.unwrap();
        found
    })
}

/// How many of these the key ring of a stopped node opens; every other one must lack its key.
fn opened_by_ring(dir: &str, rows: &[Lying]) -> usize {
    in_runtime(async {
        let opened = Folder::at(Path::new(dir)).open().await.unwrap();
        let mut count = 0;
        for row in rows {
            let context = SealContext {
                table: row.table.name(),
                key: &row.key,
                revision: row.revision,
            };
            match opened.vault.keys().open(&context, &row.sealed) {
                Ok(_) => count += 1,
                Err(error) => assert!(matches!(error, OpenError::UnknownKey(_)), "{error}"),
            }
        }
        opened.close().await.unwrap();
        count
    })
}

/// How many of these lie in the files of the store, byte for byte.
fn on_disk(dir: &str, rows: &[Lying]) -> usize {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(dir).join("store")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(std::fs::read(path).unwrap());
            }
        }
    }
    let lies = |row: &&Lying| {
        let bytes = row.sealed.as_bytes();
        files
            .iter()
            .any(|file| file.windows(bytes.len()).any(|at| at == bytes))
    };
    rows.iter().filter(lies).count()
}

fn stages(dir: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(dir).join("erased.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let entries = list["erased"].as_array().unwrap().iter();
    entries
        .map(|one| one["stage"].as_str().unwrap().to_owned())
        .collect()
}

fn seal_keys(dir: &str) -> usize {
    let text = std::fs::read_to_string(Path::new(dir).join("keyring.json")).unwrap();
    text.matches("\"seal\"").count()
}

fn verified(dir: &str) {
    assert_eq!(
        creditmesh(&["node", "verify", "--dir", dir, "--json"]).json(0)["clean"],
        true
    );
}

fn records_of(dir: &str, borrower: &str) -> usize {
    let report = creditmesh(&["report", borrower, "--dir", dir, "--json"]).json(0);
    report["records"].as_array().unwrap().len()
}

#[test]
fn what_an_erased_borrower_left_on_the_disk_is_opened_by_nobody() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    import(
        &town,
        "alpha",
        &[
            loan(1, GONE, true),
            loan(2, STAYS, true),
            loan(3, GONE, false),
        ],
    );
    let served = Served::start(&alpha);
    town.wait_for_mirrors("alpha", 0);
    let watch = ["watch", "add", GONE, "--dir", &alpha, "--json"];
    assert_eq!(creditmesh(&watch).code, 0);
    import(&town, "alpha", &[paid(3)]);
    drop(served);

    let rows = lying(&alpha, "536904399");
    let tables: Vec<Table> = rows.iter().map(|row| row.table).collect();
    for table in [Table::Record, Table::Identity, Table::Watched] {
        assert!(tables.contains(&table), "{table} in {tables:?}");
    }
    assert_eq!((on_disk(&alpha, &rows), seal_keys(&alpha)), (rows.len(), 1));

    // Deleting alone leaves everything on the disk, and the ring opens it.
    let served = Served::start(&alpha);
    let erased = erase(&alpha, GONE, &[&BY[..], &["--no-rekey"]].concat()).json(0);
    assert_eq!(
        (&erased["records"], &erased["watched"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        (records_of(&alpha, GONE), records_of(&alpha, STAYS)),
        (0, 1)
    );
    assert_eq!(stages(&alpha), ["deleted"]);
    drop(served);
    assert!(lying(&alpha, "536904399").is_empty());
    assert!(on_disk(&alpha, &rows) > 0);
    assert_eq!(opened_by_ring(&alpha, &rows), rows.len());

    // The node goes on by itself when it is started, and with the key nobody opens it.
    let served = Served::start(&alpha);
    for _ in 0..200 {
        if stages(&alpha) == ["unreadable"] {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(stages(&alpha), ["unreadable"]);
    let shown = creditmesh(&["audit", "show", "--dir", &alpha]).stdout;
    assert!(
        shown.contains("by ann, reason request") && !shown.contains("536"),
        "{shown}"
    );
    drop(served);
    assert_eq!((opened_by_ring(&alpha, &rows), seal_keys(&alpha)), (0, 1));
    let left = on_disk(&alpha, &rows);
    println!(
        "{left} of {} sealed rows are on the disk still, and no key opens them",
        rows.len()
    );
    verified(&alpha);
    let kept = lying(&alpha, "536904400");
    assert!(!kept.is_empty());

    // A re-keying by hand; rows that stay are read under the new key.
    let served = Served::start(&alpha);
    let rekeyed = creditmesh(&["node", "rekey", "--dir", &alpha, "--json"]).json(0);
    assert!(rekeyed["resealed"].as_u64() > Some(0));
    assert_eq!(records_of(&alpha, STAYS), 1);
    drop(served);
    assert_eq!((opened_by_ring(&alpha, &kept), seal_keys(&alpha)), (0, 1));
    verified(&alpha);
}

#[test]
fn an_erasure_is_refused_while_something_runs_and_says_what() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    import(
        &town,
        "alpha",
        &[loan(1, GONE, false), loan(2, STAYS, true)],
    );
    erase(&alpha, GONE, &BY).says(4, &["node serve"]);
    let _served = Served::start(&alpha);
    erase(&alpha, GONE, &BY).says(1, &["a running loan", "report its end first"]);
    erase(&alpha, "us-ssn:536-90-4401", &BY).says(1, &["borrower"]);
    let why = ["--reason", "because", "--by", "ann"];
    erase(&alpha, STAYS, &why).says(2, &["consent-withdrawn"]);
    let who = ["--reason", "court", "--by", "Ann Lee"];
    erase(&alpha, STAYS, &who).says(2, &["ann-lee"]);
    assert_eq!(
        (records_of(&alpha, GONE), records_of(&alpha, STAYS)),
        (1, 1)
    );
    assert!(!Path::new(&alpha).join("erased.json").exists());

    // A dispute that nobody decided stands in the way as well.
    let record = "019c0000-0000-7000-8000-000000000002";
    let open = ["records", "dispute", record, "--dir", &alpha];
    let says = ["--reason", "never borrowed there", "--by", "ann", "--json"];
    let id = creditmesh(&[&open[..], &says].concat()).json(0)["dispute_id"].clone();
    erase(&alpha, STAYS, &BY).says(1, &["dispute", "is open"]);
    let id = id.as_str().unwrap();
    let decide = [
        "records",
        "dispute",
        "resolve",
        id,
        "--rejected",
        "--by",
        "bob",
    ];
    assert_eq!(
        creditmesh(&[&decide[..], &["--dir", &alpha]].concat()).code,
        0
    );
    let erased = erase(&alpha, STAYS, &BY).json(0);
    assert_eq!(
        (records_of(&alpha, STAYS), &erased["rekeyed"]),
        (0, &json!(true))
    );
    assert!(lying_is_empty_after(&alpha, _served, "never borrowed"));
}

#[test]
fn another_person_with_the_same_telephone_number_stays() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    let mut other = loan(2, STAYS, true);
    other["phone"] = loan(1, GONE, true)["phone"].clone();
    import(&town, "alpha", &[loan(1, GONE, true), other]);
    let _served = Served::start(&alpha);
    let phone = "phone:+14155552001";
    erase(&alpha, phone, &BY).says(1, &["borrower"]);
    let fixed = ["records", "erase", GONE, phone, "--dir", &alpha, "--json"];
    let erased = creditmesh(&[&fixed[..], &BY].concat()).json(0);
    assert_eq!(erased["records"], 1);
    assert_eq!(
        (records_of(&alpha, GONE), records_of(&alpha, STAYS)),
        (0, 1)
    );
    assert_eq!(records_of(&alpha, phone), 1);
}

/// Whether no row tells this once the node is stopped.
fn lying_is_empty_after(dir: &str, served: Served, text: &str) -> bool {
    drop(served);
    lying(dir, text).is_empty()
}

#[test]
fn an_older_backup_does_not_bring_an_erased_borrower_back() {
    let town = Town::found();
    town.join("alpha");
    let alpha = town.path("alpha");
    import(&town, "alpha", &[loan(1, GONE, true), loan(2, STAYS, true)]);
    let backup = town.path("alpha.backup");
    assert_eq!(
        creditmesh(&["node", "backup", "--dir", &alpha, &backup]).code,
        0
    );
    let served = Served::start(&alpha);
    assert_eq!(erase(&alpha, GONE, &BY).code, 0);
    drop(served);

    let key = Path::new(&alpha).join("unlock.key").display().to_string();
    let list = Path::new(&alpha).join("erased.json").display().to_string();
    let members = Path::new(&alpha).join("members.json");
    let restored = |name: &str, more: &[&str]| {
        let dir = town.path(name);
        let fixed = [
            "node",
            "restore",
            "--dir",
            &dir,
            &backup,
            "--key-file",
            &key,
        ];
        let run = creditmesh(&[&fixed[..], more].concat());
        assert_eq!(run.code, 0, "{run:?}");
        std::fs::copy(&members, Path::new(&dir).join("members.json")).unwrap();
        (dir, run)
    };
    let (without, run) = restored("without", &[]);
    assert!(run.stdout.contains("--erased"), "{run:?}");
    assert!(!lying(&without, "536904399").is_empty());
    let (with, _) = restored("with", &["--erased", &list]);
    let told: Vec<Table> = lying(&with, "536904399")
        .iter()
        .map(|row| row.table)
        .collect();
    assert!(!told.contains(&Table::Record), "{told:?}");
    assert!(!lying(&with, "536904400").is_empty());
    assert_eq!(stages(&with), ["deleted"]);
    verified(&with);
    let absent = town.path("absent.json");
    let dir = town.path("third");
    let fixed = [
        "node",
        "restore",
        "--dir",
        &dir,
        &backup,
        "--key-file",
        &key,
    ];
    creditmesh(&[&fixed[..], &["--erased", &absent]].concat()).says(4, &["no such file"]);
}

#[test]
fn who_was_answered_from_an_erased_record_hears_of_it() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let (alpha, beta) = (town.path("alpha"), town.path("beta"));
    let mut written_off = loan(1, GONE, false);
    for (key, value) in [
        ("state", json!("charged-off")),
        ("dpd", json!(200)),
        ("past_due", json!("8000.00 USD")),
        ("first_delinquency_on", json!("2025-07-10")),
    ] {
        written_off[key] = value;
    }
    import(&town, "alpha", &[written_off]);
    let _served = [Served::start(&alpha), Served::start(&beta)];
    town.wait_for_mirrors("alpha", 1);
    town.wait_for_mirrors("beta", 1);
    let ask = [
        "assess",
        "--dir",
        &beta,
        "--id",
        GONE,
        "--consent",
        "C-1",
        "--json",
    ];
    assert_eq!(creditmesh(&ask).json(0)["coverage"]["answered"], 1);
    assert_eq!(erase(&alpha, GONE, &BY).code, 0);
    for _ in 0..200 {
        let list = creditmesh(&["notices", "list", "--dir", &beta, "--json"]).json(0);
        if list.to_string().contains("retracted") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("beta did not hear within 20 s that the record is gone");
}
