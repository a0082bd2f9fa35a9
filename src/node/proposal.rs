//! A next list on its way: checked before anybody is asked to sign it, and told in words.

use super::AdminError;
use super::admin::LIST_LIFE;
use super::administration::{Administration, Look};
use crate::domain::MemberId;
use crate::limits::LIST_LIFE_LEFT_MIN;
use crate::membership::{
    Document, JoinRequest, Member, MemberList, MemberState, NewIdentity, OwnChange, Roster, Signed,
    check_change, check_request, differences,
};
use crate::wire::DeskView;

/// A next list, and what it changes.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub(super) list: Signed<MemberList>,
    /// One sentence for each thing that changes.
    pub differences: Vec<String>,
    /// How many administrators signed it before.
    pub signed: usize,
    /// How many must.
    pub needed: usize,
}

impl Proposal {
    /// The version that the list will have.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.list.document().version
    }

    /// SHA-256 of the list in canonical form: what people name when they sign it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn digest(&self) -> Result<[u8; 32], AdminError> {
        Ok(self.list.digest()?)
    }
}

/// Whether a member keeps its identity keys, or has exactly what its own request, signed by the old
/// key and by the new one, says.
fn has_asked_keys(
    before: &Member,
    after: &Member,
    version: u32,
    (roster, view): (&Roster, &DeskView),
) -> bool {
    let keys = |member: &Member| (member.identity_key, member.former_identity_keys.clone());
    if keys(before) == keys(after) {
        return true;
    }
    let asked = view.changes.iter();
    let mut asked = asked.filter_map(|text| check_change(roster, text).ok());
    let granted = before.with_identity_key(after.identity_key, version);
    let wanted = OwnChange::IdentityKey(NewIdentity {
        key: after.identity_key,
    });
    keys(&granted) == keys(after)
        && asked.any(|change| change.member == after.id && change.change == wanted)
}

impl Administration {
    /// The entry that this applicant's own request and the invitation give it.
    pub(super) fn applicant(
        &self,
        view: &DeskView,
        member: &MemberId,
    ) -> Result<Option<Member>, AdminError> {
        for text in &view.requests {
            let request = Signed::<JoinRequest>::parse(text)?;
            if request.document().invitation.document().terms.member == *member {
                let invitation = request.document().invitation.document();
                let root = self.root_with(&invitation.fingerprint);
                return Ok(Some(check_request(root, &request, self.now())?.member));
            }
        }
        Ok(None)
    }

    /// Checks a next list before it is shown or signed: it follows the one in force, and who enters
    /// does so as its own request says.
    pub(super) fn checked(
        &self,
        list: Signed<MemberList>,
        roster: &Roster,
        view: &DeskView,
    ) -> Result<Proposal, AdminError> {
        let next = list.document();
        next.check()?;
        let follows = next.network == *roster.network()
            && next.version == roster.version().saturating_add(1)
            && next.previous == Some(*roster.digest());
        let stays = |one: &Member| next.member(&one.id).is_some();
        if !follows || !roster.list().members.iter().all(stays) {
            return Err(AdminError::Nothing(
                "a proposal does not follow the list in force: do not sign it".to_owned(),
            ));
        }
        if next.expires_at < self.now().plus(LIST_LIFE_LEFT_MIN) {
            return Err(AdminError::Nothing(format!(
                "it would stop the whole network on {}: do not sign it",
                next.expires_at
            )));
        }
        let mut differences = differences(roster.list(), next);
        if differences.is_empty() {
            differences.push("no member changes: the list is signed anew".to_owned());
        }
        if next.expires_at < self.now().plus(LIST_LIFE - LIST_LIFE_LEFT_MIN) {
            differences.push(format!("it counts until {} only", next.expires_at));
        }
        for member in roster.departures().members() {
            let said = next.member(member).map(|entry| entry.state);
            if said != Some(MemberState::Removed) {
                return Err(AdminError::Nothing(format!(
                    "the proposal keeps {member}, which has left: do not sign it"
                )));
            }
            let at = roster.departures().left_at(member);
            let at = at.map_or(String::new(), |at| at.to_string());
            differences.push(format!("{member} left by its own signature at {at}"));
        }
        for member in &next.members {
            let as_asked = match roster.member(&member.id) {
                None => self.applicant(view, &member.id)?.as_ref() == Some(member),
                Some(before) => has_asked_keys(before, member, next.version, (roster, view)),
            };
            if !as_asked {
                return Err(AdminError::Nothing(format!(
                    "the proposal enters {} or its identity key otherwise than its own request \
                     says: do not sign it",
                    member.id
                )));
            }
        }
        Ok(Proposal {
            differences,
            signed: list.valid_signatures(&self.root().administrator_keys())?,
            needed: self.root().threshold(),
            list,
        })
    }

    /// Every next list that waits for signatures, and why others that wait are not to be signed.
    ///
    /// # Errors
    /// [`AdminError`] where no registrar answers; a bad proposal is none.
    pub async fn proposals(&mut self) -> Result<(Vec<Proposal>, Vec<String>), AdminError> {
        let Look { roster, view } = self.look().await?;
        let (mut proposals, mut refused) = (Vec::new(), Vec::new());
        for text in &view.proposals {
            let parsed = Signed::<MemberList>::parse(text);
            let signers = parsed
                .as_ref()
                .map_or(String::new(), |list| self.signers(list));
            let checked = parsed.map_err(AdminError::from);
            match checked.and_then(|list| self.checked(list, &roster, &view)) {
                Ok(proposal) => proposals.push(proposal),
                Err(error) => refused.push(format!("a list signed by {signers} waits: {error}")),
            }
        }
        Ok((proposals, refused))
    }

    /// Names of the administrators who signed a document.
    pub(super) fn signers<T: Document>(&self, document: &Signed<T>) -> String {
        let administrators = self.root().document().administrators.iter();
        let signed = administrators.filter(|one| {
            let valid = document.valid_signatures(&[one.key]);
            valid.is_ok_and(|count| count == 1)
        });
        let names: Vec<&str> = signed.map(|one| one.name.as_str()).collect();
        names.join(", ")
    }
}
