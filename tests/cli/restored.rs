//! An old backup brings back no old member list, no removed member, and no spent quota.

use std::path::Path;

use serde_json::Value;

use super::registrar::{City, mirrors};
use super::shell::{Served, creditmesh};

/// How many answered an assessment by `member`, and why the others did not.
fn answered(city: &City, member: &str) -> (u64, String) {
    let dir = city.path(member);
    let id = "us-ssn:536-90-4399";
    let ask = [
        "assess",
        "--dir",
        &dir,
        "--id",
        id,
        "--consent",
        "C-1",
        "--json",
    ];
    let answer: Value = serde_json::from_str(&creditmesh(&ask).stdout).unwrap_or_default();
    let count = answer["coverage"]["answered"].as_u64().unwrap_or(0);
    (count, answer["coverage"]["silent"].to_string())
}

#[test]
fn an_old_backup_brings_back_no_old_list_no_removed_member_and_no_spent_quota() {
    let city = City::found("chair", "1");
    for member in ["alpha", "beta", "gamma"] {
        city.join(member, "lender");
    }
    let alpha = city.path("alpha");
    let (old_list, backup) = (city.path("old-members.json"), city.path("alpha.backup"));
    let list = |dir: &str| Path::new(dir).join("members.json");
    std::fs::copy(list(&alpha), &old_list).unwrap();
    assert_eq!(
        creditmesh(&["node", "backup", "--dir", &alpha, &backup]).code,
        0
    );
    let served = ["alpha", "beta", "gamma"].map(|member| Served::start(&city.path(member)));
    for member in ["alpha", "beta", "gamma"] {
        city.wait_for(member, "mirroring", |status| mirrors(status) == 2);
    }
    // Both spend quota at alpha, after the backup.
    city.wait_until("beta is answered by both", || {
        answered(&city, "beta").0 == 2
    });
    city.wait_until("gamma is answered by both", || {
        answered(&city, "gamma").0 == 2
    });
    assert_eq!(city.network(&["remove", "gamma"]).code, 0);
    let version = city.status("alpha")["list_version"].as_u64().unwrap();
    let [running, beta, gamma] = served;
    drop(running);

    // Alpha's folder is lost, and the old backup with the list of that day takes its place.
    let lost = city.path("alpha-lost");
    std::fs::rename(&alpha, &lost).unwrap();
    let key = Path::new(&lost).join("unlock.key").display().to_string();
    let restore = [
        "node",
        "restore",
        "--dir",
        &alpha,
        &backup,
        "--key-file",
        &key,
    ];
    assert_eq!(creditmesh(&restore).code, 0);
    std::fs::copy(&old_list, list(&alpha)).unwrap();
    let running = Served::start(&alpha);
    // It answers nobody before it has the newest list, and nobody in this key epoch: what was spent
    // stays spent.
    assert_eq!(answered(&city, "gamma").0, 0);
    city.wait_for("alpha", "on the newest list", |status| {
        status["list_version"].as_u64() == Some(version)
    });
    assert_eq!(answered(&city, "gamma").0, 0);
    let (count, silent) = answered(&city, "beta");
    assert_eq!((count, silent.contains("refused")), (0, true), "{silent}");
    drop((running, beta, gamma));

    // From here on the folder knows what it has seen: the list that it keeps beside takes the old
    // one's place, and where that is gone too, the old one is refused.
    std::fs::copy(&old_list, list(&alpha)).unwrap();
    let healed = Served::start(&alpha);
    assert_eq!(city.status("alpha")["list_version"].as_u64(), Some(version));
    drop(healed);
    std::fs::copy(&old_list, list(&alpha)).unwrap();
    std::fs::remove_file(Path::new(&alpha).join("staged.json")).unwrap();
    let refused = creditmesh(&["node", "serve", "--dir", &alpha]);
    refused.says(1, &["members.json", "has had version"]);
}
