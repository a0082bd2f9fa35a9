//! What one administrator, a stranger, or a disk can do to a registrar, and what it does then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use creditmesh::config::RegistrarConfig;
use creditmesh::crypto::KdfCost;
use creditmesh::domain::{Currency, Level, Purpose, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::membership::{
    Invitation, Member, MemberList, MemberState, NetworkRoot, Signed, Terms, registrar_client,
    registrar_name_of,
};
use creditmesh::net::RegistrarClient;
use creditmesh::node::{AdminFolder, Administration, Found, MemberWish, OwnWish};
use creditmesh::wire::pb;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tower::service_fn;

use super::{Town, free_address, id, until};

impl Town {
    /// A network of two administrators, both of whom must sign.
    async fn of_two() -> Self {
        let address = free_address();
        let found = Found {
            network: "credit-net".parse().unwrap(),
            currency: Currency::from_code("USD").unwrap(),
            population: 1_000_000,
            administrators: vec!["chair".to_owned(), "secretary".to_owned()],
            threshold: 2,
            cost: KdfCost::FLOOR,
            registrar: Some(RegistrarConfig {
                addresses: vec![address.to_string()],
                listen: address,
                follows: Vec::new(),
            }),
            other_registrars: Vec::new(),
        };
        let mut town = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: PlayedClock::at(Timestamp::parse_rfc3339("2026-11-02T08:00:00Z").unwrap()),
            registrar: None,
        };
        let (now, entropy) = (town.clock.now(), OsEntropy::default());
        AdminFolder::found(&town.admin(), &found, &Self::passphrase(), now, &entropy).unwrap();
        town.serve().await;
        town
    }

    fn admin_folder(&self) -> AdminFolder {
        let (entropy, now) = (OsEntropy::default(), self.clock.now());
        AdminFolder::open(&self.admin(), &Self::passphrase(), now, &entropy).unwrap()
    }

    /// One of the administrators alone.
    async fn alone(&self, at: usize) -> Administration {
        let key = self.admin_folder().signing_keys().swap_remove(at);
        let clock = Arc::new(self.clock.clone());
        let opened = Administration::open(&self.admin(), vec![key], clock).await;
        opened.unwrap()
    }

    fn root(&self) -> NetworkRoot {
        let text = std::fs::read_to_string(self.admin().join("network.json")).unwrap();
        NetworkRoot::verify(&text, self.clock.now()).unwrap()
    }

    fn address(&self) -> String {
        self.registrar.as_ref().unwrap().address().to_string()
    }

    /// Anybody's connection.
    async fn anybody(&self) -> RegistrarClient {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let connected = RegistrarClient::connect(&self.address(), &self.root(), &clock).await;
        connected.unwrap()
    }

    async fn restart(&mut self) -> Result<(), String> {
        self.end().await;
        self.try_serve().await
    }

    async fn end(&mut self) {
        if let Some(registrar) = self.registrar.take() {
            registrar.shutdown().await;
        }
    }

    /// The folder of the one membership log.
    fn log(&self) -> PathBuf {
        let mut found = std::fs::read_dir(self.admin().join("registrar/log")).unwrap();
        found.next().unwrap().unwrap().path()
    }

    /// The note of the log's length, and the operator's word that a log begins late.
    fn log_file(&self, ending: &str) -> PathBuf {
        let name = self.log().file_name().unwrap().display().to_string();
        let file = format!("log-{name}.{ending}");
        self.admin().join("registrar").join(file)
    }
}

