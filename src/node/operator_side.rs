//! How a running node serves its operator: on the folder's socket, and by TLS where it is asked to.

use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::backup::RunningBackups;
use super::core::Core;
use super::erasing::Erasing;
use super::status::Source;
use crate::flows::{AuditReader, Auditor};
use crate::limits::{
    HEADER_LIST_BYTES_MAX, OPERATOR_CALL_DEADLINE, OPERATOR_CALLS_PER_CONNECTION_MAX,
};
use crate::net::{Listener, OperatorDoor, OperatorGate, operator_gated_server};
use crate::service::{
    AuditService, BackupService, CorrectionsService, CredentialService, ErasureService,
    FindingsService, OpeningsService, OperatorService, PeerStandingsService, ReportService,
    RevisionService, SampleService, WatchService, WitnessingService, audit_server, backups_server,
    corrections_server, credentials_server, erasures_server, findings_server, health,
    openings_server, operator_server, peer_standings_server, reflection, reports_server,
    revisions_server, samples_server, watch_server, witnessing_server,
};

/// What operators reach wherever they call from.
#[derive(Debug, Clone)]
pub(super) struct Desks {
    pub(super) operator: OperatorService,
    pub(super) audit: AuditService,
    pub(super) corrections: CorrectionsService,
    pub(super) revisions: RevisionService,
    pub(super) watch: WatchService,
    pub(super) standings: PeerStandingsService,
    pub(super) findings: FindingsService,
    pub(super) openings: OpeningsService,
    pub(super) witnessing: WitnessingService,
    pub(super) reports: ReportService,
    pub(super) samples: SampleService,
    pub(super) erasures: ErasureService,
    pub(super) backups: BackupService,
}

impl Desks {
    /// The services over a node's flows.
    pub(super) fn of(core: &Core, status: Source, erasing: Erasing) -> Self {
        let home = &core.home;
        let backups = RunningBackups {
            folder: status.folder.clone(),
            vault: home.vault.clone(),
            clock: Arc::clone(&home.clock),
        };
        let currency = home.trust.root().document().currency;
        let revisions = Arc::clone(&core.revisions);
        let auditor = Auditor::new(Arc::clone(home));
        Self {
            audit: AuditService::new(AuditReader::new(Arc::clone(home))),
            corrections: CorrectionsService::new(core.desk.clone(), core.ageing.clone(), currency),
            findings: FindingsService::new(core.fishing.clone()),
            openings: OpeningsService::new(core.opener.clone(), auditor, core.reconciler.clone()),
            standings: PeerStandingsService::new(Arc::clone(&core.standings)),
            operator: OperatorService::new(core.desk.clone(), currency, Arc::new(status)),
            reports: ReportService::new(core.reports.clone()),
            samples: SampleService::new(
                core.samples.clone(),
                core.requests.clone(),
                Arc::clone(&home.clock),
            ),
            erasures: ErasureService::new(Arc::new(erasing)),
            backups: BackupService::new(Arc::new(backups)),
            revisions: RevisionService::new(revisions, home.policy.show_members),
            watch: WatchService::new(
                core.watch.clone(),
                Arc::clone(&core.portfolio),
                Arc::clone(&core.alerts),
            ),
            witnessing: WitnessingService::new(
                Arc::clone(&core.cosigning),
                Arc::clone(core.mirrors.forks()),
            ),
        }
    }
}

/// Binds the operator's socket, which nobody but the folder's owner may open.
pub(super) fn bind_socket(socket: &Path) -> Result<UnixListener, NodeError> {
    use std::os::unix::fs::PermissionsExt;
    // One that was left behind by a killed node; the store's lock says that none runs.
    drop(std::fs::remove_file(socket));
    let bound = UnixListener::bind(socket);
    let listener = bound.map_err(|error| NodeError::file(socket, &error))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| NodeError::file(socket, &error))?;
    Ok(listener)
}

/// Serves the socket until `stop`; the future is to be spawned.
pub(super) async fn serve_socket(
    listener: UnixListener,
    desks: Desks,
    credentials: CredentialService,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, NodeError> {
    let (reflection, health) = (reflection()?, health().await);
    Ok(async move {
        let ended = tonic::transport::Server::builder()
            .timeout(OPERATOR_CALL_DEADLINE)
            .concurrency_limit_per_connection(OPERATOR_CALLS_PER_CONNECTION_MAX)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .add_service(operator_server(desks.operator))
            .add_service(audit_server(desks.audit))
            .add_service(corrections_server(desks.corrections))
            .add_service(revisions_server(desks.revisions))
            .add_service(watch_server(desks.watch))
            .add_service(peer_standings_server(desks.standings))
            .add_service(findings_server(desks.findings))
            .add_service(openings_server(desks.openings))
            .add_service(witnessing_server(desks.witnessing))
            .add_service(reports_server(desks.reports))
            .add_service(samples_server(desks.samples))
            .add_service(erasures_server(desks.erasures))
            .add_service(backups_server(desks.backups))
            .add_service(credentials_server(credentials))
            .add_service(reflection)
            .add_service(health)
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled_owned())
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "the operator service ended");
        }
    })
}

/// Serves operators on other machines until `stop`; the future is to be spawned.
pub(super) async fn serve_port(
    listener: Listener<OperatorDoor>,
    door: OperatorDoor,
    desks: Desks,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, NodeError> {
    let (reflection, health) = (reflection()?, health().await);
    Ok(async move {
        let ended = operator_gated_server(OperatorGate::new(door))
            .add_service(operator_server(desks.operator))
            .add_service(audit_server(desks.audit))
            .add_service(corrections_server(desks.corrections))
            .add_service(revisions_server(desks.revisions))
            .add_service(watch_server(desks.watch))
            .add_service(peer_standings_server(desks.standings))
            .add_service(findings_server(desks.findings))
            .add_service(openings_server(desks.openings))
            .add_service(witnessing_server(desks.witnessing))
            .add_service(reports_server(desks.reports))
            .add_service(samples_server(desks.samples))
            .add_service(erasures_server(desks.erasures))
            .add_service(backups_server(desks.backups))
            .add_service(reflection)
            .add_service(health)
            .serve_with_incoming_shutdown(listener.incoming(), stop.cancelled_owned())
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "the operator port ended");
        }
    })
}
