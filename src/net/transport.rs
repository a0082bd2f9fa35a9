//! The seam between flows and the network: a channel to a member, by TLS or, in tests, by a
//! function call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};

use super::connections::PeerConnection;
use super::dial::{DialError, dial};
use super::node_tls::NodeTls;
use super::version_header::VersionHeader;
use super::{BoxError, LIST_VERSION_HEADER};
use crate::crypto::sha256;
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
    let connection = PeerConnection::local(caller);
    let service = service
        .map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(connection.clone());
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
        BoxCloneSyncService::new(FreshChannel::new(Arc::new(Line {
            version: VersionHeader::new(self.tls.trust().list_version()),
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
    version: VersionHeader,
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
    /// The channel of the moment and which it is: `held`, where that is still the one.
    fn current(&self, held: Option<(u64, Channel)>) -> Result<(u64, Channel), Status> {
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
                let serial = connected.serial;
                let held = held.filter(|(ours, _)| *ours == serial);
                return Ok(held.unwrap_or_else(|| (serial, connected.channel.clone())));
            }
        }
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let channel = self.connect(serial)?;
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

    fn has_other_endpoints(&self) -> bool {
        let roster = self.tls.trust().roster();
        let member = roster.member(&self.member);
        member.is_some_and(|member| member.endpoints.len() > 1)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connected>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel that dials from another endpoint on each time that it has to connect, and that
    /// begins where other members and other channels do not.
    fn connect(&self, serial: u64) -> Result<Channel, Status> {
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
        let turns = AtomicU64::new(first_turn(&self.tls).wrapping_add(serial));
        let connector = service_fn(move |_: Uri| {
            let (tls, member) = (tls.clone(), member.clone());
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            async move { dial(&tls, &member, turn).await.map(TokioIo::new) }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

/// Where this member begins among a peer's endpoints: members that ask one peer spread over it.
fn first_turn(tls: &NodeTls) -> u64 {
    let name = sha256(tls.certificate().member().as_str().as_bytes());
    name.first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

/// One client's hold on a line: the channel that it made ready, or why there is none.
///
/// It is always ready: generated clients turn an error of readiness into mere text, and callers are
/// to find the cause of a failure in its status.
#[derive(Debug)]
struct FreshChannel {
    line: Arc<Line>,
    ready: Result<Option<(u64, Channel)>, Status>,
}

impl FreshChannel {
    const fn new(line: Arc<Line>) -> Self {
        let ready = Ok(None);
        Self { line, ready }
    }

    /// Waits for the channel of the moment.
    fn poll_channel(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u64, Channel), Status>> {
        let held = std::mem::replace(&mut self.ready, Ok(None));
        let (serial, mut channel) = self.line.current(held.ok().flatten())?;
        match channel.poll_ready(cx) {
            Poll::Pending => {
                self.ready = Ok(Some((serial, channel)));
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok((serial, channel))),
            Poll::Ready(Err(error)) => {
                self.line.leave(serial);
                Poll::Ready(Err(Status::from_error(error.into())))
            }
        }
    }
}

impl Clone for FreshChannel {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.line))
    }
}

impl Service<Request<Body>> for FreshChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Calling;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.ready = ready!(self.poll_channel(cx)).map(Some);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Calling {
        let trust = self.line.tls.trust();
        let version = self.line.version.of(trust.list_version());
        request.headers_mut().insert(LIST_VERSION_HEADER, version);
        let called = match &mut self.ready {
            Ok(Some((serial, channel))) => Ok((*serial, channel.call(request))),
            Ok(None) => Err(Some(Status::internal("called before it was ready"))),
            Err(status) => Err(Some(status.clone())),
        };
        Calling {
            line: Arc::clone(&self.line),
            called,
            is_answered: false,
        }
    }
}

/// The answer to one call on a line. Whoever stops waiting for it leaves the channel where the peer
/// has several endpoints, so that the next call begins at another: a node that hangs keeps its
/// connections open.
#[derive(Debug)]
struct Calling {
    line: Arc<Line>,
    /// The call on one of the line's channels, or why there is none.
    called: Result<(u64, ResponseFuture), Option<Status>>,
    is_answered: bool,
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let (Ok((serial, _)), false) = (&self.called, self.is_answered)
            && self.line.has_other_endpoints()
        {
            self.line.leave(*serial);
        }
    }
}

impl Future for Calling {
    type Output = Result<Response<Body>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (serial, answered) = match &mut self.called {
            Ok((serial, answer)) => {
                let (serial, answered) = (*serial, ready!(Pin::new(answer).poll(cx)));
                self.is_answered = true;
                (serial, answered)
            }
            Err(status) => {
                let told = || Status::internal("the answer was taken already");
                return Poll::Ready(Err(status.take().unwrap_or_else(told)));
            }
        };
        let response = answered.map_err(|error| {
            self.line.leave(serial);
            Status::from_error(error.into())
        })?;
        let version = response.headers().get(LIST_VERSION_HEADER);
        if let Some(version) = version.and_then(super::read_version) {
            self.line.tls.trust().hear(version);
        }
        Poll::Ready(Ok(response))
    }
}
