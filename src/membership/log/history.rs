//! What a membership log says so far, and whether an entry may follow: the one set of rules by which
//! a registrar writes, and everybody else checks.

use std::collections::BTreeMap;

use super::entry::{EntryMalformed, LogEntry, LogEvent, Pin};
use crate::domain::{Epoch, Level, MemberId, NetworkId, Timestamp};
use crate::membership::{KeyStatement, MemberList, MemberState};
use crate::merkle::{Frontier, Hash, LogFault, leaf_hash};

/// Key epochs of one member and level that are remembered: the newest ones.
const EPOCHS_KEPT: u32 = 8;

/// What is wrong with an entry. It stays in the log; everybody who reads it finds the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] EntryMalformed),
    /// A root that is not newer than the one before.
    #[error("root {offered} is logged after root {held}: tell the administrators")]
    RootOrder {
        /// Version logged before.
        held: u32,
        /// Version logged now.
        offered: u32,
    },
    /// A list that is not newer than the one before.
    #[error("member list {offered} is logged after member list {held}: tell the administrators")]
    ListOrder {
        /// Version logged before.
        held: u32,
        /// Version logged now.
        offered: u32,
    },
    /// A list that follows by its number, and names another predecessor.
    #[error("member list {version} does not follow the one logged before: tell the administrators")]
    ListLink {
        /// Its version.
        version: u32,
    },
    /// A statement of somebody whom no list named.
    #[error(
        "a key of {member} is logged, whom no member list named until then: tell the administrators"
    )]
    Unlisted {
        /// Who.
        member: MemberId,
    },
    /// A statement of somebody who was not active.
    #[error("a key of {member} is logged, who was not active then: tell the administrators")]
    NotActive {
        /// Who.
        member: MemberId,
    },
    /// The signature does not belong to the pinned identity key.
    #[error(
        "a key of {member} is logged that its identity key did not sign: the registrar made it up; \
         tell the administrators"
    )]
    Forged {
        /// Whose name it bears.
        member: MemberId,
    },
    /// A statement that was made after it was logged.
    #[error("a key of {member} is dated {announced_at}, after it was logged: compare the clocks")]
    AnnouncedInFuture {
        /// Whose.
        member: MemberId,
        /// When it says it was made.
        announced_at: Timestamp,
    },
    /// Two OPRF keys for one level and epoch.
    #[error(
        "{member} stated two OPRF keys for level {level} and epoch {epoch}: tell the administrators"
    )]
    TwoKeys {
        /// Who.
        member: MemberId,
        /// For which level.
        level: Level,
        /// For which epoch.
        epoch: Epoch,
    },
}

/// How closely entries are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Signatures too.
    Close,
    /// Entries that were checked before they were kept; the log's root is compared afterwards.
    Again,
}

/// A log read from its first entry on.
#[derive(Debug, Clone)]
pub struct History {
    network: NetworkId,
    log: Frontier,
    root: Option<(u32, [u8; 32])>,
    list: Option<(u32, [u8; 32])>,
    pins: BTreeMap<MemberId, (MemberState, [u8; 32])>,
    oprf: BTreeMap<(MemberId, Level, Epoch), [u8; 32]>,
}

impl History {
    /// Before the first entry.
    #[must_use]
    pub const fn new(network: NetworkId) -> Self {
        Self {
            network,
            log: Frontier::new(),
            root: None,
            list: None,
            pins: BTreeMap::new(),
            oprf: BTreeMap::new(),
        }
    }

    /// Checks whether a leaf may follow.
    ///
    /// # Errors
    /// [`EntryFault`], whose variant names the one thing that is wrong.
    pub fn judge(&self, leaf: &[u8]) -> Result<LogEntry, EntryFault> {
        let entry = LogEntry::decode(leaf)?;
        self.check(&entry, Look::Close)?;
        Ok(entry)
    }

    /// Appends a leaf and says what is wrong with it; a wrong one counts for the log's root, and
    /// for nothing else.
    ///
    /// # Errors
    /// [`LogFault::Full`].
    pub fn take(&mut self, leaf: &[u8]) -> Result<Result<LogEntry, EntryFault>, LogFault> {
        self.take_looking(leaf, Look::Close)
    }

    /// As [`Self::take`], without the signatures: for a leaf that was checked when it was kept.
    ///
    /// # Errors
    /// [`LogFault::Full`].
    pub fn take_again(&mut self, leaf: &[u8]) -> Result<Result<LogEntry, EntryFault>, LogFault> {
        self.take_looking(leaf, Look::Again)
    }

    fn take_looking(
        &mut self,
        leaf: &[u8],
        look: Look,
    ) -> Result<Result<LogEntry, EntryFault>, LogFault> {
        self.log.append(leaf_hash(leaf))?;
        let judged = LogEntry::decode(leaf).map_err(EntryFault::from);
        let judged = judged.and_then(|entry| self.check(&entry, look).map(|()| entry));
        if let Ok(entry) = &judged {
            self.apply(&entry.event);
        }
        Ok(judged)
    }

