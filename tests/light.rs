//! Light mode over real sockets: a lender that holds no mirror of a bureau is told what one is told
//! that does, and the bureau learns the prefix and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::io::Write;
use std::time::{Duration, Instant};

use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch};
use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, Level, MemberId, Product, Purpose, Record,
    RetractionReason, Role, Timestamp,
};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::flows::NewApplication;
use creditmesh::formats::jsonl;
use creditmesh::limits::LEAF_BYTES;
use creditmesh::net::AskError;
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::wire::{LightOffer, LightQuestion, Question};
use creditmesh::workload::{Seat, SimulatedNetwork};
use serde_json::{Value, json};
use tempfile::TempDir;

const BORROWERS: usize = 60;
const SOON: Duration = Duration::from_secs(20);

fn id(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn ssn(borrower: usize) -> String {
    format!("us-ssn:536-90-{:04}", borrower + 1)
}

/// A loan at the bureau; every third is late, and every second has a telephone number.
fn loan(borrower: usize, version: usize, is_late: bool) -> Record {
    let state = if is_late {
        r#""past_due":"900.00 USD","first_delinquency_on":"2025-11-01","dpd":115"#
    } else {
        r#""past_due":"0.00 USD","dpd":0"#
    };
    let phone = if borrower.is_multiple_of(2) {
        format!(r#""phone":"+1415555{borrower:04}","#)
    } else {
        String::new()
    };
    let line = format!(
        concat!(
            r#"{{"kind":"loan","record_id":"019c0000-0000-7000-8000-00000000{:04}","version":{},"#,
            r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
            r#""national_id":"{}",{}"account_ref":"L-{}","product":"instalment-unsecured","#,
            r#""principal":"9000.00 USD","outstanding":"8000.00 USD","instalment":"700.00 USD","#,
            r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01",{},"state":"active"}}"#,
        ),
        borrower,
        version,
        ssn(borrower),
        phone,
        borrower,
        state
    );
    jsonl::from_line(&line).unwrap()
}

struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    _dir: TempDir,
}

impl Bed {
    /// A bureau that serves light mode, alpha that asks it so, and beta that mirrors it.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let clock = PlayedClock::at(now);
        let parts = NodeParts::by(clock.clone());
        let (name, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), name, currency, parts).unwrap();
        network.join_lenders(&["alpha", "beta"]).await.unwrap();
        let bureau = Seat {
            member: id("bureau"),
            role: Role::Bureau,
            weight: 2,
        };
        network.join(&bureau).await.unwrap();
        let bed = Self {
            network,
            clock,
            _dir: dir,
        };
        bed.configure("bureau", "serve = true\nentries = 4");
        bed.configure("alpha", "peers = [\"bureau\"]");
        bed
    }

    /// Puts another section `[light]` at the end of a node's configuration.
    fn configure(&self, member: &str, section: &str) {
        let folder = self.network.folder_of(&id(member)).unwrap();
        let path = folder.path().join("node.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n[light]\n").next().unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        write!(file, "{text}\n[light]\n{section}\n").unwrap();
    }

    async fn start(&mut self) {
        for name in ["alpha", "beta", "bureau"] {
            self.network.start(&id(name)).await.unwrap();
        }
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&id(name)).unwrap()
    }

    async fn file(&self, loans: &[Record]) {
        let filed = self.node("bureau").desk().furnish_published(loans).await;
        for one in filed.unwrap() {
            one.unwrap();
        }
    }

    /// What an account review tells at a node, of which nobody else is told.
    async fn asked(&self, name: &str, borrower: usize) -> Value {
        let phone = format!("phone:+1415555{borrower:04}");
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(&ssn(borrower), None).unwrap()),
                phone: Some(Identifier::parse(&phone, None).unwrap()),
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
        let given = self.node(name).desk().assess(&key, &wanted).await.unwrap();
        serde_json::from_str(&given.json).unwrap()
    }

    /// The same once both other members answer.
    async fn told(&self, name: &str, borrower: usize) -> Value {
        let began = Instant::now();
        let told = loop {
            let told = self.asked(name, borrower).await;
            if told["coverage"]["answered"] == 2 {
                break told;
            }
            assert!(began.elapsed() < SOON, "{name}: {}", told["coverage"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        json!({"counts": told["counts"], "flags": told["flags"], "outcome": told["outcome"]})
    }

    async fn both_are_told_the_same(&self, borrowers: impl Iterator<Item = usize>) {
        for borrower in borrowers {
            let (light, mirrored) = (
                self.told("alpha", borrower).await,
                self.told("beta", borrower).await,
            );
            assert_eq!(light, mirrored, "{borrower}");
        }
    }

    /// What the bureau offers to alpha.
    async fn offer(&self) -> LightOffer {
        let home = &self.node("alpha").core().home;
        let bureau = home.peer(&id("bureau")).unwrap();
        let offered = tokio::time::timeout(SOON, async {
            loop {
                let offers = home.peers.light_offers(&bureau, SOON).await.unwrap();
                if let Some(offer) = offers.first() {
                    break *offer;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        offered.await.unwrap()
    }

    /// The buckets that the bureau sends to alpha for these numbers.
    async fn buckets(&self, bits: u32, buckets: [u32; 2]) -> Result<Vec<Vec<u8>>, AskError> {
        let home = &self.node("alpha").core().home;
        let bureau = home.peer(&id("bureau")).unwrap();
        let seed = BatchSeed::random(&OsEntropy::default()).unwrap();
        let inputs = [Input::Present(b"v1|US-SSN|US|536904399"), Input::Missing];
        let pending = PendingBatch::blind(&inputs, &seed).unwrap();
        let question = LightQuestion {
            question: Question {
                request_id: rand::random(),
                epoch: home.calendar.current(self.clock.now()),
                purpose: Purpose::AccountReview,
                commitment: [1; 32],
                elements: pending.elements().to_vec().into(),
                mirror_size: 0,
            },
            bits,
            buckets,
        };
        let answered = home.peers.evaluate_light(&bureau, SOON, question).await;
        let (head, mut parts) = answered?;
        let size = usize::try_from(head.entries).unwrap() * LEAF_BYTES;
        let mut all = Vec::new();
        while let Some(part) = parts.next().await? {
            all.extend_from_slice(&part);
        }
        assert_eq!(all.len(), 2 * size);
        Ok(all.chunks(size).map(<[u8]>::to_vec).collect())
    }
}

fn entries(bucket: &[u8]) -> Vec<&[u8]> {
    bucket.chunks(LEAF_BYTES).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lender_without_a_mirror_is_told_what_one_with_a_mirror_is_told() {
    let mut bed = Bed::new().await;
    bed.start().await;
    let loans: Vec<Record> = (0..BORROWERS).map(|n| loan(n, 1, n % 3 == 0)).collect();
    bed.file(&loans).await;
    bed.both_are_told_the_same((0..12).chain(BORROWERS..BORROWERS + 4))
        .await;
    let of_late = bed.told("alpha", 0).await;
    assert_eq!(of_late["counts"]["active_defaults"]["lo"], 1);

    // No mirror is kept, and the cut is within what the network allows.
    let core = bed.node("alpha").core();
    let epoch = core.home.calendar.current(bed.clock.now());
    let mirror = core.mirrors.of(&id("bureau"), Level::Full, epoch).unwrap();
    assert_eq!(mirror.reach().await.unwrap().size, 0);
    let offer = bed.offer().await;
    assert!((3..=10).contains(&offer.bits), "{offer:?}");

    // What changes is told at once: a loan that became late, one more, one that was withdrawn.
    bed.file(&[loan(1, 2, true), loan(BORROWERS, 1, true)])
        .await;
    let desk = bed.node("bureau").desk();
    let record = loan(3, 1, false).head.record_id;
    desk.retract(record, RetractionReason::WrongPerson)
        .await
        .unwrap();
    bed.both_are_told_the_same([1, 3, BORROWERS].into_iter())
        .await;
    // Whoever was answered from the loan that was withdrawn hears of it, without a mirror too.
    let began = Instant::now();
    while core.revisions.page(None).await.unwrap().0.is_empty() {
        assert!(began.elapsed() < SOON, "no revision was noted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        bed.told("alpha", 1).await["counts"]["active_defaults"]["lo"],
        1
    );
    assert_eq!(
        bed.told("alpha", 3).await["counts"]["active_lender_groups"]["hi"],
        0
    );

    // In the next key epoch too.
    let calendar = core.home.calendar;
    bed.clock.advance_to(
        calendar
            .begins_at(epoch.next())
            .plus(Duration::from_secs(60)),
    );
    bed.both_are_told_the_same([0, 1, 3, BORROWERS, 99].into_iter())
        .await;
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bucket_has_one_size_and_tells_neither_occupancy_nor_order() {
    let mut bed = Bed::new().await;
    bed.start().await;
    let loans: Vec<Record> = (0..BORROWERS).map(|n| loan(n, 1, false)).collect();
    bed.file(&loans).await;
    let LightOffer {
        bits,
        entries: size,
        ..
    } = bed.offer().await;
    let mut seen = Vec::new();
    for bucket in (0..1 << bits).step_by(2) {
        let sent = bed.buckets(bits, [bucket, bucket + 1]).await.unwrap();
        for one in sent {
            let tags: Vec<&[u8]> = entries(&one).iter().map(|entry| &entry[..12]).collect();
            assert_eq!(tags.len() as u64, size);
            assert!(tags.is_sorted());
            seen.push(one);
        }
    }
    // The same bytes again, so that two answers tell no padding apart.
    assert_eq!(bed.buckets(bits, [0, 1]).await.unwrap(), seen[..2]);
    // One borrower more changes one entry of one bucket for each of its identifiers.
    bed.file(&[loan(400, 1, false)]).await;
    let mut changed = 0;
    for bucket in (0..1 << bits).step_by(2) {
        let sent = bed.buckets(bits, [bucket, bucket + 1]).await.unwrap();
        for (now, before) in sent.iter().zip(&seen[usize::try_from(bucket).unwrap()..]) {
            let before = entries(before);
            changed += entries(now)
                .iter()
                .filter(|entry| !before.contains(entry))
                .count();
        }
    }
    assert_eq!(changed, 2);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_refused_and_costs_the_coverage() {
    let mut bed = Bed::new().await;
    bed.configure("alpha", "peers = [\"bureau\", \"beta\"]");
    bed.start().await;
    let loans: Vec<Record> = (0..BORROWERS).map(|n| loan(n, 1, true)).collect();
    bed.file(&loans).await;
    let offer = bed.offer().await;
    for bits in [offer.bits - 1, offer.bits + 1, 16] {
        let refused = bed.buckets(bits, [0, 0]).await.unwrap_err();
        assert!(
            refused.to_string().contains("ask for the offers again"),
            "{refused}"
        );
    }
    let refused = bed
        .buckets(offer.bits, [0, 1 << offer.bits])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("buckets"), "{refused}");
    // beta serves none: it counts as silent, never as clean.
    let told = bed.asked("alpha", 0).await;
    assert_eq!(told["coverage"]["answered"], 1, "{told}");
    assert_eq!(told["counts"]["active_defaults"]["lo"], 1);
    assert_eq!(
        told["coverage"]["silent"].as_array().unwrap().len(),
        1,
        "{told}"
    );
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_without_entries_is_built_before_anything_is_offered() {
    let mut bed = Bed::new().await;
    bed.start().await;
    bed.file(&[loan(0, 1, true), loan(2, 1, false)]).await;
    assert_eq!(
        bed.told("alpha", 0).await["counts"]["active_defaults"]["lo"],
        1
    );
    // Served no more for a while: what is published then has no entry, or an older one.
    let bureau = id("bureau");
    bed.network.stop(&bureau).await.unwrap();
    bed.configure("bureau", "");
    bed.network.start(&bureau).await.unwrap();
    bed.file(&[loan(1, 1, true), loan(2, 2, true)]).await;
    bed.network.stop(&bureau).await.unwrap();
    bed.configure("bureau", "serve = true\nentries = 4");
    bed.network.start(&bureau).await.unwrap();
    for borrower in 0..3 {
        let told = bed.told("alpha", borrower).await;
        assert_eq!(told["counts"]["active_defaults"]["lo"], 1, "{borrower}");
    }
    bed.network.stop_all().await.unwrap();
}
