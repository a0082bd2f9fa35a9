//! Signed documents: strict JSON, canonical bytes, and signatures that stand beside the document.
//!
//! What is signed is the label of signed documents, the document's format, a zero byte, and the
//! document in canonical form: RFC 8785 (JSON Canonicalization Scheme), where numbers are integers
//! below 2^53. A document's *digest* is the SHA-256 of the canonical form alone, without
//! signatures.

use std::collections::BTreeSet;

use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::{hex, hex_short};
use crate::crypto::{NotSigned, Signs, labels, verify};
use crate::limits::DOCUMENT_SIGNATURES_MAX;

/// A kind of document: its format word, where it stands in a document, and its size.
pub trait Document: Serialize + DeserializeOwned {
    /// The format that this code reads and writes, such as `creditmesh/member-list/1`.
    const FORMAT: &'static str;
    /// Most bytes of a document of this kind with its signatures.
    const BYTES_MAX: usize;

    /// The format that the document says it has.
    fn format(&self) -> &str;
}

/// Why a document is refused before its content is looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is longer than documents of its kind may be.
    #[error("the document has {bytes} bytes and may have {bytes_max}; ask for the right file")]
    TooLarge {
        /// Bytes of the text.
        bytes: usize,
        /// Most bytes of its kind.
        bytes_max: usize,
    },
    /// The text is not the JSON that its format prescribes.
    #[error("the document cannot be read: {reason}; ask for it again, or update this program")]
    Malformed {
        /// What the reader stumbled over, with line and column.
        reason: String,
    },
    /// The document is of another kind or a format that this program does not know.
    #[error("this is not a {wanted} document; give the right file, or update this program")]
    WrongFormat {
        /// The format that was expected.
        wanted: &'static str,
    },
    /// More signatures than any network has administrators.
    #[error("the document carries {count} signatures, more than a network can have; refuse it")]
    TooManySignatures {
        /// Signatures in the document.
        count: usize,
    },
    /// A signature names an entitled key, and was not made by it over this document.
    #[error(
        "the signature of key {key}… does not belong to this document: it was altered after \
         signing, or forged; ask the administrators"
    )]
    ForgedSignature {
        /// First characters of the key.
        key: String,
    },
    /// The key that should sign is out of reach.
    #[error("the document is not signed: {0}")]
    NotSigned(#[from] NotSigned),
    /// One key signed more than once.
    #[error("key {key}… stands twice among the signatures; each administrator signs once")]
    SignedTwice {
        /// First characters of the key.
        key: String,
    },
    /// Too few entitled keys signed.
    #[error("{valid} of the {needed} signatures needed are there; let another administrator sign")]
    UnderSigned {
        /// Valid signatures by entitled keys.
        valid: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// One signature beside a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSignature {
    /// Ed25519 public key of the signer.
    #[serde(with = "hex")]
    pub key: [u8; 32],
    /// Ed25519 signature (RFC 8032).
    #[serde(with = "hex")]
    pub signature: [u8; 64],
}

/// A document and the signatures beside it. That it parses says nothing about who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    document: T,
    signatures: Vec<DocumentSignature>,
}

impl<T: Document> Signed<T> {
    /// The document, signed by nobody yet.
    #[must_use]
    pub const fn unsigned(document: T) -> Self {
        Self {
            document,
            signatures: Vec::new(),
        }
    }

    /// Reads a document; its signatures are not checked here.
    ///
    /// # Errors
    /// [`DocumentError`] where the text is too long, is not strict JSON of its kind, or has another
    /// format.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > T::BYTES_MAX {
            return Err(DocumentError::TooLarge {
                bytes: text.len(),
                bytes_max: T::BYTES_MAX,
            });
        }
        let signed: Self = serde_json::from_str(text).map_err(|error| {
            if is_of_another_format(text, T::FORMAT) {
                DocumentError::WrongFormat { wanted: T::FORMAT }
            } else {
                malformed(text, &error)
            }
        })?;
        signed.check_shape()?;
        Ok(signed)
    }

    /// The rules that hold for a document on its own and for one that arrived inside another.
    fn check_shape(&self) -> Result<(), DocumentError> {
        if self.document.format() != T::FORMAT {
            return Err(DocumentError::WrongFormat { wanted: T::FORMAT });
        }
        let count = self.signatures.len();
        if count > DOCUMENT_SIGNATURES_MAX {
            return Err(DocumentError::TooManySignatures { count });
        }
        Ok(())
    }

    /// The document as text for a file: indented JSON with a final line break.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] where the document cannot be written as JSON.
    pub fn to_text(&self) -> Result<String, DocumentError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| unwritable(&error))?;
        text.push('\n');
        Ok(text)
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> &T {
        &self.document
    }

    /// The signatures, checked or not.
    #[must_use]
    pub fn signatures(&self) -> &[DocumentSignature] {
        &self.signatures
    }

    /// SHA-256 of the canonical form.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] where the document cannot be written as JSON.
    pub fn digest(&self) -> Result<[u8; 32], DocumentError> {
        let canonical = canonical(&self.document)?;
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &canonical).as_ref());
        Ok(out)
    }

    /// Adds the signature of `key`, in place of an earlier one by the same key.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] where the document cannot be written as JSON,
    /// [`DocumentError::NotSigned`] where the key is out of reach.
    pub fn sign(&mut self, key: &dyn Signs) -> Result<(), DocumentError> {
        let signature = key.try_sign(&self.signed_bytes()?)?;
        self.signatures.retain(|other| other.key != key.public());
        self.signatures.push(DocumentSignature {
            key: key.public(),
            signature,
        });
        Ok(())
    }

    /// Adds the signatures by `signers` that stand beside `other`, a copy of the same document.
    pub fn take_signatures(&mut self, other: &Self, signers: &[[u8; 32]]) {
        for signature in &other.signatures {
            let is_there = self.signatures.iter().any(|own| own.key == signature.key);
            if signers.contains(&signature.key) && !is_there {
                self.signatures.push(signature.clone());
            }
        }
    }

    /// How many of `signers` signed this document. Signatures by other keys count for nothing.
    ///
    /// # Errors
    /// [`DocumentError::ForgedSignature`] or [`DocumentError::SignedTwice`] for a bad one by a
    /// signer.
    pub fn valid_signatures(&self, signers: &[[u8; 32]]) -> Result<usize, DocumentError> {
        self.check_shape()?;
        let message = self.signed_bytes()?;
        let mut seen = BTreeSet::new();
        for DocumentSignature { key, signature } in &self.signatures {
            if !signers.contains(key) {
                continue;
            }
            if !seen.insert(key) {
                return Err(DocumentError::SignedTwice {
                    key: hex_short(key),
                });
            }
            verify(key, &message, signature).map_err(|_| DocumentError::ForgedSignature {
                key: hex_short(key),
            })?;
        }
        Ok(seen.len())
    }

    /// Checks that at least `needed` of `signers` signed this document.
    ///
    /// # Errors
    /// As [`Self::valid_signatures`], and [`DocumentError::UnderSigned`].
    pub fn require(&self, signers: &[[u8; 32]], needed: usize) -> Result<(), DocumentError> {
        let valid = self.valid_signatures(signers)?;
        if valid < needed.max(1) {
            return Err(DocumentError::UnderSigned { valid, needed });
        }
        Ok(())
    }

    fn signed_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        let mut message = labels::SIGNED_DOCUMENT.to_vec();
        message.extend_from_slice(T::FORMAT.as_bytes());
        message.push(0);
        message.extend(canonical(&self.document)?);
        Ok(message)
    }
}

