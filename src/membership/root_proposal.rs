//! A next root document on its way: who has signed it, and what it changes.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::certificate::sha256;
use super::document::Signed;
use super::network::{NetworkRoot, RootDocument, RootError, keys, threshold};
use super::root_rules::{check, check_tainted};
use super::succession::{changed_term, check_place};
use super::text::hex_groups;
use super::trust::roots;
use crate::domain::Timestamp;
use crate::limits::CLOCK_SKEW_MAX;

/// How many administrators signed a next root, and how many must: of the root in force and of the
/// next one itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootTally {
    /// Administrators of the root in force who signed.
    pub signed: usize,
    /// Administrators of the root in force who must.
    pub needed: usize,
    /// Administrators of the next root who signed.
    pub signed_by_own: usize,
    /// Administrators of the next root who must.
    pub needed_by_own: usize,
}

impl RootTally {
    /// Whether nobody else need sign.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.signed >= self.needed && self.signed_by_own >= self.needed_by_own
    }
}

impl NetworkRoot {
    /// Checks everything about a next root but that enough administrators signed it.
    ///
    /// # Errors
    /// [`RootError`], whose variant names the one thing that is wrong; in particular a forged
    /// signature.
    pub fn check_proposed(
        &self,
        next: &Signed<RootDocument>,
        now: Timestamp,
    ) -> Result<RootTally, RootError> {
        check_place(self, next)?;
        let document = next.document();
        check(document)?;
        let authorities = document
            .authorities
            .iter()
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| RootError::Authority)?;
        roots(&authorities).map_err(|_| RootError::Authority)?;
        check_tainted(&document.tainted, &authorities)?;
        if document.issued_at > now.plus(CLOCK_SKEW_MAX) {
            let issued_at = document.issued_at;
            return Err(RootError::IssuedInFuture { issued_at });
        }
        if document.expires_at <= now {
            let since = document.expires_at;
            return Err(RootError::Expired { since });
        }
        if let Some(term) = changed_term(self.document(), document) {
            return Err(RootError::ChangedTerm { term });
        }
        Ok(RootTally {
            signed: next
                .valid_signatures(&self.administrator_keys())
                .map_err(RootError::NotByPredecessor)?,
            needed: self.threshold(),
            signed_by_own: next.valid_signatures(&keys(document))?,
            needed_by_own: threshold(document),
        })
    }
}

/// SHA-256 of a certificate in PEM, as root documents and acknowledgements name it; `None` where it
/// cannot be read.
#[must_use]
pub fn certificate_digest(pem: &str) -> Option<[u8; 32]> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(sha256(&der))
}

/// Which X.509 root of `root` certified this issuing authority: the SHA-256 of its certificate, and
/// its place in the document. `None` where none did.
#[must_use]
pub fn certified_by(root: &NetworkRoot, issuing_pem: &str) -> Option<(usize, [u8; 32])> {
    let issuing = CertificateDer::from_pem_slice(issuing_pem.as_bytes()).ok()?;
    let (_, issuing) = X509Certificate::from_der(&issuing).ok()?;
    let signs = |der: &&CertificateDer<'static>| {
        X509Certificate::from_der(der).is_ok_and(|(_, authority)| {
            authority.subject() == issuing.issuer()
                && issuing
                    .verify_signature(Some(authority.public_key()))
                    .is_ok()
        })
    };
    let mut authorities = root.authorities().iter().enumerate();
    authorities
        .find(|(_, der)| signs(der))
        .map(|(place, der)| (place, sha256(der)))
}

/// One sentence for each thing that differs between a root and the next; the version, dates and
/// link aside.
#[must_use]
pub fn root_differences(held: &RootDocument, next: &RootDocument) -> Vec<String> {
    let mut words = Vec::new();
    tell_administrators(held, next, &mut words);
    let digest = |pem: &String| certificate_digest(pem).unwrap_or_default();
    let name = |digest: &[u8; 32]| hex_groups(digest);
    let (old, new): (Vec<_>, Vec<_>) = (
        held.authorities.iter().map(digest).collect(),
        next.authorities.iter().map(digest).collect(),
    );
    tell_sets(&old, &new, &mut words, |one, enters| {
        let name = name(one);
        if enters {
            format!("the X.509 root certificate {name} enters")
        } else {
            format!("the X.509 root certificate {name} goes: what leads to it alone is cut off")
        }
    });
    tell_sets(&held.tainted, &next.tainted, &mut words, |one, enters| {
        let name = name(one);
        if enters {
            format!("the X.509 root certificate {name} is about to go: members renew at once")
        } else {
            format!("the X.509 root certificate {name} is no longer marked as about to go")
        }
    });
    let (old, new) = (&held.freshness_keys, &next.freshness_keys);
    tell_sets(old, new, &mut words, |one, enters| {
        let name = name(one);
        if enters {
            format!("the freshness key {name} enters")
        } else {
            format!("the freshness key {name} goes: what only it signed is dropped")
        }
    });
    let life = |one: &RootDocument| one.expires_at.since(one.issued_at);
    if life(held) != life(next) {
        words.push(format!("it counts until {}", next.expires_at));
    }
    words
}

fn tell_sets(
    old: &[[u8; 32]],
    new: &[[u8; 32]],
    words: &mut Vec<String>,
    tell: impl Fn(&[u8; 32], bool) -> String,
) {
    let entering = new.iter().filter(|one| !old.contains(one));
    words.extend(entering.map(|one| tell(one, true)));
    let going = old.iter().filter(|one| !new.contains(one));
    words.extend(going.map(|one| tell(one, false)));
}

fn tell_administrators(held: &RootDocument, next: &RootDocument, words: &mut Vec<String>) {
    for one in &next.administrators {
        let (name, key) = (&one.name, hex_groups(&one.key));
        match held.administrators.iter().find(|old| old.name == *name) {
            None => words.push(format!("{name} becomes an administrator, key {key}")),
            Some(old) if old.key != one.key => {
                words.push(format!(
                    "administrator {name} has the key {key} from now on"
                ));
            }
            Some(_) => {}
        }
    }
    for old in &held.administrators {
        let name = &old.name;
        if !next.administrators.iter().any(|one| one.name == *name) {
            words.push(format!("{name} is an administrator no longer"));
        }
    }
    let (before, after) = (held.threshold, next.threshold);
    if before != after {
        words.push(format!(
            "{after} administrators must sign, until now {before}"
        ));
    }
}
