//! Group arithmetic on eight elements at a time, for processors with AVX-512 IFMA.
//!
//! This is the only module with `unsafe` code. [`Lanes`] is proof that the processor has the
//! instructions, so everything that takes one is safe. `docs/lanes.md` has the construction, the
//! bounds of the limbs, and why nothing here depends on a secret but the result.

#![expect(
    unsafe_code,
    reason = "vector instructions are only sound where the processor has them"
)]

mod constants;

mod field;

mod multiply;

mod point;

mod ristretto;

mod root;

mod self_test;

#[cfg(test)]
mod tests;

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, Zeroizing};

use field::LANES;
use point::Point;

/// Bytes of an encoded element (RFC 9496 §4.3.2).
const ELEMENT_BYTES: usize = 32;

/// Proof that the processor has AVX-512 F, DQ and IFMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes(());

impl Lanes {
    /// The proof, where the processor has the instructions.
    pub(super) fn detect() -> Option<Self> {
        let present = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512ifma");
        present.then_some(Self(()))
    }

    /// Whether the lanes agree with curve25519-dalek on a small batch.
    pub(super) fn agrees_with_dalek(self) -> bool {
        self_test::agrees_with_dalek(self)
    }

    /// Decodes elements strictly (RFC 9496 §4.3.1). The identity is an element.
    ///
    /// # Errors
    /// The index of the first string that encodes no element.
    pub(super) fn decode(self, encoded: &[[u8; ELEMENT_BYTES]]) -> Result<LanePoints, usize> {
        let mut groups = self.groups(encoded.len());
        for (group, strings) in encoded.chunks(LANES).enumerate() {
            // SAFETY: the token proves that the processor has the instructions.
            let (sound, point) = unsafe { ristretto::decode(strings) };
            if sound != u8::MAX {
                let lane = usize::try_from(sound.trailing_ones()).unwrap_or(LANES);
                return Err(group * LANES + lane);
            }
            groups.groups.push(point);
        }
        Ok(groups)
    }

    /// The element of each string of 64 uniform bytes (RFC 9496 §4.3.4), and the generator for
    /// each `None`.
    pub(super) fn mapped(self, uniform: &[Option<Zeroizing<[u8; 64]>>]) -> LanePoints {
        let mut groups = self.groups(uniform.len());
        for strings in uniform.chunks(LANES) {
            // SAFETY: the token proves that the processor has the instructions.
            groups
                .groups
                .push(unsafe { ristretto::from_uniform(strings) });
        }
        groups
    }

    fn groups(self, len: usize) -> LanePoints {
        LanePoints {
            groups: Vec::with_capacity(len.div_ceil(LANES)),
            len,
            lanes: self,
        }
    }
}

/// A batch of elements in lanes, wiped on drop. Lanes of the last group that are not used hold
/// some element.
pub(super) struct LanePoints {
    groups: Vec<Point>,
    len: usize,
    lanes: Lanes,
}

impl LanePoints {
    /// The proof that the batch was made with.
    pub(super) fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Elements in the batch.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The index of the first element that is the identity.
    pub(super) fn first_identity(&self) -> Option<usize> {
        for (group, point) in self.groups.iter().enumerate() {
            // SAFETY: the token proves that the processor has the instructions.
            let identities = unsafe { point.is_identity() };
            let lane = usize::try_from(identities.trailing_zeros()).unwrap_or(LANES);
            let index = group * LANES + lane;
            if lane < LANES && index < self.len {
                return Some(index);
            }
        }
        None
    }

    /// Each element by its own scalar, in constant time.
    pub(super) fn multiply_each(&self, scalars: &[Scalar]) -> Self {
        debug_assert_eq!(scalars.len(), self.len);
        let mut product = self.lanes.groups(self.len);
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { multiply::multiply_each(&self.groups, scalars, &mut product.groups) };
        product
    }

    /// All elements by the same scalar, in constant time.
    pub(super) fn multiply_all(&self, scalar: &Scalar) -> Self {
        let mut product = self.lanes.groups(self.len);
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { multiply::multiply_all(&self.groups, scalar, &mut product.groups) };
        product
    }

    /// The encodings of twice the elements, flat.
    pub(super) fn encode_doubled(&self) -> Vec<u8> {
        let mut flat = Vec::with_capacity(self.groups.len() * LANES * ELEMENT_BYTES);
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { ristretto::encode_doubled(&self.groups, &mut flat) };
        flat.truncate(self.len * ELEMENT_BYTES);
        flat
    }

    /// The encoding of twice `Σ scalar · element`.
    pub(super) fn sum_doubled(&self, scalars: &[Scalar]) -> Vec<u8> {
        debug_assert_eq!(scalars.len(), self.len);
        let mut flat = Vec::with_capacity(LANES * ELEMENT_BYTES);
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            let sum = multiply::sum_of_products(&self.groups, scalars);
            ristretto::encode_doubled(&[sum], &mut flat);
        }
        flat.truncate(ELEMENT_BYTES);
        flat
    }
}

impl Drop for LanePoints {
    fn drop(&mut self) {
        self.groups.zeroize();
    }
}
