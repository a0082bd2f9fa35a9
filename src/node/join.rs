//! Joining by file: an invitation comes in, a request goes out, a welcome comes in.

use std::net::SocketAddr;
use std::path::Path;

use super::folder::{Making, Opened};
use super::own_tls_keys::OwnTlsKeys;
use super::{Folder, NodeError};
use crate::config::{NodeConfig, StoreConfig, UnlockSource};
use crate::crypto::KdfCost;
use crate::domain::{MemberId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Invitation, JoinError, Joiner, Signed, Welcome, accept_welcome, check_invitation,
    request_to_join,
};

/// How the new node will run.
#[derive(Debug)]
pub struct Invited<'a> {
    /// Text of the invitation.
    pub invitation: &'a str,
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
    /// `host:port` of the network's registrars; none where the network works by files.
    pub registrars: &'a [String],
}

/// What a step of joining left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member.
    pub member: String,
    /// The network's fingerprint, to be compared with what the administrators said on another way.
    pub fingerprint: String,
    /// Text for the administrators, after the first step.
    pub request: Option<String>,
}

pub(super) fn document_error(what: &str, error: impl std::fmt::Display) -> NodeError {
    NodeError::Folder(format!("{what}: {error}"))
}

impl Folder {
    /// First step: makes the node's folder and keys, and the request for the administrators.
    ///
    /// # Errors
    /// [`NodeError`]; where the folder holds a node of a network already, nothing is touched. A
    /// first step that was cut short, or whose request was lost, can be made again.
    pub async fn accept_invitation(
        &self,
        invited: Invited<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Joined, NodeError> {
        let invitation = Signed::<Invitation>::parse(invited.invitation).map_err(|error| {
            JoinError::Document {
                file: "invitation",
                error,
            }
        })?;
        let root = check_invitation(&invitation, now)?;
        let member = invitation.document().terms.member.clone();
        let opened = if self.path().join("node.toml").exists() {
            self.open_unwelcomed(&member).await?
        } else {
            let making = Making {
                config_text: NodeConfig::sample(
                    &member,
                    invited.listen,
                    &invited.unlock,
                    invited.registrars,
                    &invited.store,
                ),
                node_name: member.as_str(),
                cost: invited.cost,
                entropy,
            };
            self.make(making).await?
        };
        let identity = opened.identity().await?;
        let key = opened.tls_key().await?;
        opened.close().await?;
        OwnTlsKeys::in_folder(self.path()).note(&key.spki_sha256())?;
        let joiner = Joiner {
            identity: &identity,
            key: &key,
            endpoints: invited.endpoints,
            dispute: None,
        };
        let request = request_to_join(invitation, joiner, now)?;
        let request = request
            .to_text()
            .map_err(|error| document_error("request", error))?;
        let root_text = root
            .signed()
            .to_text()
            .map_err(|error| document_error("network.json", error))?;
        replace(&self.network(), root_text.as_bytes())?;
        Ok(Joined {
            member: member.to_string(),
            fingerprint: root.fingerprint_text(),
            request: Some(request),
        })
    }

    /// Opens the folder of a node that asked to join as `member` and was not welcomed yet.
    async fn open_unwelcomed(&self, member: &MemberId) -> Result<Opened, NodeError> {
        let place = self.path().display();
        if self.certificate().exists() && self.members().exists() {
            return Err(NodeError::Folder(format!(
                "{place} holds a node already: choose another folder with --dir"
            )));
        }
        let opened = self.open().await?;
        if opened.config.member == *member {
            // Left by a first step that was cut short at its very end.
            drop(std::fs::remove_file(self.making()));
            return Ok(opened);
        }
        let other = opened.config.member.to_string();
        opened.close().await?;
        Err(NodeError::Folder(format!(
            "{place} was made for {other}, and the invitation is for {member}: choose another \
             folder with --dir"
        )))
    }

    /// Second step: takes the certificate and the member list that the administrators sent back.
    ///
    /// # Errors
    /// [`NodeError`] where the welcome is not for this node.
    pub async fn accept_welcome(&self, text: &str, now: Timestamp) -> Result<Joined, NodeError> {
        let root = self.root(now)?;
        let welcome = Signed::<Welcome>::parse(text).map_err(|error| JoinError::Document {
            file: "welcome",
            error,
        })?;
        let opened = self.open().await?;
        let key = opened.tls_key().await;
        let member = opened.config.member.to_string();
        opened.close().await?;
        let (_, roster) = accept_welcome(&root, &welcome, key?, now)?;
        let list = roster
            .signed()
            .to_text()
            .map_err(|error| document_error("members.json", error))?;
        replace(
            &self.certificate(),
            welcome.document().certificate_chain.as_bytes(),
        )?;
        replace(&self.members(), list.as_bytes())?;
        self.trusted(now)?;
        Ok(Joined {
            member,
            fingerprint: root.fingerprint_text(),
            request: None,
        })
    }

    /// Replaces the member list in the folder; a running node takes it within seconds.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub fn replace_list(&self, text: &str) -> Result<(), NodeError> {
        replace(&self.members(), text.as_bytes())
    }

    /// Keeps the newest freshness statement, so that the node need not wait for one at its start.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub fn keep_freshness(&self, text: &str) -> Result<(), NodeError> {
        replace(&self.freshness(), text.as_bytes())
    }
}

/// Replaces a file in one step, through to the disk.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let next = path.with_extension("next");
    let written = std::fs::write(&next, bytes)
        .and_then(|()| std::fs::File::open(&next)?.sync_all())
        .and_then(|()| std::fs::rename(&next, path));
    written.map_err(|error| NodeError::file(path, &error))?;
    // The new name, too, must be on disk before anybody hears of it.
    let parent = path.parent();
    let folder = parent.filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| NodeError::file(folder, &error))
}
