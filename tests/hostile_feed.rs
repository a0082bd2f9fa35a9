//! A member that serves a false feed over real sockets and mutual TLS: each of the seven things
//! that can be wrong with a log is refused, named, kept in the mirror's state and shown.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::crypto::IdentityKey;
use creditmesh::domain::{Epoch, Level, MemberId, Timestamp};
use creditmesh::env::{Clock, PlayedClock, SeededEntropy};
use creditmesh::flows::{KeptFork, Mirror};
use creditmesh::limits::{FEED_GROUP_LEAVES, LEAF_BYTES};
use creditmesh::membership::OwnCertificate;
use creditmesh::merkle::Tree;
use creditmesh::net::{Gate, ListenLimits, Listener, NodeTls, TrustHandle, gated_server};
use creditmesh::node::{Core, NodeParts};
use creditmesh::protocol::feed::{FeedHead, FeedId};
use creditmesh::protocol::leaf::{Leaf, flat};
use creditmesh::protocol::mirror::{FaultName, ForkKind};
use creditmesh::wire::pb;
use creditmesh::wire::pb::peer_server::{Peer, PeerServer};
use creditmesh::workload::SimulatedNetwork;
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

const PATIENCE: Duration = Duration::from_secs(30);

const GROUP: u64 = FEED_GROUP_LEAVES as u64;

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// A feed as its member published it.
#[derive(Clone)]
struct Published {
    head: FeedHead,
    leaves: Vec<Leaf>,
    tree: Tree,
    note: String,
    entropy: SeededEntropy,
    now: Timestamp,
    key: Arc<IdentityKey>,
}

impl Published {
    /// Opened with 24 leaves; the seed decides which.
    fn open(feed: &FeedId, key: &Arc<IdentityKey>, now: Timestamp, seed: u64) -> Self {
        let entropy = SeededEntropy::from_seed(seed);
        let snapshot = (0..20).map(|_| Leaf::random(&entropy).unwrap()).collect();
        let opening = FeedHead::open(feed.clone(), None, snapshot, &entropy, now).unwrap();
        let mut published = Self {
            head: opening.head,
            leaves: Vec::new(),
            tree: Tree::with_groups_of(3),
            note: String::new(),
            entropy,
            now,
            key: Arc::clone(key),
        };
        published.keep(&opening.leaves);
        published
    }

    fn keep(&mut self, leaves: &[Leaf]) {
        self.leaves.extend(leaves);
        for group in leaves.chunks(FEED_GROUP_LEAVES) {
            self.tree.append_group(group).unwrap();
        }
        self.sign();
    }

    fn sign(&mut self) {
        self.now = self.now.plus(Duration::from_millis(10));
        let (checkpoint, head) = self.head.checkpoint(self.now).unwrap();
        self.note = checkpoint.sign(&*self.key).unwrap().to_string();
        self.head = head;
    }

    fn publish(&mut self, count: usize) {
        let leaves: Vec<Leaf> = (0..count)
            .map(|_| Leaf::random(&self.entropy).unwrap())
            .collect();
        let plan = self.head.append(&leaves, &self.entropy, self.now).unwrap();
        self.head = plan.head;
        self.keep(plan.groups.as_flattened());
    }

    /// What an honest node sends.
    fn chunk(&self, from: u64, until: u64) -> Result<pb::FeedChunk, Status> {
        let size = self.head.size();
        if from > size {
            return Err(Status::invalid_argument("from: beyond the feed"));
        }
        let end = if until == 0 { size } else { size.min(until) };
        let place = |position: u64| usize::try_from(position).unwrap();
        let consistency = self.tree.consistency(end, size).unwrap();
        Ok(pb::FeedChunk {
            from,
            leaves: flat(&self.leaves[place(from)..place(end)]).into(),
            checkpoint: self.note.clone(),
            consistency: consistency.concat().into(),
        })
    }
}

/// Changes what goes out.
type Trick = fn(&mut pb::FeedChunk);

fn leaves_of(chunk: &mut pb::FeedChunk, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut leaves = chunk.leaves.to_vec();
    edit(&mut leaves);
    chunk.leaves = leaves.into();
}

fn without_first(chunk: &mut pb::FeedChunk, bytes: usize) {
    leaves_of(chunk, |leaves| {
        drop(leaves.drain(..bytes.min(leaves.len())));
    });
}

