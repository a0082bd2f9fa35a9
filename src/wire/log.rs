//! Messages about a registrar's membership log.

use bytes::Bytes;

use super::Malformed;
use super::pb;
use super::peer::statement;
use crate::domain::MemberId;
use crate::limits::{LOG_ENTRY_BYTES_MAX, LOG_NOTE_BYTES_MAX, LOG_PAGE_ENTRIES_MAX};
use crate::membership::KeyStatement;

/// Consecutive entries of a membership log, and its newest checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The checkpoint as a signed note; empty where the registrar keeps no log.
    pub checkpoint: String,
    /// The entries.
    pub entries: Vec<Vec<u8>>,
}

impl From<LogPage> for pb::ReadLogResponse {
    fn from(page: LogPage) -> Self {
        Self {
            checkpoint: page.checkpoint,
            entries: page.entries.into_iter().map(Bytes::from).collect(),
        }
    }
}

impl TryFrom<pb::ReadLogResponse> for LogPage {
    type Error = Malformed;

    fn try_from(message: pb::ReadLogResponse) -> Result<Self, Malformed> {
        if message.checkpoint.len() > LOG_NOTE_BYTES_MAX {
            return Err(Malformed::new("checkpoint", "is longer than a note may be"));
        }
        if message.entries.len() > LOG_PAGE_ENTRIES_MAX {
            return Err(Malformed::new(
                "entries",
                "are more than one answer carries",
            ));
        }
        let too_long = |entry: &Bytes| entry.len() > LOG_ENTRY_BYTES_MAX;
        if message.entries.iter().any(too_long) {
            return Err(Malformed::new(
                "entries",
                "one is longer than an entry may be",
            ));
        }
        Ok(Self {
            checkpoint: message.checkpoint,
            entries: message.entries.iter().map(|entry| entry.to_vec()).collect(),
        })
    }
}

/// The statement that `member` files.
///
/// # Errors
/// [`Malformed`], which names the field.
pub fn filed_statement(
    member: &MemberId,
    request: pb::FileStatementRequest,
) -> Result<KeyStatement, Malformed> {
    let stated = request.statement;
    let stated = stated.ok_or_else(|| Malformed::new("statement", "is missing"))?;
    statement(member, &stated)
}
