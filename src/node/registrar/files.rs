//! What the registrar keeps: invitations with what became of them, proposals, members' requests.
//!
//! ```text
//! registrar/invitations/<number>.json   an invitation, the digest of its token's secret, the
//!                                       request that answers it, the certificate, whether spent
//! registrar/proposals/<digest>.json     a next member list with too few signatures
//! registrar/roots/<digest>.json         a next root with too few signatures
//! registrar/changes/<member>.json       a member's own request for a change
//! registrar/departures.json             members that left, as long as no list says so
//! registrar/issuing/<digest>.crt        the issuing authority as a later X.509 root certifies it
//! ```
//!
//! Each file is replaced in one step and is on disk before anybody hears of it, so a registrar that
//! is killed goes on where it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::room::{Taken, giving_way, proposals_giving_way, signers};
use crate::crypto::sha256;
use crate::domain::{MemberId, Timestamp};
use crate::limits::{CHANGES_MAX, INVITATIONS_MAX, REQUEST_LIFE, ROOT_PROPOSALS_MAX};
use crate::membership::{
    Departures, Document, Invitation, JoinRequest, MemberList, RootDocument, Signed,
};
use crate::node::NodeError;
use crate::node::join::replace;
use crate::service::RegistrarRefusal;
use crate::wire::InvitationKey;

/// An invitation as it lies in its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The invitation, signed.
    pub(super) invitation: Signed<Invitation>,
    /// SHA-256 of the token's secret in hexadecimal.
    pub(super) secret_sha256: String,
    /// The request that answers it.
    pub(super) request: Option<Signed<JoinRequest>>,
    /// When that request came, milliseconds since the Unix epoch.
    pub(super) filed_unix_ms: Option<i64>,
    /// The certificate chain that was issued for it.
    pub(super) chain: Option<String>,
    /// Whether the joiner stored it.
    pub(super) spent: bool,
}

impl Kept {
    /// Whether it can be forgotten: past its end, and nobody answered it, it is spent, or its
    /// request has waited for too long.
    fn is_over(&self, now: Timestamp) -> bool {
        let ended = self.invitation.document().expires_at <= now;
        let filed = self.filed_unix_ms.map(Timestamp::from_unix_ms);
        let waited = filed.is_some_and(|filed| filed.plus(REQUEST_LIFE) <= now);
        ended && (self.request.is_none() || self.spent || waited)
    }

    /// The administrator who invited.
    pub(super) fn inviter(&self, administrators: &[[u8; 32]]) -> Option<[u8; 32]> {
        signers(&self.invitation, administrators).first().copied()
    }

    /// How readily it gives way to another one; `None` where a joiner has its certificate and has
    /// not said yet that it is stored.
    const fn expendable(&self) -> Option<usize> {
        match (self.spent, &self.chain, &self.request) {
            (true, _, _) => Some(3),
            (false, None, None) => Some(2),
            (false, None, Some(_)) => Some(1),
            (false, Some(_), _) => None,
        }
    }
}

/// A document as the text that is kept and handed on, as short as whoever reads it demands.
fn written<T: Document>(document: &Signed<T>) -> Result<String, RegistrarRefusal> {
    let text = document
        .to_text()
        .map_err(|error| RegistrarRefusal::Local(error.to_string()))?;
    if text.len() > T::BYTES_MAX {
        return Err(RegistrarRefusal::Document(format!(
            "the document has {} bytes once it is indented, of at most {}: make it shorter",
            text.len(),
            T::BYTES_MAX
        )));
    }
    Ok(text)
}

/// Everything kept, in memory and on disk.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    pub(super) invitations: BTreeMap<[u8; 16], Kept>,
    pub(super) proposals: BTreeMap<[u8; 32], Signed<MemberList>>,
    pub(super) root_proposals: BTreeMap<[u8; 32], Signed<RootDocument>>,
    pub(super) changes: BTreeMap<MemberId, String>,
}

fn local(error: &NodeError) -> RegistrarRefusal {
    RegistrarRefusal::Local(error.to_string())
}

