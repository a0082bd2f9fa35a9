//! An append-only log: leaves, roots, checkpoints, inclusion and consistency proofs (RFC 6962).
//!
//! Feeds and the audit log share it. Nothing here does I/O: [`Frontier`] is what the writer of a
//! log and a mirror keep durably, [`Tree`] is what whoever makes proofs keeps in memory, and the
//! `verify_*` functions are for whoever receives proofs.

mod checkpoint;
mod cosignature;
mod fault;
mod frontier;
mod hash;
mod note;
mod path;
mod proof;
mod run;
mod tree;

#[cfg(test)]
mod reference;

pub use checkpoint::Checkpoint;
pub use fault::LogFault;
pub use frontier::Frontier;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use note::SignedNote;
pub use path::{GrowthBuilder, PathBuilder};
pub use proof::{old_root, verify_consistency, verify_inclusion};
pub use run::Run;
pub use tree::Tree;
