//! The true counts, taken from exact records by their definitions, without any of the product's
//! own counting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{ASKER, DAY, HOUR, Member, now};
use crate::domain::{
    Application, ApplicationKind, ApplicationOutcome, Body, CountName, Dispute, Hold, HoldState,
    Loan, LoanState, Record, Role, SignalKind, Timestamp,
};

/// Choices that the definitions leave open; the interval must hold the truth under each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) with_disputed: bool,
    /// A loan under one link counts at the last group by name; otherwise at the first.
    pub(super) at_last_group: bool,
}

pub(super) const READINGS: [Reading; 4] = [
    Reading {
        with_disputed: false,
        at_last_group: false,
    },
    Reading {
        with_disputed: false,
        at_last_group: true,
    },
    Reading {
        with_disputed: true,
        at_last_group: false,
    },
    Reading {
        with_disputed: true,
        at_last_group: true,
    },
];

/// Everything on record, with the lender group of each record.
fn on_record(members: &[Member]) -> Vec<(String, &Record)> {
    let mut all = Vec::new();
    for member in members {
        if member.role == Role::Lender && member.group == ASKER {
            continue;
        }
        let gone: BTreeSet<_> = member
            .records
            .iter()
            .filter(|record| record.is_retracted())
            .map(|record| record.head.record_id)
            .collect();
        for record in &member.records {
            let named = match &record.body {
                Body::Loan(loan) => loan.lender_group.as_ref(),
                Body::Application(one) => one.lender_group.as_ref(),
                Body::Hold(hold) => hold.lender_group.as_ref(),
                Body::Signal(_) | Body::Retracted(_) => None,
            };
            let group = named.map_or(member.group.clone(), ToString::to_string);
            if group != ASKER && !gone.contains(&record.head.record_id) {
                all.push((group, record));
            }
        }
    }
    all
}

fn within(at: Timestamp, window: Duration) -> bool {
    at > now().minus(window)
}

fn undecided(one: &Application) -> bool {
    let open = matches!(
        one.outcome,
        ApplicationOutcome::Pending | ApplicationOutcome::Approved
    );
    one.kind == ApplicationKind::Application && open && within(one.at, HOUR * 72)
}

fn live(hold: &Hold) -> bool {
    hold.state == HoldState::Live && hold.signed_at <= now() && now() < hold.expires_at
}

fn hard(body: &Body, window: Duration) -> bool {
    matches!(body, Body::Application(one)
        if one.kind == ApplicationKind::Application && within(one.at, window))
}

fn loan_is(body: &Body, holds: impl Fn(&Loan) -> bool) -> bool {
    matches!(body, Body::Loan(loan) if holds(loan))
}

fn signal_is(body: &Body, kinds: &[SignalKind]) -> bool {
    matches!(body, Body::Signal(signal)
        if kinds.contains(&signal.kind) && signal.is_live(now().day()))
}

fn running(loan: &Loan, dpd: std::ops::RangeInclusive<u16>) -> bool {
    loan.state == LoanState::Active && dpd.contains(&loan.dpd)
}

fn signed(body: &Body, window: Duration) -> bool {
    match body {
        Body::Loan(loan) => loan.state != LoanState::Void && within(loan.signed_at, window),
        Body::Hold(hold) => live(hold) && within(hold.signed_at, window),
        Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => false,
    }
}

