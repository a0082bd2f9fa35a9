//! The borrower's report on the command line: as text, as JSON, or as a page to print.

mod html;
mod text;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::lending::read_identifiers;
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::wire::pb;

/// What no report can tell, since it is not known to anybody.
const BLIND: &str = "Other members of the network may have asked about you; this member cannot \
list them: their questions arrive blinded, so that it learns that a member asked, when and why, \
    and never about whom. Ask each member for its own report.";

/// How long is kept what the queries found.
const KEPT: &str = "Queries, their answers and what opens them are deleted after 180 days.";

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Html,
}

/// `creditmesh report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh report us-ssn:536-90-4399 \\\n    \
    --format html --out report.html\n  \
    echo us-ssn:536-90-4399 | creditmesh report - --json\n\n\
    The borrower's identity is to be verified before the report is handed out. Each report is \
    logged with the purpose self-access (docs/report.md)."
)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Identifier as kind:value, once or twice; `-` reads standard input.
    #[arg(value_name = "BORROWER", required = true, num_args = 1..=2)]
    borrower: Vec<String>,
    /// How it is written; --json is the same as --format json.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// File to write, which must not be there yet; without it standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: &ReportArgs, output: &Output) -> Result<Exit, CliError> {
    if output.is_json() && args.format == Form::Html {
        let why = "--json is the same as --format json: leave it out, or the other one";
        return Err(CliError::usage(why));
    }
    if let Some(path) = args.out.as_ref().filter(|path| path.exists()) {
        return Err(CliError::refused(format!(
            "{} is there already: name another file with --out",
            path.display()
        )));
    }
    let identifiers = read_identifiers(&args.borrower)?;
    let mut node = args.node.reports().await?;
    let request = pb::MakeReportRequest { identifiers };
    let report = node.make_report(request).await?.into_inner();
    let value = value(&report);
    let written = match args.format {
        Form::Json => format!("{value:#}\n"),
        Form::Text => text::write(&value),
        Form::Html => html::write(&value),
    };
    match &args.out {
        Some(path) => {
            write_new(path, &written)?;
            let told = json!({ "report_id": report.report_id, "written": path });
            output.show(&told, || {
                format!("report {} written to {}", report.report_id, path.display())
            });
        }
        None if args.format == Form::Html => output.raw(written.trim_end()),
        None if args.format == Form::Json => output.raw(&value.to_string()),
        None => output.show(&value, || written),
    }
    Ok(Exit::Done)
}

/// Writes a file that nobody but its owner may read.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| CliError::file(path, &error))
}

/// A moment as text; `null` for 0.
fn moment(unix_ms: i64) -> Value {
    match unix_ms {
        0 => Value::Null,
        ms => json!(Timestamp::from_unix_ms(ms).to_rfc3339()),
    }
}

/// Text, or `null` where it is empty.
fn known(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    }
}

