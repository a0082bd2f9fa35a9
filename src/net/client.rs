//! What a node asks of its peers, in the domain's terms: the one place that calls the generated
//! client.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tonic::{Code, Request, Response, Status, Streaming};

use super::peers::{CallError, Peers, dial_error, said};
use super::transport::{PeerChannel, Transport};
use crate::domain::SilentReason;
use crate::env::Clock;
use crate::limits::{MESSAGE_BYTES_MAX, STANDARD_MESSAGE_BYTES_MAX};
use crate::membership::{AuditorKeyStatement, Member, MonthlyStatement};
use crate::wire::pb::auditing_client::AuditingClient;
use crate::wire::pb::explain_client::ExplainClient;
use crate::wire::pb::notices_client::NoticesClient;
use crate::wire::pb::peer_client::PeerClient;
use crate::wire::pb::standing_client::StandingClient;
use crate::wire::pb::witness_client::WitnessClient;
use crate::wire::pb::{
    CosignRequest, CosignResponse, DeliverOpeningRequest, DeliverOpeningResponse, DescribeRequest,
    DescribeResponse, EncryptionKeyRequest, EncryptionKeyResponse, EvaluateRequest,
    EvaluateResponse, ExplainRequest, ExplainResponse, FeedChunk, GossipRequest, GossipResponse,
    GrowthRequest, GrowthResponse, LoggedRequest, LoggedResponse, MonthlyCountsRequest,
    MonthlyCountsResponse, RequestOpeningsRequest, RequestOpeningsResponse, StreamNoticesRequest,
};
use crate::wire::{
    Chunk, CosignGiven, CosignWanted, Delivered, Description, Evaluation, FeedWanted, GrowthGiven,
    LoggedPage, LoggedWanted, Malformed, OpeningsWanted, Question, Sightings, Verdict,
    monthly_statements,
};

/// Why asking a peer gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    /// The call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The stream broke off.
    #[error("{0}")]
    Broken(String),
    /// The answer breaks its contract.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl AskError {
    /// Why the peer counts as silent.
    #[must_use]
    pub fn silence(&self) -> SilentReason {
        match self {
            Self::Malformed(_) => SilentReason::Unverified,
            Self::Broken(_) => SilentReason::TailTruncated,
            Self::Call(CallError::Late { .. }) => SilentReason::Deadline,
            Self::Call(CallError::Paused { .. } | CallError::Unreachable(_)) => {
                SilentReason::Unreachable
            }
            Self::Call(CallError::Status { status, .. }) => match status.code() {
                Code::ResourceExhausted => SilentReason::OverQuota,
                Code::Unavailable => SilentReason::Unreachable,
                Code::DeadlineExceeded | Code::Cancelled => SilentReason::Deadline,
                Code::Ok
                | Code::Unknown
                | Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::Internal
                | Code::DataLoss
                | Code::Unauthenticated => SilentReason::Refused,
            },
        }
    }
}

/// The peers as something to ask.
#[derive(Debug)]
pub struct AskedPeers {
    peers: Peers,
}

impl AskedPeers {
    /// The way of single calls.
    pub(super) const fn calls(&self) -> &Peers {
        &self.peers
    }

