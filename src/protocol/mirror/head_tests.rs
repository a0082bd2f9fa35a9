//! What a mirror takes from its peer, and what it refuses.

use std::time::Duration;

use super::*;
use crate::merkle::{Checkpoint, LogFault, SignedNote};
use crate::protocol::feed::{Anchor, FeedHead};
use crate::protocol::leaf::flat;
use crate::protocol::mirror::test_peer::{GROUP, Peer, Sent, identity, start};

#[test]
fn a_mirror_follows_its_peer_and_skips_what_it_has() {
    let mut peer = Peer::open(1);
    let mirror = peer.mirrored();
    assert_eq!((mirror.size(), mirror.missing()), (24, 0));
    peer.publish(20);
    let sent = peer.send(8, 1 << 20);
    let accepted = peer.accepted(&mirror, &sent);
    assert_eq!(
        (accepted.first, accepted.skipped, accepted.added),
        (24, 16, 24)
    );
    assert_eq!(accepted.new_leaves(&sent.tail()), flat(&peer.leaves[24..]));
    let again = peer.accepted(&accepted.head, &sent);
    assert_eq!((again.added, &again.head), (0, &accepted.head));
    assert!(again.new_leaves(&sent.tail()).is_empty());
}

#[test]
fn the_first_leaf_links_and_the_last_leaf_closes() {
    let mut peer = Peer::open(1);
    let empty = MirrorHead::new(peer.head.feed().clone());
    let opening = peer.accepted(&empty, &peer.send(0, 9)).opening;
    assert_eq!(opening, Some(LinkLeaf::First(None)));

    let successor = Checkpoint::new("lender-a/full/5", 64, [5; 32], start()).unwrap();
    peer.head = peer.head.wind_down(peer.now);
    let plan = peer.head.close(Some(&successor), &peer.entropy);
    assert!(plan.is_err(), "the closing group's day is not whole yet");
    while let Some(plan) = peer.head.top_up(&peer.entropy, peer.now).unwrap() {
        peer.keep_plan(plan);
    }
    let before = peer.mirrored();
    let plan = peer.head.close(Some(&successor), &peer.entropy).unwrap();
    peer.keep_plan(plan);
    let accepted = peer.accepted(&before, &peer.send(before.size(), 1));
    let expected = LinkLeaf::Last(Some(Anchor::of(&successor).unwrap()));
    assert_eq!(accepted.closing, Some(expected));
    assert!(accepted.head.is_closed());

    // A publisher that goes on all the same.
    let more = [Leaf::random(&peer.entropy).unwrap(); FEED_GROUP_LEAVES];
    let mut frontier = accepted.head.frontier.clone();
    for leaf in more {
        frontier.append(leaf_hash(leaf.bytes())).unwrap();
    }
    let note = peer.lie(
        frontier.size(),
        frontier.root(),
        peer.now.plus(Duration::from_secs(1)),
    );
    let sent = Sent {
        from: peer.head.size(),
        leaves: flat(&more),
        note,
        consistency: Vec::new(),
    };
    assert!(matches!(
        peer.refused(&accepted.head, &sent),
        MirrorFault::AfterClosing
    ));
}

#[test]
fn a_feed_that_begins_or_ends_without_its_link_is_refused() {
    let peer = Peer::open(1);
    let feed = peer.head.feed().clone();
    let ordinary = Leaf::random(&peer.entropy).unwrap();
    let foreign = Anchor {
        feed: "lender-b/full/3".parse().unwrap(),
        size: 8,
        root: [1; 32],
    };
    let later = Anchor {
        feed: "lender-a/full/5".parse().unwrap(),
        size: 8,
        root: [1; 32],
    };
    for (first, last) in [
        (ordinary, ordinary),
        (LinkLeaf::Last(None).to_leaf(), ordinary),
        (LinkLeaf::First(Some(foreign.clone())).to_leaf(), ordinary),
        (LinkLeaf::First(Some(later)).to_leaf(), ordinary),
        (
            LinkLeaf::First(None).to_leaf(),
            LinkLeaf::First(None).to_leaf(),
        ),
        (
            LinkLeaf::First(None).to_leaf(),
            LinkLeaf::Last(Some(foreign)).to_leaf(),
        ),
    ] {
        let mut group = [ordinary; FEED_GROUP_LEAVES];
        (group[0], group[7]) = (first, last);
        let mut frontier = Frontier::new();
        for leaf in group {
            frontier.append(leaf_hash(leaf.bytes())).unwrap();
        }
        let note = peer.lie(8, frontier.root(), start());
        let sent = Sent {
            from: 0,
            leaves: flat(&group),
            note,
            consistency: Vec::new(),
        };
        assert!(matches!(
            peer.refused(&MirrorHead::new(feed.clone()), &sent),
            MirrorFault::Link
        ));
    }
}

