//! Queries opened to an auditor, and logs compared, over real sockets, mutual TLS and stores.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "auditing/samples.rs"]
mod samples;

use std::sync::Arc;
use std::time::Duration;

use creditmesh::crypto::oprf::{BatchSeed, Input, PendingBatch};
use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, MemberId, Product, Purpose, Role, Timestamp,
};
use creditmesh::env::{OsEntropy, PlayedClock};
use creditmesh::flows::{
    AtPeer, Auditor, FlowError, NewApplication, NewDraw, NewWatched, Reconciled,
};
use creditmesh::merkle::{Checkpoint, Frontier, leaf_hash};
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::protocol::opening::{DifferenceKind, OpeningFault, SealedOpening};
use creditmesh::risk::fishing::Canaries;
use creditmesh::store::Table;
use creditmesh::wire::{LoggedWanted, Question};
use creditmesh::workload::{Seat, SimulatedNetwork};

const LENDERS: [&str; 3] = ["alpha", "beta", "gamma"];

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap()
}

struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    _dir: tempfile::TempDir,
}

impl Bed {
    /// Three lenders and an auditor, by a clock that moves only when told.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = PlayedClock::at(start());
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        let lenders = LENDERS.map(|name| (name, Role::Lender, 1));
        let seats = lenders.into_iter().chain([("watcher", Role::Regulator, 0)]);
        for (name, role, weight) in seats {
            let member = member(name);
            let seat = Seat {
                member,
                role,
                weight,
            };
            network.join(&seat).await.unwrap();
        }
        for name in ["alpha", "beta", "gamma", "watcher"] {
            network.start(&member(name)).await.unwrap();
        }
        let lenders = LENDERS.map(member);
        for name in LENDERS {
            let others = lenders.iter().filter(|one| **one != member(name));
            let others: Vec<_> = others.cloned().collect();
            let core = network.node(&member(name)).unwrap().core();
            until("the mirrors", || async {
                core.mirrors_all(&others).await.unwrap()
            })
            .await;
        }
        Self {
            network,
            clock,
            _dir: dir,
        }
    }

    fn node(&self, name: &str) -> &RunningNode {
        self.network.node(&member(name)).unwrap()
    }

    fn auditor(&self) -> Auditor {
        Auditor::new(Arc::clone(&self.node("watcher").core().home))
    }

    async fn assess(&self, name: &str, number: u32) {
        self.try_assess(name, number).await.unwrap();
    }

    async fn try_assess(&self, name: &str, number: u32) -> Result<(), FlowError> {
        let wanted = NewApplication {
            borrower: borrower(number),
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: None,
            term_days: None,
            income_month: None,
            consent_reference: format!("C-{number}"),
        };
        let desk = self.node(name).desk().clone();
        let given = desk.assess(&format!("key-{number}"), &wanted).await;
        given.map(|_| ())
    }

    async fn open(&self, name: &str, entry: u64) -> Result<SealedOpening, FlowError> {
        let opener = self.node(name).core().opener.clone();
        opener.open(entry, &member("watcher")).await
    }
}

