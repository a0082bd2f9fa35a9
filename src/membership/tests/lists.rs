//! Member lists and network roots that must be refused, each named for its one defect.

use std::sync::LazyLock;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::crypto::{IdentityKey, Secret};
use crate::domain::{Currency, Role, Timestamp};
use crate::env::SeededEntropy;
use crate::limits::LIST_BYTES_MAX;
use crate::membership::*;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

fn mint(network: &str) -> MintedNetwork {
    let seat = |id: &str, role| Seat::of(&id.parse().unwrap(), role, "127.0.0.1:7420").unwrap();
    let seats = [
        seat("bank-a", Role::Lender),
        seat("bureau-b", Role::Bureau),
        seat("watcher", Role::Regulator),
    ];
    let entropy = SeededEntropy::from_seed(7);
    let usd = Currency::from_code("USD").unwrap();
    MintedNetwork::mint(&network.parse().unwrap(), usd, &seats, now(), &entropy).unwrap()
}

static NET: LazyLock<MintedNetwork> = LazyLock::new(|| mint("credit-net"));

/// The document of the list in force (version 2, three members), as JSON to be spoilt.
fn document() -> Value {
    serde_json::to_value(NET.roster.list()).unwrap()
}

fn administrators() -> Vec<IdentityKey> {
    let seeds = NET.administrator_seeds.iter();
    seeds.map(IdentityKey::from_seed).collect()
}

/// A document that parses, signed by the first `signers` administrators.
fn signed(document: &Value, signers: usize) -> Value {
    let list: MemberList = serde_json::from_value(document.clone()).unwrap();
    let mut signed = Signed::unsigned(list);
    for key in administrators().iter().take(signers) {
        signed.sign(key).unwrap();
    }
    serde_json::to_value(signed).unwrap()
}

/// A list whose one defect is a field's value, properly signed.
fn with(pointer: &str, value: Value) -> String {
    let mut document = document();
    *document.pointer_mut(pointer).unwrap() = value;
    signed(&document, 2).to_string()
}

/// A list whose defect is in the text itself; its signatures are of the sound document.
fn spoilt(change: impl FnOnce(&mut Value)) -> String {
    let mut envelope = signed(&document(), 2);
    change(&mut envelope);
    envelope.to_string()
}

fn refused(text: &str) -> ListError {
    Roster::verify(&NET.root, text, now()).unwrap_err()
}

fn is_malformed(error: &ListError, part: &str) -> bool {
    if let ListError::Document(DocumentError::Malformed { reason }) = error {
        return reason.contains(part);
    }
    false
}

fn rule_of(error: &ListError) -> &'static str {
    match error {
        ListError::Invalid { rule } | ListError::InvalidMember { rule, .. } => rule,
        ListError::Document(_)
        | ListError::OtherNetwork { .. }
        | ListError::IssuedInFuture { .. }
        | ListError::Expired { .. }
        | ListError::RolledBack { .. }
        | ListError::Forked { .. }
        | ListError::WrongPrevious { .. }
        | ListError::NewerRoot { .. }
        | ListError::OlderRoot { .. }
        | ListError::IssuedBackwards { .. } => panic!("{error:?}"),
    }
}

#[test]
fn the_sound_list_is_accepted() {
    let text = signed(&document(), 2).to_string();
    let roster = Roster::verify(&NET.root, &text, now()).unwrap();
    assert_eq!(roster.digest(), NET.roster.digest());
    assert_eq!(roster.peers_of(&"bank-a".parse().unwrap()).count(), 1);
}

#[test]
fn lists_that_are_not_strict_json_are_refused() {
    let good = signed(&document(), 2).to_string();
    let twice = good.replacen("\"version\":2", "\"version\":2,\"version\":2", 1);
    let without_end = spoilt(|list| {
        let document = list["document"].as_object_mut().unwrap();
        document.remove("expires_at");
    });
    let short_signature = spoilt(|list| list["signatures"][0]["signature"] = json!("00"));
    let more = spoilt(|list| list["more"] = json!(1));
    let cases = [
        ("empty", String::new(), "not JSON"),
        ("not JSON", "hello".to_owned(), "not JSON"),
        ("an array", "[]".to_owned(), "not JSON"),
        ("truncated", good[..good.len() / 2].to_owned(), "EOF"),
        ("trailing text", format!("{good}x"), "trailing"),
        ("a field twice", twice, "duplicate field"),
        ("missing field", without_end, "missing field"),
        ("unknown envelope field", more, "unknown field"),
        ("short signature", short_signature, "128 lower-case"),
    ];
    for (defect, text, part) in cases {
        let error = refused(&text);
        assert!(is_malformed(&error, part), "{defect}: {error:?}");
    }
}

