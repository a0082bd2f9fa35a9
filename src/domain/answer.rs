//! What an asker is told about a borrower: counts as intervals, bands, flags, outcome, coverage.

use std::collections::BTreeMap;
use std::fmt;

use super::ids::word_enum;
use super::{AmountSpan, Currency, MemberId, QueryId, Timestamp};

/// A number of which only bounds are known: `lo` is certain, `hi` is possible; `lo <= hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Interval {
    /// The least it can be.
    pub lo: u32,
    /// The most it can be.
    pub hi: u32,
}

impl Interval {
    /// The interval between two bounds, given in either order.
    #[must_use]
    pub fn between(a: u32, b: u32) -> Self {
        Self {
            lo: a.min(b),
            hi: a.max(b),
        }
    }

    /// Exactly this number.
    #[must_use]
    pub const fn exactly(number: u32) -> Self {
        Self {
            lo: number,
            hi: number,
        }
    }

    /// Whether `number` lies within.
    #[must_use]
    pub const fn contains(self, number: u32) -> bool {
        self.lo <= number && number <= self.hi
    }

    /// Whether it is one number.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        self.lo == self.hi
    }

    /// Whether the number reaches `threshold`: true if `lo` does, false if `hi` does not.
    #[must_use]
    pub const fn reaches(self, threshold: u32) -> FlagState {
        if self.lo >= threshold {
            FlagState::True
        } else if self.hi < threshold {
            FlagState::False
        } else {
            FlagState::Unknown
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_exact() {
            write!(f, "{}", self.lo)
        } else {
            write!(f, "{} to {}", self.lo, self.hi)
        }
    }
}

word_enum!(
    /// What is counted. Every count is a number of distinct lender groups, the asker's own left
    /// out; a window of length W holds what happened after `now - W`. `docs/flags.md` defines each.
    CountName {
        /// Groups with a running loan.
        ActiveLenderGroups = "active_lender_groups",
        /// Groups with a hard application in 24 hours.
        HardApplications24h = "hard_applications_24h",
        /// Groups with a hard application in 7 days.
        HardApplications7d = "hard_applications_7d",
        /// Groups with a hard application in 15 days.
        HardApplications15d = "hard_applications_15d",
        /// Groups with a hard application in 30 days.
        HardApplications30d = "hard_applications_30d",
        /// Groups with a hard application in 90 days.
        HardApplications90d = "hard_applications_90d",
        /// Groups with a hard application in 180 days.
        HardApplications180d = "hard_applications_180d",
        /// Groups with a soft inquiry (an offer) in 30 days; feeds no flag.
        SoftApplications30d = "soft_applications_30d",
        /// Groups with a hard application made in 72 hours and pending or approved.
        UndecidedApplications72h = "undecided_applications_72h",
        /// Groups with a live hold.
        LiveHolds = "live_holds",
        /// Groups with an undecided hard application of 72 hours or a live hold.
        ConcurrentGroups72h = "concurrent_groups_72h",
        /// Groups with a loan or live hold signed in 72 hours.
        SignedGroups72h = "signed_groups_72h",
        /// Groups with a loan or live hold signed in 15 days.
        SignedGroups15d = "signed_groups_15d",
        /// Groups with an account 90 days past due or an unpaid charge-off, or that signal one.
        ActiveDefaults = "active_defaults",
        /// Groups with a running loan 30 to 89 days past due.
        DelinquentGroups = "delinquent_groups",
        /// Groups with a running loan 60 to 89 days past due.
        Delinquent60Groups = "delinquent_60_groups",
        /// As `active_lender_groups`, by telephone number alone; feeds no flag.
        PhoneActiveLenderGroups = "phone_active_lender_groups",
        /// As `hard_applications_30d`, by telephone number alone; feeds no flag.
        PhoneHardApplications30d = "phone_hard_applications_30d",
        /// As `active_defaults`, by telephone number alone; feeds no flag.
        PhoneActiveDefaults = "phone_active_defaults",
    }
);

impl CountName {
    /// Whether it counts by telephone number.
    #[must_use]
    pub const fn is_by_phone(self) -> bool {
        matches!(
            self,
            Self::PhoneActiveLenderGroups
                | Self::PhoneHardApplications30d
                | Self::PhoneActiveDefaults
        )
    }
}

