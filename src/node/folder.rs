//! A node's folder: what lies where, how it is made and opened.
//!
//! ```text
//! node.toml      how the node runs
//! keyring.json   wrapped keys; worthless without the passphrase or key file
//! network.json   the network's root document in force
//! roots/         root documents by version; new ones are put here
//! members.json   the newest member list
//! seen.json      the newest root, list and freshness that were ever in force here
//! staged.json    a member list on its way in, for a node that is killed meanwhile
//! departures.json members that left, as long as no list says so
//! node.crt       the certificate chain
//! freshness.json the newest freshness statement, in networks with a registrar
//! store/         the sealed store, with the node's own keys in it
//! operator.sock  the running node's operator service
//! imports/       how far interrupted imports came
//! erased.json    keyed hashes of erased identifiers, so that no restore brings them back
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::parts::Sealing;
use super::unlock::{read_unlock, write_private};
use crate::config::{ConfigError, NodeConfig, UnlockSource};
use crate::crypto::{IdentityKey, KdfCost, Keyring, KeyringError, Secret};
use crate::domain::Timestamp;
use crate::env::{Entropy, EntropyUnavailable, OsEntropy};
use crate::flows::{FlowError, Identities};
use crate::membership::{
    CertificateKey, ChainPart, JoinError, KeyError, ListError, OperatorError, OwnCertificate,
    PeerCertificate, RootError, Roster, SeenError, TrustError, chain_parts, check_chain,
};
use crate::net::RegistrarError;
use crate::store::{BackupError, Holding, OpenMode, StoreError, Table, Vault};

