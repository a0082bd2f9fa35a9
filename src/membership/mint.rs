//! A whole network minted in one process, on the paths that real members take, for demo, benches
//! and tests.
//!
//! Whoever holds all keys in one place has no security: this is for networks that exist to be
//! looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use super::authority::{Authority, AuthorityError, Issuance, RootAuthority, Subject};
use super::document::{Document, DocumentError, Signed};
use super::draft::Founding;
use super::join::{
    Invitation, JoinError, Joiner, Terms, Welcome, accept_welcome, check_request, request_to_join,
};
use super::key::{CertificateKey, KeyError, RequestedKey};
use super::list::{ListError, MemberList};
use super::network::{Administrator, NetworkRoot, RootDocument, RootError};
use super::profile::{ProfileError, Profiles};
use super::roster::Roster;
use super::statement::CertificateStatement;
use super::trust::{OwnCertificate, TrustError};
use crate::crypto::{IdentityKey, Secret};
use crate::domain::{Currency, InvalidName, Level, MemberId, NetworkId, Purpose, Role, Timestamp};
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::CERTIFICATE_STATEMENT_LIFE;

const LIST_LIFE: Duration = Duration::from_secs(90 * 86_400);
const ADMINISTRATORS: [&str; 3] = ["chair", "secretary", "auditor"];
const THRESHOLD: u32 = 2;

/// A network could not be minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// A certificate key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The root document.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A member list.
    #[error(transparent)]
    List(#[from] ListError),
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A member's joining.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A member's certificate.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Asked for a member that was not minted.
    #[error("{member} is not a member of the minted network; name one of its seats")]
    NoSuchMember {
        /// The name.
        member: MemberId,
    },
}

/// A member that the network shall have.
#[derive(Debug, Clone)]
pub struct Seat {
    /// What the invitation grants.
    pub terms: Terms,
    /// Where its replicas listen.
    pub endpoints: Vec<String>,
}

impl Seat {
    /// A member with full contribution, its own lender group, weight 1, all purposes, and a quota
    /// of two million elements.
    ///
    /// # Errors
    /// [`InvalidName`], which cannot happen as long as ids of members and groups follow one rule.
    pub fn of(member: &MemberId, role: Role, endpoint: &str) -> Result<Self, InvalidName> {
        Ok(Self {
            terms: Terms {
                member: member.clone(),
                role,
                lender_group: member.as_str().parse()?,
                level: Level::Full,
                weight: u32::from(role != Role::Regulator),
                quota_elements_per_epoch: 2_000_000,
                purposes: Purpose::ALL.to_vec(),
            },
            endpoints: vec![endpoint.to_owned()],
        })
    }
}

/// The secrets of one minted member.
#[derive(Debug)]
pub struct MintedMember {
    /// Seed of its identity key.
    pub identity_seed: Secret<32>,
    /// Its identity key.
    pub identity: IdentityKey,
    /// Its TLS key.
    pub key: CertificateKey,
    /// Its certificate chain in PEM.
    pub chain_pem: String,
}

/// A minted network, with everybody's keys.
#[derive(Debug)]
pub struct MintedNetwork {
    /// The network's root.
    pub root: NetworkRoot,
    /// The offline root authority.
    pub root_authority: RootAuthority,
    /// The issuing authority.
    pub authority: Authority,
    /// Seeds of the administrators' keys.
    pub administrator_seeds: Vec<Secret<32>>,
    /// The newest member list.
    pub roster: Roster,
    /// The members' keys.
    pub members: BTreeMap<MemberId, MintedMember>,
    profiles: Profiles,
}

