//! Messages about signals and disputes, in and out of the domain.

use super::operator_rows::{amount, record_id, row};
use crate::domain::{
    Attempts, Borrower, Currency, Day, FraudType, Identifier, IdentifierClass, Proof, Record,
    Signal, SignalKind, SignalSource, StandingSignal, Timestamp,
};
use crate::flows::{Dispute, FiledSignal, NewSignal, SignalState};
use crate::wire::{Malformed, pb};

/// A day from text.
pub(super) fn day(field: &'static str, text: &str) -> Result<Day, Malformed> {
    text.parse()
        .map_err(|_| Malformed::new(field, "must be a day such as 2026-02-28"))
}

/// The borrower that identifiers name: a national identity, a phone number, or both.
pub(super) fn borrower(identifiers: &[String]) -> Result<Borrower, Malformed> {
    let mut borrower = Borrower::default();
    for text in identifiers {
        let identifier = Identifier::parse(text, None)
            .map_err(|error| Malformed::new("identifiers", error.to_string()))?;
        let slot = match identifier.class() {
            IdentifierClass::National => &mut borrower.national,
            IdentifierClass::Phone => &mut borrower.phone,
        };
        if slot.replace(identifier).is_some() {
            return Err(one_borrower());
        }
    }
    if borrower.identifiers().next().is_none() {
        return Err(one_borrower());
    }
    Ok(borrower)
}

fn one_borrower() -> Malformed {
    let rule = "must be one national identity, one phone number, or one of each";
    Malformed::new("identifiers", rule)
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn attempts(message: &pb::FileSignalRequest) -> Result<Option<Attempts>, Malformed> {
    let number = |field, number: u32| {
        u16::try_from(number).map_err(|_| Malformed::new(field, "must be at most 65535"))
    };
    let attempts = Attempts {
        count: number("attempts", message.attempts)?,
        over_days: number("attempts_days", message.attempts_days)?,
    };
    let told = message.attempts > 0 || message.attempts_days > 0;
    Ok(told.then_some(attempts))
}

/// That a field must be one of these words.
fn must_be(field: &'static str, words: impl Iterator<Item = &'static str>) -> Malformed {
    let words: Vec<&str> = words.collect();
    Malformed::new(field, format!("must be one of {}", words.join(", ")))
}

/// A signal from its message, filed by this person.
pub(super) fn signal(
    message: &pb::FileSignalRequest,
    by: String,
    network_currency: Currency,
) -> Result<NewSignal, Malformed> {
    let kind = SignalKind::from_word(&message.kind)
        .ok_or_else(|| must_be("kind", SignalKind::ALL.iter().map(|kind| kind.word())))?;
    let fraud = given(&message.fraud_type).map(|word| {
        let words = FraudType::ALL.iter().map(|one| one.word());
        FraudType::from_word(word).ok_or_else(|| must_be("fraud_type", words))
    });
    let proof = given(&message.proof).map(|word| {
        let words = Proof::ALL.iter().map(|one| one.word());
        Proof::from_word(word).ok_or_else(|| must_be("proof", words))
    });
    let evidence = match message.evidence.as_ref() {
        [] => None,
        hash => {
            let wrong = |_| Malformed::new("evidence", "must be a hash of 32 bytes");
            Some(hash.try_into().map_err(wrong)?)
        }
    };
    let about = given(&message.about).map(|id| record_id("about", id));
    let ends_on = given(&message.ends_on).map(|text| day("ends_on", text));
    let mut signal = Signal::new(kind, day("event_on", &message.event_on)?, by);
    signal.fraud_type = fraud.transpose()?;
    signal.about = about.transpose()?;
    signal.evidence = evidence;
    signal.proof = proof.transpose()?;
    signal.ends_on = ends_on.transpose()?;
    signal.amount = amount(message.amount_minor, &message.currency, network_currency)?;
    signal.attempts = attempts(message)?;
    Ok(NewSignal {
        borrower: borrower(&message.identifiers)?,
        signal,
    })
}

/// A filed signal as its message.
pub(super) fn filed(signal: &FiledSignal) -> pb::SignalResponse {
    pb::SignalResponse {
        record_id: signal.record.head.record_id.to_string(),
        state: signal.state.word().to_owned(),
        row: row(&signal.record),
    }
}

/// A pending signal as its message.
pub(super) fn pending(record: &Record) -> pb::SignalResponse {
    let state = SignalState::Pending;
    let record = record.clone();
    filed(&FiledSignal { record, state })
}

/// A standing signal as its message.
pub(super) fn standing(signal: &StandingSignal) -> pb::StandingSignal {
    pb::StandingSignal {
        kind: signal.kind.word().to_owned(),
        record_id: signal.source.record().to_string(),
        derived: matches!(signal.source, SignalSource::Loan(_)),
        event_on: signal.event_on.to_string(),
        ends_on: signal
            .ends_on
            .map(|day| day.to_string())
            .unwrap_or_default(),
        disputed: signal.disputed,
        adverse: signal.kind.is_adverse(),
    }
}

/// A dispute as its message.
pub(super) fn dispute(dispute: &Dispute, now: Timestamp) -> pb::Dispute {
    let (acknowledged_by, acknowledged) = dispute.acknowledged.clone().unzip();
    let decision = dispute.decision.clone();
    let covers = dispute.further.iter().map(|(record, _)| *record);
    let covers = [dispute.record].into_iter().chain(covers);
    pb::Dispute {
        dispute_id: dispute.id.to_string(),
        record_id: dispute.record.to_string(),
        state: dispute.state(now).word().to_owned(),
        opened_unix_ms: dispute.opened_at.unix_ms(),
        opened_by: dispute.opened_by.clone(),
        reason: dispute.reason.clone(),
        acknowledge_by_unix_ms: dispute.acknowledge_by.unix_ms(),
        decide_by: dispute.decide_by.to_string(),
        acknowledged_unix_ms: acknowledged.map_or(0, Timestamp::unix_ms),
        acknowledged_by: acknowledged_by.unwrap_or_default(),
        resolution: decision
            .as_ref()
            .map_or_else(String::new, |made| made.resolution.word().to_owned()),
        decided_by: decision
            .as_ref()
            .map_or_else(String::new, |made| made.by.clone()),
        decided_unix_ms: decision.map_or(0, |made| made.at.unix_ms()),
        covers: covers.map(|id| id.to_string()).collect(),
    }
}
