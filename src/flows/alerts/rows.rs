//! Stored alerts: a version byte and a JSON object.

use serde::{Deserialize, Serialize};

use super::{Alert, Handling, NewAlert, Subject};
use crate::domain::{AlertKind, AlertResponse, AlertState, Timestamp};
use crate::flows::FlowError;

/// First byte of a row.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u64,
    kind: String,
    reference: String,
    borrower: String,
    peer: String,
    at: i64,
    seen_at: i64,
    standing: bool,
    state: String,
    owner: String,
    response: Option<String>,
    note: String,
    acknowledged_at: Option<i64>,
    resolved_at: Option<i64>,
}

fn unreadable() -> FlowError {
    FlowError::Unreadable { what: "alert" }
}

pub(super) fn encode(alert: &Alert) -> Vec<u8> {
    let Alert {
        id,
        said,
        seen_at,
        handling,
    } = alert;
    let stored = Stored {
        id: *id,
        kind: said.kind.word().to_owned(),
        reference: said.subject.reference.clone(),
        borrower: said.subject.borrower.clone(),
        peer: said.peer.to_string(),
        at: said.at.unix_ms(),
        seen_at: seen_at.unix_ms(),
        standing: said.standing,
        state: handling.state.word().to_owned(),
        owner: handling.owner.clone(),
        response: handling.response.map(|word| word.word().to_owned()),
        note: handling.note.clone(),
        acknowledged_at: handling.acknowledged_at.map(Timestamp::unix_ms),
        resolved_at: handling.resolved_at.map(Timestamp::unix_ms),
    };
    let mut row = vec![FORMAT];
    // Texts and numbers always serialise.
    row.extend(serde_json::to_vec(&stored).unwrap_or_default());
    row
}

pub(super) fn decode(row: &[u8]) -> Result<Alert, FlowError> {
    let Some((&FORMAT, json)) = row.split_first() else {
        return Err(unreadable());
    };
    let stored: Stored = serde_json::from_slice(json).map_err(|_| unreadable())?;
    let response = match stored.response {
        Some(word) => Some(AlertResponse::from_word(&word).ok_or_else(unreadable)?),
        None => None,
    };
    Ok(Alert {
        id: stored.id,
        said: NewAlert {
            kind: AlertKind::from_word(&stored.kind).ok_or_else(unreadable)?,
            subject: Subject {
                reference: stored.reference,
                borrower: stored.borrower,
            },
            peer: stored.peer.parse().map_err(|_| unreadable())?,
            at: Timestamp::from_unix_ms(stored.at),
            standing: stored.standing,
        },
        seen_at: Timestamp::from_unix_ms(stored.seen_at),
        handling: Handling {
            state: AlertState::from_word(&stored.state).ok_or_else(unreadable)?,
            owner: stored.owner,
            response,
            note: stored.note,
            acknowledged_at: stored.acknowledged_at.map(Timestamp::from_unix_ms),
            resolved_at: stored.resolved_at.map(Timestamp::from_unix_ms),
        },
    })
}

/// The row with a number.
pub(super) fn encode_number(number: u64) -> Vec<u8> {
    [&[FORMAT], number.to_be_bytes().as_slice()].concat()
}

/// The number in its row.
pub(super) fn number(row: &[u8]) -> Result<u64, FlowError> {
    let Some((&FORMAT, rest)) = row.split_first() else {
        return Err(unreadable());
    };
    let bytes = rest.try_into().map_err(|_| unreadable())?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_reads_back_as_it_was_written() {
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        let alert = Alert {
            id: 7,
            said: NewAlert {
                kind: AlertKind::ChargeOff,
                subject: Subject {
                    reference: "L-1".to_owned(),
                    borrower: "us-ssn:…4399".to_owned(),
                },
                peer: "alpha".parse().unwrap(),
                at,
                standing: true,
            },
            seen_at: at,
            handling: Handling {
                state: AlertState::Resolved,
                owner: "collections".to_owned(),
                response: Some(AlertResponse::LoweredLimit),
                note: "by phone".to_owned(),
                acknowledged_at: None,
                resolved_at: Some(at),
            },
        };
        assert_eq!(decode(&encode(&alert)).unwrap(), alert);
        assert_eq!(number(&encode_number(9)).unwrap(), 9);
        assert!(decode(&[]).is_err() && decode(&[2, b'{']).is_err() && number(&[1]).is_err());
    }
}
