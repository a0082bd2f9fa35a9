//! The lender's desk: apply, ask, ask again, furnish. Each step is durable and published before the
//! next may rest on it.

use std::sync::Arc;
use std::time::Duration;

use super::home::{Home, Order};
use super::promise::{Promise, Promises};
use super::steps::first;
use super::{Assessor, Book, FlowError, Given, Publisher};
use crate::crypto::sha256;
use crate::domain::{
    Application, ApplicationKind, ApplicationOutcome, Body, Borrower, Channel, Money, Product,
    Purpose, QueryId, Record, RecordId, RetractionReason, Role, Timestamp,
};
use crate::wire::Malformed;

/// What an applicant asks for.
#[derive(Debug)]
pub struct NewApplication {
    /// Who applies; the national identity is required.
    pub borrower: Borrower,
    /// Hard (application) or soft (offer).
    pub kind: ApplicationKind,
    /// Why the peers are asked.
    pub purpose: Purpose,
    /// Product applied for.
    pub product: Product,
    /// Amount applied for, if known.
    pub amount: Option<Money>,
    /// Term applied for in days, if known.
    pub term_days: Option<u16>,
    /// The borrower's stated income in a month, if known; flag EX holds instalments against it.
    pub income_month: Option<Money>,
    /// The member's own reference to the consent.
    pub consent_reference: String,
}

/// A contract that was signed.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// The application that it follows.
    pub application: RecordId,
    /// Amount signed; `None` takes the amount applied for.
    pub amount_minor: Option<i64>,
    /// Life of the hold.
    pub life: Duration,
}

/// A record that a step left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Its newest version.
    pub record: Record,
}

/// Whether somebody can find a consent by this reference: it has a letter or digit, and nothing
/// that acts on a terminal or turns the direction of reading.
#[must_use]
pub fn names_a_consent(reference: &str) -> bool {
    let marks = [
        '\u{200e}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2066}'..='\u{2069}',
    ];
    let turns = |c: char| marks.iter().any(|range| range.contains(&c));
    let unseen = |c: char| c.is_control() || turns(c);
    reference.chars().any(char::is_alphanumeric) && !reference.chars().any(unseen)
}

/// The steps of lending, in their order.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(super) home: Arc<Home>,
    pub(super) book: Book,
    pub(super) promises: Promises,
    publisher: Publisher,
    assessor: Assessor,
}

impl Desk {
    /// The desk over this book.
    #[must_use]
    pub fn new(home: Arc<Home>, book: Book, publisher: Publisher, assessor: Assessor) -> Self {
        let promises = Promises::new(home.vault.clone(), book.clone(), Arc::clone(&home.clock));
        Self {
            home,
            book,
            promises,
            publisher,
            assessor,
        }
    }

