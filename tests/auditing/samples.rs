//! Samples from the draw to the verdict: requested, answered, refused, overdue; with either side
//! away for a while.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::Timestamp;
use creditmesh::flows::{NewDraw, NewSample, OpeningRequest, Sample, SampleItem};
use creditmesh::limits::CALL_DEADLINE;
use creditmesh::wire::{Delivered, OpeningsWanted};
use serde_json::Value;

use super::{Bed, borrower, member, start};

const DAY: Duration = Duration::from_secs(86_400);

fn drawn(count: usize) -> NewSample {
    NewSample {
        draw: NewDraw {
            member: member("alpha"),
            count,
            seed: "dice: 4 2 6".to_owned(),
            from: start(),
            until: start().plus(Duration::from_secs(600)),
        },
        days: 14,
        canaries: borrower(3).national.into_iter().collect(),
    }
}

async fn requested(bed: &Bed, count: usize) -> Sample {
    let samples = &bed.node("watcher").core().samples;
    samples.request(drawn(count)).await.unwrap().0
}

async fn items(bed: &Bed, sample: &Sample) -> Vec<SampleItem> {
    let samples = &bed.node("watcher").core().samples;
    samples.items_of(&sample.id).await.unwrap()
}

fn verdicts(items: &[SampleItem]) -> Vec<&str> {
    let outcome = |item: &'_ SampleItem| item.outcome.as_ref().map(|one| one.verdict.clone());
    let all = items.iter().map(|item| match outcome(item).as_deref() {
        Some("agrees") => "agrees",
        Some("canary") => "canary",
        Some("other-query") => "other-query",
        Some("never-asked") => "never-asked",
        Some("gone") => "gone",
        Some("unreachable") => "unreachable",
        Some(_) => "another",
        None => "waiting",
    });
    let mut all: Vec<&str> = all.collect();
    all.sort_unstable();
    all
}

async fn waiting(bed: &Bed) -> Vec<OpeningRequest> {
    bed.node("alpha").core().requests.list().await.unwrap()
}

/// What the findings of a node say of samples.
async fn findings(bed: &Bed, name: &str) -> Vec<String> {
    let fishing = &bed.node(name).core().fishing;
    fishing.judge().await.unwrap();
    let all = fishing.list().await.unwrap().into_iter();
    let of_samples = all.filter(|one| one.code.word() == "unopened");
    of_samples
        .map(|one| format!("{} {}", one.peer.unwrap(), one.seen))
        .collect()
}

fn command(bed: &Bed, name: &str, arguments: &[&str]) -> (i32, Value) {
    let folder = bed.network.folder_of(&member(name)).unwrap().path();
    let ended = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .arg("audit")
        .args(arguments)
        .args(["--json", "--dir"])
        .arg(folder)
        .output()
        .unwrap();
    let value = serde_json::from_slice(&ended.stdout).unwrap_or_default();
    (ended.status.code().unwrap(), value)
}

