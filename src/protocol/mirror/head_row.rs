//! The head of a mirror as it is stored; `docs/protocol.md` has the format.

use super::fork::SeenCheckpoint;
use super::{MirrorFault, MirrorHead};
use super::{days, faults};
use crate::merkle::Frontier;
use crate::protocol::feed::FeedId;
use crate::protocol::fields::{Fields, put_sized};

/// First byte of an encoded head.
const FORMAT: u8 = 3;

/// First byte of a head that was written before days were noted.
const WITHOUT_DAYS: u8 = 2;

/// First byte of a head that was written before faults were noted.
const WITHOUT_FAULTS: u8 = 1;

impl MirrorHead {
    /// For storage; the format is in `docs/protocol.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        put_sized(&mut row, self.feed.origin().as_bytes());
        put_sized(&mut row, &self.frontier.encode());
        row.push(u8::from(self.closed));
        let notes: Vec<&SeenCheckpoint> = self.checkpoints().collect();
        row.push(u8::from(self.reached.is_some()));
        row.push(u8::try_from(notes.len()).unwrap_or(u8::MAX));
        for seen in notes {
            put_sized(&mut row, seen.note().as_bytes());
        }
        faults::put(&mut row, &self.faults);
        days::put(&mut row, &self.days);
        row
    }

    /// The head that [`Self::encode`] wrote, by this version or an earlier one.
    ///
    /// # Errors
    /// [`MirrorFault::HeadDamaged`] where it did not.
    pub fn decode(row: &[u8]) -> Result<Self, MirrorFault> {
        Self::read(Fields::of(row)).ok_or(MirrorFault::HeadDamaged)
    }

    fn read(mut row: Fields<'_>) -> Option<Self> {
        let format = row.byte()?;
        (WITHOUT_FAULTS..=FORMAT).contains(&format).then_some(())?;
        let feed: FeedId = row.text()?.parse().ok()?;
        let frontier = Frontier::decode(row.sized()?).ok()?;
        let (closed, has_reached, notes) = (row.byte()?, row.byte()?, row.byte()?);
        let mut ahead = (0..notes)
            .map(|_| SeenCheckpoint::stored(row.text()?, &feed))
            .collect::<Option<Vec<_>>>()?;
        let faults = if format == WITHOUT_FAULTS {
            Vec::new()
        } else {
            faults::read(&mut row)?
        };
        let days = if format <= WITHOUT_DAYS {
            Vec::new()
        } else {
            days::read(&mut row)?
        };
        row.end()?;
        let reached = match has_reached {
            0 => None,
            1 if !ahead.is_empty() => Some(ahead.remove(0)),
            _ => return None,
        };
        let sound = closed <= 1
            && reached
                .as_ref()
                .is_none_or(|seen| seen.size() <= frontier.size())
            && ahead.iter().all(|seen| seen.size() > frontier.size());
        sound.then_some(Self {
            feed,
            frontier,
            closed: closed == 1,
            reached,
            ahead,
            faults,
            days,
        })
    }
}
