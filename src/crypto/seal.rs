//! Sealed rows: the envelope, what a seal is bound to, and the counters that never repeat a nonce.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::aead::expanded;
use super::hkdf::Prk;
use super::labels;
use super::secret::Secret;
use crate::limits::{NONCE_BYTES, SEAL_TAG_BYTES};

/// First byte of an envelope that is really sealed.
const VERSION: u8 = 1;

/// First byte of what a key ring without sealing writes, for the tests of the byte scanner.
const VERSION_PLAIN: u8 = 0;

/// Bytes before the ciphertext: version, key id, writer epoch, counter.
const HEADER_BYTES: usize = 1 + 4 + 8 + 8;

/// Seals under one writer epoch; then the next one is used.
const SEALS_PER_EPOCH: u64 = 1 << 30;

/// Subkeys kept at hand, about 600 bytes each.
const SUBKEYS_MAX: usize = 256;

/// What a sealed row is bound to: elsewhere, under another key or at another revision it does not
/// open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The table that the row stands in.
    pub table: &'a str,
    /// The row's key in that table.
    pub key: &'a [u8],
    /// The row's revision; zero where a table has none.
    pub revision: u64,
}

/// Ciphertext, as a store keeps it. It comes only from a key ring, or back from a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Bytes that a store gave back. They are checked when they are opened.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The envelope, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The envelope, to be stored.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A row could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// AES-GCM takes no more than 64 GiB.
    #[error("a row of {0} bytes is too long to be sealed; store it in smaller rows")]
    TooLong(usize),
}

/// A sealed row could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than the envelope of an empty row.
    #[error("a sealed row of {0} bytes was cut short; restore the store from a backup")]
    TooShort(usize),
    /// The envelope begins with a version that this release does not know.
    #[error(
        "a sealed row has envelope version {0}, which this release cannot open; use a newer one"
    )]
    FormatVersion(u8),
    /// The row was written without sealing.
    #[error(
        "a row was stored unsealed, so nothing vouches for it; restore the store from a backup"
    )]
    NotSealed,
    /// The row names a data key that is not in the key ring.
    #[error(
        "a row is sealed under data key {0}, which this key ring lacks; use the newest key ring"
    )]
    UnknownKey(u32),
    /// The authentication failed.
    #[error("a sealed row was altered, moved or rolled back; restore the store from a backup")]
    Refused,
}

/// Subkeys by key id and writer epoch, then by table.
type Subkeys = BTreeMap<(u32, u64), BTreeMap<String, Arc<LessSafeKey>>>;

/// The data keys that seal and open rows: the newest one seals, every one opens. They are wiped
/// when they are dropped.
pub struct DataKeys {
    newest: u32,
    all: BTreeMap<u32, Prk>,
}

impl DataKeys {
    /// `None` where there is no key.
    pub(super) fn new(all: BTreeMap<u32, Prk>) -> Option<Self> {
        let newest = *all.last_key_value()?.0;
        Some(Self { newest, all })
    }
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DataKeys {{ newest: {}, keys: {} }}",
            self.newest,
            self.all.len()
        )
    }
}

/// Seals and opens rows under the data keys of a ring.
pub(super) struct Sealer {
    node: String,
    keys: RwLock<DataKeys>,
    writer: Writer,
    subkeys: RwLock<Subkeys>,
}

impl Sealer {
    /// `writer` is fresh random bytes of this process.
    pub(super) fn new(node: String, keys: DataKeys, writer: &Secret<32>) -> Self {
        Self {
            node,
            keys: RwLock::new(keys),
            writer: Writer::new(writer, SEALS_PER_EPOCH),
            subkeys: RwLock::default(),
        }
    }

    /// Takes these data keys in place of the ones so far.
    pub(super) fn replace(&self, keys: DataKeys) {
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *held = keys;
        drop(held);
        let mut subkeys = self.subkeys.write().unwrap_or_else(PoisonError::into_inner);
        subkeys.clear();
    }

    fn keys(&self) -> RwLockReadGuard<'_, DataKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are keys besides the newest.
    pub(super) fn key_count(&self) -> usize {
        self.keys().all.len()
    }

    /// Whether the newest key sealed this.
    pub(super) fn is_newest(&self, sealed: &Sealed) -> bool {
        let header = Header::read(&sealed.0);
        header.is_ok_and(|(header, _)| header.key_id == self.keys().newest)
    }

