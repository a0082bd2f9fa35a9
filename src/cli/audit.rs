//! `creditmesh audit`: the log of every query, read, checked, copied and proven to others.

mod copy;
mod forks;
mod proof;

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tonic::Streaming;

pub(super) use copy::{Copy, take_copy};
pub(super) use forks::{
    shown as witnessing, status_json as witnessing_json, status_lines as witnessing_lines,
};

use super::draw;
use super::exit::{CliError, Exit};
use super::findings::{self, FindingsArgs};
use super::opening;
use super::operator::NodeAt;
use super::output::Output;
use super::reconcile;
use super::samples;
use crate::domain::Timestamp;
use crate::limits::AUDIT_FAULTS_MAX;
use crate::protocol::audit::{AuditFault, AuditJudge, AuditVerdict, CosignedUpTo, WitnessKey};
use crate::wire::pb;

/// `creditmesh audit …`.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Hash every entry, check every signed checkpoint, name whatever does not fit.
    #[command(after_help = "Examples:\n  creditmesh audit verify --dir alpha\n  \
        creditmesh audit verify --dir alpha --against kept-in-june.checkpoint --json\n  \
        creditmesh audit verify --from copy --key 91ab…7c\n\n\
        Exit code 0 all holds, 1 it does not. Faults: forged-leaf, dropped-leaf,\n\
        reordered-leaves, rewritten-history, forked-log, truncated-log, wrong-signature,\n\
        wrong-cosignature, unsigned-entries.")]
    Verify(copy::VerifyArgs),
    /// Entries of the log.
    #[command(after_help = "Examples:\n  creditmesh audit show --last 20\n  \
        creditmesh audit show 17 --json\n  creditmesh audit show --query 019c… ")]
    Show(ShowArgs),
    /// Copy the log into a new folder, for whoever checks it elsewhere.
    #[command(
        after_help = "Example:\n  creditmesh audit copy --dir alpha --out copy\n\n\
        Give the newest checkpoint in it to others: whoever keeps one can prove that the log\n\
        was rewritten later (`audit verify --against`)."
    )]
    Copy(copy::CopyArgs),
    /// Write a file that proves to anyone that an entry is in the log, and where.
    #[command(
        after_help = "Example:\n  creditmesh audit evidence 17 --out 17.tlog-proof\n\n\
        It proves inclusion and order only: the entry names no borrower, and nothing in the\n\
        file lets anyone find one."
    )]
    Evidence(proof::EvidenceArgs),
    /// Check an evidence file; needs no node.
    #[command(
        after_help = "Example:\n  creditmesh audit verify-evidence 17.tlog-proof --key 91ab…7c \
        --witness beta=22cd…01\n\n\
        The key is the identity key that the member list pins for the member."
    )]
    VerifyEvidence(proof::VerifyEvidenceArgs),
    /// Open a query to an auditor: borrower, consent reference, blinding factors.
    #[command(after_help = opening::OPEN_EXAMPLE)]
    Open(opening::OpenArgs),
    /// At an auditor: read an opening, and compare it with what both sides logged.
    #[command(after_help = opening::CHECK_EXAMPLE)]
    Check(opening::CheckArgs),
    /// At an auditor: draw queries of a member, to have them opened.
    #[command(after_help = draw::EXAMPLE)]
    Draw(draw::DrawArgs),
    /// At an auditor: samples that members are to open, and what came of each.
    #[command(after_help = samples::SAMPLES_EXAMPLE)]
    Samples(samples::SamplesArgs),
    /// At a member: which samples auditors want opened, and until when.
    #[command(after_help = samples::REQUESTS_EXAMPLE)]
    Requests(samples::RequestsArgs),
    /// At a member: open what auditors want opened, and deliver it.
    #[command(after_help = samples::ANSWER_EXAMPLE)]
    AnswerRequests(samples::AnswerArgs),
    /// Compare this member's log with a peer's: whether both tell the same.
    #[command(after_help = reconcile::EXAMPLE)]
    Reconcile(reconcile::ReconcileArgs),
    /// Members that are proven to have signed two histories of a log, and what is suspected.
    #[command(after_help = forks::FORKS_EXAMPLES)]
    Forks(forks::ForksArgs),
    /// Check a fork proof; needs no node.
    #[command(after_help = forks::VERIFY_EXAMPLES)]
    VerifyFork(forks::VerifyForkArgs),
    /// How far peers cosigned this node's log.
    #[command(after_help = forks::WITNESSES_EXAMPLES)]
    Witnesses(forks::WitnessesArgs),
    /// Queries that look like fishing: this node's own, and those of its peers.
    #[command(after_help = findings::EXAMPLES)]
    Findings(FindingsArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    node: NodeAt,
    /// The position of one entry, from 0.
    #[arg(value_name = "N", conflicts_with_all = ["last", "query"])]
    entry: Option<u64>,
    /// The newest entries.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    last: u64,
    /// Only what was asked under this query id, wherever it stands.
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    query: Option<String>,
}

