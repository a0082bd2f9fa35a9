//! Every bound of the product in one place, the relations between them checked at compile time.

mod ageing;
mod audit;
mod backup;
mod erasure;
mod fishing;
mod light;
mod membership;
mod metro2;
mod notices;
mod opening;
mod replicas;
mod report;
mod samples;
mod standing;
mod watch;
mod witness;

use std::time::Duration;

pub use ageing::*;
pub use audit::*;
pub use backup::*;
pub use erasure::*;
pub use fishing::*;
pub use light::*;
pub use membership::*;
pub use metro2::*;
pub use notices::*;
pub use opening::*;
pub use replicas::*;
pub use report::*;
pub use samples::*;
pub use standing::*;
pub use watch::*;
pub use witness::*;

/// Bytes of one feed leaf: tag, nonce, sealed summary, authentication tag (invariant).
pub const LEAF_BYTES: usize = 160;

/// Bytes of a leaf's tag.
pub const LEAF_TAG_BYTES: usize = 12;

/// Bytes of an AES-GCM nonce.
pub const NONCE_BYTES: usize = 12;

/// Bytes of an AES-GCM authentication tag.
pub const SEAL_TAG_BYTES: usize = 16;

/// Bytes of an encoded summary, the plaintext of a leaf.
pub const SUMMARY_BYTES: usize = LEAF_BYTES - LEAF_TAG_BYTES - NONCE_BYTES - SEAL_TAG_BYTES;

/// Upper edges that one kind of bands may have: with "nothing" and the open one they fit 4 bits.
pub const BAND_EDGES_MAX: usize = 14;

/// Applications that a summary lists.
pub const SUMMARY_APPLICATIONS_MAX: usize = 6;

/// Loans that a summary lists.
pub const SUMMARY_LOANS_MAX: usize = 5;

/// Live holds that a summary lists.
pub const SUMMARY_HOLDS_MAX: usize = 2;

/// Days for which a soft inquiry is told.
pub const SOFT_INQUIRY_DAYS: u64 = 90;

/// Days for which a hard application is told.
pub const HARD_INQUIRY_DAYS: u64 = 730;

/// Days for which a closed loan is told; no window of an answer is longer.
pub const CLOSED_LOAN_DAYS: u64 = 365;

/// Months from the first day of a delinquency after which nothing adverse is told of it.
pub const ADVERSE_MONTHS: u32 = 60;

/// Age in days below which an unpaid first instalment makes a first-payment default.
pub const FIRST_PAYMENT_DAYS: u64 = 90;

/// Days for which an identifier counts as seen with another one.
pub const OTHER_IDENTIFIER_DAYS: u64 = 90;

/// Age in days below which a loan that is late while all others are paid makes a selective
/// default.
pub const SELECTIVE_DEFAULT_DAYS: u64 = 180;

/// Bytes of a policy file.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;

/// Leaves of one feed group: what a node publishes at once is padded to a multiple of this.
pub const FEED_GROUP_LEAVES: usize = 8;

/// A day's total of published leaves is topped up to a multiple of this.
pub const FEED_DAY_LEAVES: usize = 4_096;

/// Longest tail, in leaves, that one answer carries; a longer one is marked truncated.
pub const TAIL_LEAVES_MAX: usize = 4_096;

/// Most blinded elements in one evaluation request.
pub const EVALUATE_ELEMENTS_MAX: usize = 1_024;

/// Bytes of one ristretto255 element.
pub const ELEMENT_BYTES: usize = 32;

/// Longest signed checkpoint that is read, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 4_096;

/// Most hashes in one consistency proof: a proof over 2^63 leaves needs fewer.
pub const CONSISTENCY_HASHES_MAX: usize = 64;

/// Most key statements in one description.
pub const STATED_KEYS_MAX: usize = 4;

/// Most feeds in one description: one for each live epoch.
pub const STATED_FEEDS_MAX: usize = 2;

