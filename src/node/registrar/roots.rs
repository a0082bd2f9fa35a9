//! Root documents at the registrar: held until enough administrators signed, published, handed on.

use std::sync::Arc;

use super::desk::{Inner, Outcome, count, document, local};
use super::files::Files;
use crate::membership::{NetworkRoot, RootDocument, RootTally, Signed, check_desk};
use crate::node::root_files::{keep_newest, keep_version};
use crate::service::RegistrarRefusal;
use crate::wire::RootCount;

fn counted(tally: &RootTally, published: bool) -> RootCount {
    RootCount {
        signed: count(tally.signed),
        needed: count(tally.needed),
        signed_by_own: count(tally.signed_by_own),
        needed_by_own: count(tally.needed_by_own),
        published,
    }
}

impl Inner {
    /// Holds a next root, or publishes it once enough administrators of both signed it.
    pub(super) fn put_root(&self, text: &str) -> Outcome<RootCount> {
        let mut offered = Signed::<RootDocument>::parse(text).map_err(document)?;
        let mut files = self.files();
        let held = self.trust.root();
        let digest = offered.digest().map_err(document)?;
        if digest == *held.fingerprint() {
            let keys = held.administrator_keys();
            let signed = held.signed().valid_signatures(&keys).map_err(local)?;
            let tally = RootTally {
                signed,
                needed: held.threshold(),
                signed_by_own: signed,
                needed_by_own: held.threshold(),
            };
            return Ok(counted(&tally, true));
        }
        if let Some(before) = files.root_proposals.get(&digest) {
            let mut signers = held.administrator_keys();
            let own = offered.document().administrators.iter();
            signers.extend(own.map(|one| one.key));
            offered.take_signatures(before, &signers);
        }
        let tally = held
            .check_proposed(&offered, self.now())
            .map_err(document)?;
        if tally.signed == 0 {
            return Err(RegistrarRefusal::Document(
                "no administrator of the root in force signed this root".to_owned(),
            ));
        }
        if tally.is_enough() {
            self.publish_root(&mut files, &held, &offered)?;
        } else {
            files.hold_root(digest, offered, &held.administrator_keys())?;
        }
        Ok(counted(&tally, tally.is_enough()))
    }

    /// The root with this fingerprint: the one in force, or one that led to it.
    pub(super) fn root_with(&self, fingerprint: &[u8; 32]) -> Arc<NetworkRoot> {
        let held = self.trust.root();
        if held.fingerprint() == fingerprint {
            return held;
        }
        let now = self.now();
        let texts = self.trust.roots_from(0).into_iter();
        let mut former = texts.filter_map(|text| NetworkRoot::verify_kept(&text, now).ok());
        let found = former.find(|one| one.fingerprint() == fingerprint);
        found.map_or(held, Arc::new)
    }

    pub(super) fn publish_root(
        &self,
        files: &mut Files,
        held: &NetworkRoot,
        signed: &Signed<RootDocument>,
    ) -> Outcome<()> {
        let text = signed.to_text().map_err(local)?;
        let next = NetworkRoot::succeed(held, &text, self.now()).map_err(document)?;
        // On disk first: a registrar that is killed here has the new one in force at its start.
        keep_version(&self.folder, held).map_err(local)?;
        keep_newest(&self.folder, &next).map_err(local)?;
        self.log_root(&next)?;
        self.trust.install_root(&text).map_err(local)?;
        files.overtake_roots();
        self.issuing.follow(&next).map_err(local)?;
        self.state_freshness(true);
        self.tell();
        tracing::info!(version = next.version(), "network root published");
        Ok(())
    }

    /// Takes issuing authorities' certificates into use, for an administrator.
    pub(super) fn put_issuing(&self, request: &str, certificates: &[String]) -> Outcome<usize> {
        let root = self.trust.root();
        check_desk(&root, request, self.now()).map_err(document)?;
        let _one_at_a_time = self.files();
        self.issuing.take(&root, certificates)
    }
}
