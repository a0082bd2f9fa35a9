//! Wall time over the runtime's paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use creditmesh::domain::Timestamp;
use creditmesh::env::Clock;
use tokio::time::Instant;

/// Wall time that passes with the runtime's paused time, and jumps when told.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedClock {
    start: Instant,
    base_ms: Arc<AtomicI64>,
}

impl SimulatedClock {
    /// A clock that shows this moment now.
    pub(crate) fn at(moment: Timestamp) -> Self {
        Self {
            start: Instant::now(),
            base_ms: Arc::new(AtomicI64::new(moment.unix_ms())),
        }
    }

    /// Jumps forward.
    pub(crate) fn jump(&self, span: Duration) {
        let span_ms = i64::try_from(span.as_millis()).unwrap();
        self.base_ms.fetch_add(span_ms, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let base = Timestamp::from_unix_ms(self.base_ms.load(Ordering::SeqCst));
        base.plus(self.start.elapsed())
    }

    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}
