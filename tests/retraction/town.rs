//! Three members that run the real flows and services over memory stores: two lenders at full
//! level, one at defaults. Calls reach whoever is up, at once; the clock is moved by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use creditmesh::config::built_in_retention;
use creditmesh::crypto::{IdentityKey, KdfCost, Keyring, Secret, Unlock};
use creditmesh::domain::{Bands, Currency, Level, MemberId, Role, Timestamp};
use creditmesh::env::{Clock, SeededEntropy};
use creditmesh::flows::{Answerer, Home, Identities, Retractions, Timing};
use creditmesh::membership::{Member, MintedNetwork, PeerCertificate, Roster, Seat};
use creditmesh::net::{AskedPeers, Gate, PeerChannel, Transport, TrustHandle, local_channel};
use creditmesh::node::Core;
use creditmesh::risk::Policy;
use creditmesh::service::{PeerService, notices_server, peer_server};
use creditmesh::store::{MemoryStore, Vault};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::clock::SimulatedClock;

/// The members and the levels at which they contribute.
pub(crate) const MEMBERS: [(&str, Level); 3] = [
    ("alpha", Level::Full),
    ("beta", Level::Full),
    ("gamma", Level::Defaults),
];

struct Minted {
    network: MintedNetwork,
    keyrings: Vec<Arc<Keyring>>,
    periods: Vec<Period>,
}

/// The list and the members' certificates from a moment on: both count for 90 days.
struct Period {
    from: Timestamp,
    roster: Roster,
    certificates: Vec<Arc<PeerCertificate>>,
}

/// What costs time to make and is the same in every run.
static MINTED: LazyLock<Minted> = LazyLock::new(|| {
    let now = Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap();
    let random = SeededEntropy::from_seed(5);
    let seats: Vec<Seat> = MEMBERS
        .iter()
        .map(|(name, level)| {
            let mut seat = Seat::of(&member(name), Role::Lender, "127.0.0.1:1").unwrap();
            seat.terms.level = *level;
            seat
        })
        .collect();
    let id = "retracting-net".parse().unwrap();
    let mut network = MintedNetwork::mint(&id, Currency::USD, &seats, now, &random).unwrap();
    let mut periods = Vec::new();
    for number in 0..6 {
        let from = now.plus(Duration::from_secs(86_400) * 80 * number);
        network.publish(from, |_| Ok(())).unwrap();
        let mut renewed = |name| network.renew(&member(name), from, &random).unwrap();
        let certificates = MEMBERS.iter().map(|(name, _)| renewed(name));
        periods.push(Period {
            from,
            certificates: certificates.map(|own| Arc::clone(own.leaf())).collect(),
            roster: network.roster.clone(),
        });
    }
    let keyring = |name: &str| {
        let unlock = Unlock::KeyFile(Secret::from_bytes([7; 32]));
        let (ring, _) = Keyring::create(&unlock, name, &random, KdfCost::FLOOR).unwrap();
        Arc::new(ring)
    };
    Minted {
        keyrings: MEMBERS.iter().map(|(name, _)| keyring(name)).collect(),
        network,
        periods,
    }
});

pub(crate) fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// When the network was founded: key epoch 0 begins here.
pub(crate) fn genesis() -> Timestamp {
    MINTED.network.root.calendar().genesis_at
}

/// The network's exposure bands.
pub(crate) fn bands() -> Bands {
    let root = MINTED.network.root.document();
    Bands::of(root.currency, &root.exposure_band_edges_minor).unwrap()
}

type Serving = Arc<Mutex<BTreeMap<MemberId, (Gate, Arc<Answerer>)>>>;

/// One network of the three members.
pub(crate) struct Town {
    pub(crate) clock: SimulatedClock,
    retractions: Retractions,
    seed: u64,
    starts: AtomicU64,
    disks: Vec<MemoryStore>,
    serving: Serving,
    running: Vec<Option<Core>>,
}

/// Each node reaches the others, and so itself: nothing of a town would ever be let go otherwise.
impl Drop for Town {
    fn drop(&mut self) {
        self.serving.lock().unwrap().clear();
    }
}