    /// Asks over this transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            peers: Peers::new(transport, clock),
        }
    }

    /// Asks a peer what it is.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn describe(
        &self,
        peer: &Member,
        deadline: Duration,
    ) -> Result<Description, AskError> {
        let make = |channel| describe(channel, Request::new(DescribeRequest {}));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(Description::try_from(response.into_inner())?)
    }

    /// Asks a peer for what it states of its months. Nothing of it is checked yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn monthly_counts(
        &self,
        peer: &Member,
        deadline: Duration,
    ) -> Result<Vec<MonthlyStatement>, AskError> {
        let make = |channel| monthly_counts(channel, Request::new(MonthlyCountsRequest {}));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(monthly_statements(response.into_inner())?)
    }

    /// Asks an auditor for the key that openings are encrypted to. Nothing of it is checked yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn encryption_key(
        &self,
        auditor: &Member,
        deadline: Duration,
    ) -> Result<AuditorKeyStatement, AskError> {
        let make = |channel| encryption_key(channel, Request::new(EncryptionKeyRequest {}));
        let response = self.peers.call(auditor, deadline, make).await?;
        Ok(AuditorKeyStatement::try_from(response.into_inner())?)
    }

    /// Asks a peer what it logged between two members, one page.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn logged(
        &self,
        peer: &Member,
        deadline: Duration,
        wanted: LoggedWanted,
    ) -> Result<LoggedPage, AskError> {
        let message = LoggedRequest::from(wanted);
        let make = |channel| logged(channel, Request::new(message.clone()));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(LoggedPage::try_from(response.into_inner())?)
    }

    /// Asks a member to open queries that this node, an auditor's, drew.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn request_openings(
        &self,
        member: &Member,
        deadline: Duration,
        wanted: OpeningsWanted,
    ) -> Result<(), AskError> {
        let message = RequestOpeningsRequest::from(wanted);
        let make = |channel| request_openings(channel, Request::new(message.clone()));
        self.peers.call(member, deadline, make).await?;
        Ok(())
    }

    /// Gives an auditor's node what it wanted of one query.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn deliver_opening(
        &self,
        auditor: &Member,
        deadline: Duration,
        given: Delivered,
    ) -> Result<(), AskError> {
        let message = DeliverOpeningRequest::from(given);
        let make = |channel| deliver_opening(channel, Request::new(message.clone()));
        self.peers.call(auditor, deadline, make).await?;
        Ok(())
    }

    /// Asks a peer to cosign a checkpoint of this node's audit log. Nothing of the answer is
    /// checked yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn cosign(
        &self,
        peer: &Member,
        deadline: Duration,
        wanted: CosignWanted,
    ) -> Result<CosignGiven, AskError> {
        let message = CosignRequest::from(wanted);
        let make = |channel| cosign(channel, Request::new(message.clone()));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(CosignGiven::try_from(response.into_inner())?)
    }

    /// Exchanges with a peer what both saw of members' logs. Nothing of it is checked yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn gossip(
        &self,
        peer: &Member,
        deadline: Duration,
        seen: Sightings,
    ) -> Result<Sightings, AskError> {
        let message = GossipRequest::from(seen);
        let make = |channel| gossip(channel, Request::new(message.clone()));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(Sightings::try_from(response.into_inner())?)
    }

    /// Asks a peer to prove that its audit log grew. Nothing of it is checked yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn prove_growth(
        &self,
        peer: &Member,
        deadline: Duration,
        (old_size, new_size): (u64, u64),
    ) -> Result<GrowthGiven, AskError> {
        let message = GrowthRequest { old_size, new_size };
        let make = |channel| prove_growth(channel, Request::new(message));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(GrowthGiven::try_from(response.into_inner())?)
    }

    /// Asks a peer whether it admits this node, and why not: the one call that a refused member may
    /// make.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn explain(&self, peer: &Member, deadline: Duration) -> Result<Verdict, AskError> {
        let make = |channel| explain(channel, Request::new(ExplainRequest {}));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(Verdict::try_from(response.into_inner())?)
    }

    /// Asks a peer to evaluate. A call that met a closing connection is made once more; the request
    /// id makes that harmless.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn evaluate(
        &self,
        peer: &Member,
        deadline: Duration,
        question: Question,
    ) -> Result<Evaluation, AskError> {
        let message = EvaluateRequest::from(question);
        let make = |channel| evaluate(channel, Request::new(message.clone()));
        let response = self.peers.call(peer, deadline, make).await?;
        Ok(Evaluation::try_from(response.into_inner())?)
    }

    /// Opens a stream of a peer's feed. It has no deadline: whoever reads it sets one.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn stream(&self, peer: &Member, wanted: FeedWanted) -> Result<FeedStream, AskError> {
        let channel = self.peers.channel(peer);
        let response = client(channel)
            .stream_feed(Request::new(wanted.into()))
            .await;
        let stream = response.map_err(|status| broken(&status))?.into_inner();
        Ok(FeedStream(stream))
    }

    /// Opens a stream of a peer's notice feed from a position of one of its generations. It has no
    /// deadline: whoever reads it sets one.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn notices(
        &self,
        peer: &Member,
        (generation, from): (u32, u64),
    ) -> Result<FeedStream, AskError> {
        let mut client = NoticesClient::new(self.peers.channel(peer))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let wanted = StreamNoticesRequest { generation, from };
        let response = client.stream(Request::new(wanted)).await;
        let stream = response.map_err(|status| broken(&status))?.into_inner();
        Ok(FeedStream(stream))
    }
}

