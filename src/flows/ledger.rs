//! Quota and audit: every query is debited and logged durably before it is computed or asked, one
//! commit for all requests that wait at the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::{mpsc, oneshot};

use super::draft::Draft;
use super::fishing::count;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::crypto::sha256;
use crate::domain::{
    Epoch, ErasureReason, Level, MemberId, OperatorName, Purpose, QueryId, Timestamp,
};
use crate::limits::{EVALUATE_REPEATS_MAX, LEDGER_GROUP_MAX, LEDGER_QUEUE_MAX, LEDGER_ROWS_MAX};
use crate::membership::Granted;
use crate::merkle::{self, Frontier};
use crate::protocol::quota::{QueryPermit, QuotaAccount, QuotaRow, spend};
use crate::store::{Plain, Table, Vault};

/// What the audit log tells of one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEvent {
    /// This node asked its peers.
    Asked {
        /// The query.
        query: QueryId,
        /// Why.
        purpose: Purpose,
        /// Commitment to borrower and consent reference, as sent.
        commitment: [u8; 32],
        /// SHA-256 over the batch roots of all peers asked.
        batches: [u8; 32],
        /// How many peers were asked.
        peers: u32,
    },
    /// This node was asked.
    Answered {
        /// Who asked.
        member: MemberId,
        /// Under which level.
        level: Level,
        /// In which key epoch.
        epoch: Epoch,
        /// Why.
        purpose: Purpose,
        /// Commitment to borrower and consent reference, as received.
        commitment: [u8; 32],
        /// Merkle root over the blinded elements.
        batch: [u8; 32],
        /// Elements evaluated.
        elements: u32,
    },
    /// This node opened one of its queries to an auditor.
    Opened {
        /// Position of the query's entry, from 0.
        entry: u64,
        /// To whom.
        auditor: MemberId,
    },
    /// This node told a borrower what it holds of it.
    Reported {
        /// The report's id; nothing here tells whom it was about.
        report: QueryId,
    },
    /// This node erased a borrower from its book.
    Erased {
        /// The erasure's id; nothing here tells whom it was about.
        erasure: QueryId,
        /// Who decided it.
        by: OperatorName,
        /// Why.
        reason: ErasureReason,
    },
}

impl AuditEvent {
    /// The entry as a line of the audit log: `version at kind fields…`, separated by spaces.
    #[must_use]
    pub fn line(&self, at: Timestamp) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        match self {
            Self::Asked {
                query,
                purpose,
                commitment,
                batches,
                peers,
            } => format!(
                "1 {} asked {query} {purpose} {} {} {peers}",
                at.unix_ms(),
                hex(commitment),
                hex(batches)
            ),
            Self::Answered {
                member,
                level,
                epoch,
                purpose,
                commitment,
                batch,
                elements,
            } => {
                format!(
                    "1 {} answered {member} {level} {epoch} {purpose} {} {} {elements}",
                    at.unix_ms(),
                    hex(commitment),
                    hex(batch)
                )
            }
            Self::Reported { report } => {
                let purpose = Purpose::SelfAccess;
                format!("1 {} reported {report} {purpose}", at.unix_ms())
            }
            Self::Erased {
                erasure,
                by,
                reason,
            } => format!("1 {} erased {erasure} {by} {reason}", at.unix_ms()),
            Self::Opened { entry, auditor } => {
                format!("1 {} opened {entry} {auditor}", at.unix_ms())
            }
        }
    }
}

/// One evaluation to debit.
#[derive(Debug, Clone)]
struct Debit {
    granted: Granted,
    epoch: Epoch,
    request_id: [u8; 16],
    /// SHA-256 over purpose, commitment and batch: what a repeat must not change.
    asked: [u8; 32],
    elements: u32,
}

#[derive(Debug)]
struct Request {
    event: AuditEvent,
    debit: Option<Debit>,
    rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
    done: oneshot::Sender<Result<Option<QueryPermit>, FlowError>>,
}

