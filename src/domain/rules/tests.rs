//! Every rule of one version has a record that breaks it and nothing else.

#![expect(
    clippy::semicolon_if_nothing_returned,
    reason = "a table of one assignment a row reads better"
)]

use super::super::*;
use super::Rule as R;
use crate::limits;

/// The field, the rule, and the one change that breaks it.
type Case<T> = (&'static str, R, fn(&mut T));

/// The same for a signal of this kind.
type SignalCase = (SignalKind, &'static str, R, fn(&mut Signal));

const HOUR_MS: i64 = 3_600_000;

pub(super) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub(super) fn usd(minor: i64) -> Money {
    Money::of(minor, Currency::USD)
}

pub(super) fn record(body: Body) -> Record {
    let as_of = at("2026-03-01T12:00:00Z");
    Record {
        head: RecordHead {
            record_id: RecordId::fresh(as_of, [7; 10]),
            version: Version::FIRST,
            reported_at: as_of,
            as_of,
            expires_on: None,
        },
        borrower: Borrower {
            national: Identifier::parse("cn-rid:11010519491231002X", None).ok(),
            ..Borrower::default()
        },
        body,
    }
}

pub(super) fn a_loan() -> Loan {
    let signed_at = at("2026-01-10T08:00:00Z");
    let mut loan = Loan::new("A-1".to_owned(), Product::CashLoan, usd(100_000), signed_at);
    loan.funded_at = Some(at("2026-01-10T09:00:00Z"));
    loan.maturity_on = Some(day("2026-07-10"));
    loan.outstanding = usd(80_000);
    loan
}

pub(super) fn charged_off() -> Loan {
    Loan {
        state: LoanState::ChargedOff,
        dpd: 120,
        past_due: usd(80_000),
        first_delinquency_on: Some(day("2026-01-20")),
        ..a_loan()
    }
}

pub(super) fn paid() -> Loan {
    Loan {
        state: LoanState::Paid,
        outstanding: usd(0),
        closed_on: Some(day("2026-02-20")),
        ..a_loan()
    }
}

pub(super) fn an_application() -> Application {
    Application::new(
        ApplicationKind::Application,
        Product::CashLoan,
        at("2026-02-28T23:00:00Z"),
    )
}

pub(super) fn a_hold() -> Hold {
    Hold::new(usd(50_000), at("2026-02-28T23:00:00Z"))
}

pub(super) fn a_signal(kind: SignalKind) -> Signal {
    Signal {
        about: Some(RecordId(uuid::Uuid::nil())),
        evidence: Some([1; 32]),
        reviewed_by: Some("second".to_owned()),
        amount: Some(usd(1)),
        proof: kind.needs_reviewer().then_some(Proof::Rejected),
        fraud_type: (kind == SignalKind::FraudConfirmed).then_some(FraudType::Takeover),
        attempts: (kind == SignalKind::LostContact).then_some(Attempts {
            count: 3,
            over_days: 30,
        }),
        ..Signal::new(kind, day("2026-02-01"), "first".to_owned())
    }
}

fn broken(body: Body) -> Option<(&'static str, R)> {
    record(body).check(None).err().map(|e| (e.field, e.rule))
}

#[test]
fn the_examples_are_sound() {
    for loan in [a_loan(), charged_off(), paid()] {
        assert_eq!(broken(Body::Loan(loan)), None);
    }
    assert_eq!(broken(Body::Application(an_application())), None);
    assert_eq!(broken(Body::Hold(a_hold())), None);
    for kind in SignalKind::ALL {
        assert_eq!(broken(Body::Signal(a_signal(*kind))), None, "{kind}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_rule_of_a_loan_is_enforced() {
    let cases: [Case<Loan>; 31] = [
        ("account_ref", R::Reference, |l| {
            l.account_ref = String::new()
        }),
        ("account_ref", R::Reference, |l| {
            l.account_ref = "é".repeat(65)
        }),
        ("account_ref", R::Reference, |l| {
            l.account_ref = "a\nb".to_owned()
        }),
        ("account_ref", R::Reference, |l| {
            l.account_ref = " a".to_owned()
        }),
        ("signed_at", R::AfterAsOf, |l| {
            l.signed_at = at("2026-03-01T12:00:00.001Z")
        }),
        ("signed_at", R::MomentRange, |l| {
            l.signed_at = at("1969-12-31T23:59:59Z")
        }),
        ("funded_at", R::BeforeSigning, |l| {
            l.funded_at = Some(at("2026-01-10T07:59:59Z"))
        }),
        ("funded_at", R::AfterAsOf, |l| {
            l.funded_at = Some(at("2026-03-02T00:00:00Z"))
        }),
        ("opened_on", R::AfterAsOf, |l| {
            l.opened_on = day("2026-03-02")
        }),
        ("opened_on", R::BeforeMajority, |l| {
            l.opened_on = day("1967-12-30")
        }),
        ("maturity_on", R::BeforeOpening, |l| {
            l.maturity_on = Some(day("2026-01-09"))
        }),
        ("maturity_on", R::DayRange, |l| {
            l.maturity_on = Some(day("0900-01-01"))
        }),
        ("closed_on", R::ClosingDayGiven, |l| {
            l.closed_on = Some(day("2026-02-20"))
        }),
        ("closed_on", R::BeforeOpening, |l| {
            *l = Loan {
                closed_on: Some(day("2026-01-01")),
                ..paid()
            }
        }),
        ("closed_on", R::AfterAsOf, |l| {
            *l = Loan {
                closed_on: Some(day("2026-04-01")),
                ..paid()
            }
        }),
        ("closed_on", R::ClosingDayMissing, |l| {
            *l = Loan {
                closed_on: None,
                ..paid()
            }
        }),
        ("outstanding", R::ClosedOwes, |l| {
            *l = Loan {
                outstanding: usd(1),
                ..paid()
            }
        }),
        ("principal", R::Zero, |l| l.principal = usd(0)),
        ("principal", R::Negative, |l| l.principal = usd(-1)),
        ("principal", R::TooMuch, |l| {
            l.principal = usd(limits::MONEY_MINOR_MAX + 1)
        }),
        ("outstanding", R::Negative, |l| l.outstanding = usd(-1)),
        ("outstanding", R::AbovePrincipal, |l| {
            l.outstanding = usd(200_001)
        }),
        ("outstanding", R::OtherCurrency, |l| {
            l.outstanding = Money::of(1, Currency::CNY)
        }),
        ("past_due", R::AboveOutstanding, |l| {
            l.past_due = usd(80_001)
        }),
        ("past_due", R::NothingPastDue, |l| l.dpd = 1),
        ("instalment", R::OtherCurrency, |l| {
            l.instalment = Some(Money::of(1, Currency::CNY))
        }),
        ("credit_limit", R::Negative, |l| {
            l.credit_limit = Some(usd(-1))
        }),
        ("term_days", R::TermRange, |l| l.term_days = 18_301),
        ("apr_bps", R::AprRange, |l| l.apr_bps = Some(1_000_001)),
        ("dpd", R::ChargedOffEarly, |l| {
            *l = Loan {
                dpd: 89,
                ..charged_off()
            }
        }),
        ("first_delinquency_on", R::DelinquencyMissing, |l| {
            *l = Loan {
                first_delinquency_on: None,
                ..charged_off()
            }
        }),
    ];
    for (field, rule, damage) in cases {
        let mut loan = a_loan();
        damage(&mut loan);
        assert_eq!(broken(Body::Loan(loan)), Some((field, rule)));
    }
    let void = Loan {
        state: LoanState::Void,
        ..paid()
    };
    assert_eq!(
        broken(Body::Loan(void.clone())),
        Some(("funded_at", R::VoidFunded))
    );
    assert_eq!(
        broken(Body::Loan(Loan {
            funded_at: None,
            ..void
        })),
        None
    );
    let revolving = Loan {
        product: Product::Revolving,
        principal: usd(0),
        ..a_loan()
    };
    assert_eq!(broken(Body::Loan(revolving)), None, "a limit may be unused");
}

#[test]
fn majority_is_judged_by_every_known_birth_date() {
    let mut record = record(Body::Loan(a_loan()));
    record.borrower.name_dob = NameDob::of("A B", day("2008-01-11")).ok();
    assert_eq!(
        record.check(None).map_err(|e| e.rule),
        Err(R::BeforeMajority)
    );
    record.borrower.name_dob = NameDob::of("A B", day("2008-01-10")).ok();
    assert_eq!(record.check(None), Ok(()));
}

#[test]
fn each_rule_of_a_head_and_a_borrower_is_enforced() {
    let cases: [Case<Record>; 7] = [
        ("as_of", R::AfterReport, |r| {
            r.head.reported_at = at("2026-03-01T11:59:59Z")
        }),
        ("as_of", R::MomentRange, |r| {
            r.head.as_of = Timestamp::from_unix_ms(-1)
        }),
        ("expires_on", R::BeforeAsOf, |r| {
            r.head.expires_on = Some(day("2026-02-28"))
        }),
        ("national_id", R::NoIdentifier, |r| {
            r.borrower = Borrower::default()
        }),
        ("phone", R::IdentifierClass, |r| {
            r.borrower.phone = r.borrower.national.clone()
        }),
        ("born", R::DayRange, |r| {
            r.borrower.name_dob = NameDob::of("A", day("1849-12-31")).ok();
        }),
        ("version", R::RetractionFirst, |r| {
            r.body = Body::Retracted(Retraction {
                kind: RecordKind::Loan,
                reason: RetractionReason::Court,
            });
        }),
    ];
    for (field, rule, damage) in cases {
        let mut record = record(Body::Hold(a_hold()));
        damage(&mut record);
        let found = record.check(None).map_err(|e| (e.field, e.rule));
        assert_eq!(found, Err((field, rule)));
    }
}

#[test]
fn each_rule_of_an_application_and_a_hold_is_enforced() {
    let applications: [Case<Application>; 8] = [
        ("at", R::AfterAsOf, |a| a.at = at("2026-03-01T12:00:01Z")),
        ("purpose", R::Purpose, |a| a.purpose = Purpose::Collection),
        ("amount", R::Zero, |a| a.amount = Some(usd(0))),
        ("term_days", R::TermRange, |a| a.term_days = Some(u16::MAX)),
        ("outcome_at", R::OutcomeTimeGiven, |a| {
            a.outcome_at = Some(a.at)
        }),
        ("outcome_at", R::OutcomeTimeMissing, |a| {
            a.outcome = ApplicationOutcome::Declined
        }),
        ("outcome_at", R::BeforeApplication, |a| {
            a.outcome = ApplicationOutcome::Funded;
            a.outcome_at = Some(at("2026-02-28T22:00:00Z"));
        }),
        ("outcome_at", R::AfterAsOf, |a| {
            a.outcome = ApplicationOutcome::Funded;
            a.outcome_at = Some(at("2026-03-02T00:00:00Z"));
        }),
    ];
    for (field, rule, damage) in applications {
        let mut application = an_application();
        damage(&mut application);
        assert_eq!(broken(Body::Application(application)), Some((field, rule)));
    }
    let holds: [Case<Hold>; 5] = [
        ("signed_at", R::AfterAsOf, |h| {
            h.signed_at = at("2026-03-01T12:00:01Z")
        }),
        ("expires_at", R::NoLife, |h| h.expires_at = h.signed_at),
        ("expires_at", R::LifeTooLong, |h| {
            let week_ms = i64::from(limits::HOLD_LIFE_MAX_H) * HOUR_MS;
            h.expires_at = Timestamp::from_unix_ms(h.signed_at.unix_ms() + week_ms + 1);
        }),
        ("state", R::ExpiredEarly, |h| h.state = HoldState::Expired),
        ("amount", R::Zero, |h| h.amount = usd(0)),
    ];
    for (field, rule, damage) in holds {
        let mut hold = a_hold();
        damage(&mut hold);
        assert_eq!(broken(Body::Hold(hold)), Some((field, rule)));
    }
}

fn each_is_enforced(cases: &[SignalCase]) {
    for (kind, field, rule, damage) in cases {
        let mut signal = a_signal(*kind);
        damage(&mut signal);
        let found = broken(Body::Signal(signal));
        assert_eq!(found, Some((*field, *rule)), "{kind}");
    }
}

#[test]
fn proof_and_evidence_are_asked_for_where_they_belong() {
    use SignalKind as S;
    each_is_enforced(&[
        (
            S::ProtectiveRegistration,
            "evidence",
            R::EvidenceMissing,
            |s| s.evidence = None,
        ),
        (S::FraudConfirmed, "proof", R::ProofMissing, |s| {
            s.proof = None
        }),
        (S::FraudVictim, "proof", R::ProofMissing, |s| s.proof = None),
        (S::Insolvency, "proof", R::NotForThisSignal, |s| {
            s.proof = Some(Proof::Withdrawn)
        }),
    ]);
}

#[test]
fn each_rule_of_a_signal_is_enforced() {
    use SignalKind as S;
    let cases: [SignalCase; 17] = [
        (S::Dpd30, "event_on", R::AfterAsOf, |s| {
            s.event_on = day("2026-03-02")
        }),
        (S::Dpd30, "filed_by", R::Reference, |s| {
            s.filed_by = String::new()
        }),
        (S::Dpd30, "about", R::AboutMissing, |s| s.about = None),
        (S::Cured, "about", R::AboutMissing, |s| s.about = None),
        (S::Disputed, "about", R::AboutMissing, |s| s.about = None),
        (S::Default, "about", R::AboutMissing, |s| {
            s.about = None;
            s.evidence = None;
        }),
        (S::ChargeOff, "amount", R::AmountMissing, |s| {
            s.amount = None
        }),
        (S::Insolvency, "evidence", R::EvidenceMissing, |s| {
            s.evidence = None
        }),
        (S::FraudConfirmed, "evidence", R::EvidenceMissing, |s| {
            s.evidence = None
        }),
        (S::FraudVictim, "reviewed_by", R::ReviewerMissing, |s| {
            s.reviewed_by = None
        }),
        (S::FraudConfirmed, "reviewed_by", R::ReviewerFiled, |s| {
            s.reviewed_by = Some("first".to_owned());
        }),
        (S::FraudConfirmed, "fraud_type", R::FraudTypeMissing, |s| {
            s.fraud_type = None
        }),
        (S::FraudVictim, "fraud_type", R::NotForThisSignal, |s| {
            s.fraud_type = Some(FraudType::Takeover);
        }),
        (S::LostContact, "attempts", R::AttemptsTooFew, |s| {
            s.attempts = None
        }),
        (S::LostContact, "attempts_days", R::AttemptsTooFew, |s| {
            s.attempts = Some(Attempts {
                count: 3,
                over_days: 29,
            });
        }),
        (S::FraudConfirmed, "ends_on", R::EndsTooLate, |s| {
            s.ends_on = Some(day("2032-02-02"))
        }),
        (S::Insolvency, "ends_on", R::BeforeEvent, |s| {
            s.ends_on = Some(day("2026-01-31"))
        }),
    ];
    each_is_enforced(&cases);
    let mut notice = a_signal(S::Default);
    notice.about = None;
    assert_eq!(
        broken(Body::Signal(notice)),
        None,
        "the notice is evidence enough"
    );
}
