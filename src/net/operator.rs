//! The operators' door: who of the member's own systems and staff may call from other machines.
//!
//! Nobody comes in without a certificate of the node's operator authority; what the network signed
//! counts nothing here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use rustls::ServerConfig;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tower::Layer;
use tracing::Span;

use super::REASON_HEADER;
use super::connections::{Connections, PeerConnection, RunningCall};
use super::gated::{Admission, Gated, Held};
use super::listen::Door;
use super::words::IssuedBy;
use crate::domain::{OperatorName, Timestamp};
use crate::env::{Clock, Entropy};
use crate::limits::{CONNECTION_CUT_AGE, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX};
use crate::membership::{OperatorAuthority, OperatorCertificate, OperatorError, OperatorServer};

/// Why an operator's call does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorRefusal {
    /// The call did not arrive over a connection with a certificate.
    #[error("no certificate was shown; call over mutual TLS with an operator's certificate")]
    NoCertificate,
    /// The certificate ended while its connection was open.
    #[error(
        "the certificate of {name} expired at {since}; issue a new one with \
         `creditmesh cert operator`"
    )]
    Expired {
        /// The operator.
        name: OperatorName,
        /// Its end.
        since: Timestamp,
    },
    /// The node's configuration refuses the operator, or this certificate.
    #[error("{name} is refused by `operator_refused` in the node's node.toml")]
    Revoked {
        /// The operator.
        name: OperatorName,
    },
}

impl OperatorRefusal {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Expired { .. } => "certificate-expired",
            Self::Revoked { .. } => "operator-refused",
        }
    }

    /// The gRPC status that tells the caller.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let code = match self {
            Self::NoCertificate | Self::Expired { .. } => Code::Unauthenticated,
            Self::Revoked { .. } => Code::PermissionDenied,
        };
        let mut status = Status::new(code, self.to_string());
        let reason = MetadataValue::from_static(self.code());
        status.metadata_mut().insert(REASON_HEADER, reason);
        status
    }
}

/// What a node shows to operators on other machines, whom it lets in, and their connections. Clones
/// share all of it.
#[derive(Debug, Clone)]
pub struct OperatorDoor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: OperatorAuthority,
    address: IpAddr,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    server: ArcSwap<OperatorServer>,
    refused: ArcSwap<BTreeSet<String>>,
    connections: Connections<OperatorCertificate>,
}

impl OperatorDoor {
    /// A door at `address`, with a fresh certificate of the node's own end.
    ///
    /// # Errors
    /// [`OperatorError`], in particular where the authority has ended.
    pub fn new(
        authority: OperatorAuthority,
        address: IpAddr,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OperatorError> {
        let server = OperatorServer::new(&authority, address, &clock, &*entropy)?;
        Ok(Self(Arc::new(Inner {
            authority,
            address,
            clock,
            entropy,
            server: ArcSwap::from_pointee(server),
            refused: ArcSwap::default(),
            connections: Connections::default(),
        })))
    }

    /// Refuses these names and serial numbers from now on, and no others; cuts their connections
    /// and gives how many. One that was opened a moment ago has a moment to hear why.
    pub fn refuse(&self, refused: BTreeSet<String>) -> usize {
        self.0.refused.store(Arc::new(refused));
        self.cut_refused()
    }

    fn cut_refused(&self) -> usize {
        let admits = |certificate: &OperatorCertificate| self.admit(certificate).is_ok();
        let (connections, now) = (&self.0.connections, self.uptime());
        connections.cut_refused_after(REFUSED_CONNECTION_MAX, now, admits)
    }

    /// Admits the holder of a certificate, now. That the authority issued it, TLS has checked.
    ///
    /// # Errors
    /// [`OperatorRefusal`].
    pub fn admit(&self, certificate: &OperatorCertificate) -> Result<(), OperatorRefusal> {
        let name = certificate.name();
        if certificate.not_after() <= self.0.clock.now() {
            return Err(OperatorRefusal::Expired {
                name: name.clone(),
                since: certificate.not_after(),
            });
        }
        let refused = self.0.refused.load();
        if refused.contains(name.as_str()) || refused.contains(&certificate.serial_text()) {
            return Err(OperatorRefusal::Revoked { name: name.clone() });
        }
        Ok(())
    }

    /// Renews the node's own certificate where that is due.
    fn renew(&self) {
        let Inner {
            authority,
            address,
            clock,
            entropy,
            server,
            ..
        } = &*self.0;
        if clock.now() < server.load().renew_at {
            return;
        }
        match OperatorServer::new(authority, *address, clock, &**entropy) {
            Ok(renewed) => server.store(Arc::new(renewed)),
            Err(error) => tracing::error!(%error, "cannot renew the operator port's certificate"),
        }
    }
}

impl Door for OperatorDoor {
    type Certificate = OperatorCertificate;

    fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.server.load().config)
    }

    fn read(&self, der: &[u8]) -> Result<OperatorCertificate, String> {
        OperatorCertificate::parse(der).map_err(|error| error.to_string())
    }

    fn issuer(&self) -> IssuedBy {
        IssuedBy::OperatorAuthority
    }

    fn connections(&self) -> &Connections<OperatorCertificate> {
        &self.0.connections
    }

    fn uptime(&self) -> Duration {
        self.0.clock.uptime()
    }

    fn sweep(&self) -> usize {
        self.renew();
        let now = self.uptime();
        let connections = &self.0.connections;
        self.cut_refused()
            + connections.cut_idle(IDLE_CONNECTION_MAX, now)
            + connections.cut_old(CONNECTION_CUT_AGE, now)
    }
}

/// Decides about operators' calls, each anew.
#[derive(Debug, Clone)]
pub struct OperatorGate(OperatorDoor);

impl OperatorGate {
    /// A gate that admits as `door` does.
    #[must_use]
    pub const fn new(door: OperatorDoor) -> Self {
        Self(door)
    }

    fn begin(&self, request: &mut Request<Body>) -> Result<OperatorCall, OperatorRefusal> {
        let connection = request
            .extensions()
            .get::<PeerConnection<OperatorCertificate>>()
            .ok_or(OperatorRefusal::NoCertificate)?;
        self.0.admit(connection.certificate())?;
        let name = connection.certificate().name().clone();
        // At the level of warnings, so that the name stands beside every one of them.
        let span = tracing::warn_span!("operator", %name);
        span.in_scope(|| tracing::info!(call = request.uri().path(), "an operator calls"));
        let running = connection.begin_call(self.0.uptime(), usize::MAX);
        // The service learns who acts from here only.
        request.extensions_mut().insert(name);
        Ok(OperatorCall {
            span,
            _running: running,
        })
    }
}

impl<S> Layer<S> for OperatorGate {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}

impl Admission for OperatorGate {
    type Held = OperatorCall;

    fn pass(&self, request: &mut Request<Body>) -> Result<OperatorCall, Box<Response<Body>>> {
        self.begin(request).map_err(|refusal| {
            tracing::info!(reason = refusal.code(), "refused an operator's call");
            Box::new(refusal.to_status().into_http())
        })
    }
}

/// Held while an operator's call runs.
#[derive(Debug)]
pub struct OperatorCall {
    span: Span,
    _running: Option<RunningCall>,
}

impl Held for OperatorCall {
    fn span(&self) -> Span {
        self.span.clone()
    }
}
