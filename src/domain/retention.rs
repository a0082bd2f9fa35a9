//! How long records may be kept, and how fast disputes are decided: of several rules the shortest.
//!
//! The rules come from a policy file: the member's own, and those of the jurisdictions that apply
//! to it and to the borrower.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::ids::word_enum;
use super::{
    ApplicationKind, Body, Borrower, Day, IdentifierKind, Loan, LoanState, MonthStatus, Record,
    SignalKind, Timestamp,
};
use crate::limits::RETENTION_TERM_MAX;

const DAY: Duration = Duration::from_secs(86_400);

word_enum!(
    /// A jurisdiction whose rules can apply.
    Jurisdiction {
        /// United States: FCRA, ECOA.
        Us = "us",
        /// European Union: GDPR.
        Eu = "eu",
        /// United Kingdom: UK GDPR.
        Uk = "uk",
        /// China: PIPL, credit-reporting rules.
        Cn = "cn",
        /// India: RBI directions, CICRA.
        In = "in",
        /// Kenya: CRB regulations.
        Ke = "ke",
    }
);

word_enum!(
    /// A span that a rule fixes; its name ends in its unit.
    Term {
        /// From the first day of a delinquency, or an adverse signal's event, to its end.
        Adverse = "adverse_months",
        /// From the day of a cure, and from the end of a repaid loan that had been late.
        Cured = "cured_months",
        /// From the event of an insolvency.
        Insolvency = "insolvency_months",
        /// From the last day of a loan that was never late.
        Closed = "closed_months",
        /// From a hard application, review or collection inquiry.
        Inquiry = "inquiry_days",
        /// From a soft inquiry: an offer, a self-access.
        Offer = "offer_days",
        /// From the end of a hold.
        Hold = "hold_days",
        /// From a retraction to the end of its tombstone.
        Tombstone = "tombstone_months",
        /// From a dispute to its decision.
        Dispute = "dispute_days",
        /// From a dispute to its acknowledgement.
        Acknowledge = "acknowledge_hours",
    }
);

/// The spans that apply to one borrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms([u32; Term::ALL.len()]);

impl Terms {
    /// A span, in the unit of its name.
    #[must_use]
    pub fn get(&self, term: Term) -> u32 {
        self.0.get(term as usize).copied().unwrap_or(u32::MAX)
    }

    fn shorten(&mut self, rules: &BTreeMap<Term, u32>) {
        for (term, span) in rules {
            if let Some(held) = self.0.get_mut(*term as usize) {
                *held = (*held).min(*span);
            }
        }
    }

    /// The last day on which a dispute that is opened now may be decided.
    #[must_use]
    pub fn decided_by(&self, now: Timestamp) -> Day {
        now.day().plus_days(i64::from(self.get(Term::Dispute)))
    }

    /// When a dispute that was opened then is to be acknowledged.
    #[must_use]
    pub fn acknowledged_by(&self, opened_at: Timestamp) -> Timestamp {
        opened_at.plus(Duration::from_secs(
            3_600 * u64::from(self.get(Term::Acknowledge)),
        ))
    }
}

/// A retention policy that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// The member's own rules leave a span open.
    #[error("[default] must name {0}")]
    Missing(Term),
    /// A span out of its bounds.
    #[error("[{0}] {1} must be 1 to {RETENTION_TERM_MAX}")]
    Span(String, Term),
}

/// Every rule that a node knows, and which jurisdictions its member stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    own: Terms,
    jurisdictions: BTreeSet<Jurisdiction>,
    rules: BTreeMap<Jurisdiction, BTreeMap<Term, u32>>,
}

impl RetentionPolicy {
    /// The policy of a member with its own spans, which stands under `jurisdictions`.
    ///
    /// # Errors
    /// [`RetentionError`] where a span is missing among the own ones, or out of bounds.
    pub fn of(
        own: &BTreeMap<Term, u32>,
        jurisdictions: BTreeSet<Jurisdiction>,
        rules: BTreeMap<Jurisdiction, BTreeMap<Term, u32>>,
    ) -> Result<Self, RetentionError> {
        if let Some(missing) = Term::ALL.iter().find(|term| !own.contains_key(term)) {
            return Err(RetentionError::Missing(*missing));
        }
        let named = rules.iter().map(|(place, rules)| (place.word(), rules));
        for (place, rules) in named.chain([("default", own)]) {
            for (term, span) in rules {
                if !(1..=RETENTION_TERM_MAX).contains(span) {
                    return Err(RetentionError::Span(place.to_owned(), *term));
                }
            }
        }
        let mut terms = Terms([u32::MAX; Term::ALL.len()]);
        terms.shorten(own);
        Ok(Self {
            own: terms,
            jurisdictions,
            rules,
        })
    }

