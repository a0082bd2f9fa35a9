//! The registrar's door: members come in with their certificates, strangers with none.
//!
//! A stranger is let in because a joiner has no certificate yet, and a member that slept past the
//! end of its own must be able to renew. What it may do there is decided by what it sends: the
//! secret of an invitation, or a signed document.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use rustls::ServerConfig;
use tonic::body::Body;
use tower::Layer;

use super::connections::{Connections, NamesHolder, PeerConnection, RunningCall};
use super::gated::{Admission, Gated, Held};
use super::listen::Door;
use super::trust::TrustHandle;
use super::words::IssuedBy;
use crate::domain::MemberId;
use crate::env::Entropy;
use crate::limits::{CONNECTION_CUT_AGE, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX};
use crate::membership::{Authority, PeerCertificate, Profile, RegistrarServer, RegistrarTlsError};

/// Who calls the registrar.
#[derive(Debug)]
pub enum RegistrarCaller {
    /// The holder of a member's certificate.
    Member {
        /// Whose connections are counted together.
        name: CallerName,
        /// What it showed.
        certificate: Box<PeerCertificate>,
    },
    /// Somebody without a certificate; each counts for itself.
    Stranger(CallerName),
}

/// A caller's name among connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerName {
    /// A member.
    Member(MemberId),
    /// A stranger, by the number of its connection.
    Stranger(u64),
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::Stranger(_) => f.write_str("a caller without a certificate"),
        }
    }
}

impl NamesHolder for RegistrarCaller {
    type Name = CallerName;

    fn holder(&self) -> &CallerName {
        match self {
            Self::Member { name, .. } | Self::Stranger(name) => name,
        }
    }
}

/// What the registrar shows, and the connections to it. Clones share all of it.
#[derive(Debug, Clone)]
pub struct RegistrarDoor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trust: TrustHandle,
    authority: Arc<Authority>,
    profile: Profile,
    entropy: Arc<dyn Entropy>,
    server: ArcSwap<RegistrarServer>,
    strangers: AtomicU64,
    connections: Connections<RegistrarCaller>,
}

impl RegistrarDoor {
    /// A door that shows a fresh certificate by `authority`, and admits by the list of `trust`.
    ///
    /// # Errors
    /// [`RegistrarTlsError`], in particular where the authority has ended.
    pub fn new(
        trust: TrustHandle,
        authority: Arc<Authority>,
        profile: Profile,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RegistrarTlsError> {
        let server = RegistrarServer::new(
            &trust.root(),
            &authority,
            &profile,
            trust.clock(),
            &*entropy,
        )?;
        Ok(Self(Arc::new(Inner {
            trust,
            authority,
            profile,
            entropy,
            server: ArcSwap::from_pointee(server),
            strangers: AtomicU64::new(0),
            connections: Connections::default(),
        })))
    }

    fn admits(&self, caller: &RegistrarCaller) -> bool {
        match caller {
            RegistrarCaller::Member { certificate, .. } => self.0.trust.admit(certificate).is_ok(),
            RegistrarCaller::Stranger(_) => true,
        }
    }

    /// Renews the registrar's own certificate where that is due. Waits for the authority's key,
    /// which may lie in a device.
    pub fn renew(&self) {
        let Inner {
            trust,
            authority,
            profile,
            entropy,
            server,
            ..
        } = &*self.0;
        if trust.clock().now() < server.load().renew_at {
            return;
        }
        match RegistrarServer::new(&trust.root(), authority, profile, trust.clock(), &**entropy) {
            Ok(renewed) => server.store(Arc::new(renewed)),
            Err(error) => tracing::error!(%error, "cannot renew the registrar's certificate"),
        }
    }
}

impl Door for RegistrarDoor {
    type Certificate = RegistrarCaller;

    fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.server.load().config)
    }

    fn read(&self, der: &[u8]) -> Result<RegistrarCaller, String> {
        let certificate = PeerCertificate::parse(der).map_err(|error| error.to_string())?;
        Ok(RegistrarCaller::Member {
            name: CallerName::Member(certificate.member().clone()),
            certificate: Box::new(certificate),
        })
    }

    fn read_nothing(&self) -> Result<RegistrarCaller, String> {
        let number = self.0.strangers.fetch_add(1, Ordering::Relaxed);
        Ok(RegistrarCaller::Stranger(CallerName::Stranger(number)))
    }

    fn issuer(&self) -> IssuedBy {
        IssuedBy::Network
    }

    fn connections(&self) -> &Connections<RegistrarCaller> {
        &self.0.connections
    }

    fn uptime(&self) -> Duration {
        self.0.trust.clock().uptime()
    }

    fn sweep(&self) -> usize {
        let now = self.uptime();
        let connections = &self.0.connections;
        connections.cut_refused_after(REFUSED_CONNECTION_MAX, now, |caller| self.admits(caller))
            + connections.cut_idle(IDLE_CONNECTION_MAX, now)
            + connections.cut_old(CONNECTION_CUT_AGE, now)
    }
}

/// Judges the caller of every call: one that the list admits carries a
/// [`VerifiedPeer`](crate::membership::VerifiedPeer) from then on, one that is refused carries the
/// refusal, and a stranger neither.
#[derive(Debug, Clone)]
pub struct RegistrarGate(RegistrarDoor);

impl RegistrarGate {
    /// A gate that admits as `door` does.
    #[must_use]
    pub const fn new(door: RegistrarDoor) -> Self {
        Self(door)
    }
}

impl<S> Layer<S> for RegistrarGate {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}

impl Admission for RegistrarGate {
    type Held = RegistrarCall;

    fn pass(&self, request: &mut Request<Body>) -> Result<RegistrarCall, Box<Response<Body>>> {
        let connection = request
            .extensions()
            .get::<PeerConnection<RegistrarCaller>>()
            .cloned();
        let Some(connection) = connection else {
            return Ok(RegistrarCall { _running: None });
        };
        if let RegistrarCaller::Member { certificate, .. } = &**connection.certificate() {
            let extensions = request.extensions_mut();
            match self.0.0.trust.admit(certificate) {
                Ok(peer) => drop(extensions.insert(peer)),
                Err(refusal) => drop(extensions.insert(refusal)),
            }
        }
        Ok(RegistrarCall {
            _running: connection.begin_call(self.0.uptime(), usize::MAX),
        })
    }
}

/// Held while a call to the registrar runs.
#[derive(Debug)]
pub struct RegistrarCall {
    _running: Option<RunningCall>,
}

impl Held for RegistrarCall {}
