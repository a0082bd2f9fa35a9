//! A running node: sockets, tasks, health, and a shutdown that loses nothing.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::folder::Opened;
use super::parts::NodeParts;
use super::{Folder, NodeError};
use crate::crypto::vector_backend;
use crate::domain::Bands;
use crate::flows::{Desk, Home, Timing};
use crate::limits::{
    HEADER_LIST_BYTES_MAX, OPERATOR_CALL_DEADLINE, OPERATOR_CALLS_PER_CONNECTION_MAX,
};
use crate::membership::{OwnCertificate, Roster};
use crate::net::{
    AskedPeers, Gate, ListenLimits, Listener, NodeTls, TappedTransport, TlsTransport, Transport,
    TrustHandle, gated_server,
};
use crate::risk::Policy;
use crate::service::{
    OperatorService, PeerService, health, operator_server, peer_server, reflection,
};

/// How often a node looks whether its member list changed.
const LOOK_AT_LIST: Duration = Duration::from_millis(500);

/// How long calls under way may go on at a shutdown before their connections are cut.
const STREAM_GRACE: Duration = Duration::from_millis(300);

/// How long what remains may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// A node that serves peers and its operator.
#[derive(Debug)]
pub struct RunningNode {
    core: Core,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    socket: PathBuf,
}

impl RunningNode {
    /// Opens the folder and serves: peers on the configured address, the operator on the folder's
    /// socket.
    ///
    /// # Errors
    /// [`NodeError`], which says what is wrong with the folder, certificate, list, address or
    /// store.
    pub async fn start(folder: &Folder, parts: NodeParts) -> Result<Self, NodeError> {
        let now = parts.clock.now();
        let root = folder.root(now)?;
        let opened = folder.open().await?;
        let roster = Roster::verify_kept(&root, &folder.text(&folder.members())?, now)?;
        let key = opened.tls_key().await?;
        let certificate = OwnCertificate::new(&folder.text(&folder.certificate())?, key)?;
        let not_after = certificate.leaf().not_after();
        if let Err(error) = certificate.check(&root, now) {
            tracing::error!(%error, "peers will refuse this certificate");
        }
        let policy = load_policy(folder, &opened, &root)?;
        let trust = TrustHandle::new(root, roster, Arc::clone(&parts.clock));
        let tls = NodeTls::new(&trust, &certificate)?;
        let limits = ListenLimits::default();
        let listener = Listener::bind(opened.config.listen, tls.clone(), limits).await;
        let listener = listener.map_err(|error| not_bound(opened.config.listen, &error))?;
        let address = listener
            .local_address()
            .map_err(|e| not_bound(opened.config.listen, &e))?;
        let transport: Arc<dyn Transport> = Arc::new(TlsTransport::new(tls.clone()));
        let transport = match &parts.tap {
            Some(tap) => Arc::new(TappedTransport::new(transport, Arc::clone(tap))),
            None => transport,
        };
        let home = home(&opened, &parts, trust.clone(), transport, policy).await?;
        let mut core = Core::start(Arc::new(home));
        core.follow_peers();
        let mut node = Self {
            core,
            address,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            socket: folder.socket(),
        };
        node.serve_peers(listener, trust.clone()).await?;
        node.serve_operator(not_after).await?;
        let stop = node.stop.clone();
        node.tasks.spawn(watch_list(folder.clone(), trust, stop));
        tracing::info!(%address, backend = vector_backend(), "node serves");
        Ok(node)
    }

