//! Printing: one value for machines or text for people, and progress on a terminal.
#![expect(clippy::print_stderr, reason = "this file is where the program prints")]

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::exit::CliError;

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

    /// Prints the value for machines, or the text for people.
    pub(super) fn show(&self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            print(&value.to_string());
        } else {
            print(text().trim_end());
        }
    }

    /// Prints a line of results as it is, whatever the form.
    pub(super) fn raw(&self, line: &str) {
        print(line);
    }

    /// Prints a remark for people on standard error; nothing for machines.
    pub(super) fn remark(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Prints why a command failed.
    pub(super) fn error(&self, error: &CliError) {
        if self.json {
            print(&json!({ "error": error.message }).to_string());
        }
        eprintln!("creditmesh: {error}");
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
