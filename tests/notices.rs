//! Revision notices over real sockets, mutual TLS and sled: who was answered from a record that was
//! taken back hears of it, days and key epochs later, once, and nobody else does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{
    AlertKind, ApplicationKind, Borrower, Identifier, MemberId, Product, Purpose, QueryId, Record,
    RecordId, RetractionReason, RevisionKind, Timestamp,
};
use creditmesh::env::{Clock, PlayedClock};
use creditmesh::flows::{NewApplication, Resolution, RevisionNotice};
use creditmesh::formats::jsonl;
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::store::{Scan, Table};
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn national(number: u32) -> String {
    format!("us-ssn:536-90-{number:04}")
}

/// A loan, 120 days past due.
fn default(number: u32, at: Timestamp) -> Record {
    let (id, ssn) = (u128::from(number), national(number));
    let (id, at) = (
        RecordId(uuid::Uuid::from_u128(0x7000 + id)).0,
        at.to_rfc3339(),
    );
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"{}","version":1,"reported_at":"{}","as_of":"{}","#,
            r#""national_id":"{}","account_ref":"L-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","outstanding":"8000.00 USD","past_due":"900.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01","dpd":120,"#,
            r#""state":"active","first_delinquency_on":"2025-11-01"}}"#,
        ),
        id, at, at, ssn, number
    );
    jsonl::from_line(&line).unwrap()
}

