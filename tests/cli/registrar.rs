//! A network with a registrar, by the documented commands only: from nothing to members that query.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::shell::{Served, begin, creditmesh, creditmesh_reading, free_address};

/// A network with a registrar that runs.
pub(super) struct City {
    dir: TempDir,
    pub(super) registrar: Option<Served>,
}

impl City {
    pub(super) fn found(administrators: &str, threshold: &str) -> Self {
        Self::found_at(administrators, threshold, &[&free_address()])
    }

    /// Founds a network with a registrar at each address; the first one serves.
    pub(super) fn found_at(administrators: &str, threshold: &str, addresses: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let admin = dir.path().join("admin").display().to_string();
        let mut arguments = vec![
            "network",
            "init",
            &admin,
            "--id",
            "credit-net",
            "--currency",
            "USD",
            "--administrators",
            administrators,
            "--threshold",
            threshold,
            "--json",
        ];
        for address in addresses {
            arguments.extend(["--registrar", address, "--registrar-listen", address]);
        }
        let run = creditmesh(&arguments);
        run.json(0);
        let mut city = Self {
            dir,
            registrar: None,
        };
        city.serve();
        city
    }

    /// Hands the administrators' keys over into files of their own; gives these, and the file with
    /// the passphrase that opens each.
    pub(super) fn hand_over<const N: usize>(&self, names: [&str; N]) -> ([String; N], String) {
        let passphrase = self.path("pass");
        std::fs::write(&passphrase, "correct horse\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&passphrase, private).unwrap();
        let keys = names.map(|name| {
            let key = self.path(&format!("{name}.key"));
            let run = [
                "key",
                name,
                "--out",
                &key,
                "--key-passphrase-file",
                &passphrase,
            ];
            assert_eq!(self.network(&run).code, 0);
            key
        });
        (keys, passphrase)
    }

    pub(super) fn serve(&mut self) {
        self.registrar = Some(Served::registrar(&self.path("admin")));
    }

    /// Ends the registrar's process and starts it anew.
    pub(super) fn registrar_again(&mut self) {
        self.registrar = None;
        self.serve();
    }

    pub(super) fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("not so within 30 s: {what}");
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(super) fn network(&self, arguments: &[&str]) -> super::shell::Run {
        let admin = self.path("admin");
        let (verb, rest) = arguments.split_first().unwrap();
        creditmesh(&[&["network", verb, &admin], rest].concat())
    }

    pub(super) fn invite(&self, member: &str, role: &str) -> String {
        let run = self.network(&["invite", "--member", member, "--role", role, "--json"]);
        run.json(0)["token"].as_str().unwrap().to_owned()
    }

    pub(super) fn begin_join(&self, token: &str, member: &str) -> Child {
        let address = free_address();
        let dir = self.path(member);
        begin(&["node", "join", token, "--dir", &dir, "--listen", &address])
    }

    /// Approves as soon as the request has arrived.
    pub(super) fn approve(&self, member: &str) -> Value {
        for _ in 0..200 {
            let run = self.network(&["approve", member, "--json"]);
            if run.code == 0 {
                return run.json(0);
            }
            assert!(run.stderr.contains("waits for nothing"), "{run:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no request of {member} within 20 s");
    }

    pub(super) fn join(&self, member: &str, role: &str) {
        let token = self.invite(member, role);
        let mut joining = self.begin_join(&token, member);
        self.approve(member);
        assert!(joining.wait().unwrap().success());
    }

    pub(super) fn status(&self, member: &str) -> Value {
        let run = creditmesh(&["node", "status", "--dir", &self.path(member), "--json"]);
        serde_json::from_str(&run.stdout).unwrap_or_default()
    }

    pub(super) fn wait_for(&self, member: &str, what: &str, mut holds: impl FnMut(&Value) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if holds(&self.status(member)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{member}: not {what} within 30 s: {}", self.status(member));
    }
}

pub(super) fn mirrors(status: &Value) -> usize {
    let peers = status["peers"].as_array();
    peers.map_or(0, |peers| {
        let whole = |peer: &&Value| peer["trouble"] == "" && peer["mirror_size"].as_u64() > Some(0);
        peers.iter().filter(whole).count()
    })
}

#[test]
fn two_lenders_and_a_bureau_join_by_one_command_each_and_one_is_removed() {
    let begun = Instant::now();
    let city = City::found("chair", "1");
    let members = [("alpha", "lender"), ("beta", "lender"), ("gamma", "bureau")];
    for (member, role) in members {
        city.join(member, role);
    }
    let mut nodes: Vec<Served> = members
        .iter()
        .map(|(member, _)| Served::start(&city.path(member)))
        .collect();
    for (member, _) in members {
        city.wait_for(member, "mirroring both others", |status| {
            mirrors(status) == 2
        });
    }
    println!(
        "from nothing to three members that mirror: {:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() < Duration::from_secs(300));

    let dry = city
        .network(&["remove", "gamma", "--dry-run", "--json"])
        .json(0);
    assert_eq!(dry["changes"][0], "gamma is removed for good");
    assert_eq!(dry["published"], Value::Null);
    let run = city.network(&["remove", "gamma"]);
    println!("{}", run.stdout);
    assert_eq!(run.code, 0, "{run:?}");
    for words in [
        "gamma is removed for good",
        "published",
        "2 of 2 nodes acknowledged",
    ] {
        assert!(run.stdout.contains(words), "no {words:?} in {run:?}");
    }
    for member in ["alpha", "beta"] {
        let line = run.stdout.lines().find(|line| line.starts_with(member));
        assert!(line.unwrap().contains("acknowledged"), "{run:?}");
        city.wait_for(member, "left with one peer", |status| {
            status["peers"].as_array().map(Vec::len) == Some(1)
        });
    }
    drop(nodes.pop());
    let again = city.network(&["remove", "gamma", "--json"]);
    again.says(1, &["gamma is removed already"]);
}

#[test]
fn two_administrators_sign_with_their_own_keys_and_the_joiner_hears_who_is_missing() {
    let city = City::found("chair,secretary,auditor", "2");
    let (keys, passphrase) = city.hand_over(["chair", "secretary", "auditor"]);
    let by = |key: &str, arguments: &[&str]| {
        let signing = ["--key", key, "--key-passphrase-file", &passphrase, "--json"];
        city.network(&[arguments, &signing].concat())
    };
    city.network(&["invite", "--member", "alpha"])
        .says(1, &["--key FILE"]);
    let invited = by(&keys[0], &["invite", "--member", "alpha"]).json(0);
    let token = invited["token"].as_str().unwrap().to_owned();

    let mut joining = city.begin_join(&token, "alpha");
    let first = loop {
        let run = by(&keys[0], &["approve", "alpha"]);
        if run.code == 0 {
            break run.json(0);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(
        (&first["signed"], &first["published"]),
        (&Value::from(1), &Value::from(false))
    );
    assert!(
        first["changes"][0]
            .as_str()
            .unwrap()
            .starts_with("alpha joins: lender")
    );
    // The same administrator once more is still one.
    let waiting = by(&keys[1], &["sign", "--dry-run"]).json(0);
    let digest = waiting["proposals"][0]["digest"].as_str().unwrap();
    let again = by(&keys[0], &["sign", digest]).json(0);
    assert_eq!(again["proposals"][0]["signed"], 1);
    assert_eq!(waiting["proposals"][0]["signed"], 1);
    assert_eq!(waiting["waiting"][0], "alpha");
    assert!(joining.try_wait().unwrap().is_none(), "it still waits");
    // Interrupted and given again in the same folder, the command goes on.
    joining.kill().unwrap();
    joining.wait().unwrap();
    let dir = city.path("alpha");
    let signed = by(&keys[1], &["approve", "alpha"]).json(0);
    assert_eq!(
        (&signed["signed"], &signed["published"]),
        (&Value::from(2), &Value::from(true))
    );
    let joined = creditmesh_reading(
        &format!("{token}\n"),
        &["node", "join", "-", "--dir", &dir, "--json"],
    );
    assert_eq!(joined.json(0)["member"], "alpha");
    // Again: it is a member, and says so.
    let again = creditmesh(&["node", "join", &token, "--dir", &dir, "--json"]);
    assert_eq!(again.json(0)["member"], "alpha");
    nobody_else_gets_in_and_it_renews(&city, &token);
}

fn nobody_else_gets_in_and_it_renews(city: &City, token: &str) {
    let dir = city.path("alpha");
    let other = city.path("other");
    creditmesh(&["node", "join", token, "--dir", &other]).says(1, &["spent"]);
    assert!(!Path::new(&other).exists());

    let chain = |dir: &str| std::fs::read_to_string(Path::new(dir).join("node.crt")).unwrap();
    let before = chain(&dir);
    let renewed = creditmesh(&["cert", "renew", "--dir", &dir, "--json"]).json(0);
    assert_ne!(chain(&dir), before);
    let shown = creditmesh(&["cert", "show", "--dir", &dir, "--json"]).json(0);
    assert_eq!(shown["serial"], renewed["serial"]);
    assert_eq!(creditmesh(&["cert", "check", "--dir", &dir]).code, 0);
}

#[test]
fn a_registrar_and_a_joiner_that_are_killed_lose_nothing() {
    let mut city = City::found("chair", "1");
    let token = city.invite("alpha", "lender");
    // Killed at different moments, the same command always goes on.
    for after_ms in [30, 400, 1_200, 2_500] {
        let mut joining = city.begin_join(&token, "alpha");
        std::thread::sleep(Duration::from_millis(after_ms));
        joining.kill().unwrap();
        joining.wait().unwrap();
        city.registrar = None;
        city.serve();
    }
    let mut joining = city.begin_join(&token, "alpha");
    let published = city.approve("alpha");
    assert_eq!(published["published"], true);
    city.registrar = None;
    city.serve();
    assert!(joining.wait().unwrap().success());
    let node = Served::start(&city.path("alpha"));
    city.wait_for("alpha", "up", |status| status["list_version"] == 2);

    // The registrar dies while the node runs: the node goes on, and follows the next one.
    city.registrar = None;
    assert_eq!(city.status("alpha")["list_version"], 2);
    city.serve();
    city.join("beta", "lender");
    city.wait_for("alpha", "on the next list", |status| {
        status["list_version"] == 3
    });
    let renewed = creditmesh(&["cert", "renew", "--dir", &city.path("alpha"), "--json"]);
    assert_eq!(renewed.json(0)["serial"].as_str().unwrap().len(), 32);
    drop(node);
}

#[test]
fn what_is_wrong_with_a_token_is_told() {
    let mut city = City::found("chair", "1");
    let token = city.invite("alpha", "lender");
    let dir = city.path("alpha");
    let join = |token: &str| creditmesh(&["node", "join", token, "--dir", &dir]);
    join(&token[..token.len() - 3]).says(2, &["incomplete or mistyped"]);
    let again = city.network(&["invite", "--member", "Not A Name"]);
    assert_eq!(again.code, 2);
    city.network(&[
        "invite",
        "--member",
        "beta",
        "--out",
        &city.path("beta.invite"),
    ])
    .says(1, &["has a registrar"]);
    city.network(&["approve", "alpha"])
        .says(1, &["waits for nothing"]);
    city.registrar = None;
    join(&token).says(3, &["cannot reach the registrar", "nobody listens there"]);
    assert!(!Path::new(&dir).exists());

    // A registrar of another network at that address is not believed.
    let other = City::found("chair", "1");
    let admin = city.path("admin");
    let from = Path::new(&other.path("admin")).join("registrar.toml");
    let address = std::fs::read_to_string(from).unwrap();
    std::fs::write(Path::new(&admin).join("registrar.toml"), address).unwrap();
    city.network(&["show"]).says(0, &[]);
    city.network(&["sign"])
        .says(1, &["certificate is refused here"]);
}
