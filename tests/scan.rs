//! The byte scan: what stands in members' books lies in the clear on no disk and in no message.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "scan/planting.rs"]
mod planting;

use std::collections::BTreeSet;

use creditmesh::crypto::Keyring;
use creditmesh::node::Sealing;
use creditmesh::workload::{Planted, Scan, Scanner, ValueClass};

use planting::{Lived, network_id, planted, run_network};

fn report(scan: &Scan) -> String {
    let hits = scan.hits.iter().take(20);
    hits.map(|hit| format!("{hit:?}\n")).collect()
}

/// The planted values found as something of this class.
fn found(scan: &Scan, class: ValueClass) -> BTreeSet<usize> {
    let hits = scan.hits.iter().filter(|hit| hit.origin.class == class);
    hits.map(|hit| hit.origin.value).collect()
}

fn values(wanted: impl Fn(&Planted) -> bool) -> BTreeSet<usize> {
    let all = planted();
    let numbered = all.iter().enumerate().filter(|(_, one)| wanted(one));
    numbered.map(|(value, _)| value).collect()
}

fn is_identifier(planted: &Planted) -> bool {
    matches!(planted, Planted::Identifier(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_planted_lies_on_disk_or_passes_between_nodes_in_the_clear() {
    let Lived { dir, capture, keys } = run_network(Sealing::On).await;
    let scanner = Scanner::new(&planted(), &network_id()).unwrap();

    let disk = scanner.tree(dir.path()).unwrap();
    assert!(disk.places > 20 && disk.bytes > 100_000, "{}", disk.bytes);
    assert!(disk.hits.is_empty(), "{}", report(&disk));

    let messages = capture.scan(&scanner);
    assert!(messages.places > 10, "{}", messages.places);
    for path in ["Describe", "Evaluate", "StreamFeed"] {
        let heard = capture.heard(format!("creditmesh.v1.Peer/{path}").as_bytes());
        assert!(heard, "no {path} was heard, so there was nothing to find");
    }
    assert!(messages.hits.is_empty(), "{}", report(&messages));

    // A node names its rows by hashes under its own secret key: in its own store, nowhere else.
    for (member, keys) in &keys {
        let scanner = Scanner::for_keyed_hashes(&planted(), keys).unwrap();
        let messages = capture.scan(&scanner);
        assert!(messages.hits.is_empty(), "{}", report(&messages));
        let disk = scanner.tree(dir.path()).unwrap();
        let own = dir.path().join(member.as_str());
        let own_backup = dir.path().join(format!("{member}.backup"));
        for hit in &disk.hits {
            let inside = [&own, &own_backup]
                .iter()
                .any(|place| hit.place.starts_with(&*place.to_string_lossy()));
            assert!(inside, "{hit:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sealing_switched_off_the_same_scanner_finds_every_planted_value() {
    let Lived { dir, .. } = run_network(Sealing::OffForScannerTest).await;
    let scanner = Scanner::new(&planted(), &network_id()).unwrap();
    let disk = scanner.tree(dir.path()).unwrap();
    assert_eq!(
        found(&disk, ValueClass::Identifier),
        values(is_identifier),
        "identifiers"
    );
    assert_eq!(
        found(&disk, ValueClass::Name),
        values(|one| matches!(one, Planted::Name(_))),
        "names"
    );
    assert_eq!(
        found(&disk, ValueClass::Amount),
        values(|one| matches!(one, Planted::Amount(_))),
        "amounts"
    );
    // Without a key a row's name is a plain hash, and so both kinds of hash are there to be found.
    assert_eq!(
        found(&disk, ValueClass::Hash),
        values(is_identifier),
        "plain hashes"
    );
    let unsealed = Keyring::without_sealing_for_scanner_tests();
    let scanner = Scanner::for_keyed_hashes(&planted(), &unsealed).unwrap();
    let disk = scanner.tree(dir.path()).unwrap();
    assert_eq!(
        found(&disk, ValueClass::KeyedHash),
        values(is_identifier),
        "store keys"
    );
}

#[test]
fn scanner_seeks_values_and_their_hashes_in_every_encoding() {
    let scanner = Scanner::new(&planted(), &network_id()).unwrap();
    let forms: BTreeSet<&str> = scanner.origins().iter().map(|one| &*one.form).collect();
    for form in [
        "canonical text raw",
        "value text hex",
        "bare text base64",
        "minor units text raw",
        "decimal text raw",
        "u64 big-endian raw",
        "u64 little-endian hex",
        "varint raw",
        "canonical sha-256 beginning raw",
        "value sha-256 beginning hex",
        "canonical hmac-sha-256 under network id beginning base64",
        "canonical element before blinding end raw",
        "name text raw",
        "name utf-16le raw",
    ] {
        assert!(forms.contains(form), "{form}");
    }
}
