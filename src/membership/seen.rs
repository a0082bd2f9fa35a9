//! The highest versions that a node has had in force, kept apart from what a backup restores.
//!
//! Documents are signed, so nobody can forge one; but an old one stays well signed. A node that
//! notes what it has seen refuses an older one also after a restart, from whichever file it comes.

use serde::{Deserialize, Serialize};

use super::freshness::Freshness;
use super::network::{NetworkRoot, RootError};
use super::roster::Roster;
use super::text::{hex, moment_option, name};
use crate::domain::{NetworkId, Timestamp};

/// What a node has had in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    format: String,
    #[serde(with = "name")]
    network: NetworkId,
    root_version: u32,
    #[serde(with = "hex")]
    root_digest: [u8; 32],
    list_version: u32,
    #[serde(with = "hex")]
    list_digest: [u8; 32],
    #[serde(
        default,
        with = "moment_option",
        skip_serializing_if = "Option::is_none"
    )]
    freshness_issued_at: Option<Timestamp>,
}

/// Why what lies in a node's folder is older than what the node has seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeenError {
    /// The note cannot be read.
    #[error(
        "seen.json cannot be read: it notes the newest root and member list that this node had; \
         restore this one file, or remove it after you have put the newest network.json, roots \
         and members.json in place yourself"
    )]
    Unreadable,
    /// The note is of another network.
    #[error("seen.json is for network {found}, network.json for {own}: one of them is misplaced")]
    OtherNetwork {
        /// Network of the note.
        found: NetworkId,
        /// Network of the root.
        own: NetworkId,
    },
    /// The root is older than, or differs from, the one seen.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The root is newer than the one seen, and was not walked to from it.
    #[error(
        "network.json has root version {found}, this node has taken up to version {seen}: put the \
         old file back, and the new versions into the folder `roots`, where each is checked by \
         the one before"
    )]
    RootNotWalked {
        /// Version seen.
        seen: u32,
        /// Version found.
        found: u32,
    },
    /// The list is older than the one seen.
    #[error(
        "members.json has version {found}, but this node has had version {seen}: it comes from an \
         old backup or an old mail; copy the newest list from the administrators over it"
    )]
    ListRolledBack {
        /// Version seen.
        seen: u32,
        /// Version found.
        found: u32,
    },
    /// The list is another one with the version of the one seen.
    #[error(
        "members.json has version {version} and is not the list with that version that this node \
         has had: there are two; tell the administrators, who must publish a higher one"
    )]
    ListForked {
        /// The version of both.
        version: u32,
    },
    /// The list follows the one seen by its number, and names another predecessor.
    #[error(
        "members.json has version {version} and does not follow the list that this node has had: \
         tell the administrators, who may have signed two lists with one number"
    )]
    ListWrongPrevious {
        /// Its version.
        version: u32,
    },
}

impl Seen {
    const FORMAT: &'static str = "creditmesh/seen/1";

    /// What a node has seen that begins with these.
    #[must_use]
    pub fn first(root: &NetworkRoot, roster: &Roster) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            network: root.network().clone(),
            root_version: root.version(),
            root_digest: *root.fingerprint(),
            list_version: roster.version(),
            list_digest: *roster.digest(),
            freshness_issued_at: None,
        }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`SeenError::Unreadable`].
    pub fn parse(text: &str) -> Result<Self, SeenError> {
        let seen: Self = serde_json::from_str(text).map_err(|_| SeenError::Unreadable)?;
        if seen.format == Self::FORMAT {
            Ok(seen)
        } else {
            Err(SeenError::Unreadable)
        }
    }

    /// The note as text for its file.
    ///
    /// # Errors
    /// [`SeenError::Unreadable`] where it cannot be written as JSON.
    pub fn to_text(&self) -> Result<String, SeenError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|_| SeenError::Unreadable)?;
        text.push('\n');
        Ok(text)
    }

    /// Checks the root with which a node starts: exactly the one seen.
    ///
    /// # Errors
    /// [`SeenError`].
    pub fn check_root(&self, root: &NetworkRoot) -> Result<(), SeenError> {
        if self.network != *root.network() {
            return Err(SeenError::OtherNetwork {
                found: self.network.clone(),
                own: root.network().clone(),
            });
        }
        let (held, offered) = (self.root_version, root.version());
        if offered < held {
            return Err(RootError::RolledBack { held, offered }.into());
        }
        if offered > held {
            return Err(SeenError::RootNotWalked {
                seen: held,
                found: offered,
            });
        }
        if self.root_digest != *root.fingerprint() {
            return Err(RootError::Forked { version: held }.into());
        }
        Ok(())
    }

    /// Checks the list with which a node starts: the one seen, or a later one.
    ///
    /// # Errors
    /// [`SeenError`].
    pub fn check_list(&self, roster: &Roster) -> Result<(), SeenError> {
        let (seen, found) = (self.list_version, roster.version());
        if found < seen {
            return Err(SeenError::ListRolledBack { seen, found });
        }
        if found == seen && self.list_digest != *roster.digest() {
            return Err(SeenError::ListForked { version: found });
        }
        let follows = found == seen.saturating_add(1);
        if follows && roster.list().previous != Some(self.list_digest) {
            return Err(SeenError::ListWrongPrevious { version: found });
        }
        Ok(())
    }

    /// Whether this is exactly the list seen last.
    #[must_use]
    pub fn is_list(&self, roster: &Roster) -> bool {
        self.list_version == roster.version() && self.list_digest == *roster.digest()
    }

    /// What is seen once this root is in force.
    #[must_use]
    pub fn with_root(&self, root: &NetworkRoot) -> Self {
        Self {
            root_version: root.version(),
            root_digest: *root.fingerprint(),
            ..self.clone()
        }
    }

    /// What is seen once this list is in force.
    #[must_use]
    pub fn with_list(&self, roster: &Roster) -> Self {
        Self {
            list_version: roster.version(),
            list_digest: *roster.digest(),
            ..self.clone()
        }
    }

    /// What is seen once this statement is held.
    #[must_use]
    pub fn with_freshness(&self, freshness: &Freshness) -> Self {
        Self {
            freshness_issued_at: Some(freshness.issued_at()),
            ..self.clone()
        }
    }

    /// What both together have seen: the later of each. For a backup's note beside the folder's.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let (root, list) = (
            self.root_version >= other.root_version,
            self.list_version >= other.list_version,
        );
        let (of_root, of_list) = (
            if root { self } else { other },
            if list { self } else { other },
        );
        Self {
            root_version: of_root.root_version,
            root_digest: of_root.root_digest,
            list_version: of_list.list_version,
            list_digest: of_list.list_digest,
            freshness_issued_at: self.freshness_issued_at.max(other.freshness_issued_at),
            ..self.clone()
        }
    }

    /// Version of the newest root.
    #[must_use]
    pub const fn root_version(&self) -> u32 {
        self.root_version
    }

    /// Version of the newest member list.
    #[must_use]
    pub const fn list_version(&self) -> u32 {
        self.list_version
    }

    /// When the newest freshness statement was made.
    #[must_use]
    pub const fn freshness_issued_at(&self) -> Option<Timestamp> {
        self.freshness_issued_at
    }
}
