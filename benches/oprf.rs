//! Prints what each step of the OPRF costs, beside the ceiling of its library calls:
//! `cargo bench --bench oprf`. `creditmesh bench oprf` measures the same.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use creditmesh::crypto::bench::oprf;
use creditmesh::crypto::vector_backend;
use creditmesh::env::OsEntropy;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "backend {}; microseconds of CPU time for each element",
        vector_backend()
    );
    println!(
        "{:<22}{:>6}{:>10}{:>10}{:>8}",
        "step", "batch", "ours", "ceiling", "ratio"
    );
    for row in oprf(Duration::from_secs(2), &OsEntropy::default())? {
        println!(
            "{:<22}{:>6}{:>10.2}{:>10.2}{:>8.3}",
            row.name, row.batch, row.cpu_us_per_element, row.ceiling_cpu_us_per_element, row.ratio
        );
    }
    Ok(())
}
