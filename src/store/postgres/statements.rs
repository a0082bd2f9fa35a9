//! Every SQL statement, in a subset that PostgreSQL, Citus, YugabyteDB and CockroachDB share.
//!
//! Each table's key begins with its distribution column, `slice`, and each statement names it. No
//! statement calls a function whose value changes by itself, takes an advisory lock, listens, or
//! counts on a sequence; `statements_keep_to_the_subset` holds that.
//!
//! | table | key | columns |
//! |---|---|---|
//! | `creditmesh_layout` | slice 0 | version of the tables, layout row |
//! | `creditmesh_row` | slice, key | revision, sealed content |
//! | `creditmesh_shelf` | slice, number | digests of eight buckets |
//! | `creditmesh_writer` | slice 0, writer | number of its newest group, generation of its ring |
//! | `creditmesh_ring` | slice 0 | the wrapped key ring, its generation |
//! | `creditmesh_lease` | slice 0 | which process leads, and how far it counted |

use crate::store::Table;

/// The table that says which tables there are; its row is the lock of every migration.
pub(super) const CREATE_LAYOUT: &str = "create table if not exists creditmesh_layout (\
     slice int4 not null, version int4 not null, layout bytea not null, \
     primary key (slice))";

/// Begins the layout where there is none.
pub(super) const BEGIN_LAYOUT: &str = "insert into creditmesh_layout (slice, version, layout) \
     values ($1, 0, $2) on conflict (slice) do nothing";

/// The layout, locked until the end of the transaction.
pub(super) const LOCK_LAYOUT: &str =
    "select version, layout from creditmesh_layout where slice = $1 for update";

/// The layout, read only.
pub(super) const READ_LAYOUT: &str = "select version from creditmesh_layout where slice = $1";

/// Writes the layout.
pub(super) const WRITE_LAYOUT: &str =
    "update creditmesh_layout set version = $2, layout = $3 where slice = $1";

/// What each version of the tables adds to the one before; only ever appended to.
pub(super) const MIGRATIONS: &[&[&str]] = &[
    &[
        "create table creditmesh_row (\
     slice int4 not null, key bytea not null, revision int8 not null, sealed bytea not null, \
     primary key (slice, key))",
        "create table creditmesh_shelf (\
     slice int4 not null, number int2 not null, digests bytea not null, \
     primary key (slice, number))",
        "create table creditmesh_writer (\
     slice int4 not null, writer bytea not null, number int8 not null, \
     primary key (slice, writer))",
    ],
    &[
        "create table creditmesh_lease (\
     slice int4 not null, holder bytea not null, beat int8 not null, \
     primary key (slice))",
        "create table creditmesh_ring (\
     slice int4 not null, ring text not null, primary key (slice))",
    ],
    &[
        "alter table creditmesh_ring add column generation int8 not null default 0",
        "alter table creditmesh_writer add column ring int8 not null default 0",
    ],
];

/// A row by its key.
pub(super) const READ_ROW: &str =
    "select revision, sealed from creditmesh_row where slice = $1 and key = $2";

/// Rows by their keys.
pub(super) const READ_ROWS: &str = "select r.key, r.revision, r.sealed \
     from unnest($1::int4[], $2::bytea[]) as w (slice, key) \
     join creditmesh_row as r on r.slice = w.slice and r.key = w.key";

/// A page within one slice.
pub(super) const SCAN_SLICE: &str = "select key, revision, sealed from creditmesh_row \
     where slice = $1 and key >= $2 and key < $3 order by key limit $4";

/// A page over several slices, whose order is that of the keys.
pub(super) const SCAN_SLICES: &str = "select key, revision, sealed from creditmesh_row \
     where slice <= $3 and (slice, key) >= ($1, $2) order by slice, key limit $4";

/// Writes rows that were absent; fewer where one is not.
pub(super) const INSERT_ROWS: &str = "insert into creditmesh_row (slice, key, revision, sealed) \
     select w.slice, w.key, w.revision, w.sealed \
     from unnest($1::int4[], $2::bytea[], $3::int8[], $4::bytea[]) \
     as w (slice, key, revision, sealed)";

/// Writes rows that were there.
pub(super) const UPDATE_ROWS: &str = "update creditmesh_row as r \
     set revision = w.revision, sealed = w.sealed \
     from unnest($1::int4[], $2::bytea[], $3::int8[], $4::bytea[]) \
     as w (slice, key, revision, sealed) where r.slice = w.slice and r.key = w.key";

