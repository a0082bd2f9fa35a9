//! A whole log in memory, for whoever makes roots and proofs of past sizes.

use super::{Frontier, Hash, LogFault, empty_root, leaf_hash, node_hash};

/// The hashes of all complete subtrees of a log, from a chosen level upwards.
///
/// With level 3 a group is 8 leaves and 10 million leaves take about 80 MB; hashes below that level
/// are made again from the group's leaves, which the caller reads from its store. Sizes are always
/// whole groups; with level 0 every leaf is a group.
#[derive(Debug, Clone)]
pub struct Tree {
    /// log2 of the leaves of one group.
    level: u32,
    /// `rows[i]` holds the roots of the complete subtrees of `2^(level + i)` leaves, from the left.
    rows: Vec<Vec<Hash>>,
}

impl Tree {
    /// An empty log with groups of `2^level` leaves; levels above 16 are taken as 16.
    #[must_use]
    pub fn with_groups_of(level: u32) -> Self {
        Self {
            level: level.min(16),
            rows: Vec::new(),
        }
    }

    /// Leaves of one group.
    #[must_use]
    pub const fn group_leaves(&self) -> u64 {
        1 << self.level
    }

    /// Leaves appended so far, a multiple of [`Self::group_leaves`].
    #[must_use]
    pub fn size(&self) -> u64 {
        let groups = self.rows.first().map_or(0, Vec::len);
        u64::try_from(groups).unwrap_or(u64::MAX) << self.level
    }

