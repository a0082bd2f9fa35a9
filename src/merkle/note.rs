//! Signed notes (C2SP signed-note): text that is to be ignored unless a trusted key signed it.

use std::fmt;

use data_encoding::BASE64;
use ring::digest;

use super::LogFault;
use crate::crypto::{self, Signs};
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// The signature type byte of Ed25519.
const ED25519: u8 = 0x01;

const DASH: &str = "\u{2014} ";

/// One signature line: who signed, and what nobody but the holder of that name's key can judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoteSignature {
    pub(super) name: String,
    pub(super) key_id: [u8; 4],
    pub(super) signature: Vec<u8>,
}

/// A note with its signature lines, well formed, its signatures not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    pub(super) text: String,
    pub(super) signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs `text`, which ends in a newline, as `name`.
    ///
    /// # Errors
    /// [`LogFault::NoteMalformed`] where the text has control characters or no final newline, or
    /// the name is empty or has a space or `+`; [`LogFault::NoteTooLong`] above
    /// [`NOTE_BYTES_MAX`]; [`LogFault::NotSigned`] where the key is out of reach.
    pub fn sign(text: &str, name: &str, key: &dyn Signs) -> Result<Self, LogFault> {
        let signature = key.try_sign(text.as_bytes()).map_err(LogFault::NotSigned)?;
        let note = Self {
            text: text.to_owned(),
            signatures: vec![NoteSignature {
                name: name.to_owned(),
                key_id: key_id(ED25519, name, &key.public()),
                signature: signature.to_vec(),
            }],
        };
        // What this node signs, its peers must be able to read.
        Self::parse(&note.to_string())
    }

    /// Reads a note. Says nothing about its signatures: see [`Self::verified_text`].
    ///
    /// # Errors
    /// [`LogFault::NoteTooLong`] above [`NOTE_BYTES_MAX`] bytes, [`LogFault::NoteMalformed`] where
    /// a rule of C2SP signed-note is broken or there are over [`NOTE_SIGNATURES_MAX`] signatures.
    pub fn parse(note: &str) -> Result<Self, LogFault> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(LogFault::NoteTooLong {
                given: note.len(),
                bound: NOTE_BYTES_MAX,
            });
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("it has a control character"));
        }
        // The last empty line stands between the text and the signatures.
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or(malformed("no empty line before the signatures"))?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(malformed("it does not end in a newline"))?;
        let signatures = lines
            .split('\n')
            .map(NoteSignature::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(malformed("it has too many signatures"));
        }
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }

    /// The text, if the key `public` with the name `name` signed it. Signatures of other keys are
    /// not looked at.
    ///
    /// # Errors
    /// [`LogFault::KeyUnknown`] where no signature line names this key,
    /// [`LogFault::SignatureInvalid`] where one does and does not verify.
    pub fn verified_text(&self, name: &str, public: &[u8; 32]) -> Result<&str, LogFault> {
        let id = key_id(ED25519, name, public);
        let mut signed = false;
        for line in &self.signatures {
            if line.name != name || line.key_id != id {
                continue;
            }
            let signature: &[u8; 64] = line
                .signature
                .as_slice()
                .try_into()
                .map_err(|_| LogFault::SignatureInvalid)?;
            crypto::verify(public, self.text.as_bytes(), signature)
                .map_err(|_| LogFault::SignatureInvalid)?;
            signed = true;
        }
        if signed {
            Ok(&self.text)
        } else {
            Err(LogFault::KeyUnknown)
        }
    }

    /// Whether a signature line names this key; the signature is not looked at.
    #[must_use]
    pub fn names(&self, name: &str, public: &[u8; 32]) -> bool {
        let id = key_id(ED25519, name, public);
        let mut lines = self.signatures.iter();
        lines.any(|line| line.name == name && line.key_id == id)
    }

    /// The text as it stands, for notes that were verified before they were stored.
    pub(super) fn stored_text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.signature].concat();
        write!(f, "{DASH}{} {}", self.name, BASE64.encode(&bytes))
    }
}

impl NoteSignature {
    pub(super) fn parse(line: &str) -> Result<Self, LogFault> {
        let (name, encoded) = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.rsplit_once(' '))
            .ok_or(malformed(
                "a signature line is not a dash, a name and a signature",
            ))?;
        if !is_key_name(name) {
            return Err(malformed("a key name is empty or has a space or '+'"));
        }
        let bytes = BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| malformed("a signature is not canonical base64"))?;
        match bytes.split_first_chunk::<4>() {
            Some((key_id, signature)) if !signature.is_empty() => Ok(Self {
                name: name.to_owned(),
                key_id: *key_id,
                signature: signature.to_vec(),
            }),
            _ => Err(malformed("a signature is shorter than five bytes")),
        }
    }
}

