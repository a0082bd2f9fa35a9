//! Which answers changed afterwards: the keys kept with each answer, the notices that peers post,
//! and the revision notices that come of both.
//!
//! Everything is decided locally, from leaves that every member streams, so that the peer does not
//! learn who had asked. No notice is lost between an answer and a leaf that arrive together: each
//! of the two commits expects that the other did not happen meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::ageing::dated;
use super::draft::Draft;
use super::home::Home;
use super::revision_rows::{Answered, Keys, Waiting};
use super::stood::KEPT;
use super::{Alerts, FlowError, NewAlert, Subject, openings, retry_conflicts};
use crate::crypto::NoticeKey;
use crate::domain::{AlertKind, Borrower, Identifier, MemberId, QueryId, RevisionKind, Timestamp};
use crate::limits::{
    NOTICE_CHUNK_LEAVES, NOTICE_LEAVES_MAX, NOTICES_LOOKED_MAX, REVISIONS_MAX, REVISIONS_PAGE_MAX,
    STORE_BATCH_ROWS_MAX, STORE_SCAN_ROWS_MAX,
};
use crate::membership::Member;
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::{Leaf, Tag, leaves_of};
use crate::protocol::mirror::{MirrorFault, MirrorHead, Tail};
use crate::protocol::notice::{Notice, tag_of};
use crate::store::{Scan, Table};
use crate::wire::{Chunk, Malformed};

/// Answers that one commit revises: each takes up to five rows, and as many that let them go, and
/// those of its alert.
const REVISED_AT_ONCE: usize = STORE_BATCH_ROWS_MAX / 16;

/// What an answer rests on at one peer, under one identifier.
#[derive(Debug)]
pub(super) struct Rested {
    /// The peer.
    pub(super) peer: MemberId,
    /// The key of its notices about the identifier, at its level and epoch.
    pub(super) key: NoticeKey,
    /// Leaves of its feed that the mirror held.
    pub(super) size: u64,
}

/// An answer that changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionNotice {
    /// The answer's query.
    pub query: QueryId,
    /// The same for all answers that one change of one record revises.
    pub event: [u8; 8],
    /// What happened to a record that it rested on.
    pub kind: RevisionKind,
    /// When that happened, rounded down to the hour.
    pub at: Timestamp,
    /// When this node learned of it.
    pub noted_at: Timestamp,
    /// Whose record it was.
    pub member: MemberId,
}

/// The answers' keys and what became of them, in this node's store.
#[derive(Debug)]
pub struct Revisions {
    pub(super) home: Arc<Home>,
    alerts: Arc<Alerts>,
    news: watch::Sender<u64>,
}

/// A key that a leaf was waited for with, and the notices that came.
struct Match {
    waiting: Waiting,
    revision: u64,
    notices: Vec<Notice>,
    next: u32,
}

impl Revisions {
    /// Those in this node's store; each is also an alert.
    #[must_use]
    pub fn new(home: Arc<Home>, alerts: Arc<Alerts>) -> Self {
        Self {
            home,
            alerts,
            news: watch::Sender::new(0),
        }
    }

