//! Creating the tables, and bringing those of an earlier version forward.
//!
//! One row of `creditmesh_layout` is locked meanwhile, so that of several replicas that start at
//! once one does the work and the others find it done.

use deadpool_postgres::{Pool, Transaction};

use crate::store::digest::{Digester, SHELVES, Shelf};
use crate::store::layout::{decode_layout, encode_layout};
use crate::store::{OpenMode, StoreError, Table};

use super::fault::Fault;
use super::statements::{
    BEGIN_LAYOUT, CREATE_LAYOUT, INSERT_SHELF, LOCK_LAYOUT, MIGRATIONS, READ_LAYOUT, SINGLE_SLICE,
    WRITE_LAYOUT, shelf_slice,
};

/// Creates or checks the tables; nothing is changed where the mode does not fit what is there.
pub(super) async fn settle(pool: &Pool, mode: OpenMode, digester: &Digester) -> Result<(), Fault> {
    let mut client = pool.get().await?;
    let found = client.query_opt(READ_LAYOUT, &[&SINGLE_SLICE]).await;
    let exists = match found {
        Ok(row) => row.is_some(),
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) => {
            false
        }
        Err(error) => return Err(Fault::from(error)),
    };
    match (mode, exists) {
        (OpenMode::Existing, false) => return Err(StoreError::DatabaseEmpty.into()),
        (OpenMode::New, true) => return Err(StoreError::DatabaseUsed.into()),
        (OpenMode::Existing | OpenMode::ExistingOrNew, true)
        | (OpenMode::New | OpenMode::ExistingOrNew, false) => {}
    }
    if !exists {
        client.batch_execute(CREATE_LAYOUT).await?;
    }
    let transaction = client.transaction().await?;
    bring_forward(&transaction, digester).await?;
    Ok(transaction.commit().await?)
}

async fn bring_forward(transaction: &Transaction<'_>, digester: &Digester) -> Result<(), Fault> {
    let nothing: &[u8] = &[];
    transaction
        .execute(BEGIN_LAYOUT, &[&SINGLE_SLICE, &nothing])
        .await?;
    let row = transaction.query_one(LOCK_LAYOUT, &[&SINGLE_SLICE]).await?;
    let (found, layout): (i32, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
    let ours = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let done = usize::try_from(found).unwrap_or_default();
    if found > ours {
        let (found, ours) = (found.unsigned_abs(), ours.unsigned_abs());
        return Err(StoreError::LayoutVersion { found, ours }.into());
    }
    let known = match layout.as_slice() {
        [] => Vec::new(),
        layout => decode_layout(digester, layout)?,
    };
    for migration in MIGRATIONS.get(done..).unwrap_or_default() {
        for statement in *migration {
            transaction.batch_execute(statement).await?;
        }
    }
    if found == ours && Table::ALL.iter().all(|table| known.contains(table)) {
        return Ok(());
    }
    for table in Table::ALL.iter().filter(|table| !known.contains(table)) {
        add_shelves(transaction, *table, digester).await?;
    }
    let layout = encode_layout(digester, Table::ALL);
    transaction
        .execute(WRITE_LAYOUT, &[&SINGLE_SLICE, &ours, &layout])
        .await?;
    Ok(())
}

async fn add_shelves(
    transaction: &Transaction<'_>,
    table: Table,
    digester: &Digester,
) -> Result<(), Fault> {
    for number in (0..=u8::MAX).take(SHELVES) {
        let digests = digester.encode(table, number, &Shelf::default());
        transaction
            .execute(
                INSERT_SHELF,
                &[&shelf_slice(table), &i16::from(number), &digests],
            )
            .await?;
    }
    Ok(())
}
