//! What a member asks for itself, signed by its own key: other endpoints, another identity key, or
//! to leave.

use std::sync::Arc;

use super::folder::{NEXT_IDENTITY, Opened, identity_of};
use super::renew::Renewing;
use super::{Folder, NodeError, OwnWish, Wished};
use crate::crypto::{IdentityKey, Secret};
use crate::domain::MemberId;
use crate::env::{Clock, Entropy, OsEntropy};
use crate::membership::{NetworkRoot, NewIdentity, OwnChange, Roster, depart, request_change};
use crate::net::RegistrarClient;
use crate::store::{Table, Vault};

/// The seed of the next identity key: the one of a change that waits already, or a fresh one, on
/// disk before anybody hears of it.
async fn next_identity(vault: &Vault, entropy: &dyn Entropy) -> Result<IdentityKey, NodeError> {
    let at = vault.row_key(Table::Key, NEXT_IDENTITY);
    if let Some(row) = vault.read(Table::Key, &at).await? {
        return identity_of(&row.bytes);
    }
    let seed = Secret::<32>::random(entropy)?;
    let mut batch = vault.batch();
    batch.put(Table::Key, &at, 0, seed.expose());
    vault.commit(batch).await?;
    Ok(IdentityKey::from_seed(&seed))
}

/// Who asks, and whom.
struct Asking<'a> {
    root: &'a NetworkRoot,
    member: &'a MemberId,
    registrars: &'a [String],
    clock: &'a Arc<dyn Clock>,
}

impl Asking<'_> {
    /// Files a signed document with the first registrar that takes it.
    async fn file(&self, text: &str) -> Result<(), NodeError> {
        let mut last = NodeError::Folder(
            "node.toml names no registrar: ask the administrators for the change, on another way"
                .to_owned(),
        );
        for endpoint in self.registrars {
            let filed = match RegistrarClient::connect(endpoint, self.root, self.clock).await {
                Ok(mut client) => client.change_entry(text).await,
                Err(error) => Err(error),
            };
            match filed {
                Ok(()) => return Ok(()),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn ask(&self, signers: &[&IdentityKey], change: OwnChange) -> Result<(), NodeError> {
        let (network, now) = (self.root.network(), self.clock.now());
        let request = request_change(signers, network, self.member, change, now);
        self.file(&request.map_err(|error| NodeError::Folder(error.to_string()))?)
            .await
    }

    async fn next_key(&self, own: &IdentityKey, next: &IdentityKey) -> Result<Wished, NodeError> {
        let key = next.public();
        let change = OwnChange::IdentityKey(NewIdentity { key });
        self.ask(&[own, next], change).await?;
        Ok(Wished::NextKey(key))
    }

    /// Gives the departure that a registrar has taken.
    async fn leave(&self, identity: &IdentityKey, roster: &Roster) -> Result<String, NodeError> {
        let departure = depart(identity, roster, self.member, self.clock.now());
        let departure = departure.map_err(|error| NodeError::Folder(error.to_string()))?;
        self.file(&departure).await.map_err(not_left)?;
        Ok(departure)
    }
}

/// A departure that no registrar has is known to nobody.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not the registrar's is told in its own words"
)]
fn not_left(error: NodeError) -> NodeError {
    match error {
        NodeError::Registrar(error) => NodeError::NotLeft(error),
        other => other,
    }
}

impl Folder {
    /// Asks, on the folder of a stopped node, for a change of this member's own entry.
    ///
    /// # Errors
    /// [`NodeError`]; a running node holds the lock of its store.
    pub async fn wish(
        &self,
        wish: OwnWish,
        clock: Arc<dyn Clock>,
    ) -> Result<(MemberId, Wished), NodeError> {
        let root = self.root(clock.now())?;
        let opened = self.open().await?;
        let wished = self.wish_by(&opened, &root, wish, &clock).await;
        let member = opened.config.member.clone();
        opened.close().await?;
        Ok((member, wished?))
    }

    async fn wish_by(
        &self,
        opened: &Opened,
        root: &NetworkRoot,
        wish: OwnWish,
        clock: &Arc<dyn Clock>,
    ) -> Result<Wished, NodeError> {
        let asking = Asking {
            root,
            member: &opened.config.member,
            registrars: &opened.config.registrar,
            clock,
        };
        let list = self.text(&self.members())?;
        let roster = Roster::verify_kept(root, &list, clock.now())?;
        let own = roster.member(asking.member);
        let pinned = own.map(|own| own.identity_key);
        let identity = opened.identities().await?.pinned(pinned.as_ref());
        match wish {
            OwnWish::Endpoints(endpoints) => {
                let change = OwnChange::Endpoints(endpoints);
                asking.ask(&[&identity], change).await?;
                Ok(Wished::Asked)
            }
            OwnWish::IdentityKey => {
                let next = next_identity(&opened.vault, &OsEntropy::default()).await?;
                if next.public() == identity.public() {
                    return Err(still_settling());
                }
                asking.next_key(&identity, &next).await
            }
            OwnWish::Leave => {
                let departure = asking.leave(&identity, &roster).await?;
                self.keep_departures_too(&[departure])?;
                Ok(Wished::Left)
            }
        }
    }
}

/// The last change is in force, and the node has not run since.
fn still_settling() -> NodeError {
    NodeError::Folder(
        "the last change of the identity key is in force and not yet complete here: run the node \
         for a minute, then ask again"
            .to_owned(),
    )
}

impl Renewing {
    /// Asks, while the node runs, for a change of this member's own entry.
    pub(super) async fn wish(&self, wish: OwnWish) -> Result<(MemberId, Wished), NodeError> {
        let renewer = self.renewer.lock().await;
        let trust = self.tls.trust();
        let root = trust.root();
        let asking = Asking {
            root: &root,
            member: &renewer.member,
            registrars: &renewer.registrars,
            clock: &renewer.clock,
        };
        let pinned = self.pinned(&renewer);
        let identity = renewer.identities.pinned(pinned.as_ref());
        let wished = match wish {
            OwnWish::Endpoints(endpoints) => {
                let change = OwnChange::Endpoints(endpoints);
                asking.ask(&[&identity], change).await?;
                Wished::Asked
            }
            OwnWish::IdentityKey => {
                let next = next_identity(&renewer.vault, &*self.entropy).await?;
                if next.public() == identity.public() {
                    return Err(still_settling());
                }
                let asked = asking.next_key(&identity, &next).await;
                // Kept also where no registrar took it: it may have, and the answer got lost.
                renewer.identities.propose(next);
                asked?
            }
            OwnWish::Leave => {
                let departure = asking.leave(&identity, &trust.roster()).await?;
                // The registrar has it: that this node cannot keep it changes nothing.
                for error in trust.install_departures(&[departure]).refused {
                    tracing::error!(%error, "the own departure is not kept here");
                }
                Wished::Left
            }
        };
        Ok((renewer.member.clone(), wished))
    }
}
