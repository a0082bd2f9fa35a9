//! The right edge of a log: enough to append leaves and to know the root, in at most 63 hashes.

use super::{Hash, LogFault, empty_root, node_hash};

/// First byte of an encoded frontier.
const FORMAT: u8 = 1;

/// The roots of the complete subtrees that a log of some size falls into, from left (largest) to
/// right (smallest): one per set bit of the size. Appending needs nothing else of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of an empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// Leaves appended so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees at the right edge, the largest first.
    pub(super) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The right edge of a log of `size` leaves with these complete subtrees.
    pub(super) const fn of_peaks(size: u64, peaks: Vec<Hash>) -> Self {
        Self { size, peaks }
    }

    /// The root of the tree over all leaves appended so far (RFC 6962 §2.1, `MTH`).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else {
            return empty_root();
        };
        peaks.fold(*smallest, |right, left| node_hash(left, &right))
    }

    /// Appends one leaf by its hash.
    ///
    /// # Errors
    /// [`LogFault::Full`] at 2^63 leaves.
    pub fn append(&mut self, leaf_hash: Hash) -> Result<(), LogFault> {
        let grown = self.size.checked_add(1).filter(|size| *size <= 1 << 63);
        let grown = grown.ok_or(LogFault::Full)?;
        let mut hash = leaf_hash;
        // Each trailing one of the old size is a peak that the new leaf completes a pair with.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size = grown;
        Ok(())
    }

    /// For storage: format byte 1, size (8 bytes, big-endian), then the peaks, 32 bytes each.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + 32 * self.peaks.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(self.peaks.as_flattened());
        bytes
    }

    /// The frontier that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`LogFault::FrontierDamaged`] where the bytes are of another format or length.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogFault> {
        let (head, rest) = bytes
            .split_first_chunk::<9>()
            .ok_or(LogFault::FrontierDamaged)?;
        let [format, size @ ..] = *head;
        let size = u64::from_be_bytes(size);
        let (peaks, odd) = rest.as_chunks::<32>();
        let expected = usize::try_from(size.count_ones());
        if format != FORMAT || size > 1 << 63 || !odd.is_empty() || expected != Ok(peaks.len()) {
            return Err(LogFault::FrontierDamaged);
        }
        Ok(Self {
            size,
            peaks: peaks.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::reference;

    #[test]
    fn roots_equal_the_definition_for_every_small_size() {
        let leaves = reference::leaf_hashes(300);
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), empty_root());
        for (index, leaf) in leaves.iter().enumerate() {
            frontier.append(*leaf).unwrap();
            assert_eq!(frontier.size(), index as u64 + 1);
            assert_eq!(frontier.root(), reference::root(&leaves[..=index]));
            assert_eq!(Frontier::decode(&frontier.encode()), Ok(frontier.clone()));
        }
    }

    #[test]
    fn damaged_frontier_is_refused() {
        let mut frontier = Frontier::new();
        for leaf in reference::leaf_hashes(21) {
            frontier.append(leaf).unwrap();
        }
        let good = frontier.encode();
        for length in 0..good.len() {
            assert!(
                Frontier::decode(&good[..length]).is_err(),
                "cut to {length}"
            );
        }
        let mut other_format = good.clone();
        other_format[0] = 2;
        let mut other_size = good.clone();
        other_size[8] = 22 | 1;
        let mut longer = good;
        longer.extend_from_slice(&[0; 32]);
        for bytes in [other_format, other_size, longer] {
            assert_eq!(Frontier::decode(&bytes), Err(LogFault::FrontierDamaged));
        }
    }

    #[test]
    fn a_full_log_takes_no_further_leaf() {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&(1_u64 << 63).to_be_bytes());
        bytes.extend_from_slice(&[7; 32]);
        let mut full = Frontier::decode(&bytes).unwrap();
        assert_eq!(full.append([0; 32]), Err(LogFault::Full));
    }
}
