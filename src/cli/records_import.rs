//! `records import`: streaming, resumable, with a rejects file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use tonic::transport::Channel;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Record;
use crate::env::{Clock, SystemClock};
use crate::flows::{Book, Filed};
use crate::formats::{Format, Reader, Reject, RejectWriter, jsonl};
use crate::limits::IMPORT_BATCH_ROWS;
use crate::node::{Folder, Opened};
use crate::wire::pb;
use crate::wire::pb::operator_client::OperatorClient;

/// The form of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Jsonl,
    /// Metro 2, in characters or packed.
    Metro2,
}

/// `creditmesh records import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh records import loans.csv\n  \
    creditmesh records import book.jsonl --dry-run\n  \
    creditmesh records import bureau.dat --format metro2\n\n\
    An import that was interrupted goes on where it was: run it again. Rows are\n\
    idempotent by record id and version. Exit code 1 says that rows were rejected.")]
pub(super) struct ImportArgs {
    #[command(flatten)]
    node: NodeAt,
    /// File to import.
    file: PathBuf,
    /// Form of the file; by its ending without it.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Country of telephone numbers without country code (ISO 3166-1 alpha-2).
    #[arg(long, value_name = "CC")]
    region: Option<String>,
    /// Where bad rows go; without it beside the input, as FILE.rejects.csv.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Check every row; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Begin at the first row even where an earlier import of this file was interrupted.
    #[arg(long)]
    from_start: bool,
}

/// Where accepted rows go.
enum Sink {
    Running(OperatorClient<Channel>),
    Stopped(Box<Opened>),
}

#[derive(Debug, Default)]
struct Tally {
    new: u64,
    newer: u64,
    unchanged: u64,
    stale: u64,
    rejected: u64,
    gaps: u64,
    skipped: u64,
}

type Rows = Reader<Box<dyn Read + Send>>;

pub(super) async fn run(args: &ImportArgs, output: &Output) -> Result<Exit, CliError> {
    let file = File::open(&args.file).map_err(|error| CliError::file(&args.file, &error))?;
    let bytes = file
        .metadata()
        .map_err(|error| CliError::file(&args.file, &error))?
        .len();
    let bar = output.progress("bytes", Some(bytes));
    let counted = bar.wrap_read(BufReader::with_capacity(1 << 20, file));
    let rows = open_rows(args, counted)?;
    let mark = args.node.marks().import_mark(&args.file)?;
    let done = if args.dry_run || args.from_start {
        0
    } else {
        mark.line()
    };
    let sink = match args.node.running().await? {
        Some(node) => Sink::Running(node),
        None => Sink::Stopped(Box::new(Folder::at(&args.node.dir.path).open().await?)),
    };
    let rejects_path = args.rejects.clone().unwrap_or_else(|| beside(&args.file));
    let mut import = Import {
        sink,
        dry_run: args.dry_run,
        // In Metro 2 the versions are times: every one skips some.
        tells_gaps: args.format != Some(Form::Metro2),
        rejects: Rejects {
            path: rejects_path.clone(),
            resumed: done > 0,
            writer: None,
        },
        tally: Tally::default(),
    };
    let outcome = import.run(rows, done, |line| Ok(mark.keep(line)?)).await;
    if let Sink::Stopped(opened) = import.sink {
        opened.close().await?;
    }
    outcome?;
    bar.finish_and_clear();
    if !args.dry_run {
        mark.clear()?;
    }
    import.rejects.finish()?;
    report(&import.tally, args.dry_run, &rejects_path, output);
    Ok(if import.tally.rejected > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}

fn open_rows(args: &ImportArgs, input: impl Read + Send + 'static) -> Result<Rows, CliError> {
    let name = args.file.to_string_lossy();
    let refused = |error| CliError::refused(format!("{}: {error}", args.file.display()));
    let format = match args.format {
        Some(Form::Csv) => Format::Csv,
        Some(Form::Jsonl) => Format::JsonLines,
        Some(Form::Metro2) => Format::Metro2,
        None => Format::of_name(&name).map_err(refused)?,
    };
    let input: Box<dyn Read + Send> = Box::new(input);
    Reader::new(format, input, args.region.as_deref()).map_err(refused)
}

pub(super) fn beside(input: &Path) -> PathBuf {
    let mut name = input.as_os_str().to_owned();
    name.push(".rejects.csv");
    PathBuf::from(name)
}

struct Import {
    sink: Sink,
    dry_run: bool,
    tells_gaps: bool,
    rejects: Rejects,
    tally: Tally,
}

impl Import {
    async fn run(
        &mut self,
        mut rows: Rows,
        done: u64,
        mut keep: impl FnMut(u64) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut batch: Vec<(u64, Record)> = Vec::with_capacity(IMPORT_BATCH_ROWS);
        let unreadable = |error| CliError::local(format!("input: {error}"));
        rows.skip_through(done).map_err(unreadable)?;
        self.tally.skipped = done;
        let mut last = done;
        for row in rows {
            let row = row.map_err(unreadable)?;
            if batch.len() >= IMPORT_BATCH_ROWS {
                self.flush(&mut batch).await?;
                self.rejects.sync()?;
                if !self.dry_run {
                    // One account of a Metro 2 file can give several records.
                    let is_whole = row.line > last;
                    keep(last.saturating_sub(u64::from(!is_whole)))?;
                }
            }
            last = row.line;
            match row.result {
                Ok(record) => batch.push((row.line, record)),
                Err(reject) => self.reject(&reject)?,
            }
        }
        self.flush(&mut batch).await
    }

    async fn flush(&mut self, batch: &mut Vec<(u64, Record)>) -> Result<(), CliError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, records): (Vec<u64>, Vec<Record>) = batch.drain(..).unzip();
        let outcomes = match &mut self.sink {
            Sink::Running(node) => furnish(node, &records, self.dry_run).await?,
            Sink::Stopped(opened) => {
                let book = Book::new(opened.vault.clone());
                let filed = if self.dry_run {
                    book.rehearse(&records, SystemClock.now()).await?
                } else {
                    book.file(&records, SystemClock.now()).await?
                };
                filed.into_iter().map(plain_outcome).collect()
            }
        };
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            self.count(line, outcome)?;
        }
        Ok(())
    }

    fn count(&mut self, line: u64, outcome: pb::RowOutcome) -> Result<(), CliError> {
        self.tally.gaps += u64::from(outcome.gap && self.tells_gaps);
        match outcome.verdict.as_str() {
            "new" => self.tally.new += 1,
            "newer" => self.tally.newer += 1,
            "unchanged" => self.tally.unchanged += 1,
            "stale" => self.tally.stale += 1,
            _ => {
                let pb::RowOutcome { field, reason, .. } = outcome;
                let class = "record";
                return self.reject(&Reject {
                    line,
                    field,
                    class,
                    reason,
                });
            }
        }
        Ok(())
    }

    fn reject(&mut self, reject: &Reject) -> Result<(), CliError> {
        self.tally.rejected += 1;
        self.rejects.write(reject)
    }
}

