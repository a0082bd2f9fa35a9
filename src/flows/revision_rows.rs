//! How the asking side's rows lie in the store: what each answer's key waits for, the answers
//! under it, and the revision notices.
//!
//! Rows that are swept begin with their format and with the moment from which on they may go.

use super::FlowError;
use super::revisions::RevisionNotice;
use crate::crypto::{NoticeKey, Secret};
use crate::domain::{Borrower, MemberId, QueryId, RevisionKind, Timestamp};
use crate::protocol::leaf::Tag;
use crate::protocol::notice::tag_of;
use crate::store::{Table, Vault};

/// First byte of every row.
const FORMAT: u8 = 1;

/// The tables whose rows are swept; those of what stood begin in the same way.
pub(super) const SWEPT: &[Table] = &[
    Table::NoticeStood,
    Table::NoticeLeaf,
    Table::NoticeKey,
    Table::NoticeAnswer,
];

/// Bytes of a keyed hash within a key that goes on.
const HASH_BYTES: usize = 16;

/// The parts of [`Table::Revision`]: by query, by when it was noted, by borrower until the next
/// answer tells.
const BY_QUERY: u8 = 1;
const BY_TIME: u8 = 2;
const UNTOLD: u8 = 3;

/// What a row that is swept begins with.
pub(super) fn header(kept_until: Timestamp) -> Vec<u8> {
    let mut row = vec![FORMAT];
    row.extend(kept_until.unix_ms().to_be_bytes());
    row
}

/// When a row may go.
pub(super) fn kept_until(row: &[u8]) -> Option<Timestamp> {
    let ([FORMAT], row) = row.split_first_chunk()? else {
        return None;
    };
    let at = row.first_chunk()?;
    Some(Timestamp::from_unix_ms(i64::from_be_bytes(*at)))
}

fn body(row: &[u8]) -> Option<&[u8]> {
    row.get(1 + size_of::<i64>()..)
}

/// A key of notices and the number that comes next under it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) kept_until: Timestamp,
    pub(super) key: NoticeKey,
    pub(super) n: u32,
}

impl Waiting {
    pub(super) fn new(kept_until: Timestamp, key: &NoticeKey, n: u32) -> Self {
        Self {
            kept_until,
            key: NoticeKey::from_secret(Secret::from_bytes(*key.expose())),
            n,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = header(self.kept_until);
        row.extend(self.key.expose());
        row.extend(self.n.to_be_bytes());
        row
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let (key, n) = body(row)?.split_first_chunk()?;
        Some(Self {
            kept_until: kept_until(row)?,
            key: NoticeKey::from_secret(Secret::from_bytes(*key)),
            n: u32::from_be_bytes(n.try_into().ok()?),
        })
    }
}

/// An answer under a key of notices.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) kept_until: Timestamp,
    pub(super) query: QueryId,
    /// Leaves of the feed that the mirror held.
    pub(super) size: u64,
    /// Keyed hashes of the borrower's identifiers.
    pub(super) borrowers: Vec<[u8; HASH_BYTES]>,
}

impl Answered {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = header(self.kept_until);
        row.extend(self.query.0.as_bytes());
        row.extend(self.size.to_be_bytes());
        row.extend(self.borrowers.as_flattened());
        row
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let (query, rest) = body(row)?.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (borrowers, odd) = rest.as_chunks();
        odd.is_empty().then_some(Self {
            kept_until: kept_until(row)?,
            query: QueryId(uuid::Uuid::from_bytes(*query)),
            size: u64::from_be_bytes(*size),
            borrowers: borrowers.to_vec(),
        })
    }
}

impl RevisionNotice {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = header(self.noted_at);
        row.extend(self.query.0.as_bytes());
        row.extend(self.event);
        row.push(self.kind as u8);
        row.extend(self.at.unix_ms().to_be_bytes());
        row.extend(self.member.as_str().as_bytes());
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, FlowError> {
        Self::read(row).ok_or(FlowError::Unreadable {
            what: "revision notice",
        })
    }

