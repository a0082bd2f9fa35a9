//! The `voprf` crate as an oracle: both implementations must be interchangeable on random batches.

use creditmesh::crypto::Secret;
use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch, SecretKey};
use creditmesh::env::{Entropy, SeededEntropy};
use proptest::prelude::*;
use rand_core::{CryptoRng, RngCore};
use voprf::{
    BlindedElement, EvaluationElement, Group, Proof, Ristretto255, VoprfClient, VoprfServer,
};

/// Our reproducible randomness for the other implementation.
struct Random(SeededEntropy);

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill(dest).unwrap();
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Random {}

/// The same key in both implementations.
struct Keys {
    ours: SecretKey,
    theirs: VoprfServer<Ristretto255>,
    random: Random,
}

impl Keys {
    fn derive(seed: u64, key_info: &[u8]) -> Self {
        let mut random = Random(SeededEntropy::from_seed(seed));
        let mut key_seed = [0; 32];
        random.fill_bytes(&mut key_seed);
        let keys = Self {
            ours: SecretKey::derive(&Secret::from_bytes(key_seed), key_info),
            theirs: VoprfServer::new_from_seed(&key_seed, key_info).unwrap(),
            random,
        };
        let public = Ristretto255::serialize_elem(keys.theirs.get_public_key());
        assert_eq!(keys.ours.public().to_bytes().as_slice(), &public[..]);
        keys
    }

    fn elements(flat: &[u8]) -> Vec<BlindedElement<Ristretto255>> {
        flat.chunks(32)
            .map(|element| BlindedElement::deserialize(element).unwrap())
            .collect()
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let input = proptest::collection::vec(any::<u8>(), 0..80);
    proptest::collection::vec(input, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn our_answer_to_their_question_verifies_and_gives_the_same_outputs(
        seed: u64, key_info: [u8; 5], inputs in batches()
    ) {
        let mut keys = Keys::derive(seed, &key_info);
        let blinded: Vec<_> = inputs
            .iter()
            .map(|input| VoprfClient::<Ristretto255>::blind(input, &mut keys.random).unwrap())
            .collect();
        let flat: Vec<u8> = blinded.iter().flat_map(|one| one.message.serialize()).collect();
        let ours = keys.ours.evaluate(&flat, &keys.random.0).unwrap();
        let theirs = keys
            .theirs
            .batch_blind_evaluate(&mut keys.random, &Keys::elements(&flat))
            .unwrap();
        let expected: Vec<u8> = theirs.messages.iter().flat_map(|one| one.serialize()).collect();
        prop_assert_eq!(&ours.elements, &expected);

        let evaluated: Vec<_> = ours
            .elements
            .chunks(32)
            .map(|element| EvaluationElement::<Ristretto255>::deserialize(element).unwrap())
            .collect();
        let clients: Vec<_> = blinded.into_iter().map(|one| one.state).collect();
        let proof = Proof::deserialize(&ours.proof).unwrap();
        let public = keys.theirs.get_public_key();
        let outputs: Vec<_> =
            VoprfClient::batch_finalize(&inputs, &clients, &evaluated, &proof, public)
                .unwrap()
                .map(Result::unwrap)
                .collect();
        for (input, output) in inputs.iter().zip(outputs) {
            let token = keys.ours.token_of(input);
            prop_assert_eq!(token.expose().as_slice(), &output[..]);
            prop_assert_eq!(output, keys.theirs.evaluate(input).unwrap());
        }
    }

    #[test]
    fn their_answer_to_our_question_verifies_and_gives_the_same_outputs(
        seed: u64, key_info: [u8; 5], inputs in batches(), missing: [bool; 20]
    ) {
        let mut keys = Keys::derive(seed, &key_info);
        let asked: Vec<Input<'_>> = inputs
            .iter()
            .zip(missing)
            .map(|(input, missing)| match missing {
                true => Input::Missing,
                false => Input::Present(input),
            })
            .collect();
        let batch_seed = BatchSeed::random(&keys.random.0).unwrap();
        let pending = PendingBatch::blind(&asked, &batch_seed).unwrap();
        let theirs = keys
            .theirs
            .batch_blind_evaluate(&mut keys.random, &Keys::elements(pending.elements()))
            .unwrap();
        let flat: Vec<u8> = theirs.messages.iter().flat_map(|one| one.serialize()).collect();
        let proof: [u8; 64] = theirs.proof.serialize()[..].try_into().unwrap();
        let tokens = pending.finish(&keys.ours.public(), &flat, &proof).unwrap();
        prop_assert_eq!(tokens.len(), inputs.len());
        for ((input, token), missing) in inputs.iter().zip(tokens).zip(missing) {
            match token {
                None => prop_assert!(missing),
                Some(token) => prop_assert_eq!(
                    token.expose().as_slice(),
                    &keys.theirs.evaluate(input).unwrap()[..]
                ),
            }
        }
    }

    #[test]
    fn tokens_of_many_records_equal_the_tokens_of_each(seed: u64, inputs in batches()) {
        let keys = Keys::derive(seed, b"");
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let tokens = keys.ours.tokens_of(&slices);
        prop_assert_eq!(tokens.len(), inputs.len());
        for (input, token) in inputs.iter().zip(tokens) {
            prop_assert_eq!(token, keys.ours.token_of(input));
        }
    }
}

#[test]
fn full_batch_of_ours_agrees_with_theirs() {
    let mut keys = Keys::derive(9, b"full");
    let inputs: Vec<[u8; 4]> = (0..1_024_u32).map(u32::to_be_bytes).collect();
    let asked: Vec<Input<'_>> = inputs.iter().map(|input| Input::Present(input)).collect();
    let batch_seed = BatchSeed::random(&keys.random.0).unwrap();
    let pending = PendingBatch::blind(&asked, &batch_seed).unwrap();
    let theirs = keys
        .theirs
        .batch_blind_evaluate(&mut keys.random, &Keys::elements(pending.elements()))
        .unwrap();
    let expected: Vec<u8> = theirs
        .messages
        .iter()
        .flat_map(|one| one.serialize())
        .collect();
    let ours = keys
        .ours
        .evaluate(pending.elements(), &keys.random.0)
        .unwrap();
    assert_eq!(ours.elements, expected);
    let proof: [u8; 64] = theirs.proof.serialize()[..].try_into().unwrap();
    assert_ne!(ours.proof, proof);
    let tokens = pending
        .finish(&keys.ours.public(), &expected, &proof)
        .unwrap();
    for (input, token) in inputs.iter().zip(tokens) {
        assert_eq!(token.unwrap(), keys.ours.token_of(input));
    }
}
