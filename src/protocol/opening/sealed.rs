//! An opening as a file that one auditor alone can read.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Opening;
use crate::crypto::hpke::{Encrypted, HpkeError, HpkeKey, encrypt};
use crate::crypto::labels;
use crate::domain::{MemberId, NetworkId};
use crate::env::Entropy;
use crate::limits::OPENING_FILE_BYTES_MAX;
use crate::protocol::audit::AuditProof;

/// What the file says it is.
const FORMAT: &str = "creditmesh-opening/1";

/// Why a file opens nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedFault {
    /// The file is not one.
    #[error("not an opening: {0}; it is what `creditmesh audit open` writes")]
    Malformed(&'static str),
    /// It is not encrypted to this auditor's key, or it was altered.
    #[error("the opening cannot be read: {0}")]
    Hpke(#[from] HpkeError),
}

/// An opening, encrypted to an auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedOpening {
    /// The network.
    pub network: NetworkId,
    /// Who opens one of its queries.
    pub opener: MemberId,
    /// Who can read it.
    pub auditor: MemberId,
    /// Position of the query's entry in the opener's audit log, from 0.
    pub entry: u64,
    encrypted: Encrypted,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    network: String,
    opener: String,
    auditor: String,
    entry: u64,
    encapsulated: String,
    ciphertext: String,
}

/// Label, network, zero, opener, zero, auditor, zero: names have no zero bytes.
fn context(network: &NetworkId, opener: &MemberId, auditor: &MemberId) -> Vec<u8> {
    let mut context = labels::OPENING.to_vec();
    for name in [network.as_str(), opener.as_str(), auditor.as_str()] {
        context.extend_from_slice(name.as_bytes());
        context.push(0);
    }
    context
}

impl SealedOpening {
    /// Encrypts an opening, with the proof that its entry is in the opener's log, to `public`.
    ///
    /// # Errors
    /// [`HpkeError`].
    pub fn seal(
        (network, opener): (&NetworkId, &MemberId),
        (auditor, public): (&MemberId, &[u8; 32]),
        proof: &AuditProof,
        opening: &Opening,
        entropy: &dyn Entropy,
    ) -> Result<Self, HpkeError> {
        let proven = proof.to_string();
        let length = u32::try_from(proven.len()).unwrap_or(u32::MAX);
        let mut plain = Zeroizing::new(length.to_be_bytes().to_vec());
        plain.extend_from_slice(proven.as_bytes());
        plain.extend_from_slice(&opening.encode());
        let context = context(network, opener, auditor);
        let place = proof.index.to_be_bytes();
        Ok(Self {
            network: network.clone(),
            opener: opener.clone(),
            auditor: auditor.clone(),
            entry: proof.index,
            encrypted: encrypt(public, (&context, &place), &plain, entropy)?,
        })
    }

    /// Reads a file; what is inside stays sealed.
    ///
    /// # Errors
    /// [`SealedFault::Malformed`].
    pub fn parse(text: &str) -> Result<Self, SealedFault> {
        let wrong = SealedFault::Malformed;
        if text.len() > OPENING_FILE_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let read: Envelope = serde_json::from_str(text).map_err(|_| wrong("it is another file"))?;
        if read.format != FORMAT {
            return Err(wrong("it is of another version"));
        }
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).ok();
        let half = bytes(&read.encapsulated).and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            network: read.network.parse().map_err(|_| wrong("no network"))?,
            opener: read.opener.parse().map_err(|_| wrong("no opener"))?,
            auditor: read.auditor.parse().map_err(|_| wrong("no auditor"))?,
            entry: read.entry,
            encrypted: Encrypted {
                encapsulated: half.ok_or(wrong("`encapsulated` is not 32 bytes in base64"))?,
                ciphertext: bytes(&read.ciphertext).ok_or(wrong("`ciphertext` is not base64"))?,
            },
        })
    }

    /// Reads what is inside; nothing of it is checked.
    ///
    /// # Errors
    /// [`SealedFault`].
    pub fn open(&self, key: &HpkeKey) -> Result<(AuditProof, Opening), SealedFault> {
        let wrong = SealedFault::Malformed;
        let context = context(&self.network, &self.opener, &self.auditor);
        let plain = key.open(&self.encrypted, &context, &self.entry.to_be_bytes())?;
        let (length, rest) = plain.split_first_chunk().ok_or(wrong("it is cut off"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (proof, opening) = rest
            .split_at_checked(length)
            .ok_or(wrong("it is cut off"))?;
        let proof = std::str::from_utf8(proof).map_err(|_| wrong("its proof is no text"))?;
        let proof = AuditProof::parse(proof).map_err(|_| wrong("its proof is none"))?;
        if proof.index != self.entry {
            return Err(wrong("its proof is of another entry"));
        }
        let opening = Opening::decode(opening).ok_or(wrong("what opens the query is damaged"))?;
        Ok((proof, opening))
    }
}

impl fmt::Display for SealedOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let envelope = Envelope {
            format: FORMAT.to_owned(),
            network: self.network.to_string(),
            opener: self.opener.to_string(),
            auditor: self.auditor.to_string(),
            entry: self.entry,
            encapsulated: BASE64.encode(&self.encrypted.encapsulated),
            ciphertext: BASE64.encode(&self.encrypted.ciphertext),
        };
        let text = serde_json::to_string_pretty(&envelope).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}
