//! One question to one peer: blind, ask, verify, bring the mirror up to the answer's checkpoint,
//! look up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::home::Home;
use super::light_ask::{Offers, Prefixes};
use super::revisions::Rested;
use super::{FlowError, Mirror, Mirrors, PeerKeys, SeenEnd};
use crate::crypto::oprf::{BatchSeed, HashedInputs, PendingBatch, PublicKey};
use crate::crypto::{NoticeKey, Token};
use crate::domain::{Day, Epoch, MemberId, Purpose, Summary, Timestamp};
use crate::limits::{
    ELEMENT_BYTES, EVALUATE_INLINE_MAX, FEED_GROUP_LEAVES, TAIL_STREAM_CHUNKS_MAX,
};
use crate::membership::Member;
use crate::risk::proven;
use crate::wire::{Chunk, Description, FeedWanted, LightOffer, Question};

/// What one peer is asked, fixed before the query is logged.
pub(super) struct Prepared {
    /// The peer.
    pub(super) peer: Arc<Member>,
    /// The epoch of evaluation and mirror.
    pub(super) epoch: Epoch,
    /// The peer's key in that epoch.
    pub(super) key: PublicKey,
    /// Blinded identifiers.
    pub(super) pending: PendingBatch,
    /// Makes a retry recognisable.
    pub(super) request_id: [u8; 16],
    /// What the answer is looked up in.
    pub(super) way: Way,
}

/// What an answer is looked up in.
pub(super) enum Way {
    /// The mirror of the peer's feed.
    Mirror,
    /// The buckets that the peer sends.
    Light {
        /// How the feed is cut.
        offer: LightOffer,
        /// The first bits of what the bucket of each element goes by.
        prefixes: Prefixes,
    },
}

/// What one peer's answer told.
pub(super) struct Told {
    /// Under the national identity.
    pub(super) national: Option<Summary>,
    /// Under the phone number.
    pub(super) phone: Option<Summary>,
    /// When the checkpoint was signed that the look-up rests on.
    pub(super) as_of: Timestamp,
    /// The day on which the newer of the two came into the mirror, where that is known.
    pub(super) taken_on: Option<Day>,
    /// The key epoch of the look-up.
    pub(super) epoch: Epoch,
    /// How reports about the borrower ended that the peer had published.
    pub(super) ends: Vec<SeenEnd>,
    /// What the peer's notices would name, for each identifier of which it had published anything.
    pub(super) rested: Vec<Rested>,
}

/// An answer that was verified, before anything is looked up.
pub(super) struct Heard {
    /// A token for each input, none where it was missing.
    pub(super) tokens: Vec<Option<Token>>,
    /// The mirror to look them up in.
    pub(super) mirror: Arc<Mirror>,
    /// When its newest checkpoint was signed.
    pub(super) as_of: Timestamp,
}

/// The asking side's hands: transport, pinned keys and mirrors.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) home: Arc<Home>,
    pub(super) keys: Arc<PeerKeys>,
    pub(super) mirrors: Arc<Mirrors>,
    /// What peers offer that are asked without a mirror.
    pub(super) offers: Offers,
}

impl Asker {
    /// Asks with these keys and mirrors.
    pub(super) fn new(home: Arc<Home>, keys: Arc<PeerKeys>, mirrors: Arc<Mirrors>) -> Self {
        let offers = Offers::default();
        Self {
            home,
            keys,
            mirrors,
            offers,
        }
    }

    /// Whether a peer is asked without a mirror.
    pub(super) fn is_light(&self, peer: &MemberId) -> bool {
        self.home.light.peers.contains(peer)
    }

    /// Asks a peer what it is, and pins the keys that it states.
    pub(super) async fn describe(&self, peer: &Member) -> Result<Description, FlowError> {
        let deadline = self.home.timing.peer_deadline;
        let description = self.home.peers.describe(peer, deadline).await?;
        if description.member != peer.id || description.network != *self.home.network() {
            return Err(FlowError::NotPossible(format!(
                "{} answers as somebody else",
                peer.id
            )));
        }
        for stated in &description.keys {
            if stated.terms.level == self.home.level() {
                self.keys.accept(peer, stated).await?;
            }
        }
        Ok(description)
    }

