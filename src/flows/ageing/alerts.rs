//! Alerts, whatever became of them, and the deliveries that were given up: each goes 180 days after
//! it was seen. They are numbered in the order of time, so the oldest are the first.

use super::answers::{RULE, life};
use super::{Ageing, Ahead};
use crate::flows::draft::Draft;
use crate::flows::{FlowError, alerts, webhook};
use crate::limits::SWEEP_ENTRIES;
use crate::store::Table;

impl Ageing {
    /// One commit; gives whether it was the last.
    pub(super) async fn forget_some_alerts(&self) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        let oldest = self.home.clock.now().minus(life());
        let page = alerts::oldest(&self.home, SWEEP_ENTRIES).await?;
        let mut draft = Draft::default();
        let mut gone = 0;
        for (key, revision, alert) in &page {
            if alert.seen_at > oldest {
                break;
            }
            draft.delete(Table::Alert, key, *revision);
            let letter = webhook::dead_key(alert.id);
            self.stage_gone(&mut draft, Table::Outbox, &letter).await?;
            gone += 1;
        }
        draft.commit(vault).await?;
        Ok(gone < SWEEP_ENTRIES)
    }

    pub(super) async fn alerts_ahead(&self) -> Result<Option<Ahead>, FlowError> {
        let oldest = alerts::oldest(&self.home, 1).await?;
        let Some((_, _, first)) = oldest.first() else {
            return Ok(None);
        };
        let first_at = first.seen_at.plus(life());
        // One row of the table is the number of the newest.
        let rows = self.count(Table::Alert).await?.saturating_sub(1);
        Ok(Some(Ahead {
            kind: "alert".to_owned(),
            rule: RULE,
            rows,
            due: u64::from(first_at <= self.home.clock.now()),
            first_at,
        }))
    }
}
