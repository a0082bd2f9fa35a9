//! What this node answers to its peers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tonic::{Request, Response, Status};

use super::status_of;
use crate::domain::MemberId;
use crate::flows::{Answerer, FlowError};
use crate::limits::{
    DEPARTURES_RELAYED_MAX, RELAYED_LIST_BYTES_MAX, RELAYED_ROOTS_BYTES_MAX, STREAM_AGE_MAX,
    STREAM_CHUNK_LEAVES,
};
use crate::membership::VerifiedPeer;
use crate::protocol::feed::FeedId;
use crate::wire::pb::{self, peer_server::Peer};
use crate::wire::{FeedWanted, Question};

/// How long a followed feed waits for news before it looks into the primary store by itself:
/// another replica may have published.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

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

/// The proof that the gate left in the request.
fn admitted<T>(request: &Request<T>) -> Result<VerifiedPeer, Status> {
    let peer = request.extensions().get::<VerifiedPeer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this call did not pass the membership gate"))
}

fn refused(error: impl Into<FlowError>) -> Status {
    status_of(&error.into())
}

type ChunkStream = Pin<Box<dyn Stream<Item = Result<pb::FeedChunk, Status>> + Send>>;

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
        let following = Following {
            member: peer.member().clone(),
            answerer: Arc::clone(&self.answerer),
            feed,
            at: wanted.from,
            until: wanted.until,
            sent: String::new(),
        };
        // A caller that follows takes the feed up again; one that does not read is cut with its
        // connection.
        let chunks = unfold(Some(following), next_chunk).take_until(sleep(STREAM_AGE_MAX));
        Ok(Response::new(Box::pin(chunks)))
    }
}

/// Where one stream stands.
struct Following {
    member: MemberId,
    answerer: Arc<Answerer>,
    feed: FeedId,
    at: u64,
    until: Option<u64>,
    sent: String,
}

type Step = Option<(Result<pb::FeedChunk, Status>, Option<Following>)>;

/// The next chunk as soon as there is one: new leaves, or a newer checkpoint over the same ones.
async fn next_chunk(following: Option<Following>) -> Step {
    let mut following = following?;
    let feeds = Arc::clone(following.answerer.feeds());
    loop {
        let mut news = feeds.news();
        // Grants end, and lists change, while a stream is open.
        let asked = &following.member;
        if let Err(error) = following.answerer.still_granted(asked, &following.feed) {
            return Some((Err(refused(error)), None));
        }
        let Following {
            feed, at, until, ..
        } = &following;
        match feeds.chunk(feed, *at, STREAM_CHUNK_LEAVES, *until).await {
            Err(error) => return Some((Err(refused(error)), None)),
            Ok((chunk, _)) if chunk.leaves.is_empty() && chunk.checkpoint == following.sent => {
                if until.is_some() {
                    return None;
                }
                let _waited = timeout(LOOK_AGAIN, news.changed()).await;
            }
            Ok((chunk, _)) => {
                following.at = chunk.from + crate::flows::leaves_in(&chunk.leaves);
                following.sent.clone_from(&chunk.checkpoint);
                let done = following.until.is_some_and(|until| following.at >= until);
                return Some((Ok(chunk.into()), (!done).then_some(following)));
            }
        }
    }
}
