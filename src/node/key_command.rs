//! The key of the key ring from a program of the operator's: a wrapper around a key service, a
//! hardware module, a prompt.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::NodeError;
use crate::limits::KEY_COMMAND_DEADLINE;

/// More than a key needs; what a program prints beyond is not read.
const PRINTED_BYTES_MAX: u64 = 1 << 10;

/// How often it is looked whether the program ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let reading = std::thread::spawn(move || {
        let mut text = Zeroizing::new(String::new());
        let bounded = printed.map(|pipe| pipe.take(PRINTED_BYTES_MAX));
        bounded.map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut text))?;
        Ok::<_, std::io::Error>(text)
    });
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < KEY_COMMAND_DEADLINE => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                drop(child.kill());
                drop(child.wait());
                let reason = "it did not end within 30 s: run it by hand to see what it waits for";
                return Err(NodeError::unlock(program, reason));
            }
            Err(error) => return Err(NodeError::file(program, &error)),
        }
    };
    if !ended.success() {
        let reason = "it failed: run it by hand to see why; it must print the key and exit with 0";
        return Err(NodeError::unlock(program, reason));
    }
    let unreadable = || NodeError::unlock(program, "what it prints is not text");
    let text = reading.join().map_err(|_| unreadable())?;
    text.map_err(|_| unreadable())
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
        let absent = std::path::Path::new("/nowhere/key");
        assert!(printed_by(absent).is_err());
    }
}
