//! What this node tells of records that changed after it had answered from them: its notice feed to
//! peers, and to its operator which of its own answers were revised.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::following::{ChunkStream, Following};
use super::status::refused;
use crate::domain::QueryId;
use crate::flows::{Answerer, RevisionNotice, Revisions};
use crate::limits::{FEED_GROUP_LEAVES, NOTICE_CHUNK_LEAVES, REVISIONS_PAGE_MAX};
use crate::wire::Malformed;
use crate::wire::pb::{self, notices_server, revisions_server};

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

#[tonic::async_trait]
impl notices_server::Notices for NoticeService {
    type StreamStream = ChunkStream;

    async fn stream(
        &self,
        request: Request<pb::StreamNoticesRequest>,
    ) -> Result<Response<ChunkStream>, Status> {
        let peer = admitted(&request)?;
        let pb::StreamNoticesRequest { generation, from } = request.into_inner();
        if !from.is_multiple_of(FEED_GROUP_LEAVES as u64) {
            return Err(refused(Malformed::new("from", "must be a multiple of 8")));
        }
        let feed = self.answerer.notice_feed();
        let is_current = feed.notices_generation() == Some(generation);
        let member = peer.member().clone();
        let following = Following {
            answerer: Arc::clone(&self.answerer),
            feed,
            at: if is_current { from } else { 0 },
            until: None,
            most: NOTICE_CHUNK_LEAVES,
            // It opens with the node's first publication.
            opens_later: true,
            permit: Box::new(move |answerer, _| answerer.still_admitted(&member)),
        };
        Ok(Response::new(following.stream()))
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
