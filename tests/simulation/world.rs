//! A minted network whose replicas run the real flows and services over memory stores, without
//! sockets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use creditmesh::config::built_in_retention;
use creditmesh::crypto::{IdentityKey, KdfCost, Keyring, Secret, Unlock};
use creditmesh::domain::{Bands, Currency, MemberId, Role, Timestamp};
use creditmesh::env::{Clock, SeededEntropy};
use creditmesh::flows::{Book, Desk, Home, Identities, Order, Timing};
use creditmesh::membership::{MintedNetwork, PeerCertificate, Seat};
use creditmesh::net::{AskedPeers, Gate, TrustHandle};
use creditmesh::node::Core;
use creditmesh::risk::Policy;
use creditmesh::service::PeerService;
use creditmesh::store::{MemoryStore, Vault};
use tokio::time::sleep;

use crate::clock::SimulatedClock;
use crate::dice::{Dice, entropy};
use crate::disk::{Crash, FrailStore};
use crate::wires::{SimulatedTransport, Weather, Wires};

/// The members: two lenders that race, and a bystander.
pub(crate) const MEMBERS: [&str; 3] = ["alpha", "beta", "gamma"];

/// What costs time to make and is the same in every run.
pub(crate) struct Minted {
    network: MintedNetwork,
    keyrings: Vec<Arc<Keyring>>,
    certificates: Vec<Arc<PeerCertificate>>,
}

/// The one minted network.
pub(crate) static MINTED: LazyLock<Minted> = LazyLock::new(|| {
    let now = Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap();
    let random = SeededEntropy::from_seed(5);
    let seats: Vec<Seat> = MEMBERS
        .iter()
        .map(|name| Seat::of(&member(name), Role::Lender, "127.0.0.1:1").unwrap())
        .collect();
    let id = "simulated-net".parse().unwrap();
    let network = MintedNetwork::mint(&id, Currency::USD, &seats, now, &random).unwrap();
    let keyring = |name: &&str| {
        let unlock = Unlock::KeyFile(Secret::from_bytes([7; 32]));
        let (ring, _) = Keyring::create(&unlock, name, &random, KdfCost::FLOOR).unwrap();
        Arc::new(ring)
    };
    let certificate = |name: &&str| {
        let own = network.own_certificate(&member(name)).unwrap();
        Arc::clone(own.leaf())
    };
    let keyrings = MEMBERS.iter().map(keyring).collect();
    let certificates = MEMBERS.iter().map(certificate).collect();
    Minted {
        network,
        keyrings,
        certificates,
    }
});

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// When the network was founded: key epoch 0 begins here.
pub(crate) fn genesis() -> Timestamp {
    MINTED.network.root.calendar().genesis_at
}

#[derive(Debug)]
struct Running {
    core: Core,
    store: FrailStore,
}

/// One simulated network.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: SimulatedClock,
    seed: u64,
    order: Order,
    disks: Vec<MemoryStore>,
    wires: Mutex<Arc<Wires>>,
    running: Mutex<BTreeMap<(usize, usize), Running>>,
    starts: AtomicU64,
}

/// How a replica runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conduct {
    /// Whether it follows its peers' feeds.
    pub(crate) follows: bool,
    /// So many of a hundred of its store calls are slow.
    pub(crate) slow_percent: u64,
    /// How long it waits for a peer.
    pub(crate) peer_deadline: Duration,
}

impl World {
    /// A network in which nobody runs, on calm wires.
    pub(crate) fn new(seed: u64, order: Order, clock: SimulatedClock) -> Arc<Self> {
        let disk = |_: &&str| MemoryStore::new(&Secret::from_bytes([42; 32]));
        Arc::new(Self {
            clock,
            seed,
            order,
            disks: MEMBERS.iter().map(disk).collect(),
            wires: Mutex::new(Arc::new(Wires::new(Dice::of(seed, 1), Weather::CALM))),
            running: Mutex::default(),
            starts: AtomicU64::new(100),
        })
    }

    /// Stops everybody; who starts later is on lines with this weather.
    pub(crate) fn stop_all(&self, weather: Weather) {
        self.running.lock().unwrap().clear();
        // Services hold the wires and the wires hold services.
        self.wires.lock().unwrap().unplug_all();
        *self.wires.lock().unwrap() = Arc::new(Wires::new(Dice::of(self.seed, 2), weather));
    }

