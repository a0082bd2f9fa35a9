//! The administrators' side of root succession: the exchange of the X.509 root in four stages, and
//! of an administrator's lost key.
//!
//! The issuing authority keeps its key throughout, and is certified by both roots, so that a chain
//! leads to whichever of them a peer knows. Until the exchange is over, what belongs to the new
//! root lies in `authority/next`.

use std::fs;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::admin::{AdminError, AdminFolder, read, secret_passphrase, signed};
use super::join::replace;
use super::key_place::authority_key;
use super::unlock::{read_unlock, write_private};
use crate::config::UnlockSource;
use crate::crypto::{IdentityKey, Keyring, Secret, Unlock};
use crate::domain::{NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Administrator, Authority, AuthorityKey, Issuance, MemberList, NetworkRoot, Profiles,
    RequestedKey, RootAuthority, RootDocument, Roster,
};

/// How far the exchange of the X.509 root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One root certificate; nothing is under way.
    Settled,
    /// The new one stands beside the old in the root document; certificates still lead to the old
    /// one alone.
    Prepared,
    /// Certificates lead to the new one first, and still to the old one.
    Active,
    /// The old one is still trusted; certificates that lead to it alone are renewed at once.
    Tainted,
    /// The old one is out of the root document, and its files are not put away yet.
    Revoked,
}

impl Stage {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Tainted => "tainted",
            Self::Revoked => "revoked",
        }
    }

    /// What to do next, and what must hold before.
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::Settled => "prepare, when the root certificate shall be exchanged",
            Self::Prepared => "activate: from then on new certificates lead to both",
            Self::Active => "taint, once every node has the root document with both",
            Self::Tainted => "revoke, once every node has renewed its certificate",
            Self::Revoked => "revoke once more: it was cut short",
        }
    }
}

/// The files of the authority.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn of(admin: &Path) -> Self {
        Self {
            folder: admin.join("authority"),
        }
    }

    fn own(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn next(&self, name: &str) -> PathBuf {
        self.folder.join("next").join(name)
    }

    /// The stage, from what is there: no note of it can disagree with the facts.
    fn stage(&self, root: &RootDocument) -> Stage {
        let named = |path: PathBuf| {
            let pem = fs::read_to_string(path).unwrap_or_default();
            root.authorities.contains(&pem)
        };
        if !named(self.next("root.crt")) {
            Stage::Settled
        } else if !named(self.own("root.crt")) {
            Stage::Revoked
        } else if !root.tainted.is_empty() {
            Stage::Tainted
        } else if self.next("active").exists() {
            Stage::Active
        } else {
            Stage::Prepared
        }
    }
}

/// Opens the issuing authority of an administrators' folder, certified as the stage asks.
pub(super) fn open_authority(
    admin: &Path,
    root: &NetworkRoot,
    key: AuthorityKey,
) -> Result<Authority, AdminError> {
    let files = Files::of(admin);
    let (old, new) = (files.own("issuing.crt"), files.next("issuing.crt"));
    let (first, also) = match files.stage(root.document()) {
        Stage::Settled | Stage::Prepared => (old, None),

        Stage::Active => (new, Some(old)),
        Stage::Tainted => (new, None),
        Stage::Revoked if new.exists() => (new, None),
        Stage::Revoked => (old, None),
    };
    let authority = Authority::open(&read(&first)?, key)?;
    Ok(match also {
        Some(also) => authority.certified_also(&read(&also)?)?,
        None => authority,
    })
}

