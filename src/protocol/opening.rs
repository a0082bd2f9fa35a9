//! What opens a query later: everything from which its commitment and its blinded elements can be
//! made again, and what an auditor finds who does so.

mod compare;
mod lines;
mod sample;
mod sealed;
mod written;

use zeroize::Zeroizing;

pub use compare::{DifferenceKind, LogDifference, LogSide, compare};
pub use lines::{AnsweredLine, AskedLine, logged_at};
pub use sample::{Draw, Drawn};
pub use sealed::{SealedFault, SealedOpening};

use crate::crypto::oprf::{BatchSeed, HashedInputs, Input, OprfError, PendingBatch};
use crate::crypto::{Secret, sha256};
use crate::domain::{Borrower, Epoch, Identifier, Level, MemberId, Purpose, QueryId, Timestamp};
use crate::limits::ELEMENT_BYTES;
use crate::merkle::{self, Tree};

/// Merkle root over the blinded elements of one batch: what both sides log.
#[must_use]
pub fn batch_root(elements: &[u8]) -> [u8; 32] {
    let mut tree = Tree::with_groups_of(0);
    for element in elements.chunks(ELEMENT_BYTES) {
        tree.append_root(merkle::leaf_hash(element));
    }
    tree.root_at(tree.size()).unwrap_or_default()
}

/// SHA-256 over several batch roots, in order.
#[must_use]
pub fn roots_digest(roots: &[[u8; 32]]) -> [u8; 32] {
    sha256(&roots.concat())
}

/// One borrower of a query.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedBorrower {
    /// The identifier behind the first of its two elements; a random element where there is none.
    pub national: Option<Identifier>,
    /// The identifier behind the second one.
    pub phone: Option<Identifier>,
    /// SHA-256 of the consent reference, or of the reference that stands in its place.
    pub consent: [u8; 32],
    /// That reference, where the asker keeps its text.
    pub reference: Option<String>,
}

impl OpenedBorrower {
    /// A borrower of a query that rests on a reference whose hash alone is kept.
    #[must_use]
    pub fn by_hash(borrower: &Borrower, consent: [u8; 32]) -> Self {
        Self {
            national: borrower.national.clone(),
            phone: borrower.phone.clone(),
            consent,
            reference: None,
        }
    }

    /// The inputs of its two elements.
    #[must_use]
    pub fn inputs(&self) -> [Input<'_>; 2] {
        [&self.national, &self.phone].map(|identifier| match identifier {
            Some(identifier) => Input::Present(identifier.canonical().as_bytes()),
            None => Input::Missing,
        })
    }
}

impl std::fmt::Debug for OpenedBorrower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenedBorrower(..)")
    }
}

/// Salted commitment to the borrowers of a query and what each rests on, in their order.
#[must_use]
pub fn commitment(salt: &Secret<32>, borrowers: &[OpenedBorrower]) -> [u8; 32] {
    let mut opened = Zeroizing::new(salt.expose().to_vec());
    for borrower in borrowers {
        for identifier in [&borrower.national, &borrower.phone] {
            let canonical = identifier.as_ref().map_or("", Identifier::canonical);
            opened.extend_from_slice(&sha256(canonical.as_bytes()));
        }
        opened.extend_from_slice(&borrower.consent);
    }
    sha256(&opened)
}

/// What one peer was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPeer {
    /// The peer.
    pub member: MemberId,
    /// Under whose level's key.
    pub level: Level,
    /// In which key epoch.
    pub epoch: Epoch,
    /// Merkle root over the blinded elements that it was sent.
    pub batch: [u8; 32],
}

