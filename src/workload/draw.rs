//! Random draws that replay from a seed: every person and every use has a stream of its own.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

/// What a stream of draws is for: streams of different uses never meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// Who a person is, and what stands in the books about them.
    Person,
    /// What a person does in the simulated days.
    Conduct,
    /// The identifiers of a person.
    Identity,
}

/// A stream of draws.
#[derive(Debug)]
pub(super) struct Draw(ChaCha20Rng);

impl Draw {
    /// The stream of person `index` for this use under `seed`.
    pub(super) fn stream(seed: u64, use_of: Stream, index: usize) -> Self {
        let mut generator = ChaCha20Rng::seed_from_u64(seed);
        let number = match use_of {
            Stream::Person => 1_u64,
            Stream::Conduct => 2,
            Stream::Identity => 3,
        };
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        generator.set_stream((number << 56) ^ index);
        Self(generator)
    }

    /// `true` with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// A number from `least` to `most`, both included; `least` where `most` is lower.
    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        self.0.random_range(least..=most.max(least))
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound.max(1))
    }

    /// One of these, each as likely; `None` of nothing.
    pub(super) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// The place of one of these weights, with a probability in proportion to it.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.0.random::<f64>() * weights.iter().sum::<f64>();
        for (place, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return place;
            }
        }
        // Rounding: the last place that can be drawn at all.
        weights
            .iter()
            .rposition(|weight| *weight > 0.0)
            .unwrap_or(0)
    }

    /// `count` different places of these weights (fewer where there are fewer), in drawn order.
    pub(super) fn places(&mut self, weights: &[f64], count: usize) -> Vec<usize> {
        let mut left = weights.to_vec();
        let mut places = Vec::new();
        while places.len() < count && left.iter().any(|weight| *weight > 0.0) {
            let place = self.weighted(&left);
            if let Some(weight) = left.get_mut(place) {
                *weight = 0.0;
            }
            places.push(place);
        }
        places
    }

    /// How often something that goes on with probability `q` goes on; at most 64.
    pub(super) fn goes_on(&mut self, q: f64) -> usize {
        let mut count = 0;
        while count < 64 && self.chance(q) {
            count += 1;
        }
        count
    }

    /// A span from `least` to `most`.
    pub(super) fn span(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.0.random::<f64>())
    }

    /// An exponential span with this mean.
    pub(super) fn exponential(&mut self, mean: Duration) -> Duration {
        let factor: f64 = Exp1.sample(&mut self.0);
        mean.mul_f64(factor.min(100.0))
    }

    /// A log-normal span with this median, and this deviation of its logarithm.
    pub(super) fn log_normal(&mut self, median: Duration, sigma: f64) -> Duration {
        let deviation: f64 = StandardNormal.sample(&mut self.0);
        median.mul_f64((sigma * deviation).exp().min(1_000.0))
    }

    /// Random bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(index: usize) -> Draw {
        Draw::stream(7, Stream::Person, index)
    }

    #[test]
    fn a_stream_replays_and_streams_differ() {
        let first: [u8; 16] = draws(1).bytes();
        assert_eq!(draws(1).bytes(), first);
        assert_ne!(draws(2).bytes(), first);
        assert_ne!(Draw::stream(7, Stream::Conduct, 1).bytes(), first);
        assert_ne!(Draw::stream(8, Stream::Person, 1).bytes(), first);
    }

    #[test]
    fn draws_have_the_means_they_name() {
        let mut draw = draws(3);
        let hour = Duration::from_secs(3_600);
        let (mut goes_on, mut exponential) = (0, Duration::ZERO);
        for _ in 0..20_000 {
            goes_on += draw.goes_on(0.4);
            exponential += draw.exponential(hour);
        }
        assert!((12_700..14_000).contains(&goes_on), "{goes_on}");
        assert!((19_000..21_000).contains(&(exponential.as_secs() / 3_600)));
        let above = (0..10_000).filter(|_| draw.log_normal(hour, 0.77) > hour);
        assert!((4_800..5_200).contains(&above.count()));
    }

    #[test]
    fn places_are_different_and_follow_the_weights() {
        let mut draw = draws(4);
        let weights = [0.0, 8.0, 1.0, 1.0];
        let mut first = [0_u32; 4];
        for _ in 0..1_000 {
            let places = draw.places(&weights, 9);
            assert_eq!(places.len(), 3, "a weight of zero is never drawn");
            first[places[0]] += 1;
        }
        assert!(first[0] == 0 && (740..860).contains(&first[1]), "{first:?}");
    }
}
