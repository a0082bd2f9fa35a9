//! The rules of a root document that depend on nothing but itself.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;

use super::certificate::sha256;
use super::network::{RootDocument, RootError, threshold};
use super::succession::links_by_version;
use crate::limits::{
    ADMINISTRATORS_MAX, AUTHORITIES_MAX, BAND_EDGES_MAX, EPOCH_DAYS_MAX, FRESHNESS_KEYS_MAX,
};

/// At least one root certificate stays, and nothing is tainted that is not there.
pub(super) fn check_tainted(
    tainted: &[[u8; 32]],
    authorities: &[CertificateDer<'static>],
) -> Result<(), RootError> {
    let known: BTreeSet<_> = authorities.iter().map(|one| sha256(one)).collect();
    let going: BTreeSet<_> = tainted.iter().copied().collect();
    let rule = if known.len() < authorities.len() {
        "a root certificate stands twice"
    } else if going.len() < tainted.len() || !going.is_subset(&known) {
        "what is tainted must be root certificates of this root, each once"
    } else if going.len() == known.len() {
        "at least one root certificate must not be tainted"
    } else {
        return Ok(());
    };
    Err(RootError::Invalid { rule })
}

/// Rules and whether they hold, in the order in which a broken one is told.
type Rules = Vec<(bool, &'static str)>;

pub(super) fn check(document: &RootDocument) -> Result<(), RootError> {
    let mut rules = rules_of_government(document);
    rules.extend(rules_of_terms(document));
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(RootError::Invalid { rule }),
        None => Ok(()),
    }
}

fn rules_of_government(document: &RootDocument) -> Rules {
    let administrators = &document.administrators;
    let names: BTreeSet<_> = administrators.iter().map(|one| &one.name).collect();
    let admin_keys: BTreeSet<_> = administrators.iter().map(|one| one.key).collect();
    let online: BTreeSet<_> = document.freshness_keys.iter().collect();
    let is_graphic = |c: char| c.is_ascii_graphic();
    let has_letter = |text: &str| text.chars().any(|c| c.is_ascii_lowercase());
    vec![
        (document.version >= 1, "its version must be 1 or more"),
        (
            links_by_version(document),
            "it must name the digest of the version before, and version 1 none",
        ),
        (
            has_letter(document.network.as_str()),
            "the network's id must contain a letter, because it ends DNS names",
        ),
        (
            document.issued_at < document.expires_at,
            "it must expire after it was issued",
        ),
        (
            (1..=ADMINISTRATORS_MAX).contains(&administrators.len()),
            "it must name 1 to 16 administrators",
        ),
        (
            administrators
                .iter()
                .all(|one| (1..=63).contains(&one.name.len()) && one.name.chars().all(is_graphic)),
            "each administrator needs a name of 1 to 63 visible ASCII characters",
        ),
        (
            names.len() == administrators.len(),
            "two administrators have one name",
        ),
        (
            admin_keys.len() == administrators.len(),
            "two administrators have one key",
        ),
        (
            (1..=administrators.len()).contains(&threshold(document)),
            "its threshold must be from 1 to the number of administrators",
        ),
        (
            (1..=AUTHORITIES_MAX).contains(&document.authorities.len()),
            "it must carry 1 to 4 root certificates",
        ),
        (
            online.len() <= FRESHNESS_KEYS_MAX && online.len() == document.freshness_keys.len(),
            "it must name at most 8 freshness keys, each once",
        ),
        (
            online.iter().all(|key| !admin_keys.contains(*key)),
            "an administrator's key must not be a freshness key",
        ),
    ]
}

fn rules_of_terms(document: &RootDocument) -> Rules {
    let classes: BTreeSet<_> = document.identifier_classes.iter().collect();
    let edges = &document.exposure_band_edges_minor;
    vec![
        (
            (1..=EPOCH_DAYS_MAX).contains(&document.epoch_days),
            "a key epoch must last 1 to 366 days",
        ),
        (
            document.overlap_days < document.epoch_days
                && document.announce_days < document.epoch_days,
            "overlap and announcement must be shorter than a key epoch",
        ),
        (
            !classes.is_empty() && classes.len() == document.identifier_classes.len(),
            "it must list each class of identifiers once, and at least one",
        ),
        (
            (1..=BAND_EDGES_MAX).contains(&edges.len())
                && edges.first().is_some_and(|edge| *edge > 0)
                && edges.is_sorted_by(|one, next| one < next),
            "its exposure bands must be 1 to 14 growing amounts",
        ),
        (document.population > 0, "its population must not be zero"),
    ]
}
