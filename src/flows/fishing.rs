//! Findings of fishing: judged at intervals from what this node keeps, and kept until a person has
//! looked at them.

mod own;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::Draft;
use super::home::Home;
use super::ledger::quota_key;
use super::{AuditEvent, Book, FlowError, Mirrors, retry_conflicts};
use crate::domain::{MemberId, Timestamp};
use crate::limits::{
    ASKER_DAYS_KEPT, FINDING_WORDS_BYTES_MAX, FINDINGS_MAX, FISHING_EPOCHS, FISHING_INTERVAL,
    STORE_BATCH_ROWS_MAX,
};
use crate::protocol::quota::QuotaRow;
use crate::risk::fishing::{self, Asking, CountedQuestion, EpochSpent, FishingCode, Suspicion};
use crate::store::{Plain, Scan, Table};
use crate::wire::Malformed;
pub(super) use rows::AskedRow;
use rows::AskerRow;
pub use rows::{Acknowledged, KeptFinding};

/// Counts an answered question in its member's day, in the commit that debits it.
pub(super) async fn count(
    home: &Home,
    draft: &mut Draft,
    event: &AuditEvent,
) -> Result<(), FlowError> {
    let AuditEvent::Answered {
        member,
        purpose,
        commitment,
        elements,
        ..
    } = event
    else {
        return Ok(());
    };
    let at = home.clock.now();
    let key = AskerRow::key(&home.vault, member, at.day());
    let held = home.vault.read(Table::AskerDay, &key).await?;
    let revision = held.as_ref().map_or(0, |row| row.revision);
    let newest = match draft.staged(Table::AskerDay, &key) {
        Some(staged) => staged.map(<[u8]>::to_vec),
        None => held.map(|row| row.bytes.to_vec()),
    };
    let mut row = match newest {
        Some(bytes) => AskerRow::decode(&bytes)?,
        None => AskerRow::new(member.clone(), at.day()),
    };
    row.counter.count(&CountedQuestion {
        at,
        purpose: *purpose,
        elements: *elements,
        commitment: *commitment,
    });
    draft.put(Table::AskerDay, &key, revision, row.encode());
    Ok(())
}

/// What a finding is about: its code, and the peer unless it is this node itself.
type About = (FishingCode, Option<MemberId>);

/// Judges at intervals, and keeps what it finds.
#[derive(Debug, Clone)]
pub struct Fishing {
    home: Arc<Home>,
    book: Book,
    mirrors: Arc<Mirrors>,
}

impl Fishing {
    /// Judges what this node keeps.
    #[must_use]
    pub fn new(home: Arc<Home>, book: Book, mirrors: Arc<Mirrors>) -> Self {
        Self {
            home,
            book,
            mirrors,
        }
    }

