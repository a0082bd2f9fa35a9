//! The membership log: one append-only log for each registrar, in which roots, member lists and
//! members' key statements are written before they take effect, so that every member can check
//! them.

mod entry;
mod history;
mod name;
#[cfg(test)]
mod tests;

pub use entry::{EntryMalformed, LogEntry, LogEvent, Pin};
pub use history::{EntryFault, History};
pub use name::{log_id, log_origin};
