//! Disputes: opened, acknowledged, decided. While one is open nothing automated rests on its
//! record; without a decision in time the record is suppressed by an end that was filed with the
//! dispute, with no task that would have to run for it.

use super::ageing::dated;
use super::desk::Desk;
use super::dispute_row::{Decision, Dispute, DisputeState, Resolution, content_of};
use super::draft::Draft;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::domain::{
    Body, Record, RecordId, RetractedAs, RetractionReason, Signal, SignalKind, Timestamp,
};
use crate::limits::{
    CORRECTIONS_LISTED_MAX, DISPUTE_REASON_CHARS_MAX, DISPUTE_RECORDS_MAX, STORE_BATCH_ROWS_MAX,
};
use crate::store::{Scan, Table, Vault};
use crate::wire::Malformed;

/// Refuses to change the signal of a dispute that nobody decided: a file of records, or a
/// retraction by hand, would end the dispute without a decision.
///
/// # Errors
/// [`FlowError::NotPossible`] with what to do; [`FlowError::Store`] where the store failed.
pub(super) async fn check_undecided(
    vault: &Vault,
    held: &Record,
    draft: &Draft,
) -> Result<(), FlowError> {
    let Body::Signal(Signal {
        kind: SignalKind::Disputed,
        ..
    }) = &held.body
    else {
        return Ok(());
    };
    let key = row_key(vault, held.head.record_id);
    if draft.staged(Table::Dispute, &key).is_some() {
        return Ok(());
    }
    let Some(row) = vault.read(Table::Dispute, &key).await? else {
        return Ok(());
    };
    let case = match Dispute::decode(&row.bytes)? {
        Some(case) => Some(case),
        None => match Dispute::of_part(&row.bytes) {
            Some(id) => read(vault, id).await?.map(|(_, case)| case),
            None => None,
        },
    };
    match case {
        Some(case) if case.decision.is_none() => {
            let id = case.id;
            Err(FlowError::NotPossible(format!(
                "dispute {id} is open: decide it with `creditmesh records dispute resolve {id}`; \
                 --upheld takes the record back"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// Stages that the row of a dispute's signal goes in time: it is decided, or what it is about is
/// gone.
///
/// # Errors
/// The store's failure.
pub(super) async fn stage_end(
    vault: &Vault,
    signal: RecordId,
    now: Timestamp,
    draft: &mut Draft,
) -> Result<(), FlowError> {
    let (table, name, date) = dated(vault, (Table::Dispute, &row_key(vault, signal)), now);
    if vault.store().read(table, &name).await?.is_none() {
        draft.put(table, &name, 0, date);
    }
    Ok(())
}

fn row_key(vault: &Vault, id: RecordId) -> Vec<u8> {
    vault.row_key(Table::Dispute, id.0.as_bytes()).to_vec()
}

async fn read(vault: &Vault, id: RecordId) -> Result<Option<(u64, Dispute)>, FlowError> {
    let Some(row) = vault.read(Table::Dispute, &row_key(vault, id)).await? else {
        return Ok(None);
    };
    let case = Dispute::decode(&row.bytes)?;
    Ok(case.map(|case| (row.revision, case)))
}

async fn require(vault: &Vault, id: RecordId) -> Result<(u64, Dispute), FlowError> {
    let found = read(vault, id).await?;
    found.ok_or(FlowError::NotFound { what: "dispute" })
}

/// What a dispute of this record covers beside it: the signals about it that stand.
fn signals_about(records: &[Record], subject: RecordId) -> Vec<RecordId> {
    let about = |record: &&Record| {
        matches!(&record.body, Body::Signal(signal)
            if signal.about == Some(subject) && signal.kind != SignalKind::Disputed)
    };
    records
        .iter()
        .filter(about)
        .map(|record| record.head.record_id)
        .collect()
}

fn checked_reason(reason: &str) -> Result<(), FlowError> {
    let length = reason.chars().count();
    let sound =
        (1..=DISPUTE_REASON_CHARS_MAX).contains(&length) && !reason.chars().any(char::is_control);
    if sound {
        return Ok(());
    }
    let rule = format!("must be 1 to {DISPUTE_REASON_CHARS_MAX} characters in one line");
    Err(Malformed::new("reason", rule).into())
}

/// The name of a person in a row of lines, by the rule of every reference in a record.
fn checked_person(by: &str) -> Result<(), FlowError> {
    let length = by.chars().count();
    let sound = (1..=crate::limits::REFERENCE_CHARS_MAX).contains(&length)
        && by.trim() == by
        && !by.chars().any(char::is_control);
    if sound {
        return Ok(());
    }
    Err(Malformed::new(
        "by",
        "must be the name of a person or desk, 1 to 64 characters",
    )
    .into())
}

impl Desk {
    /// Opens a dispute of a record, and of the signals about it. From when this returns on it is
    /// durable and published that nothing automated may rest on them.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such record, [`FlowError::NotPossible`] where it
    /// cannot be disputed or is already.
    pub async fn open_dispute(
        &self,
        record: RecordId,
        reason: &str,
        by: &str,
    ) -> Result<Dispute, FlowError> {
        checked_reason(reason)?;
        checked_person(by)?;
        let (subject, opened) = retry_conflicts(|| self.try_open(record, reason, by)).await?;
        self.published(subject).await?;
        Ok(opened)
    }

    async fn try_open(
        &self,
        id: RecordId,
        reason: &str,
        by: &str,
    ) -> Result<(Record, Dispute), FlowError> {
        let subject = self.require(id, "record").await?;
        self.check_disputable(&subject)?;
        let records = self.records_about(&subject.borrower).await?;
        let disputed = |record: &Record| {
            matches!(&record.body, Body::Signal(signal)
                if signal.kind == SignalKind::Disputed && signal.about == Some(id))
        };
        if records.iter().any(disputed) {
            return Err(FlowError::NotPossible(
                "this record is disputed already: see `creditmesh records dispute list`".to_owned(),
            ));
        }
        let about = signals_about(&records, id);
        if about.len() >= DISPUTE_RECORDS_MAX {
            return Err(FlowError::NotPossible(format!(
                "more than {DISPUTE_RECORDS_MAX} signals are about this record: retract what is \
                 double first"
            )));
        }
        let now = self.home.clock.now();
        let terms = self.home.retention.terms(&subject.borrower);
        let (acknowledge_by, decide_by) = Dispute::clocks(&terms, now);
        let mut told = Vec::with_capacity(about.len() + 1);
        for covered in [id].into_iter().chain(about.iter().copied()) {
            let mut signal = Signal::new(SignalKind::Disputed, now.day(), by.to_owned());
            signal.about = Some(covered);
            signal.ends_on = Some(decide_by);
            told.push(self.record(subject.borrower.clone(), Body::Signal(signal), now)?);
        }
        let ids: Vec<RecordId> = told.iter().map(|record| record.head.record_id).collect();
        let Some((own, further)) = ids.split_first() else {
            return Err(FlowError::NotFound { what: "record" });
        };
        let dispute = Dispute {
            id: *own,
            record: id,
            content: content_of(&subject),
            further: about.into_iter().zip(further.iter().copied()).collect(),
            opened_at: now,
            opened_by: by.to_owned(),
            reason: reason.to_owned(),
            acknowledge_by,
            decide_by,
            acknowledged: None,
            decision: None,
        };
        let vault = self.book.vault();
        let mut draft = Draft::default();
        draft.put(
            Table::Dispute,
            &row_key(vault, dispute.id),
            0,
            dispute.encode(),
        );
        for part in further {
            draft.put(Table::Dispute, &row_key(vault, *part), 0, dispute.part());
        }
        for record in &told {
            self.book.stage(record, &mut draft).await?;
        }
        draft.commit(vault).await?;
        Ok((subject, dispute))
    }

    fn check_disputable(&self, subject: &Record) -> Result<(), FlowError> {
        let refused = match &subject.body {
            Body::Retracted(_) => "this record is retracted already",
            Body::Signal(signal) if signal.kind == SignalKind::Disputed => {
                "this is a dispute itself: decide it with `records dispute resolve`"
            }
            Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Signal(_) => return Ok(()),
        };
        Err(FlowError::NotPossible(refused.to_owned()))
    }

    /// Notes that the borrower was told that its dispute arrived. A second time changes nothing.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such dispute.
    pub async fn acknowledge_dispute(&self, id: RecordId, by: &str) -> Result<Dispute, FlowError> {
        checked_person(by)?;
        retry_conflicts(|| async {
            let vault = self.book.vault();
            let (revision, mut dispute) = require(vault, id).await?;
            if dispute.acknowledged.is_none() {
                dispute.acknowledged = Some((by.to_owned(), self.home.clock.now()));
                let mut draft = Draft::default();
                draft.put(
                    Table::Dispute,
                    &row_key(vault, id),
                    revision,
                    dispute.encode(),
                );
                draft.commit(vault).await?;
            }
            Ok(dispute)
        })
        .await
    }

    /// Decides a dispute, also one whose time ran out. Durable and published when this returns.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such dispute, [`FlowError::NotPossible`] where it
    /// is decided already, or called corrected although no corrected version was furnished.
    pub async fn resolve_dispute(
        &self,
        id: RecordId,
        resolution: Resolution,
        by: &str,
    ) -> Result<Dispute, FlowError> {
        checked_person(by)?;
        let (told, decided) = retry_conflicts(|| self.try_resolve(id, resolution, by)).await?;
        for record in told {
            self.published(record).await?;
        }
        Ok(decided)
    }

    async fn try_resolve(
        &self,
        id: RecordId,
        resolution: Resolution,
        by: &str,
    ) -> Result<(Vec<Record>, Dispute), FlowError> {
        let vault = self.book.vault();
        let (revision, mut dispute) = require(vault, id).await?;
        if let Some(made) = &dispute.decision {
            let word = made.resolution.word();
            return Err(FlowError::NotPossible(format!(
                "this dispute was {word} already"
            )));
        }
        let subject = self.book.find(dispute.record).await?;
        let corrected = subject
            .as_ref()
            .is_some_and(|record| !record.is_retracted() && content_of(record) != dispute.content);
        if resolution == Resolution::Corrected && !corrected {
            return Err(FlowError::NotPossible(
                "no version that says anything else was furnished since the dispute was opened: \
                 import it first"
                    .to_owned(),
            ));
        }
        let now = self.home.clock.now();
        let by = by.to_owned();
        dispute.decision = Some(Decision {
            resolution,
            by,
            at: now,
        });
        let mut draft = Draft::default();
        draft.put(
            Table::Dispute,
            &row_key(vault, id),
            revision,
            dispute.encode(),
        );
        if resolution == Resolution::Rejected {
            let lost = RetractedAs::LostDispute;
            self.book.stage_retracted_as(id, lost, &mut draft).await?;
        }
        let mut told = Vec::new();
        for (record, signal) in dispute.pairs() {
            stage_end(vault, signal, now, &mut draft).await?;
            // The row of every signal takes part, so that the guard knows of the decision.
            if signal != dispute.id {
                let row = vault.read(Table::Dispute, &row_key(vault, signal)).await?;
                let revision = row.map_or(0, |row| row.revision);
                draft.put(
                    Table::Dispute,
                    &row_key(vault, signal),
                    revision,
                    dispute.part(),
                );
            }
            let upheld = resolution == Resolution::Upheld;
            let gone = upheld.then_some((record, RetractionReason::DisputeUpheld));
            let over = (signal, RetractionReason::DisputeDecided);
            for (id, reason) in gone.into_iter().chain([over]) {
                told.extend(self.stage_retraction(id, reason, now, &mut draft).await?);
            }
        }
        draft.commit(vault).await?;
        Ok((told, dispute))
    }

    async fn stage_retraction(
        &self,
        id: RecordId,
        reason: RetractionReason,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Option<Record>, FlowError> {
        let Some(held) = self
            .book
            .find(id)
            .await?
            .filter(|held| !held.is_retracted())
        else {
            return Ok(None);
        };
        let next = held.retracted(reason, now);
        self.book.stage(&next, draft).await?;
        Ok(Some(next))
    }

    /// Disputes, those that have to be decided first; at most [`CORRECTIONS_LISTED_MAX`].
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read back.
    pub async fn disputes(&self, with_decided: bool) -> Result<Vec<Dispute>, FlowError> {
        disputes(self.book.vault(), with_decided).await
    }

    /// One dispute.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none with this id.
    pub async fn dispute(&self, id: RecordId) -> Result<Dispute, FlowError> {
        require(self.book.vault(), id)
            .await
            .map(|(_, dispute)| dispute)
    }
}

/// The disputes that are late: not acknowledged, or not decided; at most
/// [`CORRECTIONS_LISTED_MAX`].
///
/// # Errors
/// [`FlowError::Store`] where they cannot be read back.
pub async fn late_disputes(home: &Home) -> Result<Vec<(Dispute, DisputeState)>, FlowError> {
    let now = home.clock.now();
    let open = disputes(&home.vault, false).await?;
    let stated = open.into_iter().map(|dispute| {
        let state = dispute.state(now);
        (dispute, state)
    });
    let late = [DisputeState::AcknowledgementLate, DisputeState::Suppressed];
    Ok(stated.filter(|(_, state)| late.contains(state)).collect())
}

async fn disputes(vault: &Vault, with_decided: bool) -> Result<Vec<Dispute>, FlowError> {
    let mut found: Vec<Dispute> = Vec::new();
    let mut after = None;
    loop {
        let scan = Scan {
            prefix: Vec::new(),
            after,
            limit: STORE_BATCH_ROWS_MAX,
        };
        let page = vault.scan(Table::Dispute, &scan).await?;
        let Some((last, _)) = page.last() else {
            found.sort_by_key(|one| (one.decision.is_some(), one.decide_by, one.opened_at));
            found.truncate(CORRECTIONS_LISTED_MAX);
            return Ok(found);
        };
        after = Some(last.clone());
        for (_, row) in &page {
            let case = Dispute::decode(&row.bytes)?;
            found.extend(case.filter(|case| with_decided || case.decision.is_none()));
        }
    }
}
