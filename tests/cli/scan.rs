//! A whole portfolio by the documented commands: what peers tell of each customer, as a file that
//! can be gone on with.

use serde_json::Value;

use super::shell::{Run, Served, Town, creditmesh};
use super::watch::{CURRENT, DEFAULT, loans, ssn, until, watch};

fn scan(dir: &str, more: &[&str]) -> Run {
    creditmesh(&[&["scan", "--dir", dir], more].concat())
}

fn rows(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_whole(value: &Value) -> bool {
    value["peers"][0]["whole"] == true
}

/// Broken off in the middle of a row, behind the header, at the end.
fn a_file_is_gone_on_with(town: &Town, beta: &str) {
    let file = town.path("scan.csv");
    let as_csv = ["--format", "csv", "--out", &file];
    let written = scan(beta, &as_csv);
    assert!(written.stdout.starts_with("150 scanned: "), "{written:?}");
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(whole.lines().count(), 151);
    assert!(whole.starts_with("number,reference,borrower,outcome,"));
    assert_eq!(whole.matches("AD:high").count(), 70);
    scan(beta, &as_csv).says(1, &["exists already"]);
    for cut in [whole.len() / 2, whole.find('\n').unwrap() + 1, whole.len()] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let resumed = scan(beta, &[&as_csv[..], &["--resume"]].concat());
        assert_eq!(resumed.code, 0, "{resumed:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
    }
    let other = town.path("other.txt");
    std::fs::write(&other, "anything\n").unwrap();
    scan(beta, &["--out", &other, "--resume"]).says(1, &["holds no rows of a scan"]);
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "anything\n");
}

#[test]
fn every_customer_is_told_as_a_query_would_tell_it() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let (alpha, beta) = (town.path("alpha"), town.path("beta"));
    let alpha_serves = Served::start(&alpha);
    let _beta_serves = Served::start(&beta);
    town.wait_for_mirrors("beta", 1);
    loans(&town, &alpha, 0..70, DEFAULT);
    loans(&town, &beta, 0..150, CURRENT);
    let none = scan(&beta, &[]);
    assert!(
        none.stdout.is_empty() && none.stderr.contains("watch add --book"),
        "{none:?}"
    );
    assert_eq!(watch(&beta, "add", &["--book"]).json(0)["added"], 150);
    until("the evaluation", || watch(&beta, "list", &[]), is_whole);

    let told = scan(&beta, &[]);
    assert_eq!(told.code, 0, "{told:?}");
    let all = rows(&told.stdout);
    assert_eq!(all.len(), 150);
    let has_default = |row: &&Value| row["counts"]["active_defaults"]["lo"] == 1;
    let defaults: Vec<&Value> = all.iter().filter(has_default).collect();
    assert_eq!(defaults.len(), 70);
    assert!(!told.stdout.contains(&ssn(3)), "identifiers are masked");
    // The same as a query, which asks the peer.
    let id = format!("us-ssn:{}", ssn(3));
    let asked = [
        "assess",
        "--id",
        &id,
        "--consent",
        "C-3",
        "--dir",
        &beta,
        "--json",
    ];
    let asked = creditmesh(&asked).json(0);
    let masked = format!("us-ssn:…{}", &ssn(3)[5..]);
    let row = all.iter().find(|row| row["borrower"] == masked).unwrap();
    for key in ["outcome", "bands"] {
        assert_eq!(row[key], asked[key], "{key}");
    }
    // But for what a telephone number would add.
    let flags = asked["flags"].as_array().unwrap().iter();
    let flags: Vec<&Value> = flags.filter(|flag| flag["code"] != "ID").collect();
    assert_eq!(serde_json::json!(flags), row["flags"]);
    let mut counts = asked["counts"].as_object().unwrap().clone();
    counts.retain(|name, _| !name.starts_with("phone_"));
    assert_eq!(Value::from(counts), row["counts"]);
    assert_eq!(row["coverage"]["answered"], 1);

    a_file_is_gone_on_with(&town, &beta);

    // What comes by the feed is told without asking; who is new while the peer is away is unknown.
    loans(&town, &alpha, 70..75, DEFAULT);
    let came = |value: &Value| value["outcomes"]["REVIEW"] == 75;
    let file = town.path("scan.jsonl");
    let again = || {
        std::fs::remove_file(&file).ok();
        scan(&beta, &["--json", "--out", &file])
    };
    until("the new defaults", again, came);
    drop(alpha_serves);
    loans(&town, &beta, 150..151, CURRENT);
    assert_eq!(watch(&beta, "add", &["--book"]).json(0)["added"], 1);
    let partly = scan(&beta, &["--after", "150"]);
    assert_eq!(partly.code, 3, "{partly:?}");
    let new = rows(&partly.stdout);
    assert_eq!((new.len(), &new[0]["coverage"]["answered"]), (1, &0.into()));
    assert_eq!(new[0]["outcome"], "INCONCLUSIVE");
}
