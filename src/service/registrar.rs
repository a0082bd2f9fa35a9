//! What the registrar answers: to joiners, members' nodes and administrators.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::{Code, Request, Response, Status};

use crate::domain::MemberId;
use crate::limits::{
    ISSUING_SENT_MAX, REGISTRAR_ANSWER_BYTES_MAX, REGISTRAR_REQUEST_BYTES_MAX, STREAM_AGE_MAX,
};
use crate::membership::{KeyStatement, Refusal, VerifiedPeer};
use crate::net::OtherRegistrar;
use crate::wire::pb::registrar_server::{Registrar as Generated, RegistrarServer};
use crate::wire::{
    Acknowledgement, DeskView, Enrolment, InvitationKey, LogPage, Malformed, RootCount, Tally,
    TrustTexts, filed_statement, pb,
};

/// Why the registrar refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrarRefusal {
    /// No invitation has this number and secret.
    #[error(
        "no invitation waits for this token: it expired, was spent, or is of another registrar"
    )]
    NoInvitation,
    /// The invitation was used.
    #[error("this invitation is spent: ask the administrators for a new one")]
    Spent,
    /// Somebody else answers the invitation.
    #[error(
        "this invitation is answered by another identity key already: go on in the folder where \
         you began, or ask for a new invitation"
    )]
    OtherApplicant,
    /// A document cannot be read, is not signed by whom it must be, or breaks a rule.
    #[error("{0}")]
    Document(String),
    /// It does not fit what is in force.
    #[error("{0}")]
    NotNow(String),
    /// Too much waits already.
    #[error("{0}")]
    Full(&'static str),
    /// The registrar's own disk or keys.
    #[error("the registrar has a fault of its own: {0}")]
    Local(String),
}

impl From<RegistrarRefusal> for Status {
    fn from(refusal: RegistrarRefusal) -> Self {
        let code = match &refusal {
            RegistrarRefusal::NoInvitation => Code::NotFound,
            RegistrarRefusal::Spent | RegistrarRefusal::NotNow(_) => Code::FailedPrecondition,
            RegistrarRefusal::OtherApplicant => Code::PermissionDenied,
            RegistrarRefusal::Document(_) => Code::InvalidArgument,
            RegistrarRefusal::Full(_) => Code::ResourceExhausted,
            RegistrarRefusal::Local(_) => Code::Internal,
        };
        Self::new(code, refusal.to_string())
    }
}

/// What the registrar does, behind its service.
#[tonic::async_trait]
pub trait RegistrarDesk: Send + Sync + std::fmt::Debug + 'static {
    /// The root documents from a version on.
    fn roots(&self, from_version: u32) -> Vec<String>;

    /// The trust documents for whoever has this root.
    fn trust(&self, root_version: u32) -> TrustTexts;

    /// Tells whenever the trust documents change.
    fn news(&self) -> watch::Receiver<u64>;

    /// Notes that a node begins or ceases to follow.
    fn note_following(&self, member: &MemberId, follows: bool);

    /// Notes what a node has in force.
    fn note_installed(&self, member: &MemberId, said: Acknowledgement);

    /// The invitation that a token names.
    async fn open_invitation(&self, key: InvitationKey) -> Result<String, RegistrarRefusal>;

    /// Files a request to join, or tells what became of it.
    async fn enrol(
        &self,
        key: InvitationKey,
        request: String,
    ) -> Result<Enrolment, RegistrarRefusal>;

    /// The joiner stored what it got: the invitation is spent.
    async fn acknowledge(&self, key: InvitationKey) -> Result<(), RegistrarRefusal>;

    /// Certifies a new key of an active member; gives the chain.
    async fn renew(&self, request: String) -> Result<String, RegistrarRefusal>;

    /// Keeps a member's own request for a change.
    async fn change_entry(&self, request: String) -> Result<(), RegistrarRefusal>;

    /// Keeps an invitation.
    async fn invite(
        &self,
        invitation: String,
        secret_sha256: [u8; 32],
    ) -> Result<(), RegistrarRefusal>;

    /// What waits for the administrators.
    async fn desk(&self, request: String) -> Result<DeskView, RegistrarRefusal>;

    /// Holds or publishes the next list.
    async fn put_list(&self, list: String) -> Result<Tally, RegistrarRefusal>;

    /// Holds or publishes the next root.
    async fn put_root(&self, root: String) -> Result<RootCount, RegistrarRefusal>;

    /// Takes issuing authorities' certificates that are for its key into use; gives how many.
    async fn put_issuing(
        &self,
        request: String,
        certificates: Vec<String>,
    ) -> Result<usize, RegistrarRefusal>;

    /// Entries of the log with this origin from `from` on and before `until`, as many as one
    /// answer carries; none where another log is kept here. The newest checkpoint in any case.
    async fn read_log(
        &self,
        origin: String,
        from: u64,
        until: u64,
    ) -> Result<LogPage, RegistrarRefusal>;

    /// Logs an OPRF key that a member states.
    async fn file_statement(&self, statement: KeyStatement) -> Result<(), RegistrarRefusal>;
}

