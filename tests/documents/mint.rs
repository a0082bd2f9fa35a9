//! Mints the files anew. Run it only where a format changes: `cargo nextest run --test documents
//! --run-ignored only`.

use std::time::Duration;

use creditmesh::crypto::{IdentityKey, Secret};
use creditmesh::domain::{Currency, NetworkId, Role, Timestamp};
use creditmesh::env::SeededEntropy;
use creditmesh::membership::{
    Departure, Document, Founding, FreshnessStatement, Issuance, Member, MemberList, MintedNetwork,
    NetworkRoot, Profiles, RootAuthority, RootDocument, Roster, Seat, Signed, state_freshness,
};
use serde_json::{Value, json};

use super::{folder, now};

const DAY: Duration = Duration::from_secs(86_400);

fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&Secret::from_bytes([seed; 32]))
}

/// The three administrators.
fn administrators() -> [IdentityKey; 3] {
    [key(1), key(2), key(3)]
}

fn online() -> IdentityKey {
    key(8)
}

fn write(name: &str, text: &str) {
    std::fs::write(folder().join(format!("{name}.json")), text).unwrap();
}

fn signed<T: Document>(document: &Value, keys: &[IdentityKey]) -> Value {
    let document: T = serde_json::from_value(document.clone()).unwrap();
    let mut signed = Signed::unsigned(document);
    for key in keys {
        signed.sign(key).unwrap();
    }
    serde_json::to_value(signed).unwrap()
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

/// Writes documents of one kind, each like a sound one but for its defect.
struct Mint<T> {
    sound: Value,
    keys: Vec<IdentityKey>,
    kind: std::marker::PhantomData<T>,
}

impl<T: Document> Mint<T> {
    fn of(sound: &T, keys: Vec<IdentityKey>) -> Self {
        Self {
            sound: serde_json::to_value(sound).unwrap(),
            keys,
            kind: std::marker::PhantomData,
        }
    }

    /// Properly signed, with some fields changed.
    fn with(&self, name: &str, fields: &[(&str, Value)]) {
        self.signed_by(name, fields, &self.keys);
    }

    fn signed_by(&self, name: &str, fields: &[(&str, Value)], keys: &[IdentityKey]) {
        let mut document = self.sound.clone();
        for (pointer, value) in fields {
            set(&mut document, pointer, value.clone());
        }
        write(name, &pretty(&signed::<T>(&document, keys)));
    }

    /// Changed in its file, after it was signed.
    fn spoilt(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut whole = signed::<T>(&self.sound, &self.keys);
        change(&mut whole);
        write(name, &pretty(&whole));
    }

    fn spoilt_signature(&self, name: &str) {
        self.spoilt(name, |whole| {
            let other = whole.pointer("/signatures/1/signature").unwrap().clone();
            *whole.pointer_mut("/signatures/0/signature").unwrap() = other;
        });
    }

    fn signed_twice(&self, name: &str) {
        self.spoilt(name, |whole| {
            let first = whole.pointer("/signatures/0").unwrap().clone();
            *whole.pointer_mut("/signatures/1").unwrap() = first;
        });
    }
}

/// Sets a field, which need not be there; null takes it away.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        Value::Object(fields) if value.is_null() => {
            fields.remove(name);
        }
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{pointer}"),
    }
}

fn hours(by: i64) -> Value {
    json!(Timestamp::from_unix_ms(now().unix_ms() + by * 3_600_000).to_string())
}

fn seconds(by: i64) -> Value {
    json!(Timestamp::from_unix_ms(now().unix_ms() + by * 1_000).to_string())
}

fn founded(network: &str) -> NetworkRoot {
    let network: NetworkId = network.parse().unwrap();
    let (profiles, entropy) = (Profiles::embedded().unwrap(), SeededEntropy::from_seed(3));
    let issuance = Issuance {
        profile: &profiles.root,
        now: now(),
        entropy: &entropy,
    };
    let authority = RootAuthority::found(&network, &issuance).unwrap();
    let founding = Founding {
        network,
        administrators: ["chair", "secretary", "auditor"]
            .into_iter()
            .zip(administrators())
            .map(|(name, key)| creditmesh::membership::Administrator {
                name: name.to_owned(),
                key: key.public(),
            })
            .collect(),
        threshold: 2,
        authority_pem: authority.certificate_pem().to_owned(),
        freshness_keys: vec![online().public()],
        currency: Currency::from_code("USD").unwrap(),
        population: 100_000_000,
    };
    let at = now().minus(DAY);
    let mut root = Signed::unsigned(RootDocument::found(founding, at));
    for key in administrators() {
        root.sign(&key).unwrap();
    }
    NetworkRoot::from_signed(root, now()).unwrap()
}

