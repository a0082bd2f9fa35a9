//! `creditmesh audit open|check`: a query opened to an auditor, and what the auditor finds.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::crypto::sha256;
use crate::domain::Timestamp;
use crate::limits::OPENING_FILE_BYTES_MAX;
use crate::node::read_text;
use crate::wire::pb;

pub(super) const OPEN_EXAMPLE: &str = "Example:\n  \
    creditmesh audit open 17 --auditor watcher --out 17.opening --dir alpha\n\n\
    The file holds borrower, consent reference and blinding factors of the query, with the proof\n\
    that its entry is in this log. Only the auditor can read it. That it was opened is logged\n\
    (`audit show`, kind `opened`). A batch of the watch list is opened as a whole.";

pub(super) const CHECK_EXAMPLE: &str = "Example, at the auditor:\n  \
    creditmesh audit check 17.opening --dir watcher --consent C-2026-001\n\n\
    Exit code 0: what was opened is what was asked, and each peer logged the same. 1: it is not,\n\
    or the consent is another. 3: a peer that was asked is not reached, so it cannot be told.";

#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// The position of an entry of the kind `asked`, from 0.
    #[arg(value_name = "N", required_unless_present = "commitment")]
    entry: Option<u64>,
    /// In place of the position: the commitment of the query, as `audit draw` shows it.
    #[arg(long, value_name = "HEX", conflicts_with = "entry", value_parser = commitment)]
    commitment: Option<[u8; 32]>,
    /// The auditor: a member with the role `regulator`.
    #[arg(long, value_name = "MEMBER")]
    auditor: String,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    node: NodeAt,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// What `audit open` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The consent reference that the member showed: whether the query rests on it.
    #[arg(long, value_name = "TEXT")]
    consent: Option<String>,
    /// Identifiers that nobody owns, one on each line: whether the query was about one of them.
    #[arg(long, value_name = "FILE")]
    canaries: Option<PathBuf>,
    #[command(flatten)]
    node: NodeAt,
}

fn commitment(text: &str) -> Result<[u8; 32], String> {
    let bytes = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "a commitment is 64 hexadecimal digits".to_owned())
}

pub(super) async fn open(args: &OpenArgs, output: &Output) -> Result<Exit, CliError> {
    let mut client = args.node.openings().await?;
    let commitment = args.commitment.map(|bytes| bytes.to_vec().into());
    let wanted = pb::OpenEntryRequest {
        entry: args.entry.unwrap_or(0),
        auditor: args.auditor.clone(),
        commitment: commitment.unwrap_or_default(),
    };
    // Before it is asked: what is opened is logged, and should then be there.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.out)
        .map_err(|error| CliError::file(&args.out, &error))?;
    let opened = match client.open_entry(wanted).await {
        Ok(opened) => opened.into_inner(),
        Err(status) => {
            drop(std::fs::remove_file(&args.out));
            return Err(status.into());
        }
    };
    file.write_all(opened.file.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| CliError::file(&args.out, &error))?;
    let place = args.out.display().to_string();
    output.show(
        &json!({ "entry": opened.entry, "auditor": args.auditor, "file": place }),
        || format!("{place}: entry {} for {}", opened.entry, args.auditor),
    );
    Ok(Exit::Done)
}

pub(super) async fn check(args: &CheckArgs, output: &Output) -> Result<Exit, CliError> {
    let long = || CliError::refused(format!("{}: not an opening", args.file.display()));
    let size = std::fs::metadata(&args.file).map_err(|error| CliError::file(&args.file, &error))?;
    if size.len() > u64::try_from(OPENING_FILE_BYTES_MAX).unwrap_or(u64::MAX) {
        return Err(long());
    }
    let file = std::fs::read_to_string(&args.file);
    let file = file.map_err(|error| CliError::file(&args.file, &error))?;
    let mut client = args.node.openings().await?;
    let canaries = args.canaries.as_deref().map(canaries).transpose()?;
    let request = pb::CheckOpeningRequest {
        file,
        canaries: canaries.unwrap_or_default(),
    };
    let checked = client.check_opening(request).await?.into_inner();
    let consent = args.consent.as_ref().map(|text| {
        let hash = sha256(text.as_bytes());
        let mut borrowers = checked.borrowers.iter();
        borrowers.any(|one| one.consent.as_ref() == hash.as_slice())
    });
    output.show(&value_of(&checked, consent), || text_of(&checked, consent));
    Ok(exit_of(&checked, consent))
}

