//! A bureau of three replicas over one database, beside two lenders on sled: it answers, counts and
//! publishes as one node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use creditmesh::config::{DatabaseConfig, StoreConfig};
use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch};
use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, Level, MemberId, Product, Purpose, Record, Role,
    Timestamp,
};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::flows::{FlowError, NewApplication};
use creditmesh::formats::jsonl;
use creditmesh::membership::{Grant, RightsChange, Service};
use creditmesh::node::{Folder, NodeParts, RunningNode};
use creditmesh::wire::Question;
use creditmesh::workload::{Place, Seat, SimulatedNetwork, free_address};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

const REPLICAS: usize = 3;

fn id(name: &str) -> MemberId {
    name.parse().expect("an id")
}

fn ssn(borrower: usize) -> String {
    format!("us-ssn:536-90-{:04}", borrower + 1)
}

/// A loan of a borrower, filed at one of several desks; late where that is asked for.
fn loan(desk: usize, borrower: usize, is_late: bool) -> Record {
    let state = if is_late {
        r#""past_due":"900.00 USD","first_delinquency_on":"2025-11-01","dpd":115"#
    } else {
        r#""past_due":"0.00 USD","dpd":0"#
    };
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-0000{:04}{:04}","version":1,"#,
            r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
            r#""national_id":"{}","account_ref":"L-{}-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","outstanding":"8000.00 USD","instalment":"700.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01",{},"state":"active"}}"#,
        ),
        desk,
        borrower,
        ssn(borrower),
        desk,
        borrower,
        state
    );
    jsonl::from_line(&line).expect("a record")
}

struct Bed {
    network: SimulatedNetwork,
    /// Two of the bureau's three replicas; the network runs the first.
    others: Vec<RunningNode>,
    folders: Vec<PathBuf>,
    clock: PlayedClock,
    _dir: TempDir,
    _server: Server,
}

fn copied(from: &Path, to: &Path, (listen, other): (&str, &str)) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
    let config = to.join("node.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&config, text.replacen(listen, other, 1)).expect("the configuration");
}

