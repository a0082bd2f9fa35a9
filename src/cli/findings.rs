//! `creditmesh audit findings`: queries that look like fishing, and who looked at them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::wire::pb;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    creditmesh audit findings --dir alpha\n  \
    creditmesh audit findings --dir alpha --now --json\n  \
    creditmesh audit findings acknowledge 5f0c1d2e3a4b5c6d --by \"Chen Wei\" \\\n    \
    --says \"month-end batch of branch 12; consents shown\"\n\n\
    No borrower is named in a finding. A finding is a reason to ask, not a proof: see\n\
    docs/lawful-use.md.";

/// `creditmesh audit findings`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct FindingsArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Judge anew first; the node does so every ten minutes by itself.
    #[arg(long)]
    now: bool,
    /// Show findings that somebody acknowledged too.
    #[arg(long)]
    all: bool,
    #[command(subcommand)]
    step: Option<FindingsStep>,
}

#[derive(Debug, Subcommand)]
enum FindingsStep {
    /// Note that a person has looked at a finding, and what it came to.
    #[command(after_help = "Example:\n  creditmesh audit findings acknowledge \
        5f0c1d2e3a4b5c6d --by \"Chen Wei\" --says \"consents shown\"")]
    Acknowledge(AcknowledgeArgs),
}

#[derive(Debug, Args)]
struct AcknowledgeArgs {
    #[command(flatten)]
    node: NodeAt,
    /// The finding's number.
    #[arg(value_name = "ID")]
    id: String,
    /// Who looked at it.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// What it came to.
    #[arg(long, value_name = "TEXT")]
    says: String,
}

pub(super) async fn run(args: &FindingsArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.step {
        Some(FindingsStep::Acknowledge(step)) => acknowledge(step, output).await,
        None => list(args, output).await,
    }
}

/// How many findings wait for a person.
pub(super) async fn open(node: &NodeAt) -> Result<u32, CliError> {
    let wanted = pb::ListFindingsRequest::default();
    let told = node.findings().await?.list_findings(wanted).await?;
    Ok(told.into_inner().open)
}

async fn list(args: &FindingsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.findings().await?;
    let wanted = pb::ListFindingsRequest {
        judge: args.now,
        all: args.all,
    };
    let told = node.list_findings(wanted).await?.into_inner();
    let values: Vec<Value> = told.findings.iter().map(value_of).collect();
    output.show(&json!({ "open": told.open, "findings": values }), || {
        let mut lines: Vec<String> = told.findings.iter().map(text_of).collect();
        lines.push(match told.open {
            0 => "nothing waits for a person".to_owned(),
            open => format!("{open} wait for a person: `creditmesh audit findings acknowledge`"),
        });
        lines.join("\n")
    });
    Ok(Exit::Done)
}

async fn acknowledge(step: &AcknowledgeArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = step.node.findings().await?;
    let wanted = pb::AcknowledgeFindingRequest {
        id: step.id.clone(),
        by: step.by.clone(),
        says: step.says.clone(),
    };
    let done = node.acknowledge_finding(wanted).await?.into_inner();
    output.show(&value_of(&done), || text_of(&done));
    Ok(Exit::Done)
}

fn moment(unix_ms: i64) -> String {
    Timestamp::from_unix_ms(unix_ms).to_rfc3339()
}

fn value_of(one: &pb::FishingFinding) -> Value {
    let acknowledged = (one.acknowledged_unix_ms != 0).then(|| {
        json!({ "by": one.acknowledged_by, "says": one.acknowledged_says,
            "at": moment(one.acknowledged_unix_ms) })
    });
    json!({ "id": one.id, "code": one.code, "severity": one.severity,
        "peer": (!one.peer.is_empty()).then_some(&one.peer), "seen": one.seen, "fix": one.fix,
        "since": moment(one.since_unix_ms), "found_at": moment(one.found_unix_ms),
        "acknowledged": acknowledged })
}

fn text_of(one: &pb::FishingFinding) -> String {
    let whom = match one.peer.as_str() {
        "" => "own queries",
        peer => peer,
    };
    let mut text = format!(
        "{}  {:<8} {} ({whom}), since {}\n    {}\n    fix: {}",
        one.id,
        one.severity,
        one.code,
        moment(one.since_unix_ms),
        one.seen,
        one.fix
    );
    if one.acknowledged_unix_ms != 0 {
        text.push_str("\n    acknowledged by ");
        text.push_str(&one.acknowledged_by);
        text.push_str(": ");
        text.push_str(&one.acknowledged_says);
    }
    text
}
