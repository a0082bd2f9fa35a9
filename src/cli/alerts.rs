//! `creditmesh alerts`: what happened to watched borrowers elsewhere, and what was done about it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::{AlertKind, Timestamp};
use crate::wire::pb;

/// How long to wait before a broken stream of alerts is taken up again.
const AGAIN: Duration = Duration::from_secs(1);

/// `creditmesh alerts …`.
#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// Alerts, in the order in which they came.
    #[command(after_help = "Examples:\n  creditmesh alerts list --state open\n  \
        creditmesh alerts list --after 1200 --json")]
    List(ListArgs),
    /// Alerts as they come, until you stop it; through restarts of the node.
    #[command(after_help = "Examples:\n  creditmesh alerts follow\n  \
        creditmesh alerts follow --after 1200 --json\n\n\
        With the number of the last alert that you have seen, none is missed.")]
    Follow(FollowArgs),
    /// Take alerts.
    #[command(after_help = "Example:\n  creditmesh alerts acknowledge 17 18 --owner 'Kim'")]
    Acknowledge(AcknowledgeArgs),
    /// Settle alerts.
    #[command(
        after_help = "Example:\n  creditmesh alerts resolve 17 --response lowered-limit \
        --note 'to 500'\n\n\
        Responses: contacted-borrower, lowered-limit, stopped-credit, stopped-payout,\n\
        verified-identity, sent-to-collections, reviewed, no-action, wrong-person, other\n\
        (which needs a note)."
    )]
    Resolve(ResolveArgs),
    /// Alerts that could not be posted to the webhook.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh alerts dead-letter list"
    )]
    DeadLetter(DeadLetterCommand),
}

/// `creditmesh alerts dead-letter …`.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetterCommand {
    /// Deliveries that were given up.
    #[command(after_help = "Example:\n  creditmesh alerts dead-letter list --json")]
    List(DeadLetterArgs),
    /// Try deliveries again.
    #[command(after_help = "Examples:\n  creditmesh alerts dead-letter retry 17\n  \
        creditmesh alerts dead-letter retry --all")]
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Only those in this state.
    #[arg(long, value_parser = ["open", "acknowledged", "resolved"])]
    state: Option<String>,
    /// Begin after this alert.
    #[arg(long, default_value_t = 0, value_name = "ID")]
    after: u64,
    /// Most alerts to show.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Begin after this alert; without it with the next one that comes.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Stop after so many alerts.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct AcknowledgeArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Numbers of the alerts.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<u64>,
    /// Who takes them.
    #[arg(long, alias = "by", value_name = "NAME")]
    owner: String,
}

#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Numbers of the alerts.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<u64>,
    /// How they were settled.
    #[arg(long, value_name = "WORD")]
    response: String,
    /// More about it, at most 500 characters.
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Who settled them; without it whoever has taken them.
    #[arg(
        long,
        alias = "by",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    owner: String,
}

#[derive(Debug, Args)]
pub(super) struct DeadLetterArgs {
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Numbers of the alerts.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<u64>,
    /// All that were given up.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(super) async fn run(command: AlertsCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        AlertsCommand::List(args) => list(&args, output).await,
        AlertsCommand::Follow(args) => follow(&args, output).await,
        AlertsCommand::Acknowledge(args) => acknowledge(&args, output).await,
        AlertsCommand::Resolve(args) => resolve(&args, output).await,
        AlertsCommand::DeadLetter(DeadLetterCommand::List(args)) => letters(&args, output).await,
        AlertsCommand::DeadLetter(DeadLetterCommand::Retry(args)) => retry(&args, output).await,
    }
}

async fn list(args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    let mut alerts = Vec::new();
    let mut after = args.after;
    loop {
        let request = pb::ListAlertsRequest {
            after,
            state: args.state.clone().unwrap_or_default(),
        };
        let page = node.list_alerts(request).await?.into_inner();
        alerts.extend(page.alerts);
        after = page.next_after;
        if after == 0 || alerts.len() >= args.limit {
            break;
        }
    }
    let is_cut = after != 0 || alerts.len() > args.limit;
    alerts.truncate(args.limit);
    let next_after = alerts.last().filter(|_| is_cut).map(|last| last.id);
    let value = json!({
        "alerts": alerts.iter().map(json_of).collect::<Vec<_>>(),
        "next_after": next_after,
    });
    output.show(&value, || {
        let mut lines: Vec<String> = alerts.iter().map(line_of).collect();
        if lines.is_empty() {
            lines.push("no alerts".to_owned());
        }
        lines.extend(next_after.map(|after| format!("more: --after {after}")));
        lines.join("\n")
    });
    Ok(Exit::Done)
}

async fn follow(args: &FollowArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    let mut after = match args.after {
        Some(after) => after,
        None => newest(&mut node).await?,
    };
    let mut left = args.count;
    loop {
        let request = pb::FollowAlertsRequest { after };
        let ended = match node.follow_alerts(request).await {
            Err(status) => Some(status),
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    if left == Some(0) {
                        return Ok(Exit::Done);
                    }
                    match stream.message().await {
                        Ok(Some(alert)) => {
                            after = alert.id;
                            left = left.map(|left| left - 1);
                            output.show(&json_of(&alert), || line_of(&alert));
                        }
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                }
            }
        };
        if let Some(status) = ended {
            output.remark(&format!("waiting for the node: {}", status.message()));
        }
        tokio::time::sleep(AGAIN).await;
        // A node that was restarted has another socket.
        if let Ok(again) = args.node.watch().await {
            node = again;
        }
    }
}

