//! Which records stood in what was published of an identifier, and between which sizes of the
//! feed: what a notice about one of them will have to name.
//!
//! One row per identifier, level and key epoch, with the key of its notices, so that a notice can
//! be posted when the epoch's own key is gone. It is kept for 180 days after nothing stood any
//! more.

use std::collections::BTreeSet;
use std::time::Duration;

use super::FlowError;
use super::draft::Draft;
use super::home::Home;
use crate::crypto::{NoticeKey, Secret, Token};
use crate::domain::{RecordId, Timestamp};
use crate::limits::{FEED_GROUP_LEAVES, NOTICE_DAYS, STOOD_RECORDS_MAX};
use crate::protocol::feed::FeedId;
use crate::protocol::notice::Stretch;
use crate::store::Table;

/// First byte of a row.
const FORMAT: u8 = 1;

/// How long both sides keep what a notice takes.
pub(super) const KEPT: Duration = Duration::from_secs(NOTICE_DAYS * 86_400);

/// What stood in the summaries of one identifier in one feed.
#[derive(Debug)]
pub(super) struct Stood {
    /// When the row may go.
    kept_until: Timestamp,
    /// The key of the identifier's notices in this feed.
    pub(super) key: NoticeKey,
    /// Notices posted under it.
    pub(super) posted: u32,
    /// There were more records than are kept one by one.
    crowded: bool,
    /// The size of the feed at which its newest summary is told.
    moved: u64,
    stretches: Vec<(RecordId, Stretch)>,
}

/// The row of one identifier in one feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    home: &'a Home,
    feed: &'a FeedId,
    canonical: &'a str,
}

/// What stands of an identifier with the newest summary.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// The records on which it rests.
    pub(super) resting: &'a BTreeSet<RecordId>,
    /// The first size of the feed at which it is told.
    pub(super) at: u64,
    /// Whether nobody saw an earlier one in this feed.
    pub(super) first: bool,
}

impl Standing<'_> {
    /// Whether the row says so already.
    pub(super) fn are_those_of(&self, held: Option<&(u64, Stood)>) -> bool {
        held.map_or(self.resting.is_empty(), |(_, stood)| {
            !stood.crowded && stood.open() == *self.resting
        })
    }
}

/// The size from which on a leaf is seen that is the `nth` of those appended at `first`.
pub(super) fn visible_from(first: u64, nth: usize) -> u64 {
    let group = FEED_GROUP_LEAVES as u64;
    let nth = u64::try_from(nth).unwrap_or(u64::MAX);
    first.saturating_add((nth / group + 1).saturating_mul(group))
}

impl<'a> Place<'a> {
    pub(super) const fn of(home: &'a Home, feed: &'a FeedId, canonical: &'a str) -> Self {
        Self {
            home,
            feed,
            canonical,
        }
    }

    fn key(&self) -> Vec<u8> {
        let name = format!("{}\n{}", self.feed.origin(), self.canonical);
        self.home
            .vault
            .row_key(Table::NoticeStood, name.as_bytes())
            .to_vec()
    }

    /// The row as it is, with its revision.
    pub(super) async fn read(&self) -> Result<Option<(u64, Stood)>, FlowError> {
        let row = self
            .home
            .vault
            .read(Table::NoticeStood, &self.key())
            .await?;
        row.map(|row| {
            let stood = Stood::decode(&row.bytes).ok_or(FlowError::Unreadable {
                what: "row of what stood",
            })?;
            Ok((row.revision, stood))
        })
        .transpose()
    }

    /// Stages the row in place of the one read at `revision`.
    pub(super) fn put(&self, draft: &mut Draft, revision: u64, stood: &Stood) {
        draft.put(Table::NoticeStood, &self.key(), revision, stood.encode());
    }

    /// Stages what stands from now on, in place of the row read before.
    pub(super) fn stage(
        &self,
        draft: &mut Draft,
        held: Option<(u64, Stood)>,
        stands: &Standing<'_>,
        token: &Token,
    ) {
        if held.is_none() && stands.resting.is_empty() {
            return;
        }
        let (revision, mut stood) = held.unwrap_or_else(|| (0, Stood::new(NoticeKey::of(token))));
        if stands.first {
            // An opening that was interrupted: nobody saw what it prepared.
            stood.stretches.clear();
        }
        stood.publish(stands);
        let ends = self.home.calendar.ends_at(self.feed.epoch);
        stood.kept_until = stood.over(self.home.clock.now(), ends).plus(KEPT);
        self.put(draft, revision, &stood);
    }
}

impl Stood {
    fn new(key: NoticeKey) -> Self {
        Self {
            kept_until: Timestamp::from_unix_ms(0),
            key,
            posted: 0,
            crowded: false,
            moved: 0,
            stretches: Vec::new(),
        }
    }

    /// The records that stand.
    fn open(&self) -> BTreeSet<RecordId> {
        let open = self.stretches.iter();
        let open = open.filter(|(_, stretch)| stretch.until == Stretch::OPEN);
        open.map(|(record, _)| *record).collect()
    }

