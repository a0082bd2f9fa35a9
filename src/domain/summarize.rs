//! From the records that a member holds of one identifier to the summary that it publishes.
//!
//! Pure: the same records, terms and time give the same summary. A record that was retracted leaves
//! no trace in it, as if it had never been filed.

mod adverse;
mod loans;
mod others;
mod signals;
mod standing;

pub use signals::{SignalSource, SignalsNow, StandingSignal, signals_of};

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Application, ApplicationKind, ApplicationMark, ApplicationStage, Band, Bands, Body, GroupCode,
    Hold, HoldMark, HourMark, LenderGroup, Level, Marks, Money, NetworkId, Record, Summary, Tally,
    Timestamp,
};
use crate::limits::{SUMMARY_APPLICATIONS_MAX, SUMMARY_HOLDS_MAX};
use adverse::Adverse;
use loans::LoanChoice;
use standing::Standing;

/// Under which terms a summary is made.
#[derive(Debug, Clone, Copy)]
pub struct SummaryTerms<'a> {
    /// Everything, or defaults only.
    pub level: Level,
    /// The network, which enters the codes of lender groups.
    pub network: &'a NetworkId,
    /// The publishing member's own lender group.
    pub own_group: &'a LenderGroup,
    /// The network's bands and currency.
    pub bands: &'a Bands,
    /// The moment for which it is made.
    pub now: Timestamp,
}

impl SummaryTerms<'_> {
    /// The code of the group that a record names; none means the member's own.
    fn code(&self, group: Option<&LenderGroup>) -> GroupCode {
        match group {
            Some(group) if group != self.own_group => GroupCode::of(self.network, group),
            Some(_) | None => GroupCode::OWN,
        }
    }
}

/// A summary, and when to make it again although no record changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summarized {
    /// The summary.
    pub summary: Summary,
    /// The first moment at which time alone changes it: a signal or a retention period ends. What
    /// the asker computes by itself, such as the expiry of a listed hold, is not in it.
    pub next_change: Option<Timestamp>,
}

/// The summary of `records`, all of them of one borrower identifier at one member.
///
/// Of several versions of a record the newest counts, in whatever order they come.
#[must_use]
pub fn summarize(records: &[Record], terms: &SummaryTerms<'_>) -> Summarized {
    let mut standing = Standing::of(records, terms.now);
    let adverse = Adverse::of(&mut standing, terms);
    let loans = LoanChoice::of(&standing, &adverse, terms);
    let mut summary = Summary {
        level: terms.level,
        as_of: HourMark::of(terms.now),
        signals: adverse.signals,
        source: adverse.source(),
        last_arrears: adverse.last_arrears,
        cured_on: adverse.cured_on,
        disputed: adverse.disputed,
        link: loans.link,
        unlisted_links: loans.unlisted_links,
        unlisted: loans.unlisted,
        loans: loans.marks,
        ..Summary::default()
    };
    if terms.level == Level::Full {
        list_applications(&standing, terms, &mut summary);
        let hidden = list_holds(&standing, terms, &mut summary);
        total_amounts(&mut standing, &hidden, terms, &mut summary);
    }
    summary.others_90d = Some(others::tally(&mut standing, terms));
    Summarized {
        summary,
        next_change: standing.next_change(),
    }
}

