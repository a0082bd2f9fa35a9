//! The verified member list, and the one way to a verified peer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::certificate::PeerCertificate;
use super::departure::Departures;
use super::document::Signed;
use super::list::{ListError, Member, MemberList, MemberState};
use super::network::NetworkRoot;
use super::refusal::Refusal;
use super::rights::{Denial, Granted, Rights, Service, Wish};
use crate::domain::{MemberId, NetworkId, Role, Timestamp};
use crate::limits::CLOCK_SKEW_MAX;

/// A member list that enough administrators signed and that keeps all rules.
#[derive(Debug, Clone)]
pub struct Roster {
    signed: Signed<MemberList>,
    digest: [u8; 32],
    entries: BTreeMap<MemberId, Arc<Member>>,
    departures: Departures,
}

/// How an offered list stands to the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supersession {
    /// It replaces it.
    Newer,
    /// It is the same list.
    Same,
}

impl Roster {
    /// Reads and checks a member list that is to be put in force.
    ///
    /// # Errors
    /// [`ListError`], whose variant names the one thing that is wrong.
    pub fn verify(root: &NetworkRoot, text: &str, now: Timestamp) -> Result<Self, ListError> {
        let roster = Self::verify_kept(root, text, now)?;
        if roster.expires_at() <= now {
            return Err(ListError::Expired {
                version: roster.version(),
                since: roster.expires_at(),
            });
        }
        Ok(roster)
    }

