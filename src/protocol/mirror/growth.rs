//! What a peer's newest checkpoint says beside a mirror, without the leaves between the two.

use super::fork::{Bridge, ForkProof, SeenCheckpoint};
use super::head::fork;
use super::{MirrorFault, MirrorHead};
use crate::merkle::{Hash, old_root, verify_consistency};

impl MirrorHead {
    /// The peer's newest checkpoint, told after this head was read, covers all that the peer had
    /// signed before.
    ///
    /// # Errors
    /// [`MirrorFault::Note`] and others where the note is not this feed's, [`MirrorFault::Fork`]
    /// where it contradicts another one by itself, [`MirrorFault::Shrunk`] where it covers less.
    pub fn judge_newest(&self, note: &str, key: &[u8; 32]) -> Result<(), MirrorFault> {
        let seen = SeenCheckpoint::open(note, &self.feed, key)?;
        self.compare_notes(&seen)?;
        let (have, size) = (self.size(), seen.size());
        if size < have {
            return Err(MirrorFault::Shrunk { have, size });
        }
        Ok(())
    }

    /// The peer's newest checkpoint goes on from the leaves that are here, as its consistency proof
    /// from here shows.
    ///
    /// # Errors
    /// As [`Self::judge_newest`]; [`MirrorFault::Rewritten`] where the proof does not lead there,
    /// and [`MirrorFault::Fork`] where it leads there from another root than the one signed here.
    pub fn judge_growth(
        &self,
        note: &str,
        key: &[u8; 32],
        consistency: &[Hash],
    ) -> Result<(), MirrorFault> {
        self.judge_newest(note, key)?;
        let seen = SeenCheckpoint::open(note, &self.feed, key)?;
        let (have, size) = (self.size(), seen.size());
        let proof = if have == size { &[] } else { consistency };
        let (here, root) = (self.frontier().root(), seen.root());
        if verify_consistency(have, &here, size, root, proof).is_ok() {
            return Ok(());
        }
        let signed_here = self.reached.as_ref().filter(|one| one.size() == have);
        let other = old_root(have, size, root, proof).filter(|other| *other != here);
        Err(match (signed_here, other) {
            (Some(signed), Some(root)) => fork(ForkProof {
                bridge: Some(Bridge {
                    root,
                    consistency: consistency.to_vec(),
                }),
                ..ForkProof::between(&self.feed, signed, &seen)
            }),
            (None, _) | (_, None) => MirrorFault::Rewritten { have, size },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mirror::test_peer::{Peer, start};
    use crate::protocol::mirror::{FaultName, ForkKind};

    #[test]
    fn a_peer_that_rewrote_or_cut_its_feed_is_found_by_its_own_proof() {
        for published in [1, 16] {
            let mut peer = Peer::open(17);
            peer.publish(published);
            let mirror = peer.mirrored();
            let have = mirror.size();
            peer.publish(24);
            let proof = |peer: &Peer| peer.tree.consistency(have, peer.head.size()).unwrap();
            let grown = mirror.judge_growth(&peer.note, &peer.public(), &proof(&peer));
            assert!(grown.is_ok(), "{grown:?}");
            assert!(mirror.judge_newest(&peer.note, &peer.public()).is_ok());

            // The same key signs another beginning.
            let mut other = Peer::open(18);
            other.publish(published);
            other.publish(24);
            let fault = peer.refused(&mirror, &other.send(have, 9));
            assert!(fault.is_of_leaves(), "{fault}");
            let judged = mirror.judge_growth(&other.note, &peer.public(), &proof(&other));
            let fault = judged.unwrap_err();
            assert_eq!(fault.name(), Some(FaultName::RewrittenHistory), "{fault}");
            // The root of 32 leaves is no part of a proof from there.
            let proven = matches!(&fault, MirrorFault::Fork(proof)
                if proof.check(&peer.public()).unwrap() == Some(ForkKind::Rewritten));
            assert_eq!(proven, !have.is_power_of_two(), "{fault}");

            let newest = peer.mirrored();
            let cut = other.lie(have, *mirror.checkpoint().unwrap().root(), start());
            let fault = newest.judge_newest(&cut, &peer.public()).unwrap_err();
            assert!(matches!(fault, MirrorFault::Shrunk { .. }), "{fault}");
            let later = other.lie(have, *mirror.checkpoint().unwrap().root(), other.now);
            let later = newest.judge_newest(&later, &peer.public()).unwrap_err();
            let names = [fault.name(), later.name()];
            assert_eq!(names, [Some(FaultName::TruncatedLog); 2], "{later}");
        }
    }
}
