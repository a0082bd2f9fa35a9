//! Members hand departures back to a registrar that does not know them: it lost what it kept, and
//! would let a next list keep whoever left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::registrar_client::{RegistrarClient, RegistrarError};
use super::trust::TrustHandle;
use crate::wire::TrustTexts;

/// What is known here, and what the registrar knows or was told over this connection. Clones share
/// it.
#[derive(Debug, Clone)]
pub(super) struct Handing {
    trust: TrustHandle,
    /// `None` until the registrar has said what it knows.
    there: Arc<Mutex<Option<BTreeSet<String>>>>,
}

impl Handing {
    pub(super) fn new(trust: TrustHandle) -> Self {
        Self {
            trust,
            there: Arc::default(),
        }
    }

    fn there(&self) -> MutexGuard<'_, Option<BTreeSet<String>>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The departures that the registrar lacks.
    fn missing(&self) -> Vec<String> {
        let known = self.trust.departures();
        if known.is_empty() {
            return Vec::new();
        }
        let there = self.there();
        let Some(there) = &*there else {
            return Vec::new();
        };
        let texts = known.texts().into_iter();
        texts.filter(|text| !there.contains(text)).collect()
    }
}

impl RegistrarClient {
    /// Notes which departures the registrar knows.
    pub(super) fn told(&self, texts: &TrustTexts) {
        if let Some(handing) = &self.handing {
            *handing.there() = Some(texts.departures.iter().cloned().collect());
        }
    }

    /// Hands over the departures that the registrar lacks. One that it refuses is not offered again
    /// before it speaks of departures anew.
    ///
    /// # Errors
    /// [`RegistrarError::Unreachable`].
    pub(super) async fn hand_back(&mut self) -> Result<(), RegistrarError> {
        let Some(handing) = self.handing.clone() else {
            return Ok(());
        };
        for text in handing.missing() {
            match self.change_entry(&text).await {
                Ok(()) => tracing::info!("a departure is handed back to the registrar"),
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => tracing::info!(%error, "the registrar takes no departure back"),
            }
            if let Some(there) = handing.there().as_mut() {
                there.insert(text);
            }
        }
        Ok(())
    }
}
