//! Samples, the auditor's side: queries drawn of a member, the request to open them, and what came
//! of each.

mod again;
mod requests;
mod rows;

use std::sync::Arc;
use std::time::Duration;

pub use requests::OpeningRequests;
pub use rows::{ItemOutcome, OpeningRequest, Sample, SampleId, SampleItem};

use super::ageing::dated;
use super::draft::Draft;
use super::{AtPeer, Auditor, Checked, DrawnSample, FlowError, Home, NewDraw, retry_conflicts};
use crate::domain::{Identifier, Timestamp};
use crate::limits::{
    CALL_DEADLINE, CANARIES_MAX, CANARY_ROW_BYTES, SAMPLE_DAYS_MAX, SAMPLE_REQUESTED_MAX,
    SAMPLES_EVERY, SAMPLES_KEPT_MAX, STORE_SCAN_ROWS_MAX,
};
use crate::membership::VerifiedPeer;
use crate::protocol::opening::OpenedBorrower;
use crate::risk::fishing::{Canaries, FishingCode, Suspicion};
use crate::store::{Scan, Table, Vault};
use crate::wire::{Delivered, Malformed, OpeningsWanted};

/// Borrowers of one query whose consents are kept with its outcome.
const CONSENTS_KEPT: usize = 8;

/// What an auditor has drawn and asks for.
#[derive(Debug)]
pub struct NewSample {
    /// What is drawn.
    pub draw: NewDraw,
    /// Days that the member has, 1 to [`SAMPLE_DAYS_MAX`].
    pub days: u32,
    /// Identifiers that nobody owns, at most [`CANARIES_MAX`].
    pub canaries: Vec<Identifier>,
}

/// The auditor's samples.
#[derive(Debug, Clone)]
pub struct Samples {
    home: Arc<Home>,
    auditor: Auditor,
}

