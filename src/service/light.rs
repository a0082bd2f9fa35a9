//! Light mode, for peers that hold no mirror of this node's feeds.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream::iter;
use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::status::refused;
use crate::flows::Answerer;
use crate::limits::{LEAF_BYTES, LIGHT_PART_ENTRIES};
use crate::wire::pb::{self, light_server::Light};
use crate::wire::{LightQuestion, light_offer_response, light_part};

/// The service that peers call.
#[derive(Debug, Clone)]
pub struct LightService {
    answerer: Arc<Answerer>,
}

impl LightService {
    /// Serves the buckets of the node behind `answerer`.
    #[must_use]
    pub const fn new(answerer: Arc<Answerer>) -> Self {
        Self { answerer }
    }
}

type Parts = Pin<Box<dyn Stream<Item = Result<pb::LightPart, Status>> + Send>>;

#[tonic::async_trait]
impl Light for LightService {
    async fn offer(
        &self,
        request: Request<pb::LightOfferRequest>,
    ) -> Result<Response<pb::LightOfferResponse>, Status> {
        let peer = admitted(&request)?;
        let offers = self.answerer.light_offers(&peer).await.map_err(refused)?;
        Ok(Response::new(light_offer_response(&offers)))
    }

    type EvaluateStream = Parts;

    async fn evaluate(
        &self,
        request: Request<pb::LightEvaluateRequest>,
    ) -> Result<Response<Parts>, Status> {
        let peer = admitted(&request)?;
        let wanted = LightQuestion::try_from(request.into_inner()).map_err(refused)?;
        let answered = self.answerer.evaluate_light(&peer, wanted).await;
        let (head, buckets) = answered.map_err(refused)?;
        let parts = buckets.into_iter().flat_map(in_parts).map(light_part);
        let all = std::iter::once(pb::LightPart::from(head)).chain(parts);
        Ok(Response::new(Box::pin(iter(all.map(Ok)))))
    }
}

/// A bucket as it travels.
fn in_parts(mut bucket: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let next = bucket.len().min(LIGHT_PART_ENTRIES * LEAF_BYTES);
        (next > 0).then(|| bucket.split_to(next))
    })
}
