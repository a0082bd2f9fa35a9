//! Mirrors of peers' feeds: leaves kept as they came, checked against signed checkpoints, found by
//! tag.

mod faults;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use tokio::sync::{Mutex, watch};

use super::FlowError;
use super::draft::Draft;
use super::forks::Forks;
use super::home::Home;
use crate::crypto::Token;
use crate::domain::{Day, Epoch, Level, MemberId, Summary, Timestamp};
use crate::limits::{
    FEED_GROUP_LEAVES, HISTORY_LEAVES_MAX, LEAF_BYTES, MIRROR_GROUPS_PER_COMMIT, MIRROR_LEAVES_MAX,
    WATCH_LEAVES,
};
use crate::membership::Member;
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::{Leaf, Tag, leaves_of, tag_of};
use crate::protocol::mirror::{
    Accepted, MirrorFault, MirrorHead, SeenCheckpoint, TagIndex, Tail, find_last,
};
use crate::store::{Scan, StoreError, Table, Vault};
use crate::wire::Chunk;

/// The mirrors that this node keeps, one per peer, level and key epoch.
#[derive(Debug)]
pub struct Mirrors {
    home: Arc<Home>,
    open: SyncMutex<BTreeMap<(MemberId, Level, Epoch), Arc<Mirror>>>,
    /// Changes whenever a mirror has grown.
    grown: Arc<watch::Sender<u64>>,
    forks: Arc<Forks>,
}

/// One mirrored feed.
#[derive(Debug)]
pub struct Mirror {
    home: Arc<Home>,
    feed: FeedId,
    state: Mutex<State>,
    grown: Arc<watch::Sender<u64>>,
    forks: Arc<Forks>,
}

/// What a mirror holds of the holder of a token.
#[derive(Debug)]
pub(super) struct Last {
    /// The number that the next leaf has.
    pub(super) next: u32,
    /// The summary in the last leaf, where there is one.
    pub(super) summary: Option<Summary>,
    /// Leaves that the mirror held at that moment.
    pub(super) size: u64,
    /// The day on which the mirror took that leaf, where it is known.
    pub(super) taken_on: Option<Day>,
}

#[derive(Debug)]
struct State {
    loaded: bool,
    revision: u64,
    head: MirrorHead,
    /// Leaves that the index knows: those of `head` once `loaded`, fewer where a load was cut
    /// short.
    indexed: u64,
    index: TagIndex,
}

/// How far a mirror has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Leaves held.
    pub size: u64,
    /// Leaves that the newest checkpoint names.
    pub checkpoint_size: u64,
    /// When the newest checkpoint was signed.
    pub checkpoint_at: Option<Timestamp>,
}

impl Mirrors {
    /// The mirrors in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            forks: Arc::new(Forks::new(Arc::clone(&home))),
            home,
            open: SyncMutex::default(),
            grown: Arc::new(watch::Sender::new(0)),
        }
    }

    /// What is known here of members that signed two histories.
    #[must_use]
    pub const fn forks(&self) -> &Arc<Forks> {
        &self.forks
    }

    /// Tells whoever looks at mirrors that another replica may have written some.
    pub(super) fn announce(&self) {
        self.grown
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Lets go of what is held in memory of epochs before `first`.
    pub(super) fn forget_before(&self, first: Epoch) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, _, epoch), _| *epoch >= first);
    }

    /// Changes whenever one of the mirrors has grown.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// Lets go of what is held in memory of a feed whose epoch is over.
    pub(super) fn forget(&self, feed: &FeedId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&(feed.member.clone(), feed.level, feed.epoch));
    }

    /// The mirror of a peer's feed at this node's own level.
    ///
    /// # Errors
    /// [`FlowError::Entropy`].
    pub fn of(
        &self,
        peer: &MemberId,
        level: Level,
        epoch: Epoch,
    ) -> Result<Arc<Mirror>, FlowError> {
        let index = TagIndex::with_room_for(0, &*self.home.entropy)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror = open.entry((peer.clone(), level, epoch)).or_insert_with(|| {
            let feed = FeedId {
                member: peer.clone(),
                level,
                epoch,
            };
            let head = MirrorHead::new(feed.clone());
            let state = State {
                loaded: false,
                revision: 0,
                head,
                indexed: 0,
                index,
            };
            Arc::new(Mirror {
                home: Arc::clone(&self.home),
                feed,
                state: Mutex::new(state),
                grown: Arc::clone(&self.grown),
                forks: Arc::clone(&self.forks),
            })
        });
        Ok(Arc::clone(mirror))
    }
}

