//! TLS configurations with every option written out, and the certificate that a node shows.
//!
//! A configuration is immutable: where the certificate or the roots change, a new pair is built and
//! connections made from then on use it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConfig, WantsServerCert, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ConfigBuilder, NoKeyLog, RootCertStore};

use super::certificate::{self, PeerCertificate};
use super::key::CertificateKey;
use super::network::NetworkRoot;
use crate::domain::Timestamp;
use crate::env::Clock;
use crate::limits::CERTIFICATE_CHAIN_MAX;

const SECOND: Duration = Duration::from_secs(1);

/// The one application protocol that nodes speak over TLS.
pub const ALPN: &[u8] = b"h2";

/// Why a certificate cannot be shown to peers, or TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The chain is not one or a few certificates in PEM.
    #[error(
        "the certificate file is not a chain of certificates in PEM; give the one that you received"
    )]
    Chain,
    /// The first certificate is not a member's.
    #[error(transparent)]
    Certificate(#[from] certificate::CertificateError),
    /// The key is another one than the certificate's.
    #[error("the certificate was issued for another key; give the key that made the request")]
    OtherKey,
    /// The certificate is past its end.
    #[error("the certificate expired at {since}; renew it (and check this machine's clock)")]
    Expired {
        /// Its end.
        since: Timestamp,
    },
    /// The certificate has not begun.
    #[error(
        "the certificate is valid from {from}, and this machine's time is {now}; check the clock"
    )]
    NotYetValid {
        /// Its beginning.
        from: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// It does not lead to the network's roots.
    #[error(
        "the certificate does not lead to a root certificate of this network: {reason}; enrol again"
    )]
    OtherRoot {
        /// What the check said.
        reason: String,
    },
    /// The network root carries a certificate that cannot be a trust anchor.
    #[error("a root certificate of the network cannot be used: {reason}; ask the administrators")]
    Root {
        /// What the library said.
        reason: String,
    },
    /// TLS could not be set up.
    #[error("TLS could not be set up: {reason}; report this")]
    Tls {
        /// What the library said.
        reason: String,
    },
}

/// The certificate chain and key that a node shows, checked to belong together.
#[derive(Debug)]
pub struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: CertificateKey,
    leaf: Arc<PeerCertificate>,
}

impl OwnCertificate {
    /// Reads a chain in PEM, the node's certificate first, and checks that it is for `key`.
    ///
    /// # Errors
    /// [`TrustError::Chain`], [`TrustError::Certificate`] or [`TrustError::OtherKey`].
    pub fn new(chain_pem: &str, key: CertificateKey) -> Result<Self, TrustError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .take(CERTIFICATE_CHAIN_MAX + 1)
            .collect::<Result<_, _>>()
            .map_err(|_| TrustError::Chain)?;
        let first = chain.first().ok_or(TrustError::Chain)?;
        if chain.len() > CERTIFICATE_CHAIN_MAX {
            return Err(TrustError::Chain);
        }
        let leaf = PeerCertificate::parse(first)?;
        if *leaf.spki_sha256() != key.spki_sha256() {
            return Err(TrustError::OtherKey);
        }
        Ok(Self {
            chain,
            key,
            leaf: Arc::new(leaf),
        })
    }

    /// What the certificate says.
    #[must_use]
    pub const fn leaf(&self) -> &Arc<PeerCertificate> {
        &self.leaf
    }

    /// The certificate itself, in DER.
    #[must_use]
    pub fn leaf_der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |first| first.as_ref())
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &CertificateKey {
        &self.key
    }

    /// Checks the chain as a peer will: up to the network's roots, at `now`.
    ///
    /// # Errors
    /// [`TrustError::Expired`], [`TrustError::NotYetValid`], [`TrustError::OtherRoot`] or
    /// [`TrustError::Root`].
    pub fn check(&self, root: &NetworkRoot, now: Timestamp) -> Result<(), TrustError> {
        if self.leaf.not_after() <= now {
            return Err(TrustError::Expired {
                since: self.leaf.not_after(),
            });
        }
        if self.leaf.not_before() > now {
            return Err(TrustError::NotYetValid {
                from: self.leaf.not_before(),
                now,
            });
        }
        check_chain(&self.chain, &roots(root.authorities())?, now)
    }

    /// Whether the certificate leads to root certificates only that are about to go: then it is
    /// renewed at once, however long it still lives.
    #[must_use]
    pub fn must_renew(&self, root: &NetworkRoot) -> bool {
        must_renew(root, &self.chain, &self.leaf)
    }

    /// The certificate and the authorities' below it, in DER.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// Whether `chain` leads to root certificates only that are about to go or are gone.