fn borrower(number: u32) -> Borrower {
    let text = format!("us-ssn:536-90-{number:04}");
    Borrower {
        national: Some(Identifier::parse(&text, None).unwrap()),
        ..Borrower::default()
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waited = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
    assert!(waited.is_ok(), "{what} did not come within 30 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_query_is_what_both_sides_logged() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 4_399).await;
    let sealed = bed.open("alpha", 0).await.unwrap();
    let text = sealed.to_string();
    assert!(!text.contains("4399") && !text.contains("536"), "{text}");
    let checked = bed
        .auditor()
        .check(&text, &Canaries::default())
        .await
        .unwrap();
    assert_eq!(checked.fault, None);
    let found: Vec<_> = checked
        .peers
        .iter()
        .map(|(peer, at)| (peer.as_str(), at))
        .collect();
    assert_eq!(
        found,
        [("beta", &AtPeer::Agrees), ("gamma", &AtPeer::Agrees)]
    );
    assert_eq!(
        checked.opening.borrowers[0].national,
        borrower(4_399).national
    );
    let consent = creditmesh::crypto::sha256(b"C-4399");
    assert_eq!(checked.opening.borrowers[0].consent, consent);

    // The opening stands in the opener's own log.
    let reader = creditmesh::flows::AuditReader::new(Arc::clone(&bed.node("alpha").core().home));
    let line = reader.line(1).await.unwrap();
    assert!(line.ends_with(" opened 0 watcher"), "{line}");

    // What is no query of this node, or not there, is refused, and so is who is no auditor.
    let refused = bed.open("alpha", 1).await.unwrap_err().to_string();
    assert!(refused.contains("`asked`"), "{refused}");
    assert!(matches!(
        bed.open("alpha", 99).await,
        Err(FlowError::NotFound { .. })
    ));
    let refused = bed.open("beta", 0).await.unwrap_err().to_string();
    assert!(refused.contains("`asked`"), "{refused}");
    let opener = bed.node("alpha").core().opener.clone();
    let refused = opener
        .open(0, &member("beta"))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("beta is no auditor"), "{refused}");
    let elsewhere = Auditor::new(Arc::clone(&bed.node("beta").core().home));
    assert!(elsewhere.check(&text, &Canaries::default()).await.is_err());

    // The key stays the same over a restart; a peer that is away is named.
    bed.network.stop(&member("watcher")).await.unwrap();
    bed.network.stop(&member("gamma")).await.unwrap();
    bed.network.start(&member("watcher")).await.unwrap();
    let checked = bed
        .auditor()
        .check(&text, &Canaries::default())
        .await
        .unwrap();
    assert_eq!(checked.peers[0].1, AtPeer::Agrees);
    assert!(matches!(checked.peers[1].1, AtPeer::Unreachable(_)));
    bed.network.stop_all().await.unwrap();
}

/// Makes the audit log of a stopped member longer by so many entries, signed as a whole.
async fn lengthened(bed: &Bed, name: &str, entries: u64) {
    let folder = bed.network.folder_of(&member(name)).unwrap();
    let opened = folder.open().await.unwrap();
    let vault = &opened.vault;
    let head = vault
        .read(Table::AuditHead, b"head")
        .await
        .unwrap()
        .unwrap();
    let mut log = Frontier::decode(&head.bytes).unwrap();
    let mut batch = vault.batch();
    for number in 0..entries {
        let (time, digest) = (start().unix_ms(), "0".repeat(64));
        let line = format!("1 {time} answered beta full 0 credit-application {digest} {digest} 2");
        let position = log.size().to_be_bytes();
        batch.put(Table::AuditEntry, &position, 0, line.as_bytes());
        log.append(leaf_hash(line.as_bytes())).unwrap();
        if number % 400 == 399 {
            vault.commit(batch).await.unwrap();
            batch = vault.batch();
        }
    }
    let origin = format!("{name}/audit");
    let checkpoint = Checkpoint::new(&origin, log.size(), log.root(), start()).unwrap();
    let note = checkpoint.sign(&opened.identity().await.unwrap()).unwrap();
    let at_size = [b"audit/".as_slice(), &log.size().to_be_bytes()].concat();
    batch.put(Table::Checkpoint, &at_size, 0, note.to_string().as_bytes());
    batch.put(Table::AuditHead, b"head", head.revision, &log.encode());
    vault.commit(batch).await.unwrap();
    opened.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_reads_what_is_kept_of_a_long_log_and_not_every_entry() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 1).await;
    bed.network.stop(&member("alpha")).await.unwrap();
    lengthened(&bed, "alpha", 2_500).await;
    bed.network.start(&member("alpha")).await.unwrap();
    until("an answer of both", || async {
        bed.node("alpha")
            .core()
            .mirrors_all(&[member("beta"), member("gamma")])
            .await
            .unwrap()
    })
    .await;
    bed.assess("alpha", 2).await;
    let opens = |entry| {
        let bed = &bed;
        async move {
            let sealed = bed.open("alpha", entry).await.unwrap().to_string();
            let checked = bed.auditor().check(&sealed, &Canaries::default()).await;
            assert_eq!(checked.unwrap().fault, None, "{entry}");
        }
    };
    opens(0).await;
    opens(2_501).await;
    // An entry of a block that neither stands in is not looked at again, also after a start.
    let home = Arc::clone(&bed.node("alpha").core().home);
    let key = 1_500_u64.to_be_bytes();
    let row = home.vault.read(Table::AuditEntry, &key).await.unwrap();
    let mut batch = home.vault.batch();
    batch.delete(Table::AuditEntry, &key, row.unwrap().revision);
    home.vault.commit(batch).await.unwrap();
    opens(0).await;
    opens(2_501).await;
    drop(home);
    bed.network.stop(&member("alpha")).await.unwrap();
    bed.network.start(&member("alpha")).await.unwrap();
    let sealed = bed.open("alpha", 0).await;
    assert!(sealed.is_ok(), "{sealed:?}");
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_does_not_open() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 1).await;
    bed.assess("alpha", 2).await;
    let opener = bed.node("alpha").core().opener.clone();
    let (_, mut first) = opener.opened(0).await.unwrap();
    let (_, second) = opener.opened(1).await.unwrap();
    first.borrowers = second.borrowers.clone();
    // A node that wants to show another borrower than it asked about.
    let forged = opener
        .sealed((0, &first), &member("watcher"))
        .await
        .unwrap();
    let checked = bed
        .auditor()
        .check(&forged.to_string(), &Canaries::default())
        .await
        .unwrap();
    assert_eq!(checked.fault, Some(OpeningFault::Identifier));
    let (_, mut first) = opener.opened(0).await.unwrap();
    first.borrowers[0].consent = second.borrowers[0].consent;
    let forged = opener
        .sealed((0, &first), &member("watcher"))
        .await
        .unwrap();
    let checked = bed
        .auditor()
        .check(&forged.to_string(), &Canaries::default())
        .await
        .unwrap();
    assert_eq!(checked.fault, Some(OpeningFault::Consent));
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_batch_of_the_watch_list_opens() {
    let mut bed = Bed::new().await;
    let watch = bed.node("alpha").core().watch.clone();
    let watched: Vec<NewWatched> = (1..=400)
        .map(|number| NewWatched {
            borrower: borrower(number),
            reference: format!("LOAN-ACCOUNT-{number}"),
        })
        .collect();
    watch.add(&watched).await.unwrap();
    until("the evaluation", || async {
        let (_, peers) = watch.progress().await.unwrap();
        let lenders = |name: &str| {
            peers
                .iter()
                .any(|peer| peer.peer == member(name) && peer.is_whole)
        };
        ["beta", "gamma"].iter().all(|name| lenders(name))
    })
    .await;
    let sealed = bed.open("alpha", 0).await.unwrap();
    let checked = bed
        .auditor()
        .check(&sealed.to_string(), &Canaries::default())
        .await
        .unwrap();
    assert_eq!(checked.fault, None);
    assert_eq!(checked.peers.len(), 1);
    assert_eq!(checked.peers[0].1, AtPeer::Agrees);
    assert!(checked.opening.borrowers.len() > 300);
    let reference = checked.opening.borrowers[0].reference.as_deref();
    assert_eq!(reference, Some("LOAN-ACCOUNT-1"));
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_told_to_its_two_sides_and_to_auditors_only() {
    let mut bed = Bed::new().await;
    bed.assess("alpha", 1).await;
    bed.clock
        .advance_to(start().plus(Duration::from_secs(3_600)));
    bed.assess("alpha", 2).await;
    let wanted = |from: u64, until: u64| LoggedWanted {
        asker: member("alpha"),
        answerer: member("beta"),
        from: start().plus(Duration::from_secs(from)),
        until: start().plus(Duration::from_secs(until)),
        next: 0,
        commitment: None,
    };
    let soon = Duration::from_secs(10);
    let ask = async |who: &str, wanted: LoggedWanted| {
        let home = Arc::clone(&bed.node(who).core().home);
        let beta = home.trust.roster().listed(&member("beta")).unwrap().clone();
        home.peers.logged(&beta, soon, wanted).await
    };
    let count = async |who: &str, from: u64, until: u64| {
        ask(who, wanted(from, until)).await.unwrap().entries.len()
    };
    assert_eq!(count("alpha", 0, 7_200).await, 2);
    assert_eq!(count("watcher", 0, 7_200).await, 2);
    assert_eq!(count("alpha", 1, 7_200).await, 1);
    assert_eq!(count("alpha", 0, 3_600).await, 1);
    assert_eq!(count("alpha", 3_601, 7_200).await, 0);
    let refused = ask("gamma", wanted(0, 7_200))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("PermissionDenied"), "{refused}");
    let mut neither = wanted(0, 7_200);
    neither.answerer = member("gamma");
    let refused = ask("watcher", neither).await.unwrap_err().to_string();
    assert!(refused.contains("must be beta"), "{refused}");
    let mut only = wanted(0, 7_200);
    only.commitment = Some([7; 32]);
    assert!(ask("alpha", only).await.unwrap().entries.is_empty());
    let mut beyond = wanted(0, 7_200);
    beyond.next = u64::MAX;
    assert!(ask("alpha", beyond).await.unwrap().entries.is_empty());
    bed.network.stop_all().await.unwrap();
}

