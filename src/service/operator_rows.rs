//! Operator messages in and out of the domain.

use std::time::Duration;

use crate::domain::{
    ApplicationKind, Borrower, Currency, Identifier, IdentifierClass, Money, Product, Purpose,
    QueryId, Record, RecordId, Verdict,
};
use crate::flows::{Filed, Given, NewApplication, NewHold, names_a_consent};
use crate::formats::{Reject, jsonl};
use crate::limits::{
    CONSENT_REFERENCE_BYTES_MAX, HOLD_LIFE_DEFAULT_H, HOLD_LIFE_MAX_H, MONEY_MINOR_MAX,
    REFERENCE_CHARS_MAX,
};
use crate::wire::{Malformed, pb};

fn uuid(field: &'static str, text: &str) -> Result<uuid::Uuid, Malformed> {
    text.parse()
        .map_err(|_| Malformed::new(field, "must be a UUID such as 0190a5b2-…"))
}

/// A record id from text.
pub(super) fn record_id(field: &'static str, text: &str) -> Result<RecordId, Malformed> {
    uuid(field, text).map(RecordId)
}

/// A query id from text.
pub(super) fn query_id(text: &str) -> Result<QueryId, Malformed> {
    uuid("query_id", text).map(QueryId)
}

/// The borrower that identifiers name: one national identity and one phone number.
fn borrower(identifiers: &[String]) -> Result<Borrower, Malformed> {
    let mut borrower = Borrower {
        national: None,
        phone: None,
        name_dob: None,
    };
    for text in identifiers {
        let identifier = Identifier::parse(text, None)
            .map_err(|error| Malformed::new("identifiers", error.to_string()))?;
        let slot = match identifier.class() {
            IdentifierClass::National => &mut borrower.national,
            IdentifierClass::Phone => &mut borrower.phone,
        };
        if slot.replace(identifier).is_some() {
            return Err(Malformed::new(
                "identifiers",
                "must be one national identity and at most one phone number",
            ));
        }
    }
    if borrower.national.is_none() {
        return Err(Malformed::new(
            "identifiers",
            "must hold a national identity: a phone number alone is a weak key",
        ));
    }
    Ok(borrower)
}

/// An application from its message.
pub(super) fn application(
    message: &pb::AssessRequest,
    network_currency: Currency,
) -> Result<NewApplication, Malformed> {
    let word = |field, reason: &str| Malformed::new(field, reason);
    let kind = ApplicationKind::from_word(&message.kind)
        .ok_or_else(|| word("kind", "must be \"application\" or \"offer\""))?;
    if !matches!(kind, ApplicationKind::Application | ApplicationKind::Offer) {
        return Err(word("kind", "must be \"application\" or \"offer\""));
    }
    let purpose =
        Purpose::read(&message.purpose).map_err(|error| word("purpose", &error.to_string()))?;
    let product = Product::from_word(&message.product)
        .ok_or_else(|| word("product", "must be a product of docs/records.md"))?;
    let amount = money(
        ("amount_minor", message.amount_minor),
        ("currency", &message.currency),
        network_currency,
    )?;
    let income_month = money(
        ("income_month_minor", message.income_month_minor),
        ("income_currency", &message.income_currency),
        network_currency,
    )?;
    if income_month.is_some_and(|income| income.currency != network_currency) {
        let reason = format!(
            "must be the network's currency, {}",
            network_currency.code()
        );
        return Err(word("income_currency", &reason));
    }
    let term_days =
        u16::try_from(message.term_days).map_err(|_| word("term_days", "must be at most 65535"))?;
    if !names_a_consent(&message.consent_reference)
        || message.consent_reference.len() > CONSENT_REFERENCE_BYTES_MAX
    {
        let reason = format!(
            "must be 1 to {CONSENT_REFERENCE_BYTES_MAX} bytes with a letter or digit and without \
             control characters: no consent, no query"
        );
        return Err(word("consent_reference", &reason));
    }
    Ok(NewApplication {
        borrower: borrower(&message.identifiers)?,
        kind,
        purpose,
        product,
        amount,
        term_days: (term_days > 0).then_some(term_days),
        income_month,
        consent_reference: message.consent_reference.clone(),
    })
}

