//! Who gives way where there is no room: whoever takes up the most of it, so that one
//! administrator's bulk never pushes out what the others signed.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{PROPOSALS_BYTES_MAX, PROPOSALS_MAX};
use crate::membership::{Document, Signed};

/// The administrators who signed a document whose signatures were checked.
pub(super) fn signers<T: Document>(
    document: &Signed<T>,
    administrators: &[[u8; 32]],
) -> BTreeSet<[u8; 32]> {
    let keys = document.signatures().iter().map(|one| one.key);
    keys.filter(|key| administrators.contains(key)).collect()
}

/// Something that takes up room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken<K> {
    /// What it is.
    pub(super) key: K,
    /// The administrator whose it is; `None` where it is nobody's alone, and so stays.
    pub(super) of: Option<[u8; 32]>,
    /// Its bytes.
    pub(super) bytes: usize,
}

/// The one that gives way to the others: of whoever has the most by `weight`, the heaviest; never
/// `newest`, and nothing where whoever has the most has nothing else.
pub(super) fn giving_way<K: Ord + Copy>(
    all: &[Taken<K>],
    newest: Option<K>,
    weight: impl Fn(&Taken<K>) -> usize,
) -> Option<K> {
    let mut sums: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for one in all {
        if let Some(of) = one.of {
            let sum = sums.entry(of).or_default();
            *sum = sum.saturating_add(weight(one));
        }
    }
    let (most, _) = sums.into_iter().max_by_key(|(_, sum)| *sum)?;
    let theirs = all.iter().filter(|one| one.of == Some(most));
    let others = theirs.filter(|one| Some(one.key) != newest);
    others.max_by_key(|one| weight(one)).map(|one| one.key)
}

/// The proposals that give way so that the rest, `newest` among them, keeps to the bounds; `None`
/// where there is no room for `newest`.
pub(super) fn proposals_giving_way<K: Ord + Copy>(
    mut all: Vec<Taken<K>>,
    newest: Option<K>,
) -> Option<Vec<K>> {
    let mut gone = Vec::new();
    loop {
        let bytes: usize = all.iter().map(|one| one.bytes).sum();
        let next = if all.len() > PROPOSALS_MAX {
            giving_way(&all, newest, |_| 1)?
        } else if bytes > PROPOSALS_BYTES_MAX {
            giving_way(&all, newest, |one| one.bytes)?
        } else {
            return Some(gone);
        };
        all.retain(|one| one.key != next);
        gone.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LIST_BYTES_MAX;

    const ONE: Option<[u8; 32]> = Some([1; 32]);
    const OTHER: Option<[u8; 32]> = Some([2; 32]);

    fn taken(key: u8, of: Option<[u8; 32]>, bytes: usize) -> Taken<u8> {
        Taken { key, of, bytes }
    }

    #[test]
    fn whoever_alone_signed_the_most_gives_way() {
        // By number: small ones of one, beside a large one of another, and one of both.
        let mut all: Vec<_> = (0..15).map(|key| taken(key, ONE, 10)).collect();
        all.push(taken(50, OTHER, LIST_BYTES_MAX));
        all.push(taken(51, None, 10));
        let gone = proposals_giving_way(all.clone(), Some(50)).unwrap();
        assert_eq!(gone.len(), 1);
        assert!(gone.iter().all(|key| *key < 15));
        // By bytes: the longest list there is has room beside whatever another one put.
        let bulk = (0..2).map(|key| taken(key, ONE, LIST_BYTES_MAX));
        let mut bulk: Vec<_> = bulk.collect();
        assert_eq!(proposals_giving_way(bulk.clone(), None), Some(vec![]));
        bulk.push(taken(50, OTHER, LIST_BYTES_MAX));
        let gone = proposals_giving_way(bulk, Some(50)).unwrap();
        assert_eq!(gone.len(), 1);
        assert!(gone.iter().all(|key| *key < 15));
        // Whoever has the most makes room among its own, and gets none where it has nothing else.
        let own: Vec<_> = (0..17).map(|key| taken(key, ONE, 10)).collect();
        assert_ne!(proposals_giving_way(own, Some(16)), Some(vec![16]));
        let shared = (0..16).map(|key| taken(key, None, 10));
        let all: Vec<_> = shared.chain([taken(50, OTHER, 10)]).collect();
        assert_eq!(proposals_giving_way(all, Some(50)), None);
    }

    #[test]
    fn what_was_held_beyond_the_bounds_is_mended() {
        let all: Vec<_> = (0..9).map(|key| taken(key, ONE, LIST_BYTES_MAX)).collect();
        assert_eq!(proposals_giving_way(all, None).unwrap().len(), 7);
    }
}