/// Longest gRPC message that is read, in bytes: a full tail with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Longest message between a node and its operator, in bytes: 500 rows of the longest kind.
pub const OPERATOR_MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Longest health or reflection message, in bytes: the descriptors of all services with room to
/// spare.
pub const STANDARD_MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Time until the head of an answer to the operator: longer than the slowest peer may take.
pub const OPERATOR_CALL_DEADLINE: Duration = Duration::from_secs(120);

/// Calls of the operator at once on one connection.
pub const OPERATOR_CALLS_PER_CONNECTION_MAX: usize = 256;

/// Longest reference to a consent, in bytes.
pub const CONSENT_REFERENCE_BYTES_MAX: usize = 128;

/// Leaves in one message of a feed stream.
pub const STREAM_CHUNK_LEAVES: usize = 2_048;

/// Most chunks that an asker streams to bring a mirror up to an answer's checkpoint.
pub const TAIL_STREAM_CHUNKS_MAX: usize = 64;

/// Most elements that are evaluated without leaving the task that answers.
pub const EVALUATE_INLINE_MAX: usize = 16;

/// Most requests that one commit of the ledger takes together.
pub const LEDGER_GROUP_MAX: usize = 64;

/// Most requests that wait for the ledger.
pub const LEDGER_QUEUE_MAX: usize = 1_024;

/// Leaves of one peer's feed that a node mirrors, about 21 GB: whoever publishes more counts as
/// unknown.
pub const MIRROR_LEAVES_MAX: u64 = 1 << 27;

/// How often one debited request is answered again, for whoever lost the answer.
pub const EVALUATE_REPEATS_MAX: u8 = 3;

/// Most publications that wait for the next group.
pub const PUBLISH_QUEUE_MAX: usize = 1_024;

/// Identifiers that one publishing commit takes together.
pub const PUBLISH_BATCH_IDENTIFIERS: usize = 96;

/// How often the publisher looks for work that nobody told it of, such as padding that falls due.
pub const PUBLISH_TICK: Duration = Duration::from_millis(500);

/// Group rows in one commit while a feed is opened.
pub const OPEN_ROWS_PER_COMMIT: usize = 400;

/// Group rows in one commit of a mirror.
pub const MIRROR_GROUPS_PER_COMMIT: usize = 400;

/// Longest pause before a broken mirror stream is taken up again.
pub const FOLLOW_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How often a node looks whether there are new peers or epochs to follow.
pub const FOLLOW_LOOK: Duration = Duration::from_millis(500);

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Most rows in one furnish request.
pub const FURNISH_ROWS_MAX: usize = 500;

/// Hours by which a record that arrives may be ahead of the node's clock.
pub const RECORD_AHEAD_HOURS_MAX: u64 = 24;

/// Bytes of the longest file of checkpoints, of evidence or of a fork's proof that a command reads.
pub const AUDIT_FILE_BYTES_MAX: u64 = 1 << 30;

/// Rows that an import sends together.
pub const IMPORT_BATCH_ROWS: usize = 200;

/// Longest wait of a publication for company, in milliseconds.
pub const GROUP_INTERVAL_MS_MAX: u64 = 50;

/// Longest time that a peer may take to answer, in milliseconds.
pub const PEER_DEADLINE_MS_MAX: u64 = 60_000;

/// Most rows in one store batch (sled's memory grows with the batch).
pub const STORE_BATCH_ROWS_MAX: usize = 500;

/// Most rows that one page of a store scan returns.
pub const STORE_SCAN_ROWS_MAX: usize = 500;

/// Most connections that one node keeps open to the database of its store.
pub const STORE_CONNECTIONS_MAX: usize = 64;

/// How long the program may take that prints the key of the key ring.
pub const KEY_COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// Connections of a replica to its database at least: one writes, the others read.
pub const STORE_CONNECTIONS_MIN: usize = 2;

/// Connections of a replica to its database where `node.toml` names no number.
pub const STORE_CONNECTIONS_DEFAULT: usize = 16;

/// Bytes of the longest key of a stored row.
pub const STORE_KEY_BYTES_MAX: usize = 128;

