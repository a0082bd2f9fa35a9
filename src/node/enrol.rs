//! Joining by token: one command that makes keys, asks, waits, stores and acknowledges, and that
//! can be interrupted at any moment and given again.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::sleep;

use super::join::document_error;
use super::{Folder, Invited, NodeError};
use crate::config::{StoreConfig, UnlockSource};
use crate::crypto::KdfCost;
use crate::domain::MemberId;
use crate::env::{Clock, Entropy};
use crate::limits::ENROL_INTERVAL;
use crate::membership::{Invitation, InvitationToken, NetworkRoot, Signed, check_invitation};
use crate::net::{RegistrarClient, RegistrarError, fetch_roots};
use crate::wire::{Enrolment, InvitationKey};

/// How the new node will run.
#[derive(Debug)]
pub struct Enrolling {
    /// The token.
    pub token: InvitationToken,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Each `host:port` by which peers reach it, in the order in which they try them.
    pub endpoints: Vec<String>,
    /// Where the passphrase or key comes from; a key file that is not there is made.
    pub unlock: UnlockSource,
    /// Which engine keeps the rows; a database must be empty.
    pub store: StoreConfig,
    /// What one guess at the passphrase costs.
    pub cost: KdfCost,
}

/// How far a joiner is, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolStep {
    /// The network's root has the fingerprint that the token names.
    RootChecked {
        /// Who is invited.
        member: MemberId,
        /// The fingerprint, for people.
        fingerprint: String,
    },
    /// The request is filed.
    Waiting {
        /// How many administrators signed.
        signed: u32,
        /// How many must.
        needed: u32,
    },
    /// The registrar did not answer; it is asked again.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// Calls the registrars of a token in turn, each checked against the root that the token names.
struct Registrars<'a> {
    token: &'a InvitationToken,
    clock: &'a Arc<dyn Clock>,
}

/// A registrar, and the invitation that waits there or why none does.
type Found = (Connected, Result<String, RegistrarError>);

/// A registrar that answers, and the way to the root in force.
struct Connected {
    client: RegistrarClient,
    /// The root whose fingerprint the token names.
    pinned: NetworkRoot,
    /// The roots that followed it since.
    later: Vec<String>,
}

impl Registrars<'_> {
    /// The first registrar at which the invitation waits. Where all answer and none has it, the
    /// first one, and why it refuses; otherwise why one of them cannot be asked.
    async fn connect(&self, key: &InvitationKey) -> Result<Found, NodeError> {
        let (mut first, mut last) = (None, None);
        for endpoint in &self.token.registrars {
            let mut connected = match self.connect_to(endpoint).await {
                Ok(connected) => connected,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            match connected.client.open_invitation(key).await {
                Ok(invitation) => return Ok((connected, Ok(invitation))),
                Err(error) => first = first.or(Some((connected, Err(error)))),
            }
        }
        match (last, first) {
            (Some(error), _) => Err(error),
            (None, Some(found)) => Ok(found),
            (None, None) => Err(NodeError::Folder("the token names no registrar".to_owned())),
        }
    }

    async fn connect_to(&self, endpoint: &str) -> Result<Connected, NodeError> {
        let network = &self.token.network;
        let roots = fetch_roots(endpoint, network, 0, self.clock).await?;
        let now = self.clock.now();
        // The first that bears the fingerprint, and those that follow it; what else came over that
        // connection is forgotten.
        let mut other = None;
        for (text, later) in (1..)
            .map_while(|at| roots.split_at_checked(at))
            .map(last_of)
        {
            let root = NetworkRoot::verify_kept(text, now);
            match root.and_then(|root| root.pinned(&self.token.fingerprint)) {
                Ok(pinned) => {
                    let newest = NetworkRoot::walk(&pinned, later, now)?.pop();
                    let newest = newest.as_ref().unwrap_or(&pinned);
                    let client = RegistrarClient::connect(endpoint, newest, self.clock).await?;
                    let later = later.to_vec();
                    return Ok(Connected {
                        client,
                        pinned,
                        later,
                    });
                }
                Err(error) => other = Some(error),
            }
        }
        Err(match other {
            Some(error) => error.into(),
            None => NodeError::Folder(format!("{endpoint} has no root document of {network}")),
        })
    }
}

