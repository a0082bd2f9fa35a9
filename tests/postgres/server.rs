//! A PostgreSQL server for one test: made, started, killed, and promoted by its own programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Config, NoTls};

/// A server in a temporary folder, ended with its value.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Child>,
}

/// PostgreSQL's programs: Debian keeps them out of the way of its wrappers.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let folders = versions.into_iter().flatten().flatten();
    let newest = folders.map(|entry| entry.path().join("bin")).max();
    newest.expect("PostgreSQL is installed; tests/run installs it")
}

/// A program of PostgreSQL, which refuses to run as root, so then as its own user.
fn program(name: &str) -> Command {
    let path = programs().join(name);
    if !rustix::process::geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    let user = [
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--pdeathsig=KILL",
        "--",
    ];
    command.args(user).arg(path);
    command
}

fn run(mut command: Command) {
    let output = command.output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

/// A folder that the server's user owns.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    own(folder.path());
    folder
}

/// Gives a path to the server's user, and to nobody else.
fn own(path: &Path) {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("permissions");
    if rustix::process::geteuid().is_root() {
        let mut owner = Command::new("chown");
        owner.arg("postgres:postgres").arg(path);
        run(owner);
    }
}

impl Server {
    /// A new server, running.
    pub(crate) async fn start() -> Self {
        let mut server = Self {
            folder: folder(),
            port: 5_432,
            running: None,
        };
        let mut initdb = program("initdb");
        initdb.arg("-D").arg(server.data());
        initdb.args([
            "-A",
            "trust",
            "-U",
            "creditmesh",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        run(initdb);
        server.resume(&[]).await;
        server
    }

    /// A server that also listens on 127.0.0.1, with this certificate and its key, both PEM.
    pub(crate) async fn start_secured(certificate: &str, key: &str) -> (Self, u16) {
        let mut server = Self::start().await;
        server.kill();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        server.port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut settings = vec!["-c".to_owned(), "listen_addresses=127.0.0.1".to_owned()];
        settings.extend(["-c".to_owned(), "ssl=on".to_owned()]);
        for (setting, text) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let path = server.folder.path().join(setting);
            std::fs::write(&path, text).expect("a file");
            own(&path);
            settings.extend(["-c".to_owned(), format!("{setting}={}", path.display())]);
        }
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        server.resume(&settings).await;
        let port = server.port;
        (server, port)
    }

    /// A standby of `primary`, which from then on waits for it at every commit.
    pub(crate) async fn standby_of(primary: &Self) -> Self {
        let mut standby = Self {
            folder: folder(),
            port: 5_433,
            running: None,
        };
        let mut copy = program("pg_basebackup");
        copy.args(["-c", "fast", "-R", "-U", "creditmesh", "-D"])
            .arg(standby.data());
        copy.arg("-h")
            .arg(primary.socket())
            .args(["-p", &primary.port.to_string()]);
        run(copy);
        standby.resume(&["-c", "hot_standby=on"]).await;
        let (client, connection) = primary.config().connect(NoTls).await.expect("the primary");
        tokio::spawn(connection);
        let set = "alter system set synchronous_standby_names = '*'";
        client.batch_execute(set).await.expect("the setting");
        let reload = client.batch_execute("select pg_reload_conf()").await;
        reload.expect("the primary reads it");
        standby
    }

    /// Runs the server's program, and waits until it answers.
    async fn resume(&mut self, settings: &[&str]) {
        let mut postgres = program("postgres");
        postgres
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.socket());
        postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses="]);
        postgres.args(["-c", "max_connections=60"]).args(settings);
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let running = postgres.stdout(Stdio::null()).stderr(log).spawn();
        self.running = Some(running.expect("the server starts"));
        for _ in 0..300 {
            if let Ok((_, connection)) = self.config().connect(NoTls).await {
                drop(connection);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        panic!("the server does not answer: {}", log.unwrap_or_default());
    }

    /// Kills the server and what it started, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // The children of a killed postmaster end by themselves within moments.
            running.kill().expect("the server is killed");
            running.wait().expect("the server is gone");
        }
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        let mut promote = program("pg_ctl");
        promote.args(["promote", "-w", "-D"]).arg(self.data());
        run(promote);
    }

    /// How this server is reached.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config.user("creditmesh").dbname("postgres");
        config.host_path(self.socket()).port(self.port);
        config
    }

    /// The same in the words of a node's configuration.
    pub(crate) fn connection(&self) -> String {
        let (socket, port) = (self.socket().display(), self.port);
        format!("host={socket} port={port} user=creditmesh dbname=postgres")
    }

    /// How whichever of two servers is the primary is reached.
    pub(crate) fn config_with(&self, other: &Self) -> Config {
        let mut config = self.config();
        config.host_path(other.socket()).port(other.port);
        config
    }

    /// The file of the server's socket.
    pub(crate) fn socket_file(&self) -> PathBuf {
        self.socket().join(format!(".s.PGSQL.{}", self.port))
    }

    fn socket(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