fn following(root: &NetworkRoot) -> RootDocument {
    RootDocument::following(root, now().minus(DAY / 2))
}

fn succeeding(root: &NetworkRoot) -> NetworkRoot {
    let mut next = Signed::unsigned(following(root));
    for key in administrators() {
        next.sign(&key).unwrap();
    }
    NetworkRoot::succeed(root, &next.to_text().unwrap(), now()).unwrap()
}

fn text_of(root: &NetworkRoot) -> String {
    root.signed().to_text().unwrap()
}

#[test]
#[ignore = "it writes the files anew"]
fn mint_every_file() {
    let root = founded("credit-net");
    let root_2 = succeeding(&root);
    write("sound-root-1", &text_of(&root));
    write("sound-root-2", &text_of(&root_2));
    roots(&root, &root_2);
    lists(&root);
}

fn roots(root: &NetworkRoot, root_2: &NetworkRoot) {
    write("root-rolled-back", &text_of(root));
    write("root-the-one-in-force", &text_of(root));
    write("root-skips-a-version", &text_of(&succeeding(root_2)));
    write(
        "root-of-another-network",
        &text_of(&succeeding(&founded("other-net"))),
    );
    let mint = Mint::of(&following(root), administrators().into());
    mint.with(
        "root-forked",
        &[("/version", json!(1)), ("/previous", Value::Null)],
    );
    mint.with(
        "root-wrongly-linked",
        &[("/previous", json!("ab".repeat(32)))],
    );
    mint.with("root-not-linked", &[("/previous", Value::Null)]);
    mint.with("root-issued-backwards", &[("/issued_at", hours(-30))]);
    mint.with("root-expired", &[("/expires_at", hours(-1))]);
    mint.with("root-issued-in-the-future", &[("/issued_at", hours(1))]);
    let strangers: Vec<Value> = (4_u8..7)
        .map(|seed| json!({ "name": format!("new-{seed}"), "key": hex(&key(seed)) }))
        .collect();
    let theirs = ("/administrators", Value::from(strangers));
    let own = [key(4), key(5), key(6)];
    mint.signed_by(
        "root-signed-by-its-own-only",
        std::slice::from_ref(&theirs),
        &own,
    );
    mint.signed_by("root-under-signed-by-the-old", &[], &[key(1)]);
    mint.signed_by("root-not-signed", &[], &[]);
    let old_and_one = [key(1), key(2), key(4)];
    mint.signed_by("root-under-signed-by-its-own", &[theirs], &old_and_one);
    mint.spoilt_signature("root-with-a-forged-signature");
    mint.signed_twice("root-signed-twice-by-one");
    mint.spoilt("root-altered-after-signing", |whole| {
        set(whole, "/document/threshold", json!(1));
    });
    mint.spoilt("root-with-an-unknown-field", |whole| {
        set(whole, "/document/extra", json!(1));
    });
    mint.with(
        "root-of-another-format",
        &[("/format", json!("creditmesh/network-root/2"))],
    );
    terms(&mint);
    government(&mint, root);
}

fn government(mint: &Mint<RootDocument>, root: &NetworkRoot) {
    mint.with("root-with-threshold-zero", &[("/threshold", json!(0))]);
    mint.with(
        "root-with-threshold-four-of-three",
        &[("/threshold", json!(4))],
    );
    mint.with(
        "root-with-one-key-twice",
        &[("/administrators/1/key", json!(hex(&key(1))))],
    );
    mint.with(
        "root-with-an-administrator-online",
        &[("/freshness_keys/0", json!(hex(&key(1))))],
    );
    mint.with(
        "root-without-root-certificate",
        &[("/authorities", json!([]))],
    );
    mint.with(
        "root-with-a-broken-certificate",
        &[("/authorities/0", json!("no certificate"))],
    );
    let all: Vec<Value> = root
        .authority_digests_except("")
        .iter()
        .map(|digest| json!(data_encoding::HEXLOWER.encode(digest)))
        .collect();
    mint.with("root-that-taints-all", &[("/tainted", Value::from(all))]);
    mint.with(
        "root-that-taints-a-stranger",
        &[("/tainted", json!(["cd".repeat(32)]))],
    );
}

