//! Administrators at work through a registrar: invite, see what changes, sign, publish.
//!
//! The registrar decides nothing: the next list is made and signed here, by the administrators'
//! own keys, and everything that came from the registrar is checked before it is signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::admin::{INVITATION_LIFE, LIST_LIFE};
use super::proposal::Proposal;
use super::registrar::registrar_config;
use super::registrars::{Registrars, Unreached};
use super::root_administration::must_sign_anew;
use super::{AdminError, NodeError};
use crate::crypto::sha256;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, Entropy};
use crate::limits::ACKNOWLEDGEMENT_DEADLINE;
use crate::membership::{
    Departures, Document, Invitation, InvitationToken, JoinRequest, MemberList, MemberState,
    NewIdentity, OwnChange, RightsChange, Roster, Signed, SigningKey, Terms, check_change,
    request_desk,
};
use crate::wire::{DeskView, InvitationKey, Standing, Tally};

/// How often a removal looks whether the nodes have acknowledged.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// What an administrator wants to have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberWish {
    /// What this member waits for: to join, or its own change.
    Approve(MemberId),
    /// Other rights.
    Rights(MemberId, RightsChange),
    /// Another state.
    State(MemberId, MemberState),
}

/// One or more administrators, connected to the network's registrar.
#[derive(Debug)]
pub struct Administration {
    pub(super) registrars: Registrars,
    addresses: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) keys: Vec<SigningKey>,
    clock: Arc<dyn Clock>,
}

/// Goes on only where an id was never given.
pub(super) fn not_listed(roster: &Roster, member: &MemberId) -> Result<(), AdminError> {
    match roster.member(member) {
        None => Ok(()),
        Some(_) => Err(AdminError::Nothing(format!(
            "{member} is on the member list already, and an id is given once"
        ))),
    }
}

/// Goes on only where a member is not in this state already.
pub(super) fn not_already(
    roster: &Roster,
    member: &MemberId,
    state: MemberState,
) -> Result<(), AdminError> {
    let entry = roster.member(member);
    if entry.is_none_or(|entry| entry.state != state) {
        return Ok(());
    }
    let word = match state {
        MemberState::Active => "active",
        MemberState::Suspended => "suspended",
        MemberState::Removed => "removed",
    };
    Err(AdminError::Nothing(format!(
        "{member} is {word} already: nothing changes"
    )))
}

/// What lies on the desk, checked: the list in force is the administrators' own.
pub(super) struct Look {
    pub(super) roster: Roster,
    pub(super) view: DeskView,
}

