//! Whether leaves that do not give a signed root give it in another order.
//!
//! Not every order can be tried: n leaves have n! of them. What is tried is the whole run sorted
//! and reversed, two leaves or two groups exchanged, and one leaf moved, the nearest first, until
//! [`MIRROR_ORDER_HASHES_MAX`] hashes are spent for each of the last three.

use crate::limits::{FEED_GROUP_LEAVES, MIRROR_ORDER_HASHES_MAX};
use crate::merkle::{Frontier, Hash, Run, leaf_hash};
use crate::protocol::leaf::Leaf;

/// Trials over the leaves of one run.
struct Trials<'a> {
    run: Run,
    hashes: Vec<Hash>,
    fits: &'a dyn Fn(&Hash) -> bool,
    /// Hashes that may still be computed.
    left: usize,
}

/// Tries the orders of one kind.
type Kind = fn(&mut Trials<'_>) -> Result<(), End>;

/// Why no further order is tried.
enum End {
    /// An order fits.
    Found,
    /// The budget is spent.
    Spent,
}

/// Whether one of the orders tried of `leaves`, behind the log with the right edge `edge`, gives a
/// root that `fits`.
pub(super) fn fits_in_another_order(
    edge: &Frontier,
    leaves: &[Leaf],
    fits: &dyn Fn(&Hash) -> bool,
) -> bool {
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf.bytes())).collect();
    let Some(run) = Run::behind(edge, hashes.clone()) else {
        return false;
    };
    let mut trials = Trials {
        run,
        hashes,
        fits,
        left: 0,
    };
    if whole_orders(edge, leaves).any(|order| trials.is_signed(&order)) {
        return true;
    }
    let kinds: [Kind; 3] = [leaves_exchanged, groups_exchanged, leaf_moved];
    kinds.into_iter().any(|tried| {
        trials.left = MIRROR_ORDER_HASHES_MAX;
        matches!(tried(&mut trials), Err(End::Found))
    })
}

/// The leaves sorted, as those of a snapshot are behind its link, and reversed.
fn whole_orders(edge: &Frontier, leaves: &[Leaf]) -> impl Iterator<Item = Vec<usize>> {
    let link = usize::from(edge.size() == 0);
    let mut sorted: Vec<usize> = (0..leaves.len()).collect();
    if let Some(behind) = sorted.get_mut(link..) {
        behind.sort_by_key(|at| leaves.get(*at).map(|leaf| *leaf.bytes()));
    }
    let reversed = (0..leaves.len()).rev().collect();
    [sorted, reversed].into_iter()
}

fn leaves_exchanged(trials: &mut Trials<'_>) -> Result<(), End> {
    let count = trials.hashes.len();
    for apart in 1..count {
        for one in 0..count - apart {
            trials.attempt(&[(one, one + apart), (one + apart, one)])?;
        }
    }
    Ok(())
}

fn groups_exchanged(trials: &mut Trials<'_>) -> Result<(), End> {
    let group = FEED_GROUP_LEAVES;
    let count = trials.hashes.len() / group;
    for apart in 1..count {
        for one in 0..count - apart {
            let (first, second) = (one * group, (one + apart) * group);
            let into = |to: usize, from: usize| (0..group).map(move |at| (to + at, from + at));
            let both: Vec<_> = into(first, second).chain(into(second, first)).collect();
            trials.attempt(&both)?;
        }
    }
    Ok(())
}

