//! Forged, stale, rolled-back, under-signed, wrongly linked and mixed trust documents: each a file
//! named for its one defect, each refused for exactly that.
//!
//! The files were minted once by `mint.rs`. A node holds root 1, member list 2 and a freshness
//! statement of a minute ago; some are offered to a node that has root 2.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where what it stands on fails"
)]

mod mint;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use creditmesh::domain::Timestamp;
use creditmesh::membership::{Departures, Freshness, NetworkRoot, Roster};

/// What a file is offered as.
#[derive(Debug, Clone, Copy)]
enum Offered {
    /// The root after root 1.
    Root,
    /// The root after root 2.
    RootAfter2,
    /// The member list after list 2.
    List,
    /// The member list after one that was made under root 2.
    ListUnder2,
    /// A freshness statement about list 2.
    Freshness,
    /// The same, at a node that has root 2.
    FreshnessUnder2,
    /// A member's departure, at a node that has list 2.
    Departure,
}

use Offered::{Departure, Freshness as Fresh, FreshnessUnder2, List, ListUnder2, Root, RootAfter2};

/// File, what it is offered as, and how the error that refuses it begins.
const REFUSED: &[(&str, Offered, &str)] = &[
    ("root-rolled-back", RootAfter2, "RolledBack"),
    ("root-the-one-in-force", Root, "RolledBack"),
    ("root-forked", Root, "Forked"),
    ("root-skips-a-version", Root, "SkipsVersions"),
    ("root-of-another-network", Root, "OtherNetwork"),
    ("root-wrongly-linked", Root, "WrongPrevious"),
    ("root-not-linked", Root, "WrongPrevious"),
    ("root-issued-backwards", Root, "IssuedBackwards"),
    (
        "root-signed-by-its-own-only",
        Root,
        "NotByPredecessor(UnderSigned",
    ),
    (
        "root-under-signed-by-the-old",
        Root,
        "NotByPredecessor(UnderSigned",
    ),
    ("root-not-signed", Root, "NotByPredecessor(UnderSigned"),
    ("root-under-signed-by-its-own", Root, "Document(UnderSigned"),
    (
        "root-with-a-forged-signature",
        Root,
        "NotByPredecessor(ForgedSignature",
    ),
    (
        "root-altered-after-signing",
        Root,
        "NotByPredecessor(ForgedSignature",
    ),
    (
        "root-signed-twice-by-one",
        Root,
        "NotByPredecessor(SignedTwice",
    ),
    ("root-expired", Root, "Expired"),
    ("root-issued-in-the-future", Root, "IssuedInFuture"),
    (
        "root-with-another-genesis",
        Root,
        "ChangedTerm { term: \"the start of epoch 0\"",
    ),
    (
        "root-with-longer-epochs",
        Root,
        "ChangedTerm { term: \"the length of key epochs\"",
    ),
    (
        "root-with-another-overlap",
        Root,
        "ChangedTerm { term: \"the overlap of key epochs\"",
    ),
    (
        "root-with-other-identifiers",
        Root,
        "ChangedTerm { term: \"the classes of identifiers\"",
    ),
    (
        "root-with-another-currency",
        Root,
        "ChangedTerm { term: \"the currency\"",
    ),
    (
        "root-with-other-bands",
        Root,
        "ChangedTerm { term: \"the exposure bands\"",
    ),
    (
        "root-with-another-population",
        Root,
        "ChangedTerm { term: \"the population\"",
    ),
    (
        "root-with-threshold-zero",
        Root,
        "Invalid { rule: \"its threshold",
    ),
    (
        "root-with-threshold-four-of-three",
        Root,
        "Invalid { rule: \"its threshold",
    ),
    (
        "root-with-one-key-twice",
        Root,
        "Invalid { rule: \"two administrators have one key",
    ),
    (
        "root-with-an-administrator-online",
        Root,
        "Invalid { rule: \"an administrator's key",
    ),
    (
        "root-without-root-certificate",
        Root,
        "Invalid { rule: \"it must carry 1 to 4",
    ),
    ("root-with-a-broken-certificate", Root, "Authority"),
    (
        "root-that-taints-all",
        Root,
        "Invalid { rule: \"at least one root certificate",
    ),
    (
        "root-that-taints-a-stranger",
        Root,
        "Invalid { rule: \"what is tainted",
    ),
    ("root-with-an-unknown-field", Root, "Document(Malformed"),
    ("root-of-another-format", Root, "Document(WrongFormat"),
    ("list-rolled-back", List, "RolledBack"),
    ("list-forked", List, "Forked"),
    ("list-wrongly-linked", List, "WrongPrevious"),
    (
        "list-not-linked",
        List,
        "Invalid { rule: \"from version 2 on",
    ),
    ("list-under-signed", List, "Document(UnderSigned"),
    ("list-signed-by-strangers", List, "Document(UnderSigned"),
    (
        "list-signed-with-the-online-key",
        List,
        "Document(UnderSigned",
    ),
    ("list-signed-twice-by-one", List, "Document(SignedTwice"),
    (
        "list-with-a-forged-signature",
        List,
        "Document(ForgedSignature",
    ),
    (
        "list-altered-after-signing",
        List,
        "Document(ForgedSignature",
    ),
    ("list-of-another-network", List, "OtherNetwork"),
    ("list-expired", List, "Expired"),
    ("list-issued-in-the-future", List, "IssuedInFuture"),
    ("list-issued-backwards", List, "IssuedBackwards"),
    (
        "list-that-lives-too-long",
        List,
        "Invalid { rule: \"it must expire within",
    ),
    ("list-with-one-key-twice", List, "InvalidMember"),
    ("list-under-a-newer-root", List, "NewerRoot"),
    ("list-under-an-older-root", ListUnder2, "OlderRoot"),
    (
        "freshness-signed-by-administrators",
        Fresh,
        "Document(UnderSigned",
    ),
    (
        "freshness-with-a-forged-signature",
        Fresh,
        "Document(ForgedSignature",
    ),
    (
        "freshness-altered-after-signing",
        Fresh,
        "Document(ForgedSignature",
    ),
    ("freshness-of-another-network", Fresh, "OtherNetwork"),
    ("freshness-under-a-newer-root", Fresh, "NewerRoot"),
    (
        "freshness-under-an-older-root",
        FreshnessUnder2,
        "OlderRoot",
    ),
    (
        "freshness-that-lives-too-long",
        Fresh,
        "Invalid { rule: \"it must end within",
    ),
    (
        "freshness-that-ends-before-it-begins",
        Fresh,
        "Invalid { rule: \"it must end after",
    ),
    ("freshness-issued-in-the-future", Fresh, "IssuedInFuture"),
    ("freshness-expired", Fresh, "Expired"),
    ("freshness-of-a-newer-list", Fresh, "NewerList"),
    ("freshness-of-an-older-list", Fresh, "OlderList"),
    ("freshness-of-another-list", Fresh, "OtherList"),
    ("freshness-rolled-back", Fresh, "RolledBack"),
    (
        "departure-with-a-forged-signature",
        Departure,
        "Document(ForgedSignature",
    ),
    (
        "departure-altered-after-signing",
        Departure,
        "Document(ForgedSignature",
    ),
    ("departure-not-signed", Departure, "Document(UnderSigned"),
    (
        "departure-signed-by-administrators",
        Departure,
        "Document(UnderSigned",
    ),
    ("departure-of-another-network", Departure, "OtherNetwork"),
    ("departure-of-another-member", Departure, "OtherKey"),
    ("departure-under-a-replaced-key", Departure, "OtherKey"),
    ("departure-of-a-stranger", Departure, "NotAMember"),
    ("departure-made-in-the-future", Departure, "MadeInFuture"),
    (
        "departure-of-another-format",
        Departure,
        "Document(WrongFormat",
    ),
];

