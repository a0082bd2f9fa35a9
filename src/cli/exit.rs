//! Exit codes that scripts can trust, and the errors that lead to them.

use std::fmt;
use std::process::ExitCode;

use tonic::{Code, Status};

use crate::flows::FlowError;
use crate::store::StoreError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done,
    /// Refused, or not found.
    Refused,
    /// Wrong usage.
    Usage,
    /// Peers unreachable, or coverage too low.
    Peers,
    /// Something is wrong on this machine.
    Local,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Peers => 3,
            Exit::Local => 4,
        })
    }
}

/// Why a command failed: what is wrong, what to do, and the exit code.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl CliError {
    /// Refused, or not found.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Refused,
            message: message.into(),
        }
    }

    /// Wrong usage.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// Something is wrong on this machine.
    pub(super) fn local(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Local,
            message: message.into(),
        }
    }

    /// A file that could not be read or written. What is there already and stays is a refusal.
    pub(super) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let place = path.display();
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Self::refused(format!("{place} exists already: name another file"));
        }
        if error.kind() == std::io::ErrorKind::NotFound {
            return Self::local(format!("{place}: there is no such file or folder"));
        }
        Self::local(format!("{place}: {error}"))
    }
}

/// A refusal in the words of the command line: a field of the message at its head is called by the
/// option that fills it.
pub(super) fn by_options(status: Status, options: &[(&str, &str)]) -> CliError {
    let error = CliError::from(status);
    let named = options.iter().find_map(|(field, option)| {
        let reason = error.message.strip_prefix(field)?;
        reason
            .starts_with([':', ' '])
            .then(|| format!("{option}{reason}"))
    });
    let message = named.unwrap_or(error.message);
    CliError { message, ..error }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<FlowError> for CliError {
    fn from(error: FlowError) -> Self {
        if error.is_store() {
            Self::local(error.to_string())
        } else {
            Self::refused(error.to_string())
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::local(error.to_string())
    }
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        let exit = match status.code() {
            Code::InvalidArgument => Exit::Usage,
            Code::Unavailable
            | Code::DataLoss
            | Code::Internal
            | Code::Unknown
            | Code::ResourceExhausted => Exit::Local,
            Code::Ok
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Exit::Refused,
        };
        Self {
            exit,
            message: status.message().to_owned(),
        }
    }
}
