//! Who is late at one lender alone, and who was seen with how many identifiers: from whole records.

use std::collections::BTreeSet;
use std::time::Duration;

use super::standing::Standing;
use super::{DAY_S, is_default, late, running, within};
use crate::domain::{ApplicationKind, Body, Identifier, LenderGroup, Loan, SignalKind, Timestamp};

/// Late at one lender, 60 days or more, on a loan signed within 180 days; nowhere else 30 days
/// late; and paying somewhere else.
pub(super) fn is_selective(standing: &Standing<'_>, now: Timestamp) -> bool {
    let of_loans = |holds: &dyn Fn(&Body) -> bool| -> BTreeSet<&LenderGroup> {
        let heard = standing.heard().filter(|heard| holds(&heard.record.body));
        heard.map(|heard| heard.group).collect()
    };
    let mut behind = of_loans(&|body| late(body, 30) || is_default(body));
    behind.extend(standing.signalled(&[
        SignalKind::Dpd30,
        SignalKind::Dpd60,
        SignalKind::Dpd90,
        SignalKind::Default,
        SignalKind::ChargeOff,
    ]));
    let young = |loan: &Loan| within(loan.signed_at, 180 * DAY_S, now);
    let late_young = of_loans(&|body| {
        (late(body, 60) || is_default(body)) && matches!(body, Body::Loan(loan) if young(loan))
    });
    let current = of_loans(&|body| running(body).is_some_and(|loan| loan.dpd < 30));
    behind.len() == 1 && late_young == behind && current.difference(&behind).next().is_some()
}

/// The identifiers of the other kind that members saw in 90 days with the one that all these
/// records name.
pub(super) fn others_seen(standing: &Standing<'_>, nationals: bool, now: Timestamp) -> usize {
    let mut seen: BTreeSet<&Identifier> = BTreeSet::new();
    for heard in standing.heard() {
        let borrower = &heard.record.borrower;
        let other = if nationals {
            borrower.national.as_ref()
        } else {
            borrower.phone.as_ref()
        };
        if let Some(other) = other.filter(|_| is_seen(&heard.record.body, now)) {
            seen.insert(other);
        }
    }
    seen.len()
}

fn is_seen(body: &Body, now: Timestamp) -> bool {
    let at = match body {
        Body::Application(application) => match application.kind {
            ApplicationKind::Application | ApplicationKind::Offer => application.at,
            ApplicationKind::Recheck
            | ApplicationKind::Review
            | ApplicationKind::Collection
            | ApplicationKind::SelfAccess
            | ApplicationKind::Fraud => return false,
        },
        Body::Loan(loan) => loan.signed_at,
        Body::Hold(hold) => hold.signed_at,
        Body::Signal(_) | Body::Retracted(_) => return false,
    };
    now < at.plus(Duration::from_secs(90 * DAY_S))
}
