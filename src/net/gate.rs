//! The one gate: every call passes it, and carries a verified peer afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::connections::{PeerConnection, RunningCall};
use super::explain::{EXPLAIN_PATH, ExplainLimit, verdict};
use super::trust::TrustHandle;
use super::{BoxError, LIST_VERSION_HEADER, REASON_HEADER};
use crate::domain::MemberId;
use crate::limits::{CALLS_MAX, CALLS_PER_MEMBER_MAX, EXPLAIN_CALLS_PER_S};
use crate::membership::{Denial, PeerCertificate, Refusal, Service as Right, VerifiedPeer};
use crate::wire::Verdict;

/// Why a call does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    /// The call did not arrive over a connection with a certificate.
    #[error("no certificate was shown; call over mutual TLS with a member's certificate")]
    NoCertificate,
    /// The member list does not admit the caller.
    #[error("{0}; {next}", next = .0.next_step())]
    Refused(#[from] Refusal),
    /// The member list admits the caller, and does not give it this service.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// There is no such service, or it is nobody's.
    #[error("this node has no such service")]
    NoSuchService,
    /// The caller asked too often why it is refused.
    #[error("you asked {EXPLAIN_CALLS_PER_S} times in this second; ask again in the next one")]
    AskedTooOften,
    /// The caller's list version is not a number.
    #[error("the header {LIST_VERSION_HEADER} must be the decimal version of your member list")]
    MalformedVersion,
    /// As many calls run as this node lets run at once.
    #[error("this node is busy; try again in a moment")]
    Busy,
    /// The caller has as many calls running as one member may.
    #[error("{CALLS_PER_MEMBER_MAX} of your calls run here already; wait until one has ended")]
    TooManyCalls,
}

impl GateRefusal {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Refused(refusal) => refusal.code(),
            Self::Denied(denial) => denial.rule.code(),
            Self::NoSuchService => "no-such-service",
            Self::AskedTooOften => "asked-too-often",
            Self::MalformedVersion => "malformed-list-version",
            Self::Busy => "busy",
            Self::TooManyCalls => "too-many-calls",
        }
    }

    /// The gRPC status that tells the caller.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let code = match self {
            Self::NoCertificate => Code::Unauthenticated,
            Self::MalformedVersion => Code::InvalidArgument,
            Self::NoSuchService => Code::Unimplemented,
            Self::Denied(_) => Code::PermissionDenied,
            Self::Busy | Self::TooManyCalls | Self::AskedTooOften => Code::ResourceExhausted,
            Self::Refused(refusal) => match refusal {
                Refusal::CertificateExpired { .. }
                | Refusal::NotYetValid { .. }
                | Refusal::KeyNotStatedByIdentity { .. }
                | Refusal::NameMismatch { .. } => Code::Unauthenticated,
                Refusal::NotAMember { .. }
                | Refusal::Suspended { .. }
                | Refusal::Removed { .. }
                | Refusal::Left { .. }
                | Refusal::RoleMismatch { .. } => Code::PermissionDenied,
                Refusal::ListExpired { .. } | Refusal::NotFresh { .. } => Code::FailedPrecondition,
            },
        };
        let mut status = Status::new(code, self.to_string());
        status.metadata_mut().insert(
            REASON_HEADER,
            tonic::metadata::MetadataValue::from_static(self.code()),
        );
        status
    }
}

/// Decides about calls by the member list in force. Clones share their count of running calls.
#[derive(Debug, Clone)]
pub struct Gate {
    trust: TrustHandle,
    calls: Arc<Semaphore>,
    calls_of: CallsOf,
    explained: Arc<ExplainLimit>,
}

/// What stands behind the gate: nothing else is let through.
const METHODS: &[(&str, Right)] = &[
    ("/creditmesh.v1.Peer/Describe", Right::Describe),
    ("/creditmesh.v1.Peer/RelayTrust", Right::Describe),
    ("/creditmesh.v1.Peer/Evaluate", Right::Evaluate),
    ("/creditmesh.v1.Peer/StreamFeed", Right::Feed),
    ("/grpc.health.v1.Health/", Right::Standard),
    ("/grpc.reflection.v1.ServerReflection/", Right::Standard),
];

/// The right that a method takes, by the path of its call.
fn right_of(path: &str) -> Result<Right, GateRefusal> {
    let fits = |known: &str| match known.strip_suffix('/') {
        Some(_) => path.starts_with(known),
        None => path == known,
    };
    let found = METHODS.iter().find(|(known, _)| fits(known));
    found.map_or(Err(GateRefusal::NoSuchService), |(_, right)| Ok(*right))
}

/// How many calls of each member run.
type CallsOf = Arc<Mutex<BTreeMap<MemberId, usize>>>;

impl Gate {
    /// A gate that admits by the list of `trust`.
    #[must_use]
    pub fn new(trust: TrustHandle) -> Self {
        Self {
            trust,
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            calls_of: Arc::default(),
            explained: Arc::default(),
        }
    }

