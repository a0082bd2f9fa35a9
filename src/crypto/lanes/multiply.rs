//! Multiplication of eight points by eight scalars: signed digits of four bits, tables of eight
//! multiples that are read whole for each digit.

use std::arch::x86_64::{
    __m512i, _mm512_abs_epi64, _mm512_cmpeq_epi64_mask, _mm512_movepi64_mask, _mm512_set1_epi64,
};

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, Zeroizing};

use super::field::{LANES, from_lanes};
use super::point::{Point, Projective, Summand};

/// Digits of a scalar below 2^255.
const DIGITS: usize = 64;

/// Groups of eight points whose tables are kept at a time: 160 KiB.
const TOGETHER: usize = 16;

/// The digits of eight scalars, lowest first: each digit from -8 to 8 in a lane.
struct Digits([__m512i; DIGITS]);

impl Zeroize for Digits {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// One scalar's digits in 16-adic signed form: `scalar = Σ digit · 16^place`.
fn signed(scalar: &Scalar) -> Zeroizing<[i8; DIGITS]> {
    let mut digits = Zeroizing::new([0; DIGITS]);
    let mut carry = 0;
    for (pair, byte) in digits.chunks_exact_mut(2).zip(scalar.as_bytes()) {
        for (digit, nibble) in pair.iter_mut().zip([byte & 15, byte >> 4]) {
            let sum = nibble.cast_signed() + carry;
            carry = (sum + 8) >> 4;
            *digit = sum - (carry << 4);
        }
    }
    // The highest digit of a canonical scalar is at most 2: nothing is carried out.
    digits
}

impl Digits {
    fn of(scalars: &[Scalar]) -> Zeroizing<Self> {
        let mut lanes = Zeroizing::new([[0; LANES]; DIGITS]);
        for (lane, scalar) in scalars.iter().take(LANES).enumerate() {
            for (row, digit) in lanes.iter_mut().zip(signed(scalar).iter()) {
                if let Some(place) = row.get_mut(lane) {
                    *place = i64::from(*digit).cast_unsigned();
                }
            }
        }
        let mut digits = Zeroizing::new(Self([from_lanes([0; LANES]); DIGITS]));
        for (digit, row) in digits.0.iter_mut().zip(lanes.iter()) {
            *digit = from_lanes(*row);
        }
        digits
    }

    fn common(scalar: &Scalar) -> Zeroizing<Self> {
        let mut digits = Zeroizing::new(Self([from_lanes([0; LANES]); DIGITS]));
        for (place, digit) in digits.0.iter_mut().zip(signed(scalar).iter()) {
            *place = from_lanes([i64::from(*digit).cast_unsigned(); LANES]);
        }
        digits
    }
}

/// `P, 2P, … 8P` for the point of each lane.
struct Table([Summand; 8]);

impl Zeroize for Table {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Table {
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
    fn of(point: &Point) -> Zeroizing<Self> {
        let first = point.summand();
        let mut table = Zeroizing::new(Self([first; 8]));
        let mut multiple = *point;
        for entry in table.0.iter_mut().skip(1) {
            multiple = multiple.plus(&first).point();
            *entry = multiple.summand();
        }
        multiple.zeroize();
        table
    }

    /// `digit · P` in each lane: all entries are read, whatever the digits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
    fn select(&self, digits: __m512i) -> Summand {
        let size = _mm512_abs_epi64(digits);
        let mut chosen = Summand::identity();
        for (entry, number) in self.0.iter().zip(1..) {
            let hit = _mm512_cmpeq_epi64_mask(size, _mm512_set1_epi64(number));
            chosen = chosen.or_in(hit, entry);
        }
        chosen.negated_in(_mm512_movepi64_mask(digits))
    }
}

/// `16 · point`, with `T`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
fn shifted(point: &Projective) -> Point {
    let twice = point.doubled().projective();
    let four = twice.doubled().projective();
    let eight = four.doubled().projective();
    eight.doubled().point()
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
fn multiply(point: &Point, digits: &Digits) -> Point {
    let table = Table::of(point);
    let mut sum = Point::identity();
    for digit in digits.0.iter().rev() {
        sum = shifted(&sum.projective())
            .plus(&table.select(*digit))
            .point();
    }
    sum
}

/// Each point by its own scalar.
#[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
pub(super) fn multiply_each(points: &[Point], scalars: &[Scalar], out: &mut Vec<Point>) {
    for (point, scalars) in points.iter().zip(scalars.chunks(LANES)) {
        out.push(multiply(point, &Digits::of(scalars)));
    }
}

/// All points by the same scalar.
#[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
pub(super) fn multiply_all(points: &[Point], scalar: &Scalar, out: &mut Vec<Point>) {
    let digits = Digits::common(scalar);
    for point in points {
        out.push(multiply(point, &digits));
    }
}

/// `Σ scalar · point` over all points, in every lane (Straus): doublings are shared by the
/// tables that are kept at a time.
#[target_feature(enable = "avx512f,avx512ifma,avx512dq")]
pub(super) fn sum_of_products(points: &[Point], scalars: &[Scalar]) -> Point {
    let mut total = Point::identity();
    for (points, scalars) in points
        .chunks(TOGETHER)
        .zip(scalars.chunks(TOGETHER * LANES))
    {
        let mut terms = Vec::with_capacity(TOGETHER);
        for (point, scalars) in points.iter().zip(scalars.chunks(LANES)) {
            terms.push((Table::of(point), Digits::of(scalars)));
        }
        let mut sum = Point::identity();
        for place in (0..DIGITS).rev() {
            sum = shifted(&sum.projective());
            for (table, digits) in &terms {
                if let Some(digit) = digits.0.get(place) {
                    sum = sum.plus(&table.select(*digit)).point();
                }
            }
        }
        total = total.plus(&sum.summand()).point();
    }
    total.summed()
}
