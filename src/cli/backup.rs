//! `node backup`: everything of a node in one sealed file, beside the running node or of a stopped
//! one.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tonic::transport::Channel;

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::env::{Clock, SystemClock};
use crate::node::{Folder, NodeError};
use crate::store::{BackedUp, BackupError, BackupFile};
use crate::wire::pb::{self, backups_client::BackupsClient};

pub(super) const EXAMPLES: &str = "Examples:\n  creditmesh node backup --dir alpha alpha.backup\n  \
    creditmesh node verify --backup alpha.backup --dir alpha\n\n\
    A running node goes on serving; the backup holds its rows as they were when the command\n\
    began.";

/// `creditmesh node backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    node: NodeAt,
    /// File to write; it must not be there yet.
    file: PathBuf,
}

pub(super) async fn run(args: &BackupArgs, output: &Output) -> Result<Exit, CliError> {
    let (bar, running) = (
        output.progress("bytes backed up", None),
        args.node.backups().await?,
    );
    let is_running = running.is_some();
    let done = match running {
        Some(node) => {
            // Before the node is asked for anything: a file that cannot be made costs it nothing.
            let mut file = BackupFile::create(&args.file).await.map_err(file_error)?;
            let taken = take(node, &mut file, |bytes| bar.inc(bytes)).await;
            if taken.is_err() {
                file.remove().await;
            }
            taken?
        }
        None => {
            let folder = Folder::at(&args.node.dir.path);
            folder.backup(&args.file, SystemClock.now()).await?
        }
    };
    bar.finish_and_clear();
    let (rows, bytes, file) = (done.rows, done.bytes, args.file.display().to_string());
    let value = json!({ "rows": rows, "bytes": bytes, "file": file, "running": is_running });
    output.show(&value, || {
        format!("{rows} sealed rows in {file}; the passphrase or key file is not in it")
    });
    Ok(Exit::Done)
}

fn file_error(error: BackupError) -> CliError {
    NodeError::from(error).into()
}

/// Takes a backup of a running node into a file, which is on disk when this returns.
async fn take(
    mut node: BackupsClient<Channel>,
    file: &mut BackupFile,
    told: impl Fn(u64),
) -> Result<BackedUp, CliError> {
    let taken = node.take_backup(pb::TakeBackupRequest {}).await?;
    let mut parts = taken.into_inner();
    while let Some(part) = parts.message().await? {
        if part.done {
            file.keep().await.map_err(file_error)?;
            let (rows, bytes) = (part.rows, part.bytes);
            return Ok(BackedUp { rows, bytes });
        }
        file.add(&part.data).await.map_err(file_error)?;
        told(u64::try_from(part.data.len()).unwrap_or(u64::MAX));
    }
    Err(CliError::local(
        "the node stopped before the backup was whole: take it again",
    ))
}
