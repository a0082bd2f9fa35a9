//! What authorities certify: requests that ask for more than they may have, and what becomes of
//! certificates whose member is removed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where what it stands on fails"
)]

mod requests;
mod revocation;
mod town;
