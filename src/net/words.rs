//! TLS failures in words for the operator: clock, chain, expiry, name; never "connection closed"
//! alone.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "other crates' open enumerations: what is not named here says its own words"
)]

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::domain::Timestamp;

/// Who issued the certificates on a connection, which words about them depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuedBy {
    /// The network's authorities: both ends are members' nodes.
    Network,
    /// A node's operator authority: one end is the node, the other one of its operators.
    OperatorAuthority,
}

impl IssuedBy {
    const fn own(self) -> &'static str {
        match self {
            Self::Network => "this node's certificate",
            Self::OperatorAuthority => "this operator's certificate",
        }
    }

    const fn renew(self) -> &'static str {
        match self {
            Self::Network => "renew it",
            Self::OperatorAuthority => "issue a new one with `creditmesh cert operator`",
        }
    }

    const fn unknown_issuer(self) -> &'static str {
        match self {
            Self::Network => "it does not lead to a root certificate of this network",
            Self::OperatorAuthority => "it is not by the operator authority of this node",
        }
    }

    const fn distrusted(self) -> &'static str {
        match self {
            Self::Network => {
                "it does not trust the root that this node's certificate leads to; one of the two \
                 has another network's or an old root"
            }
            Self::OperatorAuthority => {
                "it does not know the authority of this operator's certificate; give the \
                 credentials that this very node issued"
            }
        }
    }
}

/// What the calling end knows of itself when the other one refuses it; alerts alone mislead.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnSide {
    /// Who issued what it shows.
    pub(super) issuer: IssuedBy,
    /// First moment of the certificate that it shows.
    pub(super) not_before: Timestamp,
    /// Last moment of that certificate.
    pub(super) not_after: Timestamp,
    /// Its time.
    pub(super) now: Timestamp,
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// Whether one end refused the other's certificate, or could not agree on TLS with it.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    tls_error(error).is_some()
}

/// Why a connection that somebody opened failed, for this node's log.
pub(super) fn of_client(error: &io::Error, issuer: IssuedBy) -> String {
    let Some(tls) = tls_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the caller went away during the TLS handshake".to_owned()
            }
            kind => format!("the connection broke during the TLS handshake ({kind})"),
        };
    };
    match tls {
        TlsError::NoCertificatesPresented => "the caller showed no certificate".to_owned(),
        TlsError::InvalidCertificate(error) => {
            format!(
                "the caller's certificate is refused: {}",
                certificate_words(error, issuer)
            )
        }
        TlsError::AlertReceived(alert) => {
            format!("the caller refused this node's certificate ({alert:?})")
        }
        TlsError::PeerIncompatible(_) => "the caller does not speak TLS 1.3".to_owned(),
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => {
            "the caller does not speak TLS".to_owned()
        }
        other => other.to_string(),
    }
}

/// Why a connection that this node opened failed.
pub(super) fn of_server(error: &io::Error, own: &OwnSide) -> String {
    let Some(tls) = tls_error(error) else {
        return of_socket(error.kind());
    };
    match tls {
        TlsError::InvalidCertificate(error) => format!(
            "its certificate is refused here: {} (the time here is {})",
            certificate_words(error, own.issuer),
            own.now
        ),
        TlsError::AlertReceived(alert) => of_alert(*alert, own),
        TlsError::PeerIncompatible(_) => {
            "it does not speak TLS 1.3; its operator must update it, or the endpoint is wrong"
                .to_owned()
        }
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => {
            "it does not speak TLS; check host and port".to_owned()
        }
        other => format!("TLS failed: {other}"),
    }
}

fn of_socket(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there; check the endpoint, and that it runs".to_owned()
        }
        io::ErrorKind::TimedOut => {
            "no answer in time; check the endpoint, the network, and that it runs".to_owned()
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            "it closed the connection without a reason: it may have too many connections, or a \
             device in between interferes"
                .to_owned()
        }
        other => format!("the connection failed ({other}); check the endpoint and the network"),
    }
}

/// An alert says less than one thinks: say it beside what this node knows of itself.
fn of_alert(alert: AlertDescription, own: &OwnSide) -> String {
    let OwnSide {
        issuer,
        not_before,
        not_after,
        now,
    } = *own;
    let shown = issuer.own();
    if not_after <= now {
        return format!(
            "it refuses {shown}, which expired at {not_after}; {}",
            issuer.renew()
        );
    }
    if not_before > now {
        return format!(
            "it refuses {shown}, which is valid from {not_before}, and the time here is {now}; \
             check the clock"
        );
    }
    match alert {
        AlertDescription::CertificateExpired => format!(
            "by its clock {shown} is expired or not yet valid; the time here is {now}, compare \
             the clocks"
        ),
        AlertDescription::UnknownCA => issuer.distrusted().to_owned(),
        AlertDescription::CertificateRequired => {
            format!("it asks for a certificate and got none; check the file of {shown}")
        }
        AlertDescription::ProtocolVersion => {
            "it does not speak TLS 1.3; its operator must update it".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not speak HTTP/2 there; check host and port".to_owned()
        }
        // Other alerts carry no more than their name.
        other => {
            format!("it refuses {shown} ({other:?}); look into the log at the other end")
        }
    }
}

fn certificate_words(error: &CertificateError, issuer: IssuedBy) -> String {
    match error {
        CertificateError::Expired => "it is expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("it expired at {}", at(not_after.as_secs()))
        }
        CertificateError::NotValidYet => "it is not valid yet; compare the clocks".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "it is valid from {}; compare the clocks",
            at(not_before.as_secs())
        ),
        CertificateError::UnknownIssuer => issuer.unknown_issuer().to_owned(),
        CertificateError::BadSignature => {
            "its signature is not by the authority that it names: it is forged".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it names somebody else; check which member this endpoint belongs to".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not made for this end of a connection".to_owned()
        }
        // The enumeration is open: what rustls adds later says its own words.
        other => other.to_string(),
    }
}

fn at(unix_s: u64) -> Timestamp {
    let unix_s = i64::try_from(unix_s).unwrap_or(i64::MAX);
    Timestamp::from_unix_ms(unix_s.saturating_mul(1_000))
}
