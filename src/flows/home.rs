//! Everything that belongs to this node and to no peer: who it is, its keys and store, its time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{FlowError, Identities};
use crate::crypto::IdentityKey;
use crate::domain::{
    Bands, Epoch, LenderGroup, Level, MemberId, NetworkId, Record, RecordId, RetentionPolicy,
    Summarized, SummaryTerms, Timestamp, resting, summarize,
};
use crate::env::{Clock, Entropy};
use crate::limits::NONCE_BYTES;
use crate::membership::{Calendar, Member, Rights};
use crate::merkle::{Checkpoint, Frontier};
use crate::net::{AskedPeers, TrustHandle};
use crate::protocol::feed::FeedId;
use crate::risk::Policy;
use crate::store::Vault;

/// Spans of waiting, all real time.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a publication waits for others to share its group; at most 50 ms.
    pub group_interval: Duration,
    /// How long one peer may take to answer before it counts as silent.
    pub peer_deadline: Duration,
    /// First pause before a broken stream is taken up again; doubles up to a minute.
    pub follow_backoff: Duration,
    /// Only for `tests/simulation.rs`, which shows that the other order loses borrowers.
    #[doc(hidden)]
    pub order: Order,
    /// Only for `tests/retraction.rs`, which shows that it notices what is not published again.
    #[doc(hidden)]
    pub retractions: Retractions,
}

/// Whether a retraction is published. Nodes do; nothing configures this.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retractions {
    /// Invariant 10.
    #[default]
    Published,
    /// What must fail in `tests/retraction.rs`: the summary made before stays.
    Skipped,
}

/// What comes first when an applicant is assessed. Nodes publish first; nothing configures this.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The invariant.
    #[default]
    PublishThenAsk,
    /// What must fail in `tests/simulation.rs`.
    AskThenPublish,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            group_interval: Duration::from_millis(20),
            peer_deadline: Duration::from_millis(1_500),
            follow_backoff: Duration::from_millis(200),
            order: Order::PublishThenAsk,
            retractions: Retractions::Published,
        }
    }
}

/// This node's own side of everything.
#[derive(Debug)]
pub struct Home {
    /// Who this node is.
    pub member: MemberId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The sealed store.
    pub vault: Vault,
    /// The member list in force.
    pub trust: TrustHandle,
    /// The keys of which one signs what this member says.
    pub identities: Arc<Identities>,
    /// The way to peers, one line each.
    pub peers: AskedPeers,
    /// Key epochs of the network.
    pub calendar: Calendar,
    /// Thresholds of the flags.
    pub policy: Policy,
    /// How long records are kept, and how fast disputes are decided.
    pub retention: RetentionPolicy,
    /// The network's exposure bands.
    pub bands: Bands,
    /// The last key epoch in which a restored store may know less than was signed.
    pub fence: Option<Epoch>,
    /// Spans of waiting.
    pub timing: Timing,
    /// Who is asked, and who asks, without a mirror.
    pub light: LightTerms,
}

/// What a configuration says of light mode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LightTerms {
    /// Entries that a bucket of this node's feeds is to have; `None` where it serves none.
    pub entries: Option<u64>,
    /// Peers that are asked without a mirror.
    pub peers: BTreeSet<MemberId>,
}

impl Home {
    /// The network.
    #[must_use]
    pub fn network(&self) -> &NetworkId {
        self.trust.network()
    }

    /// This node's own feed of a level and epoch.
    #[must_use]
    pub fn feed(&self, level: Level, epoch: Epoch) -> FeedId {
        FeedId {
            member: self.member.clone(),
            level,
            epoch,
        }
    }

    /// This node's own notice feed: another one after a restore, of which the store knows all.
    #[must_use]
    pub fn notice_feed(&self) -> FeedId {
        let generation = self.fence.map_or(0, |fence| fence.0.saturating_add(1));
        FeedId::notices(self.member.clone(), generation)
    }

    /// This member's entry in the list in force; `None` where it is not (any more) in it.
    #[must_use]
    pub fn own_entry(&self) -> Option<Arc<Member>> {
        let roster = self.trust.roster();
        roster.member(&self.member).cloned().map(Arc::new)
    }

