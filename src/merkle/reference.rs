//! The definitions of RFC 6962 §2.1 and RFC 9162 §2.1 as they stand: slow, and obviously right.
//! Tests compare everything else with them, and with published vectors.

use super::*;

fn at(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

/// `count` different leaf hashes.
pub(super) fn leaf_hashes(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|number| leaf_hash(&number.to_be_bytes()))
        .collect()
}

fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// `MTH(D[n])` over leaf hashes.
pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// `PATH(m, D[n])`.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, other) = if index < middle {
        (path(index, left), root(right))
    } else {
        (path(index - middle, right), root(left))
    };
    proof.push(other);
    proof
}

/// `SUBPROOF(m, D[n], b)`.
fn subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known {
            Vec::new()
        } else {
            vec![root(leaves)]
        };
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, other) = if old <= middle {
        (subproof(old, left, known), root(right))
    } else {
        (subproof(old - middle, right, false), root(left))
    };
    proof.push(other);
    proof
}

fn tree_of(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::with_groups_of(0);
    for leaf in leaves {
        tree.append_root(*leaf);
    }
    tree
}

fn hex(text: &str) -> Hash {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    bytes.try_into().unwrap()
}

/// The leaves of the certificate-transparency project's reference tree (`transparency-dev/merkle`).
const PUBLISHED_LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// Its roots for sizes 1 to 8.
const PUBLISHED_ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Inclusion proofs: index from 0, size, proof.
const PUBLISHED_INCLUSION: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

/// Consistency proofs: old size, new size, proof.
const PUBLISHED_CONSISTENCY: [(u64, u64, &[&str]); 5] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn published_leaf_hashes() -> Vec<Hash> {
    let decode = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    PUBLISHED_LEAVES
        .iter()
        .map(|leaf| leaf_hash(&decode(leaf)))
        .collect()
}

#[test]
fn published_roots_and_proofs_are_met() {
    let leaves = published_leaf_hashes();
    let tree = tree_of(&leaves);
    let empty = hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(tree.root_at(0), Ok(empty));
    for (size, expected) in (1..).zip(PUBLISHED_ROOTS) {
        assert_eq!(tree.root_at(size), Ok(hex(expected)));
    }
    let root_at = |size: u64| hex(PUBLISHED_ROOTS[at(size) - 1]);
    for (index, size, proof) in PUBLISHED_INCLUSION {
        let proof: Vec<Hash> = proof.iter().map(|hash| hex(hash)).collect();
        let leaf = leaves[at(index)];
        assert_eq!(tree.inclusion(index, size, &[leaf]).as_ref(), Ok(&proof));
        assert_eq!(
            verify_inclusion(index, &leaf, size, &root_at(size), &proof),
            Ok(())
        );
    }
    for (old, new, proof) in PUBLISHED_CONSISTENCY {
        let proof: Vec<Hash> = proof.iter().map(|hash| hex(hash)).collect();
        assert_eq!(tree.consistency(old, new).as_ref(), Ok(&proof));
        assert_eq!(
            verify_consistency(old, &root_at(old), new, &root_at(new), &proof),
            Ok(())
        );
    }
}

#[test]
fn trivial_consistency_follows_the_published_table() {
    let (empty, one, two) = (empty_root(), [1; 32], [2; 32]);
    let accepted = |old, old_root: &Hash, new, new_root: &Hash, proof: &[Hash]| {
        verify_consistency(old, old_root, new, new_root, proof).is_ok()
    };
    assert!(accepted(0, &empty, 0, &empty, &[]));
    assert!(accepted(0, &empty, 1, &one, &[]));
    assert!(accepted(1, &two, 1, &two, &[]));
    assert!(
        !accepted(0, &one, 0, &one, &[]),
        "an empty tree has one root"
    );
    assert!(
        !accepted(0, &one, 1, &one, &[]),
        "an empty tree has one root"
    );
    assert!(!accepted(0, &empty, 0, &two, &[]));
    assert!(!accepted(1, &one, 1, &two, &[]));
    assert!(!accepted(1, &one, 0, &two, &[]), "back in time");
    assert!(!accepted(2, &one, 1, &two, &[]), "back in time");
    assert!(!accepted(1, &one, 2, &two, &[]), "no proof");
    assert!(
        !accepted(0, &empty, 0, &empty, &[empty]),
        "a proof too many"
    );
    assert!(
        !accepted(0, &empty, 1, &empty, &[empty]),
        "a proof too many"
    );
    assert!(
        !accepted(1, &empty, 1, &empty, &[empty]),
        "a proof too many"
    );
}

#[test]
fn every_proof_of_every_small_tree_equals_the_definition() {
    let leaves = leaf_hashes(300);
    let tree = tree_of(&leaves);
    let roots: Vec<Hash> = (0..=300).map(|size| root(&leaves[..size])).collect();
    for new in 1..=300_usize {
        assert_eq!(tree.root_at(new as u64), Ok(roots[new]));
        // All old sizes for the small trees, a spread of them for the larger ones.
        let stride = 1 + new / 40;
        for old in (1..=new).step_by(stride) {
            let proof = tree.consistency(old as u64, new as u64).unwrap();
            assert_eq!(proof, subproof(old, &leaves[..new], true), "{old} to {new}");
            verify_consistency(old as u64, &roots[old], new as u64, &roots[new], &proof).unwrap();
            let index = old - 1;
            let proof = tree
                .inclusion(index as u64, new as u64, &[leaves[index]])
                .unwrap();
            assert_eq!(proof, path(index, &leaves[..new]), "{index} in {new}");
            verify_inclusion(
                index as u64,
                &leaves[index],
                new as u64,
                &roots[new],
                &proof,
            )
            .unwrap();
        }
    }
}