/// Three lenders; alpha furnishes.
struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    dir: TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        network.join_lenders(&NAMES).await.unwrap();
        network.start_all().await.unwrap();
        Self {
            network,
            clock,
            dir,
        }
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&member(name)).unwrap()
    }

    async fn file(&self, record: Record) {
        let desk = self.node("alpha").desk();
        for filed in desk.furnish_published(&[record]).await.unwrap() {
            filed.unwrap();
        }
    }

    async fn retract(&self, number: u32) {
        let id = default(number, self.clock.now()).head.record_id;
        let held = self.node("alpha").desk().book().find(id).await.unwrap();
        let reason = RetractionReason::FurnisherError;
        self.file(held.unwrap().retracted(reason, self.clock.now()))
            .await;
    }

    /// An answer to `name` about a borrower, once it rests on alpha.
    async fn assess(&self, name: &str, key: &str, number: u32) -> (QueryId, Value) {
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(&national(number), None).unwrap()),
                ..Borrower::default()
            },
            kind: ApplicationKind::Offer,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: None,
            term_days: None,
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let given = self.node(name).desk().assess(key, &wanted).await.unwrap();
        (given.query, serde_json::from_str(&given.json).unwrap())
    }

    /// An answer to `name` about a borrower in which this flag has this state.
    async fn until_told(&self, name: &str, number: u32, flag: &str, state: &str) -> QueryId {
        for round in 0..100 {
            let key = format!("{name}-{number}-{flag}-{state}-{round}");
            let (query, told) = self.assess(name, &key, number).await;
            if state_of(&told, flag) == state {
                return query;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} was never told {flag} {state} of {number}")
    }

    async fn revisions(&self, name: &str) -> Vec<RevisionNotice> {
        let revisions = &self.node(name).core().revisions;
        revisions.page(None).await.unwrap().0
    }

    async fn until_revised(&self, name: &str, count: usize) -> Vec<RevisionNotice> {
        for _ in 0..300 {
            if self.revisions(name).await.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let found = self.revisions(name).await;
        assert_eq!(found.len(), count, "revisions of {name}");
        found
    }

    async fn rows(&self, name: &str, table: Table) -> usize {
        let vault = &self.node(name).core().home.vault;
        vault.scan(table, &Scan::all(1_000)).await.unwrap().len()
    }

    /// Until a peer follows alpha's notice feed as far as it goes.
    async fn followed(&self) {
        let all = [member("alpha"), member("beta"), member("gamma")];
        for name in NAMES {
            let others = all.iter().filter(|one| one.as_str() != name);
            let others: Vec<MemberId> = others.cloned().collect();
            for _ in 0..600 {
                if self.node(name).core().mirrors_all(&others).await.unwrap() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// What the command says, as JSON.
    fn listed(&self, name: &str) -> Value {
        let out = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
            .args(["notices", "list", "--json", "--dir"])
            .arg(self.network.folder_of(&member(name)).unwrap().path())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

fn state_of<'a>(told: &'a Value, flag: &str) -> &'a str {
    let mut flags = told["flags"].as_array().unwrap().iter();
    let found = flags.find(|one| one["code"] == flag);
    found.map_or("absent", |one| one["state"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_answered_hears_of_it_though_it_was_offline_over_a_key_epoch() {
    let mut bed = Bed::new().await;
    let start = bed.clock.now();
    for number in [1_000, 2_000] {
        bed.file(default(number, start)).await;
    }
    let query = bed.until_told("beta", 1_000, "AD", "TRUE").await;
    bed.until_told("gamma", 2_000, "AD", "TRUE").await;
    bed.network.stop(&member("beta")).await.unwrap();

    // The record is taken back in the next key epoch; beta comes back when the first is over.
    bed.clock.advance_to(start.plus(DAY * 33));
    bed.retract(1_000).await;
    bed.clock.advance_to(start.plus(DAY * 40));
    bed.network.start(&member("beta")).await.unwrap();

    let found = bed.until_revised("beta", 1).await;
    assert_eq!(
        (found[0].query, found[0].kind, &found[0].member),
        (query, RevisionKind::Retracted, &member("alpha"))
    );
    let alerts = Arc::clone(&bed.node("beta").core().alerts);
    let revised = |alerts: Vec<creditmesh::flows::Alert>| {
        let kinds = alerts.iter().map(|one| one.said.kind);
        kinds.filter(|kind| *kind == AlertKind::Revised).count()
    };
    assert_eq!(revised(alerts.page(0).await.unwrap()), 1);
    let again = bed.node("beta").desk().fetch(query).await.unwrap();
    let again: Value = serde_json::from_str(&again.json).unwrap();
    assert_eq!(again["revised"][0]["kind"], "retracted");
    let listed = bed.listed("beta");
    assert_eq!(listed["revisions"][0]["query_id"], query.to_string());

    bed.followed().await;
    // The next answer says so, and the one after it does not.
    let (_, told) = bed.assess("beta", "next", 1_000).await;
    assert_eq!(
        (state_of(&told, "RV"), state_of(&told, "AD")),
        ("TRUE", "FALSE")
    );
    let (_, told) = bed.assess("beta", "after", 1_000).await;
    assert_eq!(state_of(&told, "RV"), "FALSE");

    // Gamma, which had asked about somebody else, streams the same leaves and learns nothing.
    assert_eq!(bed.revisions("gamma").await, []);
    let leaves = bed.rows("beta", Table::NoticeLeaf).await;
    assert!(leaves >= 256 && bed.rows("gamma", Table::NoticeLeaf).await >= leaves);

    // Nothing is told twice.
    bed.network.stop(&member("beta")).await.unwrap();
    bed.network.start(&member("beta")).await.unwrap();
    bed.followed().await;
    bed.until_revised("beta", 1).await;
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upheld_dispute_is_one_notice_to_whoever_was_answered_while_it_was_open() {
    let mut bed = Bed::new().await;
    let record = default(1_000, bed.clock.now());
    let id = record.head.record_id;
    bed.file(record).await;
    let before = bed.until_told("beta", 1_000, "AD", "TRUE").await;
    let desk = bed.node("alpha").desk();
    let opened = desk.open_dispute(id, "not my loan", "ann").await.unwrap();
    bed.until_revised("beta", 1).await;
    let during = bed.until_told("gamma", 1_000, "DP", "TRUE").await;
    let desk = bed.node("alpha").desk();
    let decided = desk.resolve_dispute(opened.id, Resolution::Upheld, "bob");
    decided.await.unwrap();

    let told = bed.until_revised("beta", 2).await;
    for kind in [RevisionKind::Retracted, RevisionKind::Disputed] {
        let found = told
            .iter()
            .any(|one| (one.query, one.kind) == (before, kind));
        assert!(found, "{told:?}");
    }
    bed.followed().await;
    let told = bed.revisions("gamma").await;
    let told = told.iter().filter(|one| one.query == during);
    let kinds: Vec<_> = told.map(|one| one.kind).collect();
    assert_eq!(kinds, [RevisionKind::Retracted]);

    // Where it is rejected the record stands, and nobody is told that one was taken back.
    let record = default(2_000, bed.clock.now());
    let id = record.head.record_id;
    bed.file(record).await;
    let desk = bed.node("alpha").desk();
    let opened = desk.open_dispute(id, "not mine either", "ann").await;
    let during = bed.until_told("gamma", 2_000, "DP", "TRUE").await;
    let desk = bed.node("alpha").desk();
    let decided = desk.resolve_dispute(opened.unwrap().id, Resolution::Rejected, "bob");
    decided.await.unwrap();
    bed.until_told("gamma", 2_000, "AD", "TRUE").await;
    bed.followed().await;
    let told = bed.revisions("gamma").await;
    let told = told.iter().filter(|one| one.query == during);
    let kinds: Vec<_> = told.map(|one| one.kind).collect();
    assert_eq!(kinds, [RevisionKind::Decided]);
    bed.network.stop_all().await.unwrap();
}
