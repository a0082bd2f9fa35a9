//! The exchange of the X.509 root, and of an administrator's key, in a network with a registrar: by
//! the documented commands only, with nothing stopped and no file copied.

use serde_json::Value;

use super::registrar::{City, mirrors};
use super::shell::{Run, Served, creditmesh, free_address};

impl City {
    fn rollover(&self, step: &str, more: &[&str]) -> Run {
        let admin = self.path("admin");
        creditmesh(&[&["network", "rollover", step, &admin], more].concat())
    }
}

fn member<'a>(told: &'a Value, name: &str) -> &'a Value {
    let members = told["members"].as_array().unwrap();
    members.iter().find(|one| one["member"] == name).unwrap()
}

#[test]
fn the_x509_root_is_exchanged_by_four_commands_and_whoever_is_not_ready_is_named() {
    let mut city = City::found("chair", "1");
    for name in ["alpha", "beta"] {
        city.join(name, "lender");
    }
    let alpha = Served::start(&city.path("alpha"));
    let beta = Served::start(&city.path("beta"));
    city.wait_for("alpha", "mirroring", |status| mirrors(status) == 1);

    city.rollover("taint", &[])
        .says(1, &["settled; next: prepare"]);
    let dry = city.rollover("prepare", &["--dry-run", "--json"]).json(0);
    assert!(dry["changes"][0].as_str().unwrap().contains("X.509 root"));
    let prepared = city.rollover("prepare", &["--json"]).json(0);
    assert_eq!(
        (&prepared["stage"], &prepared["root_version"]),
        (&"prepared".into(), &2.into())
    );
    assert_eq!(member(&prepared, "beta")["root_version"], 2);
    let active = city.rollover("activate", &["--json"]).json(0);
    assert_eq!(active["stage"], "active");
    assert_eq!(member(&active, "alpha")["certificate_leads_to"], "old");

    // Beta is away: the next stage would cut it off.
    drop(beta);
    city.registrar_again();
    city.wait_until("alpha follows again", || {
        let told = city.rollover("status", &["--json"]).json(0);
        member(&told, "alpha")["follows"] == true
    });
    let refused = city.rollover("taint", &[]);
    refused.says(
        1,
        &[
            "beta does not follow a registrar",
            "--without beta",
            "not everybody is ready",
        ],
    );
    assert!(!refused.stderr.contains("alpha"), "{refused:?}");
    let tainted = city
        .rollover("taint", &["--without", "beta", "--json"])
        .json(0);
    assert_eq!(tainted["stage"], "tainted");
    // It renewed by itself, within the seconds that the command waits.
    let of_alpha = member(&tainted, "alpha");
    assert_eq!(of_alpha["certificate_leads_to"], "new", "{tainted}");
    assert_eq!(of_alpha["blocks"], Value::Null);
    let table = city.rollover("status", &[]);
    println!("{}", table.stdout);
    for words in ["tainted; next: revoke", "leads to", "waits: beta"] {
        assert!(table.stdout.contains(words), "no {words:?} in {table:?}");
    }
    let dry = city.rollover("revoke", &["--dry-run"]);
    assert!(dry.stdout.contains("what leads to it alone is cut off"));
    city.rollover("revoke", &[]).says(1, &["beta"]);
    let revoked = city
        .rollover("revoke", &["--without", "beta", "--json"])
        .json(0);
    assert_eq!(
        (&revoked["stage"], &revoked["root_version"]),
        (&"settled".into(), &4.into())
    );

    // Beta slept through all of it, and is back by itself; a newcomer joins as ever.
    let beta = Served::start(&city.path("beta"));
    city.wait_for("beta", "on root 4 and mirroring", |status| {
        status["root_version"] == 4 && mirrors(status) == 1
    });
    city.join("gamma", "lender");
    let gamma = Served::start(&city.path("gamma"));
    city.wait_for("gamma", "mirroring both", |status| mirrors(status) == 2);
    assert_eq!(city.network(&["remove", "gamma"]).code, 0);
    drop((alpha, beta, gamma));
}