fn terms(mint: &Mint<RootDocument>) {
    mint.with("root-with-another-genesis", &[("/genesis_at", hours(-48))]);
    mint.with("root-with-longer-epochs", &[("/epoch_days", json!(31))]);
    mint.with("root-with-another-overlap", &[("/overlap_days", json!(6))]);
    mint.with(
        "root-with-other-identifiers",
        &[("/identifier_classes", json!(["national"]))],
    );
    mint.with("root-with-another-currency", &[("/currency", json!("CNY"))]);
    mint.with(
        "root-with-other-bands",
        &[("/exposure_band_edges_minor/0", json!(1))],
    );
    mint.with("root-with-another-population", &[("/population", json!(7))]);
}

fn hex(key: &IdentityKey) -> String {
    data_encoding::HEXLOWER.encode(&key.public())
}

/// Members as a network really admitted them.
fn members() -> Vec<Member> {
    minted().roster.list().members.clone()
}

fn minted() -> MintedNetwork {
    let seat = |id: &str| Seat::of(&id.parse().unwrap(), Role::Lender, "127.0.0.1:7420").unwrap();
    let seats = [seat("bank-a"), seat("bank-b")];
    let usd = Currency::from_code("USD").unwrap();
    let entropy = SeededEntropy::from_seed(7);
    let network = "credit-net".parse().unwrap();
    MintedNetwork::mint(&network, usd, &seats, now(), &entropy).unwrap()
}

fn roster(root: &NetworkRoot, list: MemberList) -> Roster {
    let mut list = Signed::unsigned(list);
    for key in administrators() {
        list.sign(&key).unwrap();
    }
    Roster::verify_kept(root, &list.to_text().unwrap(), now()).unwrap()
}

fn lists(root: &NetworkRoot) {
    let (before, life) = (now().minus(DAY / 4), DAY * 90);
    let first = roster(
        root,
        MemberList::first(root.network(), now().minus(DAY / 3), life),
    );
    let mut second = MemberList::following(&first, before, life);
    second.members = members();
    let held = roster(root, second.clone());
    let third = MemberList::following(&held, now(), life);
    let text = |roster: &Roster| roster.signed().to_text().unwrap();
    write("sound-list-2", &text(&held));
    write("list-rolled-back", &text(&first));
    let forked = Mint::of(&second, administrators().into());
    forked.with("list-forked", &[("/members/0/state", json!("suspended"))]);
    forked.with("sound-list-2-under-root-2", &[("/root_version", json!(2))]);
    let mint = Mint::of(&third, administrators().into());
    mint.with("sound-list-3", &[]);
    mint.with(
        "list-wrongly-linked",
        &[("/previous", json!("ab".repeat(32)))],
    );
    mint.with("list-not-linked", &[("/previous", Value::Null)]);
    mint.signed_by("list-under-signed", &[], &[key(1)]);
    mint.signed_by("list-signed-by-strangers", &[], &[key(4), key(5), key(6)]);
    mint.signed_by("list-signed-with-the-online-key", &[], &[key(1), online()]);
    mint.signed_twice("list-signed-twice-by-one");
    mint.spoilt_signature("list-with-a-forged-signature");
    mint.spoilt("list-altered-after-signing", |whole| {
        set(
            whole,
            "/document/members/0/quota_elements_per_epoch",
            json!(9_000_000_u32),
        );
    });
    mint.with(
        "list-of-another-network",
        &[("/network", json!("other-net"))],
    );
    mint.with(
        "list-expired",
        &[("/issued_at", hours(-5)), ("/expires_at", hours(-1))],
    );
    mint.with("list-issued-in-the-future", &[("/issued_at", hours(1))]);
    mint.with("list-issued-backwards", &[("/issued_at", hours(-10))]);
    mint.with(
        "list-that-lives-too-long",
        &[("/expires_at", hours(401 * 24))],
    );
    let one = mint
        .sound
        .pointer("/members/0/identity_key")
        .unwrap()
        .clone();
    mint.with(
        "list-with-one-key-twice",
        &[("/members/1/identity_key", one)],
    );
    mint.with("list-under-a-newer-root", &[("/root_version", json!(2))]);
    // It follows the list under root 2, and says nothing of that root.
    let root_2 = succeeding(root);
    second.root_version = 2;
    let mut after = MemberList::following(&roster(&root_2, second), now(), life);
    after.root_version = 1;
    Mint::of(&after, administrators().into()).with("list-under-an-older-root", &[]);
    freshness(root, &held);
}

