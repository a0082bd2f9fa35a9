//! Connections that are lost at the one moment that matters: while the database commits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use creditmesh::store::{Store, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::server::Server;
use crate::{put, store};

/// What becomes of a commit that is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// The database gets it, its answer is lost.
    Answer,
    /// The database never gets it.
    Request,
}

/// A way to the database that cuts the connection at every third commit.
struct Way {
    port: u16,
    commits: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: &Server, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let commits = Arc::new(AtomicUsize::new(0));
        let (socket, counted) = (server.socket_file(), Arc::clone(&commits));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, socket.clone(), Arc::clone(&counted), cut));
            }
        });
        Self { port, commits }
    }
}

/// Carries bytes both ways until one side ends or the connection is cut.
async fn carry(client: TcpStream, socket: PathBuf, commits: Arc<AtomicUsize>, cut: Cut) {
    let server = UnixStream::connect(socket)
        .await
        .expect("the server's socket");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        // Ends with either side; what was cut is cut.
        drop(tokio::io::copy(&mut from_server, &mut to_client).await);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from_client.read(&mut buffer).await {
        let request = &buffer[..bytes];
        let commits_here = request.windows(7).any(|word| word == b"COMMIT\0");
        if commits_here && commits.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            back.abort();
            if matches!(cut, Cut::Answer) {
                to_server
                    .write_all(request)
                    .await
                    .expect("the server takes it");
                // Its end is closed only once the database has had the time to commit.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            return;
        }
        if to_server.write_all(request).await.is_err() {
            return;
        }
    }
    back.abort();
}

/// Every write is acknowledged, and applied exactly once: a write that was kept and is repeated,
/// or was not kept and is acknowledged, would be refused at its revision or the next one.
async fn writes_are_applied_once(cut: Cut) {
    const WRITES: u64 = 30;
    let server = Server::start().await;
    let way = Way::to(&server, cut).await;
    let mut config = tokio_postgres::Config::new();
    config
        .user("creditmesh")
        .dbname("postgres")
        .host("127.0.0.1")
        .port(way.port);
    let cut_off = store(config).await.expect("the store opens");
    for revision in 1..=WRITES {
        let outcome = cut_off.commit(put(b"row", revision)).await;
        assert_eq!(outcome, Ok(()), "{cut:?}, revision {revision}");
    }
    let commits = way.commits.load(Ordering::Relaxed);
    assert!(commits > 30, "{commits} commits went by");
    let direct = store(server.config()).await.expect("the store opens");
    let row = direct.read(Table::Quota, b"row").await.expect("a read");
    assert_eq!(row.map(|row| row.revision), Some(WRITES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_whose_answer_is_lost_is_applied_once() {
    writes_are_applied_once(Cut::Answer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_that_never_arrives_is_applied_once() {
    writes_are_applied_once(Cut::Request).await;
}
