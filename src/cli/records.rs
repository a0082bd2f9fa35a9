//! The member's own book on the command line.

use clap::{Args, Subcommand, ValueEnum};

use super::dispute::{self, DisputeArgs};
use super::erase::{self, EraseArgs};
use super::exit::{CliError, Exit};
use super::lending::show_change;
use super::operator::NodeAt;
use super::output::Output;
use super::records_export::{self, ExportArgs};
use super::records_import::{self, ImportArgs};
use crate::domain::{RecordId, RecordKind, RetractionReason};
use crate::env::{Clock, SystemClock};
use crate::flows::Book;
use crate::formats::jsonl;
use crate::node::Folder;
use crate::wire::pb;

/// `creditmesh records …`.
#[derive(Debug, Subcommand)]
pub(super) enum RecordsCommand {
    /// Put records into the book; bad rows go to a rejects file.
    Import(ImportArgs),
    /// Write the whole book as canonical JSON Lines, or its loans as Metro 2.
    Export(ExportArgs),
    /// Print one record.
    Show(ShowArgs),
    /// Take a record back, everywhere.
    Retract(RetractArgs),
    /// Erase a borrower before the terms of its records are over.
    Erase(EraseArgs),
    /// Open, acknowledge and decide a borrower's dispute of a record.
    Dispute(Box<DisputeArgs>),
}

/// A kind of record.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    Loan,
    Application,
    Hold,
    Signal,
}

impl From<Kind> for RecordKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Loan => Self::Loan,
            Kind::Application => Self::Application,
            Kind::Hold => Self::Hold,
            Kind::Signal => Self::Signal,
        }
    }
}

/// `creditmesh records show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh records show 0190a5b2-7c4e-7a10-9c1d-3f5a6b7c8d9e")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id.
    record: String,
}

/// `creditmesh records retract`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  creditmesh records retract RECORD --reason wrong-person")]
pub(super) struct RetractArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Record id.
    record: String,
    /// furnisher-error, wrong-person, dispute-upheld, court or duplicate.
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(command: RecordsCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        RecordsCommand::Import(args) => records_import::run(&args, output).await,
        RecordsCommand::Export(args) => records_export::run(&args, output).await,
        RecordsCommand::Show(args) => show(&args, output).await,
        RecordsCommand::Retract(args) => retract(&args, output).await,
        RecordsCommand::Erase(args) => erase::run(&args, output).await,
        RecordsCommand::Dispute(args) => dispute::run(&args, output).await,
    }
}

fn record_id(text: &str) -> Result<RecordId, CliError> {
    let id = text
        .parse()
        .map_err(|_| CliError::usage("a record id is a UUID"))?;
    Ok(RecordId(id))
}

async fn show(args: &ShowArgs, output: &Output) -> Result<Exit, CliError> {
    let id = record_id(&args.record)?;
    let row = if let Some(mut node) = args.node.running().await? {
        let request = pb::ShowRecordRequest {
            record_id: args.record.clone(),
        };
        node.show_record(request).await?.into_inner().row
    } else {
        let opened = Folder::at(&args.node.dir.path).open().await?;
        let found = Book::new(opened.vault.clone()).find(id).await;
        opened.close().await?;
        let record = found?.ok_or_else(|| CliError::refused("no such record: check the id"))?;
        jsonl::to_line(&record)
    };
    output.raw(&row);
    Ok(Exit::Done)
}

async fn retract(args: &RetractArgs, output: &Output) -> Result<Exit, CliError> {
    let id = record_id(&args.record)?;
    let reason = RetractionReason::from_word(&args.reason).ok_or_else(|| {
        CliError::usage(
            "--reason: must be furnisher-error, wrong-person, dispute-upheld, court or duplicate",
        )
    })?;
    if let Some(mut node) = args.node.running().await? {
        let request = pb::RetractRecordRequest {
            record_id: args.record.clone(),
            reason: args.reason.clone(),
        };
        let change = node.retract_record(request).await?.into_inner();
        return Ok(show_change(&change, output));
    }
    let opened = Folder::at(&args.node.dir.path).open().await?;
    let book = Book::new(opened.vault.clone());
    let retracted = book.retract(id, reason, SystemClock.now()).await;
    opened.close().await?;
    let record = retracted?;
    output.remark("the node is stopped: the retraction is published when it starts");
    let change = pb::ChangeResponse {
        record_id: args.record.clone(),
        version: record.head.version.number(),
    };
    Ok(show_change(&change, output))
}
