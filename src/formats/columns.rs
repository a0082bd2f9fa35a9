//! The columns of record files: one list for CSV headers, JSON fields and documentation.

use crate::domain::RecordKind;

/// How a column's values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// A whole number, 0 or more; a JSON number.
    Number,
    /// Text of a fixed form; a JSON string.
    Text,
    /// Text of the member's own choice; a JSON string, guarded against formulas in CSV.
    Free,
}

/// A column of a record file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name: CSV header and JSON field.
    pub name: &'static str,
    /// How its values are written.
    pub cell: CellType,
    /// What its values are, for the rejects file.
    pub class: &'static str,
}

const fn text(name: &'static str, class: &'static str) -> Column {
    Column {
        name,
        cell: CellType::Text,
        class,
    }
}

const fn free(name: &'static str, class: &'static str) -> Column {
    Column {
        name,
        cell: CellType::Free,
        class,
    }
}

const fn number(name: &'static str) -> Column {
    Column {
        name,
        cell: CellType::Number,
        class: "number",
    }
}

/// Columns of every kind of record.
const HEAD: &[Column] = &[
    text("kind", "word"),
    text("record_id", "uuid"),
    number("version"),
    text("reported_at", "moment"),
    text("as_of", "moment"),
    text("expires_on", "date"),
    text("retraction", "word"),
    text("national_id", "identifier"),
    text("phone", "phone"),
    free("name", "name"),
    text("born", "date"),
];

const LOAN: &[Column] = &[
    free("account_ref", "reference"),
    text("lender_group", "group"),
    text("product", "word"),
    text("role", "word"),
    text("state", "word"),
    text("signed_at", "moment"),
    text("funded_at", "moment"),
    text("opened_on", "date"),
    text("maturity_on", "date"),
    text("closed_on", "date"),
    text("principal", "money"),
    text("outstanding", "money"),
    text("past_due", "money"),
    text("instalment", "money"),
    text("credit_limit", "money"),
    number("term_days"),
    number("apr_bps"),
    number("dpd"),
    text("first_delinquency_on", "date"),
    text("history", "history"),
    number("n_on_time"),
    number("n_late"),
    number("n_missed"),
    text("treatment", "word"),
    text("dispute", "word"),
    text("transfer_link", "hex"),
    text("consent_ref", "hex"),
];

const APPLICATION: &[Column] = &[
    text("application_kind", "word"),
    text("lender_group", "group"),
    text("purpose", "word"),
    text("product", "word"),
    text("amount", "money"),
    number("term_days"),
    text("income_month", "money"),
    text("channel", "word"),
    text("at", "moment"),
    text("outcome", "word"),
    text("outcome_at", "moment"),
    text("consent_ref", "hex"),
];

const HOLD: &[Column] = &[
    text("application_id", "uuid"),
    text("lender_group", "group"),
    text("amount", "money"),
    text("signed_at", "moment"),
    text("expires_at", "moment"),
    text("state", "word"),
    text("loan_id", "uuid"),
];

const SIGNAL: &[Column] = &[
    text("signal_kind", "word"),
    text("fraud_type", "word"),
    text("about", "uuid"),
    text("event_on", "date"),
    text("evidence", "hex"),
    text("proof", "word"),
    free("filed_by", "reference"),
    free("reviewed_by", "reference"),
    text("ends_on", "date"),
    text("amount", "money"),
    number("attempts"),
    number("attempts_days"),
];

const fn body(kind: RecordKind) -> &'static [Column] {
    match kind {
        RecordKind::Loan => LOAN,
        RecordKind::Application => APPLICATION,
        RecordKind::Hold => HOLD,
        RecordKind::Signal => SIGNAL,
    }
}

/// The columns of a file of this kind, in canonical order.
pub fn columns(kind: RecordKind) -> impl Iterator<Item = &'static Column> {
    HEAD.iter().chain(body(kind))
}

/// The column with this name, in whichever kind it stands.
pub(super) fn column(name: &str) -> Option<&'static Column> {
    HEAD.iter()
        .chain(RecordKind::ALL.iter().flat_map(|kind| body(*kind)))
        .find(|column| column.name == name)
}

/// Whether a record of this kind has the column.
pub(super) fn has_column(kind: RecordKind, name: &str) -> bool {
    columns(kind).any(|column| column.name == name)
}

/// Whether the column belongs to what a record tells, so that a tombstone leaves it empty.
pub(super) fn is_body_column(name: &str) -> bool {
    !HEAD.iter().any(|column| column.name == name)
}

/// A column name that a file brought along, as far as it may be shown: a name, not a value.
pub(super) fn shown_name(name: &str) -> String {
    let named = (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().filter(u8::is_ascii_digit).count() <= 3;
    if named { name } else { "(not a name)" }.to_owned()
}
