//! Watching and alerts by the documented commands, with nodes that are killed meanwhile.

use std::fmt::Write as _;

use serde_json::Value;

use super::shell::{Run, Served, Town, creditmesh, creditmesh_reading};

/// The social security number of a borrower, as records have it.
pub(super) fn ssn(number: u32) -> String {
    format!("23001{:04}", number + 1)
}

pub(super) fn watch(dir: &str, step: &str, more: &[&str]) -> Run {
    creditmesh(&[&["watch", step, "--dir", dir, "--json"], more].concat())
}

fn alerts(dir: &str, step: &str, more: &[&str]) -> Run {
    creditmesh(&[&["alerts", step, "--dir", dir, "--json"], more].concat())
}

/// What makes a loan a default.
pub(super) const DEFAULT: &str =
    r#""past_due":"700.00 USD","first_delinquency_on":"2025-11-20","dpd":95,"state":"active""#;

/// What makes a loan one that is paid as agreed.
pub(super) const CURRENT: &str = r#""past_due":"0.00 USD","dpd":0,"state":"active""#;

/// Files a loan of each of these borrowers.
pub(super) fn loans(town: &Town, dir: &str, numbers: std::ops::Range<u32>, state: &str) {
    let mut lines = String::new();
    for number in numbers.clone() {
        writeln!(
            lines,
            concat!(
                r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-{:012}","version":1,"#,
                r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
                r#""national_id":"us-ssn:{}","account_ref":"L-{}","#,
                r#""product":"instalment-unsecured","principal":"9000.00 USD","#,
                r#""instalment":"700.00 USD","signed_at":"2025-06-01T08:00:00Z","#,
                r#""opened_on":"2025-06-01","outstanding":"8000.00 USD",{}}}"#
            ),
            number,
            ssn(number),
            number,
            state
        )
        .unwrap();
    }
    let file = town.path(&format!("loans-{}.jsonl", numbers.start));
    std::fs::write(&file, lines).unwrap();
    let run = creditmesh(&["records", "import", &file, "--dir", dir, "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
}

/// Waits until a command's JSON is as it should be.
pub(super) fn until(
    what: &str,
    mut run: impl FnMut() -> Run,
    so: impl Fn(&Value) -> bool,
) -> Value {
    for _ in 0..300 {
        let value: Value = serde_json::from_str(run().stdout.trim()).unwrap_or_default();
        if so(&value) {
            return value;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{what} did not come within 30 s");
}

fn count(value: &Value) -> usize {
    value["alerts"].as_array().map_or(0, Vec::len)
}

#[test]
fn defaults_elsewhere_are_alerts_that_are_followed_taken_and_settled_over_kills() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let (alpha, beta) = (town.path("alpha"), town.path("beta"));
    watch(&beta, "list", &[]).says(4, &["no node runs"]);
    let alpha_serves = Served::start(&alpha);
    let mut beta_serves = Served::start(&beta);
    town.wait_for_mirrors("beta", 1);

    let lines: String = (0..30)
        .map(|number| format!("us-ssn:{},ref:R-{number}\n", ssn(number)))
        .collect();
    let add = ["watch", "add", "--dir", &beta, "--file", "-", "--json"];
    // Who is no customer is left out: an account review needs an account.
    loans(&town, &beta, 0..29, CURRENT);
    let added = creditmesh_reading(&lines, &add).json(1);
    assert_eq!((&added["added"], &added["known"]), (&29.into(), &0.into()));
    assert_eq!(added["strangers"], serde_json::json!([30]));
    loans(&town, &beta, 29..30, CURRENT);
    let added = creditmesh_reading(&lines, &add).json(0);
    assert_eq!((&added["added"], &added["known"]), (&1.into(), &29.into()));
    let stranger = creditmesh(&["watch", "add", "us-ssn:536-90-4399", "--dir", &beta]);
    let named = stranger
        .stdout
        .contains("borrower 1: not watched, as no contract");
    assert!(stranger.code == 1 && named, "{stranger:?}");
    watch(&beta, "add", &["us-ssn:078-05-1120"]).says(2, &["borrower 1"]);
    watch(&beta, "add", &["ref:R-1"]).says(2, &["no identifier"]);
    let whole = |value: &Value| value["peers"][0]["whole"] == true;
    let listed = until("the evaluation", || watch(&beta, "list", &[]), whole);
    assert_eq!(
        (&listed["watched"], &listed["peers"][0]["evaluated"]),
        (&30.into(), &30.into())
    );
    assert_eq!(listed["borrowers"][0]["borrower"], "us-ssn:…0001");

    // Killed with SIGKILL while alerts come in.
    for round in 0..3 {
        loans(&town, &alpha, 10 * round..10 * round + 10, DEFAULT);
        drop(beta_serves);
        beta_serves = Served::start(&beta);
    }
    drop(alpha_serves);
    let _alpha = Served::start(&alpha);
    let all = until(
        "30 alerts",
        || alerts(&beta, "list", &[]),
        |value| count(value) >= 30,
    );
    let mut references: Vec<&str> = all["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["reference"].as_str().unwrap())
        .collect();
    references.sort_unstable();
    references.dedup();
    assert_eq!((count(&all), references.len()), (30, 30));

    let followed = alerts(&beta, "follow", &["--after", "28", "--count", "2"]);
    let ids: Vec<Value> = followed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, [29, 30]);
    settled(&beta);
    drop(beta_serves);
}

fn settled(beta: &str) {
    let taken = alerts(beta, "acknowledge", &["7", "--owner", "Kim"]).json(0);
    assert_eq!(
        (&taken["state"], &taken["owner"]),
        (&"acknowledged".into(), &"Kim".into())
    );
    alerts(beta, "acknowledge", &["700", "--owner", "Kim"]).says(1, &["no such alert"]);
    alerts(beta, "resolve", &["7", "--response", "shrug"]).says(2, &["lowered-limit"]);
    let done = alerts(beta, "resolve", &["7", "--response", "no-action"]).json(0);
    assert_eq!(done["state"], "resolved");
    alerts(beta, "resolve", &["7", "--response", "reviewed"]).says(1, &["resolved already"]);
    let open = alerts(beta, "list", &["--state", "open"]).json(0);
    assert_eq!(count(&open), 29);
    let dead = creditmesh(&["alerts", "dead-letter", "list", "--dir", beta, "--json"]).json(0);
    assert_eq!(dead["dead_letters"].as_array().unwrap().len(), 0);

    let identifier = format!("us-ssn:{}", ssn(3));
    let removed = watch(beta, "remove", &[&identifier]).json(0);
    assert_eq!(removed["removed"], 1);
    assert_eq!(watch(beta, "remove", &[&identifier]).json(1)["unknown"], 1);
    assert_eq!(watch(beta, "list", &[]).json(0)["watched"], 29);
    assert_eq!(watch(beta, "add", &["--book"]).json(0)["added"], 1);
    assert_eq!(watch(beta, "list", &[]).json(0)["watched"], 30);
}
