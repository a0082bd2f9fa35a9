//! The lanes against RFC 9496 and curve25519-dalek. `CREDITMESH_LANES_CASES` sets how many random
//! elements the differential test takes: `docs/lanes.md` has the figure of the last long run.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, VartimeMultiscalarMul};
use data_encoding::HEXLOWER;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use zeroize::Zeroizing;

use super::constants::SQRT_M1;
use super::field::Fe;
use super::point::Point;
use super::*;

const VECTORS: &str = include_str!("../../../tests/vectors/data/ristretto255.tsv");

/// Random elements of the differential test unless it is told otherwise.
const CASES: usize = 2_048;

fn rows(kind: &str) -> Vec<(&'static str, &'static str)> {
    VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row[0] == kind)
        .map(|row| (row[1], row[2]))
        .collect()
}

fn element(text: &str) -> [u8; 32] {
    HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

fn doubled(points: &[RistrettoPoint]) -> Vec<u8> {
    RistrettoPoint::double_and_compress_batch(points)
        .iter()
        .flat_map(|encoded| encoded.to_bytes())
        .collect()
}

fn half() -> Scalar {
    Scalar::from(2_u8).invert()
}

/// On a machine without the instructions there is nothing to test.
fn lanes() -> Option<Lanes> {
    Lanes::detect()
}

#[test]
fn self_test_passes_where_the_lanes_run() {
    if let Some(lanes) = lanes() {
        assert!(lanes.agrees_with_dalek());
    }
}

#[test]
fn multiples_of_the_generator_are_those_of_rfc_9496() {
    let Some(lanes) = lanes() else { return };
    let (numbers, encodings): (Vec<_>, Vec<_>) = rows("multiple").into_iter().unzip();
    let scalars: Vec<Scalar> = numbers
        .iter()
        .map(|number| Scalar::from(number.parse::<u8>().unwrap()) * half())
        .collect();
    let generators = lanes.mapped(&vec![None; scalars.len()]);
    let products = generators.multiply_each(&scalars);
    assert_eq!(
        HEXLOWER.encode(&products.encode_doubled()),
        encodings.concat()
    );
    assert_eq!(products.first_identity(), Some(0));

    let elements: Vec<[u8; 32]> = encodings.iter().map(|text| element(text)).collect();
    let decoded = lanes.decode(&elements).unwrap();
    let again = decoded.multiply_all(&half()).encode_doubled();
    assert_eq!(HEXLOWER.encode(&again), encodings.concat());
}

#[test]
fn uniform_bytes_map_to_the_elements_of_rfc_9496() {
    let Some(lanes) = lanes() else { return };
    let (strings, encodings): (Vec<_>, Vec<_>) = rows("map").into_iter().unzip();
    let strings: Vec<_> = strings
        .iter()
        .map(|text| HEXLOWER.decode(text.as_bytes()).unwrap())
        .map(|bytes| Some(Zeroizing::new(bytes.try_into().unwrap())))
        .collect();
    let mapped = lanes.mapped(&strings).multiply_all(&half());
    assert_eq!(
        HEXLOWER.encode(&mapped.encode_doubled()),
        encodings.concat()
    );
}

#[test]
fn encodings_that_rfc_9496_refuses_are_refused_in_every_lane() {
    let Some(lanes) = lanes() else { return };
    let sound = element(rows("multiple")[1].1);
    for (text, why) in rows("refused") {
        for lane in 0..LANES {
            let mut batch = [sound; LANES];
            batch[lane] = element(text);
            assert_eq!(lanes.decode(&batch).err(), Some(lane), "{text} {why}");
        }
    }
}

#[test]
fn values_at_the_bounds_are_decoded_and_mapped_as_dalek_does() {
    let Some(lanes) = lanes() else { return };
    for (text, why) in rows("either").into_iter().chain(rows("refused")) {
        let bytes = element(text);
        let expected = CompressedRistretto(bytes).decompress();
        match (lanes.decode(&[bytes]), expected) {
            (Ok(found), Some(point)) => assert_eq!(found.encode_doubled(), doubled(&[point])),
            (Err(0), None) => {}
            (found, _) => panic!("{text} {why}: {:?}", found.err()),
        }
        for uniform in [[bytes, [0; 32]].concat(), [bytes, bytes].concat()] {
            let uniform: [u8; 64] = uniform.try_into().unwrap();
            let found = lanes.mapped(&[Some(Zeroizing::new(uniform))]);
            let point = RistrettoPoint::from_uniform_bytes(&uniform);
            assert_eq!(found.encode_doubled(), doubled(&[point]), "{why}");
        }
    }
}

#[test]
fn scalars_at_their_bounds_multiply_as_dalek_does() {
    let Some(lanes) = lanes() else { return };
    let top = Scalar::ZERO - Scalar::ONE;
    let mut scalars = vec![Scalar::ZERO, Scalar::ONE, top, top * half(), half()];
    for nibble in 1..16_u8 {
        scalars.push(Scalar::from_bytes_mod_order([nibble * 17; 32]));
        scalars.push(Scalar::from(nibble));
        scalars.push(Scalar::from_bytes_mod_order([nibble << 4; 32]));
    }
    let point = RistrettoPoint::mul_base(&Scalar::from(77_u8));
    let batch = vec![point.compress().to_bytes(); scalars.len()];
    let expected: Vec<RistrettoPoint> = scalars.iter().map(|scalar| point * scalar).collect();
    let found = lanes.decode(&batch).unwrap();
    assert_eq!(
        found.multiply_each(&scalars).encode_doubled(),
        doubled(&expected)
    );
    for (scalar, expected) in scalars.iter().zip(&expected) {
        let products = found.multiply_all(scalar).encode_doubled();
        assert_eq!(products[..32], doubled(&[*expected]));
    }
    let sum: RistrettoPoint = expected.iter().sum();
    assert_eq!(found.sum_doubled(&scalars), doubled(&[sum]));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the size of a test is no configuration"
)]
fn random_batches_compute_as_dalek_does() {
    let Some(lanes) = lanes() else { return };
    let cases = std::env::var("CREDITMESH_LANES_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().unwrap());
    let mut rng = SmallRng::seed_from_u64(cases.try_into().unwrap());
    let mut left = cases;
    while left > 0 {
        let batch = rng.random_range(1..=200).min(left);
        assert_batch_agrees(lanes, &mut rng, batch);
        left -= batch;
    }
}

fn assert_batch_agrees(lanes: Lanes, rng: &mut SmallRng, batch: usize) {
    let strings: Vec<[u8; 64]> = (0..batch).map(|_| rng.random()).collect();
    let scalars: Vec<Scalar> = (0..batch)
        .map(|_| Scalar::from_bytes_mod_order_wide(&rng.random::<[u8; 64]>()))
        .collect();
    let points: Vec<_> = strings
        .iter()
        .map(RistrettoPoint::from_uniform_bytes)
        .collect();
    let products: Vec<_> = points.iter().zip(&scalars).map(|(p, s)| p * s).collect();
    let wrapped: Vec<_> = strings.iter().map(|s| Some(Zeroizing::new(*s))).collect();
    let mapped = lanes.mapped(&wrapped);
    let encoded = doubled(&products);
    assert_eq!(mapped.encode_doubled(), doubled(&points));
    assert_eq!(mapped.multiply_each(&scalars).encode_doubled(), encoded);
    let sum = RistrettoPoint::vartime_multiscalar_mul(&scalars, &points);
    assert_eq!(mapped.sum_doubled(&scalars), doubled(&[sum]));

    let (elements, _) = encoded.as_chunks();
    let decoded = lanes.decode(elements).unwrap().multiply_all(&scalars[0]);
    let by_first = scalars[0] + scalars[0];
    let expected: Vec<_> = products.iter().map(|point| point * by_first).collect();
    assert_eq!(decoded.encode_doubled(), doubled(&expected));
    // Half of the non-negative canonical strings encode an element.
    for string in &strings {
        let mut bytes: [u8; 32] = string[..32].try_into().unwrap();
        bytes[0] &= 0xfe;
        bytes[31] &= 0x7f;
        let expected = CompressedRistretto(bytes).decompress();
        let found = lanes.decode(&[bytes]).ok();
        assert_eq!(
            found.map(|p| p.encode_doubled()),
            expected.map(|p| doubled(&[p]))
        );
    }
}

#[test]
fn all_four_points_of_a_coset_are_one_element() {
    let Some(lanes) = lanes() else { return };
    // SAFETY: the token proves that the processor has the instructions.
    unsafe { assert_cosets(lanes) };
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn assert_cosets(lanes: Lanes) {
    let strings: Vec<_> = (0..8_u8).map(|n| Some(Zeroizing::new([n; 64]))).collect();
    let mut batch = lanes.mapped(&strings);
    let encoded = batch.encode_doubled();
    let (zero, one) = (Fe::zero(), Fe::one());
    let i = Fe::splat(&SQRT_M1);
    let torsion = [
        (zero, one.negated()),
        (i, zero),
        (i.negated(), zero),
        (zero, one),
    ];
    for (x, y) in torsion {
        let torsion = Point {
            x,
            y,
            z: one,
            t: x.mul(&y),
        };
        assert_eq!(torsion.is_identity(), u8::MAX);
        let moved = batch.groups[0].plus(&torsion.summand()).point();
        batch.groups[0] = moved;
        assert_eq!(batch.encode_doubled(), encoded);
        assert_eq!(batch.multiply_all(&half()).len(), 8);
    }
    batch.groups[0] = Point {
        x: i,
        y: zero,
        z: one,
        t: zero,
    };
    assert_eq!(batch.encode_doubled(), [0; 256]);
    assert_eq!(RistrettoPoint::identity().compress().to_bytes(), [0; 32]);
}

#[test]
fn limbs_at_their_bound_multiply_as_their_canonical_form_does() {
    if lanes().is_some() {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { assert_bounds() };
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn assert_bounds() {
    // The largest tight limb, the largest without excess, and mixtures of both with zero.
    let (most, full) = ((1 << 51) + (1 << 13) - 1, (1 << 51) - 1);
    let mut elements = vec![Fe::splat(&[most; 5]), Fe::splat(&[full; 5]), Fe::zero()];
    for place in 0..5 {
        let mut limbs = [0; 5];
        limbs[place] = most;
        elements.push(Fe::splat(&limbs));
        let mut limbs = [full; 5];
        limbs[place] = most;
        elements.push(Fe::splat(&limbs));
    }
    elements.push(Fe::splat(&[full - 18, full, full, full, full]));
    let same = |a: &Fe, b: &Fe| to_words(a) == to_words(b);
    for a in &elements {
        let lower = Fe::from_words(&a.to_words());
        assert!(same(a, &lower) && same(&a.square(), &lower.mul(&lower)));
        assert_eq!(a.minus(&lower).carry().is_zero(), u8::MAX);
        for b in &elements {
            let low = Fe::from_words(&b.to_words());
            assert!(same(&a.mul(b), &lower.mul(&low)));
            assert!(same(&a.plus(b).carry(), &lower.plus(&low).carry()));
            assert!(same(
                &a.minus(b).carry(),
                &low.minus(&lower).carry().negated()
            ));
            let (aa, bb, ab) = (a.squared_product(), b.squared_product(), a.product(b));
            let both = a.plus(b).carry().square();
            assert!(same(&both, &aa.plus(&bb).plus(&ab.doubled()).carry()));
            let (plus, minus) = (a.plus(b).carry(), a.minus(b).carry());
            assert!(same(&aa.minus(&bb), &plus.mul(&minus)));
            let third = aa.doubled().plus(&bb.carry()).carry().minus(&ab.carry());
            assert!(same(&aa.doubled_plus_minus(&bb, &ab), &third.carry()));
            for limb in aa.doubled_plus_minus(&bb, &ab).0 {
                assert!(field::to_lanes(limb)[0] <= most);
            }
        }
        let inverse = a.inverse();
        let expected = if a.is_zero() == 0 {
            Fe::one()
        } else {
            Fe::zero()
        };
        assert!(same(&a.mul(&inverse), &expected));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn to_words(fe: &Fe) -> [[u64; LANES]; 4] {
    let [w0, w1, w2, w3] = fe.to_words();
    [w0, w1, w2, w3].map(field::to_lanes)
}
