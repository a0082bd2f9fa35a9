//! What a process checks before it trusts the lanes: every operation on a small batch, against
//! curve25519-dalek.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use zeroize::Zeroizing;

use super::Lanes;

/// More than one group of eight, and a last one that is not full.
const BATCH: u8 = 13;

fn uniform(number: u8) -> [u8; 64] {
    let mut bytes = [number; 64];
    for (place, byte) in (0..).zip(bytes.iter_mut()) {
        *byte = byte.wrapping_mul(37).wrapping_add(number ^ place);
    }
    bytes
}

fn doubled(points: &[RistrettoPoint]) -> Vec<u8> {
    RistrettoPoint::double_and_compress_batch(points)
        .iter()
        .flat_map(|encoded| encoded.to_bytes())
        .collect()
}

pub(super) fn agrees_with_dalek(lanes: Lanes) -> bool {
    let strings: Vec<[u8; 64]> = (0..BATCH).map(uniform).collect();
    let scalars: Vec<Scalar> = strings
        .iter()
        .map(Scalar::from_bytes_mod_order_wide)
        .collect();
    let points: Vec<RistrettoPoint> = strings
        .iter()
        .map(RistrettoPoint::from_uniform_bytes)
        .collect();
    let products: Vec<RistrettoPoint> = points.iter().zip(&scalars).map(|(p, s)| p * s).collect();
    let sum = RistrettoPoint::multiscalar_mul(&scalars, &points);
    let last = scalars.last().copied().unwrap_or_default();
    let by_last: Vec<RistrettoPoint> = points.iter().map(|point| point * last).collect();

    let wrapped: Vec<Option<Zeroizing<[u8; 64]>>> = strings
        .iter()
        .map(|string| Some(Zeroizing::new(*string)))
        .collect();
    let mapped = lanes.mapped(&wrapped);
    let encoded = mapped.encode_doubled();
    let (elements, _) = encoded.as_chunks();
    let Ok(decoded) = lanes.decode(elements) else {
        return false;
    };
    let twice: Vec<RistrettoPoint> = points.iter().map(|point| point + point).collect();
    encoded == doubled(&points)
        && decoded.encode_doubled() == doubled(&twice)
        && mapped.multiply_each(&scalars).encode_doubled() == doubled(&products)
        && mapped.multiply_all(&last).encode_doubled() == doubled(&by_last)
        && mapped.sum_doubled(&scalars) == doubled(&[sum])
        && lanes.decode(&[[0xff; 32]]).is_err()
}
