//! The membership logs in words, and whether they hold.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, SystemClock};
use crate::membership::{LogEntry, LogEvent, MemberState, Pin, hex_groups};
use crate::node::{Folder, LogReport, LogSource, verify_log};
use crate::wire::pb;

/// `creditmesh node log`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh node log --dir alpha\n  \
    creditmesh node log --dir alpha --member beta --json\n  \
    creditmesh node log --from alpha/log/0123456789abcdef --root network.json --verify\n\n\
    Every entry, every signature and the signed checkpoint are checked from the files alone,\n\
    whether or not the node runs. Exit code 0 all holds, 1 it does not.")]
pub(super) struct LogArgs {
    #[command(flatten)]
    node: NodeDir,
    /// Say only whether it holds, without the entries.
    #[arg(long)]
    verify: bool,
    /// Only entries about this member.
    #[arg(long, value_name = "MEMBER")]
    member: Option<MemberId>,
    /// A log's folder (`entries` and `checkpoint`) from somewhere else, in place of --dir.
    #[arg(
        long,
        value_name = "FOLDER",
        requires = "root",
        conflicts_with = "path"
    )]
    from: Option<PathBuf>,
    /// The network's root document, for --from.
    #[arg(long, value_name = "FILE", requires = "from")]
    root: Option<PathBuf>,
    /// A member list that the log must agree with, for --from.
    #[arg(long, value_name = "FILE", requires = "from")]
    members: Option<PathBuf>,
}

pub(super) fn run(args: &LogArgs, output: &Output) -> Result<Exit, CliError> {
    let now = SystemClock.now();
    let sources = match (&args.from, &args.root) {
        (Some(folder), Some(root)) => {
            let list = args.members.as_deref();
            vec![LogSource::from_files(folder, root, list, now)?]
        }
        (None, _) | (_, None) => Folder::at(&args.node.path).logs(now)?,
    };
    let mut sound = true;
    let mut values = Vec::new();
    let mut text = Vec::new();
    for source in &sources {
        let mut entries = Vec::new();
        let shown = |entry: &LogEntry| {
            let about = |member: &MemberId| entry.event.concerns(member);
            !args.verify && args.member.as_ref().is_none_or(about)
        };
        let report = verify_log(source, |index, entry| {
            if shown(entry) {
                entries.push((index, entry.clone()));
            }
        })?;
        sound &= report.is_sound();
        text.extend(entries.iter().map(|(index, entry)| line(*index, entry)));
        text.extend(verdict(&report));
        values.push(value(&report, &entries));
    }
    output.show(&json!({ "sound": sound, "logs": values }), || {
        text.join("\n")
    });
    Ok(if sound { Exit::Done } else { Exit::Refused })
}

fn verdict(report: &LogReport) -> Vec<String> {
    let LogReport {
        origin,
        size,
        signed_at,
        faults,
    } = report;
    let fault = |(index, why): &(Option<u64>, String)| match index {
        Some(index) => format!("WRONG  entry {index}: {why}"),
        None => format!("WRONG  {why}"),
    };
    let mut lines: Vec<String> = faults.iter().map(fault).collect();
    let signed = signed_at.map_or_else(String::new, |at| format!(", signed at {at}"));
    lines.push(if faults.is_empty() {
        format!("{origin}: {size} entries{signed}: every entry and signature holds")
    } else {
        let count = faults.len();
        format!("{origin}: {size} entries{signed}: {count} faults; show them to the administrators")
    });
    lines
}

fn value(report: &LogReport, entries: &[(u64, LogEntry)]) -> Value {
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|(entry, says)| json!({ "entry": entry, "says": says }))
        .collect();
    let entries: Vec<Value> = entries
        .iter()
        .map(|(index, entry)| {
            json!({ "entry": index, "at": entry.at.to_rfc3339(), "kind": entry.event.word(),
                "says": words(&entry.event) })
        })
        .collect();
    json!({ "origin": report.origin, "size": report.size, "sound": report.is_sound(),
        "signed_at": report.signed_at.map(Timestamp::to_rfc3339), "faults": faults,
        "entries": entries })
}

fn line(index: u64, entry: &LogEntry) -> String {
    format!("{index:>6}  {}  {}", entry.at, words(&entry.event))
}

/// The first characters of a key or digest, for people who compare.
fn short(bytes: &[u8; 32]) -> String {
    hex_groups(bytes.first_chunk::<4>().unwrap_or(&[0; 4]))
}

fn words(event: &LogEvent) -> String {
    match event {
        LogEvent::Root { version, digest } => {
            format!("root {version} in force ({} …)", short(digest))
        }
        LogEvent::List {
            version,
            digest,
            pins,
            ..
        } => {
            let pins: Vec<String> = pins.iter().map(pinned).collect();
            let changes = if pins.is_empty() {
                "no change of keys or states".to_owned()
            } else {
                pins.join(", ")
            };
            format!(
                "member list {version} in force ({} …): {changes}",
                short(digest)
            )
        }
        LogEvent::Certificate {
            member,
            spki_sha256,
            statement,
        } => format!(
            "{member} certified for TLS key {} …, stated until {}",
            short(spki_sha256),
            statement.until()
        ),
        LogEvent::OprfKey(statement) => format!(
            "{} states OPRF key {} … for level {}, epoch {}",
            statement.terms.member,
            short(&statement.terms.public_key),
            statement.terms.level,
            statement.terms.epoch
        ),
        LogEvent::InvitationSpent { member, .. } => format!("{member} joined, invitation spent"),
    }
}

fn pinned(pin: &Pin) -> String {
    let state = match pin.state {
        MemberState::Active => "active",
        MemberState::Suspended => "suspended",
        MemberState::Removed => "removed",
    };
    format!(
        "{} {state} with key {} …",
        pin.member,
        short(&pin.identity_key)
    )
}

/// The logs in the node's status, for machines.
pub(super) fn values(logs: &[pb::LogState]) -> Vec<Value> {
    let value = |log: &pb::LogState| {
        let at = (log.signed_unix_ms > 0).then(|| Timestamp::from_unix_ms(log.signed_unix_ms));
        json!({ "origin": log.origin, "size": log.size, "findings": log.findings,
            "signed_at": at.map(Timestamp::to_rfc3339) })
    };
    logs.iter().map(value).collect()
}

/// The logs in the node's status, for people.
pub(super) fn lines(logs: &[pb::LogState]) -> Vec<String> {
    let lines = logs.iter().flat_map(|log| {
        let head = format!("log          {} entries of {}", log.size, log.origin);
        let found = log.findings.iter();
        let found = found.map(|says| format!("             WRONG: {says}"));
        std::iter::once(head).chain(found)
    });
    lines.collect()
}
