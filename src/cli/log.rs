//! The log: standard error, filtered by `CREDITMESH_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that filters the log, for example `CREDITMESH_LOG=debug`.
const FILTER: &str = "CREDITMESH_LOG";

/// Starts the log once; a second start changes nothing.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber is refused; the first one stays.
    drop(log.try_init());
}
