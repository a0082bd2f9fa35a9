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
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};

use super::connections::{Connections, NamesHolder};
use super::listen::Door;
use super::places::Proof;
use super::trust::TrustHandle;
use super::words::IssuedBy;
use crate::domain::MemberId;
use crate::env::Entropy;
use crate::limits::{CONNECTION_CUT_AGE, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX};
use crate::membership::{
    Authority, PeerCertificate, Profile, RegistrarServer, RegistrarTlsError, is_registrar,
};

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
    /// Another registrar of the network.
    Registrar(CallerName),
    /// Somebody without a certificate; each counts for itself.
    Stranger {
        /// Its own name among connections.
        name: CallerName,
        /// What it has shown by its calls.
        proof: Proof,
    },
}

/// A caller's name among connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerName {
    /// A member.
    Member(MemberId),
    /// The network's other registrars together.
    Registrar,
    /// A stranger, by the number of its connection.
    Stranger(u64),
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::Registrar => f.write_str("another registrar"),
            Self::Stranger(_) => f.write_str("a caller without a certificate"),
        }
    }
}

impl NamesHolder for RegistrarCaller {
    type Name = CallerName;

    fn holder(&self) -> &CallerName {
        match self {
            Self::Member { name, .. } | Self::Registrar(name) | Self::Stranger { name, .. } => name,
        }
    }
}

/// What the registrar shows, and the connections to it. Clones share all of it.
#[derive(Debug, Clone)]
pub struct RegistrarDoor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trust: TrustHandle,
    authority: Arc<ArcSwap<Authority>>,
    profile: Profile,
    entropy: Arc<dyn Entropy>,
    shown: ArcSwap<Shown>,
    strangers: AtomicU64,
    connections: Connections<RegistrarCaller>,
}

/// What the door shows, and what it was made from.
#[derive(Debug)]
struct Shown {
    server: RegistrarServer,
    root_version: u32,
    authority: Arc<Authority>,
}

impl RegistrarDoor {
    /// A door that shows a fresh certificate by `authority`, and admits by the list of `trust`.
    ///
    /// # Errors
    /// [`RegistrarTlsError`], in particular where the authority has ended.
    pub fn new(
        trust: TrustHandle,
        authority: Arc<ArcSwap<Authority>>,
        profile: Profile,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RegistrarTlsError> {
        let shown = Self::fresh(&trust, authority.load_full(), &profile, &*entropy)?;
        Ok(Self(Arc::new(Inner {
            trust,
            authority,
            profile,
            entropy,
            shown: ArcSwap::from_pointee(shown),
            strangers: AtomicU64::new(0),
            connections: Connections::default(),
        })))
    }

    fn admits(&self, caller: &RegistrarCaller) -> bool {
        match caller {
            RegistrarCaller::Member { certificate, .. } => self.0.trust.admit(certificate).is_ok(),
            RegistrarCaller::Registrar(_) | RegistrarCaller::Stranger { .. } => true,
        }
    }

    fn fresh(
        trust: &TrustHandle,
        authority: Arc<Authority>,
        profile: &Profile,
        entropy: &dyn Entropy,
    ) -> Result<Shown, RegistrarTlsError> {
        let root = trust.root();
        let server = RegistrarServer::new(&root, &authority, profile, trust.clock(), entropy)?;
        Ok(Shown {
            server,
            root_version: root.version(),
            authority,
        })
    }

    pub(super) fn trust(&self) -> &TrustHandle {
        &self.0.trust
    }

    /// For connections to the network's other registrars, with the certificate of the moment.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.renew();
        Arc::clone(&self.0.shown.load().server.client)
    }

    /// Renews the registrar's own certificate where that is due: at half its life, and where root
    /// or issuing authority are other ones. Connections of members whose chains lead to none of the
    /// new root's certificates are cut. Waits for the authority's key, which may lie in a device.
    pub fn renew(&self) {
        self.replace_shown(true);
    }

    /// Shows another certificate where root or authority are other ones, or, if `renews`, the one
    /// shown is at half its life.
    fn replace_shown(&self, renews: bool) {
        let Inner {
            trust,
            authority,
            profile,
            entropy,
            shown,
            ..
        } = &*self.0;
        let held = shown.load();
        let (version, current) = (trust.root().version(), authority.load_full());
        let is_same = held.root_version == version && Arc::ptr_eq(&held.authority, &current);
        if is_same && !(renews && trust.clock().now() >= held.server.renew_at) {
            return;
        }
        match Self::fresh(trust, current, profile, &**entropy) {
            Ok(fresh) => shown.store(Arc::new(fresh)),
            Err(error) => tracing::error!(%error, "cannot renew the registrar's certificate"),
        }
        if held.root_version != version {
            let cut = self
                .0
                .connections
                .cut_unrooted(None, |chain| self.leads(chain));
            tracing::info!(cut, "connections of another root cut");
        }
    }
}

impl Door for RegistrarDoor {
    type Certificate = RegistrarCaller;

    fn roots_version(&self) -> u32 {
        self.0.trust.root().version()
    }

    fn leads(&self, chain: &[CertificateDer<'static>]) -> bool {
        chain.is_empty() || self.0.trust.leads(chain)
    }

    fn tls(&self) -> Arc<ServerConfig> {
        self.replace_shown(false);
        Arc::clone(&self.0.shown.load().server.config)
    }

    fn read(&self, der: &[u8]) -> Result<RegistrarCaller, String> {
        if is_registrar(der, self.0.trust.network()) {
            return Ok(RegistrarCaller::Registrar(CallerName::Registrar));
        }
        let certificate = PeerCertificate::parse(der).map_err(|error| error.to_string())?;
        Ok(RegistrarCaller::Member {
            name: CallerName::Member(certificate.member().clone()),
            certificate: Box::new(certificate),
        })
    }

    fn read_nothing(&self) -> Result<RegistrarCaller, String> {
        let number = self.0.strangers.fetch_add(1, Ordering::Relaxed);
        Ok(RegistrarCaller::Stranger {
            name: CallerName::Stranger(number),
            proof: Proof::default(),
        })
    }

    fn unknown(&self, caller: &RegistrarCaller) -> Option<Proof> {
        match caller {
            RegistrarCaller::Stranger { proof, .. } => Some(proof.clone()),
            RegistrarCaller::Member { .. } => (!self.admits(caller)).then(Proof::default),
            RegistrarCaller::Registrar(_) => None,
        }
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