#[test]
fn lists_with_a_field_that_cannot_be_read_are_refused() {
    let capitals = json!("AA".repeat(32));
    let cases = [
        ("comment", json!("hi"), "unknown field"),
        ("version", json!("2"), "invalid type"),
        ("version", json!(-1), "invalid value"),
        ("version", json!(2.5), "invalid type"),
        ("issued_at", json!("2026-03-01"), "not a date"),
        ("network", json!("Credit Net"), "a network id must"),
        ("previous", json!("00"), "64 lower-case"),
    ];
    for (field, value, part) in cases {
        let error = refused(&spoilt(|list| list["document"][field] = value));
        assert!(is_malformed(&error, part), "{field}: {error:?}");
    }
    let cases = [
        ("admin", json!(true), "unknown field"),
        ("id", json!("Bank-A"), "a member id must"),
        ("role", json!("broker"), "this word is not known"),
        ("state", json!("asleep"), "unknown variant"),
        ("level", json!("gold"), "this word is not known"),
        ("purposes", json!(["leisure"]), "this word is not known"),
        (
            "purposes",
            json!(["marketing"]),
            "marketing is never a purpose",
        ),
        (
            "purposes",
            json!(["employment"]),
            "employment is never a purpose",
        ),
        (
            "purposes",
            json!(["PreScreening"]),
            "pre-screening is never a",
        ),
        ("identity_key", capitals, "64 lower-case"),
        ("identity_key", json!("aa"), "64 lower-case"),
        ("endpoints", json!("a:1"), "invalid type"),
    ];
    for (field, value, part) in cases {
        let error = refused(&spoilt(|list| {
            list["document"]["members"][0][field] = value;
        }));
        assert!(is_malformed(&error, part), "{field}: {error:?}");
    }
}

#[test]
fn lists_of_the_wrong_size_kind_or_network_are_refused() {
    let good = signed(&document(), 2).to_string();
    let padded = format!("{good}{}", " ".repeat(LIST_BYTES_MAX));
    assert!(matches!(
        refused(&padded),
        ListError::Document(DocumentError::TooLarge { .. })
    ));
    for format in ["creditmesh/network-root/1", "creditmesh/member-list/2", ""] {
        let other = spoilt(|list| list["document"]["format"] = json!(format));
        assert_eq!(
            refused(&other),
            ListError::Document(DocumentError::WrongFormat {
                wanted: "creditmesh/member-list/1"
            })
        );
    }
    let foreign = mint("other-net").roster.signed().to_text().unwrap();
    assert!(matches!(refused(&foreign), ListError::OtherNetwork { .. }));
}

#[test]
fn lists_that_administrators_did_not_sign_are_refused() {
    let under = |valid| ListError::Document(DocumentError::UnderSigned { valid, needed: 2 });
    assert_eq!(refused(&signed(&document(), 0).to_string()), under(0));
    assert_eq!(refused(&signed(&document(), 1).to_string()), under(1));

    let mut strangers = Signed::unsigned(NET.roster.list().clone());
    for seed in [1, 2, 3] {
        let key = IdentityKey::from_seed(&Secret::from_bytes([seed; 32]));
        strangers.sign(&key).unwrap();
    }
    assert_eq!(refused(&strangers.to_text().unwrap()), under(0));

    let a_member_signs = {
        let mut signed = Signed::unsigned(NET.roster.list().clone());
        for member in NET.members.values() {
            signed.sign(&member.identity).unwrap();
        }
        signed.to_text().unwrap()
    };
    assert_eq!(refused(&a_member_signs), under(0));

    let twice = spoilt(|list| list["signatures"][1] = list["signatures"][0].clone());
    assert!(matches!(
        refused(&twice),
        ListError::Document(DocumentError::SignedTwice { .. })
    ));
    let crowd = spoilt(|list| {
        let one = list["signatures"][0].clone();
        list["signatures"] = Value::Array(vec![one; 33]);
    });
    assert_eq!(
        refused(&crowd),
        ListError::Document(DocumentError::TooManySignatures { count: 33 })
    );
}

