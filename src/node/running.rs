//! A running node: sockets, tasks, health, and a shutdown that loses nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::erasing::Erasing;
use super::files::{watch_list, watch_refused, watch_roots};
use super::folder::Opened;
use super::home::home;
use super::in_step::InStep;
use super::log_follower::LogFollower;
use super::operator_authority::{RunningIssuer, operator_authority};
use super::operator_side::{Desks, bind_socket, serve_port, serve_socket};
use super::parts::NodeParts;
use super::peer_side::serve_peers;
use super::policies::{load_policy, load_retention};
use super::rekey::Rekeying;
use super::renew::{Renewer, Renewing};
use super::trust_follower::TrustFollower;
use super::trusted::Trusted;
use super::webhook_target::{start_core, webhook_target};
use super::{Folder, LogFinding, NodeError};
use crate::config::NodeConfig;
use crate::crypto::{choose_arithmetic, vector_backend};
use crate::domain::Timestamp;
use crate::flows::{Desk, Home};
use crate::membership::OwnCertificate;
use crate::net::{
    Door, ListenLimits, Listener, NodeTls, OperatorDoor, TappedTransport, TlsTransport, Transport,
    TrustHandle,
};
use crate::service::CredentialService;

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
    operator_address: Option<SocketAddr>,
    door: Option<OperatorDoor>,
    renewing: Renewing,
    logs: LogFollower,
}

impl RunningNode {
    /// Opens the folder and serves: peers on the configured address, the operator on the folder's
    /// socket.
    ///
    /// # Errors
    /// [`NodeError`], which says what is wrong with the folder, certificate, list, address or
    /// store.
    pub async fn start(folder: &Folder, parts: NodeParts) -> Result<Self, NodeError> {
        Box::pin(Self::started(folder, parts)).await
    }

    async fn started(folder: &Folder, parts: NodeParts) -> Result<Self, NodeError> {
        let now = parts.clock.now();
        let opened = folder.open_to_run().await?;
        choose_arithmetic(opened.config.group_arithmetic);
        // Under the lock of the store: nobody else takes roots or lists meanwhile.
        let trusted = folder.trusted(now)?;
        let certificate = Box::pin(certificate_of(folder, &opened)).await?;
        let (named, configured) = (certificate.leaf().member(), &opened.config.member);
        if named != configured {
            return Err(NodeError::Folder(format!(
                "node.toml says `member = \"{configured}\"`, and the certificate names {named}: \
                 put {named} into node.toml"
            )));
        }
        if let Err(error) = certificate.check(&trusted.root, now) {
            tracing::error!(%error, "peers will refuse this certificate");
        }
        let target = webhook_target(folder, &opened.config.alerts)?;
        let policy = load_policy(folder, &opened, &trusted.root)?;
        if certificate.must_renew(&trusted.root) {
            tracing::warn!("the root of this certificate is about to go: renew it now");
        }
        let (clock, memory) = (Arc::clone(&parts.clock), Arc::new(folder.memory()));
        let Trusted { root, roster, .. } = trusted;
        let trust = TrustHandle::remembering(root, roster, clock, trusted.seen, memory);
        trust.recall_departures(&trusted.departures);
        let tls = NodeTls::new(&trust, &certificate)?;
        take_kept(folder, &trust);
        let limits = ListenLimits::default();
        let listener = Listener::bind(opened.config.listen, tls.clone(), limits).await;
        let listener =
            listener.map_err(|error| not_bound("listen", opened.config.listen, &error))?;
        let address = listener
            .local_address()
            .map_err(|e| not_bound("listen", opened.config.listen, &e))?;
        let transport: Arc<dyn Transport> = Arc::new(TlsTransport::new(tls.clone()));
        let transport = match &parts.tap {
            Some(tap) => Arc::new(TappedTransport::new(transport, Arc::clone(tap))),
            None => transport,
        };
        let policies = (policy, load_retention(folder, &opened)?);
        let home = home(&opened, &parts, trust.clone(), transport, policies).await?;
        let renewing = renewing(folder, &opened, &tls, &home);
        let core = start_core(home, &opened.config.alerts, target);
        let logs = LogFollower::open(folder, &opened.config, &core, &tls)?;
        let mut node = Self {
            core,
            address,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            socket: folder.socket(),
            operator_address: None,
            door: None,
            renewing: renewing.clone(),
            logs,
        };
        node.serve_peers(listener, trust.clone()).await?;
        node.serve_operator(&opened.config, renewing.clone(), folder.clone())
            .await?;
        node.follow_registrars(folder, &opened.config, renewing);
        node.keep_in_step(folder, opened);
        let refused = watch_refused(folder.clone(), node.door.clone(), node.stop.clone());
        node.tasks.spawn(refused);
        let stop = node.stop.clone();
        node.tasks
            .spawn(watch_list(folder.clone(), trust.clone(), stop));
        let stop = node.stop.clone();
        node.tasks.spawn(watch_roots(folder.clone(), trust, stop));
        tracing::info!(%address, backend = vector_backend(), "node serves");
        Ok(node)
    }

