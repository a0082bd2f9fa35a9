//! Who is let in, who is refused, and that the reason arrives.

use std::sync::Arc;
use std::time::Duration;

use creditmesh::crypto::{IdentityKey, Secret, SecretBytes};
use creditmesh::domain::Role;
use creditmesh::env::{Clock, ManualClock};
use creditmesh::limits::HANDSHAKE_DEADLINE;
use creditmesh::membership::{
    CertificateKey, CertificateStatement, Issuance, MemberState, OwnCertificate, Profiles,
    RequestedKey, Subject,
};
use creditmesh::net::{DialError, ListenLimits, TrustHandle, dial_error};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::support::{
    Caller, DAY, Network, Shown, check, entropy, id, raw_config, raw_connect, raw_refusal, reason,
};

fn dialled(status: &Status) -> String {
    let error = dial_error(status).unwrap_or_else(|| panic!("no reason in {status:?}"));
    assert_eq!(status.code(), Code::Unavailable);
    error.to_string()
}

/// A certificate of `bank-a` for a fresh key that somebody else than `bank-a` stated.
fn forged(network: &Network) -> OwnCertificate {
    let key = CertificateKey::generate().unwrap();
    let forger = IdentityKey::from_seed(&Secret::from_bytes([9; 32]));
    let root = &network.minted.root;
    let bank_a = id("bank-a");
    let statement = CertificateStatement::make(
        &forger,
        root.network(),
        &bank_a,
        &key.spki_sha256(),
        network.clock.now().plus(DAY),
    );
    let subject = Subject {
        network: root.network(),
        role: Role::Lender,
        member: &bank_a,
        identity_key: &forger.public(),
    };
    let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
    let issuance = Issuance {
        profile: &Profiles::embedded().unwrap().member,
        now: network.clock.now(),
        entropy: &entropy(),
    };
    let authority = &network.minted.authority;
    let chain = authority.issue(&subject, &requested, &statement, &issuance);
    OwnCertificate::new(&chain.unwrap(), key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_let_in_and_hears_the_list_version() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    check(channel.clone()).await.unwrap();
    assert_eq!(node.trust.connections().with(&id("bank-a")), 1);

    let text = network
        .minted
        .publish(network.clock.now(), |_| Ok(()))
        .unwrap();
    node.trust.install(&text).unwrap();
    check(channel).await.unwrap();
    assert_eq!(caller.trust.roster().version(), 2);
    assert_eq!(caller.trust.newest_heard(), 3, "the answer carried it");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_refused() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let refusal = raw_refusal(&network, "bank-b", None).await;
    assert!(refusal.contains("CertificateRequired"), "{refusal}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_foreign_authority_is_refused() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let foreign = Network::new().await;
    let shown = Shown::of(&foreign, "bank-a");
    let refusal = raw_refusal(&network, "bank-b", Some(&shown)).await;
    assert!(refusal.contains("UnknownCA"), "{refusal}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_foreign_authority_is_refused_in_words() {
    let mut foreign = Network::new().await;
    let node = foreign.start("bank-b");
    let mut network = Network::new().await;
    let address = foreign.address("bank-b").to_string();
    network
        .minted
        .publish(network.clock.now(), |list| {
            list.members[1].endpoints = vec![address];
            Ok(())
        })
        .unwrap();
    let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(
        words.contains("does not lead to a root certificate"),
        "{words}"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_certificates_are_refused_with_the_clock_in_words() {
    // The server's clock is 100 days ahead, and it has a fresh certificate: the caller's is expired
    // to it.
    let mut network = Network::new().await;
    let later = network.clock.now().plus(DAY * 100);
    network
        .minted
        .publish(network.clock.now(), |list| {
            list.expires_at = list.expires_at.plus(DAY * 200);
            Ok(())
        })
        .unwrap();
    let ahead = network.trust_at(ManualClock::at(later));
    network
        .minted
        .renew(&id("bank-b"), network.clock.now(), &entropy())
        .unwrap();
    let node = network.start_with("bank-b", ahead, ListenLimits::default());
    for _ in 0..20 {
        let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
        let words = dialled(&status);
        assert!(
            words.contains("by its clock this node's certificate"),
            "{words}"
        );
        assert!(words.contains("2026-03-01T12:00:00Z"), "{words}");
    }
    node.stop().await;

    // The server's clock is a day behind: to it, everybody's certificate begins tomorrow.
    let mut network = Network::new().await;
    let trust = network.trust();
    let early = ManualClock::at(network.clock.now());
    let node = network.start_with("bank-b", trust, ListenLimits::default());
    network.clock.advance(DAY * 200);
    drop(early);
    let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(
        words.contains("expired at"),
        "both are past their end: {words}"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_begins_later_is_refused_in_words() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let late = ManualClock::at(network.clock.now().minus(DAY));
    let trust = TrustHandle::new(
        network.minted.root.clone(),
        network.minted.roster.clone(),
        Arc::new(late),
    );
    let caller = Caller::new(trust, &network.own("bank-a"));
    let status = caller.check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(
        words.contains("valid from") && words.contains("compare the clocks"),
        "{words}"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_only_tls_1_2_is_refused() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let mut tcp = TcpStream::connect(network.address("bank-b")).await.unwrap();
    tcp.write_all(&client_hello_1_2()).await.unwrap();
    let mut alert = [0; 7];
    tcp.read_exact(&mut alert).await.unwrap();
    // Record type alert, fatal, protocol_version (RFC 8446 §6).
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
    node.stop().await;
}

/// A `ClientHello` (RFC 5246 §7.4.1.2) with one suite, signature algorithms and groups, and without
/// the extension that would offer TLS 1.3.
fn client_hello_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms: ecdsa_secp256r1_sha256
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]); // no session, ECDHE-ECDSA-AES128-GCM, no compression
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut message = vec![1, 0];
    message.extend(length.to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_never_resumed() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let config = Arc::new(raw_config(&network, Some(&Shown::of(&network, "bank-a"))));
    for _ in 0..3 {
        let mut stream = raw_connect(&network, "bank-b", &config).await.unwrap();
        stream.read_u8().await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_a_forged_key_statement_is_refused_by_both_sides() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let forger = Caller::new(network.trust(), &forged(&network));
    let status = forger.check("bank-b").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), "key-not-stated");
    assert!(
        status.message().contains("renew the certificate"),
        "{status:?}"
    );
    node.stop().await;

    let mut impostor = Network::new().await;
    let own = forged(&impostor);
    let trust = impostor.trust();
    let node = impostor.start_with("bank-a", trust, ListenLimits::default());
    node.tls.install(&own).unwrap();
    let status = impostor.caller("bank-b").check("bank-a").await.unwrap_err();
    assert!(matches!(
        dial_error(&status),
        Some(DialError::Refused { refusal, .. }) if refusal.code() == "key-not-stated"
    ));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_key_statement_is_refused() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["bank-a.node.credit-net".to_owned()]).unwrap();
    let uri = "spiffe://credit-net/lender/bank-a";
    params
        .subject_alt_names
        .push(SanType::URI(uri.try_into().unwrap()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let authority = &network.minted.authority;
    let word = SecretBytes::from("word".to_owned());
    let key = authority.key().to_file_text(&word, &entropy()).unwrap();
    let key = CertificateKey::from_encrypted_pem(&key, &word).unwrap();
    let signer_key = KeyPair::try_from(key.pkcs8().expose()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(authority.certificate_pem(), signer_key).unwrap();
    let certificate = params.signed_by(&pair, &issuer).unwrap();
    let shown = Shown {
        chain_pem: format!("{}{}", certificate.pem(), authority.certificate_pem()),
        pkcs8: pair.serialized_der().to_vec(),
    };
    let refusal = raw_refusal(&network, "bank-b", Some(&shown)).await;
    assert_ne!(refusal, "let in");
    assert_eq!(node.trust.connections().open(), 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_at_the_endpoint_is_refused_in_words() {
    let mut network = Network::new().await;
    let node = network.start("bank-c");
    let address = network.address("bank-c").to_string();
    network
        .minted
        .publish(network.clock.now(), |list| {
            list.members[1].endpoints = vec![address];
            Ok(())
        })
        .unwrap();
    let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(words.contains("it names somebody else"), "{words}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_and_unlisted_members_are_told_why() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let suspended = network
        .minted
        .publish(network.clock.now(), |list| {
            list.set_state(&id("bank-a"), MemberState::Suspended)
        })
        .unwrap();
    node.trust.install(&suspended).unwrap();
    let status = caller.check("bank-b").await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::PermissionDenied, "suspended")
    );
    let restored = network
        .minted
        .publish(network.clock.now(), |list| {
            list.set_state(&id("bank-a"), MemberState::Active)
        })
        .unwrap();
    node.trust.install(&restored).unwrap();
    caller.check("bank-b").await.unwrap();
    let unlisted = network
        .minted
        .publish(network.clock.now(), |list| {
            list.members.remove(0);
            Ok(())
        })
        .unwrap();
    node.trust.install(&unlisted).unwrap();
    let status = caller.check("bank-b").await.unwrap_err();
    assert_eq!(reason(&status), "not-a-member");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_list_expired_admits_nobody_and_says_so() {
    let mut network = Network::new().await;
    let clock = ManualClock::at(network.clock.now());
    network
        .minted
        .publish(network.clock.now(), |list| {
            list.expires_at = network.clock.now().plus(DAY);
            Ok(())
        })
        .unwrap();
    let trust = network.trust_at(clock.clone());
    let node = network.start_with("bank-b", trust, ListenLimits::default());
    let caller = network.caller("bank-a");
    caller.check("bank-b").await.unwrap();
    clock.advance(DAY);
    let status = caller.check("bank-b").await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::FailedPrecondition, "list-expired")
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_told_in_words_and_endpoints_are_tried_in_turn() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let good = network.address("bank-b").to_string();
    // Bound before the other one is freed: they must not be given one port.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = silent.local_addr().unwrap().to_string();
    let dead = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let set = |network: &mut Network, endpoints: Vec<String>| {
        network
            .minted
            .publish(network.clock.now(), |list| {
                list.members[1].endpoints = endpoints;
                Ok(())
            })
            .unwrap();
    };
    set(&mut network, vec![dead.clone()]);
    let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(
        words.contains("nobody listens there") && words.contains(&dead),
        "{words}"
    );
    set(&mut network, vec![dead.clone(), good.clone()]);
    network.caller("bank-a").check("bank-b").await.unwrap();
    // Who takes the connection and says nothing holds nobody up.
    set(&mut network, vec![mute.clone(), dead.clone(), good]);
    let begun = tokio::time::Instant::now();
    network.caller("bank-a").check("bank-b").await.unwrap();
    assert!(begun.elapsed() < HANDSHAKE_DEADLINE / 2);
    // Where all fail, each is named, in the order of the list.
    set(&mut network, vec![mute.clone(), dead.clone()]);
    let status = network.caller("bank-a").check("bank-b").await.unwrap_err();
    let words = dialled(&status);
    assert!(words.find(&mute) < words.find(&dead), "{words}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_finds_the_new_endpoint_of_a_newer_list() {
    let mut network = Network::new().await;
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    assert!(
        tokio::time::timeout(Duration::from_millis(200), check(channel.clone()))
            .await
            .is_err()
    );
    // The socket of `bank-b` is bound and silent; `bank-b` moves to another one.
    let mut moved = Network::new().await;
    std::mem::swap(&mut moved.minted, &mut network.minted);
    let address = moved.address("bank-b").to_string();
    let text = moved
        .minted
        .publish(moved.clock.now(), |list| {
            list.members[1].endpoints = vec![address];
            Ok(())
        })
        .unwrap();
    let node = moved.start("bank-b");
    caller.trust.install(&text).unwrap();
    let found = tokio::time::timeout(Duration::from_secs(20), check(channel));
    // The first call after the move may still meet the attempt that was under way.
    if found.await.unwrap().is_err() {
        caller.check("bank-b").await.unwrap();
    }
    node.stop().await;
}