#[test]
fn lists_that_were_altered_after_signing_are_refused() {
    let forged = |text: &str| {
        let error = refused(text);
        let is_forged = matches!(
            error,
            ListError::Document(DocumentError::ForgedSignature { .. })
        );
        assert!(is_forged, "{error:?}");
    };
    forged(&spoilt(|list| {
        list["document"]["members"][0]["quota_elements_per_epoch"] = json!(9_999_999);
    }));
    forged(&spoilt(|list| {
        list["document"]["members"][2]["state"] = json!("removed");
    }));
    forged(&spoilt(|list| {
        list["document"]["expires_at"] = json!("2027-01-01T00:00:00Z");
    }));
    forged(&spoilt(|list| {
        list["document"]["members"].as_array_mut().unwrap().pop();
    }));
    forged(&spoilt(|list| {
        let bad = list["signatures"][0]["signature"].as_str().unwrap();
        let mut bytes = HEXLOWER.decode(bad.as_bytes()).unwrap();
        bytes[63] ^= 1;
        list["signatures"][0]["signature"] = json!(HEXLOWER.encode(&bytes));
    }));
    // Signatures of another version, replayed.
    let mut older = document();
    older["version"] = json!(1);
    older.as_object_mut().unwrap().remove("previous");
    let signatures = signed(&older, 2)["signatures"].clone();
    forged(&spoilt(|list| list["signatures"] = signatures));
    // Signatures swapped between two administrators.
    forged(&spoilt(|list| {
        let first = list["signatures"][0]["signature"].clone();
        list["signatures"][0]["signature"] = list["signatures"][1]["signature"].clone();
        list["signatures"][1]["signature"] = first;
    }));
}

#[test]
fn lists_that_break_a_rule_are_refused_even_when_signed() {
    let endpoints: Vec<String> = (1..=9).map(|port| format!("a:{port}")).collect();
    let late = now().plus(DAY * 500).to_string();
    let same_key = document()["members"][1]["identity_key"].clone();
    let cases = [
        (with("/version", json!(0)), "version must be 1 or more"),
        (
            with("/version", json!(1)),
            "version 1 has no version before",
        ),
        (
            with("/expires_at", json!("2026-02-01T00:00:00Z")),
            "expire after it was issued",
        ),
        (with("/expires_at", json!(late)), "within 400 days"),
        (
            with("/members/0/id", json!("bureau-b")),
            "this id stands twice",
        ),
        (
            with("/members/0/identity_key", same_key),
            "the same identity key",
        ),
        (with("/members/0/weight", json!(0)), "power of two"),
        (with("/members/0/weight", json!(3)), "power of two"),
        (with("/members/0/weight", json!(2_097_152)), "power of two"),
        (with("/members/2/weight", json!(1)), "0 for a regulator"),
        (with("/members/0/endpoints", json!([])), "needs an endpoint"),
        (
            with("/members/0/endpoints", json!(["https://a"])),
            "host:port",
        ),
        (
            with("/members/0/endpoints", json!(endpoints)),
            "more than 8",
        ),
        (
            with("/members/0/purposes", json!(["collection", "collection"])),
            "a purpose stands twice",
        ),
    ];
    for (text, part) in cases {
        let error = refused(&text);
        assert!(rule_of(&error).contains(part), "{part}: {error:?}");
    }
    let mut orphan = document();
    orphan.as_object_mut().unwrap().remove("previous");
    let error = refused(&signed(&orphan, 2).to_string());
    assert!(
        rule_of(&error).contains("digest of the version before"),
        "{error:?}"
    );

    let mut contact = document();
    contact["members"][0]["dispute"] = json!("line\nbreak");
    let error = refused(&signed(&contact, 2).to_string());
    assert!(rule_of(&error).contains("dispute contact"), "{error:?}");

    let mut crowd = document();
    let one = crowd["members"][2].clone();
    crowd["members"] = Value::Array(vec![one; 2_049]);
    let error = refused(&signed(&crowd, 2).to_string());
    assert!(rule_of(&error).contains("2,048"), "{error:?}");
}

#[test]
fn lists_from_the_future_and_expired_ones_are_refused() {
    let text = signed(&document(), 2).to_string();
    let verify_at = |at| Roster::verify(&NET.root, &text, at);
    assert!(matches!(
        verify_at(now().minus(DAY)),
        Err(ListError::IssuedInFuture { .. })
    ));
    assert!(
        verify_at(now().minus(Duration::from_secs(60))).is_ok(),
        "clocks differ a little"
    );
    let end = NET.roster.expires_at();
    assert_eq!(
        verify_at(end).err(),
        Some(ListError::Expired {
            version: 2,
            since: end
        })
    );
    assert!(Roster::verify_kept(&NET.root, &text, end).is_ok());
}

