//! What a node decides, without I/O: feeds and mirrors, epochs, quota.
//!
//! Every step takes values and returns values: the flows write what a step returned, and only then
//! call the next one.

pub mod answer;

pub mod audit;

pub mod epochs;

pub mod feed;

pub mod fork;

pub mod leaf;

pub mod light;

pub mod mirror;

pub mod notice;

pub mod opening;

pub mod quota;

pub mod watch;

pub mod webhook;

pub mod witness;

mod fields;
