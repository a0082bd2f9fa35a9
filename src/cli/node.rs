//! Joining a network and running this member's node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::{NodeAt, NodeDir};
use super::output::Output;
use crate::config::UnlockSource;
use crate::crypto::KdfCost;
use crate::domain::Timestamp;
use crate::env::{Clock, OsEntropy, SystemClock};
use crate::membership::{InvitationToken, OwnChange};
use crate::net::RegistrarError;
use crate::node::{self, EnrolStep, Enrolling, Folder, Invited, NodeError, NodeParts, RunningNode};
use crate::wire::pb;

/// `creditmesh node …`.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Join a network: by token, or by file (first the invitation, then the welcome).
    Join(JoinArgs),
    /// Ask the administrators, by the stopped node's own key, for a change of this member's entry.
    #[command(after_help = "Examples:\n  \
        creditmesh node change --dir alpha --endpoint alpha.example.com:7401\n  \
        creditmesh node change --dir alpha --leave")]
    Change {
        #[command(flatten)]
        node: NodeDir,
        /// host:port by which peers shall reach this node; up to eight times.
        #[arg(long, value_name = "HOST:PORT", required_unless_present = "leave")]
        endpoint: Vec<String>,
        /// Leave the network for good.
        #[arg(long, conflicts_with = "endpoint")]
        leave: bool,
    },
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
    /// Write a sealed backup of a stopped node.
    #[command(after_help = "Example:\n  creditmesh node backup --dir alpha alpha.backup")]
    Backup {
        #[command(flatten)]
        node: NodeDir,
        /// File to write; must not exist.
        file: PathBuf,
    },
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
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Read everything in a stopped node back: every seal, digest and index.
    #[command(after_help = "Example:\n  creditmesh node verify --dir alpha")]
    Verify {
        #[command(flatten)]
        node: NodeDir,
    },
}

/// `creditmesh node join`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh node join TOKEN --dir alpha --listen 0.0.0.0:7401 \\\n    \
    --endpoint alpha.example.com:7401\n  creditmesh node join alpha.invite --dir alpha \\\n    \
    --listen 0.0.0.0:7401 \
    --endpoint alpha.example.com:7401 --passphrase-file /run/secrets/creditmesh\n  \
    creditmesh node join alpha.welcome --dir alpha"
)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    node: NodeDir,
    /// The token that an administrator sent, or - to read it from standard input; in a network
    /// without a registrar the file with the invitation, or with the welcome for your request.
    #[arg(value_name = "TOKEN|FILE")]
    from: String,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0:7401")]
    listen: SocketAddr,
    /// host:port by which peers reach this node; without it the address to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<String>,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// Where the request goes; without it beside the invitation, as MEMBER.request.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What opens the key ring. Without either option: unlock.key in the node's folder.
#[derive(Debug, Args)]
pub(super) struct UnlockArgs {
    /// File whose first line is the passphrase of the key ring.
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// File with the key of the key ring; `node join` makes it where it is missing.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl UnlockArgs {
    fn source(&self) -> Result<Option<UnlockSource>, CliError> {
        let full = |path: &PathBuf| std::path::absolute(path).map_err(|e| CliError::file(path, &e));
        Ok(match (&self.passphrase_file, &self.key_file) {
            (Some(path), _) => Some(UnlockSource::PassphraseFile(full(path)?)),
            (None, Some(path)) => Some(UnlockSource::KeyFile(full(path)?)),
            (None, None) => None,
        })
    }
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Join(_)
            | NodeError::List(_)
            | NodeError::Root(_)
            | NodeError::Trust(_)
            | NodeError::Operator(_)
            | NodeError::Registrar(RegistrarError::Refused { .. }) => Self::refused(message),
            NodeError::Registrar(
                RegistrarError::Unreachable { .. } | RegistrarError::Malformed(_),
            ) => Self {
                exit: Exit::Peers,
                message,
            },
            NodeError::Flow(flow) => flow.into(),
            NodeError::Config(_) => Self::usage(message),
            NodeError::File { .. }
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
        NodeCommand::Change {
            node,
            endpoint,
            leave,
        } => {
            let change = if leave {
                OwnChange::Leave {}
            } else {
                OwnChange::Endpoints(endpoint)
            };
            let folder = refuse_running(&node, "ask").await?;
            let member = folder.request_change(change, Arc::new(SystemClock)).await?;
            output.show(&json!({ "member": member.as_str(), "asked": true }), || {
                format!(
                    "the administrators have the request of {member}; they approve it with\n\
                     creditmesh network approve DIR {member}"
                )
            });
            Ok(Exit::Done)
        }
        NodeCommand::Serve { node } => serve(&node, output).await,
        NodeCommand::Status { node } => status(&node, output).await,
        NodeCommand::Backup { node, file } => backup(&node, &file, output).await,
        NodeCommand::Restore {
            node,
            file,
            latest,
            unlock,
        } => {
            let restored_at = (!latest).then(now);
            restore(&node, &file, (unlock.source()?, restored_at), output).await
        }
        NodeCommand::Verify { node } => verify(&node, output).await,
    }
}

