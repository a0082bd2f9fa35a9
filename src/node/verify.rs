//! `node verify`: every seal, every digest, and what rows say about each other.

use async_trait::async_trait;

use super::{Folder, NodeError};
use crate::flows::{AuditLogCheck, FeedsCheck};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::store::{IndexCheck, Scan, StoreError, Table, Vault, VerifyProgress, VerifyReport};

/// Every index row names a record that is there.
struct BorrowerIndex;

#[async_trait]
impl IndexCheck for BorrowerIndex {
    fn name(&self) -> &'static str {
        "borrower index"
    }

    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError> {
        let mut dangling = 0_u64;
        let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
        loop {
            let page = vault.scan(Table::Borrower, &scan).await?;
            let Some((last, _)) = page.last() else { break };
            for (_, row) in &page {
                if vault.read(Table::Record, &row.bytes).await?.is_none() {
                    dangling += 1;
                }
            }
            scan = scan.behind(last);
        }
        if dangling > 0 {
            findings.push(format!(
                "{dangling} index rows name records that are missing"
            ));
        }
        Ok(())
    }
}

/// Every borrower marked for publication, now or at some moment, is a known one.
struct Markers;

#[async_trait]
impl IndexCheck for Markers {
    fn name(&self) -> &'static str {
        "publication markers"
    }

    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError> {
        let mut unknown = 0_u64;
        for table in [Table::Unpublished, Table::Due] {
            let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
            loop {
                let page = vault.scan(table, &scan).await?;
                let Some((last, _)) = page.last() else { break };
                for (_, row) in &page {
                    let key = vault.row_key(Table::Identity, &row.bytes);
                    if vault.read(Table::Identity, &key).await?.is_none() {
                        unknown += 1;
                    }
                }
                scan = scan.behind(last);
            }
        }
        if unknown > 0 {
            findings.push(format!("{unknown} markers name borrowers that are missing"));
        }
        Ok(())
    }
}

/// Reads a stopped node's store back. `progress` hears how many rows were read.
///
/// # Errors
/// [`NodeError`] where the folder cannot be opened at all.
pub async fn verify(
    folder: &Folder,
    mut progress: impl FnMut(u64) + Send,
) -> Result<VerifyReport, NodeError> {
    let opened = folder.open().await?;
    let checks: [&dyn IndexCheck; 4] = [&BorrowerIndex, &Markers, &FeedsCheck, &AuditLogCheck];
    let mut heard = |come: VerifyProgress| progress(come.rows);
    let report = crate::store::verify(&opened.vault, &checks, &mut heard).await;
    opened.close().await?;
    Ok(report?)
}
