//! Joining and admission: what certificates say, what the authority can and cannot do, who is
//! refused.

mod joining;

use std::sync::LazyLock;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, KeyPair, SanType,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::crypto::{IdentityKey, Secret};
use crate::domain::{Currency, MemberId, Purpose, Role, Timestamp};
use crate::env::SeededEntropy;
use crate::membership::*;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

fn mint(seed: u64) -> MintedNetwork {
    let seats = [
        Seat::of(&id("bank-a"), Role::Lender, "127.0.0.1:7420").unwrap(),
        Seat::of(&id("bank-b"), Role::Lender, "127.0.0.1:7421").unwrap(),
    ];
    let entropy = SeededEntropy::from_seed(seed);
    let usd = Currency::from_code("USD").unwrap();
    MintedNetwork::mint(&"credit-net".parse().unwrap(), usd, &seats, now(), &entropy).unwrap()
}

static NET: LazyLock<MintedNetwork> = LazyLock::new(|| mint(1));

fn leaf_of(member: &str) -> std::sync::Arc<PeerCertificate> {
    NET.own_certificate(&id(member)).unwrap().leaf().clone()
}

/// The list in force after one change.
fn roster_after(change: impl FnOnce(&mut MemberList)) -> Roster {
    let mut net = mint(1);
    // The same keys as in `NET`: both are minted from one seed, apart from certificate keys.
    net.roster = NET.roster.clone();
    net.root = NET.root.clone();
    net.administrator_seeds = NET
        .administrator_seeds
        .iter()
        .map(|seed| Secret::from_bytes(*seed.expose()))
        .collect();
    net.publish(now(), |list| {
        change(list);
        Ok(())
    })
    .unwrap();
    net.roster
}

/// A certificate for `bank-a` with chosen names and statement, signed by the network's own
/// authority key.
fn certificate(
    key: &CertificateKey,
    statement: &CertificateStatement,
    role: Role,
) -> PeerCertificate {
    let subject = Subject {
        network: NET.root.network(),
        role,
        member: &id("bank-a"),
        identity_key: &NET.members[&id("bank-a")].identity.public(),
    };
    let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
    let profile = Profiles::embedded().unwrap().member;
    let issuance = Issuance {
        profile: &profile,
        now: now(),
        entropy: &SeededEntropy::from_seed(2),
    };
    let chain = NET
        .authority
        .issue(&subject, &requested, statement, &issuance);
    let key = CertificateKey::from_pkcs8(key.pkcs8().expose()).unwrap();
    let own = OwnCertificate::new(&chain.unwrap(), key).unwrap();
    PeerCertificate::parse(own.leaf_der()).unwrap()
}

fn stated(identity: &IdentityKey, key: &CertificateKey) -> CertificateStatement {
    CertificateStatement::make(
        identity,
        NET.root.network(),
        &id("bank-a"),
        &key.spki_sha256(),
        now().plus(DAY * 1_000),
    )
}

#[test]
fn a_member_is_admitted_with_the_rights_of_the_list() {
    let peer = NET.roster.admit(&leaf_of("bank-a"), now()).unwrap();
    assert_eq!(peer.member(), &id("bank-a"));
    assert_eq!(peer.role(), Role::Lender);
    let wish = Wish {
        service: Service::Evaluate,
        purpose: Some(Purpose::CreditApplication),
        at: now(),
    };
    let granted = peer.may(&wish).unwrap();
    assert_eq!(granted.quota_elements_per_epoch(), 2_000_000);
    assert_eq!(granted.level(), crate::domain::Level::Full);
    assert_eq!(peer.list_version(), NET.roster.version());
}

#[test]
fn suspended_removed_and_unlisted_members_are_refused() {
    let leaf = leaf_of("bank-a");
    let suspended = roster_after(|list| list.members[0].state = MemberState::Suspended);
    assert_eq!(
        suspended.admit(&leaf, now()).unwrap_err().code(),
        "suspended"
    );
    let removed = roster_after(|list| list.members[0].state = MemberState::Removed);
    assert_eq!(removed.admit(&leaf, now()).unwrap_err().code(), "removed");
    let unlisted = roster_after(|list| {
        list.members.remove(0);
    });
    assert_eq!(
        unlisted.admit(&leaf, now()).unwrap_err().code(),
        "not-a-member"
    );
}

#[test]
fn expired_and_early_certificates_are_refused() {
    let leaf = leaf_of("bank-a");
    let refused = |at| NET.roster.admit(&leaf, at).unwrap_err();
    let early = now().minus(DAY);
    assert_eq!(
        refused(early),
        Refusal::NotYetValid {
            member: id("bank-a"),
            from: leaf.not_before(),
            clock: early
        }
    );
    let long = roster_after(|list| list.expires_at = now().plus(DAY * 300));
    assert_eq!(
        long.admit(&leaf, leaf.not_after()).unwrap_err().code(),
        "certificate-expired"
    );
}

#[test]
fn an_expired_list_admits_nobody() {
    let end = NET.roster.expires_at();
    assert_eq!(
        NET.roster.admit(&leaf_of("bank-a"), end).unwrap_err(),
        Refusal::ListExpired { since: end }
    );
}

