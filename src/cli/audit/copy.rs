//! Checking the log where it is, copying it into files, and checking such a copy.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Reading, judged, key, witness};
use crate::cli::exit::{CliError, Exit};
use crate::cli::operator::NodeAt;
use crate::cli::output::Output;
use crate::domain::Timestamp;
use crate::limits::{AUDIT_FILE_BYTES_MAX, AUDIT_LINE_BYTES_MAX, AUDIT_SEGMENT_ENTRIES};
use crate::merkle::{Checkpoint, SignedNote};
use crate::protocol::audit::{AuditJudge, CopiedEntry, WitnessKey, split_notes};

/// The file of a copy that holds the checkpoints, in the order of their sizes.
const CHECKPOINTS: &str = "checkpoints";

/// What the names of the files with entries begin with; the first position follows.
const ENTRIES: &str = "entries-";

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    node: NodeAt,
    /// A folder that `audit copy` wrote, in place of the node.
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with = "path",
        requires = "keys"
    )]
    from: Option<PathBuf>,
    /// An identity key of the member, as the member list has it: for --from. The node knows its own
    /// and its former ones from the list by itself. May be repeated.
    #[arg(long = "key", value_name = "HEX", value_parser = key)]
    keys: Vec<[u8; 32]>,
    /// Leave out the signatures of checkpoints signed before; every entry is hashed all the same.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// A witness and its identity key, as the member list pins it: for --from, and beside those
    /// that the node knows. May be repeated.
    #[arg(long = "witness", value_name = "MEMBER=HEX", value_parser = witness)]
    witnesses: Vec<WitnessKey>,
    /// A file of checkpoints that somebody kept of this log. May be repeated.
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
}

fn since(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_day_or_moment(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CopyArgs {
    #[command(flatten)]
    node: NodeAt,
    /// The folder to make.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) async fn verify(args: &VerifyArgs, output: &Output) -> Result<Exit, CliError> {
    if let Some(folder) = &args.from {
        return verify_copy(folder, args, output);
    }
    let mut reading = Reading::start(&args.node, 0).await?;
    let mut keys = reading.keys.clone();
    keys.extend(&args.keys);
    let mut witnesses = args.witnesses.clone();
    witnesses.extend(reading.witnesses.iter().cloned());
    let judge = AuditJudge::new(&reading.origin, keys.clone(), args.since);
    let mut judge = judge.with_witnesses(witnesses);
    take_kept(&mut judge, &args.against)?;
    let bar = output.progress("entries", Some(reading.size));
    while let Some(page) = reading.next().await? {
        for note in &page.checkpoints {
            judge.checkpoint(note);
        }
        for entry in &page.entries {
            judge.entry(entry.index, entry.line.as_bytes(), None);
        }
        bar.inc(u64::try_from(page.entries.len()).unwrap_or(0));
    }
    bar.finish_and_clear();
    Ok(judged(judge, &reading.origin, &keys, output))
}

/// Takes checkpoints that somebody kept.
fn take_kept(judge: &mut AuditJudge, files: &[PathBuf]) -> Result<(), CliError> {
    for path in files {
        split_notes(&text(path)?).for_each(|note| judge.kept_checkpoint(note));
    }
    Ok(())
}

/// The text of a file that somebody else may have made.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = opened(path)?
        .take(AUDIT_FILE_BYTES_MAX)
        .read_to_end(&mut bytes);
    read.map_err(|error| CliError::file(path, &error))?;
    String::from_utf8(bytes)
        .map_err(|_| CliError::refused(format!("{}: it is not text", path.display())))
}

/// A file, and nothing that gives bytes without end or never.
fn opened(path: &Path) -> Result<File, CliError> {
    let failed = |error: std::io::Error| CliError::file(path, &error);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let place = path.display();
        return Err(CliError::refused(format!("{place}: it is not a file")));
    }
    File::open(path).map_err(failed)
}

