//! Samples, the member's side: which queries an auditor wants opened, and their opening.

use std::sync::Arc;
use std::time::Duration;

use super::super::draft::Draft;
use super::super::{FlowError, Home, Opener, retry_conflicts};
use super::dated_request;
use super::rows::{OpeningRequest, SampleId};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{
    DELIVERY_DEADLINE, LOGS_SKEW_MAX, SAMPLE_DAYS_MAX, SAMPLE_REQUESTED_MAX, SAMPLES_EVERY,
    SAMPLES_KEPT_MAX, SAMPLES_WAITING_MAX, STORE_SCAN_ROWS_MAX,
};
use crate::membership::{Service, VerifiedPeer, Wish};
use crate::store::{Scan, Table, Vault};
use crate::wire::{Delivered, Malformed, OpeningsWanted};

/// Every request, in no order.
pub(super) async fn all(vault: &Vault) -> Result<Vec<OpeningRequest>, FlowError> {
    let scan = Scan::all(STORE_SCAN_ROWS_MAX);
    let page = vault.scan(Table::OpeningRequest, &scan).await?;
    let requests = page.iter();
    requests
        .map(|(_, row)| OpeningRequest::decode(&row.bytes))
        .collect()
}

/// What auditors want of this member.
#[derive(Debug, Clone)]
pub struct OpeningRequests {
    home: Arc<Home>,
    opener: Opener,
}

impl OpeningRequests {
    /// Opens queries of this node to who asks for them.
    #[must_use]
    pub const fn new(home: Arc<Home>, opener: Opener) -> Self {
        Self { home, opener }
    }

    fn key(&self, auditor: &MemberId, sample: SampleId) -> [u8; 32] {
        let name = [auditor.as_str().as_bytes(), b"\n", &sample].concat();
        self.home.vault.row_key(Table::OpeningRequest, &name)
    }

    /// Takes a request of an auditor; one that was taken before stays as it is.
    ///
    /// # Errors
    /// [`FlowError::Denied`] where the caller is no auditor, [`FlowError::Malformed`] where a bound
    /// is passed, [`FlowError::NotPossible`] where too many wait.
    pub async fn take(&self, peer: &VerifiedPeer, wanted: OpeningsWanted) -> Result<(), FlowError> {
        let at = self.home.clock.now();
        peer.may(&Wish {
            service: Service::Audit,
            purpose: None,
            at,
        })?;
        let days = Duration::from_secs(u64::from(SAMPLE_DAYS_MAX + 1) * 86_400);
        if wanted.deadline <= at || wanted.deadline > at.plus(days) {
            let reason = format!("must lie ahead, by at most {SAMPLE_DAYS_MAX} days");
            return Err(Malformed::new("deadline_unix_ms", reason).into());
        }
        if !(1..=SAMPLE_REQUESTED_MAX).contains(&wanted.wanted.len()) {
            let reason = format!("must be 1 to {SAMPLE_REQUESTED_MAX}");
            return Err(Malformed::new("wanted", reason).into());
        }
        let request = OpeningRequest {
            id: wanted.sample,
            auditor: peer.member().clone(),
            asked_at: at,
            deadline: wanted.deadline,
            wanted: wanted.wanted,
            is_answering: false,
            delivered: 0,
            closed: 0,
        };
        retry_conflicts(|| self.note(&request)).await
    }

