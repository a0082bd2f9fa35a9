//! Alerts posted to a receiver that fails, hangs, breaks off and comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditmesh::node::NodeParts;
use creditmesh::protocol::webhook::WebhookSecret;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::bed::{Bed, SECRET, default_of, ssn, until, watched};

/// What a receiver does with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Take,
    Fail,
    BreakOff,
    Gone,
}

/// What it has got, by `webhook-id`: the alert, and how often it was posted and taken.
type Got = BTreeMap<String, (u64, usize, usize)>;

#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Got>>,
    mood: Arc<Mutex<Mood>>,
}

impl Receiver {
    fn new(mood: Mood) -> Self {
        Self {
            got: Arc::default(),
            mood: Arc::new(Mutex::new(mood)),
        }
    }

    fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn got(&self) -> Got {
        self.got.lock().unwrap().clone()
    }

    /// Alerts that were taken.
    fn taken(&self) -> usize {
        self.got()
            .values()
            .filter(|(_, _, taken)| *taken > 0)
            .count()
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let one = self.clone();
            tokio::spawn(async move { drop(one.answer(stream).await) });
        }
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let (headers, body) = read(&mut stream).await?;
        let (id, at) = (&headers["webhook-id"], &headers["webhook-timestamp"]);
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let at = at.parse().unwrap();
        assert!(secret.verifies(&headers["webhook-signature"], id, at, &body));
        assert!(
            !body.contains("ssn") && !body.contains(&ssn(0)[..6]),
            "{body}"
        );
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["type"], "alert.default");
        assert_eq!(json["data"]["severity"], "high");
        assert!(
            json["data"]["reference"]
                .as_str()
                .unwrap()
                .starts_with("L-")
        );
        let mood = *self.mood.lock().unwrap();
        {
            let mut got = self.got.lock().unwrap();
            let alert = json["data"]["alert"].as_u64().unwrap();
            let entry = got.entry(id.clone()).or_insert((alert, 0, 0));
            assert_eq!(entry.0, alert);
            entry.1 += 1;
            entry.2 += usize::from(mood == Mood::Take);
        }
        let status = match mood {
            Mood::Take => "204 No Content",
            Mood::Fail => "500 Internal Server Error",
            Mood::Gone => "410 Gone",
            Mood::BreakOff => return Ok(()),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await
    }
}

