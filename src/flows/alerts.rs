//! Alerts: raised durably, numbered without gaps, told in the order of their numbers.
//!
//! A row of [`Table::Alert`] is a version byte and a JSON object. What is to be posted is noted in
//! the same commit, so that no alert is without its delivery or the other way round.

mod rows;

use std::sync::Arc;

use tokio::sync::watch;

use super::draft::Draft;
use super::home::Home;
use super::webhook::{outbox_key, outbox_row};
use super::{FlowError, retry_conflicts};
use crate::domain::{AlertKind, AlertResponse, AlertState, MemberId, Timestamp};
use crate::limits::{ALERT_NOTE_CHARS_MAX, ALERT_PAGE_MAX, REFERENCE_CHARS_MAX};
use crate::store::{Scan, StoreError, Table};

/// The row with the number of the newest alert.
const HEAD: &[u8] = b"h";

/// What stands before an alert's number in its key.
const ALERT: u8 = b'a';

/// Whom an alert is about, in this member's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The member's own reference to the borrower.
    pub reference: String,
    /// Its identifiers, masked.
    pub borrower: String,
}

/// An alert about to be raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// What happened.
    pub kind: AlertKind,
    /// To whom.
    pub subject: Subject,
    /// The member that said so.
    pub peer: MemberId,
    /// When it happened, as far as the peer tells: to the hour.
    pub at: Timestamp,
    /// Whether it stood already when the watch began.
    pub standing: bool,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handling {
    /// Where it is.
    pub state: AlertState,
    /// Who has taken it.
    pub owner: String,
    /// How it was settled.
    pub response: Option<AlertResponse>,
    /// Whoever settled it may say more.
    pub note: String,
    /// When it was taken.
    pub acknowledged_at: Option<Timestamp>,
    /// When it was settled.
    pub resolved_at: Option<Timestamp>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its number: 1 for the node's first, one more for each later one.
    pub id: u64,
    /// What it says.
    pub said: NewAlert,
    /// When this node saw it.
    pub seen_at: Timestamp,
    /// What became of it.
    pub handling: Handling,
}

/// A step that somebody takes with an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertStep {
    /// Somebody takes it.
    Acknowledge {
        /// Who.
        owner: String,
    },
    /// It is settled.
    Resolve {
        /// Who settled it; empty stays with whoever has taken it.
        owner: String,
        /// How.
        response: AlertResponse,
        /// More about it.
        note: String,
    },
}

/// The alerts of this node.
#[derive(Debug)]
pub struct Alerts {
    home: Arc<Home>,
    /// Whether each alert is also to be posted.
    posts: bool,
    newest: watch::Sender<u64>,
}

impl Alerts {
    /// The alerts in this node's store; with `posts`, each is noted for the webhook too.
    #[must_use]
    pub fn new(home: Arc<Home>, posts: bool) -> Self {
        Self {
            home,
            posts,
            newest: watch::Sender::new(0),
        }
    }

    /// Raises alerts, durable when this returns.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed; then none of them is raised.
    pub async fn raise(&self, alerts: &[NewAlert]) -> Result<(), FlowError> {
        retry_conflicts(|| async {
            let mut draft = Draft::default();
            self.stage(&mut draft, alerts).await?;
            draft.commit(&self.home.vault).await
        })
        .await?;
        self.announce();
        Ok(())
    }

    /// Stages alerts into a commit that also changes what they follow from. After the commit the
    /// caller [announces](Self::announce) them.
    pub(super) async fn stage(
        &self,
        draft: &mut Draft,
        alerts: &[NewAlert],
    ) -> Result<(), FlowError> {
        if alerts.is_empty() {
            return Ok(());
        }
        let held = self.home.vault.read(Table::Alert, HEAD).await?;
        let revision = held.as_ref().map_or(0, |row| row.revision);
        let newest = match draft.staged(Table::Alert, HEAD).flatten() {
            Some(staged) => Some(staged.to_vec()),
            None => held.map(|row| row.bytes.to_vec()),
        };
        let mut newest = newest.map_or(Ok(0), |row| rows::number(&row))?;
        let now = self.home.clock.now();
        for said in alerts {
            newest += 1;
            let alert = Alert {
                id: newest,
                said: said.clone(),
                seen_at: now,
                handling: Handling::open(),
            };
            draft.put(Table::Alert, &key(newest), 0, rows::encode(&alert));
            if self.posts {
                draft.put(Table::Outbox, &outbox_key(now, newest), 0, outbox_row(0));
            }
        }
        draft.put(Table::Alert, HEAD, revision, rows::encode_number(newest));
        Ok(())
    }

