//! A node's operator port on real sockets with real TLS: who may call, who is refused and told why.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{MemberId, OperatorName, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::{CertificateKey, OPERATOR_SERVER_NAME, OperatorCredentials};
use creditmesh::net::{OperatorDialError, REASON_HEADER, operator_channel};
use creditmesh::node::{CredentialFolder, CredentialRequest, NodeParts};
use creditmesh::wire::pb;
use creditmesh::wire::pb::credentials_client::CredentialsClient;
use creditmesh::wire::pb::operator_client::OperatorClient;
use creditmesh::workload::{Seat, SimulatedNetwork};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use tonic::{Code, Status};

const DAY: Duration = Duration::from_secs(86_400);

/// Nodes with open operator ports, and credentials that were issued before they started.
struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    dir: TempDir,
}

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

impl Bed {
    async fn of(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let clock = PlayedClock::at(start);
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        let mut bed = Self {
            network,
            clock,
            dir,
        };
        for name in names {
            let seat = Seat {
                member: member(name),
                role: Role::Lender,
                weight: 1,
            };
            bed.network.join(&seat).await.unwrap();
            bed.configure(name, "operator_listen = \"127.0.0.1:0\"\n");
            bed.issue(name, "loans-1", 90).await;
            bed.network.start(&member(name)).await.unwrap();
        }
        bed
    }

