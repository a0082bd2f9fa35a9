//! Counts of lender groups as intervals: who certainly has it, who possibly, who was not heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::facts::{Facts, Link, LoanFact, Missed, Sure};
use super::witness::{Bench, Witness};
use crate::domain::{ApplicationStage, CountName, GroupCode, Interval, LoanStage, Timestamp};

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;

/// Length of the window in which an undecided application, or a signature, is concurrent.
const CONCURRENT: Duration = Duration::from_secs(72 * HOUR_S);

/// A count, and whom it rests on. Members are numbered by their place in the bench.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub(crate) interval: Interval,
    /// For each group that is certain the members that report it.
    pub(crate) units: Vec<BTreeSet<usize>>,
    /// Members that were not heard in full and could raise the count.
    pub(crate) could_add: BTreeSet<usize>,
}

impl Counted {
    /// Members that report what is certain.
    pub(crate) fn reporters(&self) -> BTreeSet<usize> {
        self.units.iter().flatten().copied().collect()
    }
}

/// Every count that the asker's level shows.
pub(crate) fn count_all(bench: &Bench<'_>) -> BTreeMap<CountName, Counted> {
    CountName::ALL
        .iter()
        .filter(|name| bench.shows(**name))
        .map(|name| (*name, count(*name, bench)))
        .collect()
}

/// What is counted, and in which window.
enum Subject {
    Hard(Duration),
    Soft(Duration),
    Undecided,
    Live,
    Concurrent,
    Signed(Duration),
    Stage(fn(LoanStage) -> bool, fn(&Facts) -> Missed),
}

const fn days(number: u64) -> Duration {
    Duration::from_secs(number * DAY_S)
}

fn subject(name: CountName) -> Subject {
    match name {
        CountName::ActiveLenderGroups | CountName::PhoneActiveLenderGroups => {
            Subject::Stage(LoanStage::is_running, |facts| facts.untold.active)
        }
        CountName::HardApplications24h => Subject::Hard(days(1)),
        CountName::HardApplications7d => Subject::Hard(days(7)),
        CountName::HardApplications15d => Subject::Hard(days(15)),
        CountName::HardApplications30d | CountName::PhoneHardApplications30d => {
            Subject::Hard(days(30))
        }
        CountName::HardApplications90d => Subject::Hard(days(90)),
        CountName::HardApplications180d => Subject::Hard(days(180)),
        CountName::SoftApplications30d => Subject::Soft(days(30)),
        CountName::UndecidedApplications72h => Subject::Undecided,
        CountName::LiveHolds => Subject::Live,
        CountName::ConcurrentGroups72h => Subject::Concurrent,
        CountName::SignedGroups72h => Subject::Signed(CONCURRENT),
        CountName::SignedGroups15d => Subject::Signed(days(15)),
        CountName::ActiveDefaults | CountName::PhoneActiveDefaults => {
            Subject::Stage(LoanStage::is_default, |facts| facts.untold.defaults)
        }
        CountName::DelinquentGroups => {
            Subject::Stage(LoanStage::is_delinquent, |facts| facts.untold.delinquent)
        }
        CountName::Delinquent60Groups => Subject::Stage(LoanStage::is_delinquent_60, |facts| {
            facts.untold.delinquent_60
        }),
    }
}

/// Whether a count is read from the telephone number's summaries.
pub(crate) const fn is_by_phone(name: CountName) -> bool {
    matches!(
        name,
        CountName::PhoneActiveLenderGroups
            | CountName::PhoneHardApplications30d
            | CountName::PhoneActiveDefaults
    )
}

fn count(name: CountName, bench: &Bench<'_>) -> Counted {
    let subject = subject(name);
    let mut tally = GroupTally::new(bench);
    for (at, witness) in bench.witnesses.iter().enumerate() {
        let by_phone = is_by_phone(name);
        if let Some(facts) = witness.facts(by_phone) {
            tally.add_facts(&subject, facts, at);
        }
        if !bench.hears(witness, name) {
            tally.widen(witness, at);
        }
    }
    tally.finish()
}

struct GroupTally<'a> {
    bench: &'a Bench<'a>,
    certain: BTreeMap<GroupCode, BTreeSet<usize>>,
    possible: BTreeSet<GroupCode>,
    /// Groups that are possible and not known by their code.
    further: u32,
    /// Loans that have the property, with what is known of their transfer.
    loans: Vec<(LoanFact, Sure, usize)>,
    silent: BTreeMap<usize, Option<GroupCode>>,
    /// Members with loans whose links they do not tell.
    untold_links: BTreeSet<usize>,
}

