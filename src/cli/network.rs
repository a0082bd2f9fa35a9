//! The administrators' commands.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::network_args::{InitArgs, InviteArgs, KeyArgs};
use super::network_registrar::{self as through, Signing};
use super::output::Output;
use super::rollover::RolloverCommand;
use crate::config::UnlockSource;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, OsEntropy, SystemClock};
use crate::membership::{Member, MemberState, Terms};
use crate::node::{
    AdminError, AdminFolder, Found, MemberWish, NodeError, read_text, registrar_config,
};

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

/// `creditmesh network …`.
#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Found a network: authority, administrators' keys, root document, empty member list.
    #[command(
        after_help = "Examples:\n  creditmesh network init admin --id credit-net --currency USD\n  \
        creditmesh network init admin --id credit-net --registrar registrar.example:7400 \\\n    \
        --issuing-key 'pkcs11:token=net;object=ca?module-path=/usr/lib/hsm.so&pin-source=file:pin'"
    )]
    Init(Box<InitArgs>),
    /// Invite a member, good once, for 48 hours: print a token for `node join`, or write a file.
    #[command(
        after_help = "Examples:\n  creditmesh network invite admin --member alpha\n  \
        creditmesh network invite admin --member alpha --out alpha.invite"
    )]
    Invite(InviteArgs),
    /// Approve what a member waits for: to join, or its own change.
    #[command(after_help = "Examples:\n  creditmesh network approve admin alpha\n  \
                      creditmesh network approve admin alpha --key chair.key --dry-run\n  \
                      creditmesh network approve admin alpha.request --out alpha.welcome")]
    Approve {
        #[command(flatten)]
        admin: Admin,
        /// The member; or, with --out, the request that the joiner sent by file.
        what: String,
        /// Welcome to write, in a network without a registrar.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        signing: Signing,
    },
    /// Run the network's registrar until it is told to stop.
    #[command(after_help = "Example:\n  creditmesh network serve admin")]
    Serve {
        #[command(flatten)]
        admin: Admin,
    },
    /// Show the member lists and roots that wait for signatures, and sign those that are named.
    #[command(
        after_help = "Examples:\n  creditmesh network sign admin --dry-run\n  \
        creditmesh network sign admin DIGEST --key chair.key --key-passphrase-file chair.pass"
    )]
    Sign(super::network_sign::SignArgs),
    /// Hand an administrator's key over: into an encrypted file of its own, out of the folder.
    #[command(after_help = "Example:\n  \
        creditmesh network key admin chair --out chair.key --key-passphrase-file chair.pass")]
    Key(KeyArgs),
    /// Make the keys on machines of their own, file in and file out.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh network ceremony key chair --name chair"
    )]
    Ceremony(Box<super::ceremony::CeremonyCommand>),
    /// Exchange the X.509 root in stages, or an administrator's lost key.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh network rollover prepare admin --dry-run"
    )]
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
        #[command(flatten)]
        signing: Signing,
    },
    /// Restore a suspended member.
    #[command(after_help = "Example:\n  creditmesh network restore admin alpha")]
    Restore {
        #[command(flatten)]
        admin: Admin,
        /// The member.
        member: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// Remove a member for good; at a terminal it asks before.
    #[command(after_help = "Example:\n  creditmesh network remove admin alpha")]
    Remove {
        #[command(flatten)]
        admin: Admin,
        /// The member.
        member: String,
        #[command(flatten)]
        signing: Signing,
    },
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        let message = error.to_string();
        match error {
            AdminError::Node(error @ (NodeError::File { .. } | NodeError::NotBound { .. })) => {
                error.into()
            }
            AdminError::Entropy(_) => Self::local(message),
            AdminError::Registrar(error) => NodeError::Registrar(error).into(),
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
            | AdminError::Request(_)
            | AdminError::NoKey
            | AdminError::Nothing(_)
            | AdminError::UsedBefore
            | AdminError::NotReady(_)
            | AdminError::WrongStage { .. }
            | AdminError::WrongAdministrator
            | AdminError::Occupied(_) => Self::refused(message),
        }
    }
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

