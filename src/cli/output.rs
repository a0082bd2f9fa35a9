//! Printing: one value for machines or text for people, and progress on a terminal.
#![expect(clippy::print_stderr, reason = "this file is where the program prints")]

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::exit::CliError;
use crate::membership::is_deceptive;

/// A text as a terminal may show it. Names, reasons and addresses come from others: what could
/// hide or rewrite the lines around it is written out.
fn shown(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\t');
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Prints a line on standard output. Whoever closed it does not want to read: that is no fault.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Where a command's results go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether it is for machines.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the value for machines, or the text for people.
    pub(super) fn show(&self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            print(&value.to_string());
        } else {
            print(&shown(text().trim_end()));
        }
    }

    /// Prints a line of results as it is, whatever the form.
    pub(super) fn raw(&self, line: &str) {
        print(line);
    }

    /// Prints a remark for people on standard error; nothing for machines.
    pub(super) fn remark(&self, text: &str) {
        if !self.json {
            eprintln!("{}", shown(text));
        }
    }

    /// Asks the person at the terminal; whoever calls looks first whether there is one.
    ///
    /// # Errors
    /// Where the terminal fails.
    #[expect(clippy::unused_self, reason = "whoever may print may ask")]
    pub(super) fn confirmed(&self, question: &str) -> Result<bool, CliError> {
        let failed = |error: std::io::Error| CliError::local(format!("the terminal: {error}"));
        let mut err = std::io::stderr().lock();
        write!(err, "{} [y/N] ", shown(question))
            .and_then(|()| err.flush())
            .map_err(failed)?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(failed)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }

    /// Prints why a command failed.
    pub(super) fn error(&self, error: &CliError) {
        if self.json {
            print(&json!({ "error": error.message }).to_string());
        }
        eprintln!("creditmesh: {}", shown(&error.to_string()));
    }

    /// A progress bar over `total` units on standard error; hidden where that is no terminal.
    pub(super) fn progress(&self, what: &'static str, total: Option<u64>) -> ProgressBar {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let hidden = self.json || !std::io::stderr().is_terminal();
        bar.set_draw_target(if hidden {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        let template = if total.is_some() {
            "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}"
        } else {
            "{spinner} {msg} {human_pos} {per_sec} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_would_hide_or_rewrite_a_line_is_written_out() {
        let plain = "Löschung für José: 中文\n\tindented";
        assert_eq!(shown(plain), plain);
        assert_eq!(
            shown("chair\u{1b}[8m\r\u{202e}x\u{200b}"),
            "chair\\u{1b}[8m\\u{d}\\u{202e}x\\u{200b}"
        );
    }
}
