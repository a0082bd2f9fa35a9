//! Erasing a borrower, and destroying the keys that sealed what was deleted.

use std::io::IsTerminal;

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::lending::read_identifiers;
use super::operator::NodeAt;
use super::output::Output;
use super::signal::Person;
use crate::domain::Timestamp;
use crate::wire::pb;

/// `creditmesh records erase`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh records erase us-ssn:536-90-4399 \\\n    \
    --reason request --by ann\n  \
    echo us-ssn:536-90-4399 | creditmesh records erase - --reason court --by ann --json\n\n\
    Records, disputes, watch list and identifiers go, whoever was answered from a record is told, \
    and the store is re-keyed, so that nobody opens what is left of them on this disk. Copies that \
    lie elsewhere, such as older backups, are to be destroyed (docs/sealing.md)."
)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Identifier as kind:value, once or twice; `-` reads standard input.
    #[arg(value_name = "BORROWER", required = true, num_args = 1..=2)]
    borrower: Vec<String>,
    /// request, consent-withdrawn, court or unlawful.
    #[arg(long)]
    reason: String,
    /// Do not re-key now: within the hour the node does it by itself.
    #[arg(long)]
    no_rekey: bool,
    #[command(flatten)]
    person: Person,
}

pub(super) async fn run(args: &EraseArgs, output: &Output) -> Result<Exit, CliError> {
    let identifiers = read_identifiers(&args.borrower)?;
    let from_input = args.borrower.iter().any(|one| one == "-");
    let question = "erase everything about this borrower? It does not come back.";
    if !from_input && std::io::stdin().is_terminal() && !output.confirmed(question)? {
        return Err(CliError::refused("nothing was erased"));
    }
    let request = pb::EraseBorrowerRequest {
        identifiers,
        by: args.person.by.clone(),
        reason: args.reason.clone(),
    };
    let mut node = args.node.erasures().await?;
    let erased = node.erase_borrower(request).await?.into_inner();
    let resealed = if args.no_rekey {
        None
    } else {
        Some(rekeyed(&args.node, output).await?)
    };
    let at = Timestamp::from_unix_ms(erased.at_unix_ms).to_rfc3339();
    let value = json!({ "erasure_id": erased.erasure_id, "at": at, "records": erased.records,
        "watched": erased.watched, "rekeyed": resealed.is_some() });
    output.show(&value, || {
        let watched = if erased.watched {
            ", and taken off the watch list"
        } else {
            ""
        };
        let rest = match resealed {
            Some(rows) => format!("{rows} rows were sealed anew, and the older keys destroyed"),
            None => "within the hour the store is re-keyed: until then the key ring still opens \
                     what is left of them on the disk"
                .to_owned(),
        };
        format!(
            "erasure {}: {} records deleted{watched}\n{rest}\nto be destroyed by you: backups \
             taken before {at}",
            erased.erasure_id, erased.records
        )
    });
    Ok(Exit::Done)
}

/// `creditmesh node rekey`.
pub(super) async fn rekey(node: &NodeAt, output: &Output) -> Result<Exit, CliError> {
    let rows = rekeyed(node, output).await?;
    output.show(&json!({ "resealed": rows }), || {
        format!("{rows} rows were sealed anew under a new data key, and the older keys destroyed")
    });
    Ok(Exit::Done)
}

/// Re-keys the store and gives how many rows were sealed anew.
async fn rekeyed(node: &NodeAt, output: &Output) -> Result<u64, CliError> {
    let bar = output.progress("rows sealed anew", None);
    let stream = node.erasures().await?.rekey(pb::RekeyRequest {}).await?;
    let mut stream = stream.into_inner();
    while let Some(far) = stream.message().await? {
        bar.set_position(far.resealed);
        if far.done {
            bar.finish_and_clear();
            return Ok(far.resealed);
        }
    }
    Err(CliError::local(
        "the node stopped before the end: it goes on when it is started again",
    ))
}
