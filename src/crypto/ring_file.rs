//! The key ring as text: a wrapped root key, data keys wrapped under the root, checked before use.

use data_encoding::HEXLOWER;
use ring::{digest, hmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

use super::aead::{open_with_key, seal_with_key};
use super::hkdf::Prk;
use super::keyring::KeyringError;
use super::labels;
use super::secret::Secret;
use super::unlock::{KdfCost, SALT_BYTES, Unlock, method_for, wrapping_key};
use crate::env::Entropy;
use crate::limits::{NONCE_BYTES, SEAL_TAG_BYTES};

/// What the `format` field says.
const FORMAT: &str = "creditmesh key ring";

/// The one version of the format so far.
const VERSION: u32 = 1;

const KEY_BYTES: usize = 32;
const WRAPPED_BYTES: usize = KEY_BYTES + SEAL_TAG_BYTES;
const COMMITMENT_BYTES: usize = 16;

/// The keys of a ring in the clear, while it is opened or written.
pub(super) struct RingKeys {
    pub(super) node: String,
    pub(super) root: Secret<KEY_BYTES>,
    pub(super) data_keys: Vec<DataKey>,
}

/// One data key in the clear.
pub(super) struct DataKey {
    pub(super) id: u32,
    pub(super) purpose: KeyPurpose,
    pub(super) key: Secret<KEY_BYTES>,
}

/// What a data key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyPurpose {
    /// Seals rows; the newest one seals, all of them open.
    Seal,
    /// Keyed hashes and keys for other rooms; there is exactly one, and it does not rotate.
    Index,
}

/// How the wrapping key comes about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum UnlockMethod {
    /// argon2id version 0x13 over a passphrase.
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        salt: Hex<SALT_BYTES>,
    },
    /// HKDF-SHA-256 over 32 random bytes.
    KeyFile { salt: Hex<SALT_BYTES> },
}

impl UnlockMethod {
    fn cost(&self) -> KdfCost {
        match *self {
            Self::Argon2id {
                memory_kib, passes, ..
            } => KdfCost { memory_kib, passes },
            Self::KeyFile { .. } => KdfCost::default(),
        }
    }
}

/// Bytes that the file shows as lower-case hex.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(format!("expected {N} bytes as lower-case hex"))
            })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    format: String,
    version: u32,
    /// Found wrong by accident: SHA-256 of `ring`.
    checksum: Hex<32>,
    /// Found wrong by intent: HMAC-SHA-256 of `ring` under a key derived from the root key.
    authentication: Hex<32>,
    ring: Ring,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    node: String,
    unlock: UnlockMethod,
    root: Wrapped,
    data_keys: Vec<WrappedDataKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    nonce: Hex<NONCE_BYTES>,
    sealed: Hex<WRAPPED_BYTES>,
    /// What the wrapping key commits to (AES-GCM alone does not commit to its key).
    wrapping_key_commitment: Hex<COMMITMENT_BYTES>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrappedDataKey {
    id: u32,
    purpose: KeyPurpose,
    nonce: Hex<NONCE_BYTES>,
    sealed: Hex<WRAPPED_BYTES>,
    /// What the data key itself commits to.
    commitment: Hex<COMMITMENT_BYTES>,
}

/// Writes the ring as text, wrapped anew: fresh salt, fresh nonces.
pub(super) fn write(
    keys: &RingKeys,
    unlock: &Unlock,
    cost: KdfCost,
    entropy: &dyn Entropy,
) -> Result<String, KeyringError> {
    let method = method_for(unlock, cost, random(entropy)?)?;
    let wrapping = wrapping_key(unlock, &method)?;
    let nonce = random(entropy)?;
    let root = Wrapped {
        nonce: Hex(nonce),
        sealed: wrap(&wrapping, nonce, &root_context(&keys.node), &keys.root)?,
        wrapping_key_commitment: Hex(commitment(&wrapping)),
    };
    let mut data_keys = Vec::with_capacity(keys.data_keys.len());
    for data_key in &keys.data_keys {
        let nonce = random(entropy)?;
        let context = data_key_context(&keys.node, data_key.id, data_key.purpose);
        data_keys.push(WrappedDataKey {
            id: data_key.id,
            purpose: data_key.purpose,
            nonce: Hex(nonce),
            sealed: wrap(&keys.root, nonce, &context, &data_key.key)?,
            commitment: Hex(commitment(&data_key.key)),
        });
    }
    let ring = Ring {
        node: keys.node.clone(),
        unlock: method,
        root,
        data_keys,
    };
    let content = content(&ring)?;
    let file = RingFile {
        format: FORMAT.to_owned(),
        version: VERSION,
        checksum: Hex(checksum(&content)),
        authentication: Hex(authentication(&keys.root, &content)),
        ring,
    };
    serde_json::to_string_pretty(&file).map_err(|_| KeyringError::Damaged("the text"))
}

