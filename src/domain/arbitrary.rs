//! Sound records of every kind for property tests.

use proptest::option::of as maybe;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::*;
use crate::limits::DISPUTE_DAYS_MAX;

const DAY_MS: i64 = 86_400_000;
/// 2021-01-01T00:00:00Z.
const EARLIEST_MS: i64 = 1_609_459_200_000;

/// A record whose every version satisfies the invariants; kinds in equal shares.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    (any_head(), any_borrower()).prop_flat_map(|(head, borrower)| {
        any_body(head.as_of).prop_map(move |body| Record {
            head: RecordHead {
                version: match (&body, head.version) {
                    (Body::Retracted(_), Version::FIRST) => Version::FIRST.next(),
                    (_, version) => version,
                },
                ..head
            },
            borrower: borrower.clone(),
            body,
        })
    })
}

fn any_head() -> impl Strategy<Value = RecordHead> {
    (
        any::<[u8; 16]>(),
        1_u32..5,
        EARLIEST_MS..EARLIEST_MS + 2_000 * DAY_MS,
        0_i64..90 * DAY_MS,
        maybe(0_i64..2_000),
    )
        .prop_map(|(id, version, as_of_ms, lag_ms, expiry)| {
            let as_of = Timestamp::from_unix_ms(as_of_ms);
            RecordHead {
                record_id: RecordId(Uuid::from_bytes(id)),
                version: Version::of(version).unwrap(),
                reported_at: Timestamp::from_unix_ms(as_of_ms + lag_ms),
                as_of,
                expires_on: expiry.map(|days| as_of.day().plus_days(days)),
            }
        })
}

/// A checked national identity number of any kind, its holder born before 1990.
pub(crate) fn any_national() -> impl Strategy<Value = Identifier> {
    let cn = ("(11|31|44)[0-9]{4}", -10_000_i64..7_000, "[0-9]{3}").prop_map(
        |(region, born, serial)| {
            let born = Day::from_unix_days(born).to_string().replace('-', "");
            let body = format!("{region}{born}{serial}");
            let check = check_character(IdentifierKind::CnRid, &body).unwrap();
            (IdentifierKind::CnRid, format!("{body}{check}"))
        },
    );
    let aadhaar = "[2-9][0-9]{10}".prop_map(|body| {
        let check = check_character(IdentifierKind::InAadhaar, &body).unwrap();
        (IdentifierKind::InAadhaar, format!("{body}{check}"))
    });
    let pan = "[A-Z]{3}P[A-Z][1-9][0-9]{3}[A-Z]".prop_map(|text| (IdentifierKind::InPan, text));
    let ssn =
        "[1-5][0-9]{2}-[1-9][0-9]-[1-9][0-9]{3}".prop_map(|text| (IdentifierKind::UsSsn, text));
    prop_oneof![cn, aadhaar, pan, ssn].prop_filter_map("not an identifier", |(kind, text)| {
        Identifier::of(kind, &text, None).ok()
    })
}

fn any_phone() -> impl Strategy<Value = Identifier> {
    "(\\+120255501[0-9]{2}|\\+447700900[0-9]{3})"
        .prop_map(|text| Identifier::of(IdentifierKind::Phone, &text, None).unwrap())
}

fn any_borrower() -> impl Strategy<Value = Borrower> {
    let identifiers = prop_oneof![
        any_national().prop_map(|national| (Some(national), None)),
        any_phone().prop_map(|phone| (None, Some(phone))),
        (any_national(), any_phone()).prop_map(|(n, p)| (Some(n), Some(p))),
    ];
    let name_dob = ("\\PC{1,30}", -40_000_i64..7_000)
        .prop_map(|(name, born)| NameDob::of(&name, Day::from_unix_days(born)).ok());
    (identifiers, name_dob).prop_map(|((national, phone), name_dob)| Borrower {
        national,
        phone,
        name_dob,
    })
}

/// A reference such as members write them, spreadsheet formulas included.
fn any_reference() -> impl Strategy<Value = String> {
    "[-=+@'\"A-Za-z0-9,;:/|_\\\\ é商]{1,24}".prop_filter_map("empty", |text| {
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    })
}

