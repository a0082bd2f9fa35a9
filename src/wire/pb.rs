//! The generated code, and the compiled descriptors that reflection serves.
#![expect(
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    clippy::nursery,
    reason = "generated from proto/, which documents every field"
)]

tonic::include_proto!("creditmesh.v1");

/// The descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