pub(super) async fn run(command: AuditCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        AuditCommand::Verify(args) => copy::verify(&args, output).await,
        AuditCommand::Show(args) => show(&args, output).await,
        AuditCommand::Copy(args) => copy::copy(&args, output).await,
        AuditCommand::Evidence(args) => proof::evidence(&args, output).await,
        AuditCommand::VerifyEvidence(args) => proof::verify(&args, output),
        AuditCommand::Open(args) => opening::open(&args, output).await,
        AuditCommand::Check(args) => opening::check(&args, output).await,
        AuditCommand::Draw(args) => draw::run(&args, output).await,
        AuditCommand::Samples(args) => samples::samples(&args, output).await,
        AuditCommand::Requests(args) => samples::requests(&args, output).await,
        AuditCommand::AnswerRequests(args) => samples::answer(&args, output).await,
        AuditCommand::Reconcile(args) => reconcile::run(&args, output).await,
        AuditCommand::Forks(args) => forks::list(&args, output).await,
        AuditCommand::VerifyFork(args) => forks::verify(&args, output),
        AuditCommand::Witnesses(args) => forks::witnesses(&args, output).await,
        AuditCommand::Findings(args) => findings::run(&args, output).await,
    }
}

/// The log of a running node, as it streams by.
struct Reading {
    origin: String,
    keys: Vec<[u8; 32]>,
    witnesses: Vec<WitnessKey>,
    size: u64,
    rest: Streaming<pb::ReadAuditLogResponse>,
}

impl Reading {
    async fn start(node: &NodeAt, first: u64) -> Result<Self, CliError> {
        let mut client = node.audit().await?;
        let request = pb::ReadAuditLogRequest { first };
        let mut rest = client.read_audit_log(request).await?.into_inner();
        let head = rest.message().await?.unwrap_or_default();
        let keys = head.keys.iter();
        let keys = keys.filter_map(|key| <[u8; 32]>::try_from(key.as_ref()).ok());
        let witnesses = head.witnesses.iter();
        let witnesses = witnesses.filter_map(|one| {
            Some(WitnessKey {
                member: one.member.parse().ok()?,
                key: one.key.as_ref().try_into().ok()?,
            })
        });
        Ok(Self {
            witnesses: witnesses.collect(),
            origin: head.origin,
            keys: keys.collect(),
            size: head.size,
            rest,
        })
    }

    async fn next(&mut self) -> Result<Option<pb::ReadAuditLogResponse>, CliError> {
        Ok(self.rest.message().await?)
    }

    /// Where the newest entries begin.
    async fn size(node: &NodeAt) -> Result<u64, CliError> {
        Ok(Self::start(node, u64::MAX).await?.size)
    }
}

