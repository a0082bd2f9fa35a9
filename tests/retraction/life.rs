//! Living through a history: in the world as it was, or in the one in which what is retracted was
//! never filed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Body, Currency, MemberId, Money, Product, Purpose, QueryId, Record, RecordId,
    SignalKind, Timestamp,
};
use creditmesh::env::Clock;
use creditmesh::flows::{Given, NewApplication, Retractions, RevisionNotice};
use creditmesh::store::{Scan, Table};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use crate::history::{
    BORROWERS, Filed, History, Step, about, borrower, changed, first, id_of, retracted,
};
use crate::town::{MEMBERS, Town, genesis, member};

const HOUR: Duration = Duration::from_secs(3_600);

/// Real time between two steps: each begins at the same moment in every world.
const STEP: Duration = Duration::from_secs(4);

/// An answer, and what it was given at.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) side: usize,
    pub(crate) borrower: usize,
    pub(crate) query: QueryId,
    pub(crate) at: Timestamp,
    /// Versions filed anywhere before it.
    pub(crate) versions: usize,
    pub(crate) silent: BTreeSet<MemberId>,
    pub(crate) json: Value,
}

/// A version as it was filed.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) side: usize,
    pub(crate) borrower: usize,
    pub(crate) record: Record,
}

/// What a life came to.
#[derive(Debug, Default)]
pub(crate) struct Lived {
    pub(crate) versions: Vec<Version>,
    pub(crate) heard: Vec<Heard>,
    /// The last answers: what they must not differ in, by member, borrower and round.
    pub(crate) last: Vec<Heard>,
    pub(crate) revisions: Vec<(usize, RevisionNotice)>,
    /// Revisions shown beside each answer when it is fetched again.
    pub(crate) shown: BTreeMap<QueryId, usize>,
}

struct Life<'a> {
    history: &'a History,
    town: Town,
    /// Whether what is retracted is never filed.
    never: bool,
    began: Instant,
    steps: u32,
    places: usize,
    held: BTreeMap<RecordId, Record>,
    applications: BTreeMap<(usize, usize), RecordId>,
    lived: Lived,
}

/// Lives through a history.
pub(crate) fn live(seed: u64, history: &History, never: bool, knob: Retractions) -> Lived {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let begin = genesis().plus(HOUR * u32::try_from(history.begin_hours).unwrap());
        let mut life = Life {
            history,
            town: Town::new(seed, begin, knob),
            never,
            began: Instant::now(),
            steps: 0,
            places: 0,
            held: BTreeMap::new(),
            applications: BTreeMap::new(),
            lived: Lived::default(),
        };
        life.run().await;
        life.lived
    })
}