/// Bytes of the longest sealed value of a stored row; a longer value is split over rows. sled keeps
/// a page of 20 such rows within its log (`store/sled/creation.rs`).
pub const STORE_VALUE_BYTES_MAX: usize = 16 << 10;

/// Largest amount of money, in minor units, that a record may carry (10 trillion units of two
/// decimals); thousands of them add up without overflow.
pub const MONEY_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// Characters of an identifier as typed, separators included, before it is looked at.
pub const IDENTIFIER_INPUT_CHARS_MAX: usize = 64;

/// Characters of a borrower's name, as typed and as normalised.
pub const NAME_CHARS_MAX: usize = 200;

/// Characters of a free reference in a record: account reference, who filed, who reviewed.
pub const REFERENCE_CHARS_MAX: usize = 64;

/// Age in years from which a person may borrow.
pub const BORROWER_AGE_YEARS_MIN: u32 = 18;

/// Age in years that nobody alive has passed: an identity number of an older person is doubted.
pub const BORROWER_AGE_YEARS_MAX: u32 = 125;

/// Fees and interest that may be owed on top of a closed-end loan's principal, as a share of it.
pub const LOAN_FEES_CAP_PERCENT: u32 = 100;

/// Longest agreed term of a loan, in days (50 years).
pub const TERM_DAYS_MAX: u16 = 18_300;

/// Highest annual percentage rate, in hundredths of a percent (10,000 %).
pub const APR_BPS_MAX: u32 = 1_000_000;

/// Life of a hold that names none, in hours.
pub const HOLD_LIFE_DEFAULT_H: u32 = 72;

/// Longest life of a hold, in hours.
pub const HOLD_LIFE_MAX_H: u32 = 7 * 24;

/// Days within which a dispute is decided where no rule is shorter: the shortest of the regimes
/// that docs/signals.md lists. Without a decision the record is suppressed.
pub const DISPUTE_DAYS: i64 = 20;

/// Most days that a dispute may stay undecided, whatever a member's own terms say.
pub const DISPUTE_DAYS_MAX: i64 = 90;

/// Pending signals, and open disputes, that one answer lists.
pub const CORRECTIONS_LISTED_MAX: usize = 1_000;

/// Records that one dispute covers: the one disputed, and the signals about it.
pub const DISPUTE_RECORDS_MAX: usize = 32;

/// Characters of the reason of a dispute.
pub const DISPUTE_REASON_CHARS_MAX: usize = 400;

/// The longest span that a retention policy may name, in the unit of its key.
pub const RETENTION_TERM_MAX: u32 = 9_999;

/// Months for which a default or charge-off stands unless cured.
pub const SIGNAL_DEFAULT_MONTHS: u32 = 60;

/// Months for which a confirmed fraud stands unless renewed.
pub const SIGNAL_FRAUD_MONTHS: u32 = 24;

/// Months after its event at which even a renewed confirmed fraud ends.
pub const SIGNAL_FRAUD_MONTHS_MAX: u32 = 72;

/// Longest life of an insolvency, in months (United States, FCRA § 605: ten years).
pub const SIGNAL_INSOLVENCY_MONTHS_MAX: u32 = 120;

/// Months for which a victim of fraud is marked.
pub const SIGNAL_VICTIM_MONTHS: u32 = 13;

/// Months for which a protective registration stands.
pub const SIGNAL_PROTECTIVE_MONTHS: u32 = 24;

/// Months for which a cure is shown.
pub const SIGNAL_CURED_MONTHS: u32 = 24;

/// Days for which a lost contact stands unless the borrower is reached.
pub const SIGNAL_LOST_CONTACT_DAYS: i64 = 180;

/// Fewest attempts before a contact counts as lost.
pub const LOST_CONTACT_ATTEMPTS_MIN: u16 = 3;

/// Fewest days over which these attempts are spread.
pub const LOST_CONTACT_DAYS_MIN: u16 = 30;

