//! What a process knows of the other processes that use the same rows.

use tokio::sync::watch;

/// The replicas of a node, as one of them sees them. Clones see the same.
#[derive(Debug, Clone)]
pub struct Replicas {
    alone: bool,
    leads: watch::Receiver<bool>,
    wrote: watch::Receiver<u64>,
    ring: watch::Receiver<u64>,
}

/// The wrapped key ring that lies beside the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRing {
    /// How often it was written.
    pub generation: u64,
    /// The ring.
    pub text: String,
}

impl Replicas {
    /// A process that its engine keeps all others away from.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            alone: true,
            leads: watch::channel(true).1,
            wrote: watch::channel(0).1,
            ring: watch::channel(0).1,
        }
    }

    /// A process beside others: whether it leads, how often the others were seen to write, and the
    /// generation of the key ring beside the rows.
    #[must_use]
    pub const fn beside(
        leads: watch::Receiver<bool>,
        wrote: watch::Receiver<u64>,
        ring: watch::Receiver<u64>,
    ) -> Self {
        Self {
            alone: false,
            leads,
            wrote,
            ring,
        }
    }

    /// Whether no other process can use the rows: what was read of them stays true until this one
    /// writes.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether this is the process that does what one of them does. For a moment two may think so;
    /// what they write is decided by revisions as ever.
    #[must_use]
    pub fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Waits until this process leads, or until it does not.
    pub async fn until(&self, leads: bool) {
        let mut seen = self.leads.clone();
        if seen.wait_for(|now| *now == leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Changes with what others write, a moment after they did; always 0 where there are none.
    #[must_use]
    pub fn others_wrote(&self) -> u64 {
        *self.wrote.borrow()
    }

    /// Waits until others wrote something after `seen`; gives the number that stands for it.
    pub async fn others_wrote_after(&self, seen: u64) -> u64 {
        let mut wrote = self.wrote.clone();
        let changed = wrote.wait_for(|now| *now != seen).await.map(|now| *now);
        match changed {
            Ok(now) => now,
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the key ring beside the rows is of another generation than `seen`; gives it.
    pub async fn ring_after(&self, seen: u64) -> u64 {
        let mut ring = self.ring.clone();
        let changed = ring.wait_for(|now| *now != seen).await.map(|now| *now);
        match changed {
            Ok(now) => now,
            Err(_) => std::future::pending().await,
        }
    }
}
