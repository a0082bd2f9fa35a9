//! The tables of a store: stable codes for the disk, stable names for seals and messages.

use std::fmt;

macro_rules! tables {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// A kind of row. `docs/storage.md` describes the key, value and life of each.
        ///
        /// Codes and names are part of the format: a code is never used again for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Table {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl Table {
            /// Every table, in the order of the codes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The byte that the table has on disk, 1 to 254.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The name that the table has in seals and in messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The table with this code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

tables! {
    /// Facts about the node itself: its name, its network, what it settled once.
    Meta = 1, "meta";
    /// Keys of the node: identity, TLS, OPRF seeds.
    Key = 2, "key";
    /// Records, newest version each.
    Record = 3, "record";
    /// Index from a borrower to its records.
    Borrower = 4, "borrower";
    /// Links from an identifier to the borrower that it names.
    Identity = 5, "identity";
    /// What is durable but not yet in the node's own feeds.
    Unpublished = 6, "unpublished";
    /// Head of each of the node's own feeds.
    FeedHead = 7, "feed-head";
    /// Groups of leaves of the node's own feeds.
    FeedGroup = 8, "feed-group";
    /// Signed checkpoints, the node's own and those seen of peers.
    Checkpoint = 9, "checkpoint";
    /// Leaves per borrower and epoch: the number that the next leaf's tag takes.
    LeafCount = 10, "leaf-count";
    /// Head of each mirror of a peer's feed.
    MirrorHead = 11, "mirror-head";
    /// Groups of leaves of a mirror.
    MirrorGroup = 12, "mirror-group";
    /// Statements of peers' keys.
    PeerKey = 13, "peer-key";
    /// What each peer has spent.
    Quota = 14, "quota";
    /// Head of the audit log.
    AuditHead = 15, "audit-head";
    /// Entries of the audit log.
    AuditEntry = 16, "audit-entry";
    /// Queries that this node asked, with their batch seeds.
    Query = 17, "query";
    /// Answers by query id.
    Answer = 18, "answer";
    /// What an idempotency key or a request id stood for.
    Idempotency = 19, "idempotency";
    /// How far an import came.
    ImportProgress = 20, "import-progress";
    /// Whose summary changes by time alone, in the order of the moments.
    Due = 21, "due";
    /// Signals that wait for a second reviewer; they publish nothing.
    PendingSignal = 22, "pending-signal";
    /// Disputes, and which dispute each of their signals belongs to.
    Dispute = 23, "dispute";
    /// How far what is old was deleted.
    Swept = 24, "swept";
    /// Index from a borrower to this node's own queries about it.
    AskedAbout = 25, "asked-about";
    /// Rows to delete, in the order of the days on which they were written.
    Dated = 26, "dated";
    /// Borrowers that this node watches, and which identifier belongs to which.
    Watched = 28, "watched";
    /// Tokens of watched borrowers, by feed.
    WatchToken = 29, "watch-token";
    /// What a feed last told of a watched borrower.
    WatchState = 30, "watch-state";
    /// How far each feed was evaluated and looked at.
    WatchFeed = 31, "watch-feed";
    /// Alerts.
    Alert = 32, "alert";
    /// Alerts that are to be posted, and those that were given up.
    Outbox = 33, "outbox";
    /// Checkpoints of peers' audit logs that this node cosigned last, and how far its own are.
    Cosigned = 37, "cosigned";
    /// Roots of whole blocks of the audit log's entries.
    AuditBlock = 38, "audit-block";
    /// Proofs that a member signed two histories.
    Fork = 39, "fork";
    /// What this member counted of its own months.
    OwnMonth = 40, "own-month";
    /// Peers' signed counts of their months.
    PeerMonth = 41, "peer-month";
    /// What is known here of each peer's standing.
    Standing = 42, "standing";
    /// Ends of reports that were counted already, by the tag of the leaf that showed each.
    Proven = 43, "proven";
    /// Which records stood in the summaries of an identifier, and the key of their notices.
    NoticeStood = 44, "notice-stood";
    /// Changes of records about which notices are to be posted.
    NoticeDue = 45, "notice-due";
    /// Leaves of peers' notice feeds, by tag.
    NoticeLeaf = 46, "notice-leaf";
    /// Which leaf of a peer's notice feed the key of an answer waits for.
    NoticeKey = 47, "notice-key";
    /// Answers that rest on what a peer had published, by the key of its notices.
    NoticeAnswer = 48, "notice-answer";
    /// Revision notices: which answers changed afterwards, and why.
    Revision = 49, "revision";
    /// Own queries in the order of time, for the judgement of fishing.
    Asked = 50, "asked";
    /// What each member asked on each day: numbers, no identifier.
    AskerDay = 51, "asker-day";
    /// What looks like fishing, and who looked at it.
    Finding = 52, "finding";
    /// Samples that this auditor drew: head, queries with what came of each, canaries.
    Sample = 60, "sample";
    /// Samples that auditors want this node to open.
    OpeningRequest = 61, "opening-request";
    /// What a retraction ended, for the counts of the member's own months.
    RetractedAs = 62, "retracted-as";
    /// How far the entries of light mode are built, by own feed.
    LightHead = 63, "light-head";
    /// Entries of light mode, by own feed and bucket.
    LightEntry = 64, "light-entry";
}

impl Table {
    /// Whether new rows of this table give way to all others when space gets short: peers write
    /// them, and a peer that publishes without end must not stop this node's own work.
    #[must_use]
    pub const fn gives_way(self) -> bool {
        matches!(self, Self::MirrorGroup | Self::NoticeLeaf)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Table;

    #[test]
    fn codes_and_names_are_distinct_and_lead_back() {
        let codes: BTreeSet<u8> = Table::ALL.iter().map(|table| table.code()).collect();
        let names: BTreeSet<&str> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!(codes.len(), Table::ALL.len());
        assert_eq!(names.len(), Table::ALL.len());
        assert!(!codes.contains(&0) && !codes.contains(&255));
        for table in Table::ALL {
            assert_eq!(Table::from_code(table.code()), Some(*table));
        }
    }
}
