//! How names, words, moments and bytes stand in trust documents: as text, by `#[serde(with = …)]`.

use std::fmt::Display;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serializer};

use crate::domain::{Currency, IdentifierClass, Level, Purpose, PurposeError, Role, Timestamp};

/// Lower-case hexadecimal in groups of four characters, for people who compare fingerprints.
#[must_use]
pub fn hex_groups(bytes: &[u8]) -> String {
    let groups: Vec<String> = bytes.chunks(2).map(|pair| HEXLOWER.encode(pair)).collect();
    groups.join(" ")
}

/// Whether a character hides, turns or erases what stands around it: control characters, and
/// Unicode's formatting of directions and widths. No text that people judge may have one.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The first eight hexadecimal characters: enough to tell keys apart in a message.
#[must_use]
pub(crate) fn hex_short(bytes: &[u8]) -> String {
    let mut text = HEXLOWER.encode(bytes);
    text.truncate(8);
    text
}

fn bytes_of<const N: usize>(text: &str) -> Result<[u8; N], String> {
    HEXLOWER
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("expected {} lower-case hexadecimal characters", N * 2))
}

/// Bytes as lower-case hexadecimal.
pub(crate) mod hex {
    use super::{Deserialize, Deserializer, Serializer, bytes_of};
    use data_encoding::HEXLOWER;
    use serde::de::Error as _;

    pub(crate) fn serialize<const N: usize, S: Serializer>(
        bytes: &[u8; N],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        bytes_of(&text).map_err(D::Error::custom)
    }
}

/// Keys as lower-case hexadecimal, in a list.
pub(crate) mod hexes {
    use super::{Deserialize, Deserializer, Serializer, bytes_of};
    use data_encoding::HEXLOWER;
    use serde::de::Error as _;

    pub(crate) fn serialize<const N: usize, S: Serializer>(
        keys: &[[u8; N]],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(keys.iter().map(|key| HEXLOWER.encode(key)))
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<[u8; N]>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| bytes_of(text).map_err(D::Error::custom))
            .collect()
    }
}

/// Bytes as lower-case hexadecimal, where they may be absent.
pub(crate) mod hex_option {
    use super::{Deserialize, Deserializer, Serializer, bytes_of};
    use data_encoding::HEXLOWER;
    use serde::de::Error as _;

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` calls")]
    pub(crate) fn serialize<const N: usize, S: Serializer>(
        bytes: &Option<[u8; N]>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => out.serialize_str(&HEXLOWER.encode(bytes)),
            None => out.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        let text = String::deserialize(from)?;
        bytes_of(&text).map(Some).map_err(D::Error::custom)
    }
}

/// Names that parse from and print as text.
pub(crate) mod name {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer};
    use serde::de::Error as _;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        name: &T,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_str(name)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Moments as RFC 3339 in UTC.
pub(crate) mod moment {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(at)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// Moments as RFC 3339 in UTC, where they may be absent.
pub(crate) mod moment_option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};
    use serde::de::Error as _;

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` calls")]
    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => out.collect_str(at),
            None => out.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let at = text.as_deref().map(Timestamp::parse_rfc3339).transpose();
        at.map_err(D::Error::custom)
    }
}

/// A value of the domain that has one word.
pub(crate) trait Word: Copy + 'static {
    /// The word.
    fn spelled(self) -> &'static str;
    /// The value with this word, or why there is none.
    fn read(word: &str) -> Result<Self, String>;
}

macro_rules! word {
    ($($name:ident),+) => {
        $(impl Word for $name {
            fn spelled(self) -> &'static str {
                self.word()
            }

            fn read(word: &str) -> Result<Self, String> {
                Self::from_word(word).ok_or_else(not_known)
            }
        })+
    };
}
word!(IdentifierClass, Level, Role);

fn not_known() -> String {
    "this word is not known here".to_owned()
}

impl Word for Purpose {
    fn spelled(self) -> &'static str {
        self.word()
    }

    fn read(word: &str) -> Result<Self, String> {
        Self::read(word).map_err(|error| match error {
            PurposeError::Never(_) => error.to_string(),
            PurposeError::Unknown => not_known(),
        })
    }
}

impl Word for Currency {
    fn spelled(self) -> &'static str {
        self.code()
    }

    fn read(word: &str) -> Result<Self, String> {
        Self::from_code(word).ok_or_else(not_known)
    }
}

fn read_word<T: Word, E: serde::de::Error>(text: &str) -> Result<T, E> {
    T::read(text).map_err(E::custom)
}

/// One word.
pub(crate) mod word {
    use super::{Deserialize, Deserializer, Serializer, Word, read_word};

    pub(crate) fn serialize<T: Word, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(value.spelled())
    }

    pub(crate) fn deserialize<'de, T: Word, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        read_word(&String::deserialize(from)?)
    }
}

/// A list of words.
pub(crate) mod words {
    use super::{Deserialize, Deserializer, Serializer, Word, read_word};

    pub(crate) fn serialize<T: Word, S: Serializer>(
        values: &[T],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(values.iter().map(|value| value.spelled()))
    }

    pub(crate) fn deserialize<'de, T: Word, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| read_word(text))
            .collect()
    }
}
