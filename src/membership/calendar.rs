//! When key epochs begin, overlap and are announced.

use std::time::Duration;

use crate::domain::{Epoch, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// The network's calendar of key epochs.
///
/// Epoch `n` begins `n × epoch_days` after the genesis, is the *current* one until the next begins,
/// and is still served for `overlap_days` after that. Its public keys are announced `announce_days`
/// before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Start of epoch 0.
    pub genesis_at: Timestamp,
    /// Days of an epoch, at least 1.
    pub epoch_days: u32,
    /// Days for which an epoch is served after the next one began; fewer than `epoch_days`.
    pub overlap_days: u32,
    /// Days before its beginning on which an epoch's keys are announced; fewer than `epoch_days`.
    pub announce_days: u32,
}

impl Calendar {
    /// The current epoch. Before the genesis it is epoch 0.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> Epoch {
        let past_ms = now.since(self.genesis_at).as_millis();
        let epoch_ms = self.days(self.epoch_days).as_millis().max(1);
        Epoch(u32::try_from(past_ms / epoch_ms).unwrap_or(u32::MAX))
    }

    /// When `epoch` begins.
    #[must_use]
    pub fn begins_at(&self, epoch: Epoch) -> Timestamp {
        let days = u64::from(epoch.0).saturating_mul(u64::from(self.epoch_days));
        self.genesis_at
            .plus(Duration::from_secs(days.saturating_mul(DAY.as_secs())))
    }

    /// When `epoch` is served no more, and its mirrors are deleted.
    #[must_use]
    pub fn ends_at(&self, epoch: Epoch) -> Timestamp {
        self.begins_at(epoch.next())
            .plus(self.days(self.overlap_days))
    }

    /// From when on the public keys of `epoch` are announced.
    #[must_use]
    pub fn announced_at(&self, epoch: Epoch) -> Timestamp {
        self.begins_at(epoch).minus(self.days(self.announce_days))
    }

    /// The epochs that are served at `now`, oldest first: the current one, during an overlap also
    /// the one before.
    #[must_use]
    pub fn served(&self, now: Timestamp) -> Vec<Epoch> {
        let current = self.current(now);
        let previous = current
            .previous()
            .filter(|epoch| now < self.ends_at(*epoch));
        previous.into_iter().chain([current]).collect()
    }

    /// The next epoch, once its keys are to be announced.
    #[must_use]
    pub fn to_announce(&self, now: Timestamp) -> Option<Epoch> {
        let next = self.current(now).next();
        (now >= self.announced_at(next)).then_some(next)
    }

    fn days(&self, days: u32) -> Duration {
        DAY.saturating_mul(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar() -> Calendar {
        Calendar {
            genesis_at: Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap(),
            epoch_days: 30,
            overlap_days: 7,
            announce_days: 7,
        }
    }

    fn day(days: u64) -> Timestamp {
        calendar()
            .genesis_at
            .plus(DAY.saturating_mul(u32::try_from(days).unwrap()))
    }

    #[test]
    fn an_epoch_is_served_until_its_overlap_ends() {
        let calendar = calendar();
        assert_eq!(calendar.served(day(0)), [Epoch(0)]);
        assert_eq!(calendar.served(day(29)), [Epoch(0)]);
        assert_eq!(calendar.served(day(30)), [Epoch(0), Epoch(1)]);
        assert_eq!(calendar.served(day(36)), [Epoch(0), Epoch(1)]);
        assert_eq!(calendar.served(day(37)), [Epoch(1)]);
        assert_eq!(calendar.ends_at(Epoch(0)), day(37));
    }

    #[test]
    fn keys_are_announced_seven_days_ahead() {
        let calendar = calendar();
        assert_eq!(calendar.to_announce(day(22)), None);
        assert_eq!(calendar.to_announce(day(23)), Some(Epoch(1)));
        assert_eq!(calendar.to_announce(day(30)), None);
    }

    #[test]
    fn before_the_genesis_the_epoch_is_the_first() {
        let before = calendar().genesis_at.minus(DAY);
        assert_eq!(calendar().current(before), Epoch(0));
    }
}
