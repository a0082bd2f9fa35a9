//! Signals by hand: file, review, cure, list, show.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit, by_options};
use super::lending::read_identifiers;
use super::operator::NodeAt;
use super::output::Output;
use crate::crypto::sha256_of;
use crate::domain::{Day, Identifier, Money};
use crate::wire::pb;

/// `creditmesh signal …`.
#[derive(Debug, Subcommand)]
pub(super) enum SignalCommand {
    /// File a signal by hand; a fraud waits for a second reviewer.
    File(Box<FileArgs>),
    /// Decide about a pending signal that somebody else filed.
    Review(ReviewArgs),
    /// File that what a signal told was made good.
    Cure(CureArgs),
    /// Pending signals, and those of one borrower that stand.
    List(ListArgs),
    /// One filed signal, pending or not.
    Show(ShowArgs),
}

/// The options behind the fields that a refusal names.
const OPTIONS: &[(&str, &str)] = &[
    ("identifiers", "--borrower"),
    ("signal_kind", "--kind"),
    ("kind", "--kind"),
    ("fraud_type", "--fraud-type"),
    ("about", "--about"),
    ("event_on", "--on"),
    ("evidence", "--evidence"),
    ("filed_by", "--by"),
    ("reviewed_by", "--by"),
    ("by", "--by"),
    ("ends_on", "--ends-on"),
    ("paid_on", "--paid-on"),
    ("attempts_days", "--attempts-days"),
    ("attempts", "--attempts"),
];

/// Who acts.
#[derive(Debug, Args)]
pub(super) struct Person {
    /// The person who acts; over --connect it is the name in the credentials.
    #[arg(
        long = "by",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) by: String,
}

/// `creditmesh signal file`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh signal file --kind lost-contact \\\n    \
    --borrower us-ssn:536-90-4399 --on 2026-03-02 \\\n    \
    --attempts 4 --attempts-days 35 --by 'collections desk'\n  \
    creditmesh signal file --kind fraud-confirmed --fraud-type takeover \\\n    \
    --borrower us-ssn:536-90-4399 --on 2026-03-02 --evidence case-17.pdf \\\n    \
    --reasonable-grounds --clear-evidence --recognised-case --product rejected --by ann\n\n\
    The kinds, and what each needs: the table of signals in docs/records.md."
)]
pub(super) struct FileArgs {
    #[command(flatten)]
    node: NodeAt,
    /// What happened, such as default or fraud-confirmed.
    #[arg(long)]
    kind: String,
    /// Identifier as kind:value, once or twice; `-` reads standard input.
    #[arg(long = "borrower", value_name = "KIND:VALUE", required = true)]
    borrower: Vec<String>,
    /// Record id of the loan or signal that it is about.
    #[arg(long, value_name = "RECORD")]
    about: Option<String>,
    /// Day of the event.
    #[arg(long, value_name = "DAY")]
    on: String,
    /// File of evidence; only its SHA-256 hash is kept. Keep the file yourself.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    person: Person,
    /// Type of a confirmed fraud: false-application, no-intent-to-pay or takeover.
    #[arg(long, value_name = "TYPE")]
    fraud_type: Option<String>,
    /// Standard of proof, part 1: there are reasonable grounds to believe that it is fraud.
    #[arg(long)]
    reasonable_grounds: bool,
    /// Standard of proof, part 2: the evidence is clear, relevant and rigorous.
    #[arg(long)]
    clear_evidence: bool,
    /// Standard of proof, part 3: it is a recognised type of case.
    #[arg(long)]
    recognised_case: bool,
    /// Standard of proof, part 4: the product was rejected, or withdrawn.
    #[arg(long, value_name = "rejected|withdrawn", value_parser = ["rejected", "withdrawn"])]
    product: Option<String>,
    /// Last day on which it stands; without it the kind's own.
    #[arg(long, value_name = "DAY", conflicts_with = "agreed_until")]
    ends_on: Option<String>,
    /// Last day of the agreement, for restructured and forbearance: told 12 months longer.
    #[arg(long, value_name = "DAY")]
    agreed_until: Option<String>,
    /// The amount in question, such as "3987.12 USD".
    #[arg(long)]
    amount: Option<String>,
    /// Attempts to reach the borrower, for lost-contact.
    #[arg(long, default_value_t = 0)]
    attempts: u32,
    /// Days from the first attempt to the last, for lost-contact.
    #[arg(long, default_value_t = 0)]
    attempts_days: u32,
}

/// `creditmesh signal review`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh signal review SIGNAL --by bob --uphold")]
pub(super) struct ReviewArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id of the pending signal.
    signal: String,
    #[command(flatten)]
    person: Person,
    /// It stands, and is published.
    #[arg(long, required_unless_present = "reject", conflicts_with = "reject")]
    uphold: bool,
    /// It does not stand, and is gone.
    #[arg(long)]
    reject: bool,
}

