//! Checkpoints (C2SP tlog-checkpoint): what a log signs of its size and root.

use data_encoding::BASE64;

use super::note::is_key_name;
use super::{Hash, LogFault, SignedNote};
use crate::crypto::Signs;
use crate::domain::Timestamp;
use crate::limits::CHECKPOINT_EXTENSIONS_MAX;

/// What the extension line of the signing time begins with; milliseconds since 1970 follow.
const SIGNED_AT: &str = "signed-at ";

/// The size and root of a log at one moment. Its text is the origin, the size, the root in base64,
/// and extension lines, one line each; the first extension of ours is the signing time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of the log `origin`, signed at `signed_at`.
    ///
    /// # Errors
    /// [`LogFault::CheckpointMalformed`] where the origin is empty or has a space or `+`, or the
    /// moment lies before 1970.
    pub fn new(
        origin: &str,
        size: u64,
        root: Hash,
        signed_at: Timestamp,
    ) -> Result<Self, LogFault> {
        let checkpoint = Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: vec![format!("{SIGNED_AT}{}", signed_at.unix_ms())],
        };
        checkpoint
            .signed_at()
            .ok_or(malformed("it was signed before 1970"))?;
        Self::parse(&checkpoint.text())
    }

    /// The name of the log; also the name of the key that signs for it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves of the log.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree over these leaves.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// When it was signed, if it says so.
    #[must_use]
    pub fn signed_at(&self) -> Option<Timestamp> {
        let mut times = self
            .extensions
            .iter()
            .filter_map(|line| line.strip_prefix(SIGNED_AT));
        let ms = decimal(times.next()?)?;
        let moment = Timestamp::from_unix_ms(i64::try_from(ms).ok()?);
        // Two times would let two readers see two times.
        times.next().is_none().then_some(moment)
    }

    /// The text of the note, ending in a newline.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(&self.root)
        );
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Signs the checkpoint; the key's name is the origin.
    ///
    /// # Errors
    /// [`LogFault::NoteTooLong`] where the note would be over its bound, [`LogFault::NotSigned`]
    /// where the key is out of reach.
    pub fn sign(&self, key: &dyn Signs) -> Result<SignedNote, LogFault> {
        SignedNote::sign(&self.text(), &self.origin, key)
    }

    /// The checkpoint in a note, if `public` signed it for the log `origin`.
    ///
    /// # Errors
    /// [`LogFault::KeyUnknown`] and [`LogFault::SignatureInvalid`] where it did not,
    /// [`LogFault::OriginOther`] where the checkpoint is another log's,
    /// [`LogFault::CheckpointMalformed`] where the text is none.
    pub fn open(note: &SignedNote, origin: &str, public: &[u8; 32]) -> Result<Self, LogFault> {
        let text = match note.verified_text(origin, public) {
            Err(LogFault::KeyUnknown) => return Err(Self::stranger(note, public)),
            verified => verified?,
        };
        let checkpoint = Self::parse(text)?;
        if checkpoint.origin == origin {
            Ok(checkpoint)
        } else {
            Err(LogFault::OriginOther)
        }
    }

    /// Why a note that does not name the expected key is refused: it is another log's of the same
    /// signer, or another signer's.
    fn stranger(note: &SignedNote, public: &[u8; 32]) -> LogFault {
        let own_origin = Self::stored(note).map(|checkpoint| checkpoint.origin);
        let signed = own_origin.is_ok_and(|origin| note.verified_text(&origin, public).is_ok());
        if signed {
            LogFault::OriginOther
        } else {
            LogFault::KeyUnknown
        }
    }

    /// The checkpoint in a note that was verified before it was stored.
    ///
    /// # Errors
    /// [`LogFault::CheckpointMalformed`] where the note is no checkpoint.
    pub fn stored(note: &SignedNote) -> Result<Self, LogFault> {
        Self::parse(note.stored_text())
    }

    fn parse(text: &str) -> Result<Self, LogFault> {
        let body = text
            .strip_suffix('\n')
            .ok_or(malformed("no final newline"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|origin| is_key_name(origin));
        let origin = origin.ok_or(malformed("the origin is empty or has a space or '+'"))?;
        let size = lines.next().and_then(decimal);
        let size = size.ok_or(malformed("the size is not a decimal number below 2^64"))?;
        let root = lines
            .next()
            .and_then(|line| BASE64.decode(line.as_bytes()).ok());
        let root = root.and_then(|root| root.try_into().ok());
        let root = root.ok_or(malformed("the root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("an extension line is empty"));
        }
        if extensions.len() > CHECKPOINT_EXTENSIONS_MAX {
            return Err(malformed("it has too many extension lines"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        })
    }
}

/// A number in decimal digits without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| text.parse().ok()).flatten()
}

const fn malformed(reason: &'static str) -> LogFault {
    LogFault::CheckpointMalformed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};

    const PUBLISHED: &str = "example.com/behind-the-sofa\n20852163\n\
                             CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn key() -> IdentityKey {
        IdentityKey::from_seed(&Secret::from_bytes([5; 32]))
    }

    #[test]
    fn the_published_checkpoint_is_read_and_written() {
        let checkpoint = Checkpoint::parse(PUBLISHED).unwrap();
        assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size(), 20_852_163);
        assert_eq!(checkpoint.signed_at(), None);
        assert_eq!(checkpoint.text(), PUBLISHED);
    }

    #[test]
    fn the_checkpoint_in_the_documentation_is_what_this_code_signs() {
        let signed_at = Timestamp::from_unix_ms(1_772_000_000_123);
        let checkpoint = Checkpoint::new("lender-a/full/7", 4_096, [3; 32], signed_at).unwrap();
        let note = checkpoint.sign(&key()).unwrap().to_string();
        let documentation = include_str!("../../docs/protocol.md");
        assert!(
            documentation.contains(&format!("```\n{note}```\n")),
            "{note}"
        );
    }

    #[test]
    fn a_signed_checkpoint_opens_for_its_log_and_key_only() {
        let signed_at = Timestamp::from_unix_ms(1_772_000_000_123);
        let checkpoint = Checkpoint::new("lender-a/full/7", 4_096, [3; 32], signed_at).unwrap();
        let note = checkpoint.sign(&key()).unwrap();
        let public = key().public();
        let read = SignedNote::parse(&note.to_string()).unwrap();
        assert_eq!(
            Checkpoint::open(&read, "lender-a/full/7", &public),
            Ok(checkpoint.clone())
        );
        assert_eq!(
            Checkpoint::stored(&read).unwrap().signed_at(),
            Some(signed_at)
        );
        assert_eq!(
            Checkpoint::open(&read, "lender-a/full/8", &public),
            Err(LogFault::OriginOther)
        );
        assert_eq!(
            Checkpoint::open(&read, "lender-a/full/7", &[9; 32]),
            Err(LogFault::KeyUnknown)
        );
        let foreign = SignedNote::sign(&checkpoint.text(), "lender-a/full/8", &key()).unwrap();
        assert_eq!(
            Checkpoint::open(&foreign, "lender-a/full/8", &public),
            Err(LogFault::OriginOther)
        );
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for (defect, text) in [
            ("nothing", String::new()),
            ("no newline", format!("o\n1\n{root}")),
            ("two lines", "o\n1\n".to_owned()),
            ("empty origin", format!("\n1\n{root}\n")),
            ("space in the origin", format!("a b\n1\n{root}\n")),
            ("plus in the origin", format!("a+b\n1\n{root}\n")),
            ("no size", format!("o\n\n{root}\n")),
            ("leading zero", format!("o\n01\n{root}\n")),
            ("sign", format!("o\n+1\n{root}\n")),
            ("negative", format!("o\n-1\n{root}\n")),
            ("not decimal", format!("o\n1f\n{root}\n")),
            ("2^64", format!("o\n18446744073709551616\n{root}\n")),
            ("short root", "o\n1\nCsUY\n".to_owned()),
            (
                "loose root",
                format!("o\n1\n{}\n", root.replace("q2I=", "q2J=")),
            ),
            ("empty extension", format!("o\n1\n{root}\n\n")),
            (
                "17 extensions",
                format!("o\n1\n{root}\n{}", "x\n".repeat(17)),
            ),
        ] {
            let verdict = Checkpoint::parse(&text);
            assert!(
                matches!(verdict, Err(LogFault::CheckpointMalformed { .. })),
                "{defect}"
            );
        }
    }

    #[test]
    fn a_signing_time_that_is_not_one_moment_is_none() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for lines in [
            "",
            "signed-at -1\n",
            "signed-at 1\nsigned-at 2\n",
            "signed-at 01\n",
        ] {
            let checkpoint = Checkpoint::parse(&format!("o\n1\n{root}\n{lines}")).unwrap();
            assert_eq!(checkpoint.signed_at(), None, "{lines:?}");
        }
        let before_1970 = Timestamp::from_unix_ms(-1);
        assert!(Checkpoint::new("o", 1, [0; 32], before_1970).is_err());
        assert!(Checkpoint::new("a b", 1, [0; 32], Timestamp::from_unix_ms(1)).is_err());
    }
}
