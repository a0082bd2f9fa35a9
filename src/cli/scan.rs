//! `creditmesh scan`: what the network tells of every watched customer, as a file.

mod rows;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use super::watch::{progress, progress_json, progress_lines};
use crate::wire::pb;

/// Bytes at the end of a file in which its last whole row is looked for: many rows.
const TAIL_BYTES: u64 = 256 * 1024;

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON Lines.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// `creditmesh scan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh watch add --book\n  \
        creditmesh scan --format csv --out today.csv\n  \
        creditmesh scan --format csv --out today.csv --resume\n  \
        creditmesh scan | jq 'select(.outcome == \"RESTRICT\") | .reference'\n\n\
        Customers are those on the watch list: each was evaluated once at each peer in this key\n\
        epoch, in batches that are logged and metered. A scan asks nobody again: it looks up what\n\
        peers have published by now, so that the next day costs only who is new. Exit code 3: a\n\
        peer has not evaluated everybody yet, or is away; what it could tell is unknown, and\n\
        counts are wider.")]
pub(super) struct ScanArgs {
    #[command(flatten)]
    node: NodeAt,
    /// How the rows are written.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Form,
    /// File to write, which must not be there yet; without it standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Begin after this number of the watch list.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u32,
    /// Go on behind the last whole row of the file that --out names.
    #[arg(long, requires = "out", conflicts_with = "after")]
    resume: bool,
}

/// Where rows go.
struct Sink {
    form: Form,
    to: Box<dyn Write>,
}

impl Sink {
    /// Writes a row; gives whether anybody still reads.
    fn put(&mut self, row: &pb::ScanWatchedResponse) -> Result<bool, CliError> {
        let line = match self.form {
            Form::Jsonl => rows::json_line(row)?,
            Form::Csv => rows::csv_line(row)?,
        };
        still_read(self.write(&line))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.to, "{line}")
    }
}

/// Whether anybody still reads what is written: whoever closed a pipe does not want more, which is
/// no fault.
fn still_read(written: io::Result<()>) -> Result<bool, CliError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritten(&error)),
    }
}

fn unwritten(error: &io::Error) -> CliError {
    CliError::local(format!("the rows cannot be written: {error}"))
}

pub(super) async fn run(args: &ScanArgs, output: &Output) -> Result<Exit, CliError> {
    if output.is_json() && args.format == Form::Csv && args.out.is_none() {
        let why = "--json is the same as --format jsonl: leave it out, or the other one";
        return Err(CliError::usage(why));
    }
    let watched = progress(&args.node).await?;
    let (mut sink, after) = sink(args)?;
    let mut node = args.node.watch().await?;
    let request = pb::ScanWatchedRequest { after };
    let mut stream = node.scan_watched(request).await?.into_inner();
    let bar = output.progress("scanning", Some(u64::from(watched.watched)));
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = after;
    while let Some(row) = stream.message().await? {
        if !sink.put(&row)? {
            return Ok(Exit::Done);
        }
        last = row.number;
        *outcomes.entry(row.outcome).or_default() += 1;
        bar.inc(1);
    }
    if !still_read(sink.to.flush())? {
        return Ok(Exit::Done);
    }
    bar.finish_and_clear();
    show(args, &(outcomes, last), &watched, output);
    let is_whole = watched.peers.iter().all(|peer| peer.whole);
    Ok(if is_whole { Exit::Done } else { Exit::Peers })
}

/// What was scanned: beside the rows where they are in a file, as remarks where they are not.
fn show(
    args: &ScanArgs,
    (outcomes, last): &(BTreeMap<String, u64>, u32),
    watched: &pb::WatchProgressResponse,
    output: &Output,
) {
    let customers: u64 = outcomes.values().sum();
    let text = || {
        let each = outcomes
            .iter()
            .map(|(word, count)| format!("{count} {word}"));
        let each: Vec<String> = each.collect();
        let mut lines = vec![match customers {
            0 => "no customer scanned: `creditmesh watch add --book` watches those of the book"
                .to_owned(),
            _ => format!("{customers} scanned: {}", each.join(", ")),
        }];
        lines.extend(progress_lines(watched));
        lines.join("\n")
    };
    if args.out.is_none() {
        output.remark(&text());
        return;
    }
    let value = json!({ "scanned": customers, "outcomes": outcomes, "last": last,
        "written": args.out, "watch": progress_json(watched) });
    output.show(&value, text);
}

/// Where the rows go, and after which number they begin.
fn sink(args: &ScanArgs) -> Result<(Sink, u32), CliError> {
    let form = args.format;
    let Some(path) = &args.out else {
        let to: Box<dyn Write> = Box::new(BufWriter::new(io::stdout()));
        let mut sink = Sink { form, to };
        if form == Form::Csv {
            let header = sink.write(&rows::csv_header());
            header.map_err(|error| unwritten(&error))?;
        }
        return Ok((sink, args.after));
    };
    if args.resume {
        let (file, after) = resumed(path, form)?;
        let to: Box<dyn Write> = Box::new(BufWriter::new(file));
        return Ok((Sink { form, to }, after));
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| CliError::file(path, &error))?;
    let to: Box<dyn Write> = Box::new(BufWriter::new(file));
    let mut sink = Sink { form, to };
    if form == Form::Csv {
        let header = sink.write(&rows::csv_header());
        header.map_err(|error| unwritten(&error))?;
    }
    Ok((sink, args.after))
}

/// A file that was broken off, cut behind its last whole row, and the number of that row.
fn resumed(path: &Path, form: Form) -> Result<(File, u32), CliError> {
    let failed = |error: io::Error| CliError::file(path, &error);
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).map_err(failed)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n');
    tail.truncate(end.map_or(0, |at| at + 1));
    let kept = String::from_utf8_lossy(&tail);
    let number = match (form, kept.lines().last()) {
        (_, None) => None,
        (Form::Jsonl, Some(line)) => rows::number_of_json(line),
        (Form::Csv, Some(line)) if line == rows::csv_header() => Some(0),
        (Form::Csv, Some(line)) => rows::number_of_csv(line),
    };
    let number = number.ok_or_else(|| {
        CliError::refused(format!(
            "{} holds no rows of a scan in this format: name another file",
            path.display()
        ))
    })?;
    let whole = from + u64::try_from(tail.len()).unwrap_or(0);
    file.set_len(whole).map_err(failed)?;
    file.seek(SeekFrom::Start(whole)).map_err(failed)?;
    Ok((file, number))
}
