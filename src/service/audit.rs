//! What this node does for its operator about its audit log.

use std::pin::Pin;

use futures::Stream;
use futures::stream::try_unfold;
use tonic::{Request, Response, Status};

use super::status_of;
use crate::flows::AuditReader;
use crate::wire::pb::{self, audit_server::Audit};

/// The service that reads the audit log.
#[derive(Debug, Clone)]
pub struct AuditService(AuditReader);

impl AuditService {
    /// Serves this log.
    #[must_use]
    pub const fn new(reader: AuditReader) -> Self {
        Self(reader)
    }
}

/// Where a reading stands.
enum Place {
    Head,
    At { next: u64, size: u64 },
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Audit for AuditService {
    type ReadAuditLogStream = Messages<pb::ReadAuditLogResponse>;

    async fn read_audit_log(
        &self,
        request: Request<pb::ReadAuditLogRequest>,
    ) -> Result<Response<Self::ReadAuditLogStream>, Status> {
        let first = request.into_inner().first;
        let start = (self.0.clone(), Place::Head);
        let messages = try_unfold(start, move |(reader, place)| async move {
            let (message, next) = match place {
                Place::Head => {
                    let (head, size) = head(&reader).await?;
                    (Some(head), Place::At { next: first, size })
                }
                Place::At { next, size } => page(&reader, next, size).await?,
            };
            Ok(message.map(|message| (message, (reader, next))))
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

async fn head(reader: &AuditReader) -> Result<(pb::ReadAuditLogResponse, u64), Status> {
    let size = reader.size().await.map_err(|error| status_of(&error))?;
    let witnesses = reader.witnesses().into_iter();
    let head = pb::ReadAuditLogResponse {
        origin: reader.origin(),
        keys: reader
            .keys()
            .iter()
            .map(|key| key.to_vec().into())
            .collect(),
        size,
        witnesses: witnesses
            .map(|one| pb::WitnessKeyView {
                member: one.member.to_string(),
                key: one.key.to_vec().into(),
            })
            .collect(),
        ..pb::ReadAuditLogResponse::default()
    };
    Ok((head, size))
}

async fn page(
    reader: &AuditReader,
    first: u64,
    size: u64,
) -> Result<(Option<pb::ReadAuditLogResponse>, Place), Status> {
    let done = Place::At { next: size, size };
    if first >= size {
        return Ok((None, done));
    }
    let page = reader.page(first, size).await;
    let page = page.map_err(|error| status_of(&error))?;
    let Some((last, _)) = page.entries.last() else {
        return Ok((None, done));
    };
    let next = Place::At {
        next: last + 1,
        size,
    };
    let entry = |(index, line)| pb::AuditLogEntry { index, line };
    let message = pb::ReadAuditLogResponse {
        entries: page.entries.into_iter().map(entry).collect(),
        checkpoints: page.checkpoints,
        ..pb::ReadAuditLogResponse::default()
    };
    Ok((Some(message), next))
}
