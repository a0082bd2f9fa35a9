//! Figures of the demo, against the simulated truth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::Heard;
use crate::domain::{FlagCode, Timestamp};
use crate::workload::{Behaviour, Population, TrueAnswer};

/// The share of weight below which an answer may not say ALLOW.
const ALLOW_WEIGHT_MIN: f64 = 0.70;

/// Flags that may not be raised falsely.
const ALARMS: [&str; 2] = ["ST", "CA"];

/// Milliseconds from question to answer, publication included.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// How one flag did; `null` where there was nothing to measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FlagFigures {
    /// Share of the raised that were true.
    pub precision: Option<f64>,
    /// Share of the true that were raised.
    pub recall: Option<f64>,
    /// How often it was true.
    pub cases: u64,
}

/// Shoppers with two or three hard applications: CA is expected of them, ST is not.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ShopperFigures {
    /// How many of them applied.
    pub borrowers: usize,
    /// Share shown as CA.
    pub ca: Option<f64>,
    /// Share shown as ST.
    pub st: Option<f64>,
}

/// The figures.
#[derive(Debug, Clone, Serialize)]
pub struct DemoFigures {
    /// Members of the network.
    pub members: usize,
    /// Answers given.
    pub answers: u64,
    /// Answers given while some member was silent.
    pub answers_with_silence: u64,
    /// Share of the answers whose every interval holds the truth.
    pub interval_true: Option<f64>,
    /// Share of the answers with all members up whose every interval is one number.
    pub interval_exact: Option<f64>,
    /// Share of the answers with silent members whose intervals are no wider than those could add.
    pub interval_width_kept: Option<f64>,
    /// Stackers that went to two lenders or more.
    pub stackers: usize,
    /// Share of them caught before their second payout.
    pub stacker_recall: Option<f64>,
    /// Share of the rate shoppers with one hard application that were shown as ST or CA.
    pub rate_shopper_false_alarm: Option<f64>,
    /// The same of the steady borrowers.
    pub steady_false_alarm: Option<f64>,
    /// The same of the cyclers.
    pub cycler_false_alarm: Option<f64>,
    /// Shoppers with two or three hard applications.
    pub keen_shoppers: ShopperFigures,
    /// Per count, answers with all members up whose interval is more than one number.
    pub inexact: BTreeMap<String, u64>,
    /// Answers that said ALLOW on less coverage than that needs.
    pub allow_below_coverage: u64,
    /// Planted identifiers found in the clear on the members' disks.
    pub identifier_hits: u64,
    /// Time per query.
    pub query_ms: Latency,
    /// Every flag against the truth.
    pub flags: BTreeMap<String, FlagFigures>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Score {
    true_raised: u64,
    raised: u64,
    cases: u64,
}

/// What is counted while the demo runs.
#[derive(Debug, Default)]
pub(super) struct Measure {
    answers: u64,
    with_silence: u64,
    all_true: u64,
    full: u64,
    exact: u64,
    width_kept: u64,
    inexact: BTreeMap<&'static str, u64>,
    allow_below: u64,
    took_ms: Vec<f64>,
    flags: BTreeMap<FlagCode, Score>,
}

/// What the borrowers did, and what was heard of them.
pub(super) struct Conduct<'a> {
    pub(super) members: usize,
    pub(super) population: &'a Population,
    pub(super) heard: &'a [Heard],
    pub(super) signed: &'a BTreeMap<usize, Vec<(Timestamp, usize)>>,
    pub(super) funded: &'a BTreeMap<usize, Vec<(Timestamp, usize)>>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a demo are far below 2^52"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn share_of(part: usize, whole: usize) -> Option<f64> {
    share(part as u64, whole as u64)
}

