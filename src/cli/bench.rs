//! Measurements, each beside the ceiling of the same run.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::bench_audit::bench_audit;
use super::bench_store::{StoreArgs, bench_store};
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::crypto::bench::{self, BenchRow};
use crate::crypto::vector_backend;
use crate::env::OsEntropy;
use crate::net::bench::lookup;
use crate::protocol::watch::bench_feed;

/// `creditmesh bench …`.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Blind, evaluate with proof, verify and finalize, beside the sum of their library calls.
    #[command(after_help = "Example:\n  creditmesh bench oprf --json")]
    Oprf {
        /// Processor seconds per row.
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Empty calls over mutual TLS and through the gate, beside the same calls in plaintext.
    #[command(after_help = "Example:\n  creditmesh bench lookup --json")]
    Lookup {
        /// Processor seconds of the gated side; nine rounds of each side at least.
        #[arg(long, default_value_t = 4.0)]
        seconds: f64,
    },
    /// Looking for a million watched borrowers in a peer's feed, and hashing it, leaf by leaf.
    #[command(after_help = "Example:
  creditmesh bench feed --json

        `match` is the look at one leaf against all watched tags in memory; its ceiling is one
        read of a random place in a table of that size, its bytes are memory for each watched
        borrower. `leaf-hash` is the Merkle leaf hash; its ceiling is the bare SHA-256.")]
    Feed {
        /// Processor seconds per row.
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
        /// Borrowers watched.
        #[arg(long, default_value_t = 1_000_000,
              value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
        watched: u32,
    },
    /// The store beside its bare engine: loads, durable commits, reads, bytes on disk.
    Store(StoreArgs),
    /// Checking an audit log from its segment files, entry by entry.
    #[command(after_help = "Example:\n  creditmesh bench audit --json\n\n\
        `segment-hash` is the check of a copy of 65,536 entries, written as `audit copy` does it\n\
        and read from its file in every round as `audit verify --from` does it; its ceiling is\n\
        the read of the file and the bare SHA-256 of a leaf and an inner node for each entry.\n\
        `leaf-hash` is the same in memory. `checkpoint-signature` is for each checkpoint, beside\n\
        the bare signature check; `decrypt` for each entry sealed as in the store, beside a plain\n\
        copy.")]
    Audit {
        /// Processor seconds per row.
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

pub(super) async fn run(command: &BenchCommand, output: &Output) -> Result<Exit, CliError> {
    let seconds = match command {
        BenchCommand::Oprf { seconds }
        | BenchCommand::Lookup { seconds }
        | BenchCommand::Feed { seconds, .. }
        | BenchCommand::Audit { seconds } => seconds,
        BenchCommand::Store(args) => return bench_store(args, output).await,
    };
    if !(0.05..=600.0).contains(seconds) {
        return Err(CliError::usage("--seconds: 0.05 to 600"));
    }
    let (cpu, entropy) = (Duration::from_secs_f64(*seconds), OsEntropy::default());
    let failed = |error: &dyn std::error::Error| CliError::local(format!("bench: {error}"));
    match command {
        BenchCommand::Oprf { .. } => {
            let rows = bench::oprf(cpu, &entropy).map_err(|error| failed(&error))?;
            show("oprf", &rows, output);
        }
        BenchCommand::Lookup { .. } => {
            let row = lookup(cpu, &entropy)
                .await
                .map_err(|error| failed(&error))?;
            show("lookup", &[row], output);
        }
        BenchCommand::Feed { watched, .. } => {
            let rows = bench_feed(cpu, *watched, &entropy).map_err(|error| failed(&error))?;
            show("feed", &rows, output);
        }
        BenchCommand::Store(_) => {}
        BenchCommand::Audit { .. } => {
            let folder = std::env::temp_dir().join(format!("creditmesh-{}", std::process::id()));
            std::fs::create_dir(&folder).map_err(|error| CliError::file(&folder, &error))?;
            let rows = bench_audit(cpu, &folder, &entropy);
            std::fs::remove_dir_all(&folder).map_err(|error| CliError::file(&folder, &error))?;
            show("audit", &rows?, output);
        }
    }
    Ok(Exit::Done)
}

fn show(name: &str, rows: &[BenchRow], output: &Output) {
    let value = json!({
        "bench": name,
        "backend": vector_backend(),
        "rows": rows.iter().map(|row| json!({
            "name": row.name, "batch": row.batch,
            "cpu_us_per_element": row.cpu_us_per_element,
            "ceiling_cpu_us_per_element": row.ceiling_cpu_us_per_element,
            "ratio": row.ratio, "bytes_per_element": row.bytes_per_element,
        })).collect::<Vec<_>>(),
    });
    output.show(&value, || {
        let mut lines = vec![
            format!("group arithmetic on {}", vector_backend()),
            format!(
                "{:<24} {:>7} {:>12} {:>12} {:>7} {:>8}",
                "", "batch", "cpu µs", "ceiling µs", "ratio", "bytes"
            ),
        ];
        lines.extend(rows.iter().map(|row| {
            format!(
                "{:<24} {:>7} {:>12.3} {:>12.3} {:>7.3} {:>8.1}",
                row.name,
                row.batch,
                row.cpu_us_per_element,
                row.ceiling_cpu_us_per_element,
                row.ratio,
                row.bytes_per_element
            )
        }));
        lines.join("\n")
    });
}
