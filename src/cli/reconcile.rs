//! `creditmesh audit reconcile`: whether this member's log and a peer's tell the same.

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::limits::RECONCILE_SHOWN_MAX;
use crate::wire::pb;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    creditmesh audit reconcile beta --dir alpha\n  \
    creditmesh audit reconcile beta --from 2026-06-01T00:00:00Z --until 2026-07-01T00:00:00Z\n\n\
    Exit code 0: both logs tell the same. 1: they differ; each difference is named. 3: the peer\n\
    was not reached up to the end; the moment from which to go on is printed.";

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// The peer.
    #[arg(value_name = "MEMBER")]
    peer: String,
    #[command(flatten)]
    node: NodeAt,
    /// Entries from this moment on; a day before the end where absent.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Entries before this moment; a minute ago where absent, and at the latest.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_day_or_moment(text).map_err(|error| error.to_string())
}

/// What came so far.
#[derive(Default)]
struct Came {
    last: pb::ReconcileResponse,
    agree: u64,
    unanswered: u64,
    unknown: u64,
    differ: u64,
    shown: Vec<pb::LogDifference>,
}

pub(super) async fn run(args: &ReconcileArgs, output: &Output) -> Result<Exit, CliError> {
    let mut client = args.node.openings().await?;
    let request = pb::ReconcileRequest {
        peer: args.peer.clone(),
        from_unix_ms: args.from.map_or(0, Timestamp::unix_ms),
        until_unix_ms: args.until.map_or(0, Timestamp::unix_ms),
    };
    let mut steps = client.reconcile(request).await?.into_inner();
    let bar = output.progress("evaluations", None);
    let mut came = Came::default();
    while let Some(mut step) = steps.message().await? {
        came.agree += step.agree;
        came.unanswered += step.unanswered;
        came.unknown += step.unknown;
        came.differ += step.differ;
        let room = RECONCILE_SHOWN_MAX.saturating_sub(came.shown.len());
        came.shown
            .extend(std::mem::take(&mut step.differences).into_iter().take(room));
        came.last = step;
        bar.set_position(came.agree);
    }
    bar.finish_and_clear();
    output.show(&value_of(&args.peer, &came), || text_of(&args.peer, &came));
    Ok(match (came.differ, came.last.broken.is_empty()) {
        (0, true) => Exit::Done,
        (0, false) => Exit::Peers,
        _ => Exit::Refused,
    })
}

fn at(unix_ms: i64) -> String {
    Timestamp::from_unix_ms(unix_ms).to_rfc3339()
}

fn value_of(peer: &str, came: &Came) -> Value {
    let differences = came.shown.iter().map(|one| {
        json!({ "kind": one.kind, "asker": one.asker, "at": at(one.at_unix_ms),
            "commitment": HEXLOWER.encode(&one.commitment), "says": one.says })
    });
    json!({ "peer": peer, "through": at(came.last.through_unix_ms), "agree": came.agree,
        "unanswered": came.unanswered, "unknown": came.unknown, "differ": came.differ,
        "differences": differences.collect::<Vec<_>>(),
        "broken": (!came.last.broken.is_empty()).then_some(&came.last.broken) })
}

fn text_of(peer: &str, came: &Came) -> String {
    let mut lines: Vec<String> = came
        .shown
        .iter()
        .map(|one| {
            format!(
                "DIFFERS  {} {} asked by {}, {}: {}",
                at(one.at_unix_ms),
                one.kind,
                one.asker,
                HEXLOWER.encode(&one.commitment),
                one.says
            )
        })
        .collect();
    let through = at(came.last.through_unix_ms);
    lines.push(format!(
        "{peer}, up to {through}: {} evaluations agree, {} differ; {} questions were not answered, \
         {} cannot be told any more",
        came.agree, came.differ, came.unanswered, came.unknown
    ));
    if !came.last.broken.is_empty() {
        lines.push(format!("broke off: {}", came.last.broken));
        lines.push(format!(
            "go on with: creditmesh audit reconcile {peer} --from {through}"
        ));
    }
    lines.join("\n")
}