fn bound(interval: Option<&Value>, key: &str) -> u64 {
    interval
        .and_then(|interval| interval.get(key))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

impl Measure {
    /// Judges one answer.
    pub(super) fn answer(
        &mut self,
        json: &Value,
        truth: &TrueAnswer,
        flags: &BTreeMap<FlagCode, bool>,
        took: Duration,
    ) {
        self.answers += 1;
        self.took_ms.push(took.as_secs_f64() * 1_000.0);
        let coverage = json.get("coverage");
        let silent = bound(coverage, "asked").saturating_sub(bound(coverage, "answered"));
        let (mut all_true, mut all_exact, mut width_kept) = (true, true, true);
        for (name, number) in &truth.counts {
            let interval = json
                .get("counts")
                .and_then(|counts| counts.get(name.word()));
            let (lo, hi) = (bound(interval, "lo"), bound(interval, "hi"));
            let holds = (lo..=hi).contains(&u64::from(*number));
            if !holds {
                tracing::error!(
                    count = name.word(),
                    lo,
                    hi,
                    number,
                    "an interval misses the truth"
                );
            }
            all_true &= interval.is_some() && holds;
            all_exact &= lo == hi;
            if silent == 0 && lo != hi {
                *self.inexact.entry(name.word()).or_default() += 1;
            }
            width_kept &= hi - lo <= silent || !name.word().ends_with("_groups");
        }
        self.all_true += u64::from(all_true);
        if silent == 0 {
            self.full += 1;
            self.exact += u64::from(all_exact);
        } else {
            self.with_silence += 1;
            self.width_kept += u64::from(width_kept);
        }
        let weight = coverage
            .and_then(|c| c.get("weight"))
            .and_then(Value::as_f64)
            .unwrap_or(0.0);
        let allowed = json.get("outcome").and_then(Value::as_str) == Some("ALLOW");
        self.allow_below += u64::from(allowed && weight < ALLOW_WEIGHT_MIN);
        let raised = raised(json);
        for (code, is_true) in flags {
            let score = self.flags.entry(*code).or_default();
            let raised = raised.contains(code.word());
            score.raised += u64::from(raised);
            score.cases += u64::from(*is_true);
            score.true_raised += u64::from(raised && *is_true);
        }
    }

    /// The figures of the whole.
    pub(super) fn figures(mut self, conduct: &Conduct<'_>) -> DemoFigures {
        self.took_ms.sort_by(f64::total_cmp);
        let flags = self.flags.iter().map(|(code, score)| {
            let figures = FlagFigures {
                precision: share(score.true_raised, score.raised),
                recall: share(score.true_raised, score.cases),
                cases: score.cases,
            };
            (code.word().to_owned(), figures)
        });
        let (caught, stackers) = conduct.stackers();
        let keen = conduct.applicants(Behaviour::KeenShopper);
        DemoFigures {
            members: conduct.members,
            answers: self.answers,
            answers_with_silence: self.with_silence,
            interval_true: share(self.all_true, self.answers),
            interval_exact: share(self.exact, self.full),
            interval_width_kept: share(self.width_kept, self.with_silence),
            stackers,
            stacker_recall: share_of(caught, stackers),
            rate_shopper_false_alarm: conduct.alarmed(Behaviour::RateShopper, &ALARMS),
            steady_false_alarm: conduct.alarmed(Behaviour::Steady, &ALARMS),
            cycler_false_alarm: conduct.alarmed(Behaviour::Cycler, &ALARMS),
            keen_shoppers: ShopperFigures {
                borrowers: keen.len(),
                ca: conduct.alarmed(Behaviour::KeenShopper, &["CA"]),
                st: conduct.alarmed(Behaviour::KeenShopper, &["ST"]),
            },
            inexact: self
                .inexact
                .iter()
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect(),
            allow_below_coverage: self.allow_below,
            identifier_hits: 0,
            query_ms: Latency {
                p50: self.quantile(50),
                p99: self.quantile(99),
            },
            flags: flags.collect(),
        }
    }

    fn quantile(&self, percent: usize) -> f64 {
        let at = (self.took_ms.len() * percent / 100).min(self.took_ms.len().saturating_sub(1));
        self.took_ms.get(at).copied().unwrap_or(0.0)
    }
}

fn raised(json: &Value) -> BTreeSet<&str> {
    let flags = json.get("flags").and_then(Value::as_array);
    flags
        .into_iter()
        .flatten()
        .filter(|flag| flag.get("state").and_then(Value::as_str) == Some("TRUE"))
        .filter_map(|flag| flag.get("code").and_then(Value::as_str))
        .collect()
}

impl Conduct<'_> {
    /// Borrowers of a kind that somebody asked about.
    fn applicants(&self, behaviour: Behaviour) -> BTreeSet<usize> {
        let people = &self.population.people;
        let is = |person: &usize| {
            people
                .get(*person)
                .is_some_and(|p| p.behaviour == behaviour)
        };
        self.heard
            .iter()
            .map(|heard| heard.person)
            .filter(is)
            .collect()
    }

    fn alarmed(&self, behaviour: Behaviour, codes: &[&str]) -> Option<f64> {
        let applicants = self.applicants(behaviour);
        let alarmed: BTreeSet<usize> = self
            .heard
            .iter()
            .filter(|heard| applicants.contains(&heard.person))
            .filter(|heard| codes.iter().any(|code| heard.shows(code)))
            .map(|heard| heard.person)
            .collect();
        share_of(alarmed.len(), applicants.len())
    }

    /// Stackers caught, and those who went to two lenders: an answer after a signature or an
    /// application was published elsewhere, and before the second payout, shows ST or CA.
    fn stackers(&self) -> (usize, usize) {
        let (mut caught, mut all) = (0, 0);
        for person in self.applicants(Behaviour::Stacker) {
            let mine: Vec<&Heard> = self.heard.iter().filter(|h| h.person == person).collect();
            let published = self.published(person, &mine);
            let lenders: BTreeSet<usize> = published.iter().map(|(_, lender)| *lender).collect();
            if lenders.len() < 2 {
                continue;
            }
            all += 1;
            let payouts = self.funded.get(&person);
            let second = payouts.and_then(|paid| paid.get(1)).map(|(at, _)| *at);
            let shown = mine.iter().any(|heard| {
                let elsewhere =
                    |(at, lender): &(Timestamp, usize)| *at <= heard.at && *lender != heard.asker;
                second.is_none_or(|second| heard.at < second)
                    && published.iter().any(elsewhere)
                    && ALARMS.iter().any(|code| heard.shows(code))
            });
            caught += usize::from(shown);
        }
        (caught, all)
    }

    /// When and where a borrower's hard applications and holds were published.
    fn published(&self, person: usize, heard: &[&Heard]) -> Vec<(Timestamp, usize)> {
        let hard = heard.iter().filter(|heard| !heard.soft && !heard.recheck);
        let signed = self.signed.get(&person).into_iter().flatten();
        let applied = hard.map(|heard| (heard.at, heard.asker));
        applied.chain(signed.copied()).collect()
    }
}