    /// The key that signs what this member says: the one that the list in force pins.
    #[must_use]
    pub fn identity(&self) -> Arc<IdentityKey> {
        let roster = self.trust.roster();
        let own = roster.member(&self.member);
        self.identities.pinned(own.map(|own| &own.identity_key))
    }

    /// The level under which this member is evaluated.
    #[must_use]
    pub fn level(&self) -> Level {
        let roster = self.trust.roster();
        let own = roster.member(&self.member);
        own.map_or(Level::Defaults, |own| {
            Rights::of(own, roster.version()).level(self.clock.now())
        })
    }

    /// The level under which a peer is evaluated, and its share of the coverage, now.
    #[must_use]
    pub fn standing(&self, peer: &Member) -> (Level, u32) {
        let rights = Rights::of(peer, self.trust.roster().version());
        let now = self.clock.now();
        (rights.level(now), rights.weight(now))
    }

    /// The economic lender that this member belongs to.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the member is not in the list in force.
    pub fn lender_group(&self) -> Result<LenderGroup, FlowError> {
        let own = self.own_entry().ok_or_else(|| {
            FlowError::NotPossible("this member is not in the member list in force".to_owned())
        })?;
        Ok(own.lender_group.clone())
    }

    /// The summary of records at a level, made now, and when it changes by time alone.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the member is not in the list in force.
    pub fn summarized(&self, records: &[Record], level: Level) -> Result<Summarized, FlowError> {
        let own_group = self.lender_group()?;
        Ok(summarize(records, &self.terms(level, &own_group)))
    }

    /// The records on which the summary at a level rests, made now.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the member is not in the list in force.
    pub fn resting(
        &self,
        records: &[Record],
        level: Level,
    ) -> Result<BTreeSet<RecordId>, FlowError> {
        let own_group = self.lender_group()?;
        Ok(resting(records, &self.terms(level, &own_group)))
    }

    /// Whether a test wants these records not to be published again.
    pub(super) fn skips(&self, records: &[Record]) -> bool {
        self.timing.retractions == Retractions::Skipped && records.iter().any(Record::is_retracted)
    }

    fn terms<'a>(&'a self, level: Level, own_group: &'a LenderGroup) -> SummaryTerms<'a> {
        SummaryTerms {
            level,
            network: self.network(),
            own_group,
            bands: &self.bands,
            now: self.clock.now(),
        }
    }

    /// When time alone changes a summary while the feed that tells it is still served.
    #[must_use]
    pub fn changes_within(&self, made: &Summarized, feed: &FeedId) -> Option<Timestamp> {
        let ends = self.calendar.ends_at(feed.epoch);
        made.next_change.filter(|at| *at < ends)
    }

    /// Every member that this node asks, in the order of their ids.
    #[must_use]
    pub fn asked(&self) -> Vec<Arc<Member>> {
        self.trust
            .roster()
            .peers_of(&self.member)
            .cloned()
            .map(Arc::new)
            .collect()
    }

    /// An active peer by its id.
    #[must_use]
    pub fn peer(&self, id: &MemberId) -> Option<Arc<Member>> {
        self.asked().into_iter().find(|peer| peer.id == *id)
    }

    /// The levels at which some other member is evaluated: each has a feed.
    #[must_use]
    pub fn levels_served(&self) -> BTreeSet<Level> {
        let asked = self.asked();
        asked.iter().map(|peer| self.standing(peer).0).collect()
    }

    /// Signs the state of one of this node's logs.
    ///
    /// # Errors
    /// [`FlowError::Log`] where the origin or the clock is not sound.
    pub fn sign_checkpoint(&self, origin: &str, log: &Frontier) -> Result<String, FlowError> {
        let now = self.clock.now();
        let checkpoint = Checkpoint::new(origin, log.size(), log.root(), now)?;
        Ok(checkpoint.sign(&*self.identity())?.to_string())
    }

    /// A random nonce.
    ///
    /// # Errors
    /// [`FlowError::Entropy`].
    pub fn nonce(&self) -> Result<[u8; NONCE_BYTES], FlowError> {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce)?;
        Ok(nonce)
    }
}
