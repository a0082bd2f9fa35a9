//! Who may be watched: an account review needs an account, when it begins and for as long as it
//! lasts.

use tokio::time::sleep;

use super::{NewWatched, Watch};
use crate::domain::{Body, Borrower, LoanState, Record, Timestamp};
use crate::flows::FlowError;
use crate::limits::{WATCH_CUSTOMERS_EVERY, WATCH_CUSTOMERS_FIRST, WATCH_PAGE_MAX};

impl Watch {
    /// Watches those of these borrowers with whom a contract runs, by the identifier under which
    /// they are watched; gives for each of them what [`Self::add`] gives, and the places of the
    /// others in `borrowers`.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn add_customers(
        &self,
        borrowers: &[NewWatched],
    ) -> Result<(Vec<(u32, bool)>, Vec<usize>), FlowError> {
        let (mut customers, mut strangers) = (Vec::new(), Vec::new());
        for (place, one) in borrowers.iter().enumerate() {
            match self.has_contract(&one.borrower).await? {
                true => customers.push(one.clone()),
                false => strangers.push(place),
            }
        }
        Ok((self.add(&customers).await?, strangers))
    }

    /// Looks once a day for watched borrowers with whom no contract runs any more; never ends.
    pub async fn keep_to_customers(self) {
        sleep(WATCH_CUSTOMERS_FIRST).await;
        loop {
            match self.let_go().await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "watched no more: no contract runs with them"),
                Err(error) => tracing::warn!(%error, "the watch list was not gone through"),
            }
            sleep(WATCH_CUSTOMERS_EVERY).await;
        }
    }

    /// Watches nobody on with whom no contract runs any more. Gives how many went.
    ///
    /// # Errors
    /// The store's failure; who was let go until then stays so.
    pub async fn let_go(&self) -> Result<usize, FlowError> {
        let (mut after, mut gone) = (0, 0);
        loop {
            let page = self.0.watched_after(after, WATCH_PAGE_MAX).await?;
            let Some((last, _)) = page.last() else {
                return Ok(gone);
            };
            after = *last;
            for (_, row) in &page {
                let borrower = row.borrower()?;
                if let Some(name) = borrower.identifiers().next()
                    && !self.has_contract(&borrower).await?
                {
                    gone += usize::from(self.remove(name.canonical()).await?);
                }
            }
        }
    }

    /// Whether a contract runs with a borrower, under the identifier by which it is watched.
    async fn has_contract(&self, borrower: &Borrower) -> Result<bool, FlowError> {
        let Some(name) = borrower.identifiers().next() else {
            return Ok(false);
        };
        let now = self.0.home.clock.now();
        let records = self.0.book.records_of(name.canonical()).await?;
        Ok(records.iter().any(|record| is_customer(record, now)))
    }
}

/// Whether a contract runs with the borrower of a record.
pub(super) fn is_customer(record: &Record, now: Timestamp) -> bool {
    match &record.body {
        Body::Loan(loan) => matches!(loan.state, LoanState::Active | LoanState::ChargedOff),
        Body::Hold(hold) => hold.is_live(now),
        Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => false,
    }
}
