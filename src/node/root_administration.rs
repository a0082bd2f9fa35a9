//! Administrators and the next root: propose it, see what it changes, sign, publish, and see how
//! far the members' nodes are.

use tokio::time::{Instant, sleep};

use super::administration::{Administration, LOOK};
use super::root_files::{list_under, take_walked};
use super::{AdminError, Stage};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{ACKNOWLEDGEMENT_DEADLINE, ROOT_LIFE_LEFT_MIN};
use crate::membership::{
    Document, NetworkRoot, RootDocument, RootError, RootTally, Signed, SigningKey,
    certificate_digest, root_differences,
};
use crate::wire::{RootCount, Standing};

/// A next root, and what it changes.
#[derive(Debug, Clone)]
pub struct NextRoot {
    signed: Signed<RootDocument>,
    /// One sentence for each thing that changes.
    pub differences: Vec<String>,
    /// Who signed it before.
    pub tally: RootTally,
}

impl NextRoot {
    /// The version that the root will have.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.signed.document().version
    }

    /// SHA-256 of the root in canonical form: what people name when they sign it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn digest(&self) -> Result<[u8; 32], AdminError> {
        Ok(self.signed.digest()?)
    }
}

/// How far one member's node is in an exchange of the X.509 root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// What the node said.
    pub standing: Standing,
    /// Whether its certificate leads to the X.509 root that goes.
    pub leads_to_old: bool,
    /// Whether its certificate leads to the X.509 root that comes, or is alone.
    pub leads_to_new: bool,
    /// Why the next stage waits for it; `None` where it does not.
    pub blocks: Option<String>,
}

impl Administration {
    /// The root in force.
    #[must_use]
    pub const fn root(&self) -> &NetworkRoot {
        &self.registrars.root
    }

    /// A next root as it would be put: the one that waits for signatures already, or `document`.
    ///
    /// # Errors
    /// [`AdminError`]; in particular [`AdminError::Root`] where it breaks a rule.
    pub async fn propose_root(&mut self, document: RootDocument) -> Result<NextRoot, AdminError> {
        let held = self.look().await?.view.root_proposals;
        let same = |other: &RootDocument| {
            let dated = RootDocument {
                issued_at: document.issued_at,
                expires_at: document.expires_at,
                ..other.clone()
            };
            // One that would end much sooner is not what is to be put.
            dated == document && other.expires_at >= document.expires_at.minus(ROOT_LIFE_LEFT_MIN)
        };
        for text in held {
            if let Ok(waiting) = Signed::<RootDocument>::parse(&text)
                && same(waiting.document())
            {
                return self.next_root(waiting);
            }
        }
        self.next_root(Signed::unsigned(document))
    }

    fn next_root(&self, signed: Signed<RootDocument>) -> Result<NextRoot, AdminError> {
        let tally = self.root().check_proposed(&signed, self.now())?;
        let ends = signed.document().expires_at;
        if ends < self.now().plus(ROOT_LIFE_LEFT_MIN) {
            return Err(AdminError::Nothing(format!(
                "it would stop the whole network on {ends}: do not sign it"
            )));
        }
        let mut differences = root_differences(self.root().document(), signed.document());
        if differences.is_empty() {
            differences.push("nothing but version and dates changes".to_owned());
        }
        Ok(NextRoot {
            differences,
            tally,
            signed,
        })
    }

    /// Every next root that waits for signatures, and why others that wait are not to be signed.
    ///
    /// # Errors
    /// [`AdminError`] where no registrar answers; a bad proposal is none.
    pub async fn root_proposals(&mut self) -> Result<(Vec<NextRoot>, Vec<String>), AdminError> {
        let held = self.look().await?.view.root_proposals;
        let (mut proposals, mut refused) = (Vec::new(), Vec::new());
        for text in &held {
            let parsed = Signed::<RootDocument>::parse(text);
            let signers = parsed
                .as_ref()
                .map_or(String::new(), |root| self.signers(root));
            let checked = parsed.map_err(AdminError::from);
            match checked.and_then(|root| self.next_root(root)) {
                Ok(next) => proposals.push(next),
                // At a registrar that was not reached when the root in force came.
                Err(AdminError::Root(RootError::RolledBack { .. })) => {}
                Err(error) => refused.push(format!("a root signed by {signers} waits: {error}")),
            }
        }
        Ok((proposals, refused))
    }