/// What the hostile member serves at the moment.
#[derive(Clone)]
struct Served {
    published: Published,
    trick: Option<Trick>,
}

/// The hostile member's peer service.
#[derive(Clone)]
struct Hostile {
    network: String,
    epoch: Epoch,
    clock: PlayedClock,
    served: Arc<Mutex<Served>>,
    changed: watch::Sender<u64>,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<pb::FeedChunk, Status>> + Send>>;

impl Hostile {
    /// A chunk as it goes out; only chunks with leaves are tampered with in their leaves.
    fn out(&self, from: u64, until: u64) -> Result<pb::FeedChunk, Status> {
        let served = self.served.lock().unwrap().clone();
        let mut chunk = served.published.chunk(from, until)?;
        if let Some(trick) = served.trick {
            trick(&mut chunk);
        }
        Ok(chunk)
    }

    fn serve(&self, published: &Published, trick: Option<Trick>) {
        *self.served.lock().unwrap() = Served {
            published: published.clone(),
            trick,
        };
        self.changed.send_modify(|count| *count += 1);
    }
}

#[tonic::async_trait]
impl Peer for Hostile {
    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        let size = self.served.lock().unwrap().published.head.size();
        let checkpoint = self.out(size, 0)?.checkpoint;
        let feed = pb::FeedState {
            epoch: self.epoch.0,
            checkpoint,
        };
        Ok(Response::new(pb::DescribeResponse {
            network: self.network.clone(),
            member: "mallory".to_owned(),
            protocol_version: 1,
            list_version: 1,
            now_unix_ms: self.clock.now().unix_ms(),
            feeds: vec![feed],
            ..pb::DescribeResponse::default()
        }))
    }

    async fn evaluate(
        &self,
        _: Request<pb::EvaluateRequest>,
    ) -> Result<Response<pb::EvaluateResponse>, Status> {
        Err(Status::unimplemented("this test asks nothing"))
    }

    async fn relay_trust(
        &self,
        _: Request<pb::RelayTrustRequest>,
    ) -> Result<Response<pb::RelayTrustResponse>, Status> {
        Ok(Response::new(pb::RelayTrustResponse::default()))
    }

    type StreamFeedStream = Chunks;

    async fn stream_feed(
        &self,
        request: Request<pb::StreamFeedRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let mut changed = self.changed.subscribe();
        let wanted = request.into_inner();
        let first = self.out(wanted.from, wanted.until)?;
        let chunks = stream::once(async { Ok(first) });
        if wanted.until > 0 {
            return Ok(Response::new(Box::pin(chunks)));
        }
        // Nothing more until another thing is served.
        let open = chunks.chain(stream::pending());
        let until = async move { changed.changed().await.ok() };
        Ok(Response::new(Box::pin(open.take_until(Box::pin(until)))))
    }
}

/// Alpha, an honest node, beside Mallory.
struct Town {
    network: SimulatedNetwork,
    hostile: Hostile,
    key: Arc<IdentityKey>,
    mallory: TrustHandle,
    server: tokio::task::JoinHandle<()>,
}

impl Town {
    async fn found(dir: &Path) -> Self {
        let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let clock = PlayedClock::at(start);
        let parts = NodeParts::by(clock.clone());
        let id = "test-net".parse().unwrap();
        let mut network = SimulatedNetwork::found(dir, id, "USD".parse().unwrap(), parts).unwrap();
        network.join_lenders(&["alpha", "mallory"]).await.unwrap();
        let folder = network.folder_of(&member("mallory")).unwrap();
        let opened = folder.open().await.unwrap();
        let chain = std::fs::read_to_string(folder.path().join("node.crt")).unwrap();
        let own = opened.own_certificate(&chain).await.unwrap();
        let key = Arc::new(opened.identity().await.unwrap());
        let address = opened.config.listen;
        opened.close().await.unwrap();

        network.start(&member("alpha")).await.unwrap();
        let home = &network.node(&member("alpha")).unwrap().core().home;
        let epoch = home.calendar.current(home.clock.now());
        let feed = FeedId {
            member: member("mallory"),
            level: Level::Full,
            epoch,
        };
        let hostile = Hostile {
            network: home.network().to_string(),
            epoch,
            clock: clock.clone(),
            served: Arc::new(Mutex::new(Served {
                published: Published::open(&feed, &key, start, 1),
                trick: None,
            })),
            changed: watch::Sender::new(0),
        };
        let trust = &home.trust;
        let mallory = TrustHandle::new(
            trust.root().as_ref().clone(),
            trust.roster().as_ref().clone(),
            Arc::new(clock),
        );
        let server = serve(&mallory, &own, address, hostile.clone()).await;
        Self {
            network,
            hostile,
            key,
            mallory,
            server,
        }
    }

