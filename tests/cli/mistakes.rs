//! What people get wrong with the administrators' commands and with files: told at once, with one
//! exit code for like cases, and nothing changes.

use std::process::Command;

use serde_json::Value;

use super::shell::{Run, Town, creditmesh};

fn network(town: &Town, arguments: &[&str]) -> Run {
    let admin = town.path("admin");
    let (verb, rest) = arguments.split_first().unwrap();
    creditmesh(&[&["network", verb, &admin], rest].concat())
}

fn list_version(town: &Town) -> Value {
    network(town, &["show", "--json"]).json(0)["list_version"].clone()
}

#[test]
fn a_network_that_cannot_be_founded_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let admin = dir.path().join("admin").display().to_string();
    let init = |more: &[&str]| {
        let fixed = ["network", "init", &admin, "--id", "credit-net"];
        creditmesh(&[&fixed[..], more].concat())
    };
    init(&["--administrators", "3", "--threshold", "2"])
        .says(1, &["nothing was made", "threshold", "1 (3), threshold 2"]);
    init(&["--administrators", "chair,chair"]).says(1, &["two administrators have one name"]);
    init(&["--administrators", "../chair"]).says(1, &["nothing was made", "a name of letters"]);
    assert!(!std::path::Path::new(&admin).exists());
    init(&["--administrators", "chair"]).says(0, &[]);
}

#[test]
fn what_is_so_already_makes_no_new_list() {
    let town = Town::found();
    town.join("alpha");
    let again = town.path("again.invite");
    network(&town, &["invite", "--member", "alpha", "--out", &again])
        .says(1, &["alpha is on the member list already"]);
    network(&town, &["restore", "alpha"]).says(1, &["alpha is active already"]);
    assert_eq!(network(&town, &["suspend", "alpha"]).code, 0);
    let version = list_version(&town);
    network(&town, &["suspend", "alpha"]).says(1, &["alpha is suspended already"]);
    assert_eq!(list_version(&town), version);
    assert_eq!(network(&town, &["restore", "alpha"]).code, 0);
}

#[test]
fn an_invitation_that_could_not_be_approved_is_not_written() {
    let town = Town::found();
    let out = town.path("beta.invite");
    let invite = |more: &[&str]| {
        let fixed = ["invite", "--member", "beta", "--out", &out];
        network(&town, &[&fixed, more].concat())
    };
    invite(&["--weight", "3"]).says(2, &["a power of two"]);
    invite(&["--weight", "2", "--role", "regulator"]).says(2, &["0 for a regulator"]);
    invite(&["--purposes", "collection,marketing"]).says(1, &["marketing is never a purpose"]);
    invite(&["--purposes", "leisure"]).says(2, &["no purpose \"leisure\""]);
    assert_eq!(invite(&["--role", "regulator"]).code, 0);
    // A file that is there stays, whichever command finds it.
    invite(&[]).says(1, &["exists already"]);
    let request = town.request("alpha");
    network(&town, &["approve", &request, "--out", &out]).says(1, &["exists already"]);
}

#[test]
fn a_hold_of_no_hours_is_refused() {
    let hold = ["hold", "0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e", "--hours"];
    for hours in ["0", "169"] {
        creditmesh(&[&hold[..], &[hours]].concat()).says(2, &["is not in 1..=168"]);
    }
}

#[test]
fn a_file_that_is_no_text_is_an_error_and_not_a_wait() {
    let town = Town::found();
    town.join("alpha");
    let (dir, config) = (town.path("alpha"), town.path("alpha/node.toml"));
    let (folder, pipe) = (town.path("folder"), town.path("pipe"));
    std::fs::create_dir(&folder).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for other in [folder.as_str(), &pipe, "/dev/zero"] {
        let words = ["name a plain file"];
        creditmesh(&["node", "join", other, "--dir", &town.path("new")]).says(4, &words);
        let welcome = town.path("welcome");
        network(&town, &["approve", other, "--out", &welcome]).says(4, &words);
        std::fs::remove_file(&config).unwrap();
        std::os::unix::fs::symlink(other, &config).unwrap();
        for verb in ["serve", "verify"] {
            creditmesh(&["node", verb, "--dir", &dir]).says(4, &words);
        }
    }
    // A document of another kind is refused by every command alike.
    let members = town.path("admin/members.json");
    creditmesh(&["node", "join", &members, "--dir", &town.path("new")]).says(1, &["invitation"]);
    let welcome = town.path("welcome");
    network(&town, &["approve", &members, "--out", &welcome]).says(1, &["request"]);
}
