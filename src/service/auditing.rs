//! What this node tells members and auditors of its log, and what it does for its operator about
//! openings.

use tonic::{Request, Response, Status};

use super::status_of;
use crate::domain::{Identifier, MemberId};
use crate::flows::{Auditor, Checked, FlowError, Logged, Opener};
use crate::limits::OPENING_FILE_BYTES_MAX;
use crate::membership::VerifiedPeer;
use crate::protocol::opening::OpenedBorrower;
use crate::wire::pb::{self, auditing_server::Auditing, openings_server::Openings};
use crate::wire::{LoggedWanted, Malformed};

fn refused(error: impl Into<FlowError>) -> Status {
    status_of(&error.into())
}

/// The service that members and auditors call.
#[derive(Debug, Clone)]
pub struct AuditingService {
    logged: Logged,
    auditor: Auditor,
}

impl AuditingService {
    /// Tells of this log, and of this auditor's key.
    #[must_use]
    pub const fn new(logged: Logged, auditor: Auditor) -> Self {
        Self { logged, auditor }
    }
}

/// The proof that the gate left in the request.
fn admitted<T>(request: &Request<T>) -> Result<VerifiedPeer, Status> {
    let peer = request.extensions().get::<VerifiedPeer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this call did not pass the membership gate"))
}

#[tonic::async_trait]
impl Auditing for AuditingService {
    async fn encryption_key(
        &self,
        request: Request<pb::EncryptionKeyRequest>,
    ) -> Result<Response<pb::EncryptionKeyResponse>, Status> {
        admitted(&request)?;
        let (_, stated) = self.auditor.key().await.map_err(refused)?;
        Ok(Response::new(stated.into()))
    }

    async fn logged(
        &self,
        request: Request<pb::LoggedRequest>,
    ) -> Result<Response<pb::LoggedResponse>, Status> {
        let peer = admitted(&request)?;
        let wanted = LoggedWanted::try_from(request.into_inner()).map_err(refused)?;
        let page = self.logged.page_for(&peer, &wanted).await;
        Ok(Response::new(page.map_err(refused)?.into()))
    }
}

/// The service that opens queries, and that checks openings at an auditor's node.
#[derive(Debug, Clone)]
pub struct OpeningsService {
    opener: Opener,
    auditor: Auditor,
}

impl OpeningsService {
    /// Opens this node's queries, and checks what was opened to it.
    #[must_use]
    pub const fn new(opener: Opener, auditor: Auditor) -> Self {
        Self { opener, auditor }
    }
}

fn member(field: &'static str, text: &str) -> Result<MemberId, Status> {
    text.parse()
        .map_err(|error| refused(Malformed::new(field, format!("{error}"))))
}

fn borrower(opened: &OpenedBorrower) -> pb::OpenedBorrower {
    let identifiers = [&opened.national, &opened.phone];
    let masked = identifiers.into_iter().flatten().map(Identifier::masked);
    pb::OpenedBorrower {
        masked: masked.collect(),
        consent: opened.consent.to_vec().into(),
        reference: opened.reference.clone().unwrap_or_default(),
    }
}

fn told(checked: Checked) -> pb::CheckOpeningResponse {
    let Checked {
        opener,
        entry,
        opening,
        fault,
        peers,
    } = checked;
    let peers = peers.into_iter().map(|(member, found)| pb::OpenedAtPeer {
        member: member.to_string(),
        verdict: found.word().to_owned(),
        says: found.says(),
    });
    pb::CheckOpeningResponse {
        opener: opener.to_string(),
        entry,
        query: opening.query.to_string(),
        at_unix_ms: opening.at.unix_ms(),
        purpose: opening.purpose.word().to_owned(),
        borrowers: opening.borrowers.iter().map(borrower).collect(),
        peers: peers.collect(),
        fault: fault.as_ref().map_or("", |fault| fault.code()).to_owned(),
        says: fault.map_or_else(String::new, |fault| fault.to_string()),
    }
}

#[tonic::async_trait]
impl Openings for OpeningsService {
    async fn open_entry(
        &self,
        request: Request<pb::OpenEntryRequest>,
    ) -> Result<Response<pb::OpenEntryResponse>, Status> {
        let wanted = request.into_inner();
        let auditor = member("auditor", &wanted.auditor)?;
        let opened = self.opener.open(wanted.entry, &auditor).await;
        let file = opened.map_err(refused)?.to_string();
        Ok(Response::new(pb::OpenEntryResponse { file }))
    }

    async fn check_opening(
        &self,
        request: Request<pb::CheckOpeningRequest>,
    ) -> Result<Response<pb::CheckOpeningResponse>, Status> {
        let file = request.into_inner().file;
        if file.len() > OPENING_FILE_BYTES_MAX {
            let reason = format!("must be at most {OPENING_FILE_BYTES_MAX} bytes");
            return Err(refused(Malformed::new("file", reason)));
        }
        let checked = self.auditor.check(&file).await.map_err(refused)?;
        Ok(Response::new(told(checked)))
    }
}
