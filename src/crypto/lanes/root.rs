//! Inverses and square roots: powers that take the same steps for every element.

use std::arch::x86_64::__mmask8;

use super::constants::SQRT_M1;
use super::field::Fe;

impl Fe {
    /// `self^(2^250 - 1)` and `self^11`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn power_of_ones(&self) -> (Self, Self) {
        let two = self.square();
        let nine = two.squared(2).mul(self);
        let eleven = nine.mul(&two);
        let ones_5 = eleven.square().mul(&nine);
        let ones_10 = ones_5.squared(5).mul(&ones_5);
        let ones_20 = ones_10.squared(10).mul(&ones_10);
        let ones_40 = ones_20.squared(20).mul(&ones_20);
        let ones_50 = ones_40.squared(10).mul(&ones_10);
        let ones_100 = ones_50.squared(50).mul(&ones_50);
        let ones_200 = ones_100.squared(100).mul(&ones_100);
        (ones_200.squared(50).mul(&ones_50), eleven)
    }

    /// `1 / self`, and zero for zero: `self^(p - 2)`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn inverse(&self) -> Self {
        let (ones_250, eleven) = self.power_of_ones();
        ones_250.squared(5).mul(&eleven)
    }

    /// `SQRT_RATIO_M1(self, divisor)` (RFC 9496 §4.2): the lanes in which `self / divisor` is a
    /// square, and the non-negative root of it, or of `SQRT_M1` times it in the other lanes.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn sqrt_ratio(&self, divisor: &Self) -> (__mmask8, Self) {
        let v3 = divisor.square().mul(divisor);
        let v7 = v3.square().mul(divisor);
        let uv7 = self.mul(&v7);
        let (ones_250, _) = uv7.power_of_ones();
        // (p - 5) / 8 = 2^252 - 3
        let root = self.mul(&v3).mul(&ones_250.squared(2).mul(&uv7));
        let check = divisor.mul(&root.square());

        let i = Self::splat(&SQRT_M1);
        let correct = check.minus(self).carry().is_zero();
        let flipped = check.plus(self).carry().is_zero();
        let flipped_i = check.plus(&self.mul(&i)).carry().is_zero();
        let root = root.or_in(flipped | flipped_i, &root.mul(&i));
        let root = root.negated_in(root.is_negative());
        (correct | flipped, root)
    }
}
