//! Evidence files: made from the running node's log, checked with nothing but a key.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::copy::text;
use super::{Reading, key, value, witness, witnessed_line, witnessed_value};
use crate::cli::exit::{CliError, Exit};
use crate::cli::operator::NodeAt;
use crate::cli::output::Output;
use crate::domain::Timestamp;
use crate::merkle::{Checkpoint, PathBuilder, SignedNote, leaf_hash};
use crate::protocol::audit::{AuditProof, WitnessKey};
use crate::wire::pb;

#[derive(Debug, Args)]
pub(in crate::cli) struct EvidenceArgs {
    /// The position of the entry, from 0.
    #[arg(value_name = "N")]
    entry: u64,
    #[command(flatten)]
    node: NodeAt,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyEvidenceArgs {
    /// The evidence file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An identity key of the member, as the member list pins it. May be repeated.
    #[arg(long = "key", value_name = "HEX", value_parser = key, required = true)]
    keys: Vec<[u8; 32]>,
    /// A witness and its identity key, as the member list pins it. May be repeated.
    #[arg(long = "witness", value_name = "MEMBER=HEX", value_parser = witness)]
    witnesses: Vec<WitnessKey>,
}

pub(super) async fn evidence(args: &EvidenceArgs, output: &Output) -> Result<Exit, CliError> {
    let mut reading = Reading::start(&args.node, 0).await?;
    let (size, origin) = (reading.size, reading.origin.clone());
    if args.entry >= size {
        return Err(CliError::refused(format!(
            "{origin} has {size} entries, from 0: there is no entry {}",
            args.entry
        )));
    }
    let bar = output.progress("entries", Some(size));
    let mut builder = PathBuilder::new(args.entry);
    let (mut entry, mut best) = (None, None);
    while let Some(page) = reading.next().await? {
        let notes: BTreeMap<u64, String> = page.checkpoints.into_iter().filter_map(sized).collect();
        for one in page.entries {
            builder.append(leaf_hash(one.line.as_bytes()));
            if one.index == args.entry {
                entry = Some(one.line);
            }
            if let Some(note) = notes.get(&builder.size())
                && entry.is_some()
            {
                best = Some(better(best, (builder.clone(), note.clone())));
            }
        }
        bar.set_position(builder.size());
    }
    bar.finish_and_clear();
    let broken = || CliError::refused(format!("{origin}: see `creditmesh audit verify`"));
    let (builder, checkpoint) = best.ok_or_else(broken)?;
    let (path, _) = builder.finish().map_err(|_| broken())?;
    let proof = AuditProof {
        index: args.entry,
        entry: entry.ok_or_else(broken)?,
        path,
        checkpoint,
    };
    // What this command writes, whoever gets it must find sound.
    let signed = proof
        .verify(&reading.keys)
        .map_err(|error| CliError::refused(format!("{origin}: {error}")))?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.out);
    file.and_then(|mut file| {
        file.write_all(proof.to_string().as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| CliError::file(&args.out, &error))?;
    let place = args.out.display().to_string();
    output.show(
        &json!({ "origin": origin, "entry": proof.index, "size": signed.size(), "file": place }),
        || format!("{place}: entry {} of {origin}", proof.index),
    );
    Ok(Exit::Done)
}

/// A checkpoint by its size.
fn sized(note: String) -> Option<(u64, String)> {
    let checkpoint = Checkpoint::stored(&SignedNote::parse(&note).ok()?).ok()?;
    Some((checkpoint.size(), note))
}

/// What a proof may end with: the path so far, and a checkpoint there.
type End = (PathBuilder, String);

/// The later one of two checkpoints, unless only the earlier one is cosigned.
fn better(held: Option<End>, next: End) -> End {
    let cosigned = |(_, note): &End| {
        let note = SignedNote::parse(note);
        note.is_ok_and(|note| note.signers().any(|name| name.ends_with("/witness")))
    };
    match held {
        Some(held) if cosigned(&held) && !cosigned(&next) => held,
        Some(_) | None => next,
    }
}

pub(super) fn verify(args: &VerifyEvidenceArgs, output: &Output) -> Result<Exit, CliError> {
    let text = text(&args.file)?;
    let wrong = |error: &dyn std::fmt::Display| {
        CliError::refused(format!("{}: {error}", args.file.display()))
    };
    let proof = AuditProof::parse(&text).map_err(|error| wrong(&error))?;
    let signed = proof.verify(&args.keys).map_err(|error| wrong(&error))?;
    let witnessed = proof.witnessed(&args.witnesses);
    let witnessed = witnessed.map_err(|error| wrong(&format!("wrong cosignature: {error}")))?;
    let entry = pb::AuditLogEntry {
        index: proof.index,
        line: proof.entry,
    };
    let at = signed.signed_at().map(Timestamp::to_rfc3339);
    let (origin, size) = (signed.origin(), signed.size());
    output.show(
        &json!({ "origin": origin, "size": size, "signed_at": at, "entry": value(&entry),
            "witnessed": witnessed.iter().map(witnessed_value).collect::<Vec<_>>() }),
        || {
            let line = super::line(&entry);
            let at = at.as_deref().unwrap_or("an unknown time");
            let mut lines = vec![
                line,
                format!("is in {origin}, which had {size} entries at {at}"),
            ];
            lines.extend(witnessed.iter().map(witnessed_line));
            lines.join("\n")
        },
    );
    Ok(Exit::Done)
}
