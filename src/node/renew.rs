//! Renewal: a new key over the member's identity, at half the certificate's life or when asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::folder::{CERTIFICATE, IDENTITY, NEXT_IDENTITY, NEXT_TLS_KEY, TLS_KEY};
use super::join::replace;
use super::own_tls_keys::OwnTlsKeys;
use super::{Folder, NodeError};
use crate::crypto::IdentityKey;
use crate::domain::{MemberId, Timestamp};
use crate::env::{Clock, Entropy};
use crate::flows::Identities;
use crate::limits::{REGISTRAR_BACKOFF_MAX, REGISTRAR_BACKOFF_MIN};
use crate::membership::{
    CertificateKey, NetworkRoot, OwnCertificate, PeerCertificate, request_renewal,
};
use crate::net::{NodeTls, RegistrarClient, RegistrarError};
use crate::store::{Table, Vault};

/// How often a node looks whether its certificate is due.
const LOOK: Duration = Duration::from_millis(500);

/// Whoever asks for a new certificate, and what it takes.
#[derive(Debug)]
pub(super) struct Renewer {
    pub(super) vault: Vault,
    pub(super) identities: Arc<Identities>,
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
    ///
    /// The key that the list held here pins signs; where the registrar refuses that and a change of
    /// the identity key waits, the next one: the registrar may know a newer list.
    pub(super) async fn renew(
        &self,
        root: &NetworkRoot,
        pinned: Option<&[u8; 32]>,
    ) -> Result<OwnCertificate, NodeError> {
        if self.registrars.is_empty() {
            return Err(NodeError::Folder(
                "node.toml names no registrar: certificates come from the administrators by file"
                    .to_owned(),
            ));
        }
        let mut last = None;
        for endpoint in &self.registrars {
            for signer in self.identities.in_order(pinned) {
                match self.renew_at(endpoint, root, &signer).await {
                    Ok(own) => return Ok(own),
                    Err(error @ NodeError::Registrar(RegistrarError::Refused { .. })) => {
                        // What the key that counts here was told is told.
                        last.get_or_insert(error);
                    }
                    Err(error) => {
                        last = Some(error);
                        break;
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| NodeError::Folder("no registrar".to_owned())))
    }

    async fn renew_at(
        &self,
        endpoint: &str,
        root: &NetworkRoot,
        signer: &IdentityKey,
    ) -> Result<OwnCertificate, NodeError> {
        let key = CertificateKey::generate()?;
        let der = key.pkcs8();
        let now = self.clock.now();
        let request = request_renewal(signer, root.network(), &self.member, &key, now);
        let request = request.map_err(|error| NodeError::Folder(error.to_string()))?;
        let mut client = RegistrarClient::connect(endpoint, root, &self.clock).await?;
        let folder = self.certificate_path.parent().unwrap_or(Path::new("."));
        OwnTlsKeys::in_folder(folder).note(&key.spki_sha256())?;
        let chain = client.renew(&request).await?;
        let own = OwnCertificate::new(&chain, key)?;
        own.check(root, self.clock.now())?;
        // First the new key beside the old one, then the certificate, then the new key alone: at
        // each moment the certificate's key is there.
        self.put(NEXT_TLS_KEY, der.expose()).await?;
        self.put(CERTIFICATE, chain.as_bytes()).await?;
        replace(&self.certificate_path, chain.as_bytes())?;
        self.put(TLS_KEY, der.expose()).await?;
        Ok(own)
    }

    /// The next identity key takes the place of the one in use, whose row is overwritten.
    async fn settle_identity(&self) -> Result<(), NodeError> {
        let row = |name| self.vault.row_key(Table::Key, name);
        let (at_own, at_next) = (row(IDENTITY), row(NEXT_IDENTITY));
        let next = self.vault.read(Table::Key, &at_next).await?;
        if let Some(next) = next {
            let own = self.vault.read(Table::Key, &at_own).await?;
            let revision = own.map_or(0, |row| row.revision);
            let mut batch = self.vault.batch();
            batch.put(Table::Key, &at_own, revision, &next.bytes);
            batch.delete(Table::Key, &at_next, next.revision);
            self.vault.commit(batch).await?;
        }
        self.identities.settle();
        Ok(())
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
        let pinned = self.pinned(&renewer);
        let own = renewer
            .renew(&self.tls.trust().root(), pinned.as_ref())
            .await?;
        self.tls.install(&own)?;
        tracing::info!(until = %own.leaf().not_after(), "certificate renewed");
        Ok(Arc::clone(own.leaf()))
    }

    /// The identity key that the list in force pins for this member.
    pub(super) fn pinned(&self, renewer: &Renewer) -> Option<[u8; 32]> {
        let roster = self.tls.trust().roster();
        let own = roster.member(&renewer.member);
        own.map(|own| own.identity_key)
    }

    /// Whether peers accept the certificate's key as this member's, or will once they have the list
    /// that this node does not have yet. A change of the identity key that is in force, and whose
    /// certificate is here, comes to its end.
    async fn is_stated(&self) -> bool {
        let renewer = self.renewer.lock().await;
        let Some(pinned) = self.pinned(&renewer) else {
            return true;
        };
        let (leaf, identities) = (self.tls.certificate(), &renewer.identities);
        let next = identities.next().map(|next| next.public());
        if next == Some(pinned) && leaf.is_stated_by(&pinned) {
            match renewer.settle_identity().await {
                Ok(()) => tracing::info!("the new identity key has taken the old one's place"),
                Err(error) => tracing::error!(%error, "the old identity key is still kept"),
            }
        }
        // Where the list pins a key that is not here, no certificate would help.
        let pins_another = identities.pinned(Some(&pinned)).public() != pinned;
        pins_another
            || leaf.is_stated_by(&pinned)
            || next.is_some_and(|next| leaf.is_stated_by(&next))
    }

    /// A registrar refuses this node's certificate: where a change of the identity key waits, it
    /// may be in force already, and only a certificate by the new key leads to the list that says
    /// so.
    pub(super) async fn after_refusal(&self) {
        let next = self.renewer.lock().await.identities.next();
        if next.is_some_and(|next| !self.tls.certificate().is_stated_by(&next.public())) {
            let renewed = self.renew_now().await;
            tracing::info!(done = renewed.is_ok(), "tried the next identity key");
        }
    }

    /// Renews whenever that is due, and at once where the list pins another identity key than the
    /// one that states the certificate's key, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = REGISTRAR_BACKOFF_MIN;
        let mut due = self.due(&self.tls.certificate());
        let mut lists = self.tls.trust().versions();
        let mut failed = false;
        loop {
            if failed || self.is_stated().await {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(LOOK.max(pause)) => {}
                    Ok(()) = lists.changed() => {}
                }
            }
            failed = false;
            // Of several replicas one renews; the others take its certificate.
            if !self.renewer.lock().await.vault.replicas().leads() {
                failed = true;
                continue;
            }
            // Its root may be about to go, or gone: then it is renewed however long it lives.
            let is_due = self.tls.trust().clock().now() >= due || self.tls.must_renew();
            if self.is_stated().await && !is_due {
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
                    failed = true;
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
            identities: Arc::new(opened.identities().await?),
            member: opened.config.member.clone(),
            certificate_path: self.certificate(),
            registrars: opened.config.registrar.clone(),
            vault: opened.vault.clone(),
            clock,
        };
        let pinned = self.pinned_identity(renewer.clock.now()).ok().flatten();
        let renewed = renewer.renew(&root, pinned.as_ref()).await;
        opened.close().await?;
        Ok(Arc::clone(renewed?.leaf()))
    }
}
