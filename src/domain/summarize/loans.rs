//! Which loans a summary lists: those that tell most about how many groups lend, and how it goes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::adverse::Adverse;
use super::standing::Standing;
use super::{SummaryTerms, band_of};
use crate::domain::{
    Band, GroupCode, HourMark, Level, Loan, LoanLink, LoanMark, LoanStage, LoanState, Marks,
    RecordId, Tally, Timestamp, Unlisted,
};
use crate::limits::{CLOSED_LOAN_DAYS, SUMMARY_LOANS_MAX};

const DAY_S: u64 = 86_400;

/// Loans signed this recently are listed before those that only tell that a group lends.
const RECENT_DAYS: u64 = 30;

/// Something that an asker counts groups by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Default,
    Delinquent60,
    Delinquent,
    Active,
    Signed,
}

/// How well an entry tells something. What a plain one tells needs no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Quality {
    /// Nothing certain may rest on it.
    disputed: bool,
    /// Another group reports the same loan under this link.
    link: Option<[u8; 8]>,
}

const PLAIN: Quality = Quality {
    disputed: false,
    link: None,
};

/// One thing to tell about one group, and how well.
type Need = (GroupCode, Aspect, Quality);

struct Candidate {
    id: Option<RecordId>,
    signed_at: Timestamp,
    link: Option<[u8; 8]>,
    mark: LoanMark,
    needs: BTreeSet<Need>,
}

/// The loans of a summary, and what did not fit.
pub(super) struct LoanChoice {
    pub(super) marks: Marks<LoanMark, SUMMARY_LOANS_MAX>,
    pub(super) unlisted: Unlisted,
    pub(super) link: Option<[u8; 8]>,
    pub(super) unlisted_links: u8,
}

impl LoanChoice {
    pub(super) fn of(standing: &Standing<'_>, adverse: &Adverse, terms: &SummaryTerms<'_>) -> Self {
        let mut candidates = candidates(standing, adverse, terms);
        if terms.level == Level::Defaults {
            candidates = defaults_only(&candidates);
        }
        assign_needs(&mut candidates, terms.now);
        let chosen = choose(&candidates, terms.now);
        let listed: Vec<&Candidate> = chosen.iter().filter_map(|at| candidates.get(*at)).collect();
        let latest = listed.iter().filter(|one| one.link.is_some());
        let link = latest
            .max_by_key(|one| one.signed_at)
            .and_then(|one| one.link);
        let all = candidates.iter().enumerate();
        let untold = all.filter(|(at, one)| one.link != link || !chosen.contains(at));
        let further: BTreeSet<[u8; 8]> = untold.filter_map(|(_, one)| one.link).collect();
        Self {
            marks: Marks::of(listed.iter().map(|one| LoanMark {
                link: link_mark(one.link, link),
                ..one.mark
            })),
            unlisted: left_out(&candidates, &chosen),
            link,
            unlisted_links: u8::try_from(further.len()).unwrap_or(u8::MAX),
        }
    }
}

/// Where a loan is, as far as it is published.
pub(super) const fn stage(loan: &Loan) -> LoanStage {
    match loan.state {
        LoanState::Active => match loan.dpd {
            0..=29 => LoanStage::Below30,
            30..=59 => LoanStage::From30,
            60..=89 => LoanStage::From60,
            90.. => LoanStage::From90,
        },
        LoanState::ChargedOff if loan.outstanding.minor > 0 => LoanStage::ChargedOff,
        LoanState::ChargedOff | LoanState::Paid | LoanState::SettledLess | LoanState::Void => {
            LoanStage::Closed
        }
        LoanState::Transferred => LoanStage::Transferred,
    }
}

/// Whether money is or may become owed on it to this lender.
pub(super) const fn is_owed(loan: &Loan) -> bool {
    stage(loan).is_owed()
}

fn link_mark(own: Option<[u8; 8]>, listed: Option<[u8; 8]>) -> LoanLink {
    match own {
        None => LoanLink::None,
        Some(_) if own == listed => LoanLink::Listed,
        Some(_) => LoanLink::Unlisted,
    }
}

fn candidates(
    standing: &Standing<'_>,
    adverse: &Adverse,
    terms: &SummaryTerms<'_>,
) -> Vec<Candidate> {
    let told_from = terms
        .now
        .minus(Duration::from_secs(CLOSED_LOAN_DAYS * DAY_S));
    let loans = standing
        .loans()
        .filter(|(_, loan)| is_owed(loan) || loan.signed_at > told_from)
        .map(|(record, loan)| Candidate {
            id: Some(record.head.record_id),
            signed_at: loan.signed_at,
            link: loan.transfer_link.filter(|link| *link != [0; 8]),
            mark: LoanMark {
                signed: HourMark::of(loan.signed_at),
                stage: stage(loan),
                outstanding: band_of(Some(loan.outstanding).filter(|_| is_owed(loan)), terms),
                disputed: standing.is_disputed(record),
                link: LoanLink::None,
                group: terms.code(loan.lender_group.as_ref()),
            },
            needs: BTreeSet::new(),
        });
    let signalled = adverse
        .signalled
        .iter()
        .map(|one| bare(one.group, one.stage, one.disputed));
    loans.chain(signalled).collect()
}

/// An account of which only the stage is told.
fn bare(group: GroupCode, stage: LoanStage, disputed: bool) -> Candidate {
    Candidate {
        id: None,
        signed_at: Timestamp::from_unix_ms(i64::MIN),
        link: None,
        mark: LoanMark {
            signed: HourMark::default(),
            stage,
            outstanding: Band::NOTHING,
            disputed,
            link: LoanLink::None,
            group,
        },
        needs: BTreeSet::new(),
    }
}