impl Administration {
    /// Connects to the registrars that the folder names; `keys` are those that will sign.
    ///
    /// # Errors
    /// [`AdminError`]; in particular where none of them answers.
    pub async fn open(
        folder: &Path,
        keys: Vec<SigningKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AdminError> {
        let config = registrar_config(folder)?.ok_or_else(|| {
            NodeError::Folder(format!("{} has no registrar.toml", folder.display()))
        })?;
        let registrars = Registrars::connect(folder, &config.addresses, &clock).await?;
        let administrators = registrars.root.administrator_keys();
        let is_named = |key: &SigningKey| administrators.contains(&key.key().public());
        // A named key first: it signs the look at the desk.
        let (named, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_named);
        if named.is_empty() {
            return Err(AdminError::NoKey);
        }
        Ok(Self {
            registrars,
            addresses: config.addresses,
            folder: folder.to_owned(),
            keys: named.into_iter().chain(others).collect(),
            clock,
        })
    }

    /// The registrars that did not answer.
    #[must_use]
    pub fn unreached(&self) -> &[Unreached] {
        self.registrars.unreached()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn desk_request(&self) -> Result<String, AdminError> {
        let key = self.keys.first().ok_or(AdminError::NoKey)?;
        Ok(request_desk(key.key(), self.root().network(), self.now())?)
    }

    pub(super) async fn look(&mut self) -> Result<Look, AdminError> {
        let request = self.desk_request()?;
        let view = self.registrars.desk(&request).await?;
        let roster = self.list_in_force(&view.list)?;
        // Each proves itself here: what the registrar made up removes nobody.
        let mut departures = Departures::default();
        for text in &view.departures {
            if let Ok(Some((next, _))) = departures.with(&roster, text, self.now()) {
                departures = next;
            }
        }
        let roster = roster.with_departures(&departures);
        Ok(Look { roster, view })
    }

    /// The member list in force.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn roster(&mut self) -> Result<Roster, AdminError> {
        Ok(self.look().await?.roster)
    }

    /// Invites a member: good once, for 48 hours. Gives the token, which is secret.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn invite(
        &mut self,
        terms: Terms,
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<String>, AdminError> {
        let roster = self.roster().await?;
        not_listed(&roster, &terms.member)?;
        let mut invitation_id = [0; 16];
        entropy.fill(&mut invitation_id)?;
        let mut invitation = Signed::unsigned(Invitation {
            format: Invitation::FORMAT.to_owned(),
            root: self.root().signed().clone(),
            fingerprint: *self.root().fingerprint(),
            invitation_id,
            terms,
            list_version: roster.version(),
            expires_at: self.now().plus(INVITATION_LIFE),
        });
        self.sign(&mut invitation)?;
        let key = InvitationKey {
            id: invitation_id,
            secret: InvitationToken::fresh_secret(entropy)?,
        };
        let digest = sha256(key.secret.expose());
        let text = invitation.to_text()?;
        self.registrars.first()?.invite(&text, &digest).await?;
        let token = InvitationToken {
            network: self.root().network().clone(),
            fingerprint: *self.root().fingerprint(),
            registrars: self.addresses.clone(),
            invitation_id,
            secret: key.secret,
        };
        Ok(token.to_text())
    }

    fn sign<T: Document>(&self, document: &mut Signed<T>) -> Result<(), AdminError> {
        for key in &self.keys {
            document.sign(key.key())?;
        }
        Ok(())
    }

    /// The next list with what is wished: the one that waits for signatures already, or a new one.
    ///
    /// # Errors
    /// [`AdminError`]; in particular [`AdminError::Nothing`] where there is nothing to change.
    pub async fn propose(&mut self, wish: &MemberWish) -> Result<Proposal, AdminError> {
        let Look { roster, view } = self.look().await?;
        let mut list = self.following(&roster);
        match wish {
            MemberWish::State(member, state) => {
                not_already(&roster, member, *state)?;
                list.set_state(member, *state)?;
            }
            MemberWish::Rights(member, change) => list.change_rights(member, change)?,
            MemberWish::Approve(member) => self.approve(&mut list, &roster, &view, member)?,
        }
        if list.members == roster.list().members {
            return Err(AdminError::Nothing(
                "this is so already: nothing changes".to_owned(),
            ));
        }
        for text in &view.proposals {
            // One that would end much sooner than this one is not what was wished.
            let lasts = list.expires_at.minus(LIST_LIFE / 3);
            if let Ok(held) = Signed::<MemberList>::parse(text)
                && held.document().members == list.members
                && held.document().expires_at >= lasts
                && let Ok(checked) = self.checked(held, &roster, &view)
            {
                return Ok(checked);
            }
        }
        self.checked(Signed::unsigned(list), &roster, &view)
    }

    fn approve(
        &self,
        list: &mut MemberList,
        roster: &Roster,
        view: &DeskView,
        member: &MemberId,
    ) -> Result<(), AdminError> {
        if roster.departures().left_at(member).is_some() {
            // The list that follows has it removed.
            return Ok(());
        }
        if let Some(applicant) = self.applicant(view, member)? {
            return Ok(list.enter(applicant)?);
        }
        for text in &view.changes {
            let Ok(change) = check_change(roster, text) else {
                continue;
            };
            if change.member != *member {
                continue;
            }
            let version = list.version;
            if let Some(entry) = list.members.iter_mut().find(|one| one.id == *member) {
                match change.change {
                    OwnChange::Endpoints(endpoints) => entry.endpoints = endpoints,
                    OwnChange::IdentityKey(NewIdentity { key }) => {
                        *entry = entry.with_identity_key(key, version);
                    }
                }
            }
            return Ok(());
        }
        Err(AdminError::Nothing(format!(
            "{member} waits for nothing: it must answer its invitation with `creditmesh node join` \
             first"
        )))
    }

    /// Who waits for an approval: applicants and members that want a change.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn waiting(&mut self) -> Result<Vec<MemberId>, AdminError> {
        let Look { roster, view } = self.look().await?;
        let mut waiting = Vec::new();
        for text in &view.requests {
            let request = Signed::<JoinRequest>::parse(text)?;
            waiting.push(
                request
                    .document()
                    .invitation
                    .document()
                    .terms
                    .member
                    .clone(),
            );
        }
        waiting.extend(roster.departures().members().cloned());
        let changes = view.changes.iter();
        let changes = changes.filter_map(|text| check_change(&roster, text).ok());
        waiting.extend(changes.map(|change| change.member));
        Ok(waiting)
    }

    /// Signs with every key at hand and puts the list: it is published once enough signed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put(&mut self, mut proposal: Proposal) -> Result<Tally, AdminError> {
        self.sign(&mut proposal.list)?;
        let request = self.desk_request()?;
        let text = proposal.list.to_text()?;
        self.registrars.put_list(&text, &request).await
    }

    /// The list that follows and changes nothing, under the root in force.
    fn following(&self, roster: &Roster) -> MemberList {
        MemberList {
            root_version: self.root().version(),
            ..MemberList::following(roster, self.now(), LIST_LIFE)
        }
    }

    /// Where those who signed the list in force are administrators no longer, proposes the same
    /// list anew, signed by every key at hand.
    pub(super) async fn sign_list_anew(&mut self) -> Result<(), AdminError> {
        if self.keys.is_empty() {
            // The administrator whose key was replaced ran this; the others sign the list.
            return Ok(());
        }
        let Look { roster, view } = self.look().await?;
        if !must_sign_anew(self.root(), &view.list, self.now()) {
            return Ok(());
        }
        let proposal = self.checked(Signed::unsigned(self.following(&roster)), &roster, &view)?;
        self.put(proposal).await.map(|_| ())
    }

    /// Waits until every node that follows the registrar has acknowledged `version`, at most ten
    /// seconds; gives how far each active member's node is.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn acknowledged(&mut self, version: u32) -> Result<Vec<Standing>, AdminError> {
        let until = Instant::now() + ACKNOWLEDGEMENT_DEADLINE;
        loop {
            let nodes = self.look().await?.view.nodes;
            let waits = |node: &Standing| node.follows && node.list_version < version;
            if !nodes.iter().any(waits) || Instant::now() >= until {
                return Ok(nodes);
            }
            sleep(LOOK).await;
        }
    }
}