impl<'a> GroupTally<'a> {
    const fn new(bench: &'a Bench<'a>) -> Self {
        Self {
            bench,
            certain: BTreeMap::new(),
            possible: BTreeSet::new(),
            further: 0,
            loans: Vec::new(),
            silent: BTreeMap::new(),
            untold_links: BTreeSet::new(),
        }
    }

    fn add(&mut self, group: GroupCode, sure: Sure, at: usize) {
        if group == self.bench.own_group || sure == Sure::No {
            return;
        }
        self.possible.insert(group);
        if sure == Sure::Yes {
            self.certain.entry(group).or_default().insert(at);
        }
    }

    fn add_loan(&mut self, loan: LoanFact, sure: Sure, at: usize) {
        let sure = if loan.disputed {
            sure.and(Sure::Maybe)
        } else {
            sure
        };
        if sure != Sure::No && loan.group != self.bench.own_group {
            self.loans.push((loan, sure, at));
        }
    }

    /// Groups of which a member does not tell; only if it can have happened in the window.
    fn miss(&mut self, missed: Missed, window_start: Option<Timestamp>, at: usize) {
        if missed.is_nothing() || window_start.is_some_and(|start| missed.latest <= start) {
            return;
        }
        let cap = self.bench.policy.silent_bureau_groups;
        self.further = self.further.saturating_add(missed.groups.unwrap_or(cap));
        self.silent.insert(at, None);
    }

    fn add_facts(&mut self, subject: &Subject, facts: &Facts, at: usize) {
        if facts.untold.links {
            self.untold_links.insert(at);
        }
        let now = self.bench.now;
        let start = |window: &Duration| Some(now.minus(*window));
        match subject {
            Subject::Hard(window) => {
                self.add_applications(facts, *window, at, |stage| stage != ApplicationStage::Soft);
                self.miss(facts.untold.hard, start(window), at);
            }
            Subject::Soft(window) => {
                self.add_applications(facts, *window, at, |stage| stage == ApplicationStage::Soft);
                self.miss(facts.untold.soft, start(window), at);
            }
            Subject::Undecided => self.add_undecided(facts, at),
            Subject::Live => self.add_holds(facts, at, |_| Sure::Yes),
            Subject::Concurrent => {
                self.add_undecided(facts, at);
                self.add_holds(facts, at, |_| Sure::Yes);
            }
            Subject::Signed(window) => {
                self.add_holds(facts, at, |hold| hold.signed.within(*window, now));
                for loan in facts.loans.iter().filter(|loan| loan.stage.is_account()) {
                    self.add_loan(*loan, loan.signed.within(*window, now), at);
                }
                self.miss(facts.untold.signed, start(window), at);
            }
            Subject::Stage(holds, untold) => {
                for loan in &facts.loans {
                    self.add_loan(*loan, Sure::of(holds(loan.stage)), at);
                }
                self.miss(untold(facts), None, at);
            }
        }
    }

    fn add_applications(
        &mut self,
        facts: &Facts,
        window: Duration,
        at: usize,
        counts: impl Fn(ApplicationStage) -> bool,
    ) {
        for one in facts.applications.iter().filter(|one| counts(one.stage)) {
            self.add(one.group, one.at.within(window, self.bench.now), at);
        }
    }

    fn add_undecided(&mut self, facts: &Facts, at: usize) {
        let undecided = |stage| stage == ApplicationStage::Undecided;
        self.add_applications(facts, CONCURRENT, at, undecided);
        let start = self.bench.now.minus(CONCURRENT);
        self.miss(facts.untold.hard, Some(start), at);
    }

    fn add_holds(
        &mut self,
        facts: &Facts,
        at: usize,
        also: impl Fn(&super::facts::HoldFact) -> Sure,
    ) {
        for hold in &facts.holds {
            let sure = hold.live(self.bench.now).and(also(hold));
            self.add(hold.group, sure, at);
        }
        self.miss(facts.untold.holds, None, at);
    }

