//! What this node does for its peers' audit logs: it cosigns what continues what it cosigned, and
//! proves that its own log grew.

use std::sync::Arc;

use super::draft::Draft;
use super::forks::Forks;
use super::home::Home;
use super::log_tree::LogTree;
use super::{AuditReader, FlowError, retry_conflicts};
use crate::membership::{Member, VerifiedPeer};
use crate::merkle::SignedNote;
use crate::protocol::audit::audit_origin;
use crate::protocol::fork::LogFork;
use crate::protocol::witness::{
    LastCosigned, WitnessQuestion, WitnessRefusal, judge, witness_name,
};
use crate::store::Table;
use crate::wire::{CosignGiven, CosignWanted, GrowthGiven};

/// This node as a witness of its peers' audit logs.
#[derive(Debug)]
pub struct Witness {
    home: Arc<Home>,
    forks: Arc<Forks>,
    tree: Arc<LogTree>,
}

/// What came of a question, and what it showed.
type Judged = (Result<CosignGiven, WitnessRefusal>, Option<LogFork>);

impl Witness {
    /// A witness that keeps what it cosigned in this node's store.
    #[must_use]
    pub(crate) fn new(home: Arc<Home>, forks: Arc<Forks>, tree: Arc<LogTree>) -> Self {
        Self { home, forks, tree }
    }

    /// Cosigns a checkpoint of the peer's audit log, if it continues the last one that this node
    /// cosigned; what was cosigned is durable before the signature leaves.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] which names why not, or the store's failure.
    pub async fn cosign(
        &self,
        peer: &VerifiedPeer,
        wanted: &CosignWanted,
    ) -> Result<CosignGiven, FlowError> {
        let roster = self.home.trust.roster();
        let member = roster.member(peer.member());
        let member = member.ok_or(FlowError::NotFound { what: "member" })?;
        let origin = audit_origin(&member.id);
        let (given, fork) = retry_conflicts(|| self.decide(member, &origin, wanted)).await?;
        if let Some(fork) = fork {
            self.forks.take(&fork, &self.home.member).await?;
        }
        let refused = match given {
            Ok(given) => {
                self.forks.settle(&origin);
                return Ok(given);
            }
            Err(refused) => refused,
        };
        if matches!(
            refused,
            WitnessRefusal::Cut { .. } | WitnessRefusal::Inconsistent { .. }
        ) {
            self.forks.doubt(&origin, refused.to_string());
        }
        tracing::warn!(peer = %member.id, %refused, "an audit log's checkpoint is not cosigned");
        if let WitnessRefusal::Cut { cosigned, .. } = refused {
            // The size tells the node itself that its log was cut.
            return Ok(CosignGiven {
                note: None,
                cosigned_size: cosigned,
            });
        }
        Err(FlowError::NotPossible(refused.to_string()))
    }

    async fn decide(
        &self,
        member: &Member,
        origin: &str,
        wanted: &CosignWanted,
    ) -> Result<Judged, FlowError> {
        let vault = &self.home.vault;
        let name = [origin.as_bytes(), b"\n", &member.identity_key].concat();
        let row_key = vault.row_key(Table::Cosigned, &name);
        let held = vault.read(Table::Cosigned, &row_key).await?;
        let revision = held.as_ref().map_or(0, |row| row.revision);
        let last = match held {
            Some(row) => Some(LastCosigned::decode(&row.bytes).ok_or(UNREADABLE)?),
            None => None,
        };
        let question = WitnessQuestion {
            old_size: wanted.old_size,
            proof: &wanted.proof,
            note: &wanted.note,
        };
        let checkpoint = match judge(last.as_ref(), origin, &member.identity_key, &question) {
            Ok(checkpoint) => checkpoint,
            Err(WitnessRefusal::OtherSize { size }) => {
                let given = CosignGiven {
                    note: None,
                    cosigned_size: size,
                };
                return Ok((Ok(given), None));
            }
            Err(WitnessRefusal::Fork(fork)) => {
                let proof = (*fork).clone();
                return Ok((Err(WitnessRefusal::Fork(fork)), Some(proof)));
            }
            Err(refused) => return Ok((Err(refused), None)),
        };
        let note = SignedNote::parse(&wanted.note)?.only_of(origin)?;
        let kept = LastCosigned::of(&note.to_string(), &checkpoint);
        if last.as_ref().is_none_or(|last| last.size() < kept.size()) {
            let mut draft = Draft::default();
            draft.put(Table::Cosigned, &row_key, revision, kept.encode());
            draft.commit(vault).await?;
        }
        let name = witness_name(&self.home.member);
        let now = self.home.clock.now();
        let cosigned = note.cosign(&name, &*self.home.identity(), now)?;
        let given = CosignGiven {
            note: Some(cosigned.only_of(&name)?.to_string()),
            cosigned_size: kept.size(),
        };
        Ok((Ok(given), None))
    }

    /// The newest checkpoint of a member's audit log that this node cosigned.
    pub(super) async fn last_of(&self, member: &Member) -> Result<Option<LastCosigned>, FlowError> {
        let vault = &self.home.vault;
        let origin = audit_origin(&member.id);
        let name = [origin.as_bytes(), b"\n", &member.identity_key].concat();
        let row_key = vault.row_key(Table::Cosigned, &name);
        let held = vault.read(Table::Cosigned, &row_key).await?;
        held.map(|row| LastCosigned::decode(&row.bytes).ok_or(UNREADABLE))
            .transpose()
    }

    /// Proves that this node's own audit log grew.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where it has not that many entries, or the store's failure.
    pub async fn prove_growth(&self, old: u64, new: u64) -> Result<GrowthGiven, FlowError> {
        let size = AuditReader::new(Arc::clone(&self.home)).size().await?;
        if new > size {
            let why = format!("the audit log has {size} entries: no proof up to {new}");
            return Err(FlowError::NotPossible(why));
        }
        let growth = self.tree.growth(old, new).await?;
        Ok(GrowthGiven {
            old_root: growth.old_root,
            proof: growth.proof,
        })
    }
}

const UNREADABLE: FlowError = FlowError::Unreadable {
    what: "cosigned checkpoint",
};
