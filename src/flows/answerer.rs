//! The answering side: debit and log, then evaluate, then read the tail.

use std::sync::Arc;

use bytes::Bytes;

use super::home::Home;
use super::ledger::quota_name;
use super::{AuditEvent, FlowError, Ledger, LightShelf, OwnFeeds, OwnKeys, Publisher};
use crate::crypto::oprf::Evaluated;
use crate::domain::{Epoch, MemberId, Purpose};
use crate::limits::{ELEMENT_BYTES, EVALUATE_INLINE_MAX, TAIL_LEAVES_MAX};
use crate::membership::{Granted, Rights, Service, VerifiedPeer, Wish};
use crate::net::TrustHandle;
use crate::protocol::answer;
use crate::protocol::feed::FeedId;
use crate::protocol::opening::batch_root;
use crate::protocol::quota::{QuotaAccount, QuotaRow};
use crate::store::Table;
use crate::wire::{
    Description, Evaluation, FeedWanted, LightHead, LightOffer, LightQuestion, Malformed, Question,
};

/// The version of the protocol that this node speaks.
pub(super) const PROTOCOL_VERSION: u32 = 1;

/// Answers what peers ask.
#[derive(Debug, Clone)]
pub struct Answerer {
    home: Arc<Home>,
    keys: Arc<OwnKeys>,
    feeds: Arc<OwnFeeds>,
    ledger: Ledger,
    publisher: Publisher,
    light: Arc<LightShelf>,
}

impl Answerer {
    /// Answers from these keys and feeds.
    #[must_use]
    pub fn new(
        home: Arc<Home>,
        keys: Arc<OwnKeys>,
        feeds: Arc<OwnFeeds>,
        ledger: Ledger,
        publisher: Publisher,
    ) -> Self {
        Self {
            light: Arc::new(LightShelf::new(Arc::clone(&home), Arc::clone(&keys))),
            home,
            keys,
            feeds,
            ledger,
            publisher,
        }
    }

    /// The entries of light mode.
    #[must_use]
    pub const fn light(&self) -> &Arc<LightShelf> {
        &self.light
    }

    /// What this node is and offers to `peer`.
    ///
    /// # Errors
    /// [`FlowError::Denied`], or [`FlowError::Store`] where keys, feeds or quota cannot be read.
    pub async fn describe(&self, peer: &VerifiedPeer) -> Result<Description, FlowError> {
        let home = &self.home;
        let now = home.clock.now();
        let granted = self.granted(peer, Service::Describe, None)?;
        let level = granted.level();
        let mut keys = Vec::new();
        for epoch in home
            .calendar
            .served(now)
            .into_iter()
            .chain(home.calendar.to_announce(now))
        {
            keys.push(self.keys.key(level, epoch).await?.stated.clone());
        }
        let mut checkpoints = Vec::new();
        let whole = |epoch: &Epoch| home.unfenced(*epoch).is_ok();
        for epoch in home.calendar.served(now).into_iter().filter(whole) {
            if let Some(note) = self.feeds.checkpoint(&home.feed(level, epoch)).await? {
                checkpoints.push((epoch, note));
            }
        }
        Ok(Description {
            network: home.network().clone(),
            member: home.member.clone(),
            protocol_version: PROTOCOL_VERSION,
            list_version: u64::from(home.trust.roster().version()),
            now,
            keys,
            checkpoints,
            quota_left: self.quota_left(&granted).await?,
        })
    }

    /// The one decision whether a peer may, and under which terms, now.
    fn granted(
        &self,
        peer: &VerifiedPeer,
        service: Service,
        purpose: Option<Purpose>,
    ) -> Result<Granted, FlowError> {
        let at = self.home.clock.now();
        Ok(peer.may(&Wish {
            service,
            purpose,
            at,
        })?)
    }

    async fn quota_left(&self, granted: &Granted) -> Result<u64, FlowError> {
        let epoch = self.home.calendar.current(self.home.clock.now());
        let name = quota_name(&QuotaAccount::of(granted, epoch, &self.home.calendar));
        let key = self.home.vault.row_key(Table::Quota, name.as_bytes());
        let row = match self.home.vault.read(Table::Quota, &key).await? {
            Some(row) => QuotaRow::decode(&row.bytes)?,
            None => QuotaRow::default(),
        };
        Ok(granted.quota_elements_per_epoch().saturating_sub(row.used))
    }

