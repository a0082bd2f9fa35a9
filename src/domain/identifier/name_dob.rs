//! Name and date of birth, normalised: kept with a record, never tokenised, never a key alone.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use zeroize::{Zeroize, Zeroizing};

use super::wiped;
use crate::domain::Day;
use crate::limits::NAME_CHARS_MAX;

/// Why text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after normalisation.
    #[error("the name has no letters")]
    NoLetters,
    /// Longer than a name may be.
    #[error("the name has more than {NAME_CHARS_MAX} characters")]
    TooLong,
}

/// A normalised name and a date of birth. It cannot be printed, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NameDob {
    name: String,
    born: Day,
}

impl NameDob {
    /// Normalises `name`: compatibility decomposition (NFKD), marks dropped, case folded,
    /// punctuation dropped; the words of a name in an alphabet are sorted, a name with Han
    /// characters keeps their order and loses its separators.
    ///
    /// Dropping marks also drops the vowel signs of Indic scripts: two such names may become one
    /// string, which is one reason why a name never decides anything alone.
    ///
    /// # Errors
    /// [`NameError`] where no letter is left or the name is too long.
    pub fn of(name: &str, born: Day) -> Result<Self, NameError> {
        if name.chars().nth(NAME_CHARS_MAX).is_some() {
            return Err(NameError::TooLong);
        }
        let name = normalise(name);
        if name.is_empty() {
            return Err(NameError::NoLetters);
        }
        if name.chars().nth(NAME_CHARS_MAX).is_some() {
            return Err(NameError::TooLong);
        }
        Ok(Self {
            name: name.as_str().to_owned(),
            born,
        })
    }

    /// The name and date of birth that this type gave out earlier (from a sealed row), unchecked.
    #[must_use]
    pub(crate) fn restore(name: &str, born: Day) -> Self {
        Self {
            name: name.to_owned(),
            born,
        }
    }

    /// The normalised name. Private.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The date of birth. Private.
    #[must_use]
    pub const fn born(&self) -> Day {
        self.born
    }
}

impl fmt::Debug for NameDob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameDob(…)")
    }
}

impl Drop for NameDob {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}

fn normalise(name: &str) -> Zeroizing<String> {
    let capacity = name.len() * 2;
    let bare = |text: &str| wiped(capacity, text.nfkd().filter(|&c| !is_combining_mark(c)));
    // Folding can give new marks and new compatibility forms, so both run twice.
    let mut name = bare(name);
    for _ in 0..2 {
        // Letter by letter: a whole word's lower case has a sigma of its own at the end.
        let upper = name.chars().flat_map(char::to_uppercase);
        let folded = wiped(capacity, upper.flat_map(char::to_lowercase));
        name = bare(&folded);
    }
    let mut words: Vec<&str> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.iter().any(|word| word.chars().any(is_han)) {
        return Zeroizing::new(words.concat());
    }
    words.sort_unstable();
    Zeroizing::new(words.join(" "))
}

/// Whether `c` is a Han character (CJK unified ideographs and their extensions).
fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(name: &str) -> String {
        let born = Day::from_calendar(1990, 1, 31).unwrap();
        NameDob::of(name, born).unwrap().name().to_owned()
    }

    #[test]
    fn spellings_of_one_name_become_one_string() {
        for (spellings, canonical) in [
            (
                &[
                    "José María-LÓPEZ",
                    "Lopez, Jose Maria",
                    "Ｌｏｐｅｚ ＪＯＳＥ ｍａｒｉａ",
                ][..],
                "jose lopez maria",
            ),
            (&["阿卜杜拉·买买提", "阿卜杜拉•买买提"], "阿卜杜拉买买提"),
            (&["O’Brien Seán", "SEAN O'BRIEN"], "brien o sean"),
            (&["Jürgen Groß", "GROSS Jurgen"], "gross jurgen"),
        ] {
            for spelling in spellings {
                assert_eq!(normalised(spelling), canonical, "{spelling}");
            }
        }
    }

    #[test]
    fn a_name_without_letters_or_without_end_is_refused() {
        let born = Day::from_calendar(1990, 1, 31).unwrap();
        assert_eq!(NameDob::of(" -·' ", born), Err(NameError::NoLetters));
        assert_eq!(NameDob::of(&"a".repeat(201), born), Err(NameError::TooLong));
        // One ligature becomes eighteen letters.
        assert_eq!(NameDob::of(&"ﷺ".repeat(20), born), Err(NameError::TooLong));
    }

    #[test]
    fn a_name_is_not_printed() {
        let born = Day::from_calendar(1990, 1, 31).unwrap();
        let shown = format!("{:?}", NameDob::of("Seán", born));
        assert!(
            !shown.contains("sean") && !shown.contains("1990"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(name in "\\PC{0,60}") {
            let once = normalise(&name);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