/// Opens the text of a ring.
pub(super) fn open(text: &str, unlock: &Unlock) -> Result<RingKeys, KeyringError> {
    let file = parse(text)?;
    let content = content(&file.ring)?;
    if checksum(&content) != file.checksum.0 {
        return Err(KeyringError::Damaged("the checksum"));
    }
    let Ring {
        node,
        unlock: method,
        root,
        data_keys,
    } = file.ring;
    let wrapping = wrapping_key(unlock, &method)?;
    if !equal(&commitment(&wrapping), &root.wrapping_key_commitment.0) {
        return Err(match unlock {
            Unlock::Passphrase(_) => KeyringError::WrongPassphrase,
            Unlock::KeyFile(_) => KeyringError::WrongKeyFile,
        });
    }
    let root = unwrap_key(&wrapping, &root.nonce, &root_context(&node), &root.sealed)
        .ok_or(KeyringError::Damaged("the root key"))?;
    if !equal(&authentication(&root, &content), &file.authentication.0) {
        return Err(KeyringError::Damaged("the authentication"));
    }
    let mut opened = Vec::with_capacity(data_keys.len());
    for entry in data_keys {
        let context = data_key_context(&node, entry.id, entry.purpose);
        let key = unwrap_key(&root, &entry.nonce, &context, &entry.sealed)
            .filter(|key| equal(&commitment(key), &entry.commitment.0))
            .ok_or(KeyringError::Damaged("a data key"))?;
        opened.push(DataKey {
            id: entry.id,
            purpose: entry.purpose,
            key,
        });
    }
    Ok(RingKeys {
        node,
        root,
        data_keys: opened,
    })
}

/// The cost that the text was wrapped with.
pub(super) fn cost(text: &str) -> Result<KdfCost, KeyringError> {
    Ok(parse(text)?.ring.unlock.cost())
}

/// Reads the text; only the version is looked at before the rest must fit.
fn parse(text: &str) -> Result<RingFile, KeyringError> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| KeyringError::NotAKeyRing)?;
    if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(KeyringError::NotAKeyRing);
    }
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        return Err(KeyringError::FormatVersion(version.unwrap_or_default()));
    }
    serde_json::from_value(value).map_err(|_| KeyringError::Damaged("a field"))
}

fn content(ring: &Ring) -> Result<Vec<u8>, KeyringError> {
    serde_json::to_vec(ring).map_err(|_| KeyringError::Damaged("the text"))
}

fn checksum(content: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, content).as_ref())
}

fn authentication(root: &Secret<KEY_BYTES>, content: &[u8]) -> [u8; 32] {
    let key = Prk::from_uniform(root).expand::<KEY_BYTES>(&[labels::KEYRING_FILE]);
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), content).as_ref())
}

fn commitment(key: &Secret<KEY_BYTES>) -> [u8; COMMITMENT_BYTES] {
    *Prk::from_uniform(key)
        .expand::<COMMITMENT_BYTES>(&[labels::KEY_COMMITMENT])
        .expose()
}

fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// A copy of `bytes`, which has `N` bytes.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], KeyringError> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

fn root_context(node: &str) -> Vec<u8> {
    [labels::ROOT_WRAP, &VERSION.to_be_bytes(), node.as_bytes()].concat()
}

fn data_key_context(node: &str, id: u32, purpose: KeyPurpose) -> Vec<u8> {
    let purpose = match purpose {
        KeyPurpose::Seal => [1],
        KeyPurpose::Index => [2],
    };
    let numbers = [VERSION.to_be_bytes(), id.to_be_bytes()].concat();
    [labels::DATA_KEY_WRAP, &numbers, &purpose, node.as_bytes()].concat()
}

fn wrap(
    wrapping: &Secret<KEY_BYTES>,
    nonce: [u8; NONCE_BYTES],
    context: &[u8],
    key: &Secret<KEY_BYTES>,
) -> Result<Hex<WRAPPED_BYTES>, KeyringError> {
    seal_with_key(wrapping, nonce, context, key.expose())
        .try_into()
        .map(Hex)
        .map_err(|_| KeyringError::Damaged("a wrapped key"))
}

fn unwrap_key(
    wrapping: &Secret<KEY_BYTES>,
    nonce: &Hex<NONCE_BYTES>,
    context: &[u8],
    sealed: &Hex<WRAPPED_BYTES>,
) -> Option<Secret<KEY_BYTES>> {
    let plain = open_with_key(wrapping, nonce.0, context, &sealed.0).ok()?;
    (plain.len() == KEY_BYTES).then(|| Secret::written(|out| out.copy_from_slice(&plain)))
}
