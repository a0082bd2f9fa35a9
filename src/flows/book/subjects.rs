//! What a record of the book is about, and what goes with it: a signal stands on its subject, and
//! whoever was answered from both hears of one event.

use std::collections::BTreeSet;

use super::{Book, decode};
use crate::domain::{Body, Identifier, Record, RecordId, RevisionKind, Rule};
use crate::flows::draft::Draft;
use crate::flows::notices::Withdrawn;
use crate::flows::{FlowError, disputes};
use crate::store::Table;

impl Book {
    /// The retraction that this one is part of: where one commit takes back a record and what is
    /// about it, whoever was answered from them hears of one event.
    pub(super) async fn cause(
        &self,
        record: &Record,
        held: Option<&Record>,
        draft: &Draft,
    ) -> Result<Option<Record>, FlowError> {
        let mut cause = None;
        let mut about = held
            .filter(|_| record.is_retracted())
            .and_then(Record::subject);
        while let Some(id) = about {
            let staged = draft.staged(Table::Record, &self.record_key(id)).flatten();
            let subject = staged.map(decode).transpose()?;
            let Some(subject) = subject.filter(Record::is_retracted) else {
                break;
            };
            cause = Some(subject);
            about = self.find(id).await?.and_then(|before| before.subject());
        }
        Ok(cause)
    }

    /// A signal may be filed only about a record that stands in the book.
    pub(super) async fn check_subject(
        &self,
        record: &Record,
        draft: &Draft,
    ) -> Result<(), FlowError> {
        let Body::Signal(signal) = &record.body else {
            return Ok(());
        };
        let Some(about) = signal.about else {
            return Ok(());
        };
        let key = self.record_key(about);
        let subject = match draft.staged(Table::Record, &key) {
            Some(staged) => staged.map(decode).transpose()?,
            None => self.find(about).await?,
        };
        let subject = subject.ok_or(Rule::AboutUnknown.on("about"))?;
        Ok(signal.check_subject(&record.borrower, &subject)?)
    }

    /// What goes with a retracted record: what it ended is noted, and the signals about it are told
    /// no more, under whichever identifier they stand. A dispute of it that nobody decided forbids
    /// the retraction.
    pub(super) async fn stage_dependents(
        &self,
        record: &Record,
        held: Option<&Record>,
        draft: &mut Draft,
    ) -> Result<(), FlowError> {
        if let Some(held) = held {
            self.stage_end_of(held, draft).await?;
        }
        let id = record.head.record_id;
        let borrowers = [Some(record), held].into_iter().flatten();
        let identifiers = borrowers.flat_map(|one| one.borrower.identifiers());
        let names: BTreeSet<&str> = identifiers.map(Identifier::canonical).collect();
        for name in &names {
            for signal in self.records_of(name).await? {
                if signal.subject() == Some(id) {
                    disputes::check_undecided(&self.vault, &signal, draft).await?;
                    for identifier in signal.borrower.identifiers() {
                        self.stage_marker(draft, identifier.canonical()).await?;
                    }
                    self.stage_gone_along(record, &signal, &names, draft);
                }
            }
        }
        Ok(())
    }

    /// Stages the notice of a signal that goes with the retracted record it is about, for the
    /// identifiers under which it stands and the record does not.
    fn stage_gone_along(
        &self,
        record: &Record,
        signal: &Record,
        names: &BTreeSet<&str>,
        draft: &mut Draft,
    ) {
        let others = signal.borrower.identifiers().map(Identifier::canonical);
        let others: Vec<String> = others
            .filter(|name| !names.contains(name))
            .map(str::to_owned)
            .collect();
        if !others.is_empty() && !signal.is_retracted() {
            let gone = (signal.head.record_id, RevisionKind::Retracted);
            Withdrawn::stage(&self.vault, draft, record, gone, others);
        }
    }

    /// What the signals among these records are about, is not among them, and was retracted.
    pub(super) async fn retracted_subjects(
        &self,
        records: &[Record],
    ) -> Result<Vec<Record>, FlowError> {
        let ids: BTreeSet<RecordId> = records.iter().map(|one| one.head.record_id).collect();
        let subjects: BTreeSet<RecordId> = records.iter().filter_map(Record::subject).collect();
        let mut retracted = Vec::new();
        for id in subjects.difference(&ids) {
            let subject = self.find(*id).await?;
            retracted.extend(subject.filter(Record::is_retracted));
        }
        Ok(retracted)
    }
}
