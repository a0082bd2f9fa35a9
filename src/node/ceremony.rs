//! The ceremony in which a network's keys are made on machines of their own, file in and file out.
//!
//! ```text
//! an administrator's folder  NAME.key, NAME.pub: its key, and the public half to hand on
//! the offline machine        root.key, root.crt, network: never on a network
//! the registrar's folder     authority/issuing.key, issuing.csr, freshness.key, freshness.pub;
//!                            draft/network.json, draft/members.json until enough have signed
//! ```
//!
//! Every step can be given again: a key that is there stays, and is never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::NodeError;
use super::admin::{AdminError, LIST_LIFE, read, secret_passphrase};
use super::admin_keys::{NetworkKeys, ensure_passphrase, is_administrator_name};
use super::join::replace;
use super::key_place::{authority_key, pin_of, signing_key};
use super::unlock::{read_unlock, write_private};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::crypto::{Secret, SecretBytes};
use crate::domain::{Currency, NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Administrator, Authority, AuthorityKey, CertificateKey, Document, Founding, Issuance, KeyUri,
    MemberList, NetworkRoot, Profiles, RequestedKey, RootAuthority, RootDocument, Roster, Signed,
    SigningKey, check_certified_by, hex_groups,
};

/// The public half of an Ed25519 key, in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicHalf {
    name: String,
    key: String,
}

impl PublicHalf {
    fn write(path: &Path, name: &str, key: &[u8; 32]) -> Result<(), NodeError> {
        let half = Self {
            name: name.to_owned(),
            key: data_encoding::HEXLOWER.encode(key),
        };
        let text = serde_json::to_string_pretty(&half);
        let text = text.map_err(|error| NodeError::Folder(error.to_string()))?;
        replace(path, format!("{text}\n").as_bytes())
    }

    fn read(path: &Path) -> Result<Administrator, NodeError> {
        let text = read(path)?;
        let wrong = || {
            NodeError::Folder(format!(
                "{} is no public half: give the file NAME.pub of an administrator",
                path.display()
            ))
        };
        let half: Self = serde_json::from_str(&text).map_err(|_| wrong())?;
        let key = data_encoding::HEXLOWER.decode(half.key.as_bytes());
        let key = key.ok().and_then(|key| key.try_into().ok());
        Ok(Administrator {
            name: half.name,
            key: key.ok_or_else(wrong)?,
        })
    }
}

fn folder(path: &Path) -> Result<(), NodeError> {
    fs::create_dir_all(path).map_err(|error| NodeError::file(path, &error))
}

fn passphrase_in(
    path: &Path,
    source: &UnlockSource,
    entropy: &dyn Entropy,
) -> Result<SecretBytes, AdminError> {
    ensure_passphrase(path, source, entropy)?;
    Ok(secret_passphrase(&read_unlock(path, source)?))
}

/// The key of this file; made where the file is missing, in a module where `place` names one.
fn kept_signing_key(
    file: &Path,
    place: Option<&KeyUri>,
    passphrase: &SecretBytes,
    entropy: &dyn Entropy,
) -> Result<SigningKey, AdminError> {
    if file.exists() {
        return signing_key(file, passphrase);
    }
    let key = match place {
        Some(uri) => {
            let pin = pin_of(uri)?;
            // One that is there was made before this was cut short, or was made for this.
            SigningKey::in_module(uri, &pin).or_else(|_| SigningKey::make_in_module(uri, &pin))?
        }
        None => SigningKey::from_seed(Secret::random(entropy)?),
    };
    write_private(file, key.to_file_text(passphrase, entropy)?.as_bytes())?;
    Ok(key)
}

fn kept_authority_key(
    file: &Path,
    place: Option<&KeyUri>,
    passphrase: &SecretBytes,
    entropy: &dyn Entropy,
) -> Result<AuthorityKey, AdminError> {
    if file.exists() {
        return authority_key(file, passphrase);
    }
    let key = match place {
        Some(uri) => {
            let pin = pin_of(uri)?;
            AuthorityKey::in_module(uri, &pin)
                .or_else(|_| AuthorityKey::make_in_module(uri, &pin))?
        }
        None => CertificateKey::generate()?.into(),
    };
    write_private(file, key.to_file_text(passphrase, entropy)?.as_bytes())?;
    Ok(key)
}

