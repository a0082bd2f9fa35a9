//! Signals filed by hand. What needs a second person waits until that person upholds it, and
//! publishes nothing until then.

use super::ageing::dated;
use super::desk::{Applied, Desk};
use super::draft::Draft;
use super::steps::first;
use super::{FlowError, retry_conflicts};
use crate::domain::{
    Body, Borrower, Day, Record, RecordId, Signal, SignalKind, SignalSource, StandingSignal,
    Timestamp, is_same_person, signals_of,
};
use crate::formats::jsonl;
use crate::limits::CORRECTIONS_LISTED_MAX;
use crate::store::{Scan, Table};

/// Stands in for the reviewer while a pending signal is checked.
const SOMEBODY_ELSE: [&str; 2] = ["another person", "somebody else"];

/// A signal to file. `reviewed_by` is left empty: a reviewer speaks for itself.
#[derive(Debug)]
pub struct NewSignal {
    /// Who it is about.
    pub borrower: Borrower,
    /// What happened, and who files it.
    pub signal: Signal,
}

/// Where a filed signal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalState {
    /// It waits for a second reviewer; nothing is published.
    Pending,
    /// It stands, and is published.
    Standing,
    /// It stands, and is disputed: no automated decision rests on it.
    Disputed,
    /// Its time is over, it was cured, its loan tells better, or it was suppressed.
    Over,
    /// It was retracted.
    Retracted,
}

impl SignalState {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Standing => "standing",
            Self::Disputed => "disputed",
            Self::Over => "over",
            Self::Retracted => "retracted",
        }
    }
}

/// A filed signal and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct FiledSignal {
    /// The signal's record.
    pub record: Record,
    /// Where it is.
    pub state: SignalState,
}

fn not_possible<T>(why: impl Into<String>) -> Result<T, FlowError> {
    Err(FlowError::NotPossible(why.into()))
}

impl Desk {
    /// Files a signal by hand. One that needs a reviewer is kept as pending and publishes nothing;
    /// any other is durable and published when this returns.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] for a kind that is filed otherwise, [`FlowError::NotFound`] where
    /// what it is about is not in the book, [`FlowError::Record`] where it breaks a rule.
    pub async fn file_signal(&self, wanted: NewSignal) -> Result<FiledSignal, FlowError> {
        let NewSignal { borrower, signal } = wanted;
        match signal.kind {
            SignalKind::Disputed => return not_possible("open a dispute: `records dispute`"),
            SignalKind::Cured => return not_possible("file a cure: `signal cure`"),
            SignalKind::Dpd30
            | SignalKind::Dpd60
            | SignalKind::Dpd90
            | SignalKind::Default
            | SignalKind::ChargeOff
            | SignalKind::FirstPaymentDefault
            | SignalKind::FraudConfirmed
            | SignalKind::FraudVictim
            | SignalKind::ProtectiveRegistration
            | SignalKind::Restructured
            | SignalKind::Forbearance
            | SignalKind::Insolvency
            | SignalKind::LostContact => {}
        }
        if let Some(about) = signal.about {
            let subject = self
                .require(about, "record that the signal is about")
                .await?;
            signal.check_subject(&borrower, &subject)?;
        }
        self.check_unsaid(&borrower, &signal).await?;
        let needs_reviewer = signal.kind.needs_reviewer();
        let record = self.record(borrower, Body::Signal(signal), self.home.clock.now())?;
        if needs_reviewer {
            self.keep_pending(&record).await?;
            let state = SignalState::Pending;
            return Ok(FiledSignal { record, state });
        }
        self.file_and_publish(record).await
    }

