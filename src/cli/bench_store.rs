//! `creditmesh bench store`: the store beside its bare engine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::join::DatabaseArgs;
use super::output::Output;
use crate::env::OsEntropy;
use crate::node::database_options;
use crate::store::OpenMode;
use crate::store::bench::{StoreBenchRow, bench_database, bench_folder};

/// `creditmesh bench store`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  creditmesh bench store --json\n  \
    creditmesh bench store --rows 2000000 --dir /srv/disk\n  \
    creditmesh bench store --database \"host=/run/postgresql user=creditmesh dbname=bench\"\n\n\
    Every row is 160 bytes as sealed and is written through to the disk. The ceiling is the bare\n\
    engine with the same rows in the same batches and the same durability; of many writers, all\n\
    rows that wait in one commit. `ratio` is processor time of this process over that of the\n\
    ceiling, `rate_ratio` rows per second over those of the ceiling: 1 is as fast. A database\n\
    must be empty; its tables stay.")]
pub(super) struct StoreArgs {
    /// Rows of the bulk load.
    #[arg(long, default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    rows: u32,
    /// Seconds for each other row, for each side.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Folder on the disk that is measured; without it the current one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) async fn bench_store(args: &StoreArgs, output: &Output) -> Result<Exit, CliError> {
    if !(0.3..=600.0).contains(&args.seconds) {
        return Err(CliError::usage("--seconds: 0.3 to 600"));
    }
    let window = Duration::from_secs_f64(args.seconds);
    let rows = usize::try_from(args.rows).unwrap_or(usize::MAX);
    let entropy = OsEntropy::default();
    let (engine, found) = if let Some(config) = args.database.database()? {
        let options = database_options(&args.dir, &config, OpenMode::New)?;
        let found = bench_database(options, rows, window, &entropy).await;
        ("postgres", found)
    } else {
        let name = format!("creditmesh-bench-{}", std::process::id());
        let folder = args.dir.join(name);
        std::fs::create_dir(&folder).map_err(|error| CliError::file(&folder, &error))?;
        let found = bench_folder(&folder, rows, window, &entropy).await;
        std::fs::remove_dir_all(&folder).map_err(|error| CliError::file(&folder, &error))?;
        ("folder", found)
    };
    show(
        engine,
        &found.map_err(crate::node::NodeError::from)?,
        output,
    );
    Ok(Exit::Done)
}

fn show(engine: &str, rows: &[StoreBenchRow], output: &Output) {
    let rows_json = rows.iter().map(|row| {
        json!({
            "name": row.name, "batch": row.batch,
            "cpu_us_per_element": row.cpu_us_per_element,
            "ceiling_cpu_us_per_element": row.ceiling_cpu_us_per_element,
            "ratio": row.cpu_us_per_element / row.ceiling_cpu_us_per_element,
            "bytes_per_element": row.bytes_per_element,
            "per_second": row.per_second, "ceiling_per_second": row.ceiling_per_second,
            "rate_ratio": row.per_second / row.ceiling_per_second,
        })
    });
    let value = json!({ "bench": "store", "backend": engine,
        "rows": rows_json.collect::<Vec<_>>() });
    output.show(&value, || {
        let head = format!(
            "{:<18} {:>6} {:>11} {:>11} {:>6} {:>9} {:>9} {:>6}",
            engine, "batch", "rows/s", "ceiling", "ratio", "cpu µs", "ceiling", "bytes"
        );
        let lines = rows.iter().map(|row| {
            format!(
                "{:<18} {:>6} {:>11.0} {:>11.0} {:>6.2} {:>9.2} {:>9.2} {:>6.0}",
                row.name,
                row.batch,
                row.per_second,
                row.ceiling_per_second,
                row.per_second / row.ceiling_per_second,
                row.cpu_us_per_element,
                row.ceiling_cpu_us_per_element,
                row.bytes_per_element
            )
        });
        std::iter::once(head)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    });
}