/// The way to the one task that writes quota and audit rows.
#[derive(Debug, Clone)]
pub struct Ledger {
    queue: mpsc::Sender<Request>,
}

impl Ledger {
    /// The ledger, and its task to run.
    pub fn new(home: Arc<Home>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, inbox) = mpsc::channel(LEDGER_QUEUE_MAX);
        (Self { queue }, run(home, inbox))
    }

    /// Debits an evaluation and logs it; the permit is the only way to evaluate. A request that was
    /// debited before is permitted again without a debit, [`EVALUATE_REPEATS_MAX`] times, and
    /// logged again each time.
    ///
    /// # Errors
    /// [`FlowError::OverBudget`], [`FlowError::RequestIdReused`], [`FlowError::RepeatedTooOften`],
    /// or the store's failure.
    pub async fn debit(
        &self,
        granted: &Granted,
        request_id: [u8; 16],
        event: AuditEvent,
    ) -> Result<QueryPermit, FlowError> {
        let AuditEvent::Answered {
            epoch,
            purpose,
            commitment,
            batch,
            elements,
            ..
        } = event
        else {
            return Err(FlowError::NotPossible(
                "only answers are debited".to_owned(),
            ));
        };
        let debit = Debit {
            granted: granted.clone(),
            epoch,
            request_id,
            asked: sha256(&[purpose.word().as_bytes(), &commitment, &batch].concat()),
            elements,
        };
        let permit = self.send(event, Some(debit), Vec::new()).await?;
        permit.ok_or(FlowError::ShuttingDown)
    }

    /// Logs an event, together with rows that must be durable with it.
    ///
    /// # Errors
    /// The store's failure: then the event must not happen.
    pub async fn log(
        &self,
        event: AuditEvent,
        rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
    ) -> Result<(), FlowError> {
        self.send(event, None, rows).await.map(|_| ())
    }

    async fn send(
        &self,
        event: AuditEvent,
        debit: Option<Debit>,
        rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
    ) -> Result<Option<QueryPermit>, FlowError> {
        let (done, outcome) = oneshot::channel();
        let request = Request {
            event,
            debit,
            rows,
            done,
        };
        self.queue
            .send(request)
            .await
            .map_err(|_| FlowError::ShuttingDown)?;
        outcome.await.map_err(|_| FlowError::ShuttingDown)?
    }
}

async fn run(home: Arc<Home>, mut inbox: mpsc::Receiver<Request>) {
    let mut group = Vec::with_capacity(LEDGER_GROUP_MAX);
    while inbox.recv_many(&mut group, LEDGER_GROUP_MAX).await > 0 {
        while !group.is_empty() {
            let rest = group.split_off(fitting(&group));
            settle(&home, group).await;
            group = rest;
        }
    }
}

/// How many of the first requests one commit has room for; one at least.
fn fitting(group: &[Request]) -> usize {
    // An entry, a checkpoint, and what a debit touches.
    let rows = group.iter().scan(0, |rows, request| {
        *rows += request.rows.len() + 5;
        Some(*rows)
    });
    rows.take_while(|rows| *rows <= LEDGER_ROWS_MAX)
        .count()
        .max(1)
}

async fn settle(home: &Home, group: Vec<Request>) {
    let outcomes = retry_conflicts(|| write_group(home, &group)).await;
    let settled = match outcomes {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let why = error.to_string();
            let refuse = || {
                Err(FlowError::NotPossible(format!(
                    "not logged, so not done: {why}"
                )))
            };
            group.iter().map(|_| refuse()).collect()
        }
    };
    for (request, outcome) in group.into_iter().zip(settled) {
        let _heard = request.done.send(outcome);
    }
}

type Outcome = Result<Option<QueryPermit>, FlowError>;

