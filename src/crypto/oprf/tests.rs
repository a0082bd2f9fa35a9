//! The vectors of RFC 9497, which fix scalars that are random in use, and the steps between.

use curve25519_dalek::scalar::Scalar;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::group::{Suite, VOPRF};
use super::points::{Arithmetic, Points};
use super::proof::weights;
use super::*;
use crate::crypto::Secret;
use crate::env::SeededEntropy;
use crate::limits::EVALUATE_ELEMENTS_MAX;

/// Mode 0x00, which the product does not speak: its vectors check the parts that both modes share.
const OPRF: Suite = Suite {
    hash_to_group: b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512",
    hash_to_scalar: b"HashToScalar-OPRFV1-\x00-ristretto255-SHA512",
    derive_key_pair: b"DeriveKeyPairOPRFV1-\x00-ristretto255-SHA512",
    seed: b"Seed-OPRFV1-\x00-ristretto255-SHA512",
};

#[derive(Deserialize)]
struct File {
    modes: Vec<Mode>,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
    seed: String,
    key_info: String,
    secret_key: String,
    public_key: Option<String>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    inputs: Vec<String>,
    blinds: Vec<String>,
    blinded_elements: Vec<String>,
    evaluation_elements: Vec<String>,
    proof: Option<String>,
    proof_random_scalar: Option<String>,
    outputs: Vec<String>,
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn scalar(text: &str) -> Scalar {
    Scalar::from_canonical_bytes(hex(text).try_into().unwrap()).unwrap()
}

fn mode(name: &str) -> Mode {
    let text = include_str!("../../../tests/vectors/data/rfc9497-ristretto255-sha512.json");
    let file: File = serde_json::from_str(text).unwrap();
    file.modes
        .into_iter()
        .find(|mode| mode.mode == name)
        .unwrap()
}

impl Mode {
    fn key(&self, suite: &Suite) -> SecretKey {
        let seed = Secret::from_bytes(hex(&self.seed).try_into().unwrap());
        SecretKey::derive_in(suite, &seed, &hex(&self.key_info))
    }
}

impl Vector {
    fn pending(&self, suite: &Suite, arithmetic: Arithmetic) -> PendingBatch {
        let inputs: Vec<Vec<u8>> = self.inputs.iter().map(|input| hex(input)).collect();
        let inputs: Vec<Input<'_>> = inputs.iter().map(|input| Input::Present(input)).collect();
        let blinds = self.blinds.iter().map(|blind| scalar(blind)).collect();
        HashedInputs::hash_in(suite, arithmetic, &inputs)
            .unwrap()
            .blind_with(Zeroizing::new(blinds))
    }