#[test]
fn two_administrators_sign_a_root_and_a_lost_key_is_replaced() {
    let city = City::found("chair,secretary,auditor", "2");
    let passphrase = city.path("pass");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&passphrase, private).unwrap();
    let [chair, secretary] = ["chair", "secretary"].map(|name| {
        let key = city.path(&format!("{name}.key"));
        let out = [
            "key",
            name,
            "--out",
            &key,
            "--key-passphrase-file",
            &passphrase,
        ];
        assert_eq!(city.network(&out).code, 0);
        key
    });
    let with = |key: &str| ["--key", key, "--key-passphrase-file", &passphrase].map(str::to_owned);
    let (first, second) = (with(&chair), with(&secretary));
    let (first, second) = (
        first.each_ref().map(String::as_str),
        second.each_ref().map(String::as_str),
    );

    // The chair's key is lost: the auditor, whose key is in the folder, puts another in its place.
    let put = city
        .rollover("replace-key", &["chair", "chair-2", "--json"])
        .json(0);
    assert_eq!(put["root_version"], 1, "one of two has signed: {put}");
    assert!(
        put["told"][3].as_str().unwrap().contains("waiting: 1 of 2"),
        "{put}"
    );
    let shown = city.network(&[&["sign", "--dry-run"], &second[..]].concat());
    for words in [
        "chair-2 becomes an administrator",
        "chair is an administrator no longer",
    ] {
        assert!(shown.stdout.contains(words), "{shown:?}");
    }
    // What was not named by its digest is not signed.
    city.network(&[&["sign"], &second[..]].concat())
        .says(2, &["by its digest", "chair-2 becomes an administrator"]);
    let waits = city
        .network(&[&["sign", "--dry-run", "--json"], &second[..]].concat())
        .json(0);
    let digest = waits["roots"][0]["digest"].as_str().unwrap();
    let signed = city
        .network(&[&["sign", digest, "--json"], &second[..]].concat())
        .json(0);
    assert_eq!(signed["roots"][0]["published"], true, "{signed}");
    city.network(&[&["sign", digest], &second[..]].concat())
        .says(1, &["nothing that waits has the digest"]);
    let status = city.rollover("status", &["--json"]).json(0);
    assert_eq!(status["root_version"], 2);
    // The lost key opens nothing any more; the new one, in the folder, signs with the auditor's.
    city.network(&[&["sign"], &first[..]].concat())
        .says(1, &["no administrator's key"]);
    let prepared = city.rollover("prepare", &["--json"]).json(0);
    assert_eq!(prepared["root_version"], 3, "{prepared}");
}

#[test]
fn a_network_with_two_registrars_goes_on_with_either() {
    let (one, two) = (free_address(), free_address());
    let mut city = City::found_at("chair", "1", &[&one, &two]);
    let second = Served::registrar(&city.path("admin/registrar-2"));
    for name in ["alpha", "beta"] {
        city.join(name, "lender");
    }
    let alpha = Served::start(&city.path("alpha"));
    let beta = Served::start(&city.path("beta"));
    city.wait_for("alpha", "mirroring", |status| mirrors(status) == 1);

    city.registrar = None;
    city.join("gamma", "lender");
    let removed = city.network(&["remove", "gamma"]);
    println!("{}", removed.stdout);
    assert_eq!(removed.code, 0, "{removed:?}");
    let told = [
        "published",
        "not reached: cannot reach the registrar at",
        one.as_str(),
    ];
    for words in told {
        assert!(
            removed.stdout.contains(words),
            "no {words:?} in {removed:?}"
        );
    }
    city.wait_for("beta", "on the newest list", |status| {
        status["list_version"] == 5
    });
    let renewed = creditmesh(&["cert", "renew", "--dir", &city.path("alpha"), "--json"]);
    assert_eq!(renewed.json(0)["serial"].as_str().unwrap().len(), 32);

    // The other way round: the first takes what it missed, and serves alone.
    city.serve();
    city.wait_until("the first has the newest list", || {
        let list = std::fs::read_to_string(city.path("admin/members.json"));
        let list: Value = serde_json::from_str(&list.unwrap()).unwrap();
        list["document"]["version"] == 5
    });
    drop(second);
    let status = city.rollover("status", &["--json"]).json(0);
    assert_eq!(status["unreached"][0]["registrar"], two.as_str());
    city.join("delta", "lender");
    drop((alpha, beta));
}