#[must_use]
pub fn must_renew(
    root: &NetworkRoot,
    chain: &[CertificateDer<'static>],
    leaf: &PeerCertificate,
) -> bool {
    // Looked at by its beginning: age is another question.
    let at = leaf.not_before().plus(SECOND);
    let leads = |anchors| check_chain(chain, &anchors, at).is_ok();
    roots(root.untainted()).is_ok_and(|one| !leads(one))
}

/// SHA-256 of each X.509 root certificate of `root` to which `chain` leads, looked at by the
/// beginning of its first certificate.
#[must_use]
pub fn leading_roots(
    root: &NetworkRoot,
    chain: &[CertificateDer<'static>],
    leaf: &PeerCertificate,
) -> Vec<[u8; 32]> {
    let at = leaf.not_before().plus(SECOND);
    let leads = |one: &&CertificateDer<'static>| {
        roots([*one]).is_ok_and(|anchor| check_chain(chain, &anchor, at).is_ok())
    };
    let leading = root.authorities().iter().filter(leads);
    leading.map(|one| certificate::sha256(one)).collect()
}

/// Whether a chain that a peer showed leads to a root certificate of `root`, at `now`.
#[must_use]
pub fn leads_to(root: &NetworkRoot, chain: &[CertificateDer<'static>], now: Timestamp) -> bool {
    roots(root.authorities()).is_ok_and(|anchors| check_chain(chain, &anchors, now).is_ok())
}

fn check_chain(
    chain: &[CertificateDer<'static>],
    anchors: &Arc<RootCertStore>,
    now: Timestamp,
) -> Result<(), TrustError> {
    let (first, intermediates) = chain.split_first().ok_or(TrustError::Chain)?;
    client_verifier(anchors)?
        .verify_client_cert(first, intermediates, unix_time(now))
        .map(|_| ())
        .map_err(|error| TrustError::OtherRoot {
            reason: reason_of(&error),
        })
}

fn reason_of(error: &rustls::Error) -> String {
    if *error == rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) {
        "its issuer is unknown".to_owned()
    } else {
        error.to_string()
    }
}

/// The configurations of both ends of a connection, made from one certificate and one root.
#[derive(Debug, Clone)]
pub struct TlsConfigs {
    /// For connections that peers open.
    pub server: Arc<ServerConfig>,
    /// For connections that this node opens.
    pub client: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Builds both configurations. The chain is not checked here: a node whose certificate is
    /// expired still starts, and its peers say so.
    ///
    /// # Errors
    /// [`TrustError::Root`] or [`TrustError::Tls`].
    pub fn build(
        root: &NetworkRoot,
        own: &OwnCertificate,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, TrustError> {
        let shown = Shown {
            chain: &own.chain,
            key: &own.key,
        };
        let roots = roots(root.authorities())?;
        Ok(Self {
            server: Arc::new(server_config(&roots, shown, clock)?),
            client: Arc::new(client_config(&roots, shown, clock)?),
        })
    }
}

impl TlsConfigs {
    /// The same certificate under another root.
    ///
    /// # Errors
    /// [`TrustError::Root`] or [`TrustError::Tls`].
    pub fn under(&self, root: &NetworkRoot, clock: &Arc<dyn Clock>) -> Result<Self, TrustError> {
        let roots = roots(root.authorities())?;
        let server = server_builder(client_verifier(&roots)?, clock)?
            .with_cert_resolver(Arc::clone(&self.server.cert_resolver));
        let client = client_builder(server_verifier(&roots)?, clock)?
            .with_client_cert_resolver(Arc::clone(&self.client.client_auth_cert_resolver));
        Ok(Self {
            server: Arc::new(server_settings(server)),
            client: Arc::new(client_settings(client)),
        })
    }
}

/// What one end of a connection shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) chain: &'a [CertificateDer<'static>],
    pub(super) key: &'a CertificateKey,
}

impl Shown<'_> {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.pkcs8().expose().to_vec()).into()
    }
}

/// The name that a client checks in the certificate of `member`.
///
/// # Errors
/// [`TrustError::Tls`] where the ids do not make a DNS name.
pub fn server_name(peer: &str) -> Result<ServerName<'static>, TrustError> {
    ServerName::try_from(peer.to_owned()).map_err(|error| tls(&error))
}