/// The lines of a file of canaries.
pub(super) fn canaries(path: &Path) -> Result<Vec<String>, CliError> {
    let text = read_text(path).map_err(|error| CliError::file(path, &error))?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn exit_of(checked: &pb::CheckOpeningResponse, consent: Option<bool>) -> Exit {
    let any = |word: &str| checked.peers.iter().any(|peer| peer.verdict == word);
    if checked.canaries > 0 {
        return Exit::Refused;
    }
    if !checked.fault.is_empty() || any("differs") || any("not-logged") || consent == Some(false) {
        return Exit::Refused;
    }
    if any("unreachable") {
        return Exit::Peers;
    }
    Exit::Done
}

pub(super) fn value_of(checked: &pb::CheckOpeningResponse, consent: Option<bool>) -> Value {
    let borrowers = checked.borrowers.iter().map(|one| {
        json!({ "identifiers": one.masked, "consent": HEXLOWER.encode(&one.consent),
            "reference": (!one.reference.is_empty()).then_some(&one.reference) })
    });
    let peers = checked.peers.iter().map(|peer| {
        json!({ "member": peer.member, "verdict": peer.verdict,
            "says": (!peer.says.is_empty()).then_some(&peer.says) })
    });
    json!({ "opener": checked.opener, "entry": checked.entry, "query": checked.query,
        "at": Timestamp::from_unix_ms(checked.at_unix_ms).to_rfc3339(),
        "purpose": checked.purpose, "borrowers": borrowers.collect::<Vec<_>>(),
        "peers": peers.collect::<Vec<_>>(),
        "fault": (!checked.fault.is_empty()).then_some(&checked.fault),
        "says": (!checked.says.is_empty()).then_some(&checked.says),
        "consent_matches": consent, "canaries": checked.canaries })
}

pub(super) fn text_of(checked: &pb::CheckOpeningResponse, consent: Option<bool>) -> String {
    let at = Timestamp::from_unix_ms(checked.at_unix_ms).to_rfc3339();
    let mut lines = vec![format!(
        "entry {} of {}: {} at {at}, {} borrower(s)",
        checked.entry,
        checked.opener,
        checked.purpose,
        checked.borrowers.len()
    )];
    for one in &checked.borrowers {
        let rests_on = match one.reference.as_str() {
            "" => format!("consent with SHA-256 {}", HEXLOWER.encode(&one.consent)),
            reference => format!("reference {reference}"),
        };
        lines.push(format!("  {}, {rests_on}", one.masked.join(" ")));
    }
    lines.push(match checked.fault.as_str() {
        "" => "  what was opened is what the log says was asked".to_owned(),
        _ => format!("WRONG  {}", checked.says),
    });
    for peer in &checked.peers {
        let colon = if peer.says.is_empty() { "" } else { ": " };
        lines.push(format!(
            "  {} {}{colon}{}",
            peer.member, peer.verdict, peer.says
        ));
    }
    if checked.canaries > 0 {
        lines.push(format!(
            "WRONG  {} of them nobody owns: canaries",
            checked.canaries
        ));
    }
    match consent {
        Some(true) => lines.push("  it rests on the consent reference given".to_owned()),
        Some(false) => lines.push("WRONG  it rests on another consent reference".to_owned()),
        None => {}
    }
    lines.join("\n")
}
