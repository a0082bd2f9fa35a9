//! The growing end of a feed: its frontier, its day, and what it last signed.

use super::link::{Anchor, LinkLeaf};
use super::{FeedFault, FeedId, Group, mixed_group};
use crate::domain::{Day, Timestamp};
use crate::env::Entropy;
use crate::limits::{
    CHECKPOINT_INTERVAL_MS, CHECKPOINT_MARGIN_MS, FEED_GROUP_LEAVES, TOP_UP_LEAVES_MAX,
};
use crate::merkle::{Checkpoint, Frontier, Hash, leaf_hash};
use crate::protocol::fields::{Fields, put_sized};
use crate::protocol::leaf::Leaf;

/// First byte of an encoded head.
const FORMAT: u8 = 1;

/// How far a feed is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Takes leaves.
    Open,
    /// Takes only the padding of its last day, then the closing group.
    Winding,
    /// Takes nothing.
    Closed,
}

/// What a node keeps of its own feed, written together with every group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    pub(super) feed: FeedId,
    pub(super) frontier: Frontier,
    /// Leaves of the link and snapshot, with which the feed began.
    snapshot_leaves: u64,
    /// The day whose leaves are being counted; never goes back.
    day: Day,
    /// Leaves published on `day`, padding of groups included.
    pub(super) day_leaves: u64,
    /// Padding that the days before `day` still lack.
    owed: u64,
    /// When the newest checkpoint was signed, and at which size.
    pub(super) signed: Option<(Timestamp, u64)>,
    pub(super) stage: Stage,
}

/// Leaves to write, and the head to write in the same durable step.
#[derive(Debug)]
pub struct AppendPlan {
    /// Position of the first leaf of the first group.
    pub first: u64,
    /// The groups, in the order of the feed.
    pub groups: Vec<Group>,
    /// The head once they are durable.
    pub head: FeedHead,
}

impl FeedHead {
    pub(super) fn empty(feed: FeedId, now: Timestamp) -> Self {
        Self {
            feed,
            frontier: Frontier::new(),
            snapshot_leaves: 0,
            day: now.day(),
            day_leaves: 0,
            owed: 0,
            signed: None,
            stage: Stage::Open,
        }
    }

    pub(super) fn push_snapshot(&mut self, leaf_hash: Hash) -> Result<(), FeedFault> {
        self.frontier.append(leaf_hash)?;
        self.snapshot_leaves = self.frontier.size();
        Ok(())
    }

    /// The feed that this is the head of.
    #[must_use]
    pub const fn feed(&self) -> &FeedId {
        &self.feed
    }

    /// Leaves of the feed.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all leaves of the feed.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Leaves that the feed began with: link, snapshot and its padding.
    #[must_use]
    pub const fn snapshot_leaves(&self) -> u64 {
        self.snapshot_leaves
    }

    /// Whether the closing leaf has been appended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Padding owed for past days, as of the last step.
    #[must_use]
    pub const fn owed(&self) -> u64 {
        self.owed
    }

