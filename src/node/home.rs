//! What a node's flows rest on, as its configuration, its store and its network say.

use std::sync::Arc;

use super::NodeError;
use super::folder::Opened;
use super::parts::NodeParts;
use crate::domain::{Bands, RetentionPolicy};
use crate::flows::{Home, LightTerms, Timing, fence_of};
use crate::net::{AskedPeers, Transport, TrustHandle};
use crate::risk::Policy;

/// A node's own side of everything.
pub(super) async fn home(
    opened: &Opened,
    parts: &NodeParts,
    trust: TrustHandle,
    transport: Arc<dyn Transport>,
    (policy, retention): (Policy, RetentionPolicy),
) -> Result<Home, NodeError> {
    let timing = Timing {
        group_interval: opened.config.group_interval,
        peer_deadline: opened.config.peer_deadline,
        ..Timing::default()
    };
    let root = trust.root();
    let network = root.document();
    let bands = Bands::of(network.currency, &network.exposure_band_edges_minor)
        .map_err(|error| NodeError::Folder(format!("network.json: {error}")))?;
    let fence = fence_of(&opened.vault, &root.calendar()).await?;
    if fence.is_some_and(|fence| fence >= root.calendar().current(parts.clock.now())) {
        tracing::error!(
            "the store was restored from a backup: until the next key epoch nothing is published, \
             asked or answered (docs/storage.md)"
        );
    }
    Ok(Home {
        member: opened.config.member.clone(),
        clock: Arc::clone(&parts.clock),
        entropy: Arc::clone(&parts.entropy),
        vault: opened.vault.clone(),
        calendar: root.calendar(),
        trust,
        identities: Arc::new(opened.identities().await?),
        peers: AskedPeers::new(transport, Arc::clone(&parts.clock)),
        policy,
        retention,
        bands,
        fence,
        timing,
        light: LightTerms {
            entries: opened.config.light.entries,
            peers: opened.config.light.peers.clone(),
        },
    })
}
