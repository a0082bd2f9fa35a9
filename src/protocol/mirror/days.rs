//! On which day a mirror took its leaves: what a member dates itself may be a lie.

use super::MirrorHead;
use crate::domain::Day;
use crate::limits::MIRROR_DAYS_MAX;
use crate::protocol::fields::Fields;

/// The first position that a mirror took on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayMark {
    pub(super) day: Day,
    pub(super) first: u64,
}

impl MirrorHead {
    /// The head with a note that the leaves from `first` on were taken on `day`. Of more than
    /// [`MIRROR_DAYS_MAX`] days the oldest are forgotten.
    #[must_use]
    pub fn taking_on(mut self, day: Day, first: u64) -> Self {
        let goes_on = self.days.last().is_some_and(|mark| mark.day >= day);
        if !goes_on && first < self.size() {
            self.days.push(DayMark { day, first });
        }
        let over = self.days.len().saturating_sub(MIRROR_DAYS_MAX);
        self.days.drain(..over);
        self
    }

    /// The day on which the leaf at a position was taken; `None` where that was before the days
    /// that are remembered.
    #[must_use]
    pub fn taken_on(&self, position: u64) -> Option<Day> {
        let before = self.days.iter().rev();
        let mut before = before.skip_while(|mark| mark.first > position);
        before.next().map(|mark| mark.day)
    }
}

/// The days for storage: their number (1), for each: the days since 1970 (8), the first position
/// (8).
pub(super) fn put(row: &mut Vec<u8>, days: &[DayMark]) {
    row.push(u8::try_from(days.len()).unwrap_or(u8::MAX));
    for mark in days {
        row.extend(mark.day.unix_days().to_be_bytes());
        row.extend(mark.first.to_be_bytes());
    }
}

/// What [`put`] wrote.
pub(super) fn read(row: &mut Fields<'_>) -> Option<Vec<DayMark>> {
    let count = row.byte()?;
    (0..count)
        .map(|_| {
            let day = Day::from_unix_days(row.signed()?);
            let first = row.number()?;
            Some(DayMark { day, first })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mirror::test_peer::Peer;

    #[test]
    fn a_leaf_is_dated_by_the_day_on_which_it_came() {
        let mut peer = Peer::open(1);
        let day = |n: i64| Day::from_unix_days(20_000 + n);
        let mut head = MirrorHead::new(peer.head.feed().clone());
        for n in 0..3 {
            let sent = peer.send(head.size(), 1 << 20);
            head = peer.accepted(&head, &sent).on(day(n)).head;
            peer.publish(8);
        }
        assert_eq!(head.taken_on(0), Some(day(0)));
        assert_eq!(head.taken_on(23), Some(day(0)));
        assert_eq!(head.taken_on(24), Some(day(1)));
        assert_eq!(head.taken_on(head.size() - 1), Some(day(2)));
        let read = MirrorHead::decode(&head.encode()).unwrap();
        assert_eq!(read, head);
        // A clock that went back dates nothing anew, and nothing new is no day.
        let again = head.clone().taking_on(day(1), 30);
        assert_eq!(again, head);
        assert_eq!(head.clone().taking_on(day(9), head.size()), head);
    }

    #[test]
    fn only_the_last_days_are_remembered() {
        let peer = Peer::open(1);
        let mut head = peer.mirrored();
        for n in 0..2 * i64::try_from(MIRROR_DAYS_MAX).unwrap() {
            head = head.taking_on(Day::from_unix_days(n), 8);
        }
        assert_eq!(head.days.len(), MIRROR_DAYS_MAX);
        assert_eq!(head.taken_on(7), None);
        let last = Day::from_unix_days(2 * i64::try_from(MIRROR_DAYS_MAX).unwrap() - 1);
        assert_eq!(head.taken_on(8), Some(last));
        assert_eq!(MirrorHead::decode(&head.encode()).unwrap(), head);
    }
}
