//! Bounds of a borrower's report.

/// Records that a report lists, the newest ones.
pub const REPORT_RECORDS_MAX: usize = 500;

/// Own queries that a report lists, the newest ones.
pub const REPORT_QUERIES_MAX: usize = 200;
