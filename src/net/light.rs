//! What a node asks of peers in light mode.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tonic::{Request, Response, Status, Streaming};

use super::client::{AskError, AskedPeers, broken};
use super::transport::PeerChannel;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::membership::Member;
use crate::wire::pb::light_client::LightClient;
use crate::wire::pb::{LightEvaluateRequest, LightOfferRequest, LightOfferResponse, LightPart};
use crate::wire::{LightHead, LightOffer, LightQuestion, light_entries, light_offers};

/// The entries of an answer, as they come.
#[derive(Debug)]
pub struct LightStream(Streaming<LightPart>);

type Calling<T> = BoxFuture<'static, Result<Response<T>, Status>>;

fn client(channel: PeerChannel) -> LightClient<PeerChannel> {
    LightClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn offer(channel: PeerChannel) -> Calling<LightOfferResponse> {
    Box::pin(async move {
        client(channel)
            .offer(Request::new(LightOfferRequest {}))
            .await
    })
}

fn evaluate(channel: PeerChannel, message: LightEvaluateRequest) -> Calling<Streaming<LightPart>> {
    Box::pin(async move { client(channel).evaluate(Request::new(message)).await })
}

impl AskedPeers {
    /// Asks a peer how its feeds are cut.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn light_offers(
        &self,
        peer: &Member,
        deadline: Duration,
    ) -> Result<Vec<LightOffer>, AskError> {
        let response = self.calls().call(peer, deadline, offer).await?;
        Ok(light_offers(&response.into_inner())?)
    }

    /// Asks a peer to evaluate and to send the buckets. What comes before them is here when this
    /// returns, within the deadline; who reads the rest sets one of its own.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn evaluate_light(
        &self,
        peer: &Member,
        deadline: Duration,
        question: LightQuestion,
    ) -> Result<(LightHead, LightStream), AskError> {
        let message = LightEvaluateRequest::from(question);
        let make = |channel| evaluate(channel, message.clone());
        let response = self.calls().call(peer, deadline, make).await?;
        let mut parts = response.into_inner();
        let first = parts.message().await.map_err(|status| broken(&status))?;
        let none = || AskError::Broken("the peer sent nothing".to_owned());
        let head = LightHead::try_from(first.ok_or_else(none)?)?;
        Ok((head, LightStream(parts)))
    }
}

impl LightStream {
    /// The next entries, as flat bytes; `None` where the peer ended the stream.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        let part = self.0.message().await.map_err(|status| broken(&status))?;
        Ok(part.map(light_entries).transpose()?)
    }
}
