//! A node that lost its newest leaves gets them back from its peers' mirrors before it publishes
//! again.
//!
//! What a node signed is never rewritten: a head restored from a backup may be older than what
//! peers hold. So the node mirrors its own feed from peers, from where its head ends, and goes on
//! from there.

use super::FeedFault;
use super::head::{FeedHead, Stage};
use crate::protocol::mirror::MirrorHead;

impl FeedHead {
    /// A mirror of this feed that begins where this head ends. Tails from peers are accepted into
    /// it under this node's own key, which signed them.
    #[must_use]
    pub fn to_mirror(&self) -> MirrorHead {
        MirrorHead::going_on(self.feed.clone(), self.frontier.clone(), self.is_closed())
    }

    /// The head after everything that `mirror`, begun by [`Self::to_mirror`], got back. The leaves
    /// count to the head's day, so that its padding makes up for them.
    ///
    /// # Errors
    /// [`FeedFault::NotResumed`] where the mirror is of another feed, is shorter than this head, or
    /// has not reached its newest checkpoint.
    pub fn resumed(&self, mirror: &MirrorHead) -> Result<Self, FeedFault> {
        let grown = mirror.size().checked_sub(self.size());
        let Some(grown) = grown.filter(|_| mirror.feed() == &self.feed && mirror.missing() == 0)
        else {
            return Err(FeedFault::NotResumed);
        };
        let mut head = self.clone();
        head.frontier = mirror.frontier().clone();
        head.day_leaves = head.day_leaves.saturating_add(grown);
        let signed = mirror
            .checkpoint()
            .map(|seen| (seen.signed_at(), seen.size()));
        head.signed = head.signed.max(signed);
        if mirror.is_closed() {
            head.stage = Stage::Closed;
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};
    use crate::domain::Timestamp;
    use crate::env::SeededEntropy;
    use crate::protocol::leaf::{Leaf, flat};
    use crate::protocol::mirror::Tail;

    #[test]
    fn a_head_from_a_backup_goes_on_after_what_peers_hold() {
        let entropy = SeededEntropy::from_seed(1);
        let now = Timestamp::from_unix_ms(1_772_000_000_000);
        let key = IdentityKey::from_seed(&Secret::from_bytes([8; 32]));
        let feed = "lender-a/full/4".parse().unwrap();
        let backup = FeedHead::open(feed, None, Vec::new(), &entropy, now)
            .unwrap()
            .head;
        let lost = backup
            .append(&[Leaf::random(&entropy).unwrap()], &entropy, now)
            .unwrap();
        let (checkpoint, newest) = lost.head.checkpoint(now).unwrap();
        let note = checkpoint.sign(&key).unwrap().to_string();

        let leaves = flat(lost.groups.as_flattened());
        let tail = Tail {
            from: 8,
            leaves: &leaves,
            note: &note,
            consistency: &[],
        };
        let mirror = backup
            .to_mirror()
            .accept(&tail, &key.public(), None)
            .unwrap()
            .head;
        let resumed = backup.resumed(&mirror).unwrap();
        assert_eq!(resumed, newest);
        assert_eq!(backup.resumed(&backup.to_mirror()).unwrap(), backup);

        // What the head signs next contradicts nothing that it signed before.
        let (next, _) = resumed.checkpoint(now).unwrap();
        assert!(next.signed_at() > checkpoint.signed_at());
        assert!(matches!(
            resumed.resumed(&backup.to_mirror()),
            Err(FeedFault::NotResumed)
        ));
        let part = Tail {
            from: 8,
            leaves: &[],
            note: &note,
            consistency: &[[0; 32]],
        };
        assert!(
            backup
                .to_mirror()
                .accept(&part, &key.public(), None)
                .is_err()
        );
    }
}
