//! The administrators' commands.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::output::Output;
use super::rollover::RolloverCommand;
use crate::config::UnlockSource;
use crate::crypto::KdfCost;
use crate::domain::{Currency, Level, MemberId, Purpose, Role, Timestamp};
use crate::env::{Clock, OsEntropy, SystemClock};
use crate::membership::{Member, MemberState, Terms};
use crate::node::{AdminError, AdminFolder, Found, NodeError};

/// Where the administrators' folder is, and what opens it.
#[derive(Debug, Clone, Args)]
pub(super) struct Admin {
    /// The administrators' folder.
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// File whose first line is the passphrase; relative to DIR. `network init` makes it where it
    /// is missing.
    #[arg(long, value_name = "FILE", default_value = "passphrase")]
    passphrase_file: PathBuf,
}

impl Admin {
    pub(super) fn source(&self) -> UnlockSource {
        UnlockSource::PassphraseFile(self.passphrase_file.clone())
    }

    pub(super) fn open(&self) -> Result<AdminFolder, CliError> {
        Ok(AdminFolder::open(
            &self.dir,
            &self.source(),
            now(),
            &OsEntropy::default(),
        )?)
    }
}

/// A role in the network.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    Lender,
    Bureau,
    Regulator,
}

/// A contribution level.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LevelName {
    Full,
    Defaults,
}

