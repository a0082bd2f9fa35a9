//! Why a log, a proof, a note or a checkpoint was refused.

use crate::crypto::NotSigned;

/// What is wrong with a log, a proof, a note or a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// A proof or root was asked for a size that the log has not reached, or that cuts a group.
    #[error(
        "the log has {size} leaves in groups of {group}; no root or proof for {asked}: ask for a \
         multiple of the group, not above the size"
    )]
    SizeUnknown {
        /// The size that was asked for, in leaves.
        asked: u64,
        /// The size of the log, in leaves.
        size: u64,
        /// Leaves of one group.
        group: u64,
    },
    /// A proof was asked for a leaf that is not in the tree of that size.
    #[error("leaf {index} is not among the first {size}; ask for a lower index")]
    IndexUnknown {
        /// The index that was asked for, from 0.
        index: u64,
        /// The size of the tree, in leaves.
        size: u64,
    },
    /// A group does not have the number of leaves that this tree's groups have.
    #[error("a group of {given} leaves where this log's groups have {expected}; pad it")]
    GroupLength {
        /// Leaves of one group.
        expected: u64,
        /// Leaves that were given.
        given: usize,
    },
    /// The leaf hashes handed in for a proof are not those that were appended.
    #[error("the leaves read back are not the ones that were appended; verify the store")]
    ForeignGroup,
    /// The log cannot grow any further.
    #[error("the log is full at 2^63 leaves; start another one")]
    Full,
    /// A proof does not lead from what is known to what is claimed.
    #[error("the proof does not fit the sizes and roots; fetch it again, then suspect its sender")]
    ProofInvalid,
    /// A stored or received frontier is not one.
    #[error("the stored frontier of the log is damaged; restore it or rebuild it from the leaves")]
    FrontierDamaged,
    /// A note is longer than the bound.
    #[error(
        "a signed note of {given} bytes is over the bound of {bound}; its sender must shorten it"
    )]
    NoteTooLong {
        /// Bytes received.
        given: usize,
        /// Most bytes accepted.
        bound: usize,
    },
    /// The key that signs is kept outside of this process, and is out of reach.
    #[error(transparent)]
    NotSigned(NotSigned),
    /// Bytes are not a signed note (C2SP signed-note).
    #[error("not a signed note: {reason}; its sender must follow C2SP signed-note")]
    NoteMalformed {
        /// The rule that was broken.
        reason: &'static str,
    },
    /// No signature line names the expected key.
    #[error("the note carries no signature of the expected key; check the member list")]
    KeyUnknown,
    /// The signature line of the expected key does not verify.
    #[error("the note's signature does not verify under the expected key; do not trust its text")]
    SignatureInvalid,
    /// The note's text is not a checkpoint (C2SP tlog-checkpoint).
    #[error("not a checkpoint: {reason}; its sender must follow C2SP tlog-checkpoint")]
    CheckpointMalformed {
        /// The rule that was broken.
        reason: &'static str,
    },
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log than the one asked for; ask again")]
    OriginOther,
}
