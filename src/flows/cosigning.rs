//! Getting the checkpoints of this node's audit log cosigned by peers: the newest one only, beside
//! the queries and never before them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::sleep;

use super::draft::Draft;
use super::home::Home;
use super::log_tree::LogTree;
use super::{AuditReader, FlowError, retry_conflicts};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{COSIGN_LATE_AFTER, COSIGN_LOOK, COSIGN_TRIES, WITNESSES};
use crate::membership::Member;
use crate::merkle::{Checkpoint, SignedNote};
use crate::protocol::witness::{witness_name, witness_order};
use crate::store::{Scan, Table};
use crate::wire::CosignWanted;

/// First part of the keys of the audit log's checkpoints; the size follows, 8 bytes.
const CHECKPOINTS: &[u8] = b"audit/";

/// The key of the row that says how far the log is cosigned.
const OWN: &[u8] = b"own";

/// Version of that row.
const FORMAT: u8 = 1;

const DAY_MS: i64 = 86_400_000;

/// How far the audit log is cosigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CosigningState {
    /// Entries of the log.
    pub size: u64,
    /// Entries that enough witnesses cosigned.
    pub cosigned_size: u64,
    /// When they had.
    pub cosigned_at: Option<Timestamp>,
    /// Witnesses that are enough.
    pub needed: usize,
    /// When the oldest checkpoint that is not cosigned enough was signed.
    pub waiting_since: Option<Timestamp>,
    /// Who did not cosign when asked last, and why.
    pub troubles: BTreeMap<MemberId, String>,
    /// Whether entries have waited for more than [`COSIGN_LATE_AFTER`].
    pub late: bool,
    /// Who cosigned more entries than the log has, and how many: it was cut.
    pub ahead: BTreeMap<MemberId, u64>,
}

/// Asks peers to cosign.
#[derive(Debug)]
pub struct Cosigning {
    home: Arc<Home>,
    tree: Arc<LogTree>,
    /// The size that each witness cosigned last, as far as is known.
    known: Mutex<BTreeMap<MemberId, u64>>,
    troubles: Mutex<BTreeMap<MemberId, String>>,
}

