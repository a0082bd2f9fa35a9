//! An inclusion proof made while the leaves stream by, in as much memory as a frontier takes.

use super::{Hash, LogFault, node_hash};

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
        let mut peak = Peak {
            root: leaf_hash,
            holds_leaf: self.size == self.index,
        };
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            peak = joined(left, peak, &mut self.path);
        }
        self.peaks.push(peak);
        self.size += 1;
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
    use crate::merkle::{Tree, reference, verify_inclusion};

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
    fn a_leaf_that_has_not_come_has_no_path() {
        let mut builder = PathBuilder::new(1);
        builder.append([1; 32]);
        assert_eq!(
            builder.finish(),
            Err(LogFault::IndexUnknown { index: 1, size: 1 })
        );
    }
}