/// Removes rows of one slice.
pub(super) const DELETE_ROWS: &str =
    "delete from creditmesh_row where slice = $1 and key = any($2)";

/// The digests of a table.
pub(super) const READ_SHELVES: &str =
    "select number, digests from creditmesh_shelf where slice = $1";

/// One shelf, locked until the end of the transaction.
pub(super) const LOCK_SHELF: &str =
    "select digests from creditmesh_shelf where slice = $1 and number = $2 for update";

/// Writes shelves that are there.
pub(super) const UPDATE_SHELVES: &str = "update creditmesh_shelf as s set digests = w.digests \
     from unnest($1::int4[], $2::int2[], $3::bytea[]) as w (slice, number, digests) \
     where s.slice = w.slice and s.number = w.number";

/// Adds a shelf of a new table.
pub(super) const INSERT_SHELF: &str =
    "insert into creditmesh_shelf (slice, number, digests) values ($1, $2, $3)";

/// Enters a writer, or notes which generation of the key ring it seals with.
pub(super) const ENTER_WRITER: &str = "insert into creditmesh_writer as w \
     (slice, writer, number, ring) values ($1, $2, 0, $3) \
     on conflict (slice, writer) do update set ring = excluded.ring";

/// Notes the number of a writer's newest group, and locks that until the end of the transaction;
/// changes nothing where the writer was struck out.
pub(super) const CLAIM_GROUP: &str =
    "update creditmesh_writer set number = $3 where slice = $1 and writer = $2";

/// How far every writer is.
pub(super) const READ_WRITERS: &str =
    "select writer, number from creditmesh_writer where slice = $1";

/// Writers that seal with an older key ring.
pub(super) const READ_BEHIND: &str =
    "select writer from creditmesh_writer where slice = $1 and ring < $2";

/// Strikes those out.
pub(super) const STRIKE_BEHIND: &str =
    "delete from creditmesh_writer where slice = $1 and ring < $2";

/// The number of a writer's newest group, once no transaction of the writer is under way.
pub(super) const READ_GROUP: &str =
    "select number from creditmesh_writer where slice = $1 and writer = $2 for update";

/// Forgets a writer that ends.
pub(super) const FORGET_WRITER: &str =
    "delete from creditmesh_writer where slice = $1 and writer = $2";

/// Which process holds the store.
pub(super) const READ_LEASE: &str = "select holder, beat from creditmesh_lease where slice = $1";

/// Takes the store where nobody holds it, or where its holder did not count since it was read.
pub(super) const TAKE_LEASE: &str = "insert into creditmesh_lease as l (slice, holder, beat) \
     values ($1, $2, 0) on conflict (slice) do update \
     set holder = excluded.holder, beat = 0 where l.slice = $1 and l.holder = $3 and l.beat = $4";

/// Shows that the holder lives; changes nothing where another process holds the store.
pub(super) const BEAT_LEASE: &str =
    "update creditmesh_lease set beat = beat + 1 where slice = $1 and holder = $2";

/// Lets the store go.
pub(super) const FREE_LEASE: &str = "delete from creditmesh_lease where slice = $1 and holder = $2";

/// The wrapped key ring.
pub(super) const READ_RING: &str = "select generation, ring from creditmesh_ring where slice = $1";

/// How often the wrapped key ring was written.
pub(super) const READ_GENERATION: &str = "select generation from creditmesh_ring where slice = $1";

/// The same number, which nobody changes until the end of the transaction.
pub(super) const LOCK_RING: &str =
    "select generation from creditmesh_ring where slice = $1 for update";

/// Writes the first wrapped key ring.
pub(super) const FIRST_RING: &str = "insert into creditmesh_ring (slice, ring, generation) \
     values ($1, $2, 1) on conflict (slice) do nothing";

/// Writes the wrapped key ring in the place of the generation before.
pub(super) const WRITE_RING: &str = "update creditmesh_ring set ring = $2, \
     generation = generation + 1 where slice = $1 and generation = $3";

/// Begins a transaction that reads at one moment, for as long as a backup may take.
pub(super) const BEGIN_SNAPSHOT: &str = "begin transaction isolation level repeatable read, \
     read only; set local idle_in_transaction_session_timeout = '600s'";

