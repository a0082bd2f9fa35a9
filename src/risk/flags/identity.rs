//! Identity inconsistent: several telephone numbers with one national number, or the reverse.

use std::collections::BTreeSet;

use super::{Raised, Step};
use crate::domain::{FlagCode, Interval, Severity};
use crate::risk::witness::Bench;

/// From how many identifiers of the other kind on.
const LEAST: u32 = 3;

/// What members saw of the other kind: certainly as many as one of them saw, possibly as many as
/// all saw together.
struct SeenWith {
    number: Interval,
    reporters: BTreeSet<usize>,
    could_change: BTreeSet<usize>,
}

impl SeenWith {
    fn of(bench: &Bench<'_>, by_phone: bool) -> Self {
        let mut seen = Self {
            number: Interval::default(),
            reporters: BTreeSet::new(),
            could_change: BTreeSet::new(),
        };
        let mut possible = Some(0_u32);
        for (at, witness) in bench.witnesses.iter().enumerate() {
            let facts = witness.facts(by_phone);
            let others = facts.and_then(|facts| facts.others);
            let least = others.map_or(0, crate::domain::Tally::at_least);
            seen.number.lo = seen.number.lo.max(least);
            if least >= LEAST {
                seen.reporters.insert(at);
            }
            let told = facts.is_none() || others.is_some();
            let most = if bench.hears_at(witness, false) && told {
                others.map_or(Some(0), crate::domain::Tally::at_most)
            } else {
                None
            };
            if most.is_none() {
                seen.could_change.insert(at);
            }
            possible = possible.and_then(|sum| Some(sum.saturating_add(most?)));
        }
        seen.number.hi = possible.unwrap_or(u32::MAX).max(seen.number.lo);
        seen
    }

    fn step(&self, severity: Severity, code: &str) -> Step {
        let state = self.number.reaches(LEAST);
        let number = self.number.lo.max(LEAST);
        Step::bare(severity, state, &format!("{code}{number:02}")).on_any_of(&self.reporters)
    }
}

pub(super) fn inconsistent(bench: &Bench<'_>) -> Raised {
    let phones = SeenWith::of(bench, false);
    let nationals = SeenWith::of(bench, true);
    let steps = vec![
        phones.step(Severity::Medium, "IDP"),
        nationals.step(Severity::High, "IDN"),
    ];
    let union = |a: &BTreeSet<usize>, b: &BTreeSet<usize>| a.union(b).copied().collect();
    Raised::of(
        FlagCode::Id,
        steps,
        union(&phones.reporters, &nationals.reporters),
        union(&phones.could_change, &nationals.could_change),
    )
}
