//! This node's OPRF keys: a fresh random seed per level and key epoch, sealed in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::ageing::is_forgotten;
use super::draft::Draft;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::crypto::oprf::SecretKey;
use crate::crypto::{IdentityKey, Secret};
use crate::domain::{Epoch, Level, Timestamp};
use crate::membership::{KeyStatement, KeyTerms};
use crate::store::Table;

/// Domain separation of the OPRF keys (RFC 9497 section 3.2.1, `info` of `DeriveKeyPair`).
const KEY_LABEL: &str = "creditmesh/v1/oprf";

/// One OPRF key with what was stated of it.
#[derive(Debug)]
pub struct OwnKey {
    /// The key.
    pub secret: SecretKey,
    /// Its public part, signed by the identity key.
    pub stated: KeyStatement,
    /// That identity key.
    stated_by: [u8; 32],
}

/// The OPRF keys that this node has made.
#[derive(Debug)]
pub struct OwnKeys {
    home: Arc<Home>,
    made: Mutex<BTreeMap<(Level, Epoch), Arc<OwnKey>>>,
}

/// The name of the row of a seed.
fn seed_name(level: Level, epoch: Epoch) -> String {
    format!("oprf/{level}/{epoch}")
}

impl OwnKeys {
    /// The keys in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            home,
            made: Mutex::default(),
        }
    }

    /// The key of a level and epoch; made and durable if there was none.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the seed cannot be read or kept.
    pub async fn key(&self, level: Level, epoch: Epoch) -> Result<Arc<OwnKey>, FlowError> {
        let signer = self.home.identity();
        let held = self.lock().get(&(level, epoch)).cloned();
        // After a change of the identity key the same keys are stated anew.
        if let Some(key) = held.filter(|key| key.stated_by == signer.public()) {
            return Ok(key);
        }
        let (seed, announced_at) = retry_conflicts(|| self.seed(level, epoch)).await?;
        let key = Arc::new(self.derive(&seed, (level, epoch), announced_at, &signer));
        self.lock().insert((level, epoch), Arc::clone(&key));
        Ok(key)
    }

    /// The public key of a level and epoch, where this node made one.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the seed cannot be read.
    pub async fn made(&self, level: Level, epoch: Epoch) -> Result<Option<[u8; 32]>, FlowError> {
        let vault = &self.home.vault;
        let row_key = vault.row_key(Table::Key, seed_name(level, epoch).as_bytes());
        if vault.read(Table::Key, &row_key).await?.is_none() {
            return Ok(None);
        }
        let key = self.key(level, epoch).await?;
        Ok(Some(key.stated.terms.public_key))
    }

    /// Deletes the seeds of an epoch, and what was derived of them: nothing that was sealed under
    /// its tokens can be made again.
    ///
    /// # Errors
    /// [`FlowError::Store`]; a seed may then still be there.
    pub(super) async fn forget(&self, epoch: Epoch) -> Result<(), FlowError> {
        let vault = &self.home.vault;
        retry_conflicts(|| async {
            let mut draft = Draft::default();
            for level in Level::ALL {
                let key = vault.row_key(Table::Key, seed_name(*level, epoch).as_bytes());
                if let Some(row) = vault.store().read(Table::Key, &key).await? {
                    draft.delete(Table::Key, &key, row.revision);
                }
            }
            draft.commit(vault).await
        })
        .await?;
        self.lock().retain(|(_, made), _| *made != epoch);
        Ok(())
    }

    /// Lets go of what is held in memory of epochs before `first`.
    pub(super) fn forget_before(&self, first: Epoch) {
        self.lock().retain(|(_, made), _| *made >= first);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Level, Epoch), Arc<OwnKey>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn seed(&self, level: Level, epoch: Epoch) -> Result<(Secret<32>, Timestamp), FlowError> {
        let home = &self.home;
        let row_key = home
            .vault
            .row_key(Table::Key, seed_name(level, epoch).as_bytes());
        if let Some(row) = home.vault.read(Table::Key, &row_key).await? {
            let unreadable = || FlowError::Unreadable { what: "OPRF seed" };
            let (at, seed) = row.bytes.split_first_chunk::<8>().ok_or_else(unreadable)?;
            let seed: [u8; 32] = seed.try_into().map_err(|_| unreadable())?;
            return Ok((
                Secret::from_bytes(seed),
                Timestamp::from_unix_ms(i64::from_be_bytes(*at)),
            ));
        }
        if is_forgotten(home, epoch).await? {
            return Err(FlowError::NotPossible(format!(
                "the keys of epoch {epoch} were destroyed at its end: check this machine's clock"
            )));
        }
        let seed = Secret::<32>::random(&*home.entropy)?;
        let now = home.clock.now();
        let mut plain = now.unix_ms().to_be_bytes().to_vec();
        plain.extend_from_slice(seed.expose());
        let mut draft = Draft::default();
        draft.put(Table::Key, &row_key, 0, plain);
        draft.commit(&home.vault).await?;
        Ok((seed, now))
    }

    fn derive(
        &self,
        seed: &Secret<32>,
        (level, epoch): (Level, Epoch),
        announced_at: Timestamp,
        signer: &IdentityKey,
    ) -> OwnKey {
        let home = &self.home;
        let name = format!(
            "{KEY_LABEL}/{}/{}/{level}/{epoch}",
            home.network(),
            home.member
        );
        let secret = SecretKey::derive(seed, name.as_bytes());
        let terms = KeyTerms {
            member: home.member.clone(),
            level,
            epoch,
            public_key: secret.public().to_bytes(),
            announced_at,
        };
        OwnKey {
            secret,
            stated: KeyStatement::make(signer, home.network(), terms),
            stated_by: signer.public(),
        }
    }
}
