//! What this member states of its months to peers, and how its operator sees peers' standing.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::status::refused;
use crate::domain::MemberId;
use crate::flows::{PeerReport, Standings};
use crate::wire::Malformed;
use crate::wire::pb::peer_standings_server::PeerStandings;
use crate::wire::pb::{self, standing_server::Standing};

/// The service that peers call.
#[derive(Debug, Clone)]
pub struct StandingService(Arc<Standings>);

impl StandingService {
    /// Serves this member's statements.
    #[must_use]
    pub const fn new(standings: Arc<Standings>) -> Self {
        Self(standings)
    }
}

#[tonic::async_trait]
impl Standing for StandingService {
    async fn monthly_counts(
        &self,
        request: Request<pb::MonthlyCountsRequest>,
    ) -> Result<Response<pb::MonthlyCountsResponse>, Status> {
        admitted(&request)?;
        let statements = self.0.own_statements().await.map_err(refused)?;
        Ok(Response::new(pb::MonthlyCountsResponse {
            statements: statements.into_iter().map(Into::into).collect(),
        }))
    }
}

/// The service that the operator calls.
#[derive(Debug, Clone)]
pub struct PeerStandingsService(Arc<Standings>);

impl PeerStandingsService {
    /// Serves what is known here of peers.
    #[must_use]
    pub const fn new(standings: Arc<Standings>) -> Self {
        Self(standings)
    }
}

fn member(text: &str) -> Result<MemberId, Status> {
    text.parse()
        .map_err(|error| refused(Malformed::new("member", format!("{error}"))))
}

fn view(report: PeerReport) -> pb::PeerStandingView {
    let moment = |at: Option<crate::domain::Timestamp>| at.map_or(0, |at| at.unix_ms());
    let standing = report.standing;
    pb::PeerStandingView {
        member: report.member.to_string(),
        trust_per_mille: report.trust_per_mille,
        upheld: standing.upheld,
        overturned: standing.overturned,
        upheld_seen: report.upheld_seen,
        overturned_seen: report.overturned_seen,
        months_stated: report.months_stated,
        quarantined_since_unix_ms: moment(standing.quarantined_since),
        quarantine_reason: report.reason,
        troubled_since_unix_ms: moment(standing.troubled_since),
        decided_by: report.decided_by,
        contradicted_month: report
            .contradicted
            .map_or(String::new(), |month| month.to_string()),
    }
}

#[tonic::async_trait]
impl PeerStandings for PeerStandingsService {
    async fn list_standings(
        &self,
        _request: Request<pb::ListStandingsRequest>,
    ) -> Result<Response<pb::ListStandingsResponse>, Status> {
        let peers = self.0.list().await.map_err(refused)?;
        Ok(Response::new(pb::ListStandingsResponse {
            peers: peers.into_iter().map(view).collect(),
        }))
    }

    async fn lift_quarantine(
        &self,
        request: Request<pb::LiftQuarantineRequest>,
    ) -> Result<Response<pb::PeerStandingView>, Status> {
        let message = request.into_inner();
        let peer = member(&message.member)?;
        let report = self.0.lift(&peer, &message.by).await.map_err(refused)?;
        Ok(Response::new(view(report)))
    }

    async fn mark_troubled(
        &self,
        request: Request<pb::MarkTroubledRequest>,
    ) -> Result<Response<pb::PeerStandingView>, Status> {
        let message = request.into_inner();
        let peer = member(&message.member)?;
        let (by, troubled) = (&message.by, message.troubled);
        let changed = self.0.mark_troubled(&peer, by, troubled).await;
        Ok(Response::new(view(changed.map_err(refused)?)))
    }
}
