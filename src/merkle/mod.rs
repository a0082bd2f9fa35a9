//! An append-only log (RFC 6962 hashing): leaves, proofs and signed checkpoints. Feed and audit share it.
