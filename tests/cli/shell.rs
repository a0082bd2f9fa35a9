//! Runs the binary: single commands, and nodes that serve until they are dropped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// What was printed for machines; the command must have ended with this code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(self.stdout.trim()).unwrap()
    }

    /// Checks that it ended so and that standard error says each of these.
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// The program under test: the one that was built with this test, or `CREDITMESH_PROGRAM`.
pub(crate) fn program() -> OsString {
    let other = std::env::var_os("CREDITMESH_PROGRAM");
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_creditmesh").into())
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs one command to its end.
pub(crate) fn creditmesh(arguments: &[&str]) -> Run {
    run(&mut command(arguments))
}

/// Runs a command that was made ready to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    ended(command.output().unwrap())
}

/// What a command that ended said.
pub(crate) fn ended(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs one command with text on its standard input.
pub(crate) fn creditmesh_reading(input: &str, arguments: &[&str]) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    ended(child.wait_with_output().unwrap())
}

/// A command that is under way, to be killed or waited for.
pub(crate) fn begin(arguments: &[&str]) -> Child {
    command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The same in a folder.
pub(crate) fn begin_in(folder: &Path, arguments: &[&str]) -> Child {
    command(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// `node serve` or `network serve` of one folder; dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Served(Child);

impl Served {
    pub(crate) fn start(dir: &str) -> Self {
        Self::serve(&["node", "serve", "--dir", dir], "serving peers on")
    }

    /// The registrar of a network.
    pub(crate) fn registrar(admin: &str) -> Self {
        Self::serve(&["network", "serve", admin], "registrar serves on")
    }

    fn serve(arguments: &[&str], says: &str) -> Self {
        Self::of(&mut command(arguments), says)
    }

    /// A command that serves, made ready.
    pub(crate) fn of(command: &mut Command, says: &str) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with(says), "{line:?}");
        Self(child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = self.0.wait().unwrap();
        assert!(ended.success(), "{ended:?}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A network made with the documented commands.
#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) dir: TempDir,
}

impl Town {
    /// Founds a network; nobody has joined yet.
    pub(crate) fn found() -> Self {
        let town = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let admin = town.path("admin");
        let run = creditmesh(&[
            "network",
            "init",
            &admin,
            "--id",
            "credit-net",
            "--currency",
            "USD",
            "--json",
        ]);
        let founded = run.json(0);
        assert_eq!(founded["network"], "credit-net");
        assert!(founded["fingerprint"].as_str().unwrap().len() > 16);
        town
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Invites a member and makes its request; gives the request's path.
    pub(crate) fn request(&self, member: &str) -> String {
        self.request_with(member, &[])
    }

    /// As [`Self::request`], with further options of `node join`.
    fn request_with(&self, member: &str, more: &[&str]) -> String {
        let (admin, invite) = (self.path("admin"), self.path(&format!("{member}.invite")));
        let run = creditmesh(&[
            "network", "invite", &admin, "--member", member, "--out", &invite, "--json",
        ]);
        let invited = run.json(0);
        let listen = free_address();
        let folder = self.path(member);
        let mut join = vec!["node", "join", &invite, "--dir", &folder, "--json"];
        if !more.contains(&"--listen") {
            join.extend(["--listen", &listen]);
        }
        let run = creditmesh(&[&join, more].concat());
        let joined = run.json(0);
        assert_eq!(joined["fingerprint"], invited["fingerprint"]);
        joined["request"].as_str().unwrap().to_owned()
    }

    /// Lets a member join by the documented steps; the others get the new list.
    pub(crate) fn join(&self, member: &str) {
        self.join_with(member, &[]);
    }

    /// As [`Self::join`], with further options of `node join`.
    pub(crate) fn join_with(&self, member: &str, more: &[&str]) {
        let request = self.request_with(member, more);
        let (admin, folder) = (self.path("admin"), self.path(member));
        let welcome = self.path(&format!("{member}.welcome"));
        let run = creditmesh(&[
            "network", "approve", &admin, &request, "--out", &welcome, "--json",
        ]);
        assert_eq!(run.json(0)["member"], member);
        let run = creditmesh(&["node", "join", &welcome, "--dir", &folder, "--json"]);
        assert_eq!(run.json(0)["member"], member);
    }

    /// Copies the newest list to a member, as the documentation says.
    pub(crate) fn give_list(&self, member: &str) {
        let from = PathBuf::from(self.path("admin")).join("members.json");
        let folder = PathBuf::from(self.path(member));
        std::fs::copy(from, folder.join("members.json")).unwrap();
    }

    /// Waits until the member's node mirrors `peers` peers.
    pub(crate) fn wait_for_mirrors(&self, member: &str, peers: usize) {
        let folder = self.path(member);
        for _ in 0..300 {
            let run = creditmesh(&["node", "status", "--dir", &folder, "--json"]);
            let status: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
            let states = status["peers"].as_array();
            let whole = states.map_or(0, |states| {
                let whole = states.iter().filter(|state| {
                    state["trouble"] == "" && state["mirror_size"].as_u64() > Some(0)
                });
                whole.count()
            });
            if whole >= peers && status["unpublished"] == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{member} did not mirror {peers} peers within 30 s");
    }
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> String {
    let address = creditmesh::workload::free_address().unwrap();
    address.to_string()
}

/// A sample that the project ships.
pub(crate) fn sample(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("samples").join(name).display().to_string()
}