    fn read(row: &[u8]) -> Option<Self> {
        let (query, rest) = body(row)?.split_first_chunk()?;
        let (event, rest) = rest.split_first_chunk()?;
        let ([kind], rest) = rest.split_first_chunk()?;
        let (at, member) = rest.split_first_chunk()?;
        let kinds = RevisionKind::ALL.iter().copied();
        Some(Self {
            query: QueryId(uuid::Uuid::from_bytes(*query)),
            event: *event,
            kind: kinds.clone().find(|one| *one as u8 == *kind)?,
            at: Timestamp::from_unix_ms(i64::from_be_bytes(*at)),
            noted_at: kept_until(row)?,
            member: std::str::from_utf8(member).ok()?.parse().ok()?,
        })
    }
}

/// The keys of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a Vault);

impl Keys<'_> {
    fn hash(&self, table: Table, parts: &[&[u8]]) -> [u8; HASH_BYTES] {
        let key = self.0.row_key(table, &parts.join(&b'\n'));
        key.first_chunk().copied().unwrap_or_default()
    }

    /// The head of a peer's notice feed.
    pub(super) fn head(&self, peer: &MemberId) -> Vec<u8> {
        let name = format!("{peer}/notices");
        self.0.row_key(Table::MirrorHead, name.as_bytes()).to_vec()
    }

    /// A leaf of a peer's notice feed.
    pub(super) fn leaf(&self, peer: &MemberId, tag: &Tag) -> Vec<u8> {
        let parts: [&[u8]; 2] = [peer.as_str().as_bytes(), tag];
        self.hash(Table::NoticeLeaf, &parts).to_vec()
    }

    /// What waits for the leaf with this tag.
    pub(super) fn waiting(&self, peer: &MemberId, tag: &Tag) -> Vec<u8> {
        let parts: [&[u8]; 2] = [peer.as_str().as_bytes(), tag];
        self.hash(Table::NoticeKey, &parts).to_vec()
    }

    /// What the keys of the answers under a key of notices begin with.
    pub(super) fn answers(&self, peer: &MemberId, key: &NoticeKey) -> Vec<u8> {
        let tag = tag_of(key, 0);
        let parts: [&[u8]; 2] = [peer.as_str().as_bytes(), &tag];
        self.hash(Table::NoticeAnswer, &parts).to_vec()
    }

    /// One answer under a key of notices.
    pub(super) fn answered(&self, peer: &MemberId, key: &NoticeKey, query: QueryId) -> Vec<u8> {
        [self.answers(peer, key).as_slice(), query.0.as_bytes()].concat()
    }

    /// The keyed hashes of a borrower's identifiers.
    pub(super) fn borrowers(&self, borrower: &Borrower) -> Vec<[u8; HASH_BYTES]> {
        let names = borrower.identifiers();
        names
            .map(|one| self.hash(Table::Revision, &[one.canonical().as_bytes()]))
            .collect()
    }

    /// The row of a borrower whose next answer is to tell of a revision; with nothing behind it,
    /// what all of them begin with.
    pub(super) fn untold(&self, borrower: &[u8; HASH_BYTES], revision: &[u8]) -> Vec<u8> {
        [[UNTOLD].as_slice(), borrower, revision].concat()
    }

    /// What the revisions of an answer begin with.
    pub(super) fn revisions_of(query: QueryId) -> Vec<u8> {
        [[BY_QUERY].as_slice(), query.0.as_bytes()].concat()
    }

    /// The revision of an answer by one event.
    pub(super) fn revision(query: QueryId, event: &[u8; 8]) -> Vec<u8> {
        [Self::revisions_of(query).as_slice(), event].concat()
    }

    /// What the revisions in the order of their arrival begin with.
    pub(super) fn all_noted() -> Vec<u8> {
        vec![BY_TIME]
    }

    /// The place of a revision in the order of their arrival.
    pub(super) fn noted(revision: &RevisionNotice) -> Vec<u8> {
        let at = revision.noted_at.unix_ms().to_be_bytes();
        let main = Self::revision(revision.query, &revision.event);
        [[BY_TIME].as_slice(), &at, &main].concat()
    }
}
