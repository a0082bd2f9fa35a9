//! A bureau whose rows are in a database, among lenders on sled: how it joins, what it answers, who
//! runs beside it, and how its rows move to another engine and back.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::shell::{Run, Served, Town, creditmesh, free_address};

pub(crate) const BORROWER: &str = "us-ssn:536-90-4399";

/// A new database in the server that `tests/run` starts, as a connection string.
pub(crate) fn database() -> String {
    let server = std::env::var("CREDITMESH_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("CREDITMESH_TEST_POSTGRES names no PostgreSQL server; tests/run starts one")
    });
    let name = format!("cli_{:032x}", rand::random::<u128>());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let create = format!("create database {name}");
        client.batch_execute(&create).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    });
    let kept = server
        .split(' ')
        .filter(|part| !part.starts_with("dbname="));
    let kept: Vec<&str> = kept.collect();
    format!("{} dbname={name}", kept.join(" "))
}

pub(crate) fn import_a_loan(town: &Town, member: &str) {
    let loan = json!({
        "kind": "loan", "record_id": "019c0000-0000-7000-8000-000000000001", "version": 1,
        "reported_at": "2026-02-01T08:00:00Z", "as_of": "2026-02-01T08:00:00Z",
        "national_id": BORROWER, "phone": "+14155552001", "account_ref": "L-1",
        "product": "instalment-unsecured", "principal": "9000.00 USD",
        "signed_at": "2025-06-01T08:00:00Z", "opened_on": "2025-06-01", "state": "active",
        "outstanding": "8000.00 USD", "past_due": "0.00 USD", "dpd": 0,
    });
    let file = town.path("records.jsonl");
    std::fs::write(&file, loan.to_string()).unwrap();
    let run = creditmesh(&[
        "records",
        "import",
        &file,
        "--dir",
        &town.path(member),
        "--json",
    ]);
    assert_eq!(run.code, 0, "{run:?}");
}

pub(crate) fn verified(dir: &str) {
    let run = creditmesh(&["node", "verify", "--dir", dir, "--json"]);
    assert_eq!(run.json(0)["clean"], true);
}

fn assess(dir: &str) -> Value {
    let fixed = ["assess", "--dir", dir, "--id", BORROWER];
    creditmesh(&[&fixed[..], &["--consent", "C-1", "--json"]].concat()).json(0)
}

/// A soft question about the borrower, which a repeat with the same key does not ask twice.
pub(crate) fn ask_softly(dir: &str, key: &str) -> Run {
    let fixed = ["assess", "--dir", dir, "--id", BORROWER, "--consent", "C-1"];
    creditmesh(&[&fixed[..], &["--soft", "--idempotency-key", key, "--json"]].concat())
}

fn restored(dir: &str, backup: &str, key: &str, more: &[&str]) -> Run {
    let fixed = [
        "node",
        "restore",
        "--dir",
        dir,
        backup,
        "--key-file",
        key,
        "--latest",
    ];
    creditmesh(&[&fixed[..], more].concat())
}

