//! Asking all peers about one borrower: log first, ask in parallel, conclude from what came in
//! time.

use std::sync::Arc;

use futures::future::join_all;
use tokio::time::timeout;

use super::draft::Draft;
use super::fishing::AskedRow;
use super::home::Home;
use super::light_ask::prefixes_of;
use super::question::{Asker, Prepared};
use super::revisions::Rested;
use super::views::{asker_of, suspended, view_of};
use super::{
    AuditEvent, Book, FlowError, Ledger, Mirrors, PeerKeys, Revisions, SeenEnd, Standings,
    asked_about, openings, retry_conflicts,
};
use crate::crypto::Secret;
use crate::crypto::oprf::{BatchSeed, HashedInputs};
use crate::domain::{
    Answer, Application, Borrower, Epoch, MemberId, Money, Purpose, QueryId, RecordId, Timestamp,
};
use crate::formats::{Revised, answer_json, with_revisions};
use crate::limits::REVISIONS_SHOWN_MAX;
use crate::membership::Member;
use crate::protocol::opening::{
    OpenedBorrower, OpenedPeer, Opening, batch_root, commitment, roots_digest,
};
use crate::risk::{self, AskerContext, PeerView, Seen};
use crate::store::Table;

/// An answer as given and kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The query.
    pub query: QueryId,
    /// The application that it was about.
    pub application: RecordId,
    /// `ALLOW`, `REVIEW`, `RESTRICT` or `INCONCLUSIVE`.
    pub outcome: String,
    /// The answer as the JSON object of `docs/answer.md`.
    pub json: String,
}

/// Asks peers and concludes.
#[derive(Debug, Clone)]
pub struct Assessor {
    home: Arc<Home>,
    book: Book,
    asker: Asker,
    ledger: Ledger,
    standings: Arc<Standings>,
    revisions: Arc<Revisions>,
}

/// One query: fixed before anything is asked.
struct Query<'a> {
    id: QueryId,
    application: RecordId,
    purpose: Purpose,
    commitment: [u8; 32],
    at: Timestamp,
    borrower: &'a Borrower,
    opened: OpenedBorrower,
    income_month: Option<Money>,
    salt: Secret<32>,
    seed: Secret<32>,
}

impl Query<'_> {
    /// The seed of the blinding factors for one peer: fresh for each query and peer, and opened
    /// later from the query's one sealed seed.
    fn batch_seed(&self, peer: &MemberId) -> BatchSeed {
        BatchSeed::of_peer(&self.seed, peer.as_str())
    }

    /// What opens the query to an auditor later.
    fn opening(&self, peers: Vec<OpenedPeer>) -> Opening {
        Opening {
            query: self.id,
            at: self.at,
            purpose: self.purpose,
            salt: Secret::from_bytes(*self.salt.expose()),
            seed: Secret::from_bytes(*self.seed.expose()),
            seed_for_each_peer: true,
            borrowers: vec![self.opened.clone()],
            peers,
        }
    }
}

/// What one peer's answer told beside its summaries.
#[derive(Debug)]
struct Behind {
    /// The key epoch of the look-up.
    epoch: Epoch,
    /// How reports of the peer ended.
    ends: Vec<SeenEnd>,
    /// What its notices would name.
    rested: Vec<Rested>,
}

impl Behind {
    /// Of a peer that is silent.
    const fn nothing() -> Self {
        Self {
            epoch: Epoch(0),
            ends: Vec::new(),
            rested: Vec::new(),
        }
    }
}

/// One peer's part of a query: prepared, or silent already.
type Part = (Arc<Member>, Result<Prepared, FlowError>);

impl Assessor {
    /// Asks with these keys and mirrors, and logs in this ledger.
    #[must_use]
    pub fn new(
        home: Arc<Home>,
        (book, ledger): (Book, Ledger),
        (keys, mirrors): (Arc<PeerKeys>, Arc<Mirrors>),
        (standings, revisions): (Arc<Standings>, Arc<Revisions>),
    ) -> Self {
        let asker = Asker::new(Arc::clone(&home), keys, mirrors);
        Self {
            home,
            book,
            asker,
            ledger,
            standings,
            revisions,
        }
    }

