//! Comma-separated values (RFC 4180): a header line, one record a line, no line breaks in values.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::cells::{Cell, Cells, wrong_type};
use super::columns::{CellType, Column, column, columns, shown_name};
use super::decode::{Source, decode};
use super::encode::encode;
use super::lines::Lines;
use super::reject::Problem;
use super::{FormatError, Row};
use crate::domain::{Record, RecordKind};

/// Columns that no row of any kind can do without.
const NEEDED: [&str; 3] = ["kind", "record_id", "as_of"];

/// Reads records from a CSV file.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    header: Vec<&'static Column>,
    default_region: Option<String>,
}

impl<R: Read> Reader<R> {
    /// A reader of `read`, whose header is read at once; a telephone number without country code
    /// is read in `default_region` (ISO 3166-1 alpha-2).
    ///
    /// # Errors
    /// What is wrong with the header.
    pub fn new(read: R, default_region: Option<&str>) -> Result<Self, FormatError> {
        let mut lines = Lines::new(read);
        let line = lines.next_line()?.ok_or(FormatError::NoHeader)?;
        let bytes = line.bytes.ok_or(FormatError::MalformedHeader)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FormatError::MalformedHeader)?;
        let names = split(text).map_err(|_| FormatError::MalformedHeader)?;
        Ok(Self {
            lines,
            header: header(&names)?,
            default_region: default_region.map(str::to_owned),
        })
    }

    pub(super) fn skip_through(&mut self, line: u64) -> io::Result<()> {
        super::skip_through(&mut self.lines, line)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let source = Source::File(self.default_region.as_deref());
        let header = &self.header;
        super::next_row(&mut self.lines, |line| decode(cells(header, line)?, source))
    }
}

fn header(names: &[Zeroizing<String>]) -> Result<Vec<&'static Column>, FormatError> {
    let mut header: Vec<&'static Column> = Vec::with_capacity(names.len());
    for name in names {
        let column = column(name).ok_or_else(|| FormatError::UnknownColumn {
            name: shown_name(name),
        })?;
        if header.contains(&column) {
            return Err(FormatError::RepeatedColumn { name: column.name });
        }
        header.push(column);
    }
    for name in NEEDED {
        if !header.iter().any(|column| column.name == name) {
            return Err(FormatError::MissingColumn { name });
        }
    }
    Ok(header)
}

/// The cells of one line; an empty value is no value.
fn cells(header: &[&'static Column], line: &str) -> Result<Cells, Problem> {
    let values = split(line).map_err(Problem::line)?;
    if values.len() != header.len() {
        return Err(Problem::line(format!(
            "has {} values where the first line has {} columns",
            values.len(),
            header.len()
        )));
    }
    let mut cells = Cells::default();
    for (column, value) in header.iter().zip(values) {
        if value.is_empty() {
            continue;
        }
        let cell = match column.cell {
            CellType::Number => {
                Cell::Number(whole_number(&value).ok_or_else(|| wrong_type(column))?)
            }
            CellType::Text => Cell::Text(value),
            CellType::Free => Cell::Text(Zeroizing::new(unguarded(&value).to_owned())),
        };
        cells.insert(column.name, cell)?;
    }
    Ok(cells)
}

/// A whole number of digits only; the standard parser would also take a plus.
fn whole_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The values of a line.
fn split(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let (value, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if value.contains('"') {
                    return Err("has a quote inside a value: put the value in quotes, double it");
                }
                (Zeroizing::new(value.to_owned()), after)
            }
        };
        values.push(value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(values),
            None => return Err("has text after a closing quote"),
        }
    }
}

/// A value up to its closing quote, and what comes after it; `text` starts after the opening one.
fn quoted_value(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((piece, after)) = rest.split_once('"') {
        value.push_str(piece);
        match after.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Ok((value, after)),
        }
    }
    Err("has an opening quote and no closing one (a value may not contain a line break)")
}

/// Writes records of one kind as canonical CSV.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: ::csv::Writer<W>,
    kind: RecordKind,
}

impl<W: Write> Writer<W> {
    /// A writer of records of one kind to `out`; the header is written at once.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn new(out: W, kind: RecordKind) -> io::Result<Self> {
        let mut out = ::csv::Writer::from_writer(out);
        out.write_record(columns(kind).map(|column| column.name))?;
        Ok(Self { out, kind })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`FormatError::OtherKind`] for a record of another kind; otherwise where the file cannot
    /// be written.
    pub fn write(&mut self, record: &Record) -> Result<(), FormatError> {
        if record.kind() != self.kind {
            return Err(FormatError::OtherKind);
        }
        let mut cells = encode(record).into_iter().peekable();
        for column in columns(self.kind) {
            let cell = cells.next_if(|(name, _)| *name == column.name);
            let value = match cell {
                Some((_, Cell::Number(number))) => Zeroizing::new(number.to_string()),
                Some((_, Cell::Text(text))) if column.cell == CellType::Free => guarded(&text),
                Some((_, Cell::Text(text))) => text,
                None => Zeroizing::default(),
            };
            self.out
                .write_field(value.as_bytes())
                .map_err(io::Error::from)?;
        }
        // An empty record ends the line.
        self.out
            .write_record(None::<&[u8]>)
            .map_err(io::Error::from)?;
        Ok(())
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a spreadsheet would read the value as a formula, apostrophes in front aside.
fn is_formula(value: &str) -> bool {
    value
        .trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

/// The value with an apostrophe in front where a spreadsheet would read a formula: it then shows
/// text. A value that already has apostrophes there gets one more, so that nothing is lost.
pub(crate) fn guarded(value: &str) -> Zeroizing<String> {
    let guard = if is_formula(value) { "'" } else { "" };
    Zeroizing::new(format!("{guard}{value}"))
}

/// The value without the apostrophe that [`guarded`] put in front.
fn unguarded(value: &str) -> &str {
    value
        .strip_prefix('\'')
        .filter(|rest| is_formula(rest))
        .unwrap_or(value)
}
