//! Identifiers as numbers, and whether they were enumerated: neighbours, and equal steps.

use std::collections::BTreeMap;

use super::FishingThresholds;
use crate::domain::{Identifier, IdentifierKind};

/// Queries before one with which its number is compared: an enumeration that is mixed into other
/// business still stands out.
const LOOK_BACK: usize = 16;

/// Numbers to each side over which the density of a neighbourhood is taken.
const NEIGHBOURHOOD: usize = 10;

/// Most neighbours per number that are laid to chance: a denser neighbourhood is no chance.
const DENSITY_MAX: f64 = 0.005;

/// An identifier as a number within its kind, its check character left out. Private as the
/// identifier is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    kind: IdentifierKind,
    ordinal: u64,
}

impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Number({})", self.kind)
    }
}

impl Number {
    /// The number of an identifier.
    #[must_use]
    pub fn of(identifier: &Identifier) -> Self {
        let kind = identifier.kind();
        let value = identifier.value();
        let checked = match kind {
            IdentifierKind::CnRid | IdentifierKind::InPan | IdentifierKind::InAadhaar => 1,
            IdentifierKind::UsSsn | IdentifierKind::Phone => 0,
        };
        let kept = value.len().saturating_sub(checked);
        let ordinal = value.bytes().take(kept).fold(0_u64, |number, byte| {
            let (radix, digit) = match byte {
                b'0'..=b'9' => (10, byte - b'0'),
                b'A'..=b'Z' => (26, byte - b'A'),
                _ => (1, 0),
            };
            number
                .saturating_mul(radix)
                .saturating_add(u64::from(digit))
        });
        Self { kind, ordinal }
    }

    fn distance(self, other: Self) -> Option<u64> {
        (self.kind == other.kind).then(|| self.ordinal.abs_diff(other.ordinal))
    }
}

/// Places (in the order of asking) of numbers that lie near one of the few that were asked before
/// them: an enumeration in order, at any speed.
pub(super) fn followed(numbers: &[Number], limits: &FishingThresholds) -> Vec<usize> {
    let near = |place: &usize| {
        let Some(number) = numbers.get(*place) else {
            return false;
        };
        let before = numbers.get(place.saturating_sub(LOOK_BACK)..*place);
        let distances = before.unwrap_or_default().iter();
        distances
            .filter_map(|other| number.distance(*other))
            .any(|distance| (1..=limits.near_numbers).contains(&distance))
    };
    (0..numbers.len()).filter(near).collect()
}

/// How many of the numbers would be [`followed`] if they came in any order: where many of those
/// asked about live close together, some follow each other by chance.
pub(super) fn followed_by_chance(numbers: &[Number], limits: &FishingThresholds) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let at = |number: Number, ordinal| Number { ordinal, ..number };
    let chance = |number: &Number| {
        let low = at(*number, number.ordinal.saturating_sub(limits.near_numbers));
        let high = at(*number, number.ordinal.saturating_add(limits.near_numbers));
        let below = sorted.partition_point(|one| *one < low);
        let within = sorted.partition_point(|one| *one <= high) - below;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        let share = within.saturating_sub(1) as f64 / numbers.len() as f64;
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let looked_at = LOOK_BACK as f64;
        1.0 - (-looked_at * share.min(DENSITY_MAX)).exp()
    };
    numbers.iter().map(chance).sum()
}

/// The step that most numbers make from one of the few asked before them, beyond neighbours, and
/// the places of those that make it: an enumeration that leaves numbers out.
pub(super) fn steps(numbers: &[Number], limits: &FishingThresholds) -> (u64, Vec<usize>) {
    let mut made: Vec<(u64, usize)> = Vec::new();
    for (place, number) in numbers.iter().enumerate() {
        let before = numbers.get(place.saturating_sub(LOOK_BACK)..place);
        for other in before.unwrap_or_default() {
            let step = number.distance(*other).unwrap_or(0);
            if step > limits.near_numbers {
                made.push((step, place));
            }
        }
    }
    made.sort_unstable();
    made.dedup();
    let groups = made.chunk_by(|a, b| a.0 == b.0);
    let most = groups.max_by_key(|group| group.len()).unwrap_or_default();
    let step = most.first().map_or(0, |(step, _)| *step);
    (step, most.iter().map(|(_, place)| *place).collect())
}

