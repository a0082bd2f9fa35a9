//! `records export`: the book as canonical JSON Lines, or its loans as Metro 2.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use super::records::Kind;
use super::records_import::beside;
use crate::domain::{Record, RecordKind};
use crate::env::{Clock, SystemClock};
use crate::flows::Book;
use crate::formats::metro2::{Furnisher, Metro2Form, Writer};
use crate::formats::{Format, RejectWriter, csv, jsonl};
use crate::node::Folder;
use crate::wire::pb;

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One object a line.
    Jsonl,
    /// Records of one kind, a row each.
    Csv,
    /// Metro 2 in characters, records of 426 bytes one after the other.
    Metro2,
    /// Metro 2 in characters, each record in a block.
    Metro2Variable,
    /// Metro 2 with packed decimals, each record in a block.
    Metro2Packed,
}

/// `creditmesh records export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh records export --kind loan --out loans.jsonl\n  \
    creditmesh records export --kind loan --out loans.csv\n  \
    creditmesh records export --format metro2 --out loans.dat --identification 55555 \\\n    \
    --reporter \"NORTH BANK\"\n\n\
    Metro 2 tells loans in US dollars. What it cannot tell is named in a rejects file\n\
    beside the output, and makes the exit code 1."
)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    node: NodeAt,
    /// Only this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Form of the file; without it CSV where its name ends so, else JSON Lines.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// File to write; without it standard output. Metro 2 needs one.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Metro 2: the number under which the bureaus know this member.
    #[arg(long, value_name = "NUMBER")]
    identification: Option<String>,
    /// Metro 2: this member's name in the header.
    #[arg(long, value_name = "NAME")]
    reporter: Option<String>,
}

type Out = Box<dyn Write + Send>;

/// Where the records go.
enum Sink {
    Lines(Out),
    Csv(Box<csv::Writer<Out>>),
    Metro2(Box<Metro2>),
}

struct Metro2 {
    writer: Writer<Out>,
    path: PathBuf,
    rejects: Option<RejectWriter<File>>,
    refused: u64,
}