/// JSON that the node gave as text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// The report for machines; docs/report.md names the keys. The other forms are made of it.
fn value(report: &pb::BorrowerReport) -> Value {
    let records = report.records.iter().map(|one| {
        json!({ "record": parsed(&one.row), "deleted_at": moment(one.deleted_unix_ms),
            "rule": known(&one.rule) })
    });
    let published = report.published.iter().map(|one| {
        json!({ "identifier": one.identifier, "level": one.level, "epoch": one.epoch,
            "states": one.states, "published_at": moment(one.published_unix_ms),
            "deleted_at": moment(one.deleted_unix_ms), "tells": one.tells })
    });
    let signals = report.signals.iter().map(|one| {
        json!({ "kind": one.kind, "record_id": one.record_id, "derived": one.derived,
            "event_on": one.event_on, "ends_on": known(&one.ends_on), "disputed": one.disputed,
            "adverse": one.adverse })
    });
    let disputes = report.disputes.iter().map(|one| {
        json!({ "dispute_id": one.dispute_id, "record_id": one.record_id, "state": one.state,
            "opened_at": moment(one.opened_unix_ms), "reason": one.reason,
            "decide_by": one.decide_by, "resolution": known(&one.resolution),
            "decided_at": moment(one.decided_unix_ms) })
    });
    let queries = report.queries.iter().map(query);
    let reports = report.reports_unix_ms.iter().map(|at| moment(*at));
    json!({
        "report_id": report.report_id,
        "member": report.member,
        "network": report.network,
        "made_at": moment(report.made_unix_ms),
        "identifiers": report.identifiers,
        "records": records.collect::<Vec<_>>(),
        "published": published.collect::<Vec<_>>(),
        "signals": signals.collect::<Vec<_>>(),
        "disputes": disputes.collect::<Vec<_>>(),
        "queries": queries.collect::<Vec<_>>(),
        "queries_since": moment(report.queries_since_unix_ms),
        "watched_since": moment(report.watched_since_unix_ms),
        "reports": reports.collect::<Vec<_>>(),
        "left_out": report.left_out,
        "queries_of_others": BLIND,
        "kept": KEPT,
    })
}

fn query(one: &pb::OwnQuery) -> Value {
    let hash = data_encoding::HEXLOWER.encode(&one.consent_hash);
    json!({
        "query_id": one.query_id,
        "at": moment(one.at_unix_ms),
        "purpose": one.purpose,
        "consent": known(&one.consent),
        "consent_hash": known(&hash),
        "members_asked": one.asked,
        "outcome": known(&one.outcome),
        "answer": parsed(&one.answer_json),
        "decided": known(&one.decided),
        "decided_at": moment(one.decided_unix_ms),
    })
}

