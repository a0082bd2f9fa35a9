//! Disputes on the command line: open, list, acknowledge, decide.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use super::signal::Person;
use crate::domain::Timestamp;
use crate::flows::Resolution;
use crate::wire::pb;

/// `creditmesh records dispute`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  creditmesh records dispute RECORD \\\n    \
    --reason 'never borrowed there' --by ann\n  \
    creditmesh records dispute list\n  creditmesh records dispute acknowledge DISPUTE --by ann\n  \
    creditmesh records dispute resolve DISPUTE --upheld --by bob")]
pub(super) struct DisputeArgs {
    #[command(flatten)]
    node: NodeAt,
    #[command(subcommand)]
    step: Option<DisputeStep>,
    /// Record id of what the borrower disputes.
    #[arg(required = true)]
    record: Option<String>,
    /// What the borrower says, in one line.
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Subcommand)]
enum DisputeStep {
    /// Disputes, those that have to be decided first at the head.
    #[command(after_help = "Example:\n  creditmesh records dispute list --all")]
    List {
        #[command(flatten)]
        node: NodeAt,
        /// Decided ones too.
        #[arg(long)]
        all: bool,
    },
    /// Note that the borrower was told that its dispute arrived.
    #[command(after_help = "Example:\n  creditmesh records dispute acknowledge DISPUTE --by ann")]
    Acknowledge {
        #[command(flatten)]
        node: NodeAt,
        /// Id of the dispute.
        dispute: String,
        #[command(flatten)]
        person: Person,
    },
    /// Decide a dispute.
    #[command(
        after_help = "Example:\n  creditmesh records dispute resolve DISPUTE --rejected --by bob"
    )]
    Resolve(ResolveArgs),
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("resolution").required(true)))]
struct ResolveArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Id of the dispute.
    dispute: String,
    /// The borrower is right: what it disputes is retracted, everywhere.
    #[arg(long, group = "resolution")]
    upheld: bool,
    /// The borrower is not right: the record stands, or stands again.
    #[arg(long, group = "resolution")]
    rejected: bool,
    /// The corrected version, which was furnished since, stands.
    #[arg(long, group = "resolution")]
    corrected: bool,
    #[command(flatten)]
    person: Person,
}

impl ResolveArgs {
    const fn resolution(&self) -> Resolution {
        if self.upheld {
            Resolution::Upheld
        } else if self.rejected {
            Resolution::Rejected
        } else {
            Resolution::Corrected
        }
    }
}

pub(super) async fn run(args: &DisputeArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.step {
        None => open(args, output).await,
        Some(DisputeStep::List { node, all }) => list(node, *all, output).await,
        Some(DisputeStep::Acknowledge {
            node,
            dispute,
            person,
        }) => {
            let request = pb::AcknowledgeDisputeRequest {
                dispute_id: dispute.clone(),
                by: person.by.clone(),
            };
            let noted = node
                .corrections()
                .await?
                .acknowledge_dispute(request)
                .await?;
            Ok(show(&noted.into_inner(), output))
        }
        Some(DisputeStep::Resolve(resolve)) => {
            let request = pb::ResolveDisputeRequest {
                dispute_id: resolve.dispute.clone(),
                resolution: resolve.resolution().word().to_owned(),
                by: resolve.person.by.clone(),
            };
            let decided = resolve
                .node
                .corrections()
                .await?
                .resolve_dispute(request)
                .await?;
            Ok(show(&decided.into_inner(), output))
        }
    }
}

async fn open(args: &DisputeArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::OpenDisputeRequest {
        record_id: args.record.clone().unwrap_or_default(),
        reason: args.reason.clone().unwrap_or_default(),
        by: args.person.by.clone(),
    };
    let opened = args.node.corrections().await?.open_dispute(request).await?;
    Ok(show(&opened.into_inner(), output))
}

async fn list(node: &NodeAt, all: bool, output: &Output) -> Result<Exit, CliError> {
    let request = pb::ListDisputesRequest { all };
    let found = node
        .corrections()
        .await?
        .list_disputes(request)
        .await?
        .into_inner();
    let values: Vec<Value> = found.disputes.iter().map(value).collect();
    output.show(&json!({ "disputes": values }), || {
        let mut lines = vec![match found.disputes.len() {
            1 => "1 dispute".to_owned(),
            many => format!("{many} disputes"),
        }];
        for one in &found.disputes {
            lines.push(format!(
                "{}  {:<20} decide by {}  record {}",
                one.dispute_id, one.state, one.decide_by, one.record_id
            ));
        }
        lines.join("\n")
    });
    Ok(Exit::Done)
}

fn moment(unix_ms: i64) -> Option<String> {
    (unix_ms != 0).then(|| Timestamp::from_unix_ms(unix_ms).to_rfc3339())
}

fn value(one: &pb::Dispute) -> Value {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    json!({
        "dispute_id": one.dispute_id, "record_id": one.record_id, "state": one.state,
        "reason": one.reason,
        "opened_at": moment(one.opened_unix_ms), "opened_by": one.opened_by,
        "acknowledge_by": moment(one.acknowledge_by_unix_ms), "decide_by": one.decide_by,
        "acknowledged_at": moment(one.acknowledged_unix_ms),
        "acknowledged_by": given(&one.acknowledged_by),
        "resolution": given(&one.resolution), "decided_by": given(&one.decided_by),
        "decided_at": moment(one.decided_unix_ms), "covers": one.covers,
    })
}

fn show(one: &pb::Dispute, output: &Output) -> Exit {
    output.show(&value(one), || {
        let mut lines = vec![format!("dispute {}: {}", one.dispute_id, one.state)];
        let records = match one.covers.len() {
            1 => "1 record".to_owned(),
            many => format!("{many} records"),
        };
        lines.push(match one.resolution.is_empty() {
            true => format!("covers {records}; nothing automated rests on it while it is open"),
            false => format!("covered {records}"),
        });
        let acknowledge_by = moment(one.acknowledge_by_unix_ms).unwrap_or_default();
        if one.acknowledged_by.is_empty() && one.resolution.is_empty() {
            lines.push(format!("acknowledge by  {acknowledge_by}"));
        }
        if one.resolution.is_empty() {
            lines.push(format!(
                "decide by       {}: from the next day on it is suppressed until it is decided",
                one.decide_by
            ));
        } else {
            lines.push(format!("{} by {}", one.resolution, one.decided_by));
        }
        lines.join("\n")
    });
    Exit::Done
}