    /// As [`Self::verify`], for the list that this node had in force before: where it has expired
    /// since, the node still starts, and admits nobody until a newer one arrives.
    ///
    /// # Errors
    /// As [`Self::verify`], without [`ListError::Expired`].
    pub fn verify_kept(root: &NetworkRoot, text: &str, now: Timestamp) -> Result<Self, ListError> {
        let signed = Signed::<MemberList>::parse(text)?;
        let list = signed.document();
        if list.network != *root.network() {
            return Err(ListError::OtherNetwork {
                found: list.network.clone(),
                own: root.network().clone(),
            });
        }
        if list.root_version > root.version() {
            return Err(ListError::NewerRoot {
                stated: list.root_version,
                held: root.version(),
            });
        }
        signed.require(&root.administrator_keys(), root.threshold())?;
        list.check()?;
        if list.issued_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(ListError::IssuedInFuture {
                issued_at: list.issued_at,
                now,
            });
        }
        let digest = signed.digest()?;
        let entries = list
            .members
            .iter()
            .map(|member| (member.id.clone(), Arc::new(member.clone())))
            .collect();
        Ok(Self {
            signed,
            digest,
            entries,
            departures: Departures::default(),
        })
    }

    /// The same list, where these members have left since: they are refused as if it said so.
    #[must_use]
    pub fn with_departures(mut self, departures: &Departures) -> Self {
        self.departures = departures.beyond(&self);
        self
    }

    /// The departures that the list does not say yet.
    #[must_use]
    pub const fn departures(&self) -> &Departures {
        &self.departures
    }

    /// Checks that this list may replace `held`.
    ///
    /// # Errors
    /// [`ListError::RolledBack`], [`ListError::Forked`], [`ListError::WrongPrevious`],
    /// [`ListError::OlderRoot`] or [`ListError::IssuedBackwards`].
    pub fn supersedes(&self, held: &Self) -> Result<Supersession, ListError> {
        let version = self.version();
        if version < held.version() {
            return Err(ListError::RolledBack {
                held: held.version(),
                offered: version,
            });
        }
        if version == held.version() {
            return if self.digest == held.digest {
                Ok(Supersession::Same)
            } else {
                Err(ListError::Forked { version })
            };
        }
        let follows = version == held.version().saturating_add(1);
        if follows && self.list().previous != Some(held.digest) {
            return Err(ListError::WrongPrevious { version });
        }
        let (stated, under) = (self.list().root_version, held.list().root_version);
        if stated < under {
            return Err(ListError::OlderRoot {
                stated,
                held: under,
            });
        }
        if self.list().issued_at < held.list().issued_at {
            return Err(ListError::IssuedBackwards { version });
        }
        Ok(Supersession::Newer)
    }

    /// Admits the holder of a certificate whose chain and possession TLS has checked. This is the
    /// only place where a [`VerifiedPeer`] is made.
    ///
    /// # Errors
    /// [`Refusal`], whose variant names the reason.
    pub fn admit(
        &self,
        certificate: &PeerCertificate,
        now: Timestamp,
    ) -> Result<VerifiedPeer, Refusal> {
        self.check_life(now)?;
        let network = self.network();
        if certificate.network() != network {
            return Err(Refusal::NameMismatch {
                found: certificate.network().to_string(),
                wanted: network.to_string(),
            });
        }
        let id = certificate.member();
        let member = self.active(id)?;
        if now < certificate.not_before() {
            return Err(Refusal::NotYetValid {
                member: id.clone(),
                from: certificate.not_before(),
                clock: now,
            });
        }
        if now >= certificate.not_after() {
            return Err(Refusal::CertificateExpired {
                member: id.clone(),
                since: certificate.not_after(),
            });
        }
        if certificate.role() != member.role {
            return Err(Refusal::RoleMismatch {
                member: id.clone(),
                certified: certificate.role(),
                listed: member.role,
            });
        }
        if !certificate.is_stated_by(&member.identity_key) {
            return Err(Refusal::KeyNotStatedByIdentity { member: id.clone() });
        }
        Ok(VerifiedPeer {
            entry: Arc::clone(member),
            list_version: self.version(),
        })
    }

    /// Goes on only while the list counts.
    ///
    /// # Errors
    /// [`Refusal::ListExpired`].
    pub(super) fn check_life(&self, now: Timestamp) -> Result<(), Refusal> {
        let since = self.expires_at();
        if since <= now {
            return Err(Refusal::ListExpired { since });
        }
        Ok(())
    }

    /// As [`Self::admit`], where a certain member was called.
    ///
    /// # Errors
    /// As [`Self::admit`], and [`Refusal::NameMismatch`] where somebody else answered.
    pub fn admit_as(
        &self,
        wanted: &MemberId,
        certificate: &PeerCertificate,
        now: Timestamp,
    ) -> Result<VerifiedPeer, Refusal> {
        if certificate.member() != wanted {
            return Err(Refusal::NameMismatch {
                found: certificate.member().to_string(),
                wanted: wanted.to_string(),
            });
        }
        self.admit(certificate, now)
    }

    /// The entry of an active member.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`], [`Refusal::Suspended`], [`Refusal::Removed`] or [`Refusal::Left`].
    pub fn listed(&self, id: &MemberId) -> Result<&Member, Refusal> {
        self.active(id).map(Arc::as_ref)
    }

    fn active(&self, id: &MemberId) -> Result<&Arc<Member>, Refusal> {
        let member = self
            .entries
            .get(id)
            .ok_or_else(|| Refusal::NotAMember { member: id.clone() })?;
        if let Some(at) = self.departures.left_at(id) {
            let member = id.clone();
            return Err(Refusal::Left { member, at });
        }
        match member.state {
            MemberState::Active => Ok(member),
            MemberState::Suspended => Err(Refusal::Suspended { member: id.clone() }),
            MemberState::Removed => Err(Refusal::Removed { member: id.clone() }),
        }
    }

    /// The entry with this id, whatever its state.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.entries.get(id).map(Arc::as_ref)
    }

    /// The active lenders and bureaus other than `own`, in the order of their ids: whom a node
    /// asks.
    pub fn peers_of<'a>(&'a self, own: &'a MemberId) -> impl Iterator<Item = &'a Member> {
        self.entries.keys().filter_map(move |id| {
            self.listed(id)
                .ok()
                .filter(|member| member.id != *own && member.role != Role::Regulator)
        })
    }

    /// The suspended lenders and bureaus other than `own`: they know what they know, and are not
    /// asked.
    pub fn suspended_of<'a>(&'a self, own: &'a MemberId) -> impl Iterator<Item = &'a Member> {
        self.entries
            .values()
            .map(Arc::as_ref)
            .filter(move |member| {
                member.state == MemberState::Suspended
                    && self.departures.left_at(&member.id).is_none()
                    && member.id != *own
                    && member.role != Role::Regulator
            })
    }

    /// The list.
    #[must_use]
    pub const fn list(&self) -> &MemberList {
        self.signed.document()
    }

    /// The list with its signatures.
    #[must_use]
    pub const fn signed(&self) -> &Signed<MemberList> {
        &self.signed
    }

    /// The network's id.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.list().network
    }

    /// The list's version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.list().version
    }

    /// From when nobody is admitted by this list.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.list().expires_at
    }

    /// SHA-256 of the list's canonical form, which the next version names.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Proof that a peer was admitted, with the entry that the list had of it at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPeer {
    entry: Arc<Member>,
    list_version: u32,
}

impl VerifiedPeer {
    /// Who it is.
    #[must_use]
    pub fn member(&self) -> &MemberId {
        &self.entry.id
    }

    /// What it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.entry.role
    }

    /// Decides whether it may, and under which terms.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn may(&self, wish: &Wish) -> Result<Granted, Denial> {
        Rights::of(&self.entry, self.list_version).to(wish)
    }

    /// Goes on only where it has the service at all, for whichever purpose.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn reaches(&self, service: Service, at: Timestamp) -> Result<(), Denial> {
        Rights::of(&self.entry, self.list_version).reach(service, at)
    }

    /// The version of the list that admitted it.
    #[must_use]
    pub const fn list_version(&self) -> u32 {
        self.list_version
    }
}
