//! The administrators' folder: found a network, invite, approve, change a member's state. All by
//! file.
//!
//! ```text
//! network.json          the root document in force
//! roots/N.json          every version of it, from the first exchange on
//! members.json          the newest member list
//! passphrase            opens everything secret here; --passphrase-file names another place
//! keyring.json          wraps the key that seals the administrators' seeds
//! administrators/*.key  the administrators' Ed25519 seeds, sealed
//! authority/            root and issuing certificates, and their keys as encrypted PKCS#8
//! authority/next/       the same of the next X.509 root, while it is exchanged
//! used-invitations      numbers of the invitations that were used
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::NodeError;
use super::admin_keys::{
    NetworkKeys, ensure_passphrase, found_authority, found_registrar, name_administrators,
};
use super::issued::Issued;
use super::join::replace;
use super::key_place::authority_key;
use super::other_registrars::{found_other, hand_documents};
use super::rollover::{Stage, open_authority};
use super::root_files::{newest_list, newest_root};
use super::seeds::open_seeds;
use super::unlock::{read_unlock, write_private};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::crypto::{
    IdentityKey, KdfCost, Keyring, OpenError, SealContext, SealError, Secret, SecretBytes, Unlock,
};
use crate::domain::{Currency, MemberId, NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Administrator, Applicant, Authority, AuthorityError, Document, DocumentError, Founding,
    Invitation, Issuance, JoinError, JoinRequest, KeyError, ListError, MemberList, MemberState,
    NetworkRoot, ProfileError, Profiles, RequestError, RightsChange, RootDocument, RootError,
    Roster, Signed, SigningKey, Subject, Terms, Welcome, check_request,
};
use crate::net::RegistrarError;

/// How long a member list counts.
pub(super) const LIST_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// How long an invitation counts.
pub(super) const INVITATION_LIFE: Duration = Duration::from_secs(48 * 3_600);

/// Why the administrators' folder does not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// A file, the passphrase or the folder.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A key ring does not open.
    #[error(transparent)]
    Keyring(#[from] crate::crypto::KeyringError),
    /// An administrator's seed does not seal.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An administrator's seed does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An authority does not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A certificate key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A document cannot be read or signed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The root document.
    #[error("network.json: {0}")]
    Root(#[from] RootError),
    /// The member list.
    #[error(transparent)]
    List(#[from] ListError),
    /// An invitation or request.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A certificate profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] crate::env::EntropyUnavailable),
    /// An invitation was used before.
    #[error("this invitation was used before: write a new one with `creditmesh network invite`")]
    UsedBefore,
    /// A registrar did not do what was asked.
    #[error(transparent)]
    Registrar(#[from] RegistrarError),
    /// A document for the registrar.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// None of the keys at hand is an administrator's.
    #[error("no administrator's key of this network is at hand: name one with --key FILE")]
    NoKey,
    /// There is nothing to do, or nothing that may be done.
    #[error("{0}")]
    Nothing(String),
    /// Somebody would be cut off by the next stage.
    #[error("not everybody is ready:\n{0}")]
    NotReady(String),
    /// Another stage of an exchange of the X.509 root is due.
    #[error("the exchange of the X.509 root is {}; next: {}", found.word(), found.next_step())]
    WrongStage {
        /// The stage that was found.
        found: Stage,
    },
    /// No such administrator, or no such name for a new one.
    #[error(
        "name an administrator of this network, and for the new one a name of a-z, 0-9 and '-' \
         that no administrator has"
    )]
    WrongAdministrator,
    /// The folder holds a network already.
    #[error("{0} holds a network already: choose another folder")]
    Occupied(String),
}

/// What the founders of a network decide.
#[derive(Debug)]
pub struct Found {
    /// The network's id.
    pub network: NetworkId,
    /// Currency of the exposure bands.
    pub currency: Currency,
    /// How many people the identifiers may belong to.
    pub population: u64,
    /// Names of the administrators.
    pub administrators: Vec<String>,
    /// How many of them must sign.
    pub threshold: u32,
    /// What one guess at the passphrase costs.
    pub cost: KdfCost,
    /// Where the network's registrar will be; none where it works by files.
    pub registrar: Option<RegistrarConfig>,
    /// The network's other registrars, each with a folder of its own.
    pub other_registrars: Vec<RegistrarConfig>,
}

impl Found {
    pub(super) fn founding(
        &self,
        administrators: Vec<Administrator>,
        authority_pem: String,
        freshness_keys: Vec<[u8; 32]>,
    ) -> Founding {
        Founding {
            network: self.network.clone(),
            administrators,
            threshold: self.threshold,
            authority_pem,
            freshness_keys,
            currency: self.currency,
            population: self.population,
        }
    }
}

/// An invitation as written.
#[derive(Debug)]
pub struct Invite {
    /// Text for the joiner.
    pub text: String,
    /// The network's fingerprint, to be told on another way.
    pub fingerprint: String,
}

/// The administrators' folder, opened.
#[derive(Debug)]
pub struct AdminFolder {
    pub(super) path: PathBuf,
    pub(super) root: NetworkRoot,
    pub(super) roster: Roster,
    pub(super) seeds: Vec<Secret<32>>,
    pub(super) authority: Authority,
}

pub(super) fn seed_context(name: &str) -> SealContext<'_> {
    SealContext {
        table: "administrator",
        key: name.as_bytes(),
        revision: 1,
    }
}