fn any_currency() -> impl Strategy<Value = Currency> {
    select(vec![
        Currency::CNY,
        Currency::INR,
        Currency::USD,
        Currency::JPY,
        Currency::KWD,
    ])
}

fn any_amount() -> impl Strategy<Value = Money> {
    (1_i64..1_000_000_000, any_currency()).prop_map(|(minor, currency)| Money::of(minor, currency))
}

fn any_group() -> impl Strategy<Value = Option<LenderGroup>> {
    maybe("[a-z][a-z0-9]{0,10}".prop_map(|name| name.parse().unwrap()))
}

fn any_body(as_of: Timestamp) -> impl Strategy<Value = Body> {
    let retraction = (select(RecordKind::ALL), select(RetractionReason::ALL))
        .prop_map(|(kind, reason)| Body::Retracted(Retraction { kind, reason }));
    prop_oneof![
        any_loan(as_of).prop_map(Body::Loan),
        any_application(as_of).prop_map(Body::Application),
        any_hold(as_of).prop_map(Body::Hold),
        any_signal(as_of).prop_map(Body::Signal),
        retraction,
    ]
}

/// A moment up to `days` before `as_of`.
fn before(as_of: Timestamp, days: i64) -> impl Strategy<Value = Timestamp> {
    (0..days * DAY_MS).prop_map(move |ms| Timestamp::from_unix_ms(as_of.unix_ms() - ms))
}

pub(crate) fn any_loan(as_of: Timestamp) -> impl Strategy<Value = Loan> {
    let parties = (
        any_reference(),
        any_group(),
        select(Product::ALL),
        select(LoanRole::ALL),
    );
    let amounts = (maybe(any_amount()), maybe(0_u32..99));
    let counts = (
        0_u16..99,
        0_u16..99,
        0_u16..99,
        0_u16..18_300,
        maybe(0_u32..1_000_000),
    );
    let rest = (
        proptest::array::uniform24(select(MonthStatus::ALL)),
        select(Treatment::ALL),
        select(Dispute::ALL),
        maybe(any::<[u8; 8]>()),
        maybe(any::<[u8; 32]>()),
    );
    (any_course(as_of), parties, amounts, counts, rest).prop_map(
        |(course, parties, (instalment, limit), counts, rest)| {
            let mut loan = course;
            let (account_ref, lender_group, product, role) = parties;
            let principal = loan.principal;
            loan.instalment = instalment.map(|a| Money::of(a.minor, principal.currency));
            loan.credit_limit = limit.map(|share| principal.percent(share).unwrap());
            (
                loan.n_on_time,
                loan.n_late,
                loan.n_missed,
                loan.term_days,
                loan.apr_bps,
            ) = counts;
            let (months, treatment, dispute, transfer_link, consent_ref) = rest;
            Loan {
                account_ref,
                lender_group,
                product,
                role,
                history: History::of(months),
                treatment,
                dispute,
                transfer_link,
                consent_ref,
                ..loan
            }
        },
    )
}

/// A loan with a sound course: state, dates, amounts and lateness fit together.
fn any_course(as_of: Timestamp) -> impl Strategy<Value = Loan> {
    let course = (
        select(LoanState::ALL),
        before(as_of, 700),
        maybe(0_i64..1_000),
        0_u16..400,
        any::<bool>(),
    );
    (course, (any_amount(), 0_u32..200, 1_u32..=100)).prop_map(
        move |((state, signed_at, maturity, dpd, late), (principal, owed, overdue))| {
            let mut loan = Loan::new(String::new(), Product::CashLoan, principal, signed_at);
            loan.state = state;
            loan.funded_at = (state != LoanState::Void).then_some(signed_at);
            loan.maturity_on = maturity.map(|days| loan.opened_on.plus_days(days));
            loan.closed_on = state.is_closed().then(|| as_of.day());
            let owed = if state.is_closed() { 0 } else { owed };
            loan.outstanding = principal.percent(owed).unwrap();
            if state == LoanState::ChargedOff || (late && state == LoanState::Active) {
                let least = if state == LoanState::ChargedOff {
                    90
                } else {
                    1
                };
                loan.dpd = least + dpd;
                let owed = loan.outstanding.minor.max(1);
                loan.outstanding = Money::of(owed, principal.currency);
                let overdue = loan.outstanding.percent(overdue).unwrap();
                loan.past_due = Money::of(overdue.minor.max(1), principal.currency);
                loan.first_delinquency_on = Some(loan.opened_on);
            }
            loan
        },
    )
}

