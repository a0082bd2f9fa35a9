//! How a membership log is named: for the network, and for the key that signs its checkpoints.

use data_encoding::HEXLOWER;

use crate::crypto::sha256;
use crate::domain::NetworkId;

/// Bytes of the key's digest in a log's name.
const ID_BYTES: usize = 8;

/// The log's name among those of one network: sixteen hexadecimal characters of the digest of the
/// registrar's key.
#[must_use]
pub fn log_id(registrar_key: &[u8; 32]) -> String {
    let digest = sha256(registrar_key);
    HEXLOWER.encode(digest.first_chunk::<ID_BYTES>().unwrap_or(&[0; ID_BYTES]))
}

/// The origin of the checkpoints that `registrar_key` signs: `<network>/membership/<id>`.
#[must_use]
pub fn log_origin(network: &NetworkId, registrar_key: &[u8; 32]) -> String {
    format!("{network}/membership/{}", log_id(registrar_key))
}
