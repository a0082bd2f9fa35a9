//! The freshness statement: an online key says, every few minutes, which member list is the newest.
//!
//! A member list counts for months, so a node that is cut off would go on with an old one and admit
//! whom the others have removed. Where the root names freshness keys, a node admits nobody and asks
//! nobody once its last statement has ended. A statement gives no rights: whoever holds a freshness
//! key can hold a newer list back for as long as others believe it, and nothing else. So it may
//! come from anywhere, a peer for example.

use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError, Signed};
use super::network::NetworkRoot;
use super::roster::Roster;
use super::text::{hex, moment, name};
use crate::crypto::Signs;
use crate::domain::{NetworkId, Timestamp};
use crate::limits::{CLOCK_SKEW_MAX, FRESHNESS_BYTES_MAX, FRESHNESS_LIFE_MAX};

/// The statement as it stands in its file. It proves nothing until [`Freshness::verify`] took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessStatement {
    /// Always [`FreshnessStatement::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// Version of the newest root document.
    pub root_version: u32,
    /// Version of the newest member list.
    pub list_version: u32,
    /// Digest of that list.
    #[serde(with = "hex")]
    pub list_digest: [u8; 32],
    /// When it was made.
    #[serde(with = "moment")]
    pub issued_at: Timestamp,
    /// From when it says nothing any more: at most [`FRESHNESS_LIFE_MAX`] later.
    #[serde(with = "moment")]
    pub expires_at: Timestamp,
}

impl Document for FreshnessStatement {
    const FORMAT: &'static str = "creditmesh/freshness/1";
    const BYTES_MAX: usize = FRESHNESS_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Why a freshness statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreshnessError {
    /// It cannot be read, or no freshness key of the network signed it.
    #[error("freshness: {0}")]
    Document(#[from] DocumentError),
    /// It belongs to another network.
    #[error("freshness: it is for network {found}, this node belongs to {own}; fetch your own")]
    OtherNetwork {
        /// Network that it names.
        found: NetworkId,
        /// This node's network.
        own: NetworkId,
    },
    /// The network's root names no freshness keys, or not the one that shall sign.
    #[error(
        "freshness: the network root does not name this key; let the administrators publish a \
         root that does"
    )]
    NoKey,
    /// It was made under an older root than the one in force.
    #[error("freshness: made under root {stated}, in force is {held}; fetch a newer statement")]
    OlderRoot {
        /// Root version that it names.
        stated: u32,
        /// Root version in force.
        held: u32,
    },
    /// It was made under a newer root than the one in force.
    #[error("freshness: made under root {stated}, in force is {held}; fetch that root first")]
    NewerRoot {
        /// Root version that it names.
        stated: u32,
        /// Root version in force.
        held: u32,
    },
    /// A field breaks a rule.
    #[error("freshness: {rule}; ask for another statement")]
    Invalid {
        /// The rule.
        rule: &'static str,
    },
    /// It says it was made in the future.
    #[error("freshness: made at {issued_at}, after this machine's time {now}; check the clock")]
    IssuedInFuture {
        /// When it says it was made.
        issued_at: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// It has ended.
    #[error("freshness: it ended at {since}; fetch a newer statement, and check the clock")]
    Expired {
        /// Its end.
        since: Timestamp,
    },
    /// It names a newer list than the one in force.
    #[error("freshness: member list {stated} is out, in force is {held}; fetch that list first")]
    NewerList {
        /// List version that it names.
        stated: u32,
        /// List version in force.
        held: u32,
    },
    /// It names an older list than the one in force.
    #[error("freshness: it speaks of list {stated}, in force is {held}; fetch a newer statement")]
    OlderList {
        /// List version that it names.
        stated: u32,
        /// List version in force.
        held: u32,
    },
    /// It names another list with the version of the one in force.
    #[error(
        "freshness: it speaks of another list with version {version} than the one in force; tell \
         the administrators, who must publish a higher one"
    )]
    OtherList {
        /// The version of both.
        version: u32,
    },
    /// It was made before the statement that is held.
    #[error("freshness: made at {offered}, before the one held of {held}; keep that one")]
    RolledBack {
        /// When the one held was made.
        held: Timestamp,
        /// When the one offered was made.
        offered: Timestamp,
    },
    /// That it was seen could not be noted first.
    #[error("freshness: that it was seen cannot be noted: {reason}; the statement held stays")]
    NotNoted {
        /// What failed.
        reason: String,
    },
}

/// A freshness statement that a freshness key of the root in force signed.
#[derive(Debug, Clone)]
pub struct Freshness {
    statement: FreshnessStatement,
    signers: Vec<[u8; 32]>,
    text: String,
}