    fn certificate(extensions: &Extensions) -> Result<&Arc<PeerCertificate>, GateRefusal> {
        extensions
            .get::<PeerConnection>()
            .map(PeerConnection::certificate)
            .or_else(|| extensions.get::<Arc<PeerCertificate>>())
            .ok_or(GateRefusal::NoCertificate)
    }

    /// Admits a call from its extensions and headers. The certificate is that of the connection;
    /// where there is none, as in a simulation without sockets, an `Arc<PeerCertificate>` among the
    /// extensions stands for it.
    ///
    /// # Errors
    /// [`GateRefusal`].
    pub fn admit(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<VerifiedPeer, GateRefusal> {
        let peer = self.trust.admit(Self::certificate(extensions)?)?;
        if let Some(version) = headers.get(LIST_VERSION_HEADER) {
            // Only whoever is admitted is believed that there is a newer list.
            self.trust
                .hear(super::read_version(version).ok_or(GateRefusal::MalformedVersion)?);
        }
        Ok(peer)
    }

    /// As [`Self::admit`], where the member also has the service that `path` belongs to.
    ///
    /// # Errors
    /// [`GateRefusal`].
    pub fn admit_to(
        &self,
        path: &str,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<VerifiedPeer, GateRefusal> {
        let peer = self.admit(extensions, headers)?;
        peer.reaches(right_of(path)?, self.trust.clock().now())?;
        Ok(peer)
    }

    /// What whoever holds a certificate of the network may hear in any case: whether it is
    /// admitted, and why not.
    fn explain(
        &self,
        extensions: &Extensions,
    ) -> Result<(Verdict, OwnedSemaphorePermit), GateRefusal> {
        let permit = Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_| GateRefusal::Busy)?;
        let certificate = Self::certificate(extensions)?;
        let member = certificate.member();
        if !self.explained.allows(member, self.trust.clock().uptime()) {
            return Err(GateRefusal::AskedTooOften);
        }
        Ok((verdict(&self.trust, certificate), permit))
    }

    /// The version of the list in force, as the header that every answer carries.
    fn version(&self) -> HeaderValue {
        HeaderValue::from(self.trust.roster().version())
    }

    fn begin(
        &self,
        peer: &VerifiedPeer,
        extensions: &Extensions,
    ) -> Result<CallGuard, GateRefusal> {
        let permit = Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_| GateRefusal::Busy)?;
        let share = Share::take(&self.calls_of, peer)?;
        let now = self.trust.clock().uptime();
        Ok(CallGuard {
            _permit: permit,
            _share: share,
            _running: extensions
                .get::<PeerConnection>()
                .map(|connection| connection.begin_call(now)),
        })
    }
}

/// Held from a call's beginning until its answer is sent or dropped.
#[derive(Debug)]
struct CallGuard {
    _permit: OwnedSemaphorePermit,
    _share: Share,
    _running: Option<RunningCall>,
}

/// One call of those that a member may have running; given back on drop.
#[derive(Debug)]
struct Share {
    calls_of: CallsOf,
    peer: VerifiedPeer,
}

