//! Bounds of trust documents, certificates and the registrar.

use std::time::Duration;

/// Bytes of a file that is read as one text: the longest document with room to spare.
pub const TEXT_FILE_BYTES_MAX: usize = 2 * WELCOME_BYTES_MAX;

/// Bytes of a network's root document with its signatures.
pub const ROOT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a member list with its signatures.
pub const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of an invitation, which carries a root document.
pub const INVITATION_BYTES_MAX: usize = ROOT_BYTES_MAX + 8 * 1024;

/// Bytes of a request to join, which carries an invitation and a certificate request.
pub const REQUEST_BYTES_MAX: usize = INVITATION_BYTES_MAX + 32 * 1024;

/// Bytes of a welcome, which carries a member list and a certificate chain; indented once more
/// than alone.
pub const WELCOME_BYTES_MAX: usize = 2 * LIST_BYTES_MAX;

/// Signatures beside one trust document, those of strangers included.
pub const DOCUMENT_SIGNATURES_MAX: usize = 2 * ADMINISTRATORS_MAX;

/// Administrators of a network.
pub const ADMINISTRATORS_MAX: usize = 16;

/// X.509 roots of a network: two in use while one replaces the other, twice over.
pub const AUTHORITIES_MAX: usize = 4;

/// Longest key epoch, in days.
pub const EPOCH_DAYS_MAX: u32 = 366;

/// Members on one list, removed ones included.
pub const MEMBERS_MAX: usize = 2_048;

/// Registrars that a node or a token names.
pub const REGISTRARS_MAX: usize = 4;

/// Characters of a token.
pub const TOKEN_CHARS_MAX: usize = 2_048;

/// Longest message to the registrar, in bytes: a member list with room to spare.
pub const REGISTRAR_REQUEST_BYTES_MAX: usize = LIST_BYTES_MAX + (1 << 20);

/// Longest message from the registrar, in bytes: all that waits at a desk, with room to spare.
pub const REGISTRAR_ANSWER_BYTES_MAX: usize = 18 << 20;

/// Longest message to the registrar that carries no member list, in bytes: some certificates, or a
/// request to join, with room to spare.
pub const REGISTRAR_SMALL_REQUEST_BYTES_MAX: usize = 192 << 10;

/// Bytes that all calls of callers together hold whom no list admits and who have shown nothing.
pub const REGISTRAR_STRANGERS_BYTES_MAX: usize = 32 << 20;

/// Bytes that one such call is counted for beside what it sends: its answer.
pub const REGISTRAR_STRANGER_CALL_BYTES: usize = ROOT_BYTES_MAX;

/// Bytes that all other callers' calls to the registrar together hold.
pub const REGISTRAR_KNOWN_BYTES_MAX: usize = 256 << 20;

/// Calls at once on one connection to the registrar.
pub const REGISTRAR_CALLS_PER_CONNECTION_MAX: usize = 8;

/// Invitations that the registrar keeps, until they are spent or expired.
pub const INVITATIONS_MAX: usize = 1_024;

/// How long a request to join waits for signatures before its place is given to another invitation.
pub const REQUEST_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// Next member lists that wait for signatures at once.
pub const PROPOSALS_MAX: usize = 16;

/// Bytes of the next member lists that wait for signatures, all together: whoever alone signed more
/// than the longest list gives way to another administrator's longest one.
pub const PROPOSALS_BYTES_MAX: usize = 2 * LIST_BYTES_MAX;

/// Next root documents that wait for signatures at once: one that each administrator began.
pub const ROOT_PROPOSALS_MAX: usize = ADMINISTRATORS_MAX;

/// Root documents in one message, in the order of their versions; whoever lacks more asks again.
pub const ROOTS_SENT_MAX: usize = 64;

/// Root documents that a node or registrar holds to hand them on, the newest ones.
pub const ROOTS_HELD_MAX: usize = 256;

/// How long calls may go on that a node began under an earlier root, to a peer whose certificate
/// leads to none of the new root's: then their connection is cut.
pub const ROOT_EXCHANGE_GRACE: Duration = Duration::from_secs(2);

/// Bytes of the root documents that a node hands on to a peer at once: one always fits.
pub const RELAYED_ROOTS_BYTES_MAX: usize = ROOT_BYTES_MAX;

/// Certificates of issuing authorities that are handed to a registrar at once.
pub const ISSUING_SENT_MAX: usize = 4 * REGISTRARS_MAX;

