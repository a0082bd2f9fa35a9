//! Two lenders found a network, join it, serve, and lend, by the documented commands only.

use serde_json::Value;

use super::shell::{Run, Served, Town, creditmesh, creditmesh_reading};

const BORROWER: &str = "us-ssn:536-90-4399";

fn lending_shape(answer: &Value) {
    assert!(answer["query_id"].is_string(), "{answer:#}");
    assert!(answer["outcome"].is_string(), "{answer:#}");
    for key in ["asked", "answered", "weight"] {
        assert!(answer["coverage"][key].is_number(), "{key}: {answer:#}");
    }
    assert!(answer["coverage"]["silent"].is_array(), "{answer:#}");
    let counts = answer["counts"].as_object().unwrap();
    assert!(!counts.is_empty());
    for (name, count) in counts {
        assert!(
            count["lo"].is_number() && count["hi"].is_number(),
            "{name}: {count}"
        );
    }
    for flag in answer["flags"].as_array().unwrap() {
        let words = ["code", "state", "severity"];
        assert!(words.iter().all(|word| flag[word].is_string()), "{flag}");
        assert!(flag["reasons"].is_array(), "{flag}");
    }
    for key in ["score", "valid_until", "application_id"] {
        assert!(answer.get(key).is_some(), "{key}: {answer:#}");
    }
}

fn assess(dir: &str, key: &str, more: &[&str]) -> Run {
    let fixed = [
        "assess",
        "--dir",
        dir,
        "--consent",
        "C-1",
        "--amount",
        "1200.00 USD",
        "--term-days",
        "90",
        "--idempotency-key",
        key,
        "--json",
    ];
    creditmesh(&[&fixed[..], more].concat())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

#[test]
fn two_lenders_join_by_file_and_lend_by_the_documented_commands() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let (alpha, beta, admin) = (town.path("alpha"), town.path("beta"), town.path("admin"));
    let shown = creditmesh(&["network", "show", &admin, "--json"]).json(0);
    assert_eq!(shown["members"].as_array().unwrap().len(), 2);
    let days = creditmesh(&["cert", "check", "--dir", &alpha, "--json"]).json(0);
    assert!(days["days_left"].as_u64() > Some(80), "{days}");

    creditmesh(&[
        "assess",
        "--dir",
        &alpha,
        "--id",
        BORROWER,
        "--consent",
        "C",
    ])
    .says(4, &["no node runs", "creditmesh node serve --dir"]);

    let _alpha = Served::start(&alpha);
    let _beta = Served::start(&beta);
    town.wait_for_mirrors("alpha", 1);
    town.wait_for_mirrors("beta", 1);

    let first = assess(&alpha, "a-1", &["--id", BORROWER]).json(0);
    lending_shape(&first);
    assert_eq!(first["coverage"]["answered"], 1, "{first:#}");
    assert_eq!(assess(&alpha, "a-1", &["--id", BORROWER]).json(0), first);
    assess(&alpha, "a-1", &["--id", "us-ssn:219-09-9998"])
        .says(2, &["idempotency key", "fresh one"]);

    let application = text(&first, "application_id");
    let held = creditmesh(&["hold", "--dir", &alpha, application, "--json"]).json(0);
    assert_eq!(held["version"], 1);
    let next = held["next"][0].as_str().unwrap();
    assert!(next.starts_with("creditmesh hold convert"), "{held}");
    let second = assess(&beta, "b-1", &["--id", BORROWER, "--explain"]).json(0);
    lending_shape(&second);
    assert_eq!(second["counts"]["live_holds"]["lo"], 1, "{second:#}");
    assert!(second["explanation"].is_array(), "{second:#}");

    let again = creditmesh(&["recheck", "--dir", &alpha, application, "--json"]).json(0);
    lending_shape(&again);
    assert_ne!(again["query_id"], first["query_id"]);
    let query = text(&first, "query_id");
    let fetched = creditmesh(&["answer", "--dir", &alpha, query, "--json"]).json(0);
    assert_eq!(fetched, first);

    let hold = text(&held, "record_id");
    let convert = [
        "hold",
        "convert",
        hold,
        "--dir",
        &alpha,
        "--account",
        "L-1",
        "--json",
    ];
    let loan = creditmesh(&convert).json(0);
    let loan = text(&loan, "record_id");
    let row: Value =
        serde_json::from_str(&creditmesh(&["records", "show", loan, "--dir", &alpha]).stdout)
            .unwrap();
    assert_eq!(row["kind"], "loan");
    assert_eq!(row["account_ref"], "L-1");
    creditmesh(&["hold", "release", hold, "--dir", &alpha]).says(1, &["hold"]);

    close_declined(&beta, text(&second, "application_id"));
    wrong_requests_are_named(&alpha);
    what_a_node_that_runs_refuses(&alpha);
}

fn close_declined(beta: &str, other: &str) {
    let close = [
        "close",
        other,
        "--dir",
        beta,
        "--outcome",
        "declined",
        "--json",
    ];
    assert_eq!(creditmesh(&close).json(0)["version"], 2);
    creditmesh(&["hold", "--dir", beta, other]).says(1, &["already"]);
}

fn wrong_requests_are_named(alpha: &str) {
    assess(alpha, "w-1", &["--id", "passport:123"]).says(2, &["identifier", "cn-rid"]);
    assess(alpha, "w-2", &["--id", "us-ssn:000-12-3456"]).says(2, &["identifiers"]);
    assess(alpha, "w-3", &["--id", "phone:+12025550123"]).says(2, &["national identity"]);
    let no_consent = ["assess", "--dir", alpha, "--id", BORROWER, "--consent", ""];
    creditmesh(&no_consent).says(2, &["consent"]);
    let income = ["--id", BORROWER, "--income", "900.00 CNY"];
    assess(alpha, "w-4", &income).says(2, &["income_currency", "USD"]);
    let unknown = "0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e";
    creditmesh(&["recheck", "--dir", alpha, unknown]).says(1, &["application", "check the id"]);
    creditmesh(&["answer", "--dir", alpha, unknown]).says(1, &["check the id"]);
    creditmesh(&["records", "show", unknown, "--dir", alpha]).says(1, &["check the id"]);
    let read = [
        "assess",
        "--dir",
        alpha,
        "--id",
        "-",
        "--consent",
        "C-2",
        "--json",
    ];
    let run = creditmesh_reading("us-ssn:536-90-4399\nphone:+12025550123\n", &read);
    lending_shape(&run.json(0));
    let whole = format!("{}{}", run.stdout, run.stderr);
    assert!(!whole.contains("4399"), "the identifier is not echoed");
}

fn what_a_node_that_runs_refuses(alpha: &str) {
    creditmesh(&["node", "serve", "--dir", alpha]).says(4, &["in use by another process", "stop"]);
    creditmesh(&["node", "verify", "--dir", alpha]).says(1, &["a node runs", "stop it"]);
}

#[test]
fn an_assess_without_its_peers_is_inconclusive_and_exit_code_3() {
    let town = Town::found();
    town.join("alpha");
    town.join("beta");
    town.give_list("alpha");
    let alpha = town.path("alpha");
    let _alpha = Served::start(&alpha);
    let answer = assess(&alpha, "a-1", &["--id", BORROWER]).json(3);
    lending_shape(&answer);
    assert_eq!(answer["outcome"], "INCONCLUSIVE");
    assert_eq!(answer["coverage"]["answered"], 0);
}