/// `creditmesh network …`.
#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Found a network: authority, administrators' keys, root document, empty member list.
    #[command(
        after_help = "Example:\n  creditmesh network init admin --id credit-net --currency USD"
    )]
    Init {
        #[command(flatten)]
        admin: Admin,
        /// Network id: a-z, 0-9 and '-'.
        #[arg(long)]
        id: String,
        /// Currency of the exposure bands (ISO 4217).
        #[arg(long, default_value = "CNY")]
        currency: String,
        /// How many people the identifiers may belong to.
        #[arg(long, default_value_t = 1_000_000_000)]
        population: u64,
        /// Names of the administrators, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "administrator")]
        administrators: Vec<String>,
        /// How many of them must sign.
        #[arg(long, default_value_t = 1)]
        threshold: u32,
    },
    /// Write an invitation: good once, for 48 hours.
    #[command(
        after_help = "Example:\n  creditmesh network invite admin --member alpha --out alpha.invite"
    )]
    Invite {
        #[command(flatten)]
        admin: Admin,
        /// The member's id: a-z, 0-9 and '-'.
        #[arg(long)]
        member: String,
        /// What it will be.
        #[arg(long, value_enum, default_value = "lender")]
        role: RoleName,
        /// What it will furnish.
        #[arg(long, value_enum, default_value = "full")]
        level: LevelName,
        /// The economic lender it belongs to; without it, itself.
        #[arg(long)]
        lender_group: Option<String>,
        /// Its share of the coverage: a power of two.
        #[arg(long, default_value_t = 1)]
        weight: u32,
        /// Elements that each peer will evaluate for it in one key epoch; a query costs two.
        #[arg(long, default_value_t = 2_000_000)]
        quota: u64,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Approve a request to join: the next member list, and a welcome with the certificate.
    #[command(after_help = "Example:\n  \
                      creditmesh network approve admin alpha.request --out alpha.welcome")]
    Approve {
        #[command(flatten)]
        admin: Admin,
        /// The request that the joiner sent.
        request: PathBuf,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Exchange the X.509 root in stages, or an administrator's lost key.
    #[command(subcommand)]
    Rollover(RolloverCommand),
    /// Show the network and its members.
    #[command(after_help = "Example:\n  creditmesh network show admin")]
    Show {
        #[command(flatten)]
        admin: Admin,
    },
    /// Whether a member may, by which rule of which list.
    CanI(super::rights::CanIArgs),
    /// Show what a member may ask for, or change it on the next list.
    Rights(super::rights::RightsArgs),
    /// Suspend a member: it is refused until it is restored.
    #[command(after_help = "Example:\n  creditmesh network suspend admin alpha")]
    Suspend {
        #[command(flatten)]
        admin: Admin,
        /// The member.
        member: String,
    },
    /// Restore a suspended member.
    #[command(after_help = "Example:\n  creditmesh network restore admin alpha")]
    Restore {
        #[command(flatten)]
        admin: Admin,
        /// The member.
        member: String,
    },
    /// Remove a member for good.
    #[command(after_help = "Example:\n  creditmesh network remove admin alpha")]
    Remove {
        #[command(flatten)]
        admin: Admin,
        /// The member.
        member: String,
    },
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        let message = error.to_string();
        match error {
            AdminError::Node(NodeError::File { .. }) | AdminError::Entropy(_) => {
                Self::local(message)
            }
            AdminError::Node(_)
            | AdminError::Keyring(_)
            | AdminError::Seal(_)
            | AdminError::Open(_)
            | AdminError::Authority(_)
            | AdminError::Key(_)
            | AdminError::Document(_)
            | AdminError::Root(_)
            | AdminError::List(_)
            | AdminError::Join(_)
            | AdminError::Profile(_)
            | AdminError::UsedBefore
            | AdminError::WrongStage { .. }
            | AdminError::WrongAdministrator
            | AdminError::Occupied(_) => Self::refused(message),
        }
    }
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

pub(super) fn run(command: NetworkCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        NetworkCommand::Init {
            admin,
            id,
            currency,
            population,
            administrators,
            threshold,
        } => {
            let found = Found {
                network: id
                    .parse()
                    .map_err(|error| CliError::usage(format!("--id: {error}")))?,
                currency: currency_of(&currency)?,
                population,
                administrators,
                threshold,
                cost: KdfCost::PRODUCTION,
            };
            init(&admin, &found, output)
        }
        NetworkCommand::Invite {
            admin,
            member,
            role,
            level,
            lender_group,
            weight,
            quota,
            out,
        } => {
            let member = member_id(&member)?;
            let group = lender_group.unwrap_or_else(|| member.to_string());
            let terms = Terms {
                lender_group: group
                    .parse()
                    .map_err(|error| CliError::usage(format!("--lender-group: {error}")))?,
                member,
                role: role.into(),
                level: level.into(),
                weight,
                quota_elements_per_epoch: quota,
                purposes: Purpose::ALL.to_vec(),
            };
            invite(&admin, terms, &out, output)
        }
        NetworkCommand::Approve {
            admin,
            request,
            out,
        } => approve(&admin, &request, &out, output),
        NetworkCommand::Rollover(command) => super::rollover::run(&command, output),
        NetworkCommand::Show { admin } => show(&admin, output),
        NetworkCommand::CanI(args) => super::rights::can_i(&args, output),
        NetworkCommand::Rights(args) => super::rights::rights(&args, output),
        NetworkCommand::Suspend { admin, member } => {
            set_state(&admin, &member, MemberState::Suspended, output)
        }
        NetworkCommand::Restore { admin, member } => {
            set_state(&admin, &member, MemberState::Active, output)
        }
        NetworkCommand::Remove { admin, member } => {
            set_state(&admin, &member, MemberState::Removed, output)
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Lender => Self::Lender,
            RoleName::Bureau => Self::Bureau,
            RoleName::Regulator => Self::Regulator,
        }
    }
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Full => Self::Full,
            LevelName::Defaults => Self::Defaults,
        }
    }
}

fn currency_of(text: &str) -> Result<Currency, CliError> {
    text.parse()
        .map_err(|_| CliError::usage("--currency: an ISO 4217 code such as USD"))
}

fn member_id(text: &str) -> Result<MemberId, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("member: {error}")))
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| CliError::file(path, &error))
}

fn init(admin: &Admin, found: &Found, output: &Output) -> Result<Exit, CliError> {
    let entropy = OsEntropy::default();
    let folder = AdminFolder::found(&admin.dir, found, &admin.source(), now(), &entropy)?;
    let fingerprint = folder.root().fingerprint_text();
    let value = json!({ "network": found.network.as_str(), "fingerprint": fingerprint });
    output.show(&value, || {
        format!(
            "network {} founded in {}\nfingerprint {fingerprint}\n\
             keep {} away from this machine: it opens every key here\n\
             next: creditmesh network invite {} --member NAME --out NAME.invite",
            found.network,
            admin.dir.display(),
            admin.passphrase_file.display(),
            admin.dir.display()
        )
    });
    Ok(Exit::Done)
}