    /// Appends leaves: whole groups, filled up with random leaves, in random order within each
    /// group. No leaves give no group. Padding owed for the day before never delays them.
    ///
    /// # Errors
    /// [`FeedFault::Closed`] once [`Self::wind_down`] was called, [`FeedFault::Entropy`] where
    /// there are no random bytes.
    pub fn append(
        &self,
        leaves: &[Leaf],
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<AppendPlan, FeedFault> {
        if self.stage != Stage::Open {
            return Err(FeedFault::Closed);
        }
        let mut head = self.clone();
        head.turn_day(now);
        let groups = leaves
            .chunks(FEED_GROUP_LEAVES)
            .map(|leaves| mixed_group(leaves, entropy))
            .collect::<Result<Vec<_>, _>>()?;
        head.day_leaves = head.day_leaves.saturating_add(leaves_in(&groups));
        self.planned(groups, head)
    }

    /// The next slice of the padding that past days lack of a multiple of [`FeedId::day_leaves`]:
    /// at most [`TOP_UP_LEAVES_MAX`] leaves, so that it never stands long before a leaf that
    /// matters.
    /// `None` where none is owed.
    ///
    /// # Errors
    /// [`FeedFault::Entropy`] where there are no random bytes.
    pub fn top_up(
        &self,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Option<AppendPlan>, FeedFault> {
        let mut head = self.clone();
        if self.stage == Stage::Open {
            head.turn_day(now);
        }
        let slice = usize::try_from(head.owed)
            .unwrap_or(usize::MAX)
            .min(TOP_UP_LEAVES_MAX);
        if slice == 0 {
            return Ok(None);
        }
        let groups = (0..slice.div_ceil(FEED_GROUP_LEAVES))
            .map(|_| mixed_group(&[], entropy))
            .collect::<Result<Vec<_>, _>>()?;
        head.owed = head.owed.saturating_sub(leaves_in(&groups));
        self.planned(groups, head).map(Some)
    }

    /// Begins the end of the feed: from now on it takes only padding, which is then owed for the
    /// unfinished day too, and the closing group.
    #[must_use]
    pub fn wind_down(&self, now: Timestamp) -> Self {
        let mut head = self.clone();
        if head.stage == Stage::Open {
            head.turn_day(now);
            // The closing group counts to the last day.
            let last_day = head.day_leaves.saturating_add(leaves_in(&[()]));
            head.owed = head.owed.saturating_add(head.lacking(last_day));
            head.day_leaves = 0;
            head.stage = Stage::Winding;
        }
        head
    }

    /// The closing group, whose last leaf names the newest checkpoint of the feed that goes on
    /// (none where the member stops).
    ///
    /// # Errors
    /// [`FeedFault::PaddingOwed`] before the padding is complete, [`FeedFault::Closed`] where the
    /// feed is not winding down, [`FeedFault::LinkForeign`] where `successor` is not a later
    /// epoch's of the same member, [`FeedFault::Entropy`] where there are no random bytes.
    pub fn close(
        &self,
        successor: Option<&Checkpoint>,
        entropy: &dyn Entropy,
    ) -> Result<AppendPlan, FeedFault> {
        if self.stage != Stage::Winding {
            return Err(FeedFault::Closed);
        }
        if self.owed > 0 {
            return Err(FeedFault::PaddingOwed { owed: self.owed });
        }
        let link = LinkLeaf::Last(successor.map(Anchor::of).transpose()?);
        if !link.fits(&self.feed) {
            return Err(FeedFault::LinkForeign);
        }
        let mut group = mixed_group(&[], entropy)?;
        if let Some(last) = group.last_mut() {
            *last = link.to_leaf();
        }
        let mut head = self.clone();
        head.stage = Stage::Closed;
        self.planned(vec![group], head)
    }

    /// Whether a checkpoint must be signed now: the feed has grown, or the newest one nears the
    /// age of ten minutes. A closed feed needs none beyond that of its last leaf.
    #[must_use]
    pub fn checkpoint_due(&self, now: Timestamp) -> bool {
        let Some((signed_at, size)) = self.signed else {
            return true;
        };
        let age_ms = now.unix_ms().saturating_sub(signed_at.unix_ms());
        size != self.size()
            || !self.is_closed() && age_ms >= CHECKPOINT_INTERVAL_MS - CHECKPOINT_MARGIN_MS
    }

    /// The checkpoint to sign now, and the head to write before the signature leaves the node. Its
    /// time is later than that of every checkpoint before, also where the clock went back.
    ///
    /// # Errors
    /// [`FeedFault::Log`] where the moment lies before 1970.
    pub fn checkpoint(&self, now: Timestamp) -> Result<(Checkpoint, Self), FeedFault> {
        let later = |(at, _): (Timestamp, u64)| Timestamp::from_unix_ms(at.unix_ms() + 1);
        let signed_at = self.signed.map_or(now, |signed| now.max(later(signed)));
        let checkpoint = Checkpoint::new(&self.feed.origin(), self.size(), self.root(), signed_at)?;
        let mut head = self.clone();
        head.signed = Some((signed_at, self.size()));
        Ok((checkpoint, head))
    }

    /// For storage; the format is in `docs/protocol.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        put_sized(&mut row, self.feed.origin().as_bytes());
        put_sized(&mut row, &self.frontier.encode());
        row.extend(self.snapshot_leaves.to_be_bytes());
        row.extend(self.day.unix_days().to_be_bytes());
        row.extend(self.day_leaves.to_be_bytes());
        row.extend(self.owed.to_be_bytes());
        let (signed_at, signed_size) = self.signed.unwrap_or_default();
        row.push(u8::from(self.signed.is_some()));
        row.extend(signed_at.unix_ms().to_be_bytes());
        row.extend(signed_size.to_be_bytes());
        row.push(match self.stage {
            Stage::Open => 0,
            Stage::Winding => 1,
            Stage::Closed => 2,
        });
        row
    }

    /// The head that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`FeedFault::HeadDamaged`] where it did not.
    pub fn decode(row: &[u8]) -> Result<Self, FeedFault> {
        Self::read(Fields::of(row)).ok_or(FeedFault::HeadDamaged)
    }

    fn read(mut row: Fields<'_>) -> Option<Self> {
        (row.byte()? == FORMAT).then_some(())?;
        let head = Self {
            feed: row.text()?.parse().ok()?,
            frontier: Frontier::decode(row.sized()?).ok()?,
            snapshot_leaves: row.number()?,
            day: Day::from_unix_days(row.signed()?),
            day_leaves: row.number()?,
            owed: row.number()?,
            signed: {
                let present = row.byte()?;
                let signed = (Timestamp::from_unix_ms(row.signed()?), row.number()?);
                match present {
                    0 => None,
                    1 => Some(signed),
                    _ => return None,
                }
            },
            stage: match row.byte()? {
                0 => Stage::Open,
                1 => Stage::Winding,
                2 => Stage::Closed,
                _ => return None,
            },
        };
        row.end()?;
        Some(head)
    }

    /// Where a new day has begun, what the day before lacks of a multiple is owed from now on.
    fn turn_day(&mut self, now: Timestamp) {
        if now.day() > self.day {
            self.owed = self.owed.saturating_add(self.lacking(self.day_leaves));
            self.day = now.day();
            self.day_leaves = 0;
        }
    }

    /// What a day with `leaves` leaves lacks of a multiple of [`FeedId::day_leaves`]. Notices are
    /// few, so that also a day without any gets its padding there.
    fn lacking(&self, leaves: u64) -> u64 {
        let whole = u64::try_from(self.feed.day_leaves()).unwrap_or(1);
        let least = u64::from(self.feed.notices_generation().is_some());
        leaves.max(least).next_multiple_of(whole) - leaves
    }

    fn planned(&self, groups: Vec<Group>, mut head: Self) -> Result<AppendPlan, FeedFault> {
        for leaf in groups.as_flattened() {
            head.frontier.append(leaf_hash(leaf.bytes()))?;
        }
        Ok(AppendPlan {
            first: self.size(),
            groups,
            head,
        })
    }
}

/// Leaves of so many groups.
fn leaves_in<T>(groups: &[T]) -> u64 {
    u64::try_from(groups.len().saturating_mul(FEED_GROUP_LEAVES)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
