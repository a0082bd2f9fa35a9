//! The rows of a store as they stood at one moment, while others go on writing.

use std::fmt;

use async_trait::async_trait;

use super::{BucketDigest, Row, Scan, StoreError, Table};

/// What a store held at the moment of [`super::Store::snapshot`]. Its tables are read in any order,
/// each from its beginning to its end once: what was read may be let go.
#[async_trait]
pub trait Snapshot: Send + Sync + fmt::Debug {
    /// A page of rows, as [`super::Store::scan`] would have given it then.
    ///
    /// # Errors
    /// [`StoreError::SnapshotLost`], or where the engine cannot read.
    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError>;

    /// The digests of a table, as [`super::Store::digests`] would have given them then.
    ///
    /// # Errors
    /// As [`Self::scan`].
    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError>;
}
