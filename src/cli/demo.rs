//! `creditmesh demo`.

use clap::Args;

use super::exit::{CliError, Exit};
use super::output::Output;

/// `creditmesh demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}

pub(super) async fn run(_args: &DemoArgs, _output: &Output) -> Result<Exit, CliError> {
    Err(CliError::local("not yet"))
}
