//! Opening a feed: the link to the epoch before, then a snapshot of the whole book.

use super::draft::Draft;
use super::due;
use super::feed_rows::{FeedRow, FeedRows, OpenFeed};
use super::home::Home;
use super::stood::{Place, Standing};
use super::{Book, FlowError, OwnKeys};
use crate::domain::Record;
use crate::limits::{FEED_GROUP_LEAVES, OPEN_ROWS_PER_COMMIT, STORE_BATCH_ROWS_MAX};
use crate::merkle::{Checkpoint, SignedNote};
use crate::protocol::feed::{FeedHead, FeedId};
use crate::protocol::leaf::{Leaf, flat};
use crate::store::{Scan, Table};

/// Opens the feed unless it is open: afterwards it is.
///
/// # Errors
/// The store's failure, or a conflict where another replica opens it at the same moment.
pub(super) async fn ensure_open(
    home: &Home,
    book: &Book,
    keys: &OwnKeys,
    feed: &FeedId,
) -> Result<(), FlowError> {
    let rows = FeedRows::new(home, feed);
    let held = rows.read().await?;
    if held.as_ref().is_some_and(|(_, row)| row.open.is_some()) {
        return Ok(());
    }
    let (revision, before) = held.map_or((0, 0), |(revision, row)| (revision, row.attempt));
    let attempt = before.saturating_add(1);
    let mut draft = Draft::default();
    rows.stage_head(
        &mut draft,
        revision,
        &FeedRow {
            attempt,
            open: None,
        },
    );
    draft.commit(&home.vault).await?;
    let leaves = snapshot(home, book, keys, feed, revision + 1).await?;
    let previous = previous_checkpoint(home, feed).await?;
    let now = home.clock.now();
    let opening = FeedHead::open(feed.clone(), previous.as_ref(), leaves, &*home.entropy, now)?;
    let mut numbered = (0..)
        .zip(opening.leaves.chunks(FEED_GROUP_LEAVES))
        .peekable();
    while numbered.peek().is_some() {
        let mut draft = Draft::default();
        for (number, group) in numbered.by_ref().take(OPEN_ROWS_PER_COMMIT) {
            rows.stage_group(&mut draft, attempt, number, flat(group));
        }
        rows.expect_head(&mut draft, revision + 1);
        draft.commit(&home.vault).await?;
    }
    let (checkpoint, head) = opening.head.checkpoint(now)?;
    let note = checkpoint.sign(&*home.identity())?.to_string();
    let mut draft = Draft::default();
    let open = Some(OpenFeed { head, note });
    rows.stage_head(&mut draft, revision + 1, &FeedRow { attempt, open });
    draft.commit(&home.vault).await?;
    tracing::info!(feed = %feed.origin(), "feed opened");
    Ok(())
}

/// The newest checkpoint of the epoch before, which the first leaf names.
async fn previous_checkpoint(home: &Home, feed: &FeedId) -> Result<Option<Checkpoint>, FlowError> {
    let Some(epoch) = feed.epoch.previous() else {
        return Ok(None);
    };
    let before = FeedId {
        epoch,
        ..feed.clone()
    };
    let row = FeedRows::new(home, &before).read().await?;
    let Some(open) = row.and_then(|(_, row)| row.open) else {
        return Ok(None);
    };
    // This node signed it itself, perhaps by an identity key that it has replaced since.
    Ok(Some(Checkpoint::stored(&SignedNote::parse(&open.note)?)?))
}

/// One leaf per identifier in the book that has something to publish at this level.
async fn snapshot(
    home: &Home,
    book: &Book,
    keys: &OwnKeys,
    feed: &FeedId,
    head_revision: u64,
) -> Result<Vec<Leaf>, FlowError> {
    let rows = FeedRows::new(home, feed);
    let key = keys.key(feed.level, feed.epoch).await?;
    let mut leaves = Vec::new();
    let mut after = None;
    loop {
        let scan = Scan {
            prefix: Vec::new(),
            after,
            limit: STORE_BATCH_ROWS_MAX / 4,
        };
        let page = home.vault.scan(Table::Identity, &scan).await?;
        let Some((last, _)) = page.last() else {
            return Ok(leaves);
        };
        after = Some(last.clone());
        let mut draft = Draft::default();
        for (_, row) in &page {
            let name = std::str::from_utf8(&row.bytes)
                .map_err(|_| FlowError::Unreadable { what: "identity" })?;
            let held = book.records_of(name).await?;
            let (revision, _) = rows.published(name).await?;
            if held.is_empty() && revision == 0 {
                continue;
            }
            if held.iter().all(Record::is_retracted) {
                rows.stage_published(&mut draft, name, revision, (0, &[]));
            }
            let token = key.secret.token_of(name.as_bytes());
            let stands = Standing {
                resting: &home.resting(&held, feed.level)?,
                at: 0,
                first: true,
            };
            let place = Place::of(home, feed, name);
            let stood = place.read().await?;
            place.stage(&mut draft, stood, &stands, &token);
            if held.iter().all(Record::is_retracted) {
                continue;
            }
            let made = home.summarized(&held, feed.level)?;
            if let Some(at) = home.changes_within(&made, feed) {
                due::stage(home, &mut draft, name, at).await?;
            }
            let summary = made.summary.encode();
            leaves.push(Leaf::seal(&token, 0, &summary, home.nonce()?, feed));
            rows.stage_published(&mut draft, name, revision, (1, &summary));
        }
        rows.expect_head(&mut draft, head_revision);
        draft.commit(&home.vault).await?;
    }
}
