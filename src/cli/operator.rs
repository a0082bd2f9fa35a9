//! The way to the running node: its Unix socket.

use std::path::{Path, PathBuf};

use clap::Args;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::exit::CliError;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::node::Folder;
use crate::wire::pb::operator_client::OperatorClient;

/// Which node a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct NodeDir {
    /// The node's folder.
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub(super) path: PathBuf,
}

/// The running node's operator service; `None` where no node runs on this folder.
pub(super) async fn running(dir: &Path) -> Result<Option<OperatorClient<Channel>>, CliError> {
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
    Ok(Some(
        OperatorClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    ))
}

/// The running node's operator service, or how to start it.
pub(super) async fn required(dir: &Path) -> Result<OperatorClient<Channel>, CliError> {
    running(dir).await?.ok_or_else(|| {
        CliError::local(format!(
            "no node runs on {}: start it with `creditmesh node serve --dir {}`",
            dir.display(),
            dir.display()
        ))
    })
}