/// Chunks of a feed as they come.
#[derive(Debug)]
pub struct FeedStream(Streaming<FeedChunk>);

impl FeedStream {
    /// The next chunk; `None` where the peer ended the stream.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn next(&mut self) -> Result<Option<Chunk>, AskError> {
        let message = self.0.message().await.map_err(|status| broken(&status))?;
        Ok(message.map(Chunk::try_from).transpose()?)
    }
}

type Calling<T> = BoxFuture<'static, Result<Response<T>, Status>>;

fn describe(channel: PeerChannel, request: Request<DescribeRequest>) -> Calling<DescribeResponse> {
    Box::pin(async move { client(channel).describe(request).await })
}

fn explain(channel: PeerChannel, request: Request<ExplainRequest>) -> Calling<ExplainResponse> {
    let mut client = ExplainClient::new(channel)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX);
    Box::pin(async move { client.explain(request).await })
}

fn monthly_counts(
    channel: PeerChannel,
    request: Request<MonthlyCountsRequest>,
) -> Calling<MonthlyCountsResponse> {
    let mut client = StandingClient::new(channel)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX);
    Box::pin(async move { client.monthly_counts(request).await })
}

fn encryption_key(
    channel: PeerChannel,
    request: Request<EncryptionKeyRequest>,
) -> Calling<EncryptionKeyResponse> {
    Box::pin(async move { auditing(channel).encryption_key(request).await })
}

fn logged(channel: PeerChannel, request: Request<LoggedRequest>) -> Calling<LoggedResponse> {
    Box::pin(async move { auditing(channel).logged(request).await })
}

fn request_openings(
    channel: PeerChannel,
    request: Request<RequestOpeningsRequest>,
) -> Calling<RequestOpeningsResponse> {
    Box::pin(async move { auditing(channel).request_openings(request).await })
}

fn deliver_opening(
    channel: PeerChannel,
    request: Request<DeliverOpeningRequest>,
) -> Calling<DeliverOpeningResponse> {
    Box::pin(async move { auditing(channel).deliver_opening(request).await })
}

fn auditing(channel: PeerChannel) -> AuditingClient<PeerChannel> {
    AuditingClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn witness(channel: PeerChannel) -> WitnessClient<PeerChannel> {
    WitnessClient::new(channel)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

fn cosign(channel: PeerChannel, request: Request<CosignRequest>) -> Calling<CosignResponse> {
    Box::pin(async move { witness(channel).cosign(request).await })
}

fn gossip(channel: PeerChannel, request: Request<GossipRequest>) -> Calling<GossipResponse> {
    Box::pin(async move { witness(channel).gossip(request).await })
}

fn prove_growth(channel: PeerChannel, request: Request<GrowthRequest>) -> Calling<GrowthResponse> {
    Box::pin(async move { witness(channel).prove_growth(request).await })
}

fn evaluate(channel: PeerChannel, request: Request<EvaluateRequest>) -> Calling<EvaluateResponse> {
    Box::pin(async move { client(channel).evaluate(request).await })
}

fn client(channel: PeerChannel) -> PeerClient<PeerChannel> {
    PeerClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Why a stream broke off, in words for the operator.
pub(super) fn broken(status: &Status) -> AskError {
    AskError::Broken(match dial_error(status) {
        Some(error) => error.to_string(),
        None => format!("{}: {}", status.code(), said(status)),
    })
}
