//! Erasing borrowers and re-keying the store, for the member's own staff.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::stream::unfold;
use tokio::sync::{oneshot, watch};
use tonic::{Request, Response, Status};

use super::corrections::person;
use super::corrections_rows::borrower;
use super::status::refused;
use crate::domain::{ErasureReason, OperatorName};
use crate::flows::{Erased, Erasure, FlowError};
use crate::limits::REKEY_PROGRESS_EVERY;
use crate::wire::Malformed;
use crate::wire::pb::{self, erasures_server::Erasures};

/// How far a re-keying came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rekeyed {
    /// Rows looked at.
    pub rows: u64,
    /// Rows that were sealed anew.
    pub resealed: u64,
}

/// What erases borrowers.
#[tonic::async_trait]
pub trait ErasureDesk: Send + Sync + std::fmt::Debug {
    /// Erases a borrower from the book; what is left on the disk needs a re-keying.
    async fn erase(&self, erasure: Erasure) -> Result<Erased, FlowError>;

    /// Re-keys the store, from the beginning to its end, whether or not somebody waits for it.
    fn rekey(&self, progress: watch::Sender<Rekeyed>) -> oneshot::Receiver<Result<(), FlowError>>;
}

/// The service that erases borrowers.
#[derive(Debug, Clone)]
pub struct ErasureService(Arc<dyn ErasureDesk>);

impl ErasureService {
    /// Serves what `desk` does.
    #[must_use]
    pub fn new(desk: Arc<dyn ErasureDesk>) -> Self {
        Self(desk)
    }
}

type Progress = Pin<Box<dyn Stream<Item = Result<pb::RekeyResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Erasures for ErasureService {
    async fn erase_borrower(
        &self,
        request: Request<pb::EraseBorrowerRequest>,
    ) -> Result<Response<pb::EraseBorrowerResponse>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let erasure = Erasure {
            borrower: borrower(&message.identifiers).map_err(refused)?,
            by: operator(&by).map_err(refused)?,
            reason: reason(&message.reason).map_err(refused)?,
        };
        let erased = self.0.erase(erasure).await.map_err(refused)?;
        Ok(Response::new(pb::EraseBorrowerResponse {
            erasure_id: erased.id.to_string(),
            at_unix_ms: erased.at.unix_ms(),
            records: erased.records,
            watched: erased.watched,
        }))
    }

    type RekeyStream = Progress;

    async fn rekey(
        &self,
        _: Request<pb::RekeyRequest>,
    ) -> Result<Response<Self::RekeyStream>, Status> {
        let (progress, told) = watch::channel(Rekeyed::default());
        let ended = self.0.rekey(progress);
        let start = Some((told, ended));
        Ok(Response::new(Box::pin(unfold(start, |state| async {
            let (told, mut ended) = state?;
            let ending = tokio::time::timeout(REKEY_PROGRESS_EVERY, &mut ended).await;
            let far = *told.borrow();
            Some(match ending {
                Err(_) => (Ok(response(far, false)), Some((told, ended))),
                Ok(Ok(Ok(()))) => (Ok(response(far, true)), None),
                Ok(Ok(Err(error))) => (Err(refused(error)), None),
                Ok(Err(_)) => (Err(refused(FlowError::ShuttingDown)), None),
            })
        }))))
    }
}

const fn response(far: Rekeyed, done: bool) -> pb::RekeyResponse {
    pb::RekeyResponse {
        rows: far.rows,
        resealed: far.resealed,
        done,
    }
}

fn operator(name: &str) -> Result<OperatorName, Malformed> {
    name.parse().map_err(|_| {
        let rule = "must be a name of lower-case letters, digits and hyphens, such as ann-lee";
        Malformed::new("by", rule)
    })
}

fn reason(word: &str) -> Result<ErasureReason, Malformed> {
    ErasureReason::from_word(word).ok_or_else(|| {
        let rule = "must be request, consent-withdrawn, court or unlawful";
        Malformed::new("reason", rule)
    })
}