impl Life<'_> {
    async fn run(&mut self) {
        for side in 0..MEMBERS.len() {
            self.town.start(side);
        }
        self.next_step().await;
        for side in 0..MEMBERS.len() {
            for borrower in 0..BORROWERS.len() {
                self.assess(side, borrower).await;
            }
        }
        for step in self.history.steps.clone() {
            self.next_step().await;
            self.take(step).await;
        }
        if self.history.restart {
            for side in 0..MEMBERS.len() {
                self.town.stop(side);
                self.town.start(side);
            }
            self.wait(3).await;
        } else {
            self.wait(24).await;
        }
        for hours in [0, self.history.later_hours] {
            self.town.clock.jump(HOUR * u32::try_from(hours).unwrap());
            self.wait(2).await;
            for side in 0..MEMBERS.len() {
                for borrower in 0..BORROWERS.len() {
                    self.next_step().await;
                    self.trust_alike(side).await;
                    let key = format!("last-{hours}-{borrower}");
                    let heard = self.recheck(side, borrower, &key).await.unwrap();
                    self.lived.last.push(heard);
                }
            }
        }
        self.wait(1).await;
        self.read_revisions().await;
    }

    async fn wait(&mut self, steps: u32) {
        for _ in 0..steps {
            self.next_step().await;
        }
    }

    async fn next_step(&mut self) {
        self.steps += 1;
        sleep_until(self.began + STEP * self.steps).await;
    }

    async fn take(&mut self, step: Step) {
        let now = self.town.clock.now();
        match step {
            Step::File {
                side,
                borrower,
                kind,
                with_phone,
            } => {
                let filed = Filed {
                    side,
                    borrower,
                    with_phone,
                };
                let place = self.place();
                self.file(place, filed, first(place, filed, kind, now))
                    .await;
            }
            Step::Cure { record } | Step::Dispute { record } => {
                let kind = if matches!(step, Step::Cure { .. }) {
                    SignalKind::Cured
                } else {
                    SignalKind::Disputed
                };
                let place = self.place();
                let filed = self.history.filed[place];
                let signal = about(place, (record, filed), kind, now);
                self.file(place, filed, signal).await;
            }
            Step::Change { record } => {
                let held = self.held.get(&id_of(record)).cloned();
                if let Some(next) = held.and_then(|held| changed(&held, now)) {
                    self.file(record, self.history.filed[record], next).await;
                }
            }
            Step::Retract { record } => {
                let held = self.held.get(&id_of(record)).cloned();
                if let Some(held) = held {
                    let filed = self.history.filed[record];
                    self.file(record, filed, retracted(&held, now)).await;
                }
            }
            Step::Ask { side, borrower } => {
                let key = format!("step-{}", self.steps);
                if let Some(heard) = self.recheck(side, borrower, &key).await {
                    self.lived.heard.push(heard);
                }
            }
            Step::Stop { side } => self.town.stop(side),
            Step::Start { side } => self.town.start(side),
            Step::Pass { hours } => {
                self.town.clock.jump(HOUR * u32::try_from(hours).unwrap());
            }
        }
    }

    fn place(&mut self) -> usize {
        self.places += 1;
        self.places - 1
    }

    async fn file(&mut self, place: usize, filed: Filed, record: Record) {
        if self.never && self.history.retracted.contains(&place) {
            return;
        }
        // What is said about a record goes with it: nobody files it without the record.
        let about = match &record.body {
            Body::Signal(signal) => signal.about,
            Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => None,
        };
        if about.is_some_and(|about| self.never && !self.held.contains_key(&about)) {
            return;
        }
        let desk = self.town.core(filed.side).unwrap().desk.clone();
        let outcome = desk.furnish_published(std::slice::from_ref(&record)).await;
        for verdict in outcome.unwrap() {
            verdict.unwrap_or_else(|error| panic!("{error} in {record:?} {:?}", record.body));
        }
        self.held.insert(record.head.record_id, record.clone());
        self.lived.versions.push(Version {
            side: filed.side,
            borrower: filed.borrower,
            record,
        });
    }

    async fn assess(&mut self, side: usize, of: usize) {
        let wanted = NewApplication {
            borrower: borrower(of, true),
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(Money::of(120_000, Currency::USD)),
            term_days: Some(90),
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let desk = self.town.core(side).unwrap().desk.clone();
        let given = desk.assess(&format!("apply-{of}"), &wanted).await.unwrap();
        self.applications.insert((side, of), given.application);
        let record = desk.book().find(given.application).await.unwrap().unwrap();
        // The asker's own application is told to the others, too.
        self.lived.versions.push(Version {
            side,
            borrower: of,
            record,
        });
        let heard = self.heard(side, of, &given);
        self.lived.heard.push(heard);
    }

    async fn recheck(&mut self, side: usize, of: usize, key: &str) -> Option<Heard> {
        let desk = self.town.core(side)?.desk.clone();
        let application = self.applications[&(side, of)];
        let given = desk.recheck(key, application).await.unwrap();
        Some(self.heard(side, of, &given))
    }

    fn heard(&self, side: usize, borrower: usize, given: &Given) -> Heard {
        let json: Value = serde_json::from_str(&given.json).unwrap();
        let silent = json["coverage"]["silent"].as_array().unwrap().iter();
        let silent = silent.map(|one| member(one["member"].as_str().unwrap()));
        Heard {
            side,
            borrower,
            query: given.query,
            at: self.town.clock.now(),
            versions: self.lived.versions.len(),
            silent: silent.collect(),
            json,
        }
    }

    /// The equality excepts trust statistics, so each world is asked under the same ones: those of
    /// a member that has seen nothing yet.
    async fn trust_alike(&self, side: usize) {
        let core = self.town.core(side).unwrap();
        let vault = &core.home.vault;
        for table in [Table::Standing, Table::Proven] {
            let rows = vault.scan(table, &Scan::all(1_000)).await.unwrap();
            let mut batch = vault.batch();
            for (key, row) in &rows {
                batch.delete(table, key, row.revision);
            }
            vault.commit(batch).await.unwrap();
        }
        core.standings.look().await.unwrap();
    }

    async fn read_revisions(&mut self) {
        for side in 0..MEMBERS.len() {
            let core = self.town.core(side).unwrap();
            let (revisions, _) = core.revisions.page(None).await.unwrap();
            let revisions = revisions.into_iter().map(|one| (side, one));
            self.lived.revisions.extend(revisions);
            for heard in self.lived.heard.iter().filter(|heard| heard.side == side) {
                let again = core.desk.fetch(heard.query).await.unwrap();
                let json: Value = serde_json::from_str(&again.json).unwrap();
                let shown = json["revised"].as_array().map_or(0, Vec::len);
                self.lived.shown.insert(heard.query, shown);
            }
        }
    }
}
