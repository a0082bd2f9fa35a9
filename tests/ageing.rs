//! What goes with age, over real sockets, mutual TLS and sled: key epochs that are over, answers
//! and openings after 180 days, and never anything that is still needed.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::time::Duration;

use creditmesh::domain::{
    AlertKind, ApplicationKind, Borrower, Epoch, FraudType, Identifier, MemberId, Product, Proof,
    Purpose, QueryId, Signal, SignalKind, Timestamp,
};
use creditmesh::env::{Clock, PlayedClock};
use creditmesh::flows::{Ahead, NewAlert, NewApplication, NewSignal, Resolution, Subject};
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::store::{Scan, Table};
use creditmesh::workload::SimulatedNetwork;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn borrower(number: u32) -> Borrower {
    let text = format!(
        "us-ssn:536-{:02}-{:04}",
        number / 9_000 + 1,
        number % 9_000 + 1
    );
    Borrower {
        national: Some(Identifier::parse(&text, None).unwrap()),
        ..Borrower::default()
    }
}

struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    _dir: TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        network.join_lenders(&["alpha", "beta"]).await.unwrap();
        network.start_all().await.unwrap();
        Self {
            network,
            clock,
            _dir: dir,
        }
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&member(name)).unwrap()
    }

    async fn assess(&self, name: &str, key: &str, number: u32) -> (QueryId, String) {
        let wanted = NewApplication {
            borrower: borrower(number),
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: None,
            term_days: None,
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let given = self.node(name).desk().assess(key, &wanted).await.unwrap();
        (given.query, given.json)
    }

    async fn rows(&self, name: &str, table: Table) -> usize {
        let vault = &self.node(name).core().home.vault;
        let (mut scan, mut rows) = (Scan::all(500), 0);
        loop {
            let page = vault.scan(table, &scan).await.unwrap();
            rows += page.len();
            match page.last() {
                Some((key, _)) => scan = scan.behind(key),
                None => return rows,
            }
        }
    }

    /// Waits until everything that was filed or deleted is published.
    async fn published(&self, name: &str) {
        for _ in 0..200 {
            if self.rows(name, Table::Unpublished).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(
            self.rows(name, Table::Unpublished).await,
            0,
            "never published"
        );
    }

    async fn swept(&self, name: &str) {
        while !self.node(name).core().ageing.sweep().await.unwrap() {}
    }

    async fn ahead(&self, name: &str) -> Vec<Ahead> {
        self.node(name).core().ageing.schedule().await.unwrap()
    }

    async fn mirrored(&self) {
        let all = [member("alpha"), member("beta")];
        for name in ["alpha", "beta"] {
            let others: Vec<_> = all
                .iter()
                .filter(|one| one.as_str() != name)
                .cloned()
                .collect();
            let waited = async {
                while !self.node(name).core().mirrors_all(&others).await.unwrap() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), waited)
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_is_over_is_forgotten_and_the_next_one_goes_on() {
    let mut bed = Bed::new().await;
    let home = &bed.node("beta").core().home;
    let (calendar, level) = (home.calendar, home.level());
    let epoch = calendar.current(bed.clock.now());
    for number in 0..5 {
        bed.assess("alpha", &format!("a{number}"), number).await;
    }
    let (_, told) = bed.assess("beta", "b0", 0).await;
    assert!(told.contains(r#""answered":1"#), "{told}");
    let keys = &bed.node("alpha").core().keys;
    assert!(keys.made(level, epoch).await.unwrap().is_some());

    // During the overlap both epochs stand, and the schedule names the day of the first.
    bed.clock
        .advance_to(calendar.begins_at(epoch.next()).plus(DAY * 6));
    bed.mirrored().await;
    let before = bed.rows("beta", Table::MirrorGroup).await;
    bed.swept("beta").await;
    bed.swept("alpha").await;
    // One of them is that of the notice feed, which has no epochs.
    assert_eq!(bed.rows("beta", Table::MirrorHead).await, 3);
    assert!(bed.rows("beta", Table::MirrorGroup).await >= before);
    let ahead = bed.ahead("beta").await;
    let first = ahead
        .iter()
        .find(|one| one.kind == format!("epoch {epoch}"));
    let first = first.unwrap();
    assert_eq!(first.first_at, calendar.ends_at(epoch));
    assert!(first.rows > 0 && first.due == 0);
    let (_, told) = bed.assess("beta", "b1", 1).await;
    assert!(told.contains(r#""answered":1"#), "{told}");

    // At its end it goes: seeds, leaves, counts, mirrors, repeats.
    bed.clock.advance_to(calendar.ends_at(epoch).plus(DAY));
    bed.mirrored().await;
    let ahead = bed.ahead("alpha").await;
    assert!(
        ahead
            .iter()
            .any(|one| one.due > 0 && one.kind == format!("epoch {epoch}"))
    );
    for name in ["alpha", "beta"] {
        let groups = bed.rows(name, Table::FeedGroup).await;
        bed.swept(name).await;
        assert!(bed.rows(name, Table::FeedGroup).await < groups);
        assert_eq!(bed.rows(name, Table::MirrorHead).await, 2);
        let core = bed.node(name).core();
        assert_eq!(core.keys.made(level, epoch).await.unwrap(), None);
        let made = core.keys.key(level, epoch).await;
        assert!(made.unwrap_err().to_string().contains("were destroyed"));
        assert!(bed.ahead(name).await.iter().all(|one| one.due == 0));
    }
    let counted = bed.rows("alpha", Table::LeafCount).await;
    assert_eq!(counted, 5, "one count for each, of the epoch that goes on");
    let (_, told) = bed.assess("beta", "b2", 2).await;
    assert!(told.contains(r#""answered":1"#), "{told}");
    assert!(told.contains("applications"), "{told}");
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_openings_go_after_180_days() {
    let mut bed = Bed::new().await;
    let (old, _) = bed.assess("alpha", "a0", 0).await;
    let start = bed.clock.now();
    bed.clock.advance_to(start.plus(DAY * 20));
    let (young, _) = bed.assess("alpha", "a1", 1).await;
    let desk = bed.node("alpha").desk();
    let ahead = bed.ahead("alpha").await;
    let answers = ahead.iter().find(|one| one.kind == "answer").unwrap();
    assert_eq!((answers.rows, answers.due), (2, 0));
    assert_eq!(answers.first_at, start.plus(DAY * 180));
    bed.clock.advance_to(start.plus(DAY * 179));
    bed.swept("alpha").await;
    desk.fetch(old).await.unwrap();
    assert_eq!(bed.rows("alpha", Table::Idempotency).await, 2);
    bed.clock.advance_to(start.plus(DAY * 182));
    bed.swept("alpha").await;
    assert!(desk.fetch(old).await.is_err());
    desk.fetch(young).await.unwrap();
    assert_eq!(bed.rows("alpha", Table::Dated).await, 2, "key and index");
    for table in [Table::Query, Table::Answer, Table::Idempotency] {
        assert_eq!(bed.rows("alpha", table).await, 1, "{table}");
    }
    bed.network.stop_all().await.unwrap();
}

/// A fraud that waits for its reviewer.
fn suspicion(number: u32, on: Timestamp) -> NewSignal {
    let mut signal = Signal::new(SignalKind::FraudConfirmed, on.day(), "ann".to_owned());
    signal.fraud_type = Some(FraudType::Takeover);
    signal.proof = Some(Proof::Rejected);
    signal.evidence = Some([7; 32]);
    NewSignal {
        borrower: borrower(number),
        signal,
    }
}

fn alert() -> NewAlert {
    NewAlert {
        kind: AlertKind::Default,
        subject: Subject::default(),
        peer: member("beta"),
        at: Timestamp::from_unix_ms(0),
        standing: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_suspicions_and_decided_disputes_go_after_180_days() {
    let mut bed = Bed::new().await;
    let start = bed.clock.now();
    let desk = bed.node("alpha").desk();
    let alerts = &bed.node("alpha").core().alerts;
    alerts.raise(&[alert(), alert()]).await.unwrap();
    desk.file_signal(suspicion(1, start)).await.unwrap();
    bed.assess("alpha", "a0", 0).await;
    let name = borrower(0).national.unwrap();
    let of_it = desk.book().records_of(name.canonical());
    let id = of_it.await.unwrap().first().unwrap().head.record_id;
    let dispute = desk.open_dispute(id, "not mine", "ann").await.unwrap();
    let rejected = desk.resolve_dispute(dispute.id, Resolution::Rejected, "bob");
    rejected.await.unwrap();
    bed.clock.advance_to(start.plus(DAY * 20));
    alerts.raise(&[alert()]).await.unwrap();
    let open = desk
        .open_dispute(id, "still not mine", "ann")
        .await
        .unwrap();
    let ahead = bed.ahead("alpha").await;
    let first = ahead.iter().find(|one| one.kind == "alert").unwrap();
    assert_eq!(
        (first.rows, first.due, first.first_at),
        (3, 0, start.plus(DAY * 180))
    );

    bed.clock.advance_to(start.plus(DAY * 179));
    bed.swept("alpha").await;
    assert_eq!(alerts.page(0).await.unwrap().len(), 3);
    assert_eq!(bed.rows("alpha", Table::PendingSignal).await, 1);
    desk.dispute(dispute.id).await.unwrap();

    bed.clock.advance_to(start.plus(DAY * 182));
    bed.swept("alpha").await;
    let left: Vec<u64> = alerts
        .page(0)
        .await
        .unwrap()
        .iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(left, [3]);
    assert_eq!(bed.rows("alpha", Table::PendingSignal).await, 0);
    assert!(desk.dispute(dispute.id).await.is_err());
    // Nobody decided the second dispute: it stays, and so does its number of the next alert.
    desk.dispute(open.id).await.unwrap();
    alerts.raise(&[alert()]).await.unwrap();
    assert_eq!(alerts.page(3).await.unwrap().first().unwrap().id, 4);
    bed.network.stop_all().await.unwrap();
}

/// A store of an earlier version has no dates: its keys count from the first look on.
#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_date_get_one() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", "a0", 0).await;
    let vault = &bed.node("alpha").core().home.vault;
    let mut batch = vault.batch();
    for (key, row) in vault.scan(Table::Dated, &Scan::all(10)).await.unwrap() {
        batch.delete(Table::Dated, &key, row.revision);
    }
    for (key, row) in vault.scan(Table::Swept, &Scan::all(10)).await.unwrap() {
        batch.delete(Table::Swept, &key, row.revision);
    }
    vault.commit(batch).await.unwrap();
    assert_eq!(bed.rows("alpha", Table::Dated).await, 0);
    bed.swept("alpha").await;
    assert_eq!(bed.rows("alpha", Table::Dated).await, 1);
    bed.clock.advance_to(bed.clock.now().plus(DAY * 182));
    bed.swept("alpha").await;
    assert_eq!(bed.rows("alpha", Table::Idempotency).await, 0);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_borrower_without_records_is_named_nowhere_after_its_last_epoch() {
    let mut bed = Bed::new().await;
    let calendar = bed.node("alpha").core().home.calendar;
    bed.assess("alpha", "a0", 0).await;
    assert_eq!(bed.rows("alpha", Table::Identity).await, 1);
    let start = bed.clock.now();
    // A hard application is kept for 730 days by the built-in terms.
    bed.clock.advance_to(start.plus(DAY * 731));
    let desk = bed.node("alpha").desk();
    assert_eq!(desk.delete_expired().await.unwrap(), 1);
    bed.published("alpha").await;
    let epoch = calendar.current(bed.clock.now());
    bed.swept("alpha").await;
    bed.clock
        .advance_to(calendar.ends_at(Epoch(epoch.0 + 1)).plus(DAY));
    bed.published("alpha").await;
    bed.swept("alpha").await;
    for table in [
        Table::Record,
        Table::Borrower,
        Table::Identity,
        Table::LeafCount,
    ] {
        assert_eq!(bed.rows("alpha", table).await, 0, "{table}");
    }
    bed.network.stop_all().await.unwrap();
}
