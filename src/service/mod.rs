//! Thin handlers for peers and for operators: admit, convert, decide, effect, convert.

mod admitted;
mod audit;
mod auditing;
mod backup;
mod corrections;
mod corrections_rows;
mod credentials;
mod doctor;
mod erasure;
mod explain;
mod findings;
mod following;
mod light;
mod node_status;
mod notices;
mod operator;
mod operator_rows;
mod peer;
mod registrar;
mod report;
mod samples;
mod standard;
mod standing;
mod status;
mod watch;
mod witness;

pub use audit::AuditService;
pub use auditing::{AuditingService, OpeningsService};
pub use backup::{BackupDesk, BackupService, BackupUnderWay};
pub use corrections::CorrectionsService;
pub use credentials::{CredentialIssuer, CredentialService, OwnWish, Wished};
pub use doctor::{Concern, Finding, Severity};
pub use erasure::{ErasureDesk, ErasureService, Rekeyed};
pub use explain::ExplainService;
pub use findings::FindingsService;
pub use light::LightService;
pub use node_status::{FeedStatus, LogStatus, NodeStatus, PeerStatus, TrustStatus};
pub use notices::{NoticeService, RevisionService};
pub use operator::{OperatorService, StatusSource};
pub use operator_rows::outcome;
pub use peer::PeerService;
pub use registrar::{RegistrarDesk, RegistrarRefusal, RegistrarService, registrar_server};
pub use report::ReportService;
pub use samples::SampleService;
pub use standard::{
    audit_server, auditing_server, backups_server, corrections_server, credentials_server,
    erasures_server, explain_server, findings_server, health, light_server, notices_server,
    openings_server, operator_server, peer_server, peer_standings_server, reflection,
    reports_server, revisions_server, samples_server, standing_server, watch_server,
    witness_server, witnessing_server,
};
pub use standing::{PeerStandingsService, StandingService};
pub use status::status_of;
pub use watch::WatchService;
pub use witness::{WitnessService, WitnessingService};