#[test]
fn altered_bytes_of_a_tail_are_refused_in_every_field() {
    let mut peer = Peer::open(2);
    let mirror = peer.mirrored();
    peer.publish(16);
    for sent in [peer.send(24, 2), peer.send(24, 1)] {
        assert!(mirror.accept(&sent.tail(), &peer.public(), None).is_ok());
        // Prime to the length of a leaf.
        for at in (0..sent.leaves.len()).step_by(7) {
            let mut altered = sent.clone();
            altered.leaves[at] ^= 1;
            let fault = peer.refused(&mirror, &altered);
            let expected = if sent.consistency.is_empty() {
                matches!(fault, MirrorFault::RootOther { size: 40 })
            } else {
                matches!(fault, MirrorFault::ProofInvalid)
            };
            assert!(expected, "byte {at}: {fault}");
        }
        for at in 0..sent.note.len() {
            let mut note = sent.note.clone().into_bytes();
            note[at] ^= 1;
            if let Ok(note) = String::from_utf8(note) {
                let altered = Sent {
                    note,
                    ..sent.clone()
                };
                let fault = peer.refused(&mirror, &altered);
                assert!(matches!(fault, MirrorFault::Note(_)), "byte {at}: {fault}");
            }
        }
    }
}

#[test]
fn reordered_dropped_and_doubled_leaves_are_refused() {
    let mut peer = Peer::open(3);
    let mirror = peer.mirrored();
    peer.publish(24);
    let sent = peer.send(24, 3);
    let with = |edit: &dyn Fn(&mut Vec<Leaf>)| {
        let mut leaves = peer.leaves[24..48].to_vec();
        edit(&mut leaves);
        Sent {
            leaves: flat(&leaves),
            ..sent.clone()
        }
    };
    for (one, other) in [(0, 1), (0, 23), (7, 8), (22, 23)] {
        let fault = peer.refused(&mirror, &with(&|leaves| leaves.swap(one, other)));
        let name = Some(FaultName::ReorderedLeaves);
        assert_eq!(fault.name(), name, "{fault}");
    }
    let doubled = with(&|leaves| leaves[3] = leaves[4]);
    assert!(matches!(
        peer.refused(&mirror, &doubled),
        MirrorFault::RootOther { .. }
    ));
    let one_short = with(&|leaves| leaves.truncate(23));
    assert!(matches!(
        peer.refused(&mirror, &one_short),
        MirrorFault::PartOfGroup { leaves: 7 }
    ));
    let group_short = with(&|leaves| leaves.truncate(16));
    let fault = peer.refused(&mirror, &group_short);
    assert!(
        matches!(fault, MirrorFault::Dropped { end: 40, size: 48 }),
        "{fault}"
    );
    let middle_dropped = with(&|leaves| drop(leaves.drain(8..16)));
    assert!(matches!(
        peer.refused(&mirror, &middle_dropped),
        MirrorFault::Dropped { .. }
    ));
    let group_more = with(&|leaves| leaves.extend_from_within(..8));
    let fault = peer.refused(&mirror, &group_more);
    assert!(
        matches!(fault, MirrorFault::Overlong { end: 56, size: 48 }),
        "{fault}"
    );
    for length in [1, 159, 161, 1_281] {
        let mut cut = sent.clone();
        cut.leaves.truncate(length);
        assert!(
            matches!(peer.refused(&mirror, &cut), MirrorFault::NotWholeGroups),
            "{length}"
        );
    }
    let gap = Sent {
        from: 32,
        leaves: flat(&peer.leaves[32..]),
        ..sent.clone()
    };
    assert!(matches!(
        peer.refused(&mirror, &gap),
        MirrorFault::Gap { have: 24, from: 32 }
    ));
    let inside = Sent { from: 20, ..sent };
    assert!(matches!(
        peer.refused(&mirror, &inside),
        MirrorFault::NotWholeGroups
    ));
}

#[test]
fn a_cut_tail_in_another_order_is_named_so_too() {
    let mut peer = Peer::open(16);
    let mirror = peer.mirrored();
    peer.publish(80);
    let mut cut = peer.send(24, 4);
    let mut leaves = peer.leaves[24..56].to_vec();
    leaves.swap(9, 30);
    cut.leaves = flat(&leaves);
    let fault = peer.refused(&mirror, &cut);
    assert_eq!(fault.name(), Some(FaultName::ReorderedLeaves), "{fault}");
}

