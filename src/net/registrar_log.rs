//! What a member asks a registrar about its membership log.

use super::registrar_client::{RegistrarClient, RegistrarError};
use crate::membership::KeyStatement;
use crate::wire::{LogPage, pb};

impl RegistrarClient {
    /// Entries of the log with this origin from `from` on and before `until`, as many as one answer
    /// carries, and the newest checkpoint of the log that this registrar keeps.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn read_log(
        &mut self,
        origin: &str,
        from: u64,
        until: u64,
    ) -> Result<LogPage, RegistrarError> {
        let request = pb::ReadLogRequest {
            origin: origin.to_owned(),
            from,
            until,
        };
        let answer = self.generated.read_log(request).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(LogPage::try_from(answer.into_inner())?)
    }

    /// Puts one of this member's own OPRF keys into the log.
    ///
    /// # Errors
    /// [`RegistrarError`].
    pub async fn file_statement(&mut self, stated: KeyStatement) -> Result<(), RegistrarError> {
        let request = pb::FileStatementRequest {
            statement: Some(stated.into()),
        };
        let answer = self.generated.file_statement(request).await;
        answer.map(|_| ()).map_err(|error| self.refused(&error))
    }
}
