//! What a member may ask for: the one place that decides, from its entry in the list and the time.
//!
//! Nothing is allowed that is not granted. An entry grants either by its `purposes` (evaluation for
//! each of them, without an end) or by its `grants`; whoever may have elements evaluated may also
//! mirror the feed in which the answer is looked up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::list::Member;
use super::refusal::Refusal;
use super::roster::Roster;
use super::text::{moment_option, words};
use crate::domain::{Level, MemberId, Purpose, Role, Timestamp};
use crate::limits::{FURNISHING_GRACE, PROBATION_QUOTA_DIVISOR};

/// What a node offers to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Health and reflection.
    Standard,
    /// What the node is, and its keys at the caller's level.
    Describe,
    /// Evaluation of blinded elements.
    Evaluate,
    /// The feed at the caller's level.
    Feed,
    /// What others asked each other, and openings: an auditor's.
    Audit,
}

impl Service {
    /// Every service.
    pub const ALL: &'static [Self] = &[
        Self::Standard,
        Self::Describe,
        Self::Evaluate,
        Self::Feed,
        Self::Audit,
    ];

    /// The word for it in lists and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Describe => "describe",
            Self::Evaluate => "evaluate",
            Self::Feed => "feed",
            Self::Audit => "audit",
        }
    }

    /// The service with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.word() == word)
    }

    /// Whether every active member has it, whatever is granted.
    const fn is_common(self) -> bool {
        matches!(self, Self::Standard | Self::Describe)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A right in a member's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `evaluate` or `feed`; the other services are everybody's.
    pub service: Service,
    /// For which purposes; none for `feed`.
    #[serde(default, with = "words", skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<Purpose>,
    /// From when it counts no more.
    #[serde(
        default,
        with = "moment_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Timestamp>,
    /// Up to how many elements of the member's epoch, all its purposes together, this grant still
    /// evaluates; the member's own quota where absent, and never more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_elements_per_epoch: Option<u64>,
}

impl Grant {
    /// The first rule of a grant that this one breaks.
    pub(super) fn broken_rule(&self) -> Option<&'static str> {
        let twice = |one: &Purpose| self.purposes.iter().filter(|other| *other == one).count() > 1;
        match self.service {
            Service::Standard | Service::Describe | Service::Audit => Some(
                "a grant must be of `evaluate` or `feed`; `audit` goes with the role, and the \
                 rest is everybody's",
            ),
            Service::Feed if !self.purposes.is_empty() => Some("a grant of `feed` has no purposes"),
            Service::Feed if self.quota_elements_per_epoch.is_some() => {
                Some("a grant of `feed` has no quota")
            }
            Service::Evaluate if self.purposes.is_empty() => {
                Some("a grant of `evaluate` must name a purpose")
            }
            Service::Evaluate if self.purposes.iter().any(twice) => {
                Some("a purpose stands twice in a grant")
            }
            Service::Evaluate | Service::Feed => None,
        }
    }

    fn is_live(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// What a member wants, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The service.
    pub service: Service,
    /// Why it asks; only evaluations have a purpose.
    pub purpose: Option<Purpose>,
    /// The time.
    pub at: Timestamp,
}

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Every active member has the service.
    #[error("every active member has this service")]
    EveryMember,
    /// The entry's `purposes` name it.
    #[error("the member's purposes in the list")]
    Purposes,
    /// A grant of the entry names it.
    #[error("a grant in the list")]
    Granted,
    /// A regulator audits.
    #[error("a regulator audits the members")]
    Auditor,
    /// The membership gate refuses the member altogether.
    #[error("{0}")]
    Refused(Refusal),
    /// The role does not have the service, whatever is granted.
    #[error("a {role} is not evaluated")]
    Role {
        /// The role.
        role: Role,
    },
    /// Nothing in the entry grants the service.
    #[error("nothing in the member's entry grants this service")]
    NotGranted,
    /// No purpose was given for an evaluation.
    #[error("an evaluation needs a purpose")]
    NoPurpose,
    /// The purpose is not among those granted.
    #[error("purpose {purpose} is not granted")]
    PurposeNotGranted {
        /// The purpose.
        purpose: Purpose,
    },
    /// It was granted, and the grant has ended.
    #[error("the grant ended at {since}")]
    GrantEnded {
        /// Its end.
        since: Timestamp,
    },
    /// The member is late in furnishing, and was at the lowest level already.
    #[error("its furnishing is late, and it lost its level at {since}")]
    FurnishingLate {
        /// When.
        since: Timestamp,
    },
}

