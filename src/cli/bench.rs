//! Measurements, each beside the ceiling of the same run.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::output::Output;
use crate::crypto::{bench, vector_backend};
use crate::env::OsEntropy;

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
}

pub(super) fn run(command: &BenchCommand, output: &Output) -> Result<Exit, CliError> {
    let BenchCommand::Oprf { seconds } = command;
    if !(0.05..=600.0).contains(seconds) {
        return Err(CliError::usage("--seconds: 0.05 to 600"));
    }
    let rows = bench::oprf(Duration::from_secs_f64(*seconds), &OsEntropy::default())
        .map_err(|error| CliError::local(format!("bench: {error}")))?;
    let value = json!({
        "bench": "oprf",
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
                "{:<24} {:>6} {:>12} {:>12} {:>7} {:>8}",
                "", "batch", "cpu µs", "ceiling µs", "ratio", "bytes"
            ),
        ];
        lines.extend(rows.iter().map(|row| {
            format!(
                "{:<24} {:>6} {:>12.2} {:>12.2} {:>7.3} {:>8.1}",
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
    Ok(Exit::Done)
}
