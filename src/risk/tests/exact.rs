//! Fed with exact records instead of rounded summaries, every count is one number: the truth.

use proptest::prelude::*;

use super::truth::{READINGS, counted};
use super::world::*;
use crate::domain::*;
use crate::risk::conclude_from;
use crate::risk::facts::{ApplicationFact, Facts, HoldFact, Link, LoanFact, Span};
use crate::risk::witness::{Witness, summon};

fn exactly(at: Timestamp) -> Span {
    Span {
        earliest: at,
        latest: at,
    }
}

/// Every record of a lender as it is; what is not about time is taken from its summary.
fn exact_facts(member: &Member) -> Option<Facts> {
    let group = GroupCode::of(&network(), &group(&member.group));
    let mut facts = Facts::of(&member.summary(), group, &bands())?;
    let retracted = |id: RecordId| {
        let mut of_it = member.records.iter().filter(|one| one.head.record_id == id);
        of_it.any(Record::is_retracted)
    };
    facts.applications.clear();
    facts.loans.retain(|loan| !loan.stage.is_account());
    facts.holds.clear();
    for record in &member.records {
        match &record.body {
            _ if retracted(record.head.record_id) => {}
            Body::Application(one) => facts.applications.extend(application(one, group)),
            Body::Loan(loan) => facts.loans.extend(account(loan, group)),
            Body::Hold(hold) if hold.state == HoldState::Live => facts.holds.push(HoldFact {
                signed: exactly(hold.signed_at),
                expires: exactly(hold.expires_at),
                amount: AmountSpan::exactly(hold.amount.minor.unsigned_abs()),
                group,
            }),
            Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => {}
        }
    }
    Some(facts)
}

fn application(one: &Application, group: GroupCode) -> Option<ApplicationFact> {
    let stage = if one.kind == ApplicationKind::Offer {
        ApplicationStage::Soft
    } else if !one.is_hard() {
        return None;
    } else if one.is_undecided() {
        ApplicationStage::Undecided
    } else {
        ApplicationStage::Decided
    };
    Some(ApplicationFact {
        at: exactly(one.at),
        stage,
        group,
    })
}

fn account(loan: &Loan, group: GroupCode) -> Option<LoanFact> {
    let stage = match (loan.state, loan.dpd) {
        (LoanState::Void, _) => return None,
        (LoanState::Active, 0..=29) => LoanStage::Below30,
        (LoanState::Active, 30..=59) => LoanStage::From30,
        (LoanState::Active, 60..=89) => LoanStage::From60,
        (LoanState::Active, 90..) => LoanStage::From90,
        (LoanState::ChargedOff, _) => LoanStage::ChargedOff,
        (LoanState::Paid | LoanState::SettledLess | LoanState::Transferred, _) => LoanStage::Closed,
    };
    Some(LoanFact {
        signed: exactly(loan.signed_at),
        stage,
        outstanding: AmountSpan::exactly(loan.outstanding.minor.unsigned_abs()),
        disputed: false,
        link: Link::None,
        group,
    })
}

proptest! {
    #[test]
    fn exact_records_give_exact_counts(members in members(PLAIN)) {
        let (policy, asker) = (policy(), asker());
        let mut witnesses: Vec<Witness> = summon(&policy, &asker, &views(&members), now());
        for witness in &mut witnesses {
            let of = members.iter().find(|one| one.name == witness.member.as_str()).unwrap();
            witness.national = exact_facts(of);
        }
        let conclusion = conclude_from(&policy, &asker, &witnesses, now());
        for (name, truth) in counted(&members, READINGS[0]) {
            prop_assert_eq!(conclusion.counts[&name], Interval::exactly(truth), "{}", name);
        }
    }
}