word_enum!(
    /// A concluded risk. `docs/flags.md` defines each, with its thresholds.
    FlagCode {
        /// Multi-borrowing: running loans at several lender groups.
        Mb = "MB",
        /// Exposure against the cap of the policy, or instalments against income.
        Ex = "EX",
        /// Exposure growth with a new lender.
        Eg = "EG",
        /// Velocity of hard applications.
        Vl = "VL",
        /// Stacking: loans signed at several lender groups within days.
        St = "ST",
        /// Concurrent application: another lender is deciding, or holds a signed contract.
        Ca = "CA",
        /// Active default.
        Ad = "AD",
        /// Delinquent now.
        Dq = "DQ",
        /// First-payment default.
        Fp = "FP",
        /// Selective default: late at one lender, current at all others.
        Sd = "SD",
        /// Recent cure of a default.
        Rc = "RC",
        /// Restructured, or insolvent.
        Rs = "RS",
        /// Fraud confirmed: a person decides, always.
        Fr = "FR",
        /// Victim of fraud or protective registration: verify identity, never adverse.
        Vi = "VI",
        /// Identity inconsistent.
        Id = "ID",
        /// Cooling-off period of a payday loan.
        Co = "CO",
        /// Lost contact.
        Lc = "LC",
        /// Thin: nothing anywhere, and coverage is good. Says "unknown", not "good".
        Th = "TH",
        /// Coverage degraded.
        Cv = "CV",
        /// Stale: a member has been silent for long.
        Sa = "SA",
        /// Uncorroborated: an adverse flag rests on one member of low trust.
        Uc = "UC",
        /// Disputed: a contributing record is in dispute and was left out.
        Dp = "DP",
        /// Revised: an earlier answer changed by a retraction.
        Rv = "RV",
    }
);

impl FlagCode {
    /// What it is about, in a few words for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Mb => "multi-borrowing",
            Self::Ex => "exposure",
            Self::Eg => "exposure growth",
            Self::Vl => "velocity of applications",
            Self::St => "stacking",
            Self::Ca => "concurrent application",
            Self::Ad => "active default",
            Self::Dq => "delinquent now",
            Self::Fp => "first-payment default",
            Self::Sd => "selective default",
            Self::Rc => "recent cure",
            Self::Rs => "restructured",
            Self::Fr => "fraud confirmed",
            Self::Vi => "verify identity",
            Self::Id => "identity inconsistent",
            Self::Co => "cooling-off",
            Self::Lc => "lost contact",
            Self::Th => "thin",
            Self::Cv => "coverage degraded",
            Self::Sa => "stale",
            Self::Uc => "uncorroborated",
            Self::Dp => "disputed",
            Self::Rv => "revised",
        }
    }
}

word_enum!(
    /// Whether a flag holds, given that counts are intervals.
    FlagState {
        /// It holds whatever the silent members would say.
        True = "TRUE",
        /// It does not hold whatever the silent members would say.
        False = "FALSE",
        /// It depends on what is not known.
        Unknown = "UNKNOWN",
    }
);

word_enum!(
    /// How much a flag weighs, rising.
    Severity {
        /// For information.
        Info = "info",
        /// Low.
        Low = "low",
        /// Medium.
        Medium = "medium",
        /// High: a person looks.
        High = "high",
        /// Critical.
        Critical = "critical",
    }
);

word_enum!(
    /// What the policy suggests; the lender decides.
    Outcome {
        /// Nothing found that speaks against it, on the coverage stated.
        Allow = "ALLOW",
        /// A person should look.
        Review = "REVIEW",
        /// Several members report what the policy counts as critical.
        Restrict = "RESTRICT",
        /// Too much of the network was silent to say anything.
        Inconclusive = "INCONCLUSIVE",
    }
);

word_enum!(
    /// Why a member's part of an answer is missing.
    SilentReason {
        /// No connection.
        Unreachable = "unreachable",
        /// No full answer before the deadline.
        Deadline = "deadline",
        /// The peer refused the request.
        Refused = "refused",
        /// The asker's quota at the peer is used up.
        OverQuota = "over-quota",
        /// Evaluation and mirror are of different key epochs.
        EpochMismatch = "epoch-mismatch",
        /// The tail was truncated and could not be streamed in time.
        TailTruncated = "tail-truncated",
        /// The mirror of this member is missing or behind.
        MirrorBehind = "mirror-behind",
        /// A proof, checkpoint or leaf of the peer does not verify.
        Unverified = "unverified",
        /// Its last checkpoint is older than the policy allows.
        Stale = "stale",
        /// The query carried no national identifier, so that nothing it says can count.
        NoNationalId = "no-national-id",
        /// The member is suspended.
        Suspended = "suspended",
    }
);

/// A member that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Silent {
    /// Which one; `None` where the network's policy does not show members.
    pub member: Option<MemberId>,
    /// Why.
    pub reason: SilentReason,
}

/// The weighted share of the network that answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Members asked, those of the asker's own lender group left out.
    pub asked: u32,
    /// Members that answered.
    pub answered: u32,
    /// Sum of the weights of the members asked.
    pub asked_weight: u64,
    /// Sum of the weights of the members that answered.
    pub answered_weight: u64,
    /// The members that did not answer, sorted.
    pub silent: Vec<Silent>,
}