/// An administrator makes its own key in a folder of its own; gives the public half in groups of
/// hexadecimal characters.
///
/// # Errors
/// [`AdminError`].
pub fn administrator_key(
    path: &Path,
    name: &str,
    place: Option<&KeyUri>,
    passphrase: &UnlockSource,
    entropy: &dyn Entropy,
) -> Result<String, AdminError> {
    if !is_administrator_name(name) {
        return Err(AdminError::WrongAdministrator);
    }
    folder(path)?;
    let passphrase = passphrase_in(path, passphrase, entropy)?;
    let file = path.join(format!("{name}.key"));
    let key = kept_signing_key(&file, place, &passphrase, entropy)?;
    let public = key.key().public();
    PublicHalf::write(&path.join(format!("{name}.pub")), name, &public)?;
    Ok(hex_groups(&public))
}

/// The offline machine makes the network's root authority; gives its certificate in PEM.
///
/// # Errors
/// [`AdminError`]; in particular where the folder holds the root of another network.
pub fn found_offline_root(
    path: &Path,
    network: &NetworkId,
    place: Option<&KeyUri>,
    passphrase: &UnlockSource,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<String, AdminError> {
    folder(path)?;
    let note = path.join("network");
    if note.exists() && network_of(path)? != *network {
        return Err(AdminError::Occupied(path.display().to_string()));
    }
    replace(&note, format!("{network}\n").as_bytes())?;
    let passphrase = passphrase_in(path, passphrase, entropy)?;
    let key = kept_authority_key(&path.join("root.key"), place, &passphrase, entropy)?;
    let certificate = path.join("root.crt");
    if !certificate.exists() {
        let profiles = Profiles::embedded()?;
        let issuance = Issuance {
            profile: &profiles.root,
            now,
            entropy,
        };
        let root = RootAuthority::found_with(network, &key, &issuance)?;
        replace(&certificate, root.certificate_pem().as_bytes())?;
    }
    Ok(read(&certificate)?)
}

fn network_of(path: &Path) -> Result<NetworkId, AdminError> {
    let note = path.join("network");
    let text = read(&note)?;
    let wrong = |_| NodeError::Folder(format!("{} names no network", note.display()));
    Ok(text.trim().parse().map_err(wrong)?)
}

/// The registrar's machine makes the issuing authority's key, the freshness key and
/// `registrar.toml`; gives the certificate request to carry to the offline machine.
///
/// # Errors
/// [`AdminError::Occupied`] where the folder holds a network already.
pub fn request_issuing(
    path: &Path,
    registrar: &RegistrarConfig,
    keys: &NetworkKeys,
    passphrase: &UnlockSource,
    entropy: &dyn Entropy,
) -> Result<PathBuf, AdminError> {
    refuse_founded(path)?;
    let authority = path.join("authority");
    folder(&authority)?;
    let passphrase = passphrase_in(path, passphrase, entropy)?;
    let place = keys.issuing.as_ref();
    let key = kept_authority_key(&authority.join("issuing.key"), place, &passphrase, entropy)?;
    let place = keys.freshness.as_ref();
    let file = authority.join("freshness.key");
    let freshness = kept_signing_key(&file, place, &passphrase, entropy)?;
    let public = freshness.key().public();
    PublicHalf::write(&authority.join("freshness.pub"), "freshness", &public)?;
    replace(&path.join("registrar.toml"), registrar.to_text().as_bytes())?;
    let request = authority.join("issuing.csr");
    replace(&request, key.request_pem()?.as_bytes())?;
    Ok(request)
}

/// The offline machine certifies an issuing authority's key; gives the certificate in PEM.
///
/// # Errors
/// [`AdminError`].
pub fn certify_issuing(
    path: &Path,
    request_pem: &str,
    passphrase: &UnlockSource,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<String, AdminError> {
    let passphrase = secret_passphrase(&read_unlock(path, passphrase)?);
    let key = authority_key(&path.join("root.key"), &passphrase)?;
    let root = RootAuthority::open(&read(&path.join("root.crt"))?, key)?;
    let profiles = Profiles::embedded()?;
    let issuance = Issuance {
        profile: &profiles.issuing,
        now,
        entropy,
    };
    let requested = RequestedKey::from_pem(request_pem)?;
    Ok(root.sign_issuing(&network_of(path)?, &requested, &issuance)?)
}

fn refuse_founded(path: &Path) -> Result<(), AdminError> {
    if path.join("network.json").exists() {
        return Err(AdminError::Occupied(path.display().to_string()));
    }
    Ok(())
}

/// What the first root document is drafted from.
#[derive(Debug)]
pub struct Drafting {
    /// The network's id.
    pub network: NetworkId,
    /// Currency of the exposure bands.
    pub currency: Currency,
    /// How many people the identifiers may belong to.
    pub population: u64,
    /// Files with the administrators' public halves.
    pub administrators: Vec<PathBuf>,
    /// How many of them must sign.
    pub threshold: u32,
    /// The root's certificate.
    pub root: PathBuf,
    /// The issuing authority's certificate.
    pub issuing: PathBuf,
}

/// Drafts the first root document and the first member list, which nobody has signed; gives their
/// files. A draft is replaced, and then signatures of the former one count for nothing.
///
/// # Errors
/// [`AdminError`]; in particular where the certificates do not belong to the folder's key.
pub fn draft(
    path: &Path,
    drafting: &Drafting,
    passphrase: &UnlockSource,
    now: Timestamp,
) -> Result<[PathBuf; 2], AdminError> {
    refuse_founded(path)?;
    let authority = path.join("authority");
    let (root_pem, issuing_pem) = (read(&drafting.root)?, read(&drafting.issuing)?);
    check_certified_by(&issuing_pem, &root_pem)?;
    let secret = secret_passphrase(&read_unlock(path, passphrase)?);
    let key = authority_key(&authority.join("issuing.key"), &secret)?;
    Authority::open(&issuing_pem, key)?;
    let halves = drafting.administrators.iter();
    let administrators = halves.map(|file| PublicHalf::read(file));
    let freshness = PublicHalf::read(&authority.join("freshness.pub"))?;
    let founding = Founding {
        network: drafting.network.clone(),
        administrators: administrators.collect::<Result<_, _>>()?,
        threshold: drafting.threshold,
        authority_pem: root_pem.clone(),
        freshness_keys: vec![freshness.key],
        currency: drafting.currency,
        population: drafting.population,
    };
    let document = RootDocument::found(founding, now);
    document.check_rules()?;
    let list = MemberList::first(&drafting.network, now, LIST_LIFE);
    replace(&authority.join("root.crt"), root_pem.as_bytes())?;
    replace(&authority.join("issuing.crt"), issuing_pem.as_bytes())?;
    let drafts = path.join("draft");
    folder(&drafts)?;
    let files = [drafts.join("network.json"), drafts.join("members.json")];
    let [root_file, list_file] = &files;
    let text = Signed::unsigned(document).to_text()?;
    replace(root_file, text.as_bytes())?;
    let text = Signed::unsigned(list).to_text()?;
    replace(list_file, text.as_bytes())?;
    Ok(files)
}

/// A document that waits for signatures, in a file.
#[derive(Debug, Clone)]
pub enum Paper {
    /// A root document.
    Root(Box<Signed<RootDocument>>),
    /// A member list.
    List(Box<Signed<MemberList>>),
}

impl Paper {
    /// Reads either kind.
    ///
    /// # Errors
    /// [`AdminError::Document`].
    pub fn read(file: &Path) -> Result<Self, AdminError> {
        let text = read(file)?;
        if text.contains(RootDocument::FORMAT) {
            return Ok(Self::Root(Box::new(Signed::parse(&text)?)));
        }
        Ok(Self::List(Box::new(Signed::parse(&text)?)))
    }

    /// What it says, one thing a line, and its fingerprint last.
    ///
    /// # Errors
    /// [`AdminError::Document`].
    pub fn in_words(&self) -> Result<Vec<String>, AdminError> {
        let (mut lines, digest) = match self {
            Self::Root(paper) => (paper.document().in_words(), paper.digest()?),
            Self::List(paper) => (paper.document().in_words(), paper.digest()?),
        };
        lines.push(format!("fingerprint {}", hex_groups(&digest)));
        Ok(lines)
    }

    /// Adds a signature, and replaces the file.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn sign(&mut self, key: &SigningKey, file: &Path) -> Result<(), AdminError> {
        let text = match self {
            Self::Root(paper) => {
                let named = &paper.document().administrators;
                if !named.iter().any(|one| one.key == key.key().public()) {
                    return Err(AdminError::Nothing(
                        "this key is none of the administrators in the document: do not sign it"
                            .to_owned(),
                    ));
                }
                paper.document().check_rules()?;
                paper.sign(key.key())?;
                paper.to_text()?
            }
            Self::List(paper) => {
                paper.sign(key.key())?;
                paper.to_text()?
            }
        };
        Ok(replace(file, text.as_bytes())?)
    }
}

/// How far the signing of the first documents is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// Valid signatures on the root document and on the list.
    pub signed: [usize; 2],
    /// How many each needs.
    pub needed: usize,
    /// The network's fingerprint.
    pub fingerprint: String,
    /// Whether the network is founded now.
    pub founded: bool,
}

