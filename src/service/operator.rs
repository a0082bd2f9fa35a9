//! What this node does for its own operator.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::stream::try_unfold;
use tonic::{Request, Response, Status};

use super::operator_rows as rows;
use super::status::refused;
use super::{Finding, NodeStatus};
use crate::domain::{ApplicationOutcome, Currency, RecordKind, RetractionReason};
use crate::flows::{Applied, Book, Desk, FlowError};
use crate::formats::jsonl;
use crate::limits::FURNISH_ROWS_MAX;
use crate::wire::Malformed;
use crate::wire::pb::{self, operator_server::Operator};

/// Where the node's state comes from.
#[tonic::async_trait]
pub trait StatusSource: Send + Sync + std::fmt::Debug {
    /// The node's state now.
    async fn status(&self) -> Result<NodeStatus, FlowError>;

    /// What is wrong with the node, here and with each peer.
    async fn examine(&self) -> Result<Vec<Finding>, FlowError>;
}

/// The service that the operator calls.
#[derive(Debug, Clone)]
pub struct OperatorService {
    desk: Desk,
    currency: Currency,
    source: Arc<dyn StatusSource>,
}

impl OperatorService {
    /// Serves the desk; amounts without a currency are in the network's.
    #[must_use]
    pub fn new(desk: Desk, currency: Currency, source: Arc<dyn StatusSource>) -> Self {
        Self {
            desk,
            currency,
            source,
        }
    }
}

fn changed(applied: &Applied) -> Response<pb::ChangeResponse> {
    Response::new(rows::change(&applied.record))
}

