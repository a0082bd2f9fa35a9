//! What a running node trusts: the member list in force and its own certificate, both exchangeable.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::connections::Connections;
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::env::Clock;
use crate::limits::{CONNECTION_CUT_AGE, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX};
use crate::membership::{
    Freshness, FreshnessError, ListError, NetworkRoot, OwnCertificate, PeerCertificate, Refusal,
    Roster, Supersession, TlsConfigs, TrustError, VerifiedPeer,
};

/// The member list in force, and the connections that it admits. Clones share both.
#[derive(Debug, Clone)]
pub struct TrustHandle(Arc<Trust>);

#[derive(Debug)]
struct Trust {
    network: NetworkId,
    root: ArcSwap<NetworkRoot>,
    clock: Arc<dyn Clock>,
    roster: ArcSwap<Roster>,
    freshness: ArcSwapOption<Freshness>,
    /// From when this node waits for its first freshness statement.
    began_at: Timestamp,
    /// Held while a document is compared with the one in force and put in its place.
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
            network: root.network().clone(),
            root: ArcSwap::from_pointee(root),
            began_at: clock.now(),
            clock,
            roster: ArcSwap::from_pointee(roster),
            freshness: ArcSwapOption::empty(),
            installing: Mutex::new(()),
            connections: Connections::default(),
            heard: AtomicU32::new(version),
            versions: watch::Sender::new(version),
        }))
    }

    /// The network, which no document changes.
    #[must_use]
    pub fn network(&self) -> &NetworkId {
        &self.0.network
    }

    /// The network's root in force.
    #[must_use]
    pub fn root(&self) -> Arc<NetworkRoot> {
        self.0.root.load_full()
    }

    /// The newest freshness statement, ended or not; its text may be given to whoever asks.
    #[must_use]
    pub fn freshness(&self) -> Option<Arc<Freshness>> {
        self.0.freshness.load_full()
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
        let now = self.0.clock.now();
        self.require_fresh(now)?;
        self.0.roster.load().admit(certificate, now)
    }

    /// As [`Self::admit`], where a certain member was called.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit_as(
        &self,
        wanted: &MemberId,
        certificate: &PeerCertificate,
    ) -> Result<VerifiedPeer, Refusal> {
        let now = self.0.clock.now();
        self.require_fresh(now)?;
        self.0.roster.load().admit_as(wanted, certificate, now)
    }

    /// Checks that this node may call a member now.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn may_call(&self, member: &MemberId) -> Result<(), Refusal> {
        self.require_fresh(self.0.clock.now())?;
        self.0.roster.load().listed(member).map(|_| ())
    }

    /// Checks that the list in force was called the newest lately, where the network asks for that.
    ///
    /// A list that is newer than the one the statement spoke of is as good: it was fetched since.
    ///
    /// # Errors
    /// [`Refusal::NotFresh`].
    pub fn require_fresh(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.0.root.load().freshness_keys().is_empty() {
            return Ok(());
        }
        let held = self.0.freshness.load();
        let since = held
            .as_ref()
            .map_or(self.0.began_at, |held| held.expires_at());
        if held.is_some() && now < since {
            Ok(())
        } else {
            Err(Refusal::NotFresh { since })
        }
    }

    /// Takes a freshness statement about the list in force.
    ///
    /// One that names a newer list is refused until that list is in force; the version then counts
    /// as heard, so that [`Self::newest_heard`] says what to fetch.
    ///
    /// # Errors
    /// [`FreshnessError`]; the statement held then stays.
    pub fn install_freshness(&self, text: &str) -> Result<Arc<Freshness>, FreshnessError> {
        let _guard = self.installing();
        let offered = Freshness::verify(&self.0.root.load(), text, self.0.clock.now())?;
        self.hear(offered.list_version());
        offered.covers(&self.0.roster.load())?;
        if let Some(held) = self.0.freshness.load().as_ref() {
            offered.supersedes(held)?;
        }
        let offered = Arc::new(offered);
        self.0.freshness.store(Some(Arc::clone(&offered)));
        Ok(offered)
    }

    fn installing(&self) -> MutexGuard<'_, ()> {
        let guard = self.0.installing.lock();
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a newer list in force, and cuts the connections of all whom it no longer admits. The
    /// list in force already is accepted and changes nothing.
    ///
    /// # Errors
    /// [`ListError`]; the list in force then stays.
    pub fn install(&self, text: &str) -> Result<Installed, ListError> {
        let guard = self.installing();
        let offered = Roster::verify(&self.0.root.load(), text, self.0.clock.now())?;
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
            configs: TlsConfigs::build(&trust.root(), own, trust.clock())?,
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
        own.check(&trust.root(), trust.clock().now())?;
        let configs = TlsConfigs::build(&trust.root(), own, trust.clock())?;
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

    /// What the node trusts.
    #[must_use]
    pub fn trust(&self) -> &TrustHandle {
        &self.0.trust
    }
}
