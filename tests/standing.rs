//! Whom a node believes, over real sockets and stores: stated months, quarantine, what became of
//! reports, and what a person decides.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Arc;

use creditmesh::domain::{
    ApplicationKind, Body, Borrower, Identifier, MemberId, Money, Product, Purpose, Record,
    RetractionReason, Timestamp,
};
use creditmesh::env::PlayedClock;
use creditmesh::flows::{FlowError, NewApplication, PeerReport, Resolution};
use creditmesh::formats::jsonl;
use creditmesh::node::NodeParts;
use creditmesh::store::Table;
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;

const NAMES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

async fn town(dir: &std::path::Path) -> SimulatedNetwork {
    let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
    town_by(PlayedClock::at(start), dir).await
}

async fn town_by(clock: PlayedClock, dir: &std::path::Path) -> SimulatedNetwork {
    let parts = NodeParts::by(clock);
    let id = "test-net".parse().unwrap();
    let mut network = SimulatedNetwork::found(dir, id, "USD".parse().unwrap(), parts).unwrap();
    network.join_lenders(&NAMES).await.unwrap();
    network.start_all().await.unwrap();
    network
}

fn ssn(number: usize) -> String {
    format!("5369044{number:02}")
}

/// A loan of a borrower that runs, and is this late since 90 days before the tenth of February.
fn loan(number: usize, dpd: u16) -> Record {
    let late = if dpd > 0 {
        r#""past_due":"900.00 USD","first_delinquency_on":"2025-11-12","n_missed":4,"#
    } else {
        r#""past_due":"0.00 USD","#
    };
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-0000000001{:02}","version":1,"#,
            r#""reported_at":"2026-02-11T08:00:00Z","as_of":"2026-02-11T08:00:00Z","#,
            r#""national_id":"us-ssn:{}","account_ref":"L-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","outstanding":"8000.00 USD",{}"#,
            r#""signed_at":"2025-01-01T08:00:00Z","opened_on":"2025-01-01","dpd":{},"#,
            r#""state":"active"}}"#,
        ),
        number,
        ssn(number),
        number,
        late,
        dpd
    );
    jsonl::from_line(&line).unwrap()
}

async fn furnish(network: &SimulatedNetwork, name: &str, records: &[Record]) {
    let desk = network.node(&member(name)).unwrap().desk().clone();
    for filed in desk.furnish_published(records).await.unwrap() {
        filed.unwrap();
    }
}

async fn refresh(network: &SimulatedNetwork) {
    for _ in 0..2 {
        for name in NAMES {
            let standings = &network.node(&member(name)).unwrap().core().standings;
            standings.refresh().await.unwrap();
        }
    }
}

async fn report(network: &SimulatedNetwork, at: &str, peer: &str) -> PeerReport {
    let standings = &network.node(&member(at)).unwrap().core().standings;
    let all = standings.list().await.unwrap();
    all.into_iter()
        .find(|one| one.member == member(peer))
        .unwrap()
}

async fn assess(network: &SimulatedNetwork, number: usize, key: &str) -> Value {
    let wanted = NewApplication {
        borrower: Borrower {
            national: Some(Identifier::parse(&format!("us-ssn:{}", ssn(number)), None).unwrap()),
            phone: None,
            name_dob: None,
        },
        kind: ApplicationKind::Application,
        purpose: Purpose::CreditApplication,
        product: Product::InstalmentUnsecured,
        amount: Some(Money::of(120_000, "USD".parse().unwrap())),
        term_days: Some(90),
        income_month: None,
        consent_reference: "C-1".to_owned(),
    };
    let desk = network.node(&member("alpha")).unwrap().desk().clone();
    let given = desk.assess(key, &wanted).await.unwrap();
    serde_json::from_str(&given.json).unwrap()
}

