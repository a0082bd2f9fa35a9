//! What the rows of feeds and of the audit log say about each other, for `node verify`.

use async_trait::async_trait;

use super::feed_rows::FeedRow;
use crate::limits::{FEED_GROUP_LEAVES, LEAF_BYTES, STORE_SCAN_ROWS_MAX};
use crate::merkle::{Frontier, leaf_hash};
use crate::store::{IndexCheck, Scan, StoreError, Table, Vault};

/// The audit log's head is the root over exactly the entries that are there.
#[derive(Debug, Clone, Copy)]
pub struct AuditLogCheck;

#[async_trait]
impl IndexCheck for AuditLogCheck {
    fn name(&self) -> &'static str {
        "audit log"
    }

    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError> {
        let mut log = Frontier::new();
        let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
        loop {
            let page = vault.scan(Table::AuditEntry, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            for (key, row) in &page {
                if *key != log.size().to_be_bytes() {
                    findings.push(format!("the entry at position {} is missing", log.size()));
                    return Ok(());
                }
                if log.append(leaf_hash(&row.bytes)).is_err() {
                    return Ok(());
                }
            }
            scan = scan.behind(last);
        }
        let head = vault.read(Table::AuditHead, super::ledger::HEAD).await?;
        let head = head.map(|row| Frontier::decode(&row.bytes));
        let agrees = match head {
            None => log.size() == 0,
            Some(Ok(head)) => head.size() == log.size() && head.root() == log.root(),
            Some(Err(_)) => false,
        };
        if !agrees {
            findings.push(format!(
                "its head does not agree with its {} entries",
                log.size()
            ));
        }
        Ok(())
    }
}

/// Every open feed's head, but where the leaves went with their epoch,
/// is the root over exactly the groups that are there.
#[derive(Debug, Clone, Copy)]
pub struct FeedsCheck;

#[async_trait]
impl IndexCheck for FeedsCheck {
    fn name(&self) -> &'static str {
        "own feeds"
    }

    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError> {
        for (_, row) in vault
            .scan(Table::FeedHead, &Scan::all(STORE_SCAN_ROWS_MAX))
            .await?
        {
            let Some(row) = FeedRow::decode(&row.bytes) else {
                findings.push("a feed's head cannot be read".to_owned());
                continue;
            };
            if row.is_forgotten() {
                continue;
            }
            let FeedRow { attempt, open } = row;
            let Some(open) = open else { continue };
            let origin = open.head.feed().origin();
            let log = replay(
                vault,
                &super::feed_rows::group_prefix(vault, &origin, attempt),
            )
            .await?;
            if log.size() != open.head.size() || log.root() != open.head.root() {
                findings.push(format!(
                    "{origin}: its head names {} leaves and {} are there, or others",
                    open.head.size(),
                    log.size()
                ));
            }
        }
        Ok(())
    }
}

async fn replay(vault: &Vault, prefix: &[u8]) -> Result<Frontier, StoreError> {
    let mut log = Frontier::new();
    let mut scan = Scan::prefix(prefix, STORE_SCAN_ROWS_MAX);
    loop {
        let page = vault.scan(Table::FeedGroup, &scan).await?;
        let Some((last, _)) = page.last() else {
            return Ok(log);
        };
        for (_, row) in &page {
            for leaf in row.bytes.chunks(LEAF_BYTES).take(FEED_GROUP_LEAVES) {
                // A log that can take no more leaves shows as another size.
                drop(log.append(leaf_hash(leaf)));
            }
        }
        scan = scan.behind(last);
    }
}
