//! A peer that publishes a feed, and what it sends to mirrors.

use std::time::Duration;

use super::{Accepted, MirrorFault, MirrorHead, Tail};
use crate::crypto::{IdentityKey, Secret};
use crate::domain::Timestamp;
use crate::env::SeededEntropy;
use crate::limits::FEED_GROUP_LEAVES;
use crate::merkle::{Checkpoint, Hash, Tree};
use crate::protocol::feed::{AppendPlan, FeedHead};
use crate::protocol::leaf::{Leaf, flat};

pub(super) const GROUP: u64 = FEED_GROUP_LEAVES as u64;

pub(super) fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

/// A node that publishes a feed.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) key: [u8; 32],
    pub(super) head: FeedHead,
    pub(super) leaves: Vec<Leaf>,
    pub(super) tree: Tree,
    pub(super) note: String,
    pub(super) entropy: SeededEntropy,
    pub(super) now: Timestamp,
}

/// What a peer sends, owned, so that tests can alter it.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) from: u64,
    pub(super) leaves: Vec<u8>,
    pub(super) note: String,
    pub(super) consistency: Vec<Hash>,
}

impl Sent {
    pub(super) fn tail(&self) -> Tail<'_> {
        Tail {
            from: self.from,
            leaves: &self.leaves,
            note: &self.note,
            consistency: &self.consistency,
        }
    }
}

pub(super) fn identity(seed: [u8; 32]) -> IdentityKey {
    IdentityKey::from_seed(&Secret::from_bytes(seed))
}

impl Peer {
    pub(super) fn open(seed: u8) -> Self {
        let entropy = SeededEntropy::from_seed(u64::from(seed));
        let snapshot = (0..20).map(|_| Leaf::random(&entropy).unwrap()).collect();
        let feed = "lender-a/full/4".parse().unwrap();
        let opening = FeedHead::open(feed, None, snapshot, &entropy, start()).unwrap();
        let mut peer = Self {
            key: [3; 32],
            head: opening.head,
            leaves: Vec::new(),
            tree: Tree::with_groups_of(3),
            note: String::new(),
            entropy,
            now: start(),
        };
        peer.keep(&opening.leaves);
        peer
    }

    pub(super) fn public(&self) -> [u8; 32] {
        identity(self.key).public()
    }

    pub(super) fn keep(&mut self, leaves: &[Leaf]) {
        self.leaves.extend(leaves);
        for group in leaves.chunks(FEED_GROUP_LEAVES) {
            self.tree.append_group(group).unwrap();
        }
        self.sign();
    }

    pub(super) fn keep_plan(&mut self, plan: AppendPlan) {
        self.head = plan.head;
        self.keep(plan.groups.as_flattened());
    }

    pub(super) fn sign(&mut self) {
        self.now = self.now.plus(Duration::from_millis(10));
        let (checkpoint, head) = self.head.checkpoint(self.now).unwrap();
        self.note = checkpoint.sign(&identity(self.key)).unwrap().to_string();
        self.head = head;
    }

    pub(super) fn publish(&mut self, count: usize) {
        let leaves: Vec<Leaf> = (0..count)
            .map(|_| Leaf::random(&self.entropy).unwrap())
            .collect();
        let plan = self.head.append(&leaves, &self.entropy, self.now).unwrap();
        self.keep_plan(plan);
    }

    /// The tail from `from`, cut to at most `groups` groups.
    pub(super) fn send(&self, from: u64, groups: u64) -> Sent {
        let until = self.head.size().min(from + groups * GROUP);
        let range = usize::try_from(from).unwrap()..usize::try_from(until).unwrap();
        Sent {
            from,
            leaves: flat(&self.leaves[range]),
            note: self.note.clone(),
            consistency: self.tree.consistency(until, self.head.size()).unwrap(),
        }
    }

    /// Everything, accepted by a fresh mirror.
    pub(super) fn mirrored(&self) -> MirrorHead {
        self.accepted(
            &MirrorHead::new(self.head.feed().clone()),
            &self.send(0, 1 << 20),
        )
        .head
    }

    pub(super) fn accepted(&self, mirror: &MirrorHead, sent: &Sent) -> Accepted {
        mirror.accept(&sent.tail(), &self.public(), None).unwrap()
    }

    pub(super) fn refused(&self, mirror: &MirrorHead, sent: &Sent) -> MirrorFault {
        mirror
            .accept(&sent.tail(), &self.public(), None)
            .unwrap_err()
    }

    /// A note over other contents than the feed's.
    pub(super) fn lie(&self, size: u64, root: Hash, signed_at: Timestamp) -> String {
        let checkpoint = Checkpoint::new("lender-a/full/4", size, root, signed_at).unwrap();
        checkpoint.sign(&identity(self.key)).unwrap().to_string()
    }
}
