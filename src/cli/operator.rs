//! The way to the running node: its Unix socket, or its operator port on another machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::exit::CliError;
use crate::env::SystemClock;
use crate::limits::OPERATOR_MESSAGE_BYTES_MAX;
use crate::net::{OperatorDialError, operator_channel};
use crate::node::{CredentialFolder, Folder};
use crate::wire::pb::audit_client::AuditClient;
use crate::wire::pb::backups_client::BackupsClient;
use crate::wire::pb::corrections_client::CorrectionsClient;
use crate::wire::pb::credentials_client::CredentialsClient;
use crate::wire::pb::erasures_client::ErasuresClient;
use crate::wire::pb::findings_client::FindingsClient;
use crate::wire::pb::openings_client::OpeningsClient;
use crate::wire::pb::operator_client::OperatorClient;
use crate::wire::pb::peer_standings_client::PeerStandingsClient;
use crate::wire::pb::reports_client::ReportsClient;
use crate::wire::pb::revisions_client::RevisionsClient;
use crate::wire::pb::samples_client::SamplesClient;
use crate::wire::pb::witnessing_client::WitnessingClient;

/// A client of a node's service for watching and alerts.
pub(super) type WatchClient = crate::wire::pb::watch_client::WatchClient<Channel>;

/// Which node a command is about, by its folder.
#[derive(Debug, Clone, Args)]
pub(super) struct NodeDir {
    /// The node's folder.
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub(super) path: PathBuf,
}

/// Which node a command is about: here by its folder, or on another machine.
#[derive(Debug, Clone, Args)]
pub(super) struct NodeAt {
    #[command(flatten)]
    pub(super) dir: NodeDir,
    /// The node's operator port on another machine, in place of --dir.
    #[arg(
        long,
        value_name = "HOST:PORT",
        requires = "credentials",
        conflicts_with = "path"
    )]
    connect: Option<String>,
    /// Folder that `creditmesh cert operator` wrote, for --connect.
    #[arg(long, value_name = "FOLDER", requires = "connect")]
    credentials: Option<PathBuf>,
}

impl NodeAt {
    /// The options that name the node, as they are to be typed again.
    pub(super) fn typed(&self) -> String {
        match (&self.connect, &self.credentials) {
            (Some(endpoint), Some(folder)) => {
                format!("--connect {endpoint} --credentials {}", folder.display())
            }
            (None, _) | (_, None) => format!("--dir {}", self.dir.path.display()),
        }
    }

    /// The running node's operator service; `None` where no node runs on the folder.
    pub(super) async fn running(&self) -> Result<Option<OperatorClient<Channel>>, CliError> {
        Ok(self.channel().await?.map(|channel| {
            OperatorClient::new(channel)
                .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        }))
    }

    /// The running node's service that gives backups; `None` where no node runs on the folder.
    pub(super) async fn backups(&self) -> Result<Option<BackupsClient<Channel>>, CliError> {
        Ok(self.channel().await?.map(|channel| {
            BackupsClient::new(channel).max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        }))
    }

    /// The running node's service for watching and alerts, or how to start it.
    pub(super) async fn watch(&self) -> Result<WatchClient, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(WatchClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service that reads its audit log, or how to start it.
    pub(super) async fn audit(&self) -> Result<AuditClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(AuditClient::new(channel).max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service that opens queries to auditors, or how to start it.
    pub(super) async fn openings(&self) -> Result<OpeningsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(OpeningsClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service of borrowers' reports, or how to start it.
    pub(super) async fn reports(&self) -> Result<ReportsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(ReportsClient::new(channel).max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service that erases borrowers, or how to start it.
    pub(super) async fn erasures(&self) -> Result<ErasuresClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(ErasuresClient::new(channel).max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service for samples, or how to start it.
    pub(super) async fn samples(&self) -> Result<SamplesClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(SamplesClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service for findings, or how to start it.
    pub(super) async fn findings(&self) -> Result<FindingsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(FindingsClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service of signals and disputes, or how to start it.
    pub(super) async fn corrections(&self) -> Result<CorrectionsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(CorrectionsClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service for the standing of peers, or how to start it.
    pub(super) async fn standings(&self) -> Result<PeerStandingsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(PeerStandingsClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service of witnesses and forks, or how to start it.
    pub(super) async fn witnessing(&self) -> Result<WitnessingClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(WitnessingClient::new(channel)
            .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// The running node's service of revised answers, or how to start it.
    pub(super) async fn revisions(&self) -> Result<RevisionsClient<Channel>, CliError> {
        let channel = self.channel().await?.ok_or_else(|| self.not_running())?;
        Ok(RevisionsClient::new(channel).max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX))
    }

    /// Whether the command is about a node on another machine.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.connect.is_some()
    }

    /// The running node's operator service, or how to start it.
    pub(super) async fn required(&self) -> Result<OperatorClient<Channel>, CliError> {
        self.running().await?.ok_or_else(|| self.not_running())
    }

    async fn channel(&self) -> Result<Option<Channel>, CliError> {
        match (&self.connect, &self.credentials) {
            (Some(endpoint), Some(folder)) => Ok(Some(connected(endpoint, folder).await?)),
            (None, _) | (_, None) => through_socket(&self.dir.path).await,
        }
    }

    fn not_running(&self) -> CliError {
        let place = self.dir.path.display();
        if Folder::at(&self.dir.path).config().is_err() {
            return CliError::refused(format!(
                "{place} is no node's folder: name one with --dir, or make one with `creditmesh \
                 node join`"
            ));
        }
        CliError::local(format!(
            "no node runs on {place}: start it with `creditmesh node serve --dir {place}`"
        ))
    }

    /// Where a command on this machine keeps how far it came: beside the node, or beside the
    /// credentials for it.
    pub(super) fn marks(&self) -> Folder {
        Folder::at(self.credentials.as_ref().unwrap_or(&self.dir.path))
    }
}

impl NodeDir {
    /// Whether a node runs on the folder.
    pub(super) async fn is_running(&self) -> Result<bool, CliError> {
        Ok(through_socket(&self.path).await?.is_some())
    }

    /// What issues credentials on the running node; `None` where no node runs on the folder.
    pub(super) async fn issuer(&self) -> Result<Option<CredentialsClient<Channel>>, CliError> {
        Ok(through_socket(&self.path)
            .await?
            .map(CredentialsClient::new))
    }
}

async fn through_socket(dir: &Path) -> Result<Option<Channel>, CliError> {
    let socket = Folder::at(dir).socket();
    if !socket.exists() || UnixStream::connect(&socket).await.is_err() {
        return Ok(None);
    }
    let endpoint = Endpoint::from_static("http://operator");
    let channel = endpoint
        .connect_with_connector(service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|error| CliError::local(format!("the node does not answer: {error}")))?;
    Ok(Some(channel))
}

async fn connected(endpoint: &str, folder: &Path) -> Result<Channel, CliError> {
    let credentials = CredentialFolder::at(folder).read()?;
    Ok(operator_channel(endpoint, &credentials, Arc::new(SystemClock)).await?)
}

impl From<OperatorDialError> for CliError {
    fn from(error: OperatorDialError) -> Self {
        let message = format!("cannot reach the node at {error}");
        if error.refused {
            Self::refused(message)
        } else {
            Self::local(message)
        }
    }
}