    /// Appends to a member's configuration.
    fn configure(&self, name: &str, lines: &str) {
        let path = self.dir.path().join(name).join("node.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + lines).unwrap();
    }

    fn place(&self, name: &str, operator: &str) -> PathBuf {
        self.dir.path().join(format!("{operator}-of-{name}"))
    }

    /// Issues credentials of a stopped node.
    async fn issue(&self, name: &str, operator: &str, life_days: u32) {
        let key = CertificateKey::generate().unwrap();
        let operator_name: OperatorName = operator.parse().unwrap();
        let request = CredentialRequest {
            name: &operator_name,
            request_pem: &key.request_pem().unwrap(),
            life_days,
        };
        let folder = self.network.folder_of(&member(name)).unwrap();
        let (now, entropy) = (self.clock.now(), OsEntropy::default());
        let issued = folder.issue_credential(&request, now, &entropy).await;
        let credentials = CredentialFolder::at(&self.place(name, operator));
        credentials.prepare().unwrap();
        credentials.write(&key, &issued.unwrap()).unwrap();
    }

    /// Issues credentials of a node that runs, and stops it for that.
    async fn issue_between_runs(&mut self, name: &str, operator: &str, life_days: u32) {
        self.network.stop(&member(name)).await.unwrap();
        self.issue(name, operator, life_days).await;
        self.network.start(&member(name)).await.unwrap();
    }

    fn credentials(&self, name: &str, operator: &str) -> OperatorCredentials {
        let folder = CredentialFolder::at(&self.place(name, operator));
        folder.read().unwrap()
    }

    fn pem(&self, name: &str, file: &str) -> String {
        std::fs::read_to_string(self.place(name, "loans-1").join(file)).unwrap()
    }

    fn port(&self, name: &str) -> SocketAddr {
        let node = self.network.node(&member(name)).unwrap();
        node.operator_address().unwrap()
    }

    async fn dial(
        &self,
        name: &str,
        credentials: &OperatorCredentials,
    ) -> Result<Channel, OperatorDialError> {
        let clock = Arc::new(self.clock.clone());
        operator_channel(&self.port(name).to_string(), credentials, clock).await
    }

    async fn channel(&self, name: &str, operator: &str) -> Channel {
        let credentials = self.credentials(name, operator);
        self.dial(name, &credentials).await.unwrap()
    }

    /// The words with which a connection is refused.
    async fn refusal(&self, name: &str, credentials: &OperatorCredentials) -> String {
        let error = self.dial(name, credentials).await.unwrap_err();
        assert!(error.refused, "{error}");
        error.to_string()
    }

    async fn stop(mut self) {
        self.network.stop_all().await.unwrap();
    }
}

async fn status(channel: &Channel) -> Result<pb::StatusResponse, Status> {
    let answer = OperatorClient::new(channel.clone())
        .status(pb::StatusRequest {})
        .await?;
    Ok(answer.into_inner())
}

fn reason(status: &Status) -> &str {
    let reason = status.metadata().get(REASON_HEADER);
    reason.map_or("", |word| word.to_str().unwrap())
}

/// What a client without the house's rules meets: the error of its handshake or of its first read.
async fn met(
    address: SocketAddr,
    (root_pem, name): (&str, &str),
    shown: Option<(&str, &CertificateKey)>,
) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_details(provider, Arc::new(AtNoon))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
            let key = PrivatePkcs8KeyDer::from(key.pkcs8().expose().to_vec());
            let chain = chain.collect::<Result<_, _>>().unwrap();
            builder.with_client_auth_cert(chain, key.into()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = match connector.connect(name, tcp).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    match stream.read_u8().await {
        Ok(_) => "let in".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The day on which the plays begin.
#[derive(Debug)]
struct AtNoon;

impl rustls::time_provider::TimeProvider for AtNoon {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let noon = Timestamp::parse_rfc3339("2026-03-02T12:00:00Z").unwrap();
        let since_epoch = noon.since(Timestamp::from_unix_ms(0));
        Some(rustls::pki_types::UnixTime::since_unix_epoch(since_epoch))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_elsewhere_is_answered_and_cannot_issue_credentials() {
    let bed = Bed::of(&["alpha"]).await;
    let channel = bed.channel("alpha", "loans-1").await;
    assert_eq!(status(&channel).await.unwrap().member, "alpha");
    let request = pb::IssueCredentialRequest {
        name: "loans-2".to_owned(),
        request_pem: CertificateKey::generate().unwrap().request_pem().unwrap(),
        life_days: 90,
    };
    let refused = CredentialsClient::new(channel.clone())
        .issue_credential(request)
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);

    // For clients of other make, the address that is listened on is a name too.
    let key = CertificateKey::from_pem(&bed.pem("alpha", "operator.key")).unwrap();
    let (chain, root) = (
        bed.pem("alpha", "operator.crt"),
        bed.pem("alpha", "authority.crt"),
    );
    for name in [OPERATOR_SERVER_NAME, "127.0.0.1", "localhost"] {
        let shown = Some((chain.as_str(), &key));
        assert_eq!(met(bed.port("alpha"), (&root, name), shown).await, "let in");
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_or_with_a_members_the_operator_port_is_closed() {
    let mut bed = Bed::of(&["alpha"]).await;
    bed.network.stop(&member("alpha")).await.unwrap();
    let folder = bed.network.folder_of(&member("alpha")).unwrap().clone();
    let opened = folder.open().await.unwrap();
    let members_key = opened.tls_key().await.unwrap();
    opened.close().await.unwrap();
    bed.network.start(&member("alpha")).await.unwrap();

    let chain = std::fs::read_to_string(folder.path().join("node.crt")).unwrap();
    let root = bed.pem("alpha", "authority.crt");
    let at = (root.as_str(), OPERATOR_SERVER_NAME);
    let port = bed.port("alpha");
    let nothing = met(port, at, None).await;
    assert!(nothing.contains("CertificateRequired"), "{nothing}");
    let members = met(port, at, Some((&chain, &members_key))).await;
    assert!(members.contains("UnknownCA"), "{members}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_certificate_opens_no_peer_port() {
    let bed = Bed::of(&["alpha"]).await;
    let node = bed.network.node(&member("alpha")).unwrap();
    let key = CertificateKey::from_pem(&bed.pem("alpha", "operator.key")).unwrap();
    let chain = bed.pem("alpha", "operator.crt");
    let root = std::fs::read_dir(bed.dir.path().join("admin").join("authority")).unwrap();
    let root = root
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("root.crt"));
    let root = std::fs::read_to_string(root.unwrap()).unwrap();
    let at = (root.as_str(), "alpha.node.test-net");
    let told = met(node.address(), at, Some((&chain, &key))).await;
    assert!(told.contains("UnknownCA"), "{told}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_node_are_refused_at_both_ends() {
    let bed = Bed::of(&["alpha", "beta"]).await;
    let told = bed
        .refusal("alpha", &bed.credentials("beta", "loans-1"))
        .await;
    assert!(told.contains("its certificate is refused here"), "{told}");
    assert!(told.contains("not by the operator authority"), "{told}");

    // Whoever trusts alpha and shows what beta issued is refused by alpha itself.
    let (certificate, key) = (
        bed.pem("beta", "operator.crt"),
        bed.pem("beta", "operator.key"),
    );
    let authority = bed.pem("alpha", "authority.crt");
    let mixed = OperatorCredentials::new(&certificate, &key, &authority).unwrap();
    let told = bed.refusal("alpha", &mixed).await;
    assert!(told.contains("does not know the authority"), "{told}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_also_on_a_connection_that_is_open() {
    let mut bed = Bed::of(&["alpha"]).await;
    bed.issue_between_runs("alpha", "day-job", 1).await;
    let (short, long) = (
        bed.channel("alpha", "day-job").await,
        bed.channel("alpha", "loans-1").await,
    );
    status(&short).await.unwrap();
    let past_its_end = DAY + Duration::from_secs(2);
    bed.clock.advance_to(bed.clock.now().plus(past_its_end));
    let refused = status(&short).await.unwrap_err();
    // On a slow machine the sweep has cut the connection before the call.
    if refused.code() != Code::Unavailable {
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert_eq!(reason(&refused), "certificate-expired");
        assert!(refused.message().contains("cert operator"), "{refused}");
    }
    let told = bed
        .refusal("alpha", &bed.credentials("alpha", "day-job"))
        .await;
    assert!(told.contains("which expired at 2026-03-03"), "{told}");
    assert!(told.contains("creditmesh cert operator"), "{told}");
    status(&long).await.unwrap();
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_end_is_renewed_while_it_runs() {
    let bed = Bed::of(&["alpha"]).await;
    // Longer than its certificate lives; the sweep renews it within a second.
    bed.clock.advance_to(bed.clock.now().plus(DAY * 40));
    let credentials = bed.credentials("alpha", "loans-1");
    let mut tries = 0;
    while bed.dial("alpha", &credentials).await.is_err() {
        tries += 1;
        assert!(tries < 50, "not renewed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_operators_are_out_while_the_node_runs() {
    let mut bed = Bed::of(&["alpha"]).await;
    bed.issue_between_runs("alpha", "loans-2", 90).await;
    let (out, stays) = (
        bed.channel("alpha", "loans-1").await,
        bed.channel("alpha", "loans-2").await,
    );
    status(&out).await.unwrap();
    bed.configure("alpha", "operator_refused = [\"loans-1\"]\n");
    let mut tries = 0;
    let refused = loop {
        match status(&out).await {
            Err(refused) if refused.code() == Code::PermissionDenied => break refused,
            Ok(_) | Err(_) => tries += 1,
        }
        assert!(tries < 100, "still let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(reason(&refused), "operator-refused");
    assert!(
        refused.message().contains("loans-1 is refused"),
        "{refused}"
    );
    status(&stays).await.unwrap();

    // After a restart too, and by the serial number of one certificate.
    let serial = bed.credentials("alpha", "loans-2").leaf().serial_text();
    bed.network.stop(&member("alpha")).await.unwrap();
    let path = bed.dir.path().join("alpha").join("node.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[\"loans-1\"]", &format!("[\"{serial}\"]")),
    )
    .unwrap();
    bed.network.start(&member("alpha")).await.unwrap();
    let refused = status(&bed.channel("alpha", "loans-2").await)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "operator-refused");
    status(&bed.channel("alpha", "loans-1").await)
        .await
        .unwrap();
    bed.stop().await;
}
