//! Compiles `proto/` with a protobuf compiler written in Rust, so that none has to be installed.

use std::error::Error;
use std::path::Path;

use prost::Message as _;

const FILES: [&str; 16] = [
    "proto/creditmesh/v1/peer.proto",
    "proto/creditmesh/v1/notices.proto",
    "proto/creditmesh/v1/operator.proto",
    "proto/creditmesh/v1/registrar.proto",
    "proto/creditmesh/v1/watch.proto",
    "proto/creditmesh/v1/audit.proto",
    "proto/creditmesh/v1/corrections.proto",
    "proto/creditmesh/v1/standing.proto",
    "proto/creditmesh/v1/findings.proto",
    "proto/creditmesh/v1/report.proto",
    "proto/creditmesh/v1/auditing.proto",
    "proto/creditmesh/v1/witness.proto",
    "proto/creditmesh/v1/erasure.proto",
    "proto/creditmesh/v1/samples.proto",
    "proto/creditmesh/v1/backup.proto",
    "proto/creditmesh/v1/light.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