impl Samples {
    /// The samples of this node.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            auditor: Auditor::new(Arc::clone(&home)),
            home,
        }
    }

    /// Draws queries of a member, keeps them, and asks the member to open them. A member that is
    /// not reached is asked again until it is.
    ///
    /// # Errors
    /// As [`Auditor::draw`]; [`FlowError::Malformed`] where a bound is passed,
    /// [`FlowError::NotPossible`] where nothing was drawn or too many samples are kept.
    pub async fn request(&self, wanted: NewSample) -> Result<(Sample, DrawnSample), FlowError> {
        if wanted.draw.count > SAMPLE_REQUESTED_MAX {
            let reason = format!("must be 1 to {SAMPLE_REQUESTED_MAX} where they are requested");
            return Err(Malformed::new("count", reason).into());
        }
        if !(1..=SAMPLE_DAYS_MAX).contains(&wanted.days) {
            let reason = format!("must be 1 to {SAMPLE_DAYS_MAX}");
            return Err(Malformed::new("days", reason).into());
        }
        if wanted.canaries.len() > CANARIES_MAX {
            let reason = format!("must be at most {CANARIES_MAX}");
            return Err(Malformed::new("canaries", reason).into());
        }
        if self.list().await?.len() >= SAMPLES_KEPT_MAX {
            let why = format!("{SAMPLES_KEPT_MAX} samples are kept; each goes after 180 days");
            return Err(FlowError::NotPossible(why));
        }
        let (member, seed) = (wanted.draw.member.clone(), wanted.draw.seed.clone());
        let drawn = self.auditor.draw(wanted.draw).await?;
        if drawn.drawn.is_empty() {
            let why = format!("no query of {member} was answered in this span");
            return Err(FlowError::NotPossible(why));
        }
        let mut id = [0; 8];
        self.home.entropy.fill(&mut id)?;
        let drawn_at = self.home.clock.now();
        let life = Duration::from_secs(u64::from(wanted.days) * 86_400);
        let mut sample = Sample {
            id,
            member,
            seed,
            drawn_at,
            deadline: drawn_at.plus(life),
            offered: drawn.offered,
            is_sent: false,
            count: drawn.drawn.len(),
        };
        self.keep(&sample, &drawn, &wanted.canaries).await?;
        if let Err(error) = self.send(&mut sample).await {
            tracing::warn!(%error, member = %sample.member, "the sample is requested again later");
        }
        Ok((sample, drawn))
    }

    /// Puts a new sample into the store, each row with the day on which it goes.
    async fn keep(
        &self,
        sample: &Sample,
        drawn: &DrawnSample,
        canaries: &[Identifier],
    ) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        let mut draft = Draft::default();
        let mut put = |key: &[u8], row: Vec<u8>| {
            draft.put(Table::Sample, key, 0, row);
            let (table, key, row) = dated(vault, (Table::Sample, key), sample.drawn_at);
            draft.put(table, &key, 0, row);
        };
        put(&rows::head_key(&sample.id), sample.encode());
        for (number, one) in (0..).zip(&drawn.drawn) {
            let item = SampleItem {
                commitment: one.commitment,
                at_unix_ms: one.at.unix_ms(),
                seen: SampleItem::seen_by(&one.seen),
                outcome: None,
            };
            put(&rows::item_key(&sample.id, number), item.encode());
        }
        for (number, row) in (0_u16..).zip(canary_rows(canaries)) {
            let prefix = rows::canaries_prefix(&sample.id);
            put(&[prefix.as_slice(), &number.to_be_bytes()].concat(), row);
        }
        draft.commit(vault).await
    }

    async fn send(&self, sample: &mut Sample) -> Result<(), FlowError> {
        let items = self.items(&sample.id).await?;
        let wanted = OpeningsWanted {
            sample: sample.id,
            deadline: sample.deadline,
            wanted: items.iter().map(|(_, item)| item.place()).collect(),
        };
        let roster = self.home.trust.roster();
        let listed = roster.listed(&sample.member);
        let member = listed
            .map_err(|refusal| FlowError::NotPossible(format!("{}: {refusal}", sample.member)))?;
        let peers = &self.home.peers;
        peers
            .request_openings(member, CALL_DEADLINE, wanted)
            .await?;
        sample.is_sent = true;
        let (vault, key) = (&self.home.vault, rows::head_key(&sample.id));
        retry_conflicts(|| async {
            let held = vault.read(Table::Sample, &key).await?;
            let mut draft = Draft::default();
            let revision = held.map_or(0, |row| row.revision);
            draft.put(Table::Sample, &key, revision, sample.encode());
            draft.commit(vault).await
        })
        .await
    }

    /// Every sample, the newest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<Sample>, FlowError> {
        let scan = Scan::prefix(b"h", STORE_SCAN_ROWS_MAX);
        let page = self.home.vault.scan(Table::Sample, &scan).await?;
        let samples = page
            .iter()
            .map(|(key, row)| Sample::decode(key, &row.bytes));
        let mut samples: Vec<Sample> = samples.collect::<Result<_, _>>()?;
        samples.sort_by_key(|one| std::cmp::Reverse((one.drawn_at, one.id)));
        Ok(samples)
    }

    /// The queries of a sample, in the order in which they were drawn.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn items_of(&self, id: &SampleId) -> Result<Vec<SampleItem>, FlowError> {
        let items = self.items(id).await?.into_iter();
        Ok(items.map(|(_, item)| item).collect())
    }

    async fn items(&self, id: &SampleId) -> Result<Vec<((Vec<u8>, u64), SampleItem)>, FlowError> {
        let scan = Scan::prefix(&rows::items_prefix(id), STORE_SCAN_ROWS_MAX);
        let page = self.home.vault.scan(Table::Sample, &scan).await?;
        let items = page.into_iter().map(|(key, row)| {
            let item = SampleItem::decode(&row.bytes)?;
            Ok(((key, row.revision), item))
        });
        items.collect()
    }

    /// Takes what a member gives for one of its drawn queries, and judges it. What was given before
    /// stays as it was judged; where a peer could not be asked, it is judged again later.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where this node asked that member for no such query.
    pub async fn take(&self, peer: &VerifiedPeer, given: Delivered) -> Result<(), FlowError> {
        let not_found = FlowError::NotFound { what: "sample" };
        let samples = self.list().await?;
        let is_it = |one: &&Sample| one.id == given.sample && one.member == *peer.member();
        let sample = samples.iter().find(is_it).ok_or(not_found)?;
        let items = self.items(&sample.id).await?;
        let item = items
            .into_iter()
            .find(|(_, item)| item.commitment == given.commitment);
        let not_found = FlowError::NotFound {
            what: "query in this sample",
        };
        let ((key, revision), mut item) = item.ok_or(not_found)?;
        if item.outcome.is_some() {
            return Ok(());
        }
        item.outcome = Some(self.judged(sample, &item, &given).await?);
        let mut draft = Draft::default();
        draft.put(Table::Sample, &key, revision, item.encode());
        if let Some(file) = given.file.filter(|_| item.is_open_ended()) {
            let number = rows::item_number(&key);
            self.stage_file(&mut draft, (sample, number), &file);
        }
        match draft.commit(&self.home.vault).await {
            // It was given twice at once.
            Err(error) if error.is_conflict() => Ok(()),
            outcome => outcome,
        }
    }

    async fn judged(
        &self,
        sample: &Sample,
        item: &SampleItem,
        given: &Delivered,
    ) -> Result<ItemOutcome, FlowError> {
        let at_unix_ms = self.home.clock.now().unix_ms();
        let plain = |verdict: &str, says: &str| ItemOutcome {
            verdict: verdict.to_owned(),
            says: says.to_owned(),
            entry: 0,
            consents: Vec::new(),
            at_unix_ms,
        };
        let Some(file) = &given.file else {
            return Ok(match given.is_gone {
                true => plain(
                    "gone",
                    "the member logged it, and keeps no more what opens it",
                ),
                false => plain("never-asked", "the member's log has no such query, it says"),
            });
        };
        let canaries = self.canaries(&sample.id).await?;
        let checked = match self.auditor.check(file, &canaries).await {
            Ok(checked) => checked,
            Err(error @ FlowError::NotPossible(_)) => {
                return Ok(plain("unreadable", &error.to_string()));
            }
            Err(error) => return Err(error),
        };
        if checked.opener != sample.member || checked.opening.commitment() != given.commitment {
            return Ok(plain(
                "other-query",
                "it opens another query than the one drawn",
            ));
        }
        let (verdict, says) = verdict(item, &checked);
        let borrowers = checked.opening.borrowers.iter().take(CONSENTS_KEPT);
        Ok(ItemOutcome {
            entry: checked.entry,
            consents: borrowers.map(consent).collect(),
            ..plain(verdict, &says)
        })
    }

    async fn canaries(&self, id: &SampleId) -> Result<Canaries, FlowError> {
        let scan = Scan::prefix(&rows::canaries_prefix(id), STORE_SCAN_ROWS_MAX);
        let page = self.home.vault.scan(Table::Sample, &scan).await?;
        let unreadable = || FlowError::Unreadable { what: "canary" };
        let mut all = Vec::new();
        for (_, row) in &page {
            let text = std::str::from_utf8(&row.bytes).map_err(|_| unreadable())?;
            for line in text.lines() {
                all.push(Identifier::parse(line, None).map_err(|_| unreadable())?);
            }
        }
        Ok(Canaries::of(all))
    }

    /// Asks again for what was not asked yet, and checks again what could not be checked in full,
    /// every minute; never ends.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(SAMPLES_EVERY).await;
            if let Err(error) = self.send_all().await {
                tracing::info!(%error, "a sample was not requested; it is tried again");
            }
            if let Err(error) = self.check_again().await {
                tracing::warn!(%error, "an opening could not be checked again");
            }
        }
    }

    /// As [`Self::run`], once.
    ///
    /// # Errors
    /// The first failure; the others are tried all the same.
    pub async fn send_all(&self) -> Result<(), FlowError> {
        let (mut failed, now) = (Ok(()), self.home.clock.now());
        for mut sample in self.list().await? {
            // What is over is overdue, and no member takes it any more.
            if !sample.is_sent
                && sample.deadline > now
                && let Err(error) = self.send(&mut sample).await
            {
                failed = Err(error);
            }
        }
        failed
    }
}