    /// Refuses what a filed signal says already: the same command given twice is a slip.
    async fn check_unsaid(&self, borrower: &Borrower, wanted: &Signal) -> Result<(), FlowError> {
        let says_it = |record: &Record| {
            matches!(&record.body, Body::Signal(held)
                if (held.kind, held.about, held.event_on)
                    == (wanted.kind, wanted.about, wanted.event_on))
        };
        let records = self.records_about(borrower).await?;
        match records.into_iter().find(says_it) {
            Some(held) => not_possible(format!(
                "signal {} says that already: retract it first, if this is to replace it",
                held.head.record_id
            )),
            None => Ok(()),
        }
    }

    /// Decides about a pending signal, by another person than the one who filed it. Upheld, it is
    /// durable and published when this returns; otherwise it is gone.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where none is pending under this id, [`FlowError::NotPossible`]
    /// where the one who filed it reviews it.
    pub async fn review_signal(
        &self,
        id: RecordId,
        by: &str,
        uphold: bool,
    ) -> Result<Option<Applied>, FlowError> {
        let reviewed = retry_conflicts(|| self.try_review(id, by, uphold)).await?;
        match reviewed {
            Some(record) => self.published(record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn try_review(
        &self,
        id: RecordId,
        by: &str,
        uphold: bool,
    ) -> Result<Option<Record>, FlowError> {
        let what = "pending signal";
        let vault = self.book.vault();
        let key = vault.row_key(Table::PendingSignal, id.0.as_bytes());
        let held = vault.read(Table::PendingSignal, &key).await?;
        let held = held.ok_or(FlowError::NotFound { what })?;
        let pending = self.decode_pending(&held.bytes)?;
        let Body::Signal(mut signal) = pending.body else {
            return Err(FlowError::Unreadable { what });
        };
        if is_same_person(&signal.filed_by, by) {
            return not_possible("who filed a signal may not review it: ask somebody else");
        }
        let mut draft = Draft::default();
        draft.delete(Table::PendingSignal, &key, held.revision);
        signal.reviewed_by = Some(by.to_owned());
        let now = self.home.clock.now();
        let record = first(id, pending.borrower, Body::Signal(signal), now);
        // The reviewer's name is checked either way.
        record.check(None)?;
        if uphold {
            self.book.stage(&record, &mut draft).await?;
        }
        draft.commit(vault).await?;
        Ok(uphold.then_some(record))
    }

    /// Files that what a signal told was made good; durable and published when this returns.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such signal, [`FlowError::NotPossible`] where it
    /// cannot be cured or was already.
    pub async fn cure_signal(
        &self,
        id: RecordId,
        paid_on: Day,
        by: &str,
    ) -> Result<FiledSignal, FlowError> {
        let what = "signal";
        let held = self.require(id, what).await?;
        let Body::Signal(signal) = &held.body else {
            return Err(FlowError::NotFound { what });
        };
        if !signal.kind.is_curable() {
            return not_possible(format!("a payment does not make {} good", signal.kind));
        }
        if paid_on < signal.event_on {
            return not_possible("the day of payment is before the signal's event");
        }
        let is_cure = |record: &Record| match &record.body {
            Body::Signal(one) => one.kind == SignalKind::Cured && one.about == Some(id),
            Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => false,
        };
        if self
            .records_about(&held.borrower)
            .await?
            .iter()
            .any(is_cure)
        {
            return not_possible("this signal was cured already");
        }
        let mut cure = Signal::new(SignalKind::Cured, paid_on, by.to_owned());
        cure.about = Some(id);
        cure.amount = signal.amount;
        let now = self.home.clock.now();
        let record = self.record(held.borrower.clone(), Body::Signal(cure), now)?;
        self.file_and_publish(record).await
    }

    /// Signals that wait for a reviewer, at most [`CORRECTIONS_LISTED_MAX`].
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read back.
    pub async fn pending_signals(&self) -> Result<Vec<Record>, FlowError> {
        let scan = Scan::all(CORRECTIONS_LISTED_MAX);
        let page = self.book.vault().scan(Table::PendingSignal, &scan).await?;
        page.iter()
            .map(|(_, row)| self.decode_pending(&row.bytes))
            .collect()
    }

    /// The signals of a borrower that stand now, derived from loans where they can be.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the book cannot be read back.
    pub async fn standing_signals(
        &self,
        borrower: &Borrower,
    ) -> Result<Vec<StandingSignal>, FlowError> {
        let records = self.records_about(borrower).await?;
        Ok(signals_of(&records, self.home.clock.now()).standing)
    }

    /// A filed signal, pending or not.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none with this id.
    pub async fn show_signal(&self, id: RecordId) -> Result<FiledSignal, FlowError> {
        let what = "signal";
        let vault = self.book.vault();
        let key = vault.row_key(Table::PendingSignal, id.0.as_bytes());
        if let Some(row) = vault.read(Table::PendingSignal, &key).await? {
            let record = self.decode_pending(&row.bytes)?;
            let state = SignalState::Pending;
            return Ok(FiledSignal { record, state });
        }
        let record = self.require(id, what).await?;
        if record.kind() != crate::domain::RecordKind::Signal {
            return Err(FlowError::NotFound { what });
        }
        let state = self.state_of(&record, self.home.clock.now()).await?;
        Ok(FiledSignal { record, state })
    }

    async fn state_of(&self, record: &Record, now: Timestamp) -> Result<SignalState, FlowError> {
        if record.is_retracted() {
            return Ok(SignalState::Retracted);
        }
        let records = self.records_about(&record.borrower).await?;
        let source = SignalSource::Filed(record.head.record_id);
        let standing = signals_of(&records, now).standing;
        let found = standing.iter().find(|signal| signal.source == source);
        Ok(match found {
            Some(signal) if signal.disputed => SignalState::Disputed,
            Some(_) => SignalState::Standing,
            None => SignalState::Over,
        })
    }

    /// Every record under any identifier of a borrower, each once.
    pub(super) async fn records_about(
        &self,
        borrower: &Borrower,
    ) -> Result<Vec<Record>, FlowError> {
        let mut records: Vec<Record> = Vec::new();
        for identifier in borrower.identifiers() {
            records.extend(self.book.records_of(identifier.canonical()).await?);
        }
        records.sort_by_key(|record| record.head.record_id);
        records.dedup_by_key(|record| record.head.record_id);
        Ok(records)
    }

    async fn file_and_publish(&self, record: Record) -> Result<FiledSignal, FlowError> {
        self.book
            .file_together(std::slice::from_ref(&record), &[])
            .await?;
        let Applied { record } = self.published(record).await?;
        // Of an event long ago the time may be over already.
        let state = self.state_of(&record, self.home.clock.now()).await?;
        Ok(FiledSignal { record, state })
    }

    async fn keep_pending(&self, record: &Record) -> Result<(), FlowError> {
        let mut probe = record.clone();
        if let Body::Signal(signal) = &mut probe.body {
            let other = SOMEBODY_ELSE
                .into_iter()
                .find(|name| *name != signal.filed_by);
            signal.reviewed_by = other.map(str::to_owned);
        }
        probe.check(None)?;
        let vault = self.book.vault();
        let key = vault.row_key(Table::PendingSignal, record.head.record_id.0.as_bytes());
        let mut draft = Draft::default();
        let line = jsonl::to_line(record).into_bytes();
        draft.put(Table::PendingSignal, &key, 0, line);
        // Nobody's suspicion is kept for ever because nobody reviewed it.
        let now = self.home.clock.now();
        let (table, name, date) = dated(vault, (Table::PendingSignal, &key), now);
        draft.put(table, &name, 0, date);
        draft.commit(vault).await
    }

    fn decode_pending(&self, bytes: &[u8]) -> Result<Record, FlowError> {
        let what = "pending signal";
        let line = std::str::from_utf8(bytes).map_err(|_| FlowError::Unreadable { what })?;
        jsonl::from_sealed_line(line).map_err(|_| FlowError::Unreadable { what })
    }
}
