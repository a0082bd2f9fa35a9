//! The borrower's report: what this member holds of a borrower, what it published and when, and
//! what its own queries saw. Making one is logged as self-access.

use std::collections::BTreeMap;

use super::ageing::index_since;
use super::feed_rows::FeedRows;
use super::fishing::AskedRow;
use super::{AuditEvent, Desk, Dispute, FlowError, Given, Ledger, Watch, asked_about, openings};
use crate::domain::{
    Body, Borrower, Epoch, Expiry, Identifier, Level, Purpose, QueryId, Record, RecordId,
    StandingSignal, Summary, Timestamp, expiry,
};
use crate::limits::{REPORT_QUERIES_MAX, REPORT_RECORDS_MAX};

/// The record id that stands where a report, and no application, led to a row of the index.
const NO_APPLICATION: RecordId = RecordId(uuid::Uuid::nil());

/// A record that is held.
#[derive(Debug, Clone)]
pub struct HeldRecord {
    /// Its newest version.
    pub record: Record,
    /// When it is deleted, and by which rule; `None` while something runs that has to end first.
    pub deleted: Option<Expiry>,
}

/// What is published under one identifier in one own feed.
#[derive(Debug, Clone)]
pub struct PublishedState {
    /// The identifier.
    pub identifier: Identifier,
    /// For members of which level.
    pub level: Level,
    /// In which key epoch.
    pub epoch: Epoch,
    /// When the epoch's leaves are deleted.
    pub deleted_at: Timestamp,
    /// How many states were published in the epoch; each replaced the one before.
    pub states: u32,
    /// The state that stands; `None` where nothing is told.
    pub summary: Option<Summary>,
}

/// A query of this node about the borrower.
#[derive(Debug, Clone)]
pub struct OwnQuery {
    /// Its id.
    pub query: QueryId,
    /// When it was asked.
    pub at: Timestamp,
    /// Why.
    pub purpose: Purpose,
    /// The application that it was about, and what came of it; `None` where it is not held any
    /// more.
    pub application: Option<Record>,
    /// The member's reference to the consent, where its text is kept.
    pub consent: Option<String>,
    /// Its SHA-256 hash, where it is kept.
    pub consent_hash: Option<[u8; 32]>,
    /// How many members were asked, where that is kept.
    pub asked: Option<u64>,
    /// The answer; `None` where none was kept.
    pub answer: Option<Given>,
}

/// Everything that one member can tell a borrower.
#[derive(Debug, Clone)]
pub struct BorrowerReport {
    /// Its id, as the audit log has it.
    pub id: QueryId,
    /// When it was made.
    pub made_at: Timestamp,
    /// Records held, the newest first.
    pub records: Vec<HeldRecord>,
    /// What is published.
    pub published: Vec<PublishedState>,
    /// Signals that stand.
    pub signals: Vec<StandingSignal>,
    /// Disputes, decided ones too.
    pub disputes: Vec<Dispute>,
    /// Own queries, the newest first.
    pub queries: Vec<OwnQuery>,
    /// Reports that were made before, the newest first.
    pub reports: Vec<Timestamp>,
    /// Queries that were asked before are not in the index; `None` where it has all of the last
    /// 180 days.
    pub queries_since: Option<Timestamp>,
    /// Since when the borrower is watched; `None` where it is not.
    pub watched_since: Option<Timestamp>,
    /// Records and queries that did not fit.
    pub left_out: usize,
}

/// Makes reports.
#[derive(Debug, Clone)]
pub struct Reports {
    desk: Desk,
    ledger: Ledger,
    watch: Watch,
}

impl Reports {
    /// Reports from this desk and watch list, logged there.
    #[must_use]
    pub const fn new(desk: Desk, ledger: Ledger, watch: Watch) -> Self {
        Self {
            desk,
            ledger,
            watch,
        }
    }

    /// Who reports, and in which network.
    #[must_use]
    pub fn member(&self) -> (String, String) {
        let home = &self.desk.home;
        (home.member.to_string(), home.network().to_string())
    }

    /// Makes a report. That it was made is logged before it is given.
    ///
    /// # Errors
    /// The store's or the ledger's failure; then there is no report.
    pub async fn make(&self, borrower: &Borrower) -> Result<BorrowerReport, FlowError> {
        let home = &self.desk.home;
        let records = self.records(borrower).await?;
        let disputes = self.disputes(&records).await?;
        let (asked, reports) = self.asked(borrower).await?;
        let mut left_out = records.len().saturating_sub(REPORT_RECORDS_MAX);
        left_out += asked.len().saturating_sub(REPORT_QUERIES_MAX);
        let mut queries = Vec::new();
        for row in asked.iter().take(REPORT_QUERIES_MAX) {
            queries.push(self.query(row).await?);
        }
        let mut watched_since = None;
        for identifier in borrower.identifiers() {
            let since = self.watch.watched_since(identifier.canonical()).await?;
            watched_since = watched_since.or(since);
        }
        let (id, made_at) = self.log(borrower).await?;
        let held = records.into_iter().take(REPORT_RECORDS_MAX);
        Ok(BorrowerReport {
            id,
            made_at,
            records: held
                .map(|record| HeldRecord {
                    deleted: expiry(&record, &home.retention.terms(&record.borrower)),
                    record,
                })
                .collect(),
            published: self.published(borrower).await?,
            signals: self.desk.standing_signals(borrower).await?,
            disputes,
            queries,
            reports,
            queries_since: index_since(home).await?,
            watched_since,
            left_out,
        })
    }

