//! What lies in a replica's folder or memory and is changed by others: certificate and identity
//! keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::folder::{CERTIFICATE, Opened};
use super::join::replace;
use super::own_tls_keys::OwnTlsKeys;
use super::{Folder, NodeError};
use crate::flows::Identities;
use crate::membership::{OwnCertificate, TrustError};
use crate::net::NodeTls;
use crate::store::Table;

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps a running replica's certificate and identity keys those of its node.
#[derive(Debug)]
pub(super) struct InStep {
    pub(super) folder: Folder,
    pub(super) opened: Opened,
    pub(super) identities: Arc<Identities>,
    pub(super) tls: NodeTls,
}

impl InStep {
    /// Looks whenever others wrote, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let replicas = self.opened.vault.replicas().clone();
        let mut seen = replicas.others_wrote();
        loop {
            let wrote = replicas.others_wrote_after(seen);
            match stop.run_until_cancelled(wrote).await {
                Some(now) => seen = now,
                None => return,
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what another replica renewed is not taken");
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self) -> Result<(), NodeError> {
        self.identities.take(self.opened.identities().await?);
        if let Some(own) = self.folder.take_certificate(&self.opened).await? {
            self.tls.install(&own)?;
            tracing::info!(until = %own.leaf().not_after(), "another replica's certificate taken");
        }
        Ok(())
    }
}

impl Folder {
    /// Takes the certificate that another replica of the node got, where it is newer than the one
    /// in this folder.
    ///
    /// # Errors
    /// [`NodeError`] where it cannot be read or written.
    pub(super) async fn take_certificate(
        &self,
        opened: &Opened,
    ) -> Result<Option<OwnCertificate>, NodeError> {
        let key = opened.vault.row_key(Table::Key, CERTIFICATE);
        let Some(row) = opened.vault.read(Table::Key, &key).await? else {
            return Ok(None);
        };
        let unreadable = |_| NodeError::Folder("the store's certificate is damaged".to_owned());
        let chain = String::from_utf8(row.bytes.to_vec()).map_err(unreadable)?;
        let here = self.text(&self.certificate())?;
        if chain == here {
            return Ok(None);
        }
        let own = match OwnCertificate::new(&chain, opened.tls_key().await?) {
            // The key follows the certificate in a moment.
            Err(TrustError::OtherKey) => return Ok(None),
            own => own?,
        };
        if self.leaf()?.not_after() >= own.leaf().not_after() {
            return Ok(None);
        }
        let known = OwnTlsKeys::in_folder(self.path());
        known.note(own.leaf().spki_sha256())?;
        replace(&self.certificate(), chain.as_bytes())?;
        Ok(Some(own))
    }
}
