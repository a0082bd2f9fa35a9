//! Bounds of the audit log as others read and check it.

use super::NOTE_BYTES_MAX;

/// Faults of an audit log that one check tells of.
pub const AUDIT_FAULTS_MAX: usize = 100;

/// Entries missing in a row that a check still looks for further on.
pub const AUDIT_GAP_MAX: u64 = 10_000;

/// Bytes of one entry of an audit log.
pub const AUDIT_LINE_BYTES_MAX: usize = 4 * 1024;

/// Hashes of an inclusion proof in a log of 2^63 leaves.
pub const AUDIT_PATH_MAX: usize = 63;

/// Bytes of a public evidence file.
pub const AUDIT_PROOF_BYTES_MAX: usize = 32 * 1024;

/// Entries in one file of a copy of the audit log.
pub const AUDIT_SEGMENT_ENTRIES: u64 = 65_536;

const _: () = assert!(
    NOTE_BYTES_MAX + AUDIT_LINE_BYTES_MAX * 2 + AUDIT_PATH_MAX * 45 < AUDIT_PROOF_BYTES_MAX
);