/// The end that is called: TLS 1.3, and a certificate that leads to `roots`, or no connection.
pub(super) fn server_config(
    roots: &Arc<RootCertStore>,
    shown: Shown<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, TrustError> {
    server_config_of(client_verifier(roots)?, shown, clock)
}

/// The end that is called, where `verifier` decides about callers' certificates.
pub(super) fn server_config_of(
    verifier: Arc<dyn ClientCertVerifier>,
    shown: Shown<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, TrustError> {
    server_builder(verifier, clock)?
        .with_single_cert(shown.chain.to_vec(), shown.private_key())
        .map(server_settings)
        .map_err(|error| tls(&error))
}

fn server_builder(
    verifier: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, TrustError> {
    let builder = ServerConfig::builder_with_details(Arc::new(provider()), time_of(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?;
    Ok(builder.with_client_cert_verifier(verifier))
}

fn server_settings(mut config: ServerConfig) -> ServerConfig {
    config.ignore_client_order = false;
    config.max_fragment_size = None;
    // No resumption: a resumed session restores the certificate of its first handshake unchecked.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.key_log = Arc::new(NoKeyLog {});
    config.enable_secret_extraction = false;
    // No early data: it can be replayed.
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config.cert_compressors = Vec::new();
    config.cert_compression_cache = Arc::new(rustls::compress::CompressionCache::Disabled);
    config.cert_decompressors = Vec::new();
    config
}

/// The end that calls.
pub(super) fn client_config(
    roots: &Arc<RootCertStore>,
    shown: Shown<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, TrustError> {
    client_config_of(server_verifier(roots)?, Some(shown), clock)
}

/// The end that calls, where `verifier` decides about the other's certificate; `shown` is nothing
/// for a caller without a certificate.
pub(super) fn client_config_of(
    verifier: Arc<dyn ServerCertVerifier>,
    shown: Option<Shown<'_>>,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, TrustError> {
    let builder = client_builder(verifier, clock)?;
    let Some(shown) = shown else {
        return Ok(client_settings(builder.with_no_client_auth()));
    };
    builder
        .with_client_auth_cert(shown.chain.to_vec(), shown.private_key())
        .map(client_settings)
        .map_err(|error| tls(&error))
}

fn client_builder(
    verifier: Arc<dyn ServerCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let builder = ClientConfig::builder_with_details(Arc::new(provider()), time_of(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

fn client_settings(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.check_selected_alpn = true;
    config.resumption = Resumption::disabled();
    config.max_fragment_size = None;
    config.enable_sni = true;
    config.key_log = Arc::new(NoKeyLog {});
    config.enable_secret_extraction = false;
    config.enable_early_data = false;
    config.send_ticket_request = None;
    config.cert_compressors = Vec::new();
    config.cert_compression_cache = Arc::new(rustls::compress::CompressionCache::Disabled);
    config.cert_decompressors = Vec::new();
    config
}

pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn client_verifier(roots: &Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    // Revocation is decided on every call; certificate revocation lists would only delay it here.
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::new(provider()))
        .clear_root_hint_subjects()
        .build()
        .map_err(|error| tls(&error))
}

/// As [`client_verifier`], where a caller may also show nothing.
pub(super) fn optional_verifier(
    roots: &Arc<RootCertStore>,
) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::new(provider()))
        .clear_root_hint_subjects()
        .allow_unauthenticated()
        .build()
        .map_err(|error| tls(&error))
}

pub(super) fn server_verifier(
    roots: &Arc<RootCertStore>,
) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::new(provider()))
            .build()
            .map_err(|error| tls(&error))?;
    Ok(verifier)
}

pub(super) fn roots<'a>(
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, TrustError> {
    let mut store = RootCertStore::empty();
    for authority in authorities {
        store
            .add(authority.clone())
            .map_err(|error| TrustError::Root {
                reason: error.to_string(),
            })?;
    }
    Ok(Arc::new(store))
}

fn tls(error: &dyn std::error::Error) -> TrustError {
    TrustError::Tls {
        reason: error.to_string(),
    }
}

fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(at.since(Timestamp::from_unix_ms(0)))
}

fn time_of(clock: &Arc<dyn Clock>) -> Arc<dyn TimeProvider> {
    Arc::new(ClockTime(Arc::clone(clock)))
}

/// The node's clock, as rustls asks for it.
#[derive(Debug)]
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}
