//! The public evidence file (C2SP tlog-proof): that an entry is in a member's audit log, and where.

use std::fmt;

use data_encoding::BASE64;

use super::{CosignedUpTo, WitnessKey, opened};
use crate::limits::{AUDIT_LINE_BYTES_MAX, AUDIT_PATH_MAX, AUDIT_PROOF_BYTES_MAX};
use crate::merkle::{Checkpoint, Hash, LogFault, SignedNote, leaf_hash, verify_inclusion};
use crate::protocol::witness::witness_name;

/// First line of the file.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why an evidence file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The file is not one.
    #[error("not an evidence file: {0}; it must follow C2SP tlog-proof with the entry as `extra`")]
    Malformed(&'static str),
    /// The checkpoint does not hold, or the entry is not in the tree that it was signed for.
    #[error("{0}")]
    Log(#[from] LogFault),
}

/// An entry, its place, and the way from it to a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditProof {
    /// The position of the entry, from 0.
    pub index: u64,
    /// The entry's text, as it was hashed.
    pub entry: String,
    /// The inclusion proof, from the leaf upwards.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl AuditProof {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let wrong = ProofError::Malformed;
        if text.len() > AUDIT_PROOF_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(wrong("no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(wrong("its first line is another one"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let entry = extra.and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let entry = entry.filter(|entry| entry.len() <= AUDIT_LINE_BYTES_MAX);
        let entry = entry.and_then(|bytes| String::from_utf8(bytes).ok());
        let entry = entry.ok_or(wrong("it does not carry the entry"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|digits| *digits == "0" || !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok());
        let index = index.ok_or(wrong("it does not say the entry's index"))?;
        let hash = |line: &str| BASE64.decode(line.as_bytes()).ok()?.try_into().ok();
        let path: Option<Vec<Hash>> = lines.map(hash).collect();
        let path = path.ok_or(wrong("a hash of the proof is not 32 bytes in base64"))?;
        if path.len() > AUDIT_PATH_MAX {
            return Err(wrong("the proof is too long"));
        }
        Ok(Self {
            index,
            entry,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The checkpoint, if one of `keys` signed it and the entry stands in it where the file says.
    ///
    /// # Errors
    /// [`ProofError::Log`] with what does not hold.
    pub fn verify(&self, keys: &[[u8; 32]]) -> Result<Checkpoint, ProofError> {
        let note = SignedNote::parse(&self.checkpoint)?;
        let origin = Checkpoint::stored(&note)?.origin().to_owned();
        let signed = opened(&note, &origin, keys)?;
        let leaf = leaf_hash(self.entry.as_bytes());
        verify_inclusion(self.index, &leaf, signed.size(), signed.root(), &self.path)?;
        Ok(signed)
    }
}

impl AuditProof {
    /// Which of these witnesses cosigned the checkpoint of the proof, and when.
    ///
    /// # Errors
    /// [`ProofError::Log`] where the line of one of them does not hold.
    pub fn witnessed(&self, witnesses: &[WitnessKey]) -> Result<Vec<CosignedUpTo>, ProofError> {
        let note = SignedNote::parse(&self.checkpoint)?;
        let size = Checkpoint::stored(&note)?.size();
        let mut found = Vec::new();
        for WitnessKey { member, key } in witnesses {
            if let Some(at) = note.cosigned(&witness_name(member), key)? {
                let witness = member.clone();
                found.push(CosignedUpTo { witness, size, at });
            }
        }
        Ok(found)
    }
}

impl fmt::Display for AuditProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "extra {}", BASE64.encode(self.entry.as_bytes()))?;
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", BASE64.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
