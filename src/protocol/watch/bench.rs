//! What recognising watched borrowers costs for each leaf, beside its ceilings in the same run.

use std::hint::black_box;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::{WatchIndex, Watched};
use crate::crypto::bench::{BenchRow, compare, thread_cpu};
use crate::crypto::oprf::OprfError;
use crate::env::Entropy;
use crate::limits::LEAF_BYTES;
use crate::merkle::leaf_hash;
use crate::protocol::leaf::Leaf;

/// Leaves that stream by in one round.
const LEAVES: usize = 1 << 16;

/// One leaf in so many is a watched borrower's.
const HIT_EVERY: usize = 1_024;

/// Bytes that the hash table takes for each of its places: tag, number, control byte.
const PLACE_BYTES: usize = size_of::<([u8; 12], Watched)>() + 1;

struct Stream {
    leaves: Vec<Leaf>,
    index: WatchIndex,
    /// As large as what any table of so many tags must at least be.
    floor: Vec<u64>,
}

/// Measures the look at a leaf against `watched` tags in memory, and the hashing of a leaf, each
/// for about `cpu_per_row` of each side.
///
/// The ceiling of the look is one read of a random place in a table of 8 bytes for each tag; that
/// of the hashing is the library's SHA-256 over the same bytes in one piece.
///
/// # Errors
/// [`OprfError::Entropy`] without random bytes.
pub fn bench_feed(
    cpu_per_row: Duration,
    watched: u32,
    entropy: &dyn Entropy,
) -> Result<Vec<BenchRow>, OprfError> {
    let mut stream = Stream::new(watched, entropy)?;
    let places = stream.index.expected.capacity().saturating_mul(8) / 7;
    let bytes = places.next_power_of_two() * PLACE_BYTES;
    let Stream {
        leaves,
        index,
        floor,
    } = &mut stream;
    let look = compare(
        cpu_per_row,
        || Ok(look_at_all(leaves, index)),
        || Ok(touch_all(leaves, floor)),
    )?;
    let hash = compare(
        cpu_per_row,
        || {
            Ok(timed(|| {
                leaves.iter().for_each(|leaf| {
                    black_box(leaf_hash(leaf.bytes()));
                });
            }))
        },
        || Ok(hash_flat(leaves)),
    )?;
    let watched = usize::try_from(watched).unwrap_or(usize::MAX);
    Ok(vec![
        row("match", watched, ratio(bytes, watched), look),
        row("leaf-hash", LEAVES, ratio(LEAF_BYTES, 1), hash),
    ])
}

impl Stream {
    fn new(watched: u32, entropy: &dyn Entropy) -> Result<Self, OprfError> {
        let leaves = (0..LEAVES).map(|_| Leaf::random(entropy));
        let leaves = leaves.collect::<Result<Vec<_>, _>>()?;
        let room = usize::try_from(watched).unwrap_or(0);
        let mut index = WatchIndex::with_room_for(room);
        let hits = leaves.iter().step_by(HIT_EVERY).map(Leaf::tag);
        let mut tags: Vec<_> = hits.take(room).collect();
        for _ in tags.len()..room {
            tags.push(Leaf::random(entropy)?.tag());
        }
        for (number, tag) in (0..watched).zip(tags) {
            index.expect(tag, Watched(number));
        }
        let floor = (0..u64::from(watched)).collect();
        Ok(Self {
            leaves,
            index,
            floor,
        })
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = thread_cpu();
    work();
    thread_cpu().saturating_sub(start)
}

fn look_at_all(leaves: &[Leaf], index: &mut WatchIndex) -> Duration {
    timed(|| {
        for (position, leaf) in (0..).zip(leaves) {
            if let Some(found) = index.observe(position, leaf) {
                // Its next leaf has another tag; this one serves the next round.
                index.expect(leaf.tag(), black_box(found).watched);
            }
        }
    })
}

fn touch_all(leaves: &[Leaf], floor: &[u64]) -> Duration {
    let places = u64::try_from(floor.len()).unwrap_or(u64::MAX).max(1);
    timed(|| {
        for leaf in leaves {
            let [front @ .., _, _, _, _] = leaf.tag();
            let place = u64::from_le_bytes(front) % places;
            black_box(usize::try_from(place).ok().and_then(|at| floor.get(at)));
        }
    })
}

fn hash_flat(leaves: &[Leaf]) -> Duration {
    let mut piece = [0; LEAF_BYTES + 1];
    timed(|| {
        for leaf in leaves {
            if let Some((_, rest)) = piece.split_first_mut() {
                rest.copy_from_slice(leaf.bytes());
            }
            black_box(digest(&SHA256, &piece));
        }
    })
}

fn ratio(one: usize, other: usize) -> f64 {
    let number = |count: usize| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    number(one) / number(other.max(1))
}

fn row(
    name: &'static str,
    batch: usize,
    bytes_per_element: f64,
    (ours, ceiling): (Duration, Duration),
) -> BenchRow {
    let leaves = ratio(LEAVES, 1);
    BenchRow {
        name,
        batch,
        cpu_us_per_element: ours.as_secs_f64() * 1e6 / leaves,
        ceiling_cpu_us_per_element: ceiling.as_secs_f64() * 1e6 / leaves,
        ratio: ours.as_secs_f64() / ceiling.as_secs_f64(),
        bytes_per_element,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn the_look_and_the_hashing_are_measured_beside_their_ceilings() {
        let rows = bench_feed(Duration::ZERO, 10_000, &SeededEntropy::from_seed(1)).unwrap();
        let names: Vec<_> = rows.iter().map(|row| (row.name, row.batch)).collect();
        assert_eq!(names, [("match", 10_000), ("leaf-hash", 65_536)]);
        for row in rows {
            assert!(row.cpu_us_per_element > 0.0 && row.ceiling_cpu_us_per_element > 0.0);
        }
    }
}