    /// The spans that apply to this borrower: of the member's own, of the jurisdictions that it
    /// stands under, and of the one that issued the national identity, the shortest each.
    #[must_use]
    pub fn terms(&self, borrower: &Borrower) -> Terms {
        let mut terms = self.own;
        let national = borrower.national.as_ref().and_then(|id| home_of(id.kind()));
        for place in self.jurisdictions.iter().copied().chain(national) {
            if let Some(rules) = self.rules.get(&place) {
                terms.shorten(rules);
            }
        }
        terms
    }

    /// The spans that apply where no borrower is known.
    #[must_use]
    pub fn own_terms(&self) -> Terms {
        self.terms(&Borrower::default())
    }
}

const fn home_of(kind: IdentifierKind) -> Option<Jurisdiction> {
    match kind {
        IdentifierKind::CnRid => Some(Jurisdiction::Cn),
        IdentifierKind::InPan | IdentifierKind::InAadhaar => Some(Jurisdiction::In),
        IdentifierKind::UsSsn => Some(Jurisdiction::Us),
        IdentifierKind::Phone => None,
    }
}

/// When a record is deleted, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The first moment at which it may not be kept any more.
    pub at: Timestamp,
    /// The span that ends then; `None` where the record's own `expires_on` does.
    pub rule: Option<Term>,
}

impl Expiry {
    /// The rule in words.
    #[must_use]
    pub fn rule_word(&self) -> &'static str {
        self.rule.map_or("expires_on", Term::word)
    }
}

/// When a record is deleted under these terms; `None` while something still runs that has to end
/// first: a loan, a dispute.
#[must_use]
pub fn expiry(record: &Record, terms: &Terms) -> Option<Expiry> {
    let by_rule = match &record.body {
        Body::Loan(loan) => loan_expiry(loan),
        Body::Application(application) => {
            let term = match application.kind {
                ApplicationKind::Application
                | ApplicationKind::Recheck
                | ApplicationKind::Review
                | ApplicationKind::Collection
                | ApplicationKind::Fraud => Term::Inquiry,
                ApplicationKind::Offer | ApplicationKind::SelfAccess => Term::Offer,
            };
            Some((term, application.at))
        }
        Body::Hold(hold) => {
            let ended = if hold.is_live(record.head.as_of) {
                hold.expires_at
            } else {
                hold.expires_at.min(record.head.as_of)
            };
            Some((Term::Hold, ended))
        }
        Body::Signal(signal) => {
            signal_expiry(signal.kind).map(|term| (term, signal.event_on.start()))
        }
        Body::Retracted(_) => Some((Term::Tombstone, record.head.as_of)),
    };
    let by_rule = by_rule.map(|(term, from)| Expiry {
        at: end_of(term, terms.get(term), from),
        rule: Some(term),
    });
    let own = record.head.expires_on.map(|last| Expiry {
        at: last.plus_days(1).start(),
        rule: None,
    });
    let ended = |signal: &super::Signal| {
        signal.last_day().map(|last| Expiry {
            at: last.plus_days(1).start(),
            rule: signal_expiry(signal.kind),
        })
    };
    let life = match &record.body {
        Body::Signal(signal) if signal.kind != SignalKind::Disputed => ended(signal),
        Body::Signal(_)
        | Body::Loan(_)
        | Body::Application(_)
        | Body::Hold(_)
        | Body::Retracted(_) => None,
    };
    [by_rule, own, life]
        .into_iter()
        .flatten()
        .min_by_key(|expiry| expiry.at)
}

/// The rule of a loan and the moment that it runs from.
fn loan_expiry(loan: &Loan) -> Option<(Term, Timestamp)> {
    let late = loan.dpd > 0 || loan.state == LoanState::ChargedOff;
    if let Some(clock) = loan.first_delinquency_on
        && late
    {
        return Some((Term::Adverse, clock.start()));
    }
    let closed = loan.closed_on.filter(|_| loan.state.is_closed())?;
    let was_late = loan.first_delinquency_on.is_some()
        || loan.history.months().iter().any(|month| was_late(*month));
    let term = if was_late { Term::Cured } else { Term::Closed };
    Some((term, closed.start()))
}

