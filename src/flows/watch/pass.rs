//! The evaluation pass: every watched borrower once at each peer in each key epoch, in batches that
//! are logged and metered like any query, and that go on where a killed node stopped.

use std::sync::Arc;

use futures::future::join_all;
use tokio::time::timeout;

use super::Inner;
use super::board::{pending_key, slot_of};
use super::rows::{self, PendingRow, WatchedRow};
use crate::crypto::oprf::{BatchSeed, HashedInputs, Input, PublicKey};
use crate::crypto::{Secret, Token, sha256};
use crate::domain::{Purpose, QueryId};
use crate::flows::question::{Prepared, Way};
use crate::flows::{AuditEvent, FlowError, openings};
use crate::limits::{
    WATCH_BATCH_BORROWERS, WATCH_EVALUATE_DEADLINE, WATCH_PAUSE, WATCH_QUOTA_RESERVE,
};
use crate::membership::Member;
use crate::protocol::feed::FeedId;
use crate::protocol::opening::{
    OpenedBorrower, OpenedPeer, Opening, batch_root, commitment, roots_digest,
};
use crate::store::Table;

/// What one step of a pass came to.
enum Step {
    /// A batch was evaluated; there may be more.
    Went,
    /// Everybody is evaluated.
    Whole,
    /// It cannot go on now.
    Waits(String),
}

/// A batch that is logged.
struct Batch {
    feed: FeedId,
    numbers: Vec<u32>,
    row: PendingRow,
    prepared: Prepared,
    /// Whom it is about, for who opens it later.
    opened: Vec<OpenedBorrower>,
}

impl Inner {
    /// Takes steps at all peers as long as there is anybody to evaluate.
    pub(super) async fn evaluate_for_ever(&self) {
        loop {
            let peers = self.home.asked();
            let went = join_all(peers.iter().map(|peer| self.step_at(peer))).await;
            if !went.into_iter().any(|went| went) {
                let _woken = timeout(WATCH_PAUSE, self.grown.notified()).await;
            }
        }
    }

    /// Takes one step at a peer; gives whether to go on at once.
    async fn step_at(&self, peer: &Arc<Member>) -> bool {
        let (went, waits) = match self.step(peer).await {
            Ok(Step::Went) => (true, None),
            Ok(Step::Whole) => (false, None),
            Ok(Step::Waits(why)) => (false, Some(why)),
            Err(error) => {
                tracing::debug!(peer = %peer.id, %error, "evaluation pass waits");
                (false, Some(error.to_string()))
            }
        };
        match waits {
            Some(why) => self.waits().insert(peer.id.clone(), why),
            None => self.waits().remove(&peer.id),
        };
        went
    }

    async fn step(&self, peer: &Arc<Member>) -> Result<Step, FlowError> {
        let (_, head) = self.head().await?;
        if head.last == 0 {
            return Ok(Step::Whole);
        }
        if self.asker.is_light(&peer.id) {
            return Ok(Step::Waits(
                "this peer is asked in light mode, which watches nobody".to_owned(),
            ));
        }
        let Some((epoch, key)) = self.asker.epoch_for(peer).await? else {
            return Ok(Step::Waits(
                "there is no mirror of this peer yet".to_owned(),
            ));
        };
        let feed = FeedId {
            member: peer.id.clone(),
            level: self.home.level(),
            epoch,
        };
        let evaluated = {
            let mut board = self.board.lock().await;
            self.open_board(&mut board).await?;
            let newer = board.newest_of(&peer.id, |slot| self.is_live(slot));
            if newer.is_some_and(|newer| newer.id.epoch > epoch) {
                return Ok(Step::Waits(
                    "the newer epoch's mirror is not whole".to_owned(),
                ));
            }
            let held = board.feeds.get(&slot_of(&feed));
            held.map_or(0, |feed| feed.row.evaluated)
        };
        if evaluated >= head.last {
            return Ok(Step::Whole);
        }
        if self.watched_after(evaluated, 1).await?.is_empty() {
            // Everybody behind was removed.
            let mut board = self.board.lock().await;
            self.open_board(&mut board).await?;
            let none = (Vec::new(), head.last);
            self.take(&mut board, &feed, none).await?;
            return Ok(Step::Whole);
        }
        let (batch, is_logged) = match self.resumed(peer, &feed, key).await? {
            Some(batch) => (batch, true),
            None => (self.next_batch(peer, &feed, (evaluated, key)).await?, false),
        };
        if !is_logged {
            if let Some(why) = self.lacks_quota(peer, batch.numbers.len()).await? {
                return Ok(Step::Waits(why));
            }
            self.log(&batch).await?;
        }
        self.ask(batch).await?;
        Ok(Step::Went)
    }