#[test]
fn a_truncated_tail_needs_its_own_proof_and_is_then_continued() {
    let mut peer = Peer::open(4);
    let mirror = peer.mirrored();
    peer.publish(80);
    let cut = peer.send(24, 4);
    let bare = Sent {
        consistency: Vec::new(),
        ..cut.clone()
    };
    assert!(matches!(
        peer.refused(&mirror, &bare),
        MirrorFault::Dropped { end: 56, size: 104 }
    ));
    for at in 0..cut.consistency.len() {
        let mut altered = cut.clone();
        altered.consistency[at][0] ^= 1;
        assert!(matches!(
            peer.refused(&mirror, &altered),
            MirrorFault::ProofInvalid
        ));
        altered.consistency.remove(at);
        peer.refused(&mirror, &altered);
    }
    let partial = peer.accepted(&mirror, &cut).head;
    assert_eq!((partial.size(), partial.missing()), (56, 48));
    assert!(!partial.is_current(peer.now));
    // The peer goes on meanwhile; the rest comes under a newer checkpoint.
    peer.publish(1);
    let rest = peer.accepted(&partial, &peer.send(56, 1 << 20)).head;
    assert_eq!((rest.size(), rest.missing()), (112, 0));
    assert!(rest.ahead.is_empty() && rest.is_current(peer.now));
}

#[test]
fn a_tail_without_leaves_refreshes_the_checkpoint() {
    let mut peer = Peer::open(5);
    let mirror = peer.mirrored();
    let later = peer.now.plus(Duration::from_secs(16 * 60));
    assert!(mirror.is_current(peer.now) && !mirror.is_current(later));
    assert!(
        !mirror.is_current(start().minus(Duration::from_secs(600))),
        "signed in the future"
    );
    peer.now = later;
    peer.sign();
    let refreshed = peer.accepted(&mirror, &peer.send(24, 0)).head;
    assert!(refreshed.is_current(later));
    let old = Sent {
        note: mirror.checkpoint().unwrap().note().to_owned(),
        ..peer.send(24, 0)
    };
    let unchanged = peer.accepted(&refreshed, &old).head;
    assert_eq!(
        unchanged, refreshed,
        "an older note never replaces a fresher one"
    );
}

#[test]
fn notes_of_other_keys_and_feeds_are_refused_each_for_its_reason() {
    let peer = Peer::open(6);
    let mirror = MirrorHead::new(peer.head.feed().clone());
    let sent = peer.send(0, 9);
    let foreign_key = mirror.accept(&sent.tail(), &identity([9; 32]).public(), None);
    assert!(matches!(
        foreign_key,
        Err(MirrorFault::Note(LogFault::KeyUnknown))
    ));
    let other_epoch = MirrorHead::new("lender-a/full/5".parse().unwrap());
    let fault = peer.refused(&other_epoch, &sent);
    assert!(
        matches!(fault, MirrorFault::Note(LogFault::OriginOther)),
        "{fault}"
    );
    let (head, tail) = sent.note.rsplit_once(' ').unwrap();
    let mut forged = tail.as_bytes().to_vec();
    forged[20] ^= 1;
    let forged = Sent {
        note: format!("{head} {}", String::from_utf8(forged).unwrap()),
        ..sent.clone()
    };
    let fault = peer.refused(&mirror, &forged);
    assert!(
        matches!(fault, MirrorFault::Note(LogFault::SignatureInvalid)),
        "{fault}"
    );
    let untimed = sent
        .note
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let untimed = SignedNote::sign(&untimed, "lender-a/full/4", &identity(peer.key)).unwrap();
    let untimed = Sent {
        note: untimed.to_string(),
        ..sent
    };
    assert!(matches!(
        peer.refused(&mirror, &untimed),
        MirrorFault::Untimed
    ));
}

#[test]
fn unreached_checkpoints_are_bounded_and_the_first_and_newest_stay() {
    let mut peer = Peer::open(12);
    let mut mirror = peer.mirrored();
    let mut first = None;
    for _ in 0..40 {
        peer.publish(1);
        mirror = peer.accepted(&mirror, &peer.send(24, 0)).head;
        first.get_or_insert(peer.note.clone());
        let decoded = MirrorHead::decode(&mirror.encode()).unwrap();
        assert_eq!(decoded, mirror);
    }
    assert_eq!(mirror.ahead.len(), MIRROR_AHEAD_MAX);
    assert_eq!(
        mirror.ahead.first().map(SeenCheckpoint::note),
        first.as_deref()
    );
    assert_eq!(mirror.checkpoint().unwrap().note(), peer.note);
    let caught_up = peer.accepted(&mirror, &peer.send(24, 99)).head;
    assert_eq!((caught_up.missing(), caught_up.ahead.len()), (0, 0));
}

