//! `creditmesh network rollover …`: the exchange of the X.509 root, and of an administrator's key.

use clap::Subcommand;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::network::{Admin, now};
use super::output::Output;
use crate::env::OsEntropy;
use crate::node::AdminFolder;

/// `creditmesh network rollover …`.
#[derive(Debug, Subcommand)]
pub(super) enum RolloverCommand {
    /// First: make a new X.509 root, and put it beside the old one in the next root document.
    #[command(after_help = "Example:\n  creditmesh network rollover prepare admin")]
    Prepare {
        #[command(flatten)]
        admin: Admin,
    },
    /// Second: certificates lead to the new X.509 root first, and to the old one too.
    #[command(after_help = "Example:\n  creditmesh network rollover activate admin")]
    Activate {
        #[command(flatten)]
        admin: Admin,
    },
    /// Third: certificates that lead to the old X.509 root alone are renewed at once.
    #[command(after_help = "Example:\n  creditmesh network rollover taint admin")]
    Taint {
        #[command(flatten)]
        admin: Admin,
    },
    /// Last: the old X.509 root is out of the next root document.
    #[command(after_help = "Example:\n  creditmesh network rollover revoke admin")]
    Revoke {
        #[command(flatten)]
        admin: Admin,
    },
    /// Show how far the exchange is, and what comes next.
    #[command(after_help = "Example:\n  creditmesh network rollover status admin")]
    Status {
        #[command(flatten)]
        admin: Admin,
    },
    /// Put a new administrator in the place of one whose key is lost or stolen.
    #[command(
        after_help = "Example:\n  creditmesh network rollover replace-key admin chair chair-2"
    )]
    ReplaceKey {
        #[command(flatten)]
        admin: Admin,
        /// Name of the administrator whose key is lost.
        lost: String,
        /// Name of the new one.
        new: String,
    },
}

pub(super) fn run(command: &RolloverCommand, output: &Output) -> Result<Exit, CliError> {
    let entropy = OsEntropy::default();
    let (admin, folder) = match command {
        RolloverCommand::Prepare { admin } => {
            let mut folder = admin.open()?;
            folder.prepare(&admin.source(), now(), &entropy)?;
            (admin, folder)
        }
        RolloverCommand::Activate { admin } => {
            let mut folder = admin.open()?;
            folder.activate(&admin.source())?;
            (admin, folder)
        }
        RolloverCommand::Taint { admin } => {
            let mut folder = admin.open()?;
            folder.taint(&admin.source(), now())?;
            (admin, folder)
        }
        RolloverCommand::Revoke { admin } => {
            let mut folder = admin.open()?;
            folder.revoke(&admin.source(), now())?;
            (admin, folder)
        }
        RolloverCommand::Status { admin } => (admin, admin.open()?),
        RolloverCommand::ReplaceKey { admin, lost, new } => {
            let mut folder = admin.open()?;
            folder.replace_administrator(lost, new, &admin.source(), (now(), &entropy))?;
            (admin, folder)
        }
    };
    show(admin, &folder, output);
    Ok(Exit::Done)
}

fn show(admin: &Admin, folder: &AdminFolder, output: &Output) {
    let (root, stage) = (folder.root(), folder.stage());
    let version = root.version();
    let file = admin.dir.join("roots").join(format!("{version}.json"));
    let file = file.exists().then(|| file.display().to_string());
    let value = json!({
        "stage": stage.word(), "next": stage.next_step(), "root_version": version,
        "fingerprint": root.fingerprint_text(), "root_file": file,
        "root_certificates": root.authorities().len(),
        "list_version": folder.roster().version(),
        "list_root_version": folder.roster().list().root_version,
    });
    output.show(&value, || {
        let mut lines = vec![
            format!(
                "root document     version {version}, until {}",
                root.document().expires_at
            ),
            format!("fingerprint       {}", root.fingerprint_text()),
            format!("root certificates {}", root.authorities().len()),
            format!(
                "member list       version {}, made under root {}",
                folder.roster().version(),
                folder.roster().list().root_version
            ),
            format!(
                "stage             {}; next: {}",
                stage.word(),
                stage.next_step()
            ),
        ];
        if let Some(file) = &file {
            lines.push(format!(
                "send {file} to every member: put into the folder `roots` of its node, a running \
                 node takes it within seconds"
            ));
        }
        lines.join("\n")
    });
}