#[test]
fn a_certificate_whose_key_the_identity_did_not_state_is_refused() {
    // A member's identity key is replaced on the list: the old statement counts for nothing.
    let other = IdentityKey::from_seed(&Secret::from_bytes([9; 32])).public();
    let replaced = roster_after(|list| list.members[0].identity_key = other);
    let leaf = leaf_of("bank-a");
    assert_eq!(
        replaced.admit(&leaf, now()).unwrap_err().code(),
        "key-not-stated"
    );
    // The outcome for one key does not stick to another.
    assert!(NET.roster.admit(&leaf, now()).is_ok());
    assert_eq!(
        replaced.admit(&leaf, now()).unwrap_err().code(),
        "key-not-stated"
    );
}

#[test]
fn the_authority_alone_cannot_make_a_certificate_that_is_admitted() {
    let key = CertificateKey::generate().unwrap();
    let forger = IdentityKey::from_seed(&Secret::from_bytes([9; 32]));
    let statement = stated(&forger, &key);
    let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
    let profile = Profiles::embedded().unwrap().member;
    let issuance = Issuance {
        profile: &profile,
        now: now(),
        entropy: &SeededEntropy::from_seed(3),
    };
    let honest = Subject {
        network: NET.root.network(),
        role: Role::Lender,
        member: &id("bank-a"),
        identity_key: &NET.members[&id("bank-a")].identity.public(),
    };
    assert!(matches!(
        NET.authority
            .issue(&honest, &requested, &statement, &issuance),
        Err(AuthorityError::KeyNotStated { .. })
    ));
    // An authority that lies to itself makes the certificate, and the roster refuses it.
    let lying = Subject {
        identity_key: &forger.public(),
        ..honest
    };
    let chain = NET
        .authority
        .issue(&lying, &requested, &statement, &issuance)
        .unwrap();
    let own = OwnCertificate::new(&chain, key).unwrap();
    assert_eq!(
        own.check(&NET.root, now()),
        Ok(()),
        "the chain itself is sound"
    );
    assert_eq!(
        NET.roster.admit(own.leaf(), now()).unwrap_err(),
        Refusal::KeyNotStatedByIdentity {
            member: id("bank-a")
        }
    );
}

#[test]
fn a_certificate_with_another_role_than_the_list_is_refused() {
    let key = CertificateKey::generate().unwrap();
    let statement = stated(&NET.members[&id("bank-a")].identity, &key);
    let regulator = certificate(&key, &statement, Role::Regulator);
    assert_eq!(
        NET.roster.admit(&regulator, now()).unwrap_err().code(),
        "role-mismatch"
    );
}

#[test]
fn another_member_than_the_called_one_is_refused() {
    let refusal = NET
        .roster
        .admit_as(&id("bank-b"), &leaf_of("bank-a"), now())
        .unwrap_err();
    assert_eq!(refusal.code(), "name-mismatch");
    assert!(!refusal.next_step().is_empty());
}

#[test]
fn a_request_for_authority_rights_names_and_a_long_life_gets_none_of_it() {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["admin.credit-net".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    let uri = "spiffe://credit-net/regulator/admin";
    params
        .subject_alt_names
        .push(SanType::URI(uri.try_into().unwrap()));
    let request = params.serialize_request(&pair).unwrap().pem().unwrap();
    let asked = CertificateSigningRequestParams::from_pem(&request).unwrap();
    assert_eq!(asked.params.subject_alt_names.len(), 2, "it does ask");

    let key = CertificateKey::from_pkcs8(pair.serialized_der()).unwrap();
    let requested = RequestedKey::from_pem(&request).unwrap();
    let statement = stated(&NET.members[&id("bank-a")].identity, &key);
    let profile = Profiles::embedded().unwrap().member;
    let chain = NET
        .authority
        .issue(
            &Subject {
                network: NET.root.network(),
                role: Role::Lender,
                member: &id("bank-a"),
                identity_key: &NET.members[&id("bank-a")].identity.public(),
            },
            &requested,
            &statement,
            &Issuance {
                profile: &profile,
                now: now(),
                entropy: &SeededEntropy::from_seed(4),
            },
        )
        .unwrap();
    let own = OwnCertificate::new(&chain, key).unwrap();
    let (_, parsed) = X509Certificate::from_der(own.leaf_der()).unwrap();
    assert!(!parsed.is_ca());
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 2);
    assert_eq!(own.leaf().member(), &id("bank-a"));
    assert_eq!(own.leaf().not_after(), now().plus(profile.life()));
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
}

#[test]
fn authorities_sign_only_what_is_theirs() {
    let root_key = NET.root_authority.key().clone();
    let root_pem = NET.root_authority.certificate_pem();
    assert!(matches!(
        Authority::open(root_pem, root_key),
        Err(AuthorityError::WrongKind { .. })
    ));
    let issuing_key = || NET.authority.key().clone();
    let issuing_pem = NET.authority.certificate_pem();
    assert!(matches!(
        RootAuthority::open(issuing_pem, issuing_key()),
        Err(AuthorityError::WrongKind { .. })
    ));
    assert_eq!(
        Authority::open(root_pem, issuing_key()).err(),
        Some(AuthorityError::OtherKey)
    );
    let leaf = &NET.members[&id("bank-a")];
    let leaf_key = CertificateKey::from_pkcs8(leaf.key.pkcs8().expose()).unwrap();
    assert!(matches!(
        Authority::open(&leaf.chain_pem, leaf_key),
        Err(AuthorityError::WrongKind { .. })
    ));
}

