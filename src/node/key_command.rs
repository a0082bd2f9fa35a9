//! The key of the key ring from a program of the operator's: a wrapper around a key service, a
//! hardware module, a prompt.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use zeroize::Zeroizing;

use super::NodeError;
use crate::limits::KEY_COMMAND_DEADLINE;

/// More than a key needs; what a program prints beyond is not read.
const PRINTED_BYTES_MAX: u64 = 1 << 10;

/// Runs a program without arguments and gives what it prints on standard output. What it prints on
/// standard error goes where this process's own goes.
///
/// # Errors
/// [`NodeError::File`] where it cannot be run, [`NodeError::Unlock`] where it fails or hangs.
pub(super) fn printed_by(program: &Path) -> Result<Zeroizing<String>, NodeError> {
    let mut command = Command::new(program);
    command.stdin(Stdio::inherit()).stdout(Stdio::piped());
    let child = command.spawn();
    let mut child = child.map_err(|error| NodeError::file(program, &error))?;
    let printed = child.stdout.take();
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Zeroizing::new(String::new());
        let bounded = printed.map(|pipe| pipe.take(PRINTED_BYTES_MAX));
        let read = bounded.map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut text));
        drop(sender.send(read.map(|_| text)));
    });
    let Ok(read) = told.recv_timeout(KEY_COMMAND_DEADLINE) else {
        drop(child.kill());
        drop(child.wait());
        let reason = "it did not end within 30 s: run it by hand to see what it waits for";
        return Err(NodeError::unlock(program, reason));
    };
    let ended = child.wait();
    if !ended.is_ok_and(|status| status.success()) {
        let reason = "it failed: run it by hand to see why; it must print the key and exit with 0";
        return Err(NodeError::unlock(program, reason));
    }
    read.map_err(|_| NodeError::unlock(program, "what it prints is not text"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(lines: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        (folder, path)
    }

    #[test]
    fn what_a_program_prints_is_read_and_a_failure_is_told() {
        let (_folder, path) = program("echo abc");
        assert_eq!(printed_by(&path).unwrap().as_str(), "abc\n");
        let (_folder, path) = program("echo secret; exit 3");
        let error = printed_by(&path).unwrap_err().to_string();
        assert!(
            error.contains("by hand") && !error.contains("secret"),
            "{error}"
        );
        let absent = Path::new("/nowhere/key");
        assert!(printed_by(absent).is_err());
    }
}