pub(super) fn secret_passphrase(unlock: &Unlock) -> SecretBytes {
    match unlock {
        Unlock::Passphrase(text) => SecretBytes::new(text.expose().to_vec()),
        Unlock::KeyFile(key) => {
            SecretBytes::new(data_encoding::HEXLOWER.encode(key.expose()).into_bytes())
        }
    }
}

impl AdminFolder {
    /// Founds a network in a new folder.
    ///
    /// # Errors
    /// [`AdminError::Occupied`] where there is one already; nothing is touched then.
    pub fn found(
        path: &Path,
        found: &Found,
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, AdminError> {
        let keys = NetworkKeys::default();
        Self::found_with(path, (found, &keys), passphrase, now, entropy)
    }

    /// Founds a network in a new folder, with keys that are made where `keys` says.
    ///
    /// # Errors
    /// As [`Self::found`]; and [`AdminError::Key`] where a module does not make a key.
    pub fn found_with(
        path: &Path,
        (found, places): (&Found, &NetworkKeys),
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, AdminError> {
        if path.join("network.json").exists() {
            return Err(AdminError::Occupied(path.display().to_string()));
        }
        let (administrators, seeds) = name_administrators(found, now, entropy)?;
        for part in ["administrators", "authority"] {
            let folder = path.join(part);
            fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        }
        ensure_passphrase(path, passphrase, entropy)?;
        let unlock = read_unlock(path, passphrase)?;
        let (keys, text) = Keyring::create(&unlock, found.network.as_str(), entropy, found.cost)?;
        write_private(&path.join("keyring.json"), text.as_bytes())?;
        let authority_pem = found_authority(path, &found.network, places, &unlock, (now, entropy))?;
        let mut freshness_keys = match &found.registrar {
            Some(registrar) => {
                let place = places.freshness.as_ref();
                vec![found_registrar(path, registrar, place, &unlock, entropy)?]
            }
            None => Vec::new(),
        };
        let others: Vec<_> = (2..).zip(&found.other_registrars).collect();
        for other in &others {
            let at = (now, entropy);
            freshness_keys.push(found_other(path, *other, &found.network, &unlock, at)?);
        }
        for (administrator, seed) in administrators.iter().zip(&seeds) {
            let name = &administrator.name;
            let sealed = keys.seal(&seed_context(name), seed.expose())?;
            let file = path.join("administrators").join(format!("{name}.key"));
            write_private(&file, sealed.as_bytes())?;
        }
        let founding = found.founding(administrators, authority_pem, freshness_keys);
        let document = RootDocument::found(founding, now);
        let root = NetworkRoot::from_signed(signed(document, &seeds)?, now)?;
        let list = MemberList::first(root.network(), now, LIST_LIFE);
        let list = signed(list, &seeds)?.to_text()?;
        replace(&path.join("members.json"), list.as_bytes())?;
        let text = root.signed().to_text()?;
        for (number, _) in others {
            hand_documents(path, number, (&text, &list))?;
        }
        // Last, so that a folder with a network.json is a whole one.
        replace(&path.join("network.json"), text.as_bytes())?;
        Self::open(path, passphrase, now, entropy)
    }

    /// Opens the folder of a network.
    ///
    /// # Errors
    /// [`AdminError`]; a wrong passphrase says so.
    pub fn open(
        path: &Path,
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, AdminError> {
        let root = newest_root(path, now)?;
        let roster = newest_list(path, &root, now)?;
        let unlock = read_unlock(path, passphrase)?;
        let seeds = open_seeds(path, &root, &unlock, entropy)?;
        let authority_folder = path.join("authority");
        let file = authority_folder.join("issuing.key");
        let key = authority_key(&file, &secret_passphrase(&unlock))?;
        let authority = open_authority(path, &root, key)?;
        Ok(Self {
            path: path.to_owned(),
            root,
            roster,
            seeds,
            authority,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The network's root.
    #[must_use]
    pub const fn root(&self) -> &NetworkRoot {
        &self.root
    }

    /// The newest member list.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The administrators' keys that lie in the folder.
    #[must_use]
    pub fn signing_keys(&self) -> Vec<SigningKey> {
        let copies = self
            .seeds
            .iter()
            .map(|seed| Secret::from_bytes(*seed.expose()));
        copies.map(SigningKey::from_seed).collect()
    }

    /// The text of the newest member list, which every node takes from a file.
    ///
    /// # Errors
    /// [`AdminError::Document`].
    pub fn list_text(&self) -> Result<String, AdminError> {
        Ok(self.roster.signed().to_text()?)
    }

    /// Invites a member: good once, for 48 hours.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn invite(
        &self,
        terms: Terms,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Invite, AdminError> {
        super::administration::not_listed(&self.roster, &terms.member)?;
        let mut invitation_id = [0; 16];
        entropy.fill(&mut invitation_id)?;
        let invitation = Invitation {
            format: Invitation::FORMAT.to_owned(),
            root: self.root.signed().clone(),
            fingerprint: *self.root.fingerprint(),
            invitation_id,
            terms,
            list_version: self.roster.version(),
            expires_at: now.plus(INVITATION_LIFE),
        };
        let text = signed(invitation, &self.seeds)?.to_text()?;
        Ok(Invite {
            text,
            fingerprint: self.root.fingerprint_text(),
        })
    }

    /// Approves a request: enters the member into the next list and issues its certificate. Gives
    /// the text of the welcome.
    ///
    /// # Errors
    /// [`AdminError::UsedBefore`] where the invitation was used, [`AdminError::Join`] where the
    /// request does not hold.
    pub fn approve(
        &mut self,
        request: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(MemberId, String), AdminError> {
        let request = Signed::<JoinRequest>::parse(request)?;
        let applicant = check_request(&self.root, &request, now)?;
        self.refuse_used(&applicant)?;
        let member = applicant.member.id.clone();
        let mut list = MemberList::following(&self.roster, now, LIST_LIFE);
        list.enter(applicant.member.clone())?;
        let chain = self.issue(&applicant, now, entropy)?;
        Issued::open(&self.path)?.note(&member, &chain)?;
        self.publish(list, now)?;
        self.note_used(&applicant)?;
        let welcome = Welcome {
            format: Welcome::FORMAT.to_owned(),
            certificate_chain: chain,
            list: self.roster.signed().clone(),
        };
        Ok((member, Signed::unsigned(welcome).to_text()?))
    }

    /// Suspends, restores or removes a member on the next list.
    ///
    /// # Errors
    /// [`AdminError::List`] where there is no such member, or it was removed before.
    pub fn set_state(
        &mut self,
        member: &MemberId,
        state: MemberState,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        super::administration::not_already(&self.roster, member, state)?;
        let mut list = MemberList::following(&self.roster, now, LIST_LIFE);
        list.set_state(member, state)?;
        self.publish(list, now)
    }

    /// Changes a member's rights on the next list.
    ///
    /// # Errors
    /// [`AdminError::List`] where there is no such member, or a rule would be broken.
    pub fn change_rights(
        &mut self,
        member: &MemberId,
        change: &RightsChange,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let mut list = MemberList::following(&self.roster, now, LIST_LIFE);
        list.change_rights(member, change)?;
        self.publish(list, now)
    }

    fn issue(
        &self,
        applicant: &Applicant,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<String, AdminError> {
        let profiles = Profiles::embedded()?;
        let subject = Subject {
            network: self.root.network(),
            role: applicant.member.role,
            member: &applicant.member.id,
            identity_key: &applicant.member.identity_key,
        };
        let issuance = Issuance {
            profile: &profiles.member,
            now,
            entropy,
        };
        Ok(self
            .authority
            .issue(&subject, &applicant.key, &applicant.statement, &issuance)?)
    }

    pub(super) fn publish(
        &mut self,
        mut list: MemberList,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        list.root_version = self.root.version();
        let text = signed(list, &self.seeds)?.to_text()?;
        let roster = Roster::verify(&self.root, &text, now)?;
        roster.supersedes(&self.roster)?;
        replace(&self.path.join("members.json"), text.as_bytes())?;
        self.roster = roster;
        Issued::open(&self.path)?.write_revoked(&self.authority, &self.roster, now)
    }
}

pub(super) fn read(path: &Path) -> Result<String, NodeError> {
    super::read_text(path).map_err(|error| NodeError::file(path, &error))
}

pub(super) fn signed<T: Document>(
    document: T,
    seeds: &[Secret<32>],
) -> Result<Signed<T>, AdminError> {
    let mut signed = Signed::unsigned(document);
    for seed in seeds {
        signed.sign(&IdentityKey::from_seed(seed))?;
    }
    Ok(signed)
}
