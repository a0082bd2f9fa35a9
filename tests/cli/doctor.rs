//! Rights, certificates and the doctor, by the documented commands only.

use serde_json::Value;

use super::shell::{Served, Town, creditmesh};

fn findings<'a>(report: &'a Value, area: &str, peer: Option<&str>) -> Vec<&'a Value> {
    let all = report["findings"].as_array().unwrap();
    let fits = |one: &&Value| one["area"] == area && one["peer"].as_str() == peer;
    all.iter().filter(fits).collect()
}

#[test]
fn can_i_says_yes_or_no_with_rule_and_list_version() {
    let town = Town::found();
    town.join("alpha");
    let (admin, folder) = (town.path("admin"), town.path("alpha"));
    let can_i = |dir: &str, rest: &[&str]| {
        let asked = [&["network", "can-i", dir, "alpha"], rest, &["--json"]].concat();
        creditmesh(&asked)
    };
    let collection = ["evaluate", "--purpose", "collection"];
    for dir in [&admin, &folder] {
        let yes = can_i(dir, &collection).json(0);
        assert_eq!(
            (&yes["allowed"], &yes["rule"]),
            (&true.into(), &"purposes".into())
        );
        assert_eq!(yes["list_version"], 2);
        assert_eq!(yes["level"], "full");
        let no = can_i(dir, &["evaluate"]).json(1);
        assert_eq!(no["rule"], "no-purpose");
    }
    let stranger = ["network", "can-i", &admin, "omega", "feed", "--json"];
    assert_eq!(creditmesh(&stranger).json(1)["rule"], "not-a-member");
    can_i(&admin, &["lend"]).says(2, &["evaluate, feed"]);
    can_i(&admin, &["evaluate", "--purpose", "leisure"]).says(2, &["no purpose"]);
    for never in ["marketing", "employment", "pre-screening", "PreScreening"] {
        let asked = can_i(&admin, &["evaluate", "--purpose", never]);
        asked.says(1, &["is never a purpose", "do not ask"]);
    }

    let change = |rest: &[&str]| {
        let asked = [&["network", "rights", &admin, "alpha"], rest, &["--json"]].concat();
        creditmesh(&asked).json(0)
    };
    assert_eq!(change(&[])["changed"], false);
    let changed = change(&["--withdraw", "collection,self-access"]);
    assert_eq!(
        (&changed["changed"], &changed["list_version"]),
        (&true.into(), &3.into())
    );
    let no = can_i(&admin, &collection).json(1);
    assert_eq!(
        (&no["rule"], &no["list_version"]),
        (&"purpose-not-granted".into(), &3.into())
    );
    let yes = can_i(&folder, &collection).json(0);
    assert_eq!(
        yes["list_version"], 2,
        "the node's own folder has the older list"
    );

    let end = "2126-01-01T00:00:00Z";
    change(&["--grant", "collection", "--until", end, "--quota", "10"]);
    let yes = can_i(&admin, &collection).json(0);
    assert_eq!(yes["rule"], "granted");
    assert_eq!(yes["quota_elements_per_epoch"], 10);
    let later = can_i(&admin, &[&collection[..], &["--at", end]].concat()).json(1);
    assert_eq!(later["rule"], "list-expired", "no list lasts that long");
    change(&["--warn-late"]);
    change(&["--take-warning-back"]);
    change(&["--probation-until", end]);
    let fraud = ["evaluate", "--purpose", "fraud-prevention"];
    let new = can_i(&admin, &fraud).json(0);
    assert_eq!(new["quota_elements_per_epoch"], 200_000, "a tenth");
}

fn cert_shows_how_long_it_lasts(alpha: &str) -> Value {
    let cert = creditmesh(&["cert", "show", "--dir", alpha, "--json"]).json(0);
    assert_eq!(cert["life"], "green");
    assert_eq!(cert["identity_key"].as_str().unwrap().len(), 64);
    assert_eq!(cert["chain"].as_array().unwrap().len(), 2);
    assert!(cert["renews_at"].as_str() < cert["not_after"].as_str());
    let metrics = creditmesh(&["cert", "show", "--dir", alpha, "--metrics"]).stdout;
    let ends = format!(
        "subject=\"{}\"}} {}\n",
        cert["chain"][0]["subject"].as_str().unwrap(),
        cert["not_after_unix"]
    );
    assert!(metrics.contains(&ends), "{ends} in {metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    cert
}

#[test]
fn the_doctor_finds_what_is_wrong_and_cert_tells_how_long_it_lasts() {
    let town = Town::found();
    for member in ["alpha", "beta"] {
        town.join(member);
    }
    town.give_list("alpha");
    let (alpha, beta) = (town.path("alpha"), town.path("beta"));
    let doctor = |dir: &str| creditmesh(&["node", "doctor", "--dir", dir, "--json"]);

    let stopped = doctor(&alpha).json(0);
    assert_eq!(findings(&stopped, "reach", None)[0]["severity"], "warning");
    assert_eq!(findings(&stopped, "chain", None)[0]["severity"], "fine");
    let strict = ["node", "doctor", "--dir", &alpha, "--strict"];
    assert_eq!(creditmesh(&strict).code, 1);

    let cert = cert_shows_how_long_it_lasts(&alpha);
    let check = ["cert", "check", "--dir", &alpha, "--json"];
    assert_eq!(creditmesh(&check).json(0)["ok"], true);

    let serving = Served::start(&alpha);
    let alone = doctor(&alpha).json(3);
    let reach = &findings(&alone, "reach", Some("beta"))[0];
    assert_eq!(reach["severity"], "broken", "{alone:#}");
    assert!(
        reach["says"]
            .as_str()
            .unwrap()
            .contains("nobody listens there")
    );
    assert_eq!(creditmesh(&check).json(0)["ok"], true, "also while it runs");

    let other = Served::start(&beta);
    town.wait_for_mirrors("alpha", 1);
    town.wait_for_mirrors("beta", 1);
    let both = doctor(&alpha).json(0);
    for area in ["clock", "list", "quota", "mirror", "reveals"] {
        let found = findings(&both, area, Some("beta"));
        assert_eq!(found[0]["severity"], "fine", "{area}: {both:#}");
    }
    let status = creditmesh(&["node", "status", "--dir", &alpha, "--json"]).json(0);
    assert_eq!(status["certificate_life"], "green");
    let end = status["certificate_not_after_unix"].as_i64().unwrap();
    assert_eq!(Some(end), cert["not_after_unix"].as_i64());

    // Beta takes a list on which alpha is suspended; alpha knows nothing of it.
    let suspend = ["network", "suspend", &town.path("admin"), "alpha", "--json"];
    assert_eq!(creditmesh(&suspend).code, 0);
    town.give_list("beta");
    let refused = (0..50).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let run = doctor(&alpha);
        (run.code == 1).then(|| run.json(1))
    });
    let refused = refused.unwrap();
    let rights = &findings(&refused, "rights", Some("beta"))[0];
    assert!(
        rights["says"]
            .as_str()
            .unwrap()
            .contains("alpha is suspended"),
        "{rights}"
    );
    assert!(
        rights["fix"]
            .as_str()
            .unwrap()
            .contains("ask the administrators")
    );
    drop((serving, other));
}
