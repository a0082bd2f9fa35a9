//! What is found wrong with a peer's feed: noted in the mirror's durable state, by name.

use super::{FlowError, Mirror, State};
use crate::flows::draft::Draft;
use crate::membership::Member;
use crate::protocol::fork::LogFork;
use crate::protocol::mirror::{FaultName, MirrorFault, MirrorHead, NotedFault};
use crate::store::Table;
use crate::wire::Chunk;

impl Mirror {
    /// What was found wrong with the feed since this mirror began.
    ///
    /// # Errors
    /// [`FlowError::Store`] where the mirror cannot be read.
    pub async fn faults(&self) -> Result<Vec<NotedFault>, FlowError> {
        Ok(self.head().await?.faults().to_vec())
    }

    /// Compares the newest checkpoint that the peer names with what it had signed when `before`
    /// was read. One of another feed is left out: the peer may know this member's level by another
    /// list.
    ///
    /// # Errors
    /// [`FlowError::Mirror`] where it goes back behind that, or contradicts it.
    pub(in crate::flows) async fn judge_newest(
        &self,
        peer: &Member,
        before: &MirrorHead,
        note: &str,
    ) -> Result<(), FlowError> {
        if note.lines().next() != Some(self.feed.origin().as_str()) {
            return Ok(());
        }
        let Err(fault) = before.judge_newest(note, &peer.identity_key) else {
            return Ok(());
        };
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        Err(self.found(&mut state, fault).await)
    }

    /// Tells whether leaves did not fit because those before them were rewritten, by the proof of
    /// growth in a chunk that ends where the mirror did when it was asked for.
    ///
    /// # Errors
    /// [`FlowError::Mirror`] where the peer does not show that its feed goes on from here.
    pub(in crate::flows) async fn judge_growth(
        &self,
        peer: &Member,
        have: u64,
        chunk: &Chunk,
    ) -> Result<(), FlowError> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        if state.head.size() != have {
            // It went on meanwhile, so nothing was wrong.
            return Ok(());
        }
        let key = &peer.identity_key;
        let judged = state
            .head
            .judge_growth(&chunk.checkpoint, key, &chunk.consistency);
        match judged {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.found(&mut state, fault).await),
        }
    }

    /// Keeps what the fault proves and notes its name, as far as the store lets it.
    pub(super) async fn found(&self, state: &mut State, fault: MirrorFault) -> FlowError {
        if let MirrorFault::Fork(proof) = &fault {
            let kept = LogFork::from((**proof).clone());
            if let Err(error) = self.forks.take(&kept, &self.home.member).await {
                tracing::warn!(%error, "a fork is not proven, or its proof not kept");
            }
        }
        if let Some(name) = fault.name() {
            match self.note(state, name).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "the fault of a feed is not noted"),
            }
        }
        fault.into()
    }

    async fn note(&self, state: &mut State, name: FaultName) -> Result<(), FlowError> {
        let Some(head) = state.head.noting(name, self.home.clock.now()) else {
            return Ok(());
        };
        tracing::warn!(feed = %self.feed, fault = name.word(), "a fault in the feed of a peer");
        let mut draft = Draft::default();
        let (key, row) = (self.head_key(), head.encode());
        draft.put(Table::MirrorHead, &key, state.revision, row);
        // Whoever else wrote it meanwhile, what is here is read again.
        state.loaded = false;
        draft.commit(&self.home.vault).await
    }
}
