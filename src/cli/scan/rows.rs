//! A customer of a scan as one line.

use serde_json::{Value, json};

use crate::cli::exit::CliError;
use crate::domain::CountName;
use crate::formats::csv::guarded;
use crate::wire::pb;

/// Columns before those of the counts.
const COLUMNS: [&str; 8] = [
    "number",
    "reference",
    "borrower",
    "outcome",
    "members_asked",
    "members_answered",
    "flags",
    "unknown_flags",
];

/// The counts that a scan tells.
fn counted() -> impl Iterator<Item = &'static CountName> {
    CountName::ALL.iter().filter(|name| !name.is_by_phone())
}

fn conclusion(row: &pb::ScanWatchedResponse) -> Result<Value, CliError> {
    let unreadable = |error| CliError::local(format!("the node's answer cannot be read: {error}"));
    serde_json::from_str(&row.conclusion_json).map_err(unreadable)
}

/// The conclusion's keys, and who it is about.
pub(super) fn json_line(row: &pb::ScanWatchedResponse) -> Result<String, CliError> {
    let mut value = conclusion(row)?;
    if let Some(fields) = value.as_object_mut() {
        let reference = (!row.reference.is_empty()).then_some(&row.reference);
        fields.insert("number".to_owned(), json!(row.number));
        fields.insert("reference".to_owned(), json!(reference));
        fields.insert("borrower".to_owned(), json!(row.borrower));
    }
    Ok(value.to_string())
}

/// The names of the columns.
pub(super) fn csv_header() -> String {
    let counts = counted();
    let counts = counts.flat_map(|name| [format!("{name}_lo"), format!("{name}_hi")]);
    let columns = COLUMNS.iter().map(|name| (*name).to_owned());
    columns.chain(counts).collect::<Vec<_>>().join(",")
}

/// The same columns of one customer; flags as `CODE:severity`, those that are unknown by the
/// severity that they could have.
pub(super) fn csv_line(row: &pb::ScanWatchedResponse) -> Result<String, CliError> {
    let value = conclusion(row)?;
    let mut fields = vec![
        row.number.to_string(),
        guarded(&row.reference).to_string(),
        row.borrower.clone(),
        row.outcome.clone(),
        number(&value, "/coverage/asked"),
        number(&value, "/coverage/answered"),
        flags(&value, "TRUE", "severity"),
        flags(&value, "UNKNOWN", "up_to"),
    ];
    for name in counted() {
        for bound in ["lo", "hi"] {
            fields.push(number(&value, &format!("/counts/{name}/{bound}")));
        }
    }
    let failed = |error: csv::Error| CliError::local(format!("a row cannot be written: {error}"));
    let mut line = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    line.write_record(&fields).map_err(failed)?;
    let bytes = line.into_inner().unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// The number at a place of the conclusion; empty where there is none.
fn number(value: &Value, place: &str) -> String {
    let number = value.pointer(place).and_then(Value::as_u64);
    number.map_or(String::new(), |number| number.to_string())
}

fn flags(value: &Value, state: &str, severity: &str) -> String {
    let all = value.get("flags").and_then(Value::as_array);
    let words = all.into_iter().flatten().filter_map(|flag| {
        let word = |key: &str| flag.get(key)?.as_str();
        let is_in = word("state")? == state;
        is_in.then_some(format!("{}:{}", word("code")?, word(severity)?))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The number of the customer of a line that [`json_line`] wrote.
pub(super) fn number_of_json(line: &str) -> Option<u32> {
    let value: Value = serde_json::from_str(line).ok()?;
    u32::try_from(value.get("number")?.as_u64()?).ok()
}

/// The number of the customer of a line that [`csv_line`] wrote.
pub(super) fn number_of_csv(line: &str) -> Option<u32> {
    line.split(',').next()?.parse().ok()
}
