//! The revocation list that a registrar writes for tools outside.

use std::time::Duration;

use creditmesh::membership::{CertificateKey, MemberState, PeerCertificate};
use x509_parser::prelude::{FromDer, ReasonCode};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::town::{Town, der_of};

const DAY: Duration = Duration::from_secs(86_400);

fn fresh() -> String {
    CertificateKey::generate().unwrap().request_pem().unwrap()
}

fn serial_of(chain: &str) -> String {
    PeerCertificate::first_of(chain).unwrap().serial_text()
}

/// Serial numbers with reason and time in seconds, and the list's own number.
fn revoked(town: &Town) -> (Vec<(String, ReasonCode, i64)>, u64) {
    let text = std::fs::read_to_string(town.admin().join("authority/issuing.crl")).unwrap();
    let der = der_of(&text);
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let entries = list.iter_revoked_certificates().map(|one| {
        let serial = data_encoding::HEXLOWER.encode(one.raw_serial());
        let reason = one.reason_code().unwrap().1;
        (serial, reason, one.revocation_date.timestamp())
    });
    let number = list.crl_number().unwrap().iter_u64_digits().next();
    (entries.collect(), number.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registrars_revocation_list_names_enrolled_and_renewed_certificates_until_they_end() {
    let mut town = Town::found().await;
    let mut alpha = vec![serial_of(&town.enrol("alpha", &fresh()).await.unwrap())];
    let beta = serial_of(&town.enrol("beta", &fresh()).await.unwrap());
    town.pass(DAY / 4).await;
    for _ in 0..2 {
        alpha.push(serial_of(&town.renew("alpha", &fresh()).await.unwrap()));
    }
    let (none, first) = revoked(&town);
    assert_eq!(none, []);

    town.pass(DAY / 4).await;
    town.set_state("alpha", MemberState::Suspended).await;
    let suspended_s = town.now().unix_ms() / 1_000;
    let (held, second) = revoked(&town);
    assert!(second > first);
    let serials: Vec<_> = held.iter().map(|(serial, ..)| serial.clone()).collect();
    assert_eq!(serials, alpha);
    for (_, reason, at_s) in &held {
        assert_eq!((*reason, *at_s), (ReasonCode::CertificateHold, suspended_s));
    }
    let refused = town.renew("alpha", &fresh()).await.unwrap_err();
    assert!(refused.contains("suspended"), "{refused}");

    town.set_state("alpha", MemberState::Active).await;
    assert_eq!(revoked(&town).0, []);
    town.pass(DAY / 4).await;
    town.set_state("alpha", MemberState::Removed).await;
    let removed_s = town.now().unix_ms() / 1_000;
    assert_eq!(revoked(&town).0.len(), 3);

    // The registrar is killed, a note torn; it goes on, and the time of removal stays.
    town.stop().await;
    let note = town.admin().join("issued");
    let whole = std::fs::read_to_string(&note).unwrap();
    std::fs::write(&note, format!("{whole}40aa 99")).unwrap();
    std::fs::remove_file(town.admin().join("authority/issuing.crl")).unwrap();
    town.pass(Duration::from_secs(60)).await;
    town.serve().await;
    assert_eq!(std::fs::read_to_string(&note).unwrap(), whole);
    let (gone, third) = revoked(&town);
    assert!(third > second);
    let reason = ReasonCode::CessationOfOperation;
    assert!(gone.iter().all(|one| (one.1, one.2) == (reason, removed_s)));

    // What was enrolled first has ended a quarter of a day later; what was renewed has not.
    town.pass(DAY / 4).await;
    town.set_state("beta", MemberState::Suspended).await;
    let left: Vec<_> = revoked(&town).0.into_iter().map(|one| one.0).collect();
    assert_eq!(left, alpha[1..]);
    town.pass(DAY).await;
    town.set_state("beta", MemberState::Removed).await;
    assert_eq!(revoked(&town).0, []);
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "");
    assert!(whole.contains(&beta));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_renews_without_a_pause_is_told_to_wait() {
    let town = Town::found().await;
    town.enrol("alpha", &fresh()).await.unwrap();
    for _ in 1..64 {
        town.renew("alpha", &fresh()).await.unwrap();
    }
    let refused = town.renew("alpha", &fresh()).await.unwrap_err();
    assert!(refused.contains("64 certificates"), "{refused}");
    town.pass(DAY * 2).await;
    town.renew("alpha", &fresh()).await.unwrap();
}