/// One part of a report, as words in rows.
struct Part {
    title: &'static str,
    /// What stands where there are no rows.
    nothing: &'static str,
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// A value in words.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join("; "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The rows of one list, by the names of their fields.
fn rows(report: &Value, list: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let entries = report.get(list).and_then(Value::as_array);
    let entries = entries.into_iter().flatten();
    let row = |entry: &Value| {
        let field = |name: &&str| words(entry.get(*name).unwrap_or(&Value::Null));
        fields.iter().map(field).collect()
    };
    entries.map(row).collect()
}

/// A record's fields in words, without those that every record has.
fn record_row(entry: &Value) -> Vec<String> {
    let record = entry.get("record").and_then(Value::as_object);
    let field = |name: &str| words(record.and_then(|one| one.get(name)).unwrap_or(&Value::Null));
    let plain = [
        "kind",
        "record_id",
        "version",
        "reported_at",
        "national_id",
        "phone",
    ];
    let more = record.into_iter().flatten();
    let more = more
        .filter(|(name, value)| !plain.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| format!("{}: {}", name.replace('_', " "), words(value)));
    vec![
        field("kind"),
        field("record_id"),
        field("reported_at"),
        more.collect::<Vec<_>>().join("; "),
        words(entry.get("deleted_at").unwrap_or(&Value::Null)),
    ]
}

/// What a query found, in words.
fn query_row(entry: &Value) -> Vec<String> {
    let field = |name: &str| words(entry.get(name).unwrap_or(&Value::Null));
    let answer = entry.get("answer").unwrap_or(&Value::Null);
    let raised = answer.get("flags").and_then(Value::as_array);
    let raised = raised.into_iter().flatten();
    let raised = raised
        .filter(|flag| flag.get("state").is_some_and(|state| state == "TRUE"))
        .map(|flag| words(flag.get("code").unwrap_or(&Value::Null)));
    let raised: Vec<String> = raised.collect();
    let saw = match (field("outcome").as_str(), raised.as_slice()) {
        ("–", _) => "no answer is kept".to_owned(),
        (outcome, []) => format!("{outcome}, no flag raised"),
        (outcome, raised) => format!("{outcome}, flags {}", raised.join(", ")),
    };
    let consent = match field("consent").as_str() {
        "–" => field("consent_hash"),
        reference => reference.to_owned(),
    };
    let decided = format!("{} {}", field("decided"), field("decided_at"));
    let decided = decided.trim_end_matches(['–', ' ']).to_owned();
    vec![
        field("at"),
        field("purpose"),
        consent,
        field("members_asked"),
        saw,
        if decided.is_empty() {
            "–".to_owned()
        } else {
            decided
        },
    ]
}

/// The rows of one list, each by a function.
fn listed(report: &Value, list: &str, row: fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    let entries = report.get(list).and_then(Value::as_array);
    entries.into_iter().flatten().map(row).collect()
}

/// The parts of a report in their order.
fn parts(report: &Value) -> Vec<Part> {
    let [published, signals, disputes] = told(report);
    let held = Part {
        title: "What is held",
        nothing: "No record.",
        heads: &["kind", "record", "reported", "content", "deleted"],
        rows: listed(report, "records", record_row),
    };
    let asked = Part {
        title: "What this member asked about you",
        nothing: "No query.",
        heads: &[
            "when",
            "why",
            "consent",
            "members asked",
            "what came",
            "decided",
        ],
        rows: listed(report, "queries", query_row),
    };
    vec![held, published, signals, disputes, asked]
}

/// A row of what is published, in which nothing that is told any more is said as such.
fn withdrawn(mut row: Vec<String>) -> Vec<String> {
    if let Some(tells) = row.get_mut(4).filter(|tells| tells.is_empty()) {
        "nothing any more".clone_into(tells);
    }
    row
}

/// What others are told, and what is said against it.
fn told(report: &Value) -> [Part; 3] {
    let published = [
        "identifier",
        "level",
        "published_at",
        "states",
        "tells",
        "deleted_at",
    ];
    let signals = [
        "kind",
        "record_id",
        "event_on",
        "ends_on",
        "disputed",
        "adverse",
    ];
    let disputes = [
        "record_id",
        "state",
        "opened_at",
        "reason",
        "decide_by",
        "resolution",
        "decided_at",
    ];
    let published = rows(report, "published", &published);
    [
        Part {
            title: "What is published",
            nothing: "Nothing.",
            heads: &[
                "identifier",
                "to members of level",
                "published",
                "states",
                "tells",
                "deleted",
            ],
            rows: published.into_iter().map(withdrawn).collect(),
        },
        Part {
            title: "Signals that stand",
            nothing: "None.",
            heads: &[
                "signal",
                "record",
                "event",
                "until",
                "disputed",
                "counts against you",
            ],
            rows: rows(report, "signals", &signals),
        },
        Part {
            title: "Disputes",
            nothing: "None.",
            heads: &[
                "record",
                "state",
                "opened",
                "reason",
                "to be decided by",
                "resolution",
                "decided on",
            ],
            rows: rows(report, "disputes", &disputes),
        },
    ]
}

/// What stands below the parts, in sentences.
fn remarks(report: &Value) -> Vec<String> {
    let field = |name: &str| report.get(name).unwrap_or(&Value::Null);
    let mut remarks = Vec::new();
    if let Some(since) = field("queries_since").as_str() {
        remarks.push(format!(
            "Queries from before {since} cannot be listed: until then they were not indexed by \
             borrower."
        ));
    }
    if let Some(since) = field("watched_since").as_str() {
        remarks.push(format!(
            "This member watches you since {since}: it hears of what other members publish of you, \
             by account reviews that are not listed one by one."
        ));
    }
    if field("left_out").as_u64().is_some_and(|count| count > 0) {
        remarks.push(format!(
            "{} older entries did not fit.",
            words(field("left_out"))
        ));
    }
    if field("reports")
        .as_array()
        .is_some_and(|all| !all.is_empty())
    {
        remarks.push(format!("Earlier reports: {}.", words(field("reports"))));
    }
    remarks.extend([words(field("kept")), words(field("queries_of_others"))]);
    remarks
}
