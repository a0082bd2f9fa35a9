//! A minted network on loopback sockets, and clients that misbehave as they are told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{Currency, MemberId, Role, Timestamp};
use creditmesh::env::{Clock, ManualClock, SeededEntropy};
use creditmesh::membership::{MintedNetwork, OwnCertificate, Roster, Seat};
use creditmesh::net::{
    Gate, ListenLimits, Listener, NodeTls, PeerChannel, TlsTransport, Transport, TrustHandle,
    gated_server,
};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn entropy() -> SeededEntropy {
    SeededEntropy::from_seed(11)
}

/// A network of three lenders; each has a socket, and a node only once it is started.
pub(crate) struct Network {
    pub(crate) minted: MintedNetwork,
    pub(crate) clock: ManualClock,
    sockets: Vec<(MemberId, Option<TcpListener>, SocketAddr)>,
}

impl Network {
    pub(crate) async fn new() -> Self {
        Self::named("credit-net").await
    }

    pub(crate) async fn named(network: &str) -> Self {
        let clock = ManualClock::at(Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap());
        let mut sockets = Vec::new();
        let mut seats = Vec::new();
        for name in ["bank-a", "bank-b", "bank-c"] {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            seats.push(Seat::of(&id(name), Role::Lender, &address.to_string()).unwrap());
            sockets.push((id(name), Some(socket), address));
        }
        let usd = Currency::from_code("USD").unwrap();
        let network = network.parse().unwrap();
        let minted = MintedNetwork::mint(&network, usd, &seats, clock.now(), &entropy()).unwrap();
        Self {
            minted,
            clock,
            sockets,
        }
    }

    pub(crate) fn address(&self, member: &str) -> SocketAddr {
        let place = self.sockets.iter().find(|(one, ..)| *one == id(member));
        place.unwrap().2
    }

    pub(crate) fn own(&self, member: &str) -> OwnCertificate {
        self.minted.own_certificate(&id(member)).unwrap()
    }

    /// What `member` trusts, by the newest list and the network's clock.
    pub(crate) fn trust(&self) -> TrustHandle {
        self.trust_at(self.clock.clone())
    }

    pub(crate) fn trust_at(&self, clock: ManualClock) -> TrustHandle {
        let text = self.minted.roster.signed().to_text().unwrap();
        let roster = Roster::verify_kept(&self.minted.root, &text, clock.now()).unwrap();
        TrustHandle::new(self.minted.root.clone(), roster, Arc::new(clock))
    }

    pub(crate) fn start(&mut self, member: &str) -> Node {
        self.start_with(member, self.trust(), ListenLimits::default())
    }

    pub(crate) fn start_with(
        &mut self,
        member: &str,
        trust: TrustHandle,
        limits: ListenLimits,
    ) -> Node {
        let own = self.own(member);
        let place = self.sockets.iter_mut().find(|(one, ..)| *one == id(member));
        let socket = place.unwrap().1.take().expect("started once");
        serve(socket, trust, &own, limits)
    }

    /// The calling side of a member.
    pub(crate) fn caller(&self, member: &str) -> Caller {
        Caller::new(self.trust(), &self.own(member))
    }
}

/// A running node that answers health checks behind the gate.
pub(crate) struct Node {
    pub(crate) trust: TrustHandle,
    pub(crate) tls: NodeTls,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

fn serve(
    socket: TcpListener,
    trust: TrustHandle,
    own: &OwnCertificate,
    limits: ListenLimits,
) -> Node {
    let tls = NodeTls::new(&trust, own).unwrap();
    let listener = Listener::over(socket, tls.clone(), limits);
    let (stop, stopped) = oneshot::channel::<()>();
    let (_, health) = tonic_health::server::health_reporter();
    let router = gated_server(Gate::new(trust.clone())).add_service(health);
    let task = tokio::spawn(async move {
        let signal = async {
            stopped.await.ok();
        };
        router
            .serve_with_incoming_shutdown(listener.incoming(), signal)
            .await
            .unwrap();
    });
    Node {
        trust,
        tls,
        stop: Some(stop),
        task,
    }
}

impl Node {
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).ok();
        self.trust.connections().cut_all();
        self.task.await.unwrap();
    }
}

