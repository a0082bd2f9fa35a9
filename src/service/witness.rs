//! What this node does for peers as a witness, and how its operator sees witnesses and forks.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::admitted::admitted;
use super::status::refused;
use crate::domain::Timestamp;
use crate::flows::{Cosigning, Forks, Gossip, KeptFork, Witness, kind_word};
use crate::wire::pb::{self, witness_server, witnessing_server};
use crate::wire::{CosignWanted, Sightings};

/// Forks that are shown: the newest.
const FORKS_SHOWN_MAX: usize = 100;

/// Characters of what is said of a trouble.
const SAYS_CHARS_MAX: usize = 1_024;

/// The service that peers call.
#[derive(Debug, Clone)]
pub struct WitnessService {
    witness: Arc<Witness>,
    gossip: Arc<Gossip>,
}

impl WitnessService {
    /// Serves peers.
    #[must_use]
    pub const fn new(witness: Arc<Witness>, gossip: Arc<Gossip>) -> Self {
        Self { witness, gossip }
    }
}

#[tonic::async_trait]
impl witness_server::Witness for WitnessService {
    async fn cosign(
        &self,
        request: Request<pb::CosignRequest>,
    ) -> Result<Response<pb::CosignResponse>, Status> {
        let peer = admitted(&request)?;
        let wanted = CosignWanted::try_from(request.into_inner()).map_err(refused)?;
        let given = self.witness.cosign(&peer, &wanted).await.map_err(refused)?;
        Ok(Response::new(given.into()))
    }

    async fn gossip(
        &self,
        request: Request<pb::GossipRequest>,
    ) -> Result<Response<pb::GossipResponse>, Status> {
        let peer = admitted(&request)?;
        let seen = Sightings::try_from(request.into_inner()).map_err(refused)?;
        self.gossip
            .hear(peer.member(), &seen)
            .await
            .map_err(refused)?;
        let told = self.gossip.sightings().await.map_err(refused)?;
        Ok(Response::new(told.into()))
    }

    async fn prove_growth(
        &self,
        request: Request<pb::GrowthRequest>,
    ) -> Result<Response<pb::GrowthResponse>, Status> {
        admitted(&request)?;
        let pb::GrowthRequest { old_size, new_size } = request.into_inner();
        let given = self.witness.prove_growth(old_size, new_size).await;
        Ok(Response::new(given.map_err(refused)?.into()))
    }
}

/// The service that the operator calls.
#[derive(Debug, Clone)]
pub struct WitnessingService {
    cosigning: Arc<Cosigning>,
    forks: Arc<Forks>,
}

impl WitnessingService {
    /// Serves what is known here.
    #[must_use]
    pub const fn new(cosigning: Arc<Cosigning>, forks: Arc<Forks>) -> Self {
        Self { cosigning, forks }
    }
}

fn moment(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::unix_ms)
}

fn words(says: &str) -> String {
    says.chars().take(SAYS_CHARS_MAX).collect()
}

fn view(fork: &KeptFork) -> pb::ForkView {
    let kind = fork.proof.check(&fork.key).ok().flatten();
    let log = fork.proof.log();
    pb::ForkView {
        member: log.map_or_else(String::new, |log| log.member().to_string()),
        origin: fork.proof.origin.clone(),
        kind: kind.map_or("", kind_word).to_owned(),
        found_unix_ms: fork.found_at.unix_ms(),
        told_by: fork.told_by.to_string(),
        key: fork.key.to_vec().into(),
        proof: fork.proof.to_string(),
    }
}

#[tonic::async_trait]
impl witnessing_server::Witnessing for WitnessingService {
    async fn show_witnessing(
        &self,
        _request: Request<pb::ShowWitnessingRequest>,
    ) -> Result<Response<pb::ShowWitnessingResponse>, Status> {
        let state = self.cosigning.state().await.map_err(refused)?;
        let forks = self.forks.list().await.map_err(refused)?;
        let shown = forks.len().saturating_sub(FORKS_SHOWN_MAX);
        let troubles = state.troubles.iter();
        let doubts = self.forks.doubts().into_iter();
        Ok(Response::new(pb::ShowWitnessingResponse {
            size: state.size,
            cosigned_size: state.cosigned_size,
            cosigned_unix_ms: moment(state.cosigned_at),
            late: state.late,
            needed: u32::try_from(state.needed).unwrap_or(u32::MAX),
            waiting_unix_ms: moment(state.waiting_since),
            troubles: troubles
                .map(|(member, says)| pb::WitnessTrouble {
                    member: member.to_string(),
                    says: words(says),
                })
                .collect(),
            forks: forks.iter().skip(shown).map(view).collect(),
            doubts: doubts
                .map(|doubt| pb::DoubtView {
                    origin: doubt.origin,
                    since_unix_ms: doubt.since.unix_ms(),
                    says: words(&doubt.says),
                })
                .collect(),
        }))
    }
}
