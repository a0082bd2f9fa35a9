//! Members that signed two histories, and how far this node's own log is cosigned.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::copy::text;
use super::key;
use crate::cli::exit::{CliError, Exit};
use crate::cli::operator::NodeAt;
use crate::cli::output::Output;
use crate::domain::Timestamp;
use crate::flows::kind_word;
use crate::protocol::fork::LogFork;
use crate::wire::pb;

pub(super) const FORKS_EXAMPLES: &str = "Examples:\n  creditmesh audit forks --dir alpha\n  \
    creditmesh audit forks --dir alpha --out proofs --json\n\n\
    With --out, each proof becomes a file that `audit verify-fork` checks anywhere. A doubt is\n\
    no proof: two checkpoints were seen, and the member did not show that one continues the\n\
    other. Exit code 0 none is proven, 1 some are.";

pub(super) const VERIFY_EXAMPLES: &str = "Example:\n  creditmesh audit verify-fork \
    proofs/beta-full-7-91ab….fork --key 91ab…7c\n\n\
    The key is the identity key that the member list pins for the member. Exit code 0 the proof\n\
    holds: the holder of the key signed two histories; 1 it does not.";

pub(super) const WITNESSES_EXAMPLES: &str = "Example:\n  creditmesh audit witnesses --dir alpha\n\n\
    Exit code 0 the newest entries are cosigned, or wait for less than an hour; 3 they wait for\n\
    longer.";

/// Digits of the key in the name of a proof's file.
const KEY_DIGITS: usize = 16;

#[derive(Debug, Args)]
pub(in crate::cli) struct ForksArgs {
    #[command(flatten)]
    node: NodeAt,
    /// A folder to make, with one file for each proof.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyForkArgs {
    /// The proof.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The identity key of the member, as the member list pins it.
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: [u8; 32],
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WitnessesArgs {
    #[command(flatten)]
    node: NodeAt,
}

/// What `node status` tells of it, for machines.
pub(in crate::cli) fn status_json(shown: &pb::ShowWitnessingResponse) -> Value {
    json!({ "entries": shown.size, "cosigned": shown.cosigned_size, "late": shown.late,
        "forks": shown.forks.len(), "doubts": shown.doubts.len() })
}

/// What `node status` tells of it, where there is something to look at.
pub(in crate::cli) fn status_lines(shown: &pb::ShowWitnessingResponse) -> Vec<String> {
    let mut lines = Vec::new();
    if shown.late {
        let (cosigned, size) = (shown.cosigned_size, shown.size);
        lines.push(format!(
            "witness      {cosigned} of {size} audit entries cosigned: `creditmesh audit witnesses`"
        ));
    }
    let (forks, doubts) = (shown.forks.len(), shown.doubts.len());
    if forks + doubts > 0 {
        lines.push(format!(
            "fork         {forks} proven, {doubts} suspected: `creditmesh audit forks`"
        ));
    }
    lines
}

/// How far the log is cosigned, and every fork and doubt.
pub(in crate::cli) async fn shown(node: &NodeAt) -> Result<pb::ShowWitnessingResponse, CliError> {
    let mut client = node.witnessing().await?;
    let shown = client.show_witnessing(pb::ShowWitnessingRequest {}).await?;
    Ok(shown.into_inner())
}

fn moment(ms: i64) -> Option<String> {
    (ms > 0).then(|| Timestamp::from_unix_ms(ms).to_rfc3339())
}

pub(super) async fn list(args: &ForksArgs, output: &Output) -> Result<Exit, CliError> {
    let shown = shown(&args.node).await?;
    if let Some(folder) = &args.out {
        keep(folder, &shown.forks)?;
    }
    let forks: Vec<Value> = shown.forks.iter().map(value).collect();
    let doubts: Vec<Value> = shown
        .doubts
        .iter()
        .map(|one| {
            json!({ "origin": one.origin, "since": moment(one.since_unix_ms), "says": one.says })
        })
        .collect();
    output.show(&json!({ "forks": forks, "doubts": doubts }), || {
        let mut lines: Vec<String> = shown.forks.iter().map(line).collect();
        let doubt = |one: &pb::DoubtView| {
            let since = moment(one.since_unix_ms).unwrap_or_default();
            format!("doubt   {}, since {since}: {}", one.origin, one.says)
        };
        lines.extend(shown.doubts.iter().map(doubt));
        if lines.is_empty() {
            lines.push("nobody is known to have signed two histories".to_owned());
        }
        lines.join("\n")
    });
    Ok(if shown.forks.is_empty() {
        Exit::Done
    } else {
        Exit::Refused
    })
}

/// Writes each proof into a file of its own: a log may have been forked under one key after the
/// other, and for each log and key one proof is kept.
fn keep(folder: &Path, forks: &[pb::ForkView]) -> Result<(), CliError> {
    std::fs::create_dir(folder).map_err(|error| CliError::file(folder, &error))?;
    for fork in forks {
        let key: String = HEXLOWER
            .encode(&fork.key)
            .chars()
            .take(KEY_DIGITS)
            .collect();
        let name = format!("{}-{key}.fork", fork.origin.replace('/', "-"));
        write(&folder.join(name), &fork.proof)?;
    }
    Ok(())
}

fn value(fork: &pb::ForkView) -> Value {
    json!({ "member": fork.member, "origin": fork.origin, "kind": fork.kind,
        "found": moment(fork.found_unix_ms), "told_by": fork.told_by,
        "key": HEXLOWER.encode(&fork.key), "proof": fork.proof })
}

fn line(fork: &pb::ForkView) -> String {
    let found = moment(fork.found_unix_ms).unwrap_or_default();
    format!(
        "FORKED  {}: {} (known since {found}, from {})",
        fork.origin, fork.kind, fork.told_by
    )
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| CliError::file(path, &error))
}

