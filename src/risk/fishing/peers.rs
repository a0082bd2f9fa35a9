//! What the answering node sees of an asker: when, how much, for which purpose; no identifier.

use super::{FishingCode, FishingThresholds, HOURS, Suspicion, per_mille, spread};
use crate::domain::{Day, Epoch, Purpose, Timestamp};

/// Days that are recent: what happens in them is held against the days before.
const RECENT_DAYS: i64 = 7;

/// Hours of the quietest part of a day: somebody sleeps.
const QUIET_HOURS: usize = 6;

/// Leaves that every feed publishes in a month by its padding alone, so that a small book does not
/// show: below them nothing is said about the size of a book.
const PADDING_LEAVES: u64 = 4_096 * 31;

/// What a member asked in one day (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskerDay {
    /// Which day.
    pub day: Day,
    /// Elements by purpose, in the order of [`Purpose::ALL`].
    pub elements: [u64; Purpose::ALL.len()],
    /// Questions about applications, by hour of the day.
    pub hours: [u32; HOURS],
    /// Gaps of a second to an hour between questions about applications.
    pub gaps: u32,
    /// How many of them were as long as the gap before, to a twentieth.
    pub even_gaps: u32,
    /// Questions about applications under a commitment that another question of the day had.
    pub reused: u32,
}

impl AskerDay {
    /// A day on which nothing was asked yet.
    #[must_use]
    pub const fn new(day: Day) -> Self {
        Self {
            day,
            elements: [0; Purpose::ALL.len()],
            hours: [0; HOURS],
            gaps: 0,
            even_gaps: 0,
            reused: 0,
        }
    }

    /// Elements for these purposes.
    fn elements_for(&self, wanted: &[Purpose]) -> u64 {
        let with = Purpose::ALL.iter().zip(self.elements);
        let kept = with.filter(|(purpose, _)| wanted.contains(purpose));
        kept.map(|(_, elements)| elements).sum()
    }

    /// Elements for all purposes but the review of accounts, which goes in bulk.
    fn about_people(&self) -> u64 {
        let reviews = self.elements_for(&[Purpose::AccountReview]);
        self.elements.iter().sum::<u64>() - reviews
    }
}

/// What an asker spent of its quota in one key epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSpent {
    /// The epoch.
    pub epoch: Epoch,
    /// When it began.
    pub began: Timestamp,
    /// Elements spent.
    pub spent: u64,
    /// Elements that could be spent.
    pub quota: u64,
}

/// What is known of one asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The days on which it asked, each at most once.
    pub days: Vec<AskerDay>,
    /// The key epochs in which it asked, each at most once.
    pub epochs: Vec<EpochSpent>,
    /// Leaves that it publishes in a key epoch itself; `None` where they are not known.
    pub feed_leaves: Option<u64>,
}

/// What of it looks like fishing, at `now`. The order of days and epochs does not matter.
#[must_use]
pub fn peers(asking: &Asking, limits: &FishingThresholds, now: Timestamp) -> Vec<Suspicion> {
    let today = now.day().unix_days();
    let mut days: Vec<&AskerDay> = asking.days.iter().collect();
    days.sort_by_key(|day| day.day);
    let is_recent = |day: &&&AskerDay| today - day.day.unix_days() < RECENT_DAYS;
    let (recent, base): (Vec<&AskerDay>, Vec<&AskerDay>) = days.iter().partition(is_recent);
    let found = [
        volume(&days, &recent, limits),
        rhythm(&recent, limits),
        round_the_clock(&recent, limits),
        purposes(&recent, &base, limits),
        beyond_its_book(&days, asking.feed_leaves, limits),
        quota_spent(&asking.epochs, limits),
        commitment_reused(&recent, limits),
    ];
    found.into_iter().flatten().collect()
}

/// The last recent day that asks far more than all the days before it.
fn volume(
    days: &[&AskerDay],
    recent: &[&AskerDay],
    limits: &FishingThresholds,
) -> Option<Suspicion> {
    let over = |day: &&&AskerDay| {
        let before = days.iter().filter(|one| one.day < day.day);
        let base: Vec<u64> = before.map(|one| one.about_people()).collect();
        let (middle, distance) = spread(&base);
        let asked = day.about_people();
        base.len() >= usize::try_from(limits.base_days).unwrap_or(usize::MAX)
            && asked >= u64::from(limits.volume_least)
            && asked > middle * u64::from(limits.volume_factor)
            && asked > middle + distance * u64::from(limits.volume_spreads)
    };
    let most = recent.iter().rev().find(over)?;
    let before = days.iter().filter(|one| one.day < most.day);
    let base: Vec<u64> = before.map(|one| one.about_people()).collect();
    let (middle, distance) = spread(&base);
    Some(Suspicion {
        code: FishingCode::Volume,
        seen: format!(
            "{} elements about applicants and cases in one day; on its {} days before, the median \
             is {middle} and the median distance from it {distance}; above {} times the median and \
             {} distances it is a suspicion",
            most.about_people(),
            base.len(),
            limits.volume_factor,
            limits.volume_spreads
        ),
        since: most.day.start(),
    })
}

