//! A network of three real nodes in whose books values are planted and which then lend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::crypto::Keyring;
use creditmesh::domain::{
    ApplicationKind, ApplicationOutcome, Borrower, Identifier, MemberId, Money, NetworkId, Product,
    Purpose, RetractionReason, Timestamp,
};
use creditmesh::env::{OsEntropy, PlayedClock};
use creditmesh::flows::{NewApplication, NewHold};
use creditmesh::formats::jsonl;
use creditmesh::node::{NodeParts, Sealing};
use creditmesh::workload::{Capture, Planted, SimulatedNetwork};
use serde_json::json;
use tempfile::TempDir;

const MEMBERS: [&str; 3] = ["alpha", "beta", "gamma"];

/// Valid by their check rules, and of nobody: from test vectors and ranges reserved for fiction.
const IDENTIFIERS: [&str; 6] = [
    "cn-rid:11010519491231002X",
    "us-ssn:536904399",
    "in-aadhaar:234123412346",
    "in-pan:ACUPA7085R",
    "phone:+447700900123",
    "phone:+12025550123",
];
const NAMES: [&str; 2] = ["quillfeather zephyrine", "brambleshanks thaddeus"];
const AMOUNTS_MINOR: [i64; 3] = [987_654_321_098, 135_792_468_024, 864_209_753_187];

/// What a network leaves behind.
#[derive(Debug)]
pub(super) struct Lived {
    /// Everything that is on disk.
    pub(super) dir: TempDir,
    /// Every message between nodes, after TLS is taken off.
    pub(super) capture: Arc<Capture>,
    /// The key rings of the members.
    pub(super) keys: BTreeMap<MemberId, Arc<Keyring>>,
}

pub(super) fn network_id() -> NetworkId {
    "scan-net".parse().unwrap()
}

fn usd(minor: i64) -> Money {
    Money::of(minor, "USD".parse().unwrap())
}

/// Every value that is planted.
pub(super) fn planted() -> Vec<Planted> {
    let identifiers = IDENTIFIERS.map(|text| Planted::Identifier(identifier(text)));
    let names = NAMES.map(|name| Planted::Name(name.to_owned()));
    let amounts = AMOUNTS_MINOR.map(|minor| Planted::Amount(usd(minor)));
    identifiers
        .into_iter()
        .chain(names)
        .chain(amounts)
        .collect()
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text, None).unwrap()
}

/// A loan as it stands in an import file.
fn loan(number: u8, national: &str, phone: Option<&str>, (name, minor): (&str, i64)) -> String {
    let amount = usd(minor).to_string();
    let mut row = json!({
        "kind": "loan", "record_id": format!("019c0000-0000-7000-8000-0000000000{number:02x}"),
        "version": 1, "reported_at": "2026-01-10T12:00:00Z", "as_of": "2026-01-10T12:00:00Z",
        "national_id": national, "name": name, "born": "1949-12-31", "account_ref": "NB-1",
        "product": "instalment-unsecured", "role": "sole", "state": "active",
        "signed_at": "2026-01-10T08:00:00Z", "funded_at": "2026-01-10T11:45:00Z",
        "opened_on": "2026-01-10", "maturity_on": "2026-07-10", "principal": amount,
        "outstanding": amount, "past_due": "0.00 USD", "instalment": "2100.00 USD",
        "term_days": 181, "apr_bps": 1800, "dpd": 0, "history": "........................",
        "n_on_time": 0, "n_late": 0, "n_missed": 0, "treatment": "none", "dispute": "none",
    });
    if let Some(phone) = phone {
        row["phone"] = json!(phone);
    }
    row.to_string()
}

async fn plant(network: &SimulatedNetwork) {
    let [cn, us, aadhaar, pan, phone_gb, phone_us] = IDENTIFIERS;
    let books = [
        (
            "alpha",
            loan(1, cn, Some(phone_gb), (NAMES[0], AMOUNTS_MINOR[0])),
        ),
        (
            "alpha",
            loan(2, us, Some(phone_us), (NAMES[1], AMOUNTS_MINOR[1])),
        ),
        ("beta", loan(3, aadhaar, None, (NAMES[0], AMOUNTS_MINOR[1]))),
        ("gamma", loan(4, pan, None, (NAMES[1], AMOUNTS_MINOR[0]))),
    ];
    for (name, row) in books {
        let record = jsonl::from_line(&row)
            .map_err(|reject| reject.reason)
            .unwrap();
        let desk = network.node(&member(name)).unwrap().desk().clone();
        let filed = desk.furnish(&[record]).await.unwrap();
        assert!(filed.iter().all(Result::is_ok), "{filed:?}");
    }
}

/// Every step of lending, over every identifier.
async fn lend(network: &SimulatedNetwork) {
    let desk = |name: &str| network.node(&member(name)).unwrap().desk().clone();
    for (number, national) in IDENTIFIERS.iter().take(4).enumerate() {
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(identifier(national)),
                phone: Some(identifier(IDENTIFIERS[4 + number % 2])),
                name_dob: None,
            },
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(usd(AMOUNTS_MINOR[2])),
            term_days: Some(90),
            income_month: None,
            consent_reference: format!("C-{number}"),
        };
        let lender = desk(MEMBERS[number % 3]);
        let given = lender
            .assess(&format!("a-{number}"), &wanted)
            .await
            .unwrap();
        let hold = NewHold {
            application: given.application,
            amount_minor: None,
            life: Duration::from_secs(3_600),
        };
        let held = lender.hold(&format!("h-{number}"), &hold).await.unwrap();
        let hold = held.record.head.record_id;
        let key = format!("r-{number}");
        lender.recheck(&key, given.application).await.unwrap();
        if number % 2 == 0 {
            let paid = lender.convert(&format!("c-{number}"), hold, "NB-9").await;
            let loan = paid.unwrap().record.head.record_id;
            let wrong = RetractionReason::FurnisherError;
            if number == 2 {
                lender.retract(loan, wrong).await.unwrap();
            }
        } else {
            lender.release(hold).await.unwrap();
            let withdrawn = ApplicationOutcome::Withdrawn;
            lender.close(given.application, withdrawn).await.unwrap();
        }
    }
}

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// Runs the network from its founding to its end, and backs every node up.
pub(super) async fn run_network(sealing: Sealing) -> Lived {
    let dir = tempfile::tempdir().unwrap();
    let capture = Arc::new(Capture::default());
    let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
    let parts = NodeParts {
        clock: Arc::new(PlayedClock::at(start)),
        entropy: Arc::new(OsEntropy::default()),
        sealing,
        tap: Some(capture.clone()),
    };
    let currency = "USD".parse().unwrap();
    let mut network = SimulatedNetwork::found(dir.path(), network_id(), currency, parts).unwrap();
    network.join_lenders(&MEMBERS).await.unwrap();
    let mut keys = BTreeMap::new();
    for name in MEMBERS {
        network.start(&member(name)).await.unwrap();
        let node = network.node(&member(name)).unwrap();
        let keyring = Arc::clone(node.core().home.vault.keys());
        keys.insert(member(name), keyring);
    }
    network.mirrored().await.unwrap();
    plant(&network).await;
    network.mirrored().await.unwrap();
    lend(&network).await;
    network.mirrored().await.unwrap();
    network.stop_all().await.unwrap();
    for name in MEMBERS {
        let folder = network.folder_of(&member(name)).unwrap();
        let file = dir.path().join(format!("{name}.backup"));
        folder.backup(&file, start).await.expect("a backup");
    }
    Lived { dir, capture, keys }
}
