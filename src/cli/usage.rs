//! What is wrong with a command line, without the identifiers that stand in it.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use super::exit::Exit;
use crate::domain::{Day, IdentifierKind};

/// What stands in place of an identifier.
const HIDDEN: &str = "KIND:…";

/// Prints what is wrong, or the help that was asked for; gives the exit code.
pub(super) fn show(usage: &clap::Error, arguments: &[OsString]) -> Exit {
    if !usage.use_stderr() {
        // Whoever closed standard output does not want to read.
        drop(usage.print());
        return Exit::Done;
    }
    let rendered = usage.render();
    let text = if std::io::stderr().is_terminal() {
        rendered.ansi().to_string()
    } else {
        rendered.to_string()
    };
    let text = without_identifiers(text, arguments);
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
    Exit::Usage
}

fn without_identifiers(text: String, arguments: &[OsString]) -> String {
    let words = arguments.iter().filter_map(|argument| argument.to_str());
    let words = words.flat_map(|word| [word, word.split_once('=').map_or("", |(_, value)| value)]);
    words
        .filter(|word| is_identifier(word))
        .fold(text, |text, word| text.replace(word, HIDDEN))
}

/// Whether a word looks like an identifier, with its kind before it or with enough digits.
fn is_identifier(word: &str) -> bool {
    let kind = word.split_once(':').map(|(kind, _)| kind);
    let named = kind.is_some_and(|kind| IdentifierKind::from_word(kind).is_some());
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ' ' | '+' | 'X' | 'x');
    let is_day = word.len() == 10 && word.parse::<Day>().is_ok();
    named || (digits >= 8 && word.chars().all(plain) && !is_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_hidden_and_other_words_are_not() {
        for (word, hidden) in [
            ("us-ssn:536-90-4399", true),
            ("--id=us-ssn:536904399", true),
            ("536-90-4399", true),
            ("+8613800138000", true),
            ("11010519491231002X", true),
            ("2026-11-2", false),
            ("2026-11-24", false),
            ("127.0.0.1:7401", false),
            ("alpha", false),
        ] {
            let text = format!("error: unexpected argument '{word}' found");
            let shown = without_identifiers(text.clone(), &[OsString::from(word)]);
            assert_eq!(shown != text, hidden, "{shown}");
        }
    }
}