impl Freshness {
    /// Reads and checks a statement. Whether it speaks of the list in force says
    /// [`Self::covers`].
    ///
    /// # Errors
    /// [`FreshnessError`], whose variant names the one thing that is wrong.
    pub fn verify(root: &NetworkRoot, text: &str, now: Timestamp) -> Result<Self, FreshnessError> {
        let signed = Signed::<FreshnessStatement>::parse(text)?;
        let statement = signed.document().clone();
        if statement.network != *root.network() {
            return Err(FreshnessError::OtherNetwork {
                found: statement.network,
                own: root.network().clone(),
            });
        }
        if root.freshness_keys().is_empty() {
            return Err(FreshnessError::NoKey);
        }
        let (stated, held) = (statement.root_version, root.version());
        if stated < held {
            return Err(FreshnessError::OlderRoot { stated, held });
        }
        if stated > held {
            return Err(FreshnessError::NewerRoot { stated, held });
        }
        signed.require(root.freshness_keys(), 1)?;
        check_times(&statement, now)?;
        let signers = signed.signatures().iter().map(|one| one.key);
        Ok(Self {
            signers: signers
                .filter(|key| root.freshness_keys().contains(key))
                .collect(),
            statement,
            text: text.to_owned(),
        })
    }

    /// Checks that the statement speaks of exactly this list.
    ///
    /// # Errors
    /// [`FreshnessError::OtherNetwork`], [`FreshnessError::NewerList`],
    /// [`FreshnessError::OlderList`] or [`FreshnessError::OtherList`].
    pub fn covers(&self, roster: &Roster) -> Result<(), FreshnessError> {
        let (stated, held) = (self.statement.list_version, roster.version());
        if self.statement.network != *roster.network() {
            return Err(FreshnessError::OtherNetwork {
                found: self.statement.network.clone(),
                own: roster.network().clone(),
            });
        }
        if stated > held {
            return Err(FreshnessError::NewerList { stated, held });
        }
        if stated < held {
            return Err(FreshnessError::OlderList { stated, held });
        }
        if self.statement.list_digest != *roster.digest() {
            return Err(FreshnessError::OtherList { version: held });
        }
        Ok(())
    }

    /// Checks that this statement may replace `held`. One that speaks of a later list always may;
    /// clocks of several signers need not agree to the millisecond.
    ///
    /// # Errors
    /// [`FreshnessError::RolledBack`].
    pub fn supersedes(&self, held: &Self) -> Result<(), FreshnessError> {
        let older = self.issued_at() < held.issued_at();
        if older && self.list_version() <= held.list_version() {
            return Err(FreshnessError::RolledBack {
                held: held.issued_at(),
                offered: self.issued_at(),
            });
        }
        Ok(())
    }

    /// Whether one of the keys that signed it is still named by `root`.
    #[must_use]
    pub fn is_signed_under(&self, root: &NetworkRoot) -> bool {
        let named = root.freshness_keys();
        self.signers.iter().any(|key| named.contains(key))
    }

    /// When it was made.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.statement.issued_at
    }

    /// From when it says nothing any more.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.statement.expires_at
    }

    /// The list that it calls the newest.
    #[must_use]
    pub const fn list_version(&self) -> u32 {
        self.statement.list_version
    }

    /// The text, for whoever asks this node for it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn check_times(statement: &FreshnessStatement, now: Timestamp) -> Result<(), FreshnessError> {
    let FreshnessStatement {
        issued_at,
        expires_at,
        ..
    } = *statement;
    if issued_at >= expires_at {
        return Err(FreshnessError::Invalid {
            rule: "it must end after it was made",
        });
    }
    if expires_at.since(issued_at) > FRESHNESS_LIFE_MAX {
        return Err(FreshnessError::Invalid {
            rule: "it must end within ten minutes",
        });
    }
    if issued_at > now.plus(CLOCK_SKEW_MAX) {
        return Err(FreshnessError::IssuedInFuture { issued_at, now });
    }
    if expires_at <= now {
        return Err(FreshnessError::Expired { since: expires_at });
    }
    Ok(())
}

/// States with an online key that `roster` is the newest list, for ten minutes; gives the text.
///
/// # Errors
/// [`FreshnessError::NoKey`] where the root does not name `key`.
pub fn state_freshness(
    root: &NetworkRoot,
    roster: &Roster,
    key: &dyn Signs,
    now: Timestamp,
) -> Result<String, FreshnessError> {
    if !root.freshness_keys().contains(&key.public()) {
        return Err(FreshnessError::NoKey);
    }
    let mut signed = Signed::unsigned(FreshnessStatement {
        format: FreshnessStatement::FORMAT.to_owned(),
        network: root.network().clone(),
        root_version: root.version(),
        list_version: roster.version(),
        list_digest: *roster.digest(),
        issued_at: now,
        expires_at: now.plus(FRESHNESS_LIFE_MAX),
    });
    signed.sign(key)?;
    Ok(signed.to_text()?)
}
