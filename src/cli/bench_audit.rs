//! What checking an audit log costs for each entry, from segment files, beside its ceilings.

use std::cell::Cell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit::{Copy, take_copy};
use super::exit::CliError;
use crate::crypto::bench::{BenchRow, compare, thread_cpu};
use crate::crypto::oprf::OprfError;
use crate::crypto::{
    IdentityKey, KdfCost, Keyring, SealContext, Sealed, Secret, Unlock, sha256, verify,
};
use crate::domain::Timestamp;
use crate::env::Entropy;
use crate::limits::AUDIT_SEGMENT_ENTRIES;
use crate::merkle::{Checkpoint, Frontier, SignedNote, leaf_hash};
use crate::protocol::audit::AuditJudge;

const ORIGIN: &str = "alpha/audit";

/// Checkpoints whose signature is checked in one round.
const NOTES: usize = 64;

/// Bytes of what is hashed for an inner node: a prefix and two hashes.
const NODE_BYTES: usize = 65;

struct Material {
    /// A copy of a log, as `audit copy` writes it.
    copy: PathBuf,
    /// Its one file of entries.
    segment: PathBuf,
    lines: Vec<String>,
    note: String,
    key: [u8; 32],
    keyring: Keyring,
    sealed: Vec<Sealed>,
}

/// Measures the check of a copy of 65,536 entries, one segment file, as `audit copy` writes and
/// `audit verify --from` checks it: opened and read anew in each round. Besides its hashing alone,
/// the check of a checkpoint's signature, and the opening of a sealed entry.
///
/// It is processor time, user and system: what the disk takes is not in it, and after the first
/// round the file is in memory. Ceilings: reading the file and the library's SHA-256 over the bytes
/// of each leaf and of one inner node; the same without the file; the library's signature check; a
/// plain copy.
///
/// # Errors
/// [`CliError`] where the copy cannot be written, or is not found to be sound in every round, or
/// there are no random bytes.
pub(super) fn bench_audit(
    cpu: Duration,
    folder: &Path,
    entropy: &dyn Entropy,
) -> Result<Vec<BenchRow>, CliError> {
    let material = Material::new(folder, entropy)?;
    let failed = |error: OprfError| CliError::local(format!("bench: {error}"));
    let file = std::fs::metadata(&material.segment);
    let file = file
        .map_err(|error| CliError::file(&material.segment, &error))?
        .len();
    let count = material.lines.len();
    let text: usize = material.lines.iter().map(String::len).sum();
    let sealed: usize = material.sealed.iter().map(|one| one.as_bytes().len()).sum();
    let sound = Cell::new(true);
    let segment = compare(
        cpu,
        || Ok(timed(|| sound.set(sound.get() && material.is_sound()))),
        || Ok(timed(|| material.read_and_digest())),
    );
    if !sound.get() {
        return Err(CliError::local("bench: the copy was not found to be sound"));
    }
    let hash = compare(
        cpu,
        || Ok(timed(|| material.hash())),
        || Ok(timed(|| digest(&material.lines))),
    );
    let signature = compare(
        cpu,
        || Ok(timed(|| material.check_signatures())),
        || Ok(timed(|| material.verify_signatures())),
    );
    let decrypt = compare(
        cpu,
        || Ok(timed(|| material.decrypt())),
        || Ok(timed(|| material.copy())),
    );
    let file = usize::try_from(file).unwrap_or(usize::MAX);
    Ok(vec![
        row("segment-hash", (count, file), segment.map_err(failed)?),
        row("leaf-hash", (count, text), hash.map_err(failed)?),
        row(
            "checkpoint-signature",
            (NOTES, material.note.len() * NOTES),
            signature.map_err(failed)?,
        ),
        row("decrypt", (count, sealed), decrypt.map_err(failed)?),
    ])
}

impl Material {
    fn new(folder: &Path, entropy: &dyn Entropy) -> Result<Self, CliError> {
        let wrong = |error: &dyn std::fmt::Display| CliError::local(format!("bench: {error}"));
        let seed = Secret::random(entropy).map_err(|error| wrong(&error))?;
        let identity = IdentityKey::from_seed(&seed);
        let copy = folder.join("copy");
        let mut written = Copy::make(&copy)?;
        let (mut log, mut lines) = (Frontier::new(), Vec::new());
        for index in 0..AUDIT_SEGMENT_ENTRIES {
            let line = line(index);
            log.append(leaf_hash(line.as_bytes()))
                .map_err(|error| wrong(&error))?;
            written.entry(index, &line)?;
            lines.push(line);
        }
        let at = Timestamp::from_unix_ms(1_790_000_000_000);
        let note = Checkpoint::new(ORIGIN, log.size(), log.root(), at)
            .and_then(|checkpoint| checkpoint.sign(&identity))
            .map_err(|error| wrong(&error))?;
        written.checkpoint(&note.to_string())?;
        written.end()?;
        let unlock = Unlock::KeyFile(Secret::random(entropy).map_err(|error| wrong(&error))?);
        let made = Keyring::create(&unlock, "bench", entropy, KdfCost::FLOOR);
        let (keyring, _) = made.map_err(|error| wrong(&error))?;
        let sealed = lines.iter().zip(0_u64..).map(|(line, index)| {
            let key = index.to_be_bytes();
            keyring.seal(&place(&key), line.as_bytes())
        });
        let sealed: Result<Vec<Sealed>, _> = sealed.collect();
        Ok(Self {
            segment: copy.join("entries-00000000000000000000"),
            copy,
            lines,
            note: note.to_string(),
            key: identity.public(),
            sealed: sealed.map_err(|error| wrong(&error))?,
            keyring,
        })
    }