    fn core(&self) -> &Core {
        self.network.node(&member("alpha")).unwrap().core()
    }

    fn published(&self) -> Published {
        self.hostile.served.lock().unwrap().published.clone()
    }

    /// Another feed by the same key.
    fn other(&self, seed: u64) -> Published {
        let published = self.published();
        Published::open(published.head.feed(), &self.key, published.now, seed)
    }

    fn mirror(&self) -> Arc<Mirror> {
        let epoch = self.hostile.epoch;
        let mirrors = &self.core().mirrors;
        mirrors.of(&member("mallory"), Level::Full, epoch).unwrap()
    }

    async fn mirrored(&self, size: u64) {
        let mirror = self.mirror();
        let followed = async {
            while mirror.reach().await.unwrap().size != size {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, followed).await.unwrap();
    }

    /// Waits until the mirror's state names this, and nothing else.
    async fn named(&self, name: FaultName) {
        let mirror = self.mirror();
        let named = async {
            loop {
                let faults = mirror.faults().await.unwrap();
                let names: Vec<FaultName> = faults.iter().map(|one| one.name).collect();
                if names == [name] {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let named = tokio::time::timeout(PATIENCE, named).await;
        assert!(named.is_ok(), "{:?}", mirror.faults().await);
    }

    /// What is served is refused and named so; the mirror stays as it was, and `node status` and
    /// `node doctor` show it, also after a start.
    async fn refused(&mut self, published: &Published, trick: Option<Trick>, name: FaultName) {
        let size = self.mirror().reach().await.unwrap().size;
        self.hostile.serve(published, trick);
        self.named(name).await;
        // It comes again and again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.named(name).await;
        assert_eq!(self.mirror().reach().await.unwrap().size, size);
        self.shown(name, true);
        self.network.stop(&member("alpha")).await.unwrap();
        self.network.start(&member("alpha")).await.unwrap();
        self.named(name).await;
    }

    fn shown(&self, name: FaultName, is_now: bool) {
        let folder = self.network.folder_of(&member("alpha")).unwrap().path();
        let word = name.word();
        let told = by_command(folder, "status");
        let peer = &told["peers"][0];
        assert_eq!(peer["faults"][0]["name"], word, "{peer:#}");
        assert_eq!(peer["faults"].as_array().unwrap().len(), 1, "{peer:#}");
        let trouble = peer["trouble"].as_str().unwrap();
        assert_eq!(trouble.starts_with(word), is_now, "{trouble}");
        let told = by_command(folder, "doctor");
        let findings = told["findings"].as_array().unwrap();
        let is_feed = |one: &&Value| one["area"] == "feed" && one["peer"] == "mallory";
        let found: Vec<&Value> = findings.iter().filter(is_feed).collect();
        assert_eq!(found.len(), 1, "{told:#}");
        assert_eq!(found[0]["severity"], "warning");
        assert!(found[0]["says"].as_str().unwrap().starts_with(word));
    }

    /// The true feed is taken again, and what was found stays on record.
    async fn healed(self, published: &Published, name: FaultName) {
        self.hostile.serve(published, None);
        self.mirrored(published.head.size()).await;
        self.shown(name, false);
        self.close().await;
    }

    async fn proofs(&self) -> Vec<KeptFork> {
        self.core().mirrors.forks().list().await.unwrap()
    }

    async fn close(mut self) {
        self.network.stop_all().await.unwrap();
        self.server.abort();
        self.mallory.connections().cut_all();
    }
}

async fn serve(
    trust: &TrustHandle,
    own: &OwnCertificate,
    address: std::net::SocketAddr,
    hostile: Hostile,
) -> tokio::task::JoinHandle<()> {
    let tls = NodeTls::new(trust, own).unwrap();
    let listener = Listener::bind(address, tls, ListenLimits::default());
    let listener = listener.await.unwrap();
    let router = gated_server(Gate::new(trust.clone())).add_service(PeerServer::new(hostile));
    tokio::spawn(async move {
        router.serve_with_incoming(listener.incoming()).await.ok();
    })
}

fn by_command(folder: &Path, verb: &str) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["node", verb, "--json", "--dir"])
        .arg(folder)
        .output()
        .unwrap();
    serde_json::from_slice(&run.stdout).unwrap()
}

/// A town whose alpha has the first 24 leaves, and those with 16 more.
async fn town(dir: &Path) -> (Town, Published) {
    let town = Town::found(dir).await;
    let mut more = town.published();
    town.mirrored(more.head.size()).await;
    more.publish(16);
    (town, more)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_leaf_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut town, more) = town(dir.path()).await;
    let forge: Trick = |chunk| {
        leaves_of(chunk, |leaves| {
            leaves
                .get_mut(3 * LEAF_BYTES + 40)
                .into_iter()
                .for_each(|byte| *byte ^= 1);
        });
    };
    town.refused(&more, Some(forge), FaultName::ForgedLeaf)
        .await;
    town.healed(&more, FaultName::ForgedLeaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_leaf_is_named_alone_and_with_its_group() {
    for drop in [
        (|chunk| without_first(chunk, LEAF_BYTES)) as Trick,
        |chunk| without_first(chunk, FEED_GROUP_LEAVES * LEAF_BYTES),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut town, more) = town(dir.path()).await;
        town.refused(&more, Some(drop), FaultName::DroppedLeaf)
            .await;
        town.healed(&more, FaultName::DroppedLeaf).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reordered_leaves_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut town, more) = town(dir.path()).await;
    let exchange: Trick = |chunk| {
        leaves_of(chunk, |leaves| {
            if leaves.len() > 12 * LEAF_BYTES {
                let (first, last) = leaves.split_at_mut(11 * LEAF_BYTES);
                first[2 * LEAF_BYTES..3 * LEAF_BYTES].swap_with_slice(&mut last[..LEAF_BYTES]);
            }
        });
    };
    town.refused(&more, Some(exchange), FaultName::ReorderedLeaves)
        .await;
    town.healed(&more, FaultName::ReorderedLeaves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_is_named_and_proven() {
    let dir = tempfile::tempdir().unwrap();
    let (mut town, _) = town(dir.path()).await;
    let mut other = town.other(2);
    other.publish(24);
    town.refused(&other, None, FaultName::RewrittenHistory)
        .await;
    let proofs = town.proofs().await;
    let key = town.key.public();
    let kinds: Vec<_> = proofs.iter().map(|one| one.proof.check(&key)).collect();
    assert!(
        format!("{kinds:?}").contains(&format!("{:?}", ForkKind::Rewritten)),
        "{kinds:?}"
    );
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_log_is_named_and_proven() {
    let dir = tempfile::tempdir().unwrap();
    let (mut town, _) = town(dir.path()).await;
    let other = town.other(2);
    assert_eq!(other.head.size(), 3 * GROUP);
    town.refused(&other, None, FaultName::ForkedLog).await;
    assert_eq!(town.proofs().await.len(), 1);
    town.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_log_is_named_whether_it_is_signed_anew_or_not() {
    for signs_anew in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut town, more) = town(dir.path()).await;
        let mut cut = town.published();
        town.hostile.serve(&more, None);
        town.mirrored(more.head.size()).await;
        if signs_anew {
            cut.sign();
            cut.sign();
        }
        town.refused(&cut, None, FaultName::TruncatedLog).await;
        // Two checkpoints that contradict each other prove it to others.
        assert_eq!(town.proofs().await.len(), usize::from(signs_anew));
        town.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut town, more) = town(dir.path()).await;
    let forge: Trick = |chunk| {
        // Another time of signing under the same signature.
        let note = chunk.checkpoint.replacen("signed-at 1", "signed-at 2", 1);
        chunk.checkpoint = note;
    };
    town.refused(&more, Some(forge), FaultName::WrongSignature)
        .await;
    town.healed(&more, FaultName::WrongSignature).await;
}
