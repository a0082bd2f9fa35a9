//! Every live connection, by who is at its other end, so that it can be counted and cut.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::cut::Cut;
use super::running::{CallCount, CallPlace};
use crate::domain::{MemberId, OperatorName};
use crate::limits::CONNECTIONS_PER_MEMBER_MAX;
use crate::membership::{OperatorCertificate, PeerCertificate};

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The peer: such connections are capped per member, and closed when idle.
    ByPeer,
    /// This node.
    ByUs,
}

/// A certificate that says who is at the other end of a connection.
pub trait NamesHolder: fmt::Debug + Send + Sync + 'static {
    /// Whose connections are counted together.
    type Name: Ord + Clone + fmt::Debug + fmt::Display + Send + Sync + Unpin + 'static;

    /// Whom it names.
    fn holder(&self) -> &Self::Name;
}

impl NamesHolder for PeerCertificate {
    type Name = MemberId;

    fn holder(&self) -> &MemberId {
        self.member()
    }
}

impl NamesHolder for OperatorCertificate {
    type Name = OperatorName;

    fn holder(&self) -> &OperatorName {
        self.name()
    }
}

/// A member or operator has as many connections to this node as it may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{holder} has {CONNECTIONS_PER_MEMBER_MAX} connections already; it must close one first")]
pub struct TooManyConnections {
    holder: String,
}

/// The connections that are open, by the certificates at their other ends. Clones share them.
#[derive(Debug)]
pub struct Connections<C: NamesHolder = PeerCertificate>(Arc<Registry<C>>);

impl<C: NamesHolder> Clone for Connections<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: NamesHolder> Default for Connections<C> {
    fn default() -> Self {
        Self(Arc::new(Registry {
            next: AtomicU64::new(0),
            live: Mutex::default(),
        }))
    }
}

type Key<C> = (<C as NamesHolder>::Name, u64);

#[derive(Debug)]
struct Registry<C: NamesHolder> {
    next: AtomicU64,
    live: Mutex<BTreeMap<Key<C>, Live<C>>>,
}

#[derive(Debug)]
struct Live<C> {
    connection: PeerConnection<C>,
    chain: Vec<CertificateDer<'static>>,
    opened: Opened,
    /// By the uptime.
    since: Duration,
}

/// One connection as the calls on it see it: the peer's certificate, and what it takes to cut it.
#[derive(Debug)]
pub struct PeerConnection<C = PeerCertificate> {
    certificate: Arc<C>,
    cut: Cut,
    activity: Arc<Activity>,
}

impl<C> Clone for PeerConnection<C> {
    fn clone(&self) -> Self {
        Self {
            certificate: Arc::clone(&self.certificate),
            cut: self.cut.clone(),
            activity: Arc::clone(&self.activity),
        }
    }
}

#[derive(Debug)]
struct Activity {
    calls: AtomicUsize,
    /// Calls on all connections with the same holder.
    of_holder: CallCount,
    /// By the uptime.
    quiet_since_ms: AtomicU64,
}

impl<C> PeerConnection<C> {
    /// The certificate that the peer showed; TLS has checked chain and possession, nobody its
    /// rights.
    #[must_use]
    pub const fn certificate(&self) -> &Arc<C> {
        &self.certificate
    }

    /// What ends the connection.
    pub(super) fn cut_handle(&self) -> Cut {
        self.cut.clone()
    }

    /// A connection without a socket, for calls within one process.
    pub(super) fn local(certificate: Arc<C>) -> Self {
        Self::begin(certificate, CallCount::default(), Duration::ZERO)
    }

    fn begin(certificate: Arc<C>, of_holder: CallCount, now: Duration) -> Self {
        Self {
            certificate,
            cut: Cut::default(),
            activity: Arc::new(Activity {
                calls: AtomicUsize::new(0),
                of_holder,
                quiet_since_ms: AtomicU64::new(whole_ms(now)),
            }),
        }
    }

    /// Marks a call as running until the guard is dropped; `None` where as many calls as
    /// `calls_max` run on all connections with the same holder.
    pub(super) fn begin_call(&self, now: Duration, calls_max: usize) -> Option<RunningCall> {
        let place = self.activity.of_holder.take(calls_max)?;
        self.activity.calls.fetch_add(1, Ordering::Relaxed);
        self.activity
            .quiet_since_ms
            .store(whole_ms(now), Ordering::Relaxed);
        Some(RunningCall {
            activity: Arc::clone(&self.activity),
            _place: place,
        })
    }

    fn is_idle(&self, span: Duration, now: Duration) -> bool {
        let quiet_since_ms = self.activity.quiet_since_ms.load(Ordering::Relaxed);
        self.activity.calls.load(Ordering::Relaxed) == 0
            && Duration::from_millis(quiet_since_ms).saturating_add(span) <= now
    }
}

/// A call that runs on a connection.
#[derive(Debug)]
pub(super) struct RunningCall {
    activity: Arc<Activity>,
    _place: CallPlace,
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.activity.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Keeps a connection registered; dropping it with the connection's stream removes it.
#[derive(Debug)]
pub(super) struct Registration<C: NamesHolder = PeerCertificate> {
    registry: Arc<Registry<C>>,
    key: Key<C>,
    connection: PeerConnection<C>,
}

impl<C: NamesHolder> Registration<C> {
    pub(super) const fn connection(&self) -> &PeerConnection<C> {
        &self.connection
    }