/// Files that are sound: what the node holds, and what may follow.
const SOUND: &[&str] = &[
    "sound-root-1",
    "sound-root-2",
    "sound-list-2",
    "sound-list-2-under-root-2",
    "sound-list-3",
    "sound-freshness-held",
    "sound-freshness-next",
    "sound-departure",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents/data")
}

fn text(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

/// What the node holds, and how it takes what it is offered.
struct Node {
    root: NetworkRoot,
    root_2: NetworkRoot,
    list: Roster,
    list_under_2: Roster,
    freshness: Freshness,
}

impl Node {
    fn new() -> Self {
        let root = NetworkRoot::verify(&text("sound-root-1"), now()).unwrap();
        let root_2 = NetworkRoot::succeed(&root, &text("sound-root-2"), now()).unwrap();
        let list = Roster::verify(&root, &text("sound-list-2"), now()).unwrap();
        let under_2 = text("sound-list-2-under-root-2");
        let list_under_2 = Roster::verify(&root_2, &under_2, now()).unwrap();
        let freshness = Freshness::verify(&root, &text("sound-freshness-held"), now()).unwrap();
        Self {
            root,
            root_2,
            list,
            list_under_2,
            freshness,
        }
    }

    /// The error with which it refuses, as its variant and fields.
    fn takes(&self, offered: Offered, text: &str) -> Result<(), String> {
        let in_words = |error: &dyn std::fmt::Debug| format!("{error:?}");
        let root = |held| {
            let next = NetworkRoot::succeed(held, text, now());
            next.map(|_| ()).map_err(|error| in_words(&error))
        };
        let list = |root, held: &Roster| {
            let next = Roster::verify(root, text, now());
            next.and_then(|next| next.supersedes(held).map(|_| ()))
                .map_err(|error| in_words(&error))
        };
        let freshness = |root| {
            Freshness::verify(root, text, now())
                .and_then(|next| {
                    next.covers(&self.list)?;
                    next.supersedes(&self.freshness)
                })
                .map_err(|error| in_words(&error))
        };
        match offered {
            Root => root(&self.root),
            RootAfter2 => root(&self.root_2),
            List => list(&self.root, &self.list),
            ListUnder2 => list(&self.root_2, &self.list_under_2),
            Fresh => freshness(&self.root),
            FreshnessUnder2 => freshness(&self.root_2),
            Departure => Departures::default()
                .with(&self.list, text, now())
                .map(|taken| assert!(taken.is_some()))
                .map_err(|error| in_words(&error)),
        }
    }
}

#[test]
fn every_document_with_a_defect_is_refused_for_that_defect() {
    let node = Node::new();
    let mut wrong = Vec::new();
    for (name, offered, reason) in REFUSED {
        match node.takes(*offered, &text(name)) {
            Err(found) if found.starts_with(reason) => {}
            found => wrong.push(format!("{name}: {reason} expected, got {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(REFUSED.len() >= 40);
}

#[test]
fn the_documents_without_a_defect_are_taken() {
    let node = Node::new();
    assert_eq!(node.takes(Root, &text("sound-root-2")), Ok(()));
    assert_eq!(node.takes(List, &text("sound-list-3")), Ok(()));
    assert_eq!(node.takes(Fresh, &text("sound-freshness-next")), Ok(()));
    assert_eq!(node.takes(Departure, &text("sound-departure")), Ok(()));
    // A whole chain of roots is walked; the one in between may have expired by then.
    let (one, two) = (text("sound-root-2"), text("root-skips-a-version"));
    let walked = NetworkRoot::walk(&node.root, &[one.clone(), two.clone()], now()).unwrap();
    assert_eq!(
        walked.iter().map(NetworkRoot::version).collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(NetworkRoot::walk(&node.root, &[two, one], now()).is_err());
    let much_later = now().plus(Duration::from_secs(6 * 366 * 86_400));
    assert!(NetworkRoot::walk(&node.root, &[], much_later).is_err());
}

#[test]
fn every_file_is_in_the_table() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let named = REFUSED
        .iter()
        .map(|(name, ..)| *name)
        .chain(SOUND.iter().copied());
    assert_eq!(files, named.map(str::to_owned).collect());
}
