//! This node's own queries, read back with what came of them.

use std::collections::{BTreeMap, VecDeque};

use super::{About, AskedRow, Fishing};
use crate::domain::{ApplicationOutcome, Body, Borrower, Record, Timestamp};
use crate::flows::FlowError;
use crate::limits::{FISHING_ASKS_MAX, FISHING_WINDOW, STORE_BATCH_ROWS_MAX};
use crate::risk::fishing::{self, Number, OwnAsk, Suspicion};
use crate::store::{Scan, Table};

/// A person whom the node asked about, while one judgement lasts.
#[derive(Debug, Clone, Copy)]
struct Met {
    person: u32,
    /// The last moment at which it got something: an approval, a contract, a loan.
    got_at: Option<Timestamp>,
}

impl Fishing {
    /// What in this node's own history looks like fishing. What a person acknowledged is judged
    /// anew from that moment on.
    pub(super) async fn own_suspicions(
        &self,
        settled: &BTreeMap<About, Timestamp>,
    ) -> Result<Vec<Suspicion>, FlowError> {
        let (limits, now) = (&self.home.policy.fishing, self.home.clock.now());
        let asks = self.own_asks().await?;
        let mut suspicions = Vec::new();
        for suspicion in fishing::own(&asks, limits, now) {
            let Some(at) = settled.get(&(suspicion.code, None)) else {
                suspicions.push(suspicion);
                continue;
            };
            let after = asks.iter().filter(|ask| ask.at > *at).copied();
            let again = fishing::own(&after.collect::<Vec<_>>(), limits, now);
            suspicions.extend(again.into_iter().find(|one| one.code == suspicion.code));
        }
        Ok(suspicions)
    }

    /// The newest queries of the window; what lies before it is deleted from the index.
    async fn asked_rows(&self) -> Result<VecDeque<AskedRow>, FlowError> {
        let now = self.home.clock.now();
        let mut asked = VecDeque::new();
        let mut old = Vec::new();
        let mut scan = Scan::all(STORE_BATCH_ROWS_MAX);
        loop {
            let page = self.home.vault.scan(Table::Asked, &scan).await?;
            for (key, row) in &page {
                let one = AskedRow::decode(key, &row.bytes)?;
                if now.since(one.at) > FISHING_WINDOW {
                    old.push((Table::Asked, key.clone(), row.revision));
                    continue;
                }
                if asked.len() >= FISHING_ASKS_MAX {
                    asked.pop_front();
                }
                asked.push_back(one);
            }
            self.delete(std::mem::take(&mut old)).await?;
            match page.last() {
                Some((key, _)) if page.len() == STORE_BATCH_ROWS_MAX => scan = scan.behind(key),
                Some(_) | None => return Ok(asked),
            }
        }
    }

    async fn own_asks(&self) -> Result<Vec<OwnAsk>, FlowError> {
        let mut people: BTreeMap<String, Met> = BTreeMap::new();
        let mut asks = Vec::new();
        for asked in self.asked_rows().await? {
            let Some(record) = self.book.find(asked.application).await? else {
                continue;
            };
            let borrower = &record.borrower;
            let Some(name) = name_of(borrower) else {
                continue;
            };
            let met = match people.get(name) {
                Some(met) => *met,
                None => {
                    let records = self.book.records_of(name).await?;
                    let met = Met {
                        person: u32::try_from(people.len()).unwrap_or(u32::MAX),
                        got_at: records.iter().filter_map(got_at).max(),
                    };
                    people.insert(name.to_owned(), met);
                    met
                }
            };
            asks.push(OwnAsk {
                at: asked.at,
                purpose: asked.purpose,
                person: met.person,
                national: borrower.national.as_ref().map(Number::of),
                phone: borrower.phone.as_ref().map(Number::of),
                came_of_it: got_at(&record).is_some() || met.got_at >= Some(asked.at),
            });
        }
        Ok(asks)
    }
}

/// What a person is known by: its strong key, or its weak one.
fn name_of(borrower: &Borrower) -> Option<&str> {
    let first = borrower.identifiers().next();
    first.map(|identifier| identifier.canonical())
}

/// When the person of a record got what the record is about.
fn got_at(record: &Record) -> Option<Timestamp> {
    match &record.body {
        Body::Application(application) => match application.outcome {
            ApplicationOutcome::Approved
            | ApplicationOutcome::Signed
            | ApplicationOutcome::Funded => application.outcome_at.or(Some(application.at)),
            ApplicationOutcome::Pending
            | ApplicationOutcome::Declined
            | ApplicationOutcome::Withdrawn
            | ApplicationOutcome::Expired => None,
        },
        Body::Hold(hold) => Some(hold.signed_at),
        Body::Loan(loan) => Some(loan.opened_on.plus_days(1).start()),
        Body::Signal(_) | Body::Retracted(_) => None,
    }
}
