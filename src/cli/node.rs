//! Joining a network and running this member's node.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::join::{DatabaseArgs, JoinArgs, UnlockArgs, join};
use super::operator::{NodeAt, NodeDir};
use super::output::Output;
use crate::config::StoreConfig;
use crate::domain::Timestamp;
use crate::env::{Clock, SystemClock};
use crate::net::RegistrarError;
use crate::node::{self, Elsewhere, Folder, NodeError, NodeParts, RunningNode};
use crate::wire::pb;

/// `creditmesh node …`.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Join a network: by token, or by file (first the invitation, then the welcome).
    Join(JoinArgs),
    /// Change this member's own entry by its own key, or leave the network.
    Change(super::change::ChangeArgs),
    /// Run the node until it is told to stop.
    #[command(after_help = "Example:\n  creditmesh node serve --dir alpha")]
    Serve {
        #[command(flatten)]
        node: NodeDir,
    },
    /// What the running node is doing.
    #[command(after_help = "Examples:\n  creditmesh node status --dir alpha\n  \
        creditmesh node status --connect alpha.example.com:7444 --credentials loans-1")]
    Status {
        #[command(flatten)]
        node: NodeAt,
    },
    /// What is wrong with the node, here and with each peer, and what to do about it.
    Doctor(super::doctor::DoctorArgs),
    /// Which records are deleted when, by kind and rule.
    #[command(after_help = "Example:\n  creditmesh node retention --dir alpha")]
    Retention {
        #[command(flatten)]
        node: NodeAt,
    },
    /// Make a new data key, seal every row anew, and destroy the older keys: what was deleted
    /// before is then opened by nobody.
    #[command(after_help = "Example:\n  creditmesh node rekey --dir alpha")]
    Rekey {
        #[command(flatten)]
        node: NodeAt,
    },
    /// How far each peer is believed, who is in quarantine, and why.
    Standing(super::standing::StandingArgs),
    /// The registrars' membership logs as this node read them, checked anew from the first entry.
    Log(super::node_log::LogArgs),
    /// Write a sealed backup, while the node serves or when it is stopped.
    #[command(after_help = super::backup::EXAMPLES)]
    Backup(super::backup::BackupArgs),
    /// Restore a backup into an empty folder.
    #[command(after_help = "Example:\n  creditmesh node restore --dir alpha-new alpha.backup")]
    Restore {
        #[command(flatten)]
        node: NodeDir,
        /// The backup.
        file: PathBuf,
        /// You know that the node did not run after this backup was taken. Otherwise it neither
        /// publishes nor answers until the next key epoch begins.
        #[arg(long)]
        latest: bool,
        /// The list of erased borrowers (erased.json) of the folder in which the node ran last,
        /// where that is another one: who was erased since the backup is erased again.
        #[arg(long, value_name = "FILE")]
        erased: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
        #[command(flatten)]
        database: DatabaseArgs,
        /// Keep the rows in the folder, wherever they were.
        #[arg(long, conflicts_with = "database")]
        no_database: bool,
    },
    /// Read everything in a stopped node, or in a backup, back: every seal, digest and index.
    #[command(after_help = "Examples:\n  creditmesh node verify --dir alpha\n  \
        creditmesh node verify --backup alpha.backup --dir alpha\n\n\
        A backup is checked beside a running node, too. Its passphrase or key file is looked for\n\
        in the folder, where the backup's own configuration has it.")]
    Verify {
        #[command(flatten)]
        node: NodeDir,
        /// Check this backup instead: every tag and every seal.
        #[arg(long, value_name = "FILE")]
        backup: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Join(_)
            | NodeError::List(_)
            | NodeError::Root(_)
            | NodeError::Seen(_)
            | NodeError::Trust(_)
            | NodeError::Operator(_)
            | NodeError::NotLeft(RegistrarError::Refused { .. })
            | NodeError::Registrar(RegistrarError::Refused { .. }) => Self::refused(message),
            NodeError::Registrar(
                RegistrarError::Unreachable { .. } | RegistrarError::Malformed(_),
            )
            | NodeError::NotLeft(
                RegistrarError::Unreachable { .. } | RegistrarError::Malformed(_),
            ) => Self {
                exit: Exit::Peers,
                message,
            },
            NodeError::Flow(flow) => flow.into(),
            NodeError::Config(_) => Self::usage(message),
            NodeError::File { .. }
            | NodeError::NotBound { .. }
            | NodeError::Unlock { .. }
            | NodeError::Folder(_)
            | NodeError::Keyring(_)
            | NodeError::Store(_)
            | NodeError::Backup(_)
            | NodeError::Key(_)
            | NodeError::Entropy(_) => Self::local(message),
        }
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

