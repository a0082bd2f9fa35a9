//! The group on top of the curve: strict decoding, batched encoding and the map from uniform
//! bytes (RFC 9496 §4.3), for eight elements at a time.

use std::arch::x86_64::__mmask8;

use zeroize::{Zeroize, Zeroizing};

use super::constants::{
    D, D_MINUS_ONE_SQ, INVSQRT_A_MINUS_D, ONE_MINUS_D_SQ, SQRT_AD_MINUS_ONE, SQRT_M1,
};
use super::field::{Fe, LANES, from_lanes, to_lanes};
use super::point::{Completed, Point};

/// Bytes of an encoded element.
const ELEMENT_BYTES: usize = 32;

/// Eight times 32 bytes as little-endian words, word by word; lanes that have none are zero.
#[target_feature(enable = "avx512f,avx512ifma")]
fn load<'a>(
    encoded: impl Iterator<Item = &'a [u8; ELEMENT_BYTES]>,
) -> [Zeroizing<[u64; LANES]>; 4] {
    let mut words: [Zeroizing<[u64; LANES]>; 4] = Default::default();
    for (lane, bytes) in encoded.take(LANES).enumerate() {
        let (chunks, _) = bytes.as_chunks();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            if let Some(place) = word.get_mut(lane) {
                *place = u64::from_le_bytes(*chunk);
            }
        }
    }
    words
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn element(words: &[Zeroizing<[u64; LANES]>; 4]) -> Fe {
    let [w0, w1, w2, w3] = words;
    Fe::from_words(&[
        from_lanes(**w0),
        from_lanes(**w1),
        from_lanes(**w2),
        from_lanes(**w3),
    ])
}

/// Decodes up to eight elements (RFC 9496 §4.3.1) and tells the lanes that hold one. Lanes for
/// which nothing is given decode to the identity.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn decode(encoded: &[[u8; ELEMENT_BYTES]]) -> (__mmask8, Point) {
    let words = load(encoded.iter());
    let s = element(&words);
    let mut canonical: __mmask8 = u8::MAX;
    for (given, back) in words.iter().zip(s.to_words()) {
        for (lane, (given, back)) in given.iter().zip(to_lanes(back)).enumerate() {
            canonical &= !(u8::from(*given != back) << lane);
        }
    }

    let one = Fe::one();
    let ss = s.square();
    let u1 = one.minus(&ss).carry();
    let u2 = one.plus(&ss).carry();
    let u2_sqr = u2.square();
    let v = Fe::zero()
        .minus(&Fe::splat(&D).mul(&u1.square()))
        .minus(&u2_sqr)
        .carry();
    let (square, inverse_root) = one.sqrt_ratio(&v.mul(&u2_sqr));
    let den_x = inverse_root.mul(&u2);
    let den_y = inverse_root.mul(&den_x).mul(&v);
    let x = s.plus(&s).carry().mul(&den_x);
    let x = x.negated_in(x.is_negative());
    let y = u1.mul(&den_y);
    let t = x.mul(&y);
    let refused = s.is_negative() | t.is_negative() | y.is_zero();
    (canonical & square & !refused, Point { x, y, z: one, t })
}

/// The map of RFC 9496 §4.3.4 on one field element for each lane.
#[target_feature(enable = "avx512f,avx512ifma")]
fn map(t: &Fe) -> Point {
    let one = Fe::one();
    let d = Fe::splat(&D);
    let r = Fe::splat(&SQRT_M1).mul(&t.square());
    let u = r.plus(&one).carry().mul(&Fe::splat(&ONE_MINUS_D_SQ));
    let minus_one = one.negated();
    let v = minus_one.minus(&r.mul(&d)).carry().mul(&r.plus(&d).carry());
    let (square, s) = u.sqrt_ratio(&v);
    let s_prime = s.mul(t);
    let s_prime = s_prime.negated_in(!s_prime.is_negative());
    let s = s_prime.or_in(square, &s);
    let c = r.or_in(square, &minus_one);
    let n = c
        .mul(&r.minus(&one).carry())
        .mul(&Fe::splat(&D_MINUS_ONE_SQ))
        .minus(&v)
        .carry();
    let ss = s.square();
    let w = Completed {
        e: s.plus(&s).carry().mul(&v),
        f: one.plus(&ss).carry(),
        g: n.mul(&Fe::splat(&SQRT_AD_MINUS_ONE)),
        h: one.minus(&ss).carry(),
    };
    w.point()
}