/// Samples of which something is not opened though the time is over, on whichever side this is.
pub(super) async fn overdue(
    home: &Arc<Home>,
    now: Timestamp,
) -> Result<Vec<(crate::domain::MemberId, Suspicion)>, FlowError> {
    let samples = Samples::new(Arc::clone(home));
    let mut found = Vec::new();
    for sample in samples.list().await? {
        if sample.deadline > now {
            continue;
        }
        let items = samples.items_of(&sample.id).await?;
        let closed = items.iter().filter(|item| item.outcome.is_none()).count();
        if closed > 0 {
            let seen = format!(
                "{closed} of {} queries that were drawn on {} were not opened until {}",
                items.len(),
                sample.drawn_at.day(),
                sample.deadline
            );
            found.push((sample.member, unopened(seen, sample.deadline)));
        }
    }
    for request in requests::all(&home.vault).await? {
        if request.deadline <= now && !request.is_answered() {
            let left = request.wanted.len() - request.delivered;
            let seen = format!(
                "{left} of {} queries that it wanted opened until {} are not opened",
                request.wanted.len(),
                request.deadline
            );
            found.push((request.auditor.clone(), unopened(seen, request.deadline)));
        }
    }
    Ok(found)
}

const fn unopened(seen: String, since: Timestamp) -> Suspicion {
    let code = FishingCode::Unopened;
    Suspicion { code, seen, since }
}