    /// What a member that was not heard could add: its own group, or a bureau as many as the
    /// policy says.
    fn widen(&mut self, witness: &Witness, at: usize) {
        if witness.is_bureau {
            let cap = self.bench.policy.silent_bureau_groups;
            self.further = self.further.saturating_add(cap);
            self.silent.insert(at, None);
        } else if witness.group != self.bench.own_group {
            self.possible.insert(witness.group);
            self.silent.insert(at, Some(witness.group));
        }
    }

    fn finish(mut self) -> Counted {
        let linked = self.settle_loans();
        let known = u32::try_from(self.certain.len()).unwrap_or(u32::MAX);
        let mut lo = known;
        let mut hi = u32::try_from(self.possible.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.further);
        let mut units: Vec<BTreeSet<usize>> = self.certain.values().cloned().collect();
        // Loans that can share no group with each other, nor with what is certain, add one each.
        let mut apart: BTreeSet<GroupCode> = self.certain.keys().copied().collect();
        let mut anywhere = false;
        for loan in &linked {
            let shares = !apart.is_disjoint(&loan.may_be_at)
                || anywhere
                || loan.may_be_anywhere && !apart.is_empty();
            if loan.is_certain && !shares {
                lo = lo.saturating_add(1);
                units.push(loan.reporters.clone());
                apart.extend(&loan.may_be_at);
                anywhere |= loan.may_be_anywhere;
            }
            // All its groups may be counted already; otherwise it can add one.
            let counted = loan.reported_at.is_subset(&self.possible);
            hi = hi.saturating_add(u32::from(!counted));
        }
        let could_add = self
            .silent
            .iter()
            .filter(|(_, group)| group.is_none_or(|group| !self.certain.contains_key(&group)));
        Counted {
            interval: Interval::between(lo, hi.max(lo)),
            units,
            could_add: could_add.map(|(at, _)| *at).collect(),
        }
    }

    /// Counts the loans that stand alone by their groups, and gives back those under a link: each
    /// of these is one loan at one of the groups that report it, or of one that was not heard.
    fn settle_loans(&mut self) -> Vec<LinkedLoan> {
        let loans = std::mem::take(&mut self.loans);
        let mut known: BTreeMap<[u8; 8], LinkedLoan> = BTreeMap::new();
        let mut unknown: BTreeMap<GroupCode, LinkedLoan> = BTreeMap::new();
        for (loan, sure, at) in &loans {
            let elsewhere = |other: &LoanFact| other.group != loan.group;
            let mut others = loans.iter().filter(|(other, ..)| elsewhere(other));
            let entry = match loan.link {
                Link::Known(link) => known.entry(link).or_default(),
                Link::Unknown => unknown.entry(loan.group).or_default(),
                // Sold without a link: another's loan signed in the same hour may be this one.
                Link::None => {
                    let sold = loan.stage == LoanStage::Transferred
                        && others.any(|(other, ..)| other.signed.overlaps(loan.signed));
                    let limit = if sold { Sure::Maybe } else { Sure::Yes };
                    self.add(loan.group, sure.and(limit), *at);
                    continue;
                }
            };
            entry.reported_at.insert(loan.group);
            entry.reporters.insert(*at);
            entry.is_certain |= *sure == Sure::Yes;
            // The other party's entry may be among what it does not tell.
            entry.may_be_anywhere |= self.untold_links.iter().any(|teller| {
                teller != at
                    || self
                        .bench
                        .witnesses
                        .get(*at)
                        .is_some_and(|one| one.is_bureau)
            });
            if loan.link == Link::Unknown {
                entry.may_be_anywhere |= others.any(|(other, ..)| other.link != Link::None);
            }
        }
        let mut linked: Vec<LinkedLoan> =
            known.into_values().chain(unknown.into_values()).collect();
        for loan in &mut linked {
            loan.may_be_at.clone_from(&loan.reported_at);
            if loan.reported_at.len() > 1 {
                loan.may_be_anywhere = false;
            } else {
                loan.may_be_at.extend(self.silent.values().flatten());
                loan.may_be_anywhere |= self.silent.values().any(Option::is_none);
            }
        }
        linked
    }
}

/// A loan that was transferred under a link.
#[derive(Default)]
struct LinkedLoan {
    reported_at: BTreeSet<GroupCode>,
    reporters: BTreeSet<usize>,
    is_certain: bool,
    /// It counts at one of these groups,
    may_be_at: BTreeSet<GroupCode>,
    /// or at a group that is not known.
    may_be_anywhere: bool,
}