impl Rule {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EveryMember => "every-member",
            Self::Purposes => "purposes",
            Self::Granted => "granted",
            Self::Auditor => "auditor",
            Self::Refused(refusal) => refusal.code(),
            Self::Role { .. } => "role",
            Self::NotGranted => "not-granted",
            Self::NoPurpose => "no-purpose",
            Self::PurposeNotGranted { .. } => "purpose-not-granted",
            Self::GrantEnded { .. } => "grant-ended",
            Self::FurnishingLate { .. } => "furnishing-late",
        }
    }

    /// What whoever is refused does next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::EveryMember | Self::Purposes | Self::Granted | Self::Auditor => "nothing",
            Self::Refused(refusal) => refusal.next_step(),
            Self::Role { .. } => "ask through a member that is a lender or a bureau",
            Self::NotGranted | Self::PurposeNotGranted { .. } => {
                "ask the administrators for a grant"
            }
            Self::NoPurpose => "name the purpose",
            Self::GrantEnded { .. } => "ask the administrators to grant it again",
            Self::FurnishingLate { .. } => {
                "furnish again, then ask the administrators to take the warning back"
            }
        }
    }
}

/// The member may not: by which rule of which list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} is refused to {member} by member list {list_version}: {rule}; {}",
    rule.next_step())]
pub struct Denial {
    /// Who.
    pub member: MemberId,
    /// What it wanted.
    pub service: Service,
    /// The rule.
    pub rule: Rule,
    /// Version of the list.
    pub list_version: u32,
}

/// The member may: comes only from a decision, and says under which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    member: MemberId,
    rule: Rule,
    level: Level,
    quota_elements_per_epoch: u64,
    until: Option<Timestamp>,
    list_version: u32,
}

impl Granted {
    /// Who may.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// By which rule.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Under which level's key it is evaluated, and whose feed it reads.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Elements that may be evaluated for it in one key epoch.
    #[must_use]
    pub const fn quota_elements_per_epoch(&self) -> u64 {
        self.quota_elements_per_epoch
    }

    /// From when the same list decides otherwise.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Version of the list that decided.
    #[must_use]
    pub const fn list_version(&self) -> u32 {
        self.list_version
    }
}

/// What the list gives to one member.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'a> {
    member: &'a Member,
    list_version: u32,
}

impl<'a> Rights<'a> {
    /// The rights in an entry of an active member.
    #[must_use]
    pub const fn of(member: &'a Member, list_version: u32) -> Self {
        Self {
            member,
            list_version,
        }
    }

    /// Decides about a member by its id, as the gate and the answerer do together.
    ///
    /// # Errors
    /// [`Denial`] with the first rule that stands against it.
    pub fn decide(roster: &Roster, member: &MemberId, wish: &Wish) -> Result<Granted, Denial> {
        let listed = roster
            .check_life(wish.at)
            .and_then(|()| roster.listed(member));
        let entry = listed.map_err(|refusal| Denial {
            member: member.clone(),
            service: wish.service,
            rule: Rule::Refused(refusal),
            list_version: roster.version(),
        })?;
        Rights::of(entry, roster.version()).to(wish)
    }

    /// Decides about an active member.
    ///
    /// # Errors
    /// [`Denial`] with the first rule that stands against it.
    pub fn to(&self, wish: &Wish) -> Result<Granted, Denial> {
        let decided = if wish.service.is_common() {
            Ok((Rule::EveryMember, self.quota(None, wish.at), None))
        } else {
            self.granted(wish)
        };
        let (rule, quota_elements_per_epoch, until) =
            decided.map_err(|rule| self.denial(wish.service, rule))?;
        let loses_level = self.loses_level_at().filter(|at| wish.at < *at);
        Ok(Granted {
            member: self.member.id.clone(),
            rule,
            level: self.level(wish.at),
            quota_elements_per_epoch,
            until: [until, loses_level].into_iter().flatten().min(),
            list_version: self.list_version,
        })
    }

