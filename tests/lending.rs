//! Whole networks over real sockets, real mutual TLS and real stores.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::time::Duration;

use creditmesh::domain::Timestamp;
use creditmesh::domain::{
    ApplicationKind, Body, Borrower, HoldState, Identifier, MemberId, Money, Product, Purpose,
    Record, RecordKind,
};
use creditmesh::env::PlayedClock;
use creditmesh::flows::{Given, NewApplication, NewHold};
use creditmesh::formats::jsonl;
use creditmesh::node::NodeParts;
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn application(ssn: &str) -> NewApplication {
    NewApplication {
        borrower: Borrower {
            national: Some(Identifier::parse(ssn, None).unwrap()),
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
    }
}

async fn network_of(dir: &std::path::Path, names: &[&str]) -> SimulatedNetwork {
    let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
    network_at(&PlayedClock::at(start), dir, names).await
}

async fn network_at(
    clock: &PlayedClock,
    dir: &std::path::Path,
    names: &[&str],
) -> SimulatedNetwork {
    let parts = NodeParts::by(clock.clone());
    let currency = "USD".parse().unwrap();
    let id = "test-net".parse().unwrap();
    let mut network = SimulatedNetwork::found(dir, id, currency, parts).unwrap();
    network.join_lenders(names).await.unwrap();
    network.start_all().await.unwrap();
    network
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stacker_is_seen_by_the_second_lender_as_soon_as_the_first_has_a_signature() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = network_of(dir.path(), &["alpha", "beta", "gamma"]).await;
    let desk = |name: &str| network.node(&member(name)).unwrap().desk().clone();
    let wanted = application("us-ssn:536-90-4399");

    let first = desk("alpha").assess("a-1", &wanted).await.unwrap();
    let json: Value = serde_json::from_str(&first.json).unwrap();
    assert_eq!(json["coverage"]["answered"], 2, "{json:#}");
    assert_eq!(
        json["counts"]["undecided_applications_72h"]["hi"], 0,
        "{json:#}"
    );

    let hold = NewHold {
        application: first.application,
        amount_minor: None,
        life: Duration::from_secs(72 * 3_600),
    };
    desk("alpha").hold("h-1", &hold).await.unwrap();

    let second = desk("beta").assess("b-1", &wanted).await.unwrap();
    let json: Value = serde_json::from_str(&second.json).unwrap();
    assert_eq!(json["counts"]["live_holds"]["lo"], 1, "{json:#}");
    assert_eq!(json["counts"]["live_holds"]["hi"], 1, "{json:#}");
    let flags = json["flags"].as_array().unwrap();
    let concurrent = flags.iter().find(|flag| flag["code"] == "CA").unwrap();
    assert_eq!(concurrent["state"], "TRUE", "{json:#}");

    // The same request again is the same answer, and no second application.
    let again = desk("beta").assess("b-1", &wanted).await.unwrap();
    assert_eq!(again, second);
    network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_peer_is_silent_and_never_clean() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = network_of(dir.path(), &["alpha", "beta", "gamma"]).await;
    network.stop(&member("gamma")).await.unwrap();
    let desk = network.node(&member("alpha")).unwrap().desk().clone();
    let given = desk
        .assess("a-1", &application("us-ssn:536-90-4399"))
        .await
        .unwrap();
    let json: Value = serde_json::from_str(&given.json).unwrap();
    assert_eq!(json["coverage"]["asked"], 2, "{json:#}");
    assert_eq!(json["coverage"]["answered"], 1, "{json:#}");
    assert_eq!(json["counts"]["active_lender_groups"]["hi"], 1, "{json:#}");
    assert_eq!(given.outcome, "INCONCLUSIVE");
    network.stop_all().await.unwrap();
}

/// What `given` says of a flag.
fn state_of(given: &Given, code: &str) -> String {
    let json: Value = serde_json::from_str(&given.json).unwrap();
    let flags = json["flags"].as_array().unwrap();
    let flag = flags.iter().find(|flag| flag["code"] == code);
    flag.map_or("absent", |flag| flag["state"].as_str().unwrap())
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_taken_back_on_the_day_after_its_last_without_anybody_filing_anything() {
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let clock = PlayedClock::at(at("2026-03-02T09:00:00Z"));
    let dir = tempfile::tempdir().unwrap();
    let mut network = network_at(&clock, dir.path(), &["alpha", "beta"]).await;
    let desk = |name: &str| network.node(&member(name)).unwrap().desk().clone();
    let wanted = application("us-ssn:536-90-4399");
    let line = concat!(
        r#"{"kind":"signal","record_id":"019c0000-0000-7000-8000-000000000009","version":1,"#,
        r#""reported_at":"2026-03-02T08:00:00Z","as_of":"2026-03-02T08:00:00Z","#,
        r#""national_id":"us-ssn:536904399","signal_kind":"lost-contact","#,
        r#""event_on":"2026-03-01","filed_by":"collections desk","#,
        r#""attempts":4,"attempts_days":35,"ends_on":"2026-03-03"}"#,
    );
    let signal = jsonl::from_line(line).unwrap();
    for filed in desk("alpha").furnish_published(&[signal]).await.unwrap() {
        filed.unwrap();
    }
    let before = desk("beta").assess("b-1", &wanted).await.unwrap();
    assert_eq!(state_of(&before, "LC"), "TRUE");

    clock.advance_to(at("2026-03-04T00:00:01Z"));
    let gone = async {
        for number in 2.. {
            let given = desk("beta").assess(&format!("b-{number}"), &wanted).await;
            if state_of(&given.unwrap(), "LC") == "FALSE" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap();
    network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn instalments_elsewhere_are_held_against_the_stated_income() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = network_of(dir.path(), &["alpha", "beta"]).await;
    let desk = |name: &str| network.node(&member(name)).unwrap().desk().clone();
    let line = concat!(
        r#"{"kind":"loan","record_id":"019c0000-0000-7000-8000-000000000002","version":1,"#,
        r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
        r#""national_id":"us-ssn:536904399","account_ref":"L-1","product":"instalment-unsecured","#,
        r#""principal":"9000.00 USD","outstanding":"8000.00 USD","past_due":"0.00 USD","#,
        r#""instalment":"700.00 USD","#,
        r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01","dpd":0,"state":"active"}"#,
    );
    let loan = jsonl::from_line(line).unwrap();
    for filed in desk("alpha").furnish_published(&[loan]).await.unwrap() {
        filed.unwrap();
    }
    for (income_minor, state) in [(100_000, "TRUE"), (1_000_000, "FALSE")] {
        let wanted = NewApplication {
            income_month: Some(Money::of(income_minor, "USD".parse().unwrap())),
            ..application("us-ssn:536-90-4399")
        };
        let (beta, key) = (desk("beta"), format!("b-{income_minor}"));
        let given = beta.assess(&key, &wanted).await.unwrap();
        assert_eq!(state_of(&given, "EX"), state, "{}", given.json);
        let again = beta.recheck(&key, given.application).await;
        assert_eq!(state_of(&again.unwrap(), "EX"), state);
    }
    network.stop_all().await.unwrap();
}

/// The member's records of the borrower, by kind.
async fn held(network: &SimulatedNetwork, name: &str, kind: RecordKind) -> Vec<Record> {
    let desk = network.node(&member(name)).unwrap().desk();
    let (records, _) = desk.book().page(None).await.unwrap();
    let mut records = records;
    records.retain(|record| record.kind() == kind);
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn of_steps_that_race_for_one_contract_one_is_taken_and_the_others_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = network_of(dir.path(), &["alpha"]).await;
    let desk = network.node(&member("alpha")).unwrap().desk().clone();
    for round in 0..5 {
        let wanted = application("us-ssn:536-90-4399");
        let given = desk.assess(&format!("a-{round}"), &wanted).await.unwrap();
        let hold = NewHold {
            application: given.application,
            amount_minor: None,
            life: Duration::from_secs(72 * 3_600),
        };
        let holds = (0..8).map(|n| {
            let (desk, hold) = (desk.clone(), hold.clone());
            tokio::spawn(async move { desk.hold(&format!("h-{round}-{n}"), &hold).await })
        });
        let outcomes = futures::future::join_all(holds).await;
        let signed = outcomes.into_iter().filter_map(|one| one.unwrap().ok());
        let signed: Vec<_> = signed.collect();
        assert_eq!(signed.len(), 1);
        assert_eq!(
            held(&network, "alpha", RecordKind::Hold).await.len(),
            round + 1
        );

        let id = signed[0].record.head.record_id;
        let released = {
            let desk = desk.clone();
            tokio::spawn(async move { desk.release(id).await })
        };
        let converts = (0..8).map(|n| {
            let desk = desk.clone();
            let (key, account) = (format!("c-{round}-{n}"), format!("L-{round}-{n}"));
            tokio::spawn(async move { desk.convert(&key, id, &account).await })
        });
        let outcomes = futures::future::join_all(converts).await;
        let paid = outcomes
            .into_iter()
            .filter(|one| one.as_ref().unwrap().is_ok());
        let won = paid.count() + usize::from(released.await.unwrap().is_ok());
        assert_eq!(won, 1);
        for loan in held(&network, "alpha", RecordKind::Loan).await {
            let Body::Loan(_) = loan.body else { continue };
            let holds = held(&network, "alpha", RecordKind::Hold).await;
            let loan = HoldState::Converted {
                loan: loan.head.record_id,
            };
            let told = |record: &Record| matches!(&record.body, Body::Hold(h) if h.state == loan);
            assert!(holds.iter().any(told), "a loan that no hold became");
        }
    }
    network.stop_all().await.unwrap();
}
