//! The ceiling of the OPRF: the fixed list of library calls that no implementation on these
//! libraries can do without, run on their own, so that the benchmark can say what our own code
//! adds.
//!
//! The calls are curve25519-dalek's decode (`decompress`), map (`from_uniform_bytes`),
//! multiplication, multiplication of the generator, batched encode (`double_and_compress_batch`),
//! multiscalar multiplication and batched inversion, and SHA-512 of ring. Conversions, copies,
//! checks, halved scalars, blinding factors, wiping and proof nonces are not in the list: they
//! count against us.

use std::hint::black_box;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use ring::digest::{Context, Digest, SHA512};

use super::labels;

/// Bytes that are hashed for one composite (RFC 9497 §2.2.1), without the padding of the expansion.
const COMPOSITE_BYTES: usize = 145;

/// Bytes that are hashed for the challenge (RFC 9497 §2.2.1), without the padding of the expansion.
const CHALLENGE_BYTES: usize = 179;

/// What the calls work on: a batch of real elements, and scalars of the same size as the real ones.
pub(super) struct Material {
    pub(super) inputs: Vec<Vec<u8>>,
    pub(super) elements: Vec<CompressedRistretto>,
    pub(super) scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
    padded: Context,
}

impl Material {
    /// Elements that do not decode are left out; a batch that we blinded has none.
    pub(super) fn new(inputs: Vec<Vec<u8>>, elements: &[u8], scalars: Vec<Scalar>) -> Self {
        let (encoded, _) = elements.as_chunks();
        let elements: Vec<CompressedRistretto> = encoded
            .iter()
            .map(|bytes| CompressedRistretto(*bytes))
            .collect();
        let points = decode(&elements);
        let mut padded = Context::new(&SHA512);
        padded.update(&[0; 128]);
        Self {
            inputs,
            elements,
            scalars,
            points,
            padded,
        }
    }

    /// Blinding a batch: hash to the group, multiply, encode.
    pub(super) fn blind(&self) {
        let hashed: Vec<RistrettoPoint> = self
            .inputs
            .iter()
            .map(|input| self.hash_to_group(input))
            .collect();
        encode(&multiply_each(&hashed, &self.scalars));
    }

    /// Evaluating a batch with its proof: decode, multiply, encode; weights, one multiscalar
    /// multiplication, two multiplications, one of the generator, the encodings of the transcript.
    pub(super) fn evaluate(&self, key: &Scalar) {
        let points = decode(&self.elements);
        let evaluated: Vec<RistrettoPoint> = points.iter().map(|point| point * key).collect();
        encode(&evaluated);
        let weights = self.weights();
        let sum = RistrettoPoint::vartime_multiscalar_mul(&weights, &points);
        encode(&[sum, sum * key, RistrettoPoint::mul_base(key), sum * key]);
        self.hash_to_scalar(&[0; CHALLENGE_BYTES]);
    }

    /// Verifying and finalizing a batch: decode; weights, two multiscalar multiplications, two
    /// small ones, the encodings of the transcript; one batched inversion, multiply, encode,
    /// hash.
    pub(super) fn verify_and_finalize(&self, key: &Scalar) {
        let evaluated = decode(&self.elements);
        let weights = self.weights();
        let sum = RistrettoPoint::vartime_multiscalar_mul(&weights, &self.points);
        let other = RistrettoPoint::vartime_multiscalar_mul(&weights, &evaluated);
        let commitment = RistrettoPoint::vartime_double_scalar_mul_basepoint(key, &sum, key);
        let second = RistrettoPoint::vartime_multiscalar_mul([key, key], [sum, other]);
        encode(&[sum, other, commitment, second]);
        self.hash_to_scalar(&[0; CHALLENGE_BYTES]);
        let mut inverses = self.scalars.clone();
        Scalar::invert_batch_alloc(&mut inverses);
        let encoded = encode(&multiply_each(&evaluated, &inverses));
        for (input, element) in self.inputs.iter().zip(&encoded) {
            let mut context = Context::new(&SHA512);
            context.update(input);
            context.update(element.as_bytes());
            context.update(b"0123456789ab");
            black_box(context.finish());
        }
    }

    /// The weights of a proof's composites: one hash to a scalar for each element.
    fn weights(&self) -> Vec<Scalar> {
        let message = [0; COMPOSITE_BYTES];
        self.elements
            .iter()
            .map(|_| self.hash_to_scalar(black_box(&message)))
            .collect()
    }

    fn hash_to_group(&self, input: &[u8]) -> RistrettoPoint {
        let mut uniform = [0; 64];
        uniform.copy_from_slice(self.expand(input, labels::OPRF_HASH_TO_GROUP).as_ref());
        RistrettoPoint::from_uniform_bytes(&uniform)
    }

    fn hash_to_scalar(&self, message: &[u8]) -> Scalar {
        let mut uniform = [0; 64];
        uniform.copy_from_slice(self.expand(message, labels::OPRF_HASH_TO_SCALAR).as_ref());
        black_box(Scalar::from_bytes_mod_order_wide(&uniform))
    }

    /// The two digests of `expand_message_xmd`; the first begins after its constant block.
    fn expand(&self, message: &[u8], dst: &[u8]) -> Digest {
        let mut context = self.padded.clone();
        context.update(message);
        context.update(&[0; 4]);
        context.update(dst);
        let first = context.finish();
        let mut context = Context::new(&SHA512);
        context.update(first.as_ref());
        context.update(&[0; 2]);
        context.update(dst);
        context.finish()
    }
}

fn decode(elements: &[CompressedRistretto]) -> Vec<RistrettoPoint> {
    elements
        .iter()
        .filter_map(CompressedRistretto::decompress)
        .collect()
}

fn multiply_each(points: &[RistrettoPoint], scalars: &[Scalar]) -> Vec<RistrettoPoint> {
    points
        .iter()
        .zip(scalars)
        .map(|(point, scalar)| point * scalar)
        .collect()
}

fn encode(points: &[RistrettoPoint]) -> Vec<CompressedRistretto> {
    black_box(RistrettoPoint::double_and_compress_batch(points))
}
