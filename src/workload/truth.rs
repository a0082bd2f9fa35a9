//! The oracle: told what every member's node durably recorded, it knows the true answer.
//!
//! It judges the nodes' answers, so it shares nothing with the way they come about: it counts whole
//! records with exact times, where a node counts published summaries with times rounded to the
//! hour. What the counts mean is defined in `docs/flags.md`; in short:
//!
//! - A record tells what its newest version recorded by then tells; a retracted one tells nothing,
//!   nor does one past its last day, nor one under an open dispute.
//! - Groups count, not members. A record without a group is its member's. What the asker, its
//!   group or another member of its group reports is left out, and so is what others report of it.
//! - A guarantee is another's loan. A void loan is none.
//! - A loan that two groups report under one transfer link is one loan at one of them.

mod flags;
mod selective;
mod standing;
mod traits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    Application, ApplicationKind, Body, Borrower, CountName, Hold, Identifier, LenderGroup, Loan,
    LoanState, Record, RecordId, Role, SignalKind, Timestamp,
};
use standing::Standing;
pub use traits::Traits;

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;

/// What the oracle needs to know of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// Its own lender group.
    pub group: LenderGroup,
    /// Lender or bureau; a bureau's book may hold records of any group.
    pub role: Role,
}

/// A version of a record, and when it was durable.
#[derive(Debug, Clone)]
struct Recorded {
    at: Timestamp,
    record: Record,
}

/// Everything that the members' nodes recorded.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    members: Vec<Reporter>,
    versions: BTreeMap<(usize, RecordId), Vec<Recorded>>,
    by_identifier: BTreeMap<Identifier, BTreeSet<(usize, RecordId)>>,
}

impl Truth {
    /// Nothing recorded yet; members are numbered by their place.
    #[must_use]
    pub fn of(members: Vec<Reporter>) -> Self {
        Self {
            members,
            ..Self::default()
        }
    }

    /// The node of `member` acknowledged this version at `at`.
    pub fn recorded(&mut self, member: usize, at: Timestamp, record: Record) {
        let key = (member, record.head.record_id);
        for identifier in record.borrower.identifiers() {
            let keys = self.by_identifier.entry(identifier.clone()).or_default();
            keys.insert(key);
        }
        self.versions
            .entry(key)
            .or_default()
            .push(Recorded { at, record });
    }

    /// The true answer to a query of `asker` at `now`, if every other member answered.
    #[must_use]
    pub fn answer(&self, asker: usize, borrower: &Borrower, now: Timestamp) -> TrueAnswer {
        let national = self.standing(asker, borrower.national.as_ref(), now);
        let phone = self.standing(asker, borrower.phone.as_ref(), now);
        let counts = CountName::ALL.iter().map(|name| {
            let number = match name {
                CountName::PhoneActiveLenderGroups
                | CountName::PhoneHardApplications30d
                | CountName::PhoneActiveDefaults => count(*name, &phone, now),
                CountName::ActiveLenderGroups
                | CountName::HardApplications24h
                | CountName::HardApplications7d
                | CountName::HardApplications15d
                | CountName::HardApplications30d
                | CountName::HardApplications90d
                | CountName::HardApplications180d
                | CountName::SoftApplications30d
                | CountName::UndecidedApplications72h
                | CountName::LiveHolds
                | CountName::ConcurrentGroups72h
                | CountName::SignedGroups72h
                | CountName::SignedGroups15d
                | CountName::ActiveDefaults
                | CountName::DelinquentGroups
                | CountName::Delinquent60Groups => count(*name, &national, now),
            };
            (*name, number)
        });
        TrueAnswer {
            counts: counts.collect(),
            traits: Traits::of(&national, &phone, now),
        }
    }

    /// What members other than the asker's tell of one identifier at `now`.
    fn standing(
        &self,
        asker: usize,
        identifier: Option<&Identifier>,
        now: Timestamp,
    ) -> Standing<'_> {
        let Some(own) = self.members.get(asker) else {
            return Standing::default();
        };
        let keys = identifier.and_then(|identifier| self.by_identifier.get(identifier));
        let newest = keys.into_iter().flatten().filter_map(|key| {
            let (member, _) = key;
            let reporter = self.members.get(*member)?;
            let same_group = reporter.role == Role::Lender && reporter.group == own.group;
            if *member == asker || same_group {
                return None;
            }
            let by_then = self.versions.get(key)?.iter().filter(|one| one.at <= now);
            let newest = by_then.max_by_key(|one| one.record.head.version)?;
            // A version may name other identifiers than the one before.
            let named = newest.record.borrower.identifiers();
            named
                .into_iter()
                .any(|one| Some(one) == identifier)
                .then_some((*member, &reporter.group, &newest.record))
        });
        Standing::of(newest.collect(), &own.group, now)
    }
}