fn leaf_moved(trials: &mut Trials<'_>) -> Result<(), End> {
    let count = trials.hashes.len();
    for apart in 2..count {
        for one in 0..count - apart {
            let last = one + apart;
            let earlier = (one..last).map(|at| (at, at + 1)).chain([(last, one)]);
            trials.attempt(&earlier.collect::<Vec<_>>())?;
            let later = [(one, last)].into_iter();
            let later = later.chain((one + 1..=last).map(|at| (at, at - 1)));
            trials.attempt(&later.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

impl Trials<'_> {
    /// Tries one order within the budget: each place with that whose leaf it gets.
    fn attempt(&mut self, moves: &[(usize, usize)]) -> Result<(), End> {
        let cost = moves.len() * self.run.height();
        self.left = self.left.checked_sub(cost).ok_or(End::Spent)?;
        if self.gives(moves) {
            Err(End::Found)
        } else {
            Ok(())
        }
    }

    /// Tries an order of the whole run.
    fn is_signed(&self, order: &[usize]) -> bool {
        let moves: Vec<(usize, usize)> = order.iter().copied().enumerate().collect();
        self.gives(&moves)
    }

    fn gives(&self, moves: &[(usize, usize)]) -> bool {
        let hash = |(place, from): &(usize, usize)| Some((*place, *self.hashes.get(*from)?));
        let changes: Option<Vec<(usize, Hash)>> = moves.iter().map(hash).collect();
        let root = changes.and_then(|changes| self.run.root_with(&changes));
        root.is_some_and(|root| (self.fits)(&root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    /// Whether the order is found again, behind `before` other leaves.
    fn found(before: usize, count: usize, disorder: impl Fn(&mut Vec<Leaf>)) -> bool {
        let entropy = SeededEntropy::from_seed(4);
        let mut edge = Frontier::new();
        for _ in 0..before {
            let leaf = Leaf::random(&entropy).unwrap();
            edge.append(leaf_hash(leaf.bytes())).unwrap();
        }
        let mut leaves: Vec<Leaf> = (0..count)
            .map(|_| Leaf::random(&entropy).unwrap())
            .collect();
        leaves.sort_by_key(|leaf| *leaf.bytes());
        if count < 4_096 {
            // In no order that could be guessed.
            leaves.rotate_left(3);
            leaves.swap(0, 5);
        }
        let mut whole = edge.clone();
        for leaf in &leaves {
            whole.append(leaf_hash(leaf.bytes())).unwrap();
        }
        let signed = whole.root();
        disorder(&mut leaves);
        fits_in_another_order(&edge, &leaves, &|root| *root == signed)
    }

    #[test]
    fn leaves_and_groups_exchanged_moved_and_reversed_are_found() {
        for (before, count) in [(0, 8), (8, 8), (24, 32), (40, 96)] {
            for (one, other) in [(0, 1), (0, count - 1), (3, 6)] {
                assert!(found(before, count, |leaves| leaves.swap(one, other)));
            }
            assert!(found(before, count, |leaves| leaves.reverse()));
            assert!(found(before, count, |leaves| leaves[1..5].rotate_left(1)));
            assert!(found(before, count, |leaves| leaves[1..5].rotate_right(1)));
        }
        assert!(found(24, 96, |leaves| {
            let (first, second) = leaves.split_at_mut(48);
            first[8..16].swap_with_slice(&mut second[24..32]);
        }));
    }

    #[test]
    fn neighbours_and_a_whole_disorder_are_found_in_the_longest_tail() {
        assert!(found(64, 4_096, |leaves| leaves.swap(4_094, 4_095)));
        assert!(
            found(64, 4_096, |leaves| leaves.rotate_left(1_234)),
            "sorted again"
        );
    }

    #[test]
    fn beyond_the_budget_no_order_is_found() {
        // Behind a beginning that cannot be sorted.
        let far = |leaves: &mut Vec<Leaf>| {
            leaves.swap(1, 1_300);
            leaves.swap(2, 1_200);
        };
        assert!(!found(64, 1_536, far));
    }

    #[test]
    fn another_leaf_is_no_other_order() {
        let forged = Leaf::random(&SeededEntropy::from_seed(5)).unwrap();
        assert!(!found(24, 32, |leaves| leaves[7] = forged));
        assert!(!found(24, 32, |leaves| leaves[7] = leaves[8]));
    }
}
