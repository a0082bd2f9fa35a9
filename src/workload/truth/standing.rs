//! Which records of one identifier stand at a moment, and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Body, Day, Dispute, LenderGroup, Loan, LoanRole, LoanState, Record, RecordId, Signal,
    SignalKind, Timestamp,
};
use crate::limits::ADVERSE_MONTHS;

/// One record as the asker could hear of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) group: &'a LenderGroup,
    pub(super) record: &'a Record,
}

/// The records that stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing<'a> {
    heard: Vec<Heard<'a>>,
    /// Signals whose account is known are told by the account; here are those that stand alone.
    alone: Vec<(&'a LenderGroup, &'a Signal)>,
    /// Days on which defaults were made good, as signals say.
    pub(super) cures: Vec<Day>,
    /// Something was left out because it is disputed.
    pub(super) disputed: bool,
}

/// The newest versions of one member, by record.
type Shelf<'a> = BTreeMap<RecordId, &'a Record>;

impl<'a> Standing<'a> {
    /// From the newest versions, each with its member and the member's group.
    pub(super) fn of(
        newest: Vec<(usize, &'a LenderGroup, &'a Record)>,
        asker: &LenderGroup,
        now: Timestamp,
    ) -> Self {
        let mut shelves: BTreeMap<(usize, &LenderGroup), Shelf<'a>> = BTreeMap::new();
        for (member, group, record) in newest {
            if !record.is_retracted() {
                let shelf = shelves.entry((member, group)).or_default();
                shelf.insert(record.head.record_id, record);
            }
        }
        let mut standing = Self::default();
        for ((_, group), shelf) in &mut shelves {
            suppress_undecided(shelf, now);
            standing.add(group, shelf, asker, now);
        }
        standing
    }

    fn add(
        &mut self,
        own: &'a LenderGroup,
        shelf: &Shelf<'a>,
        asker: &LenderGroup,
        now: Timestamp,
    ) {
        let stands = |record: &Record| is_usable(record, now);
        let cured = subjects(shelf, SignalKind::Cured, &|_| true);
        let disputed = subjects(shelf, SignalKind::Disputed, &stands);
        for record in shelf.values().copied().filter(|record| stands(record)) {
            let group = group_of(record, shelf).unwrap_or(own);
            if group == asker || cured.contains(&record.head.record_id) {
                continue;
            }
            let open = matches!(&record.body, Body::Loan(loan) if loan.dispute == Dispute::Open);
            let dispute =
                matches!(&record.body, Body::Signal(one) if one.kind == SignalKind::Disputed);
            if open || dispute || disputed.contains(&record.head.record_id) {
                self.disputed = true;
                continue;
            }
            self.heard.push(Heard { group, record });
            if let Body::Signal(signal) = &record.body {
                if stands_alone(signal, shelf) {
                    self.alone.push((group, signal));
                }
                if signal.kind == SignalKind::Cured && cures_default(signal, shelf) {
                    self.cures.push(signal.event_on);
                }
            }
        }
    }

    pub(super) fn loans(&self) -> impl Iterator<Item = (&'a Record, &'a Loan)> {
        self.heard
            .iter()
            .filter_map(|heard| match &heard.record.body {
                Body::Loan(loan) => Some((heard.record, loan)),
                Body::Application(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
            })
    }

    /// The records, with the group of each.
    pub(super) fn heard(&self) -> impl Iterator<Item = Heard<'a>> {
        self.heard.iter().copied()
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = &'a Body> {
        self.heard.iter().map(|heard| &heard.record.body)
    }

    /// The signals that no account of their member replaces.
    pub(super) fn signals(&self) -> impl Iterator<Item = &'a Signal> {
        self.alone.iter().map(|(_, signal)| *signal)
    }

    /// The groups of the signals of these kinds.
    pub(super) fn signalled(&self, kinds: &[SignalKind]) -> BTreeSet<&'a LenderGroup> {
        self.alone
            .iter()
            .filter(|(_, signal)| kinds.contains(&signal.kind))
            .map(|(group, _)| *group)
            .collect()
    }

    /// The groups of which a record `holds`. A loan that several groups report under one link
    /// stands for one of them, one that counts anyway if there is one.
    pub(super) fn groups(&self, holds: &dyn Fn(&Body) -> bool) -> BTreeSet<&'a LenderGroup> {
        let mut by_link: BTreeMap<[u8; 8], BTreeSet<&'a LenderGroup>> = BTreeMap::new();
        let mut groups = BTreeSet::new();
        for heard in self.heard.iter().filter(|heard| holds(&heard.record.body)) {
            let link = match &heard.record.body {
                Body::Loan(loan) => loan.transfer_link,
                Body::Application(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
            };
            match link {
                Some(link) => {
                    by_link.entry(link).or_default().insert(heard.group);
                }
                None => {
                    groups.insert(heard.group);
                }
            }
        }
        for lenders in by_link.values() {
            if groups.is_disjoint(lenders)
                && let Some(one) = lenders.first()
            {
                groups.insert(one);
            }
        }
        groups
    }
}

