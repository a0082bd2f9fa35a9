//! Which change of a summary is told as what.

use super::*;
use crate::domain::{
    Band, Day, DayMark, HoldMark, LoanLink, Marks, NetworkId, SignalSet, Timestamp, Unlisted,
};

fn group(name: &str) -> GroupCode {
    let network: NetworkId = "test-net".parse().unwrap();
    GroupCode::of(&network, &name.parse().unwrap())
}

fn side() -> Side {
    Side {
        peer: group("alpha"),
        own: group("beta"),
        hard_applications: false,
    }
}

fn hour(text: &str) -> HourMark {
    HourMark::of(Timestamp::parse_rfc3339(text).unwrap())
}

fn loan(stage: LoanStage) -> LoanMark {
    LoanMark {
        signed: hour("2026-01-05T10:00:00Z"),
        stage,
        outstanding: Band::of(2).unwrap(),
        disputed: false,
        link: LoanLink::None,
        group: GroupCode::OWN,
    }
}

fn with(loans: &[LoanMark]) -> Summary {
    Summary {
        as_of: hour("2026-03-01T10:00:00Z"),
        loans: Marks::of(loans.iter().copied()),
        ..Summary::default()
    }
}

fn marked(marks: &[SignalMark]) -> Summary {
    let mut signals = SignalSet::default();
    for mark in marks {
        signals.insert(*mark);
    }
    Summary {
        signals,
        ..Summary::default()
    }
}

fn told(was: &Summary, after: &Summary) -> Vec<AlertKind> {
    changes(Standing::Was(was), after, side())
}

#[test]
fn each_step_of_arrears_is_told_once_and_only_the_worst() {
    let stages = [
        LoanStage::Below30,
        LoanStage::From30,
        LoanStage::From60,
        LoanStage::From90,
        LoanStage::ChargedOff,
    ];
    let kinds = [
        AlertKind::NewLoan,
        AlertKind::Arrears30,
        AlertKind::Arrears60,
        AlertKind::Default,
        AlertKind::ChargeOff,
    ];
    for (at, stage) in stages.into_iter().enumerate() {
        let after = with(&[loan(stage)]);
        assert_eq!(changes(Standing::Nothing, &after, side()), [kinds[at]]);
        assert_eq!(told(&after, &after), []);
        if let Some(before) = at.checked_sub(1) {
            assert_eq!(told(&with(&[loan(stages[before])]), &after), [kinds[at]]);
        }
    }
    let from_30 = with(&[loan(LoanStage::From30)]);
    assert_eq!(
        told(&from_30, &with(&[loan(LoanStage::From90)])),
        [AlertKind::Default]
    );
}

#[test]
fn of_what_stands_when_the_watch_begins_only_what_is_severe_is_told() {
    for (after, kinds) in [
        (with(&[loan(LoanStage::Below30)]), vec![]),
        (with(&[loan(LoanStage::From60)]), vec![]),
        (with(&[loan(LoanStage::From90)]), vec![AlertKind::Default]),
        (
            marked(&[SignalMark::FraudConfirmed]),
            vec![AlertKind::Fraud],
        ),
        (marked(&[SignalMark::Protective]), vec![]),
    ] {
        assert_eq!(changes(Standing::NotWatched, &after, side()), kinds);
    }
}

#[test]
fn what_is_paid_is_cured_and_what_is_taken_back_is_withdrawn() {
    let default = with(&[loan(LoanStage::From90)]);
    let day = Day::from_calendar(2026, 3, 1).unwrap();
    let cured = Summary {
        cured_on: Some(DayMark::of(day)),
        ..with(&[loan(LoanStage::Closed)])
    };
    assert_eq!(told(&default, &cured), [AlertKind::Cured]);
    assert_eq!(told(&default, &Summary::default()), [AlertKind::Withdrawn]);
    let late = with(&[loan(LoanStage::From30)]);
    assert_eq!(
        told(&late, &with(&[loan(LoanStage::Below30)])),
        [AlertKind::Cured]
    );
    assert_eq!(told(&late, &Summary::default()), [AlertKind::Withdrawn]);
    let disputed = LoanMark {
        disputed: true,
        ..loan(LoanStage::From90)
    };
    let after = Summary {
        disputed: true,
        ..with(&[disputed])
    };
    assert_eq!(told(&default, &after), [AlertKind::Disputed]);
    let fraud = marked(&[SignalMark::FraudConfirmed]);
    assert_eq!(told(&fraud, &Summary::default()), [AlertKind::Withdrawn]);
    // The end of a protective mark is no relief.
    let protective = marked(&[SignalMark::Protective]);
    assert_eq!(told(&protective, &Summary::default()), []);
}

