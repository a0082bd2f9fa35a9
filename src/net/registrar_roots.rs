//! What nodes and administrators say to the registrar about roots: what is in force here, the next
//! root, and issuing authorities' certificates.

use super::registrar_client::{RegistrarClient, RegistrarError};
use crate::limits::{ROOTS_HELD_MAX, ROOTS_SENT_MAX};
use crate::membership::{RootDocument, Signed};
use crate::wire::{Acknowledgement, RootCount, pb};

impl RegistrarClient {
    /// The root documents from a version on (0 for all), also where they come in several parts.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub(super) async fn all_roots(&mut self, from: u32) -> Result<Vec<String>, RegistrarError> {
        let mut roots = self.roots(from).await?;
        let mut got = roots.len();
        while got == ROOTS_SENT_MAX && roots.len() < ROOTS_HELD_MAX {
            let last = roots.last().map(|text| Signed::<RootDocument>::parse(text));
            let Some(Ok(last)) = last else { break };
            let next = last.document().version.saturating_add(1);
            let more = self.roots(next).await?;
            got = more.len();
            roots.extend(more);
        }
        Ok(roots)
    }

    /// Says which trust documents are in force here, and where the certificate leads; hands over
    /// the departures that the registrar lacks.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn installed(&mut self, said: Acknowledgement) -> Result<(), RegistrarError> {
        let answer = self.generated.installed(pb::InstalledRequest::from(said));
        let answer = answer.await;
        answer.map_err(|error| self.refused(&error))?;
        self.hand_back().await
    }

    /// Puts the next root document.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn put_root(&mut self, root: &str) -> Result<RootCount, RegistrarError> {
        let request = pb::PutRootRequest {
            root: root.to_owned(),
        };
        let answer = self.generated.put_root(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?.into_inner();
        Ok(RootCount {
            signed: answer.signed,
            needed: answer.needed,
            signed_by_own: answer.signed_by_own,
            needed_by_own: answer.needed_by_own,
            published: answer.published,
        })
    }

    /// Hands over certificates of issuing authorities, under an administrator's `request`; gives
    /// how many the registrar took into use.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn put_issuing(
        &mut self,
        request: &str,
        certificates: &[String],
    ) -> Result<u32, RegistrarError> {
        let request = pb::PutIssuingRequest {
            request: request.to_owned(),
            certificates: certificates.to_vec(),
        };
        let answer = self.generated.put_issuing(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(answer.into_inner().taken)
    }
}