/// What the keys of a mirror's groups begin with.
pub(super) fn mirror_prefix(vault: &Vault, feed: &FeedId) -> Vec<u8> {
    let key = vault.row_key(Table::MirrorGroup, feed.origin().as_bytes());
    key.first_chunk::<16>()
        .map(|prefix| prefix.to_vec())
        .unwrap_or_default()
}

impl Mirror {
    /// How far the mirror has come.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the mirror cannot be read.
    pub async fn reach(&self) -> Result<Reach, FlowError> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        Ok(reach(&state.head))
    }

    /// What is kept of the mirror beside its leaves.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub(super) async fn head(&self) -> Result<MirrorHead, FlowError> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        Ok(state.head.clone())
    }

    /// The newest signed checkpoint seen of the feed.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub(super) async fn newest_note(&self) -> Result<Option<String>, FlowError> {
        let head = self.head().await?;
        Ok(head.checkpoint().map(|seen| seen.note().to_owned()))
    }

    /// Takes a chunk of the feed: verified, durable, then searchable. Leaves that are held already
    /// are skipped; a chunk that the mirror has overtaken meanwhile changes nothing.
    ///
    /// # Errors
    /// [`FlowError::Mirror`] where the chunk does not hold together with what is held, which is
    /// noted; [`FlowError::Store`] where it cannot be kept.
    pub async fn apply(&self, peer: &Member, chunk: &Chunk) -> Result<Reach, FlowError> {
        let tail = Tail {
            from: chunk.from,
            leaves: &chunk.leaves,
            note: &chunk.checkpoint,
            consistency: &chunk.consistency,
        };
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        loop {
            let accepted = match state.head.accept(&tail, &peer.identity_key, None) {
                Err(MirrorFault::Overtaken { .. }) => return Ok(reach(&state.head)),
                Err(fault) => return Err(self.found(&mut state, fault).await),
                Ok(accepted) => accepted.on(self.home.clock.now().day()),
            };
            if accepted.head.size() > MIRROR_LEAVES_MAX {
                return Err(FlowError::NotPossible(format!(
                    "{} is larger than the {MIRROR_LEAVES_MAX} leaves that a node mirrors",
                    self.feed
                )));
            }
            let leaves = accepted.new_leaves(&tail);
            match self.keep(&state, &accepted, leaves).await {
                Ok(revision) => {
                    index(&mut state.index, accepted.first, leaves)?;
                    state.indexed = accepted.head.size();
                    state.revision = revision;
                    state.head = accepted.head;
                    if !leaves.is_empty() {
                        self.grown
                            .send_modify(|count| *count = count.wrapping_add(1));
                    }
                    return Ok(reach(&state.head));
                }
                Err(FlowError::Store(StoreError::Conflict { .. })) => {
                    state.loaded = false;
                    self.load(&mut state).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes what was accepted durable; gives the revision of the head. Each commit writes the
    /// head, so that of two replicas that take the same leaves one finds the other.
    async fn keep(
        &self,
        state: &State,
        accepted: &Accepted,
        leaves: &[u8],
    ) -> Result<u64, FlowError> {
        let (vault, mut revision) = (&self.home.vault, state.revision);
        if accepted.head == state.head {
            return Ok(revision);
        }
        let mut draft = Draft::default();
        let first = accepted.first / FEED_GROUP_LEAVES as u64;
        for (number, group) in (first..).zip(leaves.chunks(LEAF_BYTES * FEED_GROUP_LEAVES)) {
            if draft.len() >= MIRROR_GROUPS_PER_COMMIT {
                let mut part = std::mem::take(&mut draft);
                let held = state.head.encode();
                part.put(Table::MirrorHead, &self.head_key(), revision, held);
                part.commit(vault).await?;
                revision += 1;
            }
            let key = self.group_key(number);
            let held = vault.read(Table::MirrorGroup, &key).await?;
            let held = held.map_or(0, |row| row.revision);
            draft.put(Table::MirrorGroup, &key, held, group.to_vec());
        }
        let row = accepted.head.encode();
        draft.put(Table::MirrorHead, &self.head_key(), revision, row);
        draft.commit(vault).await?;
        Ok(revision + 1)
    }

    /// The last summary for the holder of `token`, and the number that the next leaf has.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the mirror cannot be read, [`FlowError::NotPossible`] where the
    /// peer published something under this token that is not a summary.
    pub(super) async fn last(&self, token: &Token) -> Result<Last, FlowError> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        let unsound = || FlowError::NotPossible(format!("{} has an unsound leaf", self.feed));
        let last = find_last(token, |tag| state.index.holds(tag)).map_err(|_| unsound())?;
        // Fingerprints may collide: then the number before is the last one.
        for n in last.into_iter().flat_map(|last| (0..=last).rev()) {
            if let Some((position, leaf)) = self.leaf(&state, token, n).await? {
                let plain = leaf.open(token, n, &self.feed).map_err(|_| unsound())?;
                let summary = Summary::decode(&plain).map_err(|_| unsound())?;
                return Ok(Last {
                    next: n.saturating_add(1),
                    summary: Some(summary),
                    size: state.head.size(),
                    taken_on: state.head.taken_on(position),
                });
            }
        }
        Ok(Last {
            next: 0,
            summary: None,
            size: state.head.size(),
            taken_on: None,
        })
    }

    /// Leaves from a position on, the first of a group; some of those that the mirror has.
    ///
    /// # Errors
    /// [`FlowError::Unreadable`] where leaves are missing, or the store's failure.
    pub(super) async fn leaves_from(&self, from: u64) -> Result<Vec<Leaf>, FlowError> {
        let unreadable = || FlowError::Unreadable { what: "mirror" };
        let left = self.reach().await?.size.saturating_sub(from);
        let number = from / FEED_GROUP_LEAVES as u64;
        let scan = Scan {
            prefix: self.prefix(),
            after: number.checked_sub(1).map(|before| self.group_key(before)),
            limit: WATCH_LEAVES / FEED_GROUP_LEAVES,
        };
        let mut leaves = Vec::new();
        let page = self.home.vault.scan(Table::MirrorGroup, &scan).await?;
        for (number, (key, row)) in (number..).zip(page) {
            if key != self.group_key(number) {
                return Err(unreadable());
            }
            leaves.extend(leaves_of(&row.bytes).ok_or_else(unreadable)?);
        }
        leaves.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if leaves.is_empty() && left > 0 {
            return Err(unreadable());
        }
        Ok(leaves)
    }

    /// The last states before number `next` that the peer published for the holder of `token`, the
    /// oldest first, each with its tag; at most [`HISTORY_LEAVES_MAX`].
    ///
    /// # Errors
    /// As [`Self::last`].
    pub(super) async fn history(
        &self,
        token: &Token,
        next: u32,
    ) -> Result<Vec<(Tag, Summary)>, FlowError> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        let unsound = || FlowError::NotPossible(format!("{} has an unsound leaf", self.feed));
        let mut states = Vec::new();
        for n in next.saturating_sub(HISTORY_LEAVES_MAX)..next {
            if let Some((_, leaf)) = self.leaf(&state, token, n).await? {
                let plain = leaf.open(token, n, &self.feed).map_err(|_| unsound())?;
                let summary = Summary::decode(&plain).map_err(|_| unsound())?;
                states.push((leaf.tag(), summary));
            }
        }
        Ok(states)
    }

    /// Leaf number `n` of the holder of a token, and its position.
    async fn leaf(
        &self,
        state: &State,
        token: &Token,
        n: u32,
    ) -> Result<Option<(u64, Leaf)>, FlowError> {
        let tag = tag_of(token, n);
        let unreadable = || FlowError::Unreadable {
            what: "mirrored leaf",
        };
        for position in state.index.candidates(&tag) {
            let key = self.group_key(position / FEED_GROUP_LEAVES as u64);
            let row = self.home.vault.read(Table::MirrorGroup, &key).await?;
            let row = row.ok_or_else(unreadable)?;
            let offset = usize::try_from(position % FEED_GROUP_LEAVES as u64).unwrap_or(0);
            let mut leaves = leaves_of(&row.bytes).ok_or_else(unreadable)?;
            let leaf = leaves.nth(offset).ok_or_else(unreadable)?;
            if leaf.tag() == tag {
                return Ok(Some((position, leaf)));
            }
        }
        Ok(None)
    }

    /// Reads the head and the leaves that the index does not know yet; beside other replicas also
    /// what those wrote meanwhile. Whoever waits for it may stop waiting: what was read stays, and
    /// the next load goes on from there.
    async fn load(&self, state: &mut State) -> Result<(), FlowError> {
        if state.loaded && self.home.vault.replicas().is_alone() {
            return Ok(());
        }
        let row = self
            .home
            .vault
            .read(Table::MirrorHead, &self.head_key())
            .await?;
        let revision = row.as_ref().map_or(0, |row| row.revision);
        if state.loaded && revision == state.revision {
            return Ok(());
        }
        state.loaded = false;
        state.head = match row {
            Some(row) => MirrorHead::decode(&row.bytes)
                .map_err(|_| FlowError::Unreadable { what: "mirror" })?,
            None => MirrorHead::new(self.feed.clone()),
        };
        state.revision = revision;
        if state.head.size() < state.indexed {
            // Another replica forgot the epoch.
            state.index = TagIndex::with_room_for(0, &*self.home.entropy)?;
            state.indexed = 0;
        }
        let group_leaves = FEED_GROUP_LEAVES as u64;
        while state.indexed < state.head.size() {
            let mut next = state.indexed / group_leaves;
            let after = next.checked_sub(1).map(|number| self.group_key(number));
            let scan = Scan {
                prefix: self.prefix(),
                after,
                limit: MIRROR_GROUPS_PER_COMMIT,
            };
            let page = self.home.vault.scan(Table::MirrorGroup, &scan).await?;
            if page.is_empty() {
                return Err(FlowError::Unreadable { what: "mirror" });
            }
            for (_, row) in page {
                if next * group_leaves < state.head.size() {
                    index(&mut state.index, next * group_leaves, &row.bytes)?;
                }
                next += 1;
            }
            state.indexed = state.head.size().min(next * group_leaves);
        }
        state.loaded = true;
        Ok(())
    }

    fn prefix(&self) -> Vec<u8> {
        mirror_prefix(&self.home.vault, &self.feed)
    }

    fn group_key(&self, number: u64) -> Vec<u8> {
        [self.prefix().as_slice(), &number.to_be_bytes()].concat()
    }

    fn head_key(&self) -> Vec<u8> {
        self.home
            .vault
            .row_key(Table::MirrorHead, self.feed.origin().as_bytes())
            .to_vec()
    }
}

fn reach(head: &MirrorHead) -> Reach {
    let checkpoint = head.checkpoint();
    Reach {
        size: head.size(),
        checkpoint_size: checkpoint.map_or(0, SeenCheckpoint::size),
        checkpoint_at: checkpoint.map(SeenCheckpoint::signed_at),
    }
}

/// Notes where the leaves of `flat` are, the first of them at `first`.
fn index(index: &mut TagIndex, first: u64, flat: &[u8]) -> Result<(), FlowError> {
    let leaves = leaves_of(flat).ok_or(FlowError::Unreadable {
        what: "mirrored leaf",
    })?;
    for (position, leaf) in (first..).zip(leaves) {
        index
            .insert(&leaf.tag(), position)
            .map_err(|full| FlowError::NotPossible(full.to_string()))?;
    }
    Ok(())
}
