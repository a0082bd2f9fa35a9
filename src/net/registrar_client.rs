//! The way to a registrar, for joiners, members and administrators, and what they ask there.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tower::service_fn;

use super::node_tls::NodeTls;
use super::registrar::RegistrarDoor;
use super::registrar_departures::Handing;
use super::tls_dial::{DialFailure, Dialled, dial_tls};
use super::trust::TrustHandle;
use super::words::{self, IssuedBy, OwnSide};
use crate::domain::{NetworkId, Timestamp};
use crate::env::Clock;
use crate::limits::{
    HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, REGISTRAR_ANSWER_BYTES_MAX,
    REGISTRAR_REQUEST_BYTES_MAX,
};
use crate::membership::{NetworkRoot, registrar_client, registrar_name_of, stranger_client};
use crate::wire::pb::{self, registrar_client::RegistrarClient as Generated};
use crate::wire::{DeskView, Enrolment, InvitationKey, Malformed, Tally, TrustTexts};

/// Why a registrar did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrarError {
    /// Nobody answered, or not for long enough.
    #[error("cannot reach the registrar at {endpoint}: {reason}")]
    Unreachable {
        /// `host:port`.
        endpoint: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The registrar refused, or its certificate was refused here.
    #[error("the registrar at {endpoint} refuses: {reason}")]
    Refused {
        /// `host:port`.
        endpoint: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The answer breaks its contract.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl RegistrarError {
    /// Whether another attempt, or another registrar, may do better.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// How a connection is made, again where it ended.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) endpoint: String,
    pub(super) name: String,
    pub(super) shown: Showing,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Clone)]
pub(super) enum Showing {
    Nothing(Arc<ClientConfig>),
    Certificate(NodeTls),
}

impl Route {
    fn failure(&self, failure: DialFailure) -> RegistrarError {
        let endpoint = self.endpoint.clone();
        let error = match failure {
            DialFailure::NoAddress(error) => {
                let reason = format!("no address is known by that name ({error})");
                return RegistrarError::Unreachable { endpoint, reason };
            }
            DialFailure::Failed(error) => error,
        };
        let (not_before, not_after) = match &self.shown {
            Showing::Nothing(_) => (
                Timestamp::from_unix_ms(0),
                Timestamp::from_unix_ms(i64::MAX),
            ),
            Showing::Certificate(tls) => {
                let leaf = tls.certificate();
                (leaf.not_before(), leaf.not_after())
            }
        };
        let own = OwnSide {
            issuer: IssuedBy::Network,
            not_before,
            not_after,
            now: self.clock.now(),
        };
        let reason = words::of_server(&error, &own);
        if words::is_refusal(&error) {
            RegistrarError::Refused { endpoint, reason }
        } else {
            RegistrarError::Unreachable { endpoint, reason }
        }
    }

    async fn dial(&self) -> Result<Dialled, RegistrarError> {
        let config = match &self.shown {
            Showing::Nothing(config) => Arc::clone(config),
            Showing::Certificate(tls) => Arc::clone(&tls.current().configs.client),
        };
        let dialled = dial_tls(&self.endpoint, &self.name, &config).await;
        dialled.map_err(|failure| self.failure(failure))
    }

    async fn connect(self) -> Result<RegistrarClient, RegistrarError> {
        let endpoint = self.endpoint.clone();
        let generated = Generated::new(self.channel().await?)
            .max_decoding_message_size(REGISTRAR_ANSWER_BYTES_MAX)
            .max_encoding_message_size(REGISTRAR_REQUEST_BYTES_MAX);
        Ok(RegistrarClient {
            generated,
            endpoint,
            handing: None,
        })
    }

    pub(super) async fn channel(self) -> Result<Channel, RegistrarError> {
        // The first connection is made here: through the channel its reason would come out wrapped.
        let first = Arc::new(Mutex::new(Some(self.dial().await?)));
        let (endpoint, name) = (self.endpoint.clone(), self.name.clone());
        let failed = |error: &dyn std::error::Error| RegistrarError::Unreachable {
            endpoint: endpoint.clone(),
            reason: error.to_string(),
        };
        let connector = service_fn(move |_: Uri| {
            let route = self.clone();
            let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move {
                let stream = match first {
                    Some(stream) => stream,
                    None => route.dial().await.map_err(io::Error::other)?,
                };
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        // `http`, because TLS is the connector's business; the name is never resolved.
        Endpoint::from_shared(format!("http://{name}"))
            .map_err(|error| failed(&error))?
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect_with_connector(connector)
            .await
            .map_err(|error| failed(&error))
    }
}

/// Fetches the network's root documents from a version on (0 for all) without knowing the network:
/// nothing else may be believed of that connection, and the documents only for a fingerprint that
/// was told on another way, or because they follow a root that is trusted.
///
/// # Errors
/// [`RegistrarError`].
pub async fn fetch_roots(
    endpoint: &str,
    network: &NetworkId,
    from_version: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<String>, RegistrarError> {
    let config = stranger_client(clock).map_err(|error| RegistrarError::Unreachable {
        endpoint: endpoint.to_owned(),
        reason: error.to_string(),
    })?;
    let route = Route {
        endpoint: endpoint.to_owned(),
        name: registrar_name_of(network),
        shown: Showing::Nothing(config),
        clock: Arc::clone(clock),
    };
    route.connect().await?.all_roots(from_version).await
}

/// A connection to a registrar whose certificate leads to the network's roots.
#[derive(Debug, Clone)]
pub struct RegistrarClient {
    pub(super) generated: Generated<Channel>,
    endpoint: String,
    /// The departures that are known here, at a member's end.
    pub(super) handing: Option<Handing>,
}

impl RegistrarClient {
    /// Connects without a certificate of one's own.
    ///
    /// # Errors
    /// [`RegistrarError`], which says in words what is wrong.
    pub async fn connect(
        endpoint: &str,
        root: &NetworkRoot,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, RegistrarError> {
        let config = registrar_client(root, clock).map_err(|error| RegistrarError::Refused {
            endpoint: endpoint.to_owned(),
            reason: error.to_string(),
        })?;
        let route = Route {
            endpoint: endpoint.to_owned(),
            name: registrar_name_of(root.network()),
            shown: Showing::Nothing(config),
            clock: Arc::clone(clock),
        };
        route.connect().await
    }

    /// Connects as a registrar, with the certificate of `door`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_registrar(
        endpoint: &str,
        door: &RegistrarDoor,
        trust: &TrustHandle,
    ) -> Result<Self, RegistrarError> {
        let route = Route {
            endpoint: endpoint.to_owned(),
            name: registrar_name_of(trust.network()),
            shown: Showing::Nothing(door.client_config()),
            clock: Arc::clone(trust.clock()),
        };
        route.connect().await
    }

    /// Connects with a member's certificate.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(endpoint: &str, tls: &NodeTls) -> Result<Self, RegistrarError> {
        let trust = tls.trust();
        let route = Route {
            endpoint: endpoint.to_owned(),
            name: registrar_name_of(trust.network()),
            shown: Showing::Certificate(tls.clone()),
            clock: Arc::clone(trust.clock()),
        };
        let mut client = route.connect().await?;
        client.handing = Some(Handing::new(trust.clone()));
        Ok(client)
    }

    /// Where this registrar is: `host:port`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn refused(&self, status: &Status) -> RegistrarError {
        refused(&self.endpoint, status)
    }

    /// The root documents from a version on; 0 for all.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn roots(&mut self, from_version: u32) -> Result<Vec<String>, RegistrarError> {
        let request = pb::RootsRequest { from_version };
        let answer = self.generated.roots(request).await;
        Ok(answer.map_err(|e| self.refused(&e))?.into_inner().roots)
    }

    /// The invitation that a token names.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn open_invitation(&mut self, key: &InvitationKey) -> Result<String, RegistrarError> {
        let request = pb::OpenInvitationRequest {
            invitation_id: key.id.to_vec().into(),
            secret: key.secret.expose().to_vec().into(),
        };
        let answer = self.generated.open_invitation(request).await;
        Ok(answer
            .map_err(|e| self.refused(&e))?
            .into_inner()
            .invitation)
    }

    /// Files a request to join, or asks what became of it.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn enrol(
        &mut self,
        key: &InvitationKey,
        request: &str,
    ) -> Result<Enrolment, RegistrarError> {
        let request = pb::EnrolRequest {
            invitation_id: key.id.to_vec().into(),
            secret: key.secret.expose().to_vec().into(),
            request: request.to_owned(),
        };
        let answer = self.generated.enrol(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(Enrolment::try_from(answer.into_inner())?)
    }

    /// Says that certificate and list are stored.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn acknowledge(&mut self, key: &InvitationKey) -> Result<(), RegistrarError> {
        let request = pb::AcknowledgeEnrolmentRequest {
            invitation_id: key.id.to_vec().into(),
            secret: key.secret.expose().to_vec().into(),
        };
        let answer = self.generated.acknowledge_enrolment(request).await;
        answer.map(|_| ()).map_err(|error| self.refused(&error))
    }

    /// Asks for a certificate by a signed request; gives the chain in PEM.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn renew(&mut self, request: &str) -> Result<String, RegistrarError> {
        let request = pb::RenewRequest {
            request: request.to_owned(),
        };
        let answer = self.generated.renew(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?.into_inner();
        Ok(answer.certificate_chain)
    }

    /// Files a member's own request for a change of its entry.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn change_entry(&mut self, request: &str) -> Result<(), RegistrarError> {
        let request = pb::ChangeEntryRequest {
            request: request.to_owned(),
        };
        let answer = self.generated.change_entry(request).await;
        answer.map(|_| ()).map_err(|error| self.refused(&error))
    }

    /// The trust documents of the moment.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn fetch(&mut self, root_version: u32) -> Result<TrustTexts, RegistrarError> {
        let answer = self
            .generated
            .fetch(pb::FetchRequest { root_version })
            .await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        let texts = TrustTexts::from(answer.into_inner());
        self.told(&texts);
        self.hand_back().await?;
        Ok(texts)
    }

    /// The trust documents of the moment and, as they come, later ones.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn follow(&mut self, root_version: u32) -> Result<TrustStream, RegistrarError> {
        let request = pb::FollowRequest { root_version };
        let answer = self.generated.follow(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(TrustStream {
            messages: answer.into_inner(),
            client: self.clone(),
        })
    }

    /// Deposits an invitation.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn invite(
        &mut self,
        invitation: &str,
        secret_sha256: &[u8; 32],
    ) -> Result<(), RegistrarError> {
        let request = pb::InviteRequest {
            invitation: invitation.to_owned(),
            secret_sha256: secret_sha256.to_vec().into(),
        };
        let answer = self.generated.invite(request).await;
        answer.map(|_| ()).map_err(|error| self.refused(&error))
    }

    /// What waits for the administrators.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn desk(&mut self, request: &str) -> Result<DeskView, RegistrarError> {
        let request = pb::DeskRequest {
            request: request.to_owned(),
        };
        let answer = self.generated.desk(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(DeskView::try_from(answer.into_inner())?)
    }

    /// Puts the next member list.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn put_list(&mut self, list: &str) -> Result<Tally, RegistrarError> {
        let request = pb::PutListRequest {
            list: list.to_owned(),
        };
        let answer = self.generated.put_list(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?.into_inner();
        Ok(Tally {
            signed: answer.signed,
            needed: answer.needed,
            published: answer.published,
        })
    }
}

/// A status in words, and whether another attempt may do better.
pub(super) fn refused(endpoint: &str, status: &Status) -> RegistrarError {
    let endpoint = endpoint.to_owned();
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unavailable
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Internal => RegistrarError::Unreachable { endpoint, reason },
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => RegistrarError::Refused { endpoint, reason },
    }
}

/// Trust documents as they come.
#[derive(Debug)]
pub struct TrustStream {
    messages: Streaming<pb::TrustDocuments>,
    client: RegistrarClient,
}

impl TrustStream {
    /// The next documents; `None` where the registrar ended the stream.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn next(&mut self) -> Result<Option<TrustTexts>, RegistrarError> {
        let message = self.messages.message().await;
        let message = message.map_err(|error| self.client.refused(&error))?;
        let texts = message.map(TrustTexts::from);
        if let Some(texts) = &texts {
            self.client.told(texts);
        }
        Ok(texts)
    }
}
