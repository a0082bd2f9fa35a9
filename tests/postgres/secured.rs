//! The way to a database on another machine: TLS that checks the server's name, or none at all.

use std::sync::Arc;

use creditmesh::crypto::Secret;
use creditmesh::store::{
    Holding, OpenMode, PostgresOptions, PostgresStore, Store, StoreError, Table,
};
use rustls::pki_types::CertificateDer;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::put;
use crate::server::Server;

/// A certificate for a name that signs itself, and its key.
fn certificate(name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate"), key)
}

fn trusting(root: &CertificateDer<'static>) -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

async fn open(
    host: &str,
    port: u16,
    tls: Option<MakeRustlsConnect>,
) -> Result<PostgresStore, StoreError> {
    let mut config = tokio_postgres::Config::new();
    config
        .user("creditmesh")
        .dbname("postgres")
        .host(host)
        .port(port);
    let options = PostgresOptions {
        config,
        tls,
        mode: OpenMode::ExistingOrNew,
        connections: 2,
        holding: Holding::Replica,
        folder: None,
    };
    PostgresStore::open(options, &Secret::from_bytes([7; 32]), rand::random()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_is_reached_over_tls_that_checks_its_name() {
    let (server_certificate, key) = certificate("localhost");
    let (server, port) =
        Server::start_secured(&server_certificate.pem(), &key.serialize_pem()).await;
    let tls = trusting(server_certificate.der());

    let store = open("localhost", port, Some(tls.clone()))
        .await
        .expect("the store opens");
    assert_eq!(store.commit(put(b"row", 1)).await, Ok(()));
    assert!(
        store
            .read(Table::Quota, b"row")
            .await
            .expect("a read")
            .is_some()
    );
    store.close().await.expect("the store closes");

    let (stranger, _) = certificate("localhost");
    let refused = open("localhost", port, Some(trusting(stranger.der()))).await;
    let reason = refused.expect_err("a server with another root").to_string();
    assert!(reason.contains("certificate"), "{reason}");
    let refused = open("127.0.0.1", port, Some(tls)).await;
    let reason = refused.expect_err("a server with another name").to_string();
    assert!(reason.contains("certificate"), "{reason}");
    drop(server);
}

#[tokio::test]
async fn database_elsewhere_is_not_reached_without_tls() {
    let refused = open("db.example.com", 5_432, None).await;
    assert_eq!(refused.map(drop), Err(StoreError::DatabaseNeedsTls));
}
