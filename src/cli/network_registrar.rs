//! The administrators' commands in a network with a registrar.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::network::Admin;
use super::network_args::KeyArgs;
use super::node::stop_signal;
use super::output::Output;
use crate::env::{OsEntropy, SystemClock};
use crate::membership::{MemberState, Terms};
use crate::node::{
    Administration, KeyPlace, MemberWish, NodeParts, Proposal, RunningRegistrar, Unreached,
    open_signing_key,
};
use crate::wire::{Standing, Tally};

/// Whose key signs, and whether anything is signed at all.
#[derive(Debug, Clone, Args)]
pub(super) struct Signing {
    /// An administrator's own key: a file, or a key in a PKCS#11 module by its name
    /// pkcs11:token=NAME;object=NAME (RFC 7512). Without it every key in the folder signs.
    #[arg(long, value_name = "KEY")]
    key: Option<KeyPlace>,
    /// File whose first line is the passphrase of --key, or its token's PIN.
    #[arg(long, value_name = "FILE", requires = "key")]
    key_passphrase_file: Option<PathBuf>,
    /// Show what would change, and sign nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Signing {
    pub(super) async fn open(&self, admin: &Admin) -> Result<Administration, CliError> {
        let keys = match &self.key {
            Some(key) => {
                let secret = self.key_passphrase_file.as_deref();
                vec![open_signing_key(key, secret)?]
            }
            None => admin.open()?.signing_keys(),
        };
        let clock = Arc::new(SystemClock);
        Ok(Administration::open(&admin.dir, keys, clock).await?)
    }
}

pub(super) async fn serve(admin: &Admin, output: &Output) -> Result<Exit, CliError> {
    let parts = NodeParts::default();
    let registrar = RunningRegistrar::start(&admin.dir, &admin.source(), parts).await?;
    let address = registrar.address().to_string();
    output.show(&json!({ "address": address }), || {
        format!("registrar serves on {address}")
    });
    stop_signal().await?;
    output.remark("stopping");
    registrar.shutdown().await;
    Ok(Exit::Done)
}

/// Hands an administrator's key over into a file of its own.
pub(super) fn hand_over(args: &KeyArgs, output: &Output) -> Result<Exit, CliError> {
    let (name, file) = (&args.name, &args.out);
    let folder = args.admin.open()?;
    folder.hand_over(name, file, &args.key_passphrase_file, &OsEntropy::default())?;
    let (place, admin) = (file.display().to_string(), args.admin.dir.display());
    output.show(&json!({ "administrator": name, "file": place }), || {
        format!(
            "the key of {name} is in {place} now and no longer in {admin}\n\
             next: creditmesh network sign {admin} --dry-run --key {place} \
             --key-passphrase-file FILE"
        )
    });
    Ok(Exit::Done)
}

pub(super) async fn invite(
    admin: &Admin,
    signing: &Signing,
    terms: Terms,
    output: &Output,
) -> Result<Exit, CliError> {
    let member = terms.member.clone();
    if signing.dry_run {
        let value = json!({ "member": member.as_str(), "dry_run": true });
        output.show(&value, || format!("{member} would be invited"));
        return Ok(Exit::Done);
    }
    let mut administration = signing.open(admin).await?;
    let token = administration.invite(terms, &OsEntropy::default()).await?;
    output.remark(&format!(
        "good once, for 48 hours; send it as you would a password\n\
         the joiner runs: creditmesh node join - --dir DIR --endpoint HOST:PORT  (and gives the \
         token on standard input)\n\
         then you: creditmesh network approve {} {member}",
        admin.dir.display()
    ));
    let value = json!({ "member": member.as_str(), "token": token.as_str() });
    output.show(&value, || token.as_str().to_owned());
    Ok(Exit::Done)
}

pub(super) fn diff_text(proposal: &Proposal) -> String {
    let lines: Vec<String> = proposal
        .differences
        .iter()
        .map(|one| format!("  {one}"))
        .collect();
    format!("member list {}:\n{}", proposal.version(), lines.join("\n"))
}

