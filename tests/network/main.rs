//! Nodes on real sockets with real TLS: who is let in, who is refused and told why, what a peer can
//! exhaust.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where what it stands on fails"
)]

mod abuse;
mod cutting;
mod refusals;
mod renewal;
mod succession;
mod support;
