//! Light mode at the asking side: the bucket of each identifier instead of a mirror.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::FlowError;
use super::light::network_bits;
use super::question::{Asker, Prepared, Told, Way};
use super::revisions::Rested;
use crate::crypto::oprf::Input;
use crate::crypto::{NoticeKey, Token};
use crate::domain::{MemberId, Purpose, Summary};
use crate::env::Entropy;
use crate::limits::{LEAF_BYTES, LIGHT_ELEMENTS, LIGHT_OFFER_AGE};
use crate::membership::Member;
use crate::merkle::{Checkpoint, SignedNote};
use crate::net::LightStream;
use crate::protocol::feed::FeedId;
use crate::protocol::leaf::leaves_of;
use crate::protocol::light::{ENTRY_NUMBER, LightPlan, bucket_of, entry_tag, prefix_of};
use crate::wire::{LightHead, LightOffer, LightQuestion, Malformed, Question};

/// What peers offered, and when by the uptime.
pub(super) type Offers = Arc<Mutex<BTreeMap<MemberId, (Duration, Vec<LightOffer>)>>>;

/// The prefixes of a query, the same for every peer; a missing identifier has a random one.
pub(super) type Prefixes = [u32; LIGHT_ELEMENTS];

/// The prefixes of two inputs.
pub(super) fn prefixes_of(
    asker: &Asker,
    inputs: &[Input<'_>; LIGHT_ELEMENTS],
) -> Result<Prefixes, FlowError> {
    let mut prefixes = [0; LIGHT_ELEMENTS];
    for (prefix, input) in prefixes.iter_mut().zip(inputs) {
        *prefix = match input {
            Input::Present(canonical) => prefix_of(asker.home.network(), canonical),
            Input::Missing => random(&*asker.home.entropy)?,
        };
    }
    Ok(prefixes)
}

fn random(entropy: &dyn Entropy) -> Result<u32, FlowError> {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// One bucket of an answer: what is looked for in it.
struct Wanted {
    token: Option<Token>,
    left: u64,
    found: Option<Summary>,
}

impl Asker {
    /// How a peer's newest live feed is cut.
    pub(super) async fn light_way(
        &self,
        peer: &Member,
        prefixes: &Prefixes,
    ) -> Result<(LightOffer, Way), FlowError> {
        let offers = self.offers_of(peer).await?;
        let newest = offers.into_iter().max_by_key(|offer| offer.epoch);
        let offer = newest.ok_or(FlowError::NoMirror {
            reason: "this peer's entries for light mode are not built yet",
        })?;
        let prefixes = *prefixes;
        Ok((offer, Way::Light { offer, prefixes }))
    }

    /// What a peer offers in live key epochs: as it said a moment ago, or asked now, with its keys.
    async fn offers_of(&self, peer: &Member) -> Result<Vec<LightOffer>, FlowError> {
        let now = self.home.clock.uptime();
        let held = {
            let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.get(&peer.id).cloned()
        };
        if let Some((at, offers)) = held
            && now.saturating_sub(at) < LIGHT_OFFER_AGE
        {
            let live = self.live(offers);
            if !live.is_empty() {
                return Ok(live);
            }
        }
        self.describe(peer).await?;
        let deadline = self.home.timing.peer_deadline;
        let offers = self.home.peers.light_offers(peer, deadline).await?;
        let longest = network_bits(&self.home);
        for offer in &offers {
            let plan = LightPlan {
                bits: offer.bits,
                entries: offer.entries,
            };
            if !plan.is_within(longest) {
                let why = format!("must be of at most {longest} bits in this network");
                return Err(Malformed::new("offers", why).into());
            }
        }
        let mut kept = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(peer.id.clone(), (now, offers.clone()));
        drop(kept);
        Ok(self.live(offers))
    }

    fn live(&self, mut offers: Vec<LightOffer>) -> Vec<LightOffer> {
        let home = &self.home;
        let served = home.calendar.served(home.clock.now());
        offers.retain(|offer| served.contains(&offer.epoch));
        offers
    }

    /// Asks for the buckets; once more where the peer cuts its feed otherwise by now.
    async fn buckets(
        &self,
        peer: &Member,
        question: Question,
        (offer, prefixes): (LightOffer, Prefixes),
    ) -> Result<(LightHead, LightStream), FlowError> {
        let deadline = self.home.timing.peer_deadline;
        let cut = |bits: u32| LightQuestion {
            question: question.clone(),
            bits,
            buckets: prefixes.map(|prefix| bucket_of(prefix, bits)),
        };
        let peers = &self.home.peers;
        let refused = match peers.evaluate_light(peer, deadline, cut(offer.bits)).await {
            Ok(answered) => return Ok(answered),
            Err(error) => error,
        };
        self.forget_offers(&peer.id);
        let offers = self.offers_of(peer).await?;
        let same_epoch = |now: &&LightOffer| now.epoch == offer.epoch && now.bits != offer.bits;
        match offers.iter().find(same_epoch) {
            Some(now) => Ok(peers.evaluate_light(peer, deadline, cut(now.bits)).await?),
            None => Err(refused.into()),
        }
    }

    /// Asks, verifies, and looks into the buckets as they come. The caller sets the deadline.
    pub(super) async fn ask_light(
        &self,
        prepared: Prepared,
        cut: (LightOffer, Prefixes),
        (purpose, commitment): (Purpose, [u8; 32]),
    ) -> Result<Told, FlowError> {
        let Prepared {
            peer,
            epoch,
            key,
            pending,
            request_id,
            way: _,
        } = prepared;
        let question = Question {
            request_id,
            epoch,
            purpose,
            commitment,
            elements: pending.elements().to_vec().into(),
            mirror_size: 0,
        };
        let (head, parts) = self.buckets(&peer, question, cut).await?;
        let tokens = pending.finish(&key, &head.elements, &head.proof)?;
        let feed = FeedId {
            member: peer.id.clone(),
            level: self.home.level(),
            epoch,
        };
        let checkpoint = SignedNote::parse(&head.checkpoint)?;
        let checkpoint = Checkpoint::open(&checkpoint, &feed.origin(), &peer.identity_key)?;
        let undated = || Malformed::new("checkpoint", "must say when it was signed");
        let as_of = checkpoint.signed_at().ok_or_else(undated)?;
        let wanted = tokens.into_iter().map(|token| Wanted {
            token,
            left: head.entries,
            found: None,
        });
        let mut wanted: Vec<Wanted> = wanted.collect();
        search(parts, &feed, &mut wanted).await?;
        let rested = wanted.iter().filter(|one| one.found.is_some());
        let rested = rested.filter_map(|one| one.token.as_ref());
        let rested = rested.map(|token| Rested {
            peer: peer.id.clone(),
            key: NoticeKey::of(token),
            size: checkpoint.size(),
        });
        let rested = rested.collect();
        let mut found = wanted.into_iter().map(|one| one.found);
        Ok(Told {
            national: found.next().flatten(),
            phone: found.next().flatten(),
            as_of,
            taken_on: None,
            epoch,
            ends: Vec::new(),
            rested,
        })
    }

    /// What a peer offered is asked for again.
    fn forget_offers(&self, peer: &MemberId) {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.remove(peer);
    }
}

/// Looks for each token in its bucket; every bucket must have the size that was said.
async fn search(
    mut parts: LightStream,
    feed: &FeedId,
    wanted: &mut [Wanted],
) -> Result<(), FlowError> {
    let size = |why: &str| Malformed::new("leaves", why);
    for one in wanted {
        let tag = one.token.as_ref().map(entry_tag);
        while one.left > 0 {
            let part = parts.next().await?;
            let part = part.ok_or_else(|| size("must fill every bucket"))?;
            let count = u64::try_from(part.len() / LEAF_BYTES).unwrap_or(u64::MAX);
            let over = || size("must not go beyond the bucket");
            one.left = one.left.checked_sub(count).ok_or_else(over)?;
            let entries = leaves_of(&part).ok_or_else(|| size("must be whole entries"))?;
            for entry in entries.filter(|entry| Some(entry.tag()) == tag) {
                let Some(token) = &one.token else { continue };
                let plain = entry.open(token, ENTRY_NUMBER, feed)?;
                let unsound = |_| size("must hold a summary");
                one.found = Some(Summary::decode(&plain).map_err(unsound)?);
            }
        }
    }
    Ok(())
}