impl MintedNetwork {
    /// Founds a network with three administrators, two of whom sign, and lets every seat join.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn mint(
        network: &NetworkId,
        currency: Currency,
        seats: &[Seat],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, MintError> {
        let profiles = Profiles::embedded()?;
        let root_authority = RootAuthority::found(
            network,
            &Issuance {
                profile: &profiles.root,
                now,
                entropy,
            },
        )?;
        let authority = issuing_under(&root_authority, network, &profiles, now, entropy)?;
        let administrator_seeds = (0..ADMINISTRATORS.len())
            .map(|_| Secret::random(entropy))
            .collect::<Result<Vec<_>, _>>()?;
        let root = found_root(
            network,
            currency,
            &root_authority,
            &administrator_seeds,
            now,
        )?;
        let first = MemberList::first(network, now, LIST_LIFE);
        let roster = signed_roster(&root, &administrator_seeds, first, now)?;
        let mut minted = Self {
            root,
            root_authority,
            authority,
            administrator_seeds,
            roster,
            members: BTreeMap::new(),
            profiles,
        };
        minted.join(seats, now, entropy)?;
        Ok(minted)
    }

    /// Lets more members join, all on one new list.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn join(
        &mut self,
        seats: &[Seat],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), MintError> {
        let mut list = MemberList::following(&self.roster, now, LIST_LIFE);
        let mut arrivals = Vec::new();
        for seat in seats {
            let identity_seed = Secret::random(entropy)?;
            let identity = IdentityKey::from_seed(&identity_seed);
            let key = CertificateKey::generate()?;
            let joiner = Joiner {
                identity: &identity,
                key: &key,
                endpoints: seat.endpoints.clone(),
                dispute: None,
            };
            let request = request_to_join(self.invite(&seat.terms, now, entropy)?, joiner, now)?;
            let applicant = check_request(&self.root, &request, now)?;
            let subject = Subject {
                network: self.root.network(),
                role: applicant.member.role,
                member: &applicant.member.id,
                identity_key: &applicant.member.identity_key,
            };
            let issuance = Issuance {
                profile: &self.profiles.member,
                now,
                entropy,
            };
            let chain_pem =
                self.authority
                    .issue(&subject, &applicant.key, &applicant.statement, &issuance)?;
            arrivals.push((
                applicant.member.id.clone(),
                MintedMember {
                    identity_seed,
                    identity,
                    key,
                    chain_pem,
                },
            ));
            list.enter(applicant.member)?;
        }
        self.roster = signed_roster(&self.root, &self.administrator_seeds, list, now)?;
        for (id, member) in arrivals {
            let welcome = Signed::unsigned(Welcome {
                format: Welcome::FORMAT.to_owned(),
                certificate_chain: member.chain_pem.clone(),
                list: self.roster.signed().clone(),
            });
            accept_welcome(&self.root, &welcome, copy_of(&member.key)?, now)?;
            self.members.insert(id, member);
        }
        Ok(())
    }

    /// An invitation with these terms, good for two days.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn invite(
        &self,
        terms: &Terms,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Signed<Invitation>, MintError> {
        let mut invitation_id = [0; 16];
        entropy.fill(&mut invitation_id)?;
        let mut invitation = Signed::unsigned(Invitation {
            format: Invitation::FORMAT.to_owned(),
            root: self.root.signed().clone(),
            fingerprint: *self.root.fingerprint(),
            invitation_id,
            terms: terms.clone(),
            list_version: self.roster.version(),
            expires_at: now.plus(Duration::from_secs(2 * 86_400)),
        });
        if let Some(seed) = self.administrator_seeds.first() {
            invitation.sign(&IdentityKey::from_seed(seed))?;
        }
        Ok(invitation)
    }

    /// Publishes the next list after `change`; gives its text.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn publish(
        &mut self,
        now: Timestamp,
        change: impl FnOnce(&mut MemberList) -> Result<(), ListError>,
    ) -> Result<String, MintError> {
        let mut list = MemberList::following(&self.roster, now, LIST_LIFE);
        change(&mut list)?;
        self.roster = signed_roster(&self.root, &self.administrator_seeds, list, now)?;
        Ok(self.roster.signed().to_text()?)
    }

    /// The certificate that a member's node shows.
    ///
    /// # Errors
    /// [`MintError::NoSuchMember`] or [`MintError::Trust`].
    pub fn own_certificate(&self, member: &MemberId) -> Result<OwnCertificate, MintError> {
        let minted = self.minted(member)?;
        Ok(OwnCertificate::new(
            &minted.chain_pem,
            copy_of(&minted.key)?,
        )?)
    }

    /// A new certificate for a fresh key of a member, as at a renewal.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn renew(
        &mut self,
        member: &MemberId,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<OwnCertificate, MintError> {
        let listed = self.roster.member(member).cloned();
        let listed = listed.ok_or_else(|| MintError::NoSuchMember {
            member: member.clone(),
        })?;
        let key = CertificateKey::generate()?;
        let requested = RequestedKey::from_pem(&key.request_pem()?)?;
        let network = self.root.network();
        let identity = &self.minted(member)?.identity;
        let spki = key.spki_sha256();
        let statement = CertificateStatement::make(
            identity,
            network,
            member,
            &spki,
            now.plus(CERTIFICATE_STATEMENT_LIFE),
        );
        let subject = Subject {
            network,
            role: listed.role,
            member,
            identity_key: &listed.identity_key,
        };
        let issuance = Issuance {
            profile: &self.profiles.member,
            now,
            entropy,
        };
        let chain_pem = self
            .authority
            .issue(&subject, &requested, &statement, &issuance)?;
        if let Some(minted) = self.members.get_mut(member) {
            minted.key = key;
            minted.chain_pem = chain_pem;
        }
        self.own_certificate(member)
    }

    fn minted(&self, member: &MemberId) -> Result<&MintedMember, MintError> {
        self.members
            .get(member)
            .ok_or_else(|| MintError::NoSuchMember {
                member: member.clone(),
            })
    }
}