    pub(super) fn seal(
        &self,
        context: &SealContext<'_>,
        plain: &[u8],
    ) -> Result<Sealed, SealError> {
        let too_long = SealError::TooLong(plain.len());
        let (epoch, counter) = self.writer.next();
        let header = Header {
            key_id: self.keys().newest,
            epoch,
            counter,
        };
        // The sealing key is in the ring by construction; the error is never seen.
        let subkey = self.subkey(&header, context.table).ok_or(too_long)?;
        let mut envelope = Vec::with_capacity(HEADER_BYTES + plain.len() + SEAL_TAG_BYTES);
        header.write(&mut envelope);
        envelope.extend_from_slice(plain);
        let aad = self.aad(context, header.key_id);
        let (_, body) = envelope.split_at_mut(HEADER_BYTES);
        let tag = subkey
            .seal_in_place_separate_tag(header.nonce(), Aad::from(aad), body)
            .map_err(|_| too_long)?;
        envelope.extend_from_slice(tag.as_ref());
        Ok(Sealed(envelope))
    }

    pub(super) fn open(
        &self,
        context: &SealContext<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, body) = Header::read(&sealed.0)?;
        let subkey = self
            .subkey(&header, context.table)
            .ok_or(OpenError::UnknownKey(header.key_id))?;
        let aad = self.aad(context, header.key_id);
        let mut plain = Zeroizing::new(body.to_vec());
        let plain_bytes = subkey
            .open_in_place(header.nonce(), Aad::from(aad), &mut plain)
            .map_err(|_| OpenError::Refused)?
            .len();
        plain.truncate(plain_bytes);
        Ok(plain)
    }

    /// Everything that a row is bound to, each part with its length, so that no two rows share it.
    fn aad(&self, context: &SealContext<'_>, key_id: u32) -> Vec<u8> {
        let parts = [self.node.as_bytes(), context.table.as_bytes(), context.key];
        let bytes: usize = parts.iter().map(|part| part.len() + 8).sum();
        let mut aad = Vec::with_capacity(labels::SEAL_ROW.len() + bytes + 13);
        aad.extend_from_slice(labels::SEAL_ROW);
        aad.push(VERSION);
        aad.extend_from_slice(&key_id.to_be_bytes());
        aad.extend_from_slice(&context.revision.to_be_bytes());
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            aad.extend_from_slice(&length.to_be_bytes());
            aad.extend_from_slice(part);
        }
        aad
    }

    /// The subkey of a table in a writer epoch, from the few at hand or derived anew.
    fn subkey(&self, header: &Header, table: &str) -> Option<Arc<LessSafeKey>> {
        let group = (header.key_id, header.epoch);
        if let Some(subkey) = self
            .subkeys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&group)
            .and_then(|tables| tables.get(table))
        {
            return Some(Arc::clone(subkey));
        }
        let epoch = header.epoch.to_be_bytes();
        let parts = [labels::SEAL_SUBKEY, &epoch, table.as_bytes()];
        let secret = self.keys().all.get(&header.key_id)?.expand(&parts);
        let subkey = Arc::new(expanded(&secret));
        let mut subkeys = self.subkeys.write().unwrap_or_else(PoisonError::into_inner);
        if subkeys.values().map(BTreeMap::len).sum::<usize>() >= SUBKEYS_MAX {
            subkeys.clear();
        }
        subkeys
            .entry(group)
            .or_default()
            .insert(table.to_owned(), Arc::clone(&subkey));
        Some(subkey)
    }
}

/// What a key ring without sealing stores.
pub(super) fn plain_envelope(plain: &[u8]) -> Sealed {
    Sealed([&[VERSION_PLAIN], plain].concat())
}

/// Reads [`plain_envelope`] back.
pub(super) fn open_plain_envelope(sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    match sealed.0.split_first() {
        None => Err(OpenError::TooShort(0)),
        Some((&VERSION_PLAIN, plain)) => Ok(Zeroizing::new(plain.to_vec())),
        Some((&version, _)) => Err(OpenError::FormatVersion(version)),
    }
}

/// The head of an envelope. All numbers are big endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    key_id: u32,
    epoch: u64,
    counter: u64,
}

