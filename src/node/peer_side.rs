//! How a running node serves its peers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Core, NodeError};
use crate::flows::{Auditor, Logged};
use crate::net::{Gate, Listener, NodeTls, TrustHandle, gated_server};
use crate::service::{
    AuditingService, PeerService, StandingService, WitnessService, auditing_server, explain_server,
    health, light_server, notices_server, peer_server, reflection, standing_server, witness_server,
};

/// Serves peers until `stop`; the future is to be spawned.
pub(super) async fn serve_peers(
    core: &Core,
    listener: Listener<NodeTls>,
    trust: TrustHandle,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, NodeError> {
    let service = peer_server(PeerService::new(Arc::clone(&core.answerer)));
    let standing = StandingService::new(Arc::clone(&core.standings));
    let home = &core.home;
    let (logged, auditor) = (
        Logged::new(Arc::clone(home)),
        Auditor::new(Arc::clone(home)),
    );
    let auditing = AuditingService::new(
        (logged, auditor),
        (core.samples.clone(), core.requests.clone()),
    );
    let witness = WitnessService::new(Arc::clone(&core.witness), Arc::clone(&core.gossip));
    let notices = notices_server(Arc::clone(&core.answerer));
    let light = light_server(Arc::clone(&core.answerer));
    let (reflection, health) = (reflection()?, health().await);
    Ok(async move {
        let ended = gated_server(Gate::new(trust))
            .add_service(service)
            .add_service(standing_server(standing))
            .add_service(auditing_server(auditing))
            .add_service(witness_server(witness))
            .add_service(notices)
            .add_service(light)
            .add_service(explain_server())
            .add_service(health)
            .add_service(reflection)
            .serve_with_incoming_shutdown(listener.incoming(), stop.cancelled_owned())
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "the peer service ended");
        }
    })
}
