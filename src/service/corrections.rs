//! Signals by hand and disputes, for the member's own staff.

use tonic::{Request, Response, Status};

use super::corrections_rows as rows;
use super::operator_rows::record_id;
use super::status::refused;
use crate::domain::{Currency, OperatorName};
use crate::flows::{Ageing, Desk, Resolution};
use crate::wire::Malformed;
use crate::wire::pb::{self, corrections_server::Corrections};

/// The service that corrects what the node holds.
#[derive(Debug, Clone)]
pub struct CorrectionsService {
    desk: Desk,
    ageing: Ageing,
    currency: Currency,
}

impl CorrectionsService {
    /// Serves the desk; amounts without a currency are in the network's.
    #[must_use]
    pub const fn new(desk: Desk, ageing: Ageing, currency: Currency) -> Self {
        Self {
            desk,
            ageing,
            currency,
        }
    }

    fn dispute(&self, dispute: &crate::flows::Dispute) -> Response<pb::Dispute> {
        Response::new(rows::dispute(dispute, self.desk.now()))
    }
}

/// Who acts: over mutual TLS the name in the operator's certificate, which no call can claim
/// otherwise; on the socket the name that the call gives.
pub(super) fn person<T>(request: &Request<T>, claimed: &str) -> Result<String, Status> {
    let Some(name) = request.extensions().get::<OperatorName>() else {
        if claimed.is_empty() {
            return Err(refused(Malformed::new(
                "by",
                "must name the person who acts",
            )));
        }
        return Ok(claimed.to_owned());
    };
    if claimed.is_empty() || claimed == name.as_str() {
        return Ok(name.to_string());
    }
    Err(Status::permission_denied(format!(
        "by: this connection is {name}'s, and nobody acts in another's name: leave it empty"
    )))
}

#[tonic::async_trait]
impl Corrections for CorrectionsService {
    async fn file_signal(
        &self,
        request: Request<pb::FileSignalRequest>,
    ) -> Result<Response<pb::SignalResponse>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let wanted = rows::signal(request.get_ref(), by, self.currency).map_err(refused)?;
        let filed = self.desk.file_signal(wanted).await.map_err(refused)?;
        Ok(Response::new(rows::filed(&filed)))
    }

    async fn review_signal(
        &self,
        request: Request<pb::ReviewSignalRequest>,
    ) -> Result<Response<pb::ReviewSignalResponse>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let id = record_id("record_id", &message.record_id).map_err(refused)?;
        let reviewed = self.desk.review_signal(id, &by, message.uphold).await;
        let upheld = reviewed.map_err(refused)?.is_some();
        Ok(Response::new(pb::ReviewSignalResponse {
            record_id: message.record_id,
            upheld,
        }))
    }

    async fn cure_signal(
        &self,
        request: Request<pb::CureSignalRequest>,
    ) -> Result<Response<pb::SignalResponse>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let id = record_id("record_id", &message.record_id).map_err(refused)?;
        let paid_on = rows::day("paid_on", &message.paid_on).map_err(refused)?;
        let filed = self.desk.cure_signal(id, paid_on, &by).await;
        Ok(Response::new(rows::filed(&filed.map_err(refused)?)))
    }

    async fn show_signal(
        &self,
        request: Request<pb::ShowSignalRequest>,
    ) -> Result<Response<pb::SignalResponse>, Status> {
        let id = record_id("record_id", &request.into_inner().record_id).map_err(refused)?;
        let shown = self.desk.show_signal(id).await.map_err(refused)?;
        Ok(Response::new(rows::filed(&shown)))
    }

    async fn list_signals(
        &self,
        request: Request<pb::ListSignalsRequest>,
    ) -> Result<Response<pb::ListSignalsResponse>, Status> {
        let identifiers = request.into_inner().identifiers;
        let pending = self.desk.pending_signals().await.map_err(refused)?;
        let mut standing = Vec::new();
        if !identifiers.is_empty() {
            let borrower = rows::borrower(&identifiers).map_err(refused)?;
            let stand = self.desk.standing_signals(&borrower).await;
            standing.extend(stand.map_err(refused)?.iter().map(rows::standing));
        }
        Ok(Response::new(pb::ListSignalsResponse {
            pending: pending.iter().map(rows::pending).collect(),
            standing,
        }))
    }

    async fn open_dispute(
        &self,
        request: Request<pb::OpenDisputeRequest>,
    ) -> Result<Response<pb::Dispute>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let id = record_id("record_id", &message.record_id).map_err(refused)?;
        let opened = self.desk.open_dispute(id, &message.reason, &by).await;
        opened.map(|opened| self.dispute(&opened)).map_err(refused)
    }

    async fn acknowledge_dispute(
        &self,
        request: Request<pb::AcknowledgeDisputeRequest>,
    ) -> Result<Response<pb::Dispute>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let id = record_id("dispute_id", &message.dispute_id).map_err(refused)?;
        let noted = self.desk.acknowledge_dispute(id, &by).await;
        noted.map(|noted| self.dispute(&noted)).map_err(refused)
    }

    async fn resolve_dispute(
        &self,
        request: Request<pb::ResolveDisputeRequest>,
    ) -> Result<Response<pb::Dispute>, Status> {
        let by = person(&request, &request.get_ref().by)?;
        let message = request.into_inner();
        let id = record_id("dispute_id", &message.dispute_id).map_err(refused)?;
        let resolution = Resolution::from_word(&message.resolution).ok_or_else(|| {
            refused(Malformed::new(
                "resolution",
                "must be upheld, rejected or corrected",
            ))
        })?;
        let decided = self.desk.resolve_dispute(id, resolution, &by).await;
        decided
            .map(|decided| self.dispute(&decided))
            .map_err(refused)
    }

    async fn list_disputes(
        &self,
        request: Request<pb::ListDisputesRequest>,
    ) -> Result<Response<pb::ListDisputesResponse>, Status> {
        let found = self.desk.disputes(request.into_inner().all).await;
        let now = self.desk.now();
        let disputes = found.map_err(refused)?;
        let disputes = disputes.iter().map(|one| rows::dispute(one, now)).collect();
        Ok(Response::new(pb::ListDisputesResponse { disputes }))
    }

    async fn list_deletions(
        &self,
        _request: Request<pb::ListDeletionsRequest>,
    ) -> Result<Response<pb::ListDeletionsResponse>, Status> {
        let found = self.desk.deletions().await.map_err(refused)?;
        let ahead = self.ageing.schedule().await.map_err(refused)?;
        let records = found.iter().map(|one| pb::Deletion {
            kind: one.kind.word().to_owned(),
            rule: one.rule.to_owned(),
            records: one.records,
            due: one.due,
            first_unix_ms: one.first_at.unix_ms(),
        });
        let aged = ahead.into_iter().map(|one| pb::Deletion {
            kind: one.kind,
            rule: one.rule.to_owned(),
            records: one.rows,
            due: one.due,
            first_unix_ms: one.first_at.unix_ms(),
        });
        let mut deletions: Vec<pb::Deletion> = records.chain(aged).collect();
        deletions.sort_by_key(|one| one.first_unix_ms);
        Ok(Response::new(pb::ListDeletionsResponse { deletions }))
    }
}