/// The calling side of a node.
pub(crate) struct Caller {
    pub(crate) trust: TrustHandle,
    pub(crate) tls: NodeTls,
    pub(crate) transport: TlsTransport,
}

impl Caller {
    pub(crate) fn new(trust: TrustHandle, own: &OwnCertificate) -> Self {
        let tls = NodeTls::new(&trust, own).unwrap();
        let transport = TlsTransport::new(tls.clone());
        Self {
            trust,
            tls,
            transport,
        }
    }

    pub(crate) fn channel(&self, peer: &str) -> PeerChannel {
        let roster = self.trust.roster();
        self.transport.channel(roster.member(&id(peer)).unwrap())
    }

    pub(crate) async fn check(&self, peer: &str) -> Result<(), Status> {
        check(self.channel(peer)).await
    }
}

pub(crate) fn request() -> HealthCheckRequest {
    HealthCheckRequest {
        service: String::new(),
    }
}

pub(crate) async fn check(channel: PeerChannel) -> Result<(), Status> {
    let answer = HealthClient::new(channel).check(request()).await?;
    assert_eq!(answer.into_inner().status, 1, "serving");
    Ok(())
}

/// An open stream that has said that the service is there, and says no more.
pub(crate) async fn watch(channel: PeerChannel) -> tonic::Streaming<HealthCheckResponse> {
    let answer = HealthClient::new(channel).watch(request()).await;
    let mut stream = answer.unwrap().into_inner();
    stream.message().await.unwrap();
    stream
}

/// The machine word of a refusal.
pub(crate) fn reason(status: &Status) -> &str {
    let reason = status.metadata().get(creditmesh::net::REASON_HEADER);
    reason.map_or("", |word| word.to_str().unwrap())
}

/// What a hand-made client shows: a chain in PEM and its PKCS#8 key.
pub(crate) struct Shown {
    pub(crate) chain_pem: String,
    pub(crate) pkcs8: Vec<u8>,
}

impl Shown {
    pub(crate) fn of(network: &Network, member: &str) -> Self {
        let minted = &network.minted.members[&id(member)];
        Self {
            chain_pem: minted.chain_pem.clone(),
            pkcs8: minted.key.pkcs8().expose().to_vec(),
        }
    }
}

#[derive(Debug)]
struct ManualTime(ManualClock);

impl rustls::time_provider::TimeProvider for ManualTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let since_epoch = self.0.now().since(Timestamp::from_unix_ms(0));
        Some(rustls::pki_types::UnixTime::since_unix_epoch(since_epoch))
    }
}

/// A plain client configuration that trusts the network's roots and does not follow the house
/// rules.
pub(crate) fn raw_config(network: &Network, shown: Option<&Shown>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for authority in network.minted.root.authorities() {
        roots.add(authority.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(ManualTime(network.clock.clone()));
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let chain = CertificateDer::pem_slice_iter(shown.chain_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .unwrap();
            let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(shown.pkcs8.clone()).into();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(16);
    config
}

/// Connects by hand to `member`.
pub(crate) async fn raw_connect(
    network: &Network,
    member: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(network.address(member)).await?;
    let name = format!("{member}.node.{}", network.minted.root.network());
    let name = rustls::pki_types::ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
}

/// The error that a hand-made client meets at the latest with its first read.
pub(crate) async fn raw_refusal(network: &Network, member: &str, shown: Option<&Shown>) -> String {
    let config = Arc::new(raw_config(network, shown));
    let mut stream = match raw_connect(network, member, &config).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    match stream.read_u8().await {
        Ok(_) => "let in".to_owned(),
        Err(error) => error.to_string(),
    }
}
