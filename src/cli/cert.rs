//! This node's certificate, and those of its operators on other machines.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::domain::{OperatorName, Timestamp};
use crate::env::{Clock, OsEntropy, SystemClock};
use crate::limits::OPERATOR_CERTIFICATE_DAYS_MAX;
use crate::membership::{CertificateKey, IssuedOperator, OperatorCertificate};
use crate::node::{CredentialFolder, CredentialRequest, Folder, NodeError};
use crate::wire::pb;

/// `creditmesh cert …`.
#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Show whom the certificate names, and until when.
    #[command(after_help = "Examples:\n  creditmesh cert show --dir alpha\n  \
                      creditmesh cert show --dir alpha --metrics > collector/creditmesh.prom")]
    Show {
        #[command(flatten)]
        node: NodeDir,
        /// Print begin, end and renewal as metrics instead (`OpenMetrics` text, with or without
        /// `--json`).
        #[arg(long)]
        metrics: bool,
    },
    /// Check that peers will accept it; exit code 1 where they will not.
    #[command(after_help = "Example:\n  creditmesh cert check --dir alpha")]
    Check {
        #[command(flatten)]
        node: NodeDir,
    },
    /// Renew it now, at the network's registrar; a running node drops no call.
    #[command(after_help = "Example:\n  creditmesh cert renew --dir alpha")]
    Renew {
        #[command(flatten)]
        node: NodeDir,
    },
    /// Write credentials with which a system or a person calls this node from another machine.
    Operator(OperatorArgs),
}

/// `creditmesh cert operator`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  creditmesh cert operator loans-1 --dir alpha --out loans-1\n\n\
    Then, where the folder was carried to:\n  \
    creditmesh node status --connect alpha.example.com:7444 --credentials loans-1\n\n\
    The node listens for operators where node.toml sets operator_listen. To take\n\
    credentials back, name the operator or the certificate's serial number in\n\
    operator_refused there; a running node takes it within seconds."
)]
pub(super) struct OperatorArgs {
    #[command(flatten)]
    node: NodeDir,
    /// Who will call: 1 to 63 characters of a-z, 0-9 and '-'. It stands in the node's log.
    name: OperatorName,
    /// Folder to write, which must hold no credentials yet.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Days until the certificate ends, at most 366.
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = life_days())]
    days: u32,
}

fn life_days() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=i64::from(OPERATOR_CERTIFICATE_DAYS_MAX))
}

pub(super) async fn run(command: &CertCommand, output: &Output) -> Result<Exit, CliError> {
    let now = SystemClock.now();
    match command {
        CertCommand::Show { node, metrics } => {
            let folder = Folder::at(&node.path);
            let (leaf, chain) = (folder.leaf()?, folder.chain()?);
            if *metrics {
                output.raw(super::cert_metrics::metrics(&leaf, &chain)?.trim_end());
                return Ok(Exit::Done);
            }
            let identity = folder.pinned_identity(now)?;
            let pinned = identity.map(|key| data_encoding::HEXLOWER.encode(&key));
            let life = leaf.life_left(now).word();
            let parts = chain.iter().map(|part| {
                json!({ "subject": part.subject, "issuer": part.issuer,
                    "not_after": part.not_after.to_rfc3339() })
            });
            let value = json!({
                "member": leaf.member().as_str(), "role": leaf.role().word(),
                "network": leaf.network().as_str(), "serial": leaf.serial_text(),
                "not_before": leaf.not_before().to_rfc3339(),
                "not_after": leaf.not_after().to_rfc3339(),
                "not_after_unix": leaf.not_after().unix_ms() / 1_000,
                "renews_at": leaf.renews_at().to_rfc3339(), "life": life,
                "identity_key": pinned, "chain": parts.collect::<Vec<_>>(),
            });
            output.show(&value, || {
                let mut lines = vec![
                    format!("{} ({}) in {}", leaf.member(), leaf.role(), leaf.network()),
                    format!("serial    {}", leaf.serial_text()),
                    format!("from      {}", leaf.not_before()),
                    format!("until     {} ({life})", leaf.not_after()),
                    format!("renew at  {}", leaf.renews_at()),
                    format!(
                        "identity  {}",
                        pinned.as_deref().unwrap_or("not on the list")
                    ),
                ];
                lines.extend(
                    chain
                        .iter()
                        .map(|part| format!("chain     {} by {}", part.subject, part.issuer)),
                );
                lines.join("\n")
            });
        }
        CertCommand::Check { node } => {
            let folder = Folder::at(&node.path);
            // A running node holds its store; that it has the key it shows by serving.
            if node.is_running().await? {
                folder.check_chain(now)?;
            } else {
                folder.check_certificate(now).await?;
            }
            let leaf = folder.leaf()?;
            let left = leaf.not_after().since(now);
            let days = left.as_secs() / 86_400;
            let life = leaf.life_left(now).word();
            let value = json!({ "ok": true, "days_left": days, "life": life });
            output.show(&value, || {
                format!(
                    "peers accept this certificate for {} more ({life})",
                    span_text(left)
                )
            });
        }
        CertCommand::Renew { node } => renew(node, output).await?,
        CertCommand::Operator(args) => operator(args, output).await?,
    }
    Ok(Exit::Done)
}