/// Everything that opens one query.
#[derive(Debug)]
pub struct Opening {
    /// The query.
    pub query: QueryId,
    /// When it was asked.
    pub at: Timestamp,
    /// Why.
    pub purpose: Purpose,
    /// What blinds the commitment.
    pub salt: Secret<32>,
    /// What the blinding factors derive from.
    pub seed: Secret<32>,
    /// Whether each peer's batch seed derives from `seed` and the peer's id; otherwise there is one
    /// peer, and `seed` is its batch seed.
    pub seed_for_each_peer: bool,
    /// Whom it was about; two elements each, in this order.
    pub borrowers: Vec<OpenedBorrower>,
    /// Whom it was put to, in this order.
    pub peers: Vec<OpenedPeer>,
}

/// What an opening does not show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningFault {
    /// Neither the commitment nor the elements are those of these borrowers.
    #[error(
        "identifier: the borrower named here is not the one that was asked about: neither the \
         commitment nor the blinded elements can be made from it"
    )]
    Identifier,
    /// The elements are, the commitment is not.
    #[error(
        "consent: the elements are this borrower's, but the logged commitment was made with \
         another consent reference (or another salt)"
    )]
    Consent,
    /// The commitment is, the elements are not.
    #[error(
        "seed: the commitment is to this borrower and consent, but the blinded elements cannot be \
         made with this seed: something else may have been asked"
    )]
    Seed,
    /// The entry says another purpose.
    #[error("purpose: the logged entry names another one")]
    Purpose,
    /// The entry says another query id or another number of peers.
    #[error("entry: the logged entry is of another query")]
    Entry,
}

impl OpeningFault {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Consent => "consent",
            Self::Seed => "seed",
            Self::Purpose => "purpose",
            Self::Entry => "entry",
        }
    }
}

impl Opening {
    /// The commitment that these borrowers and this salt make.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        commitment(&self.salt, &self.borrowers)
    }

    /// How many elements each peer was sent.
    #[must_use]
    pub fn elements(&self) -> u32 {
        u32::try_from(2 * self.borrowers.len()).unwrap_or(u32::MAX)
    }

    fn batch_seed(&self, peer: &MemberId) -> BatchSeed {
        if self.seed_for_each_peer {
            BatchSeed::of_peer(&self.seed, peer.as_str())
        } else {
            BatchSeed::from_secret(Secret::from_bytes(*self.seed.expose()))
        }
    }

    /// The batch roots of all peers, made anew from borrowers and seed.
    ///
    /// # Errors
    /// [`OprfError`] where the borrowers make no batch.
    pub fn roots(&self) -> Result<Vec<[u8; 32]>, OprfError> {
        let inputs: Vec<Input<'_>> = self
            .borrowers
            .iter()
            .flat_map(OpenedBorrower::inputs)
            .collect();
        let hashed = HashedInputs::hash(&inputs)?;
        let blind = |peer: &OpenedPeer| -> PendingBatch {
            let seed = self.batch_seed(&peer.member);
            hashed.blind(&seed)
        };
        let roots = self
            .peers
            .iter()
            .map(|peer| batch_root(blind(peer).elements()));
        Ok(roots.collect())
    }

    /// Compares the opening with the entry that the asker logged, and with each peer's root that it
    /// names itself.
    ///
    /// # Errors
    /// The first [`OpeningFault`].
    pub fn check(&self, logged: &AskedLine) -> Result<(), OpeningFault> {
        let is_committed = self.commitment() == logged.commitment;
        let roots = self.roots().map_err(|_| OpeningFault::Identifier)?;
        let told = self.peers.iter().map(|peer| peer.batch);
        let is_asked = roots_digest(&roots) == logged.batches && told.eq(roots.iter().copied());
        match (is_committed, is_asked) {
            (true, true) => {}
            (false, false) => return Err(OpeningFault::Identifier),
            (false, true) => return Err(OpeningFault::Consent),
            (true, false) => return Err(OpeningFault::Seed),
        }
        let peers = u32::try_from(self.peers.len()).ok();
        if self.query != logged.query || peers != Some(logged.peers) {
            return Err(OpeningFault::Entry);
        }
        if self.purpose != logged.purpose {
            return Err(OpeningFault::Purpose);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
