//! What a member asks for itself, by the documented commands, with a node that is killed.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::registrar::{City, mirrors};
use super::shell::{Served, creditmesh};

fn identity(city: &City, member: &str) -> Value {
    let run = creditmesh(&["cert", "show", "--dir", &city.path(member), "--json"]);
    run.json(0)["identity_key"].clone()
}

fn change_key(city: &City, member: &str) -> String {
    let dir = city.path(member);
    let run = creditmesh(&["node", "change", "--dir", &dir, "--identity-key", "--json"]);
    let asked = run.json(0);
    assert_eq!(asked["asked"], true);
    asked["identity_key"].as_str().unwrap().to_owned()
}

fn assess(city: &City, member: &str, key: &str) -> Value {
    let dir = city.path(member);
    let arguments = [
        "assess",
        "--dir",
        &dir,
        "--consent",
        "C-1",
        "--amount",
        "1200.00 USD",
        "--term-days",
        "90",
        "--idempotency-key",
        key,
        "--id",
        "us-ssn:536-90-4399",
        "--json",
    ];
    serde_json::from_str(&creditmesh(&arguments).stdout).unwrap()
}

/// Each mirrors the other, and each is answered by the other: what a status says may be from before
/// the change, so a look-up decides.
fn in_use(city: &City, key: &str) -> Duration {
    let mut took = Duration::ZERO;
    for member in ["alpha", "beta"] {
        city.wait_for(member, "mirroring", |status| mirrors(status) == 1);
        let begun = Instant::now();
        for attempt in 0.. {
            let answer = assess(city, member, &format!("{key}-{attempt}"));
            if answer["coverage"]["answered"] == 1 {
                break;
            }
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(30), "{member}: {answer:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
        took = took.max(begun.elapsed());
    }
    took
}

/// The audit log, signed by one key after the other, is checked with what the member list says of
/// them; whoever has a copy and one key only cannot check all of it.
fn log_holds_under_all_keys(city: &City, member: &str, (first, last): (&str, &str)) {
    let dir = city.path(member);
    let verified = creditmesh(&["audit", "verify", "--dir", &dir, "--json"]).json(0);
    assert_eq!(verified["sound"], true, "{verified:#}");
    let keys: Vec<&str> = verified["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    assert_eq!(
        (keys.len(), keys[0]),
        (6, last),
        "one, and five changes of it"
    );
    assert!(keys.contains(&first), "{keys:?}");
    let copy = city.path("copy");
    let copied = creditmesh(&["audit", "copy", "--dir", &dir, "--out", &copy]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let by = |keys: &[&str]| {
        let mut arguments = vec!["audit", "verify", "--from", &copy];
        keys.iter().for_each(|key| arguments.extend(["--key", key]));
        creditmesh(&arguments)
    };
    assert_eq!(by(&keys).code, 0, "{:?}", by(&keys));
    let one_key = by(&[last]);
    let named = one_key.stdout.contains("wrong signature");
    assert!(one_key.code == 1 && named, "{one_key:?}");
}

fn raw(shown: &Value) -> String {
    shown.as_str().unwrap().replace(' ', "")
}

#[test]
fn an_identity_key_is_changed_though_the_node_is_killed_at_every_step() {
    let city = City::found("chair", "1");
    city.join("alpha", "lender");
    city.join("beta", "lender");
    let mut alpha = Served::start(&city.path("alpha"));
    let _beta = Served::start(&city.path("beta"));
    println!("both are answered after {:?}", in_use(&city, "k-0"));
    let first = raw(&identity(&city, "alpha"));

    // Killed after the request: it asks again for the same key. Killed while the list is published:
    // the registrar and its peer refuse the old certificate when it is back.
    let next = change_key(&city, "alpha");
    drop(alpha);
    assert_eq!(change_key(&city, "alpha"), next, "also on the stopped node");
    let approved = city.approve("alpha");
    let told = approved["changes"][0].as_str().unwrap();
    assert!(told.starts_with("alpha: identity key"), "{approved:#}");
    assert_eq!(approved["published"], true);
    alpha = Served::start(&city.path("alpha"));
    println!("both are answered after {:?}", in_use(&city, "k-1"));
    assert_eq!(raw(&identity(&city, "alpha")), next);
    assert_ne!(next, first);

    // Killed at different moments after the list is in force.
    for (round, after_ms) in [0, 60, 250, 700].into_iter().enumerate() {
        let next = change_key(&city, "alpha");
        city.approve("alpha");
        std::thread::sleep(Duration::from_millis(after_ms));
        drop(alpha);
        alpha = Served::start(&city.path("alpha"));
        in_use(&city, &format!("k-{}", round + 2));
        assert_eq!(raw(&identity(&city, "alpha")), next);
    }
    let last = raw(&identity(&city, "alpha"));
    log_holds_under_all_keys(&city, "alpha", (&first, &last));
    drop(alpha);
    let run = creditmesh(&["node", "verify", "--dir", &city.path("alpha"), "--json"]);
    assert_eq!(run.json(0)["clean"], true);

    // What is asked for is one thing, and is asked for.
    let dir = city.path("alpha");
    creditmesh(&["node", "change", "--dir", &dir]).says(2, &["--identity-key"]);
    let both = ["node", "change", "--dir", &dir, "--leave", "--identity-key"];
    creditmesh(&both).says(2, &["cannot be used with"]);
}
