//! Every bound of the product in one place, the relations between them checked at compile time.

/// Bytes of one feed leaf: tag, nonce, sealed summary, authentication tag (invariant).
pub const LEAF_BYTES: usize = 160;

/// Bytes of a leaf's tag.
pub const LEAF_TAG_BYTES: usize = 12;

/// Bytes of an AES-GCM nonce.
pub const NONCE_BYTES: usize = 12;

/// Bytes of an AES-GCM authentication tag.
pub const SEAL_TAG_BYTES: usize = 16;

/// Bytes of an encoded summary, the plaintext of a leaf.
pub const SUMMARY_BYTES: usize = LEAF_BYTES - LEAF_TAG_BYTES - NONCE_BYTES - SEAL_TAG_BYTES;

/// Leaves of one feed group: what a node publishes at once is padded to a multiple of this.
pub const FEED_GROUP_LEAVES: usize = 8;

/// A day's total of published leaves is topped up to a multiple of this.
pub const FEED_DAY_LEAVES: usize = 4_096;

/// Longest tail, in leaves, that one answer carries; a longer one is marked truncated.
pub const TAIL_LEAVES_MAX: usize = 4_096;

/// Most blinded elements in one evaluation request.
pub const EVALUATE_ELEMENTS_MAX: usize = 1_024;

/// Most rows in one store batch (sled's memory grows with the batch).
pub const STORE_BATCH_ROWS_MAX: usize = 500;

const _: () = assert!(SUMMARY_BYTES == 120);
const _: () = assert!(FEED_DAY_LEAVES.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(TAIL_LEAVES_MAX.is_multiple_of(FEED_GROUP_LEAVES));