async fn show(args: &ShowArgs, output: &Output) -> Result<Exit, CliError> {
    let size = Reading::size(&args.node).await?;
    let first = match (args.entry, &args.query) {
        (Some(entry), _) => entry,
        (None, Some(_)) => 0,
        (None, None) => size.saturating_sub(args.last),
    };
    let mut reading = Reading::start(&args.node, first).await?;
    let mut found = Vec::new();
    'reading: while let Some(page) = reading.next().await? {
        for entry in page.entries {
            let words: Vec<&str> = entry.line.split(' ').collect();
            let is_wanted = |id: &String| words.contains(&id.as_str());
            if args.query.as_ref().is_none_or(is_wanted) {
                found.push(entry);
            }
            if args.entry.is_some() {
                break 'reading;
            }
        }
    }
    let wanted = |entry: &pb::AuditLogEntry| args.entry.is_none_or(|index| entry.index == index);
    found.retain(wanted);
    if found.is_empty() && (args.entry.is_some() || args.query.is_some()) {
        return Err(CliError::refused(format!(
            "no such entry among the {size} of {}",
            reading.origin
        )));
    }
    let entries: Vec<Value> = found.iter().map(value).collect();
    let value = json!({ "origin": reading.origin, "size": reading.size, "entries": entries });
    output.show(&value, || {
        let lines: Vec<String> = found.iter().map(line).collect();
        lines.join("\n")
    });
    Ok(Exit::Done)
}

/// The names of the fields behind version, time and kind.
fn fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "asked" => &["query", "purpose", "commitment", "batches", "peers"],
        "answered" => &[
            "member",
            "level",
            "epoch",
            "purpose",
            "commitment",
            "batch",
            "elements",
        ],
        "opened" => &["opened_entry", "auditor"],
        "reported" => &["report", "purpose"],
        "erased" => &["erasure", "by", "reason"],
        _ => &[],
    }
}

fn time(word: Option<&str>) -> Option<Timestamp> {
    Some(Timestamp::from_unix_ms(word?.parse().ok()?))
}

fn value(entry: &pb::AuditLogEntry) -> Value {
    let mut words = entry.line.split(' ');
    let version = words.next().unwrap_or_default();
    let at = time(words.next()).map(Timestamp::to_rfc3339);
    let kind = words.next().unwrap_or_default();
    let mut value = json!({ "entry": entry.index, "version": version, "at": at, "kind": kind,
        "line": entry.line });
    if let Some(value) = value.as_object_mut() {
        for (name, word) in fields(kind).iter().zip(words) {
            value.insert((*name).to_owned(), word.into());
        }
    }
    value
}

fn line(entry: &pb::AuditLogEntry) -> String {
    let mut words = entry.line.split(' ').skip(1);
    let at = time(words.next()).map_or_else(String::new, Timestamp::to_rfc3339);
    let kind = words.next().unwrap_or_default();
    let fields = fields(kind).iter().zip(words);
    // Digests are in the JSON form; here they would only push the rest off the line.
    let fields = fields.filter(|(_, word)| word.len() < 64);
    let fields: Vec<String> = fields
        .map(|(name, word)| format!("{name} {word}"))
        .collect();
    format!("{:>8}  {at}  {kind}  {}", entry.index, fields.join(", "))
}