/// Bytes of one row of an import file, line end excluded.
pub const ROW_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a signed note, signatures included.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;

/// Signature lines of a signed note; C2SP signed-note asks for at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 16;

/// Extension lines of a checkpoint.
pub const CHECKPOINT_EXTENSIONS_MAX: usize = 16;

/// Leaves of a snapshot before its padding.
pub const SNAPSHOT_LEAVES_MAX: u64 = 1 << 32;

/// Longest age of the newest checkpoint of a feed, in milliseconds: one is signed at least that
/// often.
pub const CHECKPOINT_INTERVAL_MS: i64 = 10 * 60 * 1_000;

/// How long before that age a new checkpoint becomes due, in milliseconds.
pub const CHECKPOINT_MARGIN_MS: i64 = 60 * 1_000;

/// Leaves of padding published at once for a day that is over.
pub const TOP_UP_LEAVES_MAX: usize = 512;

/// Days of which a mirror remembers what it took on them: longer than a key epoch is served.
pub const MIRROR_DAYS_MAX: usize = 64;

/// Newest checkpoints beyond the end of a mirror that its head keeps.
pub const MIRROR_AHEAD_MAX: usize = 16;

/// Hashes that finding out whether refused leaves are only in another order may cost, for each of
/// the three kinds of disorder that are tried: about 50 ms.
pub const MIRROR_ORDER_HASHES_MAX: usize = 1 << 18;

/// How often a fault that is found again and again is written into the state of a mirror.
pub const MIRROR_FAULT_NOTED_EVERY: Duration = Duration::from_secs(60);

/// How long after it was last found a fault of a peer's feed is a finding of the doctor.
pub const MIRROR_FAULT_SHOWN: Duration = Duration::from_secs(7 * 86_400);

/// Leaves that one borrower identifier may have in one feed; a look-up gives up beyond them.
pub const LEAVES_PER_BORROWER_MAX: u32 = 65_536;

/// Positions of one tag that a mirror's index keeps: the newest ones. Honest publishers use a tag
/// once.
pub const TAG_POSITIONS_MAX: usize = 4;

/// Connections that peers have open at one node, those in their handshake included.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Connections from one address (for IPv6: from one /64 network).
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;

/// Connections that one member has open at one node.
pub const CONNECTIONS_PER_MEMBER_MAX: usize = 16;

/// Connections after their handshake that wait to be served.
pub const ACCEPTED_WAITING_MAX: usize = 64;

/// How long an endpoint of a member may be silent before the next one is tried beside it
/// (RFC 8305).
pub const DIAL_NEXT_AFTER: Duration = Duration::from_millis(250);

/// Time for opening a TCP connection.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Time for a TLS handshake.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Time from the TLS handshake to the first HTTP/2 frames.
pub const PREFACE_DEADLINE: Duration = Duration::from_secs(5);

/// Time for which a connection that a peer opened stays open without a call.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(300);

/// Time that a refused peer has on a new connection to hear why.
pub const REFUSED_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// How often connections are looked through for ones to cut.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Pause after the system could not accept a connection.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// HTTP/2 streams at once on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;

/// Calls at once on one connection, until the head of their answer.
pub const CALLS_PER_CONNECTION_MAX: usize = 64;

/// Calls at once at one node, until the end of their answer.
pub const CALLS_MAX: usize = 1_024;

/// Calls of one member at once at one node, over all its connections.
pub const CALLS_PER_MEMBER_MAX: usize = 256;

/// Streams that the server may reset for a peer's errors before it ends the connection.
pub const LOCAL_RESETS_MAX: usize = 100;

/// Streams that a peer may reset before they were accepted before its connection ends.
pub const PENDING_RESETS_MAX: usize = 20;

/// Bytes of the headers of one request or answer.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// Time until the head of an answer.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Time without traffic after which a connection is probed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Time that a probed peer has to answer.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Age at which a server asks the peer to leave a connection.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3_600);

