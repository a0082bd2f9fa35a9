//! The borrower's report, as a member's staff make it: through the socket of a real node.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, MemberId, Product, Purpose, RecordId, Timestamp,
};
use creditmesh::env::{Clock, PlayedClock};
use creditmesh::flows::{NewApplication, NewWatched};
use creditmesh::formats::jsonl;
use creditmesh::node::NodeParts;
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;

const SSN: &str = "us-ssn:536-90-4399";
const LOAN: &str = "019c0000-0000-7000-8000-000000000002";
const EVIL: &str = "<script>alert(1)</script>";

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn borrower() -> Borrower {
    Borrower {
        national: Some(Identifier::parse(SSN, None).unwrap()),
        ..Borrower::default()
    }
}

fn reported(folder: &Path, more: &[&str]) -> (i32, String) {
    let dir = folder.to_str().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["report", SSN, "--dir", dir])
        .args(more)
        .output()
        .unwrap();
    let text = [made.stdout, made.stderr].concat();
    (
        made.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

async fn network(dir: &Path, clock: &PlayedClock) -> SimulatedNetwork {
    let parts = NodeParts::by(clock.clone());
    let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
    let mut network = SimulatedNetwork::found(dir, id, currency, parts).unwrap();
    network.join_lenders(&["alpha", "beta"]).await.unwrap();
    network.start_all().await.unwrap();
    network
}

fn default_of_alpha() -> creditmesh::domain::Record {
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"{}","version":1,"#,
            r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
            r#""national_id":"us-ssn:536904399","account_ref":"L-1","#,
            r#""product":"instalment-unsecured","principal":"9000.00 USD","#,
            r#""outstanding":"8000.00 USD","past_due":"900.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01","dpd":120,"#,
            r#""state":"active","first_delinquency_on":"2025-11-01"}}"#,
        ),
        LOAN
    );
    jsonl::from_line(&line).unwrap()
}

fn wanted() -> NewApplication {
    NewApplication {
        borrower: borrower(),
        kind: ApplicationKind::Application,
        purpose: Purpose::CreditApplication,
        product: Product::InstalmentUnsecured,
        amount: None,
        term_days: None,
        income_month: None,
        consent_reference: "C-4711".to_owned(),
    }
}

fn json(folder: &Path) -> Value {
    let (code, text) = reported(folder, &["--json"]);
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The page, what is refused, and what the audit log has of it.
fn pages_and_log(page: &Path, alpha: &Path) {
    let file = page.to_str().unwrap();
    let (code, text) = reported(alpha, &["--format", "html", "--out", file]);
    assert_eq!(code, 0, "{text}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script"));
    if let Some(copy) = std::env::var_os("CREDITMESH_TEST_REPORT") {
        std::fs::copy(page, copy).unwrap();
    }
    let (code, text) = reported(alpha, &["--format", "html", "--out", file]);
    assert!(code == 1 && text.contains("there already"), "{text}");
    let (code, text) = reported(alpha, &[]);
    assert!(code == 0 && text.contains("What is held"), "{text}");

    // Each report is in the audit log, and none names anybody.
    let shown = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["audit", "show", "--dir", alpha.to_str().unwrap()])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.matches("reported").count(), 3, "{shown}");
    assert!(shown.contains("self-access") && !shown.contains("536-90"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_what_is_held_published_asked_and_decided() {
    let dir = tempfile::tempdir().unwrap();
    let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
    let mut network = network(dir.path(), &clock).await;
    let (alpha, beta) = (dir.path().join("alpha"), dir.path().join("beta"));

    // Of a stranger there is nothing, and that is said.
    let before = json(&beta);
    assert_eq!(before["records"], Value::Array(Vec::new()));
    assert_eq!(before["queries_since"], Value::Null);

    let desk = network.node(&member("alpha")).unwrap().desk();
    for filed in desk.furnish_published(&[default_of_alpha()]).await.unwrap() {
        filed.unwrap();
    }
    desk.open_dispute(RecordId(LOAN.parse().unwrap()), EVIL, "ann")
        .await
        .unwrap();
    let node = network.node(&member("beta")).unwrap();
    let given = node.desk().assess("b-1", &wanted()).await.unwrap();
    let watched = NewWatched {
        borrower: borrower(),
        reference: "L-9".to_owned(),
    };
    node.core().watch.add(&[watched]).await.unwrap();

    let held = json(&alpha);
    let loan = held["records"].as_array().unwrap();
    let loan = loan.iter().find(|one| one["record"]["record_id"] == LOAN);
    assert_eq!(loan.unwrap()["rule"], "adverse_months");
    assert!(
        held["published"][0]["tells"]
            .to_string()
            .contains("90-plus")
    );
    assert_eq!(held["disputes"][0]["reason"], EVIL);
    assert!(held["signals"].to_string().contains("default"));
    assert!(held["queries"].as_array().unwrap().is_empty());

    let asked = json(&beta);
    let query = &asked["queries"][0];
    assert_eq!(query["query_id"], given.query.0.to_string());
    assert_eq!(query["purpose"], "credit-application");
    assert_eq!(query["outcome"], given.outcome);
    assert_eq!(query["members_asked"], 1);
    assert_eq!(query["decided"], "pending");
    assert!(
        asked["published"][0]["tells"]
            .to_string()
            .contains("application")
    );
    assert_eq!(asked["reports"].as_array().unwrap().len(), 1);
    assert_ne!(asked["watched_since"], Value::Null);
    assert!(
        asked["queries_of_others"]
            .as_str()
            .unwrap()
            .contains("blinded")
    );
    assert!(!asked["identifiers"].to_string().contains("53690"));

    pages_and_log(&dir.path().join("report.html"), &alpha);

    // After 180 days the query is gone from the report too.
    clock.advance_to(clock.now().plus(Duration::from_secs(182 * 86_400)));
    let node = network.node(&member("beta")).unwrap();
    while !node.core().ageing.sweep().await.unwrap() {}
    assert!(json(&beta)["queries"].as_array().unwrap().is_empty());
    network.stop_all().await.unwrap();
}
