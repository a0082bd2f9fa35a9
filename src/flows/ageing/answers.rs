//! Answers, openings of queries, idempotency keys and the index from borrowers to queries: each
//! goes after 180 days.
//!
//! When a query was asked stands in the audit log, which is in the order of time and is never
//! deleted; so answers and openings need no date of their own. The others have a row in the order
//! of the days that names them.

use std::time::Duration;

use super::rows::{Mark, about, dated, day_key, day_of};
use super::{Ageing, Ahead};
use crate::domain::{Day, QueryId, Timestamp};
use crate::flows::draft::Draft;
use crate::flows::home::Home;
use crate::flows::{FlowError, openings, retry_conflicts};
use crate::limits::{ANSWER_DAYS, STORE_BATCH_ROWS_MAX, SWEEP_ENTRIES, SWEEP_ROWS_FULL};
use crate::store::{Scan, Table};

/// The mark of the first audit entry whose answer stands.
const QUERIES: &[u8] = b"queries";

/// The mark of how far keys that were written before there were dates have got one.
const OLD_KEYS: &[u8] = b"old-keys";

/// The mark of when this node began to index its queries by borrower; 0 where that is all of them.
const INDEX: &[u8] = b"index";

/// What [`OLD_KEYS`] says when all have.
const ALL: &[u8] = &[];

pub(super) const RULE: &str = "answer_days";

/// How long answers are kept, and what goes with them.
pub(super) fn life() -> Duration {
    Duration::from_secs(ANSWER_DAYS * 86_400)
}

/// The moment of an entry of the audit log and, where this node asked, the query's id.
fn entry(line: &[u8]) -> Option<(Timestamp, Option<QueryId>)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (_version, at, kind) = (words.next()?, words.next()?, words.next()?);
    let at = Timestamp::from_unix_ms(at.parse().ok()?);
    let query = (kind == "asked").then(|| words.next()?.parse().ok().map(QueryId));
    Some((at, query.flatten()))
}

/// Since when queries are indexed by borrower; `None` where every one is that is kept.
///
/// # Errors
/// The store's failure.
pub(in crate::flows) async fn index_since(home: &Home) -> Result<Option<Timestamp>, FlowError> {
    let mark = Mark::read(&home.vault, INDEX).await?;
    let since = Timestamp::from_unix_ms(i64::try_from(mark.number()).unwrap_or(i64::MAX));
    let is_old = home.clock.now().since(since) > life();
    Ok((mark.revision > 0 && mark.number() > 0 && !is_old).then_some(since))
}

