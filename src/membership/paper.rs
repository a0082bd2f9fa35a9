//! What people compare before they sign: a root document and a first list in words.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::authority::AuthorityError;
use super::certificate::sha256;
use super::list::MemberList;
use super::network::{RootDocument, RootError};
use super::text::hex_groups;

fn der(pem: &str) -> Result<CertificateDer<'static>, AuthorityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| AuthorityError::Unreadable)
}

/// SHA-256 of a certificate, as people compare it.
///
/// # Errors
/// [`AuthorityError::Unreadable`].
pub fn certificate_fingerprint(pem: &str) -> Result<String, AuthorityError> {
    Ok(hex_groups(&sha256(&der(pem)?)))
}

/// Checks that an authority's certificate was signed by a root.
///
/// # Errors
/// [`AuthorityError::OtherRoot`], or [`AuthorityError::Unreadable`].
pub fn check_certified_by(pem: &str, root_pem: &str) -> Result<(), AuthorityError> {
    let (own, root) = (der(pem)?, der(root_pem)?);
    let unreadable = |_| AuthorityError::Unreadable;
    let (_, own) = X509Certificate::from_der(&own).map_err(unreadable)?;
    let (_, root) = X509Certificate::from_der(&root).map_err(unreadable)?;
    let signed = own.verify_signature(Some(root.public_key())).is_ok();
    if signed && own.issuer() == root.subject() {
        Ok(())
    } else {
        Err(AuthorityError::OtherRoot)
    }
}

impl RootDocument {
    /// Checks the rules that hold for a root document by itself, before anybody signs it.
    ///
    /// # Errors
    /// [`RootError::Invalid`].
    pub fn check_rules(&self) -> Result<(), RootError> {
        super::root_rules::check(self)
    }

    /// What the document says, one thing a line.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let count = self.administrators.len();
        let mut lines = vec![
            format!(
                "root document {} of the network {}",
                self.version, self.network
            ),
            format!("counts from {} until {}", self.issued_at, self.expires_at),
            format!("{} of {count} administrators must sign:", self.threshold),
        ];
        for one in &self.administrators {
            lines.push(format!("  {:<20} {}", one.name, hex_groups(&one.key)));
        }
        for pem in &self.authorities {
            let found = certificate_fingerprint(pem);
            let found = found.unwrap_or_else(|error| error.to_string());
            lines.push(format!("root certificate (SHA-256) {found}"));
        }
        for key in &self.freshness_keys {
            lines.push(format!("freshness key {}", hex_groups(key)));
        }
        lines.push(format!(
            "key epochs of {} days from {}, overlap {}, announced {} days ahead",
            self.epoch_days, self.genesis_at, self.overlap_days, self.announce_days
        ));
        lines.push(format!(
            "exposure bands in {}, for a population of {}",
            self.currency, self.population
        ));
        lines
    }
}

impl MemberList {
    /// What the list says of itself, and how many it names.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let count = self.members.len();
        vec![
            format!(
                "member list {} of the network {}",
                self.version, self.network
            ),
            format!("counts from {} until {}", self.issued_at, self.expires_at),
            format!(
                "made under root {}, and names {count} members",
                self.root_version
            ),
        ]
    }
}