    /// Why the peer's quota does not suffice for so many borrowers.
    async fn lacks_quota(&self, peer: &Member, count: usize) -> Result<Option<String>, FlowError> {
        let left = self.asker.describe(peer).await?.quota_left;
        let own = self.home.own_entry();
        let all = own.map_or(0, |own| own.quota_elements_per_epoch);
        let needed = 2 * u64::try_from(count).unwrap_or(u64::MAX / 2);
        let reserve = all / WATCH_QUOTA_RESERVE;
        Ok((left < needed.saturating_add(reserve)).then(|| {
            format!(
                "the quota of this epoch has {left} elements left, and {reserve} stay for \
                 applicants: it goes on in the next epoch, or when an administrator raises it"
            )
        }))
    }

    /// The batch that was logged before and not kept, if its borrowers are all still watched.
    async fn resumed(
        &self,
        peer: &Arc<Member>,
        feed: &FeedId,
        key: PublicKey,
    ) -> Result<Option<Batch>, FlowError> {
        let name = pending_key(&self.home, feed);
        let Some(held) = self.home.vault.read(Table::WatchFeed, &name).await? else {
            return Ok(None);
        };
        let row: PendingRow = rows::decode(&held.bytes)?;
        let borrowers = self.watched_within(row.after, row.to).await?;
        if borrowers.is_empty() {
            return Ok(None);
        }
        let opened = opened(&borrowers)?;
        let (opened, inputs) = hashed(opened).await?;
        let numbers = borrowers.iter().map(|(number, _)| *number).collect();
        let seed = BatchSeed::from_secret(Secret::from_bytes(row.seed));
        let pending = inputs.blind(&seed);
        // Somebody of it was removed meanwhile: it is another batch.
        if batch_root(pending.elements()) != row.batch {
            return Ok(None);
        }
        Ok(Some(Batch {
            feed: feed.clone(),
            numbers,
            opened,
            prepared: Prepared {
                peer: Arc::clone(peer),
                epoch: feed.epoch,
                key,
                pending,
                request_id: row.request_id,
                way: Way::Mirror,
            },
            row,
        }))
    }

    async fn next_batch(
        &self,
        peer: &Arc<Member>,
        feed: &FeedId,
        (after, key): (u32, PublicKey),
    ) -> Result<Batch, FlowError> {
        let home = &self.home;
        let borrowers = self.watched_after(after, WATCH_BATCH_BORROWERS).await?;
        let (_, head) = self.head().await?;
        // Where all behind were removed, the pass is done with them too.
        let to = match borrowers.last() {
            Some((number, _)) if borrowers.len() == WATCH_BATCH_BORROWERS => *number,
            Some(_) | None => head.last,
        };
        let opened = opened(&borrowers)?;
        let (opened, inputs) = hashed(opened).await?;
        let numbers = borrowers.iter().map(|(number, _)| *number).collect();
        let seed = Secret::<32>::random(&*home.entropy)?;
        let pending = inputs.blind(&BatchSeed::from_secret(Secret::from_bytes(*seed.expose())));
        let mut request_id = [0; 16];
        home.entropy.fill(&mut request_id)?;
        let salt = Secret::<32>::random(&*home.entropy)?;
        let row = PendingRow {
            after,
            to,
            request_id,
            commitment: commitment(&salt, &opened),
            salt: *salt.expose(),
            seed: *seed.expose(),
            batch: batch_root(pending.elements()),
        };
        Ok(Batch {
            feed: feed.clone(),
            numbers,
            row,
            opened,
            prepared: Prepared {
                peer: Arc::clone(peer),
                epoch: feed.epoch,
                key,
                pending,
                request_id,
                way: Way::Mirror,
            },
        })
    }

