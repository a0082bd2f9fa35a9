//! What this node tells of records that changed after it had answered from them: its notice feed to
//! peers, and to its operator which of its own answers were revised.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tonic::{Request, Response, Status};

use super::status_of;
use crate::domain::{MemberId, QueryId};
use crate::flows::{Answerer, FlowError, RevisionNotice, Revisions, leaves_in};
use crate::limits::{FEED_GROUP_LEAVES, NOTICE_CHUNK_LEAVES, REVISIONS_PAGE_MAX, STREAM_AGE_MAX};
use crate::membership::VerifiedPeer;
use crate::protocol::feed::FeedId;
use crate::wire::Malformed;
use crate::wire::pb::{self, notices_server, revisions_server};

/// How long a followed feed waits for news before it looks into the primary store by itself:
/// another replica may have posted.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Bytes of a place in the list of revisions.
const PLACE_BYTES_MAX: usize = 64;

/// The service that peers call.
#[derive(Debug, Clone)]
pub struct NoticeService {
    answerer: Arc<Answerer>,
}

impl NoticeService {
    /// Streams the notice feed of the node behind `answerer`.
    #[must_use]
    pub const fn new(answerer: Arc<Answerer>) -> Self {
        Self { answerer }
    }
}

fn refused(error: impl Into<FlowError>) -> Status {
    status_of(&error.into())
}

type ChunkStream = Pin<Box<dyn Stream<Item = Result<pb::FeedChunk, Status>> + Send>>;

#[tonic::async_trait]
impl notices_server::Notices for NoticeService {
    type StreamStream = ChunkStream;

    async fn stream(
        &self,
        request: Request<pb::StreamNoticesRequest>,
    ) -> Result<Response<ChunkStream>, Status> {
        let peer = request.extensions().get::<VerifiedPeer>().cloned();
        let peer = peer
            .ok_or_else(|| Status::unauthenticated("this call did not pass the membership gate"))?;
        let pb::StreamNoticesRequest { generation, from } = request.into_inner();
        if !from.is_multiple_of(FEED_GROUP_LEAVES as u64) {
            return Err(refused(Malformed::new("from", "must be a multiple of 8")));
        }
        let feed = self.answerer.notice_feed();
        let is_current = feed.notices_generation() == Some(generation);
        let following = Following {
            member: peer.member().clone(),
            answerer: Arc::clone(&self.answerer),
            feed,
            at: if is_current { from } else { 0 },
            sent: String::new(),
        };
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
    sent: String,
}

type Step = Option<(Result<pb::FeedChunk, Status>, Option<Following>)>;

/// The next chunk as soon as there is one: new leaves, or a newer checkpoint over the same ones.
async fn next_chunk(following: Option<Following>) -> Step {
    let mut following = following?;
    let feeds = Arc::clone(following.answerer.feeds());
    loop {
        let mut news = feeds.news();
        if let Err(error) = following.answerer.still_admitted(&following.member) {
            return Some((Err(refused(error)), None));
        }
        let (feed, at) = (&following.feed, following.at);
        match feeds.chunk(feed, at, NOTICE_CHUNK_LEAVES, None).await {
            // It opens with the node's first publication.
            Err(FlowError::FeedNotOpen { .. }) if at == 0 => {}
            Err(error) => return Some((Err(refused(error)), None)),
            Ok((chunk, _)) if chunk.leaves.is_empty() && chunk.checkpoint == following.sent => {}
            Ok((chunk, _)) => {
                following.at = chunk.from + leaves_in(&chunk.leaves);
                following.sent.clone_from(&chunk.checkpoint);
                return Some((Ok(chunk.into()), Some(following)));
            }
        }
        let _waited = timeout(LOOK_AGAIN, news.changed()).await;
    }
}

/// The service that the operator calls.
#[derive(Debug, Clone)]
pub struct RevisionService {
    revisions: Arc<Revisions>,
    shows_members: bool,
}

impl RevisionService {
    /// Lists these; the members too where the network's policy allows it.
    #[must_use]
    pub const fn new(revisions: Arc<Revisions>, shows_members: bool) -> Self {
        Self {
            revisions,
            shows_members,
        }
    }

    fn row(&self, revision: &RevisionNotice) -> pb::RevisionRow {
        let member = revision.member.as_str();
        pb::RevisionRow {
            query_id: revision.query.to_string(),
            kind: revision.kind.word().to_owned(),
            at_unix_ms: revision.at.unix_ms(),
            noted_at_unix_ms: revision.noted_at.unix_ms(),
            member: if self.shows_members { member } else { "" }.to_owned(),
            event: format!("{:016x}", u64::from_be_bytes(revision.event)),
        }
    }
}

#[tonic::async_trait]
impl revisions_server::Revisions for RevisionService {
    async fn list(
        &self,
        request: Request<pb::ListRevisionsRequest>,
    ) -> Result<Response<pb::ListRevisionsResponse>, Status> {
        let pb::ListRevisionsRequest { after, query_id } = request.into_inner();
        if after.len() > PLACE_BYTES_MAX {
            return Err(refused(Malformed::new(
                "after",
                "must be a place that was named",
            )));
        }
        let (found, next) = if query_id.is_empty() {
            let after = (!after.is_empty()).then(|| after.to_vec());
            self.revisions.page(after).await.map_err(refused)?
        } else {
            let query = uuid::Uuid::parse_str(&query_id)
                .map_err(|_| refused(Malformed::new("query_id", "must be a UUID")))?;
            let query = QueryId(query);
            let found = self.revisions.of(query, REVISIONS_PAGE_MAX).await;
            (found.map_err(refused)?, None)
        };
        Ok(Response::new(pb::ListRevisionsResponse {
            revisions: found.iter().map(|one| self.row(one)).collect(),
            next: next.unwrap_or_default().into(),
        }))
    }
}
