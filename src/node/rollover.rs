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
use super::admin_keys::is_administrator_name;
use super::join::replace;
use super::key_place::authority_key;
use super::root_files::{keep_newest, keep_version};
use super::unlock::{open_seed, read_unlock, write_private};
use crate::config::UnlockSource;
use crate::crypto::{IdentityKey, Keyring, Secret, Unlock};
use crate::domain::{NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Administrator, Authority, AuthorityKey, Issuance, MemberList, NetworkRoot, Profiles,
    RequestedKey, RootAuthority, RootDocument,
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

    /// The requests of other registrars' issuing authorities, by the names of their files.
    fn requests(&self) -> Result<Vec<(String, PathBuf)>, NodeError> {
        let entries = fs::read_dir(&self.folder);
        let entries = entries.map_err(|error| NodeError::file(&self.folder, &error))?;
        let mut requests = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| NodeError::file(&self.folder, &error))?;
            let path = path.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_request = path.extension().is_some_and(|ending| ending == "csr");
            if let Some(name) = name.filter(|_| is_request) {
                requests.push((name.to_owned(), path.clone()));
            }
        }
        requests.sort();
        Ok(requests)
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
        let folder = self.path.join("authority").join("next");
        // Left by a preparation that was cut short: nobody outside ever heard of it.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        }
        let document = self.preparing(passphrase, now, entropy)?;
        self.publish_root(document, &[], now)?;
        self.reopen_authority(passphrase)
    }

    /// The next root document with a new X.509 root beside the old one. The new one is made where
    /// an earlier attempt has not made it.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where an exchange is under way.
    pub fn preparing(
        &self,
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<RootDocument, AdminError> {
        self.require(Stage::Settled)?;
        let files = Files::of(&self.path);
        if !files.next("root.crt").exists() {
            self.make_next(&files, passphrase, now, entropy)?;
        }
        let mut document = RootDocument::following(&self.root, now);
        document.authorities.push(read(&files.next("root.crt"))?);
        Ok(document)
    }

    /// Makes the new X.509 root, which certifies every issuing authority's key.
    fn make_next(
        &self,
        files: &Files,
        passphrase: &UnlockSource,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), AdminError> {
        let folder = files.folder.join("next");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        }
        fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        let unlock = read_unlock(&self.path, passphrase)?;
        let root = found_root(&folder, self.root.network(), &unlock, now, entropy)?;
        let profiles = Profiles::embedded()?;
        let issuance = Issuance {
            profile: &profiles.issuing,
            now,
            entropy,
        };
        let mut requests = vec![(
            "issuing.crt".to_owned(),
            self.authority.key().request_pem()?,
        )];
        for (name, path) in files.requests()? {
            requests.push((format!("{name}.crt"), read(&path)?));
        }
        for (name, request) in requests {
            let requested = RequestedKey::from_pem(&request)?;
            let issuing = root.sign_issuing(self.root.network(), &requested, &issuance)?;
            replace(&files.next(&name), issuing.as_bytes())?;
        }
        // Last: as long as it is missing, all of this is made again.
        replace(&files.next("root.crt"), root.certificate_pem().as_bytes())?;
        Ok(())
    }

    /// The issuing authorities' certificates by the new X.509 root, for the registrars.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where no exchange is under way.
    pub fn issuing_to_hand(&self) -> Result<Vec<String>, AdminError> {
        let found = self.stage();
        if matches!(found, Stage::Settled | Stage::Revoked) {
            return Err(AdminError::WrongStage { found });
        }
        let files = Files::of(&self.path);
        let mut certificates = vec![read(&files.next("issuing.crt"))?];
        for (name, _) in files.requests()? {
            certificates.push(read(&files.next(&format!("{name}.crt")))?);
        }
        Ok(certificates)
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
        let document = self.tainting(now)?;
        self.publish_root(document, &[], now)?;
        self.reopen_authority(passphrase)
    }

    /// The next root document of the third stage.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where the new X.509 root is not active.
    pub fn tainting(&self, now: Timestamp) -> Result<RootDocument, AdminError> {
        self.require(Stage::Active)?;
        let new = read(&Files::of(&self.path).next("root.crt"))?;
        let mut document = RootDocument::following(&self.root, now);
        document.tainted = self.root.authority_digests_except(&new);
        Ok(document)
    }

    /// Last stage: the next root document is without the old X.509 root. Nodes cut the connections
    /// of whoever still shows a certificate that leads to it alone.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where the old one is not tainted.
    pub fn revoke(&mut self, passphrase: &UnlockSource, now: Timestamp) -> Result<(), AdminError> {
        if self.stage() != Stage::Revoked {
            let document = self.revoking(now)?;
            self.publish_root(document, &[], now)?;
        }
        self.settle(passphrase)
    }

    /// The next root document of the last stage.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where the old X.509 root is not tainted.
    pub fn revoking(&self, now: Timestamp) -> Result<RootDocument, AdminError> {
        self.require(Stage::Tainted)?;
        let mut document = RootDocument::following(&self.root, now);
        document.authorities = vec![read(&Files::of(&self.path).next("root.crt"))?];
        document.tainted = Vec::new();
        Ok(document)
    }

    /// Puts the files of the new X.509 root in the place of the old one's, once the old one is out
    /// of the root document.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`].
    pub fn settle(&mut self, passphrase: &UnlockSource) -> Result<(), AdminError> {
        self.require(Stage::Revoked)?;
        let files = Files::of(&self.path);
        let others = files.requests()?.into_iter();
        let names = others.map(|(name, _)| format!("{name}.crt"));
        // root.crt last: as long as it is there, this can be taken up again.
        let own = ["issuing.crt", "root.key", "root.crt"].map(str::to_owned);
        for name in names.chain(own) {
            let (from, to) = (files.next(&name), files.own(&name));
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
        let (document, seed) = self.replacing(lost, named, passphrase, (now, entropy))?;
        let added = [seed];
        self.publish_root(document, &added, now)?;
        let administrators = self.root.administrator_keys();
        let stays =
            |seed: &Secret<32>| administrators.contains(&IdentityKey::from_seed(seed).public());
        self.seeds.retain(stays);
        self.seeds.extend(added);
        self.drop_key(lost);
        let list = MemberList::following(&self.roster, now, super::admin::LIST_LIFE);
        self.publish(list, now)
    }

    /// The next root document with `named` in the place of `lost`, and the seed of the new key: the
    /// one that an earlier attempt has made, or a fresh one, kept in the folder.
    ///
    /// # Errors
    /// [`AdminError::WrongAdministrator`].
    pub fn replacing(
        &self,
        lost: &str,
        named: &str,
        passphrase: &UnlockSource,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<(RootDocument, Secret<32>), AdminError> {
        let mut document = RootDocument::following(&self.root, now);
        let taken = document.administrators.iter().any(|one| one.name == named);
        let mut places = document.administrators.iter_mut();
        let place = places.find(|one| one.name == lost);
        let Some(place) = place.filter(|_| !taken && is_administrator_name(named)) else {
            return Err(AdminError::WrongAdministrator);
        };
        let unlock = read_unlock(&self.path, passphrase)?;
        let keys = Keyring::unlock(&read(&self.path.join("keyring.json"))?, &unlock, entropy)?;
        let file = self.key_file(named);
        let seed = if file.exists() {
            open_seed(&keys, named, &file)?
        } else {
            let seed = Secret::<32>::random(entropy)?;
            let sealed = keys.seal(&super::admin::seed_context(named), seed.expose())?;
            write_private(&file, sealed.as_bytes())?;
            seed
        };
        *place = Administrator {
            name: named.to_owned(),
            key: IdentityKey::from_seed(&seed).public(),
        };
        Ok((document, seed))
    }

    fn key_file(&self, name: &str) -> PathBuf {
        let name = format!("{name}.key");
        self.path.join("administrators").join(name)
    }

    /// Removes the file of a key that counts no more.
    pub fn drop_key(&self, lost: &str) {
        drop(fs::remove_file(self.key_file(lost)));
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
        keep_newest(&self.path, &next)?;
        self.root = next;
        Ok(())
    }
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