/// A next list of about 3 MB that this administrator alone signed.
fn bulk(town: &Town, of: &MemberList, previous: [u8; 32], at: usize) -> String {
    let mut list = of.clone();
    list.version += 1;
    list.previous = Some(previous);
    let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join(".");
    for number in 0..1_000_u32 {
        let name = format!("z{at}-{number}");
        list.members.push(Member {
            endpoints: (0..8)
                .map(|port| format!("{long}:{}", 1_000 + port))
                .collect(),
            identity_key: creditmesh::crypto::sha256(name.as_bytes()),
            id: id(&name),
            state: MemberState::Removed,
            ..of.members.first().unwrap().clone()
        });
    }
    let mut signed = Signed::unsigned(list);
    let keys = town.admin_folder().signing_keys();
    signed.sign(keys.first().unwrap().key()).unwrap();
    serde_json::to_string(&signed).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bulk_of_one_administrator_neither_blocks_the_desk_nor_pushes_others_out() {
    let mut town = Town::of_two().await;
    town.join("alpha").await;
    let roster = town.administration().await.roster().await.unwrap();
    let mut client = town.anybody().await;
    let wish = MemberWish::State(id("alpha"), MemberState::Suspended);
    let mut secretary = town.alone(1).await;
    let proposal = secretary.propose(&wish).await.unwrap();
    assert!(!secretary.put(proposal).await.unwrap().published);
    for at in 0..5 {
        let list = bulk(&town, roster.list(), *roster.digest(), at);
        client.put_list(&list).await.unwrap();
    }
    let held = std::fs::read_dir(town.admin().join("registrar/proposals")).unwrap();
    let bytes: u64 = held.map(|one| one.unwrap().metadata().unwrap().len()).sum();
    println!("{bytes} bytes of proposals are held");
    assert!(bytes <= 8 << 20);
    // What a folder holds beyond the bounds is mended at the start.
    for at in 10..14 {
        let list = bulk(&town, roster.list(), *roster.digest(), at);
        let file = format!("registrar/proposals/{at}.json");
        std::fs::write(town.admin().join(file), list).unwrap();
    }
    town.restart().await.unwrap();
    let mut chair = town.alone(0).await;
    let proposal = chair.propose(&wish).await.unwrap();
    assert_eq!(proposal.signed, 1, "the secretary's is still there");
    assert!(chair.put(proposal).await.unwrap().published);
}

fn terms(member: &str) -> Terms {
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

#[tokio::test(flavor = "multi_thread")]
async fn one_administrator_neither_fills_the_invitations_nor_makes_them_last() {
    let town = Town::of_two().await;
    let root = town.root();
    let keys = town.admin_folder().signing_keys();
    let invitation = |at: u32, life: Duration, key: usize| {
        let mut number = [0; 16];
        number[..4].copy_from_slice(&at.to_be_bytes());
        let mut signed = Signed::unsigned(Invitation {
            format: "creditmesh/invitation/1".to_owned(),
            root: root.signed().clone(),
            fingerprint: *root.fingerprint(),
            invitation_id: number,
            terms: terms(&format!("z{at}")),
            list_version: 1,
            expires_at: town.clock.now().plus(life),
        });
        signed.sign(keys[key].key()).unwrap();
        signed.to_text().unwrap()
    };
    let mut client = town.anybody().await;
    let years = invitation(0, Duration::from_secs(3_650 * 86_400), 0);
    let error = client
        .invite(&years, &[0; 32])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("longer than 48 hours"), "{error}");
    let two_days = Duration::from_secs(2 * 86_400);
    for at in 0..1_024 {
        let text = invitation(at, two_days, 0);
        client.invite(&text, &[0; 32]).await.unwrap();
    }
    let text = invitation(5_000, two_days, 1);
    client.invite(&text, &[0; 32]).await.unwrap();
    let kept = std::fs::read_dir(town.admin().join("registrar/invitations")).unwrap();
    assert_eq!(kept.count(), 1_024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrar_whose_documents_are_older_than_its_log_does_not_start() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    let members = town.admin().join("members.json");
    let before = std::fs::read_to_string(&members).unwrap();
    let wish = MemberWish::State(id("alpha"), MemberState::Suspended);
    town.change(&wish).await;
    town.end().await;
    let newest = std::fs::read_to_string(&members).unwrap();
    std::fs::write(&members, before).unwrap();
    let refused = town.try_serve().await.unwrap_err();
    assert!(refused.contains("member list 2 is in force"), "{refused}");
    assert!(refused.contains("names member list 3 already"), "{refused}");
    assert!(
        refused.contains("from the folder of a member's node"),
        "{refused}"
    );
    std::fs::write(&members, newest).unwrap();
    town.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_lost_or_put_back_is_not_begun_anew() {
    let mut town = Town::found().await;
    town.join("alpha").await;
    let noted = town.log_file("size");
    until("noted", async || noted.exists()).await;
    town.end().await;
    let (log, aside) = (town.log(), town.admin().join("aside"));
    let begin = town.log_file("begin");
    std::fs::rename(&log, &aside).unwrap();
    let refused = town.try_serve().await.unwrap_err();
    assert!(refused.contains("is gone, and it had"), "{refused}");
    assert!(!log.exists());
    // Where the note is lost too, the list in force tells.
    let note = std::fs::read_to_string(&noted).unwrap();
    std::fs::remove_file(&noted).unwrap();
    let refused = town.try_serve().await.unwrap_err();
    assert!(refused.contains("there is no membership log"), "{refused}");
    assert!(refused.contains(&begin.display().to_string()), "{refused}");
    assert!(!log.exists());
    // A shorter one than the one noted is one that was put back.
    std::fs::rename(&aside, &log).unwrap();
    std::fs::write(&noted, "1000\n").unwrap();
    let refused = town.try_serve().await.unwrap_err();
    assert!(refused.contains("and it had 1000 entries"), "{refused}");
    std::fs::write(&noted, note).unwrap();
    town.serve().await;
    // The operator's word begins one, once.
    town.end().await;
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::remove_file(&noted).unwrap();
    std::fs::write(&begin, "").unwrap();
    town.serve().await;
    until("used up", async || !begin.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_that_the_registrar_lost_is_handed_back_by_a_node() {
    let mut town = Town::found().await;
    for name in ["alpha", "eve"] {
        town.join(name).await;
    }
    let alpha = town.start("alpha").await;
    let clock: Arc<dyn Clock> = Arc::new(town.clock.clone());
    town.folder("eve")
        .wish(OwnWish::Leave, clock)
        .await
        .unwrap();
    let knows = || alpha.core().home.trust.departures().left_at(&id("eve"));
    until("told", async || knows().is_some()).await;
    town.end().await;
    let kept = town.admin().join("registrar/departures.json");
    std::fs::remove_file(&kept).unwrap();
    town.serve().await;
    until("handed back", async || kept.exists()).await;
    let wish = MemberWish::State(id("alpha"), MemberState::Suspended);
    town.change(&wish).await;
    let roster = town.administration().await.roster().await.unwrap();
    let eve = roster.member(&id("eve")).unwrap();
    assert_eq!(eve.state, MemberState::Removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_found_no_room_is_published_once_there_is_room() {
    let town = Town::found().await;
    town.join("alpha").await;
    // As a full disk does, this lets no checkpoint be written.
    let full = town.log().join("checkpoint.next");
    std::fs::create_dir(&full).unwrap();
    let mut administration = town.administration().await;
    let wish = MemberWish::State(id("alpha"), MemberState::Suspended);
    let proposal = administration.propose(&wish).await.unwrap();
    let version = proposal.version();
    let error = administration.put(proposal).await.unwrap_err().to_string();
    let told = format!("member list {version} is not in force yet");
    assert!(error.contains(&told), "{error}");
    assert!(error.contains("publishes it by itself"), "{error}");
    let in_force = async || {
        let mut administration = town.administration().await;
        administration.roster().await.unwrap().version()
    };
    assert_eq!(in_force().await, version - 1);
    std::fs::remove_dir(&full).unwrap();
    let took = until("published", async || in_force().await == version);
    println!("published {:?} after there was room", took.await);
    town.change(&MemberWish::State(id("alpha"), MemberState::Active))
        .await;
}

/// A stranger's call that sends a whole list and then says nothing; ends when it is refused.
async fn endless_call(address: String, root: NetworkRoot, clock: Arc<dyn Clock>) {
    let config = registrar_client(&root, &clock).unwrap();
    let name = registrar_name_of(root.network());
    let host = ServerName::try_from(name.clone()).unwrap();
    let connector = service_fn(move |_| {
        let (config, host, address) = (Arc::clone(&config), host.clone(), address.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            let tls = TlsConnector::from(config).connect(host, tcp).await?;
            Ok::<_, std::io::Error>(TokioIo::new(tls))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{name}")).unwrap();
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let list = " ".repeat(5 << 20);
    let message = pb::PutListRequest { list };
    let sent =
        futures::StreamExt::chain(futures::stream::iter([message]), futures::stream::pending());
    let codec = tonic_prost::ProstCodec::<pb::PutListRequest, pb::PutListResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/creditmesh.v1.Registrar/PutList");
    let ended = grpc.client_streaming(tonic::Request::new(sent), path, codec);
    ended.await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_much_and_never_end_are_cut_and_others_are_answered() {
    let town = Town::found().await;
    let clock: Arc<dyn Clock> = Arc::new(town.clock.clone());
    let begun = Instant::now();
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let call = endless_call(town.address(), town.root(), Arc::clone(&clock));
            tokio::spawn(call)
        })
        .collect();
    // Six of them fit the 32 MiB that strangers have; the deadline of a call is ten seconds.
    until("cut", async || {
        calls.iter().filter(|call| call.is_finished()).count() >= 10
    })
    .await;
    println!("10 of 16 strangers were cut after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(9));
    assert_eq!(town.anybody().await.roots(0).await.unwrap().len(), 1);
    town.join("alpha").await;
    for call in calls {
        call.abort();
    }
}
