//! Feeds from their opening to their closing leaf.

use std::time::Duration;

use super::*;
use crate::env::SeededEntropy;
use crate::merkle::Tree;
use crate::protocol::feed::{Opening, TailSpan};

const DAY: Duration = Duration::from_secs(86_400);

/// Noon of some day.
fn noon() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

fn entropy() -> SeededEntropy {
    SeededEntropy::from_seed(8)
}

fn leaves(count: usize) -> Vec<Leaf> {
    let entropy = SeededEntropy::from_seed(77);
    (0..count)
        .map(|_| Leaf::random(&entropy).unwrap())
        .collect()
}

fn opened() -> Opening {
    let feed = "lender-a/full/4".parse().unwrap();
    FeedHead::open(feed, None, leaves(30), &entropy(), noon()).unwrap()
}

/// Tops up until nothing is owed; leaves published.
fn topped_up(mut head: FeedHead, now: Timestamp) -> (FeedHead, u64) {
    let before = head.size();
    while let Some(plan) = head.top_up(&entropy(), now).unwrap() {
        assert!(plan.groups.len() * 8 <= TOP_UP_LEAVES_MAX);
        head = plan.head;
    }
    (head.clone(), head.size() - before)
}

#[test]
fn what_is_appended_is_all_there_in_groups_of_eight() {
    let opening = opened();
    let mut tree = Tree::with_groups_of(3);
    for group in opening.leaves.chunks(8) {
        tree.append_group(group).unwrap();
    }
    let mut head = opening.head;
    for count in [0, 1, 7, 8, 9, 20] {
        let mine = leaves(count);
        let plan = head.append(&mine, &entropy(), noon()).unwrap();
        assert_eq!(plan.first, head.size());
        assert_eq!(plan.groups.len(), count.div_ceil(8));
        for (group, mine) in plan.groups.iter().zip(mine.chunks(8)) {
            assert!(mine.iter().all(|leaf| group.contains(leaf)));
            tree.append_group(group).unwrap();
        }
        head = plan.head;
        assert_eq!(tree.root_at(head.size()), Ok(head.root()));
    }
    assert_eq!(head.size(), head.snapshot_leaves() + 8 + 8 + 8 + 16 + 24);
}

#[test]
fn a_day_is_topped_up_to_a_multiple_once_it_is_over() {
    let opening = opened();
    let head = opening
        .head
        .append(&leaves(100), &entropy(), noon())
        .unwrap()
        .head;
    assert!(
        head.top_up(&entropy(), noon()).unwrap().is_none(),
        "the day is not over"
    );

    let tomorrow = noon().plus(DAY);
    let (head, padding) = topped_up(head, tomorrow);
    assert_eq!(padding, 4_096 - 104);
    assert_eq!(head.size() - head.snapshot_leaves(), 4_096);

    let head = head.append(&leaves(1), &entropy(), tomorrow).unwrap().head;
    let (head, padding) = topped_up(head, tomorrow.plus(5 * DAY));
    assert_eq!(padding, 4_096 - 8, "days without a leaf lack nothing");
    assert_eq!(head.size() - head.snapshot_leaves(), 2 * 4_096);
}

#[test]
fn a_leaf_never_waits_for_the_padding_of_the_day_before() {
    let head = opened()
        .head
        .append(&leaves(3), &entropy(), noon())
        .unwrap()
        .head;
    let tomorrow = noon().plus(DAY);
    let plan = head.append(&leaves(1), &entropy(), tomorrow).unwrap();
    assert_eq!((plan.groups.len(), plan.head.owed()), (1, 4_088));
    let (head, padding) = topped_up(plan.head, tomorrow);
    assert_eq!(padding, 4_088);
    let (head, padding) = topped_up(head, tomorrow.plus(DAY));
    assert_eq!(padding, 4_088);
    assert_eq!(head.size() - head.snapshot_leaves(), 2 * 4_096);
}

#[test]
fn a_clock_that_goes_back_neither_repeats_a_day_nor_a_signing_time() {
    let head = opened()
        .head
        .append(&leaves(1), &entropy(), noon())
        .unwrap()
        .head;
    let (first, head) = head.checkpoint(noon()).unwrap();
    let yesterday = noon().minus(DAY);
    let plan = head.append(&leaves(1), &entropy(), yesterday).unwrap();
    assert_eq!(plan.head.owed(), 0);
    let (second, head) = plan.head.checkpoint(yesterday).unwrap();
    let (third, _) = head.checkpoint(yesterday).unwrap();
    assert!(first.signed_at() < second.signed_at());
    assert!(second.signed_at() < third.signed_at());
}

