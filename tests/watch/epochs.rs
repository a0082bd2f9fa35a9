//! From one key epoch to the next: nothing twice, nothing missed.

use std::time::Duration;

use creditmesh::domain::{AlertKind, Level};
use creditmesh::env::Clock;
use creditmesh::limits::FURNISHING_GRACE;
use creditmesh::membership::RightsChange;

use crate::bed::{Bed, default_of, loan_of, member, paid_of, until, watched};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(flavor = "multi_thread")]
async fn over_an_overlap_each_change_is_told_once() {
    let bed = Bed::of(&["alpha", "beta"]).await;
    let calendar = bed.node("beta").core().home.calendar;
    let epoch = calendar.current(crate::bed::start());
    let watch = bed.watch("beta");
    let everybody: Vec<_> = (0..6).map(watched).collect();
    watch.add(&everybody).await.unwrap();
    bed.evaluated("beta").await;
    bed.furnish("alpha", &[default_of(0, 1), default_of(1, 1)])
        .await;
    assert_eq!(bed.kinds("beta", 2).await.len(), 2);

    // The overlap: everybody is evaluated again, and a change comes through both feeds.
    bed.clock
        .advance_to(calendar.begins_at(epoch.next()).plus(DAY));
    until("the next epoch's evaluation", || async {
        let (_, peers) = watch.progress().await.unwrap();
        peers
            .iter()
            .all(|peer| peer.is_whole && peer.epoch == Some(epoch.next()))
    })
    .await;
    assert_eq!(watch.expected_tags().await, 12);
    bed.furnish("alpha", &[default_of(2, 1), paid_of(1, 2)])
        .await;
    bed.kinds("beta", 4).await;

    // After its end the old feed is settled, and the new one goes on alone.
    bed.clock.advance_to(calendar.ends_at(epoch).plus(DAY));
    until("the old feed's end", || async {
        watch.expected_tags().await == 6
    })
    .await;
    bed.furnish("alpha", &[default_of(3, 1), loan_of(4, 1, 35)])
        .await;
    let mut kinds = bed.kinds("beta", 6).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bed.alerts("beta").page(0).await.unwrap().len(), 6);
    kinds.sort();
    let mut expected = vec![AlertKind::Default; 4];
    expected.extend([AlertKind::Arrears30, AlertKind::Cured]);
    assert_eq!(kinds, expected);
    bed.stop().await;
}

/// What happened while the node was away over the whole overlap is told from the new feed.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_through_the_overlap_misses_nothing() {
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let calendar = bed.node("beta").core().home.calendar;
    let epoch = calendar.current(crate::bed::start());
    let everybody: Vec<_> = (0..4).map(watched).collect();
    bed.watch("beta").add(&everybody).await.unwrap();
    bed.evaluated("beta").await;
    bed.furnish("alpha", &[default_of(0, 1), default_of(1, 1)])
        .await;
    bed.kinds("beta", 2).await;
    bed.stop_one("beta").await;
    bed.furnish("alpha", &[default_of(2, 1), paid_of(1, 2)])
        .await;
    bed.clock.advance_to(calendar.ends_at(epoch).plus(DAY));
    bed.start_one("beta").await;
    let kinds = bed.kinds("beta", 4).await;
    let (_, new) = kinds.split_at(2);
    let mut new = new.to_vec();
    new.sort();
    assert_eq!(new, [AlertKind::Default, AlertKind::Cured]);
    let watch = bed.watch("beta");
    until("the old feed's end", || async {
        watch.expected_tags().await == 4
    })
    .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bed.alerts("beta").page(0).await.unwrap().len(), 4);
    bed.stop().await;
}

/// At another level a member sees another feed: what it was told before is not told again.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_level_nothing_is_told_again() {
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let everybody: Vec<_> = (0..3).map(watched).collect();
    let watch = bed.watch("beta");
    watch.add(&everybody).await.unwrap();
    bed.evaluated("beta").await;
    bed.furnish("alpha", &[default_of(0, 1)]).await;
    bed.kinds("beta", 1).await;
    let warning = RightsChange::WarnLate(bed.clock.now());
    let warned = bed.network.change_rights(&member("beta"), &warning);
    warned.unwrap();
    bed.clock.advance_to(bed.clock.now().plus(FURNISHING_GRACE));
    assert_eq!(bed.node("beta").core().home.level(), Level::Defaults);
    until("the other level's evaluation", || async {
        let (_, peers) = watch.progress().await.unwrap();
        peers[0].is_whole && watch.expected_tags().await >= 6
    })
    .await;
    bed.furnish("alpha", &[default_of(1, 1)]).await;
    bed.kinds("beta", 2).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let kinds = bed.kinds("beta", 2).await;
    assert_eq!(kinds, [AlertKind::Default; 2]);
    bed.stop().await;
}
