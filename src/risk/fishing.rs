//! Fishing: queries that do not look like lending. Pure judgement over what each side can see.
//!
//! The asking node judges its own sealed history (`own`), the answering node what it was asked
//! without any identifier (`peers`), an auditor the openings that were drawn (`canary`). What
//! comes out are suspicions for a person to look at: nothing is refused by them, and no borrower is
//! named in them.

mod canary;
mod counter;
mod numbers;
mod own;
mod peers;
mod thresholds;

pub use canary::{Canaries, Opened, Touched, touched};
pub use counter::{CountedQuestion, DayCounter};
pub use numbers::Number;
pub use own::{OwnAsk, own};
pub use peers::{AskerDay, Asking, EpochSpent, peers};
pub use thresholds::{FishingThresholds, ThresholdError};

use crate::domain::{Severity, Timestamp};

/// Hours of a day.
pub const HOURS: usize = 24;

/// What looks like fishing. `docs/lawful-use.md` describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FishingCode {
    /// Own history: people whose numbers lie next to each other.
    Sequential,
    /// Own history: numbers that follow in equal steps.
    EqualSteps,
    /// Own history: people who are asked about again and again, and never get anything.
    RepeatedStrangers,
    /// Own history: few of those who are asked about ever get anything.
    LowYield,
    /// Own history: far fewer than before get anything.
    YieldFell,
    /// A peer: far more questions in a day than it ever asks.
    Volume,
    /// A peer: questions in equal gaps.
    Rhythm,
    /// A peer: as many questions at the quietest hours as at any other.
    RoundTheClock,
    /// A peer: purposes that it never had, or that nobody has in bulk.
    Purposes,
    /// A peer: more account reviews than it can have accounts.
    BeyondItsBook,
    /// A peer: quota spent to its end, epoch after epoch.
    QuotaSpent,
    /// A peer: one commitment under many questions.
    CommitmentReused,
    /// A sample that was not opened in time: at its auditor, and at the member that was asked.
    Unopened,
}

impl FishingCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Sequential,
        Self::EqualSteps,
        Self::RepeatedStrangers,
        Self::LowYield,
        Self::YieldFell,
        Self::Volume,
        Self::Rhythm,
        Self::RoundTheClock,
        Self::Purposes,
        Self::BeyondItsBook,
        Self::QuotaSpent,
        Self::CommitmentReused,
        Self::Unopened,
    ];

    /// The word for it in JSON and on the command line, which stays.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::EqualSteps => "equal-steps",
            Self::RepeatedStrangers => "repeated-strangers",
            Self::LowYield => "low-yield",
            Self::YieldFell => "yield-fell",
            Self::Volume => "volume",
            Self::Rhythm => "rhythm",
            Self::RoundTheClock => "round-the-clock",
            Self::Purposes => "purposes",
            Self::BeyondItsBook => "beyond-its-book",
            Self::QuotaSpent => "quota-spent",
            Self::CommitmentReused => "commitment-reused",
            Self::Unopened => "unopened",
        }
    }

    /// The code that has this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }

    /// How much it weighs by itself.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Sequential | Self::EqualSteps | Self::CommitmentReused | Self::Unopened => {
                Severity::High
            }
            Self::RepeatedStrangers | Self::Volume | Self::BeyondItsBook | Self::Purposes => {
                Severity::Medium
            }
            Self::LowYield | Self::YieldFell | Self::Rhythm | Self::QuotaSpent => Severity::Low,
            Self::RoundTheClock => Severity::Info,
        }
    }

    /// What the administrator should do.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Sequential | Self::EqualSteps => {
                "find which system or person asked in these hours, and for whom; stop it until \
                 consents are shown"
            }
            Self::RepeatedStrangers => {
                "have the consents of these applications shown; stop asking again where there is \
                 no live application"
            }
            Self::LowYield => {
                "if decisions are not recorded, close applications with `creditmesh close`; if \
                 they are, ask why so few who are asked about get anything"
            }
            Self::YieldFell => {
                "find what changed since then: a new channel, a campaign, a system that asks by \
                 itself"
            }
            Self::Volume | Self::Rhythm | Self::RoundTheClock => {
                "ask the member what it ran; if its answer does not hold, have an auditor draw a \
                 sample of its consents"
            }
            Self::Purposes => {
                "ask the member on which accounts or cases these questions rest; withdraw the \
                 purpose where it cannot say"
            }
            Self::BeyondItsBook => {
                "ask the member whom it reviews: it publishes far fewer borrowers than it asks \
                 about; have an auditor draw a sample"
            }
            Self::QuotaSpent => {
                "ask the member for its own count of applications; then have the administrators \
                 raise its quota, or an auditor draw a sample"
            }
            Self::Unopened => {
                "at the member: `creditmesh audit requests`, then answer them with \
                 `creditmesh audit answer-requests`; at the auditor: ask the member why, then have \
                 the administrators decide"
            }
            Self::CommitmentReused => {
                "have an auditor open these questions: each must be of the one borrower and \
                 consent that its commitment names"
            }
        }
    }
}

/// Something that looks like fishing: for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// What it looks like.
    pub code: FishingCode,
    /// What was seen, with numbers and the thresholds they crossed; never an identifier.
    pub seen: String,
    /// The first moment that belongs to it.
    pub since: Timestamp,
}

/// The middle one of these; 0 of none.
fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// The median and the median distance from it.
fn spread(values: &[u64]) -> (u64, u64) {
    let middle = median(values);
    let distances: Vec<u64> = values.iter().map(|one| one.abs_diff(middle)).collect();
    (middle, median(&distances))
}

/// Thousandths of `part` in `whole`; 0 of nothing.
fn per_mille(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part) * 1_000 / u128::from(whole);
    u64::try_from(share).unwrap_or(u64::MAX)
}
