//! What a running node trusts: root, member list and freshness in force, each exchangeable.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::connections::Connections;
use super::installed::{Installed, InstalledRoot};
use super::node_tls::Shown;
use super::root_history::RootHistory;
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::env::Clock;
use crate::limits::{
    CONNECTION_CUT_AGE, DEPARTURES_MAX, IDLE_CONNECTION_MAX, REFUSED_CONNECTION_MAX,
};
use crate::membership::{
    DepartureError, Departures, Freshness, FreshnessError, ListError, NetworkRoot, PeerCertificate,
    Refusal, RootError, Roster, Seen, Supersession, VerifiedPeer, leads_to,
};

/// The member list in force, and the connections that it admits. Clones share both.
#[derive(Debug, Clone)]
pub struct TrustHandle(Arc<Trust>);

#[derive(Debug)]
struct Trust {
    network: NetworkId,
    root: ArcSwap<NetworkRoot>,
    history: RootHistory,
    clock: Arc<dyn Clock>,
    roster: ArcSwap<Roster>,
    freshness: ArcSwapOption<Freshness>,
    /// Members that left and of whom no list says so yet; the roster in force has them too.
    departures: ArcSwap<Departures>,
    /// From when this node waits for its first freshness statement.
    began_at: Timestamp,
    /// What was seen; held while a document is compared with the one in force and put in its place.
    installing: Mutex<Seen>,
    memory: Option<Arc<dyn Memory>>,
    /// Whose TLS configurations change with the root.
    followers: Mutex<Vec<Weak<Shown>>>,
    connections: Connections,
    heard: AtomicU32,
    /// Newest checkpoints of membership logs, for peers that ask.
    log_checkpoints: ArcSwap<Vec<String>>,
    versions: watch::Sender<u32>,
}

/// Where a node notes what it has seen, apart from all that a backup restores.
pub trait Memory: fmt::Debug + Send + Sync {
    /// Notes it through to the disk. What is noted is put in force only afterwards.
    ///
    /// # Errors
    /// In words, why it cannot be noted.
    fn note(&self, seen: &Seen) -> Result<(), String>;

    /// Keeps the departures that no list says yet, through to the disk.
    ///
    /// # Errors
    /// In words, why they cannot be kept.
    fn note_departures(&self, departures: &Departures) -> Result<(), String>;
}

/// What taking departures did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Departed {
    /// Who left, of those of whom that was not known.
    pub members: Vec<MemberId>,
    /// Connections that were cut.
    pub cut: usize,
    /// Why others were refused, one sentence each.
    pub refused: Vec<DepartureError>,
}

impl TrustHandle {
    /// Begins with the root and list that the node has, and notes nothing: for tests, and for
    /// whoever keeps nothing.
    #[must_use]
    pub fn new(root: NetworkRoot, roster: Roster, clock: Arc<dyn Clock>) -> Self {
        let seen = Seen::first(&root, &roster);
        Self::begin(root, roster, clock, (seen, None))
    }

    /// Begins with the root and list that the node has, and notes in `memory` what is put in force
    /// later. `seen` is what it has noted already.
    #[must_use]
    pub fn remembering(
        root: NetworkRoot,
        roster: Roster,
        clock: Arc<dyn Clock>,
        seen: Seen,
        memory: Arc<dyn Memory>,
    ) -> Self {
        Self::begin(root, roster, clock, (seen, Some(memory)))
    }

