//! The seam between flows and the network: a channel to a member, by TLS or, in tests, by a
//! function call.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};

use super::dial::{DialError, dial};
use super::node_tls::NodeTls;
use super::{BoxError, LIST_VERSION_HEADER};
use crate::domain::MemberId;
use crate::limits::{
    CHANNEL_AGE_MAX, CHANNEL_CONNECTION_WINDOW_BYTES, CHANNEL_STREAM_WINDOW_BYTES,
    HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
};
use crate::membership::{Member, PeerCertificate, dns_name_of};

/// A channel to one member; what generated clients are built over. Its error is the status that a
/// client would make of it: with a boxed error, futures that hold a client could not be spawned
/// (rust#100013).
pub type PeerChannel = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// A channel that calls a service in this process, as the holder of a certificate: for tests and
/// simulations. The service is to stand behind a [`super::Gate`], which then decides as it does for
/// TLS.
pub fn local_channel<S>(service: S, caller: Arc<PeerCertificate>) -> PeerChannel
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let service = service
        .map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(Arc::clone(&caller));
            request
        })
        .map_err(|error: S::Error| Status::from_error(error.into()));
    BoxCloneSyncService::new(service)
}

/// Where channels to members come from. It makes channels; [`super::Peers`] keeps one per member.
pub trait Transport: Send + Sync + fmt::Debug {
    /// A channel to this member. It connects with its first call, and again where a connection
    /// ended.
    fn channel(&self, peer: &Member) -> PeerChannel;
}

/// The real transport: HTTP/2 over mutual TLS over TCP.
#[derive(Debug, Clone)]
pub struct TlsTransport {
    tls: NodeTls,
}

impl TlsTransport {
    /// A transport that shows the certificate of `tls` and dials by the list that it trusts.
    #[must_use]
    pub const fn new(tls: NodeTls) -> Self {
        Self { tls }
    }
}

impl Transport for TlsTransport {
    fn channel(&self, peer: &Member) -> PeerChannel {
        BoxCloneSyncService::new(FreshChannel(Arc::new(Line {
            tls: self.tls.clone(),
            member: peer.id.clone(),
            current: Mutex::new(None),
            serials: AtomicU64::new(0),
        })))
    }
}

/// The line to one member. Its HTTP/2 channel is exchanged for a fresh one when this node's
/// certificate changed, and before the peer ends the connection for its age: calls then never meet
/// a closing one.
#[derive(Debug)]
struct Line {
    tls: NodeTls,
    member: MemberId,
    current: Mutex<Option<Connected>>,
    serials: AtomicU64,
}

#[derive(Debug)]
struct Connected {
    channel: Channel,
    /// Which of the line's channels it is.
    serial: u64,
    generation: u64,
    /// By the uptime.
    since: Duration,
}

impl Line {
    fn channel(&self) -> Result<(u64, Channel), Status> {
        let trust = self.tls.trust();
        trust.may_call(&self.member).map_err(|refusal| {
            let error = DialError::Refused {
                member: self.member.clone(),
                refusal,
            };
            let mut status = Status::unavailable(error.to_string());
            status.set_source(Arc::new(error));
            status
        })?;
        let now = trust.clock().uptime();
        let generation = self.tls.current().generation;
        let mut current = self.lock();
        if let Some(connected) = current.as_ref() {
            let is_fresh = now.saturating_sub(connected.since) < CHANNEL_AGE_MAX;
            if connected.generation == generation && is_fresh {
                return Ok((connected.serial, connected.channel.clone()));
            }
        }
        let channel = self.connect()?;
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        *current = Some(Connected {
            channel: channel.clone(),
            serial,
            generation,
            since: now,
        });
        Ok((serial, channel))
    }

    /// Leaves a channel whose connection ended: the next call begins with a fresh one.
    fn leave(&self, serial: u64) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|one| one.serial == serial) {
            *current = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connected>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> Result<Channel, Status> {
        // `http`, because TLS is the connector's business; the name is never resolved.
        let name = dns_name_of(self.tls.trust().network(), &self.member);
        let endpoint = Endpoint::from_shared(format!("http://{name}"))
            .map_err(|error| Status::from_error(error.into()))?
            .initial_stream_window_size(CHANNEL_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CHANNEL_CONNECTION_WINDOW_BYTES)
            .http2_adaptive_window(false)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let (tls, member) = (self.tls.clone(), self.member.clone());
        let connector = service_fn(move |_: Uri| {
            let (tls, member) = (tls.clone(), member.clone());
            async move { dial(&tls, &member).await.map(TokioIo::new) }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

#[derive(Debug, Clone)]
struct FreshChannel(Arc<Line>);

impl Service<Request<Body>> for FreshChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // The channel of the moment is chosen, and waited for, by the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let line = Arc::clone(&self.0);
        let trust = line.tls.trust().clone();
        request.headers_mut().insert(
            LIST_VERSION_HEADER,
            HeaderValue::from(trust.roster().version()),
        );
        Box::pin(async move {
            let (serial, channel) = line.channel()?;
            let response = channel.oneshot(request).await.map_err(|error| {
                line.leave(serial);
                Status::from_error(error.into())
            })?;
            let version = response.headers().get(LIST_VERSION_HEADER);
            if let Some(version) = version.and_then(super::read_version) {
                trust.hear(version);
            }
            Ok(response)
        })
    }
}
