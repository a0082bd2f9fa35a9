//! From a signature to a loan: each step changes all its records in one commit, or none of them.

use super::desk::{Applied, Desk, NewHold};
use super::steps::{paid_out, signed_amount, successor};
use super::{Filing, FlowError};
use crate::crypto::sha256;
use crate::domain::{Application, ApplicationOutcome, Body, Hold, HoldState, Record, RecordId};

/// How often a step that lost a race for its records looks at them again.
const RACES: u32 = 8;

/// What one attempt at a step came to: its record, or nothing where a record that it builds on was
/// changed meanwhile.
type Attempt = Option<Record>;

/// Makes attempts until one does not lose a race.
async fn until_settled<F: Future<Output = Result<Attempt, FlowError>>>(
    attempt: impl Fn() -> F,
) -> Result<Record, FlowError> {
    for _ in 0..RACES {
        if let Some(record) = attempt().await? {
            return Ok(record);
        }
    }
    Err(FlowError::Busy)
}

fn application_of(record: &Record) -> Result<&Application, FlowError> {
    match &record.body {
        Body::Application(application) => Ok(application),
        Body::Loan(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => {
            Err(FlowError::NotFound {
                what: "application",
            })
        }
    }
}

fn hold_of(record: &Record) -> Result<&Hold, FlowError> {
    match &record.body {
        Body::Hold(hold) => Ok(hold),
        Body::Loan(_) | Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => {
            Err(FlowError::NotFound { what: "hold" })
        }
    }
}

impl Desk {
    /// Records a signed contract and publishes it before it returns.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the application is closed or names no amount.
    pub async fn hold(&self, key: &str, wanted: &NewHold) -> Result<Applied, FlowError> {
        let record = until_settled(|| self.try_hold(key, wanted)).await?;
        self.published(record).await
    }

    async fn try_hold(&self, key: &str, wanted: &NewHold) -> Result<Attempt, FlowError> {
        let digest = sha256(format!("{wanted:?}").as_bytes());
        if let Some(promise) = self.promises.find("hold", key, digest).await? {
            return Ok(Some(self.require(promise.record, "hold").await?));
        }
        let applied = self.require(wanted.application, "application").await?;
        let application = application_of(&applied)?;
        if !application.is_undecided() {
            let outcome = application.outcome.word();
            return Err(FlowError::NotPossible(format!(
                "the application is {outcome} already"
            )));
        }
        let now = self.home.clock.now();
        let hold = Hold {
            application: Some(wanted.application),
            lender_group: None,
            amount: signed_amount(wanted, application, self.home.bands.currency)?,
            signed_at: now,
            expires_at: now.plus(wanted.life),
            state: HoldState::Live,
        };
        let record = self.record(applied.borrower.clone(), Body::Hold(hold), now)?;
        let signed = self.settled(&applied, ApplicationOutcome::Signed);
        let records: Vec<Record> = [record].into_iter().chain(signed).collect();
        self.promises.file("hold", key, digest, &records).await
    }

    /// Gives a live hold up.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the hold is not live.
    pub async fn release(&self, hold: RecordId) -> Result<Applied, FlowError> {
        let record = until_settled(|| self.try_release(hold)).await?;
        self.published(record).await
    }

    async fn try_release(&self, hold: RecordId) -> Result<Attempt, FlowError> {
        let held = self.require(hold, "hold").await?;
        let body = hold_of(&held)?;
        match body.state {
            HoldState::Released => return Ok(Some(held)),
            HoldState::Live => {}
            HoldState::Converted { .. } | HoldState::Expired => {
                return Err(FlowError::NotPossible("the hold is not live".to_owned()));
            }
        }
        let released = Hold {
            state: HoldState::Released,
            ..body.clone()
        };
        let released = successor(&held, Body::Hold(released), self.home.clock.now());
        let withdrawn = self
            .settled_of(body.application, ApplicationOutcome::Withdrawn)
            .await?;
        let records: Vec<Record> = [released.clone()].into_iter().chain(withdrawn).collect();
        let filing = self.book.file_together(&records, &[]).await?;
        Ok((filing == Filing::Done).then_some(released))
    }

    /// Turns a live hold into the loan that was paid out.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the hold is not live.
    pub async fn convert(
        &self,
        key: &str,
        hold: RecordId,
        account_reference: &str,
    ) -> Result<Applied, FlowError> {
        let loan = until_settled(|| self.try_convert(key, hold, account_reference)).await?;
        self.published(loan).await
    }

    async fn try_convert(
        &self,
        key: &str,
        hold: RecordId,
        account_reference: &str,
    ) -> Result<Attempt, FlowError> {
        let digest = sha256(format!("{hold} {account_reference}").as_bytes());
        if let Some(promise) = self.promises.find("convert", key, digest).await? {
            return Ok(Some(self.require(promise.record, "loan").await?));
        }
        let held = self.require(hold, "hold").await?;
        let body = hold_of(&held)?;
        if body.state != HoldState::Live {
            return Err(FlowError::NotPossible("the hold is not live".to_owned()));
        }
        let application = match body.application {
            Some(id) => self.book.find(id).await?,
            None => None,
        };
        let now = self.home.clock.now();
        let loan = paid_out(body, application.as_ref(), account_reference, now);
        let loan = self.record(held.borrower.clone(), Body::Loan(loan), now)?;
        let converted = Hold {
            state: HoldState::Converted {
                loan: loan.head.record_id,
            },
            ..body.clone()
        };
        let converted = successor(&held, Body::Hold(converted), now);
        let funded = application
            .as_ref()
            .and_then(|record| self.settled(record, ApplicationOutcome::Funded));
        let records: Vec<Record> = [loan, converted].into_iter().chain(funded).collect();
        self.promises.file("convert", key, digest, &records).await
    }

    /// Closes an application with its outcome.
    ///
    /// # Errors
    /// [`FlowError::Record`] where the state graph forbids it.
    pub async fn close(
        &self,
        application: RecordId,
        outcome: ApplicationOutcome,
    ) -> Result<Applied, FlowError> {
        let record = until_settled(|| self.try_close(application, outcome)).await?;
        self.published(record).await
    }

    async fn try_close(
        &self,
        application: RecordId,
        outcome: ApplicationOutcome,
    ) -> Result<Attempt, FlowError> {
        let held = self.require(application, "application").await?;
        let body = application_of(&held)?;
        if body.outcome == outcome {
            return Ok(Some(held));
        }
        let now = self.home.clock.now();
        let closed = Application {
            outcome,
            outcome_at: Some(now),
            ..body.clone()
        };
        let closed = successor(&held, Body::Application(closed), now);
        closed.check(Some(&held))?;
        let filing = self
            .book
            .file_together(std::slice::from_ref(&closed), &[])
            .await?;
        Ok((filing == Filing::Done).then_some(closed))
    }

    /// An application with the outcome that a later step implies, where it may still take it.
    async fn settled_of(
        &self,
        application: Option<RecordId>,
        outcome: ApplicationOutcome,
    ) -> Result<Option<Record>, FlowError> {
        let Some(id) = application else {
            return Ok(None);
        };
        let held = self.book.find(id).await?;
        Ok(held.and_then(|held| self.settled(&held, outcome)))
    }

    fn settled(&self, held: &Record, outcome: ApplicationOutcome) -> Option<Record> {
        let body = application_of(held).ok()?;
        let now = self.home.clock.now();
        let settled = Application {
            outcome,
            outcome_at: Some(now),
            ..body.clone()
        };
        let next = successor(held, Body::Application(settled), now);
        (body.outcome != outcome && next.check(Some(held)).is_ok()).then_some(next)
    }
}