fn verify_copy(folder: &Path, args: &VerifyArgs, output: &Output) -> Result<Exit, CliError> {
    let bar = output.progress("entries", None);
    let begin = |origin: &str| {
        let judge = AuditJudge::new(origin, args.keys.clone(), args.since);
        let mut judge = judge.with_witnesses(args.witnesses.clone());
        take_kept(&mut judge, &args.against)?;
        Ok(judge)
    };
    let (origin, judge) = take_copy(folder, begin, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(judged(judge, &origin, &args.keys, output))
}

/// Reads a copy from its files, checkpoints and then entries, into the judge that is begun for its
/// origin. `each` hears of every entry.
pub(in crate::cli) fn take_copy(
    folder: &Path,
    begin: impl FnOnce(&str) -> Result<AuditJudge, CliError>,
    each: &dyn Fn(),
) -> Result<(String, AuditJudge), CliError> {
    let notes = text(&folder.join(CHECKPOINTS))?;
    let first = split_notes(&notes).next().unwrap_or_default();
    let origin = SignedNote::parse(first).and_then(|note| Checkpoint::stored(&note));
    let origin = origin.map_err(|error| {
        let place = folder.join(CHECKPOINTS);
        CliError::refused(format!("{}: wrong signature: {error}", place.display()))
    })?;
    let mut judge = begin(origin.origin())?;
    split_notes(&notes).for_each(|note| judge.checkpoint(note));
    for path in entry_files(folder)? {
        take_segment(&path, &mut judge, each)?;
    }
    Ok((origin.origin().to_owned(), judge))
}

fn take_segment(path: &Path, judge: &mut AuditJudge, each: &dyn Fn()) -> Result<(), CliError> {
    let mut file = BufReader::new(opened(path)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        // The position and the hash stand before the entry.
        let longest = u64::try_from(AUDIT_LINE_BYTES_MAX + 80).unwrap_or(u64::MAX);
        let read = (&mut file).take(longest).read_until(b'\n', &mut line);
        if read.map_err(|error| CliError::file(path, &error))? == 0 {
            break;
        }
        let text = std::str::from_utf8(&line).ok();
        let entry = text.and_then(|text| text.strip_suffix('\n'));
        let entry = entry.and_then(CopiedEntry::parse);
        let entry = entry.ok_or_else(|| {
            let place = path.display();
            CliError::refused(format!(
                "{place}, line {number}: no entry of a copy: it was cut or altered; make the copy \
                 again"
            ))
        })?;
        judge.entry(entry.index, entry.line.as_bytes(), Some(entry.hash));
        each();
    }
    Ok(())
}

/// The files with entries, in their order.
fn entry_files(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let listed = std::fs::read_dir(folder).map_err(|error| CliError::file(folder, &error))?;
    let mut files: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(ENTRIES))
        })
        .collect();
    files.sort();
    Ok(files)
}

/// The copy that is being written.
pub(in crate::cli) struct Copy {
    folder: PathBuf,
    entries: Option<BufWriter<File>>,
    checkpoints: BufWriter<File>,
}

impl Copy {
    pub(in crate::cli) fn make(folder: &Path) -> Result<Self, CliError> {
        std::fs::create_dir(folder).map_err(|error| CliError::file(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            entries: None,
            checkpoints: created(&folder.join(CHECKPOINTS))?,
        })
    }

    pub(in crate::cli) fn entry(&mut self, index: u64, line: &str) -> Result<(), CliError> {
        let path = self.folder.join(format!(
            "{ENTRIES}{:020}",
            index - index % AUDIT_SEGMENT_ENTRIES
        ));
        let failed = |error: std::io::Error| CliError::file(&path, &error);
        if index.is_multiple_of(AUDIT_SEGMENT_ENTRIES) {
            ended(self.entries.take(), &path)?;
        }
        let file = match self.entries.take() {
            Some(file) => file,
            None => created(&path)?,
        };
        let file = self.entries.insert(file);
        writeln!(file, "{}", CopiedEntry::of(index, line)).map_err(failed)
    }

    pub(in crate::cli) fn checkpoint(&mut self, note: &str) -> Result<(), CliError> {
        let written = self.checkpoints.write_all(note.as_bytes());
        written.map_err(|error| CliError::file(&self.folder, &error))
    }

    pub(in crate::cli) fn end(self) -> Result<(), CliError> {
        ended(self.entries, &self.folder)?;
        ended(Some(self.checkpoints), &self.folder)
    }
}

/// A new file that only its owner may read.
fn created(path: &Path) -> Result<BufWriter<File>, CliError> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    Ok(BufWriter::new(
        file.map_err(|error| CliError::file(path, &error))?,
    ))
}

/// Writes a file to the end, onto the disk.
fn ended(file: Option<BufWriter<File>>, path: &Path) -> Result<(), CliError> {
    let Some(mut file) = file else { return Ok(()) };
    let written = file.flush().and_then(|()| file.get_ref().sync_all());
    written.map_err(|error| CliError::file(path, &error))
}

pub(super) async fn copy(args: &CopyArgs, output: &Output) -> Result<Exit, CliError> {
    let mut reading = Reading::start(&args.node, 0).await?;
    let mut copy = Copy::make(&args.out)?;
    let bar = output.progress("entries", Some(reading.size));
    let (mut entries, mut checkpoints) = (0_u64, 0_u64);
    while let Some(page) = reading.next().await? {
        for entry in &page.entries {
            copy.entry(entry.index, &entry.line)?;
            entries += 1;
        }
        for note in &page.checkpoints {
            copy.checkpoint(note)?;
            checkpoints += 1;
        }
        bar.set_position(entries);
    }
    bar.finish_and_clear();
    copy.end()?;
    let origin = reading.origin;
    let place = args.out.display();
    output.show(
        &json!({ "origin": origin, "entries": entries, "checkpoints": checkpoints,
            "folder": place.to_string() }),
        || format!("{origin}: {entries} entries and {checkpoints} checkpoints copied to {place}"),
    );
    Ok(Exit::Done)
}