fn any_application(as_of: Timestamp) -> impl Strategy<Value = Application> {
    let what = (
        select(ApplicationKind::ALL),
        any_group(),
        select(Product::ALL),
    );
    let asked = (
        maybe(any_amount()),
        maybe(0_u16..18_300),
        select(Channel::ALL),
    );
    let course = (
        before(as_of, 300),
        select(ApplicationOutcome::ALL),
        maybe(any::<[u8; 32]>()),
    );
    (what, asked, course).prop_map(
        move |((kind, lender_group, product), asked, (at, outcome, consent_ref))| {
            let (amount, term_days, channel) = asked;
            let decided = outcome != ApplicationOutcome::Pending;
            Application {
                lender_group,
                amount,
                term_days,
                channel,
                outcome,
                outcome_at: decided.then_some(as_of),
                consent_ref,
                ..Application::new(kind, product, at)
            }
        },
    )
}

fn any_hold(as_of: Timestamp) -> impl Strategy<Value = Hold> {
    let id = || any::<[u8; 16]>().prop_map(|id| RecordId(Uuid::from_bytes(id)));
    let course = (before(as_of, 10), 1_i64..=7 * DAY_MS);
    let state = prop_oneof![
        Just(HoldState::Live),
        id().prop_map(|loan| HoldState::Converted { loan }),
        Just(HoldState::Released),
        Just(HoldState::Expired),
    ];
    (maybe(id()), any_group(), any_amount(), course, state).prop_map(
        move |(application, lender_group, amount, (signed_at, life_ms), state)| {
            let expires_at = Timestamp::from_unix_ms(signed_at.unix_ms() + life_ms);
            let too_early = state == HoldState::Expired && as_of < expires_at;
            Hold {
                application,
                lender_group,
                expires_at,
                state: if too_early { HoldState::Live } else { state },
                ..Hold::new(amount, signed_at)
            }
        },
    )
}

fn any_signal(as_of: Timestamp) -> impl Strategy<Value = Signal> {
    let proven = (select(FraudType::ALL), select(Proof::ALL));
    let fraud = (any::<[u8; 32]>(), proven, any_reference());
    let people = (any_reference(), maybe(0_i64..365));
    let what = (
        select(SignalKind::ALL),
        before(as_of, 500),
        any::<[u8; 16]>(),
    );
    (what, people, fraud, any_amount(), (3_u16..9, 30_u16..99)).prop_map(
        |(
            (kind, at, about),
            (filed_by, life),
            (evidence, (fraud_type, proof), reviewer),
            amount,
            calls,
        )| {
            let event_on = at.day();
            let disputes = kind == SignalKind::Disputed;
            let lost = kind == SignalKind::LostContact;
            Signal {
                fraud_type: (kind == SignalKind::FraudConfirmed).then_some(fraud_type),
                about: Some(RecordId(Uuid::from_bytes(about))),
                evidence: Some(evidence),
                proof: kind.needs_reviewer().then_some(proof),
                reviewed_by: [reviewer, "second desk".to_owned()]
                    .into_iter()
                    .find(|reviewer| !is_same_person(reviewer, &filed_by)),
                ends_on: life
                    .map(|days| {
                        if disputes {
                            days.min(DISPUTE_DAYS_MAX)
                        } else {
                            days
                        }
                    })
                    .map(|days| event_on.plus_days(days)),
                amount: Some(amount),
                attempts: lost.then_some(Attempts {
                    count: calls.0,
                    over_days: calls.1,
                }),
                ..Signal::new(kind, event_on, filed_by)
            }
        },
    )
}