pub(super) async fn run(command: NodeCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        NodeCommand::Join(args) => join(&args, output).await,
        NodeCommand::Change(args) => super::change::change(args, output).await,
        NodeCommand::Serve { node } => serve(&node, output).await,
        NodeCommand::Status { node } => status(&node, output).await,
        NodeCommand::Doctor(args) => super::doctor::run(&args, output).await,
        NodeCommand::Retention { node } => super::retention::run(&node, output).await,
        NodeCommand::Rekey { node } => super::erase::rekey(&node, output).await,
        NodeCommand::Standing(args) => super::standing::run(args, output).await,
        NodeCommand::Log(args) => super::node_log::run(&args, output),
        NodeCommand::Backup(args) => super::backup::run(&args, output).await,
        NodeCommand::Restore {
            node,
            file,
            latest,
            erased,
            unlock,
            database,
            no_database,
        } => {
            let restored_at = (!latest).then(now);
            let in_folder = no_database.then_some(StoreConfig::Sled);
            let (unlock, store) = (unlock.source()?, database.store()?.or(in_folder));
            let how = (Elsewhere { unlock, store }, restored_at, erased);
            restore(&node, &file, how, output).await
        }
        NodeCommand::Verify {
            node,
            backup: Some(file),
            unlock,
        } => verify_backup(&node, &file, &unlock, output).await,
        NodeCommand::Verify { node, .. } => verify(&node, output).await,
    }
}

async fn serve(node: &NodeDir, output: &Output) -> Result<Exit, CliError> {
    let node = RunningNode::start(&Folder::at(&node.path), NodeParts::default()).await?;
    let backend = crate::crypto::vector_backend();
    let operators = node.operator_address().map(|address| address.to_string());
    let value = json!({ "address": node.address().to_string(), "operator_address": operators,
        "vector_backend": backend });
    output.show(&value, || {
        let operators = operators.map(|address| format!(", operators on {address}"));
        format!(
            "serving peers on {}{}, group arithmetic on {backend}",
            node.address(),
            operators.unwrap_or_default()
        )
    });
    stop_signal().await?;
    output.remark("stopping");
    node.shutdown().await?;
    Ok(Exit::Done)
}