    pub(super) const fn cut(&self) -> &Cut {
        &self.connection.cut
    }
}

impl<C: NamesHolder> Drop for Registration<C> {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
    }
}

impl<C: NamesHolder> Registry<C> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key<C>, Live<C>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: NamesHolder> Connections<C> {
    /// Registers a connection to or from the holder of `certificate`, who showed `chain`.
    ///
    /// # Errors
    /// [`TooManyConnections`] where the member opened as many as it may.
    pub(super) fn register(
        &self,
        certificate: C,
        chain: Vec<CertificateDer<'static>>,
        opened: Opened,
        now: Duration,
    ) -> Result<Registration<C>, TooManyConnections> {
        let holder = certificate.holder().clone();
        let mut live = self.0.lock();
        let of_holder = live.range((holder.clone(), 0)..=(holder.clone(), u64::MAX));
        let by_peer = of_holder
            .filter(|(_, one)| one.opened == Opened::ByPeer)
            .count();
        if opened == Opened::ByPeer && by_peer >= CONNECTIONS_PER_MEMBER_MAX {
            return Err(TooManyConnections {
                holder: holder.to_string(),
            });
        }
        let mut of_holder = live.range((holder.clone(), 0)..=(holder.clone(), u64::MAX));
        let of_holder = of_holder.next();
        let of_holder = of_holder.map(|(_, one)| one.connection.activity.of_holder.clone());
        let certificate = Arc::new(certificate);
        let connection = PeerConnection::begin(certificate, of_holder.unwrap_or_default(), now);
        let key = (holder, self.0.next.fetch_add(1, Ordering::Relaxed));
        live.insert(
            key.clone(),
            Live {
                connection: connection.clone(),
                chain,
                opened,
                since: now,
            },
        );
        drop(live);
        Ok(Registration {
            registry: Arc::clone(&self.0),
            key,
            connection,
        })
    }

    /// Cuts every connection whose certificate `admits` no longer accepts; gives how many.
    pub(super) fn cut_refused(&self, admits: impl Fn(&C) -> bool) -> usize {
        self.cut_where(|live| !admits(&live.connection.certificate))
    }

    /// Cuts every connection whose chain `leads` no longer accepts, of those that `opened` opened
    /// where it says who; gives how many.
    pub(super) fn cut_unrooted(
        &self,
        opened: Option<Opened>,
        leads: impl Fn(&[CertificateDer<'static>]) -> bool,
    ) -> usize {
        let is_meant = |live: &Live<C>| opened.is_none_or(|by| live.opened == by);
        self.cut_where(|live| is_meant(live) && !leads(&live.chain))
    }

    /// As [`Self::cut_refused`], for connections that are older than `age`: a refused peer has that
    /// long to hear why.
    pub(super) fn cut_refused_after(
        &self,
        age: Duration,
        now: Duration,
        admits: impl Fn(&C) -> bool,
    ) -> usize {
        self.cut_where(|live| {
            live.since.saturating_add(age) <= now && !admits(&live.connection.certificate)
        })
    }

    /// Cuts the connections that peers opened and on which no call ran for `span`; gives how many.
    pub(super) fn cut_idle(&self, span: Duration, now: Duration) -> usize {
        let opened_by_peer = |live: &Live<C>| live.opened == Opened::ByPeer;
        self.cut_where(|live| opened_by_peer(live) && live.connection.is_idle(span, now))
    }

    /// Cuts the connections that peers opened, that are older than `age` and that they did not
    /// leave when they were asked to; gives how many. This bounds every stream, also one that
    /// nobody reads.
    pub(super) fn cut_old(&self, age: Duration, now: Duration) -> usize {
        self.cut_where(|live| live.opened == Opened::ByPeer && live.since.saturating_add(age) < now)
    }

    /// Cuts every connection; gives how many. For a shutdown whose grace is over.
    pub fn cut_all(&self) -> usize {
        self.cut_where(|_| true)
    }

    /// How many connections with this member or operator are open.
    #[must_use]
    pub fn with(&self, holder: &C::Name) -> usize {
        let live = self.0.lock();
        live.range((holder.clone(), 0)..=(holder.clone(), u64::MAX))
            .count()
    }

    /// How many connections with this member or operator are open: opened by it, and by this node.
    #[must_use]
    pub fn by_opener(&self, holder: &C::Name) -> (usize, usize) {
        let live = self.0.lock();
        let of_holder = live.range((holder.clone(), 0)..=(holder.clone(), u64::MAX));
        of_holder.fold((0, 0), |(theirs, ours), (_, one)| match one.opened {
            Opened::ByPeer => (theirs + 1, ours),
            Opened::ByUs => (theirs, ours + 1),
        })
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.lock().len()
    }

    fn cut_where(&self, unwanted: impl Fn(&Live<C>) -> bool) -> usize {
        // Cutting wakes tasks that may drop a registration: do it after the lock is released.
        let cuts: Vec<Cut> = self
            .0
            .lock()
            .values()
            .filter(|live| !live.connection.cut.is_cut() && unwanted(live))
            .map(|live| live.connection.cut.clone())
            .collect();
        for one in &cuts {
            one.cut();
        }
        cuts.len()
    }
}
