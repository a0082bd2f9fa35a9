//! Wires the rooms together; owns the node's folder, key unlock, tasks, health and shutdown.

mod admin;
mod backup;
mod core;
mod credential_folder;
mod doctor;
mod folder;
mod import_mark;
mod issued;
mod join;
mod operator_authority;
mod operator_side;
mod parts;
mod rollover;
mod running;
mod status;
mod trusted;
mod unlock;
mod verify;

pub use admin::{AdminError, AdminFolder, Found, Invite};
pub use core::Core;
pub use credential_folder::CredentialFolder;
pub use doctor::{examine_folder, examine_stopped};
pub use folder::{Folder, NodeError, Opened};
pub use import_mark::ImportMark;
pub use join::{Invited, Joined};
pub use operator_authority::CredentialRequest;
pub use parts::{NodeParts, Sealing};
pub use rollover::Stage;
pub use running::RunningNode;
pub use unlock::read_unlock;
pub use verify::verify;