fn copy_of(key: &CertificateKey) -> Result<CertificateKey, KeyError> {
    CertificateKey::from_pkcs8(key.pkcs8().expose())
}

fn issuing_under(
    root: &RootAuthority,
    network: &NetworkId,
    profiles: &Profiles,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Authority, MintError> {
    let key = CertificateKey::generate()?;
    let requested = RequestedKey::from_pem(&key.request_pem()?)?;
    let issuance = Issuance {
        profile: &profiles.issuing,
        now,
        entropy,
    };
    let certificate = root.sign_issuing(network, &requested, &issuance)?;
    Ok(Authority::open(&certificate, key)?)
}

fn found_root(
    network: &NetworkId,
    currency: Currency,
    authority: &RootAuthority,
    seeds: &[Secret<32>],
    now: Timestamp,
) -> Result<NetworkRoot, MintError> {
    let administrators = ADMINISTRATORS
        .iter()
        .zip(seeds)
        .map(|(name, seed)| Administrator {
            name: (*name).to_owned(),
            key: IdentityKey::from_seed(seed).public(),
        })
        .collect();
    let founding = Founding {
        network: network.clone(),
        administrators,
        threshold: THRESHOLD,
        authority_pem: authority.certificate_pem().to_owned(),
        freshness_keys: Vec::new(),
        currency,
        population: 100_000_000,
    };
    let mut signed = Signed::unsigned(RootDocument::found(founding, now));
    sign_by_all(&mut signed, seeds)?;
    Ok(NetworkRoot::from_signed(signed, now)?)
}

fn signed_roster(
    root: &NetworkRoot,
    seeds: &[Secret<32>],
    list: MemberList,
    now: Timestamp,
) -> Result<Roster, MintError> {
    let mut signed = Signed::unsigned(list);
    sign_by_all(&mut signed, seeds)?;
    Ok(Roster::verify(root, &signed.to_text()?, now)?)
}

fn sign_by_all<T: Document>(signed: &mut Signed<T>, seeds: &[Secret<32>]) -> Result<(), MintError> {
    for seed in seeds {
        signed.sign(&IdentityKey::from_seed(seed))?;
    }
    Ok(())
}