/// An amount from the fields `amount_minor` and `currency`; 0 is none.
pub(super) fn amount(
    minor: i64,
    code: &str,
    network_currency: Currency,
) -> Result<Option<Money>, Malformed> {
    money(
        ("amount_minor", minor),
        ("currency", code),
        network_currency,
    )
}

/// An amount from two named fields; 0 is none, and an empty currency is the network's.
fn money(
    (amount_field, minor): (&'static str, i64),
    (currency_field, code): (&'static str, &str),
    network_currency: Currency,
) -> Result<Option<Money>, Malformed> {
    let wrong = || Malformed::new(currency_field, "must be an ISO 4217 code".to_owned());
    let currency = match code {
        "" => network_currency,
        code => code.parse().map_err(|_| wrong())?,
    };
    amount_in_bounds(amount_field, minor)?;
    Ok((minor > 0).then_some(Money { minor, currency }))
}

/// Refuses an amount that is negative or beyond what a record may hold.
fn amount_in_bounds(field: &'static str, minor: i64) -> Result<(), Malformed> {
    if (0..=MONEY_MINOR_MAX).contains(&minor) {
        return Ok(());
    }
    let reason = format!("must be 0 to {MONEY_MINOR_MAX}");
    Err(Malformed::new(field, reason))
}

/// The member's own number of a loan.
pub(super) fn account_reference(text: &str) -> Result<&str, Malformed> {
    if (1..=REFERENCE_CHARS_MAX).contains(&text.chars().count()) {
        return Ok(text);
    }
    let reason = format!("must be 1 to {REFERENCE_CHARS_MAX} characters");
    Err(Malformed::new("account_reference", reason))
}

/// A hold from its message.
pub(super) fn hold(message: &pb::PlaceHoldRequest) -> Result<NewHold, Malformed> {
    let hours = if message.hours == 0 {
        HOLD_LIFE_DEFAULT_H
    } else {
        message.hours
    };
    if hours > HOLD_LIFE_MAX_H {
        return Err(Malformed::new(
            "hours",
            format!("must be at most {HOLD_LIFE_MAX_H}"),
        ));
    }
    amount_in_bounds("amount_minor", message.amount_minor)?;
    Ok(NewHold {
        application: record_id("application_id", &message.application_id)?,
        amount_minor: (message.amount_minor != 0).then_some(message.amount_minor),
        life: Duration::from_secs(u64::from(hours) * 3_600),
    })
}

/// What became of a row that could be read.
pub fn outcome(filed: Filed) -> pb::RowOutcome {
    match filed {
        Ok(verdict) => {
            let (word, gap) = match verdict {
                Verdict::New { gap } => ("new", gap),
                Verdict::Newer { gap } => ("newer", gap),
                Verdict::Unchanged => ("unchanged", false),
                Verdict::Stale => ("stale", false),
            };
            pb::RowOutcome {
                verdict: word.to_owned(),
                gap,
                ..pb::RowOutcome::default()
            }
        }
        Err(error) => pb::RowOutcome {
            verdict: "rejected".to_owned(),
            field: "record".to_owned(),
            class: "record".to_owned(),
            reason: error.to_string(),
            gap: false,
        },
    }
}

/// What became of a row that could not be read.
pub(super) fn rejected(reject: &Reject) -> pb::RowOutcome {
    pb::RowOutcome {
        verdict: "rejected".to_owned(),
        gap: false,
        field: reject.field.clone(),
        class: reject.class.to_owned(),
        reason: reject.reason.clone(),
    }
}

/// An answer as its message.
pub(super) fn answer(given: Given) -> pb::AnswerResponse {
    pb::AnswerResponse {
        query_id: given.query.to_string(),
        application_id: given.application.to_string(),
        outcome: given.outcome,
        answer_json: given.json,
    }
}

/// A record's id and version.
pub(super) fn change(record: &Record) -> pb::ChangeResponse {
    pb::ChangeResponse {
        record_id: record.head.record_id.to_string(),
        version: record.head.version.number(),
    }
}

/// The row of a record.
pub(super) fn row(record: &Record) -> String {
    jsonl::to_line(record)
}
