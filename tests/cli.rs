//! The program as its users run it: documented commands, JSON shapes, exit codes, and what is said
//! when something is wrong.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests may panic, and wait for the program"
)]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/ceremony.rs"]
mod ceremony;
#[path = "cli/certificates.rs"]
mod certificates;
#[path = "cli/corrections.rs"]
mod corrections;
#[path = "cli/database.rs"]
mod database;
#[path = "cli/deceit.rs"]
mod deceit;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/documented.rs"]
mod documented;
#[path = "cli/erasure.rs"]
mod erasure;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/kills.rs"]
mod kills;
#[path = "cli/lending.rs"]
mod lending;
#[path = "cli/metro2.rs"]
mod metro2;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/modules.rs"]
mod modules;
#[path = "cli/operator.rs"]
mod operator;
#[path = "cli/own.rs"]
mod own;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/registrar.rs"]
mod registrar;
#[path = "cli/replicas.rs"]
mod replicas;
#[path = "cli/restored.rs"]
mod restored;
#[path = "cli/rollover.rs"]
mod rollover;
#[path = "cli/scan.rs"]
mod scan;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/standing.rs"]
mod standing;
#[path = "cli/watch.rs"]
mod watch;

use shell::creditmesh;

fn leaves(
    command: &clap::Command,
    path: &[String],
    visit: &mut impl FnMut(&[String], &clap::Command),
) {
    visit(path, command);
    for next in command.get_subcommands() {
        if next.get_name() != "help" {
            let path = [path, &[next.get_name().to_owned()]].concat();
            leaves(next, &path, visit);
        }
    }
}

#[test]
fn every_command_says_what_it_does_and_gives_an_example() {
    let mut paths = Vec::new();
    leaves(&creditmesh::cli::command(), &[], &mut |path, command| {
        let name = path.join(" ");
        assert!(command.get_about().is_some(), "{name}: no description");
        for argument in command.get_arguments() {
            let id = argument.get_id();
            let has_text = argument.get_help().is_some();
            assert!(has_text || id == "help" || id == "version", "{name}: {id}");
        }
        let example = command.get_after_help().map(ToString::to_string);
        let example = example.unwrap_or_default();
        assert!(example.contains("creditmesh "), "{name}: no example");
        paths.push(path.to_vec());
    });
    assert!(paths.len() > 25, "{}", paths.len());
    for path in paths {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let run = creditmesh(&arguments);
        assert_eq!(run.code, 0, "{path:?}");
        assert!(run.stdout.contains("Usage:"), "{path:?}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_right() {
    for wrong in [
        &["lend"][..],
        &["assess", "--id", "us-ssn:536904399"],
        &["records", "import"],
        &["network", "init", "x", "--id", "Not A Name"],
        &["records", "show", "not-a-uuid"],
    ] {
        let run = creditmesh(wrong);
        assert_eq!(run.code, 2, "{wrong:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{wrong:?}");
    }
}
