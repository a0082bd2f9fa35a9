//! Rows that were not accepted, and the file that tells of them without repeating their values.

use std::io::{self, Write};

use super::columns::column;
use crate::domain::RecordError;

/// A row that was not accepted. It never carries a value of the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {reason}")]
pub struct Reject {
    /// Line in the file, from 1; in CSV the header is line 1.
    pub line: u64,
    /// The column that is wrong; `line` where it is the whole line.
    pub field: String,
    /// What the column holds: a kind of identifier, `money`, `date`, `word` and so on.
    pub class: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// What is wrong with a row, before its line is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) class: &'static str,
    pub(super) reason: String,
}

impl Problem {
    /// The value of the column `name` is wrong.
    pub(super) fn of(name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field: name.to_owned(),
            class: column(name).map_or("word", |column| column.class),
            reason: reason.into(),
        }
    }

    /// The whole line is wrong.
    pub(super) fn line(reason: impl Into<String>) -> Self {
        Self {
            field: "line".to_owned(),
            class: "line",
            reason: reason.into(),
        }
    }

    /// The row has a column that it must not have; `name` is safe to show.
    pub(super) fn column(name: String, reason: impl Into<String>) -> Self {
        Self {
            field: name,
            class: "column",
            reason: reason.into(),
        }
    }

    pub(super) fn at(self, line: u64) -> Reject {
        Reject {
            line,
            field: self.field,
            class: self.class,
            reason: self.reason,
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        Self::of(error.field, error.rule.to_string())
    }
}

/// Writes rejects as CSV: line, field, class, reason.
#[derive(Debug)]
pub struct RejectWriter<W: Write> {
    out: ::csv::Writer<W>,
}

impl<W: Write> RejectWriter<W> {
    /// A rejects file that goes to `out`; the header is written at once.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = ::csv::Writer::from_writer(out);
        out.write_record(["line", "field", "class", "reason"])?;
        Ok(Self { out })
    }

    /// Appends one reject.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, reject: &Reject) -> io::Result<()> {
        let line = reject.line.to_string();
        let row = [line.as_str(), &reject.field, reject.class, &reject.reason];
        Ok(self.out.write_record(row)?)
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
