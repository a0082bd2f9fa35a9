//! Inclusion and consistency proofs made while the leaves stream by, in as much memory as a
//! frontier takes.

use super::{Frontier, Hash, LogFault, node_hash};

/// One complete subtree at the right edge of what was read.
#[derive(Debug, Clone, Copy)]
struct Peak {
    root: Hash,
    holds_leaf: bool,
}

/// Makes the proof of one leaf (RFC 9162 §2.1.3.1) from leaf hashes that come in order.
#[derive(Debug, Clone)]
pub struct PathBuilder {
    index: u64,
    size: u64,
    peaks: Vec<Peak>,
    path: Vec<Hash>,
}

impl PathBuilder {
    /// For the leaf at `index`, from 0.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        Self {
            index,
            size: 0,
            peaks: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Takes the next leaf by its hash.
    pub fn append(&mut self, leaf_hash: Hash) {
        self.append_peak(leaf_hash, 0);
    }

    /// Takes the root of the next `2^level` leaves, none of which is the one asked for. Does
    /// nothing where the log's size now is not a multiple of that, or where the leaf is among them.
    pub fn append_subtree(&mut self, root: Hash, level: u32) {
        let until = 1_u64
            .checked_shl(level)
            .and_then(|leaves| self.size.checked_add(leaves));
        let is_among = until.is_none_or(|until| (self.size..until).contains(&self.index));
        if self.size.trailing_zeros() >= level && !is_among {
            self.append_peak(root, level);
        }
    }

    fn append_peak(&mut self, root: Hash, level: u32) {
        let mut peak = Peak {
            root,
            holds_leaf: level == 0 && self.size == self.index,
        };
        for _ in 0..(self.size >> level).trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            peak = joined(left, peak, &mut self.path);
        }
        self.peaks.push(peak);
        self.size += 1 << level;
    }

    /// Leaves taken so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The proof in the tree over all leaves taken, and the root of that tree.
    ///
    /// # Errors
    /// [`LogFault::IndexUnknown`] where the leaf has not come yet.
    pub fn finish(mut self) -> Result<(Vec<Hash>, Hash), LogFault> {
        let unknown = LogFault::IndexUnknown {
            index: self.index,
            size: self.size,
        };
        if self.index >= self.size {
            return Err(unknown);
        }
        let mut right = self.peaks.pop().ok_or(unknown)?;
        while let Some(left) = self.peaks.pop() {
            right = joined(left, right, &mut self.path);
        }
        Ok((self.path, right.root))
    }
}

/// Makes the proof that a log only grew (RFC 9162 §2.1.4.1) from its right edge at the old size and
/// the leaf hashes that came since, in order.
#[derive(Debug, Clone)]
pub struct GrowthBuilder {
    /// The smallest complete subtree at the old right edge; the proof begins with it unless it is
    /// the whole old tree.
    start: Option<Hash>,
    old_size: u64,
    path: PathBuilder,
}

impl GrowthBuilder {
    /// Behind the leaves of `old`.
    #[must_use]
    pub fn behind(old: &Frontier) -> Self {
        let mut peaks: Vec<Peak> = old.peaks().iter().map(Peak::without_leaf).collect();
        if let Some(last) = peaks.last_mut() {
            last.holds_leaf = true;
        }
        let start = peaks.last().map(|peak| peak.root);
        Self {
            start: start.filter(|_| peaks.len() > 1),
            old_size: old.size(),
            path: PathBuilder {
                // The leaf that is marked came before: none of those to come is.
                index: u64::MAX,
                size: old.size(),
                peaks,
                path: Vec::new(),
            },
        }
    }

    /// Takes the next leaf by its hash.
    pub fn append(&mut self, leaf_hash: Hash) {
        self.path.append(leaf_hash);
    }

    /// Takes the root of the next `2^level` leaves. Does nothing where the log's size now is not a
    /// multiple of that.
    pub fn append_subtree(&mut self, root: Hash, level: u32) {
        if self.path.size.trailing_zeros() >= level {
            self.path.append_peak(root, level);
        }
    }

    /// Leaves of the log so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.path.size
    }

    /// The proof from the old size to the size now, and the root now.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Hash>, Hash) {
        let grown = self.path.size > self.old_size;
        let Some(mut right) = self.path.peaks.pop() else {
            return (Vec::new(), super::empty_root());
        };
        while let Some(left) = self.path.peaks.pop() {
            right = joined(left, right, &mut self.path.path);
        }
        let mut proof = Vec::new();
        if grown && self.old_size > 0 {
            proof.extend(self.start);
            proof.append(&mut self.path.path);
        }
        (proof, right.root)
    }
}

