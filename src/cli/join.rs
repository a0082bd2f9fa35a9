//! Joining a network: by token, or by file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::config::{DatabaseConfig, StoreConfig, UnlockSource};
use crate::crypto::KdfCost;
use crate::env::{Clock, OsEntropy, SystemClock};
use crate::limits::STORE_CONNECTIONS_DEFAULT;
use crate::membership::InvitationToken;
use crate::node::{EnrolStep, Enrolling, Folder, Invited, read_text};

/// `creditmesh node join`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh node join TOKEN --dir alpha \\\n    \
    --listen 0.0.0.0:7401 \
    --endpoint alpha.example.com:7401\n  creditmesh node join alpha.invite --dir alpha \\\n    \
    --listen 0.0.0.0:7401 \
    --endpoint alpha.example.com:7401 --passphrase-file /run/secrets/creditmesh\n  \
    creditmesh node join alpha.welcome --dir alpha\n  \
    creditmesh node join TOKEN --dir bureau \\\n    \
    --database \"host=/run/postgresql user=creditmesh dbname=creditmesh\""
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
    /// host:port by which peers reach this node; once more for each further replica, up to 8.
    /// Without it the address to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Vec<String>,
    #[command(flatten)]
    unlock: UnlockArgs,
    #[command(flatten)]
    database: DatabaseArgs,
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
    /// Program that prints that key as 64 hexadecimal characters, run without arguments at every
    /// start.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "key_file"])]
    key_command: Option<PathBuf>,
}

/// Which database keeps the rows. Without it sled does, in the node's folder.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// An empty database that speaks PostgreSQL's wire protocol, without its password: "host=db
    /// user=creditmesh dbname=creditmesh".
    #[arg(long, value_name = "CONNECTION")]
    database: Option<String>,
    /// File whose first line is the database's password.
    #[arg(long, value_name = "FILE", requires = "database")]
    database_password_file: Option<PathBuf>,
    /// Root certificates (PEM) of a database on another machine; without it the system's.
    #[arg(long, value_name = "FILE", requires = "database")]
    database_roots: Option<PathBuf>,
}

impl DatabaseArgs {
    pub(super) fn store(&self) -> Result<Option<StoreConfig>, CliError> {
        Ok(self.database()?.map(StoreConfig::Postgres))
    }

    pub(super) fn database(&self) -> Result<Option<DatabaseConfig>, CliError> {
        let Some(connection) = &self.database else {
            return Ok(None);
        };
        let full = |path: &PathBuf| std::path::absolute(path).map_err(|e| CliError::file(path, &e));
        Ok(Some(DatabaseConfig {
            connection: connection.clone(),
            password_file: self.database_password_file.as_ref().map(full).transpose()?,
            roots: self.database_roots.as_ref().map(full).transpose()?,
            connections: STORE_CONNECTIONS_DEFAULT,
        }))
    }
}

impl UnlockArgs {
    pub(super) fn source(&self) -> Result<Option<UnlockSource>, CliError> {
        let full = |path: &PathBuf| std::path::absolute(path).map_err(|e| CliError::file(path, &e));
        Ok(match (&self.passphrase_file, &self.key_file) {
            (Some(path), _) => Some(UnlockSource::PassphraseFile(full(path)?)),
            (None, Some(path)) => Some(UnlockSource::KeyFile(full(path)?)),
            (None, None) => {
                let program = self.key_command.as_ref().map(full).transpose()?;
                program.map(UnlockSource::KeyCommand)
            }
        })
    }
}

impl JoinArgs {
    fn endpoints(&self) -> Vec<String> {
        if self.endpoint.is_empty() {
            return vec![self.listen.to_string()];
        }
        self.endpoint.clone()
    }
}

pub(super) async fn join(args: &JoinArgs, output: &Output) -> Result<Exit, CliError> {
    if let Some(token) = token_of(&args.from)? {
        return join_by_token(args, token, output).await;
    }
    let file = PathBuf::from(&args.from);
    // What is no file may be part of a token, which is secret: it is not repeated.
    if !file.exists() && !args.from.contains(['.', '/']) {
        return Err(CliError::usage(
            "what was given is neither a whole token nor a file that is there: copy the token \
             again, from its first character to its last",
        ));
    }
    let text = read_text(&file).map_err(|e| CliError::file(&file, &e))?;
    let folder = Folder::at(&args.node.path);
    if text.contains("creditmesh/welcome/") {
        let joined = folder.accept_welcome(&text, SystemClock.now()).await?;
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
        endpoints: args.endpoints(),
        unlock,
        store: args.database.store()?.unwrap_or_default(),
        cost: KdfCost::PRODUCTION,
        registrars: &[],
    };
    let joined = folder
        .accept_invitation(invited, SystemClock.now(), &OsEntropy::default())
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
    let enrolling = Enrolling {
        token,
        listen: args.listen,
        endpoints: args.endpoints(),
        unlock: unlock.unwrap_or_else(|| UnlockSource::KeyFile("unlock.key".into())),
        store: args.database.store()?.unwrap_or_default(),
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
