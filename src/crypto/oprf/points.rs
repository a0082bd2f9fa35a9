//! A batch of group elements, on the arithmetic that suits it: eight at a time, or
//! curve25519-dalek.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use zeroize::Zeroizing;

#[cfg(target_arch = "x86_64")]
use super::super::backend;
#[cfg(target_arch = "x86_64")]
use super::super::lanes::{LanePoints, Lanes};
use super::ELEMENT_BYTES;
use super::error::OprfError;
use super::group::{HASH_BYTES, decode};

/// Smaller batches are curve25519-dalek's. A last group of fewer than eight costs as much as a full
/// one, which is still less than dalek takes for three elements.
#[cfg(target_arch = "x86_64")]
const LANES_MIN: usize = 8;

/// What computes with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Dalek,
    #[cfg(target_arch = "x86_64")]
    Lanes(Lanes),
}

impl Arithmetic {
    /// The faster one for this many elements, of those that this process may use.
    pub(super) fn of_batch(elements: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if elements >= LANES_MIN
            && let Some(lanes) = backend::lanes()
        {
            return Self::Lanes(lanes);
        }
        Self::Dalek
    }
}

/// 64 uniform bytes to be mapped to an element, or `None` for the generator.
pub(super) type Uniform = Option<Zeroizing<[u8; HASH_BYTES]>>;

/// Group elements, wiped on drop.
pub(super) enum Points {
    Dalek(Zeroizing<Vec<RistrettoPoint>>),
    #[cfg(target_arch = "x86_64")]
    Lanes(LanePoints),
}

impl Points {
    /// Decodes a flat list of elements strictly, or names the first that is refused: not
    /// canonical, no element, or the identity (RFC 9497 §2.1).
    pub(super) fn decode(arithmetic: Arithmetic, flat: &[u8]) -> Result<Self, OprfError> {
        let (encoded, rest) = flat.as_chunks();
        if !rest.is_empty() {
            return Err(OprfError::LengthRefused(flat.len()));
        }
        match arithmetic {
            Arithmetic::Dalek => {
                let mut points = Zeroizing::new(Vec::with_capacity(encoded.len()));
                for (index, bytes) in encoded.iter().enumerate() {
                    points.push(decode(bytes).ok_or(OprfError::ElementRefused(index))?);
                }
                Ok(Self::Dalek(points))
            }
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Lanes(lanes) => {
                let identity = encoded.iter().position(|bytes| *bytes == [0; 32]);
                let points = lanes.decode(encoded).map_err(|refused| {
                    OprfError::ElementRefused(identity.map_or(refused, |index| index.min(refused)))
                })?;
                match identity {
                    Some(index) => Err(OprfError::ElementRefused(index)),
                    None => Ok(Self::Lanes(points)),
                }
            }
        }
    }

    /// Maps uniform bytes to elements (RFC 9496 §4.3.4).
    pub(super) fn from_uniform(arithmetic: Arithmetic, uniform: &[Uniform]) -> Self {
        match arithmetic {
            Arithmetic::Dalek => {
                let mut points = Zeroizing::new(Vec::with_capacity(uniform.len()));
                points.extend(uniform.iter().map(|bytes| match bytes {
                    Some(bytes) => RistrettoPoint::from_uniform_bytes(bytes),
                    None => RISTRETTO_BASEPOINT_POINT,
                }));
                Self::Dalek(points)
            }
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Lanes(lanes) => Self::Lanes(lanes.mapped(uniform)),
        }
    }

    /// What computes with this batch.
    pub(super) fn arithmetic(&self) -> Arithmetic {
        match self {
            Self::Dalek(_) => Arithmetic::Dalek,
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => Arithmetic::Lanes(points.lanes()),
        }
    }

    /// Elements in the batch.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Dalek(points) => points.len(),
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => points.len(),
        }
    }

    /// The index of the first identity.
    pub(super) fn first_identity(&self) -> Option<usize> {
        match self {
            Self::Dalek(points) => points.iter().position(IsIdentity::is_identity),
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => points.first_identity(),
        }
    }

    /// Each element by its own scalar, as many as elements; in constant time.
    pub(super) fn multiplied_each(&self, scalars: &[Scalar]) -> Self {
        match self {
            Self::Dalek(points) => {
                let mut products = Zeroizing::new(Vec::with_capacity(points.len()));
                products.extend(
                    points
                        .iter()
                        .zip(scalars)
                        .map(|(point, scalar)| point * scalar),
                );
                Self::Dalek(products)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => Self::Lanes(points.multiply_each(scalars)),
        }
    }

    /// All elements by one scalar, in constant time.
    pub(super) fn multiplied(&self, scalar: &Scalar) -> Self {
        match self {
            Self::Dalek(points) => {
                let mut products = Zeroizing::new(Vec::with_capacity(points.len()));
                products.extend(points.iter().map(|point| point * scalar));
                Self::Dalek(products)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => Self::Lanes(points.multiply_all(scalar)),
        }
    }

    /// The encodings of twice the elements, flat, with a single field inversion for all of them.
    pub(super) fn encode_doubled(&self) -> Vec<u8> {
        match self {
            Self::Dalek(points) => encode_doubled(points),
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => points.encode_doubled(),
        }
    }

    /// `Σ scalar · element`, for public values only: curve25519-dalek's runs in variable time.
    pub(super) fn sum(&self, scalars: &[Scalar]) -> RistrettoPoint {
        match self {
            Self::Dalek(points) => RistrettoPoint::vartime_multiscalar_mul(scalars, points.iter()),
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(points) => {
                let halves: Vec<Scalar> = scalars.iter().map(Scalar::div_by_2).collect();
                // An encoding that the lanes made decodes; the identity would make a proof fail.
                CompressedRistretto::from_slice(&points.sum_doubled(&halves))
                    .ok()
                    .and_then(|encoded| encoded.decompress())
                    .unwrap_or_default()
            }
        }
    }
}

/// The encodings of twice the given points, flat, with a single field inversion for all of them.
pub(super) fn encode_doubled(halves: &[RistrettoPoint]) -> Vec<u8> {
    let encoded = RistrettoPoint::double_and_compress_batch(halves);
    let mut flat = Vec::with_capacity(encoded.len().saturating_mul(ELEMENT_BYTES));
    for element in &encoded {
        flat.extend_from_slice(element.as_bytes());
    }
    flat
}
