//! What opens a key ring: a passphrase (argon2id) or a key file, made into a wrapping key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use super::hkdf::Prk;
use super::keyring::KeyringError;
use super::labels;
use super::ring_file::{Hex, UnlockMethod};
use super::secret::{Secret, SecretBytes};

/// Bytes of the salt that every wrap draws anew.
pub(super) const SALT_BYTES: usize = 16;

/// What the operator opens the key ring with.
#[derive(Debug)]
pub enum Unlock {
    /// A passphrase of at least one byte, stretched with argon2id.
    Passphrase(SecretBytes),
    /// 32 random bytes that lie in a file of their own, away from the store and its backups.
    KeyFile(Secret<32>),
}

/// What one guess at the passphrase costs (argon2id, RFC 9106, one lane).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
}

impl KdfCost {
    /// What a production node uses: 256 MiB, three passes, about 0.7 s.
    pub const PRODUCTION: Self = Self {
        memory_kib: 256 * 1_024,
        passes: 3,
    };

    /// The least that is accepted, for the demo and for tests: 19 MiB, two passes.
    pub const FLOOR: Self = Self {
        memory_kib: 19 * 1_024,
        passes: 2,
    };

    /// The most that is accepted, so that a damaged file cannot stop a machine: 4 GiB, 64 passes.
    pub const CEILING: Self = Self {
        memory_kib: 4 * 1_024 * 1_024,
        passes: 64,
    };

    fn checked(self) -> Result<Self, KeyringError> {
        let within = |value: u32, floor: u32, ceiling: u32| (floor..=ceiling).contains(&value);
        if within(
            self.memory_kib,
            Self::FLOOR.memory_kib,
            Self::CEILING.memory_kib,
        ) && within(self.passes, Self::FLOOR.passes, Self::CEILING.passes)
        {
            Ok(self)
        } else {
            Err(KeyringError::KdfCost(self))
        }
    }
}

impl Default for KdfCost {
    fn default() -> Self {
        Self::PRODUCTION
    }
}

/// How a new wrap is unlocked: the method of `unlock` with a fresh salt.
pub(super) fn method_for(
    unlock: &Unlock,
    cost: KdfCost,
    salt: [u8; SALT_BYTES],
) -> Result<UnlockMethod, KeyringError> {
    let salt = Hex(salt);
    match unlock {
        Unlock::Passphrase(passphrase) if passphrase.expose().is_empty() => {
            Err(KeyringError::PassphraseEmpty)
        }
        Unlock::Passphrase(_) => {
            let KdfCost { memory_kib, passes } = cost.checked()?;
            Ok(UnlockMethod::Argon2id {
                memory_kib,
                passes,
                lanes: 1,
                salt,
            })
        }
        Unlock::KeyFile(_) => Ok(UnlockMethod::KeyFile { salt }),
    }
}

/// The key that wraps the root key.
pub(super) fn wrapping_key(
    unlock: &Unlock,
    method: &UnlockMethod,
) -> Result<Secret<32>, KeyringError> {
    match (unlock, method) {
        (
            Unlock::Passphrase(passphrase),
            UnlockMethod::Argon2id {
                memory_kib,
                passes,
                lanes: 1,
                salt,
            },
        ) => {
            let cost = KdfCost {
                memory_kib: *memory_kib,
                passes: *passes,
            };
            let stretched = stretch(passphrase, &salt.0, cost.checked()?)?;
            Ok(Prk::from_uniform(&stretched).expand(&[labels::KEY_FROM_PASSPHRASE]))
        }
        (Unlock::KeyFile(key), UnlockMethod::KeyFile { salt }) => {
            Ok(Prk::extract(&salt.0, key.expose()).expand(&[labels::KEY_FROM_FILE]))
        }
        (Unlock::Passphrase(_), UnlockMethod::Argon2id { .. }) => {
            Err(KeyringError::Damaged("the number of argon2id lanes"))
        }
        (Unlock::Passphrase(_), UnlockMethod::KeyFile { .. }) => Err(KeyringError::NeedsKeyFile),
        (Unlock::KeyFile(_), UnlockMethod::Argon2id { .. }) => Err(KeyringError::NeedsPassphrase),
    }
}

/// argon2id over memory that is wiped afterwards.
fn stretch(
    passphrase: &SecretBytes,
    salt: &[u8],
    cost: KdfCost,
) -> Result<Secret<32>, KeyringError> {
    let refused = |_| KeyringError::KdfCost(cost);
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(refused)?;
    let mut memory: Vec<Block> = Vec::new();
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|_| KeyringError::OutOfMemory(cost.memory_kib))?;
    memory.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let stretched = Secret::filled(|out| {
        argon2.hash_password_into_with_memory(passphrase.expose(), salt, out, &mut memory)
    });
    memory.iter_mut().zeroize();
    stretched.map_err(refused)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// A vector of the reference implementation's own test (`src/test.c`: argon2id, version 0x13).
    #[test]
    fn stretching_is_argon2id_version_0x13() {
        let cost = KdfCost {
            memory_kib: 1 << 16,
            passes: 2,
        };
        let passphrase = SecretBytes::new(b"password".to_vec());
        let stretched = stretch(&passphrase, b"somesalt", cost).unwrap();
        assert_eq!(
            HEXLOWER.encode(stretched.expose()),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }

    #[test]
    fn costs_outside_the_bounds_are_refused() {
        let unlock = Unlock::Passphrase(SecretBytes::new(b"x".to_vec()));
        for (memory_kib, passes) in [
            (19 * 1_024 - 1, 2),
            (19 * 1_024, 1),
            (4 * 1_024 * 1_024 + 1, 2),
            (19 * 1_024, 65),
        ] {
            let cost = KdfCost { memory_kib, passes };
            let refused = method_for(&unlock, cost, [0; SALT_BYTES]).unwrap_err();
            assert!(matches!(refused, KeyringError::KdfCost(found) if found == cost));
        }
        assert!(method_for(&unlock, KdfCost::PRODUCTION, [0; SALT_BYTES]).is_ok());
    }
}