const fn was_late(month: MonthStatus) -> bool {
    match month {
        MonthStatus::Unknown
        | MonthStatus::Current
        | MonthStatus::D1To29
        | MonthStatus::ZeroBalance => false,
        MonthStatus::D30To59
        | MonthStatus::D60To89
        | MonthStatus::D90To119
        | MonthStatus::D120To149
        | MonthStatus::D150To179
        | MonthStatus::D180Plus
        | MonthStatus::Collection
        | MonthStatus::ChargedOff => true,
    }
}

/// The rule of a signal. An open dispute stays until it is decided: what it suppresses would come
/// back otherwise. A fraud lasts as long as it was filed for, victim and protective marks too.
const fn signal_expiry(kind: SignalKind) -> Option<Term> {
    match kind {
        SignalKind::Dpd30
        | SignalKind::Dpd60
        | SignalKind::Dpd90
        | SignalKind::Default
        | SignalKind::ChargeOff
        | SignalKind::FirstPaymentDefault
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::LostContact => Some(Term::Adverse),
        SignalKind::Insolvency => Some(Term::Insolvency),
        SignalKind::Cured => Some(Term::Cured),
        SignalKind::FraudConfirmed
        | SignalKind::FraudVictim
        | SignalKind::ProtectiveRegistration
        | SignalKind::Disputed => None,
    }
}

/// The end of `span` from a moment on; spans of months count whole days.
fn end_of(term: Term, span: u32, from: Timestamp) -> Timestamp {
    match term {
        Term::Adverse | Term::Cured | Term::Insolvency | Term::Closed | Term::Tombstone => {
            from.day().plus_months(span).plus_days(1).start()
        }
        Term::Inquiry | Term::Offer | Term::Hold | Term::Dispute => {
            from.plus(DAY.saturating_mul(span))
        }
        Term::Acknowledge => from.plus(Duration::from_secs(3_600 * u64::from(span))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Money, Product, RecordHead, RecordId, Version};

    fn ends(body: Body, expires_on: Option<&str>) -> Option<String> {
        let as_of = Timestamp::parse_rfc3339("2026-03-01T08:00:00Z").unwrap();
        let record = Record {
            head: RecordHead {
                record_id: RecordId(uuid::Uuid::nil()),
                version: Version::FIRST,
                reported_at: as_of,
                as_of,
                expires_on: expires_on.map(|day| day.parse().unwrap()),
            },
            borrower: Borrower::default(),
            body,
        };
        let terms = Terms([60, 24, 60, 60, 730, 90, 7, 84, 20, 24]);
        expiry(&record, &terms).map(|end| format!("{} {}", end.at.day(), end.rule_word()))
    }

    fn loan(change: impl FnOnce(&mut Loan)) -> Body {
        let signed = Timestamp::parse_rfc3339("2025-03-01T08:00:00Z").unwrap();
        let amount = Money::of(100, Currency::CNY);
        let mut loan = Loan::new("a".to_owned(), Product::CashLoan, amount, signed);
        change(&mut loan);
        Body::Loan(loan)
    }

    fn signal(kind: SignalKind) -> Body {
        let event_on = "2026-02-01".parse().unwrap();
        Body::Signal(crate::domain::Signal::new(
            kind,
            event_on,
            "desk".to_owned(),
        ))
    }

    #[test]
    fn each_record_ends_by_its_rule() {
        let late = |loan: &mut Loan| {
            loan.dpd = 40;
            loan.first_delinquency_on = "2026-01-15".parse().ok();
        };
        let repaid = |loan: &mut Loan| {
            loan.state = LoanState::Paid;
            loan.closed_on = "2026-02-20".parse().ok();
        };
        for (body, end) in [
            (loan(|_| {}), None),
            (loan(late), Some("2031-01-16 adverse_months")),
            (loan(repaid), Some("2031-02-21 closed_months")),
            (
                loan(|loan| {
                    repaid(loan);
                    loan.first_delinquency_on = "2026-01-15".parse().ok();
                }),
                Some("2028-02-21 cured_months"),
            ),
            (
                signal(SignalKind::Default),
                Some("2031-02-02 adverse_months"),
            ),
            (
                signal(SignalKind::LostContact),
                Some("2026-08-01 adverse_months"),
            ),
            (signal(SignalKind::Cured), Some("2028-02-02 cured_months")),
            (signal(SignalKind::Disputed), None),
        ] {
            assert_eq!(ends(body, None).as_deref(), end);
        }
        let own = ends(loan(|_| {}), Some("2026-03-05"));
        assert_eq!(own.as_deref(), Some("2026-03-06 expires_on"));
    }
}
