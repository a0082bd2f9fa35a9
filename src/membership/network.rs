//! The network's root document: who administers it, what certificates hang from, and its fixed
//! terms.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::certificate::sha256;
use super::document::{Document, DocumentError, Signed};
use super::root_rules::{check, check_tainted};
use super::text::{hex, hex_groups, hex_option, hexes, moment, name, word, words};
use super::trust::roots;
use crate::domain::{Currency, IdentifierClass, NetworkId, Timestamp};
use crate::limits::{CLOCK_SKEW_MAX, ROOT_BYTES_MAX};

/// An administrator: a name for people, and the key that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// A word for the person or office, unique in the document.
    pub name: String,
    /// Ed25519 public key.
    #[serde(with = "hex")]
    pub key: [u8; 32],
}

/// The root document as it stands in its file. It proves nothing until [`NetworkRoot::verify`] took
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootDocument {
    /// Always [`RootDocument::FORMAT`].
    pub format: String,
    /// The network's id.
    #[serde(with = "name")]
    pub network: NetworkId,
    /// From 1 upwards.
    pub version: u32,
    /// When it was written.
    #[serde(with = "moment")]
    pub issued_at: Timestamp,
    /// From when it counts no more.
    #[serde(with = "moment")]
    pub expires_at: Timestamp,
    /// Digest of the version before; absent in version 1.
    #[serde(default, with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub previous: Option<[u8; 32]>,
    /// Who may sign, at most [`crate::limits::ADMINISTRATORS_MAX`].
    pub administrators: Vec<Administrator>,
    /// How many administrators must sign a member list or the next root.
    pub threshold: u32,
    /// X.509 root certificates in PEM, at most [`crate::limits::AUTHORITIES_MAX`].
    pub authorities: Vec<String>,
    /// SHA-256 of those root certificates, in DER, that are about to go: certificates that lead to
    /// none other are renewed at once.
    #[serde(default, with = "hexes", skip_serializing_if = "Vec::is_empty")]
    pub tainted: Vec<[u8; 32]>,
    /// Online Ed25519 keys that may sign freshness statements, at most 8.
    /// Where there are none, the network works by files alone and asks for no freshness.
    #[serde(default, with = "hexes", skip_serializing_if = "Vec::is_empty")]
    pub freshness_keys: Vec<[u8; 32]>,
    /// Start of key epoch 0.
    #[serde(with = "moment")]
    pub genesis_at: Timestamp,
    /// Days of a key epoch.
    pub epoch_days: u32,
    /// Days for which an epoch is still served after the next one began.
    pub overlap_days: u32,
    /// Days before an epoch begins on which its public keys are announced.
    pub announce_days: u32,
    /// Which identifiers every borrower costs at each peer, in order.
    #[serde(with = "words")]
    pub identifier_classes: Vec<IdentifierClass>,
    /// ISO 4217 code of the exposure bands.
    #[serde(with = "word")]
    pub currency: Currency,
    /// Upper edges of the exposure bands in minor units, growing; the last band is open.
    pub exposure_band_edges_minor: Vec<i64>,
    /// How many people the network's identifiers may belong to; caps the prefix of light mode.
    pub population: u64,
}

impl Document for RootDocument {
    const FORMAT: &'static str = "creditmesh/network-root/1";
    const BYTES_MAX: usize = ROOT_BYTES_MAX;

    fn format(&self) -> &str {
        &self.format
    }
}

/// Why a root document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It cannot be read, or is not signed as it says itself it must be.
    #[error("network root: {0}")]
    Document(#[from] DocumentError),
    /// A field breaks a rule.
    #[error("network root: {rule}; ask the administrators for a correct one")]
    Invalid {
        /// The rule.
        rule: &'static str,
    },
    /// An authority's certificate cannot be read.
    #[error(
        "network root: a root certificate cannot be read; ask the administrators for a correct one"
    )]
    Authority,
    /// It belongs to another network than the root in force.
    #[error("network root: it is for network {found}, the one in force for {own}; fetch your own")]
    OtherNetwork {
        /// Network that it names.
        found: NetworkId,
        /// Network of the root in force.
        own: NetworkId,
    },
    /// An older version than the one in force, or than this node has seen.
    #[error(
        "network root: version {offered} is older than version {held}, which was had here: put \
         the newer versions into the folder `roots`"
    )]
    RolledBack {
        /// Version in force, or seen.
        held: u32,
        /// Version offered.
        offered: u32,
    },
    /// Another document with the version of the one in force.
    #[error(
        "network root: there are two different roots with version {version}; tell the \
         administrators on another way"
    )]
    Forked {
        /// The version of both.
        version: u32,
    },
    /// Versions between the one in force and this one are missing.
    #[error(
        "network root: version {offered} does not follow version {held}; put the versions in \
         between into the folder `roots` too"
    )]
    SkipsVersions {
        /// Version in force.
        held: u32,
        /// Version offered.
        offered: u32,
    },
    /// It names another predecessor than the root in force.
    #[error("network root: version {version} does not follow the root in force; refuse it")]
    WrongPrevious {
        /// Its version.
        version: u32,
    },
    /// It was written before the root that it follows.
    #[error("network root: version {version} was issued before the one in force; refuse it")]
    IssuedBackwards {
        /// Its version.
        version: u32,
    },
    /// It changes what no root may change.
    #[error("network root: it changes {term}, which stays for the life of a network; refuse it")]
    ChangedTerm {
        /// What it changes.
        term: &'static str,
    },
    /// Too few administrators of the root in force signed it, or a signature is forged.
    #[error("network root: by the administrators of the version before: {0}")]
    NotByPredecessor(#[source] DocumentError),
    /// It could not be put in force.
    #[error("network root: {reason}; the root in force stays")]
    NotInForce {
        /// What failed.
        reason: String,
    },
    /// It says it was written in the future.
    #[error("network root: issued at {issued_at}, after this machine's time; check the clock")]
    IssuedInFuture {
        /// When it says it was written.
        issued_at: Timestamp,
    },
    /// It no longer counts.
    #[error("network root: expired at {since}; ask the administrators for the next version")]
    Expired {
        /// When it expired.
        since: Timestamp,
    },
    /// It is not the root whose fingerprint was told.
    #[error(
        "network root: its fingerprint is {found}, not the one you were told; do not join, and ask \
         the administrators on another way"
    )]
    OtherFingerprint {
        /// Fingerprint of the document at hand.
        found: String,
    },
}