#[test]
fn rolled_back_forked_and_unlinked_lists_do_not_supersede() {
    let roster = |document: &Value| {
        let text = signed(document, 2).to_string();
        Roster::verify(&NET.root, &text, now()).unwrap()
    };
    let held = roster(&document());
    assert_eq!(held.supersedes(&NET.roster), Ok(Supersession::Same));

    let mut first = document();
    first["version"] = json!(1);
    first.as_object_mut().unwrap().remove("previous");
    assert_eq!(
        roster(&first).supersedes(&held).unwrap_err(),
        ListError::RolledBack {
            held: 2,
            offered: 1
        }
    );
    let mut fork = document();
    fork["members"][0]["state"] = json!("suspended");
    assert_eq!(
        roster(&fork).supersedes(&held).unwrap_err(),
        ListError::Forked { version: 2 }
    );
    let mut next = document();
    next["version"] = json!(3);
    assert_eq!(
        roster(&next).supersedes(&held).unwrap_err(),
        ListError::WrongPrevious { version: 3 }
    );
    next["previous"] = json!(HEXLOWER.encode(held.digest()));
    assert_eq!(roster(&next).supersedes(&held), Ok(Supersession::Newer));
    next["issued_at"] = json!("2026-02-28T00:00:00Z");
    assert_eq!(
        roster(&next).supersedes(&held).unwrap_err(),
        ListError::IssuedBackwards { version: 3 }
    );
    // A node that missed versions cannot check the link, and takes the newest.
    let mut later = document();
    later["version"] = json!(9);
    assert_eq!(roster(&later).supersedes(&held), Ok(Supersession::Newer));
}

fn root_with(pointer: &str, value: Value) -> Result<NetworkRoot, RootError> {
    let mut document = serde_json::to_value(NET.root.document()).unwrap();
    *document.pointer_mut(pointer).unwrap() = value;
    let mut signed = Signed::unsigned(serde_json::from_value::<RootDocument>(document).unwrap());
    for key in &administrators() {
        signed.sign(key).unwrap();
    }
    NetworkRoot::verify(&signed.to_text().unwrap(), now())
}

#[test]
fn network_roots_with_a_defect_are_refused() {
    let admin = json!({"name": "chair", "key": "11".repeat(32)});
    let cases = [
        ("/version", json!(0), "version must be 1"),
        ("/network", json!("2026"), "must contain a letter"),
        (
            "/expires_at",
            json!("2026-01-01T00:00:00Z"),
            "expire after it was issued",
        ),
        ("/administrators", json!([]), "1 to 16 administrators"),
        ("/administrators/1", admin, "one name"),
        ("/threshold", json!(0), "threshold"),
        ("/threshold", json!(4), "threshold"),
        ("/authorities", json!([]), "1 to 4 root certificates"),
        ("/epoch_days", json!(0), "1 to 366 days"),
        ("/overlap_days", json!(30), "shorter than a key epoch"),
        (
            "/identifier_classes",
            json!(["phone", "phone"]),
            "each class of identifiers once",
        ),
        (
            "/exposure_band_edges_minor",
            json!([3, 2]),
            "growing amounts",
        ),
        (
            "/exposure_band_edges_minor",
            json!([0, 2]),
            "growing amounts",
        ),
        ("/population", json!(0), "population"),
    ];
    for (pointer, value, part) in cases {
        match root_with(pointer, value) {
            Err(RootError::Invalid { rule }) => assert!(rule.contains(part), "{rule}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    assert_eq!(
        root_with("/authorities/0", json!("no pem")).err(),
        Some(RootError::Authority)
    );
    let text = NET.root.signed().to_text().unwrap();
    assert!(matches!(
        NetworkRoot::verify(&text, now().minus(DAY)),
        Err(RootError::IssuedInFuture { .. })
    ));
    assert!(matches!(
        NetworkRoot::verify(&text, now().plus(DAY * 3_650)),
        Err(RootError::Expired { .. })
    ));
    let mut unsigned = serde_json::to_value(NET.root.signed()).unwrap();
    unsigned["signatures"].as_array_mut().unwrap().truncate(1);
    assert!(matches!(
        NetworkRoot::verify(&unsigned.to_string(), now()),
        Err(RootError::Document(DocumentError::UnderSigned { .. }))
    ));
}

#[test]
fn a_root_with_another_fingerprint_is_refused() {
    let other = mint("credit-net");
    let mut fingerprint = *other.root.fingerprint();
    fingerprint[0] ^= 1;
    assert!(other.root.clone().pinned(other.root.fingerprint()).is_ok());
    assert!(matches!(
        other.root.pinned(&fingerprint),
        Err(RootError::OtherFingerprint { .. })
    ));
    assert_eq!(NET.root.fingerprint_text().split(' ').count(), 16);
}
