//! Assess, hold, recheck, close: the steps of lending, through the running node.

use std::io::BufRead;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::{FlagCode, Money, Outcome};
use crate::wire::pb;

/// A request that may be repeated.
#[derive(Debug, Args)]
struct Key {
    /// Chosen by you; a repeat with the same key returns the first result. A fresh one is made
    /// without it.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Key {
    fn value(&self) -> String {
        self.idempotency_key
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
    }
}

/// `creditmesh assess`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  creditmesh assess --id us-ssn:536-90-4399 \\\n    \
    --amount '1200.00 USD' \
    --term-days 90 --consent C-2026-001 --explain\n\n\
    An identifier of `-` is read from standard input, one per line, and so stays\n\
    out of the shell's history."
)]
pub(super) struct AssessArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Identifier as kind:value (cn-rid, in-pan, in-aadhaar, us-ssn, phone); `-` reads standard
    /// input.
    #[arg(long = "id", value_name = "KIND:VALUE", required = true)]
    identifiers: Vec<String>,
    /// A soft offer, which leaves no mark that counts against the borrower.
    #[arg(long)]
    soft: bool,
    /// Why you ask: credit-application. Before a payout there is `creditmesh recheck`, and
    /// `creditmesh watch add` reviews accounts.
    #[arg(long, default_value = "credit-application")]
    purpose: String,
    /// What the borrower applies for.
    #[arg(long, default_value = "instalment-unsecured")]
    product: String,
    /// Amount applied for, such as "1200.00 USD".
    #[arg(long)]
    amount: Option<String>,
    /// Term applied for, days.
    #[arg(long, default_value_t = 0)]
    term_days: u32,
    /// The borrower's stated income in a month, such as "3500.00 USD"; it stays with this node.
    #[arg(long, value_name = "AMOUNT")]
    income: Option<String>,
    /// Your own reference to the borrower's consent; only its salted hash leaves.
    #[arg(long, value_name = "REFERENCE")]
    consent: String,
    /// Say what each flag rests on.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    key: Key,
}

/// `creditmesh recheck`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh recheck 0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e")]
pub(super) struct RecheckArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id of the application.
    application: String,
    /// Say what each flag rests on.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    key: Key,
}

/// `creditmesh hold`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Examples:\n  creditmesh hold APPLICATION --amount-minor 120000\n  \
    creditmesh hold release HOLD\n  creditmesh hold convert HOLD --account L-4711"
)]
pub(super) struct HoldArgs {
    #[command(flatten)]
    node: NodeAt,
    #[command(subcommand)]
    step: Option<HoldStep>,
    /// Record id of the application whose contract was signed.
    #[arg(required = true)]
    application: Option<String>,
    /// Amount signed, in minor units; without it the amount applied for.
    #[arg(long, default_value_t = 0)]
    amount_minor: i64,
    /// Hours until the hold ends by itself, 1 to 168.
    #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=168))]
    hours: u32,
    #[command(flatten)]
    key: Key,
}

#[derive(Debug, Subcommand)]
enum HoldStep {
    /// Give a hold up.
    #[command(
        after_help = "Example:\n  creditmesh hold release 0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e"
    )]
    Release {
        #[command(flatten)]
        node: NodeAt,
        /// Record id of the hold.
        hold: String,
    },
    /// Turn a hold into the loan that was paid out.
    #[command(after_help = "Example:\n  creditmesh hold convert HOLD --account L-4711")]
    Convert {
        #[command(flatten)]
        node: NodeAt,
        /// Record id of the hold.
        hold: String,
        /// Your own number of the loan; stays in the node.
        #[arg(long, value_name = "REFERENCE")]
        account: String,
        #[command(flatten)]
        key: Key,
    },
}

/// `creditmesh close`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh close APPLICATION --outcome declined")]
pub(super) struct CloseArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id of the application.
    application: String,
    /// What became of it.
    #[arg(
        long,
        ignore_case = true,
        value_parser = ["declined", "withdrawn", "approved", "signed", "funded", "expired"]
    )]
    outcome: String,
}

/// `creditmesh answer`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  creditmesh answer 0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e --explain"
)]
pub(super) struct AnswerArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Query id.
    query: String,
    /// Say what each flag rests on.
    #[arg(long)]
    explain: bool,
}