fn counts(name: CountName, body: &Body) -> bool {
    match name {
        CountName::ActiveLenderGroups => loan_is(body, |loan| running(loan, 0..=u16::MAX)),
        CountName::HardApplications24h => hard(body, DAY),
        CountName::HardApplications7d => hard(body, DAY * 7),
        CountName::HardApplications15d => hard(body, DAY * 15),
        CountName::HardApplications30d => hard(body, DAY * 30),
        CountName::HardApplications90d => hard(body, DAY * 90),
        CountName::HardApplications180d => hard(body, DAY * 180),
        CountName::SoftApplications30d => matches!(body, Body::Application(one)
            if one.kind == ApplicationKind::Offer && within(one.at, DAY * 30)),
        CountName::UndecidedApplications72h => {
            matches!(body, Body::Application(one) if undecided(one))
        }
        CountName::LiveHolds => matches!(body, Body::Hold(hold) if live(hold)),
        CountName::ConcurrentGroups72h => match body {
            Body::Application(one) => undecided(one),
            Body::Hold(hold) => live(hold),
            Body::Loan(_) | Body::Signal(_) | Body::Retracted(_) => false,
        },
        CountName::SignedGroups72h => signed(body, HOUR * 72),
        CountName::SignedGroups15d => signed(body, DAY * 15),
        CountName::ActiveDefaults => {
            let kinds = [
                SignalKind::Default,
                SignalKind::ChargeOff,
                SignalKind::Dpd90,
            ];
            signal_is(body, &kinds)
                || loan_is(body, |loan| {
                    running(loan, 90..=u16::MAX)
                        || loan.state == LoanState::ChargedOff && loan.outstanding.minor > 0
                })
        }
        CountName::DelinquentGroups => {
            signal_is(body, &[SignalKind::Dpd30, SignalKind::Dpd60])
                || loan_is(body, |loan| running(loan, 30..=89))
        }
        CountName::Delinquent60Groups => {
            signal_is(body, &[SignalKind::Dpd60]) || loan_is(body, |loan| running(loan, 60..=89))
        }
        CountName::PhoneActiveLenderGroups
        | CountName::PhoneHardApplications30d
        | CountName::PhoneActiveDefaults => false,
    }
}

/// The true counts over all members, silent ones too.
pub(super) fn counted(members: &[Member], reading: Reading) -> BTreeMap<CountName, u32> {
    let all = on_record(members);
    CountName::ALL
        .iter()
        .map(|name| {
            let mut groups: BTreeSet<&str> = BTreeSet::new();
            let mut linked: BTreeMap<[u8; 8], BTreeSet<&str>> = BTreeMap::new();
            for (group, record) in all.iter().filter(|(_, one)| counts(*name, &one.body)) {
                let Body::Loan(loan) = &record.body else {
                    groups.insert(group);
                    continue;
                };
                if loan.dispute == Dispute::Open && !reading.with_disputed {
                    continue;
                }
                match loan.transfer_link {
                    Some(link) => {
                        linked.entry(link).or_default().insert(group);
                    }
                    None => {
                        groups.insert(group);
                    }
                }
            }
            for of_link in linked.values() {
                groups.extend(if reading.at_last_group {
                    of_link.last()
                } else {
                    of_link.first()
                });
            }
            (*name, u32::try_from(groups.len()).unwrap())
        })
        .collect()
}

/// Whether the borrower is late at one group on a young loan, and current at all others.
pub(super) fn is_selective(members: &[Member], reading: Reading) -> bool {
    let all = on_record(members);
    let of = |holds: &dyn Fn(&Body) -> bool| -> BTreeSet<&str> {
        let counts = |body: &Body| {
            let disputed = matches!(body, Body::Loan(loan) if loan.dispute == Dispute::Open);
            holds(body) && (reading.with_disputed || !disputed)
        };
        let held = all.iter().filter(|(_, record)| counts(&record.body));
        held.map(|(group, _)| group.as_str()).collect()
    };
    let unpaid = |loan: &Loan| loan.state == LoanState::ChargedOff && loan.outstanding.minor > 0;
    let late = |loan: &Loan, from: u16| running(loan, from..=u16::MAX) || unpaid(loan);
    let signals = [
        SignalKind::Dpd30,
        SignalKind::Dpd60,
        SignalKind::Dpd90,
        SignalKind::Default,
        SignalKind::ChargeOff,
    ];
    let behind = of(&|body| loan_is(body, |loan| late(loan, 30)) || signal_is(body, &signals));
    let young = of(&|body| {
        loan_is(body, |loan| {
            late(loan, 60) && within(loan.signed_at, DAY * 180)
        })
    });
    let current = of(&|body| loan_is(body, |loan| running(loan, 0..=29)));
    behind.len() == 1 && young == behind && current.difference(&behind).next().is_some()
}
