//! What this node answers to its peers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::following::{ChunkStream, Following};
use super::status::refused;
use crate::flows::Answerer;
use crate::limits::{
    DEPARTURES_RELAYED_MAX, RELAYED_LIST_BYTES_MAX, RELAYED_ROOTS_BYTES_MAX, STREAM_CHUNK_LEAVES,
};
use crate::wire::pb::{self, peer_server::Peer};
use crate::wire::{FeedWanted, Question};

/// The service that peers call. Every call carries the proof that the gate admitted it.
#[derive(Debug, Clone)]
pub struct PeerService {
    answerer: Arc<Answerer>,
}

impl PeerService {
    /// Serves answers.
    #[must_use]
    pub fn new(answerer: Arc<Answerer>) -> Self {
        Self { answerer }
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn describe(
        &self,
        request: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        let peer = admitted(&request)?;
        let description = self.answerer.describe(&peer).await.map_err(refused)?;
        Ok(Response::new(description.into()))
    }

    async fn evaluate(
        &self,
        request: Request<pb::EvaluateRequest>,
    ) -> Result<Response<pb::EvaluateResponse>, Status> {
        let peer = admitted(&request)?;
        let question = Question::try_from(request.into_inner()).map_err(refused)?;
        let evaluation = self
            .answerer
            .evaluate(&peer, question)
            .await
            .map_err(refused)?;
        Ok(Response::new(evaluation.into()))
    }

    async fn relay_trust(
        &self,
        request: Request<pb::RelayTrustRequest>,
    ) -> Result<Response<pb::RelayTrustResponse>, Status> {
        admitted(&request)?;
        let trust = self.answerer.trust();
        let (roster, freshness) = (trust.roster(), trust.freshness());
        let held = request.into_inner();
        let is_newer = roster.version() > held.list_version;
        let list = is_newer.then(|| roster.signed().to_text().ok()).flatten();
        let departures = roster.departures().texts().into_iter();
        let departures = departures.take(DEPARTURES_RELAYED_MAX);
        let list = list.filter(|text| text.len() <= RELAYED_LIST_BYTES_MAX);
        Ok(Response::new(pb::RelayTrustResponse {
            list: list.unwrap_or_default(),
            freshness: freshness.map_or_else(String::new, |held| held.text().to_owned()),
            departures: departures.collect(),
            roots: trust.roots_within(held.root_version, RELAYED_ROOTS_BYTES_MAX),
            log_checkpoints: trust.log_checkpoints(),
        }))
    }

    type StreamFeedStream = ChunkStream;

    async fn stream_feed(
        &self,
        request: Request<pb::StreamFeedRequest>,
    ) -> Result<Response<ChunkStream>, Status> {
        let peer = admitted(&request)?;
        let wanted = FeedWanted::try_from(request.into_inner()).map_err(refused)?;
        let feed = self.answerer.feed_for(&peer, wanted).await;
        let feed = feed.map_err(refused)?;
        let member = peer.member().clone();
        let following = Following {
            answerer: Arc::clone(&self.answerer),
            feed,
            at: wanted.from,
            until: wanted.until,
            most: STREAM_CHUNK_LEAVES,
            opens_later: false,
            permit: Box::new(move |answerer, feed| answerer.still_granted(&member, feed)),
        };
        Ok(Response::new(following.stream()))
    }
}