/// Whether a text that cannot be read as a document of this format says that it is of another one.
fn is_of_another_format(text: &str, wanted: &str) -> bool {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let format = value
        .as_ref()
        .and_then(|one| one.pointer("/document/format"));
    let format = format.and_then(Value::as_str);
    format.is_some_and(|format| format != wanted)
}

fn malformed(text: &str, error: &serde_json::Error) -> DocumentError {
    if text.trim_start().starts_with('{') {
        DocumentError::Malformed {
            reason: error.to_string(),
        }
    } else {
        DocumentError::Malformed {
            reason: "it does not begin with '{', so it is not JSON".to_owned(),
        }
    }
}

fn unwritable(error: &serde_json::Error) -> DocumentError {
    DocumentError::Malformed {
        reason: error.to_string(),
    }
}

/// The canonical form (RFC 8785) of a value without fractions.
fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, DocumentError> {
    let value = serde_json::to_value(value).map_err(|error| unwritable(&error))?;
    let mut out = Vec::new();
    write_canonical(&value, &mut out);
    Ok(out)
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            // Sorted here, and not by luck: a feature of serde_json keeps the order of insertion.
            // All names are ASCII, for which the order of bytes is RFC 8785's order of UTF-16
            // units.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (at, (name, field)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                write_canonical(field, out);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        format: String,
        zeta: u32,
        alpha: String,
    }

    impl Document for Note {
        const FORMAT: &'static str = "creditmesh/note/1";
        const BYTES_MAX: usize = 4_096;

        fn format(&self) -> &str {
            &self.format
        }
    }

    fn note() -> Note {
        Note {
            format: Note::FORMAT.to_owned(),
            zeta: 7,
            alpha: "a \"quoted\"\u{1f}\né".to_owned(),
        }
    }

    fn key(seed: u8) -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([seed; 32]))
    }

    #[test]
    fn canonical_form_is_sorted_and_compact_as_rfc_8785_says() {
        let bytes = canonical(&note()).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            concat!(
                "{\"alpha\":\"a \\\"quoted\\\"\\u001f\\né\",",
                "\"format\":\"creditmesh/note/1\",\"zeta\":7}"
            )
        );
    }

    #[test]
    fn a_signed_document_survives_its_text() {
        let mut signed = Signed::unsigned(note());
        signed.sign(&key(1)).unwrap();
        signed.sign(&key(1)).unwrap();
        let read = Signed::<Note>::parse(&signed.to_text().unwrap()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.signatures().len(), 1);
        assert_eq!(read.require(&[key(1).public()], 1), Ok(()));
    }

    #[test]
    fn signatures_of_strangers_count_for_nothing() {
        let mut signed = Signed::unsigned(note());
        signed.sign(&key(9)).unwrap();
        let signers = [key(1).public(), key(2).public()];
        assert_eq!(
            signed.require(&signers, 1),
            Err(DocumentError::UnderSigned {
                valid: 0,
                needed: 1
            })
        );
        signed.sign(&key(1)).unwrap();
        assert_eq!(signed.require(&signers, 1), Ok(()));
    }

    #[test]
    fn a_threshold_of_zero_still_asks_for_one_signature() {
        assert!(Signed::unsigned(note()).require(&[], 0).is_err());
    }

    #[test]
    fn one_format_is_not_signed_for_another() {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct Other(Note);
        impl Document for Other {
            const FORMAT: &'static str = "creditmesh/other/1";
            const BYTES_MAX: usize = 4_096;
            fn format(&self) -> &str {
                Self::FORMAT
            }
        }
        let mut signed = Signed::unsigned(note());
        signed.sign(&key(1)).unwrap();
        let moved = Signed {
            document: Other(note()),
            signatures: signed.signatures().to_vec(),
        };
        assert!(matches!(
            moved.require(&[key(1).public()], 1),
            Err(DocumentError::ForgedSignature { .. })
        ));
    }
}
