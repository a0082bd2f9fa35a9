//! The oblivious pseudo-random function of RFC 9497: ristretto255-SHA512, mode VOPRF (0x01).
//!
//! An asker *blinds* its identifiers with factors that derive from a sealed batch seed, an
//! answerer *evaluates* them under its key without seeing them and proves which key it used, and
//! the asker *finalizes* to one [`Token`](super::Token) each. A furnisher computes the tokens of
//! its own records with [`SecretKey::token_of`].
//!
//! Everything is a composition of calls into curve25519-dalek, or for batches into `lanes`, and
//! ring. Halved scalars let a
//! whole batch be encoded with one field inversion (`double_and_compress_batch`), all blinding
//! factors are inverted at once, and the composites of a proof are one multiscalar
//! multiplication. Secret scalars meet constant-time code only; variable time is for public
//! values (RFC 9497 §7.4).

mod blind;

mod error;

mod evaluate;

mod finalize;

mod group;

mod keys;

mod points;

mod proof;

#[cfg(test)]
mod tests;

pub use blind::{BatchSeed, Blinding, HashedInputs, Input, PendingBatch};
pub use error::OprfError;
pub use evaluate::Evaluated;
pub use group::unblinded_element;
pub use keys::{PublicKey, SecretKey};

/// Bytes of an encoded group element (RFC 9496 §4.3.2).
pub const ELEMENT_BYTES: usize = 32;

/// Bytes of an encoded proof: challenge and response, a scalar each (RFC 9497 §2.2).
pub const PROOF_BYTES: usize = 64;