impl Header {
    fn write(&self, envelope: &mut Vec<u8>) {
        envelope.push(VERSION);
        envelope.extend_from_slice(&self.key_id.to_be_bytes());
        envelope.extend_from_slice(&self.epoch.to_be_bytes());
        envelope.extend_from_slice(&self.counter.to_be_bytes());
    }

    fn read(envelope: &[u8]) -> Result<(Self, &[u8]), OpenError> {
        let too_short = OpenError::TooShort(envelope.len());
        match envelope.first() {
            None => return Err(too_short),
            Some(&VERSION) => {}
            Some(&VERSION_PLAIN) => return Err(OpenError::NotSealed),
            Some(&version) => return Err(OpenError::FormatVersion(version)),
        }
        let (_, rest) = envelope.split_first_chunk::<1>().ok_or(too_short)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (epoch, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (counter, body) = rest.split_first_chunk().ok_or(too_short)?;
        if body.len() < SEAL_TAG_BYTES {
            return Err(too_short);
        }
        let header = Self {
            key_id: u32::from_be_bytes(*key_id),
            epoch: u64::from_be_bytes(*epoch),
            counter: u64::from_be_bytes(*counter),
        };
        Ok((header, body))
    }

    /// Four zero bytes, then the counter: unique under a subkey, since the counter is.
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        let (_, counter) = nonce.split_at_mut(NONCE_BYTES - 8);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// The writer epochs of one process, and the counter within the present one.
///
/// An epoch is 64 pseudo-random bits from a secret drawn when the ring was opened, so neither a
/// crash nor a restore nor a second replica repeats one, and nothing about it has to be stored.
struct Writer {
    epochs: Prk,
    seals_per_epoch: u64,
    turn: RwLock<Turn>,
}

struct Turn {
    number: u64,
    epoch: u64,
    seals: AtomicU64,
}

impl Writer {
    fn new(secret: &Secret<32>, seals_per_epoch: u64) -> Self {
        let epochs = Prk::from_uniform(secret);
        let turn = RwLock::new(Turn::new(&epochs, 0));
        Self {
            epochs,
            seals_per_epoch,
            turn,
        }
    }

    /// An epoch and counter that no other call returns.
    fn next(&self) -> (u64, u64) {
        loop {
            let turn = self.turn.read().unwrap_or_else(PoisonError::into_inner);
            let counter = turn.seals.fetch_add(1, Ordering::Relaxed);
            if counter < self.seals_per_epoch {
                return (turn.epoch, counter);
            }
            let used_up = turn.number;
            drop(turn);
            let mut turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
            if turn.number == used_up {
                *turn = Turn::new(&self.epochs, used_up.wrapping_add(1));
            }
        }
    }
}

impl Turn {
    fn new(epochs: &Prk, number: u64) -> Self {
        let epoch = epochs.expand::<8>(&[labels::WRITER_EPOCH, &number.to_be_bytes()]);
        Self {
            number,
            epoch: u64::from_be_bytes(*epoch.expose()),
            seals: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nonces_never_repeat_across_epochs_and_threads() {
        let writer = Writer::new(&Secret::from_bytes([1; 32]), 50);
        let drawn: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).map(|_| writer.next()).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(drawn.len(), 4_000);
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 4_000);
        assert!(drawn.iter().all(|(_, counter)| *counter < 50));
        let epochs: BTreeSet<u64> = drawn.iter().map(|(epoch, _)| *epoch).collect();
        assert_eq!(epochs.len(), 80);
    }

    #[test]
    fn two_processes_write_under_different_epochs() {
        let one = Writer::new(&Secret::from_bytes([1; 32]), 50);
        let other = Writer::new(&Secret::from_bytes([2; 32]), 50);
        assert_ne!(one.next().0, other.next().0);
    }

    #[test]
    fn header_reads_back_what_it_wrote() {
        let header = Header {
            key_id: 7,
            epoch: 8,
            counter: 9,
        };
        let mut envelope = Vec::new();
        header.write(&mut envelope);
        assert_eq!(envelope.len(), HEADER_BYTES);
        envelope.extend_from_slice(&[0; SEAL_TAG_BYTES]);
        let (read, body) = Header::read(&envelope).unwrap();
        assert_eq!((read, body.len()), (header, SEAL_TAG_BYTES));
        for bytes in 0..envelope.len() {
            assert_eq!(
                Header::read(&envelope[..bytes]),
                Err(OpenError::TooShort(bytes))
            );
        }
    }
}