impl Coverage {
    /// The share of weight that answered, 0 to 1; 0 where nobody was asked.
    #[must_use]
    pub fn weight(&self) -> f64 {
        if self.asked_weight == 0 {
            return 0.0;
        }
        let per_million = u128::from(self.answered_weight) * 1_000_000;
        let share = per_million / u128::from(self.asked_weight);
        f64::from(u32::try_from(share.min(1_000_000)).unwrap_or(1_000_000)) / 1_000_000.0
    }

    /// Whether the share reaches `per_mille` thousandths, without rounding.
    #[must_use]
    pub fn reaches(&self, per_mille: u16) -> bool {
        self.asked_weight > 0
            && u128::from(self.answered_weight) * 1_000
                >= u128::from(self.asked_weight) * u128::from(per_mille)
    }
}

/// Why a flag is in its state: a code such as `MB03`, `VL30-05`, `ST72H-02`, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Flag and value bucket.
    pub code: String,
    /// The count that it was read from, if it was one, with its value.
    pub evidence: Option<(CountName, Interval)>,
}

/// One flag of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Which.
    pub code: FlagCode,
    /// Whether it holds.
    pub state: FlagState,
    /// If TRUE the severity that is certain, otherwise the one it would have.
    pub severity: Severity,
    /// The highest severity that what is not known could still give it.
    pub up_to: Severity,
    /// Why; empty exactly where the state is FALSE.
    pub reasons: Vec<Reason>,
}

impl Flag {
    /// Whether it holds at `severity` or above.
    #[must_use]
    pub fn holds_at(&self, severity: Severity) -> bool {
        self.state == FlagState::True && self.severity >= severity
    }

    /// Whether what is not known could still make it hold at `severity` or above.
    #[must_use]
    pub fn could_reach(&self, severity: Severity) -> bool {
        self.state != FlagState::False && self.up_to >= severity && !self.holds_at(severity)
    }
}

word_enum!(
    /// How late a borrower has been, in the steps that members publish.
    Arrears {
        /// Never 30 days past due.
        Below30 = "below-30",
        /// 30 to 59 days past due.
        From30 = "30-59",
        /// 60 to 89 days past due.
        From60 = "60-89",
        /// 90 days past due or more.
        From90 = "90-plus",
    }
);

/// The worst arrears of a time span, of which only bounds are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrearsSpan {
    /// At least this late.
    pub lo: Arrears,
    /// At most this late.
    pub hi: Arrears,
}

/// What an answer tells in bands instead of counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerBands {
    /// Currency of the amounts.
    pub currency: Currency,
    /// What is owed elsewhere, live holds included.
    pub exposure: AmountSpan,
    /// What is paid elsewhere each month.
    pub instalments: AmountSpan,
    /// The worst arrears elsewhere in the last 3, 6, 12 and 24 months, by months.
    pub worst_arrears: BTreeMap<u8, ArrearsSpan>,
}

/// What an asker is told. Never in it: who reported (unless the policy allows), amounts, dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The query.
    pub query_id: QueryId,
    /// The moment for which it holds.
    pub as_of: Timestamp,
    /// How much of the network it covers.
    pub coverage: Coverage,
    /// The counts.
    pub counts: BTreeMap<CountName, Interval>,
    /// Amounts and arrears.
    pub bands: AnswerBands,
    /// The flags, in the order of [`FlagCode`].
    pub flags: Vec<Flag>,
    /// What the policy suggests.
    pub outcome: Outcome,
    /// Points of the scorecard, where one is in use.
    pub score: Option<u16>,
    /// Until when it may be used; ask again afterwards.
    pub valid_until: Timestamp,
    /// Lines for a person: what each flag rests on, and what could change it.
    pub explanation: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_reaches_a_threshold_only_when_all_of_it_does() {
        let interval = Interval { lo: 2, hi: 4 };
        assert_eq!(interval.reaches(2), FlagState::True);
        assert_eq!(interval.reaches(3), FlagState::Unknown);
        assert_eq!(interval.reaches(5), FlagState::False);
        assert_eq!(interval.to_string(), "2 to 4");
    }

    #[test]
    fn coverage_of_nobody_is_nothing() {
        let mut coverage = Coverage::default();
        assert!(!coverage.reaches(0));
        assert!(coverage.weight().abs() < f64::EPSILON);
        coverage.asked_weight = 10;
        coverage.answered_weight = 9;
        assert!(coverage.reaches(900) && !coverage.reaches(901));
        assert!((coverage.weight() - 0.9).abs() < 1e-6);
    }
}