pub(super) async fn run(command: NetworkCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        NetworkCommand::Init(args) => init(&args, output),
        NetworkCommand::Invite(args) => match &args.out {
            Some(out) => invite(&args.admin, args.terms()?, out, output),
            None => through::invite(&args.admin, &args.signing, args.terms()?, output).await,
        },
        NetworkCommand::Approve {
            admin,
            what,
            out,
            signing,
        } => match out {
            Some(out) => approve(&admin, Path::new(&what), &out, output),
            None => {
                let wish = MemberWish::Approve(member_id(&what)?);
                through::change(&admin, &signing, &wish, output).await
            }
        },
        NetworkCommand::Serve { admin } => through::serve(&admin, output).await,
        NetworkCommand::Sign(args) => super::network_sign::sign(&args, output).await,
        NetworkCommand::Key(args) => through::hand_over(&args, output),
        NetworkCommand::Ceremony(command) => super::ceremony::run(&command, output),
        NetworkCommand::Rollover(command) => super::rollover::run(&command, output).await,
        NetworkCommand::Show { admin } => show(&admin, output),
        NetworkCommand::CanI(args) => super::rights::can_i(&args, output),
        NetworkCommand::Rights(args) => super::rights::rights(&args, output).await,
        NetworkCommand::Suspend {
            admin,
            member,
            signing,
        } => change_state(&admin, &signing, &member, MemberState::Suspended, output).await,
        NetworkCommand::Restore {
            admin,
            member,
            signing,
        } => change_state(&admin, &signing, &member, MemberState::Active, output).await,
        NetworkCommand::Remove {
            admin,
            member,
            signing,
        } => {
            let asks = !signing.dry_run && std::io::stdin().is_terminal();
            let question = format!("remove {member} for good? Its id and keys never come back.");
            if asks && !output.confirmed(&question)? {
                return Err(CliError::refused("nothing was changed"));
            }
            change_state(&admin, &signing, &member, MemberState::Removed, output).await
        }
    }
}

pub(super) fn member_id(text: &str) -> Result<MemberId, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("member: {error}")))
}

pub(super) fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| CliError::file(path, &error))
}

fn init(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    let (admin, found, keys) = (&args.admin, args.found()?, args.keys()?);
    let (entropy, source) = (OsEntropy::default(), admin.source());
    let what = (&found, &keys);
    let folder = AdminFolder::found_with(&admin.dir, what, &source, now(), &entropy)?;
    let fingerprint = folder.root().fingerprint_text();
    let value = json!({ "network": found.network.as_str(), "fingerprint": fingerprint });
    output.show(&value, || {
        format!(
            "network {} founded in {}\nfingerprint {fingerprint}\n\
             for the life of the network: currency {}, population {}\n\
             keep {} away from this machine: it opens every key here\n\
             {}",
            found.network,
            admin.dir.display(),
            found.currency.code(),
            found.population,
            admin.passphrase_file.display(),
            next_steps(&found, &admin.dir)
        )
    });
    Ok(Exit::Done)
}

/// What the founders do next: by file, or with one registrar or several.
fn next_steps(found: &Found, dir: &Path) -> String {
    let dir = dir.display();
    if found.registrar.is_none() {
        return format!("next: creditmesh network invite {dir} --member NAME --out NAME.invite");
    }
    let listen = found.registrar.as_ref().map(|one| one.listen.to_string());
    let mut lines = vec![format!(
        "next: creditmesh network serve {dir} (it listens on {}), and beside it: creditmesh \
         network invite {dir} --member NAME",
        listen.unwrap_or_default()
    )];
    for (number, other) in (2..).zip(&found.other_registrars) {
        let listen = other.listen;
        lines.push(format!(
            "move {dir}/registrar-{number} to the machine of that registrar, which will listen on \
             {listen}, and run there: creditmesh network serve registrar-{number}"
        ));
    }
    lines.join("\n")
}

fn invite(admin: &Admin, terms: Terms, out: &Path, output: &Output) -> Result<Exit, CliError> {
    refuse_beside_registrar(admin)?;
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
    refuse_beside_registrar(admin)?;
    let text = read_text(request).map_err(|error| CliError::file(request, &error))?;
    if out.exists() {
        let exists = std::io::ErrorKind::AlreadyExists.into();
        return Err(CliError::file(out, &exists));
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

/// Through the registrar where the network has one, by file otherwise.
async fn change_state(
    admin: &Admin,
    signing: &Signing,
    member: &str,
    state: MemberState,
    output: &Output,
) -> Result<Exit, CliError> {
    if registrar_config(&admin.dir)?.is_none() {
        return set_state(admin, member, state, output);
    }
    let wish = MemberWish::State(member_id(member)?, state);
    through::change(admin, signing, &wish, output).await
}

/// A network with a registrar is changed through it: by file, two lists could get one version.
fn refuse_beside_registrar(admin: &Admin) -> Result<(), CliError> {
    if registrar_config(&admin.dir)?.is_some() {
        return Err(CliError::refused(
            "this network has a registrar: invite, approve and join without files (--out)",
        ));
    }
    Ok(())
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
            "identity_keys": member.identity_keys()
                .map(|key| data_encoding::HEXLOWER.encode(key)).collect::<Vec<_>>(),
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