async fn write_group(home: &Home, group: &[Request]) -> Result<Vec<Outcome>, FlowError> {
    let mut draft = Draft::default();
    let notes = notes_of(home, group).await?;
    // Last what other replicas write too, so that little time is left for them to come between.
    let mut quotas = Quotas::default();
    let mut log = AuditLog::read(home).await?;
    let mut outcomes = Vec::with_capacity(group.len());
    for (request, noted) in group.iter().zip(notes) {
        let debits = quotas.debits;
        let outcome = match (&request.debit, noted) {
            (Some(debit), Some(noted)) => quotas.spend(home, &mut draft, (debit, noted)).await?,
            (None | Some(_), _) => Ok(None),
        };
        if quotas.debits > debits {
            count(home, &mut draft, &request.event).await?;
        }
        if outcome.is_ok() {
            log.append(home, &mut draft, &request.event)?;
            for (table, key, plain) in &request.rows {
                let held = home
                    .vault
                    .read(*table, key)
                    .await?
                    .map_or(0, |row| row.revision);
                draft.put(*table, key, held, plain.clone());
            }
        }
        outcomes.push(outcome);
    }
    log.close(home, &mut draft)?;
    draft.commit(&home.vault).await?;
    Ok(outcomes)
}

/// Where the request id of each debit is noted, read all at once.
async fn notes_of(home: &Home, group: &[Request]) -> Result<Vec<Option<Note>>, FlowError> {
    let notes = group.iter().map(|request| async {
        match &request.debit {
            None => Ok(None),
            Some(debit) => noted(home, debit).await.map(Some),
        }
    });
    try_join_all(notes).await
}

/// Quota rows touched by one group.
#[derive(Debug, Default)]
struct Quotas {
    rows: BTreeMap<Vec<u8>, (u64, QuotaRow)>,
    /// How many evaluations were debited, repeats left out.
    debits: usize,
}

impl Quotas {
    /// Debits one evaluation, or notes that it is repeated.
    async fn spend(
        &mut self,
        home: &Home,
        draft: &mut Draft,
        (debit, (request_key, held)): (&Debit, Note),
    ) -> Result<Outcome, FlowError> {
        let account = debit.account(home);
        let name = quota_name(&account);
        let key = home.vault.row_key(Table::Quota, name.as_bytes()).to_vec();
        let (revision, row) = match self.rows.get(&key) {
            Some(held) => *held,
            None => match home.vault.read(Table::Quota, &key).await? {
                Some(row) => (row.revision, QuotaRow::decode(&row.bytes)?),
                None => (0, QuotaRow::default()),
            },
        };
        let request_revision = held.as_ref().map_or(0, |row| row.revision);
        let seen = match draft.staged(Table::Idempotency, &request_key) {
            Some(staged) => staged.map(<[u8]>::to_vec),
            None => held.map(|row| row.bytes.to_vec()),
        };
        if let Some(seen) = seen {
            return Ok(match repeated(&seen, &debit.asked) {
                Ok(noted) => {
                    draft.put(Table::Idempotency, &request_key, request_revision, noted);
                    Ok(Some(QueryPermit::repeated(&account, debit.elements)))
                }
                Err(refused) => Err(refused),
            });
        }
        match spend(row, &account, debit.elements) {
            Ok((row, permit)) => {
                draft.put(Table::Quota, &key, revision, row.encode());
                let noted = [debit.asked.as_slice(), &[0]].concat();
                draft.put(Table::Idempotency, &request_key, 0, noted);
                self.rows.insert(key, (revision, row));
                self.debits += 1;
                Ok(Ok(Some(permit)))
            }
            Err(over) => Ok(Err(over.into())),
        }
    }
}

/// The key under which a request id is noted, and what is noted there.
type Note = (Vec<u8>, Option<Plain>);

impl Debit {
    fn account(&self, home: &Home) -> QuotaAccount {
        QuotaAccount::of(&self.granted, self.epoch, &home.calendar)
    }
}