    /// The node's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.home.clock.now()
    }

    /// Says that the book changed and nobody waits for the publication.
    pub(super) fn nudge(&self) {
        self.publisher.nudge();
    }

    /// Waits until these canonical identifiers are in every own feed as they are now.
    pub(super) async fn publish_names(
        &self,
        names: impl Iterator<Item = String>,
    ) -> Result<(), FlowError> {
        self.publisher.publish_names(names.collect()).await
    }

    /// The member's book.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Writes an application, publishes it, and asks every peer about the borrower.
    ///
    /// # Errors
    /// [`FlowError::NotPublished`] where it could not be published (then nothing was asked),
    /// [`FlowError::IdempotencyKeyReused`], or as [`Assessor::ask_all`].
    pub async fn assess(&self, key: &str, wanted: &NewApplication) -> Result<Given, FlowError> {
        if wanted.borrower.national.is_none() {
            return Err(FlowError::NotPossible(
                "an application needs a national identity: a phone number alone is a weak key"
                    .to_owned(),
            ));
        }
        if self
            .home
            .own_entry()
            .is_some_and(|own| own.role == Role::Regulator)
        {
            let why =
                "a regulator lends to nobody, so it asks about nobody: see `creditmesh audit`";
            return Err(FlowError::NotPossible(why.to_owned()));
        }
        if !names_a_consent(&wanted.consent_reference) {
            let reason = "must name a consent, in letters or digits and without control \
                          characters: no consent, no query";
            return Err(Malformed::new("consent_reference", reason).into());
        }
        let digest = wanted.digest();
        let (record, answered) = match self.promises.find("assess", key, digest).await? {
            Some(promise) => (
                self.require(promise.record, "application").await?,
                promise.query,
            ),
            None => (self.apply(key, digest, wanted).await?, None),
        };
        if let Some(query) = answered {
            return self.assessor.fetch(query).await;
        }
        let given = self.ask(&record, wanted.purpose).await?;
        let stands = self.promises.fulfil("assess", key, digest, &given).await?;
        self.standing(given, stands).await
    }

    /// Asks again about an application; nothing new is written into the book.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such application; as [`Desk::assess`] otherwise.
    pub async fn recheck(&self, key: &str, application: RecordId) -> Result<Given, FlowError> {
        let digest = sha256(application.0.as_bytes());
        if let Some(Promise {
            query: Some(query), ..
        }) = self.promises.find("recheck", key, digest).await?
        {
            return self.assessor.fetch(query).await;
        }
        let record = self.require(application, "application").await?;
        let given = self.ask(&record, Purpose::PreFundingRecheck).await?;
        let stands = self.promises.fulfil("recheck", key, digest, &given).await?;
        self.standing(given, stands).await
    }

    /// An answer given earlier.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none.
    pub async fn fetch(&self, query: QueryId) -> Result<Given, FlowError> {
        self.assessor.fetch(query).await
    }

    /// Files records that the member furnishes, and publishes them in the background.
    ///
    /// # Errors
    /// As [`Book::file`].
    pub async fn furnish(&self, records: &[Record]) -> Result<Vec<super::Filed>, FlowError> {
        let filed = self.book.file(records, self.now()).await?;
        self.publisher.nudge();
        Ok(filed)
    }

    /// Files records and waits until they are in every own feed.
    ///
    /// # Errors
    /// As [`Desk::furnish`], and [`FlowError::NotPublished`].
    pub async fn furnish_published(
        &self,
        records: &[Record],
    ) -> Result<Vec<super::Filed>, FlowError> {
        let filed = self.book.file(records, self.now()).await?;
        for record in records {
            self.publisher.publish(&record.borrower).await?;
        }
        Ok(filed)
    }

    /// Takes a record back and publishes that.
    ///
    /// # Errors
    /// As [`Book::retract`].
    pub async fn retract(
        &self,
        record: RecordId,
        reason: RetractionReason,
    ) -> Result<Applied, FlowError> {
        let retracted = self
            .book
            .retract(record, reason, self.home.clock.now())
            .await?;
        self.published(retracted).await
    }

    async fn apply(
        &self,
        key: &str,
        digest: [u8; 32],
        wanted: &NewApplication,
    ) -> Result<Record, FlowError> {
        let now = self.home.clock.now();
        let application = Application {
            kind: wanted.kind,
            lender_group: None,
            purpose: wanted.purpose,
            product: wanted.product,
            amount: wanted.amount,
            term_days: wanted.term_days,
            income_month: wanted.income_month,
            channel: Channel::Other,
            at: now,
            outcome: ApplicationOutcome::Pending,
            outcome_at: None,
            consent_ref: Some(sha256(wanted.consent_reference.as_bytes())),
        };
        let record = self.record(wanted.borrower.clone(), Body::Application(application), now)?;
        let kept = self.promises.file("assess", key, digest, &[record]).await?;
        kept.ok_or(FlowError::Busy)
    }

    /// The one answer to a request, also where it was made twice at once.
    async fn standing(&self, given: Given, stands: QueryId) -> Result<Given, FlowError> {
        if given.query == stands {
            return Ok(given);
        }
        self.assessor.fetch(stands).await
    }

    /// Publish before query: only what is in every own feed lets the first peer be asked.
    async fn ask(&self, record: &Record, purpose: Purpose) -> Result<Given, FlowError> {
        let Body::Application(application) = &record.body else {
            return Err(FlowError::NotFound {
                what: "application",
            });
        };
        let (id, borrower) = (record.head.record_id, &record.borrower);
        let asking = self.assessor.ask_all(id, borrower, application, purpose);
        match self.home.timing.order {
            Order::PublishThenAsk => {
                self.publisher.publish(borrower).await?;
                asking.await
            }
            Order::AskThenPublish => {
                let given = asking.await?;
                self.publisher.publish(borrower).await?;
                Ok(given)
            }
        }
    }

    pub(super) async fn published(&self, record: Record) -> Result<Applied, FlowError> {
        self.publisher.publish(&record.borrower).await?;
        Ok(Applied { record })
    }

    pub(super) async fn require(
        &self,
        id: RecordId,
        what: &'static str,
    ) -> Result<Record, FlowError> {
        self.book
            .find(id)
            .await?
            .ok_or(FlowError::NotFound { what })
    }

    pub(super) fn record(
        &self,
        borrower: Borrower,
        body: Body,
        now: Timestamp,
    ) -> Result<Record, FlowError> {
        let mut random = [0; 10];
        self.home.entropy.fill(&mut random)?;
        Ok(first(RecordId::fresh(now, random), borrower, body, now))
    }
}