async fn renew(node: &NodeDir, output: &Output) -> Result<(), CliError> {
    let (serial, not_after) = match node.issuer().await? {
        Some(mut running) => {
            let renewed = running
                .renew_certificate(pb::RenewCertificateRequest {})
                .await
                .map_err(super::change::of_registrar)?
                .into_inner();
            let not_after = Timestamp::from_unix_ms(renewed.not_after_unix_ms);
            (renewed.serial, not_after)
        }
        None => {
            let folder = Folder::at(&node.path);
            let leaf = folder.renew_certificate(Arc::new(SystemClock)).await?;
            (leaf.serial_text(), leaf.not_after())
        }
    };
    let value = json!({ "serial": serial, "not_after": not_after.to_rfc3339() });
    output.show(&value, || {
        format!("certificate renewed, until {not_after}\nserial  {serial}")
    });
    Ok(())
}

async fn operator(args: &OperatorArgs, output: &Output) -> Result<(), CliError> {
    let folder = Folder::at(&args.node.path);
    let config = folder.config()?;
    let credentials = CredentialFolder::at(&args.out);
    credentials.prepare()?;
    let key = CertificateKey::generate().map_err(NodeError::from)?;
    let request_pem = key.request_pem().map_err(NodeError::from)?;
    let issued = match args.node.issuer().await? {
        Some(mut node) => {
            let request = pb::IssueCredentialRequest {
                name: args.name.to_string(),
                request_pem,
                life_days: args.days,
            };
            let issued = node.issue_credential(request).await?.into_inner();
            IssuedOperator {
                certificate_pem: issued.certificate_pem,
                authority_pem: issued.authority_pem,
            }
        }
        None => {
            let request = CredentialRequest {
                name: &args.name,
                request_pem: &request_pem,
                life_days: args.days,
            };
            let (now, entropy) = (SystemClock.now(), OsEntropy::default());
            folder.issue_credential(&request, now, &entropy).await?
        }
    };
    credentials.write(&key, &issued)?;
    let leaf = OperatorCertificate::from_pem(&issued.certificate_pem).map_err(NodeError::from)?;
    let place = args.out.display().to_string();
    let value = json!({
        "operator": leaf.name().as_str(), "serial": leaf.serial_text(),
        "not_after": leaf.not_after().to_rfc3339(), "credentials": place,
    });
    output.show(&value, || {
        let port = config
            .operator_listen
            .map_or("PORT".to_owned(), |address| address.port().to_string());
        format!(
            "{place} holds the credentials of {}, until {}\nserial  {}\n\
             carry it to the machine that calls; guard operator.key\n\
             next: creditmesh node status --connect HOST:{port} --credentials {place}",
            leaf.name(),
            leaf.not_after(),
            leaf.serial_text(),
        )
    });
    if config.operator_listen.is_none() {
        output.remark("the node listens on its socket only: set operator_listen in node.toml");
    }
    Ok(())
}

/// A span of time in days, or in hours where it is short.
fn span_text(span: std::time::Duration) -> String {
    match span.as_secs() / 3_600 {
        hours @ 0..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}
