//! The store that a node's configuration names, opened or made.

use std::path::Path;
use std::sync::Arc;

use super::parts::Sealing;
use super::unlock::read_private;
use super::{Folder, NodeError, read_text};
use crate::config::{DatabaseConfig, NodeConfig, StoreConfig};
use crate::crypto::{Keyring, Secret};
use crate::env::OsEntropy;
use crate::net::database_tls;
use crate::store::{
    Holding, OpenMode, PostgresOptions, PostgresStore, SledOptions, SledStore, Store, Vault,
};

impl Folder {
    /// The store that `config` names, under a key ring. sled always is this process's alone.
    pub(super) async fn vault_under(
        &self,
        keys: Arc<Keyring>,
        (mode, holding): (OpenMode, Holding),
        config: &NodeConfig,
    ) -> Result<Vault, NodeError> {
        let store: Arc<dyn Store> = match &config.store {
            StoreConfig::Sled => {
                let mut options = SledOptions::new(self.store(), mode);
                options.cache_bytes = u64::from(config.cache_mib) << 20;
                Arc::new(SledStore::open(options, &keys.digest_key()).await?)
            }
            StoreConfig::Postgres(database) => {
                let mut options = database_options(self.path(), database, mode)?;
                options.holding = holding;
                options.folder = Some(self.path().to_owned());
                let writer = Secret::<16>::random(&OsEntropy::default())?;
                let id = *writer.expose();
                let digest_key = keys.digest_key();
                let opening = PostgresStore::open(options, &digest_key, id);
                Arc::new(Box::pin(opening).await?)
            }
        };
        Ok(Vault::new(store, keys))
    }

    /// The key ring, or what stands in for it in the byte scanner's test.
    pub(super) fn sealed(&self, keys: Keyring) -> Arc<Keyring> {
        Arc::new(match self.sealing {
            Sealing::On => keys,
            Sealing::OffForScannerTest => Keyring::without_sealing_for_scanner_tests(),
        })
    }
}

/// The database that a configuration names; relative paths are relative to `folder`.
///
/// # Errors
/// [`NodeError`] where the connection is written wrongly, or a file cannot be read.
pub fn database_options(
    folder: &Path,
    config: &DatabaseConfig,
    mode: OpenMode,
) -> Result<PostgresOptions, NodeError> {
    let mut options = PostgresOptions::reached_by(&config.connection, mode)?;
    options.connections = config.connections;
    if let Some(path) = &config.password_file {
        let text = read_private(&folder.join(path))?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(NodeError::unlock(
                path,
                "its first line must be the password",
            ));
        }
        options.set_password(line);
    }
    if !options.stays_on_this_machine() {
        let pem = config.roots.as_ref().map(|path| {
            let path = folder.join(path);
            read_text(&path).map_err(|error| NodeError::file(&path, &error))
        });
        let tls = database_tls(pem.transpose()?.as_deref());
        let tls = tls.map_err(|why| NodeError::Folder(format!("store.roots: {why}")))?;
        options.tls = Some(tls);
    }
    Ok(options)
}