impl AdminFolder {
    /// How far the exchange of the X.509 root is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Files::of(&self.path).stage(self.root.document())
    }

    /// First stage: makes the new X.509 root, lets it certify the issuing authority too, and puts
    /// it beside the old one in the next root document.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where an exchange is under way.
    pub fn prepare(
        &mut self,
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), AdminError> {
        self.require(Stage::Settled)?;
        let files = Files::of(&self.path);
        let folder = self.path.join("authority").join("next");
        // Left by a preparation that was cut short: nobody outside ever heard of it.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        }
        fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        let unlock = read_unlock(&self.path, passphrase)?;
        let root = found_root(&folder, self.root.network(), &unlock, now, entropy)?;
        let requested = RequestedKey::from_pem(&self.authority.key().request_pem()?)?;
        let profiles = Profiles::embedded()?;
        let issuance = Issuance {
            profile: &profiles.issuing,
            now,
            entropy,
        };
        let issuing = root.sign_issuing(self.root.network(), &requested, &issuance)?;
        replace(&files.next("issuing.crt"), issuing.as_bytes())?;
        replace(&files.next("root.crt"), root.certificate_pem().as_bytes())?;
        let mut document = RootDocument::following(&self.root, now);
        document.authorities.push(root.certificate_pem().to_owned());
        self.publish_root(document, &[], now)?;
        self.reopen_authority(passphrase)
    }

    /// Second stage: from now on certificates lead to the new X.509 root first.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where nothing is prepared.
    pub fn activate(&mut self, passphrase: &UnlockSource) -> Result<(), AdminError> {
        self.require(Stage::Prepared)?;
        replace(&Files::of(&self.path).next("active"), b"")?;
        self.reopen_authority(passphrase)
    }

    /// Third stage: the next root document says that the old X.509 root is about to go. Nodes whose
    /// certificates lead to it alone renew at once; new certificates lead to the new one alone.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where the new one is not active.
    pub fn taint(&mut self, passphrase: &UnlockSource, now: Timestamp) -> Result<(), AdminError> {
        self.require(Stage::Active)?;
        let new = read(&Files::of(&self.path).next("root.crt"))?;
        let mut document = RootDocument::following(&self.root, now);
        document.tainted = self.root.authority_digests_except(&new);
        self.publish_root(document, &[], now)?;
        self.reopen_authority(passphrase)
    }

    /// Last stage: the next root document is without the old X.509 root. Nodes cut the connections
    /// of whoever still shows a certificate that leads to it alone.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where the old one is not tainted.
    pub fn revoke(&mut self, passphrase: &UnlockSource, now: Timestamp) -> Result<(), AdminError> {
        let files = Files::of(&self.path);
        if self.stage() != Stage::Revoked {
            self.require(Stage::Tainted)?;
            let mut document = RootDocument::following(&self.root, now);
            document.authorities = vec![read(&files.next("root.crt"))?];
            document.tainted = Vec::new();
            self.publish_root(document, &[], now)?;
        }
        // root.crt last: as long as it is there, this can be taken up again.
        for name in ["issuing.crt", "root.key", "root.crt"] {
            let (from, to) = (files.next(name), files.own(name));
            if from.exists() {
                fs::rename(&from, &to).map_err(|error| NodeError::file(&from, &error))?;
            }
        }
        let next = self.path.join("authority").join("next");
        fs::remove_dir_all(&next).map_err(|error| NodeError::file(&next, &error))?;
        self.reopen_authority(passphrase)
    }

    /// Puts a new administrator in the place of one whose key is lost or stolen, by the next root
    /// document; the next member list is signed under it at once.
    ///
    /// # Errors
    /// [`AdminError::WrongAdministrator`]; and [`AdminError::Root`] where the keys at hand do not
    /// reach the threshold.
    pub fn replace_administrator(
        &mut self,
        lost: &str,
        named: &str,
        passphrase: &UnlockSource,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<(), AdminError> {
        let mut document = RootDocument::following(&self.root, now);
        let taken = document.administrators.iter().any(|one| one.name == named);
        let is_file_name = named.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let place = document
            .administrators
            .iter()
            .position(|one| one.name == lost);
        let Some(place) = place.filter(|_| !taken && is_file_name && !named.is_empty()) else {
            return Err(AdminError::WrongAdministrator);
        };
        let before = self.root.administrator_keys().get(place).copied();
        let unlock = read_unlock(&self.path, passphrase)?;
        let text = read(&self.path.join("keyring.json"))?;
        let keys = Keyring::unlock(&text, &unlock, entropy)?;
        let seed = Secret::<32>::random(entropy)?;
        let sealed = keys.seal(&super::admin::seed_context(named), seed.expose())?;
        let key_file = |name: &str| self.path.join("administrators").join(format!("{name}.key"));
        let (old, new) = (key_file(lost), key_file(named));
        // Left by an attempt that was cut short: no root names its key.
        drop(fs::remove_file(&new));
        write_private(&new, sealed.as_bytes())?;
        if let Some(one) = document.administrators.get_mut(place) {
            *one = Administrator {
                name: named.to_owned(),
                key: IdentityKey::from_seed(&seed).public(),
            };
        }
        let added = [seed];
        self.publish_root(document, &added, now)?;
        self.seeds
            .retain(|seed| Some(IdentityKey::from_seed(seed).public()) != before);
        self.seeds.extend(added);
        drop(fs::remove_file(&old));
        let list = MemberList::following(&self.roster, now, super::admin::LIST_LIFE);
        self.publish(list, now)
    }

    fn require(&self, wanted: Stage) -> Result<(), AdminError> {
        let found = self.stage();
        if found == wanted {
            Ok(())
        } else {
            Err(AdminError::WrongStage { found })
        }
    }

    fn reopen_authority(&mut self, passphrase: &UnlockSource) -> Result<(), AdminError> {
        let unlock = read_unlock(&self.path, passphrase)?;
        let file = Files::of(&self.path).own("issuing.key");
        let key = authority_key(&file, &secret_passphrase(&unlock))?;
        self.authority = open_authority(&self.path, &self.root, key)?;
        Ok(())
    }

    /// Signs the next root document with every key at hand and `added`, and keeps it beside those
    /// before it.
    fn publish_root(
        &mut self,
        document: RootDocument,
        added: &[Secret<32>],
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let mut document = signed(document, &self.seeds)?;
        for seed in added {
            document.sign(&IdentityKey::from_seed(seed))?;
        }
        let text = document.to_text()?;
        let next = NetworkRoot::succeed(&self.root, &text, now)?;
        keep_version(&self.path, &self.root)?;
        keep_version(&self.path, &next)?;
        replace(&self.path.join("network.json"), text.as_bytes())?;
        self.root = next;
        Ok(())
    }
}

