//! The members whose answers are weighed: what each tells, and whether it was heard in full.

use super::facts::Facts;
use super::trust::{self, Doubt};
use super::{AskerContext, PeerView, Policy, Seen};
use crate::domain::{
    CountName, Coverage, GroupCode, Level, MemberId, Role, Silent, SilentReason, Timestamp,
};

/// A member that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) member: MemberId,
    pub(crate) group: GroupCode,
    pub(crate) is_bureau: bool,
    pub(crate) level: Level,
    pub(crate) weight: u32,
    pub(crate) silent: Option<SilentReason>,
    /// It answered from a state that is no longer current.
    pub(crate) behind: bool,
    /// It answered from a state that is old enough to warn of.
    pub(crate) stale: bool,
    /// How much its word weighs, in thousandths.
    pub(crate) trust: u32,
    /// How much its word weighs where it is about a default, delinquency or fraud.
    pub(crate) trust_adverse: u32,
    /// Why that is less.
    pub(crate) doubt: Option<Doubt>,
    pub(crate) national: Option<Facts>,
    pub(crate) phone: Option<Facts>,
}

impl Witness {
    pub(crate) const fn facts(&self, by_phone: bool) -> Option<&Facts> {
        if by_phone {
            self.phone.as_ref()
        } else {
            self.national.as_ref()
        }
    }

    /// Whether it may have more to tell, at whatever level.
    pub(crate) const fn is_heard(&self) -> bool {
        self.silent.is_none() && !self.behind
    }
}

/// All that a conclusion is drawn from.
#[derive(Debug, Clone)]
pub(crate) struct Bench<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) asker: &'a AskerContext,
    pub(crate) own_group: GroupCode,
    pub(crate) witnesses: Vec<&'a Witness>,
    pub(crate) now: Timestamp,
}

impl<'a> Bench<'a> {
    /// The same, with these witnesses only.
    pub(crate) fn with(&self, witnesses: Vec<&'a Witness>) -> Self {
        Self {
            witnesses,
            ..self.clone()
        }
    }

    /// Whether the policy's amounts are in the currency of the network's bands.
    pub(crate) fn amounts_compare(&self) -> bool {
        self.policy.currency == self.asker.bands.currency
    }

    /// Whether the asker's level shows a count at all.
    pub(crate) fn shows(&self, name: CountName) -> bool {
        self.asker.level == Level::Full || is_told_at_defaults(name)
    }

    /// Whether a member was heard in full about a count.
    pub(crate) fn hears(&self, witness: &Witness, name: CountName) -> bool {
        self.hears_at(witness, is_told_at_defaults(name))
    }

    /// Whether a member was heard in full about something that is, or is not, told by members
    /// that contribute defaults only.
    pub(crate) fn hears_at(&self, witness: &Witness, told_at_defaults: bool) -> bool {
        witness.is_heard() && (witness.level == Level::Full || told_at_defaults)
    }

    pub(crate) fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        for witness in &self.witnesses {
            let weight = u64::from(witness.weight);
            coverage.asked = coverage.asked.saturating_add(1);
            coverage.asked_weight = coverage.asked_weight.saturating_add(weight);
            if let Some(reason) = witness.silent {
                let named = self.policy.show_members;
                let member = named.then(|| witness.member.clone());
                coverage.silent.push(Silent { member, reason });
            } else {
                coverage.answered = coverage.answered.saturating_add(1);
                coverage.answered_weight = coverage.answered_weight.saturating_add(weight);
            }
        }
        coverage.silent.sort();
        coverage
    }
}

const fn is_told_at_defaults(name: CountName) -> bool {
    matches!(
        name,
        CountName::ActiveDefaults | CountName::PhoneActiveDefaults
    )
}

/// The members that count, in the order of their names: no regulators, and no lender of the
/// asker's own group.
pub(crate) fn summon(
    policy: &Policy,
    asker: &AskerContext,
    peers: &[PeerView],
    now: Timestamp,
) -> Vec<Witness> {
    let mut witnesses: Vec<Witness> = peers
        .iter()
        .filter(|peer| match peer.role {
            Role::Lender => peer.lender_group != asker.lender_group,
            Role::Bureau => true,
            Role::Regulator => false,
        })
        .map(|peer| witness(policy, asker, peer, now))
        .collect();
    witnesses.sort_by(|a, b| a.member.cmp(&b.member));
    witnesses
}

fn witness(policy: &Policy, asker: &AskerContext, peer: &PeerView, now: Timestamp) -> Witness {
    let group = GroupCode::of(&asker.network, &peer.lender_group);
    let mut witness = Witness {
        member: peer.member.clone(),
        group,
        is_bureau: peer.role == Role::Bureau,
        level: peer.level,
        weight: peer.weight,
        silent: (!asker.asked_national).then_some(SilentReason::NoNationalId),
        behind: false,
        stale: false,
        trust: trust::weight_per_mille(peer.standing.upheld, peer.standing.overturned),
        trust_adverse: 0,
        doubt: None,
        national: None,
        phone: None,
    };
    let mut taken_on = None;
    match &peer.seen {
        Seen::Silent { reason } => witness.silent = Some(*reason),
        Seen::Answered {
            national,
            phone,
            as_of,
            taken_on: newest,
        } => {
            taken_on = *newest;
            let age = now.since(*as_of);
            witness.behind = age > policy.current_within;
            witness.stale = age > policy.stale_after;
            if age > policy.missing_after {
                witness.silent = Some(SilentReason::Stale);
            }
            let facts = |summary: &Option<Box<_>>| {
                let summary = summary.as_ref()?;
                Facts::of(summary, group, &asker.bands)
            };
            // What a missing member once told may be wrong by now: it is not used at all.
            if age <= policy.missing_after {
                witness.national = facts(national).filter(|_| asker.asked_national);
                witness.phone = facts(phone);
            }
        }
    }
    let told = [&witness.national, &witness.phone];
    let made = told.into_iter().flatten().map(|facts| facts.made).max();
    witness.doubt = made.and_then(|made| Doubt::of(&peer.standing, made, taken_on));
    witness.trust_adverse = Doubt::weight(witness.doubt, witness.trust);
    witness
}
