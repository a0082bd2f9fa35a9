//! Cosignatures (C2SP tlog-cosignature, `cosignature/v1`): what a witness adds to a checkpoint.

use super::note::{NoteSignature, key_id};
use super::{LogFault, SignedNote};
use crate::crypto::{self, Signs};
use crate::domain::Timestamp;

/// The signature type byte of a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;

/// First line of what a witness signs.
const HEADER: &str = "cosignature/v1";

impl SignedNote {
    /// The note with the cosignature of `name` added, which says that at `at`, in whole seconds,
    /// its signer knew this checkpoint to continue all that it cosigned of the log before.
    ///
    /// # Errors
    /// [`LogFault::NotSigned`] where the key is out of reach, [`LogFault::NoteMalformed`] for the
    /// name or a time before 1970, [`LogFault::NoteTooLong`].
    pub fn cosign(&self, name: &str, key: &dyn Signs, at: Timestamp) -> Result<Self, LogFault> {
        let seconds =
            u64::try_from(at.unix_ms().div_euclid(1_000)).map_err(|_| LogFault::NoteMalformed {
                reason: "a cosignature was made before 1970",
            })?;
        let message = message(seconds, &self.text);
        let signature = key.try_sign(message.as_bytes());
        let signature = signature.map_err(LogFault::NotSigned)?;
        let mut note = self.clone();
        note.signatures.push(NoteSignature {
            name: name.to_owned(),
            key_id: key_id(COSIGNATURE, name, &key.public()),
            signature: [seconds.to_be_bytes().as_slice(), &signature].concat(),
        });
        Self::parse(&note.to_string())
    }

    /// When the witness `name` with the key `public` cosigned the note; `None` where it did not.
    /// The newest one, where it did so several times.
    ///
    /// # Errors
    /// [`LogFault::SignatureInvalid`] where a line names this key and does not verify.
    pub fn cosigned(&self, name: &str, public: &[u8; 32]) -> Result<Option<Timestamp>, LogFault> {
        let id = key_id(COSIGNATURE, name, public);
        let mut newest = None;
        for line in &self.signatures {
            if line.name != name || line.key_id != id {
                continue;
            }
            let (seconds, signature) = line.signature.split_first_chunk::<8>().ok_or(INVALID)?;
            let seconds = u64::from_be_bytes(*seconds);
            let signature: &[u8; 64] = signature.try_into().map_err(|_| INVALID)?;
            crypto::verify(public, message(seconds, &self.text).as_bytes(), signature)
                .map_err(|_| INVALID)?;
            let ms = i64::try_from(seconds)
                .ok()
                .and_then(|s| s.checked_mul(1_000));
            newest = newest.max(Some(Timestamp::from_unix_ms(ms.ok_or(INVALID)?)));
        }
        Ok(newest)
    }

    /// The note with those lines of `other`, a note of the same text, that it does not have.
    ///
    /// # Errors
    /// [`LogFault::NoteMalformed`] where the texts differ or there would be too many lines.
    pub fn with_lines_of(&self, other: &Self) -> Result<Self, LogFault> {
        if self.text != other.text {
            return Err(LogFault::NoteMalformed {
                reason: "a cosignature is for another text",
            });
        }
        let mut note = self.clone();
        for line in &other.signatures {
            if !note.signatures.contains(line) {
                note.signatures.push(line.clone());
            }
        }
        Self::parse(&note.to_string())
    }

    /// The names in the signature lines, in their order; nothing of them is checked.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|line| line.name.as_str())
    }

    /// The note with the lines of one name only.
    ///
    /// # Errors
    /// [`LogFault::NoteMalformed`] where there is none.
    pub fn only_of(&self, name: &str) -> Result<Self, LogFault> {
        let mut note = self.clone();
        note.signatures.retain(|line| line.name == name);
        Self::parse(&note.to_string())
    }
}

const INVALID: LogFault = LogFault::SignatureInvalid;

/// What a witness signs: the header, the time, and the whole text of the checkpoint.
fn message(seconds: u64, text: &str) -> String {
    format!("{HEADER}\ntime {seconds}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};
    use crate::merkle::Checkpoint;

    fn key(byte: u8) -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([byte; 32]))
    }

    fn note() -> SignedNote {
        let at = Timestamp::from_unix_ms(1_772_000_000_123);
        let checkpoint = Checkpoint::new("alpha/audit", 9, [3; 32], at).unwrap();
        checkpoint.sign(&key(1)).unwrap()
    }

    #[test]
    fn a_cosignature_holds_for_its_witness_and_text_only() {
        let at = Timestamp::from_unix_ms(1_772_000_001_999);
        let cosigned = note().cosign("beta/witness", &key(2), at).unwrap();
        let read = SignedNote::parse(&cosigned.to_string()).unwrap();
        let whole = Timestamp::from_unix_ms(1_772_000_001_000);
        assert_eq!(
            read.cosigned("beta/witness", &key(2).public()),
            Ok(Some(whole))
        );
        assert_eq!(read.cosigned("beta/witness", &key(3).public()), Ok(None));
        assert_eq!(read.cosigned("gamma/witness", &key(2).public()), Ok(None));
        // The log's own signature still holds, and a witness's key signs no checkpoint by it.
        let opened = Checkpoint::open(&read, "alpha/audit", &key(1).public()).unwrap();
        assert_eq!(opened.size(), 9);
        assert!(Checkpoint::open(&read, "beta/witness", &key(2).public()).is_err());
        for (from, to) in [("\n9\n", "\n8\n"), ("signed-at 1772", "signed-at 1773")] {
            let altered = SignedNote::parse(&cosigned.to_string().replace(from, to)).unwrap();
            let verdict = altered.cosigned("beta/witness", &key(2).public());
            assert_eq!(verdict, Err(LogFault::SignatureInvalid), "{from}");
        }
    }

    #[test]
    fn the_time_is_signed_too() {
        let at = Timestamp::from_unix_ms(1_772_000_001_000);
        let mut cosigned = note().cosign("beta/witness", &key(2), at).unwrap();
        cosigned.signatures.last_mut().unwrap().signature[7] ^= 1;
        let verdict = cosigned.cosigned("beta/witness", &key(2).public());
        assert_eq!(verdict, Err(LogFault::SignatureInvalid));
        cosigned
            .signatures
            .last_mut()
            .unwrap()
            .signature
            .truncate(5);
        let verdict = cosigned.cosigned("beta/witness", &key(2).public());
        assert_eq!(verdict, Err(LogFault::SignatureInvalid));
    }

    #[test]
    fn lines_of_one_text_are_joined_and_of_another_refused() {
        let at = Timestamp::from_unix_ms(1_772_000_001_000);
        let one = note().cosign("beta/witness", &key(2), at).unwrap();
        let two = note().cosign("gamma/witness", &key(3), at).unwrap();
        let both = one
            .with_lines_of(&two.only_of("gamma/witness").unwrap())
            .unwrap();
        let signers: Vec<&str> = both.signers().collect();
        assert_eq!(signers, ["alpha/audit", "beta/witness", "gamma/witness"]);
        assert_eq!(both.with_lines_of(&one), Ok(both.clone()));
        let later = Checkpoint::new("alpha/audit", 10, [3; 32], at).unwrap();
        let later = later.sign(&key(1)).unwrap();
        assert!(both.with_lines_of(&later).is_err());
        assert!(both.only_of("delta/witness").is_err());
    }
}