    /// Whether the copy holds, by the code of `audit verify --from`.
    fn is_sound(&self) -> bool {
        let begin = |origin: &str| Ok(AuditJudge::new(origin, vec![self.key], None));
        let Ok((origin, judge)) = take_copy(&self.copy, begin, &|| {}) else {
            return false;
        };
        let verdict = judge.finish();
        let whole = verdict.entries == AUDIT_SEGMENT_ENTRIES && verdict.checkpoints == 1;
        origin == ORIGIN && whole && verdict.faults.is_empty()
    }

    fn read_and_digest(&self) {
        black_box(std::fs::read(&self.segment).unwrap_or_default());
        digest(&self.lines);
    }

    fn hash(&self) {
        let mut log = Frontier::new();
        for line in &self.lines {
            let appended = log.append(leaf_hash(line.as_bytes()));
            black_box(appended.is_ok());
        }
        black_box(log.root());
    }

    fn check_signatures(&self) {
        for _ in 0..NOTES {
            let note = SignedNote::parse(&self.note);
            black_box(
                note.and_then(|note| Checkpoint::open(&note, ORIGIN, &self.key))
                    .is_ok(),
            );
        }
    }

    fn verify_signatures(&self) {
        let (text, line) = self.note.split_once("\n\n").unwrap_or_default();
        let text = format!("{text}\n");
        let encoded = line.trim_end().rsplit(' ').next().unwrap_or_default();
        let bytes = data_encoding::BASE64.decode(encoded.as_bytes());
        let bytes = bytes.unwrap_or_default();
        let signature = bytes.last_chunk::<64>().copied().unwrap_or([0; 64]);
        for _ in 0..NOTES {
            black_box(verify(&self.key, text.as_bytes(), &signature).is_ok());
        }
    }

    fn decrypt(&self) {
        for (sealed, index) in self.sealed.iter().zip(0_u64..) {
            let key = index.to_be_bytes();
            black_box(self.keyring.open(&place(&key), sealed).is_ok());
        }
    }

    fn copy(&self) {
        for sealed in &self.sealed {
            black_box(sealed.as_bytes().to_vec());
        }
    }
}

/// An entry as a query leaves it at the asker.
fn line(index: u64) -> String {
    let digest = |salt: u8| {
        data_encoding::HEXLOWER.encode(&sha256(&[&[salt], index.to_be_bytes().as_slice()].concat()))
    };
    format!(
        "1 {} asked 019c0000-0000-7000-8000-{index:012x} credit-application {} {} 5",
        1_790_000_000_000 + index,
        digest(1),
        digest(2)
    )
}

const fn place(key: &[u8; 8]) -> SealContext<'_> {
    SealContext {
        table: "audit-entry",
        key,
        revision: 1,
    }
}

/// What no check of a Merkle log can do without: each leaf, and an inner node for each.
fn digest(lines: &[String]) {
    let mut leaf = Vec::new();
    let node = [1; NODE_BYTES];
    for line in lines {
        leaf.clear();
        leaf.push(0);
        leaf.extend_from_slice(line.as_bytes());
        black_box((sha256(&leaf), sha256(&node)));
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = thread_cpu();
    work();
    thread_cpu().saturating_sub(start)
}

fn row(
    name: &'static str,
    (count, bytes): (usize, usize),
    (ours, ceiling): (Duration, Duration),
) -> BenchRow {
    let number = |count: usize| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    let elements = number(count.max(1));
    BenchRow {
        name,
        batch: count,
        cpu_us_per_element: ours.as_secs_f64() * 1e6 / elements,
        ceiling_cpu_us_per_element: ceiling.as_secs_f64() * 1e6 / elements,
        ratio: ours.as_secs_f64() / ceiling.as_secs_f64(),
        bytes_per_element: number(bytes) / elements,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn a_segment_is_checked_and_measured_beside_its_ceilings() {
        let folder = std::env::temp_dir().join(format!("creditmesh-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let entropy = SeededEntropy::from_seed(1);
        let material = Material::new(&folder, &entropy).unwrap();
        assert!(material.is_sound());
        let sealed = material.sealed.first().unwrap();
        let opened = material.keyring.open(&place(&[0; 8]), sealed).unwrap();
        assert_eq!(&*opened, material.lines[0].as_bytes());
        // What is measured is what stands in the file.
        let text = std::fs::read_to_string(&material.segment).unwrap();
        assert_eq!(text.lines().count(), material.lines.len());
        let forged = text.replacen("credit-application", "credit-applicatiom", 1);
        std::fs::write(&material.segment, forged).unwrap();
        assert!(!material.is_sound());
        std::fs::remove_file(&material.segment).unwrap();
        assert!(!material.is_sound());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