    /// Signs with every key at hand, and `added`, and puts the root: it is published once enough
    /// signed. Where those who signed the list in force are gone then, the same list is proposed
    /// anew.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put_root(
        &mut self,
        mut next: NextRoot,
        added: Vec<SigningKey>,
    ) -> Result<RootCount, AdminError> {
        let named: Vec<[u8; 32]> = [
            self.root().administrator_keys(),
            keys_of(next.signed.document()),
        ]
        .concat();
        self.keys.extend(added);
        for key in &self.keys {
            if named.contains(&key.key().public()) {
                next.signed.sign(key.key())?;
            }
        }
        let (text, version) = (next.signed.to_text()?, next.version());
        let count = self.registrars.put_root(&text, version).await?;
        if count.published {
            self.walk().await?;
            // From here on only those whom the new root names.
            let named = self.root().administrator_keys();
            self.keys.retain(|key| named.contains(&key.key().public()));
            self.sign_list_anew().await?;
        }
        Ok(count)
    }

    async fn walk(&mut self) -> Result<(), AdminError> {
        let held = self.registrars.root.clone();
        let texts = self.registrars.roots(held.version() + 1).await?;
        self.registrars.root = take_walked(&self.folder, held.clone(), &texts, self.now())?;
        if self.root().version() > held.version() {
            self.registrars.former.insert(0, held);
        }
        Ok(())
    }

    /// Hands certificates of issuing authorities to every registrar; gives for each address how
    /// many it took into use.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn hand_issuing(
        &mut self,
        certificates: &[String],
    ) -> Result<Vec<(String, u32)>, AdminError> {
        let request = self.desk_request()?;
        self.registrars.put_issuing(&request, certificates).await
    }

    /// How far each active member's node is towards what follows `stage`; waits at most ten seconds
    /// until nobody who follows blocks it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn readiness(&mut self, stage: Stage) -> Result<Vec<Readiness>, AdminError> {
        let until = Instant::now() + ACKNOWLEDGEMENT_DEADLINE;
        loop {
            let nodes = self.look().await?.view.nodes;
            let ready = readiness(self.root(), stage, nodes);
            let waits = |one: &Readiness| one.standing.follows && one.blocks.is_some();
            if !ready.iter().any(waits) || Instant::now() >= until {
                return Ok(ready);
            }
            sleep(LOOK).await;
        }
    }

    /// As [`Self::readiness`], as it is now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn readiness_now(&mut self, stage: Stage) -> Result<Vec<Readiness>, AdminError> {
        let nodes = self.look().await?.view.nodes;
        Ok(readiness(self.root(), stage, nodes))
    }

    /// Waits until every node that follows has the root in force, at most ten seconds.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn root_acknowledged(&mut self) -> Result<(), AdminError> {
        let (until, version) = (
            Instant::now() + ACKNOWLEDGEMENT_DEADLINE,
            self.root().version(),
        );
        loop {
            let nodes = self.look().await?.view.nodes;
            let waits = |node: &Standing| node.follows && node.root_version < version;
            if !nodes.iter().any(waits) || Instant::now() >= until {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Checks the list in force: under the root in force, or the former one that it names.
    pub(super) fn list_in_force(
        &self,
        text: &str,
    ) -> Result<crate::membership::Roster, AdminError> {
        let former = |version: u32| {
            let mut former = self.registrars.former.iter();
            let found = former.find(|one| one.version() == version)?;
            found.signed().to_text().ok()
        };
        Ok(list_under(self.root(), text, self.now(), former)?)
    }

    /// The root with this fingerprint: the one in force, or one that led to it.
    pub(super) fn root_with(&self, fingerprint: &[u8; 32]) -> &NetworkRoot {
        let mut former = self.registrars.former.iter();
        let found = former.find(|one| one.fingerprint() == fingerprint);
        found.unwrap_or_else(|| self.root())
    }
}

fn keys_of(document: &RootDocument) -> Vec<[u8; 32]> {
    debug_assert_eq!(document.format(), RootDocument::FORMAT);
    document.administrators.iter().map(|one| one.key).collect()
}

/// How far each node is towards what follows `stage`.
fn readiness(root: &NetworkRoot, stage: Stage, nodes: Vec<Standing>) -> Vec<Readiness> {
    let digests = root.document().authorities.iter();
    let mut old: Vec<[u8; 32]> = digests.filter_map(|pem| certificate_digest(pem)).collect();
    // The one that came last is the one to come, or the only one.
    let new = old.pop();
    let version = root.version();
    let judged = nodes.into_iter().map(|standing| {
        let leads_to_new = new.is_some_and(|new| standing.leads_to.contains(&new));
        let has_root = standing.root_version >= version;
        let name = &standing.member;
        let absent = format!(
            "{name} does not follow a registrar: start its node, or go on with --without {name}, \
             which cuts it off until it has renewed"
        );
        let blocks = match stage {
            Stage::Settled | Stage::Prepared | Stage::Revoked => None,
            Stage::Active | Stage::Tainted if !has_root && !standing.follows => Some(absent),
            Stage::Active | Stage::Tainted if !has_root => Some(format!(
                "{name} has root {} and needs {version}: look into its log, or go on with \
                 --without {name}",
                standing.root_version
            )),
            Stage::Active => None,
            Stage::Tainted if leads_to_new => None,
            Stage::Tainted => Some(format!(
                "the certificate of {name} leads to the old X.509 root alone: run `creditmesh \
                 cert renew` there, or go on with --without {name}, which cuts it off until then"
            )),
        };
        Readiness {
            leads_to_old: old.iter().any(|one| standing.leads_to.contains(one)),
            leads_to_new,
            blocks,
            standing,
        }
    });
    judged.collect()
}

/// Goes on only where nobody but those in `without` blocks the next stage.
///
/// # Errors
/// [`AdminError::NotReady`], which names each and says what to do.
pub fn require_ready(ready: &[Readiness], without: &[MemberId]) -> Result<(), AdminError> {
    let blocking = ready
        .iter()
        .filter(|one| !without.contains(&one.standing.member));
    let reasons: Vec<String> = blocking.filter_map(|one| one.blocks.clone()).collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(AdminError::NotReady(reasons.join("\n")))
    }
}

/// When a list that nobody changes is signed anew: the newest administrators must stand behind it.
pub(super) fn must_sign_anew(root: &NetworkRoot, text: &str, now: Timestamp) -> bool {
    crate::membership::Roster::verify_kept(root, text, now).is_err()
}