    /// Asks every other member about the borrower of an application that is published already, and
    /// keeps the answer. Silence of a peer costs its deadline and shows in the coverage.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the purpose rests on a consent that the application does
    /// not name. The store's or the ledger's failure; then nothing was asked, or the answer could
    /// not be kept.
    pub async fn ask_all(
        &self,
        application_id: RecordId,
        borrower: &Borrower,
        application: &Application,
        purpose: Purpose,
    ) -> Result<Given, FlowError> {
        if purpose.needs_consent() && application.consent_ref.is_none() {
            return Err(FlowError::NotPossible(format!(
                "no consent, no query: the application names none, and {purpose} rests on one; \
                 furnish a newer version of it with consent_ref"
            )));
        }
        let home = &self.home;
        let mut random = [0; 10];
        home.entropy.fill(&mut random)?;
        let salt = Secret::<32>::random(&*home.entropy)?;
        let at = home.clock.now();
        let consent = application.consent_ref.unwrap_or([0; 32]);
        let opened = OpenedBorrower::by_hash(borrower, consent);
        let query = Query {
            id: QueryId::fresh(at, random),
            application: application_id,
            purpose,
            commitment: commitment(&salt, std::slice::from_ref(&opened)),
            at,
            borrower,
            opened,
            income_month: application.income_month,
            salt,
            seed: Secret::random(&*home.entropy)?,
        };
        let parts = self.prepare(&query).await?;
        self.log(&query, &parts).await?;
        let heard = join_all(parts.into_iter().map(|part| self.ask_one(&query, part))).await;
        let (mut views, behind): (Vec<PeerView>, Vec<Behind>) = heard.into_iter().unzip();
        views.extend(suspended(&self.home, &self.standings));
        let untold = self.revisions.untold(borrower).await?;
        let answer = self.conclude(&query, &views, !untold.is_empty()).await?;
        let given = given(application_id, &answer);
        let rested: Vec<&Rested> = behind.iter().flat_map(|one| &one.rested).collect();
        retry_conflicts(|| self.keep(&given, borrower, &rested, &untold)).await?;
        self.note(&views, &behind).await;
        Ok(given)
    }

    /// Counts how the peers' earlier reports ended, behind the answer and not for it.
    async fn note(&self, views: &[PeerView], behind: &[Behind]) {
        for (view, Behind { epoch, ends, .. }) in views.iter().zip(behind) {
            if ends.is_empty() {
                continue;
            }
            if let Err(error) = self.standings.saw(&view.member, *epoch, ends).await {
                tracing::warn!(peer = %view.member, %error, "ends of reports not counted");
            }
        }
    }

    async fn prepare(&self, query: &Query<'_>) -> Result<Vec<Part>, FlowError> {
        let inputs = query.opened.inputs();
        let prefixes = prefixes_of(&self.asker, &inputs)?;
        let inputs = HashedInputs::hash(&inputs)?;
        let of_query = (&inputs, &prefixes);
        let mut parts = Vec::new();
        for peer in self.home.asked() {
            let seed = query.batch_seed(&peer.id);
            let prepared = self.asker.prepare(Arc::clone(&peer), of_query, &seed).await;
            parts.push((peer, prepared));
        }
        Ok(parts)
    }

    /// The query is durable, with what opens it later, before the first peer hears of it.
    async fn log(&self, query: &Query<'_>, parts: &[Part]) -> Result<(), FlowError> {
        let asked: Vec<&Prepared> = parts
            .iter()
            .filter_map(|(_, part)| part.as_ref().ok())
            .collect();
        let level = self.home.level();
        let peers = asked.iter().map(|prepared| OpenedPeer {
            member: prepared.peer.id.clone(),
            level,
            epoch: prepared.epoch,
            batch: batch_root(prepared.pending.elements()),
        });
        let opening = query.opening(peers.collect());
        let roots: Vec<[u8; 32]> = opening.peers.iter().map(|peer| peer.batch).collect();
        let event = AuditEvent::Asked {
            query: query.id,
            purpose: query.purpose,
            commitment: query.commitment,
            batches: roots_digest(&roots),
            peers: u32::try_from(asked.len()).unwrap_or(u32::MAX),
        };
        let asked = AskedRow {
            at: query.at,
            query: query.id,
            purpose: query.purpose,
            application: query.application,
        };
        let mut rows = openings::staged(&self.home.vault, &opening);
        rows.push(asked.staged());
        rows.extend(asked_about::staged(
            &self.home.vault,
            query.borrower,
            &asked,
        ));
        self.ledger.log(event, rows).await
    }

