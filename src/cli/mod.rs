//! Commands and printing: the only room that prints, and that decides exit codes.
//!
//! Exit codes: 0 done, 1 refused or not found, 2 wrong usage, 3 peers unreachable or coverage too
//! low, 4 local fault.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod alerts;
mod audit;
mod backup;
mod bench;
mod bench_audit;
mod bench_store;
mod ceremony;
mod cert;
mod cert_metrics;
mod change;
mod demo;
mod dispute;
mod doctor;
mod draw;
mod erase;
mod exit;
mod findings;
mod join;
mod lending;
mod log;
mod network;
mod network_args;
mod network_registrar;
mod network_sign;
mod node;
mod node_log;
mod notices;
mod opening;
mod operator;
mod output;
mod reconcile;
mod records;
mod records_export;
mod records_import;
mod report;
mod retention;
mod rights;
mod rollover;
mod rollover_registrar;
mod samples;
mod scan;
mod signal;
mod standing;
mod usage;
mod watch;

use exit::{CliError, Exit};
use output::Output;

use crate::crypto::SecretBytes;
use crate::membership::{ModuleDefaults, set_module_defaults};

/// See over-borrowing and default across lenders, without showing each other the customers.
#[derive(Debug, Parser)]
#[command(name = "creditmesh", version, propagate_version = true)]
#[command(
    after_help = "Start here:\n  creditmesh demo        a whole network on this machine\n\n\
    Exit codes: 0 done, 1 refused or not found, 2 wrong usage,\n\
    3 peers unreachable or coverage too low, 4 local fault."
)]
struct Cli {
    /// Print JSON for machines on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole network on this machine: see it catch a loan stacker.
    Demo(demo::DemoArgs),
    /// Found a network, invite members, approve them, see the member list.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh network init admin --id credit-net --currency USD"
    )]
    Network(network::NetworkCommand),
    /// Join a network and run this member's node.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh node serve --dir alpha"
    )]
    Node(node::NodeCommand),
    /// This node's certificate.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh cert show --dir alpha"
    )]
    Cert(cert::CertCommand),
    /// The member's own book: import, export, show, retract, dispute.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh records import loans.csv --dir alpha"
    )]
    Records(records::RecordsCommand),
    /// File, review and cure signals by hand.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh signal list --dir alpha"
    )]
    Signal(signal::SignalCommand),
    /// Write an application, publish it, and ask every peer about the borrower.
    Assess(lending::AssessArgs),
    /// Record a signed contract, give it up, or turn it into the loan that was paid out.
    Hold(lending::HoldArgs),
    /// Ask again about an application, right before paying out.
    Recheck(lending::RecheckArgs),
    /// Close an application with its outcome.
    Close(lending::CloseArgs),
    /// Fetch an answer that was given earlier.
    Answer(lending::AnswerArgs),
    /// What this member holds of a borrower, for the borrower itself.
    Report(report::ReportArgs),
    /// Watch borrowers at every peer, so that alerts tell what happens to them there.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh watch add --book --dir alpha"
    )]
    Watch(watch::WatchCommand),
    /// What the network tells of every watched customer, as a file.
    Scan(scan::ScanArgs),
    /// What happened to watched borrowers elsewhere, and what was done about it.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh alerts follow --dir alpha"
    )]
    Alerts(alerts::AlertsCommand),
    /// Which answers of this node changed after they were given.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh notices list --dir alpha"
    )]
    Notices(notices::NoticesCommand),
    /// The log of every query: check it, show it, copy it, prove entries to others.
    #[command(
        subcommand,
        after_help = "Example:\n  creditmesh audit verify --dir alpha"
    )]
    Audit(audit::AuditCommand),
    /// Measure, beside the ceiling of the same run.
    #[command(subcommand, after_help = "Example:\n  creditmesh bench lookup")]
    Bench(bench::BenchCommand),
}

/// The tree of commands with their arguments and texts.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs one command and returns the program's exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(usage) => return usage::show(&usage, &arguments).into(),
    };
    let output = Output::new(cli.json);
    match dispatch(cli.command, &output) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output.error(&error);
            error.exit.into()
        }
    }
}

fn dispatch(command: Command, output: &Output) -> Result<Exit, CliError> {
    log::start();
    set_module_defaults(ModuleDefaults {
        library: std::env::var_os("CREDITMESH_PKCS11_MODULE").map(PathBuf::from),
        pin: std::env::var_os("CREDITMESH_PIN")
            .map(|pin| SecretBytes::new(pin.into_encoded_bytes())),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::local(format!("no threads to run on: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(&args, output).await,
            Command::Network(command) => network::run(command, output).await,
            Command::Node(command) => node::run(command, output).await,
            Command::Cert(command) => cert::run(&command, output).await,
            Command::Records(command) => records::run(command, output).await,
            Command::Signal(command) => signal::run(command, output).await,
            Command::Assess(args) => lending::assess(&args, output).await,
            Command::Hold(args) => lending::hold(&args, output).await,
            Command::Recheck(args) => lending::recheck(&args, output).await,
            Command::Close(args) => lending::close(&args, output).await,
            Command::Answer(args) => lending::answer(&args, output).await,
            Command::Report(args) => report::run(&args, output).await,
            Command::Watch(command) => watch::run(command, output).await,
            Command::Scan(args) => scan::run(&args, output).await,
            Command::Alerts(command) => alerts::run(command, output).await,
            Command::Notices(command) => notices::run(command, output).await,
            Command::Audit(command) => audit::run(command, output).await,
            Command::Bench(command) => bench::run(&command, output).await,
        }
    })
}