/// The registrar's service.
#[derive(Debug, Clone)]
pub struct RegistrarService(Arc<dyn RegistrarDesk>);

impl RegistrarService {
    /// Serves what `desk` does.
    #[must_use]
    pub fn new(desk: Arc<dyn RegistrarDesk>) -> Self {
        Self(desk)
    }
}

/// The registrar's service with its bounds on messages.
#[must_use]
pub fn registrar_server(service: RegistrarService) -> RegistrarServer<RegistrarService> {
    RegistrarServer::new(service)
        .max_decoding_message_size(REGISTRAR_REQUEST_BYTES_MAX)
        .max_encoding_message_size(REGISTRAR_ANSWER_BYTES_MAX)
}

/// The member that calls, nobody where another registrar does; the gate judged it.
fn follower<T>(request: &Request<T>) -> Result<Option<MemberId>, Status> {
    let extensions = request.extensions();
    if let Some(peer) = extensions.get::<VerifiedPeer>() {
        return Ok(Some(peer.member().clone()));
    }
    if extensions.get::<OtherRegistrar>().is_some() {
        return Ok(None);
    }
    Err(match extensions.get::<Refusal>() {
        Some(refusal) => Status::permission_denied(format!("{refusal}; {}", refusal.next_step())),
        None => Status::unauthenticated("this call needs a member's certificate, and none came"),
    })
}