type RowStream = Pin<Box<dyn Stream<Item = Result<pb::ExportRecordsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        self.source
            .status()
            .await
            .map(|status| Response::new(status.into()))
            .map_err(refused)
    }

    async fn examine(
        &self,
        _request: Request<pb::ExamineRequest>,
    ) -> Result<Response<pb::ExamineResponse>, Status> {
        let findings = self.source.examine().await.map_err(refused)?;
        Ok(Response::new(pb::ExamineResponse {
            findings: findings.into_iter().map(Into::into).collect(),
        }))
    }

    async fn furnish(
        &self,
        request: Request<pb::FurnishRequest>,
    ) -> Result<Response<pb::FurnishResponse>, Status> {
        let message = request.into_inner();
        if message.rows.is_empty() || message.rows.len() > FURNISH_ROWS_MAX {
            let reason = format!("must be 1 to {FURNISH_ROWS_MAX} rows");
            return Err(refused(Malformed::new("rows", reason)));
        }
        let parsed: Vec<_> = message
            .rows
            .iter()
            .map(|line| jsonl::from_line(line))
            .collect();
        let records: Vec<_> = parsed
            .iter()
            .filter_map(|row| row.as_ref().ok())
            .cloned()
            .collect();
        let filed = if message.dry_run {
            self.desk.book().rehearse(&records, self.desk.now()).await
        } else {
            self.desk.furnish(&records).await
        };
        let mut filed = filed.map_err(refused)?.into_iter();
        let outcome = |row: Result<_, _>| match row {
            Ok(_) => filed.next().map(rows::outcome).unwrap_or_default(),
            Err(reject) => rows::rejected(&reject),
        };
        let rows = parsed.into_iter().map(outcome).collect();
        Ok(Response::new(pb::FurnishResponse { rows }))
    }

    async fn show_record(
        &self,
        request: Request<pb::ShowRecordRequest>,
    ) -> Result<Response<pb::ShowRecordResponse>, Status> {
        let id = rows::record_id("record_id", &request.into_inner().record_id).map_err(refused)?;
        let found = self.desk.book().find(id).await.map_err(refused)?;
        let record = found.ok_or_else(|| refused(FlowError::NotFound { what: "record" }))?;
        Ok(Response::new(pb::ShowRecordResponse {
            row: rows::row(&record),
        }))
    }

    async fn retract_record(
        &self,
        request: Request<pb::RetractRecordRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let message = request.into_inner();
        let id = rows::record_id("record_id", &message.record_id).map_err(refused)?;
        let reason = RetractionReason::from_word(&message.reason).ok_or_else(|| {
            refused(Malformed::new(
                "reason",
                "must be a reason such as furnisher-error",
            ))
        })?;
        self.desk
            .retract(id, reason)
            .await
            .map(|applied| changed(&applied))
            .map_err(refused)
    }

    type ExportRecordsStream = RowStream;

    async fn export_records(
        &self,
        request: Request<pb::ExportRecordsRequest>,
    ) -> Result<Response<RowStream>, Status> {
        let kind = request.into_inner().kind;
        let wanted = RecordKind::from_word(&kind);
        if wanted.is_none() && !kind.is_empty() {
            let reason = "must be loan, application, hold or signal; all without it";
            return Err(refused(Malformed::new("kind", reason)));
        }
        let state = (self.desk.book().clone(), Some(None));
        let pages = try_unfold(state, move |state| export_page(state, wanted));
        Ok(Response::new(Box::pin(pages)))
    }

    async fn assess(
        &self,
        request: Request<pb::AssessRequest>,
    ) -> Result<Response<pb::AnswerResponse>, Status> {
        let message = request.into_inner();
        let wanted = rows::application(&message, self.currency).map_err(refused)?;
        let given = self.desk.assess(&message.idempotency_key, &wanted).await;
        given.map(rows::answer).map(Response::new).map_err(refused)
    }

    async fn recheck(
        &self,
        request: Request<pb::RecheckRequest>,
    ) -> Result<Response<pb::AnswerResponse>, Status> {
        let message = request.into_inner();
        let id = rows::record_id("application_id", &message.application_id).map_err(refused)?;
        let given = self.desk.recheck(&message.idempotency_key, id).await;
        given.map(rows::answer).map(Response::new).map_err(refused)
    }

    async fn fetch_answer(
        &self,
        request: Request<pb::FetchAnswerRequest>,
    ) -> Result<Response<pb::AnswerResponse>, Status> {
        let query = rows::query_id(&request.into_inner().query_id).map_err(refused)?;
        self.desk
            .fetch(query)
            .await
            .map(rows::answer)
            .map(Response::new)
            .map_err(refused)
    }

    async fn place_hold(
        &self,
        request: Request<pb::PlaceHoldRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let message = request.into_inner();
        let wanted = rows::hold(&message).map_err(refused)?;
        self.desk
            .hold(&message.idempotency_key, &wanted)
            .await
            .map(|applied| changed(&applied))
            .map_err(refused)
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let id = rows::record_id("hold_id", &request.into_inner().hold_id).map_err(refused)?;
        self.desk
            .release(id)
            .await
            .map(|applied| changed(&applied))
            .map_err(refused)
    }

    async fn convert_hold(
        &self,
        request: Request<pb::ConvertHoldRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let message = request.into_inner();
        let id = rows::record_id("hold_id", &message.hold_id).map_err(refused)?;
        let account = rows::account_reference(&message.account_reference).map_err(refused)?;
        let key = &message.idempotency_key;
        self.desk
            .convert(key, id, account)
            .await
            .map(|applied| changed(&applied))
            .map_err(refused)
    }

    async fn close_application(
        &self,
        request: Request<pb::CloseApplicationRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let message = request.into_inner();
        let id = rows::record_id("application_id", &message.application_id).map_err(refused)?;
        let outcome = ApplicationOutcome::from_word(&message.outcome).ok_or_else(|| {
            refused(Malformed::new(
                "outcome",
                "must be an outcome such as declined",
            ))
        })?;
        self.desk
            .close(id, outcome)
            .await
            .map(|applied| changed(&applied))
            .map_err(refused)
    }
}

type ExportState = (Book, Option<Option<Vec<u8>>>);

/// One page of the book as rows; the state says where the next one begins.
async fn export_page(
    (book, at): ExportState,
    wanted: Option<RecordKind>,
) -> Result<Option<(pb::ExportRecordsResponse, ExportState)>, Status> {
    let Some(after) = at else { return Ok(None) };
    let (records, next) = book.page(after).await.map_err(refused)?;
    if next.is_none() {
        return Ok(None);
    }
    let kept = records
        .iter()
        .filter(|record| wanted.is_none_or(|kind| record.kind() == kind));
    let rows = kept.map(rows::row).collect();
    Ok(Some((
        pb::ExportRecordsResponse { rows },
        (book, Some(next)),
    )))
}
