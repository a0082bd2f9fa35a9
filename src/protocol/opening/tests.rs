//! An opening opens what was asked and nothing else; each thing that was changed is named.

use super::*;
use crate::crypto::hpke::HpkeKey;
use crate::env::SeededEntropy;
use crate::protocol::audit::AuditProof;

fn person(number: u32) -> OpenedBorrower {
    let national = Identifier::parse(&format!("us-ssn:536-90-{number:04}"), None).unwrap();
    OpenedBorrower {
        national: Some(national),
        phone: None,
        consent: sha256(b"C-1"),
        reference: None,
    }
}

fn opening(borrowers: Vec<OpenedBorrower>, peers: &[&str]) -> Opening {
    let mut made = Opening {
        query: QueryId(uuid::Uuid::from_u128(7)),
        at: Timestamp::from_unix_ms(1_772_000_000_000),
        purpose: Purpose::CreditApplication,
        salt: Secret::from_bytes([1; 32]),
        seed: Secret::from_bytes([2; 32]),
        seed_for_each_peer: peers.len() != 1,
        borrowers,
        peers: peers
            .iter()
            .map(|peer| OpenedPeer {
                member: peer.parse().unwrap(),
                level: Level::Full,
                epoch: Epoch(3),
                batch: [0; 32],
            })
            .collect(),
    };
    let roots = made.roots().unwrap();
    for (peer, root) in made.peers.iter_mut().zip(roots) {
        peer.batch = root;
    }
    made
}

fn line(made: &Opening) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let roots: Vec<_> = made.peers.iter().map(|peer| peer.batch).collect();
    format!(
        "1 {} asked {} {} {} {} {}",
        made.at.unix_ms(),
        made.query,
        made.purpose,
        hex(&made.commitment()),
        hex(&roots_digest(&roots)),
        made.peers.len()
    )
}

fn logged(made: &Opening) -> AskedLine {
    AskedLine::parse(&line(made)).unwrap()
}

#[test]
fn what_was_asked_opens_and_each_change_is_named() {
    let made = opening(vec![person(4_399)], &["beta", "gamma"]);
    let logged = logged(&made);
    assert_eq!(made.check(&logged), Ok(()));
    assert_ne!(made.peers[0].batch, made.peers[1].batch);

    let changed = |change: &dyn Fn(&mut Opening)| {
        let mut other = Opening::decode(&made.encode()).unwrap();
        change(&mut other);
        other.check(&logged).unwrap_err()
    };
    let other_person = changed(&|one| one.borrowers = vec![person(4_400)]);
    assert_eq!(other_person, OpeningFault::Identifier);
    let other_consent = changed(&|one| one.borrowers[0].consent = sha256(b"C-2"));
    assert_eq!(other_consent, OpeningFault::Consent);
    let other_salt = changed(&|one| one.salt = Secret::from_bytes([9; 32]));
    assert_eq!(other_salt, OpeningFault::Consent);
    let other_seed = changed(&|one| one.seed = Secret::from_bytes([9; 32]));
    assert_eq!(other_seed, OpeningFault::Seed);
    let other_root = changed(&|one| one.peers[0].batch = [9; 32]);
    assert_eq!(other_root, OpeningFault::Seed);
    let fewer_peers = changed(&|one| drop(one.peers.pop()));
    assert_eq!(fewer_peers, OpeningFault::Seed);
    let other_purpose = changed(&|one| one.purpose = Purpose::Collection);
    assert_eq!(other_purpose, OpeningFault::Purpose);
    let other_query = changed(&|one| one.query = QueryId(uuid::Uuid::from_u128(8)));
    assert_eq!(other_query, OpeningFault::Entry);
}

