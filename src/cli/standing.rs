//! How far this node believes each peer, and what a person decides about it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::wire::pb;

/// `creditmesh node standing`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  creditmesh node standing --dir alpha\n  \
        creditmesh node standing lift beta --by kim --dir alpha\n  \
        creditmesh node standing troubled gamma --by kim --dir alpha\n\n\
        docs/aggregation.md says what trust, quarantine and trouble change in an answer."
)]
pub(super) struct StandingArgs {
    #[command(subcommand)]
    decision: Option<Decision>,
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Subcommand)]
enum Decision {
    /// End the quarantine of a peer: a person looked at what it filed.
    #[command(after_help = "Example:\n  creditmesh node standing lift beta --by kim --dir alpha")]
    Lift(DecisionArgs),
    /// Call a peer troubled: its new adverse reports weigh half.
    #[command(
        after_help = "Example:\n  creditmesh node standing troubled beta --by kim --dir alpha"
    )]
    Troubled(DecisionArgs),
    /// Call a peer troubled no more.
    #[command(after_help = "Example:\n  creditmesh node standing clear beta --by kim --dir alpha")]
    Clear(DecisionArgs),
}

#[derive(Debug, Args)]
struct DecisionArgs {
    /// The peer's id.
    peer: String,
    /// Who decides: kept with the decision.
    #[arg(long, value_name = "NAME")]
    by: String,
    #[command(flatten)]
    node: NodeAt,
}

pub(super) async fn run(args: StandingArgs, output: &Output) -> Result<Exit, CliError> {
    match args.decision {
        None => list(&args.node, output).await,
        Some(Decision::Lift(args)) => {
            let request = pb::LiftQuarantineRequest {
                member: args.peer,
                by: args.by,
            };
            let mut node = args.node.standings().await?;
            let view = node.lift_quarantine(request).await?.into_inner();
            Ok(show(&view, output))
        }
        Some(Decision::Troubled(args)) => mark(args, true, output).await,
        Some(Decision::Clear(args)) => mark(args, false, output).await,
    }
}

async fn mark(args: DecisionArgs, troubled: bool, output: &Output) -> Result<Exit, CliError> {
    let request = pb::MarkTroubledRequest {
        member: args.peer,
        by: args.by,
        troubled,
    };
    let mut node = args.node.standings().await?;
    let view = node.mark_troubled(request).await?.into_inner();
    Ok(show(&view, output))
}

fn show(view: &pb::PeerStandingView, output: &Output) -> Exit {
    output.show(&value_of(view), || line_of(view));
    Exit::Done
}

async fn list(node: &NodeAt, output: &Output) -> Result<Exit, CliError> {
    let mut node = node.standings().await?;
    let listed = node.list_standings(pb::ListStandingsRequest {}).await?;
    let peers = listed.into_inner().peers;
    let values: Vec<Value> = peers.iter().map(value_of).collect();
    output.show(&json!({ "peers": values }), || {
        let lines: Vec<String> = peers.iter().map(line_of).collect();
        if lines.is_empty() {
            "no peers".to_owned()
        } else {
            lines.join("\n")
        }
    });
    Ok(Exit::Done)
}

fn moment(ms: i64) -> Option<String> {
    (ms > 0).then(|| Timestamp::from_unix_ms(ms).to_rfc3339())
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn value_of(view: &pb::PeerStandingView) -> Value {
    json!({
        "member": view.member,
        "trust": f64::from(view.trust_per_mille) / 1_000.0,
        "upheld": view.upheld,
        "overturned": view.overturned,
        "upheld_seen": view.upheld_seen,
        "overturned_seen": view.overturned_seen,
        "months_stated": view.months_stated,
        "quarantined_since": moment(view.quarantined_since_unix_ms),
        "quarantine_reason": text(&view.quarantine_reason),
        "troubled_since": moment(view.troubled_since_unix_ms),
        "decided_by": text(&view.decided_by),
        "contradicted_month": text(&view.contradicted_month),
    })
}

fn line_of(view: &pb::PeerStandingView) -> String {
    let mut line = format!(
        "{}: trust {:.2} ({} upheld, {} overturned; seen here {} and {}), {} months stated",
        view.member,
        f64::from(view.trust_per_mille) / 1_000.0,
        view.upheld,
        view.overturned,
        view.upheld_seen,
        view.overturned_seen,
        view.months_stated
    );
    match moment(view.quarantined_since_unix_ms) {
        Some(since) => {
            line.push_str(&format!(
                "\n  in quarantine since {since}: {}",
                view.quarantine_reason
            ));
        }
        None => {
            if let Some(reason) = text(&view.quarantine_reason) {
                line.push_str(&format!("\n  was in quarantine: {reason}"));
            }
        }
    }
    if let Some(since) = moment(view.troubled_since_unix_ms) {
        line.push_str(&format!("\n  troubled since {since}"));
    }
    if let Some(by) = text(&view.decided_by) {
        line.push_str(&format!("\n  last decided by {by}"));
    }
    if let Some(month) = text(&view.contradicted_month) {
        line.push_str(&format!(
            "\n  stated two different counts for {month}; both are kept"
        ));
    }
    line
}