pub(super) fn proposal_value(proposal: &Proposal) -> Value {
    json!({ "list_version": proposal.version(), "changes": proposal.differences,
        "signed": proposal.signed, "needed": proposal.needed })
}

pub(super) fn tally_text(tally: Tally) -> String {
    if tally.published {
        "published".to_owned()
    } else {
        format!(
            "waiting: {} of {} administrators signed",
            tally.signed, tally.needed
        )
    }
}

pub(super) fn with_tally(mut value: Value, tally: Tally, nodes: &[Standing]) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("signed".to_owned(), json!(tally.signed));
        fields.insert("published".to_owned(), json!(tally.published));
        let nodes = nodes.iter().map(|node| {
            json!({ "member": node.member.as_str(), "follows": node.follows,
                "list_version": node.list_version, "cut": node.cut, "ms": node.took_ms })
        });
        fields.insert("nodes".to_owned(), nodes.collect());
    }
    value
}

/// One line for each node, and how many of those that follow acknowledged.
fn nodes_text(nodes: &[Standing], version: u32) -> String {
    let line = |node: &Standing| {
        let name = node.member.as_str();
        if node.list_version >= version {
            format!(
                "{name:<20} acknowledged, {} connections cut, {} ms",
                node.cut, node.took_ms
            )
        } else if node.follows {
            format!("{name:<20} has not acknowledged")
        } else {
            format!(
                "{name:<20} does not follow a registrar: it refuses everybody when its freshness \
                 ends, within ten minutes"
            )
        }
    };
    let mut lines: Vec<String> = nodes.iter().map(line).collect();
    let done = nodes.iter().filter(|node| node.list_version >= version);
    lines.push(format!(
        "{} of {} nodes acknowledged",
        done.count(),
        nodes.len()
    ));
    lines.join("\n")
}

/// Proposes or signs what is wished; where that publishes a list which refuses somebody, waits for
/// the nodes.
pub(super) async fn change(
    admin: &Admin,
    signing: &Signing,
    wish: &MemberWish,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut administration = signing.open(admin).await?;
    let proposal = administration.propose(wish).await?;
    let (diff, value) = (diff_text(&proposal), proposal_value(&proposal));
    if signing.dry_run {
        output.show(&value, || format!("{diff}\nnothing was signed"));
        return Ok(Exit::Done);
    }
    let version = proposal.version();
    let tally = administration.put(proposal).await?;
    let refuses = matches!(
        wish,
        MemberWish::State(_, MemberState::Suspended | MemberState::Removed)
    );
    let nodes = if refuses && tally.published {
        administration.acknowledged(version).await?
    } else {
        Vec::new()
    };
    let mut value = with_tally(value, tally, &nodes);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("unreached".to_owned(), unreached_value(&administration));
    }
    output.show(&value, || {
        let mut lines = vec![diff, tally_text(tally)];
        if !nodes.is_empty() {
            lines.push(nodes_text(&nodes, version));
        }
        lines.extend(unreached_text(&administration));
        lines.join("\n")
    });
    let late = |node: &Standing| node.follows && node.list_version < version;
    Ok(if nodes.iter().any(late) {
        Exit::Peers
    } else {
        Exit::Done
    })
}

/// The registrars that did not answer, and what follows from that.
pub(super) fn unreached_text(administration: &Administration) -> Vec<String> {
    let line = |one: &Unreached| {
        format!(
            "not reached: {}; it takes this over from the others once it runs and reaches them. \
             Where it runs but is cut off, nodes that follow it hear of this from their peers only",
            one.reason
        )
    };
    administration.unreached().iter().map(line).collect()
}

/// The same for machines.
pub(super) fn unreached_value(administration: &Administration) -> Value {
    let unreached = administration.unreached().iter();
    unreached
        .map(|one| json!({ "registrar": one.endpoint, "reason": one.reason }))
        .collect()
}