#[test]
fn a_checkpoint_is_due_with_every_group_and_before_ten_minutes_are_over() {
    let head = opened().head;
    assert!(head.checkpoint_due(noon()));
    let (_, head) = head.checkpoint(noon()).unwrap();
    assert!(!head.checkpoint_due(noon()));
    assert!(!head.checkpoint_due(noon().plus(Duration::from_secs(8 * 60))));
    assert!(head.checkpoint_due(noon().plus(Duration::from_secs(9 * 60))));
    let grown = head.append(&leaves(1), &entropy(), noon()).unwrap().head;
    assert!(grown.checkpoint_due(noon()));
}

#[test]
fn a_feed_closes_with_whole_days_and_a_leaf_that_names_its_successor() {
    let head = opened()
        .head
        .append(&leaves(9), &entropy(), noon())
        .unwrap()
        .head;
    assert!(matches!(
        head.close(None, &entropy()),
        Err(FeedFault::Closed)
    ));
    let winding = head.wind_down(noon());
    let more = winding.append(&leaves(1), &entropy(), noon());
    assert!(matches!(more, Err(FeedFault::Closed)));
    let early = winding.close(None, &entropy());
    assert!(matches!(early, Err(FeedFault::PaddingOwed { owed: 4_072 })));

    let (head, _) = topped_up(winding.wind_down(noon()), noon().plus(DAY));
    let successor = Checkpoint::new("lender-a/full/5", 64, [5; 32], noon()).unwrap();
    for foreign in ["lender-b/full/5", "lender-a/full/4", "lender-a/full/3"] {
        let foreign = Checkpoint::new(foreign, 64, [5; 32], noon()).unwrap();
        let plan = head.close(Some(&foreign), &entropy());
        assert!(matches!(plan, Err(FeedFault::LinkForeign)));
    }
    let plan = head.close(Some(&successor), &entropy()).unwrap();
    let last = plan.groups.last().and_then(|group| group.last()).unwrap();
    let Ok(Some(LinkLeaf::Last(Some(anchor)))) = LinkLeaf::read(last) else {
        panic!("no closing leaf")
    };
    assert!(anchor.names(&successor));
    assert_eq!(plan.head.size() - plan.head.snapshot_leaves(), 4_096);
    assert!(plan.head.is_closed() && plan.head.checkpoint_due(noon()));

    let (_, closed) = plan.head.checkpoint(noon()).unwrap();
    assert!(!closed.checkpoint_due(noon().plus(DAY)));
    assert!(closed.append(&leaves(1), &entropy(), noon()).is_err());
    assert!(closed.close(None, &entropy()).is_err());
    assert!(
        closed
            .top_up(&entropy(), noon().plus(DAY))
            .unwrap()
            .is_none()
    );
}

#[test]
fn tails_are_cut_at_their_bound_and_refused_beyond_the_feed() {
    let head = opened()
        .head
        .append(&leaves(5_000), &entropy(), noon())
        .unwrap()
        .head;
    let size = head.size();
    let span = |from, until, truncated| TailSpan {
        from,
        until,
        truncated,
    };
    assert_eq!(head.tail(size).unwrap(), span(size, size, false));
    assert_eq!(
        head.tail(size - 4_096).unwrap(),
        span(size - 4_096, size, false)
    );
    assert_eq!(head.tail(0).unwrap(), span(0, 4_096, true));
    assert!(matches!(
        head.tail(4),
        Err(FeedFault::InsideGroup { position: 4 })
    ));
    let ahead = head.tail(size + 8);
    assert!(matches!(ahead, Err(FeedFault::AheadOfFeed { .. })));
}

#[test]
fn heads_round_trip_and_damaged_ones_are_refused() {
    let open = opened().head;
    let (_, signed) = open.checkpoint(noon()).unwrap();
    let (winding, _) = topped_up(signed.wind_down(noon()), noon());
    let closed = winding.close(None, &entropy()).unwrap().head;
    for head in [open, signed, winding, closed] {
        let row = head.encode();
        assert_eq!(FeedHead::decode(&row).unwrap(), head);
        for length in 0..row.len() {
            assert!(FeedHead::decode(&row[..length]).is_err(), "cut to {length}");
        }
        assert!(FeedHead::decode(&[&row[..], &[0]].concat()).is_err());
        let mut other_format = row.clone();
        other_format[0] = 2;
        assert!(FeedHead::decode(&other_format).is_err());
        let mut other_stage = row;
        *other_stage.last_mut().unwrap() = 3;
        assert!(FeedHead::decode(&other_stage).is_err());
    }
}