impl Bed {
    async fn new() -> Self {
        let (dir, server) = (
            tempfile::tempdir().expect("a folder"),
            Server::start().await,
        );
        let now = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").expect("a time");
        let clock = PlayedClock::at(now);
        let parts = NodeParts::by(clock.clone());
        let (name, currency) = (
            "test-net".parse().expect("an id"),
            "USD".parse().expect("a currency"),
        );
        let found = SimulatedNetwork::found(dir.path(), name, currency, parts.clone());
        let mut network = found.expect("a network");
        let lenders = network.join_lenders(&["alpha", "beta"]).await;
        lenders.expect("the lenders join");
        let addresses: Vec<_> = (0..REPLICAS)
            .map(|_| free_address().expect("an address"))
            .collect();
        let seat = Seat {
            member: id("bureau"),
            role: Role::Bureau,
            weight: 4,
        };
        let place = Place {
            addresses: addresses.clone(),
            store: StoreConfig::Postgres(DatabaseConfig {
                connection: server.connection(),
                password_file: None,
                roots: None,
                connections: 8,
            }),
        };
        let joined = network.join_in(&seat, Level::Full, place).await;
        joined.expect("the bureau joins");
        let first = dir.path().join("bureau");
        let mut folders = vec![first.clone()];
        let listen = addresses[0].to_string();
        for (number, address) in addresses.iter().enumerate().skip(1) {
            let folder = dir.path().join(format!("bureau-{number}"));
            copied(&first, &folder, (&listen, &address.to_string()));
            folders.push(folder);
        }
        let mut others = Vec::new();
        for folder in &folders[1..] {
            let node = RunningNode::start(&Folder::at(folder), parts.clone()).await;
            others.push(node.expect("a replica starts"));
        }
        network.start_all().await.expect("the nodes start");
        Self {
            network,
            others,
            folders,
            clock,
            _dir: dir,
            _server: server,
        }
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&id(name)).expect("it runs")
    }

    fn replicas(&self) -> Vec<&RunningNode> {
        let first = std::iter::once(self.node("bureau"));
        first.chain(&self.others).collect()
    }

    /// What an account review tells of a borrower at a node.
    async fn told(&self, node: &RunningNode, borrower: usize) -> Value {
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(&ssn(borrower), None).expect("an identifier")),
                ..Borrower::default()
            },
            kind: ApplicationKind::Review,
            purpose: Purpose::AccountReview,
            product: Product::InstalmentUnsecured,
            amount: None,
            term_days: None,
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let key = format!("{:032x}", rand::random::<u128>());
        let given = node.desk().assess(&key, &wanted).await.expect("an answer");
        let told: Value = serde_json::from_str(&given.json).expect("JSON");
        assert_eq!(told["coverage"]["answered"], 2, "{told}");
        json!({"counts": told["counts"], "flags": told["flags"], "outcome": told["outcome"]})
    }

    async fn file(&self, node: &RunningNode, loans: &[Record]) {
        let filed = node.desk().furnish_published(loans).await;
        for one in filed.expect("they are filed") {
            one.expect("a record");
        }
    }

    /// Everything is whole on disk, and nobody signed two histories.
    async fn stop(mut self) {
        for name in ["alpha", "beta"] {
            let forks = self.node(name).core().mirrors.forks().list().await;
            assert_eq!(forks.expect("the forks"), []);
        }
        let others = self.others.into_iter().map(RunningNode::shutdown);
        try_join_all(others).await.expect("the replicas stop");
        self.network.stop_all().await.expect("the nodes stop");
        let folder = Folder::at(&self.folders[1]);
        let report = creditmesh::node::verify(&folder, |_| {}).await;
        let report = report.expect("it is verified");
        assert!(report.findings.is_empty(), "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_files_every_replica_and_every_lender_tells() {
    let bed = Bed::new().await;
    let (alpha, beta) = (bed.node("alpha"), bed.node("beta"));
    bed.file(alpha, &[loan(7, 0, true), loan(7, 1, false)])
        .await;
    for (number, replica) in bed.replicas().into_iter().enumerate() {
        bed.file(replica, &[loan(number, number, number == 0)])
            .await;
        // A lender that asks now is told, whichever replica it reaches.
        let told = bed.told(beta, number).await;
        let active = &told["counts"]["active_lender_groups"];
        let lenders = if number < 2 { 2 } else { 1 };
        assert_eq!(*active, json!({"lo": lenders, "hi": lenders}), "{told}");
    }
    bed.network.mirrored().await.expect("mirrors");
    for borrower in 0..4 {
        let mut answers = Vec::new();
        for replica in bed.replicas() {
            answers.push(bed.told(replica, borrower).await);
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:#?}"
        );
    }
    let told = bed.told(alpha, 0).await;
    assert_eq!(told["counts"]["active_defaults"]["lo"], 1, "{told}");
    let leading = bed.replicas().into_iter();
    let leading = leading.filter(|node| node.core().home.vault.replicas().leads());
    assert_eq!(leading.count(), 1);
    bed.stop().await;
}

/// What is asked for, where a test takes its size as an argument.
fn size(name: &str, small: usize) -> usize {
    let wanted = std::env::var(name).ok();
    wanted.map_or(small, |text| text.parse().expect("a number"))
}

fn question(bed: &Bed, request: u128) -> Question {
    let seed = BatchSeed::random(&OsEntropy::default()).expect("a seed");
    let input = Input::Present(b"v1|US-SSN|US|536904399");
    let pending = PendingBatch::blind(&[input], &seed).expect("a batch");
    let calendar = bed.node("alpha").core().home.calendar;
    Question {
        request_id: request.to_be_bytes(),
        epoch: calendar.current(bed.clock.now()),
        purpose: Purpose::CreditApplication,
        commitment: [1; 32],
        elements: pending.elements().to_vec().into(),
        mirror_size: 0,
    }
}

/// `CREDITMESH_TEST_DEBITS` says how many, 1,200 without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_debits_over_three_replicas_spend_a_quota_and_no_more() {
    let debits = size("CREDITMESH_TEST_DEBITS", 1_200);
    let quota = debits * 2 / 3;
    let mut bed = Bed::new().await;
    let granted = RightsChange::Grant(Grant {
        service: Service::Evaluate,
        purposes: vec![Purpose::CreditApplication],
        until: None,
        quota_elements_per_epoch: Some(quota as u64),
    });
    let withdraw = RightsChange::Withdraw(Purpose::ALL.to_vec());
    for change in [&withdraw, &granted] {
        let changed = bed.network.change_rights(&id("alpha"), change);
        changed.expect("a new list");
    }
    let list = std::fs::read_to_string(bed.folders[0].join("members.json")).expect("the list");
    for replica in &bed.others {
        replica.take_list(&list).expect("the list");
    }
    let leaf = bed.network.folder_of(&id("alpha")).expect("alpha").leaf();
    let leaf = leaf.expect("its certificate");
    let template = question(&bed, 0);
    let began = std::time::Instant::now();
    let outcomes = join_all((0..debits).map(|number| {
        let core = bed.replicas()[number % REPLICAS].core();
        let peer = core.home.trust.admit(&leaf).expect("a member");
        let mut question = template.clone();
        question.request_id = (number as u128 + 1).to_be_bytes();
        async move { core.answerer.evaluate(&peer, question).await }
    }))
    .await;
    let seconds = began.elapsed().as_secs_f32();
    println!("{debits} debits over {REPLICAS} replicas in {seconds:.1} s, {quota} permitted");
    let mut permitted = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(_) => permitted.push(number),
            Err(FlowError::OverBudget(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(permitted.len(), quota);
    // A request that was permitted is repeated at another replica without a debit, and nothing else
    // is permitted there.
    let again = (permitted[0] as u128 + 1).to_be_bytes();
    for replica in bed.replicas() {
        let core = replica.core();
        let peer = core.home.trust.admit(&leaf).expect("a member");
        let mut question = template.clone();
        question.request_id = again;
        core.answerer
            .evaluate(&peer, question)
            .await
            .expect("a repeat");
        let mut question = template.clone();
        question.request_id = [0xFF; 16];
        let refused = core.answerer.evaluate(&peer, question).await;
        assert!(
            matches!(refused, Err(FlowError::OverBudget(_))),
            "{refused:?}"
        );
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_publish_at_once_write_one_feed() {
    const BORROWERS: usize = 24;
    let bed = Bed::new().await;
    // All replicas file about all borrowers at the same time, one record after the other.
    let racing = bed.replicas().into_iter().enumerate().map(|(desk, node)| {
        let bed = &bed;
        async move {
            for borrower in 0..BORROWERS {
                bed.file(node, &[loan(desk, borrower, false)]).await;
            }
        }
    });
    let patience = tokio::time::timeout(Duration::from_secs(120), join_all(racing));
    patience.await.expect("all are filed");
    let alpha = bed.node("alpha");
    for borrower in 0..BORROWERS {
        let told = bed.told(alpha, borrower).await;
        let active = &told["counts"]["active_lender_groups"];
        assert_eq!(*active, json!({"lo": 1, "hi": 1}), "{told}");
    }
    for replica in bed.replicas() {
        let (records, _) = replica.desk().book().page(None).await.expect("the book");
        assert_eq!(records.len(), REPLICAS * BORROWERS);
    }
    bed.network.mirrored().await.expect("mirrors");
    let core = bed.node("bureau").core();
    let feed = core
        .home
        .feed(Level::Full, core.home.calendar.current(bed.clock.now()));
    let mut sizes = Vec::new();
    for replica in bed.replicas() {
        let feeds = replica.core().answerer.feeds();
        sizes.push(
            feeds
                .size(&feed)
                .await
                .expect("the feed")
                .expect("it is open"),
        );
    }
    for lender in ["alpha", "beta"] {
        let mirrors = &bed.node(lender).core().mirrors;
        let mirror = mirrors.of(&id("bureau"), Level::Full, feed.epoch);
        let reach = mirror.expect("a mirror").reach().await;
        sizes.push(reach.expect("how far").size);
    }
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
    bed.stop().await;
}