/// What is true of a borrower at a moment, for one asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueAnswer {
    /// Every count, exactly.
    pub counts: BTreeMap<CountName, u32>,
    /// What else flags rest on.
    pub traits: Traits,
}

/// Whether `moment` lies in the window of this length that ends at `now`.
fn within(moment: Timestamp, window_s: u64, now: Timestamp) -> bool {
    moment > now.minus(Duration::from_secs(window_s))
}

fn count(name: CountName, standing: &Standing<'_>, now: Timestamp) -> u32 {
    let groups = |holds: &dyn Fn(&Body) -> bool| standing.groups(holds);
    let hard = |days: u64| groups(&|body| is_application(body, true, days * DAY_S, now));
    let signed = |window_s: u64| groups(&|body| is_signed(body, window_s, now));
    let undecided = |body: &Body| {
        is_application(body, true, 72 * HOUR_S, now)
            && matches!(body, Body::Application(application) if application.is_undecided())
    };
    let live = |body: &Body| matches!(body, Body::Hold(hold) if is_live(hold, now));
    let found = match name {
        CountName::ActiveLenderGroups | CountName::PhoneActiveLenderGroups => {
            groups(&|body| running(body).is_some())
        }
        CountName::HardApplications24h => hard(1),
        CountName::HardApplications7d => hard(7),
        CountName::HardApplications15d => hard(15),
        CountName::HardApplications30d | CountName::PhoneHardApplications30d => hard(30),
        CountName::HardApplications90d => hard(90),
        CountName::HardApplications180d => hard(180),
        CountName::SoftApplications30d => {
            groups(&|body| is_application(body, false, 30 * DAY_S, now))
        }
        CountName::UndecidedApplications72h => groups(&undecided),
        CountName::LiveHolds => groups(&live),
        CountName::ConcurrentGroups72h => groups(&|body| undecided(body) || live(body)),
        CountName::SignedGroups72h => signed(72 * HOUR_S),
        CountName::SignedGroups15d => signed(15 * DAY_S),
        CountName::ActiveDefaults | CountName::PhoneActiveDefaults => {
            let mut found = groups(&is_default);
            found.extend(standing.signalled(&[
                SignalKind::Dpd90,
                SignalKind::Default,
                SignalKind::ChargeOff,
            ]));
            found
        }
        CountName::DelinquentGroups => {
            let mut found = groups(&|body| late(body, 30));
            found.extend(standing.signalled(&[SignalKind::Dpd30, SignalKind::Dpd60]));
            found
        }
        CountName::Delinquent60Groups => {
            let mut found = groups(&|body| late(body, 60));
            found.extend(standing.signalled(&[SignalKind::Dpd60]));
            found
        }
    };
    u32::try_from(found.len()).unwrap_or(u32::MAX)
}

fn is_application(body: &Body, hard: bool, window_s: u64, now: Timestamp) -> bool {
    let counts = |application: &Application| match application.kind {
        ApplicationKind::Application => hard,
        ApplicationKind::Offer => !hard,
        ApplicationKind::Recheck
        | ApplicationKind::Review
        | ApplicationKind::Collection
        | ApplicationKind::SelfAccess
        | ApplicationKind::Fraud => false,
    };
    matches!(body, Body::Application(one) if counts(one) && within(one.at, window_s, now))
}

fn is_live(hold: &Hold, now: Timestamp) -> bool {
    hold.is_live(now)
}

fn is_signed(body: &Body, window_s: u64, now: Timestamp) -> bool {
    match body {
        Body::Loan(loan) => within(loan.signed_at, window_s, now),
        Body::Hold(hold) => is_live(hold, now) && within(hold.signed_at, window_s, now),
        Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => false,
    }
}

fn running(body: &Body) -> Option<&Loan> {
    match body {
        Body::Loan(loan) if loan.state == LoanState::Active => Some(loan),
        Body::Loan(_)
        | Body::Hold(_)
        | Body::Application(_)
        | Body::Signal(_)
        | Body::Retracted(_) => None,
    }
}

/// Days past due from `least` to 89 on a running loan.
fn late(body: &Body, least: u16) -> bool {
    running(body).is_some_and(|loan| (least..90).contains(&loan.dpd))
}

fn is_default(body: &Body) -> bool {
    let unpaid_charge_off =
        |loan: &Loan| loan.state == LoanState::ChargedOff && loan.outstanding.minor > 0;
    running(body).is_some_and(|loan| loan.dpd >= 90)
        || matches!(body, Body::Loan(loan) if unpaid_charge_off(loan))
}

#[cfg(test)]
mod tests;
