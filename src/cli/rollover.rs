//! `creditmesh network rollover …`: the exchange of the X.509 root, and of an administrator's key.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::network::{Admin, now};
use super::network_registrar::Signing;
use super::output::Output;
use super::rollover_registrar as through;
use crate::env::OsEntropy;
use crate::membership::{RootDocument, root_differences};
use crate::node::{AdminFolder, registrar_config};

/// Whose folder, and whose keys sign.
#[derive(Debug, Args)]
pub(super) struct Step {
    #[command(flatten)]
    pub(super) admin: Admin,
    #[command(flatten)]
    pub(super) signing: Signing,
}

/// A step that cuts off whoever is not ready.
#[derive(Debug, Args)]
pub(super) struct CuttingStep {
    #[command(flatten)]
    pub(super) step: Step,
    /// Go on although this member's node is not ready: it is cut off until it is. May be given
    /// several times.
    #[arg(long, value_name = "MEMBER")]
    pub(super) without: Vec<String>,
}

/// `creditmesh network rollover …`.
#[derive(Debug, Subcommand)]
pub(super) enum RolloverCommand {
    /// First: make a new X.509 root, and put it beside the old one in the next root document.
    #[command(
        after_help = "Examples:\n  creditmesh network rollover prepare admin --dry-run\n  \
                      creditmesh network rollover prepare admin"
    )]
    Prepare(Step),
    /// Second: certificates lead to the new X.509 root first, and to the old one too.
    #[command(after_help = "Example:\n  creditmesh network rollover activate admin")]
    Activate(Step),
    /// Third: certificates that lead to the old X.509 root alone are renewed at once.
    #[command(
        after_help = "Examples:\n  creditmesh network rollover taint admin\n  \
                      creditmesh network rollover taint admin --without alpha"
    )]
    Taint(CuttingStep),
    /// Last: the old X.509 root is out of the next root document.
    #[command(
        after_help = "Examples:\n  creditmesh network rollover revoke admin --dry-run\n  \
                      creditmesh network rollover revoke admin"
    )]
    Revoke(CuttingStep),
    /// Show how far the exchange is, who is ready, and what comes next.
    #[command(after_help = "Example:\n  creditmesh network rollover status admin")]
    Status(Step),
    /// Put a new administrator in the place of one whose key is lost or stolen.
    #[command(
        after_help = "Example:\n  creditmesh network rollover replace-key admin chair chair-2"
    )]
    ReplaceKey {
        #[command(flatten)]
        step: Step,
        /// Name of the administrator whose key is lost.
        lost: String,
        /// Name of the new one.
        new: String,
    },
}

impl RolloverCommand {
    pub(super) const fn step(&self) -> &Step {
        match self {
            Self::Prepare(step)
            | Self::Activate(step)
            | Self::Status(step)
            | Self::Taint(CuttingStep { step, .. })
            | Self::Revoke(CuttingStep { step, .. })
            | Self::ReplaceKey { step, .. } => step,
        }
    }
}

pub(super) async fn run(command: &RolloverCommand, output: &Output) -> Result<Exit, CliError> {
    let Step { admin, signing } = command.step();
    if registrar_config(&admin.dir)?.is_some() {
        return through::run(command, output).await;
    }
    let mut folder = admin.open()?;
    if signing.dry_run {
        let changes = changes(command, &folder)?;
        show_changes(folder.root().version(), &changes, output);
        return Ok(Exit::Done);
    }
    let entropy = OsEntropy::default();
    match command {
        RolloverCommand::Prepare(_) => folder.prepare(&admin.source(), now(), &entropy)?,
        RolloverCommand::Activate(_) => folder.activate(&admin.source())?,
        RolloverCommand::Taint(_) => folder.taint(&admin.source(), now())?,
        RolloverCommand::Revoke(_) => folder.revoke(&admin.source(), now())?,
        RolloverCommand::Status(_) => {}
        RolloverCommand::ReplaceKey { lost, new, .. } => {
            folder.replace_administrator(lost, new, &admin.source(), (now(), &entropy))?;
        }
    }
    show(admin, &folder, output);
    Ok(Exit::Done)
}

/// What a step changes in the root document, in words; nothing is made or signed.
pub(super) fn changes(
    command: &RolloverCommand,
    folder: &AdminFolder,
) -> Result<Vec<String>, CliError> {
    let differences = |next: &RootDocument| root_differences(folder.root().document(), next);
    Ok(match command {
        RolloverCommand::Prepare(_) => vec![
            "a new X.509 root certificate enters beside the present one; certificates lead to the \
             present one as before"
                .to_owned(),
        ],
        RolloverCommand::Activate(_) => vec![
            "the root document stays; new certificates lead to both X.509 root certificates"
                .to_owned(),
        ],
        RolloverCommand::Taint(_) => differences(&folder.tainting(now())?),
        RolloverCommand::Revoke(_) => differences(&folder.revoking(now())?),
        RolloverCommand::Status(_) => Vec::new(),
        RolloverCommand::ReplaceKey { lost, new, .. } => vec![
            format!("{new} becomes an administrator, with a fresh key"),
            format!("{lost} is an administrator no longer"),
        ],
    })
}

pub(super) fn show_changes(version: u32, changes: &[String], output: &Output) {
    let value = json!({ "root_version": version, "changes": changes, "dry_run": true });
    output.show(&value, || {
        let lines: Vec<String> = changes.iter().map(|one| format!("  {one}")).collect();
        format!(
            "after root {version}:\n{}\nnothing was made or signed",
            lines.join("\n")
        )
    });
}

/// The state of the exchange for machines.
pub(super) fn state_value(folder: &AdminFolder) -> Value {
    let (root, stage) = (folder.root(), folder.stage());
    json!({
        "stage": stage.word(), "next": stage.next_step(), "root_version": root.version(),
        "fingerprint": root.fingerprint_text(),
        "root_certificates": root.authorities().len(),
        "list_version": folder.roster().version(),
        "list_root_version": folder.roster().list().root_version,
    })
}

/// The state of the exchange for people.
pub(super) fn state_lines(folder: &AdminFolder) -> Vec<String> {
    let (root, stage) = (folder.root(), folder.stage());
    vec![
        format!(
            "root document     version {}, until {}",
            root.version(),
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
    ]
}

fn show(admin: &Admin, folder: &AdminFolder, output: &Output) {
    let version = folder.root().version();
    let file = admin.dir.join("roots").join(format!("{version}.json"));
    let file = file.exists().then(|| file.display().to_string());
    let mut value = state_value(folder);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("root_file".to_owned(), json!(file));
    }
    output.show(&value, || {
        let mut lines = state_lines(folder);
        if let Some(file) = &file {
            lines.push(format!(
                "send {file} to every member: put into the folder `roots` of its node, a running \
                 node takes it within seconds"
            ));
        }
        lines.join("\n")
    });
}
