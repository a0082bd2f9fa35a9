//! Eight elements of the field of 2^255 - 19, one in each 64-bit lane, in five limbs of 51 bits.
//!
//! An [`Fe`] is *tight*: each limb is below 2^51 + 2^13, so a factor of it fits the 52 bits that
//! the multiplier takes. A [`Sum`] is what additions give; it is no factor before it is carried.
//! `docs/lanes.md` has the argument for the bounds.

use std::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_or_si512,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_sub_epi64, _mm512_test_epi64_mask,
};

use zeroize::Zeroize;

/// Lanes of a vector.
pub(super) const LANES: usize = 8;

/// `2^51 - 1`.
const LIMB: i64 = 0x7_ffff_ffff_ffff;

/// 256 times the lowest limb of the prime.
const MANY_P_LOW: i64 = 0x7ff_ffff_ffff_ed00;

/// 256 times each other limb of the prime.
const MANY_P_HIGH: i64 = 0x7ff_ffff_ffff_ff00;

/// Twice the lowest limb of the prime.
const TWO_P_LOW: i64 = 0xf_ffff_ffff_ffda;

/// Twice each other limb of the prime.
const TWO_P_HIGH: i64 = 0xf_ffff_ffff_fffe;

/// Eight elements, tight: each limb is below 2^51 + 2^13.
#[derive(Clone, Copy)]
pub(super) struct Fe(pub(super) [__m512i; 5]);

/// A sum of tight elements and twice the prime, at most eight of both: each limb is below 2^56.
#[derive(Clone, Copy)]
pub(super) struct Sum([__m512i; 5]);

/// A product that was not carried: each limb is below 125 · 2^52.
#[derive(Clone, Copy)]
pub(super) struct Product([__m512i; 5]);

impl Zeroize for Fe {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// The number in each lane of a vector.
pub(super) fn to_lanes(vector: __m512i) -> [u64; LANES] {
    // SAFETY: both types are 64 bytes of which every pattern is a value.
    unsafe { std::mem::transmute(vector) }
}

/// A vector of one number for each lane.
pub(super) fn from_lanes(lanes: [u64; LANES]) -> __m512i {
    // SAFETY: both types are 64 bytes of which every pattern is a value.
    unsafe { std::mem::transmute(lanes) }
}

/// `start + Σ low 52 bits of a·b`, or of the high ones.
macro_rules! products {
    ($step:ident, $start:expr, $(($a:ident, $b:ident)),+) => {{
        let mut sum = $start;
        $(sum = $step(sum, $a, $b);)+
        sum
    }};
}

/// `2·a`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn twice(a: __m512i) -> __m512i {
    _mm512_add_epi64(a, a)
}

/// `9·a`, from which `19·a` follows as `2·9·a + a` along with another doubling.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn ninefold(a: __m512i) -> __m512i {
    _mm512_add_epi64(a, _mm512_slli_epi64::<3>(a))
}

/// `2·a + b`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn twice_plus(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(twice(a), b)
}

/// One parallel carry pass: limbs below 2^61, the highest below 200 · 2^52, become tight.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carried(limbs: [__m512i; 5]) -> Fe {
    let [r0, r1, r2, r3, r4] = limbs;
    let mask = _mm512_set1_epi64(LIMB);
    let c0 = _mm512_srli_epi64::<51>(r0);
    let c1 = _mm512_srli_epi64::<51>(r1);
    let c2 = _mm512_srli_epi64::<51>(r2);
    let c3 = _mm512_srli_epi64::<51>(r3);
    let c4 = _mm512_srli_epi64::<51>(r4);
    let nineteen = _mm512_set1_epi64(19);
    Fe([
        _mm512_madd52lo_epu64(_mm512_and_si512(r0, mask), c4, nineteen),
        _mm512_add_epi64(_mm512_and_si512(r1, mask), c0),
        _mm512_add_epi64(_mm512_and_si512(r2, mask), c1),
        _mm512_add_epi64(_mm512_and_si512(r3, mask), c2),
        _mm512_add_epi64(_mm512_and_si512(r4, mask), c3),
    ])
}

