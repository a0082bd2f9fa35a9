//! Metro 2, the format in which credit bureaus in the United States are furnished.
//!
//! `coding` says how a value stands in bytes, `codes` and `tables` hold the codes, `layout`,
//! `segments` and `trailer` the fields. `frames` finds the records of a file by their lengths,
//! `reader` and `loans` make records of the book of them; what a field means is in
//! `docs/metro2.md`.

mod codes;
mod coding;
mod consumers;
#[cfg(test)]
mod drawn;
mod export;
mod frames;
mod layout;
mod loans;
mod marks;
mod meanings;
mod reader;
mod segments;
mod tables;
mod trailer;
mod window;

#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;

pub use coding::Coding;
pub use export::{Furnisher, Metro2Form, Writer};
pub use reader::Reader;
