//! The accept loop: TLS handshakes side by side under deadlines, connections under caps.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use super::connections::{Connections, NamesHolder, Opened};
use super::node_tls::NodeTls;
use super::places::{Place, Places, Proof};
use super::stream::PeerStream;
use super::words::{self, IssuedBy};
use crate::limits::{
    ACCEPT_BACKOFF, ACCEPTED_WAITING_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKE_DEADLINE, PREFACE_DEADLINE, SWEEP_INTERVAL,
};
use crate::membership::PeerCertificate;

/// A connection that somebody opened, after TLS.
pub type AcceptedStream<C = PeerCertificate> = PeerStream<TlsStream<TcpStream>, C>;

/// What a listener shows to whom, and where it keeps count of them.
pub trait Door: Clone + fmt::Debug + Send + Sync + 'static {
    /// What callers show.
    type Certificate: NamesHolder;

    /// Counts changes of whom TLS accepts, so that a handshake notices one.
    fn roots_version(&self) -> u32 {
        0
    }

    /// Whether TLS would still accept this chain.
    fn leads(&self, _chain: &[CertificateDer<'static>]) -> bool {
        true
    }

    /// The TLS configuration of the moment.
    fn tls(&self) -> Arc<ServerConfig>;

    /// Reads a caller's certificate, which TLS has accepted.
    ///
    /// # Errors
    /// Why it names nobody.
    fn read(&self, der: &[u8]) -> Result<Self::Certificate, String>;

    /// What stands for a caller that shows no certificate, where TLS lets one in.
    ///
    /// # Errors
    /// Why it is not let in.
    fn read_nothing(&self) -> Result<Self::Certificate, String> {
        Err("no certificate was shown".to_owned())
    }

    /// The proof that is still to be given by a caller whom nothing else admits; `None` for one
    /// that is admitted, whose connection gives way to nobody's.
    fn unknown(&self, _certificate: &Self::Certificate) -> Option<Proof> {
        None
    }

    /// Whose certificates TLS accepts, for the words about those that it refuses.
    fn issuer(&self) -> IssuedBy;

    /// The connections that are open.
    fn connections(&self) -> &Connections<Self::Certificate>;

    /// Time that only grows, for the ages of connections.
    fn uptime(&self) -> Duration;

    /// Cuts connections that should not go on; gives how many. Called every second.
    fn sweep(&self) -> usize;
}

impl Door for NodeTls {
    type Certificate = PeerCertificate;

    fn roots_version(&self) -> u32 {
        self.trust().root().version()
    }

    fn leads(&self, chain: &[CertificateDer<'static>]) -> bool {
        self.trust().leads(chain)
    }

    fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().configs.server)
    }

    fn read(&self, der: &[u8]) -> Result<PeerCertificate, String> {
        PeerCertificate::parse(der).map_err(|error| error.to_string())
    }

    fn unknown(&self, certificate: &PeerCertificate) -> Option<Proof> {
        let refused = self.trust().admit(certificate).is_err();
        refused.then(Proof::default)
    }

    fn issuer(&self) -> IssuedBy {
        IssuedBy::Network
    }

    fn connections(&self) -> &Connections {
        self.trust().connections()
    }

    fn uptime(&self) -> Duration {
        self.trust().clock().uptime()
    }

    fn sweep(&self) -> usize {
        self.trust().sweep()
    }
}

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenLimits {
    /// Connections at once, those in their handshake included.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Time from the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// Time from there to the HTTP/2 preface.
    pub preface: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            connections_per_address: CONNECTIONS_PER_ADDRESS_MAX,
            handshake: HANDSHAKE_DEADLINE,
            preface: PREFACE_DEADLINE,
        }
    }
}

/// A bound socket that will accept peers, or operators.
#[derive(Debug)]
pub struct Listener<D = NodeTls> {
    socket: TcpListener,
    door: D,
    limits: ListenLimits,
}