impl Town {
    /// A network in which nobody runs yet.
    pub(crate) fn new(seed: u64, begin: Timestamp, retractions: Retractions) -> Self {
        let disk = |_: &(&str, Level)| MemoryStore::new(&Secret::from_bytes([42; 32]));
        Self {
            clock: SimulatedClock::at(begin),
            retractions,
            seed,
            starts: AtomicU64::new(0),
            disks: MEMBERS.iter().map(disk).collect(),
            serving: Arc::default(),
            running: MEMBERS.iter().map(|_| None).collect(),
        }
    }

    /// Starts a member's node over its rows.
    pub(crate) fn start(&mut self, side: usize) {
        let home = self.home(side);
        let (trust, id) = (home.trust.clone(), home.member.clone());
        let mut core = Core::start(Arc::new(home));
        core.follow_peers();
        let answerer = Arc::clone(&core.answerer);
        let serves = (Gate::new(trust), answerer);
        self.serving.lock().unwrap().insert(id, serves);
        self.running[side] = Some(core);
    }

    /// Takes a member's node away, as a crash does.
    pub(crate) fn stop(&mut self, side: usize) {
        self.serving
            .lock()
            .unwrap()
            .remove(&member(MEMBERS[side].0));
        self.running[side] = None;
    }

    /// A member's node, if it runs.
    pub(crate) fn core(&self, side: usize) -> Option<&Core> {
        self.running[side].as_ref()
    }

    fn home(&self, side: usize) -> Home {
        let minted = &*MINTED;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let now = clock.now();
        let mut periods = minted.periods.iter().rev();
        let period = periods.find(|period| period.from <= now).unwrap();
        let (root, roster) = (minted.network.root.clone(), period.roster.clone());
        let trust = TrustHandle::new(root, roster, Arc::clone(&clock));
        let transport = Lines {
            serving: Arc::clone(&self.serving),
            own: Arc::clone(&period.certificates[side]),
        };
        let mut policy = Policy::built_in(Currency::USD).unwrap();
        policy.show_members = true;
        let id = member(MEMBERS[side].0);
        let identity = IdentityKey::from_seed(&minted.network.members[&id].identity_seed);
        let disk = Arc::new(self.disks[side].reopened());
        let part = self.starts.fetch_add(1, Ordering::SeqCst);
        Home {
            identities: Arc::new(Identities::new(identity, None)),
            member: id,
            peers: AskedPeers::new(Arc::new(transport), Arc::clone(&clock)),
            clock,
            entropy: Arc::new(SeededEntropy::from_seed(self.seed << 8 | part)),
            vault: Vault::new(disk, Arc::clone(&minted.keyrings[side])),
            calendar: trust.root().calendar(),
            trust,
            policy,
            bands: bands(),
            light: creditmesh::flows::LightTerms::default(),
            fence: None,
            retention: built_in_retention().unwrap(),
            timing: Timing {
                retractions: self.retractions,
                ..Timing::default()
            },
        }
    }
}

/// One member's lines to all others.
struct Lines {
    serving: Serving,
    own: Arc<PeerCertificate>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Transport for Lines {
    fn channel(&self, peer: &Member) -> PeerChannel {
        let (serving, own, to) = (
            Arc::clone(&self.serving),
            Arc::clone(&self.own),
            peer.id.clone(),
        );
        BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            let (serving, own, to) = (Arc::clone(&serving), Arc::clone(&own), to.clone());
            async move { carry(&serving, own, &to, request).await }
        }))
    }
}

async fn carry(
    serving: &Serving,
    own: Arc<PeerCertificate>,
    to: &MemberId,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let found = serving.lock().unwrap().get(to).cloned();
    let (gate, answerer) = found.ok_or_else(|| Status::unavailable("nobody is there"))?;
    if request.uri().path().starts_with("/creditmesh.v1.Notices/") {
        let service = gate.layer(notices_server(answerer));
        return local_channel(service, own).oneshot(request).await;
    }
    let service = gate.layer(peer_server(PeerService::new(answerer)));
    local_channel(service, own).oneshot(request).await
}