/// Takes out what was disputed and not decided in time, and those disputes.
fn suppress_undecided(shelf: &mut Shelf<'_>, now: Timestamp) {
    let over = |record: &Record| match &record.body {
        Body::Signal(signal) if signal.kind == SignalKind::Disputed => {
            let expired = record.head.expires_on.is_some_and(|last| last < now.day());
            (expired || !signal.is_live(now.day())).then_some(signal.about)
        }
        Body::Signal(_)
        | Body::Loan(_)
        | Body::Application(_)
        | Body::Hold(_)
        | Body::Retracted(_) => None,
    };
    let mut gone = BTreeSet::new();
    for (id, record) in shelf.iter() {
        if let Some(about) = over(record) {
            gone.insert(*id);
            gone.extend(about);
        }
    }
    shelf.retain(|id, _| !gone.contains(id));
}

/// What the signals of one kind are about.
fn subjects(
    shelf: &Shelf<'_>,
    kind: SignalKind,
    counts: &dyn Fn(&Record) -> bool,
) -> BTreeSet<RecordId> {
    let about = |record: &&Record| match &record.body {
        Body::Signal(signal) if signal.kind == kind && counts(record) => signal.about,
        Body::Signal(_)
        | Body::Loan(_)
        | Body::Application(_)
        | Body::Hold(_)
        | Body::Retracted(_) => None,
    };
    shelf.values().filter_map(about).collect()
}

/// Whether the record is within its life, and a loan that this borrower took.
fn is_usable(record: &Record, now: Timestamp) -> bool {
    let today = now.day();
    if record.head.expires_on.is_some_and(|last| last < today) {
        return false;
    }
    match &record.body {
        Body::Loan(loan) => {
            let own = loan.role != LoanRole::Guarantor && loan.state != LoanState::Void;
            let late = loan.dpd > 0 || loan.state == LoanState::ChargedOff;
            let forgotten = late
                && loan
                    .first_delinquency_on
                    .is_some_and(|day| day.plus_months(ADVERSE_MONTHS) < today);
            own && !forgotten
        }
        Body::Signal(signal) => signal.is_live(today),
        Body::Application(_) | Body::Hold(_) => true,
        Body::Retracted(_) => false,
    }
}

/// The group that a record names, or what its signal is about names; `None` is the member's own.
fn group_of<'a>(record: &'a Record, shelf: &Shelf<'a>) -> Option<&'a LenderGroup> {
    let mut subject = Some(record);
    for _ in 0..4 {
        match &subject?.body {
            Body::Loan(loan) => return loan.lender_group.as_ref(),
            Body::Application(application) => return application.lender_group.as_ref(),
            Body::Hold(hold) => return hold.lender_group.as_ref(),
            Body::Signal(signal) => {
                subject = signal.about.and_then(|id| shelf.get(&id).copied());
            }
            Body::Retracted(_) => return None,
        }
    }
    None
}

/// Whether a signal says something that the account it is about does not say better: an account
/// tells by itself how late it is, and a repaid one ends the signals of its default.
fn stands_alone(signal: &Signal, shelf: &Shelf<'_>) -> bool {
    let account = signal.about.and_then(|id| match &shelf.get(&id)?.body {
        Body::Loan(loan) => Some(loan),
        Body::Application(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
    });
    let Some(account) = account else {
        return true;
    };
    match signal.kind {
        SignalKind::Dpd30 | SignalKind::Dpd60 | SignalKind::Dpd90 => false,
        SignalKind::Default | SignalKind::ChargeOff | SignalKind::FirstPaymentDefault => {
            !matches!(account.state, LoanState::Paid | LoanState::SettledLess)
        }
        SignalKind::FraudConfirmed
        | SignalKind::FraudVictim
        | SignalKind::ProtectiveRegistration
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::Insolvency
        | SignalKind::LostContact
        | SignalKind::Cured
        | SignalKind::Disputed => true,
    }
}

/// Whether a cure made good a default; it did unless it is about a lesser signal.
fn cures_default(cure: &Signal, shelf: &Shelf<'_>) -> bool {
    let about = cure.about.and_then(|id| shelf.get(&id));
    match about.map(|record| &record.body) {
        Some(Body::Signal(signal)) => [
            SignalKind::Dpd90,
            SignalKind::Default,
            SignalKind::ChargeOff,
            SignalKind::FirstPaymentDefault,
        ]
        .contains(&signal.kind),
        Some(Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_)) | None => {
            true
        }
    }
}
