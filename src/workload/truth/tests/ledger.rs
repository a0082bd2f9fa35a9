//! What ideal nodes would record of an event: at once, and without a mistake.

use std::collections::BTreeMap;

use crate::domain::{
    Application, ApplicationOutcome, Body, Borrower, Hold, HoldState, Loan, Record, RecordHead,
    RecordId, Timestamp, Version,
};
use crate::workload::{Ask, Event, Step};

/// The newest versions of what may change.
#[derive(Default)]
pub(super) struct Ledger {
    applications: BTreeMap<u32, Record>,
    holds: BTreeMap<u32, Record>,
}

impl Ledger {
    /// The record versions that the event makes, in their order.
    pub(super) fn told(&mut self, event: &Event, borrower: &Borrower) -> Vec<Record> {
        let number = u64::from(event.case).to_be_bytes();
        let id = |kind: u8| {
            let mut random = [kind; 10];
            random[2..].copy_from_slice(&number);
            RecordId::fresh(Timestamp::from_unix_ms(0), random)
        };
        let head = |record_id| RecordHead {
            record_id,
            version: Version::FIRST,
            reported_at: event.at,
            as_of: event.at,
            expires_on: None,
        };
        let new = |kind: u8, body| Record {
            head: head(id(kind)),
            borrower: borrower.clone(),
            body,
        };
        let mut told: Vec<Record> = Vec::new();
        let mut decided = None;
        match &event.step {
            Step::Apply(ask) => {
                let one = Application::new(ask.kind, ask.product, event.at);
                let record = new(1, Body::Application(one));
                self.applications.insert(event.case, record.clone());
                told.push(record);
            }
            Step::Decline => decided = Some(ApplicationOutcome::Declined),
            Step::Withdraw => decided = Some(ApplicationOutcome::Withdrawn),
            Step::Sign(amount) => {
                decided = Some(ApplicationOutcome::Signed);
                let record = new(2, Body::Hold(Hold::new(*amount, event.at)));
                self.holds.insert(event.case, record.clone());
                told.push(record);
            }
            Step::Recheck => {}
            Step::Fund(ask) => {
                let booked = new(3, Body::Loan(booked(ask, &self.holds[&event.case])));
                let state = HoldState::Converted {
                    loan: booked.head.record_id,
                };
                told.push(booked);
                told.push(self.ended(event, state));
            }
            Step::Release => told.push(self.ended(event, HoldState::Released)),
            Step::Report(_, record) => told.push(Record::clone(record)),
        }
        if let Some(outcome) = decided {
            let mut next = self.applications[&event.case].clone();
            next.head.version = next.head.version.next();
            if let Body::Application(one) = &mut next.body {
                one.outcome = outcome;
                one.outcome_at = Some(event.at);
            }
            told.push(next);
        }
        told
    }

    fn ended(&self, event: &Event, state: HoldState) -> Record {
        let mut next = self.holds[&event.case].clone();
        next.head.version = next.head.version.next();
        if let Body::Hold(hold) = &mut next.body {
            hold.state = state;
        }
        next
    }
}

fn booked(ask: &Ask, hold: &Record) -> Loan {
    let Body::Hold(held) = &hold.body else {
        panic!("a hold");
    };
    Loan::new("L".to_owned(), ask.product, ask.amount, held.signed_at)
}