fn rhythm(recent: &[&AskerDay], limits: &FishingThresholds) -> Option<Suspicion> {
    let even = |day: &&&AskerDay| {
        let share = per_mille(u64::from(day.even_gaps), u64::from(day.gaps));
        day.gaps >= limits.rhythm_gaps && share >= u64::from(limits.rhythm_per_mille)
    };
    let day = recent.iter().rev().find(even)?;
    Some(Suspicion {
        code: FishingCode::Rhythm,
        seen: format!(
            "{} of {} gaps between its questions of one day were as long as the gap before; from \
             {} in a thousand on it is a suspicion",
            day.even_gaps, day.gaps, limits.rhythm_per_mille
        ),
        since: day.day.start(),
    })
}

fn round_the_clock(recent: &[&AskerDay], limits: &FishingThresholds) -> Option<Suspicion> {
    let mut hours = [0_u64; HOURS];
    for day in recent {
        for (sum, requests) in hours.iter_mut().zip(day.hours) {
            *sum += u64::from(requests);
        }
    }
    let all: u64 = hours.iter().sum();
    let twice: Vec<u64> = hours.iter().chain(&hours).copied().collect();
    let quiet = twice.windows(QUIET_HOURS).map(|part| part.iter().sum());
    let quietest: u64 = quiet.min()?;
    let share = per_mille(quietest, all);
    if all < u64::from(limits.clock_requests) || share < u64::from(limits.clock_per_mille) {
        return None;
    }
    Some(Suspicion {
        code: FishingCode::RoundTheClock,
        seen: format!(
            "of its {all} questions in a week, {share} in a thousand fell into its quietest six \
             hours; from {} on, where 250 is even, it is a suspicion",
            limits.clock_per_mille
        ),
        since: recent.first()?.day.start(),
    })
}

/// Purposes that rest on a case or on the borrower itself, and are rare beside applications.
const RARE: [Purpose; 3] = [
    Purpose::Collection,
    Purpose::FraudPrevention,
    Purpose::SelfAccess,
];

fn purposes(
    recent: &[&AskerDay],
    base: &[&AskerDay],
    limits: &FishingThresholds,
) -> Option<Suspicion> {
    let sums = |days: &[&AskerDay]| -> (u64, u64) {
        let all = days.iter().map(|day| day.about_people()).sum();
        let rare = days.iter().map(|day| day.elements_for(&RARE)).sum();
        (rare, all)
    };
    let ((rare, all), (rare_then, all_then)) = (sums(recent), sums(base));
    let (share, share_then) = (per_mille(rare, all), per_mille(rare_then, all_then));
    let least = u64::from(limits.purpose_elements);
    let had_a_base = all_then >= least;
    let crosses = all >= least && share >= u64::from(limits.purpose_per_mille);
    if !crosses || !had_a_base || share_then * 2 > share {
        return None;
    }
    Some(Suspicion {
        code: FishingCode::Purposes,
        seen: format!(
            "{rare} of {all} elements in a week were for collection, fraud prevention or \
             self-access, {share} in a thousand; before it was {share_then}; from {} on, and twice \
             what it was, it is a suspicion",
            limits.purpose_per_mille
        ),
        since: recent.first()?.day.start(),
    })
}

fn beyond_its_book(
    days: &[&AskerDay],
    feed_leaves: Option<u64>,
    limits: &FishingThresholds,
) -> Option<Suspicion> {
    let leaves = feed_leaves?.max(PADDING_LEAVES);
    let review = [Purpose::AccountReview];
    let reviewed: u64 = days.iter().map(|day| day.elements_for(&review)).sum();
    let first = days.iter().find(|day| day.elements_for(&review) > 0)?;
    if reviewed <= leaves.saturating_mul(u64::from(limits.book_factor)) {
        return None;
    }
    Some(Suspicion {
        code: FishingCode::BeyondItsBook,
        seen: format!(
            "{reviewed} elements of account review in {} days, and it publishes {leaves} leaves; \
             above {} times that it is a suspicion",
            days.len(),
            limits.book_factor
        ),
        since: first.day.start(),
    })
}

fn quota_spent(epochs: &[EpochSpent], limits: &FishingThresholds) -> Option<Suspicion> {
    let mut epochs = epochs.to_vec();
    epochs.sort_by_key(|one| one.epoch);
    let to_its_end = |one: &EpochSpent| {
        one.quota > 0 && per_mille(one.spent, one.quota) >= u64::from(limits.spent_per_mille)
    };
    let mut row: Vec<EpochSpent> = Vec::new();
    for one in epochs.iter().rev() {
        let follows = row
            .last()
            .is_none_or(|after| one.epoch.next() == after.epoch);
        if !to_its_end(one) || !follows {
            // The epoch that runs may be far from its end yet.
            if row.is_empty() {
                continue;
            }
            break;
        }
        row.push(*one);
    }
    let needed = usize::try_from(limits.spent_epochs).unwrap_or(usize::MAX);
    let newest = row.first().filter(|_| row.len() >= needed)?;
    Some(Suspicion {
        code: FishingCode::QuotaSpent,
        seen: format!(
            "its quota was spent to the end in {} key epochs in a row; from {} on it is a \
             suspicion",
            row.len(),
            limits.spent_epochs
        ),
        since: newest.began,
    })
}

fn commitment_reused(recent: &[&AskerDay], limits: &FishingThresholds) -> Option<Suspicion> {
    let many = |day: &&&AskerDay| day.reused >= limits.reused_commitments;
    let day = recent.iter().rev().find(many)?;
    Some(Suspicion {
        code: FishingCode::CommitmentReused,
        seen: format!(
            "{} questions of one day came under a commitment that another question had; from {} on \
             it is a suspicion",
            day.reused, limits.reused_commitments
        ),
        since: day.day.start(),
    })
}
