//! `[alerts]` of `node.toml`: what is told of watched borrowers, and where alerts are posted.

use std::path::PathBuf;

use serde::Deserialize;

use super::node::{ConfigError, value};
use crate::limits::WEBHOOK_ATTEMPTS_MAX;

/// What is told of watched borrowers, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertsConfig {
    /// Whether hard applications elsewhere raise alerts.
    pub hard_applications: bool,
    /// Where alerts are posted; `None` posts none.
    pub webhook: Option<WebhookConfig>,
}

/// Where alerts are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address; checked by whoever connects to it.
    pub url: String,
    /// A file with the secret that signs them.
    pub secret_file: PathBuf,
    /// A file with the certificates that the receiver's must lead to; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
    /// Attempts before a delivery is given up.
    pub attempts: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlerts {
    #[serde(default)]
    hard_applications: bool,
    webhook_url: Option<String>,
    webhook_secret_file: Option<PathBuf>,
    webhook_ca_file: Option<PathBuf>,
    webhook_attempts: Option<u32>,
}

impl AlertsConfig {
    /// The section of a fresh `node.toml`.
    pub(super) const SAMPLE: &'static str = "\
        # What is told of watched borrowers (docs/watch.md). A section stands at the end.\n\
        # [alerts]\n\
        # Whether applications for loans elsewhere are told too.\n\
        # hard_applications = false\n\
        # Where alerts are posted, https (http to this machine only), and the file with the\n\
        # secret that signs them: whsec_ and 24 to 64 random bytes in base64.\n\
        # webhook_url = \"https://crm.example/alerts\"\n\
        # webhook_secret_file = \"webhook.secret\"\n\
        # Certificates that the receiver's must lead to, in place of the system's.\n\
        # webhook_ca_file = \"crm-ca.pem\"\n\
        # Attempts before a delivery is given up; 20 take about 30 hours.\n\
        # webhook_attempts = 20\n";
}

/// Attempts where the configuration names no number: about 30 hours.
const ATTEMPTS: u32 = 20;

impl RawAlerts {
    pub(super) fn checked(self) -> Result<AlertsConfig, ConfigError> {
        let attempts = self.webhook_attempts.unwrap_or(ATTEMPTS);
        if !(1..=WEBHOOK_ATTEMPTS_MAX).contains(&attempts) {
            let rule = format!("must be 1 to {WEBHOOK_ATTEMPTS_MAX} and is {attempts}");
            return Err(value("alerts.webhook_attempts", rule));
        }
        let webhook = match (self.webhook_url, self.webhook_secret_file) {
            (Some(url), Some(secret_file)) => Some(WebhookConfig {
                url,
                secret_file,
                ca_file: self.webhook_ca_file,
                attempts,
            }),
            (None, None) => None,
            (Some(_), None) => {
                let rule = "must name the file with the secret that signs what is posted";
                return Err(value("alerts.webhook_secret_file", rule));
            }
            (None, Some(_)) => {
                return Err(value(
                    "alerts.webhook_url",
                    "must be set beside the secret's file",
                ));
            }
        };
        Ok(AlertsConfig {
            hard_applications: self.hard_applications,
            webhook,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeConfig;

    const SOUND: &str =
        "member = \"alpha\"\nlisten = \"127.0.0.1:7401\"\nkey_file = \"k\"\n[alerts]\n";

    #[test]
    fn a_webhook_has_an_address_and_a_secret() {
        let with = |lines: &str| NodeConfig::parse(&format!("{SOUND}{lines}"));
        assert_eq!(with("").unwrap().alerts.webhook, None);
        let url = "webhook_url = \"https://crm.example/alerts\"\n";
        let secret = "webhook_secret_file = \"webhook.secret\"\n";
        let config = with(&format!("hard_applications = true\n{url}{secret}")).unwrap();
        assert!(config.alerts.hard_applications);
        assert_eq!(config.alerts.webhook.unwrap().attempts, 20);
        for (lines, key) in [
            (url.to_owned(), "webhook_secret_file"),
            (secret.to_owned(), "webhook_url"),
            (
                format!("{url}{secret}webhook_attempts = 0\n"),
                "webhook_attempts",
            ),
            ("colour = 1\n".to_owned(), "colour"),
        ] {
            let error = with(&lines).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