/// Collects signatures from copies of the drafts, and founds the network once there are enough.
/// Given again, it takes what is new.
///
/// # Errors
/// [`AdminError`]; in particular where a copy is of another draft, or a signature is forged.
pub fn assemble(path: &Path, copies: &[PathBuf], now: Timestamp) -> Result<Assembled, AdminError> {
    refuse_founded(path)?;
    let drafts = path.join("draft");
    let (root_file, list_file) = (drafts.join("network.json"), drafts.join("members.json"));
    let mut root = Signed::<RootDocument>::parse(&read(&root_file)?)?;
    let mut list = Signed::<MemberList>::parse(&read(&list_file)?)?;
    let named = &root.document().administrators;
    let keys: Vec<[u8; 32]> = named.iter().map(|one| one.key).collect();
    for file in copies {
        let other = AdminError::Nothing(format!(
            "{} is another document than the draft: let it be drafted and signed anew",
            file.display()
        ));
        match Paper::read(file)? {
            Paper::Root(copy) if copy.document() == root.document() => {
                copy.valid_signatures(&keys)?;
                root.take_signatures(&copy, &keys);
            }
            Paper::List(copy) if copy.document() == list.document() => {
                copy.valid_signatures(&keys)?;
                list.take_signatures(&copy, &keys);
            }
            Paper::Root(_) | Paper::List(_) => return Err(other),
        }
    }
    replace(&root_file, root.to_text()?.as_bytes())?;
    replace(&list_file, list.to_text()?.as_bytes())?;
    let signed = [root.valid_signatures(&keys)?, list.valid_signatures(&keys)?];
    let needed = usize::try_from(root.document().threshold).unwrap_or(usize::MAX);
    let founded = signed.iter().all(|count| *count >= needed);
    let fingerprint = hex_groups(&root.digest()?);
    if founded {
        let text = list.to_text()?;
        let network = NetworkRoot::from_signed(root, now)?;
        Roster::verify(&network, &text, now)?;
        replace(&path.join("members.json"), text.as_bytes())?;
        // Last, so that a folder with a network.json is a whole one.
        let text = network.signed().to_text()?;
        replace(&path.join("network.json"), text.as_bytes())?;
    }
    Ok(Assembled {
        signed,
        needed,
        fingerprint,
        founded,
    })
}
