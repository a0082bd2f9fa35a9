//! What this node tells members and auditors of its log, and what it does for its operator about
//! openings.

use std::pin::Pin;

use futures::Stream;
use futures::stream::unfold;
use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::status::refused;
use crate::domain::{Identifier, MemberId, Timestamp};
use crate::flows::{
    Auditor, Checked, DrawnSample, FlowError, Logged, NewDraw, Opener, OpeningRequests, Reconciled,
    Reconciler, Samples,
};
use crate::limits::{CANARIES_MAX, OPENING_FILE_BYTES_MAX, RECONCILE_SHOWN_MAX, RECONCILE_SPAN};
use crate::protocol::opening::OpenedBorrower;
use crate::risk::fishing::Canaries;
use crate::wire::pb::{self, auditing_server::Auditing, openings_server::Openings};
use crate::wire::{Delivered, LoggedWanted, Malformed, OpeningsWanted};

/// The service that members and auditors call.
#[derive(Debug, Clone)]
pub struct AuditingService {
    logged: Logged,
    auditor: Auditor,
    samples: Samples,
    requests: OpeningRequests,
}

impl AuditingService {
    /// Tells of this log, and of this auditor's key.
    #[must_use]
    pub fn new(
        (logged, auditor): (Logged, Auditor),
        (samples, requests): (Samples, OpeningRequests),
    ) -> Self {
        Self {
            logged,
            auditor,
            samples,
            requests,
        }
    }
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

    async fn request_openings(
        &self,
        request: Request<pb::RequestOpeningsRequest>,
    ) -> Result<Response<pb::RequestOpeningsResponse>, Status> {
        let peer = admitted(&request)?;
        let wanted = OpeningsWanted::try_from(request.into_inner()).map_err(refused)?;
        self.requests.take(&peer, wanted).await.map_err(refused)?;
        Ok(Response::new(pb::RequestOpeningsResponse {}))
    }

    async fn deliver_opening(
        &self,
        request: Request<pb::DeliverOpeningRequest>,
    ) -> Result<Response<pb::DeliverOpeningResponse>, Status> {
        let peer = admitted(&request)?;
        let given = Delivered::try_from(request.into_inner()).map_err(refused)?;
        self.samples.take(&peer, given).await.map_err(refused)?;
        Ok(Response::new(pb::DeliverOpeningResponse {}))
    }
}

/// The service that opens queries, and that checks openings at an auditor's node.
#[derive(Debug, Clone)]
pub struct OpeningsService {
    opener: Opener,
    auditor: Auditor,
    reconciler: Reconciler,
}

impl OpeningsService {
    /// Opens this node's queries, checks what was opened to it, and compares its log.
    #[must_use]
    pub const fn new(opener: Opener, auditor: Auditor, reconciler: Reconciler) -> Self {
        Self {
            opener,
            auditor,
            reconciler,
        }
    }
}

fn member(field: &'static str, text: &str) -> Result<MemberId, Status> {
    text.parse()
        .map_err(|error| refused(Malformed::new(field, format!("{error}"))))
}

fn canaries_in(texts: &[String]) -> Result<Canaries, Status> {
    Ok(Canaries::of(canary_identifiers(texts)?))
}

/// The canaries of a request. What is wrong with one is told by its place alone.
pub(super) fn canary_identifiers(texts: &[String]) -> Result<Vec<Identifier>, Status> {
    if texts.len() > CANARIES_MAX {
        let reason = format!("must be at most {CANARIES_MAX}");
        return Err(refused(Malformed::new("canaries", reason)));
    }
    let parsed = texts.iter().enumerate().map(|(number, text)| {
        Identifier::parse(text, None).map_err(|error| {
            let reason = format!("number {}: {error}", number + 1);
            refused(Malformed::new("canaries", reason))
        })
    });
    parsed.collect()
}

/// What a request wants drawn.
pub(super) fn draw_of(wanted: pb::DrawSampleRequest) -> Result<NewDraw, Status> {
    Ok(NewDraw {
        member: member("member", &wanted.member)?,
        count: usize::try_from(wanted.count).unwrap_or(usize::MAX),
        seed: wanted.seed,
        from: Timestamp::from_unix_ms(wanted.from_unix_ms),
        until: Timestamp::from_unix_ms(wanted.until_unix_ms),
    })
}

/// What was drawn, as a message.
pub(super) fn drawn(came: DrawnSample) -> pb::DrawSampleResponse {
    let drawn = came.drawn.into_iter().map(|one| pb::DrawnQuery {
        commitment: one.commitment.to_vec().into(),
        at_unix_ms: one.at.unix_ms(),
        answered_by: one
            .seen
            .iter()
            .map(|(member, _)| member.to_string())
            .collect(),
    });
    pb::DrawSampleResponse {
        drawn: drawn.collect(),
        offered: came.offered,
        unreached: came.unreached.iter().map(MemberId::to_string).collect(),
    }
}

