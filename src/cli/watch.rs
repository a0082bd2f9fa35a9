//! `creditmesh watch`: whom this node watches at its peers.

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::limits::WATCH_PAGE_MAX;
use crate::wire::pb;

/// `creditmesh watch …`.
#[derive(Debug, Subcommand)]
pub(super) enum WatchCommand {
    /// Watch borrowers, or everybody in the book with whom a contract runs.
    #[command(
        after_help = "Examples:\n  creditmesh watch add us-ssn:536-90-4399,ref:L-4711\n  \
        creditmesh watch add --book\n  creditmesh watch add --file borrowers.txt\n  \
        creditmesh watch add --file -\n\n\
        A borrower is its identifiers, separated by commas: one national identity, one phone\n\
        number, or both; and ref:TEXT, your own reference, which alerts carry. A file has one\n\
        borrower on each line; `-` reads standard input, and so keeps identifiers out of the\n\
        shell's history. Who has no running contract in your book is left out and named, and the\n\
        command ends with 1: an account review needs an account."
    )]
    Add(AddArgs),
    /// The watch list, and how far the evaluation at each peer has come.
    #[command(after_help = "Example:\n  creditmesh watch list --json")]
    List(ListArgs),
    /// Watch borrowers no more, and delete what was derived for them.
    #[command(
        after_help = "Example:\n  creditmesh watch remove us-ssn:536-90-4399\n\n\
        Name the identifier that the borrower is watched by: its national identity or, where it\n\
        has none, its phone number. `-` reads standard input, one per line."
    )]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Borrowers, such as us-ssn:536-90-4399,ref:L-4711; or --book, or --file.
    #[arg(value_name = "BORROWER", required_unless_present_any = ["book", "file"])]
    borrowers: Vec<String>,
    /// Everybody in the book with whom a contract runs.
    #[arg(long, conflicts_with_all = ["borrowers", "file"])]
    book: bool,
    /// A file with one borrower on each line; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "borrowers")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Borrowers to show; the progress is shown in any case.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Begin after this number.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u32,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Identifiers as kind:value; `-` reads standard input.
    #[arg(value_name = "KIND:VALUE", required = true)]
    identifiers: Vec<String>,
}

pub(super) async fn run(command: WatchCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        WatchCommand::Add(args) if args.book => add_book(&args, output).await,
        WatchCommand::Add(args) => add(&args, output).await,
        WatchCommand::List(args) => list(&args, output).await,
        WatchCommand::Remove(args) => remove(&args, output).await,
    }
}

/// A borrower as it is typed. The text is not repeated in errors: it holds identifiers.
fn borrower(text: &str, line: usize) -> Result<pb::WatchedBorrower, CliError> {
    let mut borrower = pb::WatchedBorrower::default();
    for part in text.split([',', '\t']).map(str::trim) {
        match part.strip_prefix("ref:") {
            Some(reference) => reference.clone_into(&mut borrower.reference),
            None => {
                let parsed = crate::domain::Identifier::parse(part, None);
                parsed.map_err(|error| CliError::usage(format!("borrower {line}: {error}")))?;
                borrower.identifiers.push(part.to_owned());
            }
        }
    }
    if borrower.identifiers.is_empty() {
        return Err(CliError::usage(format!(
            "borrower {line}: has no identifier"
        )));
    }
    Ok(borrower)
}

/// Borrowers, each with the number of its line.
type Borrowers = Vec<(usize, pb::WatchedBorrower)>;

fn borrowers(args: &AddArgs) -> Result<Borrowers, CliError> {
    let lines: Vec<String> = match &args.file {
        None => args.borrowers.clone(),
        Some(path) if path.as_os_str() == "-" => read_lines(std::io::stdin().lock())?,
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| CliError::file(path, &error))?;
            read_lines(std::io::BufReader::new(file))?
        }
    };
    let lines = (1..).zip(&lines);
    let filled = lines.filter(|(_, line)| !line.trim().is_empty());
    let parsed = filled.map(|(at, line)| Ok((at, borrower(line, at)?)));
    parsed.collect()
}

fn read_lines(from: impl BufRead) -> Result<Vec<String>, CliError> {
    let lines: Result<Vec<String>, _> = from.lines().collect();
    lines.map_err(|error| CliError::local(format!("cannot read the borrowers: {error}")))
}

async fn add(args: &AddArgs, output: &Output) -> Result<Exit, CliError> {
    let borrowers = borrowers(args)?;
    let mut node = args.node.watch().await?;
    let total = u64::try_from(borrowers.len()).unwrap_or(u64::MAX);
    let bar = output.progress("watching", Some(total));
    let (mut added, mut known) = (0_u64, 0_u64);
    let mut strangers = Vec::new();
    for page in borrowers.chunks(WATCH_PAGE_MAX) {
        let request = pb::AddWatchedRequest {
            borrowers: page.iter().map(|(_, one)| one.clone()).collect(),
        };
        let answer = node.add_watched(request).await?.into_inner();
        added += u64::from(answer.added);
        known += u64::from(answer.known);
        let places = answer
            .strangers
            .iter()
            .filter_map(|at| page.get(*at as usize));
        strangers.extend(places.map(|(line, _)| *line));
        bar.inc(u64::try_from(page.len()).unwrap_or(0));
    }
    bar.finish_and_clear();
    let value = json!({ "added": added, "known": known, "strangers": strangers });
    output.show(&value, || {
        let node = args.node.typed();
        let mut lines: Vec<String> = strangers.iter().map(stranger_line).collect();
        lines.push(format!(
            "{added} watched from now on, {known} were already\n\
             how far: creditmesh watch list {node}"
        ));
        lines.join("\n")
    });
    Ok(match strangers.is_empty() {
        true => Exit::Done,
        false => Exit::Refused,
    })
}

