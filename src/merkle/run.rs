//! Leaves behind the right edge of a log, and the root that the log has where some of them are
//! other ones: each trial costs a path, not the whole run.

use super::{Frontier, Hash, node_hash};

/// The hashes of the leaves that come behind a log's right edge, with all nodes above them.
#[derive(Debug, Clone)]
pub struct Run {
    /// From the leaves to the root, which is alone.
    levels: Vec<Level>,
}

/// The nodes of one level that hold leaves of the run.
#[derive(Debug, Clone)]
struct Level {
    /// How many nodes of this level come before.
    first: u64,
    /// The node before the first one, where the two have one parent.
    before: Option<Hash>,
    nodes: Vec<Hash>,
}

impl Run {
    /// The leaves with these hashes behind `edge`; `None` where there are none.
    #[must_use]
    pub fn behind(edge: &Frontier, leaves: Vec<Hash>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut peaks = edge.peaks().iter().rev();
        let (mut first, mut nodes) = (edge.size(), leaves);
        let mut levels = Vec::new();
        loop {
            let before = if first % 2 == 1 {
                Some(*peaks.next()?)
            } else {
                None
            };
            let level = Level {
                first,
                before,
                nodes,
            };
            if first == 0 && level.nodes.len() == 1 {
                levels.push(level);
                return Some(Self { levels });
            }
            let last = first + u64::try_from(level.nodes.len()).ok()? - 1;
            let parents = (first >> 1)..=(last >> 1);
            nodes = parents
                .map(|parent| level.parent(parent, &[]))
                .collect::<Option<_>>()?;
            first >>= 1;
            levels.push(level);
        }
    }

    /// Levels of the tree from the leaves to the root: what a trial costs for each leaf changed.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.levels.len()
    }

    /// The root with these leaves at these places of the run, in ascending order of the places.
    /// `None` where a place is not one of the run's.
    #[must_use]
    pub fn root_with(&self, changes: &[(usize, Hash)]) -> Option<Hash> {
        let leaves = self.levels.first()?;
        let mut changed = Vec::with_capacity(changes.len());
        for (place, hash) in changes {
            leaves.nodes.get(*place)?;
            changed.push((leaves.first + u64::try_from(*place).ok()?, *hash));
        }
        let (top, below) = self.levels.split_last()?;
        for level in below {
            let mut above: Vec<(u64, Hash)> = Vec::with_capacity(changed.len());
            for (index, _) in &changed {
                let parent = index >> 1;
                if above.last().is_none_or(|(last, _)| *last != parent) {
                    above.push((parent, level.parent(parent, &changed)?));
                }
            }
            changed = above;
        }
        top.node(0, &changed)
    }
}

impl Level {
    /// The node with this number in its level.
    fn node(&self, index: u64, changed: &[(u64, Hash)]) -> Option<Hash> {
        if let Ok(at) = changed.binary_search_by_key(&index, |(number, _)| *number) {
            return changed.get(at).map(|(_, hash)| *hash);
        }
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.nodes.get(at).copied()
    }

    /// The node of the level above that has this number in its level.
    fn parent(&self, parent: u64, changed: &[(u64, Hash)]) -> Option<Hash> {
        let left = if parent * 2 < self.first {
            self.before?
        } else {
            self.node(parent * 2, changed)?
        };
        // The last node of a level without a sibling moves up as it is.
        Some(match self.node(parent * 2 + 1, changed) {
            Some(right) => node_hash(&left, &right),
            None => left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::reference;

    #[test]
    fn the_root_is_the_definition_s_whatever_leaves_are_exchanged() {
        let leaves = reference::leaf_hashes(40);
        let mut edge = Frontier::new();
        for before in 0..leaves.len() {
            for end in before + 1..=leaves.len() {
                let run = Run::behind(&edge, leaves[before..end].to_vec()).unwrap();
                assert_eq!(run.root_with(&[]), Some(reference::root(&leaves[..end])));
                let count = end - before;
                for (one, other) in [(0, count - 1), (count / 2, count - 1), (0, count / 3)] {
                    if one >= other {
                        continue;
                    }
                    let mut exchanged = leaves[..end].to_vec();
                    exchanged.swap(before + one, before + other);
                    let changes = [(one, leaves[before + other]), (other, leaves[before + one])];
                    let expected = Some(reference::root(&exchanged));
                    assert_eq!(run.root_with(&changes), expected, "{before} {one} {other}");
                }
            }
            edge.append(leaves[before]).unwrap();
        }
        assert!(Run::behind(&edge, Vec::new()).is_none());
        let run = Run::behind(&edge, vec![[1; 32]]).unwrap();
        assert_eq!(run.root_with(&[(1, [2; 32])]), None);
    }
}
