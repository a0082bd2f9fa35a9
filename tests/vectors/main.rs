//! The cryptographic formats against published vectors, an independent implementation, and
//! hostile bytes.
//!
//! The vectors of RFC 9497 fix scalars that are random in use; they run inside the library
//! (`src/crypto/oprf/tests.rs`) over `data/`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also outside its own function"
)]

mod backend;
mod oracle;
mod refusals;