#[test]
fn damaged_heads_are_refused() {
    let mut peer = Peer::open(13);
    let mirror = peer.mirrored();
    peer.publish(8);
    let partial = peer.accepted(&mirror, &peer.send(24, 0)).head;
    for head in [MirrorHead::new(peer.head.feed().clone()), mirror, partial] {
        let row = head.encode();
        assert_eq!(MirrorHead::decode(&row).unwrap(), head);
        for length in 0..row.len() {
            assert!(
                MirrorHead::decode(&row[..length]).is_err(),
                "cut to {length}"
            );
        }
        assert!(MirrorHead::decode(&[&row[..], &[0]].concat()).is_err());
        assert!(MirrorHead::decode(&[&[4], &row[1..]].concat()).is_err());
        // As it was written before days were noted, and before faults were.
        for (format, fewer) in [(2, 1), (1, 2)] {
            let earlier = [&[format], &row[1..row.len() - fewer]].concat();
            assert_eq!(MirrorHead::decode(&earlier).unwrap(), head);
        }
        let noted = head.noting(FaultName::DroppedLeaf, start()).unwrap();
        assert_eq!(MirrorHead::decode(&noted.encode()).unwrap(), noted);
        assert_eq!(noted.faults().len(), 1);
        let later = start().plus(Duration::from_secs(1));
        assert_eq!(noted.noting(FaultName::DroppedLeaf, later), None);
    }
}

proptest::proptest! {
    /// Whatever comes from a peer or from a damaged store is refused, and nothing panics.
    #[test]
    fn arbitrary_bytes_are_refused(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        note in "(\\PC|\n|\u{2014} ){0,80}",
        from in proptest::prelude::any::<u64>(),
        cut in 0..LEAF_BYTES,
    ) {
        let peer = Peer::open(15);
        let mirror = peer.mirrored();
        let garbled = Sent { from, leaves: bytes.clone(), note, consistency: vec![[0; 32]] };
        peer.refused(&mirror, &garbled);
        let odd = Sent { from, leaves: bytes.clone(), ..peer.send(0, 9) };
        if bytes.len() % LEAF_BYTES != 0 || from % GROUP != 0 {
            peer.refused(&mirror, &odd);
        }
        proptest::prop_assert!(MirrorHead::decode(&bytes).is_err());
        proptest::prop_assert!(FeedHead::decode(&bytes).is_err());
        // A link whose end is garbled.
        let mut leaf = *LinkLeaf::First(None).to_leaf().bytes();
        for (to, from) in leaf.iter_mut().skip(cut).zip(&bytes) {
            *to = *from;
        }
        let leaf = Leaf::from_bytes(leaf);
        if let Ok(Some(link)) = LinkLeaf::read(&leaf) {
            proptest::prop_assert_eq!(link.to_leaf(), leaf);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    /// Tails come late, twice, cut short, out of order, from any position; what the mirror holds is
    /// always a beginning of the feed, and a last whole tail completes it.
    #[test]
    fn a_mirror_is_always_a_beginning_of_its_feed(
        steps in proptest::collection::vec((0..30_usize, 0..12_u64, 0..8_u64, 0..3_usize), 1..25),
    ) {
        let mut peer = Peer::open(14);
        let mut history = vec![peer.clone()];
        let mut mirror = MirrorHead::new(peer.head.feed().clone());
        let mut mirrored: Vec<u8> = Vec::new();
        let mut tree = Tree::with_groups_of(3);
        for (publish, back, groups, late) in steps {
            peer.publish(publish);
            history.push(peer.clone());
            let sender = &history[history.len().saturating_sub(1 + late)];
            let from = mirror.size().saturating_sub(back * GROUP).min(sender.head.size());
            let sent = sender.send(from, groups);
            let accepted = match mirror.accept(&sent.tail(), &peer.public(), Some(&tree)) {
                // A cut tail that ends before the mirror does cannot be judged.
                Err(MirrorFault::Overtaken { .. }) => continue,
                accepted => accepted.unwrap(),
            };
            proptest::prop_assert_eq!(accepted.first, mirror.size());
            let new = accepted.new_leaves(&sent.tail());
            proptest::prop_assert_eq!(new.len(), accepted.added * LEAF_BYTES);
            for group in new.chunks(FEED_GROUP_LEAVES * LEAF_BYTES) {
                let leaves: Vec<&[u8]> = group.chunks(LEAF_BYTES).collect();
                tree.append_group(&leaves).unwrap();
            }
            mirrored.extend(new);
            mirror = MirrorHead::decode(&accepted.head.encode()).unwrap();
            proptest::prop_assert!(flat(&peer.leaves).starts_with(&mirrored));
            proptest::prop_assert_eq!(mirror.size() * GROUP * 20, mirrored.len() as u64);
        }
        let last = peer.accepted(&mirror, &peer.send(mirror.size(), 1 << 20));
        proptest::prop_assert_eq!(last.head.size(), peer.head.size());
        proptest::prop_assert!(last.head.is_current(peer.now));
    }
}
