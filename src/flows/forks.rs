//! Proofs that a member signed two histories: kept durably, and what is only suspected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::draft::Draft;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{FORK_PROOF_BYTES_MAX, FORKS_MAX, FORKS_PER_MEMBER_MAX, STORE_SCAN_ROWS_MAX};
use crate::membership::Member;
use crate::protocol::fork::{LogFork, LogName};
use crate::protocol::mirror::ForkKind;
use crate::store::{Scan, Table};

/// Version of the row.
const FORMAT: u8 = 1;

/// A proven fork as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFork {
    /// When this node took the proof.
    pub found_at: Timestamp,
    /// Who handed it on; this member where this node found it itself.
    pub told_by: MemberId,
    /// The identity key that signed both histories.
    pub key: [u8; 32],
    /// The proof.
    pub proof: LogFork,
}

/// A log of which two checkpoints were not shown to be of one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The origin of the log.
    pub origin: String,
    /// Since when.
    pub since: Timestamp,
    /// What was seen.
    pub says: String,
}

/// The forks that are known here.
#[derive(Debug)]
pub struct Forks {
    home: Arc<Home>,
    /// Read from the store at the first look, and again when other replicas wrote.
    known: tokio::sync::Mutex<Option<Known>>,
    doubts: Mutex<BTreeMap<String, Doubt>>,
}

/// What stood in the store, and what other replicas had written by then.
#[derive(Debug)]
struct Known {
    forks: Vec<KeptFork>,
    others_wrote: u64,
}

impl KeptFork {
    /// Version, moment (8), key (32), length of the teller (1), teller, proof.
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        row.extend_from_slice(&self.found_at.unix_ms().to_be_bytes());
        row.extend_from_slice(&self.key);
        let told_by = self.told_by.as_str().as_bytes();
        row.push(u8::try_from(told_by.len()).unwrap_or(u8::MAX));
        row.extend_from_slice(told_by);
        row.extend_from_slice(self.proof.to_string().as_bytes());
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let row = row.strip_prefix(&[FORMAT])?;
        let (at, row) = row.split_first_chunk::<8>()?;
        let (key, row) = row.split_first_chunk::<32>()?;
        let (length, row) = row.split_first()?;
        let (told_by, proof) = row.split_at_checked(usize::from(*length))?;
        Some(Self {
            found_at: Timestamp::from_unix_ms(i64::from_be_bytes(*at)),
            told_by: std::str::from_utf8(told_by).ok()?.parse().ok()?,
            key: *key,
            proof: std::str::from_utf8(proof).ok()?.parse().ok()?,
        })
    }
}