/// How many of the numbers of one day have a neighbour among them, and how many chance explains
/// where they lie: an enumeration in any order.
pub(super) fn crowded(numbers: &[Number], limits: &FishingThresholds) -> (usize, f64) {
    let mut kinds: BTreeMap<IdentifierKind, Vec<u64>> = BTreeMap::new();
    for number in numbers {
        kinds.entry(number.kind).or_default().push(number.ordinal);
    }
    let (mut near, mut by_chance) = (0, 0.0);
    for ordinals in kinds.values_mut() {
        ordinals.sort_unstable();
        ordinals.dedup();
        for place in 0..ordinals.len() {
            if has_neighbour(ordinals, place, limits.near_numbers) {
                near += 1;
            }
            by_chance += chance_of_neighbour(ordinals, place, limits.near_numbers);
        }
    }
    (near, by_chance)
}

fn has_neighbour(sorted: &[u64], place: usize, near: u64) -> bool {
    let Some(own) = sorted.get(place) else {
        return false;
    };
    let before = place.checked_sub(1).and_then(|before| sorted.get(before));
    let beside = [before, sorted.get(place + 1)];
    beside
        .into_iter()
        .flatten()
        .any(|other| own.abs_diff(*other) <= near)
}

/// The probability that a number has a neighbour, by how dense the numbers around it lie.
fn chance_of_neighbour(sorted: &[u64], place: usize, near: u64) -> f64 {
    let first = place.saturating_sub(NEIGHBOURHOOD);
    let last = (place + NEIGHBOURHOOD).min(sorted.len().saturating_sub(1));
    let span = match (sorted.get(first), sorted.get(last)) {
        (Some(low), Some(high)) => high.abs_diff(*low).max(1),
        (None, _) | (_, None) => return 0.0,
    };
    #[expect(clippy::cast_precision_loss, reason = "a density needs no more digits")]
    let (count, span, near) = ((last - first) as f64, span as f64, near as f64);
    1.0 - (-2.0 * near * (count / span).min(DENSITY_MAX)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::of(&Identifier::parse(text, None).unwrap())
    }

    #[test]
    fn the_next_number_is_one_away_whatever_the_check_character() {
        let pairs = [
            ("us-ssn:536-90-4399", "us-ssn:536-90-4400", 1),
            ("phone:+8613800138000", "phone:+8613800138007", 7),
            ("cn-rid:11010519491231002X", "cn-rid:110105194912310038", 1),
        ];
        for (one, other, distance) in pairs {
            assert_eq!(number(one).distance(number(other)), Some(distance), "{one}");
        }
        let (ssn, phone) = (number("us-ssn:536-90-4399"), number("phone:+8613800138000"));
        assert_eq!(ssn.distance(phone), None);
        assert_eq!(format!("{ssn:?}"), "Number(us-ssn)");
    }

    #[test]
    fn runs_and_steps_are_seen_and_nothing_else() {
        let limits = FishingThresholds::default();
        let of = |ordinal| Number {
            kind: IdentifierKind::UsSsn,
            ordinal,
        };
        let run: Vec<Number> = (0..40).map(|n| of(500_000 + n)).collect();
        assert_eq!(followed(&run, &limits).len(), 39);
        assert!(followed_by_chance(&run, &limits) < 4.0);
        let stepping: Vec<Number> = (0..40).map(|n| of(500_000 + 1_000 * n)).collect();
        assert!(followed(&stepping, &limits).is_empty());
        let (step, places) = steps(&stepping, &limits);
        assert_eq!((step, places.len()), (1_000, 39));
        // No two pairs of powers of two are equally far apart.
        let far: Vec<Number> = (0..40_u64).map(|n| of(1 << n)).collect();
        assert!(followed(&far[20..], &limits).is_empty());
        assert!(steps(&far, &limits).1.len() < 3);
        assert_eq!(crowded(&far[20..], &limits).0, 0);
        let (near, by_chance) = crowded(&run, &limits);
        assert!(near == 40 && by_chance < 10.0, "{near} {by_chance}");
    }
}
