//! A network with one running node, the certificates that a Python client shows, and the Python to
//! run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Borrower, Currency, Identifier, MemberId, Money, Product, Purpose, Role,
};
use creditmesh::env::{Clock, OsEntropy, PlayedClock, SystemClock};
use creditmesh::flows::NewApplication;
use creditmesh::membership::{self, MintedNetwork};
use creditmesh::node::{NodeParts, RunningNode};
use creditmesh::workload::{Seat, SimulatedNetwork};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The national identity of the one applicant.
pub(crate) const SSN: &str = "us-ssn:536-90-4399";

/// Longer than a member's certificate lives, and not within an overlap of two epochs.
const LONG_AGO: Duration = Duration::from_secs(200 * 86_400);

pub(crate) fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// The canonical form of an identifier: what enters the OPRF.
pub(crate) fn canonical(text: &str) -> String {
    let identifier = Identifier::parse(text, None).unwrap();
    identifier.canonical().to_owned()
}

/// `alpha` runs, `beta` lends its certificate to the client, that of `gamma` is expired.
pub(crate) struct Bench {
    folder: TempDir,
    network: SimulatedNetwork,
    clock: PlayedClock,
    spec: Value,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The client's TLS goes by the real time, so the network's clock ends there too.
        let now = SystemClock.now();
        let clock = PlayedClock::at(now.minus(LONG_AGO));
        let parts = NodeParts::by(clock.clone());
        let (id, usd) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(folder.path(), id, usd, parts).unwrap();
        join(&mut network, "gamma").await;
        clock.advance_to(now);
        join(&mut network, "alpha").await;
        join(&mut network, "beta").await;
        let spec = spec(folder.path(), &network, &clock).await;
        network.start(&member("alpha")).await.unwrap();
        Self {
            folder,
            network,
            clock,
            spec,
        }
    }

    pub(crate) fn alpha(&self) -> &RunningNode {
        self.network.node(&member("alpha")).unwrap()
    }

    /// One application at `alpha`; once it is answered, it is published.
    pub(crate) async fn apply_at_alpha(&self) {
        let desk = self.alpha().desk();
        desk.assess("a-1", &Self::application()).await.unwrap();
    }

    /// The same borrower at `beta` an hour later, with `gamma` silent: the answer as JSON.
    pub(crate) async fn answer_at_beta(&mut self) -> String {
        self.apply_at_alpha().await;
        self.network.start(&member("beta")).await.unwrap();
        let now = self.clock.now();
        self.clock.advance_to(now.plus(Duration::from_secs(3_600)));
        self.network.mirrored().await.unwrap();
        let desk = self.network.node(&member("beta")).unwrap().desk();
        let given = desk.assess("b-1", &Self::application()).await.unwrap();
        given.json
    }

    /// Runs a document's script with the document's commands, against `alpha`.
    pub(crate) async fn follow_document(&self, script: &str, commands: &str) -> String {
        let folder = self.folder.path().join("document");
        if !folder.exists() {
            std::fs::create_dir(&folder).unwrap();
            std::os::unix::fs::symlink(project().join("proto"), folder.join("proto")).unwrap();
        }
        std::fs::write(folder.join("assess.py"), script).unwrap();
        let python = python();
        #[expect(
            clippy::disallowed_methods,
            reason = "a child process needs the search path"
        )]
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", commands])
            .current_dir(&folder)
            .env(
                "PATH",
                [python.parent().unwrap().to_str().unwrap(), &path].join(":"),
            )
            .env("NODE", self.folder.path().join("alpha"));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn application() -> NewApplication {
        NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(SSN, None).unwrap()),
                phone: None,
                name_dob: None,
            },
            kind: ApplicationKind::Application,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(Money::of(120_000, "USD".parse().unwrap())),
            term_days: Some(90),
            income_month: None,
            consent_reference: "C-1".to_owned(),
        }
    }

    /// Runs a script of this folder against `alpha`; what it prints is JSON.
    pub(crate) async fn run(&mut self, script: &str, more: Value) -> Value {
        let address = self.alpha().address().to_string();
        let spec = self.spec.as_object_mut().unwrap();
        spec.insert("endpoint".to_owned(), address.into());
        spec.extend(more.as_object().unwrap().clone());
        let file = self.folder.path().join("spec.json");
        std::fs::write(&file, self.spec.to_string()).unwrap();
        let mut command = Command::new(python());
        command
            .arg(project().join("tests/interop").join(script))
            .arg(file)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} failed:\n{errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) async fn stop(mut self) {
        self.network.stop_all().await.unwrap();
    }
}

pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with the packages of `tests/python/requirements.txt`, which `tests/run` installs.
pub(crate) fn python() -> PathBuf {
    let wanted = std::fs::read_to_string(project().join("tests/python/requirements.txt")).unwrap();
    let home = match std::env::var_os("CREDITMESH_TEST_PYTHON") {
        Some(python) => PathBuf::from(python).parent().unwrap().join(".."),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python"),
    };
    let installed = std::fs::read_to_string(home.join("installed.txt")).unwrap_or_default();
    assert_eq!(
        installed.trim(),
        wanted.trim(),
        "the Python packages of the tests are missing or old: run `tests/run --python` once"
    );
    home.join("bin/python")
}

async fn join(network: &mut SimulatedNetwork, name: &str) {
    let seat = Seat {
        member: member(name),
        role: Role::Lender,
        weight: 1,
    };
    network.join(&seat).await.unwrap();
}

/// What the scripts are told: files to show and to trust, names, and the pinned identity key.
async fn spec(folder: &Path, network: &SimulatedNetwork, clock: &PlayedClock) -> Value {
    let alpha = member("alpha");
    let admin = network.admin();
    let root: String = admin
        .root()
        .authorities()
        .iter()
        .map(|der| pem("CERTIFICATE", der))
        .collect();
    let root_file = folder.join("root.pem");
    std::fs::write(&root_file, root).unwrap();
    let identity = admin.roster().member(&alpha).unwrap().identity_key;
    json!({
        "proto": project().join("proto"),
        "root": root_file,
        "server_name": membership::dns_name_of(admin.root().network(), &alpha),
        "identity_key": HEXLOWER.encode(&identity),
        "member_shown": shown_of(folder, network, "beta").await,
        "expired_shown": shown_of(folder, network, "gamma").await,
        "foreign_shown": foreign(folder, clock),
    })
}

/// Certificate and key of a member whose node does not run.
async fn shown_of(folder: &Path, network: &SimulatedNetwork, name: &str) -> Value {
    let home = network.folder_of(&member(name)).unwrap();
    let opened = home.open().await.unwrap();
    let key = opened.tls_key().await.unwrap();
    opened.close().await.unwrap();
    let file = folder.join(format!("{name}.key.pem"));
    std::fs::write(&file, pem("PRIVATE KEY", key.pkcs8().expose())).unwrap();
    json!({"chain": home.path().join("node.crt"), "key": file})
}

/// A valid certificate of the same names, of another network that bears the same name.
fn foreign(folder: &Path, clock: &PlayedClock) -> Value {
    let seat = membership::Seat::of(&member("beta"), Role::Lender, "127.0.0.1:1").unwrap();
    let usd = Currency::from_code("USD").unwrap();
    let id = "test-net".parse().unwrap();
    let entropy = OsEntropy::default();
    let minted = MintedNetwork::mint(&id, usd, &[seat], clock.now(), &entropy).unwrap();
    let beta = &minted.members[&member("beta")];
    let (chain, key) = (folder.join("foreign.pem"), folder.join("foreign.key.pem"));
    std::fs::write(&chain, &beta.chain_pem).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", beta.key.pkcs8().expose())).unwrap();
    json!({"chain": chain, "key": key})
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        writeln!(text, "{}", BASE64.encode(line)).unwrap();
    }
    writeln!(text, "-----END {label}-----").unwrap();
    text
}
