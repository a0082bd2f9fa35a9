//! Posting alerts to the lender's own system: each at least once, under one id, until it is taken.
//!
//! The outbox has a row for each alert that is not taken yet, in the order in which they fall due,
//! and another kind of row for those that were given up. A delivery ends with the commit that
//! removes its row, so one that a crash interrupts is made again, under the same id.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::alerts::{Alert, Alerts};
use super::draft::Draft;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::domain::Timestamp;
use crate::limits::{
    ALERT_PAGE_MAX, WEBHOOK_ATONCE_MAX, WEBHOOK_ERROR_CHARS_MAX, WEBHOOK_PAUSE_MAX,
    WEBHOOK_PAUSE_MIN, WEBHOOK_TICK,
};
use crate::net::WebhookClient;
use crate::protocol::webhook::{
    ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecret, seconds,
};
use crate::store::{Scan, Table};

/// First byte of a row.
const FORMAT: u8 = 1;

/// What stands before the moment and the alert's number in the key of a delivery that waits.
const WAITING: u8 = b'p';

/// What stands before the alert's number in the key of a delivery that was given up.
const DEAD: u8 = b'd';

/// Where alerts are posted, and how often a delivery is tried.
#[derive(Debug)]
pub struct WebhookTarget {
    /// The way there.
    pub client: WebhookClient,
    /// What signs them.
    pub secret: WebhookSecret,
    /// Attempts before a delivery is given up.
    pub attempts: u32,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The alert.
    pub alert: u64,
    /// Attempts made.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
    /// What the last attempt met.
    pub error: String,
}

/// The deliveries of one node.
#[derive(Debug, Clone)]
pub struct Webhook {
    alerts: Arc<Alerts>,
    target: Arc<WebhookTarget>,
}

/// A delivery that is due.
struct Delivery {
    key: Vec<u8>,
    revision: u64,
    alert: u64,
    attempts: u32,
}

/// What became of an attempt.
enum Attempt {
    Taken,
    /// The receiver said that it is gone for good.
    Gone(String),
    Failed(String),
}

impl Webhook {
    /// Posts these alerts there.
    #[must_use]
    pub fn new(alerts: Arc<Alerts>, target: WebhookTarget) -> Self {
        Self {
            alerts,
            target: Arc::new(target),
        }
    }

    /// Delivers what falls due; ends only when dropped.
    pub async fn run(self) {
        let mut news = self.alerts.news();
        loop {
            let is_more = match self.deliver_due().await {
                Ok(count) => count >= WEBHOOK_ATONCE_MAX,
                Err(error) => {
                    tracing::error!(%error, "alerts cannot be posted for now");
                    false
                }
            };
            if !is_more {
                let _woken = timeout(WEBHOOK_TICK, news.changed()).await;
            }
        }
    }

