//! Bounds of how the replicas of a node go on beside each other.

use std::time::Duration;

/// How often the process that leads, or that uses a store alone, shows that it lives.
pub const LEASE_BEAT: Duration = Duration::from_secs(1);

/// How long that process may be silent before another one leads.
pub const LEASE_SILENT: Duration = Duration::from_secs(5);

/// How much longer a process waits that wants a store alone: a replica that lives comes first.
pub const LEASE_ALONE_AFTER: Duration = Duration::from_millis(7_500);

/// How often a replica looks what the others wrote.
pub const REPLICA_LOOK: Duration = Duration::from_millis(200);

/// How long a re-keying waits for a replica to take the newer key ring before it may write no more
/// until it has.
pub const RING_PATIENCE: Duration = Duration::from_secs(30);

/// How long a reader waits for a key ring that opens what another replica sealed.
pub const RING_WAIT: Duration = Duration::from_secs(10);

const _: () = assert!(LEASE_SILENT.as_millis() >= 4 * LEASE_BEAT.as_millis());
const _: () = assert!(LEASE_ALONE_AFTER.as_millis() > LEASE_SILENT.as_millis());
const _: () = assert!(RING_PATIENCE.as_millis() > RING_WAIT.as_millis());