/// All time: where a person names a query by its commitment alone.
const ALWAYS: (Timestamp, Timestamp) = (
    Timestamp::from_unix_ms(0),
    Timestamp::from_unix_ms(i64::MAX),
);

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
        touched,
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
        canaries: touched.map_or(0, |touched| touched.canaries),
        says: fault.map_or_else(String::new, |fault| fault.to_string()),
    }
}

/// Where a comparison stands.
struct Comparing {
    reconciler: Reconciler,
    peer: MemberId,
    from: Timestamp,
    until: Timestamp,
}

fn step_of(came: Reconciled, through: Timestamp) -> pb::ReconcileResponse {
    let differ = u64::try_from(came.differences.len()).unwrap_or(u64::MAX);
    let told = came.differences.into_iter().take(RECONCILE_SHOWN_MAX);
    let told = told.map(|(asker, one)| pb::LogDifference {
        kind: one.kind.word().to_owned(),
        asker: asker.to_string(),
        at_unix_ms: one.at.unix_ms(),
        commitment: one.commitment.to_vec().into(),
        says: one.says,
    });
    pb::ReconcileResponse {
        through_unix_ms: through.unix_ms(),
        agree: came.agree,
        unanswered: came.unanswered,
        unknown: came.unknown,
        differences: told.collect(),
        broken: String::new(),
        differ,
    }
}

type Steps = Pin<Box<dyn Stream<Item = Result<pb::ReconcileResponse, Status>> + Send>>;

/// One step, and what is left; a comparison that cannot go on says up to where it came.
async fn compare(
    comparing: Option<Comparing>,
) -> Option<(Result<pb::ReconcileResponse, Status>, Option<Comparing>)> {
    let mut comparing = comparing?;
    let span = (comparing.from, comparing.until);
    match comparing.reconciler.step(&comparing.peer, span).await {
        Ok((came, end)) => {
            comparing.from = end;
            let rest = (end < comparing.until).then_some(comparing);
            Some((Ok(step_of(came, end)), rest))
        }
        Err(error @ (FlowError::Call(_) | FlowError::Late { .. })) => {
            let mut told = step_of(Reconciled::default(), comparing.from);
            told.broken = error.to_string();
            Some((Ok(told), None))
        }
        Err(error) => Some((Err(refused(error)), None)),
    }
}

#[tonic::async_trait]
impl Openings for OpeningsService {
    type ReconcileStream = Steps;

    async fn reconcile(
        &self,
        request: Request<pb::ReconcileRequest>,
    ) -> Result<Response<Steps>, Status> {
        let wanted = request.into_inner();
        let given = |unix_ms: i64| (unix_ms != 0).then(|| Timestamp::from_unix_ms(unix_ms));
        let settled = self.reconciler.settled();
        let until = given(wanted.until_unix_ms).map_or(settled, |until| until.min(settled));
        let from = given(wanted.from_unix_ms).unwrap_or_else(|| until.minus(RECONCILE_SPAN));
        if from >= until {
            let reason = "must be before the end, which is a minute ago at the latest";
            return Err(refused(Malformed::new("from_unix_ms", reason)));
        }
        let comparing = Comparing {
            reconciler: self.reconciler.clone(),
            peer: member("peer", &wanted.peer)?,
            from,
            until,
        };
        Ok(Response::new(Box::pin(unfold(Some(comparing), compare))))
    }

    async fn open_entry(
        &self,
        request: Request<pb::OpenEntryRequest>,
    ) -> Result<Response<pb::OpenEntryResponse>, Status> {
        let wanted = request.into_inner();
        let auditor = member("auditor", &wanted.auditor)?;
        let entry = if wanted.commitment.is_empty() {
            wanted.entry
        } else {
            let commitment = <[u8; 32]>::try_from(wanted.commitment.as_ref());
            let commitment = commitment
                .map_err(|_| refused(Malformed::new("commitment", "must be 32 bytes")))?;
            self.opener
                .find(commitment, ALWAYS)
                .await
                .map_err(refused)?
        };
        let opened = self.opener.open(entry, &auditor).await;
        let file = opened.map_err(refused)?.to_string();
        Ok(Response::new(pb::OpenEntryResponse { file, entry }))
    }

    async fn draw_sample(
        &self,
        request: Request<pb::DrawSampleRequest>,
    ) -> Result<Response<pb::DrawSampleResponse>, Status> {
        let draw = draw_of(request.into_inner())?;
        let came = self.auditor.draw(draw).await.map_err(refused)?;
        Ok(Response::new(drawn(came)))
    }

    async fn check_opening(
        &self,
        request: Request<pb::CheckOpeningRequest>,
    ) -> Result<Response<pb::CheckOpeningResponse>, Status> {
        let pb::CheckOpeningRequest { file, canaries } = request.into_inner();
        if file.len() > OPENING_FILE_BYTES_MAX {
            let reason = format!("must be at most {OPENING_FILE_BYTES_MAX} bytes");
            return Err(refused(Malformed::new("file", reason)));
        }
        let canaries = canaries_in(&canaries)?;
        let checked = self.auditor.check(&file, &canaries).await;
        let checked = checked.map_err(refused)?;
        Ok(Response::new(told(checked)))
    }
}