    fn assert_outputs(&self, tokens: &[Option<super::super::Token>]) {
        let outputs: Vec<String> = tokens
            .iter()
            .map(|token| HEXLOWER.encode(token.as_ref().unwrap().expose()))
            .collect();
        assert_eq!(outputs, self.outputs);
    }
}

/// curve25519-dalek, and the lanes where the machine has them, at any batch size.
fn arithmetics() -> Vec<Arithmetic> {
    let mut found = vec![Arithmetic::Dalek, Arithmetic::of_batch(1_024)];
    found.dedup();
    found
}

#[test]
fn rfc_9497_vectors_of_mode_oprf() {
    for arithmetic in arithmetics() {
        assert_vectors_of_mode_oprf(arithmetic);
    }
}

fn assert_vectors_of_mode_oprf(arithmetic: Arithmetic) {
    let mode = mode("OPRF");
    let key = mode.key(&OPRF);
    assert_eq!(*key.scalar(), scalar(&mode.secret_key));
    assert_eq!(mode.vectors.len(), 2);
    for vector in &mode.vectors {
        let pending = vector.pending(&OPRF, arithmetic);
        assert_eq!(
            HEXLOWER.encode(pending.elements()),
            vector.blinded_elements.concat()
        );
        let evaluated = key.multiplied(&Points::decode(arithmetic, pending.elements()).unwrap());
        assert_eq!(
            HEXLOWER.encode(&evaluated),
            vector.evaluation_elements.concat()
        );
        vector.assert_outputs(&pending.unblinded(&Points::decode(arithmetic, &evaluated).unwrap()));
    }
}

#[test]
fn rfc_9497_vectors_of_mode_voprf() {
    for arithmetic in arithmetics() {
        assert_vectors_of_mode_voprf(arithmetic);
    }
}

fn assert_vectors_of_mode_voprf(arithmetic: Arithmetic) {
    let mode = mode("VOPRF");
    let key = mode.key(&VOPRF);
    assert_eq!(*key.scalar(), scalar(&mode.secret_key));
    assert_eq!(
        HEXLOWER.encode(&key.public().to_bytes()),
        *mode.public_key.as_ref().unwrap()
    );
    let batches: Vec<usize> = mode
        .vectors
        .iter()
        .map(|vector| vector.inputs.len())
        .collect();
    assert_eq!(batches, [1, 1, 2]);
    for vector in &mode.vectors {
        let pending = vector.pending(&VOPRF, arithmetic);
        assert_eq!(
            HEXLOWER.encode(pending.elements()),
            vector.blinded_elements.concat()
        );
        let blinded = Points::decode(arithmetic, pending.elements()).unwrap();
        let evaluated = key.multiplied(&blinded);
        assert_eq!(
            HEXLOWER.encode(&evaluated),
            vector.evaluation_elements.concat()
        );
        let weights = weights(&key.public(), pending.elements(), &evaluated);
        let nonce = Zeroizing::new(scalar(vector.proof_random_scalar.as_ref().unwrap()));
        let proof = key.prove(&blinded, &weights, &nonce).to_bytes();
        assert_eq!(HEXLOWER.encode(&proof), *vector.proof.as_ref().unwrap());
        for (input, output) in vector.inputs.iter().zip(&vector.outputs) {
            assert_eq!(HEXLOWER.encode(key.token_of(&hex(input)).expose()), *output);
        }
        vector.assert_outputs(&pending.finish(&key.public(), &evaluated, &proof).unwrap());
    }
}

#[test]
fn blinding_factors_derive_from_seed_and_index_and_open() {
    let seed = BatchSeed::from_secret(Secret::from_bytes([5; 32]));
    let inputs = [
        Input::Present(b"one"),
        Input::Missing,
        Input::Present(b"one"),
    ];
    let pending = PendingBatch::blind(&inputs, &seed).unwrap();
    let (elements, _) = pending.elements().as_chunks::<ELEMENT_BYTES>();
    for (index, (input, element)) in inputs.iter().zip(elements).enumerate() {
        let opened = seed.blinding(u32::try_from(index).unwrap());
        let opened = Blinding::from_secret(&opened.to_secret()).unwrap();
        assert!(opened.blinds(*input, element));
        assert!(!opened.blinds(Input::Present(b"two"), element));
        assert!(!seed.blinding(7).blinds(*input, element));
    }
    assert_ne!(elements[0], elements[2]);
    assert!(Blinding::from_secret(&Secret::from_bytes([0; 32])).is_err());
    assert!(Blinding::from_secret(&Secret::from_bytes([255; 32])).is_err());
}

#[test]
fn hashed_inputs_are_blinded_differently_for_every_peer() {
    let entropy = SeededEntropy::from_seed(1);
    let hashed = HashedInputs::hash(&[Input::Present(b"one"), Input::Missing]).unwrap();
    let batches: Vec<PendingBatch> = (0..3)
        .map(|_| hashed.blind(&BatchSeed::random(&entropy).unwrap()))
        .collect();
    let mut elements: Vec<&[u8]> = batches
        .iter()
        .flat_map(|batch| batch.elements().chunks(ELEMENT_BYTES))
        .collect();
    elements.sort_unstable();
    elements.dedup();
    assert_eq!(elements.len(), 6);
}

#[test]
fn batches_without_elements_or_above_the_limit_are_refused() {
    let entropy = SeededEntropy::from_seed(1);
    let seed = BatchSeed::random(&entropy).unwrap();
    let key = SecretKey::derive(&Secret::from_bytes([1; 32]), b"");
    let inputs = vec![Input::Missing; EVALUATE_ELEMENTS_MAX + 1];
    assert!(matches!(
        PendingBatch::blind(&[], &seed),
        Err(OprfError::BatchEmpty)
    ));
    assert!(matches!(
        PendingBatch::blind(&inputs, &seed),
        Err(OprfError::BatchTooLarge(1_025))
    ));
    let full = PendingBatch::blind(&inputs[1..], &seed).unwrap();
    assert_eq!(full.elements().len(), 32 * EVALUATE_ELEMENTS_MAX);
    assert!(matches!(
        key.evaluate(&[], &entropy),
        Err(OprfError::BatchEmpty)
    ));
    let above = [full.elements(), &full.elements()[..32]].concat();
    assert!(matches!(
        key.evaluate(&above, &entropy),
        Err(OprfError::BatchTooLarge(1_025))
    ));
    assert!(matches!(
        key.evaluate(&full.elements()[..33], &entropy),
        Err(OprfError::LengthRefused(33))
    ));
    let long = vec![0; 65_536];
    assert!(matches!(
        PendingBatch::blind(&[Input::Missing, Input::Present(&long)], &seed),
        Err(OprfError::InputRefused(1))
    ));
    assert!(PendingBatch::blind(&[Input::Present(&long[1..])], &seed).is_ok());
}

#[test]
fn proofs_with_a_repeated_source_of_randomness_use_other_nonces() {
    let key = SecretKey::derive(&Secret::from_bytes([1; 32]), b"");
    let nonce = |batch: &[u8]| {
        *key.proof_nonce(batch, &SeededEntropy::from_seed(1))
            .unwrap()
    };
    assert_eq!(nonce(b"batch"), nonce(b"batch"));
    assert_ne!(nonce(b"batch"), nonce(b"another"));
}

#[test]
fn debug_of_keys_batches_and_inputs_shows_no_secret() {
    let key = SecretKey::derive(&Secret::from_bytes([1; 32]), b"");
    let secret = HEXLOWER.encode(key.scalar().as_bytes());
    let seed = BatchSeed::from_secret(Secret::from_bytes([2; 32]));
    let input = Input::Present(b"11010519491231002X");
    let pending = PendingBatch::blind(&[input], &seed).unwrap();
    let hashed = HashedInputs::hash(&[input]).unwrap();
    let shown = format!(
        "{key:?} {seed:?} {input:?} {pending:?} {hashed:?} {:?}",
        seed.blinding(0)
    );
    assert!(!shown.contains(&secret) && !shown.contains("11010") && !shown.contains("[2"));
    assert!(shown.contains(&HEXLOWER.encode(&key.public().to_bytes())));
}