    /// The batch is durable, with what opens it later, before the peer hears of it.
    async fn log(&self, batch: &Batch) -> Result<(), FlowError> {
        let home = &self.home;
        let mut random = [0; 10];
        home.entropy.fill(&mut random)?;
        let at = home.clock.now();
        let opening = Opening {
            query: QueryId::fresh(at, random),
            at,
            purpose: Purpose::AccountReview,
            salt: Secret::from_bytes(batch.row.salt),
            seed: Secret::from_bytes(batch.row.seed),
            seed_for_each_peer: false,
            borrowers: batch.opened.clone(),
            peers: vec![OpenedPeer {
                member: batch.feed.member.clone(),
                level: batch.feed.level,
                epoch: batch.feed.epoch,
                batch: batch.row.batch,
            }],
        };
        let event = AuditEvent::Asked {
            query: opening.query,
            purpose: opening.purpose,
            commitment: batch.row.commitment,
            batches: roots_digest(&[batch.row.batch]),
            peers: 1,
        };
        let mut rows = openings::staged(&home.vault, &opening);
        rows.push((
            Table::WatchFeed,
            pending_key(&self.home, &batch.feed),
            rows::encode(&batch.row),
        ));
        self.ledger.log(event, rows).await
    }

    /// Asks the peer, and keeps what it evaluated.
    async fn ask(&self, batch: Batch) -> Result<(), FlowError> {
        let Batch {
            feed,
            numbers,
            row,
            prepared,
            opened: _,
        } = batch;
        let (purpose, commitment) = (Purpose::AccountReview, row.commitment);
        let hearing = self
            .asker
            .hear(prepared, purpose, commitment, WATCH_EVALUATE_DEADLINE);
        let heard = timeout(WATCH_EVALUATE_DEADLINE * 2, hearing).await;
        let heard = heard.unwrap_or(Err(FlowError::Late {
            deadline: WATCH_EVALUATE_DEADLINE,
        }))?;
        // Of the two elements of a borrower the one that is present gave a token.
        let mut pairs = heard.tokens.into_iter();
        let mut tokens: Vec<(u32, Token)> = Vec::with_capacity(numbers.len());
        for number in numbers {
            let pair = [pairs.next().flatten(), pairs.next().flatten()];
            tokens.extend(
                pair.into_iter()
                    .flatten()
                    .next()
                    .map(|token| (number, token)),
            );
        }
        let mut board = self.board.lock().await;
        self.open_board(&mut board).await?;
        let taken = self.take(&mut board, &feed, (tokens, row.to)).await;
        if taken.is_err() {
            board.forget();
        }
        taken
    }

    /// Borrowers with numbers after one and up to another.
    async fn watched_within(
        &self,
        after: u32,
        to: u32,
    ) -> Result<Vec<(u32, WatchedRow)>, FlowError> {
        let mut borrowers = self.watched_after(after, WATCH_BATCH_BORROWERS).await?;
        borrowers.retain(|(number, _)| *number <= to);
        Ok(borrowers)
    }
}

/// What is asked about each borrower: its strongest identifier, and nothing in place of the other.
/// It rests on the reference under which the borrower is watched.
fn opened(borrowers: &[(u32, WatchedRow)]) -> Result<Vec<OpenedBorrower>, FlowError> {
    let opened = borrowers.iter().map(|(_, row)| {
        let borrower = row.borrower()?;
        let national = borrower.national;
        let phone = borrower.phone.filter(|_| national.is_none());
        Ok(OpenedBorrower {
            national,
            phone,
            consent: sha256(row.reference.as_bytes()),
            reference: Some(row.reference.clone()),
        })
    });
    opened.collect()
}

/// Hashes two elements for each borrower, a random one where an identifier is missing, so that the
/// number of elements tells nothing.
async fn hashed(
    opened: Vec<OpenedBorrower>,
) -> Result<(Vec<OpenedBorrower>, HashedInputs), FlowError> {
    let task = tokio::task::spawn_blocking(move || {
        let inputs: Vec<Input<'_>> = opened.iter().flat_map(OpenedBorrower::inputs).collect();
        let hashed = HashedInputs::hash(&inputs)?;
        Ok((opened, hashed))
    });
    task.await.map_err(|_| FlowError::ShuttingDown)?
}