    /// The address that peers reach.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that operators on other machines reach, where the configuration opens one.
    #[must_use]
    pub fn operator_address(&self) -> Option<SocketAddr> {
        self.operator_address
    }

    /// Renews the certificate now, without dropping a call; gives its end.
    ///
    /// # Errors
    /// [`NodeError`]; the certificate in use then stays.
    pub async fn renew_certificate(&self) -> Result<Timestamp, NodeError> {
        Ok(self.renewing.renew_now().await?.not_after())
    }

    /// Reads the registrars' membership logs now, compares checkpoints with a few peers, and gives
    /// what was ever found wrong.
    ///
    /// # Errors
    /// [`NodeError`] where a registrar cannot be read.
    pub async fn read_logs(&self) -> Result<Vec<LogFinding>, NodeError> {
        self.logs.look().await
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
        let serving = serve_peers(&self.core, listener, trust, self.stop.clone()).await?;
        self.tasks.spawn(serving);
        Ok(())
    }

    async fn serve_operator(
        &mut self,
        config: &NodeConfig,
        renewing: Renewing,
        folder: Folder,
    ) -> Result<(), NodeError> {
        let home = Arc::clone(&self.core.home);
        let erasing = erasing(&folder, config, &self.core);
        self.tasks.spawn(erasing.clone().keep(self.stop.clone()));
        let rekeying = erasing.rekeying.clone();
        self.tasks.spawn(rekeying.follow_ring(self.stop.clone()));
        let source = super::status::Source {
            home: Arc::clone(&home),
            mirrors: Arc::clone(&self.core.mirrors),
            follower: self.core.follower.clone(),
            answerer: Arc::clone(&self.core.answerer),
            address: self.address,
            tls: renewing.tls.clone(),
            logs: self.logs.book.clone(),
            fishing: self.core.fishing.clone(),
            cosigning: Arc::clone(&self.core.cosigning),
            folder,
        };
        let desks = Desks::of(&self.core, source, erasing);
        let issuer = RunningIssuer {
            vault: home.vault.clone(),
            member: home.member.clone(),
            clock: Arc::clone(&home.clock),
            entropy: Arc::clone(&home.entropy),
            renewing,
        };
        let credentials = CredentialService::new(Arc::new(issuer));
        let socket = bind_socket(&self.socket)?;
        let stop = self.stop.clone();
        let serving = serve_socket(socket, desks.clone(), credentials, stop).await?;
        self.tasks.spawn(serving);
        if let Some(address) = config.operator_listen {
            let refused = config.operator_refused.clone();
            self.serve_operators_elsewhere(address, refused, desks)
                .await?;
        }
        Ok(())
    }

    /// Keeps certificate and trust documents new, where the configuration names a registrar.
    fn follow_registrars(&mut self, folder: &Folder, config: &NodeConfig, renewing: Renewing) {
        if config.registrar.is_empty() {
            return;
        }
        let follower = TrustFollower {
            folder: folder.clone(),
            trust: renewing.tls.trust().clone(),
            tls: renewing.tls.clone(),
            registrars: config.registrar.clone(),
            asked: Arc::default(),
            renewing: renewing.clone(),
            logs: self.logs.clone(),
        };
        self.tasks.spawn(follower.clone().hear(self.stop.clone()));
        self.tasks.spawn(follower.run(self.stop.clone()));
        self.tasks.spawn(self.logs.clone().run(self.stop.clone()));
        self.tasks.spawn(renewing.run(self.stop.clone()));
    }

