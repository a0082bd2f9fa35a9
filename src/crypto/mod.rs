//! Keys and their few verbs: blind, evaluate, finalize; seal, open. No storage, no network.

pub mod aead;

mod backend;

pub mod bench;

mod ceiling;

mod digest;

mod hkdf;

pub mod hpke;

mod ident;

mod keyring;

mod ring_file;

pub mod labels;

#[cfg(target_arch = "x86_64")]
mod lanes;

pub mod oprf;

mod secret;

mod seal;

mod token;

mod unlock;

pub use backend::{
    GroupArithmetic, avx512_present, choose_arithmetic, dalek_backend, vector_backend,
};
pub use digest::{light_prefix, sha256, sha256_of};
pub use hkdf::expanded;
pub use ident::{IdentityKey, NotSigned, SignatureRefused, Signs, verify};
pub use keyring::{Keyring, KeyringError};
pub use seal::{DataKeys, OpenError, SealContext, SealError, Sealed};
pub use secret::{Secret, SecretBytes};
pub use token::{NoticeKey, Token};
pub use unlock::{KdfCost, Unlock};
