//! Members tell each other the newest checkpoints that they saw, so that one who shows two
//! histories is found out by anyone who saw both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::sleep;

use super::forks::Forks;
use super::home::Home;
use super::log_tree::LogTree;
use super::witness::Witness;
use super::{FlowError, Mirrors, OwnFeeds};
use crate::domain::MemberId;
use crate::limits::{
    GOSSIP_FORKS_MAX, GOSSIP_GROWTHS_MAX, GOSSIP_INTERVAL, GOSSIP_NOTE_BYTES_MAX, GOSSIP_NOTES_MAX,
};
use crate::membership::Member;
use crate::merkle::{Checkpoint, SignedNote, verify_consistency};
use crate::protocol::feed::FeedId;
use crate::protocol::fork::{LogFork, LogName};
use crate::protocol::mirror::{Bridge, ForkProof, SeenCheckpoint};
use crate::protocol::witness::LastCosigned;
use crate::store::{Scan, Table};
use crate::wire::Sightings;

/// What this node holds to be the history of a log, as far as it looked: origin, key, checkpoint.
type Seen = BTreeMap<(String, [u8; 32]), LastCosigned>;

/// Compares what members saw.
#[derive(Debug)]
pub struct Gossip {
    home: Arc<Home>,
    mirrors: Arc<Mirrors>,
    feeds: Arc<OwnFeeds>,
    witness: Arc<Witness>,
    forks: Arc<Forks>,
    /// The past sizes of the mirrors compared so far.
    trees: Mutex<BTreeMap<FeedId, Arc<LogTree>>>,
    /// The newest checkpoint of each audit log that was shown to continue those before.
    seen: Mutex<Seen>,
    turn: AtomicUsize,
}

/// How far a checkpoint is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Beside what is remembered.
    AtHand,
    /// Through the leaves of a mirror, and by asking the member for proof.
    Whole,
}

/// The parts of a node that gossip looks at.
#[derive(Debug)]
pub(crate) struct GossipParts {
    pub(crate) home: Arc<Home>,
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) feeds: Arc<OwnFeeds>,
    pub(crate) witness: Arc<Witness>,
}

impl Gossip {
    /// Over these parts.
    #[must_use]
    pub(crate) fn new(parts: GossipParts) -> Self {
        Self {
            forks: Arc::clone(parts.mirrors.forks()),
            home: parts.home,
            mirrors: parts.mirrors,
            feeds: parts.feeds,
            witness: parts.witness,
            trees: Mutex::default(),
            seen: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Exchanges with one peer after the other; ends only when dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            sleep(GOSSIP_INTERVAL).await;
            let peers = self.home.asked();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let Some(peer) = turn.checked_rem(peers.len()).and_then(|at| peers.get(at)) else {
                continue;
            };
            if let Err(error) = self.exchange(peer).await {
                tracing::debug!(peer = %peer.id, %error, "no exchange of checkpoints");
            }
        }
    }

    /// Exchanges with one peer.
    ///
    /// # Errors
    /// [`FlowError::Call`] where the peer does not answer, or the store's failure.
    pub async fn exchange(&self, peer: &Member) -> Result<(), FlowError> {
        let told = self.sightings().await?;
        let deadline = self.home.timing.peer_deadline;
        let seen = self.home.peers.gossip(peer, deadline, told).await?;
        self.take(&peer.id, &seen, Depth::Whole).await
    }