/// The same at both, by commands.
fn on_the_command_line(bed: &Bed) {
    let (code, listed) = command(bed, "watcher", &["samples"]);
    assert_eq!((code, &listed["samples"][0]["agree"]), (1, &3.into()));
    let id = listed["samples"][0]["sample"].as_str().unwrap();
    let (code, shown) = command(bed, "watcher", &["samples", id]);
    assert_eq!((code, shown["drawn"].as_array().unwrap().len()), (1, 4));
    assert!(!shown.to_string().contains("536-90"));
    let (code, listed) = command(bed, "alpha", &["requests"]);
    assert_eq!(
        (code, &listed["requests"][0]["state"]),
        (0, &"answered".into())
    );
    let until = start().plus(Duration::from_secs(600)).to_rfc3339();
    let draw = [
        "draw",
        "--member",
        "alpha",
        "--count",
        "2",
        "--seed",
        "another",
        "--from",
        &start().to_rfc3339(),
        "--until",
        &until,
        "--request",
        "--days",
        "7",
    ];
    let (code, came) = command(bed, "watcher", &draw);
    assert_eq!((code, &came["sample"]["queries"]), (0, &2.into()), "{came}");
    let (code, answered) = command(bed, "alpha", &["answer-requests"]);
    assert_eq!(
        (code, &answered["requests"][0]["delivered"]),
        (0, &2.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_requested_answered_and_judged() {
    let mut bed = Bed::new().await;
    for number in 1..=4 {
        bed.assess("alpha", number).await;
    }
    // The member is away when it is asked.
    bed.network.stop(&member("alpha")).await.unwrap();
    let sample = requested(&bed, 10).await;
    assert_eq!((sample.count, sample.is_sent), (4, false));
    bed.network.start(&member("alpha")).await.unwrap();
    let samples = bed.node("watcher").core().samples.clone();
    super::until("the request", || async { samples.send_all().await.is_ok() }).await;
    let requests = waiting(&bed).await;
    assert_eq!((requests.len(), requests[0].wanted.len()), (1, 4));
    assert_eq!(requests[0].deadline, sample.deadline);
    samples.send_all().await.unwrap();
    assert_eq!(waiting(&bed).await.len(), 1, "asked twice, kept once");

    // The auditor is away when a person has it answered: the node goes on by itself.
    bed.network.stop(&member("watcher")).await.unwrap();
    let answering = bed.node("alpha").core().requests.clone();
    assert!(answering.answer(sample.id).await.is_err());
    bed.network.start(&member("watcher")).await.unwrap();
    super::until("the delivery", || async {
        answering.deliver_all().await.is_ok()
    })
    .await;
    assert!(waiting(&bed).await[0].is_answered());
    let items = items(&bed, &sample).await;
    assert_eq!(verdicts(&items), ["agrees", "agrees", "agrees", "canary"]);
    // The desk keeps the hash of the reference: what the member shows is compared with it.
    let hash = |number: u32| {
        let hash = creditmesh::crypto::sha256(format!("C-{number}").as_bytes());
        data_encoding::HEXLOWER.encode(&hash)
    };
    let consents = items
        .iter()
        .map(|item| &item.outcome.as_ref().unwrap().consents);
    let consents: BTreeSet<String> = consents.flatten().cloned().collect();
    assert_eq!(consents, (1..=4).map(hash).collect());

    // Each opening is logged, and what was answered stays as it is.
    let reader = creditmesh::flows::AuditReader::new(Arc::clone(&bed.node("alpha").core().home));
    let size = reader.size().await.unwrap();
    let page = reader.page(4, size).await.unwrap();
    let opened = page
        .entries
        .iter()
        .filter(|(_, line)| line.contains(" opened "));
    assert!(opened.count() >= 4);
    answering.answer(sample.id).await.unwrap();
    assert_eq!(reader.size().await.unwrap(), size);

    on_the_command_line(&bed);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_away_is_asked_again() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 1).await;
    let sample = requested(&bed, 5).await;
    bed.network.stop(&member("beta")).await.unwrap();
    let answering = bed.node("alpha").core().requests.clone();
    answering.answer(sample.id).await.unwrap();
    assert_eq!(verdicts(&items(&bed, &sample).await), ["unreachable"]);
    bed.network.start(&member("beta")).await.unwrap();
    let samples = bed.node("watcher").core().samples.clone();
    samples.check_again().await.unwrap();
    assert_eq!(
        verdicts(&items(&bed, &sample).await),
        ["unreachable"],
        "at once"
    );
    let mut tries: u32 = 0;
    while verdicts(&items(&bed, &sample).await) != ["agrees"] {
        tries += 1;
        assert!(tries < 100, "beta is never asked again");
        bed.clock
            .advance_to(start().plus(Duration::from_secs(600) * tries));
        samples.check_again().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_is_not_opened_in_time_is_a_finding_on_both_sides() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 1).await;
    let sample = requested(&bed, 5).await;
    assert!(sample.is_sent);
    for name in ["alpha", "watcher"] {
        assert!(findings(&bed, name).await.is_empty());
    }
    bed.clock.advance_to(sample.deadline);
    let of_auditor = findings(&bed, "watcher").await;
    assert!(
        of_auditor[0].starts_with("alpha 1 of 1 queries"),
        "{of_auditor:?}"
    );
    let of_member = findings(&bed, "alpha").await;
    assert!(
        of_member[0].starts_with("watcher 1 of 1 queries"),
        "{of_member:?}"
    );
    let (code, listed) = command(&bed, "watcher", &["samples"]);
    assert_eq!((code, &listed["samples"][0]["overdue"]), (1, &1.into()));
    let (code, listed) = command(&bed, "alpha", &["requests"]);
    assert_eq!(
        (code, &listed["requests"][0]["state"]),
        (1, &"overdue".into())
    );
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_query_or_never_was_one_is_told_as_that() {
    let mut bed = Bed::new().await;
    for number in [1, 2] {
        bed.assess("alpha", number).await;
    }
    let sample = requested(&bed, 5).await;
    let items_before = items(&bed, &sample).await;
    let home = Arc::clone(&bed.node("alpha").core().home);
    let roster = home.trust.roster();
    let auditor = roster.listed(&member("watcher")).unwrap();
    let given = |item: usize, file: Option<String>| Delivered {
        sample: sample.id,
        commitment: items_before[item].commitment,
        file,
        is_gone: false,
    };
    // The opening of the one query in the place of the other, and none for that other.
    let opener = &bed.node("alpha").core().opener;
    let always = (start().minus(DAY), start().plus(DAY));
    let other = opener
        .find(items_before[1].commitment, always)
        .await
        .unwrap();
    let other = opener.open(other, &member("watcher")).await.unwrap();
    let peers = &home.peers;
    let other = given(0, Some(other.to_string()));
    peers
        .deliver_opening(auditor, CALL_DEADLINE, other)
        .await
        .unwrap();
    peers
        .deliver_opening(auditor, CALL_DEADLINE, given(1, None))
        .await
        .unwrap();
    assert_eq!(
        verdicts(&items(&bed, &sample).await),
        ["never-asked", "other-query"]
    );
    // Once it is judged, nothing that comes later changes it.
    bed.node("alpha")
        .core()
        .requests
        .answer(sample.id)
        .await
        .unwrap();
    assert_eq!(
        verdicts(&items(&bed, &sample).await),
        ["never-asked", "other-query"]
    );

    // Another member's sample, and one that nobody drew.
    let beta = Arc::clone(&bed.node("beta").core().home);
    let foreign = given(0, None);
    assert!(
        beta.peers
            .deliver_opening(auditor, CALL_DEADLINE, foreign)
            .await
            .is_err()
    );
    let unknown = Delivered {
        sample: [9; 8],
        ..given(0, None)
    };
    assert!(
        peers
            .deliver_opening(auditor, CALL_DEADLINE, unknown)
            .await
            .is_err()
    );

    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_auditor_has_nothing_opened_and_an_auditor_not_without_end() {
    let mut bed = Bed::new().await;
    // An auditor asks about nobody, and writes no application.
    let asked = bed.try_assess("watcher", 1).await.unwrap_err();
    assert!(asked.to_string().contains("a regulator"), "{asked}");
    let book = bed.node("watcher").desk().book().clone();
    assert!(book.page(None).await.unwrap().0.is_empty());
    let home = Arc::clone(&bed.node("watcher").core().home);
    let roster = home.trust.roster();
    let beta = Arc::clone(&bed.node("beta").core().home);
    let alpha = roster.listed(&member("alpha")).unwrap();
    let wanted = |number: u8, deadline: Timestamp| OpeningsWanted {
        sample: [number; 8],
        deadline,
        wanted: vec![([1; 32], start())],
    };
    let soon = start().plus(DAY);
    let refused = beta
        .peers
        .request_openings(alpha, CALL_DEADLINE, wanted(1, soon))
        .await;
    assert!(refused.is_err());
    let watcher = Arc::clone(&bed.node("watcher").core().home);
    let late = wanted(1, start().plus(DAY * 90));
    assert!(
        watcher
            .peers
            .request_openings(alpha, CALL_DEADLINE, late)
            .await
            .is_err()
    );
    let mut taken = 0;
    for number in 1..=20 {
        let asked = wanted(number, soon);
        let asked = watcher
            .peers
            .request_openings(alpha, CALL_DEADLINE, asked)
            .await;
        taken += usize::from(asked.is_ok());
    }
    assert_eq!(taken, 8);
    bed.network.stop_all().await.unwrap();
}
