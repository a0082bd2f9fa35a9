//! Bounds of witnesses, gossip and proven forks.

use std::time::Duration;

use super::{
    CONSISTENCY_HASHES_MAX, MEMBERS_MAX, STANDARD_MESSAGE_BYTES_MAX, STORE_VALUE_BYTES_MAX,
};

/// Witnesses that cosign a checkpoint of the audit log, where there are as many peers.
pub const WITNESSES: usize = 2;

/// How often a node looks for a checkpoint that is not cosigned.
pub const COSIGN_LOOK: Duration = Duration::from_secs(5);

/// How old an entry may get without enough cosignatures over it before that is a finding.
pub const COSIGN_LATE_AFTER: Duration = Duration::from_secs(60 * 60);

/// How often a witness that says what it cosigned last is asked once more, with the proof from
/// there.
pub const COSIGN_TRIES: usize = 3;

/// log2 of the entries of a log whose subtree roots are kept for proofs.
pub const LOG_BLOCK_LEVEL: u32 = 10;

/// How often a node exchanges checkpoints with a peer.
pub const GOSSIP_INTERVAL: Duration = Duration::from_secs(30);

/// Checkpoints in one exchange, each way.
pub const GOSSIP_NOTES_MAX: usize = 128;

/// Bytes of a checkpoint in an exchange.
pub const GOSSIP_NOTE_BYTES_MAX: usize = 1024;

/// Proven forks in one exchange, each way: those found last.
pub const GOSSIP_FORKS_MAX: usize = 2;

/// Members whose proof of growth is asked for in one exchange.
pub const GOSSIP_GROWTHS_MAX: usize = 8;

/// Forks kept of one member.
pub const FORKS_PER_MEMBER_MAX: usize = 8;

/// Bytes of a fork proof in its written form.
pub const FORK_PROOF_BYTES_MAX: usize = 12 * 1024;

/// Forks kept of all members.
pub const FORKS_MAX: usize = FORKS_PER_MEMBER_MAX * MEMBERS_MAX;

const _: () = assert!(
    2 * GOSSIP_NOTE_BYTES_MAX + (CONSISTENCY_HASHES_MAX + 3) * 100 < FORK_PROOF_BYTES_MAX
        && FORK_PROOF_BYTES_MAX + 256 < STORE_VALUE_BYTES_MAX
);
const _: () = assert!(
    GOSSIP_NOTES_MAX * GOSSIP_NOTE_BYTES_MAX + GOSSIP_FORKS_MAX * FORK_PROOF_BYTES_MAX
        < STANDARD_MESSAGE_BYTES_MAX
);