/// The last of the first part, and the second part.
fn last_of<'a>((first, later): (&'a [String], &'a [String])) -> (&'a str, &'a [String]) {
    (first.last().map_or("", String::as_str), later)
}

impl Folder {
    /// Joins by token, and waits until the administrators have signed.
    ///
    /// # Errors
    /// [`NodeError`]; the same call in the same folder goes on where it was.
    pub async fn enrol(
        &self,
        enrolling: Enrolling,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        mut told: impl FnMut(EnrolStep),
    ) -> Result<MemberId, NodeError> {
        let token = &enrolling.token;
        let registrars = Registrars {
            token,
            clock: &clock,
        };
        let key = InvitationKey {
            id: token.invitation_id,
            secret: crate::crypto::Secret::from_bytes(*token.secret.expose()),
        };
        let (connected, invitation) = registrars.connect(&key).await?;
        let Connected {
            mut client,
            pinned,
            later,
        } = connected;
        if self.certificate().exists() && self.members().exists() {
            let again = self.acknowledge_again(&pinned, &mut client, (&key, invitation));
            return again.await;
        }
        let invitation = invitation?;
        let parsed = Signed::<Invitation>::parse(&invitation);
        let parsed = parsed.map_err(|error| document_error("invitation", error))?;
        check_invitation(&parsed, clock.now())?.pinned(&token.fingerprint)?;
        let member = parsed.document().terms.member.clone();
        told(EnrolStep::RootChecked {
            member: member.clone(),
            fingerprint: pinned.fingerprint_text(),
        });
        let invited = Invited {
            invitation: &invitation,
            listen: enrolling.listen,
            endpoints: enrolling.endpoints,
            unlock: enrolling.unlock,
            store: enrolling.store,
            cost: enrolling.cost,
            registrars: &token.registrars,
        };
        let joined = self
            .accept_invitation(invited, clock.now(), entropy)
            .await?;
        self.keep_sent_roots(&pinned, &later, clock.now())?;
        let request = joined.request.unwrap_or_default();
        let mut last = None;
        loop {
            let step = match client.enrol(&key, &request).await {
                Ok(Enrolment::Welcome { welcome, freshness }) => {
                    self.accept_welcome(&welcome, clock.now()).await?;
                    if let Some(freshness) = freshness {
                        self.keep_freshness(&freshness)?;
                    }
                    break;
                }
                Ok(Enrolment::Waiting { signed, needed }) => EnrolStep::Waiting { signed, needed },
                Err(error) if error.is_passing() => EnrolStep::Unreachable {
                    reason: error.to_string(),
                },
                Err(error) => return Err(error.into()),
            };
            if last.as_ref() != Some(&step) {
                told(step.clone());
                last = Some(step);
            }
            sleep(ENROL_INTERVAL).await;
        }
        // What is stored is stored: where this last word is lost, the next run says it.
        client.acknowledge(&key).await?;
        Ok(member)
    }

    /// The folder holds a member already: says so to the registrar, in case it did not hear.
    async fn acknowledge_again(
        &self,
        root: &NetworkRoot,
        client: &mut RegistrarClient,
        (key, invitation): (&InvitationKey, Result<String, RegistrarError>),
    ) -> Result<MemberId, NodeError> {
        let leaf = self.leaf()?;
        let place = self.path().display();
        let other = || {
            NodeError::Folder(format!(
                "{place} holds a node already: choose another folder with --dir"
            ))
        };
        if leaf.network() != root.network() {
            return Err(other());
        }
        match invitation {
            Ok(text) => {
                let parsed = Signed::<Invitation>::parse(&text);
                let parsed = parsed.map_err(|error| document_error("invitation", error))?;
                if parsed.document().terms.member != *leaf.member() {
                    return Err(other());
                }
                client.acknowledge(key).await?;
            }
            // Spent: the registrar heard the last time.
            Err(RegistrarError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(leaf.member().clone())
    }
}
