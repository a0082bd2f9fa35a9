//! Summaries as facts: events with the earliest and latest moment at which they can have happened.
//!
//! Counting works on facts, so that a test can count exact, unrounded records the same way.

use std::time::Duration;

use crate::domain::{
    AmountSpan, ApplicationMark, ApplicationStage, Bands, Day, GroupCode, HoldMark, LastArrears,
    LoanLink, LoanMark, LoanStage, SignalSet, Summary, Tally, Timestamp,
};

/// How sure something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sure {
    No,
    Maybe,
    Yes,
}

impl Sure {
    pub(crate) const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Sure at most to this degree.
    pub(crate) fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

/// From when to when something can have happened, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Span {
    /// Whether it happened in the window of this length that ends at `now`, or later.
    pub(crate) fn within(self, window: Duration, now: Timestamp) -> Sure {
        let start = now.minus(window);
        if self.earliest > start {
            Sure::Yes
        } else if self.latest > start {
            Sure::Maybe
        } else {
            Sure::No
        }
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.earliest <= other.latest && other.earliest <= self.latest
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApplicationFact {
    pub(crate) at: Span,
    pub(crate) stage: ApplicationStage,
    pub(crate) group: GroupCode,
}

/// Whether a loan is known to be another member's loan too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    None,
    Known([u8; 8]),
    /// It was transferred under a link that is not known.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoanFact {
    pub(crate) signed: Span,
    pub(crate) stage: LoanStage,
    pub(crate) outstanding: AmountSpan,
    pub(crate) disputed: bool,
    pub(crate) link: Link,
    pub(crate) group: GroupCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldFact {
    pub(crate) signed: Span,
    pub(crate) expires: Span,
    pub(crate) amount: AmountSpan,
    pub(crate) group: GroupCode,
}

impl HoldFact {
    /// Whether it is live: signed, and not expired.
    pub(crate) fn live(self, now: Timestamp) -> Sure {
        let signed = if self.signed.earliest <= now {
            Sure::Yes
        } else {
            Sure::Maybe
        };
        let standing = if self.expires.earliest > now {
            Sure::Yes
        } else if self.expires.latest > now {
            Sure::Maybe
        } else {
            Sure::No
        };
        signed.and(standing)
    }
}

/// Groups of which something is not told; `None` where nothing bounds their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) groups: Option<u32>,
    /// What is not told happened no later.
    pub(crate) latest: Timestamp,
}

impl Missed {
    const fn of(tally: Tally, latest: Timestamp) -> Self {
        Self {
            groups: tally.at_most(),
            latest,
        }
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.groups == Some(0)
    }
}

/// What a member leaves untold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(crate) hard: Missed,
    pub(crate) soft: Missed,
    pub(crate) holds: Missed,
    pub(crate) active: Missed,
    pub(crate) defaults: Missed,
    pub(crate) delinquent: Missed,
    pub(crate) delinquent_60: Missed,
    pub(crate) signed: Missed,
    /// Some loan is owed, or some hold live, that is not told.
    pub(crate) owed_loans: bool,
    /// Some transferred loan has a link that is not told.
    pub(crate) links: bool,
}

/// What one member tells of one identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) applications: Vec<ApplicationFact>,
    pub(crate) loans: Vec<LoanFact>,
    pub(crate) holds: Vec<HoldFact>,
    pub(crate) untold: Untold,
    /// What is owed in total, holds that are told left out.
    pub(crate) exposure: AmountSpan,
    /// What is paid each month in total.
    pub(crate) instalment: AmountSpan,
    /// Amounts in another currency are missing from all of these.
    pub(crate) amounts_missing: bool,
    pub(crate) signals: SignalSet,
    /// Whose the signals, the cure and the arrears are; possibly several groups'.
    pub(crate) source: GroupCode,
    pub(crate) last_arrears: LastArrears,
    pub(crate) cured_on: Option<Day>,
    pub(crate) disputed: bool,
    /// The latest moment at which it can have been published.
    pub(crate) made: Timestamp,
    /// Identifiers of the other kind seen with this one; `None` where that is not told.
    pub(crate) others: Option<Tally>,
}

