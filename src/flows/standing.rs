//! How far this node believes each peer: what it saw of the peer's reports, what the peer states of
//! its own months, and what a person here decided.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::draft::Draft;
use super::home::Home;
use super::standing_months::Months;
use super::standing_rows::StandingRow;
use super::{Book, FlowError, retry_conflicts};
use crate::domain::{Epoch, MemberId, Month, MonthlyCounts};
use crate::limits::{DECIDER_CHARS_MAX, STANDING_FETCH, STANDING_LOOK, TRUST_MONTHS};
use crate::protocol::leaf::Tag;
use crate::risk::{Jump, PeerStanding, Proven, believed, filing_jump, weight_per_mille};
use crate::store::Table;
use crate::wire::Malformed;

/// Months that are looked at for a jump: what was stated while this node was away for longer is
/// past.
const JUMP_MONTHS: usize = 3;

/// How far one peer is believed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// The peer.
    pub member: MemberId,
    /// What enters conclusions.
    pub standing: PeerStanding,
    /// What its word weighs, in thousandths.
    pub trust_per_mille: u32,
    /// Reports that were seen here to prove right.
    pub upheld_seen: u32,
    /// Reports that were seen here to prove wrong.
    pub overturned_seen: u32,
    /// Months that it stated.
    pub months_stated: u32,
    /// Why it is or was in quarantine.
    pub reason: String,
    /// Who decided last about it here.
    pub decided_by: String,
    /// The latest month for which it stated two different counts.
    pub contradicted: Option<Month>,
}

/// An end of a report: the tag of the leaf that showed it, and how it ended.
pub type SeenEnd = (Tag, Proven);

/// What is known of the standing of members.
#[derive(Debug)]
pub struct Standings {
    pub(super) home: Arc<Home>,
    pub(super) book: Book,
    known: Mutex<BTreeMap<MemberId, PeerReport>>,
}

impl Standings {
    /// Nothing looked at yet: every peer weighs as one of whom nothing is known.
    #[must_use]
    pub fn new(home: Arc<Home>, book: Book) -> Self {
        Self {
            home,
            book,
            known: Mutex::default(),
        }
    }

    /// The standing of a peer, as last looked at.
    #[must_use]
    pub fn of(&self, peer: &MemberId) -> PeerStanding {
        let known = self.lock();
        known
            .get(peer)
            .map_or_else(PeerStanding::default, |one| one.standing)
    }

