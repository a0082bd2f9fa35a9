//! What OpenSSL and pkilint say of the certificates and of the revocation lists that the commands
//! write.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::registrar::City;
use super::shell::{Town, creditmesh};

/// `openssl verify` of a member's certificate, with these further options.
fn verify(admin: &str, certificate: &str, options: &[&str]) -> Output {
    let authority = |file: &str| format!("{admin}/authority/{file}");
    let (root, issuing, list) = (
        authority("root.crt"),
        authority("issuing.crt"),
        authority("issuing.crl"),
    );
    Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile", &root])
        .args(["-untrusted", &issuing, "-CRLfile", &list])
        .args(options)
        .arg(certificate)
        .output()
        .unwrap()
}

fn said(run: &Output) -> String {
    let (out, err) = (&run.stdout, &run.stderr);
    String::from_utf8_lossy(&[&out[..], &err[..]].concat()).into_owned()
}

pub(crate) fn accepts(admin: &str, certificate: &str) {
    for purpose in ["sslserver", "sslclient"] {
        let run = verify(admin, certificate, &["-purpose", purpose, "-crl_check"]);
        assert!(run.status.success(), "{}", said(&run));
    }
}

fn says_revoked(admin: &str, certificate: &str) {
    let run = verify(admin, certificate, &["-crl_check"]);
    assert!(!run.status.success());
    assert!(said(&run).contains("certificate revoked"), "{}", said(&run));
}

/// A program of the Python packages that `tests/run` installs.
fn of_python(program: &str) -> PathBuf {
    let given = std::env::var_os("CREDITMESH_TEST_PYTHON").map(PathBuf::from);
    let python = given
        .unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python"));
    assert!(
        python.exists(),
        "no Python packages: run tests/run --python"
    );
    python.with_file_name(program)
}

/// Findings of pkilint from WARNING on that are not waived.
///
/// Waived is `pkix.invalid_uri_syntax` for `spiffe://` alone: pkilint checks URIs with a library
/// that takes the schemes of web pages only, and calls every other one, SPIFFE's too, invalid.
fn findings(program: &str, options: &[&str], file: &str) -> Vec<String> {
    let run = Command::new(of_python(program))
        .args(["lint", "-s", "WARNING", "-f", "JSON"])
        .args(options)
        .arg(file)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&run.stdout)
        .unwrap_or_else(|error| panic!("{file}: {error}: {}", said(&run)));
    let results = report["results"].as_array().unwrap();
    let findings = results
        .iter()
        .flat_map(|result| result["finding_descriptions"].as_array().unwrap());
    findings
        .filter(|finding| {
            let about_spiffe = finding["message"]
                .as_str()
                .is_some_and(|text| text.contains("\"spiffe://"));
            !(finding["code"] == "pkix.invalid_uri_syntax" && about_spiffe)
        })
        .map(ToString::to_string)
        .collect()
}

/// Lints the first certificate of a file, which may hold a chain.
pub(crate) fn certificate_is_clean(file: &str) {
    let first = format!("{file}.first");
    let run = Command::new("openssl")
        .args(["x509", "-in", file, "-out", &first])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", said(&run));
    let found = findings("lint_pkix_cert", &[], &first);
    assert_eq!(found, [""; 0], "{file}");
}

pub(crate) fn list_is_clean(admin: &str) {
    let file = format!("{admin}/authority/issuing.crl");
    let options = ["-t", "CRL", "-p", "PKIX"];
    assert_eq!(findings("lint_crl", &options, &file), [""; 0], "{file}");
}

#[test]
fn openssl_accepts_a_members_certificate_until_its_member_is_removed() {
    let town = Town::found();
    let admin = town.path("admin");
    let certificate = |member: &str| town.path(&format!("{member}/node.crt"));
    for member in ["alpha", "beta"] {
        town.join(member);
        accepts(&admin, &certificate(member));
        let authority = verify(&admin, &certificate(member), &["-purpose", "crlsign"]);
        assert!(!authority.status.success(), "a member is no authority");
    }
    assert_eq!(creditmesh(&["network", "suspend", &admin, "alpha"]).code, 0);
    assert_eq!(creditmesh(&["network", "remove", &admin, "beta"]).code, 0);
    for member in ["alpha", "beta"] {
        says_revoked(&admin, &certificate(member));
    }
    assert_eq!(creditmesh(&["network", "restore", &admin, "alpha"]).code, 0);
    let run = verify(&admin, &certificate("alpha"), &["-crl_check"]);
    assert!(run.status.success(), "{}", said(&run));
}