fn wrong(path: &Path, error: impl std::fmt::Display) -> NodeError {
    NodeError::Folder(format!("{}: {error}; restore the file", path.display()))
}

/// The files with this ending in a folder, which is made where it is missing.
pub(super) fn texts(folder: &Path, wanted: &str) -> Result<Vec<(PathBuf, String)>, NodeError> {
    fs::create_dir_all(folder).map_err(|error| NodeError::file(folder, &error))?;
    let entries = fs::read_dir(folder).map_err(|error| NodeError::file(folder, &error))?;
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| NodeError::file(folder, &error))?
            .path();
        if path.extension().is_some_and(|ending| ending == wanted) {
            let text =
                crate::node::read_text(&path).map_err(|error| NodeError::file(&path, &error))?;
            texts.push((path, text));
        }
    }
    Ok(texts)
}

/// Signed documents by their digests.
fn documents<T: Document>(folder: &Path) -> Result<BTreeMap<[u8; 32], Signed<T>>, NodeError> {
    let mut read = BTreeMap::new();
    for (path, text) in texts(folder, "json")? {
        let document = Signed::<T>::parse(&text).map_err(|error| wrong(&path, error))?;
        let digest = document.digest().map_err(|error| wrong(&path, error))?;
        read.insert(digest, document);
    }
    Ok(read)
}

impl Files {
    /// Opens what is kept in the registrar's folder.
    pub(super) fn open(folder: &Path) -> Result<Self, NodeError> {
        let folder = folder.join("registrar");
        let mut files = Self {
            invitations: BTreeMap::new(),
            proposals: BTreeMap::new(),
            root_proposals: BTreeMap::new(),
            changes: BTreeMap::new(),
            folder,
        };
        for (path, text) in texts(&files.folder.join("invitations"), "json")? {
            let kept: Kept = serde_json::from_str(&text).map_err(|error| wrong(&path, error))?;
            let id = kept.invitation.document().invitation_id;
            files.invitations.insert(id, kept);
        }
        files.proposals = documents(&files.folder.join("proposals"))?;
        files.root_proposals = documents(&files.folder.join("roots"))?;
        for (path, text) in texts(&files.folder.join("changes"), "json")? {
            let name = path.file_stem().and_then(|name| name.to_str());
            let member = name.and_then(|name| name.parse().ok());
            let member = member.ok_or_else(|| wrong(&path, "its name is no member's"))?;
            files.changes.insert(member, text);
        }
        Ok(files)
    }

    fn departures_path(&self) -> PathBuf {
        self.folder.join("departures.json")
    }

    /// The departures that were kept.
    pub(super) fn departures(&self) -> Result<Vec<String>, NodeError> {
        let path = self.departures_path();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = crate::node::read_text(&path).map_err(|error| NodeError::file(&path, &error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&path, error))
    }

