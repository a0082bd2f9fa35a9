//! Streaming one of this node's feeds to a peer: what there is, then what comes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::status::refused;
use crate::flows::{Answerer, FlowError, leaves_in};
use crate::limits::STREAM_AGE_MAX;
use crate::protocol::feed::FeedId;
use crate::wire::pb;

/// How long a followed feed waits for news before it looks into the primary store by itself:
/// another replica may have published.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a peer that follows a feed is sent.
pub(super) type ChunkStream = Pin<Box<dyn Stream<Item = Result<pb::FeedChunk, Status>> + Send>>;

/// Whether the peer may still follow: grants end, and lists change, while a stream is open.
type Permit = Box<dyn Fn(&Answerer, &FeedId) -> Result<(), FlowError> + Send>;

/// A feed that a peer follows, from a position.
pub(super) struct Following {
    pub(super) answerer: Arc<Answerer>,
    pub(super) feed: FeedId,
    /// The position of the next leaf; a multiple of eight.
    pub(super) at: u64,
    /// The size at which the stream ends; `None` for one that goes on.
    pub(super) until: Option<u64>,
    /// Leaves of one message at most.
    pub(super) most: usize,
    /// Whether a feed that is not open yet is waited for.
    pub(super) opens_later: bool,
    pub(super) permit: Permit,
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Following({} at {})", self.feed, self.at)
    }
}

impl Following {
    /// The stream. A caller that follows takes the feed up again when it has ended by its age; one
    /// that does not read is cut with its connection.
    pub(super) fn stream(self) -> ChunkStream {
        let begun = (self, String::new());
        let chunks = unfold(Some(begun), |stands| async move {
            let (following, sent) = stands?;
            following.next(sent).await
        });
        Box::pin(chunks.take_until(sleep(STREAM_AGE_MAX)))
    }

    /// The next chunk as soon as there is one: new leaves, or a newer checkpoint than the one sent
    /// last over the same ones.
    async fn next(mut self, sent: String) -> Step {
        let feeds = Arc::clone(self.answerer.feeds());
        loop {
            let mut news = feeds.news();
            if let Err(error) = (self.permit)(&self.answerer, &self.feed) {
                return Some((Err(refused(error)), None));
            }
            match feeds
                .chunk(&self.feed, self.at, self.most, self.until)
                .await
            {
                Err(FlowError::FeedNotOpen { .. }) if self.opens_later && self.at == 0 => {}
                Err(error) => return Some((Err(refused(error)), None)),
                Ok((chunk, _)) if chunk.leaves.is_empty() && chunk.checkpoint == sent => {
                    if self.until.is_some() {
                        return None;
                    }
                }
                Ok((chunk, _)) => {
                    self.at = chunk.from + leaves_in(&chunk.leaves);
                    let sent = chunk.checkpoint.clone();
                    let done = self.until.is_some_and(|until| self.at >= until);
                    return Some((Ok(chunk.into()), (!done).then_some((self, sent))));
                }
            }
            let _waited = timeout(LOOK_AGAIN, news.changed()).await;
        }
    }
}

/// A message, and where the stream stands behind it, with the checkpoint sent last.
type Step = Option<(Result<pb::FeedChunk, Status>, Option<(Following, String)>)>;
