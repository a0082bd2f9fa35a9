//! Signals, disputes and findings by the documented commands, and queries that are refused.

use serde_json::Value;

use super::shell::{Run, Served, Town, creditmesh};

const BORROWER: &str = "us-ssn:536-90-4399";

/// A command at a running node, for machines.
fn at(dir: &str, words: &[&str]) -> Run {
    creditmesh(&[words, &["--dir", dir, "--json"]].concat())
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

/// A lender alone, with a loan in its book, that serves.
fn lender(town: &Town) -> (String, Served) {
    town.join("alpha");
    let alpha = town.path("alpha");
    let loan = concat!(
        r#"{"kind":"loan","record_id":"019c0000-0000-7000-8000-000000000001","version":1,"#,
        r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
        r#""national_id":"us-ssn:536-90-4399","account_ref":"=L-1","#,
        r#""product":"instalment-unsecured","principal":"9000.00 USD","#,
        r#""instalment":"700.00 USD","signed_at":"2025-06-01T08:00:00Z","#,
        r#""opened_on":"2025-06-01","outstanding":"8000.00 USD","past_due":"0.00 USD","#,
        r#""dpd":0,"state":"active"}"#,
    );
    let file = town.path("loan.jsonl");
    std::fs::write(&file, loan).unwrap();
    at(&alpha, &["records", "import", &file]).json(0);
    let served = Served::start(&alpha);
    (alpha, served)
}

const LOAN: &str = "019c0000-0000-7000-8000-000000000001";

#[test]
fn a_fraud_waits_for_another_person_and_is_kept_only_where_it_is_upheld() {
    let town = Town::found();
    let (alpha, _served) = lender(&town);
    let evidence = town.path("case.pdf");
    std::fs::write(&evidence, "what was found").unwrap();
    let mut fraud = vec!["signal", "file", "--kind", "fraud-confirmed"];
    fraud.extend(["--fraud-type", "takeover", "--borrower", BORROWER]);
    fraud.extend(["--on", "2026-03-02", "--evidence", &evidence]);
    fraud.extend(["--reasonable-grounds", "--clear-evidence"]);
    let unproven = [&fraud[..], &["--product", "rejected", "--by", "Ann Lee"]].concat();
    assert_eq!(at(&alpha, &unproven).code, 2, "one part of four is missing");
    let proven = [&unproven[..], &["--recognised-case"]].concat();
    let filed = at(&alpha, &proven).json(0);
    assert_eq!(filed["state"], "pending");
    let id = text(&filed, "record_id");

    let review = |by: &str, word: &str| at(&alpha, &["signal", "review", &id, "--by", by, word]);
    review("lee, ANN", "--uphold").says(1, &["ask somebody else"]);
    let listed = at(&alpha, &["signal", "list"]).json(0);
    assert_eq!(listed["pending"][0]["record_id"], id.as_str());
    review("bob", "--reject").json(0);
    let listed = at(&alpha, &["signal", "list"]).json(0);
    assert_eq!(listed["pending"], serde_json::json!([]));
    at(&alpha, &["signal", "show", &id]).says(1, &["no such signal"]);

    let again = text(&at(&alpha, &proven).json(0), "record_id");
    at(
        &alpha,
        &["signal", "review", &again, "--by", "bob", "--uphold"],
    )
    .json(0);
    assert_eq!(
        at(&alpha, &["signal", "show", &again]).json(0)["state"],
        "standing"
    );
    let cure = [
        "signal",
        "cure",
        &again,
        "--paid-on",
        "2026-03-04",
        "--by",
        "ann",
    ];
    at(&alpha, &cure).says(1, &["a payment does not make"]);
}

#[test]
fn a_dispute_is_opened_acknowledged_and_decided_once() {
    let town = Town::found();
    let (alpha, _served) = lender(&town);
    let open = [
        "records", "dispute", LOAN, "--reason", "not mine", "--by", "ann",
    ];
    let opened = at(&alpha, &open).json(0);
    assert_eq!(opened["state"], "opened");
    at(&alpha, &open).says(1, &["disputed already"]);
    let retract = ["records", "retract", LOAN, "--reason", "furnisher-error"];
    at(&alpha, &retract).says(1, &["dispute resolve"]);
    let id = text(&opened, "dispute_id");
    let step = |words: &[&str]| at(&alpha, &[&["records", "dispute"], words].concat());
    assert_eq!(
        step(&["acknowledge", &id, "--by", "ann"]).json(0)["state"],
        "acknowledged"
    );
    let listed = step(&["list"]).json(0);
    assert_eq!(listed["disputes"].as_array().unwrap().len(), 1);
    step(&["resolve", &id, "--corrected", "--by", "bob"]).says(1, &["import it first"]);
    let decided = step(&["resolve", &id, "--upheld", "--by", "bob"]).json(0);
    assert_eq!(
        (&decided["state"], &decided["resolution"]),
        (&"decided".into(), &"upheld".into())
    );
    step(&["resolve", &id, "--rejected", "--by", "bob"]).says(1, &["upheld already"]);
    let listed = step(&["list"]).json(0);
    assert_eq!(listed["disputes"], serde_json::json!([]));
    step(&["resolve", LOAN, "--upheld", "--by", "bob"]).says(1, &["no such dispute"]);
}

#[test]
fn a_query_without_consent_or_for_a_purpose_that_is_none_is_not_asked() {
    let town = Town::found();
    let (alpha, _served) = lender(&town);
    let base = [
        "assess",
        "--id",
        BORROWER,
        "--amount",
        "1200.00 USD",
        "--term-days",
        "90",
    ];
    let asked = |more: &[&str]| at(&alpha, &[&base[..], more].concat());
    asked(&[]).says(2, &["--consent"]);
    for empty in ["", "   ", "---"] {
        asked(&["--consent", empty]).says(2, &["consent"]);
    }
    for never in ["marketing", "employment", "pre-screening"] {
        asked(&["--consent", "C-1", "--purpose", never]).says(2, &["never a purpose"]);
    }
    asked(&["--consent", "C-1", "--purpose", "curiosity"]).says(2, &["must be"]);
    let log = at(&alpha, &["audit", "show"]).json(0);
    assert!(!log.to_string().contains("\"asked\""), "{log}");

    let findings = at(&alpha, &["audit", "findings"]).json(0);
    assert_eq!(findings["findings"], serde_json::json!([]));
    let unknown = "5f0c1d2e3a4b5c6d";
    let mut words = vec!["audit", "findings", "acknowledge", unknown];
    words.extend(["--by", "ann", "--says", "seen"]);
    at(&alpha, &words).says(1, &["no such"]);
}

#[test]
fn an_export_in_csv_is_read_back_and_runs_nothing_in_a_spreadsheet() {
    let town = Town::found();
    let (alpha, _served) = lender(&town);
    let (csv, other) = (town.path("out.csv"), town.path("other.csv"));
    at(&alpha, &["records", "export", "--out", &csv]).says(2, &["one kind"]);
    let export = ["records", "export", "--kind", "loan", "--out", &csv];
    assert_eq!(at(&alpha, &export).json(0)["exported"], 1);
    let written = std::fs::read_to_string(&csv).unwrap();
    assert!(written.contains(",'=L-1,"), "{written}");
    assert_eq!(
        at(&alpha, &["records", "import", &csv]).json(0)["unchanged"],
        1
    );
    std::fs::copy(&csv, &other).unwrap();
    at(&alpha, &export).says(1, &["exists"]);
}
