//! A network of lenders, their borrowers by number, and what one waits for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{AlertKind, Borrower, Identifier, MemberId, Record, Timestamp};
use creditmesh::env::PlayedClock;
use creditmesh::flows::{Alerts, NewWatched, Watch};
use creditmesh::formats::jsonl;
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::workload::SimulatedNetwork;
use tempfile::TempDir;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The secret of a webhook, in `webhook.secret` of the last member's folder.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) struct Bed {
    pub(crate) network: SimulatedNetwork,
    pub(crate) clock: PlayedClock,
    pub(crate) dir: TempDir,
}

pub(crate) fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

pub(crate) fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap()
}

/// The social security number of a borrower.
pub(crate) fn ssn(number: u32) -> String {
    let (group, area) = (number / 9_999 % 99 + 1, 230 + number / (9_999 * 99));
    format!("{area}-{group:02}-{:04}", number % 9_999 + 1)
}

pub(crate) fn borrower(number: u32) -> Borrower {
    let national = Identifier::parse(&format!("us-ssn:{}", ssn(number)), None);
    Borrower {
        national: Some(national.unwrap()),
        ..Borrower::default()
    }
}

pub(crate) fn watched(number: u32) -> NewWatched {
    NewWatched {
        borrower: borrower(number),
        reference: format!("L-{number}"),
    }
}

fn record(number: u32, version: u32, rest: &str) -> Record {
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-{:012}","version":{},"#,
            r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
            r#""national_id":"us-ssn:{}","account_ref":"L-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","instalment":"700.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01",{}}}"#
        ),
        number,
        version,
        ssn(number),
        number,
        rest
    );
    jsonl::from_line(&line).unwrap()
}

/// A version of a borrower's loan that is so many days past due.
pub(crate) fn loan_of(number: u32, version: u32, dpd: u32) -> Record {
    let late = match dpd {
        0 => r#""past_due":"0.00 USD""#.to_owned(),
        _ => r#""past_due":"700.00 USD","first_delinquency_on":"2025-11-20""#.to_owned(),
    };
    let rest = format!(r#""outstanding":"8000.00 USD",{late},"dpd":{dpd},"state":"active""#);
    record(number, version, &rest)
}

pub(crate) fn default_of(number: u32, version: u32) -> Record {
    loan_of(number, version, 95)
}

pub(crate) fn paid_of(number: u32, version: u32) -> Record {
    let rest = concat!(
        r#""outstanding":"0.00 USD","past_due":"0.00 USD","dpd":0,"state":"paid","#,
        r#""closed_on":"2026-02-28","history":"432100..................""#
    );
    record(number, version, rest)
}

pub(crate) fn retracted_of(number: u32, version: u32) -> Record {
    let before = default_of(number, version - 1);
    let reason = creditmesh::domain::RetractionReason::WrongPerson;
    before.retracted(reason, start())
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waited = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "{what} did not come within 30 s");
}

impl Bed {
    /// Lenders by a clock that moves only when told.
    pub(crate) async fn of(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(start());
        let parts = NodeParts::by(clock.clone());
        Self::by((dir, clock), parts, names, "").await
    }

    /// With lines at the end of the last member's configuration.
    pub(crate) async fn by(
        (dir, clock): (TempDir, PlayedClock),
        parts: NodeParts,
        names: &[&str],
        lines: &str,
    ) -> Self {
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        network.join_lenders(names).await.unwrap();
        let last = dir.path().join(names.last().unwrap()).join("node.toml");
        let text = std::fs::read_to_string(&last).unwrap();
        std::fs::write(&last, text + lines).unwrap();
        std::fs::write(last.with_file_name("webhook.secret"), SECRET).unwrap();
        network.start_all().await.unwrap();
        Self {
            network,
            clock,
            dir,
        }
    }

    pub(crate) fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&member(name)).unwrap()
    }

    pub(crate) fn watch(&self, name: &str) -> Watch {
        self.node(name).core().watch.clone()
    }

    pub(crate) fn alerts(&self, name: &str) -> Arc<Alerts> {
        Arc::clone(&self.node(name).core().alerts)
    }

    /// Files records, and waits until they are in the member's own feeds.
    pub(crate) async fn furnish(&self, name: &str, records: &[Record]) {
        let desk = self.node(name).desk().clone();
        for filed in desk.furnish_published(records).await.unwrap() {
            filed.unwrap();
        }
    }

    /// Waits until a member has evaluated its whole watch list at every peer.
    pub(crate) async fn evaluated(&self, name: &str) {
        let watch = self.watch(name);
        until("the evaluation", || async {
            let (_, peers) = watch.progress().await.unwrap();
            peers.iter().all(|peer| peer.is_whole)
        })
        .await;
    }

    /// Waits until there are so many alerts, and gives the kinds of all.
    pub(crate) async fn kinds(&self, name: &str, count: usize) -> Vec<AlertKind> {
        let alerts = self.alerts(name);
        until("the alerts", || async {
            alerts.page(0).await.unwrap().len() >= count
        })
        .await;
        let alerts = alerts.page(0).await.unwrap();
        alerts.iter().map(|alert| alert.said.kind).collect()
    }

    /// Elements that `asker` may still have evaluated at `peer`.
    pub(crate) async fn quota_left(&self, asker: &str, peer: &str) -> u64 {
        let home = Arc::clone(&self.node(asker).core().home);
        let peer = home.peer(&member(peer)).unwrap();
        let described = home.peers.describe(&peer, Duration::from_secs(5)).await;
        described.unwrap().quota_left
    }

    pub(crate) async fn stop_one(&mut self, name: &str) {
        self.network.stop(&member(name)).await.unwrap();
    }

    pub(crate) async fn start_one(&mut self, name: &str) {
        self.network.start(&member(name)).await.unwrap();
    }

    pub(crate) async fn restart(&mut self, name: &str) {
        self.stop_one(name).await;
        self.start_one(name).await;
    }

    /// Whether a member's store has these bytes in the clear.
    pub(crate) fn store_holds(&self, name: &str, bytes: &[u8]) -> bool {
        holds(&self.dir.path().join(name), bytes)
    }

    pub(crate) async fn stop(mut self) {
        self.network.stop_all().await.unwrap();
    }
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let held = std::fs::read(&path).unwrap_or_default();
        held.windows(bytes.len()).any(|window| window == bytes)
    })
}