impl Share {
    fn take(calls_of: &CallsOf, peer: &VerifiedPeer) -> Result<Self, GateRefusal> {
        let mut counts = calls_of.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(peer.member()) {
            Some(count) if *count >= CALLS_PER_MEMBER_MAX => return Err(GateRefusal::TooManyCalls),
            Some(count) => *count += 1,
            None => drop(counts.insert(peer.member().clone(), 1)),
        }
        Ok(Self {
            calls_of: Arc::clone(calls_of),
            peer: peer.clone(),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.calls_of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(self.peer.member()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(self.peer.member());
            }
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            inner,
            gate: self.clone(),
        }
    }
}

/// A service behind the gate: its requests carry a [`VerifiedPeer`] among their extensions.
#[derive(Debug, Clone)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

type Answering = BoxFuture<'static, Result<Response<Body>, BoxError>>;

fn refused(refusal: &GateRefusal, version: HeaderValue) -> Answering {
    let mut response = refusal.to_status().into_http();
    response.headers_mut().insert(LIST_VERSION_HEADER, version);
    Box::pin(std::future::ready(Ok(response)))
}

impl<S> Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    /// Lets the one call through that needs no admission, with what there is to tell.
    fn explain(&mut self, mut request: Request<Body>) -> Answering {
        match self.gate.explain(request.extensions()) {
            Ok((verdict, permit)) => {
                request.extensions_mut().insert(verdict);
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let _held = permit;
                    answer.await.map_err(Into::into)
                })
            }
            Err(refusal) => refused(&refusal, self.gate.version()),
        }
    }
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if request.uri().path() == EXPLAIN_PATH {
            return self.explain(request);
        }
        let admitted = self
            .gate
            .admit_to(
                request.uri().path(),
                request.extensions(),
                request.headers(),
            )
            .and_then(|peer| {
                let guard = self.gate.begin(&peer, request.extensions())?;
                Ok((peer, guard))
            });
        let version = self.gate.version();
        let (peer, guard) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(&refusal, version),
        };
        request.extensions_mut().insert(peer);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await.map_err(Into::into)?;
            response.headers_mut().insert(LIST_VERSION_HEADER, version);
            Ok(response.map(|body| {
                // The frames keep the guard, so that a call lasts until its body is sent or
                // dropped.
                Body::new(body.map_frame(move |frame| {
                    let _held = &guard;
                    frame
                }))
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;
    use crate::domain::{Currency, Role, Timestamp};
    use crate::env::{Clock, ManualClock, SeededEntropy};
    use crate::membership::{MemberState, MintedNetwork, Seat};
    use crate::net::{PeerChannel, local_channel};

    struct Bed {
        net: MintedNetwork,
        clock: ManualClock,
        trust: TrustHandle,
    }

    fn bank_a() -> MemberId {
        "bank-a".parse().unwrap()
    }

    fn bed() -> Bed {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_772_000_000_000));
        let seats = [Seat::of(&bank_a(), Role::Lender, "127.0.0.1:1").unwrap()];
        let entropy = SeededEntropy::from_seed(1);
        let usd = Currency::from_code("USD").unwrap();
        let id = "credit-net".parse().unwrap();
        let net = MintedNetwork::mint(&id, usd, &seats, clock.now(), &entropy).unwrap();
        let roster = net.roster.clone();
        let trust = TrustHandle::new(net.root.clone(), roster, Arc::new(clock.clone()));
        Bed { net, clock, trust }
    }

    fn channel(bed: &Bed, gate: &Gate) -> PeerChannel {
        let (_, health) = tonic_health::server::health_reporter();
        let caller = bed.net.own_certificate(&bank_a()).unwrap();
        local_channel(gate.layer(health), Arc::clone(caller.leaf()))
    }

    async fn check(channel: PeerChannel) -> Result<(), Status> {
        let request = HealthCheckRequest {
            service: String::new(),
        };
        let answer = HealthClient::new(channel).check(request).await;
        answer.map(|_| ())
    }

    #[tokio::test]
    async fn the_gate_decides_without_sockets_as_it_does_with_them() {
        let mut bed = bed();
        let channel = channel(&bed, &Gate::new(bed.trust.clone()));
        check(channel.clone()).await.unwrap();
        let now = bed.clock.now();
        let text = bed.net.publish(now, |list| {
            list.set_state(&bank_a(), MemberState::Suspended)
        });
        bed.trust.install(&text.unwrap()).unwrap();
        let status = check(channel.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        bed.clock.advance(Duration::from_secs(91 * 86_400));
        let status = check(channel).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
    }

    #[test]
    fn what_is_not_named_is_nobodys() {
        assert_eq!(
            right_of("/creditmesh.v1.Peer/Evaluate"),
            Ok(Right::Evaluate)
        );
        assert_eq!(
            right_of("/grpc.health.v1.Health/Watch"),
            Ok(Right::Standard)
        );
        for path in [
            "/",
            "/creditmesh.v1.Peer/Evaluate2",
            "/creditmesh.v1.Operator/Status",
        ] {
            assert_eq!(right_of(path), Err(GateRefusal::NoSuchService), "{path}");
        }
    }

    #[tokio::test]
    async fn a_call_without_a_certificate_is_refused() {
        let bed = bed();
        let gate = Gate::new(bed.trust.clone());
        let refusal = gate.admit(&Extensions::new(), &HeaderMap::new());
        assert_eq!(refusal, Err(GateRefusal::NoCertificate));
    }

    #[tokio::test]
    async fn a_list_version_that_is_no_number_is_refused() {
        let bed = bed();
        let gate = Gate::new(bed.trust.clone());
        let mut extensions = Extensions::new();
        let own = bed.net.own_certificate(&bank_a()).unwrap();
        extensions.insert(Arc::clone(own.leaf()));
        let mut headers = HeaderMap::new();
        headers.insert(LIST_VERSION_HEADER, HeaderValue::from_static("newest"));
        let refusal = gate.admit(&extensions, &headers);
        assert_eq!(refusal, Err(GateRefusal::MalformedVersion));
        headers.insert(LIST_VERSION_HEADER, HeaderValue::from_static("9"));
        assert!(gate.admit(&extensions, &headers).is_ok());
        assert_eq!(bed.trust.newest_heard(), 9);
    }

    #[tokio::test]
    async fn past_its_bound_of_calls_a_member_waits_until_one_ends() {
        let bed = bed();
        let gate = Gate::new(bed.trust.clone());
        let channel = channel(&bed, &gate);
        let mut open = Vec::new();
        for _ in 0..CALLS_PER_MEMBER_MAX {
            let mut client = HealthClient::new(channel.clone());
            let request = HealthCheckRequest {
                service: String::new(),
            };
            open.push(client.watch(request).await.unwrap());
        }
        let status = check(channel.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        open.pop();
        check(channel).await.unwrap();
    }
}