    /// Attempts what is due, some at once; gives how many.
    async fn deliver_due(&self) -> Result<usize, FlowError> {
        let home = self.alerts.home();
        let scan = Scan {
            prefix: vec![WAITING],
            after: None,
            limit: WEBHOOK_ATONCE_MAX,
        };
        let now = home.clock.now();
        let page = home.vault.scan(Table::Outbox, &scan).await?;
        let mut due = Vec::new();
        for (key, row) in page {
            let (moment, alert) = waiting(&key)?;
            if moment <= now.unix_ms() {
                due.push(Delivery {
                    attempts: attempts_of(&row.bytes)?,
                    revision: row.revision,
                    key,
                    alert,
                });
            }
        }
        let attempts = due.iter().map(|delivery| self.attempt(delivery));
        let outcomes = join_all(attempts).await;
        for (delivery, outcome) in due.iter().zip(outcomes) {
            self.settle(delivery, outcome?).await?;
        }
        Ok(due.len())
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<Attempt, FlowError> {
        let home = self.alerts.home();
        let alert = match self.alerts.find(delivery.alert).await {
            Err(FlowError::NotFound { .. }) => return Ok(Attempt::Taken),
            found => found?,
        };
        let (id, body) = (message_id(home.member.as_str(), &alert), body(&alert));
        let now = home.clock.now();
        let headers = [
            (ID_HEADER, id.clone()),
            (TIMESTAMP_HEADER, seconds(now).to_string()),
            (SIGNATURE_HEADER, self.target.secret.sign(&id, now, &body)),
        ];
        Ok(match self.target.client.post(&headers, body).await {
            Ok(200..=299) => Attempt::Taken,
            Ok(410) => Attempt::Gone("the receiver answers 410: it is gone".to_owned()),
            Ok(code) => Attempt::Failed(format!("the receiver answers {code}")),
            Err(error) => Attempt::Failed(error.to_string()),
        })
    }

    async fn settle(&self, delivery: &Delivery, outcome: Attempt) -> Result<(), FlowError> {
        let home = self.alerts.home();
        let attempts = delivery.attempts + 1;
        let mut draft = Draft::default();
        draft.delete(Table::Outbox, &delivery.key, delivery.revision);
        let (error, is_last) = match outcome {
            Attempt::Taken => return draft.commit(&home.vault).await,
            Attempt::Gone(error) => (error, true),
            Attempt::Failed(error) => (error, attempts >= self.target.attempts),
        };
        tracing::warn!(alert = delivery.alert, attempts, %error, "an alert was not taken");
        let now = home.clock.now();
        if is_last {
            let letter = DeadLetter {
                alert: delivery.alert,
                attempts,
                at: now,
                error: error.chars().take(WEBHOOK_ERROR_CHARS_MAX).collect(),
            };
            draft.put(Table::Outbox, &dead_key(letter.alert), 0, letter.encode());
        } else {
            let mut seed = [0; 8];
            home.entropy.fill(&mut seed)?;
            let next = now.plus(pause_after(attempts, u64::from_be_bytes(seed)));
            let key = outbox_key(next, delivery.alert);
            draft.put(Table::Outbox, &key, 0, outbox_row(attempts));
        }
        draft.commit(&home.vault).await
    }
}

/// The first deliveries behind an alert's number that were given up, in the order of their alerts.
///
/// # Errors
/// [`FlowError::Store`] where they cannot be read.
pub async fn dead_letters(home: &Home, after: u64) -> Result<Vec<DeadLetter>, FlowError> {
    let scan = Scan {
        prefix: vec![DEAD],
        after: Some(dead_key(after)),
        limit: ALERT_PAGE_MAX,
    };
    let page = home.vault.scan(Table::Outbox, &scan).await?;
    let letters = page
        .iter()
        .map(|(key, row)| DeadLetter::decode(key, &row.bytes));
    letters.collect()
}

impl Alerts {
    /// Deliveries that were given up, in the order of their alerts.
    ///
    /// # Errors
    /// As [`dead_letters`].
    pub async fn dead_letters(&self, after: u64) -> Result<Vec<DeadLetter>, FlowError> {
        dead_letters(self.home(), after).await
    }

    /// Tries a delivery again that was given up, as if for the first time.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none for this alert.
    pub async fn retry(&self, alert: u64) -> Result<(), FlowError> {
        let home = self.home();
        retry_conflicts(|| async {
            let held = home.vault.read(Table::Outbox, &dead_key(alert)).await?;
            let held = held.ok_or(FlowError::NotFound {
                what: "dead letter",
            })?;
            let mut draft = Draft::default();
            draft.delete(Table::Outbox, &dead_key(alert), held.revision);
            let key = outbox_key(home.clock.now(), alert);
            draft.put(Table::Outbox, &key, 0, outbox_row(0));
            draft.commit(&home.vault).await
        })
        .await?;
        self.announce();
        Ok(())
    }
}

impl DeadLetter {
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        row.extend_from_slice(&self.attempts.to_be_bytes());
        row.extend_from_slice(&self.at.unix_ms().to_be_bytes());
        row.extend_from_slice(self.error.as_bytes());
        row
    }

    fn decode(key: &[u8], row: &[u8]) -> Result<Self, FlowError> {
        let parts = || {
            let alert = u64::from_be_bytes(key.strip_prefix(&[DEAD])?.try_into().ok()?);
            let (attempts, rest) = row.strip_prefix(&[FORMAT])?.split_first_chunk()?;
            let (at, error) = rest.split_first_chunk()?;
            Some(Self {
                alert,
                attempts: u32::from_be_bytes(*attempts),
                at: Timestamp::from_unix_ms(i64::from_be_bytes(*at)),
                error: String::from_utf8(error.to_vec()).ok()?,
            })
        };
        parts().ok_or_else(unreadable)
    }
}

