//! Versions walk the state graphs only, and merge to the same end in any order.

use proptest::prelude::*;

use super::super::arbitrary::any_record;
use super::super::*;
use super::Rule as R;
use super::tests::{a_hold, a_loan, an_application, at, charged_off, day, paid, record, usd};

/// What `check` says of `to` right after `from`.
fn step(from: Body, to: Body) -> Result<(), R> {
    let from = record(from);
    let mut next = record(to);
    next.head.version = Version::FIRST.next();
    next.check(Some(&from)).map_err(|e| e.rule)
}

#[test]
fn a_loan_walks_its_state_graph_only() {
    use LoanState::{Active, ChargedOff, Paid, SettledLess, Transferred, Void};
    let in_state = |state: LoanState| {
        let loan = match state {
            Active => Loan {
                funded_at: None,
                ..a_loan()
            },
            ChargedOff => Loan {
                funded_at: None,
                ..charged_off()
            },
            Paid | SettledLess | Transferred | Void => Loan {
                funded_at: None,
                state,
                ..paid()
            },
        };
        Body::Loan(Loan {
            first_delinquency_on: charged_off().first_delinquency_on,
            ..loan
        })
    };
    let steps = |from: LoanState| -> Vec<LoanState> {
        let may = |to: &LoanState| step(in_state(from), in_state(*to)) == Ok(());
        LoanState::ALL.iter().copied().filter(may).collect()
    };
    assert_eq!(steps(Active), LoanState::ALL);
    assert_eq!(
        steps(ChargedOff),
        [Paid, SettledLess, ChargedOff, Transferred]
    );
    for last in [Paid, SettledLess, Transferred, Void] {
        assert_eq!(steps(last), [last]);
    }
    let unfunded = Loan {
        funded_at: None,
        ..a_loan()
    };
    assert_eq!(
        step(Body::Loan(a_loan()), Body::Loan(unfunded)),
        Err(R::Step)
    );
}

#[test]
fn a_hold_ends_once() {
    let loan = RecordId(uuid::Uuid::nil());
    let converted = |loan| Hold {
        state: HoldState::Converted { loan },
        ..a_hold()
    };
    let released = Hold {
        state: HoldState::Released,
        ..a_hold()
    };
    let live = || Body::Hold(a_hold());
    assert_eq!(step(live(), Body::Hold(converted(loan))), Ok(()));
    assert_eq!(step(live(), Body::Hold(released.clone())), Ok(()));
    assert_eq!(step(Body::Hold(released.clone()), live()), Err(R::Step));
    assert_eq!(
        step(Body::Hold(released), Body::Hold(converted(loan))),
        Err(R::Step)
    );
    let other = RecordId(uuid::Uuid::max());
    let rebooked = step(Body::Hold(converted(loan)), Body::Hold(converted(other)));
    assert_eq!(rebooked, Err(R::Step));
}

#[test]
fn an_application_is_decided_once() {
    use ApplicationOutcome::{Approved, Declined, Expired, Funded, Pending, Signed, Withdrawn};
    let with = |outcome: ApplicationOutcome| {
        let mut application = an_application();
        application.outcome = outcome;
        application.outcome_at = (outcome != Pending).then_some(application.at);
        Body::Application(application)
    };
    let steps = |from| -> Vec<ApplicationOutcome> {
        let may = |to: &ApplicationOutcome| step(with(from), with(*to)) == Ok(());
        ApplicationOutcome::ALL
            .iter()
            .copied()
            .filter(may)
            .collect()
    };
    assert_eq!(steps(Pending), ApplicationOutcome::ALL);
    assert_eq!(
        steps(Approved),
        [Declined, Withdrawn, Approved, Signed, Funded, Expired]
    );
    assert_eq!(steps(Signed), [Withdrawn, Signed, Funded, Expired]);
    for last in [Declined, Withdrawn, Funded, Expired] {
        assert_eq!(steps(last), [last]);
    }
}

#[test]
fn the_retention_clock_moves_only_after_a_cure() {
    let late = |clock: &str| {
        Body::Loan(Loan {
            dpd: 40,
            past_due: usd(10),
            first_delinquency_on: Some(day(clock)),
            ..a_loan()
        })
    };
    let current = |clock: Option<&str>| {
        Body::Loan(Loan {
            first_delinquency_on: clock.map(day),
            ..a_loan()
        })
    };
    assert_eq!(
        step(late("2026-01-15"), late("2026-02-15")),
        Err(R::DelinquencyMoved)
    );
    assert_eq!(
        step(late("2026-01-15"), current(None)),
        Ok(()),
        "the cure clears it"
    );
    assert_eq!(
        step(current(Some("2026-01-15")), late("2026-02-15")),
        Ok(())
    );
    assert_eq!(step(current(None), late("2026-02-15")), Ok(()));
    let settled = Body::Loan(Loan {
        state: LoanState::SettledLess,
        ..paid()
    });
    assert_eq!(
        step(Body::Loan(charged_off()), settled),
        Err(R::DelinquencyMoved)
    );
}

