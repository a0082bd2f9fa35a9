//! The membership log over a real registrar and real nodes: what was handed out stands in every
//! member's verified log, and a registrar that rewrites, withholds or makes up is caught.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod town;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use creditmesh::env::{Clock, SystemClock};
use creditmesh::membership::{LogEntry, LogEvent, MemberState};
use creditmesh::node::{
    Folder, LogFinding, LogReport, LogSource, MemberWish, RunningNode, verify_log,
};

use town::{Town, id};

impl Town {
    /// By the time of this machine, for a registrar that runs as a program of its own.
    async fn found_by_this_clock() -> Self {
        Self::found_at(SystemClock.now()).await
    }

    /// The registrar as a program of its own.
    fn serve_program(&self) -> Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
            .args(["network", "serve"])
            .arg(self.admin())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("registrar serves on"), "{line:?}");
        child
    }

    async fn stop(&self, node: Arc<RunningNode>) {
        Arc::into_inner(node).unwrap().shutdown().await.unwrap();
    }
}

/// The kinds of findings, each once, in the order in which they came.
fn kinds(findings: &[LogFinding]) -> Vec<&str> {
    let mut kinds = Vec::new();
    for one in findings {
        if !kinds.contains(&one.kind.as_str()) {
            kinds.push(one.kind.as_str());
        }
    }
    kinds
}

/// `creditmesh node log` with these arguments: exit code and what it printed.
fn node_log(arguments: &[&str]) -> (i32, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["node", "log"])
        .args(arguments)
        .output()
        .unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    (ended.status.code().unwrap(), printed)
}

/// The one log in a node's folder, checked from its files alone.
fn checked(town: &Town, member: &str) -> (LogReport, Vec<LogEvent>) {
    let mut sources = town.folder(member).logs(town.clock.now()).unwrap();
    assert_eq!(sources.len(), 1);
    checked_source(&sources.remove(0))
}

fn checked_source(source: &LogSource) -> (LogReport, Vec<LogEvent>) {
    let mut events = Vec::new();
    let report = verify_log(source, |_, entry: &LogEntry| {
        events.push(entry.event.clone());
    });
    (report.unwrap(), events)
}

/// The folder of the one log below `folder`.
fn log_folder(folder: &Path) -> PathBuf {
    let mut found = std::fs::read_dir(folder).unwrap();
    let path = found.next().unwrap().unwrap().path();
    assert!(found.next().is_none());
    path
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn reads(node: &RunningNode) -> Vec<LogFinding> {
    node.read_logs().await.unwrap()
}

fn certificates(events: &[LogEvent], of: &str) -> usize {
    let is = |event: &&LogEvent| {
        let LogEvent::Certificate { member, .. } = event else {
            return false;
        };
        *member == id(of)
    };
    events.iter().filter(is).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registrar_hands_out_stands_in_every_members_verified_log() {
    let mut town = Town::found().await;
    for name in ["alpha", "beta", "gamma"] {
        town.join(name).await;
    }
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    alpha.renew_certificate().await.unwrap();
    let suspended = town
        .change(&MemberWish::State(id("gamma"), MemberState::Suspended))
        .await;
    // A restart of the registrar goes on with the same log.
    town.registrar.take().unwrap().shutdown().await;
    town.serve().await;
    alpha.renew_certificate().await.unwrap();
    for node in [&alpha, &beta, &alpha, &beta] {
        assert_eq!(kinds(&reads(node).await), Vec::<&str>::new());
    }
    let (report, events) = checked(&town, "alpha");
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(checked(&town, "beta"), (report.clone(), events.clone()));
    println!("{}: {} entries", report.origin, report.size);

    assert!(matches!(
        events.first(),
        Some(LogEvent::Root { version: 1, .. })
    ));
    let lists = events.iter().filter_map(|event| {
        let LogEvent::List { version, pins, .. } = event else {
            return None;
        };
        Some((*version, pins.clone()))
    });
    let lists: Vec<_> = lists.collect();
    // Each list is there, and the last one says who was suspended, and no more.
    let versions: Vec<u32> = lists.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, (1..=suspended).collect::<Vec<_>>());
    let (_, pins) = lists.last().unwrap();
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].member, id("gamma"));
    assert_eq!(pins[0].state, MemberState::Suspended);
    for (member, count) in [("alpha", 3), ("beta", 1), ("gamma", 1)] {
        assert_eq!(certificates(&events, member), count, "{member}");
        let spent = |event: &&LogEvent| {
            let LogEvent::InvitationSpent { member: one, .. } = event else {
                return false;
            };
            *one == id(member)
        };
        assert_eq!(events.iter().filter(spent).count(), 1, "{member}");
    }
    for member in ["alpha", "beta"] {
        let stated = |event: &&LogEvent| {
            let LogEvent::OprfKey(statement) = event else {
                return false;
            };
            statement.terms.member == id(member)
        };
        assert!(events.iter().filter(stated).count() >= 1, "{member}");
    }
    an_auditor_finds_the_same(&town, &report);
}

