//! One suite for every engine behind the `Store` trait, and the faults that the disk engine stands.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its ground gives way"
)]

#[path = "conformance/bed.rs"]
mod bed;
#[path = "conformance/crash.rs"]
mod crash;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/keeping.rs"]
mod keeping;
#[path = "conformance/model.rs"]
mod model;
#[path = "conformance/suite.rs"]
mod suite;

macro_rules! conforms {
    ($engine:ident, $bed:ty, [$($test:ident),+ $(,)?]) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::suite::$test(&<$bed as crate::bed::Bed>::make().await).await;
                }
            )+
        }
    };
}

macro_rules! every_engine_conforms {
    ($tests:tt) => {
        conforms!(memory, crate::bed::MemoryBed, $tests);
        conforms!(sled, crate::bed::SledBed, $tests);
        conforms!(postgres, crate::bed::PostgresBed, $tests);
    };
}

every_engine_conforms!([
    row_reads_back_at_the_revision_it_was_put,
    put_applies_only_behind_the_revision_it_names,
    delete_applies_only_at_the_revision_it_names,
    expectation_guards_the_whole_batch,
    restored_row_keeps_its_revision_and_needs_an_absent_place,
    resealed_row_keeps_its_revision_and_must_be_what_was_read,
    batch_that_conflicts_changes_nothing,
    tables_do_not_mix,
    scan_is_ordered_and_pages_without_gap_or_repeat,
    scan_keeps_to_its_prefix,
    digests_follow_the_rows_and_nothing_else,
    commits_race_and_exactly_one_wins,
    concurrent_updates_lose_nothing,
    reader_sees_batches_whole,
    snapshot_shows_its_moment_whatever_is_written_after_it,
    reopened_store_holds_what_was_committed,
    closed_store_refuses_every_call,
    what_is_out_of_bounds_is_refused,
    largest_batch_of_largest_rows_is_taken,
]);