    /// Evaluates a question and returns the tail of the feed, read after the question arrived.
    ///
    /// # Errors
    /// Refusals ([`FlowError::OverBudget`], [`FlowError::EpochNotLive`],
    /// [`FlowError::Denied`], [`FlowError::Oprf`] for elements that are not sound) and
    /// failures of the store. What is refused before the debit costs no quota.
    pub async fn evaluate(
        &self,
        peer: &VerifiedPeer,
        question: Question,
    ) -> Result<Evaluation, FlowError> {
        let (feed, evaluated) = self.evaluated(peer, &question).await?;
        let (tail, size) = self
            .feeds
            .chunk(&feed, question.mirror_size, TAIL_LEAVES_MAX, None)
            .await?;
        let end = tail.from + leaves_in(&tail.leaves);
        Ok(Evaluation {
            elements: Bytes::from(evaluated.elements),
            proof: evaluated.proof,
            tail,
            truncated: end < size,
        })
    }

    /// Evaluates a question and returns the bucket of each element, read after the question
    /// arrived.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; [`FlowError::NoLightMode`] where this node serves none, or cuts the
    /// feed otherwise by now.
    pub async fn evaluate_light(
        &self,
        peer: &VerifiedPeer,
        wanted: LightQuestion,
    ) -> Result<(LightHead, Vec<Bytes>), FlowError> {
        let granted = self.granted(peer, Service::Evaluate, Some(wanted.question.purpose))?;
        let feed = self.home.feed(granted.level(), wanted.question.epoch);
        let plan = self.light.plan(&feed).await?;
        let plan = plan.filter(|plan| plan.bits == wanted.bits);
        let plan = plan.ok_or(FlowError::NoLightMode)?;
        let (feed, evaluated) = self.evaluated(peer, &wanted.question).await?;
        let (state, checkpoint) = self.feeds.state(&feed).await?;
        let mut buckets = Vec::with_capacity(wanted.buckets.len());
        for bucket in wanted.buckets {
            buckets.push(self.light.bucket(&feed, &plan, (bucket, state)).await?);
        }
        let head = LightHead {
            elements: Bytes::from(evaluated.elements),
            proof: evaluated.proof,
            checkpoint,
            entries: plan.entries,
        };
        Ok((head, buckets))
    }

    /// How this node's feeds are cut for a peer.
    ///
    /// # Errors
    /// [`FlowError::Denied`], [`FlowError::NoLightMode`], or the store's failure.
    pub async fn light_offers(&self, peer: &VerifiedPeer) -> Result<Vec<LightOffer>, FlowError> {
        let granted = self.granted(peer, Service::Describe, None)?;
        if self.home.light.entries.is_none() {
            return Err(FlowError::NoLightMode);
        }
        self.light.offers(granted.level()).await
    }

