//! Reading everything back: does every row open, and is every row there?

use std::fmt;

use async_trait::async_trait;

use crate::crypto::OpenError;
use crate::limits::STORE_SCAN_ROWS_MAX;

use super::digest::{BUCKETS, Digester, Tally};
use super::{BucketDigest, Row, Scan, StoreError, Table, Vault};

/// Findings that a report lists; further ones are counted.
const FINDINGS_MAX: usize = 1_000;

/// Rounds over a table whose buckets change while they are read.
const ROUNDS_MAX: u32 = 3;

/// A check of what rows say about each other, which needs to know what they mean.
#[async_trait]
pub trait IndexCheck: Send + Sync {
    /// What is checked, as a noun: `borrower index`.
    fn name(&self) -> &'static str;

    /// Adds one sentence per contradiction to `findings`, without content of rows.
    ///
    /// # Errors
    /// [`StoreError`] where rows cannot be read.
    async fn check(&self, vault: &Vault, findings: &mut Vec<String>) -> Result<(), StoreError>;
}

/// How far a verification came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// The table being read.
    pub table: Table,
    /// Rows read so far, of all tables.
    pub rows: u64,
    /// Rows that the store says it has.
    pub rows_total: u64,
}

/// The first bytes of a row's key, enough to tell rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowName([u8; 8]);

impl RowName {
    fn of(key: &[u8]) -> Self {
        let mut name = [0; 8];
        for (byte, from) in name.iter_mut().zip(key) {
            *byte = *from;
        }
        Self(name)
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = data_encoding::HEXLOWER.encode(&self.0);
        write!(f, "{hex}…")
    }
}

/// Something that is not as the store wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A row does not open.
    Seal {
        /// The row's table.
        table: Table,
        /// The row.
        row: RowName,
        /// Why.
        reason: OpenError,
    },
    /// The rows of a bucket are not those that were written: one is missing, stale or swapped.
    Bucket {
        /// The bucket's table.
        table: Table,
        /// The bucket.
        bucket: u8,
        /// Rows found.
        rows_found: u64,
        /// Rows written.
        rows_written: u64,
    },
    /// The digest of a bucket is missing or altered, so nothing vouches for its rows.
    BucketDigest {
        /// The bucket's table.
        table: Table,
        /// The bucket.
        bucket: u8,
    },
    /// A table could not be read to its end.
    Unreadable {
        /// The table.
        table: Table,
        /// Why.
        reason: StoreError,
    },
    /// Rows contradict each other.
    Index {
        /// What was checked.
        check: &'static str,
        /// The contradiction.
        contradiction: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal { table, row, reason } => {
                write!(f, "row {row} of table {table} does not open: {reason}")
            }
            Self::Bucket {
                table,
                bucket,
                rows_found,
                rows_written,
            } => write!(
                f,
                "bucket {bucket} of table {table} is not as it was written: {rows_found} rows, \
                 {rows_written} written; a row is missing, stale or swapped"
            ),
            Self::BucketDigest { table, bucket } => write!(
                f,
                "the digest of bucket {bucket} of table {table} is missing or altered"
            ),
            Self::Unreadable { table, reason } => {
                write!(f, "table {table} cannot be read to its end: {reason}")
            }
            Self::Index {
                check,
                contradiction,
            } => write!(f, "{check}: {contradiction}"),
        }
    }
}

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableRows {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: u64,
    /// Bytes of their sealed contents.
    pub sealed_bytes: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Every table, in the order of the codes.
    pub tables: Vec<TableRows>,
    /// What is wrong, the first 1,000.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub findings_unlisted: u64,
    /// Buckets that changed each time while they were read, so that nothing can be said about
    /// their completeness; none where the node is stopped.
    pub buckets_unsettled: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_unlisted += 1;
        }
    }
}

