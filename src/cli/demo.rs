//! `creditmesh demo`: a whole network on this machine.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;

use super::exit::{CliError, Exit};
use super::output::Output;
use crate::domain::FlagCode;
use crate::env::{Clock, SystemClock};
use crate::workload::{DemoError, DemoFigures, DemoProgress, DemoReport, DemoSpec, Latency, demo};

/// `creditmesh demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  creditmesh demo\n  creditmesh demo --keep my-network\n  \
                  creditmesh demo --borrowers 5000 --json"
)]
pub(super) struct DemoArgs {
    /// Members of the network, the bureau among them.
    #[arg(long, default_value_t = 5)]
    members: usize,
    /// Borrowers.
    #[arg(long, default_value_t = 20_000)]
    borrowers: usize,
    /// The same seed shows the same fortnight.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Leave the network in this folder, to be served and played with.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Spec(why) => Self::usage(why),
            DemoError::Network(_)
            | DemoError::Workload(_)
            | DemoError::Node(_)
            | DemoError::Flow(_)
            | DemoError::Store(_)
            | DemoError::Scan(_)
            | DemoError::Admin(_)
            | DemoError::System(_)
            | DemoError::Answer(_) => Self::local(error.to_string()),
        }
    }
}

/// A folder that goes away with the demo, unless it is kept.
struct Scene {
    path: PathBuf,
    kept: bool,
}

impl Scene {
    fn prepare(keep: Option<&Path>) -> Result<Self, CliError> {
        let path = match keep {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("creditmesh-demo-{}", uuid::Uuid::new_v4())),
        };
        if path.exists()
            && std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some())
        {
            let place = path.display();
            return Err(CliError::refused(format!(
                "{place} is not empty: choose another folder"
            )));
        }
        std::fs::create_dir_all(&path).map_err(|error| CliError::file(&path, &error))?;
        Ok(Self {
            path,
            kept: keep.is_some(),
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed lies in the system's folder for such things.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

pub(super) async fn run(args: &DemoArgs, output: &Output) -> Result<Exit, CliError> {
    let scene = Scene::prepare(args.keep.as_deref())?;
    let spec = DemoSpec {
        folder: scene.path.clone(),
        members: args.members,
        borrowers: args.borrowers,
        seed: args.seed,
        today: SystemClock.now().day(),
    };
    output.remark(&format!(
        "{} members on loopback, {} borrowers, mutual TLS, stores on disk",
        args.members, args.borrowers
    ));
    let bar = output.progress("drawing the borrowers", Some(1));
    let stage = Mutex::new("");
    let progress = |come: DemoProgress| {
        let mut shown = stage
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *shown != come.stage {
            *shown = come.stage;
            bar.set_message(come.stage);
            bar.set_length(come.total);
        }
        bar.set_position(come.done);
    };
    let report = Box::pin(demo(&spec, &progress)).await?;
    bar.finish_and_clear();
    let value = serde_json::to_value(&report)
        .map_err(|error| CliError::local(format!("report: {error}")))?;
    output.show(&value, || text(&report, args));
    Ok(Exit::Done)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn text(report: &DemoReport, args: &DemoArgs) -> String {
    let figures = &report.figures;
    let mut lines = Vec::new();
    for story in &report.stories {
        lines.extend(story.iter().cloned());
        lines.push(String::new());
    }
    lines.push("Against the simulated truth".to_owned());
    let rows = intervals(figures)
        .into_iter()
        .chain(alarms(figures))
        .chain(safety(figures));
    lines.extend(rows.map(|(what, figure)| format!("  {what:<46}{figure}")));
    lines.push(String::new());
    lines.push(format!("  flag{:<27}cases  precision  recall", ""));
    for (code, flag) in &figures.flags {
        let (precision, recall) = (percent(flag.precision), percent(flag.recall));
        lines.push(format!(
            "  {code:<4}{:<25}{:>7} {precision:>10} {recall:>7}",
            title(code),
            flag.cases
        ));
    }
    lines.push(String::new());
    lines.push(format!("{:.0} s", report.seconds));
    if let Some(dir) = &args.keep {
        lines.push(playing(dir, report.known.as_deref()));
    }
    lines.join("\n")
}

fn title(code: &str) -> &'static str {
    FlagCode::from_word(code).map_or("", FlagCode::title)
}

type Line = (&'static str, String);

fn intervals(figures: &DemoFigures) -> [Line; 4] {
    let DemoFigures {
        answers,
        answers_with_silence: silent,
        ..
    } = figures;
    let width = percent(figures.interval_width_kept);
    [
        (
            "answers",
            format!("{answers}, {silent} of them while a member was silent"),
        ),
        ("truth within the interval", percent(figures.interval_true)),
        (
            "interval exact, all members up",
            percent(figures.interval_exact),
        ),
        ("interval no wider than the silent could add", width),
    ]
}

fn alarms(figures: &DemoFigures) -> [Line; 5] {
    let keen = &figures.keen_shoppers;
    let (ca, st) = (percent(keen.ca), percent(keen.st));
    let caught = format!(
        "{} of {}",
        percent(figures.stacker_recall),
        figures.stackers
    );
    [
        ("stackers caught before the second payout", caught),
        (
            "rate shoppers falsely flagged",
            percent(figures.rate_shopper_false_alarm),
        ),
        (
            "steady borrowers falsely flagged",
            percent(figures.steady_false_alarm),
        ),
        (
            "cyclers falsely flagged",
            percent(figures.cycler_false_alarm),
        ),
        (
            "shoppers with 2 or 3 hard applications",
            format!("{}: CA {ca}, ST {st}", keen.borrowers),
        ),
    ]
}

fn safety(figures: &DemoFigures) -> [Line; 3] {
    let Latency { p50, p99 } = figures.query_ms;
    [
        (
            "ALLOW on coverage that is too low",
            figures.allow_below_coverage.to_string(),
        ),
        (
            "identifiers found in the clear on disk",
            figures.identifier_hits.to_string(),
        ),
        (
            "time per query, publication included",
            format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
        ),
    ]
}

fn playing(dir: &Path, known: Option<&str>) -> String {
    let place = dir.display();
    let borrower = known.unwrap_or("us-ssn:536-90-4399");
    format!(
        "\nThe network stays in {place}. Each node in a terminal of its own:\n  \
         creditmesh node serve --dir {place}/NAME    (NAME is a folder in there)\n\
         Then ask about the borrower of the first story:\n  \
         creditmesh assess --dir {place}/NAME --id {borrower} \
         --amount '1200 USD' --consent C-1 --explain"
    )
}