/// The key of a delivery that is due at a moment.
pub(super) fn outbox_key(due: Timestamp, alert: u64) -> Vec<u8> {
    let moment = u64::try_from(due.unix_ms()).unwrap_or(0);
    [
        [WAITING].as_slice(),
        &moment.to_be_bytes(),
        &alert.to_be_bytes(),
    ]
    .concat()
}

/// The row of a delivery after so many attempts.
pub(super) fn outbox_row(attempts: u32) -> Vec<u8> {
    [&[FORMAT], attempts.to_be_bytes().as_slice()].concat()
}

/// The key of a delivery that was given up.
pub(super) fn dead_key(alert: u64) -> Vec<u8> {
    [&[DEAD], alert.to_be_bytes().as_slice()].concat()
}

fn unreadable() -> FlowError {
    FlowError::Unreadable { what: "delivery" }
}

/// Moment and alert of a waiting delivery's key.
fn waiting(key: &[u8]) -> Result<(i64, u64), FlowError> {
    let parts = || {
        let (moment, alert) = key.strip_prefix(&[WAITING])?.split_first_chunk()?;
        let moment = i64::try_from(u64::from_be_bytes(*moment)).ok()?;
        Some((moment, u64::from_be_bytes(alert.try_into().ok()?)))
    };
    parts().ok_or_else(unreadable)
}

fn attempts_of(row: &[u8]) -> Result<u32, FlowError> {
    let attempts = row.strip_prefix(&[FORMAT]).map(TryInto::try_into);
    let attempts = attempts.and_then(Result::ok).ok_or_else(unreadable)?;
    Ok(u32::from_be_bytes(attempts))
}

/// The pause after so many attempts: doubling, with up to as much again at random.
fn pause_after(attempts: u32, seed: u64) -> Duration {
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(WEBHOOK_PAUSE_MIN)
        .with_max_delay(WEBHOOK_PAUSE_MAX)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build();
    let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    pauses.nth(nth).unwrap_or(WEBHOOK_PAUSE_MAX)
}

/// The id under which an alert is posted, each time the same. The moment is in it because a node
/// restored from a backup numbers its alerts anew.
fn message_id(member: &str, alert: &Alert) -> String {
    format!("alert_{member}_{}_{:x}", alert.id, alert.seen_at.unix_ms())
}

/// What is posted: nothing that names a borrower but the member's own reference.
fn body(alert: &Alert) -> String {
    json!({
        "type": format!("alert.{}", alert.said.kind),
        "timestamp": alert.seen_at.to_rfc3339(),
        "data": {
            "alert": alert.id,
            "kind": alert.said.kind.word(),
            "severity": alert.said.kind.severity().word(),
            "reference": alert.said.subject.reference,
            "standing": alert.said.standing,
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        for seed in 0..50 {
            for (attempts, least) in [(1, 1), (2, 2), (3, 4), (10, 512)] {
                let pause = pause_after(attempts, seed).as_secs_f64();
                let least = f64::from(least);
                assert!(
                    (least..=2.0 * least + 0.1).contains(&pause),
                    "{attempts}: {pause}"
                );
            }
            assert!(pause_after(100, seed) <= 2 * WEBHOOK_PAUSE_MAX);
        }
        assert_ne!(pause_after(3, 1), pause_after(3, 2));
    }

    #[test]
    fn rows_and_keys_of_the_outbox_read_back() {
        let at = Timestamp::from_unix_ms(1_700_000_000_123);
        assert_eq!(waiting(&outbox_key(at, 9)).unwrap(), (at.unix_ms(), 9));
        assert!(outbox_key(at, 9) < outbox_key(at.plus(Duration::from_millis(1)), 1));
        assert_eq!(attempts_of(&outbox_row(3)).unwrap(), 3);
        let letter = DeadLetter {
            alert: 9,
            attempts: 20,
            at,
            error: "the receiver answers 500".to_owned(),
        };
        let read = DeadLetter::decode(&dead_key(9), &letter.encode()).unwrap();
        assert_eq!(read, letter);
        assert!(DeadLetter::decode(&dead_key(9), &[1]).is_err());
    }
}