/// Shows what a check came to.
fn judged(judge: AuditJudge, origin: &str, keys: &[[u8; 32]], output: &Output) -> Exit {
    let AuditVerdict {
        entries,
        checkpoints,
        signed,
        witnessed,
        unchecked,
        faults,
    } = judge.finish();
    let sound = faults.is_empty();
    let told: Vec<Value> = faults
        .iter()
        .map(|fault| json!({ "code": fault.code(), "says": fault.to_string() }))
        .collect();
    let keys: Vec<String> = keys.iter().map(|key| HEXLOWER.encode(key)).collect();
    let value = json!({ "origin": origin, "sound": sound, "entries": entries, "signed": signed,
        "checkpoints": checkpoints, "keys": keys, "faults": told,
        "witnessed": witnessed.iter().map(witnessed_value).collect::<Vec<_>>(),
        "unchecked_cosignatures": unchecked });
    output.show(&value, || {
        let mut lines: Vec<String> = of_kinds(&faults)
            .into_iter()
            .map(|(first, count)| wrong_line(first, count))
            .collect();
        lines.extend(witnessed.iter().map(witnessed_line));
        if witnessed.is_empty() {
            lines.push("no witness with a known key cosigned any checkpoint".to_owned());
        }
        if unchecked > 0 {
            lines.push(format!(
                "{unchecked} cosignatures are of keys not known here: name them with --witness"
            ));
        }
        let count = faults.len();
        let end = match count {
            0 => "every entry and signature holds".to_owned(),
            AUDIT_FAULTS_MAX => {
                format!("{count} faults or more; keep this copy, and show it to the auditor")
            }
            _ => format!("{count} faults; keep this copy, and show it to the auditor"),
        };
        lines.push(format!(
            "{origin}: {entries} entries, {checkpoints} checkpoints: {end}"
        ));
        lines.join("\n")
    });
    if sound { Exit::Done } else { Exit::Refused }
}

/// The first fault of each kind and how many of that kind were found, in the order in which the
/// kinds were met.
fn of_kinds(faults: &[AuditFault]) -> Vec<(&AuditFault, usize)> {
    let mut kinds: Vec<(&AuditFault, usize)> = Vec::new();
    for fault in faults {
        let same = |(first, _): &&mut (&AuditFault, usize)| first.code() == fault.code();
        match kinds.iter_mut().find(same) {
            Some((_, count)) => *count += 1,
            None => kinds.push((fault, 1)),
        }
    }
    kinds
}

fn wrong_line(first: &AuditFault, count: usize) -> String {
    match count {
        1 => format!("WRONG  {first}"),
        _ => format!("WRONG  {first} (the first of {count} of this kind; --json lists them)"),
    }
}

fn witnessed_value(one: &CosignedUpTo) -> Value {
    json!({ "witness": one.witness.as_str(), "size": one.size, "at": one.at.to_rfc3339() })
}

fn witnessed_line(one: &CosignedUpTo) -> String {
    let CosignedUpTo { witness, size, at } = one;
    format!("{witness} cosigned {size} entries at {}", at.to_rfc3339())
}

/// A witness as `MEMBER=KEY`.
fn witness(text: &str) -> Result<WitnessKey, String> {
    let wrong = || "a witness is MEMBER=KEY, with the key as 64 hexadecimal digits".to_owned();
    let (member, digits) = text.split_once('=').ok_or_else(wrong)?;
    Ok(WitnessKey {
        member: member.parse().map_err(|_| wrong())?,
        key: key(digits)?,
    })
}

/// A key as 64 hexadecimal digits.
fn key(text: &str) -> Result<[u8; 32], String> {
    let key = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok();
    key.and_then(|key| key.try_into().ok())
        .ok_or_else(|| "an identity key is 64 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{AuditFault, of_kinds, wrong_line};

    #[test]
    fn faults_of_one_kind_are_one_line_that_names_the_first_and_counts_the_rest() {
        let forged = |index| AuditFault::ForgedLeaf { index };
        let faults = [
            forged(4),
            AuditFault::ForkedLog { size: 9 },
            forged(5),
            forged(8),
        ];
        let lines: Vec<String> = of_kinds(&faults)
            .into_iter()
            .map(|(first, count)| wrong_line(first, count))
            .collect();
        let [leaves, fork] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert!(leaves.contains("entry 4 ") && leaves.contains("the first of 3"));
        assert!(fork.contains("size 9") && !fork.contains("the first of"));
        assert!(of_kinds(&[]).is_empty());
    }
}
