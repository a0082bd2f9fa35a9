//! The registrar: opens its folder, serves joiners, members and administrators, states freshness.
//!
//! It works in the administrators' folder, or in a copy of it without `administrators/`: of all
//! secrets it needs the issuing authority's key and the freshness key only.

mod certify;
mod departures;
mod desk;
mod fellows;
mod files;
mod issuing;
mod log;
mod log_seen;
mod log_writer;
mod publishing;
mod room;
mod roots;
mod serving;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::desk::{Desk, Inner, Nodes};
use self::fellows::Fellow;
use self::files::Files;
use self::issuing::Issuing;
use self::log::MembershipLog;
use super::admin::secret_passphrase;
use super::issued::Issued;
use super::key_place::{authority_key, signing_key};
use super::root_files::{newest_list, newest_root, remember_former};
use super::unlock::read_unlock;
use super::{AdminError, NodeError, NodeParts};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::membership::{Departures, Profiles};
use crate::net::{
    Door, ListenLimits, Listener, RegistrarDoor, RegistrarGate, TrustHandle, registrar_gated_server,
};
use crate::service::{RegistrarService, registrar_server};

/// How often the registrar looks whether a freshness statement is due.
const LOOK: Duration = Duration::from_millis(500);

/// How long the registrar waits after a statement that failed, before it tries again.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// How long calls under way may go on at a shutdown before their connections are cut.
const STREAM_GRACE: Duration = Duration::from_millis(300);

/// How long what remains may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// A registrar that serves.
#[derive(Debug)]
pub struct RunningRegistrar {
    address: SocketAddr,
    door: RegistrarDoor,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn text_of(path: &Path) -> Result<String, NodeError> {
    crate::node::read_text(path).map_err(|error| NodeError::file(path, &error))
}

/// Reads where the network's registrars are; `None` where the folder's network has none.
///
/// # Errors
/// [`NodeError`] where `registrar.toml` is there and wrong.
pub fn registrar_config(folder: &Path) -> Result<Option<RegistrarConfig>, NodeError> {
    let path = folder.join("registrar.toml");
    if !path.exists() {
        return Ok(None);
    }
    let config = RegistrarConfig::parse(&text_of(&path)?);
    Ok(Some(
        config.map_err(|error| NodeError::Folder(error.to_string()))?,
    ))
}

impl RunningRegistrar {
    /// Opens the folder and serves on the configured address.
    ///
    /// # Errors
    /// [`AdminError`], which says what is wrong with the folder, a key, or the address.
    pub async fn start(
        folder: &Path,
        passphrase: &UnlockSource,
        parts: NodeParts,
    ) -> Result<Self, AdminError> {
        let config = registrar_config(folder)?.ok_or_else(|| {
            NodeError::Folder(format!(
                "{} has no registrar.toml: found the network with `creditmesh network init \
                 --registrar HOST:PORT`",
                folder.display()
            ))
        })?;
        let inner = open(folder, passphrase, &parts)?;
        let desk = Desk(Arc::new(inner));
        let finished = desk.0.finish_publication(&mut desk.0.files());
        finished.map_err(|error| NodeError::Folder(error.to_string()))?;
        desk.0.require_newest()?;
        let logged = desk.0.log_in_force();
        logged.map_err(|error| NodeError::Folder(error.to_string()))?;
        desk.0.state_freshness(false);
        // A registrar that was killed may have published a list without it.
        desk.0.write_revoked();
        let door = RegistrarDoor::new(
            desk.0.trust.clone(),
            Arc::clone(desk.0.issuing.current()),
            desk.0.profile,
            parts.entropy,
        );
        let door = door.map_err(|error| NodeError::Folder(error.to_string()))?;
        let not_bound = |error: std::io::Error| NodeError::NotBound {
            address: config.listen,
            reason: format!("{error}; stop what uses it, or change `listen` in registrar.toml"),
        };
        let limits = ListenLimits::default();
        let listener = Listener::bind(config.listen, door.clone(), limits).await;
        let listener = listener.map_err(not_bound)?;
        let address = listener.local_address().map_err(not_bound)?;
        let mut registrar = Self {
            address,
            door,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        for endpoint in config.follows {
            let fellow = Fellow {
                endpoint,
                desk: desk.clone(),
                door: registrar.door.clone(),
            };
            registrar.tasks.spawn(fellow.run(registrar.stop.clone()));
        }
        registrar.serve(listener, desk);
        tracing::info!(%address, "registrar serves");
        Ok(registrar)
    }

    fn serve(&mut self, listener: Listener<RegistrarDoor>, desk: Desk) {
        let service = registrar_server(RegistrarService::new(Arc::new(desk.clone())));
        let gate = RegistrarGate::new(self.door.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let ended = registrar_gated_server(gate)
                .add_service(service)
                .serve_with_incoming_shutdown(listener.incoming(), stop.cancelled_owned())
                .await;
            if let Err(error) = ended {
                tracing::error!(%error, "the registrar's service ended");
            }
        });
        let (stop, door) = (self.stop.clone(), self.door.clone());
        self.tasks.spawn(async move {
            let mut pause = Duration::ZERO;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let (desk, door) = (Arc::clone(&desk.0), door.clone());
                // The keys may lie in a device, which is waited for.
                let looked = tokio::task::spawn_blocking(move || {
                    door.renew();
                    let goes_on = desk.go_on();
                    desk.state_freshness(false) && goes_on
                });
                let is_well = looked.await.unwrap_or(false);
                pause = if is_well { LOOK } else { FAULT_PAUSE };
            }
        });
    }

    /// The address that members, joiners and administrators reach.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving; what was acknowledged is on disk.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        tokio::time::sleep(STREAM_GRACE).await;
        self.door.connections().cut_all();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

fn open(folder: &Path, passphrase: &UnlockSource, parts: &NodeParts) -> Result<Inner, AdminError> {
    let now = parts.clock.now();
    let root = newest_root(folder, now)?;
    let members_path = folder.join("members.json");
    let roster = newest_list(folder, &root, now)?;
    let passphrase = secret_passphrase(&read_unlock(folder, passphrase)?);
    let authority = folder.join("authority");
    let key = authority_key(&authority.join("issuing.key"), &passphrase)?;
    let freshness_key = if root.freshness_keys().is_empty() {
        None
    } else {
        Some(signing_key(&authority.join("freshness.key"), &passphrase)?)
    };
    let log = freshness_key
        .as_ref()
        .map(|key| MembershipLog::open(folder, &root, &roster, key.key(), now));
    let log = log.transpose()?;
    let mut files = Files::open(folder)?;
    files.keep_to_bounds(&root.administrator_keys());
    let departures = Departures::kept(root.network(), &files.departures()?);
    let issuing = Issuing::open(folder, key, &root)?;
    let trust = TrustHandle::new(root, roster, Arc::clone(&parts.clock));
    trust.recall_departures(&departures);
    remember_former(folder, &trust);
    Ok(Inner {
        folder: folder.to_owned(),
        members_path,
        trust,
        issuing,
        profile: Profiles::embedded()?.renewed,
        freshness_key,
        log,
        clock: Arc::clone(&parts.clock),
        entropy: Arc::clone(&parts.entropy),
        files: Mutex::new(files),
        issued: Mutex::new(Issued::open(folder)?),
        renewed: Mutex::default(),
        nodes: Mutex::new(Nodes::default()),
        news: watch::Sender::new(0),
    })
}