    /// Starts a replica over its member's rows.
    pub(crate) fn start(&self, side: usize, replica: usize, conduct: Conduct) -> FrailStore {
        let part = self.starts.fetch_add(2, Ordering::SeqCst);
        let dice = Dice::of(self.seed, part);
        let store = FrailStore::over(&self.disks[side], dice, conduct.slow_percent);
        let wires = Arc::clone(&self.wires.lock().unwrap());
        let vault = Vault::new(Arc::new(store.clone()), Arc::clone(&MINTED.keyrings[side]));
        let mut home = self.home(side, part + 1, vault, &wires);
        home.timing.peer_deadline = conduct.peer_deadline;
        let trust = home.trust.clone();
        let mut core = Core::start(Arc::new(home));
        if conduct.follows {
            core.follow_peers();
        }
        let service = PeerService::new(Arc::clone(&core.answerer));
        wires.plug(&member(MEMBERS[side]), replica, Gate::new(trust), service);
        let running = Running {
            core,
            store: store.clone(),
        };
        self.running
            .lock()
            .unwrap()
            .insert((side, replica), running);
        store
    }

    /// Takes a replica away, as a crash does.
    pub(crate) fn kill(&self, side: usize, replica: usize) {
        let wires = Arc::clone(&self.wires.lock().unwrap());
        wires.unplug(&member(MEMBERS[side]), replica);
        self.running.lock().unwrap().remove(&(side, replica));
    }

    /// Lets a running replica crash at a later commit.
    pub(crate) fn arm(&self, side: usize, replica: usize, crash: Option<Crash>) {
        if let Some(running) = self.running.lock().unwrap().get(&(side, replica)) {
            running.store.arm(crash);
        }
    }

    /// The desk of a replica, if it runs.
    pub(crate) fn desk(&self, side: usize, replica: usize) -> Option<Desk> {
        let running = self.running.lock().unwrap();
        Some(running.get(&(side, replica))?.core.desk.clone())
    }

    /// The book of a member as it is on disk, whoever runs.
    pub(crate) fn book(&self, side: usize) -> Book {
        let disk = Arc::new(self.disks[side].reopened());
        Book::new(Vault::new(disk, Arc::clone(&MINTED.keyrings[side])))
    }

    /// Waits until the first replicas of these members mirror one another.
    pub(crate) async fn mirrored(&self, sides: &[usize]) {
        for &side in sides {
            let others = sides.iter().filter(|other| **other != side);
            let others: Vec<MemberId> = others.map(|&other| member(MEMBERS[other])).collect();
            for round in 0.. {
                assert!(round < 2_000, "the members do not mirror one another");
                let (home, mirrors) = {
                    let running = self.running.lock().unwrap();
                    let core = &running[&(side, 0)].core;
                    (Arc::clone(&core.home), Arc::clone(&core.mirrors))
                };
                let mut whole = true;
                for other in &others {
                    for epoch in home.calendar.served(home.clock.now()) {
                        let mirror = mirrors.of(other, home.level(), epoch).unwrap();
                        let reach = mirror.reach().await.unwrap();
                        whole &= reach.size > 0 && reach.size >= reach.checkpoint_size;
                    }
                }
                if whole {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// How many leaves of a lender's newest open feed the other lender's mirror lacks.
    pub(crate) async fn behind(&self, side: usize) -> u64 {
        let (feeds, mirrors, home) = {
            let running = self.running.lock().unwrap();
            let (own, other) = (&running[&(side, 0)].core, &running[&(1 - side, 0)].core);
            let feeds = Arc::clone(own.answerer.feeds());
            (feeds, Arc::clone(&other.mirrors), Arc::clone(&own.home))
        };
        for epoch in home.calendar.served(home.clock.now()).into_iter().rev() {
            let feed = home.feed(home.level(), epoch);
            if let Some(size) = feeds.size(&feed).await.unwrap() {
                let mirror = mirrors.of(&home.member, home.level(), epoch).unwrap();
                return size - mirror.reach().await.unwrap().size.min(size);
            }
        }
        0
    }

    fn home(&self, side: usize, part: u64, vault: Vault, wires: &Arc<Wires>) -> Home {
        let minted = &*MINTED;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let root = minted.network.root.clone();
        let roster = minted.network.roster.clone();
        let trust = TrustHandle::new(root, roster, Arc::clone(&clock));
        let transport = SimulatedTransport {
            wires: Arc::clone(wires),
            own: Arc::clone(&minted.certificates[side]),
        };
        let root = trust.root();
        let document = root.document();
        let currency = document.currency;
        let bands = Bands::of(currency, &document.exposure_band_edges_minor).unwrap();
        let mut policy = Policy::built_in(currency).unwrap();
        policy.show_members = true;
        let calendar = trust.root().calendar();
        let id = member(MEMBERS[side]);
        let seed = &minted.network.members[&id].identity_seed;
        Home {
            identities: Arc::new(Identities::new(IdentityKey::from_seed(seed), None)),
            member: id,
            peers: AskedPeers::new(Arc::new(transport), Arc::clone(&clock)),
            clock,
            entropy: Arc::new(entropy(self.seed, part)),
            vault,
            calendar,
            trust,
            policy,
            retention: built_in_retention().unwrap(),
            bands,
            light: creditmesh::flows::LightTerms::default(),
            fence: None,
            timing: Timing {
                order: self.order,
                ..Timing::default()
            },
        }
    }
}