/// `creditmesh signal cure`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh signal cure SIGNAL --paid-on 2026-03-02 --by ann")]
pub(super) struct CureArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id of the signal.
    signal: String,
    /// Day of the payment.
    #[arg(long, value_name = "DAY")]
    paid_on: String,
    #[command(flatten)]
    person: Person,
}

/// `creditmesh signal list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh signal list\n  \
    creditmesh signal list --borrower us-ssn:536-90-4399")]
pub(super) struct ListArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Also what stands of this borrower: kind:value, once or twice; `-` reads standard input.
    #[arg(long = "borrower", value_name = "KIND:VALUE")]
    borrower: Vec<String>,
}

/// `creditmesh signal show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh signal show 0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id of the signal.
    signal: String,
}

pub(super) async fn run(command: SignalCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        SignalCommand::File(args) => file(&args, output).await,
        SignalCommand::Review(args) => review(&args, output).await,
        SignalCommand::Cure(args) => cure(&args, output).await,
        SignalCommand::List(args) => list(&args, output).await,
        SignalCommand::Show(args) => show(&args, output).await,
    }
}

fn hash_of(path: &Path) -> Result<Vec<u8>, CliError> {
    let opened = File::open(path).map_err(|error| CliError::file(path, &error))?;
    let found = opened.metadata();
    if !found.is_ok_and(|found| found.is_file()) {
        let why = format!("{}: evidence must be a file", path.display());
        return Err(CliError::usage(why));
    }
    let hash = sha256_of(opened).map_err(|error| CliError::file(path, &error))?;
    Ok(hash.to_vec())
}

impl FileArgs {
    /// The four parts, each stated: together, or none of them.
    fn proof(&self) -> Result<String, CliError> {
        let stated = [
            self.reasonable_grounds,
            self.clear_evidence,
            self.recognised_case,
        ];
        match (&self.product, stated) {
            (None, [false, false, false]) => Ok(String::new()),
            (Some(product), [true, true, true]) => Ok(format!("four-part-{product}")),
            (_, _) => Err(CliError::usage(
                "the standard of proof has four parts: --reasonable-grounds, --clear-evidence, \
                 --recognised-case and --product; where one is not met, do not file",
            )),
        }
    }

    fn ends_on(&self) -> Result<String, CliError> {
        match (&self.ends_on, &self.agreed_until) {
            (Some(day), _) => Ok(day.clone()),
            (None, Some(until)) => {
                let until: Day = until
                    .parse()
                    .map_err(|_| CliError::usage("--agreed-until: a day such as 2026-12-31"))?;
                Ok(until.plus_months(12).to_string())
            }
            (None, None) => Ok(String::new()),
        }
    }

    fn request(&self) -> Result<pb::FileSignalRequest, CliError> {
        let amount: Option<Money> = self
            .amount
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| CliError::usage(format!("--amount: {error}")))?;
        let evidence = self.evidence.as_deref().map(hash_of).transpose()?;
        Ok(pb::FileSignalRequest {
            identifiers: read_identifiers(&self.borrower)?,
            kind: self.kind.clone(),
            fraud_type: self.fraud_type.clone().unwrap_or_default(),
            about: self.about.clone().unwrap_or_default(),
            event_on: self.on.clone(),
            evidence: evidence.unwrap_or_default().into(),
            proof: self.proof()?,
            by: self.person.by.clone(),
            ends_on: self.ends_on()?,
            amount_minor: amount.map_or(0, |amount| amount.minor),
            currency: amount.map_or_else(String::new, |amount| amount.currency.code().to_owned()),
            attempts: self.attempts,
            attempts_days: self.attempts_days,
        })
    }
}

async fn file(args: &FileArgs, output: &Output) -> Result<Exit, CliError> {
    let request = args.request()?;
    let filed = args
        .node
        .corrections()
        .await?
        .file_signal(request)
        .await
        .map_err(|status| by_options(status, OPTIONS))?
        .into_inner();
    let id = &filed.record_id;
    let next = format!(
        "creditmesh signal review {id} --by NAME --uphold {}",
        args.node.typed()
    );
    let pending = filed.state == "pending";
    let next = pending.then_some(next);
    let value = json!({ "record_id": id, "state": filed.state, "next": next });
    output.show(&value, || match &next {
        Some(next) => format!(
            "signal {id} is pending: nothing is published until somebody else reviews it\n\
             reviewed?  {next}"
        ),
        None if filed.state == "over" => format!(
            "signal {id} is kept, and tells nothing: its time is over, or its loan tells better"
        ),
        None => format!("signal {id} stands and is published"),
    });
    Ok(Exit::Done)
}

async fn review(args: &ReviewArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::ReviewSignalRequest {
        record_id: args.signal.clone(),
        by: args.person.by.clone(),
        uphold: args.uphold,
    };
    let reviewed = args
        .node
        .corrections()
        .await?
        .review_signal(request)
        .await
        .map_err(|status| by_options(status, OPTIONS))?
        .into_inner();
    let (id, upheld) = (&reviewed.record_id, reviewed.upheld);
    output.show(&json!({ "record_id": id, "upheld": upheld }), || {
        if upheld {
            format!("signal {id} stands and is published")
        } else {
            format!("signal {id} was rejected: it is gone, and nothing was published")
        }
    });
    Ok(Exit::Done)
}