impl Forks {
    /// Those in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            home,
            known: tokio::sync::Mutex::default(),
            doubts: Mutex::default(),
        }
    }

    /// Every proven fork, the oldest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<KeptFork>, FlowError> {
        let mut known = self.known.lock().await;
        Ok(self.loaded(&mut known).await?.clone())
    }

    async fn loaded<'a>(
        &self,
        known: &'a mut Option<Known>,
    ) -> Result<&'a mut Vec<KeptFork>, FlowError> {
        let others_wrote = self.home.vault.replicas().others_wrote();
        let kept = match known.take() {
            Some(kept) if kept.others_wrote == others_wrote => kept,
            Some(_) | None => Known {
                forks: self.read().await?,
                others_wrote,
            },
        };
        Ok(&mut known.insert(kept).forks)
    }

    async fn read(&self) -> Result<Vec<KeptFork>, FlowError> {
        let mut kept = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while kept.len() < FORKS_MAX {
            let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
            if let Some(after) = &after {
                scan = scan.behind(after);
            }
            let page = self.home.vault.scan(Table::Fork, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, row) in page {
                let fork = KeptFork::decode(&row.bytes);
                kept.push(fork.ok_or(FlowError::Unreadable { what: "fork proof" })?);
            }
        }
        kept.sort_by_key(|fork| fork.found_at);
        Ok(kept)
    }

    /// Whether the holder of the key that the list pins for `peer` is proven to have signed two
    /// histories of one of its feeds. What it answers then counts as not given: which of the
    /// histories others see, nobody here can tell.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn is_forked(&self, peer: &Member) -> Result<bool, FlowError> {
        let mut known = self.known.lock().await;
        let known = self.loaded(&mut known).await?;
        Ok(known.iter().any(|fork| {
            let log = fork.proof.log();
            let of_peer = matches!(&log, Some(LogName::Feed(feed)) if feed.member == peer.id);
            of_peer && fork.key == peer.identity_key
        }))
    }

    /// Keeps a proof that holds under the key that the list pins for its member; gives whether it
    /// is new.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where it proves nothing here, or the store's failure.
    pub async fn take(&self, proof: &LogFork, told_by: &MemberId) -> Result<bool, FlowError> {
        let useless = |why: &str| FlowError::NotPossible(format!("the fork proof {why}"));
        let log = proof
            .log()
            .ok_or_else(|| useless("is of no member's log"))?;
        let roster = self.home.trust.roster();
        let member = roster.member(log.member());
        let member = member.ok_or_else(|| useless("is of nobody in the member list"))?;
        let key = member.identity_key;
        let kind = proof
            .check(&key)
            .map_err(|error| useless(&error.to_string()))?;
        let kind = kind.ok_or_else(|| useless("shows two checkpoints of one history"))?;
        if proof.to_string().len() > FORK_PROOF_BYTES_MAX {
            return Err(useless("is too long"));
        }
        let mut known = self.known.lock().await;
        let known = self.loaded(&mut known).await?;
        let of_member = |kept: &&KeptFork| {
            kept.proof
                .log()
                .is_some_and(|one| one.member() == log.member())
        };
        let is_known = known
            .iter()
            .any(|kept| kept.proof.origin == proof.origin && kept.key == key);
        if is_known || known.iter().filter(of_member).count() >= FORKS_PER_MEMBER_MAX {
            return Ok(false);
        }
        let fork = KeptFork {
            found_at: self.home.clock.now(),
            told_by: told_by.clone(),
            key,
            proof: proof.clone(),
        };
        self.write(&fork).await?;
        let (origin, kind) = (&proof.origin, kind_word(kind));
        tracing::error!(%origin, kind, %told_by, "a member signed two histories of one log");
        known.push(fork);
        Ok(true)
    }

    async fn write(&self, fork: &KeptFork) -> Result<(), FlowError> {
        let name = [fork.proof.origin.as_bytes(), b"\n", &fork.key].concat();
        let key = self.home.vault.row_key(Table::Fork, &name);
        retry_conflicts(|| async {
            let held = self.home.vault.read(Table::Fork, &key).await?;
            if held.is_some() {
                // Another replica kept one meanwhile.
                return Ok(());
            }
            let mut draft = Draft::default();
            draft.put(Table::Fork, &key, 0, fork.encode());
            draft.commit(&self.home.vault).await
        })
        .await
    }

    /// What is suspected and not proven.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.values().cloned().collect()
    }

    /// Notes that a log's checkpoints were not shown to be of one history.
    pub(super) fn doubt(&self, origin: &str, says: String) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.home.clock.now();
        let doubt = doubts.entry(origin.to_owned()).or_insert_with(|| Doubt {
            origin: origin.to_owned(),
            since,
            says: String::new(),
        });
        doubt.says = says;
    }

    /// Notes that a log was shown to be of one history after all.
    pub(super) fn settle(&self, origin: &str) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.remove(origin);
    }
}

/// What a fork proof shows, in a word.
#[must_use]
pub const fn kind_word(kind: ForkKind) -> &'static str {
    match kind {
        ForkKind::TwoRoots => "two-roots",
        ForkKind::WentBack => "went-back",
        ForkKind::Rewritten => "rewritten",
    }
}