/// An amount as it was written behind `option`.
fn money(option: &str, text: Option<&str>) -> Result<Option<Money>, CliError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| CliError::usage(format!("{option}: {error}")))
}

pub(super) async fn assess(args: &AssessArgs, output: &Output) -> Result<Exit, CliError> {
    let amount = money("--amount", args.amount.as_deref())?;
    let income = money("--income", args.income.as_deref())?;
    let kind = if args.soft { "offer" } else { "application" };
    let request = pb::AssessRequest {
        idempotency_key: args.key.value(),
        identifiers: read_identifiers(&args.identifiers)?,
        kind: kind.to_owned(),
        purpose: args.purpose.clone(),
        product: args.product.clone(),
        amount_minor: amount.map_or(0, |amount| amount.minor),
        currency: amount.map_or_else(String::new, |amount| amount.currency.code().to_owned()),
        term_days: args.term_days,
        consent_reference: args.consent.clone(),
        income_month_minor: income.map_or(0, |income| income.minor),
        income_currency: income
            .map_or_else(String::new, |income| income.currency.code().to_owned()),
    };
    let mut node = args.node.required().await?;
    let answer = node.assess(request).await?.into_inner();
    let next = format!(
        "creditmesh hold {} {}",
        answer.application_id,
        args.node.typed()
    );
    let next = (!args.soft && answer.outcome != Outcome::Restrict.word()).then_some(next);
    show_answer(&answer, args.explain, next, output)
}

pub(super) async fn recheck(args: &RecheckArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::RecheckRequest {
        idempotency_key: args.key.value(),
        application_id: args.application.clone(),
    };
    let answer = args
        .node
        .required()
        .await?
        .recheck(request)
        .await?
        .into_inner();
    show_answer(&answer, args.explain, None, output)
}

pub(super) async fn answer(args: &AnswerArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::FetchAnswerRequest {
        query_id: args.query.clone(),
    };
    let answer = args
        .node
        .required()
        .await?
        .fetch_answer(request)
        .await?
        .into_inner();
    show_answer(&answer, args.explain, None, output)
}

pub(super) async fn hold(args: &HoldArgs, output: &Output) -> Result<Exit, CliError> {
    let change = match &args.step {
        Some(HoldStep::Release { node, hold }) => {
            let request = pb::ReleaseHoldRequest {
                hold_id: hold.clone(),
            };
            node.required().await?.release_hold(request).await?
        }
        Some(HoldStep::Convert {
            node,
            hold,
            account,
            key,
        }) => {
            let request = pb::ConvertHoldRequest {
                idempotency_key: key.value(),
                hold_id: hold.clone(),
                account_reference: account.clone(),
            };
            node.required().await?.convert_hold(request).await?
        }
        None => {
            let request = pb::PlaceHoldRequest {
                idempotency_key: args.key.value(),
                application_id: args.application.clone().unwrap_or_default(),
                amount_minor: args.amount_minor,
                hours: args.hours,
            };
            let placed = args.node.required().await?.place_hold(request).await?;
            return Ok(show_hold(&placed.into_inner(), &args.node.typed(), output));
        }
    };
    Ok(show_change(&change.into_inner(), output))
}

pub(super) async fn close(args: &CloseArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::CloseApplicationRequest {
        application_id: args.application.clone(),
        outcome: args.outcome.to_lowercase(),
    };
    let change = args
        .node
        .required()
        .await?
        .close_application(request)
        .await?;
    Ok(show_change(&change.into_inner(), output))
}

/// Prints a new hold, and what ends it.
fn show_hold(hold: &pb::ChangeResponse, node: &str, output: &Output) -> Exit {
    let id = &hold.record_id;
    let next = [
        format!("creditmesh hold convert {id} --account REFERENCE {node}"),
        format!("creditmesh hold release {id} {node}"),
    ];
    let value = json!({ "record_id": id, "version": hold.version, "next": next });
    output.show(&value, || {
        let [paid_out, given_up] = &next;
        format!(
            "record {id}, version {}\npaid out?  {paid_out}\ngiven up?  {given_up}",
            hold.version
        )
    });
    Exit::Done
}

