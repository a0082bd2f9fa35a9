//! Changing a member's rights on the next list.

use super::list::{ListError, Member, MemberList};
use super::rights::{Grant, Service};
use crate::domain::{MemberId, Purpose, Timestamp};

/// One change of a member's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RightsChange {
    /// Adds a grant. Purposes that the entry had without an end become a grant without an end.
    Grant(Grant),
    /// Takes these purposes out of everything that the entry grants.
    Withdraw(Vec<Purpose>),
    /// The member is on probation until then.
    ProbationUntil(Timestamp),
    /// The member is warned that its furnishing is late.
    WarnLate(Timestamp),
    /// The warning is taken back.
    TakeWarningBack,
}

impl MemberList {
    /// Changes the rights of a member.
    ///
    /// # Errors
    /// [`ListError::InvalidMember`] where there is no such member, or a rule would be broken; the
    /// list then stays as it was.
    pub fn change_rights(&mut self, id: &MemberId, change: &RightsChange) -> Result<(), ListError> {
        let Some(place) = self.members.iter().position(|member| member.id == *id) else {
            return Err(ListError::InvalidMember {
                member: id.clone(),
                rule: "there is no such member",
            });
        };
        let before = self.members.get(place).cloned();
        if let Some(member) = self.members.get_mut(place) {
            member.change(change);
        }
        self.check().inspect_err(|_| {
            if let (Some(member), Some(before)) = (self.members.get_mut(place), before) {
                *member = before;
            }
        })
    }
}

impl Member {
    fn change(&mut self, change: &RightsChange) {
        match change {
            RightsChange::Grant(grant) => {
                if !self.purposes.is_empty() {
                    self.grants.push(Grant {
                        service: Service::Evaluate,
                        purposes: std::mem::take(&mut self.purposes),
                        until: None,
                        quota_elements_per_epoch: None,
                    });
                }
                self.grants.push(grant.clone());
            }
            RightsChange::Withdraw(purposes) => {
                self.purposes.retain(|one| !purposes.contains(one));
                for grant in &mut self.grants {
                    grant.purposes.retain(|one| !purposes.contains(one));
                }
                self.grants
                    .retain(|one| one.service == Service::Feed || !one.purposes.is_empty());
            }
            RightsChange::ProbationUntil(until) => self.probation_until = Some(*until),
            RightsChange::WarnLate(at) => self.late_warned_at = Some(*at),
            RightsChange::TakeWarningBack => self.late_warned_at = None,
        }
    }
}