async fn join(args: &JoinArgs, output: &Output) -> Result<Exit, CliError> {
    if let Some(token) = token_of(&args.from)? {
        return join_by_token(args, token, output).await;
    }
    let file = PathBuf::from(&args.from);
    let text = std::fs::read_to_string(&file).map_err(|e| CliError::file(&file, &e))?;
    let folder = Folder::at(&args.node.path);
    if text.contains("creditmesh/welcome/") {
        let joined = folder.accept_welcome(&text, now()).await?;
        let value = json!({ "member": joined.member, "fingerprint": joined.fingerprint });
        output.show(&value, || {
            format!(
                "{} is a member now\nnext: creditmesh node serve --dir {}",
                joined.member,
                args.node.path.display()
            )
        });
        return Ok(Exit::Done);
    }
    let unlock = args.unlock.source()?;
    let unlock = unlock.unwrap_or_else(|| UnlockSource::KeyFile("unlock.key".into()));
    let invited = Invited {
        invitation: &text,
        listen: args.listen,
        endpoint: args
            .endpoint
            .clone()
            .unwrap_or_else(|| args.listen.to_string()),
        unlock,
        cost: KdfCost::PRODUCTION,
        registrars: &[],
    };
    let joined = folder
        .accept_invitation(invited, now(), &OsEntropy::default())
        .await?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| file.with_file_name(format!("{}.request", joined.member)));
    let request = joined.request.unwrap_or_default();
    std::fs::write(&out, request).map_err(|error| CliError::file(&out, &error))?;
    let value = json!({ "member": joined.member, "fingerprint": joined.fingerprint,
        "request": out.display().to_string() });
    output.show(&value, || {
        format!(
            "network fingerprint {}\n\
             compare it with what the administrators told you on another way\n\
             send them {}; they answer with a welcome\n\
             next: creditmesh node join WELCOME --dir {}",
            joined.fingerprint,
            out.display(),
            args.node.path.display()
        )
    });
    Ok(Exit::Done)
}

/// The token, where one was given and no file of that name lies here.
fn token_of(from: &str) -> Result<Option<InvitationToken>, CliError> {
    let mut text = from.to_owned();
    if from == "-" {
        text.clear();
        std::io::stdin()
            .read_line(&mut text)
            .map_err(|error| CliError::local(format!("standard input: {error}")))?;
    } else if !InvitationToken::is_like(from) || PathBuf::from(from).exists() {
        return Ok(None);
    }
    let token = InvitationToken::parse(&text);
    token
        .map(Some)
        .map_err(|error| CliError::usage(error.to_string()))
}