    /// Keeps these departures and no others.
    pub(super) fn keep_departures(&self, departures: &Departures) -> Result<(), RegistrarRefusal> {
        let path = self.departures_path();
        if departures.is_empty() && !path.exists() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&departures.texts())
            .map_err(|error| RegistrarRefusal::Local(error.to_string()))?;
        replace(&path, text.as_bytes()).map_err(|error| local(&error))
    }

    /// Forgets what a member asked for before it left, and every next list that `outdated` names.
    pub(super) fn forget_where(
        &mut self,
        member: &MemberId,
        outdated: impl Fn(&MemberList) -> bool,
    ) {
        if self.changes.remove(member).is_some() {
            drop(fs::remove_file(self.change_path(member)));
        }
        let old = |(digest, list): (&[u8; 32], &Signed<MemberList>)| {
            outdated(list.document()).then_some(*digest)
        };
        self.forget_proposals(self.proposals.iter().filter_map(old).collect());
    }

    fn invitation_path(&self, id: &[u8; 16]) -> PathBuf {
        let name = format!("{}.json", HEXLOWER.encode(id));
        self.folder.join("invitations").join(name)
    }

    fn proposal_path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = format!("{}.json", HEXLOWER.encode(digest));
        self.folder.join("proposals").join(name)
    }

    fn root_proposal_path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = format!("{}.json", HEXLOWER.encode(digest));
        self.folder.join("roots").join(name)
    }

    fn change_path(&self, member: &MemberId) -> PathBuf {
        self.folder.join("changes").join(format!("{member}.json"))
    }

    /// The invitation of a token's holder.
    pub(super) fn invited(&self, key: &InvitationKey) -> Result<&Kept, RegistrarRefusal> {
        let kept = self.invitations.get(&key.id);
        let digest = HEXLOWER.encode(&sha256(key.secret.expose()));
        kept.filter(|kept| {
            kept.secret_sha256
                .as_bytes()
                .ct_eq(digest.as_bytes())
                .into()
        })
        .ok_or(RegistrarRefusal::NoInvitation)
    }

    /// Keeps a new invitation. Where there is no room, one gives way of the administrator who
    /// invited the most.
    pub(super) fn begin(
        &mut self,
        kept: Kept,
        administrators: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), RegistrarRefusal> {
        self.forget(now);
        let id = kept.invitation.document().invitation_id;
        let mut gone = None;
        if self.invitations.len() >= INVITATIONS_MAX {
            let open = self.invitations.iter().chain([(&id, &kept)]);
            let open = open.filter_map(|(id, kept)| {
                Some(Taken {
                    key: *id,
                    of: kept.inviter(administrators),
                    bytes: kept.expendable()?,
                })
            });
            let open: Vec<_> = open.collect();
            let most = giving_way(&open, Some(id), |_| 1);
            let of = most.and_then(|most| open.iter().find(|one| one.key == most)?.of);
            let theirs = open.iter().filter(|one| one.of == of && one.key != id);
            // Of theirs, the one that does the least harm.
            gone = most.and_then(|_| theirs.max_by_key(|one| one.bytes).map(|one| one.key));
            if gone.is_none() {
                return Err(RegistrarRefusal::Full(
                    "1,024 invitations are open: wait until some are spent or expired",
                ));
            }
        }
        self.keep(kept)?;
        if let Some(other) = gone {
            self.invitations.remove(&other);
            drop(fs::remove_file(self.invitation_path(&other)));
        }
        Ok(())
    }

    /// Keeps an invitation as it is now.
    pub(super) fn keep(&mut self, kept: Kept) -> Result<(), RegistrarRefusal> {
        let id = kept.invitation.document().invitation_id;
        if let Some(request) = &kept.request {
            written(request)?;
        }
        let text = serde_json::to_string_pretty(&kept)
            .map_err(|error| RegistrarRefusal::Local(error.to_string()))?;
        replace(&self.invitation_path(&id), text.as_bytes()).map_err(|error| local(&error))?;
        self.invitations.insert(id, kept);
        Ok(())
    }

    /// Forgets invitations that are over. A file that stays is forgotten at the next start.
    fn forget(&mut self, now: Timestamp) {
        let over = |(id, kept): (&[u8; 16], &Kept)| kept.is_over(now).then_some(*id);
        let over: Vec<[u8; 16]> = self.invitations.iter().filter_map(over).collect();
        for id in over {
            self.invitations.remove(&id);
            drop(fs::remove_file(self.invitation_path(&id)));
        }
    }

    /// What the proposals take up, and another one.
    fn proposals_taken(
        &self,
        administrators: &[[u8; 32]],
        newest: Option<(&[u8; 32], &Signed<MemberList>)>,
    ) -> Vec<Taken<[u8; 32]>> {
        let held = self.proposals.iter();
        let held = held.filter(|(digest, _)| newest.is_none_or(|(other, _)| other != *digest));
        let taken = held.chain(newest).map(|(digest, list)| {
            let signed = signers(list, administrators);
            Taken {
                key: *digest,
                of: signed.first().copied().filter(|_| signed.len() == 1),
                bytes: list.to_text().map_or(usize::MAX, |text| text.len()),
            }
        });
        taken.collect()
    }

    fn forget_proposals(&mut self, gone: Vec<[u8; 32]>) {
        for digest in gone {
            self.proposals.remove(&digest);
            drop(fs::remove_file(self.proposal_path(&digest)));
        }
    }

    /// Lets proposals give way of which there are more than are held now.
    pub(super) fn keep_to_bounds(&mut self, administrators: &[[u8; 32]]) {
        let taken = self.proposals_taken(administrators, None);
        if let Some(gone) = proposals_giving_way(taken, None) {
            self.forget_proposals(gone);
        }
    }

    /// Holds a next list. Where there is no room, others give way of the administrator who alone
    /// signed the most.
    pub(super) fn hold(
        &mut self,
        digest: [u8; 32],
        list: Signed<MemberList>,
        administrators: &[[u8; 32]],
    ) -> Result<(), RegistrarRefusal> {
        let text = written(&list)?;
        let taken = self.proposals_taken(administrators, Some((&digest, &list)));
        let Some(gone) = proposals_giving_way(taken, Some(digest)) else {
            return Err(RegistrarRefusal::Full(
                "16 proposals, or 8 MiB of them, wait already: sign one of them with `creditmesh \
                 network sign`",
            ));
        };
        replace(&self.proposal_path(&digest), text.as_bytes()).map_err(|error| local(&error))?;
        self.proposals.insert(digest, list);
        self.forget_proposals(gone);
        Ok(())
    }

    /// Holds a next root. One that the same administrator alone signed before gives way: whoever
    /// stole one key cannot take up all the room.
    pub(super) fn hold_root(
        &mut self,
        digest: [u8; 32],
        root: Signed<RootDocument>,
        administrators: &[[u8; 32]],
    ) -> Result<(), RegistrarRefusal> {
        let text = written(&root)?;
        let own = signers(&root, administrators);
        let others = self.root_proposals.iter();
        let is_own = |held: &Signed<RootDocument>| signers(held, administrators) == own;
        let before = others.filter(|(other, held)| **other != digest && is_own(held));
        let before: Vec<[u8; 32]> = before.map(|(other, _)| *other).collect();
        if own.len() == 1 {
            for other in before {
                self.root_proposals.remove(&other);
                drop(fs::remove_file(self.root_proposal_path(&other)));
            }
        }
        let is_new = !self.root_proposals.contains_key(&digest);
        if is_new && self.root_proposals.len() >= ROOT_PROPOSALS_MAX {
            return Err(RegistrarRefusal::Full(
                "16 next roots wait already: sign one of them with `creditmesh network sign`",
            ));
        }
        replace(&self.root_proposal_path(&digest), text.as_bytes()).map_err(|e| local(&e))?;
        self.root_proposals.insert(digest, root);
        Ok(())
    }

    /// Drops every next root that was proposed: they followed the one that is replaced now.
    pub(super) fn overtake_roots(&mut self) {
        for digest in std::mem::take(&mut self.root_proposals).into_keys() {
            drop(fs::remove_file(self.root_proposal_path(&digest)));
        }
    }

    /// Drops what `list`, now in force, has overtaken: every proposal, and requests that it grants.
    pub(super) fn overtake(&mut self, granted: impl Fn(&str) -> bool) {
        for digest in std::mem::take(&mut self.proposals).into_keys() {
            drop(fs::remove_file(self.proposal_path(&digest)));
        }
        let done = |(member, text): (&MemberId, &String)| granted(text).then(|| member.clone());
        let done: Vec<MemberId> = self.changes.iter().filter_map(done).collect();
        for member in done {
            self.changes.remove(&member);
            drop(fs::remove_file(self.change_path(&member)));
        }
    }

    /// Keeps a member's own request, in place of an earlier one.
    pub(super) fn ask(&mut self, member: MemberId, text: String) -> Result<(), RegistrarRefusal> {
        if !self.changes.contains_key(&member) && self.changes.len() >= CHANGES_MAX {
            return Err(RegistrarRefusal::Full(
                "64 members' requests wait already: ask the administrators to sign",
            ));
        }
        replace(&self.change_path(&member), text.as_bytes()).map_err(|error| local(&error))?;
        self.changes.insert(member, text);
        Ok(())
    }
}
