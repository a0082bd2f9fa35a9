//! What went wrong at the database, and whether trying again can help.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// Why a step at the database did not succeed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database, or the way to it, failed for now: the step may be tried again.
    Passing(String),
    /// The connection was lost while the database committed: whether it did is not known.
    Uncertain(String),
    /// Trying again does not help.
    Lasting(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Lasting(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::from(error),
            PoolError::Timeout(_) => Self::Passing("no connection became free in time".to_owned()),
            PoolError::Closed => Self::Lasting(StoreError::Closed),
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Passing("a connection could not be set up".to_owned())
            }
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            // What the server says beyond its code may hold keys and values.
            Some(code) => Self::of_state(code),
            None if is_untrusted(&error) => Self::Lasting(StoreError::Unreachable {
                reason: words_of(&error),
            }),
            None => Self::Passing(words_of(&error)),
        }
    }
}

impl Fault {
    fn of_state(code: &SqlState) -> Self {
        let state = code.code();
        if is_passing(code) {
            return Self::Passing(format!("SQLSTATE {state}"));
        }
        if *code == SqlState::DISK_FULL {
            return Self::Lasting(StoreError::DiskFull { free_mib: 0 });
        }
        Self::Lasting(StoreError::DatabaseRefused {
            state: state.to_owned(),
        })
    }

    /// The fault of a commit: where the database did not say no, it may have said yes.
    pub(super) fn of_commit(error: &tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if !loses_connection(code) => Self::of_state(code),
            Some(code) => Self::Uncertain(format!("SQLSTATE {}", code.code())),
            None => Self::Uncertain(words_of(error)),
        }
    }

    /// What a caller is told once trying again has taken too long.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Passing(reason) => StoreError::Unreachable { reason },
            Self::Uncertain(reason) => StoreError::InDoubt { reason },
            Self::Lasting(error) => error,
        }
    }
}

/// The chain of causes of a failed connection, which names hosts and no rows.
fn words_of(error: &tokio_postgres::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

/// Whether TLS was refused: a certificate does not become another one by waiting.
fn is_untrusted(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::InvalidData;
        }
        cause = next.source();
    }
    false
}

/// Classes and codes after which the same transaction may succeed: lost connections (08), a
/// server that starts, stops or fails over (57P0x, 25006), no room for connections (53300),
/// serialization and deadlock (40001, 40P01), a lock or statement that took too long (55P03,
/// 57014), and the race of two nodes to insert one row or create one table (23505, 42P07).
fn is_passing(code: &SqlState) -> bool {
    const PASSING: &[SqlState] = &[
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    loses_connection(code) || PASSING.contains(code)
}

fn loses_connection(code: &SqlState) -> bool {
    let state = code.code();
    state.starts_with("08") || state.starts_with("57P")
}