/// An auditor has the files and the root, and nothing else.
fn an_auditor_finds_the_same(town: &Town, report: &LogReport) {
    let log = log_folder(&town.folder("alpha").path().join("log"));
    let (root, list) = (
        town.admin().join("network.json"),
        town.admin().join("members.json"),
    );
    let source = LogSource::from_files(&log, &root, Some(&list), town.clock.now()).unwrap();
    assert_eq!(checked_source(&source).0, *report);
    let (dir, from, root_path) = (
        town.folder("alpha").path().display().to_string(),
        log.display().to_string(),
        root.display().to_string(),
    );
    let (code, printed) = node_log(&["--dir", &dir, "--member", "gamma"]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("gamma suspended with key"), "{printed}");
    assert!(
        printed.contains("every entry and signature holds"),
        "{printed}"
    );
    assert!(!printed.contains("alpha certified"), "{printed}");
    let (code, printed) = node_log(&["--from", &from, "--root", &root_path, "--verify"]);
    assert_eq!((code, printed.lines().count()), (0, 1), "{printed}");
    // An altered copy is told apart, wherever it was altered.
    let altered = town.admin().join("altered");
    copy(&log, &altered);
    let good = std::fs::read(log.join("entries")).unwrap();
    for at in (0..good.len()).step_by(good.len() / 23) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(altered.join("entries"), &bytes).unwrap();
        let source = LogSource::from_files(&altered, &root, None, town.clock.now()).unwrap();
        assert!(!checked_source(&source).0.is_sound(), "byte {at}");
    }
    let altered = altered.display().to_string();
    let (code, printed) = node_log(&["--from", &altered, "--root", &root_path, "--json"]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("\"sound\":false"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_member_did_not_ask_for_is_found_by_it() {
    let town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let thief = town.admin().join("thief");
    copy(town.folder("alpha").path(), &thief);
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    assert_eq!(kinds(&reads(&alpha).await), Vec::<&str>::new());
    let clock = Arc::new(town.clock.clone());
    Folder::at(&thief).renew_certificate(clock).await.unwrap();
    let found = reads(&alpha).await;
    assert_eq!(kinds(&found), ["own-certificate"]);
    assert!(found[0].says.contains("this node never"), "{found:?}");
    assert_eq!(kinds(&reads(&beta).await), Vec::<&str>::new());
    // Found once, kept, and told by the offline check, too.
    assert_eq!(reads(&alpha).await, found);
    let (report, events) = checked(&town, "alpha");
    assert_eq!(report.faults.len(), 1);
    assert_eq!(certificates(&events, "alpha"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrar_that_shows_two_histories_is_caught_and_the_proof_is_kept() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    town.join("beta").await;
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    for node in [&alpha, &beta, &alpha, &beta] {
        assert_eq!(kinds(&reads(node).await), Vec::<&str>::new());
    }
    // Beta sleeps while alpha sees more of the log; then the log is put back to an earlier day.
    town.stop(beta).await;
    town.registrar.take().unwrap().shutdown().await;
    let (kept, earlier) = (
        town.admin().join("registrar/log"),
        town.admin().join("earlier"),
    );
    copy(&kept, &earlier);
    town.serve().await;
    alpha.renew_certificate().await.unwrap();
    assert_eq!(kinds(&reads(&alpha).await), Vec::<&str>::new());
    town.registrar.take().unwrap().shutdown().await;
    copy(&earlier, &kept);
    // The note about the log's length is put back with it, as by whoever puts the whole disk back.
    for entry in std::fs::read_dir(town.admin().join("registrar")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "size") {
            std::fs::remove_file(path).unwrap();
        }
    }
    town.serve().await;
    let found = reads(&alpha).await;
    assert_eq!(kinds(&found), ["rolled-back"]);
    let beta = town.start("beta").await;
    // Beta saw no more than is shown to it now, and hears of more from alpha.
    let found = reads(&beta).await;
    assert_eq!(kinds(&found), ["kept-back"], "{found:?}");
    assert!(found[0].says.contains("alpha saw"), "{found:?}");
    // The registrar goes on: now there are two histories, and both nodes know.
    beta.renew_certificate().await.unwrap();
    let found = reads(&alpha).await;
    assert_eq!(kinds(&found), ["rolled-back", "two-histories"]);
    reads(&beta).await;
    let found = reads(&beta).await;
    assert_eq!(kinds(&found), ["kept-back", "two-histories"]);
    for member in ["alpha", "beta"] {
        let log = log_folder(&town.folder(member).path().join("log"));
        let proofs = std::fs::read_dir(&log).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("contradiction-")
        });
        assert!(proofs.count() >= 2, "{member}");
        assert!(!checked(&town, member).0.is_sound());
    }
    // What was read stays: alpha's log did not follow the other history.
    let (_, events) = checked(&town, "alpha");
    assert_eq!(certificates(&events, "alpha"), 2);
    assert_eq!(certificates(&events, "beta"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortened_log_is_refused_at_the_start_and_a_members_copy_heals_it() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    let alpha = town.start("alpha").await;
    for _ in 0..2 {
        assert_eq!(kinds(&reads(&alpha).await), Vec::<&str>::new());
    }
    let size = checked(&town, "alpha").0.size;
    town.registrar.take().unwrap().shutdown().await;
    let log = log_folder(&town.admin().join("registrar/log"));
    let entries = log.join("entries");
    let good = std::fs::read(&entries).unwrap();
    std::fs::write(&entries, &good[..good.len() - 1]).unwrap();
    let refused = town.try_serve().await.unwrap_err();
    let whole = size - 1;
    assert!(
        refused.contains(&format!("has {whole} whole entries")),
        "{refused}"
    );
    assert!(refused.contains("of a member's node"), "{refused}");
    // One that was altered is refused, too.
    let mut altered = good.clone();
    altered[20] ^= 1;
    std::fs::write(&entries, &altered).unwrap();
    let refused = town.try_serve().await.unwrap_err();
    assert!(
        refused.contains("not those that its checkpoint was signed"),
        "{refused}"
    );
    // Bytes that a crash left after the last signed entry are cut off.
    let own = log_folder(&town.folder("alpha").path().join("log"));
    for name in ["entries", "checkpoint"] {
        std::fs::copy(own.join(name), log.join(name)).unwrap();
    }
    let healed = std::fs::read(&entries).unwrap();
    assert_eq!(healed, good);
    std::fs::write(&entries, [&healed[..], b"\0\0\0\x40torn"].concat()).unwrap();
    town.serve().await;
    assert_eq!(std::fs::read(&entries).unwrap(), good);
    alpha.renew_certificate().await.unwrap();
    assert_eq!(kinds(&reads(&alpha).await), Vec::<&str>::new());
    let (report, _) = checked(&town, "alpha");
    assert!(report.is_sound() && report.size == size + 1);

    a_node_reads_its_copy_again(&town, alpha, size).await;
}

/// A node whose own copy was altered says so, and reads it again under the checkpoint it held.
async fn a_node_reads_its_copy_again(town: &Town, alpha: Arc<RunningNode>, size: u64) {
    let own = log_folder(&town.folder("alpha").path().join("log"));
    town.stop(alpha).await;
    let mut altered = std::fs::read(own.join("entries")).unwrap();
    altered[20] ^= 1;
    std::fs::write(own.join("entries"), &altered).unwrap();
    assert!(!checked(town, "alpha").0.is_sound());
    let alpha = town.start("alpha").await;
    alpha.renew_certificate().await.unwrap();
    assert_eq!(kinds(&reads(&alpha).await), ["copy-damaged"]);
    let (report, events) = checked(town, "alpha");
    assert_eq!((report.size, report.faults.len()), (size + 2, 1));
    assert_eq!(certificates(&events, "alpha"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrar_that_is_killed_while_it_logs_loses_nothing_that_it_signed() {
    let mut town = Town::found_by_this_clock().await;
    town.join("alpha").await;
    town.join("beta").await;
    let (alpha, beta) = (town.start("alpha").await, town.start("beta").await);
    town.registrar.take().unwrap().shutdown().await;
    let mut renewed = 0;
    for round in 0_u64..3 {
        let mut program = town.serve_program();
        let renewing = [&alpha, &beta].map(|node| {
            let node = Arc::clone(node);
            tokio::spawn(async move {
                let mut done = 0;
                while node.renew_certificate().await.is_ok() {
                    done += 1;
                }
                done
            })
        });
        tokio::time::sleep(std::time::Duration::from_millis(700 + 171 * round)).await;
        program.kill().unwrap();
        program.wait().unwrap();
        for one in renewing {
            renewed += one.await.unwrap();
        }
    }
    town.serve().await;
    assert!(renewed > 0);
    for node in [&alpha, &beta, &alpha, &beta] {
        assert_eq!(kinds(&reads(node).await), Vec::<&str>::new());
    }
    let (report, events) = checked(&town, "alpha");
    assert!(report.is_sound(), "{report:?}");
    let logged = certificates(&events, "alpha") + certificates(&events, "beta");
    println!(
        "{renewed} renewals were answered, {} certificates logged",
        logged - 2
    );
    assert!(logged >= renewed + 2, "what was handed out is logged");
}
