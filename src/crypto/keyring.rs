//! The key ring of a node: its data keys, and everything that is sealed or hashed with them.

use std::fmt;

use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::hkdf::Prk;
use super::labels;
use super::ring_file::{self, DataKey, KeyPurpose, RingKeys};
use super::seal::{self, DataKeys, OpenError, SealContext, SealError, Sealed, Sealer};
use super::secret::Secret;
use super::unlock::{KdfCost, Unlock};
use crate::env::{Entropy, EntropyUnavailable};

/// A key ring could not be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The text is something else.
    #[error("this is not a creditmesh key ring; give the key ring file of this node")]
    NotAKeyRing,
    /// Another version of the format.
    #[error(
        "the key ring has format version {0}, and this release reads version 1; \
         use the release that wrote it"
    )]
    FormatVersion(u64),
    /// Altered on disk or by hand.
    #[error(
        "the key ring is damaged ({0} is wrong); restore it from the backup that was kept with it"
    )]
    Damaged(&'static str),
    /// The passphrase is not the one the ring was wrapped with.
    #[error("the passphrase does not open this key ring; check the passphrase file")]
    WrongPassphrase,
    /// The key file is not the one the ring was wrapped with.
    #[error("the key file does not open this key ring; give the key file of this node")]
    WrongKeyFile,
    /// A passphrase opens this ring, and a key file was given.
    #[error("a passphrase opens this key ring, not a key file; give the passphrase file")]
    NeedsPassphrase,
    /// A key file opens this ring, and a passphrase was given.
    #[error("a key file opens this key ring, not a passphrase; give the key file")]
    NeedsKeyFile,
    /// A passphrase without a byte.
    #[error("the passphrase is empty; write one into the passphrase file")]
    PassphraseEmpty,
    /// A cost that is too weak, or too much for a machine.
    #[error(
        "argon2id with {} KiB and {} passes is outside the allowed {} to {} KiB \
         and {} to {} passes; choose a cost within, or restore the key ring",
        .0.memory_kib, .0.passes,
        KdfCost::FLOOR.memory_kib, KdfCost::CEILING.memory_kib,
        KdfCost::FLOOR.passes, KdfCost::CEILING.passes
    )]
    KdfCost(KdfCost),
    /// The machine has not the memory that the cost asks for.
    #[error("argon2id needs {0} KiB of memory, which this machine did not give; free some memory")]
    OutOfMemory(u32),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// The opened keys of a node. Dropping it wipes what is ours to wipe; ring keeps expanded keys
/// unwiped.
pub struct Keyring {
    node: String,
    rows: hmac::Key,
    digests: Secret<32>,
    derived: Prk,
    /// `None` only in [`Self::without_sealing_for_scanner_tests`].
    sealer: Option<Sealer>,
}

impl Keyring {
    /// Makes the keys of a new node and returns them with the wrapped key ring, which is JSON
    /// text that holds no secret in the clear. `cost` counts for passphrases only.
    ///
    /// # Errors
    /// [`KeyringError::PassphraseEmpty`], [`KeyringError::KdfCost`],
    /// [`KeyringError::OutOfMemory`], [`KeyringError::Entropy`].
    pub fn create(
        unlock: &Unlock,
        node_name: &str,
        entropy: &dyn Entropy,
        cost: KdfCost,
    ) -> Result<(Self, String), KeyringError> {
        let keys = RingKeys {
            node: node_name.to_owned(),
            root: Secret::random(entropy)?,
            data_keys: vec![
                new_data_key(1, KeyPurpose::Index, entropy)?,
                new_data_key(2, KeyPurpose::Seal, entropy)?,
            ],
        };
        let text = ring_file::write(&keys, unlock, cost, entropy)?;
        Ok((Self::from_keys(&keys, entropy)?, text))
    }

