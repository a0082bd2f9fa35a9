//! Time as an argument.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// Where time comes from. Waiting goes through `tokio::time`, never through this.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment in UTC: for what is written down, signed or expires.
    fn now(&self) -> Timestamp;

    /// Time since some moment in the past. It only grows, whatever an administrator does to the
    /// wall clock: for ages of connections and for pauses.
    fn uptime(&self) -> Duration;
}

/// The operating system's clocks: the only place that reads them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the system's time"
        )]
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }
}

/// A clock that moves only when told, for simulations and the demo. Clones share one time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    now_unix_ms: AtomicI64,
    uptime_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(Hands {
            now_unix_ms: AtomicI64::new(start.unix_ms()),
            uptime_ms: AtomicU64::new(0),
        }))
    }

    /// Moves both times forward by `step`.
    pub fn advance(&self, step: Duration) {
        let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        self.0.uptime_ms.fetch_add(step_ms, Ordering::SeqCst);
        let step_ms = i64::try_from(step_ms).unwrap_or(i64::MAX);
        self.0.now_unix_ms.fetch_add(step_ms, Ordering::SeqCst);
    }

    /// Sets the wall time forward to `moment`; a moment in the past changes nothing.
    pub fn advance_to(&self, moment: Timestamp) {
        let hand = &self.0.now_unix_ms;
        hand.fetch_max(moment.unix_ms(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.now_unix_ms.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.0.uptime_ms.load(Ordering::SeqCst))
    }
}

/// A wall time that moves only when told, while real time goes on: for plays on real sockets, where
/// a connection is as old as it really is. Clones share one time.
#[derive(Debug, Clone)]
pub struct PlayedClock(ManualClock);

impl PlayedClock {
    /// A clock whose wall time stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(ManualClock::at(start))
    }

    /// Sets the wall time forward to `moment`; a moment in the past changes nothing.
    pub fn advance_to(&self, moment: Timestamp) {
        self.0.advance_to(moment);
    }
}

impl Clock for PlayedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }
}
