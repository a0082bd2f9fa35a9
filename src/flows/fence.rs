//! After a restore: key epochs in which this node may have signed more than its store knows.
//!
//! What a restored store continues could contradict what was signed after the backup, and quota
//! that was spent after it would be granted twice. So nothing is published and nothing evaluated in
//! the epochs that had begun when the store was restored.

use super::draft::Draft;
use super::{FlowError, Home};
use crate::domain::{Epoch, Timestamp};
use crate::membership::Calendar;
use crate::store::{Table, Vault};

/// Name of the row that says when the store was restored.
const RESTORED: &[u8] = b"restored";

/// Notes in a store that was just restored that its backup may not be the newest state.
///
/// # Errors
/// The store's failure.
pub async fn raise_fence(vault: &Vault, now: Timestamp) -> Result<(), FlowError> {
    let key = vault.row_key(Table::Meta, RESTORED);
    let held = vault.read(Table::Meta, &key).await?;
    let mut draft = Draft::default();
    let revision = held.map_or(0, |row| row.revision);
    draft.put(
        Table::Meta,
        &key,
        revision,
        now.unix_ms().to_be_bytes().to_vec(),
    );
    draft.commit(vault).await
}

/// The last key epoch in which this store may know less than was signed; `None` where it is whole.
///
/// # Errors
/// The store's failure.
pub async fn fence_of(vault: &Vault, calendar: &Calendar) -> Result<Option<Epoch>, FlowError> {
    let key = vault.row_key(Table::Meta, RESTORED);
    let Some(row) = vault.read(Table::Meta, &key).await? else {
        return Ok(None);
    };
    let at = row.bytes.first_chunk::<8>().copied();
    let at = at.ok_or(FlowError::Unreadable {
        what: "moment of the restore",
    })?;
    let restored = Timestamp::from_unix_ms(i64::from_be_bytes(at));
    Ok(Some(calendar.current(restored)))
}

impl Home {
    /// Goes on only in an epoch in which the store knows all that was signed.
    ///
    /// # Errors
    /// [`FlowError::Restored`] before that epoch.
    pub fn unfenced(&self, epoch: Epoch) -> Result<(), FlowError> {
        match self.fence {
            Some(fence) if epoch <= fence => Err(FlowError::Restored {
                until: self.calendar.begins_at(fence.next()),
            }),
            Some(_) | None => Ok(()),
        }
    }
}
