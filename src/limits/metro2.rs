//! Bounds of Metro 2 files.

/// Bytes of one record, its descriptor word included: the longest of a variable block (IBM).
pub const METRO2_RECORD_BYTES_MAX: usize = 32_756;

/// Bytes of one block, its descriptor word included.
pub const METRO2_BLOCK_BYTES_MAX: usize = 65_535;

const _: () = assert!(METRO2_RECORD_BYTES_MAX + 4 <= METRO2_BLOCK_BYTES_MAX);
