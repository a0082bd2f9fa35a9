//! Encodings that RFC 9496 forbids, and answers that are not what the listed key gives.

use creditmesh::crypto::oprf::{
    BatchSeed, Evaluated, Input, OprfError, PendingBatch, PublicKey, SecretKey,
};
use creditmesh::crypto::{Secret, Token};
use creditmesh::env::SeededEntropy;
use data_encoding::HEXLOWER;

/// The invalid encodings of RFC 9496, appendix A.2, each group named for its one defect.
const INVALID_ENCODINGS: &[(&str, &[&str])] = &[
    (
        "non-canonical field element",
        &[
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ],
    ),
    (
        "negative field element",
        &[
            "0100000000000000000000000000000000000000000000000000000000000000",
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
            "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
            "c940e5a4404157cfb1628b108db051a8d439e1a421394ec4ebccb9ec92a8ac78",
            "47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24",
            "f1c6165d33367351b0da8f6e4511010c68174a03b6581212c71c0e1d026c3c72",
            "87260f7a2f12495118360f02c26a470f450dadf34a413d21042b43b9d93e1309",
        ],
    ),
    (
        "x squared is no square",
        &[
            "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
            "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
            "de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b",
            "bcab477be20861e01e4a0e295284146a510150d9817763caf1a6f4b422d67042",
            "2a292df7e32cababbd9de088d1d1abec9fc0440f637ed2fba145094dc14bea08",
            "f4a9e534fc0d216c44b218fa0c42d99635a0127ee2e53c712f70609649fdff22",
            "8268436f8c4126196cf64b3c7ddbda90746a378625f9813dd9b8457077256731",
            "2810e5cbc2cc4d4eece54f61c6f69758e289aa7ab440b3cbeaa21995c2f4232b",
        ],
    ),
    (
        "x times y is negative",
        &[
            "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
            "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
            "d483fe813c6ba647ebbfd3ec41adca1c6130c2beeee9d9bf065c8d151c5f396e",
            "8a2e1d30050198c65a54483123960ccc38aef6848e1ec8f5f780e8523769ba32",
            "32888462f8b486c68ad7dd9610be5192bbeaf3b443951ac1a8118419d9fa097b",
            "227142501b9d4355ccba290404bde41575b037693cef1f438c47f8fbf35d1165",
            "5c37cc491da847cfeb9281d407efc41e15144c876e0170b499a96a22ed31e01e",
            "445425117cb8c90edcbc7c1cc0e74f747f2c1efa5630a967c64f287792a48a4b",
        ],
    ),
    (
        "s is minus one, which makes y zero",
        &["ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
    ),
    (
        "the identity",
        &["0000000000000000000000000000000000000000000000000000000000000000"],
    ),
];

/// The generator, RFC 9496 appendix A.1.
const GENERATOR: &str = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";

fn hex(text: &str) -> [u8; 32] {
    HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

fn entropy() -> SeededEntropy {
    SeededEntropy::from_seed(3)
}

fn key(byte: u8) -> SecretKey {
    SecretKey::derive(&Secret::from_bytes([byte; 32]), b"test")
}

/// A batch that is always blinded alike, so that each attempt to finish it has its own.
fn pending() -> PendingBatch {
    let seed = BatchSeed::from_secret(Secret::from_bytes([4; 32]));
    let inputs = [
        Input::Present(b"one"),
        Input::Present(b"two"),
        Input::Missing,
    ];
    PendingBatch::blind(&inputs, &seed).unwrap()
}

fn answer(key: &SecretKey) -> Evaluated {
    key.evaluate(pending().elements(), &entropy()).unwrap()
}

fn finish(elements: &[u8], proof: &[u8; 64]) -> Result<Vec<Option<Token>>, OprfError> {
    pending().finish(&key(1).public(), elements, proof)
}

#[test]
fn invalid_encodings_are_refused_wherever_an_element_is_read() {
    let good = hex(GENERATOR);
    assert!(key(1).evaluate(&good, &entropy()).is_ok());
    let Evaluated { elements, proof } = answer(&key(1));
    for (defect, encodings) in INVALID_ENCODINGS {
        for encoding in *encodings {
            let bad = hex(encoding);
            assert!(PublicKey::from_bytes(&bad).is_err(), "{defect}: {encoding}");
            let batch = [good, bad, good].concat();
            let evaluated = key(1).evaluate(&batch, &entropy());
            assert!(
                matches!(evaluated, Err(OprfError::ElementRefused(1))),
                "{defect}: {encoding}"
            );
            let mut forged = elements.clone();
            forged[64..].copy_from_slice(&bad);
            let finished = finish(&forged, &proof);
            assert!(
                matches!(finished, Err(OprfError::ElementRefused(2))),
                "{defect}: {encoding}"
            );
        }
    }
}

#[test]
fn honest_answer_is_accepted() {
    let Evaluated { elements, proof } = answer(&key(1));
    let tokens = finish(&elements, &proof).unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens[0].as_ref().unwrap(), &key(1).token_of(b"one"));
    assert_eq!(tokens[1].as_ref().unwrap(), &key(1).token_of(b"two"));
    assert!(tokens[2].is_none());
}

#[test]
fn proof_with_any_bit_altered_is_refused() {
    let Evaluated { elements, proof } = answer(&key(1));
    for position in 0..proof.len() {
        for bit in 0..8 {
            let mut altered = proof;
            altered[position] ^= 1 << bit;
            assert!(
                matches!(finish(&elements, &altered), Err(OprfError::ProofRefused)),
                "byte {position}, bit {bit}"
            );
        }
    }
}

#[test]
fn proof_with_scalars_above_the_group_order_is_refused() {
    // The order of the group, little endian: adding it leaves a scalar's value as it is.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let Evaluated { elements, proof } = answer(&key(1));
    for half in [0, 32] {
        let mut altered = proof;
        let mut carry = 0;
        for (byte, addend) in altered[half..half + 32].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(matches!(
            finish(&elements, &altered),
            Err(OprfError::ProofRefused)
        ));
    }
}

#[test]
fn answer_with_any_byte_altered_is_refused() {
    let Evaluated { elements, proof } = answer(&key(1));
    for position in 0..elements.len() {
        let mut altered = elements.clone();
        altered[position] ^= 1;
        assert!(matches!(
            finish(&altered, &proof),
            Err(OprfError::ProofRefused | OprfError::ElementRefused(_))
        ));
    }
}

#[test]
fn swapped_replaced_and_repeated_elements_are_refused() {
    let Evaluated { elements, proof } = answer(&key(1));
    let element = |index: usize| &elements[32 * index..32 * (index + 1)];
    for order in [[1, 0, 2], [0, 2, 1], [0, 0, 2], [2, 1, 1]] {
        let altered = order.map(element).concat();
        assert!(matches!(
            finish(&altered, &proof),
            Err(OprfError::ProofRefused)
        ));
    }
    let other = answer(&key(2)).elements;
    let mixed = [element(0), &other[32..64], element(2)].concat();
    assert!(matches!(
        finish(&mixed, &proof),
        Err(OprfError::ProofRefused)
    ));
}

#[test]
fn answer_under_another_key_is_refused() {
    let Evaluated { elements, proof } = answer(&key(2));
    assert!(matches!(
        finish(&elements, &proof),
        Err(OprfError::ProofRefused)
    ));
    assert!(
        pending()
            .finish(&key(2).public(), &elements, &proof)
            .is_ok()
    );
}

#[test]
fn answer_to_another_batch_is_refused() {
    let seed = BatchSeed::from_secret(Secret::from_bytes([5; 32]));
    let inputs = [
        Input::Present(b"one"),
        Input::Present(b"two"),
        Input::Missing,
    ];
    let other = PendingBatch::blind(&inputs, &seed).unwrap();
    let Evaluated { elements, proof } = key(1).evaluate(other.elements(), &entropy()).unwrap();
    assert!(matches!(
        finish(&elements, &proof),
        Err(OprfError::ProofRefused)
    ));
}

#[test]
fn answer_of_another_length_is_refused() {
    let Evaluated { elements, proof } = answer(&key(1));
    assert!(matches!(
        finish(&elements[..64], &proof),
        Err(OprfError::CountMismatch {
            expected: 3,
            found: 2
        })
    ));
    assert!(matches!(
        finish(&[elements.as_slice(), &elements[..32]].concat(), &proof),
        Err(OprfError::CountMismatch {
            expected: 3,
            found: 4
        })
    ));
    assert!(matches!(
        finish(&[], &proof),
        Err(OprfError::CountMismatch { found: 0, .. })
    ));
    assert!(matches!(
        finish(&elements[..95], &proof),
        Err(OprfError::LengthRefused(95))
    ));
}

#[test]
fn random_strings_are_decoded_exactly_as_the_other_implementation_does() {
    let mut accepted = 0;
    for seed in 0..512 {
        let mut bytes = *Secret::<32>::random(&SeededEntropy::from_seed(seed))
            .unwrap()
            .expose();
        bytes[31] &= 0x7f;
        bytes[0] &= 0xfe;
        let theirs = voprf::BlindedElement::<voprf::Ristretto255>::deserialize(&bytes).is_ok();
        assert_eq!(PublicKey::from_bytes(&bytes).is_ok(), theirs);
        assert_eq!(key(1).evaluate(&bytes, &entropy()).is_ok(), theirs);
        accepted += u32::from(theirs);
    }
    assert!((64..256).contains(&accepted), "{accepted} of 512");
}