    /// The address that peers reach.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lender's desk, for callers in the same process.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.core.desk
    }

    /// The wired flows.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Puts a newer member list in force at once, and cuts the connections of all whom it refuses.
    ///
    /// # Errors
    /// [`NodeError::List`]; the list in force then stays.
    pub fn take_list(&self, text: &str) -> Result<(), NodeError> {
        self.core.home.trust.install(text)?;
        Ok(())
    }

    async fn serve_peers(
        &mut self,
        listener: Listener,
        trust: TrustHandle,
    ) -> Result<(), NodeError> {
        let service = peer_server(PeerService::new(Arc::clone(&self.core.answerer)));
        let stop = self.stop.clone();
        let reflection = reflection()?;
        let health = health().await;
        self.tasks.spawn(async move {
            let ended = gated_server(Gate::new(trust))
                .add_service(service)
                .add_service(health)
                .add_service(reflection)
                .serve_with_incoming_shutdown(listener.incoming(), stop.cancelled_owned())
                .await;
            if let Err(error) = ended {
                tracing::error!(%error, "the peer service ended");
            }
        });
        Ok(())
    }

    async fn serve_operator(
        &mut self,
        certificate_not_after: crate::domain::Timestamp,
    ) -> Result<(), NodeError> {
        // A socket that was left behind by a killed node; the store's lock says that none runs.
        drop(std::fs::remove_file(&self.socket));
        let bound = UnixListener::bind(&self.socket);
        let listener = bound.map_err(|error| NodeError::file(&self.socket, &error))?;
        std::fs::set_permissions(&self.socket, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| NodeError::file(&self.socket, &error))?;
        let source = super::status::Source {
            home: Arc::clone(&self.core.home),
            mirrors: Arc::clone(&self.core.mirrors),
            follower: self.core.follower.clone(),
            answerer: Arc::clone(&self.core.answerer),
            address: self.address,
            certificate_not_after,
        };
        let currency = self.core.home.trust.root().document().currency;
        let desk = self.core.desk.clone();
        let service = operator_server(OperatorService::new(desk, currency, Arc::new(source)));
        let reflection = reflection()?;
        let health = health().await;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let ended = tonic::transport::Server::builder()
                .timeout(OPERATOR_CALL_DEADLINE)
                .concurrency_limit_per_connection(OPERATOR_CALLS_PER_CONNECTION_MAX)
                .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
                .add_service(service)
                .add_service(reflection)
                .add_service(health)
                .serve_with_incoming_shutdown(
                    UnixListenerStream::new(listener),
                    stop.cancelled_owned(),
                )
                .await;
            if let Err(error) = ended {
                tracing::error!(%error, "the operator service ended");
            }
        });
        Ok(())
    }

    /// Stops serving, lets calls under way end, and closes the store.
    ///
    /// # Errors
    /// [`NodeError::Store`] where the store could not finish.
    pub async fn shutdown(mut self) -> Result<(), NodeError> {
        self.stop.cancel();
        tokio::time::sleep(STREAM_GRACE).await;
        // Streams that follow a feed never end by themselves.
        self.core.home.trust.connections().cut_all();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        let vault = self.core.home.vault.clone();
        self.core.stop().await;
        drop(std::fs::remove_file(&self.socket));
        Ok(vault.store().close().await?)
    }
}

fn not_bound(address: SocketAddr, error: &std::io::Error) -> NodeError {
    NodeError::Folder(format!(
        "cannot listen on {address}: {error}; change `listen` in node.toml"
    ))
}

fn load_policy(
    folder: &Folder,
    opened: &Opened,
    root: &crate::membership::NetworkRoot,
) -> Result<Policy, NodeError> {
    let currency = root.document().currency;
    match &opened.config.policy {
        Some(path) => {
            let path = folder.path().join(path);
            let wrong = |why: String| NodeError::Folder(format!("{}: {why}", path.display()));
            let policy =
                Policy::parse(&folder.text(&path)?).map_err(|error| wrong(error.to_string()))?;
            if policy.currency == currency {
                return Ok(policy);
            }
            let (own, network) = (policy.currency.code(), currency.code());
            Err(wrong(format!(
                "its amounts are in {own}, the network's in {network}: write them in {network}"
            )))
        }
        None => Policy::built_in(currency).ok_or_else(|| {
            NodeError::Folder(format!("no built-in policy for {currency:?}: set `policy`"))
        }),
    }
}

async fn home(
    opened: &Opened,
    parts: &NodeParts,
    trust: TrustHandle,
    transport: Arc<dyn Transport>,
    policy: Policy,
) -> Result<Home, NodeError> {
    let timing = Timing {
        group_interval: opened.config.group_interval,
        peer_deadline: opened.config.peer_deadline,
        ..Timing::default()
    };
    let network = trust.root().document();
    let bands = Bands::of(network.currency, &network.exposure_band_edges_minor)
        .map_err(|error| NodeError::Folder(format!("network.json: {error}")))?;
    Ok(Home {
        member: opened.config.member.clone(),
        clock: Arc::clone(&parts.clock),
        entropy: Arc::clone(&parts.entropy),
        vault: opened.vault.clone(),
        calendar: trust.root().calendar(),
        trust,
        identity: opened.identity().await?,
        peers: AskedPeers::new(transport, Arc::clone(&parts.clock)),
        policy,
        bands,
        timing,
    })
}

/// Takes a newer member list as soon as its file changes.
async fn watch_list(folder: Folder, trust: TrustHandle, stop: CancellationToken) {
    let changed = |path: PathBuf| path.metadata().ok().and_then(|meta| meta.modified().ok());
    let mut seen = changed(folder.members());
    let mut ticks = tokio::time::interval(LOOK_AT_LIST);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let modified = changed(folder.members());
        if modified == seen {
            continue;
        }
        seen = modified;
        match std::fs::read_to_string(folder.members()) {
            Ok(text) => match trust.install(&text) {
                Ok(installed) => tracing::info!(?installed, "member list taken"),
                Err(error) => {
                    tracing::error!(%error, "members.json is refused; the list in force stays");
                }
            },
            Err(error) => tracing::error!(%error, "members.json cannot be read"),
        }
    }
}
