//! Bucket digests: how a missing, stale or swapped row is found, which no seal can show.
//!
//! The rows of a table fall into [`BUCKETS`] buckets. A bucket's digest is the number of its rows
//! and the XOR of a keyed hash of each of them; it changes in the same atomic step as the rows.
//! Eight neighbouring digests are stored as one row, a *shelf*, because writing a row costs an
//! engine more than its bytes. A shelf has a tag of its own, so that it cannot be made to fit
//! altered rows without the digest key. What it cannot show is a whole store, or the rows of eight
//! buckets together with their shelf, put back to an earlier state.

use std::collections::BTreeMap;
use std::fmt;

use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::crypto::{Secret, labels};

use super::{Row, Table};

/// Buckets of a table.
pub const BUCKETS: usize = 64;

const BUCKET_BITS: u32 = BUCKETS.ilog2();
const SUM_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Buckets whose digests are stored together.
const SHELF_BUCKETS: usize = 8;

/// Shelves of a table.
pub(super) const SHELVES: usize = BUCKETS / SHELF_BUCKETS;

/// Bytes of a stored shelf: per bucket rows (8, big-endian) and sum (32), then a tag (16).
const STORED_BYTES: usize = SHELF_BUCKETS * (8 + SUM_BYTES) + TAG_BYTES;

const _: () = assert!(BUCKETS.is_power_of_two() && BUCKETS <= 256);
const _: () = assert!(SHELVES * SHELF_BUCKETS == BUCKETS);

/// The bucket of a key: the first six bits of its SHA-256.
pub(super) fn bucket_of(key: &[u8]) -> u8 {
    let first = digest(&SHA256, key).as_ref().first().copied();
    first.unwrap_or_default() >> (8 - BUCKET_BITS)
}

/// The digest of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketDigest {
    /// Rows in the bucket.
    pub rows: u64,
    /// XOR of the rows' keyed hashes.
    pub sum: [u8; SUM_BYTES],
}

impl BucketDigest {
    /// Counts a row in.
    pub(super) fn add(&mut self, row: &[u8; SUM_BYTES]) {
        self.rows = self.rows.wrapping_add(1);
        self.toggle(row);
    }

    /// Counts a row out.
    pub(super) fn remove(&mut self, row: &[u8; SUM_BYTES]) {
        self.rows = self.rows.wrapping_sub(1);
        self.toggle(row);
    }

    fn toggle(&mut self, row: &[u8; SUM_BYTES]) {
        for (sum, byte) in self.sum.iter_mut().zip(row) {
            *sum ^= byte;
        }
    }
}

/// Digests that are stored together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shelf([BucketDigest; SHELF_BUCKETS]);

impl Shelf {
    /// The shelf that a bucket's digest stands on.
    pub(super) fn of(bucket: u8) -> u8 {
        bucket >> SHELF_BUCKETS.ilog2()
    }

    /// The digest of a bucket of this shelf.
    pub(super) fn bucket(&mut self, bucket: u8) -> Option<&mut BucketDigest> {
        self.0.get_mut(usize::from(bucket) % SHELF_BUCKETS)
    }

    /// The digests in the order of the buckets; nothing vouches for those of a missing shelf.
    pub(super) fn digests(shelf: Option<Self>) -> [Option<BucketDigest>; SHELF_BUCKETS] {
        shelf.map_or([None; SHELF_BUCKETS], |shelf| shelf.0.map(Some))
    }
}