fn stranger_line(line: &usize) -> String {
    format!(
        "borrower {line}: not watched, as no contract runs with it in this member's book (an \
         active or charged-off loan, or a live hold): an account review needs an account"
    )
}

async fn add_book(args: &AddArgs, output: &Output) -> Result<Exit, CliError> {
    let mut node = args.node.watch().await?;
    let mut told = node.add_book(pb::AddBookRequest {}).await?.into_inner();
    let bar = output.progress("reading the book", None);
    let mut last = pb::AddBookResponse::default();
    while let Some(next) = told.message().await? {
        last = next;
        bar.set_position(last.records);
    }
    bar.finish_and_clear();
    let value = json!({ "records": last.records, "added": last.added });
    output.show(&value, || {
        let node = args.node.typed();
        format!(
            "{} records read, {} borrowers watched from now on\n\
             how far: creditmesh watch list {node}",
            last.records, last.added
        )
    });
    Ok(Exit::Done)
}

async fn list(args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let progress = progress(&args.node).await?;
    let mut node = args.node.watch().await?;
    let mut entries = Vec::new();
    let mut after = args.after;
    while entries.len() < args.limit {
        let request = pb::ListWatchedRequest { after };
        let page = node.list_watched(request).await?.into_inner().entries;
        let Some(last) = page.last() else { break };
        after = last.number;
        entries.extend(page);
    }
    entries.truncate(args.limit);
    let mut value = progress_json(&progress);
    if let Some(fields) = value.as_object_mut() {
        let borrowers = entries.iter().map(entry_json).collect();
        fields.insert("borrowers".to_owned(), borrowers);
    }
    output.show(&value, || {
        let mut lines = progress_lines(&progress);
        lines.extend(entries.iter().map(|entry| {
            format!(
                "{:>9}  {}  {}",
                entry.number, entry.borrower, entry.reference
            )
        }));
        lines.join("\n")
    });
    Ok(Exit::Done)
}

/// How many a node watches, and how far the evaluation at each peer has come.
pub(super) async fn progress(node: &NodeAt) -> Result<pb::WatchProgressResponse, CliError> {
    let request = pb::WatchProgressRequest {};
    let progress = node.watch().await?.watch_progress(request).await?;
    Ok(progress.into_inner())
}

/// The same for machines.
pub(super) fn progress_json(progress: &pb::WatchProgressResponse) -> serde_json::Value {
    json!({
        "watched": progress.watched,
        "peers": progress.peers.iter().map(peer_json).collect::<Vec<_>>(),
    })
}

/// The same for people.
pub(super) fn progress_lines(progress: &pb::WatchProgressResponse) -> Vec<String> {
    let mut lines = vec![format!("watched      {}", progress.watched)];
    if progress.watched > 0 {
        lines.extend(progress.peers.iter().map(peer_line));
    }
    lines
}

fn peer_json(peer: &pb::PeerWatch) -> serde_json::Value {
    json!({
        "member": peer.member,
        "epoch": (peer.epoch >= 0).then_some(peer.epoch),
        "evaluated": peer.evaluated,
        "whole": peer.whole,
        "waits": peer.waits,
    })
}

fn peer_line(peer: &pb::PeerWatch) -> String {
    let state = match (peer.whole, peer.waits.as_str()) {
        (true, _) => "all evaluated",
        (false, "") => "goes on",
        (false, waits) => waits,
    };
    let epoch = match peer.epoch {
        -1 => "no epoch yet".to_owned(),
        number => format!("epoch {number}"),
    };
    format!(
        "watch        {:<20} {epoch}  {} evaluated  {state}",
        peer.member, peer.evaluated
    )
}

fn entry_json(entry: &pb::WatchedEntry) -> serde_json::Value {
    json!({
        "number": entry.number,
        "reference": entry.reference,
        "borrower": entry.borrower,
        "added_at": Timestamp::from_unix_ms(entry.added_unix_ms).to_rfc3339(),
    })
}

async fn remove(args: &RemoveArgs, output: &Output) -> Result<Exit, CliError> {
    let mut identifiers = Vec::new();
    for argument in &args.identifiers {
        match argument.as_str() {
            "-" => identifiers.extend(read_lines(std::io::stdin().lock())?),
            _ => identifiers.push(argument.clone()),
        }
    }
    let mut node = args.node.watch().await?;
    let (mut removed, mut unknown) = (0_u64, 0_u64);
    for identifier in identifiers {
        let request = pb::RemoveWatchedRequest { identifier };
        if node.remove_watched(request).await?.into_inner().removed {
            removed += 1;
        } else {
            unknown += 1;
        }
    }
    let value = json!({ "removed": removed, "unknown": unknown });
    output.show(&value, || match unknown {
        0 => format!("{removed} watched no more"),
        _ => format!("{removed} watched no more, {unknown} were not watched"),
    });
    Ok(if unknown > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}
