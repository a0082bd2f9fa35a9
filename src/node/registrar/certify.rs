//! The registrar certifies keys, and writes down which, for the revocation list.

use std::sync::{MutexGuard, PoisonError};

use super::desk::{Inner, Outcome, local};
use crate::domain::MemberId;
use crate::membership::{CertificateStatement, Issuance, Member, RequestedKey, Subject};
use crate::node::issued::Issued;
use crate::service::RegistrarRefusal;

impl Inner {
    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on only where the list in force admits the member.
    pub(super) fn require_active(&self, member: &MemberId) -> Outcome<()> {
        let roster = self.trust.roster();
        roster.listed(member).map(|_| ()).map_err(|refusal| {
            RegistrarRefusal::NotNow(format!("{refusal}; {}", refusal.next_step()))
        })
    }

    /// A certificate for a member's key; it is noted before anybody has it.
    pub(super) fn issue(
        &self,
        member: &Member,
        key: &RequestedKey,
        statement: &CertificateStatement,
    ) -> Outcome<String> {
        // The list is looked at under the lock under which revocation lists are made: a list that
        // refuses the member is either seen here, or its revocation list names this certificate.
        let mut issued = self.issued();
        let (root, now) = (self.trust.root(), self.clock.now());
        self.require_active(&member.id)?;
        if !issued.has_room(&member.id, now) {
            return Err(RegistrarRefusal::Full(
                "this member holds 64 certificates that have not ended: let its node renew them by \
                 itself, and wait until some have ended",
            ));
        }
        let subject = Subject {
            network: root.network(),
            role: member.role,
            member: &member.id,
            identity_key: &member.identity_key,
        };
        let issuance = Issuance {
            profile: &self.profile,
            now,
            entropy: &*self.entropy,
        };
        let authority = self.issuing.current().load();
        let chain = authority.issue(&subject, key, statement, &issuance);
        let chain = chain.map_err(local)?;
        issued.note(&member.id, &chain).map_err(local)?;
        drop(issued);
        self.log_certificate(&member.id, *key.spki_sha256(), statement)?;
        Ok(chain)
    }

    /// Writes the revocation list anew. Nodes do not read it, so a list is published all the same
    /// where that fails.
    pub(super) fn write_revoked(&self) {
        let (roster, now) = (self.trust.roster(), self.clock.now());
        let authority = self.issuing.current().load();
        let written = self.issued().write_revoked(&authority, &roster, now);
        if let Err(error) = written {
            tracing::error!(%error, "cannot write the revocation list");
        }
    }
}
