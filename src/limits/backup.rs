//! Bounds of a backup that is taken while the node serves.

/// Bytes of rows that changed during a backup and are kept as they were.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// Bytes of one message with a part of a backup.
pub const BACKUP_PART_BYTES: usize = 256 << 10;