impl Peak {
    const fn without_leaf(root: &Hash) -> Self {
        Self {
            root: *root,
            holds_leaf: false,
        }
    }
}

/// The parent of two subtrees; the one without the leaf is the next hash of its proof.
fn joined(left: Peak, right: Peak, path: &mut Vec<Hash>) -> Peak {
    if left.holds_leaf {
        path.push(right.root);
    } else if right.holds_leaf {
        path.push(left.root);
    }
    Peak {
        root: node_hash(&left.root, &right.root),
        holds_leaf: left.holds_leaf || right.holds_leaf,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Tree, reference, verify_consistency, verify_inclusion};

    #[test]
    fn the_growth_of_every_small_tree_is_the_tree_s() {
        let leaves = reference::leaf_hashes(70);
        let mut tree = Tree::with_groups_of(0);
        leaves.iter().for_each(|leaf| tree.append_root(*leaf));
        let mut old = Frontier::new();
        for before in 0..=leaves.len() {
            let mut builder = GrowthBuilder::behind(&old);
            for (position, leaf) in leaves.iter().enumerate().skip(before) {
                builder.append(*leaf);
                let size = position as u64 + 1;
                let (proof, root) = builder.clone().finish();
                let known = tree.consistency(before as u64, size);
                assert_eq!(known, Ok(proof.clone()), "{before} to {size}");
                assert_eq!(tree.root_at(size), Ok(root));
                let holds = verify_consistency(before as u64, &old.root(), size, &root, &proof);
                assert_eq!(holds, Ok(()));
            }
            assert_eq!(tree.frontier_at(before as u64), Ok(old.clone()));
            if before.is_multiple_of(4) && before + 4 <= leaves.len() {
                let four = &leaves[before..before + 4];
                let mut alone = Frontier::new();
                four.iter().for_each(|leaf| alone.append(*leaf).unwrap());
                let mut whole = GrowthBuilder::behind(&old);
                whole.append_subtree(alone.root(), 2);
                let mut single = GrowthBuilder::behind(&old);
                four.iter().for_each(|leaf| single.append(*leaf));
                assert_eq!(whole.size(), single.size());
                assert_eq!(whole.finish(), single.finish());
            }
            let same = GrowthBuilder::behind(&old).finish();
            assert_eq!(same, (Vec::new(), old.root()));
            if let Some(leaf) = leaves.get(before) {
                old.append(*leaf).unwrap();
            }
        }
    }

    #[test]
    fn the_path_of_every_leaf_in_every_small_tree_is_the_tree_s() {
        let leaves = reference::leaf_hashes(70);
        let mut tree = Tree::with_groups_of(0);
        for (before, newest) in leaves.iter().enumerate() {
            tree.append_root(*newest);
            let size = before as u64 + 1;
            for index in 0..size {
                let mut builder = PathBuilder::new(index);
                leaves[..=before]
                    .iter()
                    .for_each(|leaf| builder.append(*leaf));
                let (path, root) = builder.finish().unwrap();
                let leaf = &leaves[usize::try_from(index).unwrap()];
                assert_eq!(Ok(path.clone()), tree.inclusion(index, size, &[*leaf]));
                assert_eq!(verify_inclusion(index, leaf, size, &root, &path), Ok(()));
            }
        }
    }

    #[test]
    fn whole_subtrees_without_the_leaf_give_the_same_path() {
        let leaves = reference::leaf_hashes(70);
        let subtree = |first: usize| reference::root(&leaves[first..first + 8]);
        for size in 1..=leaves.len() {
            for index in 0..size {
                let mut single = PathBuilder::new(index as u64);
                leaves[..size].iter().for_each(|leaf| single.append(*leaf));
                let mut whole = PathBuilder::new(index as u64);
                while usize::try_from(whole.size()).unwrap() < size {
                    let next = usize::try_from(whole.size()).unwrap();
                    if next + 8 <= size {
                        whole.append_subtree(subtree(next), 3);
                    }
                    // It was not taken: it would end beyond the log, or has the leaf.
                    if usize::try_from(whole.size()).unwrap() == next {
                        let until = size.min(next - next % 8 + 8);
                        leaves[next..until]
                            .iter()
                            .for_each(|leaf| whole.append(*leaf));
                    }
                }
                assert_eq!(whole.finish(), single.finish(), "{index} of {size}");
            }
        }
    }

    #[test]
    fn a_leaf_that_has_not_come_has_no_path() {
        let mut builder = PathBuilder::new(1);
        builder.append([1; 32]);
        assert_eq!(
            builder.finish(),
            Err(LogFault::IndexUnknown { index: 1, size: 1 })
        );
    }
}