/// Where a request id is noted, and what is noted there. The key begins with the epoch, with which
/// it is deleted; earlier versions wrote it without.
async fn noted(home: &Home, debit: &Debit) -> Result<Note, FlowError> {
    let account = debit.account(home);
    let mut request_name = debit.request_id.to_vec();
    request_name.extend_from_slice(quota_name(&account).as_bytes());
    // A repeat is free under the same key only: a member may have changed its level meanwhile.
    request_name.extend_from_slice(account.level().word().as_bytes());
    let name = home.vault.row_key(Table::Idempotency, &request_name);
    let key = [debit.epoch.0.to_be_bytes().as_slice(), &name].concat();
    let vault = &home.vault;
    let (old, held) = futures::future::try_join(
        vault.read(Table::Idempotency, &name),
        vault.read(Table::Idempotency, &key),
    )
    .await?;
    Ok(match old {
        Some(old) => (name.to_vec(), Some(old)),
        None => (key, held),
    })
}

/// The row of a request that is made once more: what it asked for, and how often it was repeated.
fn repeated(seen: &[u8], asked: &[u8; 32]) -> Result<Vec<u8>, FlowError> {
    let Some((held, [repeats])) = seen.split_first_chunk::<32>() else {
        return Err(FlowError::Unreadable { what: "request id" });
    };
    if held != asked {
        return Err(FlowError::RequestIdReused);
    }
    if *repeats >= EVALUATE_REPEATS_MAX {
        return Err(FlowError::RepeatedTooOften);
    }
    Ok([held.as_slice(), &[repeats + 1]].concat())
}

/// The audit log's head while one group is appended.
#[derive(Debug)]
struct AuditLog {
    revision: u64,
    frontier: Frontier,
    grown: bool,
}

/// The name of a quota account's row.
pub(super) fn quota_name(account: &QuotaAccount) -> String {
    quota_name_of(account.member(), account.epoch())
}

fn quota_name_of(member: &MemberId, epoch: Epoch) -> String {
    format!("{member}/{epoch}")
}

/// The key of a member's quota row of one epoch.
pub(super) fn quota_key(vault: &Vault, member: &MemberId, epoch: Epoch) -> [u8; 32] {
    vault.row_key(Table::Quota, quota_name_of(member, epoch).as_bytes())
}

/// The one row that holds the audit log's frontier and newest checkpoint.
pub(super) const HEAD: &[u8] = b"head";

impl AuditLog {
    async fn read(home: &Home) -> Result<Self, FlowError> {
        let Some(row) = home.vault.read(Table::AuditHead, HEAD).await? else {
            return Ok(Self {
                revision: 0,
                frontier: Frontier::new(),
                grown: false,
            });
        };
        let frontier = Frontier::decode(&row.bytes).map_err(|_| FlowError::Unreadable {
            what: "audit log head",
        })?;
        Ok(Self {
            revision: row.revision,
            frontier,
            grown: false,
        })
    }

    fn append(
        &mut self,
        home: &Home,
        draft: &mut Draft,
        event: &AuditEvent,
    ) -> Result<(), FlowError> {
        let line = event.line(home.clock.now()).into_bytes();
        let position = self.frontier.size().to_be_bytes();
        self.frontier.append(merkle::leaf_hash(&line))?;
        self.grown = true;
        draft.put(Table::AuditEntry, &position, 0, line);
        Ok(())
    }

    fn close(self, home: &Home, draft: &mut Draft) -> Result<(), FlowError> {
        if self.grown {
            draft.put(
                Table::AuditHead,
                HEAD,
                self.revision,
                self.frontier.encode(),
            );
            let origin = format!("{}/audit", home.member);
            let note = home.sign_checkpoint(&origin, &self.frontier)?;
            let size = self.frontier.size().to_be_bytes();
            let key = [b"audit/".as_slice(), &size].concat();
            draft.put(Table::Checkpoint, &key, 0, note.into_bytes());
        }
        Ok(())
    }
}
