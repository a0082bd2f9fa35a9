//! How one network root follows another, in the manner of The Update Framework: version N+1 is
//! signed by the threshold of N and by its own, so that a node which trusts N needs nobody else to
//! trust N+1.
//!
//! A root may change its administrators and their threshold, the X.509 roots, the freshness keys,
//! and its dates. The network's id, its calendar, its classes of identifiers, its currency, bands
//! and population stay: members' keys, feeds and summaries are built on them.

use super::document::Signed;
use super::network::{NetworkRoot, RootDocument, RootError};
use crate::domain::Timestamp;

/// Whether a root names a predecessor exactly where it has one.
pub(super) const fn links_by_version(document: &RootDocument) -> bool {
    (document.version > 1) == document.previous.is_some()
}

impl NetworkRoot {
    /// Reads the root that follows `held`, and checks that it may.
    ///
    /// # Errors
    /// [`RootError`], whose variant names the one thing that is wrong.
    pub fn succeed(held: &Self, text: &str, now: Timestamp) -> Result<Self, RootError> {
        let next = Self::succeed_kept(held, text, now)?;
        next.require_unexpired(now)?;
        Ok(next)
    }

    /// As [`Self::succeed`], for a root that a later one follows: it may have expired.
    ///
    /// # Errors
    /// As [`Self::succeed`], without [`RootError::Expired`].
    pub fn succeed_kept(held: &Self, text: &str, now: Timestamp) -> Result<Self, RootError> {
        let signed = Signed::<RootDocument>::parse(text)?;
        check_place(held, &signed)?;
        signed
            .require(&held.administrator_keys(), held.threshold())
            .map_err(RootError::NotByPredecessor)?;
        let next = Self::from_kept(signed, now)?;
        if let Some(term) = changed_term(held.document(), next.document()) {
            return Err(RootError::ChangedTerm { term });
        }
        Ok(next)
    }

    /// Follows `texts` from `held` one by one; gives every root on the way. Only the last one must
    /// still count.
    ///
    /// # Errors
    /// [`RootError`] of the first that does not follow; none of them is to be trusted then.
    pub fn walk(held: &Self, texts: &[String], now: Timestamp) -> Result<Vec<Self>, RootError> {
        let mut walked: Vec<Self> = Vec::new();
        for text in texts {
            let next = Self::succeed_kept(walked.last().unwrap_or(held), text, now)?;
            walked.push(next);
        }
        walked.last().unwrap_or(held).require_unexpired(now)?;
        Ok(walked)
    }
}

/// Checks network, version, date and link, before any signature.
pub(super) fn check_place(
    held: &NetworkRoot,
    next: &Signed<RootDocument>,
) -> Result<(), RootError> {
    let document = next.document();
    if document.network != *held.network() {
        return Err(RootError::OtherNetwork {
            found: document.network.clone(),
            own: held.network().clone(),
        });
    }
    let (version, offered) = (document.version, document.version);
    let held_version = held.version();
    if version < held_version {
        return Err(RootError::RolledBack {
            held: held_version,
            offered,
        });
    }
    if version == held_version {
        // The root in force itself is no successor either, but nobody is to blame for it.
        return if next.digest()? == *held.fingerprint() {
            Err(RootError::RolledBack {
                held: held_version,
                offered,
            })
        } else {
            Err(RootError::Forked { version })
        };
    }
    if version != held_version.saturating_add(1) {
        return Err(RootError::SkipsVersions {
            held: held_version,
            offered,
        });
    }
    if document.previous != Some(*held.fingerprint()) {
        return Err(RootError::WrongPrevious { version });
    }
    if document.issued_at < held.document().issued_at {
        return Err(RootError::IssuedBackwards { version });
    }
    Ok(())
}

/// The first term that `next` changes and may not.
pub(super) fn changed_term(held: &RootDocument, next: &RootDocument) -> Option<&'static str> {
    let terms = [
        (held.genesis_at == next.genesis_at, "the start of epoch 0"),
        (
            held.epoch_days == next.epoch_days,
            "the length of key epochs",
        ),
        (
            held.overlap_days == next.overlap_days,
            "the overlap of key epochs",
        ),
        (
            held.announce_days == next.announce_days,
            "how far ahead keys are announced",
        ),
        (
            held.identifier_classes == next.identifier_classes,
            "the classes of identifiers",
        ),
        (held.currency == next.currency, "the currency"),
        (
            held.exposure_band_edges_minor == next.exposure_band_edges_minor,
            "the exposure bands",
        ),
        (held.population == next.population, "the population"),
    ];
    let changed = terms.into_iter().find(|(same, _)| !same);
    changed.map(|(_, term)| term)
}

impl RootDocument {
    /// The document that follows `held` and changes nothing else: same life, from `now`.
    #[must_use]
    pub fn following(held: &NetworkRoot, now: Timestamp) -> Self {
        let before = held.document();
        let life = before.expires_at.since(before.issued_at);
        let issued_at = now.max(before.issued_at);
        Self {
            version: before.version.saturating_add(1),
            previous: Some(*held.fingerprint()),
            issued_at,
            expires_at: issued_at.plus(life),
            ..before.clone()
        }
    }
}
