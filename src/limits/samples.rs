//! Bounds of samples that an auditor has opened.

use std::time::Duration;

use super::{ANSWER_DAYS, SAMPLE_MAX, STORE_VALUE_BYTES_MAX};

/// Queries of one sample that a member is asked to open.
pub const SAMPLE_REQUESTED_MAX: usize = 100;

/// Days that a member has to open a sample where the auditor names no number.
pub const SAMPLE_DAYS_DEFAULT: u32 = 14;

/// Days that a member has at most, so that what opens its queries is still there.
pub const SAMPLE_DAYS_MAX: u32 = 60;

/// Samples of one auditor that wait at a member at once.
pub const SAMPLES_WAITING_MAX: usize = 8;

/// Samples that a node keeps, as auditor or as the one that is asked.
pub const SAMPLES_KEPT_MAX: usize = 400;

/// How often what could not be sent is tried again.
pub const SAMPLES_EVERY: Duration = Duration::from_secs(60);

/// How long after a check in which a peer could not be asked the next one comes.
pub const SAMPLE_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Openings that are checked again in one go.
pub const SAMPLES_AGAIN_AT_ONCE: usize = 8;

/// How long an auditor's node may take to check what it is given: it asks every peer of the query.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);

/// Bytes of canaries in one row of the store.
pub const CANARY_ROW_BYTES: usize = 12 * 1024;

const _: () = assert!(SAMPLE_REQUESTED_MAX <= SAMPLE_MAX);
const _: () = assert!(SAMPLE_DAYS_DEFAULT <= SAMPLE_DAYS_MAX);
const _: () = assert!((SAMPLE_DAYS_MAX as u64) < ANSWER_DAYS);
const _: () = assert!(CANARY_ROW_BYTES + 128 < STORE_VALUE_BYTES_MAX);