/// Every way of altering one hash, the order or the length of a proof.
fn alterations(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut altered = Vec::new();
    for at in 0..proof.len() {
        for byte in 0..32 {
            let mut other = proof.to_vec();
            other[at][byte] ^= 1 << (byte % 8);
            altered.push(other);
        }
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        altered.push(shorter);
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        altered.push(doubled);
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            altered.push(swapped);
        }
    }
    for extra in [[0; 32], empty_root(), [0xff; 32]] {
        altered.push([proof, &[extra]].concat());
        altered.push([&[extra], proof].concat());
    }
    altered
}

#[test]
fn every_altered_proof_is_refused() {
    let leaves = leaf_hashes(70);
    let tree = tree_of(&leaves);
    for (old, new) in [
        (1, 2),
        (3, 4),
        (4, 7),
        (6, 8),
        (8, 13),
        (31, 33),
        (32, 64),
        (33, 70),
        (69, 70),
    ] {
        let (old_root, new_root) = (tree.root_at(old).unwrap(), tree.root_at(new).unwrap());
        let proof = tree.consistency(old, new).unwrap();
        for altered in alterations(&proof) {
            let verdict = verify_consistency(old, &old_root, new, &new_root, &altered);
            assert_eq!(verdict, Err(LogFault::ProofInvalid), "{old} to {new}");
        }
        for (old, new) in [
            (old - 1, new),
            (old + 1, new),
            (old, new * 2),
            (old, new / 2),
            (new, old),
        ] {
            assert!(verify_consistency(old, &old_root, new, &new_root, &proof).is_err());
        }
        assert!(verify_consistency(old, &new_root, new, &old_root, &proof).is_err());
        assert!(verify_consistency(old, &[9; 32], new, &new_root, &proof).is_err());
        assert!(verify_consistency(old, &old_root, new, &[9; 32], &proof).is_err());

        let index = old - 1;
        let leaf = leaves[at(index)];
        let proof = tree.inclusion(index, new, &[leaf]).unwrap();
        for altered in alterations(&proof) {
            let verdict = verify_inclusion(index, &leaf, new, &new_root, &altered);
            assert_eq!(verdict, Err(LogFault::ProofInvalid), "{index} in {new}");
        }
        for (index, size) in [
            (index + 1, new),
            (index ^ 2, new),
            (index, new * 2),
            (index, new / 2),
        ] {
            assert!(verify_inclusion(index, &leaf, size, &new_root, &proof).is_err());
        }
        assert!(verify_inclusion(index, &[9; 32], new, &new_root, &proof).is_err());
        assert!(verify_inclusion(index, &leaf, new, &[9; 32], &proof).is_err());
    }
}

#[test]
fn a_tree_of_groups_gives_the_same_roots_and_proofs_as_one_of_leaves() {
    let leaves: Vec<[u8; 8]> = (0..40 * 8_u64).map(u64::to_be_bytes).collect();
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let mut grouped = Tree::with_groups_of(3);
    for group in leaves.chunks(8) {
        grouped.append_group(group).unwrap();
    }
    let fine = tree_of(&hashes);
    assert_eq!((grouped.size(), grouped.group_leaves()), (320, 8));
    for new in (0..=320).step_by(8) {
        assert_eq!(grouped.root_at(new), fine.root_at(new));
        for old in (0..=new).step_by(8) {
            assert_eq!(grouped.consistency(old, new), fine.consistency(old, new));
        }
        for index in (0..new).step_by(3) {
            let start = at(index) / 8 * 8;
            assert_eq!(
                grouped.inclusion(index, new, &hashes[start..start + 8]),
                fine.inclusion(index, new, &[hashes[at(index)]]),
            );
        }
    }
}

#[test]
fn what_the_tree_does_not_hold_is_refused() {
    let hashes = leaf_hashes(24);
    let mut tree = Tree::with_groups_of(3);
    let root = tree.group_root(&hashes[..8]).unwrap();
    tree.append_root(root);
    tree.append_root(tree.group_root(&hashes[8..16]).unwrap());
    let unknown = |asked| LogFault::SizeUnknown {
        asked,
        size: 16,
        group: 8,
    };
    assert_eq!(tree.root_at(24), Err(unknown(24)));
    assert_eq!(tree.root_at(12), Err(unknown(12)));
    assert_eq!(tree.consistency(16, 8), Err(unknown(16)));
    let past = LogFault::IndexUnknown { index: 8, size: 8 };
    assert_eq!(tree.inclusion(8, 8, &hashes[8..16]), Err(past));
    assert_eq!(
        tree.inclusion(9, 16, &hashes[..8]),
        Err(LogFault::ForeignGroup)
    );
    let short = LogFault::GroupLength {
        expected: 8,
        given: 7,
    };
    assert_eq!(tree.append_group(&[[0_u8; 4]; 7]), Err(short));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn random_trees_give_proofs_that_verify(
        new in 1..6_000_u64,
        old in 0..6_000_u64,
        index in 0..6_000_u64,
    ) {
        let (old, index) = (old % (new + 1), index % new);
        let leaves = leaf_hashes(new);
        let tree = tree_of(&leaves);
        let mut frontier = Frontier::new();
        for leaf in &leaves {
            frontier.append(*leaf).unwrap();
        }
        let root = tree.root_at(new).unwrap();
        proptest::prop_assert_eq!(frontier.root(), root);
        let proof = tree.consistency(old, new).unwrap();
        verify_consistency(old, &tree.root_at(old).unwrap(), new, &root, &proof).unwrap();
        let leaf = leaves[at(index)];
        let proof = tree.inclusion(index, new, &[leaf]).unwrap();
        verify_inclusion(index, &leaf, new, &root, &proof).unwrap();
    }
}
