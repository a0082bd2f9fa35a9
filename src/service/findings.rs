//! What this node does for its operator about queries that look like fishing.

use data_encoding::HEXLOWER;
use tonic::{Request, Response, Status};

use super::status::refused;
use crate::flows::{Fishing, KeptFinding};
use crate::wire::Malformed;
use crate::wire::pb::{self, findings_server::Findings};

/// The service that tells findings.
#[derive(Debug, Clone)]
pub struct FindingsService(Fishing);

impl FindingsService {
    /// Serves what is found there.
    #[must_use]
    pub const fn new(fishing: Fishing) -> Self {
        Self(fishing)
    }
}

fn message(finding: KeptFinding) -> pb::FishingFinding {
    let acknowledged = finding.acknowledged;
    let at = acknowledged.as_ref().map_or(0, |done| done.at.unix_ms());
    let (by, says) = acknowledged.map_or_else(Default::default, |done| (done.by, done.says));
    pb::FishingFinding {
        id: HEXLOWER.encode(&finding.id),
        code: finding.code.word().to_owned(),
        severity: finding.code.severity().word().to_owned(),
        peer: finding
            .peer
            .map(|peer| peer.to_string())
            .unwrap_or_default(),
        seen: finding.seen,
        fix: finding.code.fix().to_owned(),
        since_unix_ms: finding.since.unix_ms(),
        found_unix_ms: finding.found_at.unix_ms(),
        acknowledged_by: by,
        acknowledged_says: says,
        acknowledged_unix_ms: at,
    }
}

#[tonic::async_trait]
impl Findings for FindingsService {
    async fn list_findings(
        &self,
        request: Request<pb::ListFindingsRequest>,
    ) -> Result<Response<pb::ListFindingsResponse>, Status> {
        let pb::ListFindingsRequest { judge, all } = request.into_inner();
        if judge {
            self.0.judge().await.map_err(refused)?;
        }
        let kept = self.0.list().await.map_err(refused)?;
        let is_open = |one: &&KeptFinding| one.acknowledged.is_none();
        let open = kept.iter().filter(is_open).count();
        let told = kept.into_iter().filter(|one| all || is_open(&one));
        Ok(Response::new(pb::ListFindingsResponse {
            findings: told.map(message).collect(),
            open: u32::try_from(open).unwrap_or(u32::MAX),
        }))
    }

    async fn acknowledge_finding(
        &self,
        request: Request<pb::AcknowledgeFindingRequest>,
    ) -> Result<Response<pb::FishingFinding>, Status> {
        let pb::AcknowledgeFindingRequest { id, by, says } = request.into_inner();
        let bytes = HEXLOWER.decode(id.as_bytes()).ok();
        let id = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let reason = "must be 16 hexadecimal characters, as `audit findings` shows them";
        let id = id.ok_or_else(|| refused(Malformed::new("id", reason)))?;
        let acknowledged = self.0.acknowledge(id, &by, &says).await;
        acknowledged
            .map(|finding| Response::new(message(finding)))
            .map_err(refused)
    }
}
