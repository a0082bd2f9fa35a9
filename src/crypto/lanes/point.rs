//! Eight points of the twisted Edwards curve with `a = -1`, in extended coordinates, and the
//! complete formulas of Hisil, Wong, Carter and Dawson on them.

use std::arch::x86_64::{__mmask8, _mm512_shuffle_epi32};

use zeroize::Zeroize;

use super::constants::{BASE_T, BASE_X, BASE_Y, D2};
use super::field::Fe;

/// `x = X/Z`, `y = Y/Z`, `xy = T/Z`.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
    pub(super) t: Fe,
}

/// A point without `T`, which a doubling does not need.
#[derive(Clone, Copy)]
pub(super) struct Projective {
    x: Fe,
    y: Fe,
    z: Fe,
}

/// What a formula ends with: `X = EF`, `Y = GH`, `Z = FG`, `T = EH`.
#[derive(Clone, Copy)]
pub(super) struct Completed {
    pub(super) e: Fe,
    pub(super) f: Fe,
    pub(super) g: Fe,
    pub(super) h: Fe,
}

/// A summand: `Y + X`, `Y - X`, `2Z`, `2dT`.
#[derive(Clone, Copy)]
pub(super) struct Summand {
    pub(super) plus: Fe,
    pub(super) minus: Fe,
    pub(super) z2: Fe,
    pub(super) t2d: Fe,
}

impl Zeroize for Point {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
        self.z.zeroize();
        self.t.zeroize();
    }
}

impl Zeroize for Summand {
    fn zeroize(&mut self) {
        self.plus.zeroize();
        self.minus.zeroize();
        self.z2.zeroize();
        self.t2d.zeroize();
    }
}

impl Point {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn identity() -> Self {
        Self {
            x: Fe::zero(),
            y: Fe::one(),
            z: Fe::one(),
            t: Fe::zero(),
        }
    }

    /// The generator of the group in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn generator() -> Self {
        Self {
            x: Fe::splat(&BASE_X),
            y: Fe::splat(&BASE_Y),
            z: Fe::one(),
            t: Fe::splat(&BASE_T),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn projective(&self) -> Projective {
        Projective {
            x: self.x,
            y: self.y,
            z: self.z,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn summand(&self) -> Summand {
        Summand {
            plus: self.y.plus(&self.x).carry(),
            minus: self.y.minus(&self.x).carry(),
            z2: self.z.plus(&self.z).carry(),
            t2d: self.t.mul(&Fe::splat(&D2)),
        }
    }

    /// `self + other`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn plus(&self, other: &Summand) -> Completed {
        let a = self.y.minus(&self.x).carry().product(&other.minus);
        let b = self.y.plus(&self.x).carry().product(&other.plus);
        let c = self.t.product(&other.t2d);
        let d = self.z.product(&other.z2);
        Completed {
            e: b.minus(&a),
            f: d.minus(&c),
            g: d.plus(&c),
            h: b.plus(&a),
        }
    }

    /// `other` in the lanes of `mask`, `self` in the others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn or_in(&self, mask: __mmask8, other: &Self) -> Self {
        Self {
            x: self.x.or_in(mask, &other.x),
            y: self.y.or_in(mask, &other.y),
            z: self.z.or_in(mask, &other.z),
            t: self.t.or_in(mask, &other.t),
        }
    }

    /// The lanes that hold the identity of the group, a coset of four points of the curve
    /// (RFC 9496 §4.3.3).
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn is_identity(&self) -> __mmask8 {
        self.x.is_zero() | self.y.is_zero()
    }

    /// The sum over all lanes, in every lane.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn summed(&self) -> Self {
        let fours = Self {
            x: self.x.pairs_moved::<0x4e>(),
            y: self.y.pairs_moved::<0x4e>(),
            z: self.z.pairs_moved::<0x4e>(),
            t: self.t.pairs_moved::<0x4e>(),
        };
        let sum = self.plus(&fours.summand()).point();
        let twos = Self {
            x: sum.x.pairs_moved::<0xb1>(),
            y: sum.y.pairs_moved::<0xb1>(),
            z: sum.z.pairs_moved::<0xb1>(),
            t: sum.t.pairs_moved::<0xb1>(),
        };
        let sum = sum.plus(&twos.summand()).point();
        let ones = Self {
            x: neighbours(&sum.x),
            y: neighbours(&sum.y),
            z: neighbours(&sum.z),
            t: neighbours(&sum.t),
        };
        sum.plus(&ones.summand()).point()
    }
}

/// Each lane's neighbour in its pair.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn neighbours(fe: &Fe) -> Fe {
    let [l0, l1, l2, l3, l4] = fe.0;
    Fe([
        _mm512_shuffle_epi32::<0x4e>(l0),
        _mm512_shuffle_epi32::<0x4e>(l1),
        _mm512_shuffle_epi32::<0x4e>(l2),
        _mm512_shuffle_epi32::<0x4e>(l3),
        _mm512_shuffle_epi32::<0x4e>(l4),
    ])
}

impl Projective {
    /// `2 · self`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn doubled(&self) -> Completed {
        let xx = self.x.squared_product();
        let yy = self.y.squared_product();
        let zz = self.z.squared_product();
        Completed {
            e: self.x.product(&self.y).doubled(),
            f: zz.doubled_plus_minus(&xx, &yy),
            g: yy.minus(&xx),
            h: yy.plus(&xx),
        }
    }
}

impl Completed {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn point(&self) -> Point {
        Point {
            x: self.e.mul(&self.f),
            y: self.g.mul(&self.h),
            z: self.f.mul(&self.g),
            t: self.e.mul(&self.h),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn projective(&self) -> Projective {
        Projective {
            x: self.e.mul(&self.f),
            y: self.g.mul(&self.h),
            z: self.f.mul(&self.g),
        }
    }
}

impl Summand {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn identity() -> Self {
        Self {
            plus: Fe::one(),
            minus: Fe::one(),
            z2: Fe::splat(&[2, 0, 0, 0, 0]),
            t2d: Fe::zero(),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn or_in(&self, mask: __mmask8, other: &Self) -> Self {
        Self {
            plus: self.plus.or_in(mask, &other.plus),
            minus: self.minus.or_in(mask, &other.minus),
            z2: self.z2.or_in(mask, &other.z2),
            t2d: self.t2d.or_in(mask, &other.t2d),
        }
    }

    /// `-self` in the lanes of `mask`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn negated_in(&self, mask: __mmask8) -> Self {
        Self {
            plus: self.plus.or_in(mask, &self.minus),
            minus: self.minus.or_in(mask, &self.plus),
            z2: self.z2,
            t2d: self.t2d.negated_in(mask),
        }
    }
}
