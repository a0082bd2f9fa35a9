//! Watched borrowers over real sockets, real mutual TLS and real stores: what happens at one lender
//! is an alert at the other, soon, once, and through restarts, epochs and retractions.
//!
//! `CREDITMESH_TEST_SIZE=full` watches a million borrowers and tells of 1,000 defaults amid 100
//! other leaves a second; anything else watches 5,000 and tells of 30. `docs/watch.md` keeps the
//! figures of a full run.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "watch/bed.rs"]
mod bed;
#[path = "watch/epochs.rs"]
mod epochs;
#[path = "watch/handling.rs"]
mod handling;
#[path = "watch/hook.rs"]
mod hook;
#[path = "watch/soon.rs"]
mod soon;

use std::time::Duration;

use bed::{Bed, borrower, default_of, loan_of, paid_of, retracted_of, ssn, watched};
use creditmesh::domain::AlertKind;

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_elsewhere_is_told_step_by_step() {
    let bed = Bed::of(&["alpha", "beta"]).await;
    let watch = bed.watch("beta");
    watch.add(&[watched(1), watched(2)]).await.unwrap();
    bed.evaluated("beta").await;

    bed.furnish("alpha", &[loan_of(1, 1, 0)]).await;
    bed.furnish("alpha", &[loan_of(1, 2, 35)]).await;
    bed.furnish("alpha", &[loan_of(1, 3, 65)]).await;
    bed.furnish("alpha", &[default_of(1, 4)]).await;
    bed.furnish("alpha", &[paid_of(1, 5)]).await;
    let kinds = bed.kinds("beta", 5).await;
    let expected = [
        AlertKind::NewLoan,
        AlertKind::Arrears30,
        AlertKind::Arrears60,
        AlertKind::Default,
        AlertKind::Cured,
    ];
    assert_eq!(kinds, expected);
    let alerts = bed.alerts("beta").page(0).await.unwrap();
    for alert in alerts {
        assert_eq!(alert.said.subject.reference, "L-1");
        assert_eq!(alert.said.subject.borrower, "us-ssn:…0002");
        assert!(!alert.said.standing);
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_is_taken_back_is_told_and_one_that_stands_already_too() {
    let bed = Bed::of(&["alpha", "beta"]).await;
    bed.furnish("alpha", &[default_of(1, 1), loan_of(2, 1, 0)])
        .await;
    let watch = bed.watch("beta");
    watch.add(&[watched(1), watched(2)]).await.unwrap();
    bed.evaluated("beta").await;
    assert_eq!(bed.kinds("beta", 1).await, [AlertKind::Default]);
    assert!(bed.alerts("beta").find(1).await.unwrap().said.standing);

    bed.furnish("alpha", &[retracted_of(1, 2)]).await;
    assert_eq!(
        bed.kinds("beta", 2).await,
        [AlertKind::Default, AlertKind::Withdrawn]
    );
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_watched_no_more_is_not_told_of() {
    let bed = Bed::of(&["alpha", "beta"]).await;
    let watch = bed.watch("beta");
    watch.add(&[watched(1), watched(2)]).await.unwrap();
    assert_eq!(watch.add(&[watched(1)]).await.unwrap(), [(1, false)]);
    bed.evaluated("beta").await;
    assert_eq!(watch.expected_tags().await, 2);
    let national = borrower(1).national.unwrap();
    assert!(watch.remove(national.canonical()).await.unwrap());
    assert!(!watch.remove(national.canonical()).await.unwrap());
    assert_eq!(watch.expected_tags().await, 1);

    bed.furnish("alpha", &[default_of(1, 1)]).await;
    bed.furnish("alpha", &[default_of(2, 1)]).await;
    bed.kinds("beta", 1).await;
    let alerts = bed.alerts("beta").page(0).await.unwrap();
    let references: Vec<_> = alerts
        .iter()
        .map(|one| &*one.said.subject.reference)
        .collect();
    assert_eq!(references, ["L-2"]);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_is_watched_as_far_as_a_contract_runs() {
    let bed = Bed::of(&["alpha"]).await;
    let records = [loan_of(1, 1, 0), loan_of(2, 1, 0), paid_of(3, 1)];
    bed.furnish("alpha", &records).await;
    let watch = bed.watch("alpha");
    for expected in [2, 0] {
        let (read, added, next) = watch.add_book_page(None).await.unwrap();
        assert_eq!((read, added), (3, expected));
        let rest = watch.add_book_page(next).await.unwrap();
        assert_eq!((rest.0, rest.1, rest.2), (0, 0, None));
    }
    let page = watch.page(0).await.unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(
        page.iter().filter(|one| one.reference.is_empty()).count(),
        0
    );
    bed.stop().await;
}

/// Rounds of defaults with either side stopped, in the middle of the pass and after it.
#[tokio::test(flavor = "multi_thread")]
async fn no_alert_is_lost_or_doubled_over_restarts_of_either_side() {
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let everybody: Vec<_> = (0..40).map(watched).collect();
    bed.watch("beta").add(&everybody).await.unwrap();
    for round in 0..4 {
        let own: Vec<_> = (10 * round..10 * round + 10)
            .map(|n| default_of(n, 1))
            .collect();
        let (first, second) = own.split_at(5);
        bed.furnish("alpha", first).await;
        match round {
            0 => bed.restart("beta").await,
            1 => bed.restart("alpha").await,
            2 => {
                bed.stop_one("beta").await;
                bed.furnish("alpha", second).await;
                bed.restart("alpha").await;
                bed.start_one("beta").await;
            }
            _ => {}
        }
        bed.furnish("alpha", second).await;
    }
    bed.evaluated("beta").await;
    bed.kinds("beta", 40).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let alerts = bed.alerts("beta").page(0).await.unwrap();
    let mut references: Vec<String> = alerts
        .iter()
        .map(|alert| alert.said.subject.reference.clone())
        .collect();
    references.sort();
    references.dedup();
    assert_eq!((alerts.len(), references.len()), (40, 40));
    assert!(
        alerts
            .iter()
            .all(|alert| alert.said.kind == AlertKind::Default)
    );
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_cut_off_goes_on_and_pays_each_element_once() {
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let everybody: Vec<_> = (0..1_200).map(watched).collect();
    let before = bed.quota_left("beta", "alpha").await;
    bed.watch("beta").add(&everybody).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(120)).await;
        bed.restart("beta").await;
    }
    bed.evaluated("beta").await;
    let spent = before - bed.quota_left("beta", "alpha").await;
    assert_eq!(spent, 2 * 1_200);
    let (watched, peers) = bed.watch("beta").progress().await.unwrap();
    assert_eq!((watched, peers[0].evaluated), (1_200, 1_200));
    // The list holds nothing in the clear.
    let text = ssn(7).replace('-', "");
    assert!(!bed.store_holds("beta", text.as_bytes()));
    bed.stop().await;
}
