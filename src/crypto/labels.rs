//! Every domain-separation label of the product in one list, tested to be distinct.
//!
//! A label says what a derived key, a keyed hash or a signature is for, so that a value made for
//! one purpose is worthless for every other. Labels are part of the formats: they are never
//! changed.

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ pub const $name:ident: &[u8] = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &[u8] = $text;)+

        /// Every label, for the test that no two are equal.
        pub const ALL: &[&[u8]] = &[$($name),+];
    };
}

labels! {
    /// RFC 9497 §4.1: hashing an input to the group, verifiable mode.
    pub const OPRF_HASH_TO_GROUP: &[u8] = b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §4.1: hashing to a scalar, verifiable mode.
    pub const OPRF_HASH_TO_SCALAR: &[u8] = b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §3.2.1: deriving a key pair from a seed, verifiable mode.
    pub const OPRF_DERIVE_KEY_PAIR: &[u8] = b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §2.2.1: the seed of a proof's composites, verifiable mode.
    pub const OPRF_SEED: &[u8] = b"Seed-OPRFV1-\x01-ristretto255-SHA512";
    /// The nonce of a proof, hedged with key and batch.
    pub const OPRF_PROOF_NONCE: &[u8] = b"creditmesh/v1/proof-nonce";
    /// The batch seed for one peer, from the seed of a query; the peer's id follows.
    pub const BATCH_SEED: &[u8] = b"creditmesh/v1/batch-seed/";
    /// The blinding factors that derive from a batch seed.
    pub const BLINDING_FACTOR: &[u8] = b"creditmesh/v1/blinding-factor";

    /// Tag of leaf number `n` of a borrower in a feed, from the token.
    pub const FEED_TAG: &[u8] = b"creditmesh/v1/feed/tag";
    /// Key that seals the summary of leaf number `n`, from the token.
    pub const FEED_CONTENT: &[u8] = b"creditmesh/v1/feed/content";
    /// Key of revision notices, from the token.
    pub const NOTICE: &[u8] = b"creditmesh/v1/notice";
    /// Tag of notice number `n`, from the key of revision notices.
    pub const NOTICE_TAG: &[u8] = b"creditmesh/v1/revision/tag";
    /// Key that seals notice number `n`, from the key of revision notices.
    pub const NOTICE_CONTENT: &[u8] = b"creditmesh/v1/revision/content";

    /// Salt of the prefixes of light mode; the network's id follows.
    pub const LIGHT_PREFIX: &[u8] = b"creditmesh/v1/light/prefix/";
    /// What fills the buckets of light mode up.
    pub const LIGHT_PADDING: &[u8] = b"creditmesh/v1/light/padding";

    /// The key that wraps the root key, from a passphrase.
    pub const KEY_FROM_PASSPHRASE: &[u8] = b"creditmesh/v1/keyring/from-passphrase";
    /// The key that wraps the root key, from a key file.
    pub const KEY_FROM_FILE: &[u8] = b"creditmesh/v1/keyring/from-key-file";
    /// What a key in a key ring commits to.
    pub const KEY_COMMITMENT: &[u8] = b"creditmesh/v1/keyring/commitment";
    /// Associated data of the wrapped root key.
    pub const ROOT_WRAP: &[u8] = b"creditmesh/v1/keyring/root";
    /// Associated data of a wrapped data key.
    pub const DATA_KEY_WRAP: &[u8] = b"creditmesh/v1/keyring/data-key";
    /// Authentication of a whole key ring file under its root key.
    pub const KEYRING_FILE: &[u8] = b"creditmesh/v1/keyring/file";

    /// Subkey that seals one table during one writer epoch.
    pub const SEAL_SUBKEY: &[u8] = b"creditmesh/v1/seal/subkey";
    /// Associated data of a sealed row.
    pub const SEAL_ROW: &[u8] = b"creditmesh/v1/seal/row";
    /// The writer epochs of one process.
    pub const WRITER_EPOCH: &[u8] = b"creditmesh/v1/seal/writer-epoch";
    /// Key of the keyed hashes that rows are stored under.
    pub const ROW_KEYS: &[u8] = b"creditmesh/v1/index/row-keys";
    /// Key of the digests that `node verify` recomputes.
    pub const DIGESTS: &[u8] = b"creditmesh/v1/index/digests";
    /// Keyed hash of a stored row at its place, within a bucket's digest.
    pub const STORE_ROW: &[u8] = b"creditmesh/v1/store/row";
    /// Tag of stored bucket digests.
    pub const STORE_SHELF: &[u8] = b"creditmesh/v1/store/shelf";
    /// Tag of a store's layout row.
    pub const STORE_LAYOUT: &[u8] = b"creditmesh/v1/store/layout";
    /// Tag of the number of acknowledged groups.
    pub const STORE_MARK: &[u8] = b"creditmesh/v1/store/mark";
    /// Tag of a block of a backup.
    pub const BACKUP_BLOCK: &[u8] = b"creditmesh/v1/backup/block";
    /// Keys that other rooms derive from the key ring.
    pub const DERIVED: &[u8] = b"creditmesh/v1/derived";

    /// Trust documents (network root, member list, invitation, join request), before format and
    /// document.
    pub const SIGNED_DOCUMENT: &[u8] = b"creditmesh/v1/signed/document/";
    /// A member's statement about the key of its certificate.
    pub const CERTIFICATE_KEY: &[u8] = b"creditmesh/v1/signed/certificate-key/";
    /// A member's statement about its OPRF key for one level and epoch.
    pub const OPRF_KEY_STATEMENT: &[u8] = b"creditmesh/v1/signed/oprf-key/";
    /// A member's statement of its counts of one month.
    pub const MONTHLY_COUNTS: &[u8] = b"creditmesh/v1/signed/monthly-counts/";
    /// An auditor's statement about the key that openings are encrypted to.
    pub const AUDITOR_KEY: &[u8] = b"creditmesh/v1/signed/auditor-key/";
    /// What is encrypted to an auditor: the context of an opening.
    pub const OPENING: &[u8] = b"creditmesh/v1/opening/";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ALL;

    #[test]
    fn labels_are_distinct_and_none_is_the_beginning_of_another() {
        assert_eq!(ALL.iter().collect::<BTreeSet<_>>().len(), ALL.len());
        for one in ALL {
            for other in ALL {
                assert!(one == other || !other.starts_with(one), "{one:?} {other:?}");
            }
        }
    }
}
