//! The certificate that a node shows, and the TLS configurations made from it and from the root in
//! force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;

use super::trust::TrustHandle;
use crate::membership::{
    NetworkRoot, OwnCertificate, PeerCertificate, TlsConfigs, TrustError, leading_roots, must_renew,
};

/// The certificate that this node shows, and the TLS configurations made from it. Clones share
/// both.
#[derive(Debug, Clone)]
pub struct NodeTls(Arc<Shown>);

#[derive(Debug)]
pub(super) struct Shown {
    trust: TrustHandle,
    current: ArcSwap<Current>,
}

/// One certificate under one root, in use.
#[derive(Debug)]
pub(super) struct Current {
    /// Counts exchanges, so that channels notice one.
    pub(super) generation: u64,
    /// The root under which the configurations were made.
    pub(super) root_version: u32,
    pub(super) leaf: Arc<PeerCertificate>,
    pub(super) chain: Arc<[CertificateDer<'static>]>,
    pub(super) configs: TlsConfigs,
}

impl NodeTls {
    /// Begins with the certificate that the node has, even if it is expired: peers then say so.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(trust: &TrustHandle, own: &OwnCertificate) -> Result<Self, TrustError> {
        let _guard = trust.installing();
        let root = trust.root();
        let current = Current {
            generation: 0,
            root_version: root.version(),
            leaf: Arc::clone(own.leaf()),
            chain: own.chain().into(),
            configs: TlsConfigs::build(&root, own, trust.clock())?,
        };
        let shown = Arc::new(Shown {
            trust: trust.clone(),
            current: ArcSwap::from_pointee(current),
        });
        trust.follow_roots(&shown);
        Ok(Self(shown))
    }

    /// Shows another certificate on connections made from now on. Open ones go on; channels to
    /// peers move to fresh connections with their next call.
    ///
    /// # Errors
    /// [`TrustError`] where peers would refuse it; the certificate in use then stays.
    pub fn install(&self, own: &OwnCertificate) -> Result<(), TrustError> {
        let trust = &self.0.trust;
        let _guard = trust.installing();
        let root = trust.root();
        own.check(&root, trust.clock().now())?;
        self.0.current.store(Arc::new(Current {
            generation: self.0.current.load().generation + 1,
            root_version: root.version(),
            leaf: Arc::clone(own.leaf()),
            chain: own.chain().into(),
            configs: TlsConfigs::build(&root, own, trust.clock())?,
        }));
        Ok(())
    }

    /// What the certificate in use says.
    #[must_use]
    pub fn certificate(&self) -> Arc<PeerCertificate> {
        Arc::clone(&self.0.current.load().leaf)
    }

    /// Whether the certificate in use leads only to root certificates that are about to go: then it
    /// is renewed at once, however long it still lives.
    #[must_use]
    pub fn must_renew(&self) -> bool {
        let current = self.current();
        must_renew(&self.0.trust.root(), &current.chain, &current.leaf)
    }

    /// SHA-256 of each X.509 root certificate of the root in force to which the certificate in use
    /// leads.
    #[must_use]
    pub fn leads_to(&self) -> Vec<[u8; 32]> {
        let current = self.current();
        leading_roots(&self.0.trust.root(), &current.chain, &current.leaf)
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.0.current.load_full()
    }

    /// What the node trusts.
    #[must_use]
    pub fn trust(&self) -> &TrustHandle {
        &self.0.trust
    }
}

impl Shown {
    /// The certificate in use under another root; the caller holds the lock of installing.
    pub(super) fn under(&self, root: &NetworkRoot) -> Result<Current, TrustError> {
        let current = self.current.load();
        Ok(Current {
            generation: current.generation + 1,
            root_version: root.version(),
            leaf: Arc::clone(&current.leaf),
            chain: Arc::clone(&current.chain),
            configs: current.configs.under(root, self.trust.clock())?,
        })
    }

    pub(super) fn exchange(&self, current: Current) {
        self.current.store(Arc::new(current));
    }
}