impl<D: Door> Listener<D> {
    /// Binds `address`.
    ///
    /// # Errors
    /// The system's error where the address cannot be bound.
    pub async fn bind(address: SocketAddr, door: D, limits: ListenLimits) -> io::Result<Self> {
        Ok(Self::over(TcpListener::bind(address).await?, door, limits))
    }

    /// Accepts on a socket that is bound already.
    #[must_use]
    pub const fn over(socket: TcpListener, door: D, limits: ListenLimits) -> Self {
        Self {
            socket,
            door,
            limits,
        }
    }

    /// The address that is bound, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the stream is dropped. Every item is a connection after TLS whose certificate
    /// names somebody; whether that one is admitted is decided on every call, by the gate.
    #[must_use]
    pub fn incoming(self) -> ReceiverStream<io::Result<AcceptedStream<D::Certificate>>> {
        let (accepted, incoming) = mpsc::channel(ACCEPTED_WAITING_MAX);
        tokio::spawn(self.accept(accepted));
        ReceiverStream::new(incoming)
    }

    async fn accept(self, accepted: mpsc::Sender<io::Result<AcceptedStream<D::Certificate>>>) {
        let places = Places::new(&self.limits);
        let mut sweep = interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = accepted.closed() => return,
                _ = sweep.tick() => {
                    let cut = self.door.sweep();
                    if cut > 0 {
                        tracing::info!(cut, "cut connections that were idle or no longer admitted");
                    }
                }
                arrival = self.socket.accept() => match arrival {
                    Ok((tcp, address)) => {
                        let Some(place) = places.take(address.ip()) else {
                            tracing::debug!(%address, "dropped: too many connections");
                            continue;
                        };
                        let (door, limits) = (self.door.clone(), self.limits);
                        let accepted = accepted.clone();
                        tokio::spawn(async move {
                            match handshake(tcp, &door, place, &limits).await {
                                // Where the receiver is gone, the node is shutting down.
                                Ok(stream) => drop(accepted.send(Ok(stream)).await),
                                Err(reason) => {
                                    tracing::info!(%address, %reason, "refused a connection");
                                }
                            }
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, accepting fails at once and for ever: do not
                        // spin.
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
        }
    }
}

/// Why a connection ended before anybody knew whose it was.
const DISPLACED: &str = "others came later, and there are no more places";

/// One TLS handshake; the error says in words why it failed.
async fn handshake<D: Door>(
    tcp: TcpStream,
    door: &D,
    place: Place,
    limits: &ListenLimits,
) -> Result<AcceptedStream<D::Certificate>, String> {
    // Small answers must not wait for more; where the system refuses, they do.
    tcp.set_nodelay(true).ok();
    let roots_version = door.roots_version();
    let acceptor = TlsAcceptor::from(door.tls());
    let displaced = place.displaced();
    let shaken = tokio::select! {
        shaken = timeout(limits.handshake, acceptor.accept(tcp)) => shaken,
        () = displaced.cancelled() => return Err(DISPLACED.to_owned()),
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(words::of_client(&error, door.issuer())),
        Err(_) => return Err("no TLS handshake in time".to_owned()),
    };
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    let certificate = match chain.first() {
        Some(der) => door.read(der)?,
        None => door.read_nothing()?,
    };
    let unknown = door.unknown(&certificate);
    let registration = door
        .connections()
        .register(certificate, chain.clone(), Opened::ByPeer, door.uptime())
        .map_err(|error| error.to_string())?;
    // Registered first: a root that is installed from here on cuts this connection too.
    if door.roots_version() != roots_version && !door.leads(&chain) {
        return Err("its certificate led to a root that was just replaced".to_owned());
    }
    if !place.settle(unknown, registration.cut()) {
        return Err(DISPLACED.to_owned());
    }
    Ok(PeerStream::accepted(
        stream,
        registration,
        place,
        limits.preface,
    ))
}
