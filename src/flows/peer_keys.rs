//! Peers' OPRF public keys: taken as stated by the pinned identity key, and never replaced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::draft::Draft;
use super::home::Home;
use super::{FlowError, retry_conflicts};
use crate::crypto::oprf::PublicKey;
use crate::domain::{Epoch, Level, MemberId};
use crate::membership::{KeyStatement, KeyTerms, Member, StatementError};
use crate::store::Table;

type Slot = (MemberId, Level, Epoch);

/// The public keys of peers that this node has seen and pinned.
#[derive(Debug)]
pub struct PeerKeys {
    home: Arc<Home>,
    pinned: Mutex<BTreeMap<Slot, PublicKey>>,
}

impl PeerKeys {
    /// The keys pinned in this node's store.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self {
            home,
            pinned: Mutex::default(),
        }
    }

    /// The pinned key of a peer, if one was ever accepted.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the store failed.
    pub async fn pinned(
        &self,
        peer: &MemberId,
        level: Level,
        epoch: Epoch,
    ) -> Result<Option<PublicKey>, FlowError> {
        let slot = (peer.clone(), level, epoch);
        let held = self.lock().get(&slot).copied();
        if held.is_some() {
            return Ok(held);
        }
        let Some(row) = self
            .home
            .vault
            .read(Table::PeerKey, &self.row_key(&slot))
            .await?
        else {
            return Ok(None);
        };
        let bytes = row.bytes.as_slice().try_into();
        let bytes = bytes.map_err(|_| FlowError::Unreadable { what: "peer key" })?;
        let key = PublicKey::from_bytes(bytes)?;
        self.lock().insert(slot, key);
        Ok(Some(key))
    }

    /// Accepts a key that the peer states: its signature must be of the identity key in the member
    /// list, and it must be the key pinned before, if one was.
    ///
    /// # Errors
    /// [`FlowError::Statement`] where the statement is forged or names another key than before.
    pub async fn accept(
        &self,
        peer: &Member,
        stated: &KeyStatement,
    ) -> Result<PublicKey, FlowError> {
        stated.check(
            self.home.network(),
            &peer.identity_key,
            self.home.clock.now(),
        )?;
        let KeyTerms {
            level,
            epoch,
            public_key,
            ..
        } = &stated.terms;
        let key = PublicKey::from_bytes(public_key)?;
        let slot = (peer.id.clone(), *level, *epoch);
        retry_conflicts(|| async {
            if let Some(held) = self.pinned(&peer.id, *level, *epoch).await? {
                return if held == key {
                    Ok(())
                } else {
                    Err(second_key(peer, stated))
                };
            }
            let mut draft = Draft::default();
            draft.put(Table::PeerKey, &self.row_key(&slot), 0, public_key.to_vec());
            draft.commit(&self.home.vault).await
        })
        .await?;
        self.lock().insert(slot, key);
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Slot, PublicKey>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row_key(&self, (member, level, epoch): &Slot) -> Vec<u8> {
        let name = format!("{member}/{level}/{epoch}");
        self.home
            .vault
            .row_key(Table::PeerKey, name.as_bytes())
            .to_vec()
    }
}

fn second_key(peer: &Member, stated: &KeyStatement) -> FlowError {
    FlowError::Statement(StatementError::TwoKeys {
        member: peer.id.clone(),
        level: stated.terms.level,
        epoch: stated.terms.epoch,
    })
}
