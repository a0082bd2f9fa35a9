//! A network with a registrar that runs, and members that are nothing but their keys.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::config::{RegistrarConfig, UnlockSource};
use creditmesh::crypto::{IdentityKey, KdfCost, Secret};
use creditmesh::domain::{Currency, Level, MemberId, Purpose, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::{
    CertificateStatement, Document, Invitation, InvitationToken, JoinRequest, MemberState,
    NetworkRoot, RenewalRequest, Signed, Terms, Welcome,
};
use creditmesh::net::{RegistrarClient, RegistrarError};
use creditmesh::node::{
    AdminFolder, Administration, Found, MemberWish, NodeParts, RunningRegistrar,
};
use creditmesh::wire::{Enrolment, InvitationKey};
use data_encoding::BASE64_MIME_PERMISSIVE;
use tempfile::TempDir;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

pub(crate) fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn identity(member: &str) -> IdentityKey {
    let seed = creditmesh::crypto::sha256(member.as_bytes());
    IdentityKey::from_seed(&Secret::from_bytes(seed))
}

/// The DER inside the first PEM block of a text.
pub(crate) fn der_of(pem: &str) -> Vec<u8> {
    let body = pem.split("-----").nth(2).unwrap_or_default();
    BASE64_MIME_PERMISSIVE
        .decode(body.replace('\n', "").as_bytes())
        .unwrap_or_default()
}

/// SHA-256 of a request's public key; of nothing where it cannot be read.
fn spki_sha256(csr: &str) -> [u8; 32] {
    let der = der_of(csr);
    let request = X509CertificationRequest::from_der(&der);
    let spki = request.map_or(&[][..], |(_, request)| {
        request.certification_request_info.subject_pki.raw
    });
    creditmesh::crypto::sha256(spki)
}

pub(crate) fn terms(member: &str) -> Terms {
    Terms {
        member: id(member),
        role: Role::Lender,
        lender_group: member.parse().unwrap(),
        level: Level::Full,
        weight: 1,
        quota_elements_per_epoch: 1_000,
        purposes: Purpose::ALL.to_vec(),
    }
}

/// A request to join with this certificate request, signed as it must be.
pub(crate) fn request_to_join(
    invitation: Signed<Invitation>,
    csr: &str,
    now: Timestamp,
) -> Signed<JoinRequest> {
    let member = invitation.document().terms.member.clone();
    let network = "credit-net".parse().unwrap();
    let own = identity(member.as_str());
    let until = now.plus(Duration::from_secs(90 * 86_400));
    let statement = CertificateStatement::make(&own, &network, &member, &spki_sha256(csr), until);
    let mut request = Signed::unsigned(JoinRequest {
        format: JoinRequest::FORMAT.to_owned(),
        invitation,
        identity_key: own.public(),
        certificate_request: csr.to_owned(),
        certificate_statement: statement.to_bytes(),
        endpoints: vec!["localhost:1".to_owned()],
        dispute: None,
        made_at: now,
    });
    request.sign(&own).unwrap();
    request
}

/// The running registrar, and the administrators' folder.
pub(crate) struct Town {
    dir: TempDir,
    clock: PlayedClock,
    registrar: Option<RunningRegistrar>,
    address: String,
}

impl Town {
    pub(crate) fn passphrase() -> UnlockSource {
        UnlockSource::PassphraseFile("passphrase".into())
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.dir.path().join("admin")
    }

    /// Founds a network that works by files.
    pub(crate) fn by_file() -> Self {
        Self::founded(None)
    }

    fn founded(registrar: Option<RegistrarConfig>) -> Self {
        let address = registrar.as_ref().map(|one| one.addresses[0].clone());
        let town = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: PlayedClock::at(Timestamp::parse_rfc3339("2026-11-02T08:00:00Z").unwrap()),
            registrar: None,
            address: address.unwrap_or_default(),
        };
        let found = Found {
            network: "credit-net".parse().unwrap(),
            currency: Currency::from_code("USD").unwrap(),
            population: 1_000_000,
            administrators: vec!["chair".to_owned()],
            threshold: 1,
            cost: KdfCost::FLOOR,
            registrar,
            other_registrars: Vec::new(),
        };
        let (now, entropy) = (town.now(), OsEntropy::default());
        AdminFolder::found(&town.admin(), &found, &Self::passphrase(), now, &entropy).unwrap();
        town
    }

    /// Founds a network with a registrar, and lets it serve.
    pub(crate) async fn found() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let mut town = Self::founded(Some(RegistrarConfig {
            addresses: vec![listen.to_string()],
            listen,
            follows: Vec::new(),
        }));
        town.serve().await;
        town
    }

    pub(crate) async fn serve(&mut self) {
        let parts = NodeParts {
            clock: Arc::new(self.clock.clone()),
            ..NodeParts::default()
        };
        let started = RunningRegistrar::start(&self.admin(), &Self::passphrase(), parts).await;
        self.registrar = Some(started.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.registrar.take().unwrap().shutdown().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn folder(&self) -> AdminFolder {
        let (now, entropy) = (self.now(), OsEntropy::default());
        AdminFolder::open(&self.admin(), &Self::passphrase(), now, &entropy).unwrap()
    }

    pub(crate) async fn administration(&self) -> Administration {
        let (keys, clock) = (self.folder().signing_keys(), Arc::new(self.clock.clone()));
        let opened = Administration::open(&self.admin(), keys, clock).await;
        opened.unwrap()
    }

    /// Lets time pass, and the registrar renew its own certificate.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance_to(self.now().plus(time));
        for _ in 0..500 {
            if self.registrar.is_none() || self.connect().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the registrar did not renew its certificate within 10 s");
    }

    /// A joiner's, a member's or anybody's connection to the registrar.
    pub(crate) async fn client(&self) -> RegistrarClient {
        self.connect().await.unwrap()
    }

    async fn connect(&self) -> Result<RegistrarClient, RegistrarError> {
        let text = std::fs::read_to_string(self.admin().join("network.json")).unwrap();
        let root = NetworkRoot::verify(&text, self.now()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        RegistrarClient::connect(&self.address, &root, &clock).await
    }

    pub(crate) async fn invite(&self, member: &str) -> (InvitationKey, Signed<Invitation>) {
        let mut administration = self.administration().await;
        let entropy = OsEntropy::default();
        let token = administration.invite(terms(member), &entropy).await;
        let token = InvitationToken::parse(&token.unwrap()).unwrap();
        let key = InvitationKey {
            id: token.invitation_id,
            secret: token.secret,
        };
        let text = self.client().await.open_invitation(&key).await.unwrap();
        (key, Signed::parse(&text).unwrap())
    }

    /// Asks for a certificate for a new member by this request; gives the chain, or why not.
    pub(crate) async fn enrol(&self, member: &str, csr: &str) -> Result<String, String> {
        let (key, invitation) = self.invite(member).await;
        let request = request_to_join(invitation, csr, self.now());
        let request = request.to_text().unwrap();
        let mut client = self.client().await;
        let filed = client.enrol(&key, &request).await;
        assert!(matches!(
            filed.map_err(|error| error.to_string())?,
            Enrolment::Waiting { .. }
        ));
        self.change(&MemberWish::Approve(id(member))).await;
        match client.enrol(&key, &request).await {
            Ok(Enrolment::Welcome { welcome, .. }) => {
                let welcome = Signed::<Welcome>::parse(&welcome).unwrap();
                Ok(welcome.document().certificate_chain.clone())
            }
            Ok(Enrolment::Waiting { .. }) => panic!("{member} was approved"),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks for another certificate by this request; gives the chain, or why not.
    pub(crate) async fn renew(&self, member: &str, csr: &str) -> Result<String, String> {
        let (own, now) = (identity(member), self.now());
        let network = "credit-net".parse().unwrap();
        let until = now.plus(Duration::from_secs(90 * 86_400));
        let spki = spki_sha256(csr);
        let statement = CertificateStatement::make(&own, &network, &id(member), &spki, until);
        let mut request = Signed::unsigned(RenewalRequest {
            format: RenewalRequest::FORMAT.to_owned(),
            network,
            member: id(member),
            certificate_request: csr.to_owned(),
            certificate_statement: statement.to_bytes(),
            made_at: now,
        });
        request.sign(&own).unwrap();
        let mut client = self.client().await;
        let renewed = client.renew(&request.to_text().unwrap()).await;
        renewed.map_err(|error| error.to_string())
    }

    pub(crate) async fn change(&self, wish: &MemberWish) {
        let mut administration = self.administration().await;
        let proposal = administration.propose(wish).await.unwrap();
        assert!(administration.put(proposal).await.unwrap().published);
    }

    pub(crate) async fn set_state(&self, member: &str, state: MemberState) {
        self.change(&MemberWish::State(id(member), state)).await;
    }
}
