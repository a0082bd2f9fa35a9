//! Credentials for operators on other machines: issued to whoever may open the node's socket.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::status_of;
use crate::domain::{MemberId, OperatorName};
use crate::flows::FlowError;
use crate::membership::{IssuedOperator, PeerCertificate};
use crate::wire::Malformed;
use crate::wire::pb::{self, credentials_server::Credentials};

/// What can issue them.
#[tonic::async_trait]
pub trait CredentialIssuer: Send + Sync + std::fmt::Debug {
    /// Certifies the key of a certificate request in PEM for a number of days.
    async fn issue(
        &self,
        name: &OperatorName,
        request_pem: &str,
        life_days: u32,
    ) -> Result<IssuedOperator, FlowError>;

    /// Renews the node's own certificate now.
    async fn renew_certificate(&self) -> Result<Arc<PeerCertificate>, FlowError>;

    /// Asks for a change of this member's own entry, by its identity key.
    async fn wish(&self, wish: pb::RequestChangeRequest) -> Result<WishedChange, FlowError>;
}

/// What became of a member's own request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WishedChange {
    /// Who asked.
    pub member: MemberId,
    /// Whether it has left; otherwise the administrators are to sign.
    pub left: bool,
}

/// The service that issues credentials; it is not to be served beyond the socket.
#[derive(Debug, Clone)]
pub struct CredentialService(Arc<dyn CredentialIssuer>);

impl CredentialService {
    /// Serves what `issuer` issues.
    #[must_use]
    pub fn new(issuer: Arc<dyn CredentialIssuer>) -> Self {
        Self(issuer)
    }
}

#[tonic::async_trait]
impl Credentials for CredentialService {
    async fn issue_credential(
        &self,
        request: Request<pb::IssueCredentialRequest>,
    ) -> Result<Response<pb::IssueCredentialResponse>, Status> {
        let pb::IssueCredentialRequest {
            name,
            request_pem,
            life_days,
        } = request.into_inner();
        let name = name
            .parse()
            .map_err(|error| status_of(&Malformed::new("name", format!("{error}")).into()))?;
        let issued = self.0.issue(&name, &request_pem, life_days).await;
        let issued = issued.map_err(|error| status_of(&error))?;
        Ok(Response::new(pb::IssueCredentialResponse {
            certificate_pem: issued.certificate_pem,
            authority_pem: issued.authority_pem,
        }))
    }

    async fn renew_certificate(
        &self,
        _: Request<pb::RenewCertificateRequest>,
    ) -> Result<Response<pb::RenewCertificateResponse>, Status> {
        let renewed = self.0.renew_certificate().await;
        let leaf = renewed.map_err(|error| status_of(&error))?;
        Ok(Response::new(pb::RenewCertificateResponse {
            serial: leaf.serial_text(),
            not_after_unix_ms: leaf.not_after().unix_ms(),
        }))
    }

    async fn request_change(
        &self,
        request: Request<pb::RequestChangeRequest>,
    ) -> Result<Response<pb::RequestChangeResponse>, Status> {
        let wished = self.0.wish(request.into_inner()).await;
        let wished = wished.map_err(|error| status_of(&error))?;
        Ok(Response::new(pb::RequestChangeResponse {
            member: wished.member.to_string(),
            left: wished.left,
        }))
    }
}