/// Keeps a root document in the folder `roots`, in a file named for its version.
fn keep_version(admin: &Path, root: &NetworkRoot) -> Result<(), AdminError> {
    let folder = admin.join("roots");
    fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
    let file = folder.join(format!("{}.json", root.version()));
    Ok(replace(&file, root.signed().to_text()?.as_bytes())?)
}

/// Makes an X.509 root, and keeps its key in `folder`.
fn found_root(
    folder: &Path,
    network: &NetworkId,
    unlock: &Unlock,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<RootAuthority, AdminError> {
    let profiles = Profiles::embedded()?;
    let issuance = Issuance {
        profile: &profiles.root,
        now,
        entropy,
    };
    let root = RootAuthority::found(network, &issuance)?;
    let key = root
        .key()
        .to_file_text(&secret_passphrase(unlock), entropy)?;
    write_private(&folder.join("root.key"), key.as_bytes())?;
    Ok(root)
}

/// The newest list. Where an exchange of an administrator was cut short before the next list, it is
/// the last one under the root before.
pub(super) fn newest_list(
    path: &Path,
    root: &NetworkRoot,
    now: Timestamp,
) -> Result<Roster, AdminError> {
    let text = read(&path.join("members.json"))?;
    let refused = match Roster::verify_kept(root, &text, now) {
        Ok(roster) => return Ok(roster),
        Err(refused) => refused,
    };
    let before = root.version().saturating_sub(1);
    let file = path.join("roots").join(format!("{before}.json"));
    fs::read_to_string(file)
        .ok()
        .and_then(|text| NetworkRoot::verify_kept(&text, now).ok())
        .and_then(|former| Roster::verify_kept(&former, &text, now).ok())
        .ok_or_else(|| refused.into())
}