fn applications<'a>(standing: &'a Standing<'_>) -> impl Iterator<Item = &'a Application> {
    standing.records().filter_map(|record| match &record.body {
        Body::Application(application) => Some(application),
        Body::Loan(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
    })
}

/// How an inquiry is told, if it is told at all: rechecks and reviews never are.
fn stage_of(application: &Application) -> Option<ApplicationStage> {
    match application.kind {
        ApplicationKind::Offer => Some(ApplicationStage::Soft),
        ApplicationKind::Application if application.is_undecided() => {
            Some(ApplicationStage::Undecided)
        }
        ApplicationKind::Application => Some(ApplicationStage::Decided),
        ApplicationKind::Recheck
        | ApplicationKind::Review
        | ApplicationKind::Collection
        | ApplicationKind::SelfAccess
        | ApplicationKind::Fraud => None,
    }
}

/// Lists of each group the latest undecided hard application, the latest decided one where it is
/// later, and the latest offer: all that a count of groups can depend on.
fn list_applications(standing: &Standing<'_>, terms: &SummaryTerms<'_>, summary: &mut Summary) {
    let mut all: Vec<ApplicationMark> = applications(standing)
        .filter_map(|application| {
            Some(ApplicationMark {
                at: HourMark::of(application.at),
                stage: stage_of(application)?,
                group: terms.code(application.lender_group.as_ref()),
            })
        })
        .collect();
    let soft = |mark: &ApplicationMark| mark.stage == ApplicationStage::Soft;
    let undecided = |mark: &ApplicationMark| mark.stage == ApplicationStage::Undecided;
    all.sort_by_key(|mark| {
        let latest_first = std::cmp::Reverse(mark.at);
        (soft(mark), latest_first, !undecided(mark), mark.group)
    });
    let mut told: Vec<ApplicationMark> = Vec::new();
    for mark in all {
        let covered = told.iter().any(|one| {
            one.group == mark.group
                && soft(one) == soft(&mark)
                && (undecided(one) || !undecided(&mark))
        });
        if !covered {
            told.push(mark);
        }
    }
    let left_out = told.get(SUMMARY_APPLICATIONS_MAX..).unwrap_or_default();
    let hard_groups = left_out.iter().filter(|mark| !soft(mark));
    let soft_groups = left_out.iter().filter(|mark| soft(mark));
    summary.unlisted.hard = distinct(hard_groups.map(|mark| mark.group));
    summary.unlisted.soft = distinct(soft_groups.map(|mark| mark.group));
    summary.applications = Marks::of(told);
}

/// How many distinct groups there are.
fn distinct(groups: impl Iterator<Item = GroupCode>) -> Tally {
    let groups: BTreeSet<GroupCode> = groups.collect();
    Tally::of(groups.len())
}

/// Lists of each group the live hold that expires last, then those signed later than any that
/// expires after them, and gives back the live holds that are not listed.
fn list_holds<'a>(
    standing: &Standing<'a>,
    terms: &SummaryTerms<'_>,
    summary: &mut Summary,
) -> Vec<&'a Hold> {
    let mut live: Vec<(&Hold, HoldMark)> = Vec::new();
    for record in standing.records() {
        if let Body::Hold(hold) = &record.body
            && hold.is_live(terms.now)
        {
            live.push((hold, hold_mark(hold, terms)));
        }
    }
    live.sort_by_key(|(hold, mark)| std::cmp::Reverse((hold.expires_at, hold.signed_at, *mark)));
    let mut told_until: BTreeMap<GroupCode, HourMark> = BTreeMap::new();
    let (mut first, mut later, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
    for (hold, mark) in live {
        match told_until.insert(mark.group, mark.signed) {
            None => first.push((hold, mark)),
            Some(known) if known < mark.signed => later.push((hold, mark)),
            Some(known) => {
                told_until.insert(mark.group, known);
                hidden.push(hold);
            }
        }
    }
    first.sort_by_key(|(_, mark)| std::cmp::Reverse((mark.signed, mark.group)));
    let groups = first.len();
    let mut all = first;
    all.append(&mut later);
    let left_out = all.get(SUMMARY_HOLDS_MAX..).unwrap_or_default();
    let groups_left_out = groups.saturating_sub(SUMMARY_HOLDS_MAX);
    summary.unlisted.holds = Tally::of(groups_left_out);
    // That the group has a live hold is told; only that it signed another later is not.
    let later = left_out.get(groups_left_out..).unwrap_or_default();
    let unlisted = &mut summary.unlisted;
    for (_, mark) in later {
        unlisted.signed_latest = unlisted.signed_latest.max(mark.signed);
    }
    unlisted.signed_groups = unlisted.signed_groups.plus(later.len());
    hidden.extend(left_out.iter().map(|(hold, _)| *hold));
    unlisted.active_loans = unlisted.active_loans.plus(hidden.len());
    summary.holds = Marks::of(all.into_iter().map(|(_, mark)| mark));
    hidden
}

fn hold_mark(hold: &Hold, terms: &SummaryTerms<'_>) -> HoldMark {
    let signed = HourMark::of(hold.signed_at);
    let hours = HourMark::of(hold.expires_at).hours_since(signed);
    HoldMark {
        signed,
        ttl_hours: u8::try_from(hours).unwrap_or(254).min(254),
        amount: band_of(Some(hold.amount), terms),
        group: terms.code(hold.lender_group.as_ref()),
    }
}

/// The exposure band of an amount; nothing where it is in another currency.
fn band_of(amount: Option<Money>, terms: &SummaryTerms<'_>) -> Band {
    amount
        .filter(|amount| amount.currency == terms.bands.currency)
        .map_or(Band::NOTHING, |amount| {
            terms.bands.exposure.band(amount.minor)
        })
}

/// Totals what is owed on loans and on live holds that are not listed.
fn total_amounts(
    standing: &mut Standing<'_>,
    hidden: &[&Hold],
    terms: &SummaryTerms<'_>,
    summary: &mut Summary,
) {
    let (mut owed, mut monthly) = (0_i64, 0_i64);
    let mut add = |sum: &mut i64, amount: Money| {
        if amount.currency == terms.bands.currency {
            *sum = sum.saturating_add(amount.minor);
        } else {
            summary.currency_mismatch = true;
        }
    };
    for (_, loan) in standing.loans().filter(|(_, loan)| loans::is_owed(loan)) {
        add(&mut owed, loan.outstanding);
        if let Some(instalment) = loan.instalment {
            add(&mut monthly, instalment);
        }
    }
    for record in standing.records() {
        if let Body::Hold(hold) = &record.body
            && hold.is_live(terms.now)
            && hold.amount.currency != terms.bands.currency
        {
            add(&mut 0, hold.amount);
        }
    }
    for hold in hidden {
        add(&mut owed, hold.amount);
        standing.ahead(hold.expires_at);
    }
    summary.exposure = terms.bands.exposure.band(owed);
    summary.instalment = terms.bands.instalment.band(monthly);
}

#[cfg(test)]
mod signals_tests;
#[cfg(test)]
mod tests;
