//! TLS failures in words for the operator: clock, chain, expiry, name; never "connection closed"
//! alone.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "other crates' open enumerations: what is not named here says its own words"
)]

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::domain::Timestamp;
use crate::membership::PeerCertificate;

/// What this node knows of itself when a peer refuses it; alerts alone mislead.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnSide<'a> {
    /// The certificate that this node shows.
    pub(super) certificate: &'a PeerCertificate,
    /// This node's time.
    pub(super) now: Timestamp,
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// Why a connection that a peer opened failed, for this node's log.
pub(super) fn of_client(error: &io::Error) -> String {
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
                certificate_words(error)
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
pub(super) fn of_server(error: &io::Error, own: &OwnSide<'_>) -> String {
    let Some(tls) = tls_error(error) else {
        return of_socket(error.kind());
    };
    match tls {
        TlsError::InvalidCertificate(error) => format!(
            "its certificate is refused here: {} (the time here is {})",
            certificate_words(error),
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
            "nobody listens there; check the endpoint, and that the node runs".to_owned()
        }
        io::ErrorKind::TimedOut => {
            "no answer in time; check the endpoint, the network, and that the node runs".to_owned()
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
fn of_alert(alert: AlertDescription, own: &OwnSide<'_>) -> String {
    let OwnSide { certificate, now } = *own;
    if certificate.not_after() <= now {
        return format!(
            "it refuses this node's certificate, which expired at {}; renew it",
            certificate.not_after()
        );
    }
    if certificate.not_before() > now {
        return format!(
            "it refuses this node's certificate, which is valid from {}, and the time here is \
             {now}; check the clock",
            certificate.not_before()
        );
    }
    match alert {
        AlertDescription::CertificateExpired => format!(
            "by its clock this node's certificate is expired or not yet valid; the time here is \
             {now}, compare the clocks"
        ),
        AlertDescription::UnknownCA => {
            "it does not trust the root that this node's certificate leads to; one of the two has \
             another network's or an old root"
                .to_owned()
        }
        AlertDescription::CertificateRequired => {
            "it asks for a certificate and got none; check this node's certificate file".to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "it does not speak TLS 1.3; its operator must update it".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not speak HTTP/2 there; check host and port".to_owned()
        }
        // Other alerts carry no more than their name.
        other => {
            format!("it refuses this node's certificate ({other:?}); ask its operator for the log")
        }
    }
}

fn certificate_words(error: &CertificateError) -> String {
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
        CertificateError::UnknownIssuer => {
            "it does not lead to a root certificate of this network".to_owned()
        }
        CertificateError::BadSignature => {
            "its signature is not by this network's authority: it is forged".to_owned()
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