/// Of all this only that some account is in default: neither when it was signed nor how much.
fn defaults_only(candidates: &[Candidate]) -> Vec<Candidate> {
    candidates
        .iter()
        .filter(|one| one.mark.stage.is_default())
        .map(|one| bare(one.mark.group, LoanStage::Signalled90, one.mark.disputed))
        .collect()
}

impl Candidate {
    const fn quality(&self) -> Quality {
        Quality {
            disputed: self.mark.disputed,
            link: self.link,
        }
    }
}

/// Gives each candidate what it tells that nothing better tells.
fn assign_needs(candidates: &mut [Candidate], now: Timestamp) {
    let plain: BTreeSet<(GroupCode, Aspect)> = candidates
        .iter()
        .filter(|one| one.quality() == PLAIN)
        .flat_map(|one| aspects(one).map(|aspect| (one.mark.group, aspect)))
        .collect();
    let signed: Vec<bool> = candidates
        .iter()
        .map(|one| is_latest(one, candidates, now))
        .collect();
    for (one, signed) in candidates.iter_mut().zip(signed) {
        let (group, quality) = (one.mark.group, one.quality());
        one.needs = aspects(one)
            .filter(|aspect| quality == PLAIN || !plain.contains(&(group, *aspect)))
            .map(|aspect| (group, aspect, quality))
            .collect();
        if signed {
            one.needs.insert((group, Aspect::Signed, quality));
        }
    }
}

/// Whether no loan of its group that tells better, or as well, was signed later.
fn is_latest(one: &Candidate, candidates: &[Candidate], now: Timestamp) -> bool {
    let told_from = now.minus(Duration::from_secs(CLOSED_LOAN_DAYS * DAY_S));
    let later = |other: &Candidate| {
        other.mark.stage.is_account()
            && other.mark.group == one.mark.group
            && (other.quality() == PLAIN || other.quality() == one.quality())
            && (other.signed_at, other.id) > (one.signed_at, one.id)
    };
    one.mark.stage.is_account() && one.signed_at > told_from && !candidates.iter().any(later)
}

fn aspects(candidate: &Candidate) -> impl Iterator<Item = Aspect> + use<> {
    let stage = candidate.mark.stage;
    [
        (Aspect::Default, stage.is_default()),
        (Aspect::Delinquent60, stage.is_delinquent_60()),
        (Aspect::Delinquent, stage.is_delinquent()),
        (Aspect::Active, stage.is_running()),
    ]
    .into_iter()
    .filter_map(|(aspect, holds)| holds.then_some(aspect))
}

/// Greedily the candidates that tell most of what is not told yet, then loans that are owed, the
/// latest first, then transferred ones with a link. Every group of a lender with one group is told
/// in full within four entries.
fn choose(candidates: &[Candidate], now: Timestamp) -> Vec<usize> {
    let recent_from = now.minus(Duration::from_secs(RECENT_DAYS * DAY_S));
    let weight = |need: &Need, recent: bool| match need {
        (_, _, quality) if quality.disputed => 2_u32,
        (_, Aspect::Default, _) => 64,
        (_, Aspect::Signed, _) if recent => 32,
        (_, Aspect::Delinquent60, _) => 16,
        (_, Aspect::Delinquent, _) => 8,
        (_, Aspect::Active, _) => 4,
        (_, Aspect::Signed, _) => 1,
    };
    let mut told: BTreeSet<Need> = BTreeSet::new();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < SUMMARY_LOANS_MAX {
        let best = candidates
            .iter()
            .enumerate()
            .filter(|(at, _)| !chosen.contains(at))
            .map(|(at, one)| {
                let recent = one.signed_at > recent_from;
                let untold = one.needs.difference(&told);
                let gain: u32 = untold.map(|need| weight(need, recent)).sum();
                let worth = (one.mark.stage.is_owed(), one.link.is_some());
                (gain, worth, one.signed_at, one.id, at)
            })
            .filter(|(gain, worth, ..)| *gain > 0 || worth.0 || worth.1)
            .max();
        let Some((.., at)) = best else {
            break;
        };
        if let Some(one) = candidates.get(at) {
            told.extend(one.needs.iter().copied());
        }
        chosen.push(at);
    }
    chosen
}

fn left_out(candidates: &[Candidate], chosen: &[usize]) -> Unlisted {
    let listed = |at: usize| chosen.contains(&at);
    let told: BTreeSet<Need> = chosen
        .iter()
        .filter_map(|at| candidates.get(*at))
        .flat_map(|one| one.needs.iter().copied())
        .collect();
    let untold: BTreeSet<Need> = candidates
        .iter()
        .flat_map(|one| one.needs.difference(&told).copied())
        .collect();
    let groups = |wanted: Aspect| {
        super::distinct(
            untold
                .iter()
                .filter(|(_, aspect, _)| *aspect == wanted)
                .map(|(group, ..)| *group),
        )
    };
    let unlisted = candidates.iter().enumerate().filter(|(at, _)| !listed(*at));
    let signed_latest = candidates
        .iter()
        .filter(|one| {
            let untold = |need: &Need| need.1 == Aspect::Signed && untold.contains(need);
            one.needs.iter().any(untold)
        })
        .map(|one| one.mark.signed)
        .max();
    Unlisted {
        active_loans: Tally::of(unlisted.filter(|(_, one)| one.mark.stage.is_owed()).count()),
        active_groups: groups(Aspect::Active),
        default_groups: groups(Aspect::Default),
        delinquent_groups: groups(Aspect::Delinquent),
        delinquent_60_groups: groups(Aspect::Delinquent60),
        signed_groups: groups(Aspect::Signed),
        signed_latest: signed_latest.unwrap_or_default(),
        ..Unlisted::default()
    }
}