/// Reads one request.
async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<(BTreeMap<String, String>, String)> {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let count = stream.read(&mut part).await?;
        text.extend_from_slice(part.get(..count).unwrap());
        let request = String::from_utf8(text.clone()).unwrap();
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let lines = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "));
            let headers: BTreeMap<String, String> = lines
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            if body.len() >= headers["content-length"].parse().unwrap() {
                return Ok((headers, body.to_owned()));
            }
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Two lenders by the machine's own clock, the second of which posts to `address`.
async fn bed_to(address: &str, attempts: u32, more: &str) -> Bed {
    let lines = format!(
        "[alerts]\nwebhook_url = \"{address}\"\nwebhook_secret_file = \"webhook.secret\"\n\
         webhook_attempts = {attempts}\n{more}"
    );
    let dir = tempfile::tempdir().unwrap();
    let clock = creditmesh::env::PlayedClock::at(crate::bed::start());
    let parts = NodeParts::default();
    Bed::by((dir, clock), parts, &["alpha", "beta"], &lines).await
}

async fn bed(port: u16, attempts: u32) -> Bed {
    bed_to(&format!("http://127.0.0.1:{port}/alerts"), attempts, "").await
}

/// A certificate of `localhost` that nobody else signed, in PEM, and how a server shows it.
fn own_certificate() -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_posted_to_by_tls_only_with_a_certificate_that_is_trusted() {
    let (trusted, acceptor) = own_certificate();
    let (_, stranger) = own_certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("crm-ca.pem");
    std::fs::write(&authorities, trusted).unwrap();
    let more = format!("webhook_ca_file = {authorities:?}\n");
    let bed = bed_to(&format!("https://localhost:{port}/alerts"), 20, &more).await;
    bed.watch("beta").add(&[watched(1)]).await.unwrap();
    bed.evaluated("beta").await;
    let receiver = Receiver::new(Mood::Take);
    let serving = {
        let receiver = receiver.clone();
        tokio::spawn(async move {
            // First somebody else listens there; what it gets is nothing.
            let (tcp, _) = listener.accept().await.unwrap();
            assert!(stranger.accept(tcp).await.is_err());
            let (tcp, _) = listener.accept().await.unwrap();
            receiver
                .answer(acceptor.accept(tcp).await.unwrap())
                .await
                .unwrap();
        })
    };
    bed.furnish("alpha", &[default_of(1, 1)]).await;
    until("the alert", || async { receiver.taken() == 1 }).await;
    serving.await.unwrap();
    assert!(receiver.got().values().all(|(_, posted, _)| *posted == 1));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alert_is_lost_while_the_receiver_fails_and_the_node_restarts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = Receiver::new(Mood::Fail);
    let serving = tokio::spawn(receiver.clone().serve(listener));
    let mut bed = bed(port, 20).await;
    let everybody: Vec<_> = (0..12).map(watched).collect();
    bed.watch("beta").add(&everybody).await.unwrap();
    bed.evaluated("beta").await;
    for (round, mood) in [(0, Mood::Fail), (1, Mood::BreakOff), (2, Mood::Take)] {
        receiver.feels(mood);
        let records: Vec<_> = (4 * round..4 * round + 4)
            .map(|n| default_of(n, 1))
            .collect();
        bed.furnish("alpha", &records).await;
        let posted = 4 * usize::try_from(round + 1).unwrap();
        until("the first attempts", || async {
            receiver.got().len() >= posted
        })
        .await;
        if mood == Mood::BreakOff {
            bed.restart("beta").await;
        }
    }
    // The receiver dies, and comes back on the same port.
    serving.abort();
    let listener = loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let serving = tokio::spawn(receiver.clone().serve(listener));
    until("every alert", || async { receiver.taken() == 12 }).await;
    let got = receiver.got();
    // One id for each alert, and each was taken once.
    assert_eq!(got.len(), 12);
    let mut alerts: Vec<u64> = got.values().map(|(alert, _, _)| *alert).collect();
    alerts.sort_unstable();
    assert_eq!(alerts, (1..=12).collect::<Vec<u64>>());
    assert!(got.values().all(|(_, _, taken)| *taken == 1), "{got:?}");
    assert!(got.values().any(|(_, posted, _)| *posted > 1), "{got:?}");
    serving.abort();
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_given_up_is_listed_and_can_be_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = Receiver::new(Mood::Fail);
    let serving = tokio::spawn(receiver.clone().serve(listener));
    let bed = bed(port, 2).await;
    bed.watch("beta")
        .add(&[watched(1), watched(2)])
        .await
        .unwrap();
    bed.evaluated("beta").await;
    bed.furnish("alpha", &[default_of(1, 1)]).await;
    let alerts = bed.alerts("beta");
    until("the first dead letter", || async {
        alerts.dead_letters(0).await.unwrap().len() == 1
    })
    .await;
    // Who says that it is gone is not asked again.
    receiver.feels(Mood::Gone);
    bed.furnish("alpha", &[default_of(2, 1)]).await;
    until("the second dead letter", || async {
        alerts.dead_letters(0).await.unwrap().len() == 2
    })
    .await;
    let letters = alerts.dead_letters(0).await.unwrap();
    let told: Vec<_> = letters
        .iter()
        .map(|one| (one.alert, one.attempts))
        .collect();
    assert_eq!(told, [(1, 2), (2, 1)]);
    assert!(
        letters
            .iter()
            .all(|one| one.error.contains("the receiver answers"))
    );
    assert_eq!(alerts.dead_letters(1).await.unwrap().len(), 1);
    let folder = bed.network.folder_of(&crate::bed::member("beta")).unwrap();
    let doctor = std::process::Command::new(env!("CARGO_BIN_EXE_creditmesh"))
        .args(["node", "doctor", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let says = String::from_utf8_lossy(&doctor.stdout);
    assert!(says.contains("2 alerts were not taken"), "{says}");

    receiver.feels(Mood::Take);
    alerts.retry(1).await.unwrap();
    alerts.retry(2).await.unwrap();
    assert!(alerts.retry(2).await.is_err());
    until("both alerts", || async { receiver.taken() == 2 }).await;
    assert!(alerts.dead_letters(0).await.unwrap().is_empty());
    serving.abort();
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_up_no_alert_and_no_shutdown() {
    // It accepts connections by its backlog alone, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bed = bed(port, 20).await;
    bed.watch("beta")
        .add(&[watched(1), watched(2)])
        .await
        .unwrap();
    bed.evaluated("beta").await;
    bed.furnish("alpha", &[default_of(1, 1)]).await;
    bed.furnish("alpha", &[default_of(2, 1)]).await;
    assert_eq!(bed.kinds("beta", 2).await.len(), 2);
    tokio::time::timeout(Duration::from_secs(8), bed.stop())
        .await
        .unwrap();
}
