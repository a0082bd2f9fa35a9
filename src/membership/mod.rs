//! Who belongs to the network: trust documents, certificates, and the one way to a verified peer.
//!
//! A [`NetworkRoot`] names the administrators and the X.509 roots, and is known by its fingerprint.
//! The administrators sign [`MemberList`]s; a verified one is a [`Roster`], and [`Roster::admit`]
//! is the only source of a [`VerifiedPeer`]. Each member signs, under the identity key that the
//! list pins, which TLS and OPRF keys are its own.

mod authority;

mod auditor_key;

mod authority_key;

mod calendar;

mod certificate;

mod departure;

mod differences;

mod chain;

mod document;

mod draft;

mod freshness;

mod join;

mod key;

mod key_uri;

mod life;

mod list;

mod log;

mod mint;

mod monthly;

mod network;

mod operator;

mod operator_tls;

mod paper;

mod pkcs11;

mod profile;

mod refusal;

mod revocation;

mod rights;

mod registrar_tls;
mod rights_change;

mod request;

mod roster;

mod signing_key;

mod root_proposal;
mod root_rules;

mod seen;

mod statement;

mod succession;

#[cfg(test)]
mod tests;

mod text;

mod token;

mod trust;

pub use auditor_key::AuditorKeyStatement;
pub use authority::{Authority, AuthorityError, Issuance, RootAuthority, Subject};
pub use authority_key::AuthorityKey;
pub use calendar::Calendar;
pub use certificate::{CertificateError, PeerCertificate, dns_name_of};
pub use departure::{Departure, DepartureError, Departures, depart};
pub use differences::differences;

pub use chain::{ChainPart, chain_parts, check_chain};
pub use document::{Document, DocumentError, DocumentSignature, Signed};
pub use draft::Founding;
pub use freshness::{Freshness, FreshnessError, FreshnessStatement, state_freshness};
pub use join::{
    Applicant, Invitation, JoinError, JoinRequest, Joiner, Terms, Welcome, accept_welcome,
    check_invitation, check_request, request_to_join,
};
pub use key::{CertificateKey, KeyError, RequestedKey};
pub use key_uri::{KeyUri, KeyUriError};
pub use life::LifeLeft;
pub use list::{FormerKey, ListError, Member, MemberList, MemberState, is_endpoint};
pub use log::{EntryFault, EntryMalformed, History, LogEntry, LogEvent, Pin, log_id, log_origin};
pub use mint::{MintError, MintedMember, MintedNetwork, Seat};
pub use monthly::MonthlyStatement;
pub use network::{Administrator, NetworkRoot, RootDocument, RootError};
pub use operator::{
    IssuedOperator, OPERATOR_SERVER_NAME, OperatorAuthority, OperatorCertificate, OperatorError,
    WantedOperator,
};
pub use operator_tls::{OperatorCredentials, OperatorServer};
pub use paper::{certificate_fingerprint, check_certified_by};
pub use pkcs11::{ModuleDefaults, default_pin, set_module_defaults};
pub use profile::{Profile, ProfileError, Profiles};
pub use refusal::Refusal;
pub use registrar_tls::{
    RegistrarServer, RegistrarTlsError, is_registrar, registrar_client, registrar_name_of,
    stranger_client,
};
pub use request::{
    ChangeRequest, DeskRequest, NewIdentity, OwnChange, Renewal, RenewalRequest, RequestError,
    check_change, check_desk, check_renewal, request_change, request_desk, request_renewal,
};
pub use revocation::{RevokedCertificate, issued_by_chain};
pub use rights::{Denial, Grant, Granted, Rights, Rule, Service, Wish};
pub use rights_change::RightsChange;
pub use root_proposal::{RootTally, certificate_digest, certified_by, root_differences};
pub use roster::{Roster, Supersession, VerifiedPeer};
pub use signing_key::SigningKey;
pub use statement::{CertificateStatement, KeyStatement, KeyTerms, StatementError};
pub use text::{hex_groups, is_deceptive};
pub use token::{InvitationToken, TokenError};

pub use seen::{Seen, SeenError};
pub use trust::{
    ALPN, OwnCertificate, TlsConfigs, TrustError, leading_roots, leads_to, must_renew, server_name,
};
