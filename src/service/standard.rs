//! The generated servers with their bounds, and the standard services beside them.

use std::sync::Arc;

use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use super::{
    AuditService, AuditingService, BackupService, CorrectionsService, CredentialService,
    ErasureService, ExplainService, FindingsService, LightService, NoticeService, OpeningsService,
    OperatorService, PeerService, PeerStandingsService, ReportService, RevisionService,
    SampleService, StandingService, WatchService, WitnessService, WitnessingService,
};
use crate::flows::{Answerer, FlowError};
use crate::limits::{MESSAGE_BYTES_MAX, OPERATOR_MESSAGE_BYTES_MAX, STANDARD_MESSAGE_BYTES_MAX};
use crate::wire::pb::DESCRIPTORS;
use crate::wire::pb::audit_server::AuditServer;
use crate::wire::pb::auditing_server::AuditingServer;
use crate::wire::pb::backups_server::BackupsServer;
use crate::wire::pb::corrections_server::CorrectionsServer;
use crate::wire::pb::credentials_server::CredentialsServer;
use crate::wire::pb::erasures_server::ErasuresServer;
use crate::wire::pb::explain_server::ExplainServer;
use crate::wire::pb::findings_server::FindingsServer;
use crate::wire::pb::light_server::LightServer;
use crate::wire::pb::notices_server::NoticesServer;
use crate::wire::pb::openings_server::OpeningsServer;
use crate::wire::pb::operator_server::OperatorServer;
use crate::wire::pb::peer_server::PeerServer;
use crate::wire::pb::peer_standings_server::PeerStandingsServer;
use crate::wire::pb::reports_server::ReportsServer;
use crate::wire::pb::revisions_server::RevisionsServer;
use crate::wire::pb::samples_server::SamplesServer;
use crate::wire::pb::standing_server::StandingServer;
use crate::wire::pb::watch_server::WatchServer;
use crate::wire::pb::witness_server::WitnessServer;
use crate::wire::pb::witnessing_server::WitnessingServer;

/// The peer service with its bounds on messages.
#[must_use]
pub fn peer_server(service: PeerService) -> PeerServer<PeerService> {
    PeerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// The service of light mode with its bounds on messages.
#[must_use]
pub fn light_server(answerer: Arc<Answerer>) -> LightServer<LightService> {
    LightServer::new(LightService::new(answerer))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// The service that peers hear of changed records from, with its bounds on messages.
#[must_use]
pub fn notices_server(answerer: Arc<Answerer>) -> NoticesServer<NoticeService> {
    NoticesServer::new(NoticeService::new(answerer))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// The service that the operator hears of revised answers from, with its bounds on messages.
#[must_use]
pub fn revisions_server(service: RevisionService) -> RevisionsServer<RevisionService> {
    RevisionsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// What tells whoever is refused why, with its bounds on messages.
#[must_use]
pub fn explain_server() -> ExplainServer<ExplainService> {
    ExplainServer::new(ExplainService)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

/// The operator service with its bounds on messages.
#[must_use]
pub fn operator_server(service: OperatorService) -> OperatorServer<OperatorService> {
    OperatorServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that gives backups, with its bounds on messages.
#[must_use]
pub fn backups_server(service: BackupService) -> BackupsServer<BackupService> {
    BackupsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that erases borrowers, with its bounds on messages.
#[must_use]
pub fn erasures_server(service: ErasureService) -> ErasuresServer<ErasureService> {
    ErasuresServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service for samples, with its bounds on messages.
#[must_use]
pub fn samples_server(service: SampleService) -> SamplesServer<SampleService> {
    SamplesServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that makes borrowers' reports, with its bounds on messages.
#[must_use]
pub fn reports_server(service: ReportService) -> ReportsServer<ReportService> {
    ReportsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that reads the audit log, with its bounds on messages.
#[must_use]
pub fn audit_server(service: AuditService) -> AuditServer<AuditService> {
    AuditServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// What members and auditors ask of this node's log, with its bounds on messages.
#[must_use]
pub fn auditing_server(service: AuditingService) -> AuditingServer<AuditingService> {
    AuditingServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// The service that opens queries to auditors, with its bounds on messages.
#[must_use]
pub fn openings_server(service: OpeningsService) -> OpeningsServer<OpeningsService> {
    OpeningsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that tells findings, with its bounds on messages.
#[must_use]
pub fn findings_server(service: FindingsService) -> FindingsServer<FindingsService> {
    FindingsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service for watching and alerts, with its bounds on messages.
#[must_use]
pub fn watch_server(service: WatchService) -> WatchServer<WatchService> {
    WatchServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that corrects what the node holds, with its bounds on messages.
#[must_use]
pub fn corrections_server(service: CorrectionsService) -> CorrectionsServer<CorrectionsService> {
    CorrectionsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// The service that issues operators' credentials, with its bounds on messages.
#[must_use]
pub fn credentials_server(service: CredentialService) -> CredentialsServer<CredentialService> {
    CredentialsServer::new(service)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

/// What this member states of its months, with its bounds on messages.
#[must_use]
pub fn standing_server(service: StandingService) -> StandingServer<StandingService> {
    StandingServer::new(service)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

/// What the operator sees of peers' standing, with its bounds on messages.
#[must_use]
pub fn peer_standings_server(
    service: PeerStandingsService,
) -> PeerStandingsServer<PeerStandingsService> {
    PeerStandingsServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// This node as a witness, with its bounds on messages.
#[must_use]
pub fn witness_server(service: WitnessService) -> WitnessServer<WitnessService> {
    WitnessServer::new(service)
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

/// What the operator sees of witnesses and forks, with its bounds on messages.
#[must_use]
pub fn witnessing_server(service: WitnessingService) -> WitnessingServer<WitnessingService> {
    WitnessingServer::new(service)
        .max_decoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_MESSAGE_BYTES_MAX)
}

/// Standard gRPC health: both services serve as long as the node runs.
pub async fn health() -> HealthServer<impl Health> {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_serving::<PeerServer<PeerService>>().await;
    reporter
        .set_serving::<OperatorServer<OperatorService>>()
        .await;
    service
        .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
}

/// Standard gRPC reflection over the compiled descriptors.
///
/// # Errors
/// [`FlowError::NotPossible`] where the descriptors are damaged.
pub fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, FlowError> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map(|service| {
            service
                .max_decoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(STANDARD_MESSAGE_BYTES_MAX)
        })
        .map_err(|error| FlowError::NotPossible(format!("reflection: {error}")))
}