/// Why a node's folder cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    NotBound {
        /// The address.
        address: SocketAddr,
        /// What the system says, and what to do.
        reason: String,
    },
    /// The passphrase or key file is not as it must be.
    #[error("{path}: {reason}")]
    Unlock {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// The folder is not (yet) what it must be.
    #[error("{0}")]
    Folder(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key ring does not open.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The store does not open, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backup cannot be written or read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A certificate key is damaged.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The network's root document does not hold.
    #[error("network.json: {0}")]
    Root(#[from] RootError),
    /// The member list does not hold.
    #[error("members.json: {0}")]
    List(#[from] ListError),
    /// What the folder holds is older than what this node has seen.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// Joining stops.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The certificate is no good.
    #[error("node.crt: {0}")]
    Trust(#[from] TrustError),
    /// The operator authority, or an operator's credentials.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A registrar did not do what was asked.
    #[error(transparent)]
    Registrar(#[from] RegistrarError),
    /// No registrar has this member's departure.
    #[error(
        "{0}\nthis member has not left: try again, or ask the administrators to remove it with \
         `creditmesh network remove`"
    )]
    NotLeft(RegistrarError),
    /// A flow failed.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

impl NodeError {
    pub(super) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }

    pub(super) fn unlock(path: &Path, reason: &'static str) -> Self {
        Self::Unlock {
            path: path.display().to_string(),
            reason,
        }
    }
}

/// A node's folder, whether or not anything is in it.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    pub(super) sealing: Sealing,
}

/// An opened folder: its configuration and its store.
#[derive(Debug)]
pub struct Opened {
    /// How the node runs.
    pub config: NodeConfig,
    /// The sealed store.
    pub vault: Vault,
}

impl Opened {
    /// Closes the store; what was acknowledged is on disk.
    ///
    /// # Errors
    /// [`StoreError`] where the engine could not finish.
    pub async fn close(self) -> Result<(), StoreError> {
        self.vault.store().close().await
    }
}

/// What a new folder is made for.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) config_text: String,
    pub(super) node_name: &'a str,
    pub(super) cost: KdfCost,
    pub(super) entropy: &'a dyn Entropy,
}

impl Folder {
    /// The folder at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            sealing: Sealing::On,
        }
    }

    /// The same folder with its rows sealed or not. No command and no configuration reaches this.
    #[doc(hidden)]
    #[must_use]
    pub fn sealing(mut self, sealing: Sealing) -> Self {
        self.sealing = sealing;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The running node's operator socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("operator.sock")
    }

    /// The member list in force.
    #[must_use]
    pub fn members(&self) -> PathBuf {
        self.path.join("members.json")
    }

    pub(super) fn network(&self) -> PathBuf {
        self.path.join("network.json")
    }

    pub(super) fn freshness(&self) -> PathBuf {
        self.path.join("freshness.json")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.path.join("node.crt")
    }

    pub(super) fn keyring(&self) -> PathBuf {
        self.path.join("keyring.json")
    }

    /// The wrapped key ring's text, which a backup carries.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub fn keyring_text(&self) -> Result<String, NodeError> {
        self.text(&self.keyring())
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// What the node's certificate says.
    ///
    /// # Errors
    /// [`NodeError`] where there is none, or it cannot be read.
    pub fn leaf(&self) -> Result<PeerCertificate, NodeError> {
        let text = self.text(&self.certificate())?;
        PeerCertificate::first_of(&text).map_err(|e| NodeError::Folder(format!("node.crt: {e}")))
    }

    /// The certificates that the node shows, its own first.
    ///
    /// # Errors
    /// [`NodeError`] where there are none, or they cannot be read.
    pub fn chain(&self) -> Result<Vec<ChainPart>, NodeError> {
        Ok(chain_parts(&self.text(&self.certificate())?)?)
    }

    /// The identity key that the member list in the folder pins for this member.
    ///
    /// # Errors
    /// [`NodeError`] where root or list do not hold.
    pub fn pinned_identity(&self, now: Timestamp) -> Result<Option<[u8; 32]>, NodeError> {
        let root = self.root(now)?;
        let roster = Roster::verify_kept(&root, &self.text(&self.members())?, now)?;
        let member = self.config()?.member;
        Ok(roster.member(&member).map(|entry| entry.identity_key))
    }

    /// Checks that peers will accept the certificate at `now`, without opening the store: whether
    /// the node has its key is not looked at.
    ///
    /// # Errors
    /// [`NodeError`], which says why peers refuse it.
    pub fn check_chain(&self, now: Timestamp) -> Result<(), NodeError> {
        let root = self.root(now)?;
        Ok(check_chain(&self.text(&self.certificate())?, &root, now)?)
    }

    /// Checks that peers will accept the certificate at `now`; gives the whole days that are left.
    ///
    /// # Errors
    /// [`NodeError`], which says why peers refuse it.
    pub async fn check_certificate(&self, now: Timestamp) -> Result<u64, NodeError> {
        let root = self.root(now)?;
        let opened = self.open().await?;
        let own = opened
            .own_certificate(&self.text(&self.certificate())?)
            .await;
        opened.close().await?;
        let own = own?;
        own.check(&root, now)?;
        Ok(own.leaf().not_after().since(now).as_secs() / 86_400)
    }

    /// The text of a file in the folder.
    pub(super) fn text(&self, path: &Path) -> Result<String, NodeError> {
        if !self.path.join("node.toml").exists() {
            let place = self.path.display();
            let reason =
                format!("{place} is no node's folder: make one with `creditmesh node join`");
            return Err(NodeError::Folder(reason));
        }
        super::read_text(path).map_err(|error| {
            let joins = [self.certificate(), self.members()];
            if error.kind() == std::io::ErrorKind::NotFound && joins.iter().any(|one| one == path) {
                let joined = path == self.members() && self.certificate().exists();
                let remedy = if joined {
                    "a backup does not bring it back; copy the newest one from the administrators"
                } else {
                    "this node has not joined yet; give the welcome that the administrators sent \
                     to `creditmesh node join`"
                };
                return NodeError::Folder(format!("{} is missing: {remedy}", path.display()));
            }
            NodeError::file(path, &error)
        })
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`NodeError::File`] or [`NodeError::Config`].
    pub fn config(&self) -> Result<NodeConfig, NodeError> {
        Ok(NodeConfig::parse(&self.text(&self.config_file())?)?)
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.path.join("node.toml")
    }

    /// Makes the folder's configuration, key ring and empty store, and the node's own keys in it.
    pub(super) async fn make(&self, making: Making<'_>) -> Result<Opened, NodeError> {
        let config = NodeConfig::parse(&making.config_text)?;
        self.begin_making()?;
        if let UnlockSource::KeyFile(path) = &config.unlock {
            let path = self.path.join(path);
            if !path.exists() {
                super::unlock::write_key_file(&path, making.entropy)?;
            }
        }
        let unlock = read_unlock(&self.path, &config.unlock)?;
        let (keys, text) = Keyring::create(&unlock, making.node_name, making.entropy, making.cost)?;
        write_private(&self.keyring(), text.as_bytes())?;
        let vault = self
            .vault_under(self.sealed(keys), (OpenMode::New, Holding::Alone), &config)
            .await?;
        vault.store().share_ring(&text, 0).await?;
        let mut batch = vault.batch();
        let seed = Secret::<32>::random(making.entropy)?;
        let tls = CertificateKey::generate()?;
        batch.put(
            Table::Key,
            &vault.row_key(Table::Key, IDENTITY),
            0,
            seed.expose(),
        );
        batch.put(
            Table::Key,
            &vault.row_key(Table::Key, TLS_KEY),
            0,
            tls.pkcs8().expose(),
        );
        vault.commit(batch).await?;
        // Last, so that a folder with a node.toml is a whole one.
        write_private(&self.path.join("node.toml"), making.config_text.as_bytes())?;
        let making = self.making();
        std::fs::remove_file(&making).map_err(|error| NodeError::file(&making, &error))?;
        Ok(Opened { config, vault })
    }

    /// Notes that the folder is being made, and clears away what a making that was cut short left:
    /// keys that nobody outside ever heard of.
    fn begin_making(&self) -> Result<(), NodeError> {
        let making = self.making();
        if making.exists() {
            let removed = match std::fs::remove_file(self.keyring()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => match std::fs::remove_dir_all(self.store()) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            return removed.map_err(|error| NodeError::file(&self.path, &error));
        }
        std::fs::create_dir_all(&self.path).map_err(|error| NodeError::file(&self.path, &error))?;
        if self.keyring().exists() || self.store().exists() {
            return Err(NodeError::Folder(format!(
                "{} holds keys or a store but no node.toml: choose another folder with --dir, or \
                 put node.toml back",
                self.path.display()
            )));
        }
        write_private(&making, b"")
    }

    /// There while the folder is being made.
    pub(super) fn making(&self) -> PathBuf {
        self.path.join("making")
    }

    /// Opens the folder of a stopped node.
    ///
    /// # Errors
    /// [`NodeError`]; a running node holds the lock of its store.
    pub async fn open(&self) -> Result<Opened, NodeError> {
        self.open_holding(Holding::Alone).await
    }

    /// Opens the folder to run its node: beside its other replicas, where the store is in a
    /// database.
    pub(super) async fn open_to_run(&self) -> Result<Opened, NodeError> {
        self.open_holding(Holding::Replica).await
    }

    async fn open_holding(&self, holding: Holding) -> Result<Opened, NodeError> {
        let config = self.config()?;
        let unlock = read_unlock(&self.path, &config.unlock)?;
        let text = self.keyring_text()?;
        let keys = Keyring::unlock(&text, &unlock, &OsEntropy::default())?;
        let vault = self
            .vault_under(self.sealed(keys), (OpenMode::Existing, holding), &config)
            .await?;
        self.take_shared_ring(&vault, &config.unlock).await?;
        Ok(Opened { config, vault })
    }
}