    async fn ask_one(&self, query: &Query<'_>, (peer, part): Part) -> (PeerView, Behind) {
        let deadline = self.home.timing.peer_deadline;
        let told = match part {
            Err(error) => Err(error),
            Ok(prepared) => {
                let asking = self.asker.ask(prepared, query.purpose, query.commitment);
                timeout(deadline, asking)
                    .await
                    .unwrap_or(Err(FlowError::Late { deadline }))
            }
        };
        match told {
            Ok(told) => {
                let seen = Seen::Answered {
                    national: told.national.map(Box::new),
                    phone: told.phone.map(Box::new),
                    as_of: told.as_of,
                    taken_on: told.taken_on,
                };
                let behind = Behind {
                    epoch: told.epoch,
                    ends: told.ends,
                    rested: told.rested,
                };
                (view_of(&self.home, &self.standings, &peer, seen), behind)
            }
            Err(error) => {
                tracing::info!(peer = %peer.id, %error, "peer counts as silent");
                let reason = error.silence();
                (
                    view_of(&self.home, &self.standings, &peer, Seen::Silent { reason }),
                    Behind::nothing(),
                )
            }
        }
    }

    async fn conclude(
        &self,
        query: &Query<'_>,
        views: &[PeerView],
        revised: bool,
    ) -> Result<Answer, FlowError> {
        let home = &self.home;
        let income = query
            .income_month
            .filter(|income| income.currency == home.bands.currency);
        let context = AskerContext {
            income_month_minor: income.and_then(|income| u64::try_from(income.minor).ok()),
            revised,
            ..asker_of(home, &self.book, query.borrower).await?
        };
        let concluded = risk::conclude(&home.policy, &context, views, home.clock.now());
        Ok(concluded.into_answer(query.id))
    }

    /// The answer is durable together with what recognises notices about it, and with that it told
    /// of revisions before it.
    async fn keep(
        &self,
        given: &Given,
        borrower: &Borrower,
        rested: &[&Rested],
        untold: &[(Vec<u8>, u64)],
    ) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        let key = vault.row_key(Table::Answer, given.query.0.as_bytes());
        let mut draft = Draft::default();
        draft.put(Table::Answer, &key, 0, given.encode());
        for (key, revision) in untold {
            // Another answer may have told of it meanwhile.
            if vault.read(Table::Revision, key).await?.is_some() {
                draft.delete(Table::Revision, key, *revision);
            }
        }
        let revisions = &self.revisions;
        revisions
            .stage_answer(&mut draft, given.query, borrower, rested)
            .await?;
        draft.commit(vault).await
    }

    /// An answer given earlier.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none with this id.
    pub async fn fetch(&self, query: QueryId) -> Result<Given, FlowError> {
        let key = self.home.vault.row_key(Table::Answer, query.0.as_bytes());
        let row = self.home.vault.read(Table::Answer, &key).await?;
        let row = row.ok_or(FlowError::NotFound { what: "answer" })?;
        let mut given = Given::decode(query, &row.bytes)?;
        let revisions = self.revisions.of(query, REVISIONS_SHOWN_MAX).await?;
        if !revisions.is_empty() {
            let shows_members = self.home.policy.show_members;
            let told = revisions.iter().map(|one| Revised {
                kind: one.kind,
                at: one.at,
                noted_at: one.noted_at,
                member: shows_members.then_some(&one.member),
            });
            given.json = with_revisions(&given.json, told)
                .ok_or(FlowError::Unreadable { what: "answer" })?;
        }
        Ok(given)
    }
}

fn given(application: RecordId, answer: &Answer) -> Given {
    Given {
        query: answer.query_id,
        application,
        outcome: answer.outcome.word().to_owned(),
        json: answer_json(answer).to_string(),
    }
}

impl Given {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.application.0.as_bytes().to_vec();
        bytes.extend_from_slice(self.outcome.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(self.json.as_bytes());
        bytes
    }

    fn decode(query: QueryId, bytes: &[u8]) -> Result<Self, FlowError> {
        let unreadable = || FlowError::Unreadable { what: "answer" };
        let (id, rest) = bytes.split_first_chunk::<16>().ok_or_else(unreadable)?;
        let text = std::str::from_utf8(rest).map_err(|_| unreadable())?;
        let (outcome, json) = text.split_once('\n').ok_or_else(unreadable)?;
        Ok(Self {
            query,
            application: RecordId(uuid::Uuid::from_bytes(*id)),
            outcome: outcome.to_owned(),
            json: json.to_owned(),
        })
    }
}