#[test]
fn a_certificate_never_outlives_its_authority() {
    let profile = Profile {
        life_days: 5_000,
        backdate_minutes: 0,
    };
    let key = CertificateKey::generate().unwrap();
    let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
    let statement = stated(&NET.members[&id("bank-a")].identity, &key);
    let issue_at = |now| {
        NET.authority.issue(
            &Subject {
                network: NET.root.network(),
                role: Role::Lender,
                member: &id("bank-a"),
                identity_key: &NET.members[&id("bank-a")].identity.public(),
            },
            &requested,
            &statement,
            &Issuance {
                profile: &profile,
                now,
                entropy: &SeededEntropy::from_seed(5),
            },
        )
    };
    let own = OwnCertificate::new(&issue_at(now()).unwrap(), key).unwrap();
    assert_eq!(own.leaf().not_after(), now().plus(DAY * 730));
    assert!(matches!(
        issue_at(now().plus(DAY * 731)),
        Err(AuthorityError::Expired { .. })
    ));
}

#[test]
fn own_certificates_are_checked_as_peers_will() {
    let own = NET.own_certificate(&id("bank-a")).unwrap();
    assert_eq!(own.check(&NET.root, now()), Ok(()));
    assert!(matches!(
        own.check(&NET.root, now().plus(DAY * 91)),
        Err(TrustError::Expired { .. })
    ));
    assert!(matches!(
        own.check(&NET.root, now().minus(DAY)),
        Err(TrustError::NotYetValid { .. })
    ));
    let elsewhere = mint(77);
    assert!(matches!(
        own.check(&elsewhere.root, now()),
        Err(TrustError::OtherRoot { .. })
    ));
    let chain = &NET.members[&id("bank-a")].chain_pem;
    let other_key = CertificateKey::generate().unwrap();
    assert_eq!(
        OwnCertificate::new(chain, other_key).err(),
        Some(TrustError::OtherKey)
    );
}

#[test]
fn bytes_that_are_no_members_certificate_are_refused() {
    assert_eq!(
        PeerCertificate::parse(&[]).err(),
        Some(CertificateError::Unreadable)
    );
    assert_eq!(
        PeerCertificate::parse(&vec![0x30; 10_000]).err(),
        Some(CertificateError::Unreadable)
    );
    let own = NET.own_certificate(&id("bank-a")).unwrap();
    let mut longer = own.leaf_der().to_vec();
    longer.push(0);
    assert_eq!(
        PeerCertificate::parse(&longer).err(),
        Some(CertificateError::Unreadable)
    );
    for cut in [1, 100, longer.len() / 2, longer.len() - 2] {
        assert!(PeerCertificate::parse(&longer[..cut]).is_err());
    }
    let root = &NET.root.authorities()[0];
    assert_eq!(
        PeerCertificate::parse(root).err(),
        Some(CertificateError::Names)
    );
}

#[test]
fn a_removed_member_stays_removed_and_its_key_is_not_given_again() {
    let mut list = MemberList::following(&NET.roster, now(), DAY);
    list.set_state(&id("bank-a"), MemberState::Removed).unwrap();
    assert!(list.set_state(&id("bank-a"), MemberState::Active).is_err());
    assert!(
        list.set_state(&id("nobody"), MemberState::Suspended)
            .is_err()
    );
    let mut again = list.members[0].clone();
    again.id = id("bank-z");
    assert!(list.enter(again).is_err());
    assert_eq!(list.members.len(), 2);
}

#[test]
fn a_renewed_certificate_has_a_new_key_and_is_admitted() {
    let mut net = mint(9);
    let before = *net
        .own_certificate(&id("bank-a"))
        .unwrap()
        .leaf()
        .spki_sha256();
    let entropy = SeededEntropy::from_seed(10);
    let own = net.renew(&id("bank-a"), now().plus(DAY), &entropy).unwrap();
    assert_ne!(*own.leaf().spki_sha256(), before);
    assert!(net.roster.admit(own.leaf(), now().plus(DAY)).is_ok());
}

#[test]
fn a_certificate_ends_with_the_members_own_statement() {
    let bank_a = id("bank-a");
    let key = CertificateKey::generate().unwrap();
    let identity = &NET.members[&bank_a].identity;
    let network = NET.root.network();
    let end = now().plus(DAY);
    let statement = CertificateStatement::make(identity, network, &bank_a, &key.spki_sha256(), end);
    let brief = certificate(&key, &statement, Role::Lender);
    assert_eq!(brief.not_after(), end);
    assert!(NET.roster.admit(&brief, now()).is_ok());
    let refusal = NET.roster.admit(&brief, end).unwrap_err();
    assert_eq!(refusal.code(), "certificate-expired");
}
