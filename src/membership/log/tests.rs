//! Entries have one form, and a history takes only what may follow.

use proptest::prelude::*;

use super::{EntryFault, History, LogEntry, LogEvent, Pin, log_id, log_origin};
use crate::crypto::{IdentityKey, Secret};
use crate::domain::{Epoch, Level, MemberId, NetworkId, Timestamp};
use crate::membership::{CertificateStatement, KeyStatement, KeyTerms, MemberState};

fn network() -> NetworkId {
    "credit-net".parse().unwrap()
}

fn id(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn identity(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&Secret::from_bytes([seed; 32]))
}

fn members() -> impl Strategy<Value = MemberId> {
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|name| id(&name))
}

fn pins() -> impl Strategy<Value = Vec<Pin>> {
    let states = prop_oneof![
        Just(MemberState::Active),
        Just(MemberState::Suspended),
        Just(MemberState::Removed)
    ];
    let stands = (states, any::<[u8; 32]>());
    prop::collection::btree_map(members(), stands, 0..20).prop_map(|pins| {
        let pin = |(member, (state, identity_key))| Pin {
            member,
            state,
            identity_key,
        };
        pins.into_iter().map(pin).collect()
    })
}

fn events() -> impl Strategy<Value = LogEvent> {
    let digest = any::<[u8; 32]>;
    let root =
        (any::<u32>(), digest()).prop_map(|(version, digest)| LogEvent::Root { version, digest });
    let previous = prop::option::of(digest());
    let list = (any::<u32>(), digest(), previous, any::<u32>(), pins()).prop_map(
        |(version, digest, previous, root_version, pins)| LogEvent::List {
            version,
            digest,
            previous,
            root_version,
            pins,
        },
    );
    let certificate = (
        members(),
        digest(),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        any::<[u8; 8]>(),
    );
    let certificate = certificate.prop_map(|(member, spki_sha256, one, two, until)| {
        let bytes = [&until[..], &one, &two].concat();
        LogEvent::Certificate {
            member,
            spki_sha256,
            statement: CertificateStatement::from_bytes(bytes.as_slice().try_into().unwrap()),
        }
    });
    let levels = prop_oneof![Just(Level::Full), Just(Level::Defaults)];
    let oprf = (
        members(),
        levels,
        any::<u32>(),
        digest(),
        any::<i64>(),
        any::<u8>(),
    )
        .prop_map(|(member, level, epoch, public_key, at, byte)| {
            LogEvent::OprfKey(KeyStatement {
                terms: KeyTerms {
                    member,
                    level,
                    epoch: Epoch(epoch),
                    public_key,
                    announced_at: Timestamp::from_unix_ms(at),
                },
                signature: [byte; 64],
            })
        });
    let spent = (any::<[u8; 16]>(), members()).prop_map(|(invitation_id, member)| {
        LogEvent::InvitationSpent {
            invitation_id,
            member,
        }
    });
    prop_oneof![root, list, certificate, oprf, spent]
}

proptest! {
    #[test]
    fn an_entry_survives_its_bytes_and_every_other_form_is_refused(
        at in any::<i64>(), event in events(), flip in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let entry = LogEntry { at: Timestamp::from_unix_ms(at), event };
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(LogEntry::decode(&bytes), Ok(entry.clone()));
        for cut in 0..bytes.len() {
            prop_assert!(LogEntry::decode(&bytes[..cut]).is_err(), "cut to {}", cut);
        }
        prop_assert!(LogEntry::decode(&[&bytes[..], &[0]].concat()).is_err());
        // Whatever reads differently, writes differently: there are never two forms of one entry.
        let mut other = bytes.clone();
        let at = flip.index(other.len());
        other[at] ^= 1 << bit;
        if let Ok(read) = LogEntry::decode(&other) {
            prop_assert_ne!(&read, &entry);
            prop_assert_eq!(read.encode().unwrap(), other);
        }
    }
}

fn pin(name: &str, state: MemberState, seed: u8) -> Pin {
    Pin {
        member: id(name),
        state,
        identity_key: identity(seed).public(),
    }
}

fn list(version: u32, previous: Option<u8>, pins: Vec<Pin>) -> LogEvent {
    LogEvent::List {
        version,
        digest: [u8::try_from(version).unwrap(); 32],
        previous: previous.map(|byte| [byte; 32]),
        root_version: 1,
        pins,
    }
}

fn certificate(name: &str, seed: u8) -> LogEvent {
    let until = Timestamp::from_unix_ms(2_000_000);
    let spki_sha256 = [9; 32];
    LogEvent::Certificate {
        statement: CertificateStatement::make(
            &identity(seed),
            &network(),
            &id(name),
            &spki_sha256,
            until,
        ),
        member: id(name),
        spki_sha256,
    }
}

