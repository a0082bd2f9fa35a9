//! Members that leave: kept first, then in force and pushed, at once and without an administrator.

use super::desk::{Inner, Outcome, document, local};
use super::files::Files;
use crate::membership::{DepartureError, Departures, MemberList, MemberState};
use crate::service::RegistrarRefusal;

/// The first member that left and that a next list does not name as removed.
fn forgotten(departures: &Departures, list: &MemberList) -> Option<String> {
    let mut left = departures.members();
    let stays = |state| state != MemberState::Removed;
    let stays = |id: &&_| list.member(id).is_none_or(|entry| stays(entry.state));
    left.find(stays).map(ToString::to_string)
}

impl Inner {
    /// Takes a member's departure: it counts once this returns.
    pub(super) fn take_departure(&self, text: &str) -> Outcome<()> {
        let mut files = self.files();
        let roster = self.trust.roster();
        let next = roster.departures().with(&roster, text, self.now());
        let Some((next, member)) = next.map_err(|error| {
            if error == DepartureError::Full {
                RegistrarRefusal::NotNow(error.to_string())
            } else {
                document(error)
            }
        })?
        else {
            return Ok(());
        };
        files.keep_departures(&next)?;
        let departed = self.trust.install_departures(&[text.to_owned()]);
        if let Some(error) = departed.refused.first() {
            return Err(local(error));
        }
        self.write_revoked();
        files.forget_where(&member, |list| forgotten(&next, list).is_some());
        self.tell();
        tracing::info!(%member, "a member left");
        Ok(())
    }

    /// Goes on only where a next list says all departures that are known here.
    pub(super) fn says_departures(&self, list: &MemberList) -> Outcome<()> {
        let departures = self.trust.departures();
        forgotten(&departures, list).map_or(Ok(()), |member| {
            Err(RegistrarRefusal::NotNow(format!(
                "{member} has left since, and this list keeps it: look again, and sign a new one"
            )))
        })
    }

    /// Keeps only the departures that the list in force does not say.
    pub(super) fn prune_departures(&self, files: &mut Files) {
        if let Err(error) = files.keep_departures(&self.trust.departures()) {
            tracing::warn!(%error, "departures that the list says now stay on disk");
        }
    }
}
