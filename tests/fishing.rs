//! Fishing: what ordinary lending looks like raises nothing, planted fishers are found, and a node
//! and its peer find one over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "tests may panic"
)]

#[path = "fishing/bulk.rs"]
mod bulk;
#[path = "fishing/live.rs"]
mod live;