    /// The newest live epoch in which this node has a whole mirror of the peer and knows the peer's
    /// key.
    pub(super) async fn epoch_for(
        &self,
        peer: &Member,
    ) -> Result<Option<(Epoch, PublicKey)>, FlowError> {
        let mut live = self.home.calendar.served(self.home.clock.now());
        live.sort_unstable();
        let level = self.home.level();
        for epoch in live.into_iter().rev() {
            let mirror = self.mirrors.of(&peer.id, level, epoch)?;
            let reach = mirror.reach().await?;
            if reach.size > 0
                && reach.size >= reach.checkpoint_size
                && let Some(key) = self.keys.pinned(&peer.id, level, epoch).await?
            {
                return Ok(Some((epoch, key)));
            }
        }
        Ok(None)
    }

    /// Blinds the identifiers for one peer, or says why it cannot be asked.
    pub(super) async fn prepare(
        &self,
        peer: Arc<Member>,
        (inputs, prefixes): (&HashedInputs, &Prefixes),
        seed: &BatchSeed,
    ) -> Result<Prepared, FlowError> {
        if self.mirrors.forks().is_forked(&peer).await? {
            return Err(FlowError::Forked {
                member: peer.id.clone(),
            });
        }
        let (epoch, way) = if self.is_light(&peer.id) {
            let (offer, way) = self.light_way(&peer, prefixes).await?;
            (Some(offer.epoch), way)
        } else {
            let epoch = self.epoch_for(&peer).await?;
            (epoch.map(|(epoch, _)| epoch), Way::Mirror)
        };
        let none = FlowError::NoMirror {
            reason: "no mirror of this peer yet",
        };
        let epoch = epoch.ok_or(none)?;
        let key = self.keys.pinned(&peer.id, self.home.level(), epoch).await?;
        let key = key.ok_or(FlowError::EpochNotLive { epoch })?;
        let pending = inputs.blind(seed);
        let mut request_id = [0; 16];
        self.home.entropy.fill(&mut request_id)?;
        Ok(Prepared {
            peer,
            epoch,
            key,
            pending,
            request_id,
            way,
        })
    }

    /// Asks, verifies and looks up. The caller sets the deadline.
    pub(super) async fn ask(
        &self,
        prepared: Prepared,
        purpose: Purpose,
        commitment: [u8; 32],
    ) -> Result<Told, FlowError> {
        if let Way::Light { offer, prefixes } = prepared.way {
            let why = (purpose, commitment);
            return self.ask_light(prepared, (offer, prefixes), why).await;
        }
        let (epoch, deadline) = (prepared.epoch, self.home.timing.peer_deadline);
        let peer = prepared.peer.id.clone();
        let heard = self.hear(prepared, purpose, commitment, deadline).await?;
        let Heard {
            tokens,
            mirror,
            as_of: reach,
        } = heard;
        let mut tokens = tokens.into_iter();
        let (mut rested, mut told, mut ends) = (Vec::new(), [None, None], Vec::new());
        let mut taken_on = None;
        for (place, of) in told.iter_mut().enumerate() {
            let Some(token) = tokens.next().flatten() else {
                continue;
            };
            let last = mirror.last(&token).await?;
            if place == 0 {
                ends = seen_ends(&mirror, &token, last.next).await;
            }
            if last.summary.is_some() {
                rested.push(Rested {
                    peer: peer.clone(),
                    key: NoticeKey::of(&token),
                    size: last.size,
                });
                *of = last.summary;
                taken_on = taken_on.max(last.taken_on);
            }
        }
        let [national, phone] = told;
        Ok(Told {
            national,
            phone,
            as_of: reach,
            taken_on,
            epoch,
            ends,
            rested,
        })
    }

    /// Asks and verifies: the tokens, in the order of the inputs, and a mirror that is as new as
    /// the answer.
    pub(super) async fn hear(
        &self,
        prepared: Prepared,
        purpose: Purpose,
        commitment: [u8; 32],
        deadline: Duration,
    ) -> Result<Heard, FlowError> {
        let Prepared {
            peer,
            epoch,
            key,
            pending,
            request_id,
            way: _,
        } = prepared;
        let mirror = self.mirrors.of(&peer.id, self.home.level(), epoch)?;
        let question = Question {
            request_id,
            epoch,
            purpose,
            commitment,
            elements: pending.elements().to_vec().into(),
            mirror_size: mirror.reach().await?.size,
        };
        let evaluation = self.home.peers.evaluate(&peer, deadline, question).await?;
        let (elements, proof) = (evaluation.elements, evaluation.proof);
        let is_small = elements.len() <= EVALUATE_INLINE_MAX * ELEMENT_BYTES;
        let finish = move || pending.finish(&key, &elements, &proof);
        let tokens = if is_small {
            finish()?
        } else {
            let task = tokio::task::spawn_blocking(finish);
            task.await.map_err(|_| FlowError::ShuttingDown)??
        };
        let as_of = self
            .catch_up(&peer, &mirror, epoch, evaluation.tail)
            .await?;
        Ok(Heard {
            tokens,
            mirror,
            as_of,
        })
    }

