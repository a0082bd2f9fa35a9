//! Checking proofs that others made (RFC 9162 §2.1.3.2, §2.1.4.2). Every hash of a proof is used.

use super::{Hash, LogFault, empty_root, node_hash};

/// The next hash of a proof.
fn next<'a>(proof: &mut impl Iterator<Item = &'a Hash>) -> Result<&'a Hash, LogFault> {
    proof.next().ok_or(LogFault::ProofInvalid)
}

/// Checks that the leaf at `index` (from 0) is in the tree of `size` leaves with this `root`.
///
/// # Errors
/// [`LogFault::ProofInvalid`] where the proof is too short, too long, or leads elsewhere, or where
/// `index` is not below `size`.
pub fn verify_inclusion(
    index: u64,
    leaf_hash: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), LogFault> {
    if index >= size {
        return Err(LogFault::ProofInvalid);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    let mut proof = proof.iter();
    while last > 0 {
        if node % 2 == 1 {
            hash = node_hash(next(&mut proof)?, &hash);
        } else if node < last {
            hash = node_hash(&hash, next(&mut proof)?);
        }
        // The last node of a level without a sibling moves up as it is.
        node >>= 1;
        last >>= 1;
    }
    if proof.next().is_none() && hash == *root {
        Ok(())
    } else {
        Err(LogFault::ProofInvalid)
    }
}

/// Checks that the tree of `new_size` leaves begins with all leaves of the tree of `old_size`.
///
/// Every tree begins with the empty one, so from size 0 the proof is empty and the old root is the
/// empty tree's; between equal sizes the proof is empty and the roots are equal.
///
/// # Errors
/// [`LogFault::ProofInvalid`] where the proof is too short, too long, or leads elsewhere, or where
/// the new tree is the smaller one.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), LogFault> {
    let trivial =
        old_size == 0 && *old_root == empty_root() && (new_size > 0 || old_root == new_root)
            || old_size > 0 && old_size == new_size && old_root == new_root;
    if trivial && proof.is_empty() {
        return Ok(());
    }
    let (old_hash, new_hash) = led(old_size, Some(old_root), new_size, proof)?;
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(LogFault::ProofInvalid)
    }
}

/// The root of the first `old_size` leaves of the tree with `new_root`, as far as a consistency
/// proof tells it: `None` where the proof does not lead to `new_root`, or where `old_size` is a
/// power of two, so that its root is not part of the proof.
#[must_use]
pub fn old_root(old_size: u64, new_size: u64, new_root: &Hash, proof: &[Hash]) -> Option<Hash> {
    let (old_hash, new_hash) = led(old_size, None, new_size, proof).ok()?;
    (new_hash == *new_root).then_some(old_hash)
}

/// The roots of both trees that a consistency proof leads to; `whole` is the old one, needed where
/// that is one complete subtree.
fn led(
    old_size: u64,
    whole: Option<&Hash>,
    new_size: u64,
    proof: &[Hash],
) -> Result<(Hash, Hash), LogFault> {
    if old_size == 0 || old_size >= new_size {
        return Err(LogFault::ProofInvalid);
    }
    let mut proof = proof.iter();
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    // The largest complete subtree at the old tree's right edge is common to both trees.
    let lift = node.trailing_ones();
    node >>= lift;
    last >>= lift;
    // An old tree that is one complete subtree is its own start, and is left out of the proof.
    let start = if node == 0 {
        *whole.ok_or(LogFault::ProofInvalid)?
    } else {
        *next(&mut proof)?
    };
    let (mut old_hash, mut new_hash) = (start, start);
    while last > 0 {
        if node % 2 == 1 {
            let left = next(&mut proof)?;
            old_hash = node_hash(left, &old_hash);
            new_hash = node_hash(left, &new_hash);
        } else if node < last {
            new_hash = node_hash(&new_hash, next(&mut proof)?);
        }
        node >>= 1;
        last >>= 1;
    }
    if proof.next().is_none() {
        Ok((old_hash, new_hash))
    } else {
        Err(LogFault::ProofInvalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Tree, reference};

    #[test]
    fn the_old_root_comes_out_of_every_proof_that_has_it() {
        let leaves = reference::leaf_hashes(40);
        let mut tree = Tree::with_groups_of(0);
        leaves.iter().for_each(|leaf| tree.append_root(*leaf));
        for new in 2..=40 {
            let root = tree.root_at(new).unwrap();
            for old in 1..new {
                let proof = tree.consistency(old, new).unwrap();
                let told = old_root(old, new, &root, &proof);
                let expected = (!old.is_power_of_two()).then(|| tree.root_at(old).unwrap());
                assert_eq!(told, expected, "{old} to {new}");
                assert_eq!(old_root(old, new, &[9; 32], &proof), None);
            }
        }
    }
}