/// The canaries as rows of lines.
fn canary_rows(canaries: &[Identifier]) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for canary in canaries {
        let line = format!("{}:{}\n", canary.kind(), canary.value());
        match rows.last_mut() {
            Some(row) if row.len() + line.len() <= CANARY_ROW_BYTES => {
                row.extend_from_slice(line.as_bytes());
            }
            Some(_) | None => rows.push(line.into_bytes()),
        }
    }
    rows
}

fn consent(borrower: &OpenedBorrower) -> String {
    match &borrower.reference {
        Some(reference) => reference.clone(),
        None => data_encoding::HEXLOWER.encode(&borrower.consent),
    }
}

/// What an opening shows: what is wrong first, then what cannot be told.
fn verdict(item: &SampleItem, checked: &Checked) -> (&'static str, String) {
    if let Some(fault) = &checked.fault {
        return (fault.code(), fault.to_string());
    }
    if let Some(touched) = &checked.touched {
        return ("canary", touched.says());
    }
    if let Some(answerer) = item.unnamed(&checked.opening.peers) {
        let says = "it answered a question under this commitment that the opening does not name";
        return ("differs", format!("{answerer}: {says}"));
    }
    let worst = |peer: &&(crate::domain::MemberId, AtPeer)| match &peer.1 {
        AtPeer::Agrees => 0,
        AtPeer::Unreachable(_) => 1,
        AtPeer::NotLogged => 2,
        AtPeer::Differs(_) => 3,
    };
    match checked.peers.iter().max_by_key(worst) {
        Some((peer, at)) if *at != AtPeer::Agrees => (at.word(), format!("{peer}: {}", at.says())),
        Some(_) | None => ("agrees", String::new()),
    }
}

/// The dated row of a request at the member.
fn dated_request(vault: &Vault, key: &[u8], now: Timestamp) -> (Table, Vec<u8>, Vec<u8>) {
    dated(vault, (Table::OpeningRequest, key), now)
}