pub(super) fn verify(args: &VerifyForkArgs, output: &Output) -> Result<Exit, CliError> {
    let text = text(&args.file)?;
    let wrong = |says: &dyn std::fmt::Display| {
        CliError::refused(format!("{}: {says}", args.file.display()))
    };
    let proof: LogFork = text.parse().map_err(|error| wrong(&error))?;
    let kind = proof.check(&args.key).map_err(|error| wrong(&error))?;
    let kind = kind.ok_or_else(|| wrong(&"the two checkpoints may be of one history"))?;
    let (origin, kind) = (&proof.origin, kind_word(kind));
    output.show(
        &json!({ "origin": origin, "forked": true, "kind": kind }),
        || format!("{origin} has two histories, both signed by this key: {kind}"),
    );
    Ok(Exit::Done)
}

pub(super) async fn witnesses(args: &WitnessesArgs, output: &Output) -> Result<Exit, CliError> {
    let shown = shown(&args.node).await?;
    let troubles: Vec<Value> = shown
        .troubles
        .iter()
        .map(|one| json!({ "witness": one.member, "says": one.says }))
        .collect();
    let (cosigned, waiting) = (
        moment(shown.cosigned_unix_ms),
        moment(shown.waiting_unix_ms),
    );
    let value = json!({ "entries": shown.size, "cosigned": shown.cosigned_size,
        "cosigned_at": cosigned, "needed": shown.needed, "waiting_since": waiting,
        "late": shown.late, "troubles": troubles });
    output.show(&value, || {
        let mut lines = vec![format!(
            "{} of {} entries cosigned by {} witnesses",
            shown.cosigned_size, shown.size, shown.needed
        )];
        if let Some(at) = &cosigned {
            lines.push(format!("last cosigned at {at}"));
        }
        if let Some(since) = &waiting {
            lines.push(format!("the rest waits since {since}"));
        }
        let trouble = |one: &pb::WitnessTrouble| format!("{}: {}", one.member, one.says);
        lines.extend(shown.troubles.iter().map(trouble));
        lines.join("\n")
    });
    Ok(if shown.late { Exit::Peers } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_of_one_log_under_two_keys_are_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let fork = |key: u8, proof: &str| pb::ForkView {
            origin: "beta/full/7".to_owned(),
            key: vec![key; 32].into(),
            proof: proof.to_owned(),
            ..pb::ForkView::default()
        };
        let folder = dir.path().join("proofs");
        keep(
            &folder,
            &[fork(1, "under the one"), fork(2, "under the other")],
        )
        .unwrap();
        for (digits, proof) in [
            ("0101010101010101", "under the one"),
            ("0202020202020202", "under the other"),
        ] {
            let file = folder.join(format!("beta-full-7-{digits}.fork"));
            assert_eq!(std::fs::read_to_string(file).unwrap(), proof);
        }
    }
}
