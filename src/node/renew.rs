//! Renewal: a new key over the member's identity, at half the certificate's life or when asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::folder::{NEXT_TLS_KEY, TLS_KEY};
use super::join::replace;
use super::{Folder, NodeError};
use crate::crypto::IdentityKey;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, Entropy};
use crate::limits::{REGISTRAR_BACKOFF_MAX, REGISTRAR_BACKOFF_MIN};
use crate::membership::{
    CertificateKey, NetworkRoot, OwnCertificate, OwnChange, PeerCertificate, request_change,
    request_renewal,
};
use crate::net::{NodeTls, RegistrarClient};
use crate::store::{Table, Vault};

/// How often a node looks whether its certificate is due.
const LOOK: Duration = Duration::from_millis(500);

/// Whoever asks for a new certificate, and what it takes.
#[derive(Debug)]
pub(super) struct Renewer {
    pub(super) vault: Vault,
    pub(super) identity: IdentityKey,
    pub(super) member: MemberId,
    pub(super) certificate_path: PathBuf,
    pub(super) registrars: Vec<String>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Renewer {
    /// Gets a certificate for a fresh key from the first registrar that gives one, and stores both
    /// so that the node can be killed at any moment.
    ///
    /// # Errors
    /// [`NodeError`]; key and certificate in use then stay.
    pub(super) async fn renew(&self, root: &NetworkRoot) -> Result<OwnCertificate, NodeError> {
        if self.registrars.is_empty() {
            return Err(NodeError::Folder(
                "node.toml names no registrar: certificates come from the administrators by file"
                    .to_owned(),
            ));
        }
        let mut last = None;
        for endpoint in &self.registrars {
            match self.renew_at(endpoint, root).await {
                Ok(own) => return Ok(own),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| NodeError::Folder("no registrar".to_owned())))
    }

    async fn renew_at(
        &self,
        endpoint: &str,
        root: &NetworkRoot,
    ) -> Result<OwnCertificate, NodeError> {
        let key = CertificateKey::generate()?;
        let der = key.pkcs8();
        let now = self.clock.now();
        let request = request_renewal(&self.identity, root.network(), &self.member, &key, now);
        let request = request.map_err(|error| NodeError::Folder(error.to_string()))?;
        let mut client = RegistrarClient::connect(endpoint, root, &self.clock).await?;
        let chain = client.renew(&request).await?;
        let own = OwnCertificate::new(&chain, key)?;
        own.check(root, self.clock.now())?;
        // First the new key beside the old one, then the certificate, then the new key alone: at
        // each moment the certificate's key is there.
        self.put(NEXT_TLS_KEY, der.expose()).await?;
        replace(&self.certificate_path, chain.as_bytes())?;
        self.put(TLS_KEY, der.expose()).await?;
        Ok(own)
    }

    async fn put(&self, name: &[u8], bytes: &[u8]) -> Result<(), NodeError> {
        let key = self.vault.row_key(Table::Key, name);
        let held = self.vault.read(Table::Key, &key).await?;
        let revision = held.map_or(0, |row| row.revision);
        let mut batch = self.vault.batch();
        batch.put(Table::Key, &key, revision, bytes);
        self.vault.commit(batch).await?;
        Ok(())
    }
}

/// Renews a running node's certificate. Clones share the turn: two renewals never cross.
#[derive(Debug, Clone)]
pub(super) struct Renewing {
    pub(super) renewer: Arc<Mutex<Renewer>>,
    pub(super) tls: NodeTls,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Renewing {
    /// Renews now. Open connections go on; calls from now on show the new certificate.
    pub(super) async fn renew_now(&self) -> Result<Arc<PeerCertificate>, NodeError> {
        let renewer = self.renewer.lock().await;
        let own = renewer.renew(&self.tls.trust().root()).await?;
        self.tls.install(&own)?;
        tracing::info!(until = %own.leaf().not_after(), "certificate renewed");
        Ok(Arc::clone(own.leaf()))
    }

    /// Renews whenever that is due, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = REGISTRAR_BACKOFF_MIN;
        let mut due = self.due(&self.tls.certificate());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(LOOK.max(pause)) => {}
            }
            // Its root may be about to go, or gone: then it is renewed however long it lives.
            if self.tls.trust().clock().now() < due && !self.tls.must_renew() {
                // Somebody else may have renewed.
                due = due.max(self.earliest(&self.tls.certificate()));
                pause = REGISTRAR_BACKOFF_MIN;
                continue;
            }
            match self.renew_now().await {
                Ok(_) if self.tls.must_renew() => {
                    tracing::warn!("the new certificate leads to an old root; renewed again later");
                    pause = pause.saturating_mul(2).min(REGISTRAR_BACKOFF_MAX);
                }
                Ok(leaf) => {
                    due = self.due(&leaf);
                    pause = REGISTRAR_BACKOFF_MIN;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot renew the certificate; tried again");
                    pause = pause.saturating_mul(2).min(REGISTRAR_BACKOFF_MAX);
                }
            }
        }
    }

    fn earliest(&self, leaf: &PeerCertificate) -> Timestamp {
        leaf.not_before()
            .plus(leaf.not_after().since(leaf.not_before()) / 2)
    }

    /// At half its life, and up to a tenth of it later: members that joined together do not come
    /// together.
    fn due(&self, leaf: &PeerCertificate) -> Timestamp {
        let mut draw = [0; 2];
        // Without random bytes there is no jitter, and nothing else is lost.
        if self.entropy.fill(&mut draw).is_err() {
            draw = [0; 2];
        }
        let life = leaf.not_after().since(leaf.not_before());
        let jitter =
            (life / 10 / u32::from(u16::MAX)).saturating_mul(u16::from_be_bytes(draw).into());
        self.earliest(leaf).plus(jitter)
    }
}

impl Folder {
    /// Asks, on the folder of a stopped node, for a change of this member's own entry. Changed
    /// endpoints count once the administrators have signed; a member that leaves gets no new
    /// certificate from now on.
    ///
    /// # Errors
    /// [`NodeError`]; a running node holds the lock of its store.
    pub async fn request_change(
        &self,
        change: OwnChange,
        clock: Arc<dyn Clock>,
    ) -> Result<MemberId, NodeError> {
        let root = self.root(clock.now())?;
        let opened = self.open().await?;
        let identity = opened.identity().await;
        let config = opened.config.clone();
        opened.close().await?;
        let (network, member) = (root.network(), &config.member);
        let request = request_change(&identity?, network, member, change, clock.now());
        let request = request.map_err(|error| NodeError::Folder(error.to_string()))?;
        let mut last = NodeError::Folder("node.toml names no registrar".to_owned());
        for endpoint in &config.registrar {
            let asked = match RegistrarClient::connect(endpoint, &root, &clock).await {
                Ok(mut client) => client.change_entry(&request).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(()) => return Ok(config.member),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// Renews the certificate of a stopped node.
    ///
    /// # Errors
    /// [`NodeError`]; a running node holds the lock of its store.
    pub async fn renew_certificate(
        &self,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<PeerCertificate>, NodeError> {
        let root = self.root(clock.now())?;
        let opened = self.open().await?;
        let renewer = Renewer {
            identity: opened.identity().await?,
            member: opened.config.member.clone(),
            certificate_path: self.certificate(),
            registrars: opened.config.registrar.clone(),
            vault: opened.vault.clone(),
            clock,
        };
        let renewed = renewer.renew(&root).await;
        opened.close().await?;
        Ok(Arc::clone(renewed?.leaf()))
    }
}