    /// Applies the tail; where it was cut short, streams up to its checkpoint.
    async fn catch_up(
        &self,
        peer: &Member,
        mirror: &Mirror,
        epoch: Epoch,
        tail: Chunk,
    ) -> Result<Timestamp, FlowError> {
        let mut reach = mirror.apply(peer, &tail).await?;
        let goal = reach.checkpoint_size;
        if reach.size < goal {
            let wanted = FeedWanted {
                epoch,
                from: reach.size,
                until: Some(goal),
            };
            let mut stream = self.home.peers.stream(peer, wanted).await?;
            for _ in 0..TAIL_STREAM_CHUNKS_MAX {
                let Some(chunk) = stream.next().await? else {
                    break;
                };
                reach = mirror.apply(peer, &chunk).await?;
                if reach.size >= goal {
                    break;
                }
            }
        }
        match reach.checkpoint_at {
            Some(at) if reach.size >= goal => Ok(at),
            _ => Err(FlowError::NoMirror {
                reason: "its mirror could not be brought up to date",
            }),
        }
    }

    /// Streams a peer's feed from the mirror's end into the mirror until it breaks off.
    pub(super) async fn follow(
        &self,
        peer: &Member,
        epoch: Epoch,
        mut heard: impl FnMut(),
    ) -> Result<(), FlowError> {
        let mirror = self.mirrors.of(&peer.id, self.home.level(), epoch)?;
        let from = mirror.reach().await?.size;
        let wanted = FeedWanted {
            epoch,
            from,
            until: None,
        };
        let mut stream = self.home.peers.stream(peer, wanted).await?;
        while let Some(chunk) = stream.next().await? {
            match mirror.apply(peer, &chunk).await {
                Ok(_) => heard(),
                Err(FlowError::Mirror(fault)) if fault.is_of_leaves() => {
                    self.ask_for_growth(peer, epoch, &mirror).await?;
                    return Err(fault.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks a peer whose leaves did not fit for the proof that its feed goes on from the mirror: it
    /// stands under the mirror's last group.
    ///
    /// # Errors
    /// [`FlowError::Mirror`] where the peer shows another history, or none.
    async fn ask_for_growth(
        &self,
        peer: &Member,
        epoch: Epoch,
        mirror: &Mirror,
    ) -> Result<(), FlowError> {
        let have = mirror.reach().await?.size;
        let Some(from) = have.checked_sub(FEED_GROUP_LEAVES as u64) else {
            return Ok(());
        };
        let until = Some(have);
        let wanted = FeedWanted { epoch, from, until };
        let asked = async {
            let mut stream = self.home.peers.stream(peer, wanted).await?;
            stream.next().await
        };
        let asked = timeout(self.home.timing.peer_deadline, asked).await;
        match asked {
            Ok(Ok(Some(chunk))) => mirror.judge_growth(peer, have, &chunk).await,
            // Then the leaves are all that can be judged.
            Ok(Ok(None) | Err(_)) | Err(_) => Ok(()),
        }
    }
}

/// How reports ended in the states that came before the last one. What cannot be read back of
/// those takes nothing from the answer.
async fn seen_ends(mirror: &Mirror, token: &Token, next: u32) -> Vec<SeenEnd> {
    // One state alone shows no end.
    if next < 2 {
        return Vec::new();
    }
    let states = mirror.history(token, next).await.unwrap_or_default();
    let (tags, states): (Vec<_>, Vec<_>) = states.into_iter().unzip();
    let ends = proven(&states).into_iter();
    ends.filter_map(|(place, end)| Some((*tags.get(place)?, end)))
        .collect()
}