/// Members' own requests for changes that wait at once.
pub const CHANGES_MAX: usize = 64;

/// Bytes of a member's own request for a change with its signatures.
pub const CHANGE_BYTES_MAX: usize = 16 * 1024;

/// Identity keys that a member has replaced.
pub const FORMER_KEYS_MAX: usize = 32;

/// Bytes of a member's departure with its signature.
pub const DEPARTURE_BYTES_MAX: usize = 1024;

/// Departures that are kept until a member list says them.
pub const DEPARTURES_MAX: usize = 512;

/// Departures that a node hands on to a peer at once.
pub const DEPARTURES_RELAYED_MAX: usize = 64;

/// Requests to join that one look at the desk shows.
pub const DESK_REQUESTS_MAX: usize = 16;

/// How often the registrar states freshness; a statement lives longer, so that one or two may be
/// lost.
pub const FRESHNESS_INTERVAL: Duration = Duration::from_secs(120);

/// How often a node asks its registrar for the trust documents, beside following it.
pub const PULL_INTERVAL: Duration = Duration::from_secs(60);

/// Longest member list that a node hands on to a peer, in bytes.
pub const RELAYED_LIST_BYTES_MAX: usize = 832 << 10;

/// How long a list that a peer spoke of may be missing before peers are asked for it; doubles as
/// long as none of them has it.
pub const HEARD_LIST_WAIT_MIN: Duration = Duration::from_secs(2);

/// Longest pause between such questions.
pub const HEARD_LIST_WAIT_MAX: Duration = Duration::from_secs(120);

/// Peers that a node asks for trust documents at once, while no registrar answers.
pub const RELAYS_ASKED_MAX: usize = 3;

/// How often a joiner asks what became of its request.
pub const ENROL_INTERVAL: Duration = Duration::from_millis(500);

/// First pause before a registrar that failed is asked again; doubles.
pub const REGISTRAR_BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Longest pause before a registrar that failed is asked again.
pub const REGISTRAR_BACKOFF_MAX: Duration = Duration::from_secs(15);

/// How long a removal waits for the nodes' acknowledgements before it tells who is missing.
pub const ACKNOWLEDGEMENT_DEADLINE: Duration = Duration::from_secs(10);

/// Endpoints of one member.
pub const ENDPOINTS_MAX: usize = 8;

/// Bytes of one endpoint: a DNS name, a colon, a port.
pub const ENDPOINT_BYTES_MAX: usize = 253 + 1 + 5;

/// Largest weight of a member.
pub const MEMBER_WEIGHT_MAX: u32 = 1 << 20;

/// Grants in one member's entry.
pub const GRANTS_MAX: usize = 32;

/// By how much the quota of a member on probation is divided.
pub const PROBATION_QUOTA_DIVISOR: u64 = 10;

/// Time from the warning that a member's furnishing is late to the loss of its level.
pub const FURNISHING_GRACE: Duration = Duration::from_secs(14 * 86_400);

/// Age of a peer's newest checkpoint from which its furnishing counts as late: a node that runs
/// signs one every ten minutes.
pub const FURNISHING_LATE_AFTER: Duration = Duration::from_secs(86_400);

/// Calls of `Explain` that one member may make in one second.
pub const EXPLAIN_CALLS_PER_S: u32 = 4;

/// Bytes of a reason or a next step in an answer of `Explain`.
pub const EXPLAIN_TEXT_BYTES_MAX: usize = 500;

/// Bytes of a member's contact for disputes.
pub const MEMBER_CONTACT_BYTES_MAX: usize = 200;

/// Longest time from a member list's issue to its end.
pub const LIST_LIFE_MAX: Duration = Duration::from_secs(400 * 86_400);

/// An administrator's machine signs no member list that ends sooner than this.
pub const LIST_LIFE_LEFT_MIN: Duration = Duration::from_secs(7 * 86_400);

/// An administrator's machine signs no network root that ends sooner than this.
pub const ROOT_LIFE_LEFT_MIN: Duration = Duration::from_secs(90 * 86_400);

/// Keys of a network that may sign freshness statements.
pub const FRESHNESS_KEYS_MAX: usize = 8;

/// Longest life of a freshness statement: how long a node that hears nothing more goes on.
pub const FRESHNESS_LIFE_MAX: Duration = Duration::from_secs(600);

/// Bytes of a freshness statement with its signatures.
pub const FRESHNESS_BYTES_MAX: usize = 8 * 1024;