/// Time after which a followed feed ends, so that its caller takes it up again on a fresh
/// connection.
pub const STREAM_AGE_MAX: Duration = Duration::from_secs(1_800);

/// Age at which a server cuts a connection that its peer did not leave: its last stream has ended
/// by then.
pub const CONNECTION_CUT_AGE: Duration =
    Duration::from_secs(CONNECTION_AGE_MAX.as_secs() + STREAM_AGE_MAX.as_secs() + 60);

/// Age at which a client moves to a fresh connection by itself.
pub const CHANNEL_AGE_MAX: Duration = Duration::from_secs(3_000);

/// HTTP/2 window of one stream at a server, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// HTTP/2 window of one connection at a server, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// HTTP/2 window of one stream at a client, in bytes: bounds a mirror's rate on a long wire.
pub const CHANNEL_STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// HTTP/2 window of one connection at a client, in bytes.
pub const CHANNEL_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Characters of a peer's error message that are passed on.
pub const PEER_MESSAGE_CHARS_MAX: usize = 300;

/// Failures in a row after which a peer is left alone for a moment.
pub const BREAKER_FAILURES: u32 = 3;

/// First pause of a peer that fails.
pub const BREAKER_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest pause of a peer that fails.
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(HOLD_LIFE_DEFAULT_H <= HOLD_LIFE_MAX_H);
const _: () = assert!(SIGNAL_FRAUD_MONTHS <= SIGNAL_FRAUD_MONTHS_MAX);
const _: () = assert!(SUMMARY_BYTES == 120);
const _: () = assert!(FEED_DAY_LEAVES.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(TAIL_LEAVES_MAX.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(AUTHORITIES_MAX * CERTIFICATE_BYTES_MAX < ROOT_BYTES_MAX);
const _: () = assert!(MEMBERS_MAX * ENDPOINTS_MAX * ENDPOINT_BYTES_MAX / 2 < LIST_BYTES_MAX);
const _: () = assert!(MEMBER_WEIGHT_MAX.is_power_of_two());
const _: () = assert!(CLOCK_SKEW_MAX.as_secs() < FRESHNESS_LIFE_MAX.as_secs());
const _: () = assert!(TOP_UP_LEAVES_MAX.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(CHECKPOINT_MARGIN_MS < CHECKPOINT_INTERVAL_MS);
const _: () = assert!(CONNECTIONS_PER_MEMBER_MAX <= CONNECTIONS_PER_ADDRESS_MAX);
const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX < CONNECTIONS_MAX);
const _: () = assert!(CALLS_PER_CONNECTION_MAX <= CALLS_PER_MEMBER_MAX);
const _: () = assert!(CALLS_PER_MEMBER_MAX < CALLS_MAX);
const _: () = assert!(CHANNEL_AGE_MAX.as_secs() < CONNECTION_AGE_MAX.as_secs());
const _: () = assert!(PEER_DEADLINE_MS_MAX < OPERATOR_CALL_DEADLINE.as_secs() * 1_000);
const _: () = assert!(STREAM_AGE_MAX.as_secs() < CONNECTION_AGE_MAX.as_secs());
const _: () = assert!(STREAM_CHUNK_LEAVES <= TAIL_LEAVES_MAX);
const _: () = assert!(TAIL_LEAVES_MAX * LEAF_BYTES < MESSAGE_BYTES_MAX);
const _: () = assert!(
    RELAYED_LIST_BYTES_MAX
        + FRESHNESS_BYTES_MAX
        + DEPARTURES_RELAYED_MAX * DEPARTURE_BYTES_MAX
        + RELAYED_ROOTS_BYTES_MAX
        + LOG_CHECKPOINTS_TOLD_MAX * LOG_NOTE_BYTES_MAX
        < MESSAGE_BYTES_MAX
);
const _: () = assert!(2 * FRESHNESS_INTERVAL.as_secs() < FRESHNESS_LIFE_MAX.as_secs());
const _: () = assert!(BREAKER_PAUSE_MIN.as_secs() < BREAKER_PAUSE_MAX.as_secs());
