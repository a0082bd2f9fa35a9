//! What a node tells whoever it refuses: `Explain` of `proto/creditmesh/v1/peer.proto` in and out.

use super::{Malformed, pb};
use crate::domain::{InvalidName, MemberId, NetworkId, Timestamp};
use crate::limits::EXPLAIN_TEXT_BYTES_MAX;

/// Whether the holder of a certificate is admitted, by which list, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The network of the node that tells.
    pub network: NetworkId,
    /// Whom the caller's certificate names.
    pub member: MemberId,
    /// [`Self::ADMITTED`], or the word of the refusal.
    pub code: String,
    /// The reason in words; empty where the caller is admitted.
    pub reason: String,
    /// What to do next; empty where the caller is admitted.
    pub next_step: String,
    /// Version of the member list that decided.
    pub list_version: u64,
    /// End of that list.
    pub list_expires_at: Timestamp,
    /// The time by which it was decided.
    pub now: Timestamp,
    /// Connections open between the two nodes that the caller opened.
    pub opened_by_caller: u32,
    /// Connections open between the two nodes that the node that tells opened.
    pub opened_by_answerer: u32,
}

impl Verdict {
    /// The word where the caller is admitted.
    pub const ADMITTED: &'static str = "admitted";

    /// Whether the caller is admitted.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.code == Self::ADMITTED
    }
}

/// Words of a peer that an operator will read: bounded, and without control characters.
fn words(field: &'static str, text: String) -> Result<String, Malformed> {
    if text.len() > EXPLAIN_TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let reason = format!("must be at most {EXPLAIN_TEXT_BYTES_MAX} printable bytes");
        return Err(Malformed::new(field, reason));
    }
    Ok(text)
}

impl TryFrom<pb::ExplainResponse> for Verdict {
    type Error = Malformed;

    fn try_from(message: pb::ExplainResponse) -> Result<Self, Malformed> {
        let named = |field| move |error: InvalidName| Malformed::new(field, error.to_string());
        Ok(Self {
            network: message.network.parse().map_err(named("network"))?,
            member: message.member.parse().map_err(named("member"))?,
            code: words("code", message.code)?,
            reason: words("reason", message.reason)?,
            next_step: words("next_step", message.next_step)?,
            list_version: message.list_version,
            list_expires_at: Timestamp::from_unix_ms(message.list_expires_unix_ms),
            now: Timestamp::from_unix_ms(message.now_unix_ms),
            opened_by_caller: message.opened_by_caller,
            opened_by_answerer: message.opened_by_answerer,
        })
    }
}

impl From<Verdict> for pb::ExplainResponse {
    fn from(verdict: Verdict) -> Self {
        Self {
            network: verdict.network.to_string(),
            member: verdict.member.to_string(),
            code: verdict.code,
            reason: verdict.reason,
            next_step: verdict.next_step,
            list_version: verdict.list_version,
            list_expires_unix_ms: verdict.list_expires_at.unix_ms(),
            now_unix_ms: verdict.now.unix_ms(),
            opened_by_caller: verdict.opened_by_caller,
            opened_by_answerer: verdict.opened_by_answerer,
        }
    }
}