impl Cosigning {
    /// For this node's audit log.
    #[must_use]
    pub(crate) fn new(home: Arc<Home>, tree: Arc<LogTree>) -> Self {
        Self {
            home,
            tree,
            known: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// Looks again and again; ends only when dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "the audit log could not be cosigned");
            }
            sleep(COSIGN_LOOK).await;
        }
    }

    /// Asks for what the newest checkpoint lacks; gives how many witnesses have cosigned it.
    ///
    /// # Errors
    /// The store's failure. A peer that does not cosign is no error.
    pub async fn round(&self) -> Result<usize, FlowError> {
        let size = AuditReader::new(Arc::clone(&self.home)).size().await?;
        let peers = self.home.asked();
        let needed = peers.len().min(WITNESSES);
        if size == 0 || needed == 0 || self.own().await?.1.0 >= size {
            return Ok(needed);
        }
        let ids: Vec<MemberId> = peers.iter().map(|peer| peer.id.clone()).collect();
        let day = self.home.clock.now().unix_ms().div_euclid(DAY_MS);
        let order = witness_order(&self.home.member, &ids, u64::try_from(day).unwrap_or(0));
        let mut given = 0;
        for id in order {
            if given >= needed {
                break;
            }
            let Some(peer) = peers.iter().find(|peer| peer.id == id) else {
                continue;
            };
            match self.ask(peer, size).await {
                Ok(()) => {
                    given += 1;
                    lock(&self.troubles).remove(&id);
                }
                Err(error) if error.is_store() => return Err(error),
                Err(error) => {
                    tracing::debug!(witness = %id, %error, "not cosigned");
                    lock(&self.troubles).insert(id, error.to_string());
                }
            }
        }
        if given >= needed {
            self.note(size).await?;
        }
        Ok(given)
    }

    /// Asks one peer, from the size that it cosigned last.
    async fn ask(&self, peer: &Member, size: u64) -> Result<(), FlowError> {
        let note = self.note_at(size).await?;
        if note
            .1
            .cosigned(&witness_name(&peer.id), &peer.identity_key)?
            .is_some()
        {
            return Ok(());
        }
        for _ in 0..COSIGN_TRIES {
            let old_size = lock(&self.known).get(&peer.id).copied().unwrap_or(0);
            if old_size > size {
                return Err(FlowError::NotPossible(format!(
                    "{} cosigned {old_size} entries of this log, which has {size}: it was cut, or \
                     restored from an older backup",
                    peer.id
                )));
            }
            let wanted = CosignWanted {
                old_size,
                proof: self.tree.growth(old_size, size).await?.proof,
                note: note.1.to_string(),
            };
            let deadline = self.home.timing.peer_deadline;
            let given = self.home.peers.cosign(peer, deadline, wanted).await?;
            lock(&self.known).insert(peer.id.clone(), given.cosigned_size);
            if let Some(cosigned) = given.note {
                return self.take(peer, size, &cosigned).await;
            }
        }
        let why = format!("{} names another size each time it is asked", peer.id);
        Err(FlowError::NotPossible(why))
    }

    /// Adds a cosignature that holds to the checkpoint's row.
    async fn take(&self, peer: &Member, size: u64, cosigned: &str) -> Result<(), FlowError> {
        let name = witness_name(&peer.id);
        let line = SignedNote::parse(cosigned)?.only_of(&name)?;
        if line.cosigned(&name, &peer.identity_key)?.is_none() {
            let why = format!("{} did not cosign with the key in the member list", peer.id);
            return Err(FlowError::NotPossible(why));
        }
        retry_conflicts(|| async {
            let (revision, note) = self.note_at(size).await?;
            let merged = note.with_lines_of(&line)?;
            let mut draft = Draft::default();
            let row = merged.to_string().into_bytes();
            draft.put(Table::Checkpoint, &checkpoint_key(size), revision, row);
            draft.commit(&self.home.vault).await
        })
        .await
    }

    async fn note_at(&self, size: u64) -> Result<(u64, SignedNote), FlowError> {
        let unreadable = || FlowError::Unreadable {
            what: "audit log checkpoint",
        };
        let vault = &self.home.vault;
        let row = vault.read(Table::Checkpoint, &checkpoint_key(size)).await?;
        let row = row.ok_or_else(unreadable)?;
        let text = std::str::from_utf8(&row.bytes).map_err(|_| unreadable())?;
        Ok((row.revision, SignedNote::parse(text)?))
    }

    /// Notes that enough witnesses cosigned up to `size`.
    async fn note(&self, size: u64) -> Result<(), FlowError> {
        let now = self.home.clock.now().unix_ms().to_be_bytes();
        retry_conflicts(|| async {
            let (revision, (held, _)) = self.own().await?;
            if held >= size {
                return Ok(());
            }
            let row = [[FORMAT].as_slice(), &size.to_be_bytes(), &now].concat();
            let mut draft = Draft::default();
            draft.put(Table::Cosigned, OWN, revision, row);
            draft.commit(&self.home.vault).await
        })
        .await
    }

    /// The revision of the row, and up to which size the log was cosigned, and when.
    async fn own(&self) -> Result<(u64, (u64, Option<Timestamp>)), FlowError> {
        let row = self.home.vault.read(Table::Cosigned, OWN).await?;
        let Some(row) = row else {
            return Ok((0, (0, None)));
        };
        let fields = row.bytes.strip_prefix(&[FORMAT]);
        let fields = fields.and_then(|fields| <[u8; 16]>::try_from(fields).ok());
        let fields = fields.ok_or(FlowError::Unreadable {
            what: "state of cosigning",
        })?;
        let numbers: Vec<u64> = fields
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| u64::from_be_bytes(*number))
            .collect();
        let (size, at) = (numbers.first().copied(), numbers.last().copied());
        let at = i64::try_from(at.unwrap_or(0)).unwrap_or(0);
        Ok((
            row.revision,
            (size.unwrap_or(0), Some(Timestamp::from_unix_ms(at))),
        ))
    }

    /// How far the log is cosigned.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn state(&self) -> Result<CosigningState, FlowError> {
        let size = AuditReader::new(Arc::clone(&self.home)).size().await?;
        let needed = self.home.asked().len().min(WITNESSES);
        let (_, (cosigned_size, cosigned_at)) = self.own().await?;
        let mut waiting_since = None;
        if needed > 0 && cosigned_size < size {
            let scan = Scan::prefix(CHECKPOINTS, 1).behind(&checkpoint_key(cosigned_size));
            let page = self.home.vault.scan(Table::Checkpoint, &scan).await?;
            let note = page.first();
            let note = note.and_then(|(_, row)| std::str::from_utf8(&row.bytes).ok());
            let note = note.and_then(|note| SignedNote::parse(note).ok());
            let checkpoint = note.and_then(|note| Checkpoint::stored(&note).ok());
            waiting_since = checkpoint.and_then(|one| one.signed_at());
        }
        let now = self.home.clock.now();
        let waits = waiting_since.map(|since| now.since(since));
        Ok(CosigningState {
            late: waits.is_some_and(|waits| waits >= COSIGN_LATE_AFTER),
            size,
            cosigned_size,
            cosigned_at,
            needed,
            waiting_since,
            troubles: lock(&self.troubles).clone(),
            ahead: lock(&self.known)
                .iter()
                .filter(|(_, known)| **known > size)
                .map(|(witness, known)| (witness.clone(), *known))
                .collect(),
        })
    }
}

fn checkpoint_key(size: u64) -> Vec<u8> {
    [CHECKPOINTS, &size.to_be_bytes()].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
