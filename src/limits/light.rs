//! Bounds of light mode.

/// People of the population that share a prefix at least (invariant): the cap of its length.
pub const LIGHT_PEOPLE_MIN: u64 = 50_000;

/// Bits of the longest prefix, whatever the population.
pub const LIGHT_BITS_MAX: u32 = 16;

/// Entries that a bucket has on average, where `node.toml` names no number.
pub const LIGHT_ENTRIES_DEFAULT: u64 = 4_096;

/// Entries that `node.toml` may ask for.
pub const LIGHT_ENTRIES_CONFIGURED_MAX: u64 = 1 << 20;

/// Entries of the largest bucket that an asker takes: 640 MiB, read as they come.
pub const LIGHT_ENTRIES_MAX: u64 = 1 << 22;

/// Elements of one question, each with its bucket.
pub const LIGHT_ELEMENTS: usize = 2;

/// Entries in one message.
pub const LIGHT_PART_ENTRIES: usize = 1_600;

/// Bytes of buckets that are kept ready.
pub const LIGHT_CACHE_BYTES: usize = 64 << 20;

/// Borrowers whose entries one commit of the build makes.
pub const LIGHT_BUILD_PAGE: usize = 100;

/// How often a node looks whether a feed's entries are to be built.
pub const LIGHT_LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// How long an asker goes by what a peer offers.
pub const LIGHT_OFFER_AGE: std::time::Duration = std::time::Duration::from_secs(30);

const _: () = assert!(LIGHT_PART_ENTRIES * super::LEAF_BYTES < super::MESSAGE_BYTES_MAX);
