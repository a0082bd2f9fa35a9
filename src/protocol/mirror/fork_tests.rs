//! Peers that show two histories, and what proves it.

use std::time::Duration;

use super::*;
use crate::env::SeededEntropy;
use crate::protocol::mirror::test_peer::{Peer, Sent, start};
use crate::protocol::mirror::{Compared, MirrorFault};

fn proven(fault: MirrorFault, peer: &Peer) -> Option<ForkKind> {
    let MirrorFault::Fork(proof) = fault else {
        panic!("not a fork: {fault}")
    };
    assert!(
        proof.check(&[7; 32]).is_err(),
        "a proof holds under the member's key only"
    );
    proof.check(&peer.public()).unwrap()
}

#[test]
fn one_size_with_two_roots_is_a_proven_fork() {
    let peer = Peer::open(7);
    let mirror = peer.mirrored();
    let note = peer.lie(24, [1; 32], peer.now.plus(Duration::from_secs(1)));
    let fault = peer.refused(
        &mirror,
        &Sent {
            note,
            ..peer.send(24, 0)
        },
    );
    assert_eq!(proven(fault, &peer), Some(ForkKind::TwoRoots));
}

#[test]
fn a_feed_that_shrinks_or_signs_back_in_time_is_a_proven_fork() {
    let mut peer = Peer::open(8);
    let early = peer.clone();
    peer.publish(8);
    let mirror = peer.mirrored();
    let late = peer.now.plus(Duration::from_secs(1));
    let shrunk = early.lie(24, early.head.root(), late);
    let fault = peer.refused(
        &mirror,
        &Sent {
            note: shrunk,
            ..early.send(24, 0)
        },
    );
    assert_eq!(proven(fault, &peer), Some(ForkKind::WentBack));

    peer.publish(8);
    let back = peer.lie(40, peer.head.root(), start());
    let fault = peer.refused(
        &mirror,
        &Sent {
            note: back,
            ..peer.send(32, 1)
        },
    );
    assert_eq!(proven(fault, &peer), Some(ForkKind::WentBack));
}

#[test]
fn a_tail_that_the_mirror_has_overtaken_is_judged_by_its_tree() {
    let mut peer = Peer::open(9);
    peer.publish(8);
    let (late, middle) = (peer.send(24, 1), peer.clone());
    peer.publish(8);
    let mirror = peer.mirrored();
    let unjudged = peer.refused(&mirror, &late);
    assert!(matches!(
        unjudged,
        MirrorFault::Overtaken { have: 40, size: 32 }
    ));
    let accepted = mirror
        .accept(&late.tail(), &peer.public(), Some(&peer.tree))
        .unwrap();
    assert_eq!((accepted.added, accepted.head), (0, mirror.clone()));

    let note = peer.lie(32, [1; 32], middle.now);
    let other = Sent { note, ..late };
    let fault = mirror
        .accept(&other.tail(), &peer.public(), Some(&peer.tree))
        .unwrap_err();
    assert_eq!(proven(fault, &peer), Some(ForkKind::Rewritten));
}

#[test]
fn members_that_compare_their_checkpoints_find_the_two_histories() {
    let mut peer = Peer::open(10);
    let mut twin = peer.clone();
    twin.entropy = SeededEntropy::from_seed(99);
    peer.publish(8);
    twin.publish(16);
    peer.publish(16);
    let (ours, theirs) = (peer.mirrored(), twin.mirrored());
    let key = peer.public();
    let seen = theirs.checkpoint().unwrap().note();
    let fault = ours.compare(seen, &key, &peer.tree).unwrap_err();
    assert!(proven(fault, &peer).is_some());

    let mut ahead = peer.clone();
    ahead.publish(8);
    assert_eq!(
        ours.compare(&ahead.note, &key, &peer.tree).unwrap(),
        Compared::Ahead
    );
    assert_eq!(
        ours.compare(&peer.note, &key, &peer.tree).unwrap(),
        Compared::Agrees
    );
    let later = ahead.mirrored();
    assert_eq!(
        later.compare(&peer.note, &key, &ahead.tree).unwrap(),
        Compared::Agrees
    );
}

#[test]
fn a_checkpoint_seen_ahead_must_be_met_when_its_leaves_come() {
    let mut peer = Peer::open(11);
    let mirror = peer.mirrored();
    let mut twin = peer.clone();
    twin.entropy = SeededEntropy::from_seed(98);
    twin.publish(16);
    // The mirror sees a checkpoint of one history, with a proof and without its leaves.
    let promised = peer.accepted(&mirror, &twin.send(24, 0)).head;
    assert_eq!(promised.missing(), 16);
    peer.publish(8);
    peer.publish(16);
    peer.now = twin.now.plus(Duration::from_secs(1));
    peer.sign();
    let fault = peer.refused(&promised, &peer.send(24, 9));
    let MirrorFault::Fork(proof) = fault else {
        panic!("{fault}")
    };
    assert_eq!((proof.smaller, proof.larger), (twin.note, peer.note));
}

#[test]
fn a_mirror_goes_on_under_a_replaced_key_and_a_fork_across_the_change_is_proven() {
    let mut peer = Peer::open(13);
    let (mirror, old) = (peer.mirrored(), peer.public());
    peer.key = [4; 32];
    peer.publish(8);
    let sent = peer.send(24, 1);
    let accepted = mirror.accept(&sent.tail(), &peer.public(), None).unwrap();
    assert_eq!((accepted.added, accepted.head.size()), (8, 32));
    assert!(mirror.accept(&sent.tail(), &old, None).is_err());

    let note = peer.lie(24, [1; 32], peer.now.plus(Duration::from_secs(1)));
    let sent = peer.send(24, 0);
    let fault = peer.refused(&mirror, &Sent { note, ..sent });
    let MirrorFault::Fork(proof) = fault else {
        panic!("not a fork: {fault}")
    };
    assert!(
        proof.check(&peer.public()).is_err(),
        "one note is by the old key"
    );
    let kind = proof.check_among(&peer.public(), &[old]).unwrap();
    assert_eq!(kind, Some(ForkKind::TwoRoots));
    assert!(proof.check_among(&peer.public(), &[[7; 32]]).is_err());
}