async fn furnish(
    node: &mut OperatorClient<Channel>,
    records: &[Record],
    dry_run: bool,
) -> Result<Vec<pb::RowOutcome>, CliError> {
    let rows = records.iter().map(jsonl::to_line).collect();
    let request = pb::FurnishRequest { rows, dry_run };
    Ok(node.furnish(request).await?.into_inner().rows)
}

fn plain_outcome(filed: Filed) -> pb::RowOutcome {
    crate::service::outcome(filed)
}

/// The rejects file, made when the first row is rejected.
struct Rejects {
    path: PathBuf,
    resumed: bool,
    writer: Option<RejectWriter<File>>,
}

impl Rejects {
    fn write(&mut self, reject: &Reject) -> Result<(), CliError> {
        if self.writer.is_none() {
            let mut options = File::options();
            options
                .create(true)
                .write(true)
                .append(self.resumed)
                .truncate(!self.resumed);
            let file = options
                .open(&self.path)
                .map_err(|error| CliError::file(&self.path, &error))?;
            let writer = RejectWriter::new(file);
            self.writer = Some(writer.map_err(|error| CliError::file(&self.path, &error))?);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer
            .write(reject)
            .map_err(|error| CliError::local(format!("rejects: {error}")))
    }

    fn sync(&mut self) -> Result<(), CliError> {
        match &mut self.writer {
            Some(writer) => writer
                .flush()
                .map_err(|error| CliError::local(format!("rejects: {error}"))),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), CliError> {
        self.sync()
    }
}

fn report(tally: &Tally, dry_run: bool, rejects: &Path, output: &Output) {
    let Tally {
        new,
        newer,
        unchanged,
        stale,
        rejected,
        gaps,
        skipped,
    } = tally;
    let value = json!({
        "dry_run": dry_run, "new": new, "newer": newer, "unchanged": unchanged, "stale": stale,
        "rejected": rejected, "gaps": gaps, "skipped": skipped,
        "rejects_file": (*rejected > 0).then(|| rejects.display().to_string()),
    });
    output.show(&value, || {
        let mut text = format!(
            "{}{new} new, {newer} newer, {unchanged} unchanged, {stale} stale, {rejected} rejected",
            if dry_run { "nothing written: " } else { "" }
        );
        if *gaps > 0 {
            text.push_str(&format!(
                "\n{gaps} records skip versions: earlier ones are missing here"
            ));
        }
        if *skipped > 0 {
            text.push_str(&format!(
                "\n{skipped} lines were imported before the interruption"
            ));
        }
        if *rejected > 0 {
            text.push_str(&format!(
                "\nbad rows, with their reasons: {}",
                rejects.display()
            ));
        }
        text
    });
}
