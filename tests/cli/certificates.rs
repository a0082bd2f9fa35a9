//! What OpenSSL says of the certificates and of the revocation list that the commands write.

use std::process::{Command, Output};

use super::shell::{Town, creditmesh};

/// `openssl verify` of a member's certificate, with these further options.
fn verify(town: &Town, member: &str, options: &[&str]) -> Output {
    let authority = |file: &str| town.path(&format!("admin/authority/{file}"));
    let (root, issuing, list) = (
        authority("root.crt"),
        authority("issuing.crt"),
        authority("issuing.crl"),
    );
    let certificate = town.path(&format!("{member}/node.crt"));
    Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile", &root])
        .args(["-untrusted", &issuing, "-CRLfile", &list])
        .args(options)
        .arg(&certificate)
        .output()
        .unwrap()
}

fn said(run: &Output) -> String {
    let (out, err) = (&run.stdout, &run.stderr);
    String::from_utf8_lossy(&[&out[..], &err[..]].concat()).into_owned()
}

#[test]
fn openssl_accepts_a_members_certificate_until_its_member_is_removed() {
    let town = Town::found();
    for member in ["alpha", "beta"] {
        town.join(member);
        for purpose in ["sslserver", "sslclient"] {
            let run = verify(&town, member, &["-purpose", purpose, "-crl_check"]);
            assert!(run.status.success(), "{}", said(&run));
        }
        let authority = verify(&town, member, &["-purpose", "crlsign"]);
        assert!(!authority.status.success(), "a member is no authority");
    }
    let admin = town.path("admin");
    assert_eq!(creditmesh(&["network", "suspend", &admin, "alpha"]).code, 0);
    assert_eq!(creditmesh(&["network", "remove", &admin, "beta"]).code, 0);
    for member in ["alpha", "beta"] {
        let run = verify(&town, member, &["-crl_check"]);
        assert!(!run.status.success());
        assert!(said(&run).contains("certificate revoked"), "{}", said(&run));
    }
    assert_eq!(creditmesh(&["network", "restore", &admin, "alpha"]).code, 0);
    let run = verify(&town, "alpha", &["-crl_check"]);
    assert!(run.status.success(), "{}", said(&run));
}
