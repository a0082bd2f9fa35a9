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
        *old_root
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
    if proof.next().is_none() && old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(LogFault::ProofInvalid)
    }
}
