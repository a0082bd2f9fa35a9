//! The node's operator authority: made when it is first needed, kept sealed, asked for credentials.

use std::sync::Arc;

use super::renew::Renewing;
use super::{Folder, NodeError};
use crate::domain::{MemberId, OperatorName, Timestamp};
use crate::env::{Clock, Entropy};
use crate::flows::FlowError;
use crate::membership::{
    CertificateKey, IssuedOperator, KeyError, OperatorAuthority, OperatorError, PeerCertificate,
    RequestedKey, WantedOperator,
};
use crate::net::RegistrarError;
use crate::service::{CredentialIssuer, OwnWish, Wished};
use crate::store::{Table, Vault};
use crate::wire::Malformed;

/// Name of the row with the authority's certificate, in PEM.
const CERTIFICATE: &[u8] = b"operator-authority";

/// Name of the row with the authority's private key, in PKCS#8.
const KEY: &[u8] = b"operator-authority-key";

/// The authority of the member's node, which is made where there is none.
pub(super) async fn operator_authority(
    vault: &Vault,
    member: &MemberId,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<OperatorAuthority, NodeError> {
    let (at_certificate, at_key) = (
        vault.row_key(Table::Key, CERTIFICATE),
        vault.row_key(Table::Key, KEY),
    );
    if let Some(certificate) = vault.read(Table::Key, &at_certificate).await? {
        let key = vault.read(Table::Key, &at_key).await?;
        let key = CertificateKey::from_pkcs8(key.as_ref().map_or(&[], |row| &row.bytes))?;
        let certificate = String::from_utf8_lossy(&certificate.bytes);
        return Ok(OperatorAuthority::open(&certificate, key)?);
    }
    let authority = OperatorAuthority::found(member, now, entropy)?;
    let mut batch = vault.batch();
    let certificate = authority.certificate_pem().as_bytes();
    batch.put(Table::Key, &at_certificate, 0, certificate);
    batch.put(Table::Key, &at_key, 0, authority.key().pkcs8().expose());
    vault.commit(batch).await?;
    Ok(authority)
}

/// What an operator asks for.
#[derive(Debug, Clone, Copy)]
pub struct CredentialRequest<'a> {
    /// Who the operator is.
    pub name: &'a OperatorName,
    /// Certificate request in PEM; only its key is taken.
    pub request_pem: &'a str,
    /// Days until the certificate ends.
    pub life_days: u32,
}

async fn issue(
    vault: &Vault,
    member: &MemberId,
    request: &CredentialRequest<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<IssuedOperator, NodeError> {
    let key = RequestedKey::from_pem(request.request_pem)?;
    let wanted = WantedOperator {
        name: request.name,
        key: &key,
        life_days: request.life_days,
    };
    let authority = operator_authority(vault, member, now, entropy).await?;
    Ok(authority.issue(&wanted, now, entropy)?)
}

impl Folder {
    /// Certifies an operator's key on the folder of a stopped node.
    ///
    /// # Errors
    /// [`NodeError`]; a running node holds the lock of its store.
    pub async fn issue_credential(
        &self,
        request: &CredentialRequest<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<IssuedOperator, NodeError> {
        let opened = self.open().await?;
        let member = &opened.config.member;
        let issued = issue(&opened.vault, member, request, now, entropy).await;
        opened.close().await?;
        issued
    }
}

/// Issues credentials while the node runs.
#[derive(Debug)]
pub(super) struct RunningIssuer {
    pub(super) vault: Vault,
    pub(super) member: MemberId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) renewing: Renewing,
}

#[tonic::async_trait]
impl CredentialIssuer for RunningIssuer {
    async fn issue(
        &self,
        name: &OperatorName,
        request_pem: &str,
        life_days: u32,
    ) -> Result<IssuedOperator, FlowError> {
        let request = CredentialRequest {
            name,
            request_pem,
            life_days,
        };
        let (now, entropy) = (self.clock.now(), &*self.entropy);
        issue(&self.vault, &self.member, &request, now, entropy)
            .await
            .map_err(flow_error)
    }

    async fn renew_certificate(&self) -> Result<Arc<PeerCertificate>, FlowError> {
        self.renewing.renew_now().await.map_err(flow_error)
    }

    async fn wish(&self, wish: OwnWish) -> Result<(MemberId, Wished), FlowError> {
        let wished = self.renewing.wish(wish).await;
        wished.map_err(flow_error)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is neither the store's nor the caller's is told in its own words"
)]
fn flow_error(error: NodeError) -> FlowError {
    match error {
        NodeError::Store(error) => error.into(),
        NodeError::Key(error @ KeyError::Request { .. }) => {
            Malformed::new("request_pem", error.to_string()).into()
        }
        NodeError::Operator(error @ OperatorError::Life) => {
            Malformed::new("life_days", error.to_string()).into()
        }
        NodeError::Registrar(RegistrarError::Unreachable { .. })
        | NodeError::NotLeft(RegistrarError::Unreachable { .. }) => {
            FlowError::NotReached(error.to_string())
        }
        other => FlowError::NotPossible(other.to_string()),
    }
}
