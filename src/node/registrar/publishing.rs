//! How a member list is put in force: kept aside, logged, then published. A registrar that is
//! killed in between, or has no room, goes on there: the log names no list that another one
//! replaces.

use std::path::PathBuf;

use super::desk::{Inner, Outcome, document, local, still_wanted};
use super::files::Files;
use crate::membership::{MemberList, Roster, Signed, Supersession};
use crate::node::join::replace;
use crate::node::read_text;

impl Inner {
    /// The list that is being published.
    fn publishing(&self) -> PathBuf {
        self.folder.join("registrar/publishing.json")
    }

    /// Puts a list that has its signatures in force.
    pub(super) fn publish(&self, files: &mut Files, signed: &Signed<MemberList>) -> Outcome<()> {
        self.mend_log()?;
        self.finish_publication(files)?;
        if signed.digest().map_err(document)? == *self.trust.roster().digest() {
            return Ok(());
        }
        let text = signed.to_text().map_err(local)?;
        let roster = Roster::verify(&self.trust.root(), &text, self.clock.now());
        let roster = roster.map_err(document)?;
        roster.supersedes(&self.trust.roster()).map_err(document)?;
        let version = roster.version();
        replace(&self.publishing(), text.as_bytes()).map_err(|error| {
            local(format!(
                "member list {version} is neither published nor kept: {error}; give the command \
                 again once there is room"
            ))
        })?;
        self.put_in_force(files, &roster, &text)
    }

    /// Goes on with a publication that was cut short, if the list kept aside is still the next one.
    pub(super) fn finish_publication(&self, files: &mut Files) -> Outcome<()> {
        let Ok(text) = read_text(&self.publishing()) else {
            return Ok(());
        };
        let roster = Roster::verify(&self.trust.root(), &text, self.clock.now());
        let follows = |roster: &Roster| {
            let held = self.trust.roster();
            roster.supersedes(&held).ok() == Some(Supersession::Newer)
        };
        match roster.ok().filter(follows) {
            Some(roster) => self.put_in_force(files, &roster, &text),
            None => Ok(()),
        }
    }

    fn put_in_force(&self, files: &mut Files, roster: &Roster, text: &str) -> Outcome<()> {
        let version = roster.version();
        let kept = |error: &dyn std::fmt::Display| {
            local(format!(
                "member list {version} is not in force yet: {error}. It has its signatures and is \
                 kept: the registrar publishes it by itself once it can write again"
            ))
        };
        self.log_list(roster).map_err(|error| kept(&error))?;
        replace(&self.members_path, text.as_bytes()).map_err(|error| kept(&error))?;
        self.trust.install(text).map_err(local)?;
        // One that stays is no longer the next one, and is passed over.
        drop(std::fs::remove_file(self.publishing()));
        self.write_revoked();
        self.nodes().published = Some((roster.version(), self.clock.uptime()));
        files.overtake(|change| !still_wanted(roster, change));
        self.prune_departures(files);
        self.state_freshness(true);
        self.tell();
        tracing::info!(version = roster.version(), "member list published");
        Ok(())
    }
}
