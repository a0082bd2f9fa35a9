//! Invitations, requests and welcomes: what is granted, and what is refused.

use super::*;

fn invitation() -> Signed<Invitation> {
    let terms = Seat::of(&id("bank-c"), Role::Lender, "a:1").unwrap().terms;
    NET.invite(&terms, now(), &SeededEntropy::from_seed(6))
        .unwrap()
}

fn request(change: impl FnOnce(&mut serde_json::Value)) -> Result<Applicant, JoinError> {
    let identity = IdentityKey::from_seed(&Secret::from_bytes([5; 32]));
    let key = CertificateKey::generate().unwrap();
    let joiner = Joiner {
        identity: &identity,
        key: &key,
        endpoints: vec!["node.bank-c.example:7420".to_owned()],
        dispute: None,
    };
    let signed = request_to_join(invitation(), joiner, now()).unwrap();
    let mut value = serde_json::to_value(&signed).unwrap();
    change(&mut value);
    let signed = Signed::parse(&value.to_string()).unwrap();
    check_request(&NET.root, &signed, now())
}

#[test]
fn a_request_yields_the_entry_that_the_invitation_granted() {
    let applicant = request(|_| ()).unwrap();
    assert_eq!(applicant.member.id, id("bank-c"));
    assert_eq!(applicant.member.state, MemberState::Active);
    assert_eq!(
        applicant.invitation_id,
        invitation().document().invitation_id
    );
}

#[test]
fn requests_and_invitations_that_were_altered_are_refused() {
    let is_forged = |result: Result<Applicant, JoinError>| {
        matches!(
            result,
            Err(JoinError::Document {
                error: DocumentError::ForgedSignature { .. } | DocumentError::UnderSigned { .. },
                ..
            })
        )
    };
    assert!(is_forged(request(|file| {
        file["document"]["endpoints"] = serde_json::json!(["evil.example:1"]);
    })));
    assert!(is_forged(request(
        |file| file["signatures"] = serde_json::json!([])
    )));
    assert!(is_forged(request(|file| {
        file["document"]["invitation"]["document"]["terms"]["weight"] = serde_json::json!(1024);
    })));
    assert!(is_forged(request(|file| {
        file["document"]["invitation"]["signatures"] = serde_json::json!([]);
    })));
    assert!(matches!(
        check_invitation(&invitation(), now().plus(DAY * 3)),
        Err(JoinError::Expired { .. })
    ));
    let other = mint(88);
    let terms = Seat::of(&id("bank-c"), Role::Lender, "a:1").unwrap().terms;
    let foreign = other
        .invite(&terms, now(), &SeededEntropy::from_seed(6))
        .unwrap();
    let identity = IdentityKey::from_seed(&Secret::from_bytes([5; 32]));
    let key = CertificateKey::generate().unwrap();
    let joiner = Joiner {
        identity: &identity,
        key: &key,
        endpoints: vec!["a:1".to_owned()],
        dispute: None,
    };
    let signed = request_to_join(foreign, joiner, now()).unwrap();
    assert_eq!(
        check_request(&NET.root, &signed, now()).err(),
        Some(JoinError::OtherNetwork)
    );
}

#[test]
fn a_welcome_with_another_certificate_or_without_the_joiner_is_refused() {
    let welcome = |chain: &str, roster: &Roster| {
        Signed::unsigned(Welcome {
            format: Welcome::FORMAT.to_owned(),
            certificate_chain: chain.to_owned(),
            list: roster.signed().clone(),
        })
    };
    let member = &NET.members[&id("bank-a")];
    let key = || CertificateKey::from_pkcs8(member.key.pkcs8().expose()).unwrap();
    let accept = |welcome| accept_welcome(&NET.root, &welcome, key(), now());
    assert!(accept(welcome(&member.chain_pem, &NET.roster)).is_ok());
    let others = &NET.members[&id("bank-b")].chain_pem;
    assert_eq!(
        accept(welcome(others, &NET.roster)).err(),
        Some(JoinError::Trust(TrustError::OtherKey))
    );
    let without = roster_after(|list| {
        list.members.remove(0);
    });
    assert!(matches!(
        accept(welcome(&member.chain_pem, &without)).err(),
        Some(JoinError::NotAdmitted { .. })
    ));
}