    fn check(&self, entry: &LogEntry, look: Look) -> Result<(), EntryFault> {
        match &entry.event {
            LogEvent::Root { version, .. } => match self.root {
                Some((held, _)) if *version <= held => Err(EntryFault::RootOrder {
                    held,
                    offered: *version,
                }),
                _ => Ok(()),
            },
            LogEvent::List {
                version, previous, ..
            } => self.check_list(*version, previous.as_ref()),
            LogEvent::Certificate {
                member,
                spki_sha256,
                statement,
            } => {
                let key = self.active_key(member)?;
                let forged = look == Look::Close
                    && !statement.is_by(key, &self.network, member, spki_sha256);
                let member = member.clone();
                if forged {
                    Err(EntryFault::Forged { member })
                } else {
                    Ok(())
                }
            }
            LogEvent::OprfKey(statement) => self.check_oprf(statement, entry.at, look),
            LogEvent::InvitationSpent { member, .. } => {
                let listed = self.pins.contains_key(member);
                let member = member.clone();
                listed.then_some(()).ok_or(EntryFault::Unlisted { member })
            }
        }
    }

    fn check_list(&self, version: u32, previous: Option<&[u8; 32]>) -> Result<(), EntryFault> {
        let Some((held, digest)) = &self.list else {
            return Ok(());
        };
        if version <= *held {
            return Err(EntryFault::ListOrder {
                held: *held,
                offered: version,
            });
        }
        if version == held.saturating_add(1) && previous != Some(digest) {
            return Err(EntryFault::ListLink { version });
        }
        Ok(())
    }

    fn check_oprf(
        &self,
        statement: &KeyStatement,
        at: Timestamp,
        look: Look,
    ) -> Result<(), EntryFault> {
        let terms = &statement.terms;
        let member = terms.member.clone();
        let key = self.active_key(&member)?;
        if look == Look::Close {
            statement
                .check(&self.network, key, at)
                .map_err(|error| match error {
                    crate::membership::StatementError::AnnouncedInFuture {
                        member,
                        announced_at,
                    } => EntryFault::AnnouncedInFuture {
                        member,
                        announced_at,
                    },
                    crate::membership::StatementError::Forged { member }
                    | crate::membership::StatementError::TwoKeys { member, .. } => {
                        EntryFault::Forged { member }
                    }
                })?;
        }
        match self.oprf_key(&member, terms.level, terms.epoch) {
            Some(held) if held != terms.public_key => Err(EntryFault::TwoKeys {
                member,
                level: terms.level,
                epoch: terms.epoch,
            }),
            _ => Ok(()),
        }
    }

    fn active_key(&self, member: &MemberId) -> Result<&[u8; 32], EntryFault> {
        match self.pins.get(member) {
            Some((MemberState::Active, key)) => Ok(key),
            Some((MemberState::Suspended | MemberState::Removed, _)) => {
                Err(EntryFault::NotActive {
                    member: member.clone(),
                })
            }
            None => Err(EntryFault::Unlisted {
                member: member.clone(),
            }),
        }
    }

    fn apply(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Root { version, digest } => self.root = Some((*version, *digest)),
            LogEvent::List {
                version,
                digest,
                pins,
                ..
            } => {
                self.list = Some((*version, *digest));
                for pin in pins {
                    let stands = (pin.state, pin.identity_key);
                    self.pins.insert(pin.member.clone(), stands);
                }
            }
            LogEvent::OprfKey(statement) => {
                let terms = &statement.terms;
                let slot = (terms.member.clone(), terms.level, terms.epoch);
                self.oprf.insert(slot, terms.public_key);
                // What is long over is forgotten, so that the memory is bounded.
                let over = Epoch(terms.epoch.0.saturating_sub(EPOCHS_KEPT));
                let first = (terms.member.clone(), terms.level, Epoch(0));
                let last = (terms.member.clone(), terms.level, over);
                let gone: Vec<_> = self
                    .oprf
                    .range(first..last)
                    .map(|(at, _)| at.clone())
                    .collect();
                for slot in gone {
                    self.oprf.remove(&slot);
                }
            }
            LogEvent::Certificate { .. } | LogEvent::InvitationSpent { .. } => {}
        }
    }

    /// The entry of a member list that comes into force: what it pins anew.
    #[must_use]
    pub fn list_event(&self, list: &MemberList, digest: &[u8; 32]) -> LogEvent {
        let stands = |member: &crate::membership::Member| (member.state, member.identity_key);
        let mut pins: Vec<Pin> = list
            .members
            .iter()
            .filter(|member| self.pins.get(&member.id) != Some(&stands(member)))
            .map(|member| Pin {
                member: member.id.clone(),
                state: member.state,
                identity_key: member.identity_key,
            })
            .collect();
        pins.sort_by(|one, next| one.member.cmp(&next.member));
        LogEvent::List {
            version: list.version,
            digest: *digest,
            previous: list.previous,
            root_version: list.root_version,
            pins,
        }
    }

    /// Whether the log pins exactly what `list` says.
    #[must_use]
    pub fn pins_as(&self, list: &MemberList) -> bool {
        let same = |member: &crate::membership::Member| {
            self.pins.get(&member.id) == Some(&(member.state, member.identity_key))
        };
        self.pins.len() == list.members.len() && list.members.iter().all(same)
    }

    /// Entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.log.size()
    }

    /// The root of the tree over all entries so far.
    #[must_use]
    pub fn tree_root(&self) -> Hash {
        self.log.root()
    }

    /// Version and fingerprint of the newest root logged.
    #[must_use]
    pub const fn root(&self) -> Option<(u32, [u8; 32])> {
        self.root
    }

    /// Version and digest of the newest list logged.
    #[must_use]
    pub const fn list(&self) -> Option<(u32, [u8; 32])> {
        self.list
    }

    /// The OPRF key that a member stated for a level and epoch.
    #[must_use]
    pub fn oprf_key(&self, member: &MemberId, level: Level, epoch: Epoch) -> Option<[u8; 32]> {
        let slot = (member.clone(), level, epoch);
        self.oprf.get(&slot).copied()
    }
}