    /// Takes what other replicas of this node get.
    fn keep_in_step(&mut self, folder: &Folder, opened: Opened) {
        let in_step = InStep {
            folder: folder.clone(),
            opened,
            identities: Arc::clone(&self.core.home.identities),
            tls: self.renewing.tls.clone(),
        };
        self.tasks.spawn(in_step.run(self.stop.clone()));
    }

    async fn serve_operators_elsewhere(
        &mut self,
        address: SocketAddr,
        refused: BTreeSet<String>,
        desks: Desks,
    ) -> Result<(), NodeError> {
        let home = &self.core.home;
        let (clock, entropy) = (Arc::clone(&home.clock), Arc::clone(&home.entropy));
        let authority = operator_authority(&home.vault, &home.member, clock.now(), &*entropy);
        let door = OperatorDoor::new(authority.await?, address.ip(), clock, entropy)?;
        door.refuse(refused);
        let key = "operator_listen";
        let listener = Listener::bind(address, door.clone(), ListenLimits::default()).await;
        let listener = listener.map_err(|error| not_bound(key, address, &error))?;
        let bound = listener.local_address();
        self.operator_address = Some(bound.map_err(|error| not_bound(key, address, &error))?);
        let stop = self.stop.clone();
        let serving = serve_port(listener, door.clone(), desks, stop).await?;
        self.tasks.spawn(serving);
        self.door = Some(door);
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
            if let Some(door) = &self.door {
                door.connections().cut_all();
            }
            self.tasks.shutdown().await;
        }
        let vault = self.core.home.vault.clone();
        self.core.stop().await;
        drop(std::fs::remove_file(&self.socket));
        Ok(vault.store().close().await?)
    }
}

/// The node's certificate: the one in the folder, or a newer one that another replica got.
async fn certificate_of(folder: &Folder, opened: &Opened) -> Result<OwnCertificate, NodeError> {
    folder.take_certificate(opened).await?;
    let chain = folder.text(&folder.certificate())?;
    opened.own_certificate(&chain).await
}

fn not_bound(key: &str, address: SocketAddr, error: &std::io::Error) -> NodeError {
    NodeError::NotBound {
        address,
        reason: format!(
            "{error}; stop what uses it, or change `{key}` in node.toml (where peers reach the \
             node stands in the member list: `creditmesh node change --endpoint`)"
        ),
    }
}

/// What erases borrowers and keeps the store re-keyed.
fn erasing(folder: &Folder, config: &NodeConfig, core: &Core) -> Erasing {
    let home = &core.home;
    Erasing {
        eraser: core.eraser.clone(),
        rekeying: Rekeying::of(folder, config, home),
        vault: home.vault.clone(),
    }
}

/// What renews the node's certificate.
fn renewing(folder: &Folder, opened: &Opened, tls: &NodeTls, home: &Home) -> Renewing {
    let renewer = Renewer {
        vault: opened.vault.clone(),
        identities: Arc::clone(&home.identities),
        member: opened.config.member.clone(),
        certificate_path: folder.certificate(),
        registrars: opened.config.registrar.clone(),
        clock: Arc::clone(&home.clock),
    };
    Renewing {
        renewer: Arc::new(tokio::sync::Mutex::new(renewer)),
        tls: tls.clone(),
        entropy: Arc::clone(&home.entropy),
    }
}

/// Takes the freshness statement that the node had when it stopped, if it still says something, and
/// the roots that it can hand on.
fn take_kept(folder: &Folder, trust: &TrustHandle) {
    folder.remember_former_roots(trust);
    let Ok(text) = super::read_text(&folder.freshness()) else {
        return;
    };
    if let Err(error) = trust.install_freshness(&text) {
        tracing::info!(%error, "the freshness statement kept is of no use; a newer one comes");
    }
}
