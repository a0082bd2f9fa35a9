//! The retention policy file: terms of the member and of jurisdictions.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::domain::{Jurisdiction, RetentionError, RetentionPolicy, Term};

/// The policy that a node has without a file of its own.
const BUILT_IN: &str = include_str!("../../policies/retention.toml");

/// What is wrong with a retention policy file, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionFileError {
    /// Not TOML, or a value of another type.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A jurisdiction that this program has no word for.
    #[error("{0:?} is no jurisdiction: us, eu, uk, cn, in or ke")]
    Jurisdiction(String),
    /// A term that there is not.
    #[error("[{place}] {term:?} is no term: see policies/retention.toml")]
    Term {
        /// The table.
        place: String,
        /// The key.
        term: String,
    },
    /// A term that is missing or out of bounds.
    #[error(transparent)]
    Span(#[from] RetentionError),
}

#[derive(Deserialize)]
struct Raw {
    jurisdictions: Vec<String>,
    default: BTreeMap<String, u32>,
    #[serde(flatten)]
    places: BTreeMap<String, BTreeMap<String, u32>>,
}

/// Reads a retention policy.
///
/// # Errors
/// [`RetentionFileError`], which names the table and key.
pub fn parse_retention(text: &str) -> Result<RetentionPolicy, RetentionFileError> {
    let raw: Raw = toml::from_str(text)?;
    let place = |word: &str| {
        let unknown = || RetentionFileError::Jurisdiction(word.to_owned());
        Jurisdiction::from_word(word).ok_or_else(unknown)
    };
    let named: Result<BTreeSet<_>, _> = raw.jurisdictions.iter().map(|word| place(word)).collect();
    let mut rules = BTreeMap::new();
    for (word, spans) in &raw.places {
        rules.insert(place(word)?, terms(word, spans)?);
    }
    let own = terms("default", &raw.default)?;
    Ok(RetentionPolicy::of(&own, named?, rules)?)
}

/// The built-in policy.
///
/// # Errors
/// [`RetentionFileError`] never, as a test shows.
pub fn built_in_retention() -> Result<RetentionPolicy, RetentionFileError> {
    parse_retention(BUILT_IN)
}

fn terms(
    place: &str,
    spans: &BTreeMap<String, u32>,
) -> Result<BTreeMap<Term, u32>, RetentionFileError> {
    let term = |(word, span): (&String, &u32)| {
        let unknown = || RetentionFileError::Term {
            place: place.to_owned(),
            term: word.clone(),
        };
        let term = Term::from_word(word).ok_or_else(unknown)?;
        Ok((term, *span))
    };
    spans.iter().map(term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Borrower, Identifier};

    fn borrower(text: &str) -> Borrower {
        Borrower {
            national: Some(Identifier::parse(text, None).unwrap()),
            ..Borrower::default()
        }
    }

    #[test]
    fn the_shortest_term_counts() {
        let policy = built_in_retention().unwrap();
        let own = policy.own_terms();
        assert_eq!(own.get(Term::Adverse), 60);
        assert_eq!(own.get(Term::Dispute), 20);
        let american = policy.terms(&borrower("us-ssn:536-90-4399"));
        assert_eq!(
            american.get(Term::Adverse),
            60,
            "the member's own is shorter"
        );

        let longer = BUILT_IN
            .replace("dispute_days = 20\nack", "dispute_days = 60\nack")
            .replace("jurisdictions = []", "jurisdictions = [\"eu\"]");
        let policy = parse_retention(&longer).unwrap();
        assert_eq!(policy.own_terms().get(Term::Dispute), 30);
        assert_eq!(policy.own_terms().get(Term::Inquiry), 365);
        let chinese = policy.terms(&borrower("cn-rid:11010519491231002X"));
        assert_eq!(chinese.get(Term::Dispute), 20);
    }

    #[test]
    fn each_broken_line_is_named() {
        for (from, to, says) in [
            ("hold_days = 7\n", "", "hold_days"),
            ("hold_days = 7", "hold_days = 0", "hold_days"),
            ("hold_days = 7", "hold_weeks = 1", "hold_weeks"),
            ("[ke]", "[atlantis]", "atlantis"),
            ("jurisdictions = []", "jurisdictions = [\"xx\"]", "xx"),
            ("hold_days = 7", "hold_days = \"7\"", "hold_days"),
        ] {
            let error = parse_retention(&BUILT_IN.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(says), "{from} {error}");
        }
    }
}
