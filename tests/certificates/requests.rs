//! Certificate requests that ask for more than a certificate for their key, or are not sound: each
//! a file named for what it asks or for its one defect. `mint.py` wrote them.
//!
//! Each is offered by file, at the registrar's front door by a joiner, and there by a member that
//! renews.

use std::collections::BTreeSet;
use std::path::PathBuf;

use creditmesh::env::OsEntropy;
use creditmesh::membership::{PeerCertificate, Signed, Welcome};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::town::{Town, der_of, id, request_to_join, terms};

/// Sound requests, whatever they ask for.
const TAKEN: &[&str] = &[
    "asks-for-nothing",
    "asks-for-a-directory-name",
    "asks-for-a-long-life",
    "asks-for-a-long-life-by-attribute",
    "asks-for-a-wildcard",
    "asks-for-an-address",
    "asks-for-an-email",
    "asks-for-an-unknown-extension",
    "asks-for-another-members-names",
    "asks-for-another-role",
    "asks-for-ca-rights",
    "asks-for-ca-rights-with-a-path",
    "asks-for-every-purpose",
    "asks-for-key-identifiers",
    "asks-for-name-constraints",
    "asks-for-names-twice",
    "asks-for-policies-and-a-list",
    "asks-for-signing-of-certificates",
    "asks-for-the-registrars-name",
    "asks-twice",
    "brings-its-own-key-statement",
    "has-a-challenge-password",
    "names-another-subject",
    "signed-with-sha-384",
];

const KIND: &str = "is for another kind of key than P-256";
const SIGNATURE: &str = "is not signed by its own key";
const PEM: &str = "is not one PEM block with `CERTIFICATE REQUEST`";
const PKCS10: &str = "is not in PKCS#10";

/// File, and why it is refused.
const REFUSED: &[(&str, &str)] = &[
    ("altered-after-signing", SIGNATURE),
    ("cut-short", PKCS10),
    ("empty", PEM),
    ("followed-by-more", "is followed by something else"),
    ("huge", "is too long"),
    ("key-ed25519", KIND),
    ("key-p-384", KIND),
    ("key-point-compressed", SIGNATURE),
    ("key-point-off-the-curve", SIGNATURE),
    ("key-rsa-1024", KIND),
    ("key-rsa-2048", KIND),
    ("key-secp256k1", KIND),
    ("not-pem", PEM),
    ("not-signed", SIGNATURE),
    ("signature-broken", SIGNATURE),
    ("signed-by-another-key", SIGNATURE),
    ("two-requests", PEM),
    ("under-another-label", PEM),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/certificates/data")
}

fn csr(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.csr"))).unwrap()
}

/// Everything that a certificate says, apart from what follows from its key alone, with the
/// member's id taken out. All ids here have three characters, so that lengths are the same.
fn says(chain: &str, member: &str) -> Vec<String> {
    let der = der_of(chain);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let parsed = PeerCertificate::first_of(chain).unwrap();
    assert_eq!(*parsed.member(), id(member));
    let hidden = |text: String| text.replace(member, "???");
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    let mut said = vec![
        format!("version {}", certificate.version()),
        format!("issuer {}", certificate.issuer()),
        hidden(format!("subject {}", certificate.subject())),
        format!("life {seconds} s"),
        format!("key {:?}", certificate.public_key().algorithm),
        format!("signature {:?}", certificate.signature_algorithm),
    ];
    for extension in certificate.extensions() {
        let oid = extension.oid.to_id_string();
        let of_the_key = ["2.5.29.14", "1.2.840.113556.1.8000"];
        let value = if of_the_key.iter().any(|start| oid.starts_with(start)) {
            format!("{} bytes", extension.value.len())
        } else {
            hidden(String::from_utf8_lossy(extension.value).into_owned())
        };
        said.push(format!("{oid} critical {}: {value}", extension.critical));
    }
    said
}

fn serial_of(chain: &str) -> String {
    PeerCertificate::first_of(chain).unwrap().serial_text()
}

#[test]
fn every_file_is_in_a_table() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let named = REFUSED
        .iter()
        .map(|(name, _)| *name)
        .chain(TAKEN.iter().copied());
    assert_eq!(files, named.map(str::to_owned).collect());
}

#[test]
fn by_file_a_request_gets_nothing_but_a_certificate_for_its_key() {
    let town = Town::by_file();
    let entropy = OsEntropy::default();
    let approve = |member: &str, csr: &str| {
        let now = town.now();
        let mut folder = town.folder();
        let invite = folder.invite(terms(member), now, &entropy).unwrap();
        let invitation = Signed::parse(&invite.text).unwrap();
        let request = request_to_join(invitation, csr, now).to_text().unwrap();
        let approved = folder.approve(&request, now, &entropy);
        approved
            .map(|(_, welcome)| {
                let welcome = Signed::<Welcome>::parse(&welcome).unwrap();
                welcome.document().certificate_chain.clone()
            })
            .map_err(|error| error.to_string())
    };
    let mut first = None;
    for (at, name) in TAKEN.iter().enumerate() {
        let member = format!("m{at:02}");
        let chain = approve(&member, &csr(name)).unwrap();
        let said = says(&chain, &member);
        assert_eq!(*first.get_or_insert(said.clone()), said, "{name}");
    }
    for (name, reason) in REFUSED {
        let refused = approve("n00", &csr(name)).unwrap_err();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
    println!("{}", first.unwrap().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_front_door_a_joiner_gets_nothing_but_a_certificate_for_its_key() {
    let town = Town::found().await;
    let mut first = None;
    let mut serials = BTreeSet::new();
    for (at, name) in TAKEN.iter().enumerate() {
        let member = format!("m{at:02}");
        let chain = town.enrol(&member, &csr(name)).await.unwrap();
        let said = says(&chain, &member);
        assert_eq!(*first.get_or_insert(said.clone()), said, "{name}");
        assert!(serials.insert(serial_of(&chain)), "{name}");
    }
    for (name, reason) in REFUSED {
        let refused = town.enrol("n00", &csr(name)).await.unwrap_err();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_front_door_a_member_that_renews_gets_nothing_but_a_certificate_for_its_key() {
    let town = Town::found().await;
    let enrolled = town.enrol("m00", &csr("asks-for-nothing")).await.unwrap();
    for name in TAKEN {
        let chain = town.renew("m00", &csr(name)).await.unwrap();
        assert_eq!(says(&chain, "m00"), says(&enrolled, "m00"), "{name}");
        assert_ne!(serial_of(&chain), serial_of(&enrolled), "{name}");
    }
    for (name, reason) in REFUSED {
        let refused = town.renew("m00", &csr(name)).await.unwrap_err();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}