    async fn note(&self, request: &OpeningRequest) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        let key = self.key(&request.auditor, request.id);
        if vault.read(Table::OpeningRequest, &key).await?.is_some() {
            return Ok(());
        }
        let held = all(vault).await?;
        let waits = |one: &&OpeningRequest| one.auditor == request.auditor && !one.is_answered();
        let waiting = held.iter().filter(waits).count();
        if waiting >= SAMPLES_WAITING_MAX || held.len() >= SAMPLES_KEPT_MAX {
            let why = format!("{waiting} samples of this auditor wait already: try again later");
            return Err(FlowError::NotPossible(why));
        }
        let mut draft = Draft::default();
        draft.put(Table::OpeningRequest, &key, 0, request.encode());
        let (table, name, row) = dated_request(vault, &key, request.asked_at);
        draft.put(table, &name, 0, row);
        draft.commit(vault).await
    }

    /// Every request, what is due first at the head.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<OpeningRequest>, FlowError> {
        let mut requests = all(&self.home.vault).await?;
        requests.sort_by_key(|one| (one.is_answered(), one.deadline, one.id));
        Ok(requests)
    }

    /// Opens what a request wants, each query logged, and delivers it. What cannot be delivered now
    /// is delivered by [`Self::run`].
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such request; [`FlowError::Call`] where the
    /// auditor is not reached.
    pub async fn answer(&self, id: SampleId) -> Result<OpeningRequest, FlowError> {
        let requests = self.list().await?;
        let request = requests.into_iter().find(|one| one.id == id);
        let mut request = request.ok_or(FlowError::NotFound {
            what: "request of an auditor",
        })?;
        if !request.is_answering {
            request.is_answering = true;
            self.keep(&request).await?;
        }
        self.deliver(request).await
    }

    async fn deliver(&self, mut request: OpeningRequest) -> Result<OpeningRequest, FlowError> {
        while let Some(place) = request.wanted.get(request.delivered).copied() {
            let given = self.given(&request, place).await?;
            let is_closed = given.file.is_none();
            let roster = self.home.trust.roster();
            let listed = roster.listed(&request.auditor);
            let auditor = listed.map_err(|refusal| {
                FlowError::NotPossible(format!("{}: {refusal}", request.auditor))
            })?;
            let peers = &self.home.peers;
            peers
                .deliver_opening(auditor, DELIVERY_DEADLINE, given)
                .await?;
            request.delivered += 1;
            request.closed += usize::from(is_closed);
            self.keep(&request).await?;
        }
        Ok(request)
    }

    /// What the auditor gets for one of the queries.
    async fn given(
        &self,
        request: &OpeningRequest,
        (commitment, at): ([u8; 32], Timestamp),
    ) -> Result<Delivered, FlowError> {
        let nothing = |is_gone| Delivered {
            sample: request.id,
            commitment,
            file: None,
            is_gone,
        };
        let around = (at.minus(LOGS_SKEW_MAX), at.plus(LOGS_SKEW_MAX));
        let found = self.opener.find(commitment, around).await;
        let entry = match found {
            Ok(entry) => entry,
            Err(FlowError::NotFound { .. }) => return Ok(nothing(false)),
            Err(error) => return Err(error),
        };
        let opening = match self.opener.opened(entry).await {
            Ok((_, opening)) => opening,
            Err(FlowError::NotPossible(_)) => return Ok(nothing(true)),
            Err(error) => return Err(error),
        };
        let sealed = self.opener.sealed((entry, &opening), &request.auditor);
        Ok(Delivered {
            file: Some(sealed.await?.to_string()),
            ..nothing(false)
        })
    }

    async fn keep(&self, request: &OpeningRequest) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        let key = self.key(&request.auditor, request.id);
        retry_conflicts(|| async {
            let held = vault.read(Table::OpeningRequest, &key).await?;
            let held = held.ok_or(FlowError::NotFound {
                what: "request of an auditor",
            })?;
            let mut draft = Draft::default();
            let row = request.encode();
            draft.put(Table::OpeningRequest, &key, held.revision, row);
            draft.commit(vault).await
        })
        .await
    }

    /// Delivers what a person had answered and the auditor did not get, every minute; never ends.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(SAMPLES_EVERY).await;
            if let Err(error) = self.deliver_all().await {
                tracing::info!(%error, "openings were not delivered; it is tried again");
            }
        }
    }

    /// As [`Self::run`], once.
    ///
    /// # Errors
    /// The first failure; the others are tried all the same.
    pub async fn deliver_all(&self) -> Result<(), FlowError> {
        let mut failed = Ok(());
        let roster = self.home.trust.roster();
        for request in self.list().await? {
            // An auditor that was removed gets nothing, unless it is listed again.
            if request.is_answering
                && !request.is_answered()
                && roster.listed(&request.auditor).is_ok()
                && let Err(error) = self.deliver(request).await
            {
                failed = Err(error);
            }
        }
        failed
    }
}
