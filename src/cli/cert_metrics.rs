//! A certificate's moments as metrics, in the `OpenMetrics` text format, for a collector that reads
//! files (such as the textfile collector of Prometheus' node exporter).

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::exit::CliError;
use crate::domain::Timestamp;
use crate::membership::{ChainPart, PeerCertificate};

/// Which certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    member: String,
    subject: String,
}

/// The moments of a node's certificate and of those above it, seconds since 1970: raw, so that
/// whoever reads decides what is too late.
pub(super) fn metrics(leaf: &PeerCertificate, chain: &[ChainPart]) -> Result<String, CliError> {
    let mut registry = Registry::with_prefix("creditmesh_certificate");
    let mut moments = |name: &str, help: &str| {
        let family = Family::<Part, Gauge>::default();
        registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    };
    let begins = moments("not_before", "From when the certificate counts");
    let ends = moments(
        "not_after",
        "From when the certificate does not count any more",
    );
    let renews = moments("renews_at", "From when the node renews its certificate");
    let part = |subject: &str| Part {
        member: leaf.member().to_string(),
        subject: subject.to_owned(),
    };
    for one in chain {
        ends.get_or_create(&part(&one.subject))
            .set(seconds(one.not_after));
    }
    if let Some(own) = chain.first() {
        let own = part(&own.subject);
        begins.get_or_create(&own).set(seconds(leaf.not_before()));
        renews.get_or_create(&own).set(seconds(leaf.renews_at()));
    }
    let mut out = String::new();
    text::encode(&mut out, &registry).map_err(|_| CliError::local("metrics: not written"))?;
    Ok(out)
}

fn seconds(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(1_000)
}