    async fn records(&self, borrower: &Borrower) -> Result<Vec<Record>, FlowError> {
        let mut found = BTreeMap::new();
        for identifier in borrower.identifiers() {
            for record in self.desk.book.records_of(identifier.canonical()).await? {
                found.insert(record.head.record_id, record);
            }
        }
        let mut records: Vec<Record> = found.into_values().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.head.reported_at));
        Ok(records)
    }

    /// The disputes of these records.
    async fn disputes(&self, records: &[Record]) -> Result<Vec<Dispute>, FlowError> {
        let mut found = BTreeMap::new();
        for record in records {
            let (Body::Signal(_) | Body::Retracted(_)) = &record.body else {
                continue;
            };
            match self.desk.dispute(record.head.record_id).await {
                Ok(dispute) => {
                    found.insert(dispute.id, dispute);
                }
                Err(FlowError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found.into_values().collect())
    }

    /// Queries and earlier reports, the newest first.
    async fn asked(
        &self,
        borrower: &Borrower,
    ) -> Result<(Vec<AskedRow>, Vec<Timestamp>), FlowError> {
        let mut found = BTreeMap::new();
        for identifier in borrower.identifiers() {
            for row in asked_about::of(self.desk.book.vault(), identifier).await? {
                found.insert((row.at, row.query), row);
            }
        }
        let newest_first = found.into_values().rev();
        let (reports, asked): (Vec<_>, Vec<_>) =
            newest_first.partition(|row| row.application == NO_APPLICATION);
        Ok((asked, reports.iter().map(|row| row.at).collect()))
    }

    async fn query(&self, row: &AskedRow) -> Result<OwnQuery, FlowError> {
        let opening = openings::read(&self.desk.home, row.query).await?;
        let opened = opening.as_ref().and_then(|one| one.borrowers.first());
        let answer = match self.desk.fetch(row.query).await {
            Ok(given) => Some(given),
            Err(FlowError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(OwnQuery {
            query: row.query,
            at: row.at,
            purpose: row.purpose,
            application: self.desk.book.find(row.application).await?,
            consent: opened.and_then(|one| one.reference.clone()),
            consent_hash: opened.map(|one| one.consent),
            asked: opening.as_ref().map(|one| one.peers.len() as u64),
            answer,
        })
    }

    async fn published(&self, borrower: &Borrower) -> Result<Vec<PublishedState>, FlowError> {
        let home = &self.desk.home;
        let mut found = Vec::new();
        for identifier in borrower.identifiers() {
            for epoch in home.calendar.served(home.clock.now()) {
                for level in Level::ALL {
                    let feed = home.feed(*level, epoch);
                    let rows = FeedRows::new(home, &feed);
                    let (_, held) = rows.published(identifier.canonical()).await?;
                    let Some((states, bytes)) = held.filter(|(states, _)| *states > 0) else {
                        continue;
                    };
                    let bytes = bytes.as_slice().try_into().ok();
                    let summary = bytes.and_then(|bytes| Summary::decode(bytes).ok());
                    let summary = summary.ok_or(FlowError::Unreadable {
                        what: "published summary",
                    })?;
                    found.push(PublishedState {
                        identifier: identifier.clone(),
                        level: *level,
                        epoch,
                        deleted_at: home.calendar.ends_at(epoch),
                        states,
                        summary: (!summary.is_empty()).then_some(summary),
                    });
                }
            }
        }
        Ok(found)
    }

    async fn log(&self, borrower: &Borrower) -> Result<(QueryId, Timestamp), FlowError> {
        let home = &self.desk.home;
        let mut random = [0; 10];
        home.entropy.fill(&mut random)?;
        let at = home.clock.now();
        let row = AskedRow {
            at,
            query: QueryId::fresh(at, random),
            purpose: Purpose::SelfAccess,
            application: NO_APPLICATION,
        };
        let event = AuditEvent::Reported { report: row.query };
        let rows = asked_about::staged(&home.vault, borrower, &row);
        self.ledger.log(event, rows).await?;
        Ok((row.query, at))
    }
}
