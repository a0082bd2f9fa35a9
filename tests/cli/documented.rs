//! The README's own lines, run as they stand there: from nothing to two lenders and a bureau. Only
//! names and addresses are other ones.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::registrar::mirrors;
use super::shell::{Run, Served, creditmesh, ended, free_address, program};

/// The commands of the README's code block that has `mark`, without their comments.
fn block(mark: &str) -> Vec<String> {
    let text = include_str!("../../README.md");
    let block = text.split("```").find(|block| block.contains(mark));
    let block = block.unwrap_or_else(|| panic!("no block with {mark:?} in the README"));
    let lines = block.lines().filter(|line| line.starts_with("creditmesh "));
    lines
        .map(|line| line.split('#').next().unwrap().trim().to_owned())
        .collect()
}

fn one<'a>(lines: &'a [String], verb: &str) -> &'a str {
    let begins = format!("creditmesh {verb}");
    let found = lines.iter().find(|line| line.starts_with(&begins));
    found.unwrap_or_else(|| panic!("no {begins:?} among {lines:?}"))
}

/// Somebody who types the README's lines in a folder.
struct Reader {
    dir: TempDir,
    registrar: String,
}

impl Reader {
    /// A line of the README as it is typed for `member`; `token` stands for the token.
    fn typed(&self, line: &str, member: &str, token: &str) -> Command {
        let words = line.split_whitespace().skip(1);
        let words = words.map(|word| match word {
            "registrar.example.com:7400" => self.registrar.clone(),
            "alpha.example.com:7401" => free_address(),
            "alpha" => member.to_owned(),
            "TOKEN" => token.to_owned(),
            other => other.to_owned(),
        });
        let mut words: Vec<String> = words.collect();
        // Where the lines leave the address to listen on to its default, this machine's loopback.
        if let Some(at) = words.iter().position(|word| word == "--endpoint") {
            words.extend(["--listen".to_owned(), words[at + 1].clone()]);
        }
        if words.iter().any(|word| word == "--registrar") {
            words.extend(["--registrar-listen".to_owned(), self.registrar.clone()]);
        }
        let mut command = Command::new(program());
        command.args(words).current_dir(self.dir.path());
        command
    }

    fn run(&self, line: &str, member: &str) -> Run {
        ended(self.typed(line, member, "").output().unwrap())
    }

    fn join(&self, lines: &[String], member: &str, role: &str) {
        let invite = one(lines, "network invite").to_owned();
        let invite = match role {
            "lender" => invite,
            other => format!("{invite} --role {other}"),
        };
        let said = self.run(&invite, member);
        assert_eq!(said.code, 0, "{said:?}");
        let token = said
            .stdout
            .split_whitespace()
            .find(|word| word.len() > 100)
            .unwrap_or_else(|| panic!("no token in {said:?}"));
        let mut joining = self.typed(one(lines, "node join"), member, token);
        let mut joining: Child = joining
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        loop {
            let approved = self.run(one(lines, "network approve"), member);
            if approved.code == 0 {
                break;
            }
            assert!(
                approved.stderr.contains("waits for nothing"),
                "{approved:?}"
            );
            assert!(begun.elapsed() < Duration::from_secs(30), "{approved:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(joining.wait().unwrap().success());
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

#[test]
fn the_readmes_lines_lead_from_nothing_to_two_lenders_and_a_bureau() {
    let begun = Instant::now();
    let (founding, serving) = (block("network serve"), block("node serve"));
    let reader = Reader {
        dir: tempfile::tempdir().unwrap(),
        registrar: free_address(),
    };
    let founded = reader.run(one(&founding, "network init"), "");
    assert_eq!(founded.code, 0, "{founded:?}");
    assert_eq!(
        one(&founding, "network serve"),
        "creditmesh network serve admin"
    );
    let _registrar = Served::registrar(&reader.path("admin"));
    let members = [("alpha", "lender"), ("beta", "lender"), ("gamma", "bureau")];
    for (member, role) in members {
        reader.join(&founding, member, role);
    }
    assert_eq!(
        one(&serving, "node serve"),
        "creditmesh node serve --dir alpha"
    );
    let nodes = members.map(|(member, _)| Served::start(&reader.path(member)));
    for (member, _) in members {
        let others = || {
            let dir = reader.path(member);
            let status = creditmesh(&["node", "status", "--dir", &dir, "--json"]);
            serde_json::from_str(&status.stdout).map_or(0, |status| mirrors(&status))
        };
        while others() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(300), "{member}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    println!(
        "two commands of each joiner, approval included, {:?} for all three",
        begun.elapsed()
    );
    assert!(begun.elapsed() < Duration::from_secs(300));
    assert!(Path::new(&reader.path("gamma")).is_dir());
    drop(nodes);
}