impl Fe {
    /// The same element in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn splat(limbs: &[u64; 5]) -> Self {
        let [l0, l1, l2, l3, l4] = *limbs;
        Self([
            _mm512_set1_epi64(l0.cast_signed()),
            _mm512_set1_epi64(l1.cast_signed()),
            _mm512_set1_epi64(l2.cast_signed()),
            _mm512_set1_epi64(l3.cast_signed()),
            _mm512_set1_epi64(l4.cast_signed()),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn zero() -> Self {
        Self([_mm512_setzero_si512(); 5])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn one() -> Self {
        Self::splat(&[1, 0, 0, 0, 0])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn mul(&self, other: &Self) -> Self {
        self.product(other).carry()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn square(&self) -> Self {
        self.squared_product().carry()
    }

    /// `self · other`. The high half of a product of two limbs weighs twice the low half of the
    /// next place.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn product(&self, other: &Self) -> Product {
        use {_mm512_madd52hi_epu64 as hi, _mm512_madd52lo_epu64 as lo};
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let z = _mm512_setzero_si512();
        let h5 = products!(hi, z, (a0, b4), (a1, b3), (a2, b2), (a3, b1), (a4, b0));
        let h6 = products!(hi, z, (a1, b4), (a2, b3), (a3, b2), (a4, b1));
        let h7 = products!(hi, z, (a2, b4), (a3, b3), (a4, b2));
        let h8 = products!(hi, z, (a3, b4), (a4, b3));
        let z5 = products!(lo, twice(h5), (a1, b4), (a2, b3), (a3, b2), (a4, b1));
        let z6 = products!(lo, twice(h6), (a2, b4), (a3, b3), (a4, b2));
        let z7 = products!(lo, twice(h7), (a3, b4), (a4, b3));
        let z8 = lo(twice(h8), a4, b4);
        let z9 = twice(hi(z, a4, b4));
        let h0 = ninefold(z5);
        let h1 = hi(ninefold(z6), a0, b0);
        let h2 = products!(hi, ninefold(z7), (a0, b1), (a1, b0));
        let h3 = products!(hi, ninefold(z8), (a0, b2), (a1, b1), (a2, b0));
        let h4 = products!(hi, ninefold(z9), (a0, b3), (a1, b2), (a2, b1), (a3, b0));
        let (s0, s1, s2) = (twice_plus(h0, z5), twice_plus(h1, z6), twice_plus(h2, z7));
        let (s3, s4) = (twice_plus(h3, z8), twice_plus(h4, z9));
        Product([
            lo(s0, a0, b0),
            products!(lo, s1, (a0, b1), (a1, b0)),
            products!(lo, s2, (a0, b2), (a1, b1), (a2, b0)),
            products!(lo, s3, (a0, b3), (a1, b2), (a2, b1), (a3, b0)),
            products!(lo, s4, (a0, b4), (a1, b3), (a2, b2), (a3, b1), (a4, b0)),
        ])
    }

    /// `self²`. The high half of a product of two different limbs weighs four times, its low half
    /// and the high half of a square twice.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn squared_product(&self) -> Product {
        use {_mm512_madd52hi_epu64 as hi, _mm512_madd52lo_epu64 as lo};
        let [a0, a1, a2, a3, a4] = self.0;
        let z = _mm512_setzero_si512();
        let h5 = twice(products!(hi, z, (a0, a4), (a1, a3)));
        let h6 = twice(products!(hi, z, (a1, a4), (a2, a3)));
        let h7 = twice(hi(z, a2, a4));
        let z5 = twice(products!(lo, hi(h5, a2, a2), (a1, a4), (a2, a3)));
        let z6 = lo(twice(lo(h6, a2, a4)), a3, a3);
        let z7 = twice(lo(hi(h7, a3, a3), a3, a4));
        let z8 = lo(_mm512_slli_epi64::<2>(hi(z, a3, a4)), a4, a4);
        let z9 = twice(hi(z, a4, a4));
        let h2 = twice_plus(hi(z, a0, a1), ninefold(z7));
        let h3 = twice_plus(hi(z, a0, a2), ninefold(z8));
        let h4 = twice_plus(products!(hi, z, (a0, a3), (a1, a2)), ninefold(z9));
        let t1 = lo(hi(ninefold(z6), a0, a0), a0, a1);
        let t2 = lo(h2, a0, a2);
        let t3 = products!(lo, hi(h3, a1, a1), (a0, a3), (a1, a2));
        let t4 = products!(lo, h4, (a0, a4), (a1, a3));
        Product([
            lo(twice_plus(ninefold(z5), z5), a0, a0),
            twice_plus(t1, z6),
            lo(twice_plus(t2, z7), a1, a1),
            twice_plus(t3, z8),
            lo(twice_plus(t4, z9), a2, a2),
        ])
    }

    /// `self` squared `times` times.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn squared(&self, times: u32) -> Self {
        let mut power = *self;
        for _ in 0..times {
            power = power.square();
        }
        power
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, other: &Self) -> Sum {
        Sum(self.0).plus(other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn minus(&self, other: &Self) -> Sum {
        Sum(self.0).minus(other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn negated(&self) -> Self {
        Self::zero().minus(self).carry()
    }

    /// `other` in the lanes of `mask`, `self` in the others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn or_in(&self, mask: __mmask8, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        Self([
            _mm512_mask_blend_epi64(mask, a0, b0),
            _mm512_mask_blend_epi64(mask, a1, b1),
            _mm512_mask_blend_epi64(mask, a2, b2),
            _mm512_mask_blend_epi64(mask, a3, b3),
            _mm512_mask_blend_epi64(mask, a4, b4),
        ])
    }

    /// `-self` in the lanes of `mask`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn negated_in(&self, mask: __mmask8) -> Self {
        self.or_in(mask, &self.negated())
    }

    /// The one representation below the prime.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn canonical(&self) -> Self {
        let [l0, l1, l2, l3, l4] = self.0;
        let mask = _mm512_set1_epi64(LIMB);
        let nineteen = _mm512_set1_epi64(19);
        // The quotient by the prime is 0 or 1: what carries out of the top when 19 is added.
        let mut q = _mm512_srli_epi64::<51>(_mm512_add_epi64(l0, nineteen));
        q = _mm512_srli_epi64::<51>(_mm512_add_epi64(l1, q));
        q = _mm512_srli_epi64::<51>(_mm512_add_epi64(l2, q));
        q = _mm512_srli_epi64::<51>(_mm512_add_epi64(l3, q));
        q = _mm512_srli_epi64::<51>(_mm512_add_epi64(l4, q));
        let r0 = _mm512_madd52lo_epu64(l0, q, nineteen);
        let r1 = _mm512_add_epi64(l1, _mm512_srli_epi64::<51>(r0));
        let r2 = _mm512_add_epi64(l2, _mm512_srli_epi64::<51>(r1));
        let r3 = _mm512_add_epi64(l3, _mm512_srli_epi64::<51>(r2));
        let r4 = _mm512_add_epi64(l4, _mm512_srli_epi64::<51>(r3));
        Self([
            _mm512_and_si512(r0, mask),
            _mm512_and_si512(r1, mask),
            _mm512_and_si512(r2, mask),
            _mm512_and_si512(r3, mask),
            _mm512_and_si512(r4, mask),
        ])
    }

    /// The lanes that hold zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn is_zero(&self) -> __mmask8 {
        let [l0, l1, l2, l3, l4] = self.canonical().0;
        let low = _mm512_or_si512(_mm512_or_si512(l0, l1), _mm512_or_si512(l2, l3));
        _mm512_cmpeq_epi64_mask(_mm512_or_si512(low, l4), _mm512_setzero_si512())
    }