pub(super) async fn run(args: &ExportArgs, output: &Output) -> Result<Exit, CliError> {
    let (mut sink, kind) = open_sink(args)?;
    let bar = output.progress("records", None);
    let mut count = 0_u64;
    let mut write = |row: &str| {
        count += 1;
        bar.inc(1);
        sink.write(row)
    };
    if let Some(mut node) = args.node.running().await? {
        let kind = kind.map_or_else(String::new, |kind| kind.word().to_owned());
        let request = pb::ExportRecordsRequest { kind };
        let mut pages = node.export_records(request).await?.into_inner();
        while let Some(page) = pages.message().await? {
            page.rows.iter().try_for_each(|row| write(row))?;
        }
    } else {
        let opened = Folder::at(&args.node.dir.path).open().await?;
        let outcome = export_local(&Book::new(opened.vault.clone()), kind, &mut write).await;
        opened.close().await?;
        outcome?;
    }
    bar.finish_and_clear();
    let (refused, rejects) = sink.finish()?;
    if args.out.is_some() {
        let exported = count - refused;
        let rejects = rejects
            .filter(|_| refused > 0)
            .map(|path| path.display().to_string());
        let value = json!({
            "exported": exported, "rejected": refused, "rejects_file": rejects,
        });
        output.show(&value, || {
            let told = format!("{exported} records exported");
            rejects.map_or_else(
                || told.clone(),
                |path| format!("{told}, {refused} cannot be told in this format: {path}"),
            )
        });
    }
    Ok(if refused > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}

fn open_sink(args: &ExportArgs) -> Result<(Sink, Option<RecordKind>), CliError> {
    let kind = args.kind.map(RecordKind::from);
    let out = args.out.as_deref();
    let name = out.and_then(Path::to_str).unwrap_or_default();
    let by_name = match Format::of_name(name) {
        Ok(Format::Csv) => Form::Csv,
        Ok(Format::JsonLines | Format::Metro2) | Err(_) => Form::Jsonl,
    };
    let form = match args.format.unwrap_or(by_name) {
        Form::Jsonl => return Ok((Sink::Lines(open(out)?), kind)),
        Form::Csv => return open_csv(out, kind),
        Form::Metro2 => Metro2Form::Fixed,
        Form::Metro2Variable => Metro2Form::Variable,
        Form::Metro2Packed => Metro2Form::Packed,
    };
    if kind.is_some_and(|kind| kind != RecordKind::Loan) {
        return Err(CliError::usage("--kind: Metro 2 tells loans only"));
    }
    let (Some(path), Some(number), Some(name)) = (&args.out, &args.identification, &args.reporter)
    else {
        let needs = "Metro 2 needs --out FILE, --identification NUMBER and --reporter NAME";
        return Err(CliError::usage(needs));
    };
    let furnisher = Furnisher {
        identification_number: number.clone(),
        reporter_name: name.clone(),
        created_on: SystemClock.now().day(),
    };
    furnisher.check().map_err(CliError::usage)?;
    let writer = Writer::new(open(Some(path))?, form, furnisher).map_err(|error| failed(&error))?;
    let metro2 = Metro2 {
        writer,
        path: beside(path),
        rejects: None,
        refused: 0,
    };
    Ok((Sink::Metro2(Box::new(metro2)), Some(RecordKind::Loan)))
}

fn open_csv(
    out: Option<&Path>,
    kind: Option<RecordKind>,
) -> Result<(Sink, Option<RecordKind>), CliError> {
    let needs = "--kind: a CSV file holds one kind, so say which";
    let kind = kind.ok_or_else(|| CliError::usage(needs))?;
    let writer = csv::Writer::new(open(out)?, kind).map_err(|error| failed(&error))?;
    Ok((Sink::Csv(Box::new(writer)), Some(kind)))
}

fn open(path: Option<&Path>) -> Result<Out, CliError> {
    let Some(path) = path else {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    };
    let file = File::create_new(path).map_err(|error| CliError::file(path, &error))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn failed(error: &io::Error) -> CliError {
    CliError::local(format!("export: {error}"))
}

impl Sink {
    fn write(&mut self, row: &str) -> Result<(), CliError> {
        match self {
            Self::Lines(out) => writeln!(out, "{row}").map_err(|error| failed(&error)),
            Self::Csv(writer) => {
                let unwritable = |error| CliError::local(format!("export: {error}"));
                writer.write(&sealed(row)?).map_err(unwritable)
            }
            Self::Metro2(metro2) => metro2.write(row),
        }
    }

    /// How many records were refused, and the file that says why.
    fn finish(self) -> Result<(u64, Option<PathBuf>), CliError> {
        match self {
            Self::Lines(mut out) => {
                out.flush().map_err(|error| failed(&error))?;
                Ok((0, None))
            }
            Self::Csv(mut writer) => {
                writer.flush().map_err(|error| failed(&error))?;
                Ok((0, None))
            }
            Self::Metro2(mut metro2) => {
                metro2.writer.finish().map_err(|error| failed(&error))?;
                if let Some(rejects) = &mut metro2.rejects {
                    rejects
                        .flush()
                        .map_err(|error| CliError::file(&metro2.path, &error))?;
                }
                Ok((metro2.refused, Some(metro2.path)))
            }
        }
    }
}

/// A record of this node's own book.
fn sealed(row: &str) -> Result<Record, CliError> {
    jsonl::from_sealed_line(row).map_err(|reject| CliError::local(format!("export: {reject}")))
}

impl Metro2 {
    fn write(&mut self, row: &str) -> Result<(), CliError> {
        let written = self
            .writer
            .write(&sealed(row)?)
            .map_err(|error| failed(&error))?;
        let Some(reject) = written else {
            return Ok(());
        };
        self.refused += 1;
        let unwritable = |error| CliError::file(&self.path, &error);
        if self.rejects.is_none() {
            let file = File::create(&self.path).map_err(unwritable)?;
            self.rejects = Some(RejectWriter::new(file).map_err(unwritable)?);
        }
        match &mut self.rejects {
            Some(rejects) => rejects.write(&reject).map_err(unwritable),
            None => Ok(()),
        }
    }
}

async fn export_local(
    book: &Book,
    kind: Option<RecordKind>,
    write: &mut impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut after = None;
    loop {
        let (records, next) = book.page(after).await?;
        let Some(next) = next else { return Ok(()) };
        after = Some(next);
        let wanted = |record: &&Record| kind.is_none_or(|kind| record.kind() == kind);
        for record in records.iter().filter(wanted) {
            write(&jsonl::to_line(record))?;
        }
    }
}
