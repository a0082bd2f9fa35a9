//! An opening as bytes: one form for the store and for the seal to an auditor.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{OpenedBorrower, OpenedPeer, Opening};
use crate::crypto::{Secret, sha256};
use crate::domain::{Epoch, Identifier, IdentifierKind, Level, Purpose, QueryId, Timestamp};
use crate::limits::OPENING_BYTES_MAX;

/// An opening as it lies in the store and travels inside the seal to an auditor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    query: String,
    at: i64,
    purpose: String,
    salt: String,
    seed: String,
    each: bool,
    borrowers: Vec<WrittenBorrower>,
    peers: Vec<(String, String, u32, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBorrower {
    /// Identifiers as `kind:value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    /// The hash of the consent reference, where its text is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<String>,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.salt.zeroize();
        self.seed.zeroize();
        for borrower in &mut self.borrowers {
            borrower.n.zeroize();
            borrower.p.zeroize();
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    data_encoding::BASE64_NOPAD.encode(bytes)
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let bytes = data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

fn named(identifier: &Identifier) -> String {
    format!("{}:{}", identifier.kind(), identifier.value())
}

fn restored(text: &str) -> Option<Identifier> {
    let (kind, value) = text.split_once(':')?;
    Some(Identifier::restore(IdentifierKind::from_word(kind)?, value))
}

/// An identifier, or none; the outer `None` where the text is not one.
fn maybe(text: Option<&String>) -> Option<Option<Identifier>> {
    match text {
        Some(text) => restored(text).map(Some),
        None => Some(None),
    }
}

impl OpenedBorrower {
    fn write(&self) -> WrittenBorrower {
        let reference = self.reference.clone();
        let is_known = reference
            .as_ref()
            .is_some_and(|text| sha256(text.as_bytes()) == self.consent);
        WrittenBorrower {
            n: self.national.as_ref().map(named),
            p: self.phone.as_ref().map(named),
            c: (!is_known).then(|| text_of(&self.consent)),
            r: reference,
        }
    }

    fn read(written: &WrittenBorrower) -> Option<Self> {
        let consent = match (&written.c, &written.r) {
            (Some(hash), _) => bytes_of(hash)?,
            (None, Some(reference)) => sha256(reference.as_bytes()),
            (None, None) => return None,
        };
        Some(Self {
            national: maybe(written.n.as_ref())?,
            phone: maybe(written.p.as_ref())?,
            consent,
            reference: written.r.clone(),
        })
    }
}

impl Opening {
    /// The opening as bytes, to be sealed.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let peer = |peer: &OpenedPeer| {
            let level = peer.level.word().to_owned();
            (
                peer.member.to_string(),
                level,
                peer.epoch.0,
                text_of(&peer.batch),
            )
        };
        let written = Written {
            query: self.query.to_string(),
            at: self.at.unix_ms(),
            purpose: self.purpose.word().to_owned(),
            salt: text_of(self.salt.expose()),
            seed: text_of(self.seed.expose()),
            each: self.seed_for_each_peer,
            borrowers: self.borrowers.iter().map(OpenedBorrower::write).collect(),
            peers: self.peers.iter().map(peer).collect(),
        };
        // Texts and numbers always serialise.
        Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Reads what [`Self::encode`] wrote; nothing of it is checked. `None` where it is not one, or
    /// longer than [`OPENING_BYTES_MAX`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > OPENING_BYTES_MAX {
            return None;
        }
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let borrowers = written.borrowers.iter().map(OpenedBorrower::read);
        let peer = |(member, level, epoch, batch): &(String, String, u32, String)| {
            Some(OpenedPeer {
                member: member.parse().ok()?,
                level: Level::from_word(level)?,
                epoch: Epoch(*epoch),
                batch: bytes_of(batch)?,
            })
        };
        Some(Self {
            query: written.query.parse().ok().map(QueryId)?,
            at: Timestamp::from_unix_ms(written.at),
            purpose: Purpose::from_word(&written.purpose)?,
            salt: Secret::from_bytes(bytes_of(&written.salt)?),
            seed: Secret::from_bytes(bytes_of(&written.seed)?),
            seed_for_each_peer: written.each,
            borrowers: borrowers.collect::<Option<_>>()?,
            peers: written.peers.iter().map(peer).collect::<Option<_>>()?,
        })
    }
}