/// The keyed hashes of a store, under the digest key of its key ring.
#[derive(Clone)]
pub struct Digester {
    key: hmac::Key,
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

impl Digester {
    /// The digests under `digest_key`.
    #[must_use]
    pub fn new(digest_key: &Secret<32>) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, digest_key.expose()),
        }
    }

    /// The keyed hash of a row at its place.
    pub(super) fn row(&self, table: Table, key: &[u8], row: &Row) -> [u8; SUM_BYTES] {
        let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let parts: [&[u8]; 5] = [
            &[table.code()],
            &key_len.to_be_bytes(),
            key,
            &row.revision.to_be_bytes(),
            row.sealed.as_bytes(),
        ];
        self.hash(labels::STORE_ROW, &parts)
    }

    /// A shelf as it is stored.
    pub(super) fn encode(&self, table: Table, number: u8, shelf: &Shelf) -> Vec<u8> {
        let mut stored = Vec::with_capacity(STORED_BYTES);
        for digest in &shelf.0 {
            stored.extend_from_slice(&digest.rows.to_be_bytes());
            stored.extend_from_slice(&digest.sum);
        }
        let tag = self.tag(labels::STORE_SHELF, &[&[table.code(), number], &stored]);
        stored.extend_from_slice(&tag);
        stored
    }

    /// A stored shelf; `None` where it is not what [`Self::encode`] made for this place.
    pub(super) fn decode(&self, table: Table, number: u8, stored: &[u8]) -> Option<Shelf> {
        let (body, tag) = stored.split_last_chunk::<TAG_BYTES>()?;
        let parts: [&[u8]; 2] = [&[table.code(), number], body];
        if stored.len() != STORED_BYTES || !self.verify_tag(labels::STORE_SHELF, &parts, tag) {
            return None;
        }
        let mut shelf = Shelf::default();
        for (digest, bytes) in shelf.0.iter_mut().zip(body.chunks_exact(8 + SUM_BYTES)) {
            let (rows, sum) = bytes.split_first_chunk::<8>()?;
            digest.rows = u64::from_be_bytes(*rows);
            digest.sum = sum.try_into().ok()?;
        }
        Some(shelf)
    }

    /// A short keyed hash for one purpose.
    pub(super) fn tag(&self, label: &[u8], parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let hash = self.hash(label, parts);
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// Whether `tag` is the [`Self::tag`] of these parts, in constant time.
    pub(super) fn verify_tag(&self, label: &[u8], parts: &[&[u8]], tag: &[u8; TAG_BYTES]) -> bool {
        let ours = self.tag(label, parts);
        subtle::ConstantTimeEq::ct_eq(ours.as_slice(), tag.as_slice()).into()
    }

    fn hash(&self, label: &[u8], parts: &[&[u8]]) -> [u8; SUM_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(label);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// Digests of a table, counted from its rows.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    digester: &'a Digester,
    table: Table,
    buckets: BTreeMap<u8, BucketDigest>,
}

impl<'a> Tally<'a> {
    /// The digests of a table without rows.
    pub(super) fn of(table: Table, digester: &'a Digester) -> Self {
        Self {
            digester,
            table,
            buckets: BTreeMap::new(),
        }
    }

    /// Counts a row.
    pub(super) fn add(&mut self, key: &[u8], row: &Row) {
        let hash = self.digester.row(self.table, key, row);
        self.buckets.entry(bucket_of(key)).or_default().add(&hash);
    }

    /// The digest of a bucket.
    pub(super) fn bucket(&self, bucket: u8) -> BucketDigest {
        self.buckets.get(&bucket).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digester() -> Digester {
        Digester::new(&Secret::from_bytes([7; 32]))
    }

    #[test]
    fn stored_shelf_is_refused_when_any_byte_or_its_place_changes() {
        let mut shelf = Shelf::default();
        *shelf.bucket(13).unwrap() = BucketDigest {
            rows: 3,
            sum: [9; SUM_BYTES],
        };
        assert_eq!(Shelf::of(13), 1);
        assert_eq!(Shelf::digests(Some(shelf))[5].unwrap().rows, 3);
        let stored = digester().encode(Table::Quota, 1, &shelf);
        assert_eq!(digester().decode(Table::Quota, 1, &stored), Some(shelf));
        assert_eq!(digester().decode(Table::Quota, 2, &stored), None);
        assert_eq!(digester().decode(Table::Answer, 1, &stored), None);
        for at in 0..stored.len() {
            let mut altered = stored.clone();
            altered[at] ^= 1;
            assert_eq!(digester().decode(Table::Quota, 1, &altered), None);
        }
        assert_eq!(digester().decode(Table::Quota, 1, &stored[1..]), None);
    }

    #[test]
    fn row_hash_depends_on_table_key_revision_and_content() {
        let row = |revision: u64, byte: u8| Row {
            revision,
            sealed: crate::crypto::Sealed::from_stored(vec![byte; 40]),
        };
        let one = digester().row(Table::Quota, b"ab", &row(1, 1));
        for other in [
            digester().row(Table::Answer, b"ab", &row(1, 1)),
            digester().row(Table::Quota, b"a", &row(1, 1)),
            digester().row(Table::Quota, b"ab", &row(2, 1)),
            digester().row(Table::Quota, b"ab", &row(1, 2)),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn buckets_stay_in_range_and_all_are_used() {
        let used: std::collections::BTreeSet<u8> = (0..4_096_u32)
            .map(|n| bucket_of(&n.to_be_bytes()))
            .collect();
        assert_eq!(used.len(), BUCKETS);
        assert!(used.iter().all(|bucket| usize::from(*bucket) < BUCKETS));
    }
}