#[test]
fn a_full_batch_fits_and_reads_back() {
    let borrower = |number: u32| OpenedBorrower {
        reference: Some(format!("{}{number}", "账".repeat(60))),
        ..person(number)
    };
    let borrowers = (1..=512).map(borrower).collect();
    let made = opening(borrowers, &["beta"]);
    let bytes = made.encode();
    assert!(
        bytes.len() < crate::limits::OPENING_BYTES_MAX,
        "{}",
        bytes.len()
    );
    let read = Opening::decode(&bytes).unwrap();
    assert_eq!(read.borrowers, made.borrowers);
    assert_eq!(read.check(&logged(&made)), Ok(()));
    let mut cut = bytes.to_vec();
    cut.pop();
    assert!(Opening::decode(&cut).is_none());
    assert!(Opening::decode(&vec![b' '; crate::limits::OPENING_BYTES_MAX + 1]).is_none());
}

#[test]
fn a_phone_alone_and_a_reference_in_words_open() {
    let reference = "L-17".to_owned();
    let borrower = OpenedBorrower {
        national: None,
        phone: Some(Identifier::parse("phone:+14155552671", None).unwrap()),
        consent: sha256(reference.as_bytes()),
        reference: Some(reference),
    };
    let made = opening(vec![borrower], &["beta"]);
    let read = Opening::decode(&made.encode()).unwrap();
    assert_eq!(read.borrowers, made.borrowers);
    assert_eq!(read.check(&logged(&made)), Ok(()));
    assert!(!format!("{read:?}").contains("4155552671"));
}

#[test]
fn entries_read_back_and_others_do_not() {
    let made = opening(vec![person(1)], &["beta"]);
    let line = line(&made);
    let read = AskedLine::parse(&line).unwrap();
    assert_eq!((read.query, read.peers), (made.query, 1));
    assert!(AnsweredLine::parse(&line).is_none());
    assert_eq!(logged_at(&line), Some(made.at));
    let hex = data_encoding::HEXLOWER.encode(&[7; 32]);
    let answered = format!("1 5 answered alpha full 3 credit-application {hex} {hex} 2");
    let read = AnsweredLine::parse(&answered).unwrap();
    assert_eq!(
        (read.member.as_str(), read.batch, read.elements),
        ("alpha", [7; 32], 2)
    );
    assert!(AskedLine::parse(&answered).is_none());
    assert!(AnsweredLine::parse(&answered.replacen('1', "2", 1)).is_none());
}

#[test]
fn only_the_auditor_reads_a_file_and_nothing_in_it_can_be_changed() {
    let made = opening(vec![person(4_399)], &["beta"]);
    let proof = AuditProof {
        index: 17,
        entry: line(&made),
        path: vec![[3; 32]],
        checkpoint: "alpha/audit\n1\nAAAA\n\n— alpha AAAA\n".to_owned(),
    };
    let entropy = SeededEntropy::from_seed(1);
    let key = HpkeKey::derive(&Secret::from_bytes([5; 32]));
    let network = "credit-net".parse().unwrap();
    let (opener, auditor) = ("alpha".parse().unwrap(), "watcher".parse().unwrap());
    let to = (&auditor, &key.public());
    let sealed = SealedOpening::seal((&network, &opener), to, &proof, &made, &entropy).unwrap();
    let text = sealed.to_string();
    assert!(!text.contains("4399") && !text.contains("us-ssn"), "{text}");
    let read = SealedOpening::parse(&text).unwrap();
    assert_eq!(read, sealed);
    let (told, opened) = read.open(&key).unwrap();
    assert_eq!(told, proof);
    assert_eq!(opened.borrowers, made.borrowers);
    assert!(
        read.open(&HpkeKey::derive(&Secret::from_bytes([6; 32])))
            .is_err()
    );
    for (from, to) in [
        ("alpha", "gamma"),
        ("credit-net", "debit-net"),
        ("17", "18"),
    ] {
        let other = SealedOpening::parse(&text.replacen(from, to, 1)).unwrap();
        assert!(other.open(&key).is_err(), "{from}");
    }
    assert!(SealedOpening::parse("{}").is_err());
    assert!(SealedOpening::parse(&text.replace("opening/1", "opening/2")).is_err());
    assert!(SealedOpening::parse(&" ".repeat(2 << 20)).is_err());
}