    /// Changes whenever this replica noted a revision.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn keys(&self) -> Keys<'_> {
        Keys(&self.home.vault)
    }

    /// How many leaves of a peer's notice feed were taken, and of which generation of it.
    pub(super) async fn reach(&self, peer: &MemberId) -> Result<(u32, u64), FlowError> {
        let (_, head) = self.head(peer).await?;
        let generation = head.feed().notices_generation().unwrap_or(0);
        Ok((generation, head.size()))
    }

    async fn head(&self, peer: &MemberId) -> Result<(u64, MirrorHead), FlowError> {
        let row = self
            .home
            .vault
            .read(Table::MirrorHead, &self.keys().head(peer))
            .await?;
        let Some(row) = row else {
            return Ok((0, MirrorHead::new(FeedId::notices(peer.clone(), 0))));
        };
        let head = MirrorHead::decode(&row.bytes);
        let head = head.map_err(|_| FlowError::Unreadable {
            what: "notice feed",
        })?;
        Ok((row.revision, head))
    }

    /// Stages with an answer what is needed to recognise notices about it; and that it is revised
    /// already, where a notice overtook it.
    pub(super) async fn stage_answer(
        &self,
        draft: &mut Draft,
        query: QueryId,
        borrower: &Borrower,
        rested: &[&Rested],
    ) -> Result<(), FlowError> {
        let (home, keys) = (&*self.home, self.keys());
        let now = home.clock.now();
        let kept_until = now.plus(KEPT);
        let borrowers = keys.borrowers(borrower);
        let (mut expected, mut alerts) = (BTreeSet::new(), Vec::new());
        for one in rested {
            let (revision, head) = self.head(&one.peer).await?;
            if expected.insert(one.peer.clone()) {
                draft.expect(Table::MirrorHead, keys.head(&one.peer), revision);
            }
            let answered = Answered {
                kept_until,
                query,
                size: one.size,
                borrowers: borrowers.clone(),
            };
            let mut n = 0;
            while n < NOTICES_LOOKED_MAX
                && let Some(leaf) = self.posted(&one.peer, &one.key, n).await?
            {
                if alerts.len() < REVISIONS_MAX
                    && let Ok(notice) = Notice::open(&leaf, &one.key, n, head.feed())
                {
                    let alert = self.stage_revision(draft, &one.peer, &answered, &notice);
                    alerts.extend(alert.await?);
                }
                n += 1;
            }
            let key = keys.waiting(&one.peer, &tag_of(&one.key, n));
            let held = home.vault.read(Table::NoticeKey, &key).await?;
            let waiting = Waiting::new(kept_until, &one.key, n);
            draft.put(
                Table::NoticeKey,
                &key,
                held.map_or(0, |row| row.revision),
                waiting.encode(),
            );
            let key = keys.answered(&one.peer, &one.key, query);
            draft.put(Table::NoticeAnswer, &key, 0, answered.encode());
        }
        if !alerts.is_empty() {
            self.alerts.stage(draft, &alerts).await?;
        }
        Ok(())
    }

    /// Notice number `n` under a key, where it came already.
    async fn posted(
        &self,
        peer: &MemberId,
        key: &NoticeKey,
        n: u32,
    ) -> Result<Option<Leaf>, FlowError> {
        let row_key = self.keys().leaf(peer, &tag_of(key, n));
        let row = self.home.vault.read(Table::NoticeLeaf, &row_key).await?;
        let unreadable = || FlowError::Unreadable { what: "notice" };
        row.map(|row| {
            let bytes = row.bytes.last_chunk().ok_or_else(unreadable)?;
            Ok(Leaf::from_bytes(*bytes))
        })
        .transpose()
    }

    /// Stages that an answer is revised, unless the notice does not mean it, that is known, or it
    /// was revised [`REVISIONS_MAX`] times.
    async fn stage_revision(
        &self,
        draft: &mut Draft,
        peer: &MemberId,
        answered: &Answered,
        notice: &Notice,
    ) -> Result<Option<NewAlert>, FlowError> {
        let (home, keys) = (&*self.home, self.keys());
        let main = Keys::revision(answered.query, &notice.event);
        if !notice.stretch.holds(answered.size)
            || draft.staged(Table::Revision, &main).is_some()
            || home.vault.read(Table::Revision, &main).await?.is_some()
        {
            return Ok(None);
        }
        let known = Scan::prefix(&Keys::revisions_of(answered.query), REVISIONS_MAX);
        let known = home.vault.scan(Table::Revision, &known).await?;
        if known.len() >= REVISIONS_MAX {
            return Ok(None);
        }
        let revision = RevisionNotice {
            query: answered.query,
            event: notice.event,
            kind: notice.kind,
            at: notice.at,
            noted_at: home.clock.now(),
            member: peer.clone(),
        };
        let mut rows = vec![
            (main.clone(), revision.encode()),
            (Keys::noted(&revision), main.clone()),
        ];
        let untold = answered.borrowers.iter();
        rows.extend(untold.map(|one| (keys.untold(one, &main), main.clone())));
        for (key, row) in rows {
            let (table, name, date) =
                dated(&home.vault, (Table::Revision, &key), revision.noted_at);
            draft.put(table, &name, 0, date);
            draft.put(Table::Revision, &key, 0, row);
        }
        Ok(Some(NewAlert {
            kind: AlertKind::Revised,
            subject: Subject {
                reference: format!("query {}", answered.query),
                borrower: self.masked(answered.query).await,
            },
            peer: peer.clone(),
            at: notice.at,
            standing: false,
        }))
    }

    /// Whom a query was about, with most of the identifiers hidden; empty where nothing opens the
    /// query any more.
    async fn masked(&self, query: QueryId) -> String {
        let opening = openings::read(&self.home, query).await.ok().flatten();
        let borrowers = opening.map(|opening| opening.borrowers).unwrap_or_default();
        let identifiers = borrowers
            .iter()
            .flat_map(|one| [&one.national, &one.phone])
            .flatten();
        let masked: Vec<String> = identifiers.map(Identifier::masked).collect();
        masked.join(" ")
    }

    /// Takes a chunk of a peer's notice feed: verified, matched with the answers given, and durable
    /// together with what came of it. A chunk that was overtaken meanwhile changes nothing.
    ///
    /// # Errors
    /// [`FlowError::Mirror`] where it does not hold together with what came before,
    /// [`FlowError::Store`] where it cannot be kept.
    pub(super) async fn take(&self, peer: &Member, chunk: &Chunk) -> Result<(), FlowError> {
        let revised = retry_conflicts(|| self.try_take(peer, chunk)).await?;
        if revised > 0 {
            self.news
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    async fn try_take(&self, peer: &Member, chunk: &Chunk) -> Result<usize, FlowError> {
        let (revision, mut head) = self.head(&peer.id).await?;
        let feed = feed_of(chunk, &peer.id)?;
        if feed.notices_generation() > head.feed().notices_generation() {
            // The peer was restored from a backup.
            head = MirrorHead::new(feed.clone());
        }
        let tail = Tail {
            from: chunk.from,
            leaves: &chunk.leaves,
            note: &chunk.checkpoint,
            consistency: &chunk.consistency,
        };
        let accepted = match head.accept(&tail, &peer.identity_key, None) {
            Err(MirrorFault::Overtaken { .. }) => return Ok(0),
            judged => judged?,
        };
        if accepted.head == head && revision > 0 {
            return Ok(0);
        }
        let size = accepted.head.size();
        if accepted.added > NOTICE_CHUNK_LEAVES || size > NOTICE_LEAVES_MAX {
            return Err(FlowError::NotPossible(format!(
                "{feed} is over its bound: {NOTICE_CHUNK_LEAVES} leaves at once and \
                 {NOTICE_LEAVES_MAX} in all"
            )));
        }
        let leaves = leaves_of(accepted.new_leaves(&tail)).into_iter().flatten();
        let fresh: BTreeMap<Tag, Leaf> = leaves.map(|leaf| (leaf.tag(), leaf)).collect();
        let mut draft = Draft::default();
        let matches = self.matches(&peer.id, &feed, &fresh, &mut draft).await?;
        let mut revised = 0;
        for one in &matches {
            revised += self.revise(&peer.id, one).await?;
        }
        self.stage_taken(&mut draft, &peer.id, &fresh, &matches)
            .await?;
        let (key, head) = (self.keys().head(&peer.id), accepted.head.encode());
        draft.put(Table::MirrorHead, &key, revision, head);
        draft.commit(&self.home.vault).await?;
        Ok(revised)
    }

    /// The keys that waited for these leaves. That none waited for the others stays so until the
    /// commit.
    async fn matches(
        &self,
        peer: &MemberId,
        feed: &FeedId,
        fresh: &BTreeMap<Tag, Leaf>,
        draft: &mut Draft,
    ) -> Result<Vec<Match>, FlowError> {
        let mut matches = Vec::new();
        for tag in fresh.keys() {
            let key = self.keys().waiting(peer, tag);
            let Some(row) = self.home.vault.read(Table::NoticeKey, &key).await? else {
                draft.expect(Table::NoticeKey, key, 0);
                continue;
            };
            let waiting = Waiting::decode(&row.bytes).ok_or(FlowError::Unreadable {
                what: "key of notices",
            })?;
            let (mut next, mut notices) = (waiting.n, Vec::new());
            while let Some(leaf) = fresh.get(&tag_of(&waiting.key, next)) {
                match Notice::open(leaf, &waiting.key, next, feed) {
                    Ok(notice) => notices.push(notice),
                    Err(error) => tracing::warn!(%peer, %error, "a notice does not open"),
                }
                next += 1;
            }
            matches.push(Match {
                waiting,
                revision: row.revision,
                notices,
                next,
            });
        }
        Ok(matches)
    }

    /// Notes every answer that these notices mean. Noted before the leaves are, and once only, also
    /// where this is done again after a crash.
    async fn revise(&self, peer: &MemberId, found: &Match) -> Result<usize, FlowError> {
        let vault = &self.home.vault;
        let prefix = self.keys().answers(peer, &found.waiting.key);
        let mut scan = Scan::prefix(&prefix, REVISED_AT_ONCE);
        let mut revised = 0;
        loop {
            let page = vault.scan(Table::NoticeAnswer, &scan).await?;
            let Some((last, _)) = page.last() else {
                return Ok(revised);
            };
            scan = scan.behind(last);
            for notice in &found.notices {
                let (mut draft, mut alerts) = (Draft::default(), Vec::new());
                for (_, row) in &page {
                    let answered = Answered::decode(&row.bytes).ok_or(FlowError::Unreadable {
                        what: "answer that rests on a peer",
                    })?;
                    let alert = self.stage_revision(&mut draft, peer, &answered, notice);
                    alerts.extend(alert.await?);
                }
                if !alerts.is_empty() {
                    self.alerts.stage(&mut draft, &alerts).await?;
                    draft.commit(vault).await?;
                    self.alerts.announce();
                    revised += alerts.len();
                }
            }
        }
    }

    /// Stages the leaves themselves, for answers that are being given, and what each key waits for
    /// next.
    async fn stage_taken(
        &self,
        draft: &mut Draft,
        peer: &MemberId,
        fresh: &BTreeMap<Tag, Leaf>,
        matches: &[Match],
    ) -> Result<(), FlowError> {
        let (home, keys) = (&*self.home, self.keys());
        for one in matches {
            let old = keys.waiting(peer, &tag_of(&one.waiting.key, one.waiting.n));
            draft.delete(Table::NoticeKey, &old, one.revision);
            let new = keys.waiting(peer, &tag_of(&one.waiting.key, one.next));
            let held = home.vault.read(Table::NoticeKey, &new).await?;
            let waiting = Waiting::new(one.waiting.kept_until, &one.waiting.key, one.next);
            let revision = held.map_or(0, |row| row.revision);
            draft.put(Table::NoticeKey, &new, revision, waiting.encode());
        }
        // No answer can begin to rest on an epoch that ended.
        let calendar = &home.calendar;
        let days = u64::from(calendar.epoch_days + calendar.overlap_days + 1);
        let kept_until = home.clock.now().plus(Duration::from_secs(days * 86_400));
        for (tag, leaf) in fresh {
            let key = keys.leaf(peer, tag);
            if home.vault.read(Table::NoticeLeaf, &key).await?.is_none() {
                let mut row = super::revision_rows::header(kept_until);
                row.extend(leaf.bytes());
                draft.put(Table::NoticeLeaf, &key, 0, row);
            }
        }
        Ok(())
    }

    /// Whether an earlier answer about this borrower changed since the last one was given; and the
    /// rows that say so.
    pub(super) async fn untold(
        &self,
        borrower: &Borrower,
    ) -> Result<Vec<(Vec<u8>, u64)>, FlowError> {
        let keys = self.keys();
        let mut rows = Vec::new();
        for borrower in keys.borrowers(borrower) {
            let prefix = keys.untold(&borrower, &[]);
            let scan = Scan::prefix(&prefix, STORE_SCAN_ROWS_MAX / 8);
            let page = self.home.vault.scan(Table::Revision, &scan).await?;
            rows.extend(page.into_iter().map(|(key, row)| (key, row.revision)));
        }
        Ok(rows)
    }

    /// The revisions of one answer, at most `most`.
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read.
    pub async fn of(&self, query: QueryId, most: usize) -> Result<Vec<RevisionNotice>, FlowError> {
        let scan = Scan::prefix(&Keys::revisions_of(query), most);
        let page = self.home.vault.scan(Table::Revision, &scan).await?;
        page.iter()
            .map(|(_, row)| RevisionNotice::decode(&row.bytes))
            .collect()
    }

    /// Revisions in the order in which they were noted, after the one at `after`, and where the
    /// next page begins.
    ///
    /// # Errors
    /// [`FlowError::Store`] where they cannot be read.
    pub async fn page(
        &self,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<RevisionNotice>, Option<Vec<u8>>), FlowError> {
        let vault = &self.home.vault;
        let scan = Scan {
            prefix: Keys::all_noted(),
            after,
            limit: REVISIONS_PAGE_MAX,
        };
        let page = vault.scan(Table::Revision, &scan).await?;
        let next = page.last().map(|(key, _)| key.clone());
        let mut revisions = Vec::with_capacity(page.len());
        for (_, row) in &page {
            if let Some(row) = vault.read(Table::Revision, &row.bytes).await? {
                revisions.push(RevisionNotice::decode(&row.bytes)?);
            }
        }
        Ok((revisions, next))
    }
}

/// The notice feed that a chunk says it is of.
fn feed_of(chunk: &Chunk, peer: &MemberId) -> Result<FeedId, FlowError> {
    let origin = chunk.checkpoint.lines().next().unwrap_or_default();
    let feed: Option<FeedId> = origin.parse().ok();
    feed.filter(|feed| feed.member == *peer && feed.notices_generation().is_some())
        .ok_or_else(|| Malformed::new("checkpoint", "must be of the peer's notice feed").into())
}