/// The number of the newest alert.
async fn newest(node: &mut super::operator::WatchClient) -> Result<u64, CliError> {
    let mut after = 0;
    loop {
        let request = pb::ListAlertsRequest {
            after,
            state: String::new(),
        };
        let page = node.list_alerts(request).await?.into_inner();
        after = page.alerts.last().map_or(after, |last| last.id);
        if page.next_after == 0 {
            return Ok(after);
        }
    }
}

async fn acknowledge(args: &AcknowledgeArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    for id in &args.ids {
        let request = pb::AcknowledgeAlertRequest {
            id: *id,
            owner: args.owner.clone(),
        };
        let taken = node.acknowledge_alert(request).await;
        let alert = taken.map_err(|status| of_alert(*id, status))?.into_inner();
        output.show(&json_of(&alert), || line_of(&alert));
    }
    Ok(Exit::Done)
}

async fn resolve(args: &ResolveArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    for id in &args.ids {
        let request = pb::ResolveAlertRequest {
            id: *id,
            owner: args.owner.clone(),
            response: args.response.clone(),
            note: args.note.clone(),
        };
        let settled = node.resolve_alert(request).await;
        let alert = settled
            .map_err(|status| of_alert(*id, status))?
            .into_inner();
        output.show(&json_of(&alert), || line_of(&alert));
    }
    Ok(Exit::Done)
}

/// Which of several alerts was refused.
fn of_alert(id: u64, status: tonic::Status) -> CliError {
    let error = CliError::from(status);
    let message = format!("alert {id}: {}", error.message);
    CliError { message, ..error }
}

async fn all_letters(
    node: &mut super::operator::WatchClient,
) -> Result<Vec<pb::DeadLetterMessage>, CliError> {
    let mut letters: Vec<pb::DeadLetterMessage> = Vec::new();
    loop {
        let after = letters.last().map_or(0, |last| last.alert);
        let request = pb::ListDeadLettersRequest { after };
        let page = node.list_dead_letters(request).await?.into_inner().letters;
        if page.is_empty() {
            return Ok(letters);
        }
        letters.extend(page);
    }
}

async fn letters(args: &DeadLetterArgs, output: &Output) -> Result<Exit, CliError> {
    let letters = all_letters(&mut args.node.watch().await?).await?;
    let value = letters.iter().map(|letter| {
        json!({
            "alert": letter.alert, "attempts": letter.attempts,
            "at": moment(letter.at_unix_ms), "error": letter.error,
        })
    });
    let value = json!({ "dead_letters": value.collect::<Vec<_>>() });
    output.show(&value, || {
        let line = |letter: &pb::DeadLetterMessage| {
            let at = Timestamp::from_unix_ms(letter.at_unix_ms).to_rfc3339();
            let pb::DeadLetterMessage {
                alert,
                attempts,
                error,
                ..
            } = letter;
            format!("alert {alert}, given up at {at} after {attempts} attempts: {error}")
        };
        let lines: Vec<String> = letters.iter().map(line).collect();
        if lines.is_empty() {
            return "no dead letters".to_owned();
        }
        lines.join("\n")
    });
    Ok(Exit::Done)
}

async fn retry(args: &RetryArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    let ids = if args.all {
        let letters = all_letters(&mut node).await?;
        letters.into_iter().map(|letter| letter.alert).collect()
    } else {
        args.ids.clone()
    };
    for id in &ids {
        let request = pb::RetryDeadLetterRequest { alert: *id };
        let tried = node.retry_dead_letter(request).await;
        tried.map_err(|status| of_alert(*id, status))?;
    }
    let count = ids.len();
    output.show(&json!({ "retried": ids }), || match count {
        1 => "1 delivery is tried again".to_owned(),
        many => format!("{many} deliveries are tried again"),
    });
    Ok(Exit::Done)
}

fn moment(unix_ms: i64) -> Value {
    if unix_ms == 0 {
        return Value::Null;
    }
    Value::from(Timestamp::from_unix_ms(unix_ms).to_rfc3339())
}

fn json_of(alert: &pb::AlertMessage) -> Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "reference": known(&alert.reference),
        "borrower": known(&alert.borrower),
        "member": known(&alert.member),
        "at": moment(alert.at_unix_ms),
        "seen_at": moment(alert.seen_unix_ms),
        "standing": alert.standing,
        "state": alert.state,
        "owner": known(&alert.owner),
        "response": known(&alert.response),
        "note": known(&alert.note),
        "acknowledged_at": moment(alert.acknowledged_unix_ms),
        "resolved_at": moment(alert.resolved_unix_ms),
    })
}

fn line_of(alert: &pb::AlertMessage) -> String {
    let title = AlertKind::from_word(&alert.kind).map_or("", AlertKind::title);
    let seen = Timestamp::from_unix_ms(alert.seen_unix_ms).to_rfc3339();
    let mut line = format!(
        "{:>6}  {seen}  {:<8}  {}  {} {title}",
        alert.id, alert.severity, alert.state, alert.borrower
    );
    for (word, text) in [
        ("your reference", &alert.reference),
        ("by", &alert.member),
        ("owner", &alert.owner),
        ("response", &alert.response),
        ("note", &alert.note),
    ] {
        if !text.is_empty() {
            line.push_str(&format!("; {word} {text}"));
        }
    }
    if alert.standing {
        line.push_str("; stood already when the watch began");
    }
    line
}