/// The slice of the rows that there is one of.
pub(super) const SINGLE_SLICE: i32 = 0;

/// The slice of a row: the table's code and the first byte of the row's key, so that slices are
/// in the order of the keys.
pub(in crate::store) fn slice_of(full_key: &[u8]) -> i32 {
    let byte = |at| full_key.get(at).copied().map_or(0, i32::from);
    (byte(0) << 8) | byte(1)
}

/// The slice of a table's shelves.
pub(super) fn shelf_slice(table: Table) -> i32 {
    i32::from(table.code()) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENTS: &[&str] = &[
        BEGIN_LAYOUT,
        LOCK_LAYOUT,
        READ_LAYOUT,
        WRITE_LAYOUT,
        READ_ROW,
        READ_ROWS,
        SCAN_SLICE,
        SCAN_SLICES,
        INSERT_ROWS,
        UPDATE_ROWS,
        DELETE_ROWS,
        READ_SHELVES,
        LOCK_SHELF,
        UPDATE_SHELVES,
        INSERT_SHELF,
        ENTER_WRITER,
        CLAIM_GROUP,
        READ_WRITERS,
        READ_BEHIND,
        STRIKE_BEHIND,
        READ_GROUP,
        FORGET_WRITER,
        READ_LEASE,
        TAKE_LEASE,
        BEAT_LEASE,
        FREE_LEASE,
        READ_RING,
        READ_GENERATION,
        LOCK_RING,
        FIRST_RING,
        WRITE_RING,
    ];

    /// What one of the engines lacks, or gives another value on each shard.
    const OUTSIDE: &[&str] = &[
        "now(",
        "current_timestamp",
        "clock_timestamp",
        "random(",
        "gen_random",
        "uuid_generate",
        "nextval",
        "serial",
        "sequence",
        "advisory",
        "listen",
        "notify",
        "lock table",
        "deferrable",
        "trigger",
        "returning old",
        "merge into",
        "skip locked",
        "pg_",
        "with recursive",
    ];

    fn words(statement: &str) -> Vec<&str> {
        let part = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        statement
            .split(part)
            .filter(|word| !word.is_empty())
            .collect()
    }

    #[test]
    fn statements_keep_to_the_subset() {
        let tables = MIGRATIONS.iter().copied().flatten().chain([&CREATE_LAYOUT]);
        for statement in STATEMENTS.iter().chain(tables) {
            for word in OUTSIDE {
                assert!(!statement.contains(word), "{word} in: {statement}");
            }
            assert_eq!(*statement, statement.to_lowercase(), "{statement}");
        }
    }

    #[test]
    fn every_key_begins_with_the_slice() {
        let statements = MIGRATIONS.iter().copied().flatten().chain([&CREATE_LAYOUT]);
        let added = |statement: &&&str| statement.starts_with("alter table creditmesh_");
        for statement in statements.filter(|statement| !added(statement)) {
            assert!(statement.contains("primary key (slice"), "{statement}");
            assert!(statement.contains("slice int4 not null"), "{statement}");
        }
    }

    #[test]
    fn every_statement_names_the_slice_of_its_rows() {
        for statement in STATEMENTS {
            let condition = match statement.split_once(" where ") {
                Some((_, condition)) => condition,
                None => match statement.split_once(" on r") {
                    Some((_, condition)) => condition,
                    None => statement,
                },
            };
            assert!(words(condition).contains(&"slice"), "{statement}");
        }
    }

    #[test]
    fn every_statement_of_this_file_is_under_these_rules() {
        let source = include_str!("statements.rs");
        let constants = source.matches("\npub(super) const ").count();
        // MIGRATIONS, CREATE_LAYOUT, BEGIN_SNAPSHOT and SINGLE_SLICE are no statements about rows.
        assert_eq!(constants, STATEMENTS.len() + 4);
    }

    #[test]
    fn slices_are_in_the_order_of_the_keys() {
        let keys: [&[u8]; 5] = [&[3], &[3, 0, 9], &[3, 1], &[3, 255, 255], &[4, 0]];
        let slices: Vec<i32> = keys.iter().map(|key| slice_of(key)).collect();
        assert!(slices.is_sorted());
        assert_eq!(slices, [768, 768, 769, 1023, 1024]);
    }
}