    /// Judges at intervals; never ends.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(FISHING_INTERVAL).await;
            match self.judge().await {
                Ok(0) => {}
                Ok(found) => tracing::warn!(
                    found,
                    "queries look like fishing: see `creditmesh audit findings`"
                ),
                Err(error) => tracing::error!(%error, "queries were not judged"),
            }
        }
    }

    /// Judges now: this node's own queries, and what each peer asked. Gives how many findings are
    /// new. What a person acknowledged is found again only by what came after.
    ///
    /// # Errors
    /// The store's failure; what was found before it is kept.
    pub async fn judge(&self) -> Result<usize, FlowError> {
        let now = self.home.clock.now();
        let kept = self.list().await?;
        let mut settled: BTreeMap<About, Timestamp> = BTreeMap::new();
        for one in &kept {
            if let Some(done) = &one.acknowledged {
                let at = settled.entry((one.code, one.peer.clone())).or_default();
                *at = done.at.max(*at);
            }
        }
        let mut found = Vec::new();
        for suspicion in self.own_suspicions(&settled).await? {
            found.push((None, suspicion));
        }
        for (member, asking) in self.askers().await? {
            for suspicion in fishing::peers(&asking, &self.home.policy.fishing, now) {
                let about = (suspicion.code, Some(member.clone()));
                if settled.get(&about).is_none_or(|at| suspicion.since > *at) {
                    found.push((Some(member.clone()), suspicion));
                }
            }
        }
        for (member, suspicion) in super::samples::overdue(&self.home, now).await? {
            let about = (suspicion.code, Some(member.clone()));
            if settled.get(&about).is_none_or(|at| suspicion.since > *at) {
                found.push((Some(member), suspicion));
            }
        }
        let mut new = 0;
        for (peer, suspicion) in found {
            new += usize::from(self.keep(&kept, peer, suspicion).await?);
        }
        self.forget(&kept).await?;
        Ok(new)
    }

    /// Every finding that is kept, the newest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<KeptFinding>, FlowError> {
        let rows = self.rows(Table::Finding).await?;
        let decoded = rows
            .iter()
            .map(|(key, row)| KeptFinding::decode(key, &row.bytes));
        let mut findings = decoded.collect::<Result<Vec<_>, _>>()?;
        findings.sort_by_key(|one| (std::cmp::Reverse(one.found_at), one.id));
        Ok(findings)
    }

    /// Notes that a person has looked at a finding.
    ///
    /// # Errors
    /// [`FlowError::NotFound`], [`FlowError::Malformed`] for a blank or too long name or text,
    /// [`FlowError::NotPossible`] where somebody else was first.
    pub async fn acknowledge(
        &self,
        id: [u8; 8],
        by: &str,
        says: &str,
    ) -> Result<KeptFinding, FlowError> {
        for (field, text) in [("by", by), ("says", says)] {
            if text.trim().is_empty() || text.len() > FINDING_WORDS_BYTES_MAX {
                let reason = format!("must be 1 to {FINDING_WORDS_BYTES_MAX} bytes, not blank");
                return Err(Malformed::new(field, reason).into());
            }
        }
        retry_conflicts(|| async {
            let row = self.home.vault.read(Table::Finding, &id).await?;
            let row = row.ok_or(FlowError::NotFound { what: "finding" })?;
            let mut finding = KeptFinding::decode(&id, &row.bytes)?;
            if let Some(done) = &finding.acknowledged {
                let who = &done.by;
                let says = format!("{who} acknowledged this finding already, at {}", done.at);
                return Err(FlowError::NotPossible(says));
            }
            finding.acknowledged = Some(Acknowledged {
                by: by.to_owned(),
                says: says.to_owned(),
                at: self.home.clock.now(),
            });
            let mut draft = Draft::default();
            draft.put(Table::Finding, &id, row.revision, finding.encode());
            draft.commit(&self.home.vault).await?;
            Ok(finding)
        })
        .await
    }

    /// Keeps a suspicion: in the finding that waits for a person, or in a new one. Gives whether it
    /// is new.
    async fn keep(
        &self,
        kept: &[KeptFinding],
        peer: Option<MemberId>,
        suspicion: Suspicion,
    ) -> Result<bool, FlowError> {
        let now = self.home.clock.now();
        let waits = |one: &&KeptFinding| {
            one.code == suspicion.code && one.peer == peer && one.acknowledged.is_none()
        };
        let waiting = kept.iter().find(waits);
        if waiting.is_some_and(|one| one.seen == suspicion.seen) {
            return Ok(false);
        }
        let id = waiting.map_or_else(|| self.id_of(&suspicion, peer.as_ref(), now), |one| one.id);
        let held = self.home.vault.read(Table::Finding, &id).await?;
        if let Some(row) = &held
            && KeptFinding::decode(&id, &row.bytes)?.acknowledged.is_some()
        {
            // A person looked at it while it was judged again.
            return Ok(false);
        }
        let finding = KeptFinding {
            id,
            code: suspicion.code,
            peer,
            seen: suspicion.seen,
            since: waiting.map_or(suspicion.since, |one| one.since.min(suspicion.since)),
            found_at: waiting.map_or(now, |one| one.found_at),
            acknowledged: None,
        };
        let mut draft = Draft::default();
        let revision = held.map_or(0, |row| row.revision);
        draft.put(Table::Finding, &id, revision, finding.encode());
        draft.commit(&self.home.vault).await?;
        Ok(waiting.is_none())
    }

    /// The number of a new finding: the same at every replica that finds it in this moment.
    fn id_of(&self, suspicion: &Suspicion, peer: Option<&MemberId>, now: Timestamp) -> [u8; 8] {
        let whom = peer.map_or("", |peer| peer.as_str());
        let name = format!("{}/{whom}/{}", suspicion.code.word(), now.unix_ms());
        let key = self.home.vault.row_key(Table::Finding, name.as_bytes());
        key.first_chunk().copied().unwrap_or_default()
    }

    /// What each peer asked, as far as it is kept; days that are too old are deleted.
    async fn askers(&self) -> Result<Vec<(MemberId, Asking)>, FlowError> {
        let today = self.home.clock.now().day().unix_days();
        let mut days: BTreeMap<MemberId, Vec<fishing::AskerDay>> = BTreeMap::new();
        let mut old = Vec::new();
        for (key, row) in self.rows(Table::AskerDay).await? {
            let day = AskerRow::day_of(&key).map_or(0, |day| day.unix_days());
            if today - day >= ASKER_DAYS_KEPT {
                old.push((Table::AskerDay, key, row.revision));
                continue;
            }
            let row = AskerRow::decode(&row.bytes)?;
            days.entry(row.member).or_default().push(row.counter.day);
        }
        self.delete(old).await?;
        let mut askers = Vec::new();
        for (member, days) in days {
            let asking = Asking {
                days,
                epochs: self.spent(&member).await?,
                feed_leaves: self.feed_leaves(&member).await?,
            };
            askers.push((member, asking));
        }
        Ok(askers)
    }

    async fn spent(&self, member: &MemberId) -> Result<Vec<EpochSpent>, FlowError> {
        let home = &self.home;
        let mut epochs = Vec::new();
        let mut epoch = Some(home.calendar.current(home.clock.now()));
        for _ in 0..FISHING_EPOCHS {
            let Some(one) = epoch else { break };
            let key = quota_key(&home.vault, member, one);
            if let Some(row) = home.vault.read(Table::Quota, &key).await? {
                let row = QuotaRow::decode(&row.bytes)?;
                epochs.push(EpochSpent {
                    epoch: one,
                    began: home.calendar.begins_at(one),
                    spent: row.used,
                    quota: row.limit,
                });
            }
            epoch = one.previous();
        }
        Ok(epochs)
    }

    /// Leaves of the largest feed of a peer that this node mirrors.
    async fn feed_leaves(&self, member: &MemberId) -> Result<Option<u64>, FlowError> {
        let home = &self.home;
        let mut most = None;
        for epoch in home.calendar.served(home.clock.now()) {
            let mirror = self.mirrors.of(member, home.level(), epoch)?;
            let reach = mirror.reach().await?;
            most = most.max(reach.checkpoint_at.map(|_| reach.size));
        }
        Ok(most)
    }

    /// Deletes the oldest acknowledged findings beyond the bound.
    async fn forget(&self, kept: &[KeptFinding]) -> Result<(), FlowError> {
        let mut too_many = kept.len().saturating_sub(FINDINGS_MAX);
        let mut old = Vec::new();
        for one in kept.iter().rev().filter(|one| one.acknowledged.is_some()) {
            if too_many == 0 {
                break;
            }
            too_many -= 1;
            if let Some(row) = self.home.vault.read(Table::Finding, &one.id).await? {
                old.push((Table::Finding, one.id.to_vec(), row.revision));
            }
        }
        self.delete(old).await
    }

    async fn delete(&self, rows: Vec<(Table, Vec<u8>, u64)>) -> Result<(), FlowError> {
        for part in rows.chunks(STORE_BATCH_ROWS_MAX) {
            let mut draft = Draft::default();
            for (table, key, revision) in part {
                draft.delete(*table, key, *revision);
            }
            draft.commit(&self.home.vault).await?;
        }
        Ok(())
    }

    /// Every row of a small table.
    async fn rows(&self, table: Table) -> Result<Vec<(Vec<u8>, Plain)>, FlowError> {
        let mut rows = Vec::new();
        let mut scan = Scan::all(STORE_BATCH_ROWS_MAX);
        loop {
            let page = self.home.vault.scan(table, &scan).await?;
            let is_last = page.len() < STORE_BATCH_ROWS_MAX;
            if let Some((key, _)) = page.last() {
                scan = scan.behind(key);
            }
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }
}