    /// Debits, logs and evaluates a question; the feed's checkpoint is young afterwards.
    async fn evaluated(
        &self,
        peer: &VerifiedPeer,
        question: &Question,
    ) -> Result<(FeedId, Evaluated), FlowError> {
        let home = &self.home;
        if !home
            .calendar
            .served(home.clock.now())
            .contains(&question.epoch)
        {
            return Err(FlowError::EpochNotLive {
                epoch: question.epoch,
            });
        }
        let granted = self.granted(peer, Service::Evaluate, Some(question.purpose))?;
        home.unfenced(question.epoch)?;
        let feed = home.feed(granted.level(), question.epoch);
        self.check_position("mirror_size", &feed, question.mirror_size)
            .await?;
        let key = self.keys.key(feed.level, feed.epoch).await?;
        let count = question.elements.len() / ELEMENT_BYTES;
        let event = AuditEvent::Answered {
            member: peer.member().clone(),
            level: feed.level,
            epoch: feed.epoch,
            purpose: question.purpose,
            commitment: question.commitment,
            batch: batch_root(&question.elements),
            elements: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let permit = self
            .ledger
            .debit(&granted, question.request_id, event)
            .await?;
        let entropy = Arc::clone(&home.entropy);
        let elements = question.elements.clone();
        let evaluate = move || answer::evaluate(permit, &key.secret, &elements, &*entropy);
        let evaluated = if count <= EVALUATE_INLINE_MAX {
            evaluate()?
        } else {
            let task = tokio::task::spawn_blocking(evaluate);
            task.await.map_err(|_| FlowError::ShuttingDown)??
        };
        if self.feeds.checkpoint_due(&feed).await? {
            self.publisher.refresh().await?;
        }
        Ok((feed, evaluated))
    }

    /// The feed that `peer` may stream, after checking that the epoch is live and the position in
    /// the feed.
    ///
    /// # Errors
    /// [`FlowError::Denied`], [`FlowError::EpochNotLive`] for any other epoch,
    /// [`FlowError::Malformed`] where the position lies beyond the feed, [`FlowError::Store`] where
    /// the feed cannot be read.
    pub async fn feed_for(
        &self,
        peer: &VerifiedPeer,
        wanted: FeedWanted,
    ) -> Result<FeedId, FlowError> {
        let live = self.home.calendar.served(self.home.clock.now());
        if !live.contains(&wanted.epoch) {
            return Err(FlowError::EpochNotLive {
                epoch: wanted.epoch,
            });
        }
        let granted = self.granted(peer, Service::Feed, None)?;
        self.home.unfenced(wanted.epoch)?;
        let feed = self.home.feed(granted.level(), wanted.epoch);
        self.check_position("from", &feed, wanted.from).await?;
        Ok(feed)
    }

    /// Whether a stream that began may go on: the list in force still gives the member this very
    /// feed.
    ///
    /// # Errors
    /// [`FlowError::Denied`], or [`FlowError::NotPossible`] where the member has another level now:
    /// either ends the stream.
    pub fn still_granted(&self, member: &MemberId, feed: &FeedId) -> Result<(), FlowError> {
        let wish = Wish {
            service: Service::Feed,
            purpose: None,
            at: self.home.clock.now(),
        };
        let granted = Rights::decide(&self.home.trust.roster(), member, &wish)?;
        if granted.level() == feed.level {
            return Ok(());
        }
        let level = granted.level();
        Err(FlowError::NotPossible(format!(
            "you are at level {level} now: ask for the feed again"
        )))
    }

    /// This node's own notice feed.
    #[must_use]
    pub fn notice_feed(&self) -> FeedId {
        self.home.notice_feed()
    }

    /// Whether a member that follows the notices is still admitted.
    ///
    /// # Errors
    /// [`FlowError::Denied`], which ends the stream.
    pub fn still_admitted(&self, member: &MemberId) -> Result<(), FlowError> {
        let wish = Wish {
            service: Service::Describe,
            purpose: None,
            at: self.home.clock.now(),
        };
        Rights::decide(&self.home.trust.roster(), member, &wish)?;
        Ok(())
    }

    /// What this node trusts, to be handed on to peers.
    #[must_use]
    pub fn trust(&self) -> &TrustHandle {
        &self.home.trust
    }

    /// The feeds that answers are read from.
    #[must_use]
    pub fn feeds(&self) -> &Arc<OwnFeeds> {
        &self.feeds
    }

    /// Refuses a position behind which the peer cannot be; before the debit, so that it costs no
    /// quota.
    async fn check_position(
        &self,
        field: &'static str,
        feed: &FeedId,
        position: u64,
    ) -> Result<(), FlowError> {
        // A feed that is not open yet is told apart where it is read.
        let size = self.feeds.size(feed).await?.unwrap_or(u64::MAX);
        if position > size {
            let reason = format!("must not be beyond the feed's {size} leaves");
            return Err(Malformed::new(field, reason).into());
        }
        Ok(())
    }

    /// The current key epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.home.calendar.current(self.home.clock.now())
    }
}

/// Leaves in flat bytes.
#[must_use]
pub fn leaves_in(flat: &[u8]) -> u64 {
    u64::try_from(flat.len() / crate::limits::LEAF_BYTES).unwrap_or(u64::MAX)
}
