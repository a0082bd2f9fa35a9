//! A lender that wants an answer, and what the answers say of the other lender.

use std::sync::{Arc, Mutex};

use creditmesh::domain::{
    ApplicationKind, Body, Borrower, Currency, Identifier, Money, Product, Purpose, QueryId,
    RecordId,
};
use creditmesh::flows::{Given, NewApplication};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::scenario::pick;
use crate::world::{MEMBERS, World};

/// The borrower that both lenders assess.
pub(crate) const BORROWER: &str = "us-ssn:536-90-4399";

/// What one answer said of the other lender.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) query: QueryId,
    pub(crate) is_recheck: bool,
    pub(crate) lo: u64,
    pub(crate) hi: u64,
    pub(crate) other_is_silent: bool,
    /// Applications of the other lender that had been answered before this one was asked for.
    pub(crate) answered_before: u64,
    /// Applications of the other lender that were on disk when this answer was there.
    pub(crate) on_disk_after: u64,
}

impl Told {
    /// Whether it shows the other lender, or says that it may not.
    pub(crate) fn accounts_for_the_other(&self) -> bool {
        self.lo >= 1 || self.other_is_silent
    }
}

/// All answers, by lender.
pub(crate) type Answers = Arc<Mutex<[Vec<Told>; 2]>>;

/// A lender that wants an answer about the borrower and repeats its request until it hears one.
#[derive(Debug, Clone)]
pub(crate) struct Lender {
    pub(crate) side: usize,
    pub(crate) replicas: usize,
    /// It begins within so many milliseconds.
    pub(crate) late_ms: u64,
    pub(crate) world: Arc<World>,
    pub(crate) answers: Answers,
    pub(crate) dice: Dice,
}

impl Lender {
    /// Repeats the request until an answer is heard; then, perhaps, asks again before paying out.
    pub(crate) async fn seek(self) {
        sleep(self.dice.ms(self.late_ms)).await;
        let answered_before = self.answered_elsewhere();
        if self.replicas > 1 && self.dice.chance(15) {
            // The same request reaches both replicas at once.
            let twin = self.clone();
            let replica = pick(&self.dice, self.replicas);
            tokio::spawn(async move { twin.ask(replica, Ask::Assess, answered_before).await });
        }
        let mut application = None;
        for _ in 0..12 {
            match self.attempt(Ask::Assess, answered_before).await {
                // An answer may be lost between node and lender, too.
                Some(given) if self.dice.chance(80) => {
                    application = Some(given.application);
                    break;
                }
                Some(_) | None => sleep(self.dice.ms(300)).await,
            }
        }
        if let Some(application) = application
            && self.dice.chance(40)
        {
            sleep(self.dice.ms(500)).await;
            let answered_before = self.answered_elsewhere();
            self.attempt(Ask::Recheck(application), answered_before)
                .await;
        }
    }

    fn answered_elsewhere(&self) -> u64 {
        u64::from(!self.answers.lock().unwrap()[1 - self.side].is_empty())
    }

    /// One request to some replica, for which the lender waits so long and no longer.
    async fn attempt(&self, ask: Ask, answered_before: u64) -> Option<Given> {
        let replica = pick(&self.dice, self.replicas);
        let mut asking = tokio::spawn(self.clone().ask(replica, ask, answered_before));
        let patience = self.dice.ms([200, 4_000][pick(&self.dice, 2)]);
        match timeout(patience, &mut asking).await {
            Ok(given) => given.unwrap(),
            Err(_) => {
                if self.dice.chance(50) {
                    // The connection ends, and with it the work; otherwise the node works on.
                    asking.abort();
                }
                None
            }
        }
    }

    async fn ask(self, replica: usize, ask: Ask, answered_before: u64) -> Option<Given> {
        let desk = self.world.desk(self.side, replica)?;
        let given = match ask {
            Ask::Assess => {
                let key = format!("request-{}", self.side);
                desk.assess(&key, &application(BORROWER)).await.ok()?
            }
            Ask::Recheck(application) => desk.recheck("recheck", application).await.ok()?,
        };
        let on_disk_after = undecided(&self.world, 1 - self.side).await;
        let told = read(&given, MEMBERS[1 - self.side]);
        self.answers.lock().unwrap()[self.side].push(Told {
            is_recheck: matches!(ask, Ask::Recheck(_)),
            answered_before,
            on_disk_after,
            ..told
        });
        Some(given)
    }
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Assess,
    Recheck(RecordId),
}

fn read(given: &Given, other: &str) -> Told {
    let json: Value = serde_json::from_str(&given.json).unwrap();
    let count = &json["counts"]["undecided_applications_72h"];
    let silent = json["coverage"]["silent"].as_array().unwrap();
    Told {
        query: given.query,
        is_recheck: false,
        lo: count["lo"].as_u64().unwrap(),
        hi: count["hi"].as_u64().unwrap(),
        other_is_silent: silent.iter().any(|one| one["member"] == other),
        answered_before: 0,
        on_disk_after: 0,
    }
}

/// Undecided applications of the borrower in a member's book on disk.
pub(crate) async fn undecided(world: &World, side: usize) -> u64 {
    let borrower = application(BORROWER).borrower;
    let canonical = borrower.national.unwrap();
    let records = world.book(side).records_of(canonical.canonical()).await;
    let records = records.unwrap();
    let undecided = records.iter().filter(|record| match &record.body {
        Body::Application(application) => application.is_undecided(),
        Body::Loan(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => false,
    });
    u64::try_from(undecided.count()).unwrap()
}

/// The borrower's application.
pub(crate) fn application(borrower: &str) -> NewApplication {
    NewApplication {
        borrower: Borrower {
            national: Some(Identifier::parse(borrower, None).unwrap()),
            phone: None,
            name_dob: None,
        },
        kind: ApplicationKind::Application,
        purpose: Purpose::CreditApplication,
        product: Product::InstalmentUnsecured,
        amount: Some(Money::of(120_000, Currency::USD)),
        term_days: Some(90),
        income_month: None,
        consent_reference: "C-1".to_owned(),
    }
}