    /// Opens the text that [`Self::create`] gave, and draws a writer epoch for this process.
    ///
    /// # Errors
    /// One variant of [`KeyringError`] per reason; each says what to do.
    pub fn unlock(
        text: &str,
        unlock: &Unlock,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyringError> {
        Self::from_keys(&ring_file::open(text, unlock)?, entropy)
    }

    /// Wraps the same keys anew, for another passphrase or key file. What is sealed stays as it is.
    ///
    /// # Errors
    /// As [`Self::unlock`] and [`Self::create`].
    pub fn rewrap(
        text: &str,
        present: &Unlock,
        next: &Unlock,
        cost: KdfCost,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyringError> {
        ring_file::write(&ring_file::open(text, present)?, next, cost, entropy)
    }

    /// Adds a data key. A ring opened from the result seals with it, and still opens what older
    /// keys sealed.
    ///
    /// # Errors
    /// As [`Self::unlock`] and [`Self::create`].
    pub fn add_data_key(
        text: &str,
        unlock: &Unlock,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyringError> {
        let mut keys = ring_file::open(text, unlock)?;
        let newest = keys.data_keys.iter().map(|data_key| data_key.id).max();
        let id = newest
            .unwrap_or_default()
            .checked_add(1)
            .ok_or(KeyringError::Damaged("a data key's id"))?;
        keys.data_keys
            .push(new_data_key(id, KeyPurpose::Seal, entropy)?);
        ring_file::write(&keys, unlock, ring_file::cost(text)?, entropy)
    }

    /// Leaves the newest data key only: what older ones sealed is never opened again by anybody who
    /// has only the result.
    ///
    /// # Errors
    /// As [`Self::unlock`] and [`Self::create`].
    pub fn drop_old_data_keys(
        text: &str,
        unlock: &Unlock,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyringError> {
        let mut keys = ring_file::open(text, unlock)?;
        let sealing = keys.data_keys.iter();
        let sealing = sealing.filter(|data_key| data_key.purpose == KeyPurpose::Seal);
        let newest = sealing.map(|data_key| data_key.id).max();
        keys.data_keys.retain(|data_key| match data_key.purpose {
            KeyPurpose::Index => true,
            KeyPurpose::Seal => Some(data_key.id) == newest,
        });
        ring_file::write(&keys, unlock, ring_file::cost(text)?, entropy)
    }

    /// The data keys of a text that [`Self::add_data_key`] or [`Self::drop_old_data_keys`] gave for
    /// this ring.
    ///
    /// # Errors
    /// As [`Self::unlock`]; [`KeyringError::Damaged`] where the text is of another ring.
    pub fn data_keys_of(&self, text: &str, unlock: &Unlock) -> Result<DataKeys, KeyringError> {
        let keys = ring_file::open(text, unlock)?;
        let digests: Secret<32> = Prk::from_uniform(index_key(&keys)?).expand(&[labels::DIGESTS]);
        if keys.node != self.node || digests.expose() != self.digests.expose() {
            return Err(KeyringError::Damaged("the index key"));
        }
        data_keys(&keys)
    }

    /// Seals and opens from now on with these data keys.
    pub fn take_data_keys(&self, keys: DataKeys) {
        if let Some(sealer) = &self.sealer {
            sealer.replace(keys);
        }
    }

    /// How many data keys the ring holds; more than one while a re-keying is under way.
    #[must_use]
    pub fn data_key_count(&self) -> usize {
        self.sealer.as_ref().map_or(0, Sealer::key_count)
    }

    /// Whether the ring holds data keys besides the newest one: a re-keying is under way.
    #[must_use]
    pub fn has_older_data_keys(&self) -> bool {
        self.data_key_count() > 1
    }

    /// Whether the newest data key sealed this.
    #[must_use]
    pub fn is_newest(&self, sealed: &Sealed) -> bool {
        let sealer = self.sealer.as_ref();
        sealer.is_none_or(|sealer| sealer.is_newest(sealed))
    }

    /// A key ring that seals nothing and hashes row names without a key.
    ///
    /// The byte scanner's test needs it: with sealing switched off the scanner must find every
    /// planted identifier, otherwise "found nothing" would prove nothing. No configuration
    /// reaches this function, and an ordinary key ring refuses to open what this one wrote.
    #[doc(hidden)]
    #[must_use]
    pub fn without_sealing_for_scanner_tests() -> Self {
        let zeros = Secret::from_bytes([0; 32]);
        Self::assemble("unsealed".to_owned(), &zeros, None)
    }

    /// The node that the ring was made for.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.node
    }

    /// Seals `plain` for one place in the store.
    ///
    /// # Errors
    /// [`SealError::TooLong`] above 64 GiB.
    pub fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> Result<Sealed, SealError> {
        match &self.sealer {
            Some(sealer) => sealer.seal(context, plain),
            None => Ok(seal::plain_envelope(plain)),
        }
    }

    /// Opens what [`Self::seal`] sealed for the same place. The plaintext is wiped on drop.
    ///
    /// # Errors
    /// One variant of [`OpenError`] per reason; [`OpenError::Refused`] where any byte or the
    /// place differs.
    pub fn open(
        &self,
        context: &SealContext<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        match &self.sealer {
            Some(sealer) => sealer.open(context, sealed),
            None => seal::open_plain_envelope(sealed),
        }
    }

    /// The key under which `table` stores the row called `name`: HMAC-SHA-256 under a key of this
    /// node, so that a stolen store cannot be joined with a list of names.
    #[must_use]
    pub fn row_key(&self, table: &str, name: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        if self.sealer.is_none() {
            key.copy_from_slice(digest::digest(&digest::SHA256, name).as_ref());
            return key;
        }
        let mut context = hmac::Context::with_key(&self.rows);
        context.update(&u64::try_from(table.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(table.as_bytes());
        context.update(name);
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// The key of the digests over tables, which `node verify` recomputes.
    #[must_use]
    pub fn digest_key(&self) -> Secret<32> {
        Secret::from_bytes(*self.digests.expose())
    }

    /// A key for another room: the same `label` (from [`labels`]) and `context` always give the
    /// same key.
    #[must_use]
    pub fn derive(&self, label: &[u8], context: &[u8]) -> Secret<32> {
        let label_bytes = u64::try_from(label.len()).unwrap_or(u64::MAX).to_be_bytes();
        self.derived
            .expand(&[labels::DERIVED, &label_bytes, label, context])
    }

    fn from_keys(keys: &RingKeys, entropy: &dyn Entropy) -> Result<Self, KeyringError> {
        let writer = Secret::random(entropy)?;
        let sealer = Sealer::new(keys.node.clone(), data_keys(keys)?, &writer);
        let index = index_key(keys)?;
        Ok(Self::assemble(keys.node.clone(), index, Some(sealer)))
    }

    fn assemble(node: String, index: &Secret<32>, sealer: Option<Sealer>) -> Self {
        let derived = Prk::from_uniform(index);
        let rows: Secret<32> = derived.expand(&[labels::ROW_KEYS]);
        Self {
            node,
            rows: hmac::Key::new(hmac::HMAC_SHA256, rows.expose()),
            digests: derived.expand(&[labels::DIGESTS]),
            derived,
            sealer,
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

fn index_key(keys: &RingKeys) -> Result<&Secret<32>, KeyringError> {
    let mut all = keys.data_keys.iter();
    let index = all.find(|data_key| data_key.purpose == KeyPurpose::Index);
    let index = index.ok_or(KeyringError::Damaged("the index key"))?;
    Ok(&index.key)
}

fn data_keys(keys: &RingKeys) -> Result<DataKeys, KeyringError> {
    let sealing = keys.data_keys.iter();
    let sealing = sealing.filter(|data_key| data_key.purpose == KeyPurpose::Seal);
    let by_id = sealing.map(|data_key| (data_key.id, Prk::from_uniform(&data_key.key)));
    DataKeys::new(by_id.collect()).ok_or(KeyringError::Damaged("the list of data keys"))
}

fn new_data_key(
    id: u32,
    purpose: KeyPurpose,
    entropy: &dyn Entropy,
) -> Result<DataKey, KeyringError> {
    Ok(DataKey {
        id,
        purpose,
        key: Secret::random(entropy)?,
    })
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
