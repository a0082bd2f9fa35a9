//! JSON Lines: one JSON object a line. Also the form in which records are sealed.

use std::fmt;
use std::io::{self, Read, Write};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::cells::{Cell, Cells, unknown_column, wrong_type};
use super::columns::column;
use super::decode::{Source, decode};
use super::encode::encode;
use super::lines::Lines;
use super::reject::Problem;
use super::{Reject, Row};
use crate::domain::Record;

/// The canonical line of a record, without line end: the export format, and what a store seals.
///
/// One record has exactly one line: fixed order of fields, no field without a value.
#[must_use]
pub fn to_line(record: &Record) -> String {
    let mut line = String::with_capacity(1_024);
    line.push('{');
    for (name, cell) in encode(record) {
        if line.len() > 1 {
            line.push(',');
        }
        line.push('"');
        line.push_str(name);
        line.push_str("\":");
        match cell {
            Cell::Number(number) => line.push_str(&number.to_string()),
            Cell::Text(text) => push_json_text(&mut line, &text),
        }
    }
    line.push('}');
    line
}

/// Appends `text` as a JSON string (RFC 8259 section 7), escaping only what must be.
fn push_json_text(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if u32::from(c) < 0x20 => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Reads one line of a file; a telephone number needs its country code.
///
/// # Errors
/// What is wrong with the line; its number is 1.
pub fn from_line(line: &str) -> Result<Record, Reject> {
    read(line, Source::File(None)).map_err(|problem| problem.at(1))
}

/// Reads a line that [`to_line`] wrote and this node sealed: identifiers, names and invariants
/// are not checked again, so that a later edition of a rule cannot make a stored record unreadable.
///
/// # Errors
/// What is wrong with the line; its number is 1.
pub fn from_sealed_line(line: &str) -> Result<Record, Reject> {
    read(line, Source::Sealed).map_err(|problem| problem.at(1))
}

fn read(line: &str, source: Source<'_>) -> Result<Record, Problem> {
    let object: Object = serde_json::from_str(line).map_err(|error| {
        Problem::line(format!(
            "is not one JSON object (see column {})",
            error.column()
        ))
    })?;
    decode(object.0?, source)
}

/// Reads records from JSON Lines.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    default_region: Option<String>,
}

impl<R: Read> Reader<R> {
    /// A reader of `read`; a telephone number without country code is read in `default_region`
    /// (ISO 3166-1 alpha-2).
    pub fn new(read: R, default_region: Option<&str>) -> Self {
        Self {
            lines: Lines::new(read),
            default_region: default_region.map(str::to_owned),
        }
    }

    pub(super) fn skip_through(&mut self, line: u64) -> io::Result<()> {
        super::skip_through(&mut self.lines, line)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let source = Source::File(self.default_region.as_deref());
        super::next_row(&mut self.lines, |line| read(line, source))
    }
}

/// Writes records as canonical JSON Lines.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which should be buffered.
    pub const fn new(out: W) -> Self {
        Self { out }
    }

    /// Appends one record.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = Zeroizing::new(to_line(record));
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The cells of a JSON object, or the first problem in it.
///
/// The values are read into cells directly: a typed structure of serde would quote them in its
/// error messages.
struct Object(Result<Cells, Problem>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut cells = Ok(Cells::default());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let name = Zeroizing::new(name);
            // The rest of the object is still read after a problem: it must be JSON.
            let Ok(known) = &mut cells else {
                continue;
            };
            let added = match value {
                Value::Cell(cell) => known.insert(&name, cell),
                Value::Null if column(&name).is_some() => Ok(()),
                Value::Null => Err(unknown_column(&name)),
                Value::Other => {
                    Err(column(&name).map_or_else(|| unknown_column(&name), wrong_type))
                }
            };
            if let Err(problem) = added {
                cells = Err(problem);
            }
        }
        Ok(Object(cells))
    }
}

/// A value of a JSON object.
enum Value {
    Cell(Cell),
    Null,
    /// Something that no column holds: true, 1.5, -1, a list, an object.
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Cell(Cell::Text(Zeroizing::new(text.to_owned()))))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Cell(Cell::Text(Zeroizing::new(text))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Cell(Cell::Number(number)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