    /// Appends one group of whole leaves.
    ///
    /// # Errors
    /// [`LogFault::GroupLength`] where it has not exactly [`Self::group_leaves`] leaves.
    pub fn append_group<L: AsRef<[u8]>>(&mut self, leaves: &[L]) -> Result<(), LogFault> {
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf.as_ref())).collect();
        let root = self.group_root(&hashes)?;
        self.append_root(root);
        Ok(())
    }

    /// Appends one group by the root of its subtree, as [`Self::group_root`] gives it.
    pub fn append_root(&mut self, group_root: Hash) {
        let mut hash = group_root;
        for row in 0.. {
            if self.rows.len() == row {
                self.rows.push(Vec::new());
            }
            let Some(level) = self.rows.get_mut(row) else {
                return;
            };
            level.push(hash);
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// The root of one group's subtree, from its leaf hashes.
    ///
    /// # Errors
    /// [`LogFault::GroupLength`] where there are not exactly [`Self::group_leaves`] hashes.
    pub fn group_root(&self, leaf_hashes: &[Hash]) -> Result<Hash, LogFault> {
        let rows = self.group_rows(leaf_hashes)?;
        rows.last()
            .and_then(|row| row.first())
            .copied()
            .ok_or(LogFault::ForeignGroup)
    }

    /// The root of the tree over the first `size` leaves.
    ///
    /// # Errors
    /// [`LogFault::SizeUnknown`] where `size` is above the log's, or cuts a group.
    pub fn root_at(&self, size: u64) -> Result<Hash, LogFault> {
        let groups = self.groups(size)?;
        if groups == 0 {
            return Ok(empty_root());
        }
        self.subtree(0, groups)
    }

    /// The root of one whole group, by its number from 0.
    ///
    /// # Errors
    /// [`LogFault::SizeUnknown`] where the log has not reached it.
    pub fn group_at(&self, number: u64) -> Result<Hash, LogFault> {
        self.node(0, number)
    }

    /// The right edge of the tree over the first `size` leaves.
    ///
    /// # Errors
    /// As [`Self::root_at`].
    pub fn frontier_at(&self, size: u64) -> Result<Frontier, LogFault> {
        let groups = self.groups(size)?;
        let mut peaks = Vec::new();
        let mut start = 0;
        for row in (0..u64::BITS).rev().filter(|row| groups >> row & 1 == 1) {
            peaks.push(self.node(row, start >> row)?);
            start += 1_u64 << row;
        }
        Ok(Frontier::of_peaks(size, peaks))
    }

    /// The proof that the tree of `new` leaves begins with the tree of `old` (RFC 9162 §2.1.4.1).
    /// Empty where `old` is 0 or equal to `new`.
    ///
    /// # Errors
    /// [`LogFault::SizeUnknown`] where a size is above the log's or cuts a group, or `old` is above
    /// `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogFault> {
        let (old_groups, new_groups) = (self.groups(old)?, self.groups(new)?);
        if old > new {
            return Err(self.unknown(old));
        }
        let mut proof = Vec::new();
        if old_groups > 0 {
            self.prove_consistency(old_groups, new_groups, &mut proof)?;
        }
        Ok(proof)
    }

    /// The proof that the leaf at `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1).
    /// `group` are the leaf hashes of the whole group that `index` lies in.
    ///
    /// # Errors
    /// [`LogFault::SizeUnknown`] where `size` is above the log's or cuts a group,
    /// [`LogFault::IndexUnknown`] where `index` is not below `size`, [`LogFault::GroupLength`] and
    /// [`LogFault::ForeignGroup`] where `group` is not the group that was appended.
    pub fn inclusion(&self, index: u64, size: u64, group: &[Hash]) -> Result<Vec<Hash>, LogFault> {
        let groups = self.groups(size)?;
        if index >= size {
            return Err(LogFault::IndexUnknown { index, size });
        }
        let in_group = self.group_rows(group)?;
        let group_index = index >> self.level;
        let appended = self.node(0, group_index)?;
        if in_group.last().and_then(|row| row.first()) != Some(&appended) {
            return Err(LogFault::ForeignGroup);
        }
        let mut proof = Vec::new();
        let mut position = index % self.group_leaves();
        for row in in_group.iter().take_while(|row| row.len() > 1) {
            let sibling = usize::try_from(position ^ 1)
                .ok()
                .and_then(|at| row.get(at));
            proof.push(*sibling.ok_or(LogFault::ForeignGroup)?);
            position >>= 1;
        }
        self.prove_inclusion(group_index, groups, &mut proof)?;
        Ok(proof)
    }

    /// `PATH(m, D[n])` over groups, from the leaf upwards. `range` is the subtree looked at.
    fn prove_inclusion(
        &self,
        group: u64,
        groups: u64,
        proof: &mut Vec<Hash>,
    ) -> Result<(), LogFault> {
        let (mut start, mut end) = (0, groups);
        let mut siblings = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if group < middle {
                siblings.push(self.subtree(middle, end)?);
                end = middle;
            } else {
                siblings.push(self.subtree(start, middle)?);
                start = middle;
            }
        }
        proof.extend(siblings.into_iter().rev());
        Ok(())
    }

    /// `SUBPROOF(m, D[n], true)` over groups: walks down to where the old tree ends.
    fn prove_consistency(&self, old: u64, new: u64, proof: &mut Vec<Hash>) -> Result<(), LogFault> {
        let (mut start, mut end) = (0, new);
        let mut siblings = Vec::new();
        while end != old {
            let middle = start + split(end - start);
            if old <= middle {
                siblings.push(self.subtree(middle, end)?);
                end = middle;
            } else {
                siblings.push(self.subtree(start, middle)?);
                start = middle;
            }
        }
        // Where the old tree is itself the subtree reached, the verifier knows its root.
        if start != 0 {
            proof.push(self.subtree(start, end)?);
        }
        proof.extend(siblings.into_iter().rev());
        Ok(())
    }

    /// `MTH(D[start:end])` over groups. `start` is a multiple of the largest power of two that is
    /// not above `end - start`, as in every subtree that RFC 6962 forms.
    fn subtree(&self, start: u64, end: u64) -> Result<Hash, LogFault> {
        let count = end - start;
        if count.is_power_of_two() {
            let row = count.trailing_zeros();
            return self.node(row, start >> row);
        }
        let middle = start + split(count);
        Ok(node_hash(
            &self.subtree(start, middle)?,
            &self.subtree(middle, end)?,
        ))
    }

    fn node(&self, row: u32, index: u64) -> Result<Hash, LogFault> {
        let row = usize::try_from(row).ok().and_then(|row| self.rows.get(row));
        let node = usize::try_from(index)
            .ok()
            .and_then(|index| row?.get(index));
        node.copied().ok_or_else(|| self.unknown(index))
    }

    /// All levels of one group's subtree, leaves first, its root last.
    fn group_rows(&self, leaf_hashes: &[Hash]) -> Result<Vec<Vec<Hash>>, LogFault> {
        if u64::try_from(leaf_hashes.len()) != Ok(self.group_leaves()) {
            return Err(LogFault::GroupLength {
                expected: self.group_leaves(),
                given: leaf_hashes.len(),
            });
        }
        let mut rows = vec![leaf_hashes.to_vec()];
        for _ in 0..self.level {
            let (pairs, _) = rows.last().map_or(&[][..], Vec::as_slice).as_chunks::<2>();
            rows.push(
                pairs
                    .iter()
                    .map(|[left, right]| node_hash(left, right))
                    .collect(),
            );
        }
        Ok(rows)
    }

    /// Whole groups of a size that this log has reached.
    fn groups(&self, size: u64) -> Result<u64, LogFault> {
        if size <= self.size() && size.is_multiple_of(self.group_leaves()) {
            Ok(size >> self.level)
        } else {
            Err(self.unknown(size))
        }
    }

    fn unknown(&self, asked: u64) -> LogFault {
        LogFault::SizeUnknown {
            asked,
            size: self.size(),
            group: self.group_leaves(),
        }
    }
}

/// The largest power of two below `count`, which is 2 or more (RFC 6962 §2.1).
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}
