//! Wires the rooms together; owns the node's folder, key unlock, tasks, health and shutdown.

mod admin;
mod admin_keys;
mod administration;
mod backup;
mod ceremony;
mod core;
mod credential_folder;
mod doctor;
mod enrol;
mod folder;
mod import_mark;
mod issued;
mod join;
mod key_place;
mod log_book;
mod log_file;
mod log_findings;
mod log_follower;
mod log_kept;
mod log_verify;
mod offline_root;
mod operator_authority;
mod operator_side;
mod other_registrars;
mod own_change;
mod own_tls_keys;
mod parts;
mod peer_side;
mod policies;
mod proposal;
mod reading;
mod registrar;
mod registrars;
mod renew;
mod rollover;
mod root_administration;
mod root_files;
mod running;
mod seeds;
mod status;
mod trust_follower;
mod trusted;
mod unlock;
mod verify;
mod webhook_target;
mod witness_findings;

pub use admin::{AdminError, AdminFolder, Found, Invite};
pub use admin_keys::NetworkKeys;
pub use administration::{Administration, MemberWish};
pub use ceremony::{
    Assembled, Drafting, Paper, administrator_key, assemble, certify_issuing, draft,
    found_offline_root, request_issuing,
};
pub use core::Core;
pub use credential_folder::CredentialFolder;
pub use doctor::{examine_folder, examine_stopped};
pub use enrol::{EnrolStep, Enrolling};
pub use folder::{Folder, NodeError, Opened};
pub use import_mark::ImportMark;
pub use join::{Invited, Joined};
pub use key_place::{KeyPlace, open_signing_key};
pub use log_findings::LogFinding;
pub use log_verify::{LogReport, LogSource, verify_log};
pub use operator_authority::CredentialRequest;
pub use parts::{NodeParts, Sealing};
pub use proposal::Proposal;
pub use reading::read_text;
pub use registrar::{RunningRegistrar, registrar_config};
pub use registrars::Unreached;
pub use rollover::Stage;
pub use root_administration::{NextRoot, Readiness, require_ready};
pub use running::RunningNode;
pub use unlock::read_unlock;
pub use verify::verify;

pub use crate::service::{OwnWish, Wished};
