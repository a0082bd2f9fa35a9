//! Segments with every field drawn at random, for the property tests.

use super::codes::Code;
use super::coding::Width;
use crate::domain::{Day, Timestamp};

/// A sequence of numbers that follows from its seed (`SplitMix64`).
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

pub(super) trait Drawn: Sized {
    fn drawn(draw: &mut Draw, width: Width) -> Self;
}

impl Drawn for String {
    fn drawn(draw: &mut Draw, width: Width) -> Self {
        let length = draw.below(width.chars.min(width.packed) + 1);
        let drawn: Self = (0..length)
            .map(|_| char::from(b' ' + u8::try_from(draw.below(95)).unwrap()))
            .collect();
        drawn.trim_end_matches(' ').to_owned()
    }
}

impl Drawn for u64 {
    fn drawn(draw: &mut Draw, width: Width) -> Self {
        match draw.below(4) {
            0 => 0,
            1 => 10_u64.pow(u32::try_from(width.chars).unwrap()) - 1,
            _ => draw.next() % 10_u64.pow(u32::try_from(width.chars).unwrap()),
        }
    }
}

fn day(draw: &mut Draw) -> Day {
    Day::from_unix_days(i64::try_from(draw.below(2_900_000)).unwrap() - 40_000)
}

impl Drawn for Option<Day> {
    fn drawn(draw: &mut Draw, _: Width) -> Self {
        (draw.below(5) > 0).then(|| day(draw))
    }
}

impl Drawn for Option<Timestamp> {
    fn drawn(draw: &mut Draw, _: Width) -> Self {
        (draw.below(5) > 0).then(|| {
            let seconds = i64::try_from(draw.below(86_400)).unwrap();
            Timestamp::from_unix_ms(day(draw).start().unix_ms() + seconds * 1_000)
        })
    }
}

impl<C: Code> Drawn for C {
    fn drawn(draw: &mut Draw, _: Width) -> Self {
        Self::ALL[draw.below(Self::ALL.len())]
    }
}

impl<C: Code> Drawn for Option<C> {
    fn drawn(draw: &mut Draw, width: Width) -> Self {
        (draw.below(4) > 0).then(|| C::drawn(draw, width))
    }
}