pub(super) async fn stop_signal() -> Result<(), CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let no_signal = |error| CliError::local(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(no_signal)?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// What was found wrong with a peer's feeds.
fn feed_faults(peer: &pb::PeerState) -> Vec<serde_json::Value> {
    let moment = |ms| Timestamp::from_unix_ms(ms).to_rfc3339();
    let value = |fault: &pb::FeedFault| {
        json!({ "name": fault.name, "epoch": fault.epoch, "mirror_size": fault.mirror_size,
            "first_at": moment(fault.first_unix_ms), "last_at": moment(fault.last_unix_ms) })
    };
    peer.faults.iter().map(value).collect()
}

async fn status(node: &NodeAt, output: &Output) -> Result<Exit, CliError> {
    let status = node
        .required()
        .await?
        .status(pb::StatusRequest {})
        .await?
        .into_inner();
    let watch = super::watch::progress(node).await?;
    let findings_open = super::findings::open(node).await?;
    let witnessing = super::audit::witnessing(node).await?;
    let moment = |ms| Timestamp::from_unix_ms(ms).to_rfc3339();
    let peers: Vec<_> = status
        .peers
        .iter()
        .map(|peer| {
            json!({ "member": peer.member, "role": peer.role, "weight": peer.weight,
                "mirror_epoch": peer.mirror_epoch, "mirror_size": peer.mirror_size,
                "checkpoint_at": (peer.checkpoint_unix_ms > 0)
                    .then(|| moment(peer.checkpoint_unix_ms)),
                "trouble": peer.trouble, "faults": feed_faults(peer), "light": peer.light })
        })
        .collect();
    let feeds: Vec<_> = status
        .feeds
        .iter()
        .map(|feed| json!({ "level": feed.level, "epoch": feed.epoch, "size": feed.size }))
        .collect();
    let value = json!({
        "network": status.network, "member": status.member, "address": status.peer_address,
        "list_version": status.list_version, "vector_backend": status.vector_backend,
        "list_expires_at": moment(status.list_expires_unix_ms),
        "certificate_not_after": moment(status.certificate_not_after_unix_ms),
        "certificate_not_after_unix": status.certificate_not_after_unix_ms / 1_000,
        "certificate_life": status.certificate_life,
        "root_version": status.root_version,
        "root_expires_at": moment(status.root_expires_unix_ms),
        "list_version_heard": status.list_version_heard,
        "freshness_ends_at": (status.freshness_ends_unix_ms > 0)
            .then(|| moment(status.freshness_ends_unix_ms)),
        "certificate_must_renew": status.certificate_must_renew,
        "unpublished": status.unpublished, "feeds": feeds, "peers": peers,
        "logs": super::node_log::values(&status.logs), "replica": status.replica,
        "watch": super::watch::progress_json(&watch),
        "findings_open": findings_open, "witnessing": super::audit::witnessing_json(&witnessing),
    });
    output.show(&value, || {
        let lines = super::watch::progress_lines(&watch);
        std::iter::once(status_text(&status))
            .chain(lines)
            .chain((findings_open > 0).then(|| {
                format!("misuse       {findings_open} findings wait: `creditmesh audit findings`")
            }))
            .chain(super::audit::witnessing_lines(&witnessing))
            .collect::<Vec<_>>()
            .join("\n")
    });
    let cut_off = !status.peers.is_empty() && status.peers.iter().all(|p| !p.trouble.is_empty());
    Ok(if cut_off { Exit::Peers } else { Exit::Done })
}

/// What to do when the member list in force has expired.
const LIST_ENDED: &str = "calls are refused under it: fetch a newer members.json";

/// What to do when the certificate has expired.
const CERTIFICATE_ENDED: &str = "peers refuse it: renew it with `creditmesh cert renew`";

fn until(status: &pb::StatusResponse, end_unix_ms: i64, remedy: &str) -> String {
    let end = Timestamp::from_unix_ms(end_unix_ms);
    if status.now_unix_ms < end_unix_ms {
        format!("until {end}")
    } else {
        format!("EXPIRED at {end}; {remedy}")
    }
}

fn status_text(status: &pb::StatusResponse) -> String {
    let mut lines = vec![
        format!(
            "{} in {}, on {}",
            status.member, status.network, status.peer_address
        ),
        format!(
            "member list  version {}, {}",
            status.list_version,
            until(status, status.list_expires_unix_ms, LIST_ENDED)
        ),
        format!(
            "certificate  {} ({})",
            until(
                status,
                status.certificate_not_after_unix_ms,
                CERTIFICATE_ENDED
            ),
            status.certificate_life
        ),
    ];
    lines.extend(trust_lines(status));
    lines.extend(super::node_log::lines(&status.logs));
    if status.replica != "alone" {
        let (place, others) = (&status.replica, "other processes may use the same rows");
        lines.push(format!("replica      {place}; {others}"));
    }
    lines.push(format!("unpublished  {}", status.unpublished));
    for feed in &status.feeds {
        let (level, epoch, size) = (&feed.level, feed.epoch, feed.size);
        lines.push(format!(
            "own feed     {level:<9} epoch {epoch:<4} {size} leaves"
        ));
    }
    for peer in &status.peers {
        let state = if peer.light {
            "asked in light mode, without a mirror".to_owned()
        } else if peer.trouble.is_empty() {
            format!(
                "mirror of {} leaves, epoch {}",
                peer.mirror_size, peer.mirror_epoch
            )
        } else {
            peer.trouble.clone()
        };
        lines.push(format!("peer         {:<20} {state}", peer.member));
        lines.extend(peer.faults.iter().map(|fault| {
            let last = Timestamp::from_unix_ms(fault.last_unix_ms);
            let (name, epoch) = (&fault.name, fault.epoch);
            format!("             {name} in its feed of epoch {epoch}, last at {last}")
        }));
    }
    lines.join("\n")
}

/// What to do when the root has expired.
const ROOT_ENDED: &str = "the node does not start again with it: put the next one into `roots`";

/// What to do when freshness has ended.
const FRESHNESS_ENDED: &str = "this node answers nobody and asks nobody until it hears that its \
                               list is the newest";

fn trust_lines(status: &pb::StatusResponse) -> Vec<String> {
    let mut lines = vec![format!(
        "root         version {}, {}",
        status.root_version,
        until(status, status.root_expires_unix_ms, ROOT_ENDED)
    )];
    if status.list_version_heard > status.list_version {
        lines.push(format!(
            "             a peer has member list version {}: fetch it",
            status.list_version_heard
        ));
    }
    if status.asks_freshness {
        lines.push(match status.freshness_ends_unix_ms {
            0 => format!("freshness    none yet; {FRESHNESS_ENDED}"),
            end => format!("freshness    {}", until(status, end, FRESHNESS_ENDED)),
        });
    }
    if status.certificate_must_renew {
        lines.push("             its root is about to go: renew the certificate now".to_owned());
    }
    lines
}

async fn refuse_running(node: &NodeDir, verb: &str) -> Result<Folder, CliError> {
    if node.is_running().await? {
        let place = node.path.display();
        return Err(CliError::refused(format!(
            "a node runs on {place}: stop it, then {verb}"
        )));
    }
    Ok(Folder::at(&node.path))
}

async fn restore(
    node: &NodeDir,
    file: &std::path::Path,
    (elsewhere, restored_at, erased): (Elsewhere, Option<Timestamp>, Option<PathBuf>),
    output: &Output,
) -> Result<Exit, CliError> {
    let folder = Folder::at(&node.path);
    let bar = output.progress("restoring", None);
    let known = erased.is_some() || folder.path().join("erased.json").exists();
    let restored = folder.restore(file, elsewhere, restored_at, erased.as_deref());
    let rows = restored.await?.rows;
    bar.finish_and_clear();
    let value = json!({ "rows": rows, "dir": node.path.display().to_string() });
    output.show(&value, || {
        let place = node.path.display();
        let fenced = restored_at.map_or("", |_| {
            "\nit publishes and answers again when the next key epoch begins (why: docs/storage.md)"
        });
        let list = restored_at.map_or("", |_| {
            "\nthe member list is left out, because it may name members that were removed since: \
             copy the newest members.json from the administrators into the folder"
        });
        let erased = restored_at.filter(|_| !known).map_or("", |_| {
            "\nwho was erased since the backup is here again: if there was anybody, restore anew \
             with --erased and the erased.json of the folder in which the node ran last"
        });
        format!(
            "{rows} rows restored into {place}{fenced}{list}{erased}\nnext: creditmesh node verify \
             --dir {place}"
        )
    });
    Ok(Exit::Done)
}

async fn verify_backup(
    node: &NodeDir,
    file: &std::path::Path,
    unlock: &UnlockArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let folder = Folder::at(&node.path);
    let bar = output.progress("checking", None);
    let checked = folder.check_backup(file, unlock.source()?).await;
    bar.finish_and_clear();
    let (checked, made_at) = checked?;
    let value = json!({ "rows": checked.rows, "bytes": checked.bytes, "clean": true,
        "made_at": made_at.to_rfc3339() });
    output.show(&value, || {
        format!(
            "{} rows of {made_at} read back: every tag and every seal is sound",
            checked.rows
        )
    });
    Ok(Exit::Done)
}

async fn verify(node: &NodeDir, output: &Output) -> Result<Exit, CliError> {
    let folder = refuse_running(node, "verify it").await?;
    let bar = output.progress("rows", None);
    let report = node::verify(&folder, |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    let faults: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let rows = report.rows();
    let value = json!({ "rows": rows, "clean": report.is_clean(), "faults": faults });
    output.show(&value, || {
        let mut lines = faults.clone();
        lines.push(if report.is_clean() {
            format!("{rows} rows read back: every seal, digest and index is sound")
        } else {
            format!(
                "{} faults in {rows} rows: restore from a backup",
                faults.len()
            )
        });
        lines.join("\n")
    });
    Ok(if report.is_clean() {
        Exit::Done
    } else {
        Exit::Local
    })
}
