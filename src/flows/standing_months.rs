//! Months: this member's own, counted once and signed whenever they are asked for, and those that
//! peers stated.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::standing::Standings;
use super::standing_rows::{PeerMonth, own_month, read_own_month};
use super::{FlowError, retry_conflicts};
use crate::domain::{MemberId, Month, MonthlyCounts};
use crate::limits::{MONTHS_STATED_MAX, STORE_BATCH_ROWS_MAX};
use crate::membership::{Member, MonthlyStatement};
use crate::protocol::feed::snapshot_leaves;
use crate::store::{Plain, Scan, StoreError, Table};

/// A peer's months, the oldest first.
pub(super) type Months = BTreeMap<Month, PeerMonth>;

impl Standings {
    /// What this member states of its months, signed, the oldest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn own_statements(&self) -> Result<Vec<MonthlyStatement>, FlowError> {
        let home = &self.home;
        let own = self.own_months().await?;
        let skipped = own.len().saturating_sub(MONTHS_STATED_MAX);
        let identity = home.identity();
        let stated = own.into_iter().skip(skipped);
        let sign = |month| MonthlyStatement::make(&identity, home.network(), &home.member, month);
        Ok(stated.map(sign).collect())
    }

    /// Counts the last month of this member's own book, once. A restored node does so only for
    /// months of which it cannot have stated anything before.
    pub(super) async fn state_last_month(&self) -> Result<(), FlowError> {
        let home = &self.home;
        let month = Month::of(home.clock.now().day()).minus(1);
        let key = home
            .vault
            .row_key(Table::OwnMonth, month.to_string().as_bytes());
        let may_have_stated = home
            .fence
            .is_some_and(|fence| month.next().start() < home.calendar.begins_at(fence.next()));
        if may_have_stated || home.vault.read(Table::OwnMonth, &key).await?.is_some() {
            return Ok(());
        }
        let mut counts = MonthlyCounts::default();
        let mut at = None;
        let mut is_empty = true;
        loop {
            let (records, next) = self.book.page(at).await?;
            is_empty &= records.is_empty();
            for record in &records {
                let was = self.book.retracted_as(record).await?;
                counts.count(record, was, month);
            }
            if next.is_none() {
                break;
            }
            at = next;
        }
        // A member that has imported nothing yet has nothing to state.
        if is_empty {
            return Ok(());
        }
        // The size of the book, no closer than the size of a feed tells it.
        let told = snapshot_leaves(u64::from(counts.accounts))?;
        counts.accounts = u32::try_from(told).unwrap_or(u32::MAX);
        let mut draft = Draft::default();
        draft.put(Table::OwnMonth, &key, 0, own_month(&counts));
        match draft.commit(&home.vault).await {
            // Another replica was first: what it stated counts.
            Err(FlowError::Store(StoreError::Conflict { .. })) => Ok(()),
            committed => committed,
        }
    }

    pub(super) async fn own_months(&self) -> Result<Vec<(Month, MonthlyCounts)>, FlowError> {
        let home = &self.home;
        let this = Month::of(home.clock.now().day());
        let mut own = Vec::new();
        for back in (1..=u32::try_from(MONTHS_STATED_MAX).unwrap_or(24)).rev() {
            let month = this.minus(back);
            let key = home
                .vault
                .row_key(Table::OwnMonth, month.to_string().as_bytes());
            if let Some(row) = home.vault.read(Table::OwnMonth, &key).await? {
                own.push((month, read_own_month(&row.bytes)?));
            }
        }
        Ok(own)
    }

    /// Takes a peer's statement of a month that is over. The first one counts; another one for the
    /// same month is kept beside it, as the proof that the peer contradicts itself.
    pub(super) async fn take(
        &self,
        peer: &Member,
        statement: MonthlyStatement,
    ) -> Result<(), FlowError> {
        let home = &self.home;
        let this = Month::of(home.clock.now().day());
        let oldest = this.minus(u32::try_from(MONTHS_STATED_MAX).unwrap_or(24));
        let is_over = (oldest..this).contains(&statement.month);
        if !is_over || !statement.is_by(&peer.identity_key, home.network(), &peer.id) {
            tracing::warn!(peer = %peer.id, month = %statement.month, "monthly counts refused");
            return Ok(());
        }
        let key = self.month_key(&peer.id, statement.month);
        retry_conflicts(|| async {
            let held = home.vault.read(Table::PeerMonth, &key).await?;
            let revision = held.as_ref().map_or(0, |row| row.revision);
            let held = held
                .map(|row| PeerMonth::decode(statement.month, &row.bytes))
                .transpose()?;
            let next = match held {
                None => PeerMonth {
                    first: statement.clone(),
                    second: None,
                },
                Some(held) if held.first.counts == statement.counts || held.second.is_some() => {
                    return Ok(());
                }
                Some(held) => PeerMonth {
                    second: Some(statement.clone()),
                    ..held
                },
            };
            let mut draft = Draft::default();
            draft.put(Table::PeerMonth, &key, revision, next.encode());
            draft.commit(&home.vault).await
        })
        .await
    }

    /// Deletes peers' months that are older than a member states, and the marks of epochs that are
    /// served no more.
    pub(super) async fn forget_old(&self) -> Result<(), FlowError> {
        let home = &self.home;
        let this = Month::of(home.clock.now().day());
        let oldest = this.minus(u32::try_from(MONTHS_STATED_MAX).unwrap_or(24));
        let mut draft = Draft::default();
        for peer in home.asked() {
            for (key, month, row) in self.month_rows(&peer.id).await? {
                if month < oldest && draft.len() < STORE_BATCH_ROWS_MAX {
                    draft.delete(Table::PeerMonth, &key, row.revision);
                }
            }
        }
        let live = home.calendar.served(home.clock.now()).into_iter().min();
        let room = STORE_BATCH_ROWS_MAX.saturating_sub(draft.len());
        let page = home.vault.scan(Table::Proven, &Scan::all(room)).await?;
        for (key, row) in page {
            let epoch = key
                .first_chunk::<4>()
                .map(|epoch| u32::from_be_bytes(*epoch));
            if live.is_none_or(|live| epoch.is_some_and(|epoch| epoch >= live.0)) {
                break;
            }
            draft.delete(Table::Proven, &key, row.revision);
        }
        draft.commit(&home.vault).await
    }

    pub(super) async fn months_of(&self, peer: &MemberId) -> Result<Months, FlowError> {
        let rows = self.month_rows(peer).await?.into_iter();
        let read =
            |(_, month, row): (_, Month, Plain)| Ok((month, PeerMonth::decode(month, &row.bytes)?));
        rows.map(read).collect()
    }

    async fn month_rows(&self, peer: &MemberId) -> Result<Vec<(Vec<u8>, Month, Plain)>, FlowError> {
        let scan = Scan {
            prefix: self.month_prefix(peer),
            after: None,
            limit: 2 * MONTHS_STATED_MAX,
        };
        let page = self.home.vault.scan(Table::PeerMonth, &scan).await?;
        let month = |key: &[u8]| {
            let number = key.last_chunk::<4>()?;
            Some(Month::from_number(u32::from_be_bytes(*number)))
        };
        let rows = page.into_iter();
        Ok(rows
            .filter_map(|(key, row)| Some((key.clone(), month(&key)?, row)))
            .collect())
    }

    fn month_prefix(&self, peer: &MemberId) -> Vec<u8> {
        let name = peer.as_str().as_bytes();
        let key = self.home.vault.row_key(Table::PeerMonth, name);
        key.iter().copied().take(16).collect()
    }

    fn month_key(&self, peer: &MemberId, month: Month) -> Vec<u8> {
        let number = month.number().to_be_bytes();
        [self.month_prefix(peer).as_slice(), &number].concat()
    }
}