#[test]
fn signals_are_told_when_they_begin() {
    for (mark, kind) in SIGNALS {
        assert_eq!(told(&Summary::default(), &marked(&[mark])), [kind]);
        assert_eq!(told(&marked(&[mark]), &marked(&[mark])), []);
    }
    // A first-payment default is told as such, and not as arrears too.
    let late = Summary {
        signals: marked(&[SignalMark::FirstPaymentDefault]).signals,
        ..with(&[loan(LoanStage::From30)])
    };
    let before = with(&[loan(LoanStage::Below30)]);
    assert_eq!(told(&before, &late), [AlertKind::FirstPaymentDefault]);
}

#[test]
fn the_lender_s_own_accounts_at_a_bureau_are_not_told() {
    let own = LoanMark {
        group: side().own,
        ..loan(LoanStage::From90)
    };
    assert_eq!(changes(Standing::Nothing, &with(&[own]), side()), []);
    let sister = Side {
        peer: side().own,
        ..side()
    };
    let after = with(&[loan(LoanStage::From90)]);
    assert_eq!(changes(Standing::Nothing, &after, sister), []);
}

fn hold(at: &str) -> HoldMark {
    HoldMark {
        signed: hour(at),
        ttl_hours: 72,
        amount: Band::of(2).unwrap(),
        group: GroupCode::OWN,
    }
}

#[test]
fn a_hold_that_was_left_out_before_is_new_only_where_it_was_signed_since() {
    let full = Summary {
        as_of: hour("2026-03-01T10:00:00Z"),
        unlisted: Unlisted {
            holds: Tally::of(1),
            ..Unlisted::default()
        },
        ..Summary::default()
    };
    let now = |at: &str| Summary {
        holds: Marks::of([hold(at)]),
        ..Summary::default()
    };
    assert_eq!(told(&full, &now("2026-02-28T10:00:00Z")), []);
    assert_eq!(told(&full, &now("2026-03-01T11:00:00Z")), [AlertKind::Hold]);
    assert_eq!(
        told(&Summary::default(), &now("2026-02-28T10:00:00Z")),
        [AlertKind::Hold]
    );
}

#[test]
fn applications_are_told_only_where_they_are_asked_for() {
    let after = Summary {
        applications: Marks::of([ApplicationMark {
            at: hour("2026-03-01T10:00:00Z"),
            stage: ApplicationStage::Undecided,
            group: GroupCode::OWN,
        }]),
        ..Summary::default()
    };
    assert_eq!(told(&Summary::default(), &after), []);
    let asking = Side {
        hard_applications: true,
        ..side()
    };
    let kinds = changes(Standing::Nothing, &after, asking);
    assert_eq!(kinds, [AlertKind::HardApplication]);
}

#[test]
fn what_a_lower_level_hides_is_no_relief() {
    let late = with(&[loan(LoanStage::From30)]);
    let hidden = Summary {
        level: crate::domain::Level::Defaults,
        ..Summary::default()
    };
    assert_eq!(told(&late, &hidden), []);
}

#[test]
fn a_dispute_that_ends_is_told_as_withdrawn_or_by_what_came_back() {
    let default = with(&[loan(LoanStage::From90)]);
    let disputed = Summary {
        disputed: true,
        ..with(&[LoanMark {
            disputed: true,
            ..loan(LoanStage::From90)
        }])
    };
    assert_eq!(told(&default, &disputed), [AlertKind::Disputed]);
    assert_eq!(told(&disputed, &Summary::default()), [AlertKind::Withdrawn]);
    assert_eq!(told(&disputed, &default), [AlertKind::Default]);
    // A loan that runs well was disputed, and stands again: nothing adverse was there.
    let well = with(&[loan(LoanStage::Below30)]);
    let disputed = Summary {
        disputed: true,
        ..with(&[LoanMark {
            disputed: true,
            ..loan(LoanStage::Below30)
        }])
    };
    assert_eq!(told(&disputed, &well), []);
}

#[test]
fn a_pause_by_agreement_is_told_as_what_it_is() {
    let paused = marked(&[SignalMark::Forbearance]);
    assert_eq!(told(&Summary::default(), &paused), [AlertKind::Forbearance]);
    assert_eq!(
        AlertKind::Forbearance.severity(),
        crate::domain::Severity::Info
    );
}
