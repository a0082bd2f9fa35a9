//! What this node does for its operator about watched borrowers and alerts.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{iter, try_unfold};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::status::refused;
use crate::domain::{
    AlertResponse, AlertState, Borrower, Flag, FlagCode, FlagState, Identifier, IdentifierClass,
    QueryId, Timestamp,
};
use crate::flows::{
    Alert, AlertStep, Alerts, DeadLetter, NewWatched, PeerProgress, Portfolio, Scanned,
    WatchedEntry,
};
use crate::formats::answer_json;
use crate::limits::{ALERT_PAGE_MAX, REFERENCE_CHARS_MAX, WATCH_PAGE_MAX, WATCH_TICK};
use crate::wire::Malformed;
use crate::wire::pb::{self, watch_server::Watch};

/// The service for watching and alerts.
#[derive(Debug, Clone)]
pub struct WatchService {
    watch: crate::flows::Watch,
    portfolio: Arc<Portfolio>,
    alerts: Arc<Alerts>,
}

impl WatchService {
    /// Serves this watch list, the portfolio on it, and these alerts.
    #[must_use]
    pub fn new(watch: crate::flows::Watch, portfolio: Arc<Portfolio>, alerts: Arc<Alerts>) -> Self {
        Self {
            watch,
            portfolio,
            alerts,
        }
    }

