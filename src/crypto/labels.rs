//! Every domain-separation label of the product in one list, tested to be distinct.
//!
//! A label says what a derived key, a keyed hash or a signature is for, so that a value made for one
//! purpose is worthless for every other. Labels are part of the formats: they are never changed.

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &[u8] = $text;)+

        /// Every label, for the test that no two are equal.
        pub const ALL: &[&[u8]] = &[$($name),+];
    };
}

labels! {
    /// RFC 9497 §4.1: hashing an input to the group, verifiable mode.
    OPRF_HASH_TO_GROUP = b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §4.1: hashing to a scalar, verifiable mode.
    OPRF_HASH_TO_SCALAR = b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §3.2.1: deriving a key pair from a seed, verifiable mode.
    OPRF_DERIVE_KEY_PAIR = b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512";
    /// RFC 9497 §2.2.1: the seed of a proof's composites, verifiable mode.
    OPRF_SEED = b"Seed-OPRFV1-\x01-ristretto255-SHA512";
    /// The nonce of a proof, hedged with key and batch.
    OPRF_PROOF_NONCE = b"creditmesh/v1/proof-nonce";
    /// The blinding factors that derive from a batch seed.
    BLINDING_FACTOR = b"creditmesh/v1/blinding-factor";

    /// Tag of leaf number `n` of a borrower in a feed, from the token.
    FEED_TAG = b"creditmesh/v1/feed/tag";
    /// Key that seals the summary of leaf number `n`, from the token.
    FEED_CONTENT = b"creditmesh/v1/feed/content";
    /// Key of revision notices, from the token.
    NOTICE = b"creditmesh/v1/notice";

    /// The key that wraps the root key, from a passphrase.
    KEY_FROM_PASSPHRASE = b"creditmesh/v1/keyring/from-passphrase";
    /// The key that wraps the root key, from a key file.
    KEY_FROM_FILE = b"creditmesh/v1/keyring/from-key-file";
    /// What a key in a key ring commits to.
    KEY_COMMITMENT = b"creditmesh/v1/keyring/commitment";
    /// Associated data of the wrapped root key.
    ROOT_WRAP = b"creditmesh/v1/keyring/root";
    /// Associated data of a wrapped data key.
    DATA_KEY_WRAP = b"creditmesh/v1/keyring/data-key";
    /// Authentication of a whole key ring file under its root key.
    KEYRING_FILE = b"creditmesh/v1/keyring/file";

    /// Subkey that seals one table during one writer epoch.
    SEAL_SUBKEY = b"creditmesh/v1/seal/subkey";
    /// Associated data of a sealed row.
    SEAL_ROW = b"creditmesh/v1/seal/row";
    /// The writer epochs of one process.
    WRITER_EPOCH = b"creditmesh/v1/seal/writer-epoch";
    /// Key of the keyed hashes that rows are stored under.
    ROW_KEYS = b"creditmesh/v1/index/row-keys";
    /// Key of the digests that `node verify` recomputes.
    DIGESTS = b"creditmesh/v1/index/digests";
    /// Keyed hash of a stored row at its place, within a bucket's digest.
    STORE_ROW = b"creditmesh/v1/store/row";
    /// Tag of a stored bucket digest.
    STORE_BUCKET = b"creditmesh/v1/store/bucket";
    /// Tag of a store's layout row.
    STORE_LAYOUT = b"creditmesh/v1/store/layout";
    /// Tag of a block of a backup.
    BACKUP_BLOCK = b"creditmesh/v1/backup/block";
    /// Keys that other rooms derive from the key ring.
    DERIVED = b"creditmesh/v1/derived";

    /// Trust documents (network root, member list, invitation, join request), before format and document.
    SIGNED_DOCUMENT = b"creditmesh/v1/signed/document/";
    /// A member's statement about the key of its certificate.
    CERTIFICATE_KEY = b"creditmesh/v1/signed/certificate-key/";
    /// A member's statement about its OPRF key for one level and epoch.
    OPRF_KEY_STATEMENT = b"creditmesh/v1/signed/oprf-key/";
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