/// How far another party's clock may run ahead of ours before what it dates is refused.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// Longest life of any certificate, in days (the root's).
pub const CERTIFICATE_LIFE_DAYS_MAX: u32 = 20 * 366;

/// Longest life of an operator's certificate, in days.
pub const OPERATOR_CERTIFICATE_DAYS_MAX: u32 = 366;

/// Most minutes by which a certificate's beginning is dated back.
pub const CERTIFICATE_BACKDATE_MINUTES_MAX: u32 = 24 * 60;

/// Bytes of a certificate request in PEM.
pub const CERTIFICATE_REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Time for which a member states that a TLS key is its own: longer than a certificate lives, so
/// that an approval may take some days.
pub const CERTIFICATE_STATEMENT_LIFE: Duration = Duration::from_secs(100 * 86_400);

/// Certificates of one chain: a member's, an issuing authority's, and one more during a rollover.
pub const CERTIFICATE_CHAIN_MAX: usize = 3;

/// Certificates of one member that have not ended: a registrar issues no more, so that a member
/// that renews without a pause fills nothing. A node renews a certificate of a day twice a day.
pub const CERTIFICATES_PER_MEMBER_MAX: usize = 64;

/// Bytes of one member's certificate in DER.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of one entry of a membership log: a member list with an entry for every member.
pub const LOG_ENTRY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of entries in one answer of `ReadLog`; one entry always fits.
pub const LOG_PAGE_BYTES_MAX: usize = 1 << 20;

/// Entries in one answer of `ReadLog`.
pub const LOG_PAGE_ENTRIES_MAX: usize = 4_096;

/// Entries of one membership log: enough for ten years of a full network's certificates.
pub const LOG_ENTRIES_MAX: u64 = 1 << 23;

/// Bytes of the entries of one membership log on disk.
pub const LOG_BYTES_MAX: u64 = 4 << 30;

/// Certificates of one member that a registrar logs, and so issues, in 24 hours.
pub const CERTIFICATES_PER_MEMBER_DAY_MAX: u32 = 288;

/// Findings that a node keeps about one membership log.
pub const LOG_FINDINGS_MAX: usize = 64;

/// Pairs of checkpoints that contradict each other which a node keeps of one log.
pub const LOG_PROOFS_MAX: usize = 16;

/// Membership logs that a node keeps: those of its registrars, and of registrars before them.
pub const LOGS_MAX: usize = 16;

/// Bytes of a membership log's checkpoint as a signed note.
pub const LOG_NOTE_BYTES_MAX: usize = 4 * 1024;

/// Checkpoints that a node hands on to a peer in one answer.
pub const LOG_CHECKPOINTS_TOLD_MAX: usize = 2 * REGISTRARS_MAX;

/// Time for which list and log may differ before that is a finding: both are on their way.
pub const LOG_LATE_AFTER: Duration = Duration::from_secs(120);

const _: () = assert!(MEMBERS_MAX * (1 + 63 + 1 + 32) + 64 <= LOG_ENTRY_BYTES_MAX);
const _: () = assert!(LOG_PAGE_BYTES_MAX + 4 * LOG_PAGE_ENTRIES_MAX < REGISTRAR_ANSWER_BYTES_MAX);
const _: () = assert!(WELCOME_BYTES_MAX + FRESHNESS_BYTES_MAX < REGISTRAR_ANSWER_BYTES_MAX);
const _: () = assert!(
    LIST_BYTES_MAX
        + PROPOSALS_BYTES_MAX
        + DESK_REQUESTS_MAX * REQUEST_BYTES_MAX
        + CHANGES_MAX * CHANGE_BYTES_MAX
        // What is said of a node: its id, four digests, numbers and their tags.
        + MEMBERS_MAX * 300
        + ROOT_PROPOSALS_MAX * ROOT_BYTES_MAX
        + DEPARTURES_MAX * DEPARTURE_BYTES_MAX
        < REGISTRAR_ANSWER_BYTES_MAX
);
const _: () = assert!(REQUEST_BYTES_MAX < REGISTRAR_SMALL_REQUEST_BYTES_MAX);
const _: () = assert!(
    ISSUING_SENT_MAX * CERTIFICATE_BYTES_MAX + FRESHNESS_BYTES_MAX
        < REGISTRAR_SMALL_REQUEST_BYTES_MAX
);
const _: () = assert!(REGISTRAR_REQUEST_BYTES_MAX < REGISTRAR_STRANGERS_BYTES_MAX);
