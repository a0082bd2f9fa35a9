//! How soon a default at one lender is an alert at another.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use creditmesh::domain::Record;
use creditmesh::limits::WATCH_BATCH_BORROWERS;
use creditmesh::protocol::feed::FeedId;
use creditmesh::wire::pb;

use crate::bed::{Bed, borrower, default_of, loan_of, member, watched};
use crate::handling::client;

/// What the test is about.
const DEADLINE: Duration = Duration::from_secs(2);

/// Loans of other borrowers that the same lender writes each tenth of a second: as many leaves.
const OTHERS: u32 = 10;

/// Borrowers whose tokens are planted together.
const PLANTED: usize = 4 * WATCH_BATCH_BORROWERS;

fn is_full() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the size of a long test")]
    let size = std::env::var("CREDITMESH_TEST_SIZE");
    size.is_ok_and(|size| size == "full")
}

/// Lets beta watch borrowers whose tokens come from alpha's key directly, because evaluating them
/// would take hours on a shared machine, and is not what is measured.
async fn plant(bed: &Bed, count: u32) -> Duration {
    let alpha = bed.node("alpha").core();
    let home = &bed.node("beta").core().home;
    let (level, epoch) = (home.level(), home.calendar.current(home.clock.now()));
    let key = alpha.keys.key(level, epoch).await.unwrap();
    let feed = FeedId {
        member: member("alpha"),
        level,
        epoch,
    };
    let watch = bed.watch("beta");
    let start = Instant::now();
    let numbers: Vec<u32> = (0..count).collect();
    for chunk in numbers.chunks(PLANTED) {
        let borrowers: Vec<_> = chunk.iter().map(|number| borrower(*number)).collect();
        let names = borrowers
            .iter()
            .map(|one| one.national.as_ref().unwrap().canonical().as_bytes());
        let tokens = key.secret.tokens_of(&names.collect::<Vec<_>>());
        let planted = chunk.iter().map(|number| watched(*number)).zip(tokens);
        watch.plant(&feed, planted.collect()).await.unwrap();
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_is_an_alert_within_two_seconds_amid_other_leaves() {
    let (watched, defaults) = if is_full() {
        (1_000_000, 1_000)
    } else {
        (5_000, 30)
    };
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let planted = plant(&bed, watched).await;
    let loaded = {
        // The watched tags come from the store, as after any start.
        let start = Instant::now();
        bed.restart("beta").await;
        bed.network.mirrored().await.unwrap();
        bed.watch("beta").progress().await.unwrap();
        start.elapsed()
    };
    let tags = bed.watch("beta").expected_tags().await;
    assert_eq!(tags, usize::try_from(watched).unwrap());
    let mut beta = client(&bed, "beta").await;
    let request = pb::FollowAlertsRequest { after: 0 };
    let mut stream = beta.follow_alerts(request).await.unwrap().into_inner();
    let hearing = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < usize::try_from(defaults).unwrap() {
            let alert = stream.message().await.unwrap().unwrap();
            assert_eq!(alert.kind, "default");
            heard.push((alert.reference, Instant::now()));
        }
        heard
    });
    let desk = bed.node("alpha").desk().clone();
    let others = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for round in 0.. {
            ticks.tick().await;
            let numbers = (0..OTHERS).map(|n| watched + round * OTHERS + n);
            let loans: Vec<Record> = numbers.map(|n| loan_of(n, 1, 0)).collect();
            desk.furnish(&loans).await.unwrap();
        }
    });
    let mut recorded = HashMap::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for number in 0..defaults {
        ticks.tick().await;
        // Spread over the whole list.
        let borrower = number * (watched / defaults);
        let desk = bed.node("alpha").desk();
        for filed in desk.furnish(&[default_of(borrower, 1)]).await.unwrap() {
            filed.unwrap();
        }
        recorded.insert(format!("L-{borrower}"), Instant::now());
    }
    let heard = tokio::time::timeout(Duration::from_secs(60), hearing).await;
    others.abort();
    let heard = heard.expect("an alert is missing").unwrap();
    let mut spans: Vec<Duration> = heard
        .iter()
        .map(|(reference, at)| at.saturating_duration_since(recorded.remove(reference).unwrap()))
        .collect();
    spans.sort_unstable();
    report(&spans, (watched, planted, loaded));
    let at_99 = spans.len() * 99 / 100;
    assert!(spans[at_99.min(spans.len() - 1)] < DEADLINE);
    // Each default once: a reference that came twice would have been missing in the map.
    assert!(recorded.is_empty());
    bed.stop().await;
}

#[expect(clippy::print_stderr, reason = "the figures that docs/watch.md keeps")]
fn report(spans: &[Duration], (watched, planted, loaded): (u32, Duration, Duration)) {
    let at = |percent: usize| {
        let place = (spans.len() * percent / 100).min(spans.len() - 1);
        spans[place].as_millis()
    };
    eprintln!(
        "{watched} watched (planted in {} s, read at a start in {} s), {} defaults:\n\
         p50 {} ms, p90 {} ms, p99 {} ms, longest {} ms",
        planted.as_secs(),
        loaded.as_secs(),
        spans.len(),
        at(50),
        at(90),
        at(99),
        at(100),
    );
}
