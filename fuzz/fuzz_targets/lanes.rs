//! Arbitrary bytes as elements and as identifiers: eight at a time and one by one, the OPRF gives
//! the same answers, proofs and refusals. `cargo fuzz run lanes`.

#![no_main]

use creditmesh::crypto::oprf::{BatchSeed, Evaluated, Input, PendingBatch, SecretKey};
use creditmesh::crypto::{GroupArithmetic, Secret, choose_arithmetic};
use creditmesh::env::SeededEntropy;
use libfuzzer_sys::fuzz_target;

/// Enough for two groups of eight and a last one that is not full.
const ELEMENTS: usize = 19;

fn on<T>(choice: GroupArithmetic, step: impl Fn() -> T) -> T {
    choose_arithmetic(choice);
    step()
}

/// Both ways of computing, which have to agree.
fn both<T: PartialEq + std::fmt::Debug>(step: impl Fn() -> T) -> T {
    let lanes = on(GroupArithmetic::Auto, &step);
    assert_eq!(lanes, on(GroupArithmetic::Dalek, &step));
    lanes
}

fn evaluated(key: &SecretKey, elements: &[u8]) -> Result<Evaluated, String> {
    let entropy = SeededEntropy::from_seed(1);
    key.evaluate(elements, &entropy)
        .map_err(|error| error.to_string())
}

fn blinded<'a>(inputs: &[Input<'a>], seed: &[u8; 32]) -> Option<PendingBatch> {
    let seed = BatchSeed::from_secret(Secret::from_bytes(*seed));
    PendingBatch::blind(inputs, &seed).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, rest)) = data.split_first_chunk::<32>() else {
        return;
    };
    let key = SecretKey::derive(&Secret::from_bytes(*seed), b"fuzz");

    // The bytes as they come: nearly all refused, and by both for the same element.
    let mut arbitrary = rest.to_vec();
    arbitrary.resize(ELEMENTS * 32, 0);
    let _refused = both(|| evaluated(&key, &arbitrary));

    // As identifiers, then with the bytes laid over real elements.
    let inputs: Vec<Input<'_>> = (0..ELEMENTS)
        .map(|index| match rest.get(index..) {
            Some(bytes) if index % 7 != 6 => Input::Present(bytes),
            Some(_) | None => Input::Missing,
        })
        .collect();
    let elements = both(|| blinded(&inputs, seed).map(|batch| batch.elements().to_vec()));
    let Some(mut elements) = elements else { return };
    let sound = both(|| evaluated(&key, &elements)).expect("blinded elements are evaluated");
    let tokens = both(|| {
        let batch = blinded(&inputs, seed).expect("it was blinded above");
        let tokens = batch.finish(&key.public(), &sound.elements, &sound.proof);
        let tokens = tokens.expect("an honest answer is taken");
        let exposed = |token: creditmesh::crypto::Token| token.expose().to_vec();
        tokens
            .into_iter()
            .map(|token| token.map(exposed))
            .collect::<Vec<_>>()
    });
    assert_eq!(tokens.len(), ELEMENTS);
    for (byte, change) in elements.iter_mut().zip(rest) {
        *byte ^= change;
    }
    let _changed = both(|| evaluated(&key, &elements));
});
