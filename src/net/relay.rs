//! What peers hand on: trust documents where no registrar answers, and the checkpoints of membership
//! logs that they saw.

use std::sync::Arc;

use tokio::time::timeout;
use tonic::Status;

use super::node_tls::NodeTls;
use super::registrar_client::{RegistrarError, Route, Showing, refused};
use crate::limits::{
    CALL_DEADLINE, LOG_CHECKPOINTS_TOLD_MAX, LOG_NOTE_BYTES_MAX, MESSAGE_BYTES_MAX,
};
use crate::membership::{Member, dns_name_of};
use crate::wire::TrustTexts;
use crate::wire::pb::{self, peer_client::PeerClient};

/// What a peer handed on. Each piece proves itself by its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relayed {
    /// The trust documents that it holds.
    pub texts: TrustTexts,
    /// The newest checkpoints of membership logs that it saw, as signed notes.
    pub log_checkpoints: Vec<String>,
}

/// Asks a peer for the trust documents that it holds. A node whose freshness has ended asks too,
/// though it asks for nothing else then: what comes proves itself.
///
/// # Errors
/// [`RegistrarError`], with the peer's endpoint.
pub async fn relayed_trust(tls: &NodeTls, peer: &Member) -> Result<Relayed, RegistrarError> {
    let trust = tls.trust();
    let mut last = RegistrarError::Unreachable {
        endpoint: peer.id.to_string(),
        reason: "the member list names no endpoint".to_owned(),
    };
    for endpoint in &peer.endpoints {
        let route = Route {
            endpoint: endpoint.clone(),
            name: dns_name_of(trust.network(), &peer.id),
            shown: Showing::Certificate(tls.clone()),
            clock: Arc::clone(trust.clock()),
        };
        let channel = match route.channel().await {
            Ok(channel) => channel,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let request = pb::RelayTrustRequest {
            list_version: trust.roster().version(),
            root_version: trust.root().version(),
        };
        let mut client = PeerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        match timeout(CALL_DEADLINE, client.relay_trust(request)).await {
            Ok(Ok(answer)) => return Ok(relayed(answer.into_inner())),
            Ok(Err(status)) => last = refused(endpoint, &status),
            Err(_) => last = refused(endpoint, &Status::unavailable("no answer in time")),
        }
    }
    Err(last)
}

fn relayed(mut answer: pb::RelayTrustResponse) -> Relayed {
    let notes = std::mem::take(&mut answer.log_checkpoints).into_iter();
    Relayed {
        log_checkpoints: notes
            .filter(|note| note.len() <= LOG_NOTE_BYTES_MAX)
            .take(LOG_CHECKPOINTS_TOLD_MAX)
            .collect(),
        texts: answer.into(),
    }
}