    /// Takes what a peer tells of its own accord, and looks only at what is at hand: who calls sets
    /// a deadline, and must not make this node call others. The rest is looked at when this node
    /// calls.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn hear(&self, from: &MemberId, seen: &Sightings) -> Result<(), FlowError> {
        self.take(from, seen, Depth::AtHand).await
    }

    /// What this node saw, the newest of each log; where that is too much, another part each time.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn sightings(&self) -> Result<Sightings, FlowError> {
        let mut notes = self.feed_notes().await?;
        notes.extend(self.audit_notes().await?);
        notes.retain(|note| note.len() <= GOSSIP_NOTE_BYTES_MAX);
        if notes.len() > GOSSIP_NOTES_MAX {
            let turn = self.turn.load(Ordering::Relaxed);
            let first = turn.wrapping_mul(GOSSIP_NOTES_MAX) % notes.len();
            notes.rotate_left(first);
            notes.truncate(GOSSIP_NOTES_MAX);
        }
        let forks = self.forks.list().await?;
        let newest = forks.iter().rev().take(GOSSIP_FORKS_MAX);
        Ok(Sightings {
            notes,
            forks: newest.map(|fork| fork.proof.to_string()).collect(),
        })
    }

    async fn feed_notes(&self) -> Result<Vec<String>, FlowError> {
        let home = &self.home;
        let mut notes = Vec::new();
        for epoch in home.calendar.served(home.clock.now()) {
            for level in home.levels_served() {
                notes.extend(self.feeds.checkpoint(&home.feed(level, epoch)).await?);
            }
            for peer in home.asked() {
                let mirror = self.mirrors.of(&peer.id, home.level(), epoch)?;
                notes.extend(mirror.newest_note().await?);
            }
        }
        Ok(notes)
    }

    async fn audit_notes(&self) -> Result<Vec<String>, FlowError> {
        let mut notes: Vec<String> = Vec::new();
        for peer in self.home.asked() {
            let seen = self.newest_seen(&peer).await?;
            notes.extend(seen.map(|one| one.note().to_owned()));
        }
        let size = super::AuditReader::new(Arc::clone(&self.home))
            .size()
            .await?;
        if size > 0 {
            let own = self.own_note(size).await?;
            // The cosignatures are for auditors; to compare, the checkpoint is enough.
            let origin = crate::protocol::audit::audit_origin(&self.home.member);
            let own = own.and_then(|own| SignedNote::parse(&own).ok()?.only_of(&origin).ok());
            notes.extend(own.map(|own| own.to_string()));
        }
        Ok(notes)
    }

    async fn own_note(&self, size: u64) -> Result<Option<String>, FlowError> {
        let scan = Scan::prefix(b"audit/", 1);
        let scan = match size.checked_sub(1) {
            Some(before) => scan.behind(&[b"audit/".as_slice(), &before.to_be_bytes()].concat()),
            None => scan,
        };
        let page = self.home.vault.scan(Table::Checkpoint, &scan).await?;
        let note = page.first().map(|(_, row)| row.bytes.to_vec());
        Ok(note.and_then(|note| String::from_utf8(note).ok()))
    }

    /// Judges what another member saw. What is malformed or signed by another key is left out.
    async fn take(&self, from: &MemberId, seen: &Sightings, depth: Depth) -> Result<(), FlowError> {
        for text in &seen.forks {
            let Ok(proof) = text.parse::<LogFork>() else {
                continue;
            };
            self.keep(&proof, from).await?;
        }
        let mut growths = match depth {
            Depth::AtHand => 0,
            Depth::Whole => GOSSIP_GROWTHS_MAX,
        };
        for note in &seen.notes {
            let checkpoint = SignedNote::parse(note).and_then(|note| Checkpoint::stored(&note));
            let Ok(checkpoint) = checkpoint else { continue };
            let judged = match LogName::of(checkpoint.origin()) {
                Some(LogName::Feed(feed)) => self.judge_feed(&feed, note, depth).await,
                Some(LogName::Audit(member)) if member == self.home.member => {
                    self.judge_own(note, &checkpoint).await
                }
                Some(LogName::Audit(member)) => self.judge_audit(&member, note, &mut growths).await,
                None => Ok(None),
            };
            match judged {
                Ok(Some(proof)) => self.keep(&proof, &self.home.member).await?,
                Ok(None) => {}
                Err(error) if error.is_store() => return Err(error),
                Err(error) => tracing::debug!(%error, "a checkpoint could not be compared"),
            }
        }
        Ok(())
    }

    async fn keep(&self, proof: &LogFork, told_by: &MemberId) -> Result<(), FlowError> {
        match self.forks.take(proof, told_by).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_store() => Err(error),
            Err(error) => {
                tracing::debug!(%error, "a fork proof is of no use");
                Ok(())
            }
        }
    }

    /// Compares a feed's checkpoint with the mirror of that feed, where this node keeps one.
    async fn judge_feed(
        &self,
        feed: &FeedId,
        note: &str,
        depth: Depth,
    ) -> Result<Option<LogFork>, FlowError> {
        let home = &self.home;
        let live = home.calendar.served(home.clock.now());
        let Some(peer) = home.peer(&feed.member) else {
            return Ok(None);
        };
        if feed.level != home.level() || !live.contains(&feed.epoch) {
            return Ok(None);
        }
        let Ok(seen) = SeenCheckpoint::open(note, feed, &peer.identity_key) else {
            return Ok(None);
        };
        let mirror = self.mirrors.of(&peer.id, feed.level, feed.epoch)?;
        let head = mirror.head().await?;
        let known = head.checkpoints();
        let told = known.filter_map(|known| ForkProof::of(feed, known, &seen));
        if let Some(proof) = told.into_iter().next() {
            return Ok(Some(proof.into()));
        }
        if depth == Depth::AtHand {
            return Ok(None);
        }
        // A checkpoint behind which this mirror stays is compared where it is behind.
        let mut later = head.checkpoints().filter(|one| one.size() <= head.size());
        let Some(later) = later.find(|one| one.size() >= seen.size()) else {
            return Ok(None);
        };
        let tree = {
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            trees.retain(|feed, _| live.contains(&feed.epoch));
            let fresh = || Arc::new(LogTree::of_mirror(mirror));
            Arc::clone(trees.entry(feed.clone()).or_insert_with(fresh))
        };
        if tree.frontier_at(seen.size()).await?.root() == *seen.root() {
            return Ok(None);
        }
        let growth = tree.growth(seen.size(), later.size()).await?;
        Ok(Some(LogFork {
            origin: feed.origin(),
            smaller: note.to_owned(),
            larger: later.note().to_owned(),
            bridge: Some(Bridge {
                root: growth.old_root,
                consistency: growth.proof,
            }),
        }))
    }

    /// Whoever shows another history of this node's own audit log has the node's key, or the node
    /// went back to an older state.
    async fn judge_own(&self, note: &str, told: &Checkpoint) -> Result<Option<LogFork>, FlowError> {
        let key = self.home.identity().public();
        let opened = SignedNote::parse(note)?;
        if Checkpoint::open(&opened, told.origin(), &key).is_err() {
            return Ok(None);
        }
        let Some(own) = self.own_note(told.size()).await? else {
            let why = format!(
                "others hold a checkpoint of {} entries, more than there are",
                told.size()
            );
            self.forks.doubt(told.origin(), why);
            return Ok(None);
        };
        let held = Checkpoint::stored(&SignedNote::parse(&own)?)?;
        let other = held.size() == told.size() && held.root() != told.root();
        Ok(other.then(|| LogFork {
            origin: told.origin().to_owned(),
            smaller: own,
            larger: note.to_owned(),
            bridge: None,
        }))
    }

    /// Compares a checkpoint of a peer's audit log with the newest one that was seen of it; where
    /// the sizes differ, the peer itself must prove that the one continues the other.
    async fn judge_audit(
        &self,
        member: &MemberId,
        note: &str,
        growths: &mut usize,
    ) -> Result<Option<LogFork>, FlowError> {
        let Some(peer) = self.home.peer(member) else {
            return Ok(None);
        };
        let origin = crate::protocol::audit::audit_origin(member);
        let opened = SignedNote::parse(note)?;
        let Ok(told) = Checkpoint::open(&opened, &origin, &peer.identity_key) else {
            return Ok(None);
        };
        let told = LastCosigned::of(&opened.only_of(&origin)?.to_string(), &told);
        let Some(known) = self.newest_seen(&peer).await? else {
            self.remember(&peer, &origin, told);
            return Ok(None);
        };
        let (smaller, larger) = if told.size() <= known.size() {
            (&told, &known)
        } else {
            (&known, &told)
        };
        let fork = |bridge| LogFork {
            origin: origin.clone(),
            smaller: smaller.note().to_owned(),
            larger: larger.note().to_owned(),
            bridge,
        };
        if smaller.size() == larger.size() {
            return Ok((smaller.root() != larger.root()).then(|| fork(None)));
        }
        let Some(left) = growths.checked_sub(1) else {
            return Ok(None);
        };
        *growths = left;
        let (deadline, sizes) = (
            self.home.timing.peer_deadline,
            (smaller.size(), larger.size()),
        );
        let given = self.home.peers.prove_growth(&peer, deadline, sizes).await?;
        let leads = verify_consistency(
            sizes.0,
            &given.old_root,
            sizes.1,
            larger.root(),
            &given.proof,
        );
        if leads.is_err() {
            let why = format!(
                "it does not prove that {} entries became {}",
                sizes.0, sizes.1
            );
            self.forks.doubt(&origin, why);
            return Ok(None);
        }
        if given.old_root != *smaller.root() {
            return Ok(Some(fork(Some(Bridge {
                root: given.old_root,
                consistency: given.proof,
            }))));
        }
        self.forks.settle(&origin);
        if told.size() > known.size() {
            self.remember(&peer, &origin, told);
        }
        Ok(None)
    }

    /// The newest checkpoint of a peer's audit log that this node holds to be its history.
    async fn newest_seen(&self, peer: &Member) -> Result<Option<LastCosigned>, FlowError> {
        let cosigned = self.witness.last_of(peer).await?;
        let origin = crate::protocol::audit::audit_origin(&peer.id);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.get(&(origin, peer.identity_key)).cloned();
        Ok(cosigned
            .into_iter()
            .chain(seen)
            .max_by_key(LastCosigned::size))
    }

    fn remember(&self, peer: &Member, origin: &str, told: LastCosigned) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // One key at a time signs for a member.
        seen.retain(|(other, key), _| other != origin || *key == peer.identity_key);
        seen.insert((origin.to_owned(), peer.identity_key), told);
    }
}