    fn begin(
        root: NetworkRoot,
        roster: Roster,
        clock: Arc<dyn Clock>,
        (seen, memory): (Seen, Option<Arc<dyn Memory>>),
    ) -> Self {
        let version = roster.version();
        Self(Arc::new(Trust {
            network: root.network().clone(),
            history: RootHistory::beginning_with(&root),
            root: ArcSwap::from_pointee(root),
            began_at: clock.now(),
            clock,
            roster: ArcSwap::from_pointee(roster),
            freshness: ArcSwapOption::empty(),
            departures: ArcSwap::default(),
            installing: Mutex::new(seen),
            memory,
            followers: Mutex::default(),
            connections: Connections::default(),
            heard: AtomicU32::new(version),
            log_checkpoints: ArcSwap::default(),
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

    /// The version of the list in force.
    #[must_use]
    pub fn list_version(&self) -> u32 {
        self.0.roster.load().version()
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
        let mut seen = self.installing();
        let offered = Freshness::verify(&self.0.root.load(), text, self.0.clock.now())?;
        self.hear(offered.list_version());
        offered.covers(&self.0.roster.load())?;
        if let Some(held) = self.0.freshness.load().as_ref() {
            offered.supersedes(held)?;
        }
        // The one held before a restart is gone, but not when it was made.
        let floor = seen
            .freshness_issued_at()
            .filter(|_| seen.list_version() >= offered.list_version());
        if let Some(held) = floor.filter(|held| offered.issued_at() < *held) {
            return Err(FreshnessError::RolledBack {
                held,
                offered: offered.issued_at(),
            });
        }
        let next = seen.with_freshness(&offered);
        self.note(&mut seen, next)
            .map_err(|reason| FreshnessError::NotNoted { reason })?;
        let offered = Arc::new(offered);
        self.0.freshness.store(Some(Arc::clone(&offered)));
        Ok(offered)
    }

    /// Puts the next root in force: see [`Self::install_roots`].
    ///
    /// # Errors
    /// [`RootError`]; the root in force then stays.
    pub fn install_root(&self, text: &str) -> Result<InstalledRoot, RootError> {
        self.install_roots(&[text.to_owned()])
    }

    /// Walks from the root in force over `texts`, one version after the other, and puts the last
    /// one in force. Connections made from now on are checked by its root certificates; open ones
    /// go on, and those that lead to none of these are cut.
    ///
    /// # Errors
    /// [`RootError`]; the root in force then stays.
    pub fn install_roots(&self, texts: &[String]) -> Result<InstalledRoot, RootError> {
        let mut seen = self.installing();
        let now = self.0.clock.now();
        let held = self.root();
        let mut walked = NetworkRoot::walk(&held, texts, now)?;
        let Some(next) = walked.pop() else {
            return Ok(InstalledRoot {
                version: held.version(),
                cut: 0,
            });
        };
        let failed = |reason: String| RootError::NotInForce { reason };
        let followers = self.followers();
        let prepared = followers
            .iter()
            .map(|shown| Ok((shown, shown.under(&next)?)))
            .collect::<Result<Vec<_>, crate::membership::TrustError>>()
            .map_err(|error| failed(error.to_string()))?;
        let noted = seen.with_root(&next);
        self.note(&mut seen, noted).map_err(failed)?;
        for (shown, current) in prepared {
            shown.exchange(current);
        }
        let version = next.version();
        self.0.history.add(walked.iter().chain([&next]));
        let next = Arc::new(next);
        self.0.root.store(Arc::clone(&next));
        if let Some(held) = self.freshness().filter(|held| !held.is_signed_under(&next)) {
            tracing::info!(made_at = %held.issued_at(), "freshness key is gone; statement dropped");
            self.0.freshness.store(None);
        }
        drop(seen);
        let cut = self.cut_unrooted();
        Ok(InstalledRoot { version, cut })
    }

    /// Begins with the departures that this machine kept.
    pub fn recall_departures(&self, kept: &Departures) {
        let _guard = self.installing();
        let roster = Roster::clone(&self.roster()).with_departures(kept);
        self.depart(roster);
    }

    fn depart(&self, roster: Roster) {
        self.0
            .departures
            .store(Arc::new(roster.departures().clone()));
        self.0.roster.store(Arc::new(roster));
    }

    /// The departures that no list says yet.
    #[must_use]
    pub fn departures(&self) -> Arc<Departures> {
        self.0.departures.load_full()
    }

    /// Takes members' departures: from then on they are refused, and their connections are cut.
    /// Those that are known already change nothing.
    #[must_use]
    pub fn install_departures(&self, texts: &[String]) -> Departed {
        let mut departed = Departed::default();
        let seen = self.installing();
        let roster = self.roster();
        let now = self.0.clock.now();
        let mut next = roster.departures().clone();
        for text in texts.iter().take(DEPARTURES_MAX) {
            match next.with(&roster, text, now) {
                Ok(Some((more, member))) => {
                    next = more;
                    departed.members.push(member);
                }
                Ok(None) => {}
                Err(error) => departed.refused.push(error),
            }
        }
        if departed.members.is_empty() {
            return departed;
        }
        let memory = self.0.memory.as_ref();
        if let Some(Err(reason)) = memory.map(|memory| memory.note_departures(&next)) {
            departed.members.clear();
            departed.refused.push(DepartureError::NotNoted { reason });
            return departed;
        }
        self.depart(Roster::clone(&roster).with_departures(&next));
        drop(seen);
        self.0.versions.send_replace(roster.version());
        departed.cut = self.cut_refused();
        departed
    }

    fn cut_refused(&self) -> usize {
        let admits = |certificate: &PeerCertificate| self.admit(certificate).is_ok();
        self.0.connections.cut_refused(admits)
    }

    /// The roots that led to the one in force.
    pub(super) fn history(&self) -> &RootHistory {
        &self.0.history
    }

    /// Whether a chain that a peer showed leads to a root certificate of the root in force.
    pub(super) fn leads(&self, chain: &[CertificateDer<'static>]) -> bool {
        leads_to(&self.root(), chain, self.0.clock.now())
    }

    /// Lets TLS configurations change with the root; the caller holds the lock of installing.
    pub(super) fn follow_roots(&self, shown: &Arc<Shown>) {
        let followers = self.0.followers.lock();
        let mut followers = followers.unwrap_or_else(PoisonError::into_inner);
        followers.retain(|one| one.strong_count() > 0);
        followers.push(Arc::downgrade(shown));
    }

    fn followers(&self) -> Vec<Arc<Shown>> {
        let followers = self.0.followers.lock();
        let followers = followers.unwrap_or_else(PoisonError::into_inner);
        followers.iter().filter_map(Weak::upgrade).collect()
    }

    fn note(&self, seen: &mut Seen, next: Seen) -> Result<(), String> {
        if *seen != next {
            if let Some(memory) = &self.0.memory {
                memory.note(&next)?;
            }
            *seen = next;
        }
        Ok(())
    }

    pub(super) fn installing(&self) -> MutexGuard<'_, Seen> {
        let guard = self.0.installing.lock();
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a newer list in force, and cuts the connections of all whom it no longer admits. The
    /// list in force already is accepted and changes nothing. Where it cannot be noted it counts
    /// all the same, until the process ends: a full disk must not keep a removed member in.
    ///
    /// # Errors
    /// [`ListError`]; the list in force then stays.
    pub fn install(&self, text: &str) -> Result<Installed, ListError> {
        let mut seen = self.installing();
        let offered = Roster::verify(&self.0.root.load(), text, self.0.clock.now())?;
        let supersession = offered.supersedes(&self.0.roster.load())?;
        let version = offered.version();
        let next = seen.with_list(&offered);
        let not_noted = self.note(&mut seen, next).err();
        if supersession == Supersession::Newer {
            let held = self.departures();
            self.depart(offered.with_departures(&held));
            self.forget_departures(&held);
        }
        drop(seen);
        self.0.heard.fetch_max(version, Ordering::Relaxed);
        self.0.versions.send_replace(version);
        let cut = self.cut_refused();
        Ok(Installed {
            version,
            supersession,
            cut,
            not_noted,
        })
    }

    /// What the list says now need not be kept besides; where the disk refuses, it stays there.
    fn forget_departures(&self, held: &Departures) {
        let left = self.departures();
        if let Some(memory) = self.0.memory.as_ref().filter(|_| *left != *held)
            && let Err(reason) = memory.note_departures(&left)
        {
            tracing::warn!(reason, "departures that the list says now stay on disk");
        }
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
            + self.cut_left_behind(now)
    }

    /// Takes note of the list version that a peer said it has.
    pub(super) fn hear(&self, version: u32) {
        // Every call says it, and hardly one says something new: reading slows nobody.
        if version <= self.newest_heard() {
            return;
        }
        self.0.heard.fetch_max(version, Ordering::Relaxed);
    }

    /// The highest list version that this node has or heard of from a peer. Where it is above the
    /// version in force, a newer list waits to be fetched. It is hearsay: nothing is refused
    /// because of it.
    #[must_use]
    pub fn newest_heard(&self) -> u32 {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// The newest checkpoints of membership logs that this node saw, for peers that ask.
    #[must_use]
    pub fn log_checkpoints(&self) -> Vec<String> {
        self.0.log_checkpoints.load().as_ref().clone()
    }

    /// Tells peers from now on of these checkpoints.
    pub fn tell_log_checkpoints(&self, notes: Vec<String>) {
        self.0.log_checkpoints.store(Arc::new(notes));
    }

    /// Follows the version in force.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u32> {
        self.0.versions.subscribe()
    }
}
