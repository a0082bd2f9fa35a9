//! Metro 2, the format in which credit bureaus in the United States are furnished.
//!
//! `coding` says how a value stands in bytes, `codes` and `tables` hold the codes, `layout`,
//! `segments` and `trailer` the fields. What a base segment means here is in `docs/metro2.md`.

mod codes;
mod coding;
#[cfg(test)]
mod drawn;
mod layout;
mod segments;
mod tables;
mod trailer;

#[cfg(test)]
mod tests;

pub use coding::Coding;