fn malformed(error: &Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

fn key(id: &[u8], secret: &[u8]) -> Result<InvitationKey, Status> {
    InvitationKey::read(id, secret).map_err(|error| malformed(&error))
}

/// Counts a node among the followers until it is dropped.
struct Following {
    desk: Arc<dyn RegistrarDesk>,
    /// Nobody where another registrar follows.
    member: Option<MemberId>,
}

impl Following {
    fn begin(desk: &Arc<dyn RegistrarDesk>, member: Option<MemberId>) -> Self {
        if let Some(member) = &member {
            desk.note_following(member, true);
        }
        Self {
            desk: Arc::clone(desk),
            member,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            self.desk.note_following(member, false);
        }
    }
}

/// Where one stream of trust documents stands.
struct Place {
    following: Following,
    news: watch::Receiver<u64>,
    root_version: u32,
    sent_list: Option<String>,
    began: bool,
}

async fn next_documents(place: Option<Place>) -> Option<(pb::TrustDocuments, Option<Place>)> {
    let mut place = place?;
    if place.began && place.news.changed().await.is_err() {
        return None;
    }
    place.began = true;
    place.news.mark_unchanged();
    let mut texts = place.following.desk.trust(place.root_version);
    if texts.list == place.sent_list {
        texts.list = None;
    } else {
        place.sent_list.clone_from(&texts.list);
    }
    let sent = u32::try_from(texts.roots.len()).unwrap_or(u32::MAX);
    place.root_version = place.root_version.saturating_add(sent);
    Some((texts.into(), Some(place)))
}

type Documents = Pin<Box<dyn Stream<Item = Result<pb::TrustDocuments, Status>> + Send>>;

#[tonic::async_trait]
impl Generated for RegistrarService {
    async fn roots(
        &self,
        request: Request<pb::RootsRequest>,
    ) -> Result<Response<pb::RootsResponse>, Status> {
        let roots = self.0.roots(request.into_inner().from_version);
        Ok(Response::new(pb::RootsResponse { roots }))
    }

    async fn open_invitation(
        &self,
        request: Request<pb::OpenInvitationRequest>,
    ) -> Result<Response<pb::OpenInvitationResponse>, Status> {
        let message = request.into_inner();
        let key = key(&message.invitation_id, &message.secret)?;
        let invitation = self.0.open_invitation(key).await?;
        Ok(Response::new(pb::OpenInvitationResponse { invitation }))
    }

    async fn enrol(
        &self,
        request: Request<pb::EnrolRequest>,
    ) -> Result<Response<pb::EnrolResponse>, Status> {
        let message = request.into_inner();
        let key = key(&message.invitation_id, &message.secret)?;
        let enrolment = self.0.enrol(key, message.request).await?;
        Ok(Response::new(enrolment.into()))
    }

    async fn acknowledge_enrolment(
        &self,
        request: Request<pb::AcknowledgeEnrolmentRequest>,
    ) -> Result<Response<pb::AcknowledgeEnrolmentResponse>, Status> {
        let message = request.into_inner();
        let key = key(&message.invitation_id, &message.secret)?;
        self.0.acknowledge(key).await?;
        Ok(Response::new(pb::AcknowledgeEnrolmentResponse {}))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewResponse>, Status> {
        let certificate_chain = self.0.renew(request.into_inner().request).await?;
        Ok(Response::new(pb::RenewResponse { certificate_chain }))
    }

    async fn change_entry(
        &self,
        request: Request<pb::ChangeEntryRequest>,
    ) -> Result<Response<pb::ChangeEntryResponse>, Status> {
        self.0.change_entry(request.into_inner().request).await?;
        Ok(Response::new(pb::ChangeEntryResponse {}))
    }

    async fn fetch(
        &self,
        request: Request<pb::FetchRequest>,
    ) -> Result<Response<pb::TrustDocuments>, Status> {
        follower(&request)?;
        let texts = self.0.trust(request.into_inner().root_version);
        Ok(Response::new(texts.into()))
    }

    type FollowStream = Documents;

    async fn follow(
        &self,
        request: Request<pb::FollowRequest>,
    ) -> Result<Response<Documents>, Status> {
        let member = follower(&request)?;
        let place = Place {
            news: self.0.news(),
            following: Following::begin(&self.0, member),
            root_version: request.into_inner().root_version,
            sent_list: None,
            began: false,
        };
        let documents = unfold(Some(place), next_documents)
            .map(Ok)
            .take_until(sleep(STREAM_AGE_MAX));
        Ok(Response::new(Box::pin(documents)))
    }

    async fn installed(
        &self,
        request: Request<pb::InstalledRequest>,
    ) -> Result<Response<pb::InstalledResponse>, Status> {
        let member = follower(&request)?;
        let said = Acknowledgement::try_from(request.into_inner());
        let said = said.map_err(|error| malformed(&error))?;
        if let Some(member) = member {
            self.0.note_installed(&member, said);
        }
        Ok(Response::new(pb::InstalledResponse {}))
    }

    async fn invite(
        &self,
        request: Request<pb::InviteRequest>,
    ) -> Result<Response<pb::InviteResponse>, Status> {
        let message = request.into_inner();
        let digest: [u8; 32] = message
            .secret_sha256
            .as_ref()
            .try_into()
            .map_err(|_| malformed(&Malformed::new("secret_sha256", "must be 32 bytes")))?;
        self.0.invite(message.invitation, digest).await?;
        Ok(Response::new(pb::InviteResponse {}))
    }

    async fn desk(
        &self,
        request: Request<pb::DeskRequest>,
    ) -> Result<Response<pb::DeskResponse>, Status> {
        let view = self.0.desk(request.into_inner().request).await?;
        Ok(Response::new(view.into()))
    }

    async fn put_list(
        &self,
        request: Request<pb::PutListRequest>,
    ) -> Result<Response<pb::PutListResponse>, Status> {
        let tally = self.0.put_list(request.into_inner().list).await?;
        Ok(Response::new(pb::PutListResponse {
            signed: tally.signed,
            needed: tally.needed,
            published: tally.published,
        }))
    }

    async fn put_root(
        &self,
        request: Request<pb::PutRootRequest>,
    ) -> Result<Response<pb::PutRootResponse>, Status> {
        let count = self.0.put_root(request.into_inner().root).await?;
        Ok(Response::new(pb::PutRootResponse {
            signed: count.signed,
            needed: count.needed,
            signed_by_own: count.signed_by_own,
            needed_by_own: count.needed_by_own,
            published: count.published,
        }))
    }

    async fn put_issuing(
        &self,
        request: Request<pb::PutIssuingRequest>,
    ) -> Result<Response<pb::PutIssuingResponse>, Status> {
        let message = request.into_inner();
        if !(1..=ISSUING_SENT_MAX).contains(&message.certificates.len()) {
            let wrong = Malformed::new("certificates", "must be 1 to 16");
            return Err(malformed(&wrong));
        }
        let taken = self.0.put_issuing(message.request, message.certificates);
        let taken = u32::try_from(taken.await?).unwrap_or(u32::MAX);
        Ok(Response::new(pb::PutIssuingResponse { taken }))
    }

    async fn read_log(
        &self,
        request: Request<pb::ReadLogRequest>,
    ) -> Result<Response<pb::ReadLogResponse>, Status> {
        follower(&request)?;
        let pb::ReadLogRequest {
            origin,
            from,
            until,
        } = request.into_inner();
        let page = self.0.read_log(origin, from, until).await?;
        Ok(Response::new(page.into()))
    }

    async fn file_statement(
        &self,
        request: Request<pb::FileStatementRequest>,
    ) -> Result<Response<pb::FileStatementResponse>, Status> {
        let member = follower(&request)?;
        let member = member.ok_or_else(|| Status::permission_denied("only members state keys"))?;
        let statement = filed_statement(&member, request.into_inner());
        let statement = statement.map_err(|error| malformed(&error))?;
        self.0.file_statement(statement).await?;
        Ok(Response::new(pb::FileStatementResponse {}))
    }
}