    /// Whether the member has the service at all, for whichever purpose: what the gate asks before
    /// it reads a request.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn reach(&self, service: Service, at: Timestamp) -> Result<(), Denial> {
        if service.is_common() {
            return Ok(());
        }
        let mut told = Rule::NotGranted;
        for purpose in Purpose::ALL {
            let wish = Wish {
                service,
                purpose: Some(*purpose),
                at,
            };
            match self.granted(&wish) {
                Ok(_) => return Ok(()),
                Err(Rule::PurposeNotGranted { .. }) => {}
                Err(rule) => told = rule,
            }
        }
        Err(self.denial(service, told))
    }

    fn denial(&self, service: Service, rule: Rule) -> Denial {
        Denial {
            member: self.member.id.clone(),
            service,
            rule,
            list_version: self.list_version,
        }
    }

    /// The level under which the member is evaluated: what it furnishes, and after a warning that
    /// was not taken back within [`FURNISHING_GRACE`] the lowest.
    #[must_use]
    pub fn level(&self, at: Timestamp) -> Level {
        match self.loses_level_at() {
            Some(since) if since <= at => Level::Defaults,
            _ => self.member.level,
        }
    }

    /// Its share of the coverage: none during its probation.
    #[must_use]
    pub fn weight(&self, at: Timestamp) -> u32 {
        if self.is_on_probation(at) {
            0
        } else {
            self.member.weight
        }
    }

    /// Whether it is on probation: a smaller quota, and no weight.
    #[must_use]
    pub fn is_on_probation(&self, at: Timestamp) -> bool {
        self.member.probation_until.is_some_and(|until| at < until)
    }

    /// When a warned member loses its level, or lost it.
    #[must_use]
    pub fn loses_level_at(&self) -> Option<Timestamp> {
        let warned = self.member.late_warned_at?;
        Some(warned.plus(FURNISHING_GRACE))
    }

    fn quota(&self, grant: Option<&Grant>, at: Timestamp) -> u64 {
        let own = self.member.quota_elements_per_epoch;
        let granted = grant.and_then(|grant| grant.quota_elements_per_epoch);
        let quota = granted.map_or(own, |granted| granted.min(own));
        if self.is_on_probation(at) {
            quota / PROBATION_QUOTA_DIVISOR
        } else {
            quota
        }
    }

    /// Rule, quota and end of what is granted.
    fn granted(&self, wish: &Wish) -> Result<(Rule, u64, Option<Timestamp>), Rule> {
        let Wish {
            service,
            purpose,
            at,
        } = *wish;
        let role = self.member.role;
        if service == Service::Evaluate && role == Role::Regulator {
            return Err(Rule::Role { role });
        }
        if service == Service::Audit {
            return match role {
                Role::Regulator => Ok((Rule::Auditor, 0, None)),
                Role::Lender | Role::Bureau => Err(Rule::NotGranted),
            };
        }
        if let Some(since) = self.loses_level_at()
            && since <= at
            && self.member.level == Level::Defaults
        {
            return Err(Rule::FurnishingLate { since });
        }
        if service == Service::Evaluate && purpose.is_none() {
            return Err(Rule::NoPurpose);
        }
        if self.member.grants.is_empty() {
            return self.by_purposes(wish);
        }
        let of_service = || {
            let fits = |grant: &&Grant| match service {
                // An answer is looked up in the mirror of the feed.
                Service::Feed => role != Role::Regulator || grant.service == Service::Feed,
                Service::Evaluate | Service::Standard | Service::Describe | Service::Audit => {
                    grant.service == service
                }
            };
            self.member.grants.iter().filter(fits)
        };
        let named = || {
            of_service().filter(|grant| match (service, purpose) {
                (Service::Evaluate, Some(purpose)) => grant.purposes.contains(&purpose),
                _ => true,
            })
        };
        let end = |grant: &&Grant| grant.until.map_or(i64::MAX, Timestamp::unix_ms);
        let best = named()
            .filter(|grant| grant.is_live(at))
            .max_by_key(|grant| (self.quota(Some(grant), at), end(grant)));
        match (best, named().filter_map(|grant| grant.until).max(), purpose) {
            (Some(grant), ..) => Ok((Rule::Granted, self.quota(Some(grant), at), grant.until)),
            (None, Some(since), _) => Err(Rule::GrantEnded { since }),
            (None, None, Some(purpose)) if of_service().next().is_some() => {
                Err(Rule::PurposeNotGranted { purpose })
            }
            (None, None, _) => Err(Rule::NotGranted),
        }
    }

    /// As [`Self::granted`], for an entry that has purposes and no grants.
    fn by_purposes(&self, wish: &Wish) -> Result<(Rule, u64, Option<Timestamp>), Rule> {
        let Member { role, purposes, .. } = self.member;
        if purposes.is_empty() || *role == Role::Regulator {
            return Err(Rule::NotGranted);
        }
        match wish.purpose {
            Some(purpose) if wish.service == Service::Evaluate && !purposes.contains(&purpose) => {
                Err(Rule::PurposeNotGranted { purpose })
            }
            Some(_) | None => Ok((Rule::Purposes, self.quota(None, wish.at), None)),
        }
    }
}
