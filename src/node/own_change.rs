//! What a member asks for itself, signed by its own key: other endpoints, or to leave.

use std::sync::Arc;

use super::renew::Renewing;
use super::{Folder, NodeError};
use crate::crypto::IdentityKey;
use crate::domain::MemberId;
use crate::env::Clock;
use crate::membership::{NetworkRoot, OwnChange, Roster, depart, request_change};
use crate::net::RegistrarClient;

/// What a member wants of its own entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnWish {
    /// Its replicas listen elsewhere, once the administrators have signed.
    Endpoints(Vec<String>),
    /// To leave the network: at once, and for good.
    Leave,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wished {
    /// The administrators are to sign it.
    Asked,
    /// A registrar has it, and makes it known.
    Left,
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

    async fn endpoints(
        &self,
        identity: &IdentityKey,
        endpoints: Vec<String>,
    ) -> Result<(), NodeError> {
        let (network, change) = (self.root.network(), OwnChange::Endpoints(endpoints));
        let now = self.clock.now();
        let request = request_change(identity, network, self.member, change, now);
        self.file(&request.map_err(|error| NodeError::Folder(error.to_string()))?)
            .await
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
        let identity = opened.identity().await;
        let config = opened.config.clone();
        opened.close().await?;
        let identity = identity?;
        let asking = Asking {
            root: &root,
            member: &config.member,
            registrars: &config.registrar,
            clock: &clock,
        };
        let wished = match wish {
            OwnWish::Endpoints(endpoints) => {
                asking.endpoints(&identity, endpoints).await?;
                Wished::Asked
            }
            OwnWish::Leave => {
                let list = self.text(&self.members())?;
                let roster = Roster::verify_kept(&root, &list, clock.now())?;
                let departure = asking.leave(&identity, &roster).await?;
                self.keep_departures_too(&[departure])?;
                Wished::Left
            }
        };
        Ok((config.member, wished))
    }
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
        let wished = match wish {
            OwnWish::Endpoints(endpoints) => {
                asking.endpoints(&renewer.identity, endpoints).await?;
                Wished::Asked
            }
            OwnWish::Leave => {
                let departure = asking.leave(&renewer.identity, &trust.roster()).await?;
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