impl Facts {
    /// The facts of a summary, unless it tells nothing. `own` is the publishing member's group.
    pub(crate) fn of(summary: &Summary, own: GroupCode, bands: &Bands) -> Option<Self> {
        if summary.is_empty() {
            return None;
        }
        let applications: Vec<ApplicationFact> = summary
            .applications
            .as_slice()
            .iter()
            .map(|mark| application(mark, own))
            .collect();
        Some(Self {
            untold: untold(summary, &applications),
            applications,
            loans: summary
                .loans
                .as_slice()
                .iter()
                .map(|mark| loan(mark, summary.link, own, bands))
                .collect(),
            holds: summary
                .holds
                .as_slice()
                .iter()
                .map(|mark| hold(mark, own, bands))
                .collect(),
            exposure: bands.exposure.span(summary.exposure),
            instalment: bands.instalment.span(summary.instalment),
            amounts_missing: summary.currency_mismatch,
            signals: summary.signals,
            source: summary.source.resolved(own),
            last_arrears: summary.last_arrears,
            cured_on: summary.cured_on.map(crate::domain::DayMark::day),
            disputed: summary.disputed,
            made: summary.as_of.latest(),
            others: summary.others_90d,
        })
    }
}

fn application(mark: &ApplicationMark, own: GroupCode) -> ApplicationFact {
    ApplicationFact {
        at: Span {
            earliest: mark.at.earliest(),
            latest: mark.at.latest(),
        },
        stage: mark.stage,
        group: mark.group.resolved(own),
    }
}

fn loan(mark: &LoanMark, link: Option<[u8; 8]>, own: GroupCode, bands: &Bands) -> LoanFact {
    LoanFact {
        signed: Span {
            earliest: mark.signed.earliest(),
            latest: mark.signed.latest(),
        },
        stage: mark.stage,
        outstanding: bands.exposure.span(mark.outstanding),
        disputed: mark.disputed,
        link: match (mark.link, link) {
            (LoanLink::None, _) => Link::None,
            (LoanLink::Listed, Some(link)) => Link::Known(link),
            (LoanLink::Listed, None) | (LoanLink::Unlisted, _) => Link::Unknown,
        },
        group: mark.group.resolved(own),
    }
}

fn hold(mark: &HoldMark, own: GroupCode, bands: &Bands) -> HoldFact {
    let expires = mark.signed.plus_hours(mark.ttl_hours);
    HoldFact {
        signed: Span {
            earliest: mark.signed.earliest(),
            latest: mark.signed.latest(),
        },
        expires: Span {
            earliest: expires.earliest(),
            latest: expires.latest(),
        },
        amount: bands.exposure.span(mark.amount),
        group: mark.group.resolved(own),
    }
}

fn untold(summary: &Summary, applications: &[ApplicationFact]) -> Untold {
    let any_time = Timestamp::from_unix_ms(i64::MAX);
    let hard = |one: &&ApplicationFact| one.stage != ApplicationStage::Soft;
    let earliest_hard = applications
        .iter()
        .filter(hard)
        .map(|one| one.at.latest)
        .min();
    let unlisted = summary.unlisted;
    Untold {
        hard: Missed::of(unlisted.hard, earliest_hard.unwrap_or(any_time)),
        soft: Missed::of(unlisted.soft, any_time),
        holds: Missed::of(unlisted.holds, any_time),
        active: Missed::of(unlisted.active_groups, any_time),
        defaults: Missed::of(unlisted.default_groups, any_time),
        delinquent: Missed::of(unlisted.delinquent_groups, any_time),
        delinquent_60: Missed::of(unlisted.delinquent_60_groups, any_time),
        signed: Missed::of(unlisted.signed_groups, unlisted.signed_latest.latest()),
        owed_loans: !unlisted.active_loans.is_zero(),
        links: summary.unlisted_links > 0,
    }
}