/// The elements of up to eight strings of 64 uniform bytes (RFC 9496 §4.3.4); the generator where
/// there is none.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn from_uniform(uniform: &[Option<Zeroizing<[u8; 64]>>]) -> Point {
    const NONE: &[u8; 64] = &[0; 64];
    let mut missing: __mmask8 = 0;
    let mut strings = [NONE; LANES];
    for (lane, (place, string)) in strings.iter_mut().zip(uniform).enumerate() {
        match string {
            Some(string) => *place = string,
            None => missing |= 1 << lane,
        }
    }
    let low = element(&load(strings.iter().filter_map(|s| s.first_chunk())));
    let high = element(&load(strings.iter().filter_map(|s| s.last_chunk())));
    let sum = map(&low).plus(&map(&high).summand()).point();
    sum.or_in(missing, &Point::generator())
}

/// What the encoding of twice a point needs: the double in completed form, and products of it.
struct Doubled {
    e: Fe,
    f: Fe,
    g: Fe,
    h: Fe,
    eg: Fe,
    fh: Fe,
    /// The product of all of `efgh` before this one.
    before: Fe,
}

impl Zeroize for Doubled {
    fn zeroize(&mut self) {
        for part in [&mut self.e, &mut self.f, &mut self.g, &mut self.h] {
            part.zeroize();
        }
        for part in [&mut self.eg, &mut self.fh, &mut self.before] {
            part.zeroize();
        }
    }
}

impl Doubled {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn of(point: &Point, before: &Fe) -> Self {
        let dtt = point.t.square().mul(&Fe::splat(&D));
        let zz = point.z.square();
        let xy = point.x.mul(&point.y);
        let e = xy.plus(&xy).carry();
        let f = zz.plus(&dtt).carry();
        let g = point.y.square().plus(&point.x.square()).carry();
        let h = zz.minus(&dtt).carry();
        Self {
            eg: e.mul(&g),
            fh: f.mul(&h),
            e,
            f,
            g,
            h,
            before: *before,
        }
    }

    /// `efgh`, or one where that is zero, which it is for the four points of the identity.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn product(&self) -> (__mmask8, Fe) {
        let efgh = self.eg.mul(&self.fh);
        let zero = efgh.is_zero();
        (zero, efgh.or_in(zero, &Fe::one()))
    }

    /// The encoding, given `1 / efgh`, or zero where that is zero: it encodes to zero.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn encoded(&self, inverse: &Fe) -> Fe {
        let z_inverse = self.eg.mul(inverse);
        let t_inverse = self.fh.mul(inverse);
        let rotate = self.eg.mul(&z_inverse).is_negative();
        let i = Fe::splat(&SQRT_M1);
        let e = self.e.or_in(rotate, &self.g);
        let g = self.g.or_in(rotate, &self.e.negated());
        let h = self.h.or_in(rotate, &self.f.mul(&i));
        let magic = Fe::splat(&INVSQRT_A_MINUS_D).or_in(rotate, &i);
        let g = g.negated_in(h.mul(&e).mul(&z_inverse).is_negative());
        let s = h.minus(&g).carry().mul(&magic.mul(&g.mul(&t_inverse)));
        s.negated_in(s.is_negative())
    }
}

/// The encodings of twice the points, eight for each: one inversion for all of them.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn encode_doubled(points: &[Point], out: &mut Vec<u8>) {
    let mut states = Zeroizing::new(Vec::with_capacity(points.len()));
    let mut product = Fe::one();
    for point in points {
        let state = Doubled::of(point, &product);
        product = product.mul(&state.product().1);
        states.push(state);
    }
    let mut inverse = product.inverse();
    let mut encoded = Zeroizing::new(Vec::with_capacity(points.len()));
    for state in states.iter().rev() {
        let (zero, product) = state.product();
        let own = inverse.mul(&state.before).or_in(zero, &Fe::zero());
        encoded.push(state.encoded(&own));
        inverse = inverse.mul(&product);
    }
    for element in encoded.iter().rev() {
        let [w0, w1, w2, w3] = element.to_words();
        let (w0, w1, w2, w3) = (to_lanes(w0), to_lanes(w1), to_lanes(w2), to_lanes(w3));
        for (((w0, w1), w2), w3) in w0.iter().zip(&w1).zip(&w2).zip(&w3) {
            for word in [w0, w1, w2, w3] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }
}
