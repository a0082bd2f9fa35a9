//! The borrower's report, for the member's own staff.

use tonic::{Request, Response, Status};

use super::corrections_rows::{borrower, dispute, standing};
use super::operator_rows::row;
use super::status::refused;
use crate::domain::{Body, SignalMark, Summary, Timestamp};
use crate::flows::{BorrowerReport, HeldRecord, OwnQuery, PublishedState, Reports};
use crate::wire::pb::{self, reports_server::Reports as Service};

/// The service that makes borrowers' reports.
#[derive(Debug, Clone)]
pub struct ReportService(Reports);

impl ReportService {
    /// Serves reports of these flows.
    #[must_use]
    pub const fn new(reports: Reports) -> Self {
        Self(reports)
    }
}

#[tonic::async_trait]
impl Service for ReportService {
    async fn make_report(
        &self,
        request: Request<pb::MakeReportRequest>,
    ) -> Result<Response<pb::BorrowerReport>, Status> {
        let asked = borrower(&request.get_ref().identifiers).map_err(refused)?;
        let report = self.0.make(&asked).await.map_err(refused)?;
        let identifiers = asked.identifiers().map(|identifier| identifier.masked());
        let mut message = message(&report);
        message.identifiers = identifiers.collect();
        (message.member, message.network) = self.0.member();
        Ok(Response::new(message))
    }
}

fn message(report: &BorrowerReport) -> pb::BorrowerReport {
    let now = report.made_at;
    pb::BorrowerReport {
        report_id: report.id.to_string(),
        made_unix_ms: now.unix_ms(),
        records: report.records.iter().map(held).collect(),
        published: report.published.iter().map(published).collect(),
        signals: report.signals.iter().map(standing).collect(),
        disputes: report
            .disputes
            .iter()
            .map(|one| dispute(one, now))
            .collect(),
        queries: report.queries.iter().map(query).collect(),
        reports_unix_ms: report.reports.iter().map(|at| at.unix_ms()).collect(),
        queries_since_unix_ms: report.queries_since.map_or(0, Timestamp::unix_ms),
        watched_since_unix_ms: report.watched_since.map_or(0, Timestamp::unix_ms),
        left_out: u32::try_from(report.left_out).unwrap_or(u32::MAX),
        ..pb::BorrowerReport::default()
    }
}

fn held(held: &HeldRecord) -> pb::HeldRecord {
    pb::HeldRecord {
        row: row(&held.record),
        deleted_unix_ms: held.deleted.map_or(0, |end| end.at.unix_ms()),
        rule: held
            .deleted
            .map_or_else(String::new, |end| end.rule_word().to_owned()),
    }
}

fn published(state: &PublishedState) -> pb::PublishedState {
    let made = state
        .summary
        .as_ref()
        .map(|summary| summary.as_of.earliest());
    pb::PublishedState {
        identifier: state.identifier.masked(),
        level: state.level.word().to_owned(),
        epoch: state.epoch.0,
        deleted_unix_ms: state.deleted_at.unix_ms(),
        states: state.states,
        published_unix_ms: made.map_or(0, Timestamp::unix_ms),
        tells: state.summary.as_ref().map(tells).unwrap_or_default(),
    }
}

/// What a summary tells, in sentences.
fn tells(summary: &Summary) -> Vec<String> {
    let mut told = Vec::new();
    for one in summary.applications.as_slice() {
        let at = one.at.earliest().to_rfc3339();
        told.push(format!(
            "an application ({}) in the hour of {at}",
            one.stage
        ));
    }
    for one in summary.loans.as_slice() {
        let at = one.signed.earliest().to_rfc3339();
        let disputed = if one.disputed { ", disputed" } else { "" };
        let signed = if one.stage.is_account() {
            format!(", signed in the hour of {at}")
        } else {
            String::new()
        };
        told.push(format!("a loan ({}{disputed}){signed}", one.stage));
    }
    for one in summary.holds.as_slice() {
        let at = one.signed.earliest().to_rfc3339();
        told.push(format!("a signed contract that is not paid out, of {at}"));
    }
    for mark in SignalMark::ALL {
        if summary.signals.contains(*mark) {
            told.push(format!("the signal {mark}"));
        }
    }
    let arrears = summary.last_arrears;
    for (days, day) in [(30, arrears.d30), (60, arrears.d60), (90, arrears.d90)] {
        if let Some(day) = day {
            told.push(format!("last {days} days past due on {}", day.day()));
        }
    }
    if let Some(day) = summary.cured_on {
        told.push(format!("a default made good on {}", day.day()));
    }
    if summary.disputed {
        told.push("that something is in dispute".to_owned());
    }
    told
}

fn query(query: &OwnQuery) -> pb::OwnQuery {
    let decided = query.application.as_ref().map(|record| match &record.body {
        Body::Application(application) => (
            application.outcome.word().to_owned(),
            application.outcome_at.map_or(0, Timestamp::unix_ms),
        ),
        Body::Retracted(_) => ("retracted".to_owned(), 0),
        Body::Loan(_) | Body::Hold(_) | Body::Signal(_) => Default::default(),
    });
    let (decided, decided_unix_ms) = decided.unwrap_or_default();
    let answer = query.answer.as_ref();
    let asked = query.asked.unwrap_or(0);
    pb::OwnQuery {
        query_id: query.query.to_string(),
        at_unix_ms: query.at.unix_ms(),
        purpose: query.purpose.word().to_owned(),
        consent: query.consent.clone().unwrap_or_default(),
        consent_hash: query
            .consent_hash
            .map(|hash| hash.to_vec().into())
            .unwrap_or_default(),
        asked: u32::try_from(asked).unwrap_or(u32::MAX),
        outcome: answer
            .map(|given| given.outcome.clone())
            .unwrap_or_default(),
        answer_json: answer.map(|given| given.json.clone()).unwrap_or_default(),
        decided,
        decided_unix_ms,
    }
}
