//! This node's certificate.

use clap::Subcommand;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::env::{Clock, SystemClock};
use crate::node::Folder;

/// `creditmesh cert …`.
#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Show whom the certificate names, and until when.
    #[command(after_help = "Example:\n  creditmesh cert show --dir alpha")]
    Show {
        #[command(flatten)]
        node: NodeDir,
    },
    /// Check that peers will accept it; exit code 1 where they will not.
    #[command(after_help = "Example:\n  creditmesh cert check --dir alpha")]
    Check {
        #[command(flatten)]
        node: NodeDir,
    },
}

pub(super) async fn run(command: &CertCommand, output: &Output) -> Result<Exit, CliError> {
    let now = SystemClock.now();
    match command {
        CertCommand::Show { node } => {
            let leaf = Folder::at(&node.path).leaf()?;
            let value = json!({
                "member": leaf.member().as_str(), "role": leaf.role().word(),
                "network": leaf.network().as_str(), "serial": leaf.serial_text(),
                "not_before": leaf.not_before().to_rfc3339(),
                "not_after": leaf.not_after().to_rfc3339(),
            });
            output.show(&value, || {
                format!(
                    "{} ({}) in {}\nserial  {}\nfrom    {}\nuntil   {}",
                    leaf.member(),
                    leaf.role(),
                    leaf.network(),
                    leaf.serial_text(),
                    leaf.not_before(),
                    leaf.not_after()
                )
            });
        }
        CertCommand::Check { node } => {
            let days = Folder::at(&node.path).check_certificate(now).await?;
            output.show(&json!({ "ok": true, "days_left": days }), || {
                format!("peers accept this certificate for {days} more days")
            });
        }
    }
    Ok(Exit::Done)
}