    /// Takes what was published.
    fn publish(&mut self, stands: &Standing<'_>) {
        let Standing { resting, at, .. } = stands;
        self.moved = *at;
        let before = self.open();
        for (record, stretch) in &mut self.stretches {
            if stretch.until == Stretch::OPEN && !resting.contains(record) {
                stretch.until = *at;
            }
        }
        for record in resting.difference(&before) {
            if self.stretches.len() >= STOOD_RECORDS_MAX {
                self.crowded = true;
                break;
            }
            let stretch = Stretch {
                from: *at,
                until: Stretch::OPEN,
            };
            self.stretches.push((*record, stretch));
        }
    }

    /// The moment from which on nothing stands.
    fn over(&self, now: Timestamp, ends: Timestamp) -> Timestamp {
        let open = self
            .stretches
            .iter()
            .any(|(_, stretch)| stretch.until == Stretch::OPEN);
        if open || self.crowded {
            now.max(ends)
        } else {
            now
        }
    }

    /// The stretches that a notice about this record is to name: as long as it stands, those until
    /// the newest summary.
    pub(super) fn stretches_of(&self, record: RecordId, stands: bool) -> Vec<Stretch> {
        let own = self.stretches.iter().filter(|(id, _)| *id == record);
        let named: Vec<Stretch> = own
            .map(|(_, stretch)| match stretch.until {
                Stretch::OPEN if stands => Stretch {
                    until: self.moved.max(stretch.from),
                    ..*stretch
                },
                _ => *stretch,
            })
            .filter(|stretch| stretch.from < stretch.until)
            .collect();
        if named.is_empty() && self.crowded {
            return vec![Stretch {
                from: 0,
                until: Stretch::OPEN,
            }];
        }
        named
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        row.extend(self.kept_until.unix_ms().to_be_bytes());
        row.extend(self.key.expose());
        row.extend(self.posted.to_be_bytes());
        row.push(u8::from(self.crowded));
        row.extend(self.moved.to_be_bytes());
        for (record, stretch) in &self.stretches {
            row.extend(record.0.as_bytes());
            row.extend(stretch.from.to_be_bytes());
            row.extend(stretch.until.to_be_bytes());
        }
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let (format, row) = row.split_first()?;
        (*format == FORMAT).then_some(())?;
        let (kept_until, row) = row.split_first_chunk()?;
        let (key, row) = row.split_first_chunk()?;
        let (posted, row) = row.split_first_chunk()?;
        let ([crowded], row) = row.split_first_chunk()?;
        let (moved, row) = row.split_first_chunk()?;
        let (stretches, odd) = row.as_chunks::<32>();
        let stretches = stretches.iter().map(|bytes| {
            let (record, rest) = bytes.split_first_chunk()?;
            let (from, rest) = rest.split_first_chunk()?;
            let stretch = Stretch {
                from: u64::from_be_bytes(*from),
                until: u64::from_be_bytes(rest.try_into().ok()?),
            };
            Some((RecordId(uuid::Uuid::from_bytes(*record)), stretch))
        });
        odd.is_empty().then_some(())?;
        Some(Self {
            kept_until: Timestamp::from_unix_ms(i64::from_be_bytes(*kept_until)),
            key: NoticeKey::from_secret(Secret::from_bytes(*key)),
            posted: u32::from_be_bytes(*posted),
            crowded: *crowded == 1,
            moved: u64::from_be_bytes(*moved),
            stretches: stretches.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> RecordId {
        RecordId(uuid::Uuid::from_bytes([byte; 16]))
    }

    fn publish(stood: &mut Stood, records: &[u8], at: u64) {
        let resting = records.iter().map(|byte| id(*byte)).collect();
        let stands = Standing {
            resting: &resting,
            at,
            first: false,
        };
        stood.publish(&stands);
    }

    #[test]
    fn each_record_stands_from_its_first_summary_to_the_first_without_it() {
        let mut stood = Stood::new(NoticeKey::from_secret(Secret::from_bytes([1; 32])));
        publish(&mut stood, &[1], 16);
        publish(&mut stood, &[1, 2], 32);
        publish(&mut stood, &[2], 40);
        publish(&mut stood, &[1, 2], 48);
        let back = Stood::decode(&stood.encode()).unwrap();
        let spans = |record, stands| -> Vec<(u64, u64)> {
            let stretches = back.stretches_of(id(record), stands);
            stretches.iter().map(|one| (one.from, one.until)).collect()
        };
        assert_eq!(spans(1, false), [(16, 40), (48, Stretch::OPEN)]);
        assert_eq!(spans(2, false), [(32, Stretch::OPEN)]);
        assert_eq!(spans(2, true), [(32, 48)]);
        assert_eq!(spans(3, false), []);
        assert_eq!((visible_from(8, 7), visible_from(8, 8)), (16, 24));
    }

    #[test]
    fn of_too_many_records_each_is_answered_for() {
        let mut stood = Stood::new(NoticeKey::from_secret(Secret::from_bytes([1; 32])));
        let all: BTreeSet<RecordId> = (0..=STOOD_RECORDS_MAX)
            .map(|n| RecordId(uuid::Uuid::from_u128(n as u128)))
            .collect();
        let stands = Standing {
            resting: &all,
            at: 8,
            first: false,
        };
        stood.publish(&stands);
        assert!(stood.encode().len() < crate::limits::STORE_VALUE_BYTES_MAX);
        assert!(
            all.iter()
                .all(|one| !stood.stretches_of(*one, false).is_empty())
        );
    }
}
