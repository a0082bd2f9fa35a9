//! Free space under a folder, and the watermark below which a store takes no more writes.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const MIB: u64 = 1 << 20;

/// Space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that the node's user may still write.
    pub free_bytes: u64,
    /// Bytes of the whole file system.
    pub total_bytes: u64,
}

/// Where the figure comes from.
#[derive(Debug, Clone, Default)]
pub enum SpaceSource {
    /// The file system that holds the store (`statvfs`).
    #[default]
    FileSystem,
    /// What a test says.
    Told(Arc<Mutex<Space>>),
}

impl SpaceSource {
    /// The space of the file system that holds `folder`.
    pub(super) fn space(&self, folder: &Path) -> io::Result<Space> {
        match self {
            Self::FileSystem => {
                let found = rustix::fs::statvfs(folder)?;
                Ok(Space {
                    free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
                    total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
                })
            }
            Self::Told(space) => Ok(*space.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// The free space that a store needs to take writes: both bounds must hold.
///
/// sled's log grows to about one and a half times its rows before it is cleaned, so the last free
/// bytes of a disk belong to cleaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Least free bytes; default 64 MiB.
    pub free_bytes_min: u64,
    /// Least free share of the file system in percent; default 10.
    pub free_percent_min: u8,
}

impl Default for Watermark {
    fn default() -> Self {
        Self {
            free_bytes_min: 64 * MIB,
            free_percent_min: 10,
        }
    }
}

impl Watermark {
    /// The watermark of what gives way: somewhat higher.
    pub(super) const fn raised(self) -> Self {
        Self {
            free_bytes_min: self.free_bytes_min.saturating_mul(4),
            free_percent_min: self.free_percent_min.saturating_add(2),
        }
    }

    /// The free MiB where `space` is below the watermark.
    pub(super) fn breached_by(&self, space: Space) -> Option<u64> {
        let free = u128::from(space.free_bytes) * 100;
        let share = u128::from(space.total_bytes) * u128::from(self.free_percent_min);
        let breached = space.free_bytes < self.free_bytes_min || free < share;
        breached.then_some(space.free_bytes / MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_way_stops_before_the_rest() {
        let mark = Watermark::default();
        let space = |free, total| Space {
            free_bytes: free * MIB,
            total_bytes: total * MIB,
        };
        for space in [space(110, 1_000), space(250, 1_000)] {
            assert_eq!(mark.breached_by(space), None);
            assert!(mark.raised().breached_by(space).is_some());
        }
        assert_eq!(mark.raised().breached_by(space(256, 1_000)), None);
    }

    #[test]
    fn watermark_is_breached_by_either_bound() {
        let mark = Watermark::default();
        let space = |free_mib: u64, total_mib: u64| Space {
            free_bytes: free_mib * MIB,
            total_bytes: total_mib * MIB,
        };
        assert_eq!(mark.breached_by(space(100, 1_000)), None);
        assert_eq!(mark.breached_by(space(99, 1_000)), Some(99));
        assert_eq!(mark.breached_by(space(63, 100)), Some(63));
        assert_eq!(mark.breached_by(space(64, 100)), None);
    }
}
