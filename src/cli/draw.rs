//! `creditmesh audit draw`: which queries of a member an auditor has opened.

use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::exit::{CliError, Exit, by_options};
use super::opening;
use super::operator::NodeAt;
use super::output::Output;
use super::samples;
use crate::domain::Timestamp;
use crate::wire::pb;

pub(super) const EXAMPLE: &str = "Example, at the auditor:\n  \
    creditmesh audit draw --member alpha --count 20 --seed \"dice of 2026-07-01: 4 2 6 1\" \\\n    \
    --from 2026-06-01T00:00:00Z --until 2026-07-01T00:00:00Z --dir watcher\n\n\
    Choose the seed when the span is over, and give it to the member: with it everybody who\n\
    may read the logs draws the same. With --request the member is asked to\n\
    open them; without, it opens each with `audit open --commitment` and sends you the file.\n\
    Exit code 3: a member that may have answered was not reached.";

#[derive(Debug, Args)]
pub(super) struct DrawArgs {
    /// Whose queries.
    #[arg(long, value_name = "MEMBER")]
    member: String,
    /// How many, at most 1,000.
    #[arg(long, value_name = "COUNT")]
    count: u32,
    /// What draws them, at most 200 characters.
    #[arg(long, value_name = "TEXT")]
    seed: String,
    /// Answered at this moment or later.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Timestamp,
    /// Answered before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Timestamp,
    /// Ask the member to open them; at most 100. `audit samples` shows what came of each.
    #[arg(long)]
    request: bool,
    /// Days that the member has, at most 60.
    #[arg(long, value_name = "COUNT", default_value_t = 14, requires = "request")]
    days: u32,
    /// Identifiers that nobody owns, one on each line: a query about one of them is told.
    #[arg(long, value_name = "FILE", requires = "request")]
    canaries: Option<PathBuf>,
    #[command(flatten)]
    node: NodeAt,
}

/// The options behind the fields that a refusal names.
const OPTIONS: &[(&str, &str)] = &[
    ("from_unix_ms", "--from"),
    ("until_unix_ms", "--until"),
    ("count", "--count"),
    ("seed", "--seed"),
    ("member", "--member"),
    ("days", "--days"),
    ("canaries", "--canaries"),
];

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_day_or_moment(text).map_err(|error| error.to_string())
}

pub(super) async fn run(args: &DrawArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::DrawSampleRequest {
        member: args.member.clone(),
        count: args.count,
        seed: args.seed.clone(),
        from_unix_ms: args.from.unix_ms(),
        until_unix_ms: args.until.unix_ms(),
    };
    let (came, sample) = if args.request {
        let canaries = args.canaries.as_deref().map(opening::canaries);
        let request = pb::RequestSampleRequest {
            draw: Some(request),
            days: args.days,
            canaries: canaries.transpose()?.unwrap_or_default(),
        };
        let mut client = args.node.samples().await?;
        let came = client.request_sample(request).await;
        let came = came.map_err(|status| by_options(status, OPTIONS))?;
        let came = came.into_inner();
        (came.drawn.unwrap_or_default(), came.sample)
    } else {
        let mut client = args.node.openings().await?;
        let came = client.draw_sample(request).await;
        let came = came.map_err(|status| by_options(status, OPTIONS))?;
        (came.into_inner(), None)
    };
    let at = |one: &pb::DrawnQuery| Timestamp::from_unix_ms(one.at_unix_ms).to_rfc3339();
    let drawn = came.drawn.iter().map(|one| {
        json!({ "commitment": HEXLOWER.encode(&one.commitment), "at": at(one),
            "answered_by": one.answered_by })
    });
    let value = json!({ "member": args.member, "seed": args.seed, "offered": came.offered,
        "unreached": came.unreached, "drawn": drawn.collect::<Vec<Value>>(),
        "sample": sample.as_ref().map(samples::head_value) });
    output.show(&value, || {
        let lines = came.drawn.iter().map(|one| {
            let answered = one.answered_by.join(" ");
            format!(
                "{}  {}  {answered}",
                HEXLOWER.encode(&one.commitment),
                at(one)
            )
        });
        let mut lines: Vec<String> = lines.collect();
        lines.push(format!(
            "{} queries of {}, drawn from {} evaluations",
            came.drawn.len(),
            args.member,
            came.offered
        ));
        if !came.unreached.is_empty() {
            lines.push(format!("not reached: {}", came.unreached.join(" ")));
        }
        lines.extend(sample.as_ref().map(samples::head_text));
        lines.join("\n")
    });
    Ok(if came.unreached.is_empty() {
        Exit::Done
    } else {
        Exit::Peers
    })
}