/// A root document that is sound and carries the signatures that it asks for itself.
///
/// Whether it is the *right* network is decided by its fingerprint, which people compare: see
/// [`Self::pinned`].
#[derive(Debug, Clone)]
pub struct NetworkRoot {
    signed: Signed<RootDocument>,
    fingerprint: [u8; 32],
    authorities: Vec<CertificateDer<'static>>,
}

impl NetworkRoot {
    /// Reads and checks a root document.
    ///
    /// # Errors
    /// [`RootError`], whose variant names the one thing that is wrong.
    pub fn verify(text: &str, now: Timestamp) -> Result<Self, RootError> {
        Self::from_signed(Signed::parse(text)?, now)
    }

    /// Checks a root document that was read already.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn from_signed(signed: Signed<RootDocument>, now: Timestamp) -> Result<Self, RootError> {
        let root = Self::from_kept(signed, now)?;
        root.require_unexpired(now)?;
        Ok(root)
    }

    /// Goes on only while the root counts.
    ///
    /// # Errors
    /// [`RootError::Expired`].
    pub fn require_unexpired(&self, now: Timestamp) -> Result<(), RootError> {
        let since = self.document().expires_at;
        if since <= now {
            return Err(RootError::Expired { since });
        }
        Ok(())
    }

    /// As [`Self::verify`], for a root that this node had in force before or that a later one
    /// follows: it may have expired since.
    ///
    /// # Errors
    /// As [`Self::verify`], without [`RootError::Expired`].
    pub fn verify_kept(text: &str, now: Timestamp) -> Result<Self, RootError> {
        Self::from_kept(Signed::parse(text)?, now)
    }

    pub(super) fn from_kept(
        signed: Signed<RootDocument>,
        now: Timestamp,
    ) -> Result<Self, RootError> {
        let document = signed.document();
        check(document)?;
        let authorities = document
            .authorities
            .iter()
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| RootError::Authority)?;
        signed.require(&keys(document), threshold(document))?;
        if document.issued_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(RootError::IssuedInFuture {
                issued_at: document.issued_at,
            });
        }
        roots(&authorities).map_err(|_| RootError::Authority)?;
        check_tainted(&document.tainted, &authorities)?;
        let fingerprint = signed.digest()?;
        Ok(Self {
            signed,
            fingerprint,
            authorities,
        })
    }

    /// Goes on only if this is the root with `fingerprint`.
    ///
    /// # Errors
    /// [`RootError::OtherFingerprint`].
    pub fn pinned(self, fingerprint: &[u8; 32]) -> Result<Self, RootError> {
        if self.fingerprint == *fingerprint {
            Ok(self)
        } else {
            Err(RootError::OtherFingerprint {
                found: self.fingerprint_text(),
            })
        }
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> &RootDocument {
        self.signed.document()
    }

    /// The document with its signatures.
    #[must_use]
    pub const fn signed(&self) -> &Signed<RootDocument> {
        &self.signed
    }

    /// The network's id.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.signed.document().network
    }

    /// SHA-256 of the document's canonical form.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The fingerprint in groups of four hexadecimal characters, for people to compare.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        hex_groups(&self.fingerprint)
    }

    /// The X.509 root certificates.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The X.509 root certificates that are not about to go.
    pub fn untainted(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let tainted = &self.document().tainted;
        let is_tainted = |one: &&CertificateDer<'static>| tainted.contains(&sha256(one));
        self.authorities.iter().filter(move |one| !is_tainted(one))
    }

    /// SHA-256 of every X.509 root certificate but the one in `pem`.
    #[must_use]
    pub fn authority_digests_except(&self, pem: &str) -> Vec<[u8; 32]> {
        let documents = self.document().authorities.iter();
        let all = documents.zip(&self.authorities);
        let others = all.filter(|(one, _)| *one != pem);
        others.map(|(_, der)| sha256(der)).collect()
    }

    /// The administrators' public keys.
    #[must_use]
    pub fn administrator_keys(&self) -> Vec<[u8; 32]> {
        keys(self.document())
    }

    /// How many administrators must sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        threshold(self.document())
    }

    /// The document's version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.signed.document().version
    }

    /// The online keys that may sign freshness statements; empty where the network asks for none.
    #[must_use]
    pub fn freshness_keys(&self) -> &[[u8; 32]] {
        &self.document().freshness_keys
    }

    /// When key epochs begin and end.
    #[must_use]
    pub const fn calendar(&self) -> Calendar {
        let document = self.signed.document();
        Calendar {
            genesis_at: document.genesis_at,
            epoch_days: document.epoch_days,
            overlap_days: document.overlap_days,
            announce_days: document.announce_days,
        }
    }
}

pub(super) fn keys(document: &RootDocument) -> Vec<[u8; 32]> {
    document.administrators.iter().map(|one| one.key).collect()
}

pub(super) fn threshold(document: &RootDocument) -> usize {
    usize::try_from(document.threshold).unwrap_or(usize::MAX)
}