#[test]
fn a_bureau_on_a_database_answers_lenders_on_sled_and_a_second_process_goes_on_alone() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    let (rows, first, second) = (database(), free_address(), free_address());
    let places = [
        "--listen",
        &first,
        "--endpoint",
        &first,
        "--endpoint",
        &second,
    ];
    town.join_with("bureau", &[&["--database", &rows], &places[..]].concat());
    for member in ["alpha", "beta"] {
        town.give_list(member);
    }
    let bureau = town.path("bureau");
    import_a_loan(&town, "bureau");
    verified(&bureau);
    assert!(!Path::new(&bureau).join("store").exists());
    let names = ["alpha", "beta", "bureau"];
    let mut served: Vec<Served> = names.iter().map(|n| Served::start(&town.path(n))).collect();
    for name in names {
        town.wait_for_mirrors(name, 2);
    }
    for asker in ["alpha", "beta"] {
        let answer = assess(&town.path(asker));
        assert_eq!(answer["coverage"]["answered"], 2, "{answer}");
        assert_eq!(
            answer["counts"]["active_lender_groups"],
            json!({"lo": 1, "hi": 1})
        );
    }
    let by_bureau = assess(&bureau);
    assert_eq!(by_bureau["coverage"]["answered"], 2, "{by_bureau}");

    // A second process runs beside it with a copy of the folder, on another address; the rows are
    // re-keyed meanwhile.
    let copy = copy_listening_at(&town, "bureau-beside", (&first, &second));
    let rekeyed = creditmesh(&["node", "rekey", "--dir", &bureau, "--json"]).json(0);
    assert!(rekeyed["resealed"].as_u64() > Some(0));
    let out = town.path("x.jsonl");
    creditmesh(&["records", "export", "--dir", &copy, "--out", &out])
        .says(4, &["another process uses the store"]);
    let beside = Served::start(&copy);
    let place = |dir: &str| {
        let status = creditmesh(&["node", "status", "--dir", dir, "--json"]).json(0);
        status["replica"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (place(&bureau), place(&copy)),
        ("leads".into(), "follows".into())
    );
    assert_eq!(assess(&copy)["coverage"]["answered"], 2);

    // Killed; the lenders find the other one by themselves, and it comes to lead.
    drop(served.pop());
    let killed = Instant::now();
    let answer = assess(&town.path("alpha"));
    println!(
        "it answers {:.1} s after the kill",
        killed.elapsed().as_secs_f32()
    );
    assert_eq!(answer["coverage"]["answered"], 2, "{answer}");
    assert_eq!(
        answer["counts"]["active_lender_groups"],
        json!({"lo": 1, "hi": 1})
    );
    while place(&copy) != "leads" {
        assert!(killed.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    drop((served, beside));
    verified(&copy);
}

#[test]
fn a_backup_moves_a_node_between_the_engines() {
    let town = Town::found();
    let rows = database();
    town.join_with("bureau", &["--database", &rows]);
    import_a_loan(&town, "bureau");
    let bureau = town.path("bureau");
    let (backup, key) = (town.path("bureau.backup"), format!("{bureau}/unlock.key"));
    let backed = creditmesh(&["node", "backup", "--dir", &bureau, &backup]);
    assert_eq!(backed.code, 0, "{backed:?}");
    let on_sled = town.path("bureau-on-sled");
    let run = restored(&on_sled, &backup, &key, &["--no-database"]);
    assert_eq!(run.code, 0, "{run:?}");
    verified(&on_sled);
    let (again, back) = (town.path("bureau-again"), town.path("again.backup"));
    let backed = creditmesh(&["node", "backup", "--dir", &on_sled, &back]);
    assert_eq!(backed.code, 0, "{backed:?}");
    restored(&again, &back, &key, &["--database", &rows]).says(4, &["holds a store already"]);
    let run = restored(&again, &back, &key, &["--database", &database()]);
    assert_eq!(run.code, 0, "{run:?}");
    verified(&again);
    let report = creditmesh(&[
        "records",
        "export",
        "--dir",
        &again,
        "--out",
        &town.path("y.jsonl"),
    ]);
    assert_eq!(report.code, 0, "{report:?}");
    let told = std::fs::read_to_string(town.path("y.jsonl")).unwrap();
    assert!(told.contains("L-1"), "{told}");
}

/// A copy of the bureau's folder for a process that listens at another address; gives its path.
pub(crate) fn copy_listening_at(town: &Town, name: &str, (first, second): (&str, &str)) -> String {
    let copy = town.path(name);
    copy_folder(Path::new(&town.path("bureau")), Path::new(&copy));
    let config = Path::new(&copy).join("node.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (from, to) = (
        format!("listen = \"{first}\""),
        format!("listen = \"{second}\""),
    );
    std::fs::write(&config, text.replacen(&from, &to, 1)).unwrap();
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn what_is_wrong_with_a_database_is_said() {
    let town = Town::found();
    let (invite, admin) = (town.path("alpha.invite"), town.path("admin"));
    let invited = [
        "network", "invite", &admin, "--member", "alpha", "--out", &invite,
    ];
    assert_eq!(creditmesh(&invited).code, 0);
    let join = |more: &[&str]| {
        let fixed = [
            "node",
            "join",
            &invite,
            "--dir",
            &town.path("alpha"),
            "--json",
        ];
        creditmesh(&[&fixed[..], more].concat())
    };
    join(&["--database", "host=127.0.0.1 port=1 user=a dbname=b"])
        .says(4, &["cannot be reached", "check that it runs"]);
    join(&["--database", "host=localhost password=secret dbname=b"])
        .says(4, &["holds a password", "file of its own"]);
    join(&["--database", "nonsense"]).says(4, &["store.connection", "write it as"]);
    join(&["--database-roots", "ca.pem"]).says(2, &["--database"]);
    let run = join(&["--database", &database()]);
    assert_eq!(run.code, 0, "{run:?}");
}
