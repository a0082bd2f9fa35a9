//! What a running node trusts: the member list in force and its own certificate, both exchangeable.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::connections::Connections;
use crate::env::Clock;
use crate::limits::{CONNECTION_CUT_AGE, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX};
use crate::membership::{
    ListError, NetworkRoot, OwnCertificate, PeerCertificate, Refusal, Roster, Supersession,
    TlsConfigs, TrustError, VerifiedPeer,
};

/// The member list in force, and the connections that it admits. Clones share both.
#[derive(Debug, Clone)]
pub struct TrustHandle(Arc<Trust>);

#[derive(Debug)]
struct Trust {
    root: NetworkRoot,
    clock: Arc<dyn Clock>,
    roster: ArcSwap<Roster>,
    /// Held while a list is compared with the one in force and put in its place.
    installing: Mutex<()>,
    connections: Connections,
    heard: AtomicU32,
    versions: watch::Sender<u32>,
}

/// What installing a list did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Version of the list now in force.
    pub version: u32,
    /// Whether it is another one than before.
    pub supersession: Supersession,
    /// Connections that were cut, because their peers are no longer admitted.
    pub cut: usize,
}

impl TrustHandle {
    /// Begins with the list that the node has.
    #[must_use]
    pub fn new(root: NetworkRoot, roster: Roster, clock: Arc<dyn Clock>) -> Self {
        let version = roster.version();
        Self(Arc::new(Trust {
            root,
            clock,
            roster: ArcSwap::from_pointee(roster),
            installing: Mutex::new(()),
            connections: Connections::default(),
            heard: AtomicU32::new(version),
            versions: watch::Sender::new(version),
        }))
    }

    /// The network's root.
    #[must_use]
    pub fn root(&self) -> &NetworkRoot {
        &self.0.root
    }

    /// The list in force.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        self.0.roster.load_full()
    }

    /// The clock that decides what is expired.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The connections that are open.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Admits the holder of a certificate by the list in force, now.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, certificate: &PeerCertificate) -> Result<VerifiedPeer, Refusal> {
        self.0.roster.load().admit(certificate, self.0.clock.now())
    }

    /// Puts a newer list in force, and cuts the connections of all whom it no longer admits. The
    /// list in force already is accepted and changes nothing.
    ///
    /// # Errors
    /// [`ListError`]; the list in force then stays.
    pub fn install(&self, text: &str) -> Result<Installed, ListError> {
        let offered = Roster::verify(&self.0.root, text, self.0.clock.now())?;
        let guard = self
            .0
            .installing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let supersession = offered.supersedes(&self.0.roster.load())?;
        let version = offered.version();
        if supersession == Supersession::Newer {
            self.0.roster.store(Arc::new(offered));
        }
        drop(guard);
        self.0.heard.fetch_max(version, Ordering::Relaxed);
        self.0.versions.send_replace(version);
        let admits = |certificate: &PeerCertificate| self.admit(certificate).is_ok();
        let cut = self.0.connections.cut_refused(admits);
        Ok(Installed {
            version,
            supersession,
            cut,
        })
    }

    /// Cuts connections whose peers are no longer admitted (because a certificate or the list
    /// ended) and those that are idle; gives how many. The listener calls it every second.
    #[must_use]
    pub fn sweep(&self) -> usize {
        let now = self.0.clock.uptime();
        let connections = &self.0.connections;
        let admits = |certificate: &PeerCertificate| self.admit(certificate).is_ok();
        connections.cut_refused_after(REFUSED_CONNECTION_MAX, now, admits)
            + connections.cut_idle(IDLE_CONNECTION_MAX, now)
            + connections.cut_old(CONNECTION_CUT_AGE, now)
    }

    /// Takes note of the list version that a peer said it has.
    pub(super) fn hear(&self, version: u32) {
        self.0.heard.fetch_max(version, Ordering::Relaxed);
    }

    /// The highest list version that this node has or heard of from a peer. Where it is above the
    /// version in force, a newer list waits to be fetched. It is hearsay: nothing is refused
    /// because of it.
    #[must_use]
    pub fn newest_heard(&self) -> u32 {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// Follows the version in force.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u32> {
        self.0.versions.subscribe()
    }
}

/// The certificate that this node shows, and the TLS configurations made from it. Clones share
/// both.
#[derive(Debug, Clone)]
pub struct NodeTls(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    trust: TrustHandle,
    current: ArcSwap<Current>,
    generations: AtomicU64,
}

/// One certificate in use.
#[derive(Debug)]
pub(super) struct Current {
    /// Counts exchanges, so that channels notice one.
    pub(super) generation: u64,
    pub(super) leaf: Arc<PeerCertificate>,
    pub(super) configs: TlsConfigs,
}

impl NodeTls {
    /// Begins with the certificate that the node has, even if it is expired: peers then say so.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(trust: &TrustHandle, own: &OwnCertificate) -> Result<Self, TrustError> {
        let current = Current {
            generation: 0,
            leaf: Arc::clone(own.leaf()),
            configs: TlsConfigs::build(trust.root(), own, trust.clock())?,
        };
        Ok(Self(Arc::new(Shown {
            trust: trust.clone(),
            current: ArcSwap::from_pointee(current),
            generations: AtomicU64::new(0),
        })))
    }

    /// Shows another certificate on connections made from now on. Open ones go on; channels to
    /// peers move to fresh connections with their next call.
    ///
    /// # Errors
    /// [`TrustError`] where peers would refuse it; the certificate in use then stays.
    pub fn install(&self, own: &OwnCertificate) -> Result<(), TrustError> {
        let trust = &self.0.trust;
        own.check(trust.root(), trust.clock().now())?;
        let configs = TlsConfigs::build(trust.root(), own, trust.clock())?;
        let generation = self.0.generations.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.current.store(Arc::new(Current {
            generation,
            leaf: Arc::clone(own.leaf()),
            configs,
        }));
        Ok(())
    }

    /// What the certificate in use says.
    #[must_use]
    pub fn certificate(&self) -> Arc<PeerCertificate> {
        Arc::clone(&self.0.current.load().leaf)
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.0.current.load_full()
    }

    pub(super) fn trust(&self) -> &TrustHandle {
        &self.0.trust
    }
}