/// Whether a key may have this name.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// `SHA-256(name || 0x0A || kind || public)[..4]`, where `kind` is the signature type.
pub(super) fn key_id(kind: u8, name: &str, public: &[u8; 32]) -> [u8; 4] {
    let named = [name.as_bytes(), b"\n", &[kind], public].concat();
    let hash = digest::digest(&digest::SHA256, &named);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

const fn malformed(reason: &'static str) -> LogFault {
    LogFault::NoteMalformed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};

    // The key and the note of the Go reference implementation's tests
    // (golang.org/x/mod/sumdb/note).
    const SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const PUBLIC: &str = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN\
                        1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn after_type_byte(encoded: &str) -> [u8; 32] {
        BASE64.decode(encoded.as_bytes()).unwrap()[1..]
            .try_into()
            .unwrap()
    }

    fn published() -> (IdentityKey, String) {
        let key = IdentityKey::from_seed(&Secret::from_bytes(after_type_byte(SEED)));
        assert_eq!(key.public(), after_type_byte(PUBLIC));
        (key, format!("{TEXT}\n{LINE}"))
    }

    #[test]
    fn the_published_note_is_made_and_verified() {
        let (key, note) = published();
        let signed = SignedNote::sign(TEXT, "PeterNeumann", &key).unwrap();
        assert_eq!(signed.to_string(), note);
        let read = SignedNote::parse(&note).unwrap();
        assert_eq!(read.verified_text("PeterNeumann", &key.public()), Ok(TEXT));
    }

    #[test]
    fn signatures_of_other_keys_are_ignored_and_wrong_ones_of_this_key_are_not() {
        let (key, note) = published();
        let other = IdentityKey::from_seed(&Secret::from_bytes([9; 32]));
        let read = SignedNote::parse(&note).unwrap();
        let unknown = Err(LogFault::KeyUnknown);
        assert_eq!(read.verified_text("PeterNeumann", &other.public()), unknown);
        assert_eq!(read.verified_text("Peter", &key.public()), unknown);

        let others = SignedNote::sign(TEXT, "Other", &other).unwrap().to_string();
        let others_line = others.lines().last().unwrap();
        let both = SignedNote::parse(&format!("{note}{others_line}\n")).unwrap();
        assert_eq!(both.verified_text("PeterNeumann", &key.public()), Ok(TEXT));
        assert_eq!(both.verified_text("Other", &other.public()), Ok(TEXT));

        let mut wrong = read.signatures[0].clone();
        wrong.signature[0] ^= 1;
        let mut forged = read;
        forged.signatures.push(wrong);
        let verdict = forged.verified_text("PeterNeumann", &key.public());
        assert_eq!(verdict, Err(LogFault::SignatureInvalid));
    }

    #[test]
    fn every_altered_character_is_refused() {
        let (key, note) = published();
        for (at, old) in note.char_indices() {
            for new in ['A', 'b', '7', '\n', ' ', '\u{7}'] {
                if new == old {
                    continue;
                }
                let mut altered = note.clone();
                altered.replace_range(at..at + old.len_utf8(), &new.to_string());
                let verdict = SignedNote::parse(&altered).and_then(|altered| {
                    altered
                        .verified_text("PeterNeumann", &key.public())
                        .map(str::to_owned)
                });
                assert!(verdict.is_err(), "{old:?} at {at} became {new:?}");
            }
        }
        for end in (0..note.len()).filter(|end| note.is_char_boundary(*end)) {
            assert!(SignedNote::parse(&note[..end]).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn malformed_and_oversized_notes_are_refused() {
        let (key, note) = published();
        for (defect, text) in [
            ("nothing", String::new()),
            ("no signature", format!("{TEXT}\n")),
            ("no empty line", format!("{TEXT}{LINE}")),
            ("no final newline", note.trim_end().to_owned()),
            ("text after the signatures", format!("{note}more\n")),
            ("an empty line after the signatures", format!("{note}\n")),
            ("hyphen for dash", note.replace('\u{2014}', "-")),
            ("no name", note.replace("PeterNeumann", "")),
            (
                "plus in the name",
                note.replace("PeterNeumann", "Peter+Neumann"),
            ),
            (
                "space in the name",
                note.replace("PeterNeumann", "Peter Neumann"),
            ),
            ("carriage return", note.replace('\n', "\r\n")),
            ("no padding", note.replace("nAM=", "nAM")),
            ("trailing bits", note.replace("nAM=", "nAN=")),
            (
                "short signature",
                format!("{TEXT}\n\u{2014} PeterNeumann x08goA==\n"),
            ),
            ("17 signatures", format!("{TEXT}\n{}", LINE.repeat(17))),
        ] {
            assert!(SignedNote::parse(&text).is_err(), "{defect}");
        }
        let repeated = SignedNote::parse(&format!("{TEXT}\n{}", LINE.repeat(16))).unwrap();
        assert_eq!(
            repeated.verified_text("PeterNeumann", &key.public()),
            Ok(TEXT)
        );
        let long = format!("{}\n\n{LINE}", "x".repeat(NOTE_BYTES_MAX));
        assert!(matches!(
            SignedNote::parse(&long),
            Err(LogFault::NoteTooLong { .. })
        ));
        for (text, name) in [
            ("no newline", "name"),
            ("text\n", "a b"),
            ("tab\t\n", "name"),
        ] {
            assert!(
                SignedNote::sign(text, name, &key).is_err(),
                "{text:?} {name:?}"
            );
        }
    }
}
