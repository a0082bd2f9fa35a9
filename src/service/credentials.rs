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
    async fn wish(&self, wish: OwnWish) -> Result<(MemberId, Wished), FlowError>;
}

/// What a member wants of its own entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnWish {
    /// Its replicas listen elsewhere, once the administrators have signed.
    Endpoints(Vec<String>),
    /// Another identity key, once the administrators have signed.
    IdentityKey,
    /// To leave the network: at once, and for good.
    Leave,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wished {
    /// The administrators are to sign it.
    Asked,
    /// The administrators are to sign it: this will be its identity key.
    NextKey([u8; 32]),
    /// A registrar has it, and makes it known.
    Left,
}

fn wish_of(request: pb::RequestChangeRequest) -> Result<OwnWish, Malformed> {
    let pb::RequestChangeRequest {
        endpoints,
        leave,
        identity_key,
    } = request;
    match (endpoints.is_empty(), identity_key, leave) {
        (false, false, false) => Ok(OwnWish::Endpoints(endpoints)),
        (true, true, false) => Ok(OwnWish::IdentityKey),
        (true, false, true) => Ok(OwnWish::Leave),
        (true, false, false) | (_, true, true) | (false, true, _) | (false, _, true) => {
            let one = "or identity_key, or leave: exactly one of the three";
            Err(Malformed::new("endpoints", one))
        }
    }
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
        let wish = wish_of(request.into_inner()).map_err(|error| status_of(&error.into()))?;
        let (member, wished) = self.0.wish(wish).await.map_err(|error| status_of(&error))?;
        let key = match &wished {
            Wished::NextKey(key) => key.to_vec(),
            Wished::Asked | Wished::Left => Vec::new(),
        };
        Ok(Response::new(pb::RequestChangeResponse {
            member: member.to_string(),
            left: wished == Wished::Left,
            identity_key: key.into(),
        }))
    }
}
