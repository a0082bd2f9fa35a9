//! Giving backups of the running node to the member's own staff.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream::unfold;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::status::refused;
use crate::flows::FlowError;
use crate::limits::BACKUP_PART_BYTES;
use crate::store::BackedUp;
use crate::wire::pb::{self, backups_server::Backups};

/// A backup that is being written: its bytes as they come, and how it ended.
#[derive(Debug)]
pub struct BackupUnderWay {
    /// The bytes of the file.
    pub bytes: DuplexStream,
    /// What they came to.
    pub ended: oneshot::Receiver<Result<BackedUp, FlowError>>,
}

/// What writes backups.
#[tonic::async_trait]
pub trait BackupDesk: Send + Sync + std::fmt::Debug {
    /// Begins a backup of the rows as they are now. It ends when nobody reads it any more.
    async fn begin(&self) -> Result<BackupUnderWay, FlowError>;
}

/// The service that gives backups.
#[derive(Debug, Clone)]
pub struct BackupService(Arc<dyn BackupDesk>);

impl BackupService {
    /// Serves what `desk` writes.
    #[must_use]
    pub fn new(desk: Arc<dyn BackupDesk>) -> Self {
        Self(desk)
    }
}

type Parts = Pin<Box<dyn Stream<Item = Result<pb::TakeBackupResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Backups for BackupService {
    type TakeBackupStream = Parts;

    async fn take_backup(
        &self,
        _: Request<pb::TakeBackupRequest>,
    ) -> Result<Response<Parts>, Status> {
        let begun = self.0.begin().await.map_err(refused)?;
        let parts = unfold(Some(begun), |begun| async { next(begun?).await });
        Ok(Response::new(Box::pin(parts)))
    }
}

type Step = Option<(
    Result<pb::TakeBackupResponse, Status>,
    Option<BackupUnderWay>,
)>;

/// The next part; behind the last byte what they came to.
async fn next(mut begun: BackupUnderWay) -> Step {
    let mut part = Vec::with_capacity(BACKUP_PART_BYTES);
    while part.len() < BACKUP_PART_BYTES {
        let room = u64::try_from(BACKUP_PART_BYTES - part.len()).unwrap_or(0);
        match (&mut begun.bytes).take(room).read_buf(&mut part).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Some((Err(Status::unavailable(error.to_string())), None)),
        }
    }
    if !part.is_empty() {
        let part = pb::TakeBackupResponse {
            data: Bytes::from(part),
            ..Default::default()
        };
        return Some((Ok(part), Some(begun)));
    }
    let ended = begun.ended.await.unwrap_or(Err(FlowError::ShuttingDown));
    let last = ended.map(|done| pb::TakeBackupResponse {
        data: Bytes::new(),
        done: true,
        rows: done.rows,
        bytes: done.bytes,
    });
    Some((last.map_err(refused), None))
}
