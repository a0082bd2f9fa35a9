//! The registrar and a joiner are killed with SIGKILL at random moments of an enrolment, again and
//! again: the start after it works, the same command goes on, nothing acknowledged is lost, and an
//! invitation is spent only after the joiner has stored everything.
//!
//! `CREDITMESH_TEST_SIZE=full` kills 25 times, without it 6 times. The moments come from the seed
//! `CREDITMESH_TEST_SEED`, 1 where it is not given.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use creditmesh::env::{Entropy, SeededEntropy};
use serde_json::Value;

use super::registrar::City;
use super::shell::{Served, creditmesh};

/// Longest time from one kill to the next, in milliseconds: about as long as an enrolment takes.
const APART_MAX_MS: u64 = 1_500;

fn kills_wanted() -> usize {
    let size = std::env::var("CREDITMESH_TEST_SIZE");
    if size.as_deref() == Ok("full") { 25 } else { 6 }
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        let mut drawn = [0; 8];
        self.0.fill(&mut drawn).unwrap();
        u64::from_le_bytes(drawn) % bound
    }
}

/// What the documented commands have promised so far.
#[derive(Default)]
struct Promised {
    /// Members on a list that a command called published.
    listed: Vec<String>,
    /// Members whose `node join` ended well.
    joined: Vec<String>,
}

struct Rehearsal {
    city: City,
    dice: Dice,
    promised: Promised,
    kills: usize,
}

impl Rehearsal {
    /// Kills the registrar, the joiner or both, starts the registrar again, and looks at what is
    /// left.
    fn kill(&mut self, joining: &mut Child) {
        let which = self.dice.below(3);
        if which != 0 {
            joining.kill().unwrap();
            joining.wait().unwrap();
        }
        if which != 1 {
            self.city.registrar_again();
        }
        self.kills += 1;
        self.look();
    }

    fn look(&self) {
        let shown = self.city.network(&["show", "--json"]).json(0);
        let members = shown["members"].as_array().unwrap();
        for name in &self.promised.listed {
            assert!(members.iter().any(|one| one["id"] == *name), "{name} lost");
        }
        let folder = Path::new(&self.city.path("admin")).join("registrar/invitations");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let member = kept["invitation"]["document"]["terms"]["member"].as_str();
            let member = member.unwrap();
            if self.promised.joined.iter().any(|name| name == member) {
                assert_eq!(kept["spent"], true, "{member} acknowledged");
            }
            if kept["spent"] == true {
                let folder = self.city.path(member);
                for file in ["node.crt", "members.json"] {
                    let stored = Path::new(&folder).join(file);
                    assert!(stored.exists(), "spent, and {member} has no {file}");
                }
            }
        }
    }

    /// One member joins, however often it and the registrar are killed; `most` kills at most.
    fn enrol(&mut self, member: &str, most: usize) {
        let token = self.city.invite(member, "lender");
        let mut joining = self.city.begin_join(&token, member);
        loop {
            std::thread::sleep(Duration::from_millis(self.dice.below(APART_MAX_MS)));
            if self.kills < most {
                self.kill(&mut joining);
            }
            // May be refused: nothing waits yet, it is done already, or the process is not there.
            let approved = self.city.network(&["approve", member, "--json"]);
            if approved.code == 0 && approved.json(0)["published"] == true {
                self.promised.listed.push(member.to_owned());
            }
            if let Some(ended) = joining.try_wait().unwrap() {
                if ended.success() {
                    break;
                }
                joining = self.city.begin_join(&token, member);
            }
        }
        self.promised.joined.push(member.to_owned());
        self.look();
        let other = self.city.path("other");
        creditmesh(&["node", "join", &token, "--dir", &other]).says(1, &["spent"]);
    }
}

#[test]
fn a_registrar_and_joiners_that_are_killed_at_random_moments_lose_nothing() {
    let seed = std::env::var("CREDITMESH_TEST_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok()).unwrap_or(1);
    let wanted = kills_wanted();
    let mut rehearsal = Rehearsal {
        city: City::found("chair", "1"),
        dice: Dice(SeededEntropy::from_seed(seed)),
        promised: Promised::default(),
        kills: 0,
    };
    let mut members = 0;
    while rehearsal.kills < wanted || members < 2 {
        members += 1;
        let name = format!("member-{members}");
        // A few kills each, so that several enrolments are hit.
        let most = wanted.min(rehearsal.kills + 4);
        rehearsal.enrol(&name, most);
    }
    let _first = Served::start(&rehearsal.city.path("member-1"));
    let version = u64::try_from(members + 1).unwrap();
    rehearsal
        .city
        .wait_for("member-1", "on the newest list", |status| {
            status["list_version"].as_u64() >= Some(version)
        });
    println!(
        "seed {seed}: {} kills, {members} members joined, nothing lost",
        rehearsal.kills
    );
}