    fn message(&self, alert: Alert) -> pb::AlertMessage {
        message(alert, self.alerts.shows_members())
    }
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for WatchService {
    async fn add_watched(
        &self,
        request: Request<pb::AddWatchedRequest>,
    ) -> Result<Response<pb::AddWatchedResponse>, Status> {
        let borrowers = request.into_inner().borrowers;
        if borrowers.is_empty() || borrowers.len() > WATCH_PAGE_MAX {
            let reason = format!("must be 1 to {WATCH_PAGE_MAX}");
            return Err(refused(Malformed::new("borrowers", reason)));
        }
        let borrowers: Result<Vec<_>, _> = borrowers.into_iter().map(new_watched).collect();
        let added = self.watch.add_customers(&borrowers.map_err(refused)?).await;
        let (added, strangers) = added.map_err(refused)?;
        let new = added.iter().filter(|(_, is_new)| *is_new).count();
        Ok(Response::new(pb::AddWatchedResponse {
            added: count(new),
            known: count(added.len() - new),
            strangers: strangers.into_iter().map(count).collect(),
        }))
    }

    type AddBookStream = Messages<pb::AddBookResponse>;

    async fn add_book(
        &self,
        _: Request<pb::AddBookRequest>,
    ) -> Result<Response<Self::AddBookStream>, Status> {
        let start = (
            self.watch.clone(),
            Some(None),
            pb::AddBookResponse::default(),
        );
        let pages = try_unfold(start, |(watch, place, mut told)| async move {
            let Some(after) = place else { return Ok(None) };
            let (records, added, next) = watch.add_book_page(after).await.map_err(refused)?;
            told.records += u64::from(count(records));
            told.added += u64::from(count(added));
            Ok(Some((told, (watch, next.map(Some), told))))
        });
        Ok(Response::new(Box::pin(pages)))
    }

    async fn remove_watched(
        &self,
        request: Request<pb::RemoveWatchedRequest>,
    ) -> Result<Response<pb::RemoveWatchedResponse>, Status> {
        let identifier = Identifier::parse(&request.into_inner().identifier, None);
        let identifier =
            identifier.map_err(|error| refused(Malformed::new("identifier", error.to_string())))?;
        let removed = self
            .watch
            .remove(identifier.canonical())
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RemoveWatchedResponse { removed }))
    }

    async fn list_watched(
        &self,
        request: Request<pb::ListWatchedRequest>,
    ) -> Result<Response<pb::ListWatchedResponse>, Status> {
        let page = self.watch.page(request.into_inner().after).await;
        let entries = page.map_err(refused)?.into_iter().map(entry).collect();
        Ok(Response::new(pb::ListWatchedResponse { entries }))
    }

    async fn watch_progress(
        &self,
        _: Request<pb::WatchProgressRequest>,
    ) -> Result<Response<pb::WatchProgressResponse>, Status> {
        let (watched, peers) = self.watch.progress().await.map_err(refused)?;
        let peers = peers.into_iter().map(progress).collect();
        Ok(Response::new(pb::WatchProgressResponse { watched, peers }))
    }

    type ScanWatchedStream = Messages<pb::ScanWatchedResponse>;

    async fn scan_watched(
        &self,
        request: Request<pb::ScanWatchedRequest>,
    ) -> Result<Response<Self::ScanWatchedStream>, Status> {
        let start = (Arc::clone(&self.portfolio), request.into_inner().after);
        let pages = try_unfold(start, |(portfolio, after)| async move {
            let page = portfolio.page(after).await.map_err(refused)?;
            let last = page.last().map(|one| one.entry.number);
            Ok::<_, Status>(last.map(|last| (page, (portfolio, last))))
        });
        let each = pages
            .map_ok(|page| iter(page).map(|one| Ok(scanned(one))))
            .try_flatten();
        Ok(Response::new(Box::pin(each)))
    }

    async fn list_alerts(
        &self,
        request: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        let pb::ListAlertsRequest { mut after, state } = request.into_inner();
        let wanted = AlertState::from_word(&state);
        if wanted.is_none() && !state.is_empty() {
            let reason = "must be open, acknowledged or resolved; all without it";
            return Err(refused(Malformed::new("state", reason)));
        }
        let mut alerts = Vec::new();
        loop {
            let page = self.alerts.page(after).await.map_err(refused)?;
            let is_last = page.len() < ALERT_PAGE_MAX;
            after = page.last().map_or(0, |last| last.id);
            let is_wanted =
                |alert: &Alert| wanted.is_none_or(|state| alert.handling.state == state);
            alerts.extend(page.into_iter().filter(is_wanted));
            if is_last || !alerts.is_empty() {
                let alerts = alerts.into_iter().map(|alert| self.message(alert));
                return Ok(Response::new(pb::ListAlertsResponse {
                    alerts: alerts.collect(),
                    next_after: if is_last { 0 } else { after },
                }));
            }
        }
    }

    type FollowAlertsStream = Messages<pb::AlertMessage>;

    async fn follow_alerts(
        &self,
        request: Request<pb::FollowAlertsRequest>,
    ) -> Result<Response<Self::FollowAlertsStream>, Status> {
        let shows = self.alerts.shows_members();
        let start = (Arc::clone(&self.alerts), request.into_inner().after);
        let pages = try_unfold(start, |(alerts, after)| async move {
            loop {
                let mut news = alerts.news();
                let page = alerts.page(after).await.map_err(refused)?;
                if let Some(last) = page.last() {
                    let next = (Arc::clone(&alerts), last.id);
                    return Ok::<_, Status>(Some((page, next)));
                }
                // Another replica may have raised one.
                let _woken = timeout(WATCH_TICK, news.changed()).await;
            }
        });
        let each = pages
            .map_ok(move |page| iter(page).map(move |alert| Ok(message(alert, shows))))
            .try_flatten();
        Ok(Response::new(Box::pin(each)))
    }

    async fn acknowledge_alert(
        &self,
        request: Request<pb::AcknowledgeAlertRequest>,
    ) -> Result<Response<pb::AlertMessage>, Status> {
        let pb::AcknowledgeAlertRequest { id, owner } = request.into_inner();
        let step = AlertStep::Acknowledge { owner };
        let alert = self.alerts.step(id, &step).await.map_err(refused)?;
        Ok(Response::new(self.message(alert)))
    }

    async fn resolve_alert(
        &self,
        request: Request<pb::ResolveAlertRequest>,
    ) -> Result<Response<pb::AlertMessage>, Status> {
        let pb::ResolveAlertRequest {
            id,
            owner,
            response,
            note,
        } = request.into_inner();
        let response = AlertResponse::from_word(&response).ok_or_else(|| {
            let words: Vec<_> = AlertResponse::ALL.iter().map(|one| one.word()).collect();
            refused(Malformed::new(
                "response",
                format!("must be one of {}", words.join(", ")),
            ))
        })?;
        let step = AlertStep::Resolve {
            owner,
            response,
            note,
        };
        let alert = self.alerts.step(id, &step).await.map_err(refused)?;
        Ok(Response::new(self.message(alert)))
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let page = self.alerts.dead_letters(request.into_inner().after).await;
        let letters = page.map_err(refused)?.into_iter().map(letter).collect();
        Ok(Response::new(pb::ListDeadLettersResponse { letters }))
    }

    async fn retry_dead_letter(
        &self,
        request: Request<pb::RetryDeadLetterRequest>,
    ) -> Result<Response<pb::RetryDeadLetterResponse>, Status> {
        let retried = self.alerts.retry(request.into_inner().alert).await;
        retried.map_err(refused)?;
        Ok(Response::new(pb::RetryDeadLetterResponse {}))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A borrower from its message.
fn new_watched(message: pb::WatchedBorrower) -> Result<NewWatched, Malformed> {
    let pb::WatchedBorrower {
        identifiers,
        reference,
    } = message;
    let wrong = |reason: String| Malformed::new("identifiers", reason);
    let mut borrower = Borrower::default();
    for text in &identifiers {
        let identifier = Identifier::parse(text, None).map_err(|error| wrong(error.to_string()))?;
        let slot = match identifier.class() {
            IdentifierClass::National => &mut borrower.national,
            IdentifierClass::Phone => &mut borrower.phone,
        };
        if slot.replace(identifier).is_some() {
            let rule = "must be at most one national identity and one phone number";
            return Err(wrong(rule.to_owned()));
        }
    }
    if identifiers.is_empty() {
        return Err(wrong("must hold at least one identifier".to_owned()));
    }
    let is_plain = reference.chars().count() <= REFERENCE_CHARS_MAX
        && !reference.chars().any(char::is_control);
    if !is_plain {
        let reason = format!("must be at most {REFERENCE_CHARS_MAX} printable characters");
        return Err(Malformed::new("reference", reason));
    }
    Ok(NewWatched {
        borrower,
        reference,
    })
}

fn entry(entry: WatchedEntry) -> pb::WatchedEntry {
    pb::WatchedEntry {
        number: entry.number,
        reference: entry.reference,
        borrower: entry.borrower,
        added_unix_ms: entry.added_at.unix_ms(),
    }
}

/// A conclusion that answers no query. What would rest on a telephone number was not looked up, and
/// is left out: no count of it, and no word that the identity is consistent.
fn scanned(scanned: Scanned) -> pb::ScanWatchedResponse {
    let Scanned {
        entry,
        mut conclusion,
    } = scanned;
    conclusion.counts.retain(|name, _| !name.is_by_phone());
    let is_told = |flag: &Flag| flag.code != FlagCode::Id || flag.state != FlagState::False;
    conclusion.flags.retain(is_told);
    let outcome = conclusion.outcome.word().to_owned();
    let mut json = answer_json(&conclusion.into_answer(QueryId(uuid::Uuid::nil())));
    if let Some(fields) = json.as_object_mut() {
        fields.remove("query_id");
        fields.remove("explanation");
    }
    pb::ScanWatchedResponse {
        number: entry.number,
        reference: entry.reference,
        borrower: entry.borrower,
        outcome,
        conclusion_json: json.to_string(),
    }
}

fn progress(progress: PeerProgress) -> pb::PeerWatch {
    pb::PeerWatch {
        member: progress.peer.to_string(),
        epoch: progress.epoch.map_or(-1, |epoch| i64::from(epoch.0)),
        evaluated: progress.evaluated,
        whole: progress.is_whole,
        waits: progress.waits,
    }
}

fn message(alert: Alert, shows_members: bool) -> pb::AlertMessage {
    let Alert {
        id,
        said,
        seen_at,
        handling,
    } = alert;
    let moment = |at: Option<Timestamp>| at.map_or(0, Timestamp::unix_ms);
    pb::AlertMessage {
        id,
        kind: said.kind.word().to_owned(),
        severity: said.kind.severity().word().to_owned(),
        reference: said.subject.reference,
        borrower: said.subject.borrower,
        member: if shows_members {
            said.peer.to_string()
        } else {
            String::new()
        },
        at_unix_ms: said.at.unix_ms(),
        seen_unix_ms: seen_at.unix_ms(),
        standing: said.standing,
        state: handling.state.word().to_owned(),
        owner: handling.owner,
        response: handling.response.map_or("", AlertResponse::word).to_owned(),
        note: handling.note,
        acknowledged_unix_ms: moment(handling.acknowledged_at),
        resolved_unix_ms: moment(handling.resolved_at),
    }
}

fn letter(letter: DeadLetter) -> pb::DeadLetterMessage {
    pb::DeadLetterMessage {
        alert: letter.alert,
        attempts: letter.attempts,
        at_unix_ms: letter.at.unix_ms(),
        error: letter.error,
    }
}