/// Compares a node's log with a peer's over the first two hours.
async fn reconciled(bed: &Bed, name: &str, peer: &str) -> Reconciled {
    let reconciler = bed.node(name).core().reconciler.clone();
    let until = start().plus(Duration::from_secs(7_200));
    let (mut from, mut all) = (start(), Reconciled::default());
    while from < until {
        // A peer that was down a moment ago is left alone for a moment.
        let peer = member(peer);
        let stepped = async {
            loop {
                match reconciler.step(&peer, (from, until)).await {
                    Err(FlowError::Call(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                    stepped => return stepped.unwrap(),
                }
            }
        };
        let stepped = tokio::time::timeout(Duration::from_secs(30), stepped).await;
        let (came, end) = stepped.unwrap();
        all.agree += came.agree;
        all.unanswered += came.unanswered;
        all.unknown += came.unknown;
        all.differences.extend(came.differences);
        from = end;
    }
    all
}

fn told(came: &Reconciled) -> Vec<(&str, DifferenceKind)> {
    let told = came.differences.iter();
    told.map(|(asker, one)| (asker.as_str(), one.kind))
        .collect()
}

/// Asks `beta` past alpha's own log.
async fn ask_unlogged(bed: &Bed) {
    let home = Arc::clone(&bed.node("alpha").core().home);
    let beta = home.peer(&member("beta")).unwrap();
    let soon = Duration::from_secs(10);
    let described = home.peers.describe(&beta, soon).await.unwrap();
    let seed = BatchSeed::random(&OsEntropy::default()).unwrap();
    let inputs = [Input::Present(b"v1|US-SSN|US|536904399"), Input::Missing];
    let pending = PendingBatch::blind(&inputs, &seed).unwrap();
    let question = Question {
        request_id: [7; 16],
        epoch: described.keys.first().unwrap().terms.epoch,
        purpose: Purpose::FraudPrevention,
        commitment: [1; 32],
        elements: pending.elements().to_vec().into(),
        mirror_size: 0,
    };
    home.peers.evaluate(&beta, soon, question).await.unwrap();
}

/// Rewrites an entry in a node's store: what nobody can do from outside.
async fn rewrite(bed: &Bed, name: &str, position: u64, change: impl Fn(String) -> String) {
    let vault = bed.node(name).core().home.vault.clone();
    let key = position.to_be_bytes();
    let row = vault.read(Table::AuditEntry, &key).await.unwrap().unwrap();
    let line = change(String::from_utf8(row.bytes.to_vec()).unwrap());
    let mut batch = vault.batch();
    batch.put(Table::AuditEntry, &key, row.revision, line.as_bytes());
    vault.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_agree_until_one_side_does_not_log_what_happened() {
    let mut bed = Bed::new().await;
    for number in 1..=3 {
        bed.assess("alpha", number).await;
    }
    bed.assess("beta", 4).await;
    bed.network.stop(&member("gamma")).await.unwrap();
    bed.clock
        .advance_to(start().plus(Duration::from_secs(4_000)));
    bed.assess("alpha", 5).await;
    bed.network.start(&member("gamma")).await.unwrap();
    let came = reconciled(&bed, "alpha", "beta").await;
    assert_eq!((came.agree, came.unanswered, told(&came)), (5, 0, vec![]));
    assert_eq!(reconciled(&bed, "beta", "alpha").await, came);
    let came = reconciled(&bed, "alpha", "gamma").await;
    assert_eq!((came.agree, came.unanswered, told(&came)), (3, 1, vec![]));

    ask_unlogged(&bed).await;
    let only = [("alpha", DifferenceKind::OnlyAnswered)];
    let came = reconciled(&bed, "alpha", "beta").await;
    assert_eq!((came.agree, told(&came)), (5, only.to_vec()));
    let came = reconciled(&bed, "beta", "alpha").await;
    assert_eq!(told(&came), only);

    // Beta leaves out that it answered; alpha's own answer says that it did.
    rewrite(&bed, "beta", 0, |line| {
        assert!(line.contains(" answered alpha "), "{line}");
        line.replace(" answered alpha ", " answered gamma ")
    })
    .await;
    let came = reconciled(&bed, "alpha", "beta").await;
    let missing = ("alpha", DifferenceKind::OnlyAsked);
    assert_eq!(came.agree, 4);
    assert!(told(&came).contains(&missing), "{came:?}");

    // And says another purpose of one more.
    rewrite(&bed, "beta", 1, |line| {
        line.replace("credit-application", "self-access")
    })
    .await;
    let came = reconciled(&bed, "alpha", "beta").await;
    let other = came
        .differences
        .iter()
        .find(|(_, one)| one.kind == DifferenceKind::Differs);
    let says = &other.unwrap().1.says;
    assert_eq!(
        says,
        "asked for credit-application, answered for self-access"
    );

    let reconciler = bed.node("alpha").core().reconciler.clone();
    let span = (start(), start().plus(Duration::from_secs(9)));
    let refused = reconciler.step(&member("watcher"), span).await.unwrap_err();
    assert!(
        refused.to_string().contains("no active lender"),
        "{refused}"
    );
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_queries_open_and_canaries_among_them_are_found() {
    let mut bed = Bed::new().await;
    for number in 1..=8 {
        bed.assess("alpha", number).await;
    }
    bed.assess("beta", 9).await;
    let wanted = |seed: &str, count| NewDraw {
        member: member("alpha"),
        count,
        seed: seed.to_owned(),
        from: start(),
        until: start().plus(Duration::from_secs(60)),
    };
    let auditor = bed.auditor();
    let came = auditor.draw(wanted("dice: 4 2 6", 5)).await.unwrap();
    assert_eq!((came.drawn.len(), came.offered), (5, 16));
    assert!(came.unreached.is_empty());
    assert_eq!(auditor.draw(wanted("dice: 4 2 6", 5)).await.unwrap(), came);
    let all = auditor.draw(wanted("dice: 4 2 6", 100)).await.unwrap();
    assert_eq!(all.drawn.len(), 8);

    let opener = bed.node("alpha").core().opener.clone();
    let always = (start(), start().plus(Duration::from_secs(86_400)));
    let canaries = Canaries::of(borrower(3).national);
    let mut touched = Vec::new();
    for one in &all.drawn {
        assert_eq!(one.seen.len(), 2);
        let entry = opener.find(one.commitment, always).await.unwrap();
        let sealed = bed.open("alpha", entry).await.unwrap();
        let checked = auditor.check(&sealed.to_string(), &canaries).await.unwrap();
        assert_eq!(checked.fault, None);
        assert_eq!(checked.opening.commitment(), one.commitment);
        touched.extend(checked.touched);
    }
    assert_eq!(touched.len(), 1);
    assert_eq!(
        (touched[0].canaries, touched[0].positions.as_slice()),
        (1, [2].as_slice())
    );
    assert!(opener.find([7; 32], always).await.is_err());

    bed.network.stop(&member("gamma")).await.unwrap();
    let came = auditor.draw(wanted("dice: 4 2 6", 5)).await.unwrap();
    assert_eq!((came.offered, came.unreached), (8, vec![member("gamma")]));
    assert!(auditor.draw(wanted("", 5)).await.is_err());
    assert!(auditor.draw(wanted("a", 0)).await.is_err());
    let nobody = Auditor::new(Arc::clone(&bed.node("beta").core().home));
    assert!(nobody.draw(wanted("a", 5)).await.is_err());
    bed.network.stop_all().await.unwrap();
}