    /// The lanes that hold a negative element: an odd one (RFC 9496 §3.1).
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn is_negative(&self) -> __mmask8 {
        let [low, ..] = self.canonical().0;
        _mm512_test_epi64_mask(low, _mm512_set1_epi64(1))
    }

    /// Each lane's element from four little-endian words; the highest bit is dropped.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn from_words(words: &[__m512i; 4]) -> Self {
        let [w0, w1, w2, w3] = *words;
        let mask = _mm512_set1_epi64(LIMB);
        let or = |a, b| _mm512_or_si512(a, b);
        let l1 = or(_mm512_srli_epi64::<51>(w0), _mm512_slli_epi64::<13>(w1));
        let l2 = or(_mm512_srli_epi64::<38>(w1), _mm512_slli_epi64::<26>(w2));
        let l3 = or(_mm512_srli_epi64::<25>(w2), _mm512_slli_epi64::<39>(w3));
        Self([
            _mm512_and_si512(w0, mask),
            _mm512_and_si512(l1, mask),
            _mm512_and_si512(l2, mask),
            _mm512_and_si512(l3, mask),
            _mm512_and_si512(_mm512_srli_epi64::<12>(w3), mask),
        ])
    }

    /// The canonical little-endian words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn to_words(self) -> [__m512i; 4] {
        let [l0, l1, l2, l3, l4] = self.canonical().0;
        let or = |a, b| _mm512_or_si512(a, b);
        [
            or(l0, _mm512_slli_epi64::<51>(l1)),
            or(_mm512_srli_epi64::<13>(l1), _mm512_slli_epi64::<38>(l2)),
            or(_mm512_srli_epi64::<26>(l2), _mm512_slli_epi64::<25>(l3)),
            or(_mm512_srli_epi64::<39>(l3), _mm512_slli_epi64::<12>(l4)),
        ]
    }

    /// The lanes moved round: by four (`PERM = 0x4e`) or by two (`0xb1`).
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn pairs_moved<const PERM: i32>(&self) -> Self {
        let [l0, l1, l2, l3, l4] = self.0;
        Self([
            _mm512_shuffle_i64x2::<PERM>(l0, l0),
            _mm512_shuffle_i64x2::<PERM>(l1, l1),
            _mm512_shuffle_i64x2::<PERM>(l2, l2),
            _mm512_shuffle_i64x2::<PERM>(l3, l3),
            _mm512_shuffle_i64x2::<PERM>(l4, l4),
        ])
    }
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, other: &Fe) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        Self([
            _mm512_add_epi64(a0, b0),
            _mm512_add_epi64(a1, b1),
            _mm512_add_epi64(a2, b2),
            _mm512_add_epi64(a3, b3),
            _mm512_add_epi64(a4, b4),
        ])
    }

    /// Twice the prime is added first, each limb of which is above that of a tight element.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn minus(&self, other: &Fe) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let low = _mm512_set1_epi64(TWO_P_LOW);
        let high = _mm512_set1_epi64(TWO_P_HIGH);
        Self([
            _mm512_add_epi64(a0, _mm512_sub_epi64(low, b0)),
            _mm512_add_epi64(a1, _mm512_sub_epi64(high, b1)),
            _mm512_add_epi64(a2, _mm512_sub_epi64(high, b2)),
            _mm512_add_epi64(a3, _mm512_sub_epi64(high, b3)),
            _mm512_add_epi64(a4, _mm512_sub_epi64(high, b4)),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn carry(&self) -> Fe {
        carried(self.0)
    }
}

impl Product {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn carry(&self) -> Fe {
        carried(self.0)
    }

    /// `2 · self`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn doubled(&self) -> Fe {
        let [a0, a1, a2, a3, a4] = self.0;
        carried([twice(a0), twice(a1), twice(a2), twice(a3), twice(a4)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, other: &Self) -> Fe {
        let sum = Sum(self.0).plus(&Fe(other.0));
        carried(sum.0)
    }

    /// `self - other`: 256 times the prime is added, each limb of which is above that of a product.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn minus(&self, other: &Self) -> Fe {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let low = _mm512_set1_epi64(MANY_P_LOW);
        let high = _mm512_set1_epi64(MANY_P_HIGH);
        carried([
            _mm512_add_epi64(a0, _mm512_sub_epi64(low, b0)),
            _mm512_add_epi64(a1, _mm512_sub_epi64(high, b1)),
            _mm512_add_epi64(a2, _mm512_sub_epi64(high, b2)),
            _mm512_add_epi64(a3, _mm512_sub_epi64(high, b3)),
            _mm512_add_epi64(a4, _mm512_sub_epi64(high, b4)),
        ])
    }

    /// `2 · self + plus - minus`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn doubled_plus_minus(&self, plus: &Self, minus: &Self) -> Fe {
        let [a0, a1, a2, a3, a4] = self.0;
        let [b0, b1, b2, b3, b4] = plus.0;
        Self([
            twice_plus(a0, b0),
            twice_plus(a1, b1),
            twice_plus(a2, b2),
            twice_plus(a3, b3),
            twice_plus(a4, b4),
        ])
        .minus(minus)
    }
}
