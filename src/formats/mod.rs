//! Records as CSV, JSON Lines and Metro 2, and back.
//!
//! Every format is read line by line, or record by record, in constant memory; a broken one
//! rejects only itself, and what is wrong is told without repeating the value. The columns are
//! described in `docs/records.md`, Metro 2 in `docs/metro2.md`.

pub mod csv;

pub mod jsonl;

pub mod metro2;

mod answer_json;
mod cells;
mod columns;
mod decode;
mod encode;
mod lines;
mod reject;

use std::io::{self, Read};

pub use answer_json::{Revised, answer_json, with_revisions};
pub use columns::{CellType, Column, columns};
pub use reject::{Reject, RejectWriter};

use crate::domain::Record;
use crate::limits::ROW_BYTES_MAX;
use reject::Problem;

/// Why a file as a whole cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system says so.
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The name ends in none of the formats that a name tells.
    #[error("unknown file type: name the file .csv or .jsonl, or say --format")]
    UnknownType,
    /// A CSV file without its header line.
    #[error("the file is empty: a CSV file starts with a line of column names")]
    NoHeader,
    /// The header line is too long, not UTF-8, or badly quoted.
    #[error("the first line is not a line of column names separated by commas")]
    MalformedHeader,
    /// A column that no record has.
    #[error("unknown column {name}: see docs/records.md for the columns there are")]
    UnknownColumn {
        /// The name, where it can be shown.
        name: String,
    },
    /// The same column twice.
    #[error("column {name} stands twice in the first line: keep one")]
    RepeatedColumn {
        /// Its name.
        name: &'static str,
    },
    /// A column that every record needs.
    #[error("column {name} is missing: every row needs it")]
    MissingColumn {
        /// Its name.
        name: &'static str,
    },
    /// A Metro 2 file that does not start with its header.
    #[error("no Metro 2 header: a file starts with a record of 426 bytes (packed: 366), HEADER")]
    NoMetroHeader,
    /// A record of another kind than the CSV file's.
    #[error("a CSV file holds one kind of record: write the others to files of their own")]
    OtherKind,
}

/// One row of a file: a record, or why it is none.
#[derive(Debug)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: u64,
    /// Bytes from the start of the file to the end of this line, for a progress bar.
    pub end_offset: u64,
    /// The record, or why the line is none.
    pub result: Result<Record, Reject>,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, one kind of record in a file that this node writes.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// Metro 2, in characters or packed.
    Metro2,
}

impl Format {
    /// The format that a file's name tells: `.csv`, `.jsonl` or `.ndjson`.
    ///
    /// # Errors
    /// [`FormatError::UnknownType`] for any other ending.
    pub fn of_name(name: &str) -> Result<Self, FormatError> {
        let ending = name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some(_) | None => Err(FormatError::UnknownType),
        }
    }
}

/// Reads the rows of a file of any format.
#[derive(Debug)]
pub enum Reader<R> {
    /// Comma-separated values.
    Csv(csv::Reader<R>),
    /// One JSON object a line.
    JsonLines(jsonl::Reader<R>),
    /// Metro 2.
    Metro2(Box<metro2::Reader<R>>),
}

impl<R: Read> Reader<R> {
    /// A reader of `read`; a telephone number without country code is read in `default_region`
    /// (ISO 3166-1 alpha-2).
    ///
    /// # Errors
    /// What is wrong with the header of a CSV file.
    pub fn new(format: Format, read: R, default_region: Option<&str>) -> Result<Self, FormatError> {
        match format {
            Format::Csv => csv::Reader::new(read, default_region).map(Self::Csv),
            Format::JsonLines => Ok(Self::JsonLines(jsonl::Reader::new(read, default_region))),
            Format::Metro2 => metro2::Reader::new(read).map(Box::new).map(Self::Metro2),
        }
    }

    /// Passes over lines up to and including line number `line` without looking at them, to go on
    /// with an interrupted import.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn skip_through(&mut self, line: u64) -> io::Result<()> {
        match self {
            Self::Csv(reader) => reader.skip_through(line),
            Self::JsonLines(reader) => reader.skip_through(line),
            Self::Metro2(reader) => reader.skip_through(line),
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv(reader) => reader.next(),
            Self::JsonLines(reader) => reader.next(),
            Self::Metro2(reader) => reader.next(),
        }
    }
}

/// The rows of `lines`, each read by `read`; blank lines are passed over.
fn next_row<R: Read>(
    lines: &mut lines::Lines<R>,
    read: impl Fn(&str) -> Result<Record, Problem>,
) -> Option<io::Result<Row>> {
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let result = match line.bytes.as_ref().map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) if text.trim().is_empty() => continue,
            Some(Ok(text)) => read(text),
            Some(Err(_)) => Err(Problem::line("is not UTF-8 text")),
            None => Err(Problem::line(format!(
                "is longer than {ROW_BYTES_MAX} bytes"
            ))),
        };
        return Some(Ok(Row {
            line: line.number,
            end_offset: line.end_offset,
            result: result.map_err(|problem| problem.at(line.number)),
        }));
    }
}

fn skip_through<R: Read>(lines: &mut lines::Lines<R>, line: u64) -> io::Result<()> {
    while lines.number() < line {
        if lines.next_line()?.is_none() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod negatives;
#[cfg(test)]
mod tests;
