//! Alerts through the operator's socket: followed over a restart, taken and settled.

use creditmesh::wire::pb;
use creditmesh::wire::pb::watch_client::WatchClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::bed::{Bed, default_of, loan_of, paid_of, retracted_of, ssn, watched};

/// A client on a node's socket.
pub(crate) async fn client(bed: &Bed, name: &str) -> WatchClient<Channel> {
    let folder = bed.network.folder_of(&crate::bed::member(name)).unwrap();
    let socket = folder.socket();
    let endpoint = Endpoint::from_static("http://operator");
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    WatchClient::new(channel.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_comes_back_misses_none_and_alerts_are_settled_once() {
    let mut bed = Bed::of(&["alpha", "beta"]).await;
    let mut beta = client(&bed, "beta").await;
    let wanted = |number| pb::WatchedBorrower {
        identifiers: vec![format!("us-ssn:{}", ssn(number))],
        reference: format!("L-{number}"),
    };
    let request = pb::AddWatchedRequest {
        borrowers: (0..7).map(wanted).collect(),
    };
    // The seventh is nobody whom beta lent to.
    let own: Vec<_> = (0..6).map(|number| loan_of(number, 1, 0)).collect();
    bed.furnish("beta", &own).await;
    let added = beta
        .add_watched(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((added.added, added.known), (6, 0));
    assert_eq!(added.strangers, [6]);
    let again = beta.add_watched(request).await.unwrap().into_inner();
    assert_eq!((again.added, again.known), (0, 6));
    bed.evaluated("beta").await;

    let mut seen = Vec::new();
    for round in 0..2 {
        let after = seen.last().copied().unwrap_or(0);
        let request = pb::FollowAlertsRequest { after };
        let mut stream = beta.follow_alerts(request).await.unwrap().into_inner();
        let records: Vec<_> = (3 * round..3 * round + 3)
            .map(|n| default_of(n, 1))
            .collect();
        bed.furnish("alpha", &records).await;
        for _ in 0..3 {
            let alert = stream.message().await.unwrap().unwrap();
            assert_eq!((&*alert.kind, &*alert.severity), ("default", "high"));
            assert_eq!((&*alert.state, &*alert.member), ("open", ""));
            seen.push(alert.id);
        }
        drop(stream);
        bed.restart("beta").await;
        beta = client(&bed, "beta").await;
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);

    settles(&mut beta).await;
    bed.stop().await;
}

/// Takes the second of six open alerts and settles it.
async fn settles(beta: &mut WatchClient<Channel>) {
    let take = |owner: &str| pb::AcknowledgeAlertRequest {
        id: 2,
        owner: owner.to_owned(),
    };
    assert!(beta.acknowledge_alert(take(" ")).await.is_err());
    let taken = beta
        .acknowledge_alert(take("Kim"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((&*taken.state, &*taken.owner), ("acknowledged", "Kim"));
    let settle = |response: &str, note: &str| pb::ResolveAlertRequest {
        id: 2,
        owner: String::new(),
        response: response.to_owned(),
        note: note.to_owned(),
    };
    for (response, note, code) in [
        ("shrug", "", Code::InvalidArgument),
        ("other", "", Code::FailedPrecondition),
        ("other", &*"x".repeat(501), Code::FailedPrecondition),
    ] {
        let refused = beta.resolve_alert(settle(response, note)).await;
        assert_eq!(refused.unwrap_err().code(), code, "{response}");
    }
    for _ in 0..2 {
        let settled = beta.resolve_alert(settle("lowered-limit", "to 500")).await;
        let settled = settled.unwrap().into_inner();
        assert_eq!((&*settled.state, &*settled.owner), ("resolved", "Kim"));
    }
    let refused = beta.resolve_alert(settle("no-action", "")).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    let listed = |state: &str| pb::ListAlertsRequest {
        after: 0,
        state: state.to_owned(),
    };
    let open = beta.list_alerts(listed("open")).await.unwrap().into_inner();
    let ids: Vec<_> = open.alerts.iter().map(|alert| alert.id).collect();
    assert_eq!(ids, [1, 3, 4, 5, 6]);
    assert!(beta.list_alerts(listed("shut")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_borrower_is_refused_and_nothing_of_it_is_repeated() {
    let bed = Bed::of(&["alpha"]).await;
    let mut alpha = client(&bed, "alpha").await;
    let one = |identifiers: &[&str], reference: &str| pb::WatchedBorrower {
        identifiers: identifiers.iter().map(|&text| text.to_owned()).collect(),
        reference: reference.to_owned(),
    };
    let long = "x".repeat(65);
    for borrower in [
        one(&[], ""),
        one(&["us-ssn:078-05-1120"], ""),
        one(&["us-ssn:536-90-4399", "us-ssn:230-01-0001"], ""),
        one(&["us-ssn:536-90-4399"], &long),
    ] {
        let request = pb::AddWatchedRequest {
            borrowers: vec![one(&["us-ssn:536-90-4399"], ""), borrower],
        };
        let refused = alpha.add_watched(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(!refused.message().contains("1120"), "{}", refused.message());
    }
    let request = pb::AddWatchedRequest { borrowers: vec![] };
    assert!(alpha.add_watched(request).await.is_err());
    let request = pb::ListWatchedRequest { after: 0 };
    let page = alpha.list_watched(request).await.unwrap().into_inner();
    assert!(page.entries.is_empty());
    assert_eq!(watched(0).reference, "L-0");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_customer_any_more_is_watched_no_more() {
    let bed = Bed::of(&["alpha"]).await;
    let watch = bed.watch("alpha");
    let own: Vec<_> = (0..4).map(|number| loan_of(number, 1, 0)).collect();
    bed.furnish("alpha", &own).await;
    let wanted: Vec<_> = (0..5).map(watched).collect();
    let (added, strangers) = watch.add_customers(&wanted).await.unwrap();
    assert_eq!((added.len(), strangers), (4, vec![4]));
    assert_eq!(watch.let_go().await.unwrap(), 0);

    // One loan is paid, one was filed by mistake.
    bed.furnish("alpha", &[paid_of(1, 2), retracted_of(2, 2)])
        .await;
    assert_eq!(watch.let_go().await.unwrap(), 2);
    let left = watch.page(0).await.unwrap();
    let left: Vec<_> = left.iter().map(|one| one.reference.as_str()).collect();
    assert_eq!(left, ["L-0", "L-3"]);
    bed.stop().await;
}
