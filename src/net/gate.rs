//! The one gate: every call passes it, and carries a verified peer afterwards.

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Layer;

use super::connections::{PeerConnection, RunningCall};
use super::explain::{EXPLAIN_PATH, ExplainLimit, verdict};
use super::gated::{Admission, Gated, Held};
use super::running::{CallCount, CallPlace};
use super::trust::TrustHandle;
use super::version_header::VersionHeader;
use super::{LIST_VERSION_HEADER, REASON_HEADER};
use crate::limits::{CALLS_MAX, CALLS_PER_MEMBER_MAX, EXPLAIN_CALLS_PER_S};
use crate::membership::{Denial, Refusal, Service as Right, VerifiedPeer};

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
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trust: TrustHandle,
    calls: CallCount,
    explained: ExplainLimit,
    version: VersionHeader,
}

/// What stands behind the gate: nothing else is let through.
const METHODS: &[(&str, Right)] = &[
    ("/creditmesh.v1.Peer/Describe", Right::Describe),
    ("/creditmesh.v1.Peer/RelayTrust", Right::Describe),
    ("/creditmesh.v1.Peer/Evaluate", Right::Evaluate),
    ("/creditmesh.v1.Peer/StreamFeed", Right::Feed),
    ("/creditmesh.v1.Standing/MonthlyCounts", Right::Describe),
    ("/creditmesh.v1.Auditing/EncryptionKey", Right::Describe),
    ("/creditmesh.v1.Auditing/Logged", Right::Describe),
    ("/creditmesh.v1.Auditing/RequestOpenings", Right::Describe),
    ("/creditmesh.v1.Auditing/DeliverOpening", Right::Describe),
    ("/creditmesh.v1.Witness/Cosign", Right::Describe),
    ("/creditmesh.v1.Witness/Gossip", Right::Describe),
    ("/creditmesh.v1.Witness/ProveGrowth", Right::Describe),
    ("/creditmesh.v1.Notices/Stream", Right::Describe),
    ("/creditmesh.v1.Light/Offer", Right::Describe),
    ("/creditmesh.v1.Light/Evaluate", Right::Evaluate),
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

impl Gate {
    /// A gate that admits by the list of `trust`.
    #[must_use]
    pub fn new(trust: TrustHandle) -> Self {
        Self(Arc::new(Inner {
            version: VersionHeader::new(trust.list_version()),
            trust,
            calls: CallCount::default(),
            explained: ExplainLimit::default(),
        }))
    }

    fn connection(extensions: &Extensions) -> Result<&PeerConnection, GateRefusal> {
        let connection = extensions.get::<PeerConnection>();
        connection.ok_or(GateRefusal::NoCertificate)
    }

    /// Admits a call from its extensions and headers, by the certificate of its connection.
    ///
    /// # Errors
    /// [`GateRefusal`].
    pub fn admit(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<VerifiedPeer, GateRefusal> {
        let trust = &self.0.trust;
        let peer = trust.admit(Self::connection(extensions)?.certificate())?;
        if let Some(version) = headers.get(LIST_VERSION_HEADER) {
            // Only whoever is admitted is believed that there is a newer list.
            trust.hear(super::read_version(version).ok_or(GateRefusal::MalformedVersion)?);
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
        peer.reaches(right_of(path)?, self.0.trust.clock().now())?;
        Ok(peer)
    }

    /// Lets the one call through that needs no admission, with what whoever holds a certificate of
    /// the network may hear: whether it is admitted, and why not.
    fn explain(&self, extensions: &mut Extensions) -> Result<GatedCall, GateRefusal> {
        let call = self.begin(None)?;
        let (trust, connection) = (&self.0.trust, Self::connection(extensions)?);
        let certificate = connection.certificate();
        let uptime = trust.clock().uptime();
        if !self.0.explained.allows(certificate.member(), uptime) {
            return Err(GateRefusal::AskedTooOften);
        }
        let verdict = verdict(trust, certificate);
        extensions.insert(verdict);
        Ok(call)
    }

    /// Lets a call through whose member has the service; it carries a [`VerifiedPeer`].
    fn let_in(&self, request: &mut Request<Body>) -> Result<GatedCall, GateRefusal> {
        let path = request.uri().path();
        let peer = self.admit_to(path, request.extensions(), request.headers())?;
        let connection = Self::connection(request.extensions())?;
        let now = self.0.trust.clock().uptime();
        let running = connection.begin_call(now, CALLS_PER_MEMBER_MAX);
        let call = self.begin(Some(running.ok_or(GateRefusal::TooManyCalls)?))?;
        request.extensions_mut().insert(peer);
        Ok(call)
    }

    /// Takes one of the places that there are for all callers together.
    fn begin(&self, running: Option<RunningCall>) -> Result<GatedCall, GateRefusal> {
        let place = self.0.calls.take(CALLS_MAX).ok_or(GateRefusal::Busy)?;
        Ok(GatedCall {
            _place: place,
            _running: running,
            version: self.version(),
        })
    }

    /// The version of the list in force, as the header that every answer carries.
    fn version(&self) -> HeaderValue {
        self.0.version.of(self.0.trust.list_version())
    }
}

impl Admission for Gate {
    type Held = GatedCall;

    fn pass(&self, request: &mut Request<Body>) -> Result<GatedCall, Box<Response<Body>>> {
        let passed = if request.uri().path() == EXPLAIN_PATH {
            self.explain(request.extensions_mut())
        } else {
            self.let_in(request)
        };
        passed.map_err(|refusal| {
            let mut response = refusal.to_status().into_http();
            let headers = response.headers_mut();
            headers.insert(LIST_VERSION_HEADER, self.version());
            Box::new(response)
        })
    }
}

/// Held from a call's beginning until its answer is sent or dropped.
#[derive(Debug)]
pub struct GatedCall {
    _place: CallPlace,
    _running: Option<RunningCall>,
    version: HeaderValue,
}

impl Held for GatedCall {
    fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(LIST_VERSION_HEADER, self.version.clone());
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;
    use crate::domain::{Currency, MemberId, Role, Timestamp};
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
        extensions.insert(PeerConnection::local(Arc::clone(own.leaf())));
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
