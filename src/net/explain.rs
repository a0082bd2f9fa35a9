//! What a node tells whoever it refuses: whether the caller is admitted, by which list, and what
//! to do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::trust::TrustHandle;
use crate::domain::MemberId;
use crate::limits::{EXPLAIN_CALLS_PER_S, MEMBERS_MAX};
use crate::membership::PeerCertificate;
use crate::wire::Verdict;

/// The path of the one call that needs no admission.
pub(super) const EXPLAIN_PATH: &str = "/creditmesh.v1.Explain/Explain";

/// Whether the holder of a certificate is admitted now, and why not: what the gate leaves in a call
/// of `Explain`.
pub(super) fn verdict(trust: &TrustHandle, certificate: &PeerCertificate) -> Verdict {
    let roster = trust.roster();
    let member = certificate.member();
    let (opened_by_caller, opened_by_answerer) = trust.connections().by_opener(member);
    let admitted = Verdict {
        network: roster.network().clone(),
        member: member.clone(),
        code: Verdict::ADMITTED.to_owned(),
        reason: String::new(),
        next_step: String::new(),
        list_version: u64::from(roster.version()),
        list_expires_at: roster.expires_at(),
        now: trust.clock().now(),
        opened_by_caller: u32::try_from(opened_by_caller).unwrap_or(u32::MAX),
        opened_by_answerer: u32::try_from(opened_by_answerer).unwrap_or(u32::MAX),
    };
    match trust.admit(certificate) {
        Ok(_) => admitted,
        Err(refusal) => Verdict {
            code: refusal.code().to_owned(),
            reason: refusal.to_string(),
            next_step: refusal.next_step().to_owned(),
            ..admitted
        },
    }
}

/// How often each member asked in the current second of the uptime.
#[derive(Debug, Default)]
pub(super) struct ExplainLimit(Mutex<BTreeMap<MemberId, (u64, u32)>>);

impl ExplainLimit {
    /// Counts a call; whether it is within the bound.
    pub(super) fn allows(&self, member: &MemberId, uptime: Duration) -> bool {
        let second = uptime.as_secs();
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MEMBERS_MAX {
            asked.retain(|_, (at, _)| *at == second);
        }
        if asked.len() >= MEMBERS_MAX && !asked.contains_key(member) {
            return false;
        }
        let (at, count) = asked.entry(member.clone()).or_insert((second, 0));
        if *at != second {
            (*at, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        *count <= EXPLAIN_CALLS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_ask_a_few_times_in_each_second() {
        let limit = ExplainLimit::default();
        let (a, b) = ("bank-a".parse().unwrap(), "bank-b".parse().unwrap());
        let at = Duration::from_millis(7_900);
        for _ in 0..EXPLAIN_CALLS_PER_S {
            assert!(limit.allows(&a, at));
        }
        assert!(!limit.allows(&a, at));
        assert!(limit.allows(&b, at), "another member's calls are its own");
        assert!(limit.allows(&a, Duration::from_secs(8)));
    }
}
