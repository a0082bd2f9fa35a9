//! Bounds of a backup that is taken while the node serves.

/// Bytes of rows that changed during a backup and are kept as they were.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// How long a part of a backup may wait for whoever takes it.
pub const BACKUP_STALL: std::time::Duration = std::time::Duration::from_secs(600);

/// Bytes of one message with a part of a backup.
pub const BACKUP_PART_BYTES: usize = 256 << 10;