    /// Wakes whoever waits for alerts.
    pub(super) fn announce(&self) {
        self.newest
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes whenever there are new alerts.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Alerts after a number, in order, at most [`ALERT_PAGE_MAX`].
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read.
    pub async fn page(&self, after: u64) -> Result<Vec<Alert>, FlowError> {
        let scan = Scan {
            prefix: vec![ALERT],
            after: Some(key(after)),
            limit: ALERT_PAGE_MAX,
        };
        let page = self.home.vault.scan(Table::Alert, &scan).await?;
        let alerts = page.iter().map(|(_, row)| rows::decode(&row.bytes));
        alerts.collect()
    }

    /// One alert.
    ///
    /// # Errors
    /// [`FlowError::NotFound`], or the store's failure.
    pub async fn find(&self, id: u64) -> Result<Alert, FlowError> {
        let row = self.home.vault.read(Table::Alert, &key(id)).await?;
        rows::decode(&row.ok_or(FlowError::NotFound { what: "alert" })?.bytes)
    }

    /// Takes a step with an alert. A step that was taken already, with the same words, changes
    /// nothing.
    ///
    /// # Errors
    /// [`FlowError::NotFound`]; [`FlowError::NotPossible`] where the alert was settled otherwise,
    /// or a text is too long.
    pub async fn step(&self, id: u64, step: &AlertStep) -> Result<Alert, FlowError> {
        step.check()?;
        let vault = &self.home.vault;
        retry_conflicts(|| async {
            let row = vault.read(Table::Alert, &key(id)).await?;
            let row = row.ok_or(FlowError::NotFound { what: "alert" })?;
            let alert = rows::decode(&row.bytes)?;
            let handling = alert.handling.after(step, self.home.clock.now())?;
            if handling == alert.handling {
                return Ok(alert);
            }
            let next = Alert { handling, ..alert };
            let mut draft = Draft::default();
            draft.put(Table::Alert, &key(id), row.revision, rows::encode(&next));
            draft.commit(vault).await?;
            Ok(next)
        })
        .await
    }

    /// The sealed store, for the deliveries.
    pub(super) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Whether the policy lets the lender's staff see which member reported.
    #[must_use]
    pub fn shows_members(&self) -> bool {
        self.home.policy.show_members
    }
}

impl Handling {
    fn open() -> Self {
        Self {
            state: AlertState::Open,
            owner: String::new(),
            response: None,
            note: String::new(),
            acknowledged_at: None,
            resolved_at: None,
        }
    }

    fn after(&self, step: &AlertStep, now: Timestamp) -> Result<Self, FlowError> {
        match (self.state, step) {
            (
                AlertState::Resolved,
                AlertStep::Resolve {
                    owner,
                    response,
                    note,
                },
            ) if self.response == Some(*response)
                && self.note == *note
                && (owner.is_empty() || *owner == self.owner) =>
            {
                Ok(self.clone())
            }
            (AlertState::Resolved, _) => Err(FlowError::NotPossible(
                "the alert is resolved already, otherwise: look at it with `creditmesh alerts list \
                 --state resolved`"
                    .to_owned(),
            )),
            (AlertState::Acknowledged, AlertStep::Acknowledge { owner })
                if self.owner == *owner =>
            {
                Ok(self.clone())
            }
            (AlertState::Open | AlertState::Acknowledged, AlertStep::Acknowledge { owner }) => {
                Ok(Self {
                    state: AlertState::Acknowledged,
                    owner: owner.clone(),
                    acknowledged_at: Some(now),
                    ..self.clone()
                })
            }
            (AlertState::Open, AlertStep::Resolve { owner, .. }) if owner.trim().is_empty() => {
                Err(FlowError::NotPossible(
                    "nobody has taken the alert: say who settles it, with --owner".to_owned(),
                ))
            }
            (
                AlertState::Open | AlertState::Acknowledged,
                AlertStep::Resolve {
                    owner,
                    response,
                    note,
                },
            ) => Ok(Self {
                state: AlertState::Resolved,
                owner: if owner.is_empty() { &self.owner } else { owner }.clone(),
                response: Some(*response),
                note: note.clone(),
                resolved_at: Some(now),
                ..self.clone()
            }),
        }
    }
}

impl AlertStep {
    fn check(&self) -> Result<(), FlowError> {
        let (owner, note, needs_note) = match self {
            Self::Acknowledge { owner } if owner.trim().is_empty() => {
                return Err(FlowError::NotPossible("say who takes the alert".to_owned()));
            }
            Self::Acknowledge { owner } => (owner, "", false),
            Self::Resolve {
                owner,
                response,
                note,
            } => (owner, note.as_str(), *response == AlertResponse::Other),
        };
        let too_long =
            |what, most| FlowError::NotPossible(format!("{what}: at most {most} characters"));
        if owner.chars().count() > REFERENCE_CHARS_MAX {
            return Err(too_long("owner", REFERENCE_CHARS_MAX));
        }
        if note.chars().count() > ALERT_NOTE_CHARS_MAX {
            return Err(too_long("note", ALERT_NOTE_CHARS_MAX));
        }
        if needs_note && note.trim().is_empty() {
            return Err(FlowError::NotPossible(
                "response `other` needs a note that says what was done".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The oldest alerts, at most so many, each with its key and revision.
///
/// # Errors
/// [`FlowError::Store`] where they cannot be read.
pub(super) async fn oldest(
    home: &Home,
    limit: usize,
) -> Result<Vec<(Vec<u8>, u64, Alert)>, FlowError> {
    let scan = Scan::prefix(&[ALERT], limit);
    let page = home.vault.scan(Table::Alert, &scan).await?;
    page.into_iter()
        .map(|(key, row)| Ok((key, row.revision, rows::decode(&row.bytes)?)))
        .collect()
}

/// The key of an alert's row.
fn key(id: u64) -> Vec<u8> {
    [&[ALERT], id.to_be_bytes().as_slice()].concat()
}

/// Whether somebody else wrote a row meanwhile.
pub(super) fn is_conflict(error: &FlowError) -> bool {
    matches!(error, FlowError::Store(StoreError::Conflict { .. }))
}
