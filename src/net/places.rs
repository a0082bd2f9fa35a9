//! How many connections there may be, and which one gives way where there are too many.
//!
//! Whoever has proven nothing yet is displaced by whoever comes later, the oldest first; whoever
//! proved by its calls that it belongs here only where nobody else is left; whoever the list admits
//! never.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::cut::Cut;
use super::listen::ListenLimits;

/// What a caller without an admitted certificate has shown by its calls. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Proof(Arc<AtomicBool>);

impl Proof {
    /// Notes that a secret or a signature of the caller was accepted.
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether one was.
    pub(super) fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a connection stands to the others.
#[derive(Debug, Clone)]
enum Standing {
    /// In its TLS handshake.
    Arriving(CancellationToken),
    /// After it, without an admitted certificate.
    Unknown(Proof, Cut),
    /// After it, with one.
    Known,
}

impl Standing {
    /// Whether it gives way: those that are `true` after all that are `false`; `None` where it does
    /// not.
    fn gives_way(&self) -> Option<bool> {
        match self {
            Self::Arriving(_) => Some(false),
            Self::Unknown(proof, _) => Some(proof.is_given()),
            Self::Known => None,
        }
    }

    fn end(&self) {
        match self {
            Self::Arriving(token) => token.cancel(),
            Self::Unknown(_, cut) => cut.cut(),
            Self::Known => {}
        }
    }
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// In the order in which they came.
    all: BTreeMap<u64, Standing>,
    addresses: BTreeMap<IpAddr, usize>,
}

/// How many connections there may be, in all and from one address. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct Places {
    held: Arc<Mutex<Held>>,
    all: usize,
    per_address: usize,
}

impl Places {
    pub(super) fn new(limits: &ListenLimits) -> Self {
        Self {
            held: Arc::default(),
            all: limits.connections,
            per_address: limits.connections_per_address,
        }
    }

    /// A place for a connection that arrives, in the place of another one where all are taken.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut held = locked(&self.held);
        if held.addresses.get(&address).copied().unwrap_or(0) >= self.per_address {
            return None;
        }
        let mut displaced = None;
        if held.all.len() >= self.all {
            let giving = held.all.iter();
            let giving = giving.filter_map(|(id, one)| Some((one.gives_way()?, *id)));
            let (_, id) = giving.min()?;
            displaced = held.all.remove(&id);
        }
        *held.addresses.entry(address).or_insert(0) += 1;
        let (id, arriving) = (held.next, CancellationToken::new());
        held.next += 1;
        held.all.insert(id, Standing::Arriving(arriving.clone()));
        drop(held);
        // Ending it wakes tasks that may give a place back: after the lock is released.
        if let Some(displaced) = displaced {
            displaced.end();
        }
        Some(Place {
            held: Arc::clone(&self.held),
            id,
            address,
            arriving,
        })
    }
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom connections from `address` are counted for: whoever has one IPv6 address has its /64
/// network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

/// One connection's place among those that there may be; given back on drop.
pub(super) struct Place {
    held: Arc<Mutex<Held>>,
    id: u64,
    address: IpAddr,
    arriving: CancellationToken,
}

impl Place {
    /// Ends once the connection was displaced in its handshake.
    pub(super) fn displaced(&self) -> CancellationToken {
        self.arriving.clone()
    }

    /// Says who came, after the handshake: somebody who is admitted, or somebody with only a proof
    /// to give. Gives whether the place is still its own.
    pub(super) fn settle(&self, unknown: Option<Proof>, cut: &Cut) -> bool {
        let mut held = locked(&self.held);
        let Some(standing) = held.all.get_mut(&self.id) else {
            return false;
        };
        *standing = unknown.map_or(Standing::Known, |proof| {
            Standing::Unknown(proof, cut.clone())
        });
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = locked(&self.held);
        held.all.remove(&self.id);
        if let Some(count) = held.addresses.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.addresses.remove(&self.address);
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.address).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_without_a_proof_gives_way_and_whoever_is_admitted_never() {
        let places = Places::new(&ListenLimits {
            connections: 4,
            connections_per_address: 2,
            ..ListenLimits::default()
        });
        let from = |last: u8| IpAddr::from([127, 0, 0, last]);
        let cuts: Vec<Cut> = (0..4).map(|_| Cut::default()).collect();
        let member = places.take(from(1)).unwrap();
        let proven = places.take(from(1)).unwrap();
        // One address gets its own places, and no more, wherever there is room.
        assert!(places.take(from(1)).is_none());
        let stranger = places.take(from(2)).unwrap();
        let arriving = places.take(from(3)).unwrap();
        let proof = Proof::default();
        assert!(member.settle(None, &cuts[0]));
        assert!(proven.settle(Some(proof.clone()), &cuts[1]));
        assert!(stranger.settle(Some(Proof::default()), &cuts[2]));
        proof.give();
        let next = places.take(from(4)).unwrap();
        assert!(cuts[2].is_cut(), "the oldest stranger");
        assert!(!arriving.displaced().is_cancelled());
        let later = places.take(from(4)).unwrap();
        assert!(arriving.displaced().is_cancelled());
        assert!(!arriving.settle(None, &cuts[3]), "its place is gone");
        assert!(next.settle(None, &cuts[3]) && later.settle(None, &cuts[3]));
        let last = places.take(from(5)).unwrap();
        assert!(
            cuts[1].is_cut(),
            "a proven one only where nobody else is left"
        );
        assert!(last.settle(None, &cuts[3]));
        assert!(places.take(from(6)).is_none(), "whoever is admitted stays");
        assert!(!cuts[0].is_cut());
        drop(member);
        assert!(places.take(from(6)).is_some());
    }
}