/// Prints the id and version that a change left behind.
pub(super) fn show_change(change: &pb::ChangeResponse, output: &Output) -> Exit {
    let value = json!({ "record_id": change.record_id, "version": change.version });
    output.show(&value, || {
        format!("record {}, version {}", change.record_id, change.version)
    });
    Exit::Done
}

/// Identifiers as they were written; `-` reads standard input, one a line.
pub(super) fn read_identifiers(arguments: &[String]) -> Result<Vec<String>, CliError> {
    let mut identifiers = Vec::new();
    for argument in arguments {
        if argument == "-" {
            for line in std::io::stdin().lock().lines() {
                let line =
                    line.map_err(|error| CliError::local(format!("standard input: {error}")))?;
                identifiers.extend((!line.trim().is_empty()).then(|| line.trim().to_owned()));
            }
        } else {
            identifiers.push(argument.clone());
        }
    }
    Ok(identifiers)
}

fn show_answer(
    answer: &pb::AnswerResponse,
    explain: bool,
    next: Option<String>,
    output: &Output,
) -> Result<Exit, CliError> {
    let unreadable = |error| CliError::local(format!("the node's answer cannot be read: {error}"));
    let mut value: Value = serde_json::from_str(&answer.answer_json).map_err(unreadable)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("application_id".to_owned(), json!(answer.application_id));
        if !explain {
            object.remove("explanation");
        }
    }
    output.show(&value, || {
        let mut lines = answer_lines(answer, &value);
        lines.extend(next.map(|next| format!("signed?   {next}")));
        lines.join("\n")
    });
    let low = answer.outcome == Outcome::Inconclusive.word();
    Ok(if low { Exit::Peers } else { Exit::Done })
}

/// The answer as a lender reads it at a glance.
fn answer_lines(answer: &pb::AnswerResponse, value: &Value) -> Vec<String> {
    let mut lines = vec![format!("{}   query {}", answer.outcome, answer.query_id)];
    let coverage = &value["coverage"];
    let silent = coverage["silent"].as_array().map_or(0, Vec::len);
    let weight = coverage["weight"].as_f64().unwrap_or(0.0) * 100.0;
    lines.push(format!(
        "coverage  {} of {} members answered ({weight:.0} % by weight), {silent} silent",
        coverage["answered"], coverage["asked"]
    ));
    if coverage["asked"] == 0 {
        lines.push(
            "          the member list here names nobody else: put the administrators' newest \
             members.json into the node's folder"
                .to_owned(),
        );
    }
    for one in coverage["silent"].as_array().into_iter().flatten() {
        let who = one["member"].as_str().unwrap_or("a member");
        let reason = one["reason"].as_str().unwrap_or_default();
        lines.push(format!("silent    {who}: {reason}"));
    }
    for flag in value["flags"].as_array().into_iter().flatten() {
        if flag["state"] == "TRUE" || flag["state"] == "UNKNOWN" {
            let reasons = flag["reasons"]
                .as_array()
                .map_or_else(String::new, |reasons| {
                    reasons
                        .iter()
                        .filter_map(Value::as_str)
                        .collect::<Vec<_>>()
                        .join(" ")
                });
            let word = |key: &str| flag[key].as_str().unwrap_or_default().to_owned();
            let (code, state, severity) = (word("code"), word("state"), word("severity"));
            let title = FlagCode::from_word(&code).map_or("", FlagCode::title);
            lines.push(format!(
                "flag      {code:<3} {title:<24}  {state:<8} {severity:<9} {reasons}"
            ));
        }
    }
    for one in value["revised"].as_array().into_iter().flatten() {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let (kind, at) = (word("kind"), word("at"));
        lines.push(format!(
            "revised   {kind} in the hour from {at}: its ground changed, so ask again"
        ));
    }
    for (name, count) in value["counts"].as_object().into_iter().flatten() {
        let (lo, hi) = (&count["lo"], &count["hi"]);
        if lo == hi && *lo == 0 {
            continue;
        }
        let range = if lo == hi {
            lo.to_string()
        } else {
            format!("{lo} to {hi}")
        };
        lines.push(format!("count     {name} {range}"));
    }
    for line in value["explanation"].as_array().into_iter().flatten() {
        lines.push(format!("because   {}", line.as_str().unwrap_or_default()));
    }
    lines
}
