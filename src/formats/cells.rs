//! One row as named cells: what both file formats are read into and written from.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::columns::{CellType, Column, column, shown_name};
use super::reject::Problem;

/// One value of a row. Text is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Text, or a number that CSV wrote as text.
    Text(Zeroizing<String>),
    /// A whole number.
    Number(u64),
}

/// The cells of a row that was read.
#[derive(Default)]
pub(super) struct Cells(BTreeMap<&'static str, Cell>);

impl Cells {
    /// Adds the cell of the column that the file calls `name`.
    ///
    /// # Errors
    /// A problem where no such column exists, the row has it already, or the value is of the
    /// wrong type.
    pub(super) fn insert(&mut self, name: &str, cell: Cell) -> Result<(), Problem> {
        let Some(column) = column(name) else {
            return Err(unknown_column(name));
        };
        let fits = match (&cell, column.cell) {
            (Cell::Number(_), CellType::Number)
            | (Cell::Text(_), CellType::Text | CellType::Free) => true,
            (Cell::Number(_), CellType::Text | CellType::Free)
            | (Cell::Text(_), CellType::Number) => false,
        };
        if !fits {
            return Err(wrong_type(column));
        }
        if self.0.insert(column.name, cell).is_some() {
            return Err(Problem::of(column.name, "is given twice: keep one"));
        }
        Ok(())
    }

    /// Takes the cell of a column out.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Cell> {
        self.0.remove(name)
    }

    /// Names of the columns that are still there.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// A column that no kind of record has.
pub(super) fn unknown_column(name: &str) -> Problem {
    Problem::column(shown_name(name), "unknown column: see docs/records.md")
}

/// A value of a type that the column does not have.
pub(super) fn wrong_type(column: &'static Column) -> Problem {
    let reason = match column.cell {
        CellType::Number => "must be a whole number, 0 or more, without quotes",
        CellType::Text | CellType::Free => "must be text",
    };
    Problem::of(column.name, reason)
}