fn invite(admin: &Admin, terms: Terms, out: &Path, output: &Output) -> Result<Exit, CliError> {
    let member = terms.member.clone();
    let invite = admin.open()?.invite(terms, now(), &OsEntropy::default())?;
    write_new(out, &invite.text)?;
    let value = json!({ "member": member.as_str(), "fingerprint": invite.fingerprint,
        "file": out.display().to_string() });
    output.show(&value, || {
        format!(
            "invitation for {member} in {}: good once, for 48 hours\n\
             tell the fingerprint on another way: {}",
            out.display(),
            invite.fingerprint
        )
    });
    Ok(Exit::Done)
}

fn approve(admin: &Admin, request: &Path, out: &Path, output: &Output) -> Result<Exit, CliError> {
    let text = std::fs::read_to_string(request).map_err(|error| CliError::file(request, &error))?;
    if out.exists() {
        return Err(CliError::refused(format!(
            "{} exists already",
            out.display()
        )));
    }
    let mut folder = admin.open()?;
    let (member, welcome) = folder.approve(&text, now(), &OsEntropy::default())?;
    write_new(out, &welcome)?;
    let version = folder.roster().version();
    let list = admin.dir.join("members.json");
    let value = json!({ "member": member.as_str(), "list_version": version,
        "welcome": out.display().to_string(), "member_list": list.display().to_string() });
    output.show(&value, || {
        format!(
            "{member} is on member list {version}\nsend {} to the joiner, and {} to every member: \
             copied over members.json, a running node takes it within seconds",
            out.display(),
            list.display()
        )
    });
    Ok(Exit::Done)
}

fn set_state(
    admin: &Admin,
    member: &str,
    state: MemberState,
    output: &Output,
) -> Result<Exit, CliError> {
    let member = member_id(member)?;
    let mut folder = admin.open()?;
    folder.set_state(&member, state, now())?;
    let version = folder.roster().version();
    let list = admin.dir.join("members.json");
    let value = json!({ "member": member.as_str(), "list_version": version,
        "member_list": list.display().to_string() });
    output.show(&value, || {
        format!(
            "{member} is changed on member list {version}\nsend {} to every member: copied over \
             members.json, a running node takes it within seconds",
            list.display()
        )
    });
    Ok(Exit::Done)
}

fn show(admin: &Admin, output: &Output) -> Result<Exit, CliError> {
    let folder = admin.open()?;
    let (root, roster) = (folder.root(), folder.roster());
    let members = &roster.list().members;
    let value = json!({
        "network": root.network().as_str(),
        "fingerprint": root.fingerprint_text(),
        "list_version": roster.version(),
        "list_expires_at": roster.expires_at().to_rfc3339(),
        "members": members.iter().map(|member| json!({
            "id": member.id.as_str(), "role": member.role.word(), "level": member.level.word(),
            "state": format!("{:?}", member.state).to_lowercase(), "weight": member.weight,
            "endpoints": member.endpoints,
        })).collect::<Vec<_>>(),
    });
    output.show(&value, || {
        let mut lines = vec![
            format!("network      {}", root.network()),
            format!("fingerprint  {}", root.fingerprint_text()),
            format!(
                "member list  version {}, until {}",
                roster.version(),
                roster.expires_at()
            ),
        ];
        lines.extend(members.iter().map(line_of));
        lines.join("\n")
    });
    Ok(Exit::Done)
}

fn line_of(member: &Member) -> String {
    let state = format!("{:?}", member.state).to_lowercase();
    format!(
        "{:<20} {:<10} {:<9} {state:<10} weight {:<4} {}",
        member.id.as_str(),
        member.role.word(),
        member.level.word(),
        member.weight,
        member.endpoints.join(" ")
    )
}
