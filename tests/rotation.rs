//! Key epochs that follow one another on five nodes, unattended: answers are the same before the
//! overlap, in it, and after it, no query fails, and the old epoch's key is destroyed in the end.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, Level, MemberId, Product, Purpose, Record, Timestamp,
};
use creditmesh::env::{Clock, PlayedClock};
use creditmesh::flows::NewApplication;
use creditmesh::formats::jsonl;
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::workload::SimulatedNetwork;
use serde_json::{Value, json};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];
const BORROWERS: usize = 3;

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn ssn(borrower: usize) -> String {
    format!("us-ssn:536-90-{:04}", borrower + 1)
}

/// A loan of a borrower at a member: the first borrower is late, the second in default, the third
/// pays.
fn loan(side: usize, borrower: usize) -> Record {
    let state = [
        r#""past_due":"700.00 USD","first_delinquency_on":"2026-01-10","dpd":45"#,
        r#""past_due":"900.00 USD","first_delinquency_on":"2025-11-01","dpd":115"#,
        r#""past_due":"0.00 USD","dpd":0"#,
    ][borrower];
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-0000000000{}{}","version":1,"#,
            r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
            r#""national_id":"{}","account_ref":"L-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","outstanding":"8000.00 USD","instalment":"700.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01",{},"state":"active"}}"#,
        ),
        side,
        borrower,
        ssn(borrower),
        side,
        state
    );
    jsonl::from_line(&line).unwrap()
}

struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    _dir: TempDir,
}

impl Bed {
    /// Five lenders, in the middle of a key epoch; member `n` lent to each borrower but the one of
    /// its own number.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        network.join_lenders(&NAMES).await.unwrap();
        network.start_all().await.unwrap();
        let bed = Self {
            network,
            clock,
            _dir: dir,
        };
        for (side, name) in NAMES.iter().enumerate() {
            let lent = (0..BORROWERS).filter(|borrower| *borrower != side);
            let loans: Vec<Record> = lent.map(|borrower| loan(side, borrower)).collect();
            let desk = bed.node(name).desk();
            for filed in desk.furnish_published(&loans).await.unwrap() {
                filed.unwrap();
            }
        }
        bed
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&member(name)).unwrap()
    }

    /// What a member is told of a borrower by an account review, which nobody else is told of.
    async fn told(&self, name: &str, borrower: usize) -> Value {
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(&ssn(borrower), None).unwrap()),
                ..Borrower::default()
            },
            kind: ApplicationKind::Review,
            purpose: Purpose::AccountReview,
            product: Product::InstalmentUnsecured,
            amount: None,
            term_days: None,
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let key = format!("{borrower}-{}", self.clock.now().unix_ms());
        let given = self.node(name).desk().assess(&key, &wanted).await.unwrap();
        let told: Value = serde_json::from_str(&given.json).unwrap();
        json!({
            "counts": told["counts"], "flags": told["flags"], "outcome": told["outcome"],
            "bands": told["bands"], "coverage": told["coverage"],
        })
    }

    async fn all_told(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for name in NAMES {
            for borrower in 0..BORROWERS {
                all.push(self.told(name, borrower).await);
            }
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_the_same_before_during_and_after_a_rotation() {
    let mut bed = Bed::new().await;
    let calendar = bed.node("alpha").core().home.calendar;
    let old = calendar.current(bed.clock.now());
    bed.network.mirrored().await.unwrap();
    let before = bed.all_told().await;
    let answered = |told: &Value| told["coverage"]["answered"] == 4;
    assert!(before.iter().all(answered), "{before:#?}");
    assert_eq!(before[1]["counts"]["active_defaults"]["lo"], 3);

    // Every day, from three days before the next epoch to three days after the old one's end: the
    // old one is served on for as long as the overlap lasts.
    let last = calendar.ends_at(old).plus(DAY * 3);
    bed.clock
        .advance_to(calendar.begins_at(old.next()).minus(DAY * 3));
    let mut days = 0;
    while bed.clock.now() < last {
        bed.network.mirrored().await.unwrap();
        let now = bed.all_told().await;
        assert_eq!(now, before, "{}", bed.clock.now());
        bed.clock.advance_to(bed.clock.now().plus(DAY));
        days += 1;
    }
    assert_eq!(days, 13);
    for name in NAMES {
        let core = bed.node(name).core();
        while !core.ageing.sweep().await.unwrap() {}
        assert_eq!(core.keys.made(Level::Full, old).await.unwrap(), None);
    }
    assert_eq!(bed.all_told().await, before);
    bed.network.stop_all().await.unwrap();
}