fn freshness(root: &NetworkRoot, held: &Roster) {
    let at = now().minus(Duration::from_secs(60));
    write(
        "sound-freshness-held",
        &state_freshness(root, held, &online(), at).unwrap(),
    );
    let next = state_freshness(root, held, &online(), now()).unwrap();
    write("sound-freshness-next", &next);
    let next = Signed::<FreshnessStatement>::parse(&next).unwrap();
    let mint = Mint::of(next.document(), vec![online()]);
    let administrators = administrators();
    mint.signed_by("freshness-signed-by-administrators", &[], &administrators);
    mint.spoilt("freshness-with-a-forged-signature", |whole| {
        set(whole, "/signatures/0/signature", json!("cd".repeat(64)));
    });
    mint.spoilt("freshness-altered-after-signing", |whole| {
        set(whole, "/document/expires_at", seconds(590));
    });
    mint.with(
        "freshness-of-another-network",
        &[("/network", json!("other-net"))],
    );
    mint.with(
        "freshness-under-a-newer-root",
        &[("/root_version", json!(2))],
    );
    mint.with("freshness-under-an-older-root", &[]);
    mint.with(
        "freshness-that-lives-too-long",
        &[("/expires_at", seconds(601))],
    );
    mint.with(
        "freshness-that-ends-before-it-begins",
        &[("/expires_at", seconds(-1))],
    );
    let later = [("/issued_at", seconds(301)), ("/expires_at", seconds(400))];
    mint.with("freshness-issued-in-the-future", &later);
    let ended = [("/issued_at", seconds(-600)), ("/expires_at", seconds(0))];
    mint.with("freshness-expired", &ended);
    mint.with("freshness-of-a-newer-list", &[("/list_version", json!(3))]);
    mint.with("freshness-of-an-older-list", &[("/list_version", json!(1))]);
    mint.with(
        "freshness-of-another-list",
        &[("/list_digest", json!("ab".repeat(32)))],
    );
    let older = [("/issued_at", seconds(-120)), ("/expires_at", seconds(480))];
    mint.with("freshness-rolled-back", &older);
}

#[test]
#[ignore = "it writes the files anew"]
fn mint_departures() {
    let minted = minted();
    let own = |id: &str| &minted.members[&id.parse().unwrap()].identity_seed;
    let identity = |id: &str| IdentityKey::from_seed(&Secret::from_bytes(*own(id).expose()));
    let (alpha, beta) = (identity("bank-a"), identity("bank-b"));
    let departure = Departure {
        format: Departure::FORMAT.to_owned(),
        network: "credit-net".parse().unwrap(),
        member: "bank-a".parse().unwrap(),
        identity_key: alpha.public(),
        list_version: 2,
        made_at: now(),
    };
    let mint = Mint::of(&departure, vec![alpha]);
    mint.with("sound-departure", &[]);
    mint.spoilt("departure-with-a-forged-signature", |whole| {
        set(whole, "/signatures/0/signature", json!("cd".repeat(64)));
    });
    mint.spoilt("departure-altered-after-signing", |whole| {
        set(whole, "/document/list_version", json!(1));
    });
    mint.signed_by("departure-not-signed", &[], &[]);
    mint.signed_by("departure-signed-by-administrators", &[], &administrators());
    let other = [("/network", json!("other-net"))];
    mint.with("departure-of-another-network", &other);
    let theirs = [("/identity_key", json!(hex(&beta)))];
    mint.signed_by("departure-of-another-member", &theirs, &[beta]);
    let replaced = [("/identity_key", json!(hex(&key(9))))];
    mint.signed_by("departure-under-a-replaced-key", &replaced, &[key(9)]);
    mint.with("departure-of-a-stranger", &[("/member", json!("bank-c"))]);
    mint.with(
        "departure-made-in-the-future",
        &[("/made_at", seconds(301))],
    );
    let format = [("/format", json!("creditmesh/departure/2"))];
    mint.with("departure-of-another-format", &format);
}