    /// Looks again and again; ends only when dropped.
    pub async fn run(self: Arc<Self>) {
        let mut fetched: Option<Duration> = None;
        loop {
            let uptime = self.home.clock.uptime();
            let due = fetched.is_none_or(|at| uptime.saturating_sub(at) >= STANDING_FETCH);
            let looked = if due {
                fetched = Some(uptime);
                self.refresh().await
            } else {
                self.look().await
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "the standing of peers could not be looked at");
            }
            sleep(STANDING_LOOK).await;
        }
    }

    /// States this member's own last month where that is due, takes what peers state, and looks.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn refresh(&self) -> Result<(), FlowError> {
        self.state_last_month().await?;
        for peer in self.home.asked() {
            let deadline = self.home.timing.peer_deadline;
            match self.home.peers.monthly_counts(&peer, deadline).await {
                Ok(statements) => {
                    for statement in statements {
                        self.take(&peer, statement).await?;
                    }
                }
                Err(error) => tracing::debug!(peer = %peer.id, %error, "no monthly counts"),
            }
        }
        self.forget_old().await?;
        self.look().await
    }

    /// Judges every peer by what is stored: whose filings jumped, or who contradicted itself, is in
    /// quarantine from then on.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn look(&self) -> Result<(), FlowError> {
        let peers = self.home.asked();
        let mut months: BTreeMap<MemberId, Months> = BTreeMap::new();
        for peer in &peers {
            months.insert(peer.id.clone(), self.months_of(&peer.id).await?);
        }
        let own = self.own_months().await?;
        let mut known = BTreeMap::new();
        for peer in &peers {
            let (_, mut row) = self.row(&peer.id).await?;
            if let Some((month, reason)) = Self::finding(&peer.id, &months, &own)
                && row.quarantined_since.is_none()
                && row.lifted_through.is_none_or(|lifted| lifted < month)
            {
                row = self.quarantine(&peer.id, month, &reason).await?;
            }
            let stated = months.get(&peer.id).cloned().unwrap_or_default();
            known.insert(peer.id.clone(), self.report(&peer.id, &row, &stated));
        }
        *self.lock() = known;
        Ok(())
    }

    /// Every peer, in the order of their ids.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<PeerReport>, FlowError> {
        self.look().await?;
        Ok(self.lock().values().cloned().collect())
    }

    /// Ends a quarantine.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such peer, [`FlowError::NotPossible`] where it is
    /// in no quarantine, [`FlowError::Malformed`] for the name of who decides.
    pub async fn lift(&self, peer: &MemberId, by: &str) -> Result<PeerReport, FlowError> {
        let by = decider(by)?;
        let latest = self.months_of(peer).await?.into_keys().next_back();
        self.change(peer, |row| {
            if row.quarantined_since.is_none() {
                let why = format!("{peer} is in no quarantine: there is nothing to lift");
                return Err(FlowError::NotPossible(why));
            }
            row.quarantined_since = None;
            row.lifted_through = latest.or(row.lifted_through);
            row.decided_by.clone_from(&by);
            Ok(())
        })
        .await?;
        tracing::warn!(%peer, by, "quarantine lifted");
        self.reported(peer).await
    }

    /// Calls a peer troubled from now on, or no more.
    ///
    /// # Errors
    /// As [`Standings::lift`]; [`FlowError::NotPossible`] where nothing would change.
    pub async fn mark_troubled(
        &self,
        peer: &MemberId,
        by: &str,
        troubled: bool,
    ) -> Result<PeerReport, FlowError> {
        let (by, now) = (decider(by)?, self.home.clock.now());
        self.change(peer, |row| {
            if row.troubled_since.is_some() == troubled {
                let is = if troubled {
                    "troubled already"
                } else {
                    "not troubled"
                };
                return Err(FlowError::NotPossible(format!("{peer} is {is}")));
            }
            row.troubled_since = troubled.then_some(now);
            row.decided_by.clone_from(&by);
            Ok(())
        })
        .await?;
        tracing::warn!(%peer, by, troubled, "a peer was called troubled, or no more");
        self.reported(peer).await
    }

    /// Counts what an answer showed of the ends of a peer's reports, each once.
    ///
    /// # Errors
    /// The store's failure.
    pub(super) async fn saw(
        &self,
        peer: &MemberId,
        epoch: Epoch,
        ends: &[SeenEnd],
    ) -> Result<(), FlowError> {
        retry_conflicts(|| async {
            let mut draft = Draft::default();
            let (revision, mut row) = self.row(peer).await?;
            for (tag, proven) in ends {
                let key = self.proven_key(peer, epoch, tag);
                if self.home.vault.read(Table::Proven, &key).await?.is_some() {
                    continue;
                }
                draft.put(Table::Proven, &key, 0, vec![1]);
                let count = match proven {
                    Proven::Upheld => &mut row.upheld_seen,
                    Proven::Overturned => &mut row.overturned_seen,
                };
                *count = count.saturating_add(1);
            }
            if draft.len() == 0 {
                return Ok(());
            }
            draft.put(Table::Standing, &self.row_key(peer), revision, row.encode());
            draft.commit(&self.home.vault).await
        })
        .await
    }

    /// Why a peer should be in quarantine, and since which month.
    fn finding(
        peer: &MemberId,
        months: &BTreeMap<MemberId, Months>,
        own: &[(Month, MonthlyCounts)],
    ) -> Option<(Month, String)> {
        let stated = months.get(peer)?;
        let twice = stated.iter().rev().find(|(_, held)| held.second.is_some());
        if let Some((month, _)) = twice {
            return Some((*month, format!("stated two different counts for {month}")));
        }
        let recent = stated.keys().rev().take(JUMP_MONTHS);
        let mut jumps = recent.filter_map(|month| {
            let jump = jump_in(*month, peer, (months, own))?;
            Some((*month, format!("in {month} it {jump}")))
        });
        jumps.next()
    }

    async fn quarantine(
        &self,
        peer: &MemberId,
        month: Month,
        reason: &str,
    ) -> Result<StandingRow, FlowError> {
        tracing::warn!(%peer, reason, "peer put into quarantine until a person lifts it");
        self.change(peer, |row| {
            row.quarantined_since = Some(month.start());
            reason.clone_into(&mut row.reason);
            Ok(())
        })
        .await
    }

    fn report(&self, peer: &MemberId, row: &StandingRow, stated: &Months) -> PeerReport {
        let from = Month::of(self.home.clock.now().day()).minus(TRUST_MONTHS);
        let recent: Vec<MonthlyCounts> = stated
            .range(from..)
            .map(|(_, held)| held.first.counts)
            .collect();
        let (upheld, overturned) = believed((row.upheld_seen, row.overturned_seen), &recent);
        let twice = stated.iter().rev().find(|(_, held)| held.second.is_some());
        PeerReport {
            member: peer.clone(),
            standing: PeerStanding {
                upheld,
                overturned,
                quarantined_since: row.quarantined_since,
                troubled_since: row.troubled_since,
            },
            trust_per_mille: weight_per_mille(upheld, overturned),
            upheld_seen: row.upheld_seen,
            overturned_seen: row.overturned_seen,
            months_stated: u32::try_from(stated.len()).unwrap_or(u32::MAX),
            reason: row.reason.clone(),
            decided_by: row.decided_by.clone(),
            contradicted: twice.map(|(month, _)| *month),
        }
    }

    async fn reported(&self, peer: &MemberId) -> Result<PeerReport, FlowError> {
        self.look().await?;
        let found = self.lock().get(peer).cloned();
        found.ok_or(FlowError::NotFound { what: "peer" })
    }

    async fn row(&self, peer: &MemberId) -> Result<(u64, StandingRow), FlowError> {
        let held = self
            .home
            .vault
            .read(Table::Standing, &self.row_key(peer))
            .await?;
        held.map_or(Ok((0, StandingRow::default())), |row| {
            Ok((row.revision, StandingRow::decode(&row.bytes)?))
        })
    }

    /// Changes what is known of a peer of this network.
    async fn change(
        &self,
        peer: &MemberId,
        change: impl Fn(&mut StandingRow) -> Result<(), FlowError>,
    ) -> Result<StandingRow, FlowError> {
        if self.home.peer(peer).is_none() {
            return Err(FlowError::NotFound { what: "peer" });
        }
        retry_conflicts(|| async {
            let (revision, mut row) = self.row(peer).await?;
            change(&mut row)?;
            let mut draft = Draft::default();
            draft.put(Table::Standing, &self.row_key(peer), revision, row.encode());
            draft.commit(&self.home.vault).await?;
            Ok(row)
        })
        .await
    }

    fn row_key(&self, peer: &MemberId) -> Vec<u8> {
        let name = peer.as_str().as_bytes();
        self.home.vault.row_key(Table::Standing, name).to_vec()
    }

    fn proven_key(&self, peer: &MemberId, epoch: Epoch, tag: &Tag) -> Vec<u8> {
        let name = [peer.as_str().as_bytes(), &[0], tag].concat();
        let hash = self.home.vault.row_key(Table::Proven, &name);
        [epoch.0.to_be_bytes().as_slice(), &hash].concat()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MemberId, PeerReport>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a peer's filings jumped in one month, against its own months before and what others stated
/// of the same month.
fn jump_in(
    month: Month,
    peer: &MemberId,
    (months, own): (&BTreeMap<MemberId, Months>, &[(Month, MonthlyCounts)]),
) -> Option<Jump> {
    let stated = months.get(peer)?;
    let counts = stated.get(&month)?.first.counts;
    let before: Vec<MonthlyCounts> = stated
        .range(..month)
        .map(|(_, held)| held.first.counts)
        .collect();
    let others = months.iter().filter(|(other, _)| *other != peer);
    let theirs = others.filter_map(|(_, held)| Some(held.get(&month)?.first.counts));
    let mine = own.iter().filter(|(one, _)| *one == month);
    let peers: Vec<MonthlyCounts> = theirs.chain(mine.map(|(_, counts)| *counts)).collect();
    filing_jump(&before, &counts, &peers)
}

/// The name of who decides.
fn decider(by: &str) -> Result<String, Malformed> {
    let name = by.trim();
    let fits = (1..=DECIDER_CHARS_MAX).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    let reason = format!("must be 1 to {DECIDER_CHARS_MAX} printable characters: who decides");
    Err(Malformed::new("by", reason))
}