impl Opened {
    /// The key that signs what this member says.
    ///
    /// # Errors
    /// [`NodeError`] where the store has no such key.
    pub async fn identity(&self) -> Result<IdentityKey, NodeError> {
        identity_of(&self.own_key(IDENTITY).await?)
    }

    /// That key and, where a change of it waits, the next one.
    ///
    /// # Errors
    /// [`NodeError`] where the store has no such key.
    pub async fn identities(&self) -> Result<Identities, NodeError> {
        let at_next = self.vault.row_key(Table::Key, NEXT_IDENTITY);
        let next = self.vault.read(Table::Key, &at_next).await?;
        let next = next.map(|row| identity_of(&row.bytes)).transpose()?;
        Ok(Identities::new(self.identity().await?, next))
    }

    /// The key of the node's certificate.
    ///
    /// # Errors
    /// [`NodeError`] where the store has no such key.
    pub async fn tls_key(&self) -> Result<CertificateKey, NodeError> {
        Ok(CertificateKey::from_pkcs8(&self.own_key(b"tls").await?)?)
    }

    /// The node's certificate with the key that it is for: a renewal that was cut short may have
    /// left the new key beside the old one.
    ///
    /// # Errors
    /// [`NodeError`] where the chain cannot be read, or is for neither key.
    pub async fn own_certificate(&self, chain_pem: &str) -> Result<OwnCertificate, NodeError> {
        let own = OwnCertificate::new(chain_pem, self.tls_key().await?);
        let next = self.vault.row_key(Table::Key, NEXT_TLS_KEY);
        match (own, self.vault.read(Table::Key, &next).await?) {
            (Err(TrustError::OtherKey), Some(next)) => {
                let key = CertificateKey::from_pkcs8(&next.bytes)?;
                Ok(OwnCertificate::new(chain_pem, key)?)
            }
            (own, _) => Ok(own?),
        }
    }

    async fn own_key(&self, name: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, NodeError> {
        let key = self.vault.row_key(Table::Key, name);
        let row = self.vault.read(Table::Key, &key).await?;
        Ok(row.ok_or_else(|| damaged("own"))?.bytes)
    }
}

/// Name of the row with the identity key's seed.
pub(super) const IDENTITY: &[u8] = b"identity";

/// Name of the row with the next identity key's seed, from the request until the certificate by it
/// is there.
pub(super) const NEXT_IDENTITY: &[u8] = b"identity-next";

/// The key pair of a kept seed.
pub(super) fn identity_of(seed: &[u8]) -> Result<IdentityKey, NodeError> {
    let seed: [u8; 32] = seed.try_into().map_err(|_| damaged("identity"))?;
    Ok(IdentityKey::from_seed(&Secret::from_bytes(seed)))
}

/// Name of the row with the TLS key that a renewal made, until its certificate is there.
pub(super) const NEXT_TLS_KEY: &[u8] = b"tls-next";

/// Name of the row with the certificate for the TLS key, for the node's other replicas.
pub(super) const CERTIFICATE: &[u8] = b"certificate";

/// Name of the row with the TLS key.
pub(super) const TLS_KEY: &[u8] = b"tls";

fn damaged(what: &str) -> NodeError {
    NodeError::Folder(format!(
        "the store has no {what} key: it is damaged or of another node; restore it from a backup"
    ))
}