fn oprf(name: &str, seed: u8, epoch: u32, key: u8) -> LogEvent {
    let terms = KeyTerms {
        member: id(name),
        level: Level::Full,
        epoch: Epoch(epoch),
        public_key: [key; 32],
        announced_at: Timestamp::from_unix_ms(1_000),
    };
    LogEvent::OprfKey(KeyStatement::make(&identity(seed), &network(), terms))
}

fn leaf(event: LogEvent) -> Vec<u8> {
    let at = Timestamp::from_unix_ms(1_000);
    LogEntry { at, event }.encode().unwrap()
}

/// A history with root 1 and list 3, in which bank-a is active and bank-b suspended.
fn begun() -> History {
    let mut history = History::new(network());
    let pins = vec![
        pin("bank-a", MemberState::Active, 1),
        pin("bank-b", MemberState::Suspended, 2),
    ];
    let root = LogEvent::Root {
        version: 1,
        digest: [1; 32],
    };
    for event in [root, list(3, None, pins)] {
        history.take(&leaf(event)).unwrap().unwrap();
    }
    history
}

#[test]
fn a_history_takes_what_may_follow() {
    let mut history = begun();
    let freed = vec![pin("bank-b", MemberState::Active, 2)];
    for event in [
        certificate("bank-a", 1),
        oprf("bank-a", 1, 4, 7),
        oprf("bank-a", 1, 4, 7),
        oprf("bank-a", 1, 5, 8),
        list(4, Some(3), freed),
        certificate("bank-b", 2),
        list(9, Some(8), Vec::new()),
        LogEvent::InvitationSpent {
            invitation_id: [5; 16],
            member: id("bank-b"),
        },
    ] {
        let judged = history.judge(&leaf(event.clone()));
        assert_eq!(judged.map(|entry| entry.event), Ok(event.clone()));
        history.take(&leaf(event)).unwrap().unwrap();
    }
    assert_eq!(history.size(), 10);
    assert_eq!(history.list(), Some((9, [9; 32])));
    let key = history.oprf_key(&id("bank-a"), Level::Full, Epoch(5));
    assert_eq!(key, Some([8; 32]));
}

#[test]
fn what_may_not_follow_is_named_and_changes_nothing_but_the_root() {
    let mut history = begun();
    history
        .take(&leaf(oprf("bank-a", 1, 4, 7)))
        .unwrap()
        .unwrap();
    let root = LogEvent::Root {
        version: 1,
        digest: [2; 32],
    };
    type Is = fn(&EntryFault) -> bool;
    let cases: [(LogEvent, Is); 9] = [
        (root, |f| matches!(f, EntryFault::RootOrder { .. })),
        (list(3, None, vec![]), |f| {
            matches!(f, EntryFault::ListOrder { .. })
        }),
        (list(4, Some(7), vec![]), |f| {
            matches!(f, EntryFault::ListLink { .. })
        }),
        (certificate("bank-a", 2), |f| {
            matches!(f, EntryFault::Forged { .. })
        }),
        (certificate("bank-b", 2), |f| {
            matches!(f, EntryFault::NotActive { .. })
        }),
        (certificate("bank-c", 3), |f| {
            matches!(f, EntryFault::Unlisted { .. })
        }),
        (oprf("bank-a", 2, 6, 7), |f| {
            matches!(f, EntryFault::Forged { .. })
        }),
        (oprf("bank-a", 1, 4, 8), |f| {
            matches!(f, EntryFault::TwoKeys { .. })
        }),
        (oprf("bank-b", 2, 4, 8), |f| {
            matches!(f, EntryFault::NotActive { .. })
        }),
    ];
    for (event, is) in cases {
        let (size, before) = (history.size(), history.tree_root());
        let fault = history.judge(&leaf(event.clone())).unwrap_err();
        assert!(is(&fault), "{event:?}: {fault}");
        assert_eq!(history.take(&leaf(event)).unwrap(), Err(fault));
        assert_eq!(history.size(), size + 1);
        assert_ne!(history.tree_root(), before);
        assert_eq!(history.list(), Some((3, [3; 32])));
    }
    let garbage = history.take(b"no entry").unwrap();
    assert!(matches!(garbage, Err(EntryFault::Malformed(_))));
}

#[test]
fn keys_of_long_past_epochs_are_forgotten() {
    let mut history = begun();
    for epoch in 0..100 {
        history
            .take(&leaf(oprf("bank-a", 1, epoch, 7)))
            .unwrap()
            .unwrap();
    }
    let held = (0..100).filter(|epoch| {
        let key = history.oprf_key(&id("bank-a"), Level::Full, Epoch(*epoch));
        key.is_some()
    });
    assert_eq!(held.collect::<Vec<_>>(), (91..100).collect::<Vec<_>>());
}

#[test]
fn a_log_is_named_for_its_network_and_key() {
    let key = identity(1).public();
    assert_eq!(log_id(&key).len(), 16);
    let origin = log_origin(&network(), &key);
    assert_eq!(origin, format!("credit-net/membership/{}", log_id(&key)));
    assert_ne!(log_id(&identity(2).public()), log_id(&key));
}
