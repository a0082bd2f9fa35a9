//! How long both sides keep what it takes to revise an answer: 180 days, and no longer.

use std::collections::BTreeMap;
use std::time::Duration;

use creditmesh::domain::{ApplicationKind, Product, Purpose, QueryId, Record, RevisionKind};
use creditmesh::env::Clock;
use creditmesh::flows::{NewApplication, Retractions, RevisionNotice};
use creditmesh::store::{Scan, Table};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::history::{Filed, Kind, borrower, first, retracted};
use crate::town::{MEMBERS, Town, genesis};

const DAY: Duration = Duration::from_secs(86_400);

/// Alpha furnishes, beta asks.
const FURNISHER: usize = 0;
const ASKER: usize = 1;

struct Bed {
    town: Town,
    held: BTreeMap<usize, Record>,
}

impl Bed {
    async fn new() -> Self {
        let begin = genesis().plus(DAY * 3);
        let mut town = Town::new(1, begin, Retractions::Published);
        for side in 0..MEMBERS.len() {
            town.start(side);
        }
        sleep(Duration::from_secs(10)).await;
        let held = BTreeMap::new();
        Self { town, held }
    }

    async fn file(&self, record: &Record) {
        let desk = self.town.core(FURNISHER).unwrap().desk.clone();
        let filed = desk.furnish_published(std::slice::from_ref(record)).await;
        for verdict in filed.unwrap() {
            verdict.unwrap();
        }
    }

    /// A late loan of each borrower, which beta is told of.
    async fn answered(&mut self) -> Vec<QueryId> {
        let mut queries = Vec::new();
        for of in 0..2 {
            let filed = Filed {
                side: FURNISHER,
                borrower: of,
                with_phone: false,
            };
            let late = first(of, filed, Kind::LateLoan, self.town.clock.now());
            self.file(&late).await;
            self.held.insert(of, late);
            sleep(Duration::from_secs(10)).await;
            let wanted = NewApplication {
                borrower: borrower(of, false),
                kind: ApplicationKind::Offer,
                purpose: Purpose::CreditApplication,
                product: Product::InstalmentUnsecured,
                amount: None,
                term_days: None,
                income_month: None,
                consent_reference: "C-1".to_owned(),
            };
            let desk = &self.town.core(ASKER).unwrap().desk;
            let given = desk.assess(&format!("ask-{of}"), &wanted).await.unwrap();
            let told: Value = serde_json::from_str(&given.json).unwrap();
            assert_eq!(told["coverage"]["silent"], Value::Array(Vec::new()));
            queries.push(given.query);
        }
        queries
    }

    async fn retract(&self, of: usize) {
        self.file(&retracted(&self.held[&of], self.town.clock.now()))
            .await;
        sleep(Duration::from_secs(90)).await;
    }

    /// The clock goes on to so many days after the beginning; the nodes start anew, with the list
    /// of that day, and what is due is deleted.
    async fn goes_to(&mut self, day: u32) {
        let to = genesis().plus(DAY * (3 + day));
        self.town.clock.jump(to.since(self.town.clock.now()));
        for side in 0..MEMBERS.len() {
            self.town.stop(side);
        }
        for side in 0..MEMBERS.len() {
            self.town.start(side);
        }
        sleep(Duration::from_secs(90)).await;
        for side in [FURNISHER, ASKER] {
            let core = self.town.core(side).unwrap();
            core.revisions.sweep().await.unwrap();
            while !core.ageing.sweep().await.unwrap() {}
        }
    }

    async fn revisions(&self) -> Vec<RevisionNotice> {
        let revisions = &self.town.core(ASKER).unwrap().revisions;
        revisions.page(None).await.unwrap().0
    }

    async fn rows(&self, side: usize, table: Table) -> usize {
        let vault = &self.town.core(side).unwrap().home.vault;
        vault.scan(table, &Scan::all(1_000)).await.unwrap().len()
    }
}

fn played<T>(life: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(life)
}

#[test]
fn an_answer_is_revised_for_180_days_and_then_nobody_can_tell_any_more() {
    played(async {
        let mut bed = Bed::new().await;
        let queries = bed.answered().await;
        let ageing = &bed.town.core(ASKER).unwrap().ageing;
        let ahead = ageing.schedule().await.unwrap();
        let keys = ahead.iter().find(|one| one.kind == "notice-key").unwrap();
        assert_eq!((keys.rule, keys.due), ("notice_days", 0));

        bed.goes_to(179).await;
        bed.retract(0).await;
        for side in [0, 1] {
            for table in [
                Table::NoticeStood,
                Table::NoticeDue,
                Table::NoticeLeaf,
                Table::NoticeKey,
                Table::NoticeAnswer,
                Table::Unpublished,
                Table::FeedHead,
            ] {
                println!("{side} {table} {}", bed.rows(side, table).await);
            }
        }
        let told = bed.revisions().await;
        let told: Vec<_> = told.iter().map(|one| (one.query, one.kind)).collect();
        assert_eq!(told, [(queries[0], RevisionKind::Retracted)]);

        // The asker forgets 180 days after its answer.
        bed.goes_to(181).await;
        assert_eq!(bed.rows(ASKER, Table::NoticeAnswer).await, 0);
        assert_eq!(bed.rows(ASKER, Table::NoticeKey).await, 0);
        bed.retract(1).await;
        assert_eq!(bed.revisions().await.len(), 1);

        // The furnisher forgets 180 days after nothing stood any more; the notices go, too.
        assert!(bed.rows(FURNISHER, Table::NoticeStood).await > 0);
        bed.goes_to(182 + 180).await;
        assert_eq!(bed.rows(FURNISHER, Table::NoticeStood).await, 0);
        assert_eq!(bed.revisions().await, []);
        assert_eq!(bed.rows(ASKER, Table::Revision).await, 0);
    });
}
