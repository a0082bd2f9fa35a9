//! Samples, for the operators of an auditor's node and of the member that opens them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::auditing::{canary_identifiers, draw_of, drawn};
use super::status::refused;
use crate::env::Clock;
use crate::flows::{
    FlowError, NewSample, OpeningRequest, OpeningRequests, Sample, SampleItem, Samples,
};
use crate::limits::SAMPLE_DAYS_DEFAULT;
use crate::wire::Malformed;
use crate::wire::pb::{self, samples_server::Samples as Service};

/// The service for samples.
#[derive(Debug, Clone)]
pub struct SampleService {
    samples: Samples,
    requests: OpeningRequests,
    clock: Arc<dyn Clock>,
}

impl SampleService {
    /// Serves both sides of a node.
    #[must_use]
    pub fn new(samples: Samples, requests: OpeningRequests, clock: Arc<dyn Clock>) -> Self {
        Self {
            samples,
            requests,
            clock,
        }
    }

    fn head(&self, sample: &Sample, items: &[SampleItem]) -> pb::SampleHead {
        let count = |wanted: &dyn Fn(&&SampleItem) -> bool| {
            u32::try_from(items.iter().filter(wanted).count()).unwrap_or(u32::MAX)
        };
        let agrees = |item: &&SampleItem| {
            let outcome = item.outcome.as_ref();
            outcome.is_some_and(|outcome| outcome.verdict == "agrees")
        };
        let is_over = sample.deadline <= self.clock.now();
        pb::SampleHead {
            sample: sample.id.to_vec().into(),
            member: sample.member.to_string(),
            seed: sample.seed.clone(),
            drawn_unix_ms: sample.drawn_at.unix_ms(),
            deadline_unix_ms: sample.deadline.unix_ms(),
            offered: sample.offered,
            sent: sample.is_sent,
            count: u32::try_from(sample.count).unwrap_or(u32::MAX),
            answered: count(&|item| item.outcome.is_some()),
            agree: count(&agrees),
            overdue: count(&|item| is_over && item.outcome.is_none()),
        }
    }

    fn request(&self, request: &OpeningRequest) -> pb::RequestHead {
        let small = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let state = if request.is_answered() {
            "answered"
        } else if request.deadline <= self.clock.now() {
            "overdue"
        } else if request.is_answering {
            "delivering"
        } else {
            "waiting"
        };
        pb::RequestHead {
            sample: request.id.to_vec().into(),
            auditor: request.auditor.to_string(),
            asked_unix_ms: request.asked_at.unix_ms(),
            deadline_unix_ms: request.deadline.unix_ms(),
            count: small(request.wanted.len()),
            delivered: small(request.delivered),
            closed: small(request.closed),
            state: state.to_owned(),
        }
    }
}

fn number(bytes: &[u8]) -> Result<[u8; 8], Status> {
    let number = bytes.try_into();
    number.map_err(|_| refused(Malformed::new("sample", "must be 8 bytes")))
}

fn query(item: SampleItem, is_over: bool) -> pb::SampleQuery {
    let commitment = item.commitment.to_vec().into();
    let at_unix_ms = item.at_unix_ms;
    match item.outcome {
        None => pb::SampleQuery {
            commitment,
            at_unix_ms,
            verdict: if is_over { "overdue" } else { "waiting" }.to_owned(),
            ..pb::SampleQuery::default()
        },
        Some(outcome) => pb::SampleQuery {
            commitment,
            at_unix_ms,
            verdict: outcome.verdict,
            says: outcome.says,
            entry: outcome.entry,
            consents: outcome.consents,
            answered_unix_ms: outcome.at_unix_ms,
        },
    }
}

#[tonic::async_trait]
impl Service for SampleService {
    async fn request_sample(
        &self,
        request: Request<pb::RequestSampleRequest>,
    ) -> Result<Response<pb::RequestSampleResponse>, Status> {
        let wanted = request.into_inner();
        let draw = wanted.draw.unwrap_or_default();
        let days = match wanted.days {
            0 => SAMPLE_DAYS_DEFAULT,
            days => days,
        };
        let new = NewSample {
            draw: draw_of(draw)?,
            days,
            canaries: canary_identifiers(&wanted.canaries)?,
        };
        let (sample, came) = self.samples.request(new).await.map_err(refused)?;
        let items = self.samples.items_of(&sample.id).await.map_err(refused)?;
        Ok(Response::new(pb::RequestSampleResponse {
            sample: Some(self.head(&sample, &items)),
            drawn: Some(drawn(came)),
        }))
    }

    async fn list_samples(
        &self,
        _: Request<pb::ListSamplesRequest>,
    ) -> Result<Response<pb::ListSamplesResponse>, Status> {
        let mut samples = Vec::new();
        for sample in self.samples.list().await.map_err(refused)? {
            let items = self.samples.items_of(&sample.id).await.map_err(refused)?;
            samples.push(self.head(&sample, &items));
        }
        Ok(Response::new(pb::ListSamplesResponse { samples }))
    }

    async fn show_sample(
        &self,
        request: Request<pb::ShowSampleRequest>,
    ) -> Result<Response<pb::ShowSampleResponse>, Status> {
        let id = number(&request.get_ref().sample)?;
        let samples = self.samples.list().await.map_err(refused)?;
        let sample = samples.iter().find(|one| one.id == id);
        let sample = sample.ok_or_else(|| refused(FlowError::NotFound { what: "sample" }))?;
        let items = self.samples.items_of(&id).await.map_err(refused)?;
        let is_over = sample.deadline <= self.clock.now();
        let head = self.head(sample, &items);
        let queries = items.into_iter().map(|item| query(item, is_over));
        Ok(Response::new(pb::ShowSampleResponse {
            sample: Some(head),
            queries: queries.collect(),
        }))
    }

    async fn list_requests(
        &self,
        _: Request<pb::ListRequestsRequest>,
    ) -> Result<Response<pb::ListRequestsResponse>, Status> {
        let requests = self.requests.list().await.map_err(refused)?;
        let requests = requests.iter().map(|one| self.request(one)).collect();
        Ok(Response::new(pb::ListRequestsResponse { requests }))
    }

    async fn answer_request(
        &self,
        request: Request<pb::AnswerRequestRequest>,
    ) -> Result<Response<pb::AnswerRequestResponse>, Status> {
        let id = number(&request.get_ref().sample)?;
        let answered = self.requests.answer(id).await.map_err(refused)?;
        Ok(Response::new(pb::AnswerRequestResponse {
            request: Some(self.request(&answered)),
        }))
    }
}
