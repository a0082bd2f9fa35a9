//! `creditmesh notices`: which answers of this node changed after they were given.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tonic::Code;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::RevisionKind;
use crate::domain::Timestamp;
use crate::wire::pb;

/// How often it is looked whether more was noted.
const AGAIN: Duration = Duration::from_secs(1);

/// `creditmesh notices …`.
#[derive(Debug, Subcommand)]
pub(super) enum NoticesCommand {
    /// Revision notices, in the order in which they came.
    #[command(after_help = "Examples:\n  creditmesh notices list --dir alpha\n  \
        creditmesh notices list --query 01a1c4be-0dc0-7b0a-8a3c-4f0c1c8d2e11 --json\n\n\
        docs/notices.md says when an answer is revised.")]
    List(ListArgs),
    /// Revision notices as they come, after those that there are, until you stop it.
    #[command(after_help = "Example:\n  creditmesh notices follow --dir alpha --json")]
    Follow(FollowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those of this query.
    #[arg(long, value_name = "QUERY_ID")]
    query: Option<String>,
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    node: NodeAt,
}

pub(super) async fn run(command: NoticesCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        NoticesCommand::List(args) => list(&args, output).await,
        NoticesCommand::Follow(args) => follow(&args, output).await,
    }
}

async fn list(args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.revisions().await?;
    let mut request = pb::ListRevisionsRequest {
        query_id: args.query.clone().unwrap_or_default(),
        ..pb::ListRevisionsRequest::default()
    };
    let mut rows = Vec::new();
    loop {
        let page = node.list(request.clone()).await?.into_inner();
        rows.extend(page.revisions);
        if page.next.is_empty() {
            break;
        }
        request.after = page.next;
    }
    let values: Vec<Value> = rows.iter().map(value_of).collect();
    output.show(&json!({ "revisions": values }), || {
        if rows.is_empty() {
            return "no revision notices".to_owned();
        }
        let lines: Vec<String> = rows.iter().map(line_of).collect();
        lines.join("\n")
    });
    Ok(Exit::Done)
}

async fn follow(args: &FollowArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.revisions().await?;
    let mut request = pb::ListRevisionsRequest::default();
    loop {
        match node.list(request.clone()).await {
            Ok(page) => {
                let page = page.into_inner();
                for row in &page.revisions {
                    output.show(&value_of(row), || line_of(row));
                }
                if !page.next.is_empty() {
                    request.after = page.next;
                    continue;
                }
            }
            Err(status) if status.code() == Code::Unavailable => {
                output.remark(&format!("waiting for the node: {}", status.message()));
                // A node that was restarted has another socket.
                if let Ok(again) = args.node.revisions().await {
                    node = again;
                }
            }
            Err(status) => return Err(status.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn moment(ms: i64) -> String {
    Timestamp::from_unix_ms(ms).to_rfc3339()
}

fn value_of(row: &pb::RevisionRow) -> Value {
    json!({
        "query_id": row.query_id,
        "kind": row.kind,
        "at": moment(row.at_unix_ms),
        "noted_at": moment(row.noted_at_unix_ms),
        "member": (!row.member.is_empty()).then_some(&row.member),
        "event": row.event,
    })
}

fn line_of(row: &pb::RevisionRow) -> String {
    let whose = if row.member.is_empty() {
        String::new()
    } else {
        format!(" of {}", row.member)
    };
    let what = if row.kind == RevisionKind::Decided.word() {
        "a dispute of a record"
    } else {
        "a record"
    };
    format!(
        "{}  query {}: {what}{whose} was {} in the hour from {}",
        moment(row.noted_at_unix_ms),
        row.query_id,
        row.kind,
        moment(row.at_unix_ms),
    )
}