#[test]
fn what_a_record_is_about_never_changes() {
    let loan = || Body::Loan(a_loan());
    assert_eq!(step(loan(), Body::Hold(a_hold())), Err(R::Changed));
    let renamed = Loan {
        account_ref: "B-2".to_owned(),
        ..a_loan()
    };
    assert_eq!(step(loan(), Body::Loan(renamed)), Err(R::Changed));
    let first = record(loan());
    let mut next = record(loan());
    next.head.version = Version::FIRST.next();
    next.borrower.national = Identifier::parse("us-ssn:536-90-4399", None).ok();
    assert_eq!(
        next.check(Some(&first)).map_err(|e| e.field),
        Err("national_id")
    );
}

#[test]
fn nothing_follows_a_retraction() {
    let first = record(Body::Loan(a_loan()));
    let now = at("2026-03-05T00:00:00Z");
    let gone = first.retracted(RetractionReason::WrongPerson, now);
    assert_eq!(
        merge(Some(&first), &gone),
        Ok(Verdict::Newer { gap: false })
    );
    assert_eq!(merge(Some(&gone), &first), Ok(Verdict::Stale));
    let mut back = first.clone();
    back.head.version = gone.head.version.next();
    assert_eq!(
        merge(Some(&gone), &back).map_err(|e| e.rule),
        Err(R::AfterRetraction)
    );
    assert_eq!(
        merge(None, &gone),
        Ok(Verdict::New { gap: true }),
        "it may arrive first"
    );
    let again = gone.retracted(RetractionReason::Court, now);
    assert_eq!(
        merge(Some(&gone), &again).map_err(|e| e.rule),
        Err(R::AfterRetraction)
    );
}

#[test]
fn a_gap_is_accepted_and_reported_and_a_conflict_refused() {
    let first = record(Body::Loan(a_loan()));
    let mut third = record(Body::Loan(paid()));
    third.head.version = Version::of(3).unwrap();
    assert_eq!(merge(None, &first), Ok(Verdict::New { gap: false }));
    assert_eq!(
        merge(Some(&first), &third),
        Ok(Verdict::Newer { gap: true })
    );
    assert_eq!(merge(Some(&third), &first), Ok(Verdict::Stale));
    let mut other = first.clone();
    other.head.expires_on = Some(day("2030-01-01"));
    let refused = merge(Some(&first), &other).map_err(|e| (e.field, e.rule));
    assert_eq!(refused, Err(("version", R::Conflict)));
    let mut foreign = third;
    foreign.head.record_id = RecordId(uuid::Uuid::max());
    assert_eq!(
        merge(Some(&first), &foreign).map_err(|e| e.field),
        Err("record_id")
    );
}

/// Keeps the newest of what arrives, as a store does; refused versions change nothing.
fn newest<'a>(arrivals: impl IntoIterator<Item = &'a Record>) -> Option<&'a Record> {
    arrivals
        .into_iter()
        .fold(None, |known, next| match merge(known, next) {
            Ok(Verdict::New { .. } | Verdict::Newer { .. }) => Some(next),
            Ok(Verdict::Unchanged | Verdict::Stale) | Err(_) => known,
        })
}

proptest! {
    #[test]
    fn any_sound_record_is_new_once_and_unchanged_ever_after(record in any_record()) {
        let gap = record.head.version.number() > 1;
        prop_assert_eq!(merge(None, &record), Ok(Verdict::New { gap }));
        prop_assert_eq!(merge(Some(&record), &record.clone()), Ok(Verdict::Unchanged));
    }

    #[test]
    fn replays_and_reordering_end_in_the_newest_version(
        record in any_record().prop_filter("alive", |r| !r.is_retracted()),
        order in proptest::collection::vec(0_usize..4, 4..20),
        retract in any::<bool>(),
    ) {
        let mut versions = vec![record];
        for _ in 0..3 {
            let mut next = versions.last().unwrap().clone();
            next.head.version = next.head.version.next();
            next.head.reported_at = next.head.reported_at.plus(std::time::Duration::from_secs(1));
            versions.push(next);
        }
        if retract {
            let before = versions[2].clone();
            versions[3] = before.retracted(RetractionReason::Duplicate, before.head.reported_at);
        }
        let arrivals: Vec<&Record> = order.iter().map(|at| &versions[*at]).collect();
        let highest = order.iter().max().map(|at| &versions[*at]);
        prop_assert_eq!(newest(arrivals.iter().copied()), highest);
        let twice = arrivals.iter().chain(&arrivals).copied();
        prop_assert_eq!(newest(twice), highest);
    }
}