impl Ageing {
    /// Notes, once, when the index began: on a store that was written before there was one it does
    /// not have the queries until now.
    pub(super) async fn note_index(&self) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        retry_conflicts(|| async {
            let mark = Mark::read(vault, INDEX).await?;
            if mark.revision > 0 {
                return Ok(());
            }
            let asked = vault.store().scan(Table::Query, &Scan::all(1)).await?;
            let since = if asked.is_empty() {
                0
            } else {
                self.home.clock.now().unix_ms()
            };
            let mut draft = Draft::default();
            mark.stage(&mut draft, INDEX, &since.to_be_bytes());
            draft.commit(vault).await
        })
        .await
    }

    /// One commit; gives whether it was the last.
    pub(super) async fn forget_some_answers(&self) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        let mark = Mark::read(vault, QUERIES).await?;
        let first = mark.number();
        let mut scan = Scan::all(SWEEP_ENTRIES);
        if let Some(before) = first.checked_sub(1) {
            scan = scan.behind(&before.to_be_bytes());
        }
        let oldest = self.home.clock.now().minus(life());
        let page = vault.scan(Table::AuditEntry, &scan).await?;
        let mut draft = Draft::default();
        let mut next = first;
        let mut is_last = page.len() < SWEEP_ENTRIES;
        for (_, row) in &page {
            let (at, query) = entry(&row.bytes).ok_or(FlowError::Unreadable {
                what: "audit log entry",
            })?;
            if at > oldest {
                is_last = true;
                break;
            }
            if draft.len() > SWEEP_ROWS_FULL {
                is_last = false;
                break;
            }
            next += 1;
            let Some(query) = query else { continue };
            for key in openings::keys(vault, query).await? {
                self.stage_gone(&mut draft, Table::Query, &key).await?;
            }
            let key = vault.row_key(Table::Answer, query.0.as_bytes());
            self.stage_gone(&mut draft, Table::Answer, &key).await?;
        }
        if next > first {
            mark.stage(&mut draft, QUERIES, &next.to_be_bytes());
        }
        draft.commit(vault).await?;
        Ok(is_last)
    }

    /// One commit; gives whether it was the last.
    pub(super) async fn forget_some_dated(&self) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        let page = vault.scan(Table::Dated, &Scan::all(SWEEP_ENTRIES)).await?;
        let oldest = u32::from_be_bytes(day_key(self.home.clock.now().minus(life())));
        let mut draft = Draft::default();
        let mut gone = 0;
        for (key, row) in &page {
            if day_of(key) >= oldest {
                break;
            }
            let (table, target) =
                about(&row.bytes).ok_or(FlowError::Unreadable { what: "dated row" })?;
            self.stage_gone(&mut draft, table, target).await?;
            draft.delete(Table::Dated, key, row.revision);
            gone += 1;
        }
        draft.commit(vault).await?;
        Ok(gone < SWEEP_ENTRIES)
    }

    /// Idempotency keys and request ids of a store that an earlier version wrote have no date: they
    /// count from the first time that this version sees them.
    pub(super) async fn date_some_keys(&self) -> Result<bool, FlowError> {
        let vault = &self.home.vault;
        let mark = Mark::read(vault, OLD_KEYS).await?;
        if mark.revision > 0 && mark.at == ALL {
            return Ok(true);
        }
        let limit = STORE_BATCH_ROWS_MAX - 1;
        let scan = Scan {
            prefix: Vec::new(),
            after: (mark.revision > 0).then(|| mark.at.clone()),
            limit,
        };
        let page = vault.store().scan(Table::Idempotency, &scan).await?;
        let mut draft = Draft::default();
        // A longer key begins with its epoch.
        for (key, _) in page.iter().filter(|(key, _)| key.len() == 32) {
            let now = self.home.clock.now();
            let (table, key, row) = dated(vault, (Table::Idempotency, key), now);
            if vault.store().read(table, &key).await?.is_none() {
                draft.put(table, &key, 0, row);
            }
        }
        let at = page.last().filter(|_| page.len() == limit);
        mark.stage(&mut draft, OLD_KEYS, at.map_or(ALL, |(key, _)| key));
        draft.commit(vault).await?;
        Ok(at.is_none())
    }

    pub(super) async fn answers_ahead(&self) -> Result<Option<Ahead>, FlowError> {
        let vault = &self.home.vault;
        let now = self.home.clock.now();
        let first = Mark::read(vault, QUERIES).await?.number();
        let mut scan = Scan::all(STORE_BATCH_ROWS_MAX);
        if let Some(before) = first.checked_sub(1) {
            scan = scan.behind(&before.to_be_bytes());
        }
        let (mut first_at, mut due) = (None, 0);
        'log: loop {
            let page = vault.scan(Table::AuditEntry, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            scan = scan.behind(last);
            for (at, _) in page
                .iter()
                .filter_map(|(_, row)| entry(&row.bytes))
                .filter(|(_, query)| query.is_some())
            {
                let end = at.plus(life());
                first_at = first_at.or(Some(end));
                if end > now {
                    break 'log;
                }
                due += 1;
            }
        }
        let Some(first_at) = first_at else {
            return Ok(None);
        };
        Ok(Some(Ahead {
            kind: "answer".to_owned(),
            rule: RULE,
            rows: self.count(Table::Answer).await?,
            due,
            first_at,
        }))
    }

    pub(super) async fn dated_ahead(&self) -> Result<Option<Ahead>, FlowError> {
        let vault = &self.home.vault;
        let page = vault.store().scan(Table::Dated, &Scan::all(1)).await?;
        let Some((key, _)) = page.first() else {
            return Ok(None);
        };
        let goes = u64::from(day_of(key)) + ANSWER_DAYS + 1;
        let first_at = Day::from_unix_days(i64::try_from(goes).unwrap_or(i64::MAX)).start();
        Ok(Some(Ahead {
            kind: "dated".to_owned(),
            rule: RULE,
            rows: self.count(Table::Dated).await?,
            due: 0,
            first_at,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_its_moment_and_only_of_what_was_asked_its_query() {
        let id = "019c0000-0000-7000-8000-000000000002";
        let asked = format!("1 1772442000000 asked {id} credit-application aa bb 3");
        let at = Timestamp::from_unix_ms(1_772_442_000_000);
        assert_eq!(
            entry(asked.as_bytes()),
            Some((at, Some(QueryId(id.parse().unwrap()))))
        );
        let answered = b"1 1772442000000 answered beta full 3 credit-application aa bb 2";
        assert_eq!(entry(answered), Some((at, None)));
        assert_eq!(entry(b"1 soon asked"), None);
    }
}