/// State and severity of a flag.
fn flag(answer: &Value, code: &str) -> (String, String) {
    let flags = answer["flags"].as_array().unwrap();
    let flag = flags.iter().find(|flag| flag["code"] == code).unwrap();
    let text = |key: &str| flag[key].as_str().unwrap().to_owned();
    (text("state"), text("severity"))
}

fn is(state: &str, severity: &str) -> (String, String) {
    (state.to_owned(), severity.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_filings_jump_is_in_quarantine_until_a_person_lifts_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = town(dir.path()).await;
    for name in NAMES {
        let is_late = |number| number == 90 || name == "beta" && number <= 40;
        let book: Vec<Record> = (1..=90)
            .map(|number| loan(number, if is_late(number) { 90 } else { 0 }))
            .collect();
        furnish(&network, name, &book).await;
    }
    refresh(&network).await;
    let stated = report(&network, "alpha", "beta").await;
    assert_eq!(stated.months_stated, 1);
    assert!(stated.standing.quarantined_since.is_some(), "{stated:?}");
    let reason = &stated.reason;
    assert!(reason.starts_with("in 2026-02 it filed "), "{reason}");
    assert!(reason.contains("four times its peers"), "{reason}");
    let honest = report(&network, "alpha", "gamma").await;
    assert_eq!(
        (honest.months_stated, honest.standing.quarantined_since),
        (1, None)
    );

    // Beta reports a default of somebody who pays all others.
    let doubted = assess(&network, 1, "a-1").await;
    assert_eq!(flag(&doubted, "AD"), is("TRUE", "medium"), "{doubted:#}");
    assert_eq!(flag(&doubted, "UC"), is("TRUE", "info"));
    let text = doubted["explanation"].to_string();
    assert!(text.contains("a lender is in quarantine"), "{text}");

    let standings = Arc::clone(&network.node(&member("alpha")).unwrap().core().standings);
    let nobody = standings.lift(&member("beta"), " \n").await.unwrap_err();
    assert!(matches!(nobody, FlowError::Malformed(_)), "{nobody}");
    let not_there = standings.lift(&member("omega"), "kim").await.unwrap_err();
    assert!(
        matches!(not_there, FlowError::NotFound { .. }),
        "{not_there}"
    );
    standings.lift(&member("beta"), "kim").await.unwrap();
    let twice = standings.lift(&member("beta"), "kim").await.unwrap_err();
    assert!(matches!(twice, FlowError::NotPossible(_)), "{twice}");
    let believed = assess(&network, 1, "a-2").await;
    assert_eq!(flag(&believed, "AD"), is("TRUE", "high"), "{believed:#}");
    assert_eq!(flag(&believed, "UC"), is("FALSE", "info"));
    drop(standings);

    // It stays lifted, also when the node starts again and looks again.
    network.stop(&member("alpha")).await.unwrap();
    network.start(&member("alpha")).await.unwrap();
    refresh(&network).await;
    let lifted = report(&network, "alpha", "beta").await;
    assert_eq!(lifted.standing.quarantined_since, None);
    assert_eq!(lifted.decided_by, "kim");

    let standings = &network.node(&member("alpha")).unwrap().core().standings;
    let beta = member("beta");
    standings.mark_troubled(&beta, "kim", true).await.unwrap();
    assert!(standings.mark_troubled(&beta, "kim", true).await.is_err());
    assert!(
        report(&network, "alpha", "beta")
            .await
            .standing
            .troubled_since
            .is_some()
    );
    network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_taken_back_lowers_trust_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = town(dir.path()).await;
    let wrong = loan(7, 95);
    let id = wrong.head.record_id;
    furnish(&network, "beta", &[wrong, loan(8, 95)]).await;
    let before = assess(&network, 7, "a-1").await;
    assert_eq!(flag(&before, "AD"), is("TRUE", "high"), "{before:#}");
    let desk = network.node(&member("beta")).unwrap().desk().clone();
    desk.retract(id, RetractionReason::WrongPerson)
        .await
        .unwrap();
    for key in ["a-2", "a-3", "a-4"] {
        let after = assess(&network, 7, key).await;
        assert_eq!(flag(&after, "AD").0, "FALSE", "{after:#}");
    }
    let seen = report(&network, "alpha", "beta").await;
    assert_eq!((seen.upheld_seen, seen.overturned_seen), (0, 1));
    assert_eq!(seen.trust_per_mille, 615);
    let doubted = assess(&network, 8, "a-5").await;
    assert_eq!(flag(&doubted, "AD"), is("TRUE", "medium"), "{doubted:#}");
    network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_back_what_reported_nothing_bad_is_no_lie() {
    let dir = tempfile::tempdir().unwrap();
    let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
    let mut network = town_by(clock.clone(), dir.path()).await;
    let book: Vec<Record> = (1..=20)
        .map(|number| loan(number, if number > 17 { 95 } else { 0 }))
        .collect();
    furnish(&network, "beta", &book).await;
    let beta = network.node(&member("beta")).unwrap();
    for record in &book[5..19] {
        let (id, reason) = (record.head.record_id, RetractionReason::FurnisherError);
        beta.desk().retract(id, reason).await.unwrap();
    }
    // Of two disputes the borrower loses one, and gets a correction in the other.
    for (record, resolution) in [(0, Resolution::Rejected), (1, Resolution::Corrected)] {
        let id = book[record].head.record_id;
        let opened = beta
            .desk()
            .open_dispute(id, "not mine", "ann")
            .await
            .unwrap();
        let resolve = || beta.desk().resolve_dispute(opened.id, resolution, "bob");
        if resolution == Resolution::Corrected {
            let mut same = book[record].clone();
            same.head.version = same.head.version.next();
            furnish(&network, "beta", &[same.clone()]).await;
            let refused = resolve().await.unwrap_err().to_string();
            assert!(refused.contains("says anything else"), "{refused}");
            same.head.version = same.head.version.next();
            if let Body::Loan(loan) = &mut same.body {
                loan.outstanding.minor -= 100;
            }
            furnish(&network, "beta", &[same]).await;
        }
        resolve().await.unwrap();
    }
    clock.advance_to(Timestamp::parse_rfc3339("2026-04-01T00:00:30Z").unwrap());
    let standings = &beta.core().standings;
    standings.refresh().await.unwrap();
    let stated = standings.own_statements().await.unwrap();
    let counts = stated.last().unwrap().counts;
    // Two of the fourteen had reported a default.
    assert_eq!(counts.overturned(), 2, "{counts:?}");
    assert_eq!(counts.retracted_for(RetractionReason::DisputeDecided), 2);
    assert_eq!((counts.disputes_upheld, counts.disputes_rejected), (0, 1));
    network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_counts_for_one_month_are_kept_as_proof() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = town(dir.path()).await;
    furnish(&network, "beta", &[loan(1, 0), loan(2, 0)]).await;
    refresh(&network).await;
    assert_eq!(report(&network, "alpha", "beta").await.contradicted, None);

    // Beta rewrites what it counted, and signs that too.
    let vault = network
        .node(&member("beta"))
        .unwrap()
        .core()
        .home
        .vault
        .clone();
    let key = vault.row_key(Table::OwnMonth, b"2026-02");
    let row = vault.read(Table::OwnMonth, &key).await.unwrap().unwrap();
    let mut counts = row.bytes.to_vec();
    counts[8] += 1;
    let mut batch = vault.batch();
    batch.put(Table::OwnMonth, &key, row.revision, &counts);
    vault.commit(batch).await.unwrap();
    refresh(&network).await;
    let caught = report(&network, "alpha", "beta").await;
    assert_eq!(caught.contradicted.unwrap().to_string(), "2026-02");
    assert_eq!(caught.reason, "stated two different counts for 2026-02");
    assert!(caught.standing.quarantined_since.is_some());
    network.stop_all().await.unwrap();
}
