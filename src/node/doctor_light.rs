//! What it costs to ask a peer by its mirror or in light mode, and what each shows.

use std::time::Duration;

use super::status::Source;
use crate::domain::{Level, Timestamp};
use crate::flows::FlowError;
use crate::limits::{LEAF_BYTES, LIGHT_ELEMENTS};
use crate::membership::Member;
use crate::service::Finding;
use crate::wire::LightOffer;

/// How long a peer may take to say how its feeds are cut.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of so many leaves or entries.
fn bytes(leaves: u64) -> u64 {
    leaves.saturating_mul(LEAF_BYTES as u64)
}

impl Source {
    /// What answers of a peer are looked up in: what that costs in bytes, and shows in bits.
    pub(super) async fn looked_up_in(
        &self,
        peer: &Member,
        now: Timestamp,
    ) -> Result<Vec<Finding>, FlowError> {
        if self.home.light.peers.contains(&peer.id) {
            return Ok(vec![self.asked_light(peer).await]);
        }
        let mut leaves = 0;
        for epoch in self.home.calendar.served(now) {
            let mirror = self.mirrors.of(&peer.id, self.home.level(), epoch)?;
            leaves += mirror.reach().await?.size;
        }
        let says = format!(
            "its mirror takes {} bytes and more on this disk; a question shows it 0 bits of \
             an identifier",
            bytes(leaves)
        );
        Ok(vec![
            self.mirror(peer, now).await?,
            Finding::fine("mirror", says),
        ])
    }

    async fn asked_light(&self, peer: &Member) -> Finding {
        let offers = self.home.peers.light_offers(peer, PATIENCE).await;
        let newest = offers.map(|offers| offers.into_iter().max_by_key(|offer| offer.epoch));
        let LightOffer { bits, entries, .. } = match newest {
            Ok(Some(offer)) => offer,
            Ok(None) => {
                let says = "it has yet to build its entries for light mode, and counts as silent";
                let fix = "wait, or mirror it: node.toml, light.peers";
                return Finding::warning("light", says, fix);
            }
            Err(error) => {
                let says = format!("it cannot be asked in light mode: {error}");
                let fix = "take it out of light.peers in node.toml: its mirror is kept then";
                return Finding::broken("light", says, fix);
            }
        };
        let answer = bytes(entries).saturating_mul(LIGHT_ELEMENTS as u64);
        let says = format!(
            "light mode, the weaker one: a question shows it {bits} bits of each identifier (one \
             of {} buckets) and takes {answer} bytes; no mirror is kept, nobody is watched there",
            1_u64 << bits
        );
        Finding::fine("light", says)
    }

    /// What this node's configuration lets a peer see.
    pub(super) fn reveals(&self, peer: &Member) -> Finding {
        let told = match self.home.standing(peer).0 {
            Level::Full => "the accounts, applications, holds and signals",
            Level::Defaults => "the default signals",
        };
        let is_light = self.home.light.peers.contains(&peer.id);
        let whom = if is_light {
            "of whom this node asks about it learns the bits that light mode shows, and nothing of \
             what that finds"
        } else {
            "it never learns whom this node asks about, nor what that finds"
        };
        Finding::fine(
            "reveals",
            format!(
                "it sees when this node asks, how many identifiers, for which purpose, and when \
                 and how much it publishes; within its quota it learns {told} of borrowers whose \
                 identifiers it holds; {whom}"
            ),
        )
    }

    /// What members see of this node that ask it without a mirror.
    pub(super) async fn light_served(&self) -> Result<Vec<Finding>, FlowError> {
        if self.home.light.entries.is_none() {
            return Ok(Vec::new());
        }
        let mut findings = Vec::new();
        for level in self.home.levels_served() {
            let offers = self.answerer.light().offers(level).await?;
            let newest = offers.into_iter().max_by_key(|offer| offer.epoch);
            findings.push(newest.map_or_else(
                || {
                    let says = format!("the entries of the {level} feed are being built");
                    Finding::warning("light", says, "wait: until then light mode is refused")
                },
                |LightOffer { bits, entries, .. }| {
                    let answer = bytes(entries).saturating_mul(LIGHT_ELEMENTS as u64);
                    let says = format!(
                        "light mode is served at level {level}: {} buckets of {entries} entries, \
                         {answer} bytes an answer; a question shows {bits} bits of each identifier",
                        1_u64 << bits
                    );
                    Finding::fine("light", says)
                },
            ));
        }
        Ok(findings)
    }
}
