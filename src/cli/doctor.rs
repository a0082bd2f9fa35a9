//! What is wrong with a node, and what to do about it.

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::env::{Clock, SystemClock};
use crate::node::{Folder, examine_stopped};
use crate::wire::pb;

/// `creditmesh node doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh node doctor --dir alpha\n  \
    creditmesh node doctor --dir alpha --strict --json\n\n\
    Asks every peer what it is; a stopped node says what can be said without.\n\
    Exit code 0 nothing is broken, 4 something here is broken, 1 somebody refuses this\n\
    member, 3 a peer is not reached; with --strict also 1 where there is only a warning.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Let warnings count: exit code 1.
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(args: &DoctorArgs, output: &Output) -> Result<Exit, CliError> {
    let findings = match args.node.running().await? {
        Some(mut node) => {
            node.examine(pb::ExamineRequest {})
                .await?
                .into_inner()
                .findings
        }
        None if args.node.is_elsewhere() => {
            args.node.required().await?;
            Vec::new()
        }
        None => {
            let folder = Folder::at(&args.node.dir.path);
            let found = examine_stopped(&folder, SystemClock.now()).await?;
            found.into_iter().map(Into::into).collect()
        }
    };
    let exit = exit_of(&findings, args.strict);
    let values: Vec<_> = findings
        .iter()
        .map(|one| {
            json!({ "area": one.area, "peer": (!one.peer.is_empty()).then_some(&one.peer),
                "severity": one.severity, "concern": one.concern, "says": one.says,
                "fix": one.fix })
        })
        .collect();
    let count = |severity: &str| findings.iter().filter(|f| f.severity == severity).count();
    let (broken, warnings) = (count("broken"), count("warning"));
    let value = json!({ "broken": broken, "warnings": warnings, "findings": values });
    output.show(&value, || {
        let mut lines: Vec<String> = findings.iter().map(line_of).collect();
        lines.push(format!("{broken} broken, {warnings} warnings"));
        lines.join("\n")
    });
    Ok(exit)
}

fn line_of(finding: &pb::Finding) -> String {
    let mark = match finding.severity.as_str() {
        "broken" => "BROKEN ",
        "warning" => "warning",
        _ => "ok     ",
    };
    let whom = if finding.peer.is_empty() {
        String::new()
    } else {
        format!("{}: ", finding.peer)
    };
    let fix = if finding.fix.is_empty() {
        String::new()
    } else {
        format!("\n        fix: {}", finding.fix)
    };
    format!("{mark} {:<10} {whom}{}{fix}", finding.area, finding.says)
}

/// What is wrong here counts before what others refuse, and that before who is not reached.
fn exit_of(findings: &[pb::Finding], strict: bool) -> Exit {
    let broken = |concern: &str| {
        let is = |one: &pb::Finding| one.severity == "broken" && one.concern == concern;
        findings.iter().any(is)
    };
    if broken("local") {
        Exit::Local
    } else if broken("refusal") {
        Exit::Refused
    } else if broken("peers") {
        Exit::Peers
    } else if strict && findings.iter().any(|one| one.severity == "warning") {
        Exit::Refused
    } else {
        Exit::Done
    }
}
