//! creditmesh: a node that every lending platform and credit bureau runs itself, so that together
//! they see over-borrowing and default without showing each other their customers.
//!
//! The rooms below are listed in the order in which they may use each other: each room uses only
//! rooms above it. `tests/tidy.rs` holds the order; `ARCHITECTURE.md` explains it.

pub mod limits;

pub mod domain;

pub mod env;

pub mod crypto;

pub mod merkle;

pub mod risk;

pub mod formats;

pub mod membership;

pub mod wire;

pub mod protocol;

pub mod store;

pub mod config;

pub mod net;

pub mod flows;

pub mod service;

pub mod node;

pub mod workload;

pub mod cli;