#[test]
fn pkilint_finds_nothing_in_the_certificates_of_a_network_by_file() {
    let town = Town::found();
    town.join("alpha");
    let admin = town.path("admin");
    certificate_is_clean(&format!("{admin}/authority/root.crt"));
    certificate_is_clean(&format!("{admin}/authority/issuing.crt"));
    certificate_is_clean(&town.path("alpha/node.crt"));
    list_is_clean(&admin);
    assert_eq!(creditmesh(&["network", "suspend", &admin, "alpha"]).code, 0);
    list_is_clean(&admin);
    // The linter does look: a member's certificate in the place of a list is no list.
    let text = std::fs::read_to_string(town.path("alpha/node.crt")).unwrap();
    let damaged = town.path("damaged.crl");
    std::fs::write(&damaged, text.replace("CERTIFICATE", "X509 CRL")).unwrap();
    let run = Command::new(of_python("lint_crl"))
        .args(["lint", "-t", "CRL", "-p", "PKIX", &damaged])
        .output()
        .unwrap();
    assert!(!run.status.success(), "{}", said(&run));

    let run = creditmesh(&["network", "rollover", "prepare", &admin]);
    assert_eq!(run.code, 0, "{run:?}");
    for name in ["root.crt", "issuing.crt"] {
        certificate_is_clean(&format!("{admin}/authority/next/{name}"));
    }
    // The issuing authority, certified by the new root, leads a member to that one too.
    let crossed = Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile"])
        .arg(format!("{admin}/authority/next/root.crt"))
        .arg("-untrusted")
        .arg(format!("{admin}/authority/next/issuing.crt"))
        .arg(town.path("alpha/node.crt"))
        .output()
        .unwrap();
    assert!(crossed.status.success(), "{}", said(&crossed));
}

#[test]
fn certificates_of_a_registrar_are_clean_and_revoked_with_their_member() {
    let city = City::found("chair", "1");
    city.join("alpha", "lender");
    city.join("beta", "lender");
    let admin = city.path("admin");
    let (node, enrolled) = (city.path("alpha/node.crt"), city.path("enrolled.crt"));
    certificate_is_clean(&node);
    accepts(&admin, &node);
    std::fs::copy(&node, &enrolled).unwrap();
    let renewed = creditmesh(&["cert", "renew", "--dir", &city.path("alpha")]);
    assert_eq!(renewed.code, 0, "{renewed:?}");
    assert_ne!(
        std::fs::read_to_string(&node).unwrap(),
        std::fs::read_to_string(&enrolled).unwrap()
    );
    certificate_is_clean(&node);
    accepts(&admin, &node);

    // The registrar's own, as it shows it.
    let config = std::fs::read_to_string(format!("{admin}/registrar.toml")).unwrap();
    let listen = config.lines().find(|line| line.starts_with("listen"));
    let address = listen.unwrap().split('"').nth(1).unwrap().to_owned();
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-alpn", "h2"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let own = city.path("registrar.crt");
    std::fs::write(&own, &shown.stdout).unwrap();
    certificate_is_clean(&own);
    let run = verify(&admin, &own, &["-purpose", "sslserver"]);
    assert!(run.status.success(), "{}", said(&run));

    list_is_clean(&admin);
    assert_eq!(city.network(&["remove", "alpha"]).code, 0);
    list_is_clean(&admin);
    says_revoked(&admin, &node);
    says_revoked(&admin, &enrolled);
    let beta = city.path("beta");
    accepts(&admin, &format!("{beta}/node.crt"));
    let left = creditmesh(&["node", "change", "--leave", "--dir", &beta]);
    assert_eq!(left.code, 0, "{left:?}");
    list_is_clean(&admin);
    says_revoked(&admin, &format!("{beta}/node.crt"));
}
