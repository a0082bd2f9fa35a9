//! `creditmesh audit samples|requests|answer-requests`: what an auditor has opened, and the
//! member's answer.

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::wire::pb;

pub(super) const SAMPLES_EXAMPLE: &str = "Examples, at the auditor:\n  \
    creditmesh audit samples --dir watcher\n  \
    creditmesh audit samples 5f0c1d2e3a4b5c6d --dir watcher --json\n\n\
    Exit code 0: everything that is due was opened and agrees. 1: something does not, or is\n\
    overdue.";

pub(super) const REQUESTS_EXAMPLE: &str = "Example, at the member:\n  \
    creditmesh audit requests --dir alpha\n\n\
    Exit code 1: one of them is overdue.";

pub(super) const ANSWER_EXAMPLE: &str = "Examples, at the member:\n  \
    creditmesh audit answer-requests --dir alpha\n  \
    creditmesh audit answer-requests 5f0c1d2e3a4b5c6d --dir alpha\n\n\
    Each query is opened as by `audit open`: encrypted to the auditor, and logged. Exit code 3:\n\
    the auditor is not reached; the node goes on by itself.";

#[derive(Debug, Args)]
pub(super) struct SamplesArgs {
    /// The number of one sample, to see its queries.
    #[arg(value_name = "SAMPLE", value_parser = number)]
    sample: Option<[u8; 8]>,
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Args)]
pub(super) struct RequestsArgs {
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// The number of one sample; without it all that wait.
    #[arg(value_name = "SAMPLE", value_parser = number)]
    sample: Option<[u8; 8]>,
    #[command(flatten)]
    node: NodeAt,
}

fn number(text: &str) -> Result<[u8; 8], String> {
    let bytes = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "a sample's number is 16 hexadecimal digits".to_owned())
}

fn moment(unix_ms: i64) -> String {
    Timestamp::from_unix_ms(unix_ms).to_rfc3339()
}

pub(super) fn head_value(head: &pb::SampleHead) -> Value {
    json!({ "sample": HEXLOWER.encode(&head.sample), "member": head.member, "seed": head.seed,
        "drawn_at": moment(head.drawn_unix_ms), "deadline": moment(head.deadline_unix_ms),
        "offered": head.offered, "sent": head.sent, "queries": head.count,
        "answered": head.answered, "agree": head.agree, "overdue": head.overdue })
}

pub(super) fn head_text(head: &pb::SampleHead) -> String {
    let sent = if head.sent { "" } else { ", NOT SENT YET" };
    let overdue = match head.overdue {
        0 => String::new(),
        count => format!(", {count} OVERDUE"),
    };
    format!(
        "{}  {}  until {}: {} queries, {} answered, {} agree{overdue}{sent}",
        HEXLOWER.encode(&head.sample),
        head.member,
        moment(head.deadline_unix_ms),
        head.count,
        head.answered,
        head.agree
    )
}

fn is_sound(head: &pb::SampleHead) -> bool {
    head.overdue == 0 && head.agree == head.answered
}

pub(super) async fn samples(args: &SamplesArgs, output: &Output) -> Result<Exit, CliError> {
    let mut client = args.node.samples().await?;
    if let Some(sample) = args.sample {
        let sample = sample.to_vec().into();
        let request = pb::ShowSampleRequest { sample };
        let shown = client.show_sample(request).await?.into_inner();
        return Ok(show(&shown, output));
    }
    let listed = client.list_samples(pb::ListSamplesRequest {}).await?;
    let samples = listed.into_inner().samples;
    let values: Vec<Value> = samples.iter().map(head_value).collect();
    output.show(&json!({ "samples": values }), || match samples.as_slice() {
        [] => "no samples: draw one with `creditmesh audit draw --request`".to_owned(),
        some => some.iter().map(head_text).collect::<Vec<_>>().join("\n"),
    });
    Ok(if samples.iter().all(is_sound) {
        Exit::Done
    } else {
        Exit::Refused
    })
}

fn show(sample: &pb::ShowSampleResponse, output: &Output) -> Exit {
    let head = sample.sample.clone().unwrap_or_default();
    let queries = sample.queries.iter().map(|one| {
        json!({ "commitment": HEXLOWER.encode(&one.commitment), "at": moment(one.at_unix_ms),
            "verdict": one.verdict, "says": (!one.says.is_empty()).then_some(&one.says),
            "entry": one.entry, "consents": one.consents,
            "answered_at": (one.answered_unix_ms > 0).then(|| moment(one.answered_unix_ms)) })
    });
    let mut value = head_value(&head);
    if let Some(object) = value.as_object_mut() {
        object.insert("drawn".to_owned(), queries.collect());
    }
    output.show(&value, || {
        let lines = sample.queries.iter().map(|one| {
            let consents = one.consents.join(" ");
            format!(
                "{:<11} {}  {}  {consents}{}",
                one.verdict,
                HEXLOWER.encode(&one.commitment),
                moment(one.at_unix_ms),
                one.says
            )
        });
        let first = std::iter::once(head_text(&head));
        first.chain(lines).collect::<Vec<_>>().join("\n")
    });
    if is_sound(&head) {
        Exit::Done
    } else {
        Exit::Refused
    }
}

fn request_value(one: &pb::RequestHead) -> Value {
    json!({ "sample": HEXLOWER.encode(&one.sample), "auditor": one.auditor,
        "asked_at": moment(one.asked_unix_ms), "deadline": moment(one.deadline_unix_ms),
        "queries": one.count, "delivered": one.delivered, "not_opened": one.closed,
        "state": one.state })
}

fn request_text(one: &pb::RequestHead) -> String {
    format!(
        "{}  {}  until {}: {} queries, {} delivered ({} not opened), {}",
        HEXLOWER.encode(&one.sample),
        one.auditor,
        moment(one.deadline_unix_ms),
        one.count,
        one.delivered,
        one.closed,
        one.state
    )
}

fn show_requests(requests: &[pb::RequestHead], output: &Output) {
    let values: Vec<Value> = requests.iter().map(request_value).collect();
    output.show(&json!({ "requests": values }), || match requests {
        [] => "no auditor wants a query opened".to_owned(),
        some => some.iter().map(request_text).collect::<Vec<_>>().join("\n"),
    });
}

pub(super) async fn requests(args: &RequestsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut client = args.node.samples().await?;
    let listed = client.list_requests(pb::ListRequestsRequest {}).await?;
    let requests = listed.into_inner().requests;
    show_requests(&requests, output);
    let is_late = requests.iter().any(|one| one.state == "overdue");
    Ok(if is_late { Exit::Refused } else { Exit::Done })
}

pub(super) async fn answer(args: &AnswerArgs, output: &Output) -> Result<Exit, CliError> {
    let mut client = args.node.samples().await?;
    let listed = client.list_requests(pb::ListRequestsRequest {}).await?;
    let listed = listed.into_inner().requests;
    let waiting = listed.iter().filter(|one| one.state != "answered");
    let wanted: Vec<_> = match args.sample {
        Some(sample) => vec![sample.to_vec().into()],
        None => waiting.map(|one| one.sample.clone()).collect(),
    };
    let bar = output.progress("samples answered", Some(wanted.len() as u64));
    let mut answered = Vec::new();
    for sample in wanted {
        let request = pb::AnswerRequestRequest { sample };
        let came = client.answer_request(request).await?.into_inner();
        answered.extend(came.request);
        bar.inc(1);
    }
    bar.finish_and_clear();
    show_requests(&answered, output);
    Ok(Exit::Done)
}
