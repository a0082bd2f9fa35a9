//! What a configuration says of watching and alerts, made to run.

use std::sync::Arc;

use super::{Core, Folder, NodeError};
use crate::config::AlertsConfig;
use crate::flows::{Home, WatchSettings, WebhookTarget};
use crate::net::WebhookClient;
use crate::protocol::webhook::WebhookSecret;

/// Starts a node's flows: following its peers, looking for watched borrowers, posting alerts.
pub(super) fn start_core(home: Home, config: &AlertsConfig, target: Option<WebhookTarget>) -> Core {
    let settings = WatchSettings {
        hard_applications: config.hard_applications,
        posts: target.is_some(),
    };
    let mut core = Core::start_watching(Arc::new(home), settings);
    if let Some(target) = target {
        core.post_alerts(target);
    }
    core.follow_peers();
    core
}

/// The webhook of a configuration; `None` where it has none.
///
/// # Errors
/// [`NodeError::Folder`] where the address is not sound, or a file has not what it should.
pub(super) fn webhook_target(
    folder: &Folder,
    config: &AlertsConfig,
) -> Result<Option<WebhookTarget>, NodeError> {
    let Some(webhook) = &config.webhook else {
        return Ok(None);
    };
    let text = |path| folder.text(&folder.path().join(path));
    let authorities = webhook.ca_file.as_ref().map(text).transpose()?;
    let client = WebhookClient::new(&webhook.url, authorities.as_deref());
    let client = client
        .map_err(|error| NodeError::Folder(format!("node.toml: alerts.webhook_url {error}")))?;
    let secret = zeroize::Zeroizing::new(text(&webhook.secret_file)?);
    let secret = WebhookSecret::parse(&secret).map_err(|error| {
        let place = webhook.secret_file.display();
        NodeError::Folder(format!("{place}: {error}"))
    })?;
    Ok(Some(WebhookTarget {
        client,
        secret,
        attempts: webhook.attempts,
    }))
}