async fn join_by_token(
    args: &JoinArgs,
    token: InvitationToken,
    output: &Output,
) -> Result<Exit, CliError> {
    let unlock = args.unlock.source()?;
    let endpoint = args.endpoint.clone();
    let enrolling = Enrolling {
        token,
        listen: args.listen,
        endpoint: endpoint.unwrap_or_else(|| args.listen.to_string()),
        unlock: unlock.unwrap_or_else(|| UnlockSource::KeyFile("unlock.key".into())),
        cost: KdfCost::PRODUCTION,
    };
    let told = |step: EnrolStep| match step {
        EnrolStep::RootChecked {
            member,
            fingerprint,
        } => output.remark(&format!(
            "invited as {member}; the network's root has the fingerprint that the token names\n\
             {fingerprint}"
        )),
        EnrolStep::Waiting { signed, needed } => output.remark(&format!(
            "waiting: {signed} of {needed} administrators signed (may be interrupted; the same \
             command goes on)"
        )),
        EnrolStep::Unreachable { reason } => output.remark(&format!("{reason}; trying again")),
    };
    let (clock, entropy) = (Arc::new(SystemClock), OsEntropy::default());
    let folder = Folder::at(&args.node.path);
    let member = folder.enrol(enrolling, clock, &entropy, told).await?;
    let value = json!({ "member": member.as_str() });
    output.show(&value, || {
        format!(
            "{member} is a member now\nnext: creditmesh node serve --dir {}",
            args.node.path.display()
        )
    });
    Ok(Exit::Done)
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

async fn status(node: &NodeAt, output: &Output) -> Result<Exit, CliError> {
    let status = node
        .required()
        .await?
        .status(pb::StatusRequest {})
        .await?
        .into_inner();
    let moment = |ms| Timestamp::from_unix_ms(ms).to_rfc3339();
    let peers: Vec<_> = status
        .peers
        .iter()
        .map(|peer| {
            json!({ "member": peer.member, "role": peer.role, "weight": peer.weight,
                "mirror_epoch": peer.mirror_epoch, "mirror_size": peer.mirror_size,
                "checkpoint_at": (peer.checkpoint_unix_ms > 0)
                    .then(|| moment(peer.checkpoint_unix_ms)),
                "trouble": peer.trouble })
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
        "unpublished": status.unpublished, "feeds": feeds, "peers": peers,
    });
    output.show(&value, || status_text(&status));
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
            "certificate  {}",
            until(
                status,
                status.certificate_not_after_unix_ms,
                CERTIFICATE_ENDED
            )
        ),
        format!("unpublished  {}", status.unpublished),
    ];
    for feed in &status.feeds {
        let (level, epoch, size) = (&feed.level, feed.epoch, feed.size);
        lines.push(format!(
            "own feed     {level:<9} epoch {epoch:<4} {size} leaves"
        ));
    }
    for peer in &status.peers {
        let state = if peer.trouble.is_empty() {
            format!(
                "mirror of {} leaves, epoch {}",
                peer.mirror_size, peer.mirror_epoch
            )
        } else {
            peer.trouble.clone()
        };
        lines.push(format!("peer         {:<20} {state}", peer.member));
    }
    lines.join("\n")
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

async fn backup(node: &NodeDir, file: &std::path::Path, output: &Output) -> Result<Exit, CliError> {
    let folder = refuse_running(node, "back it up").await?;
    let bar = output.progress("backing up", None);
    let rows = folder.backup(file, now()).await?.rows;
    bar.finish_and_clear();
    let value = json!({ "rows": rows, "file": file.display().to_string() });
    output.show(&value, || {
        format!(
            "{rows} sealed rows in {}; the passphrase or key file is not in it",
            file.display()
        )
    });
    Ok(Exit::Done)
}

async fn restore(
    node: &NodeDir,
    file: &std::path::Path,
    (unlock, restored_at): (Option<UnlockSource>, Option<Timestamp>),
    output: &Output,
) -> Result<Exit, CliError> {
    let folder = Folder::at(&node.path);
    let bar = output.progress("restoring", None);
    let rows = folder.restore(file, unlock, restored_at).await?.rows;
    bar.finish_and_clear();
    let value = json!({ "rows": rows, "dir": node.path.display().to_string() });
    output.show(&value, || {
        let place = node.path.display();
        let fenced = restored_at.map_or("", |_| {
            "\nit publishes and answers again when the next key epoch begins (why: docs/storage.md)"
        });
        format!(
            "{rows} rows restored into {place}{fenced}\nnext: creditmesh node verify --dir {place}"
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