async fn cure(args: &CureArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::CureSignalRequest {
        record_id: args.signal.clone(),
        paid_on: args.paid_on.clone(),
        by: args.person.by.clone(),
    };
    let filed = args
        .node
        .corrections()
        .await?
        .cure_signal(request)
        .await
        .map_err(|status| by_options(status, OPTIONS))?
        .into_inner();
    let id = &filed.record_id;
    output.show(&json!({ "record_id": id, "state": filed.state }), || {
        format!("cure {id} is published; furnish the loan's newest version too, if there is one")
    });
    Ok(Exit::Done)
}

async fn show(args: &ShowArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::ShowSignalRequest {
        record_id: args.signal.clone(),
    };
    let shown = args
        .node
        .corrections()
        .await?
        .show_signal(request)
        .await?
        .into_inner();
    let value = signal_value(&shown)?;
    output.show(&value, || signal_lines(&value).join("\n"));
    Ok(Exit::Done)
}

/// A signal as a person reads it: its state, then what is filled in.
fn signal_lines(value: &Value) -> Vec<String> {
    let text = |value: &Value| {
        let plain = value.as_str().map(str::to_owned);
        plain.unwrap_or_else(|| value.to_string())
    };
    let mut lines = vec![format!("signal {}", text(&value["record_id"]))];
    lines.push(format!("{:<16} {}", "state", text(&value["state"])));
    let fields = value["row"].as_object().into_iter().flatten();
    let filled = fields.filter(|(name, value)| !value.is_null() && *name != "record_id");
    lines.extend(filled.map(|(name, value)| format!("{name:<16} {}", text(value))));
    lines
}

/// Whom a signal is about, with most of the identifiers hidden.
fn about_whom(row: &Value) -> String {
    let named = ["national_id", "phone"].iter().filter_map(|name| {
        let identifier = Identifier::parse(row[*name].as_str()?, None).ok()?;
        Some(identifier.masked())
    });
    named.collect::<Vec<_>>().join(" ")
}

fn signal_value(shown: &pb::SignalResponse) -> Result<Value, CliError> {
    let unreadable = |error| CliError::local(format!("the node's answer cannot be read: {error}"));
    let row: Value = serde_json::from_str(&shown.row).map_err(unreadable)?;
    Ok(json!({ "record_id": shown.record_id, "state": shown.state, "row": row }))
}

async fn list(args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let request = pb::ListSignalsRequest {
        identifiers: read_identifiers(&args.borrower)?,
    };
    let found = args
        .node
        .corrections()
        .await?
        .list_signals(request)
        .await?
        .into_inner();
    let pending: Vec<Value> = found
        .pending
        .iter()
        .map(signal_value)
        .collect::<Result<_, _>>()?;
    let standing: Vec<Value> = found.standing.iter().map(standing_value).collect();
    let with_borrower = !args.borrower.is_empty();
    output.show(&json!({ "pending": pending, "standing": standing }), || {
        let mut lines = vec![match pending.len() {
            1 => "1 signal waits for a reviewer".to_owned(),
            many => format!("{many} signals wait for a reviewer"),
        }];
        for signal in &pending {
            let row = &signal["row"];
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let id = signal["record_id"].as_str().unwrap_or_default();
            let (kind, on, by) = (word("signal_kind"), word("event_on"), word("filed_by"));
            let whom = about_whom(row);
            lines.push(format!(
                "pending   {id}  {kind:<24} {on}  {whom}  filed by {by}"
            ));
        }
        if with_borrower {
            lines.push(match standing.len() {
                1 => "1 signal of this borrower stands".to_owned(),
                many => format!("{many} signals of this borrower stand"),
            });
        }
        lines.extend(found.standing.iter().map(standing_line));
        lines.join("\n")
    });
    Ok(Exit::Done)
}

fn standing_value(signal: &pb::StandingSignal) -> Value {
    json!({
        "kind": signal.kind, "record_id": signal.record_id, "derived": signal.derived,
        "event_on": signal.event_on,
        "ends_on": Some(&signal.ends_on).filter(|day| !day.is_empty()),
        "disputed": signal.disputed, "adverse": signal.adverse,
    })
}

fn standing_line(signal: &pb::StandingSignal) -> String {
    let source = if signal.derived {
        "from loan"
    } else {
        "as filed "
    };
    let end = match signal.ends_on.as_str() {
        "" => "until it ends".to_owned(),
        day => format!("until {day}"),
    };
    let disputed = if signal.disputed { "  DISPUTED" } else { "" };
    format!(
        "{:<24} {}  {end:<18} {source} {}{disputed}",
        signal.kind, signal.event_on, signal.record_id
    )
}