/// Reads a store back, checks every seal and every digest, and runs the checks of the indexes.
///
/// The node may run meanwhile: a bucket that changes while it is read is read again.
///
/// # Errors
/// [`StoreError`] where the store cannot be read at all; damage is reported, not returned.
pub async fn verify(
    vault: &Vault,
    checks: &[&dyn IndexCheck],
    progress: &mut (dyn FnMut(VerifyProgress) + Send),
) -> Result<VerifyReport, StoreError> {
    let digester = Digester::new(&vault.keys().digest_key());
    let mut rows_total = 0;
    for table in Table::ALL {
        let digests = vault.store().digests(*table).await?;
        rows_total += digests
            .iter()
            .flatten()
            .map(|digest| digest.rows)
            .sum::<u64>();
    }
    let mut walk = Walk {
        vault,
        digester: &digester,
        progress,
        rows_total,
        rows: 0,
        report: VerifyReport::default(),
    };
    for table in Table::ALL {
        match walk.table(*table).await {
            Ok(()) => {}
            Err(reason @ (StoreError::Closed | StoreError::Stopped { .. })) => return Err(reason),
            Err(reason) => walk.report.add(Finding::Unreadable {
                table: *table,
                reason,
            }),
        }
    }
    let mut report = walk.report;
    for check in checks {
        let mut contradictions = Vec::new();
        check.check(vault, &mut contradictions).await?;
        for contradiction in contradictions {
            report.add(Finding::Index {
                check: check.name(),
                contradiction,
            });
        }
    }
    Ok(report)
}

struct Walk<'a, 'd> {
    vault: &'a Vault,
    digester: &'d Digester,
    progress: &'a mut (dyn FnMut(VerifyProgress) + Send),
    rows_total: u64,
    rows: u64,
    report: VerifyReport,
}

impl<'d> Walk<'_, 'd> {
    /// Checks one table; buckets that change meanwhile are counted again.
    async fn table(&mut self, table: Table) -> Result<(), StoreError> {
        let mut open: Vec<u8> = (0..=u8::MAX).take(BUCKETS).collect();
        for round in 0..ROUNDS_MAX {
            let before = self.vault.store().digests(table).await?;
            let tally = self.rows(table, round == 0).await?;
            let after = self.vault.store().digests(table).await?;
            let digests: Vec<_> = before.into_iter().zip(after).collect();
            open.retain(|bucket| !self.settle(table, *bucket, &tally, &digests));
            if open.is_empty() {
                break;
            }
        }
        self.report.buckets_unsettled += u64::try_from(open.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Counts the rows of a table; the first time their seals are checked too.
    async fn rows(&mut self, table: Table, first: bool) -> Result<Tally<'d>, StoreError> {
        let mut tally = Tally::of(table, self.digester);
        let mut held = TableRows {
            table,
            rows: 0,
            sealed_bytes: 0,
        };
        let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
        loop {
            let page = self.vault.store().scan(table, &scan).await?;
            for (key, row) in &page {
                tally.add(key, row);
                if first {
                    self.seal(table, key, row);
                    held.rows += 1;
                    let bytes = u64::try_from(row.sealed.as_bytes().len());
                    held.sealed_bytes += bytes.unwrap_or(u64::MAX);
                }
            }
            if first {
                self.rows += u64::try_from(page.len()).unwrap_or(u64::MAX);
                (self.progress)(VerifyProgress {
                    table,
                    rows: self.rows,
                    rows_total: self.rows_total,
                });
            }
            match page.last() {
                Some((key, _)) if page.len() == STORE_SCAN_ROWS_MAX => scan = scan.behind(key),
                Some(_) | None => break,
            }
        }
        if first {
            self.report.tables.push(held);
        }
        Ok(tally)
    }

    fn seal(&mut self, table: Table, key: &[u8], row: &Row) {
        if let Err(StoreError::SealBroken { table, reason }) = self.vault.open(table, key, row) {
            let row = RowName::of(key);
            self.report.add(Finding::Seal { table, row, reason });
        }
    }

    /// Judges one bucket; false where it changed while it was read.
    fn settle(
        &mut self,
        table: Table,
        bucket: u8,
        tally: &Tally<'_>,
        digests: &[(Option<BucketDigest>, Option<BucketDigest>)],
    ) -> bool {
        let found = tally.bucket(bucket);
        match digests.get(usize::from(bucket)) {
            Some((Some(before), Some(after))) if before != after => return false,
            Some((Some(written), Some(_))) if *written != found => {
                self.report.add(Finding::Bucket {
                    table,
                    bucket,
                    rows_found: found.rows,
                    rows_written: written.rows,
                });
            }
            Some((Some(_), Some(_))) => {}
            Some((None, _) | (_, None)) | None => {
                self.report.add(Finding::BucketDigest { table, bucket });
            }
        }
        true
    }
}
