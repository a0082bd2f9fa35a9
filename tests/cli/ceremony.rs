//! The ceremony of `certs/README.md`, command by command as the page shows them: three
//! administrators with folders of their own, an offline machine, a registrar that serves, and a
//! node that joins.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::certificate_is_clean;
use super::modules::{Module, SKIPPED};
use super::shell::{Run, Served, begin_in, command, creditmesh, free_address, run};

/// The commands in the section's blocks, each on one line.
fn commands_of(section: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|text| text.starts_with(section));
    let blocks = section.unwrap().split("```");
    let blocks = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks.flat_map(|block| {
        let joined = block.replace("\\\n", " ");
        let lines = joined.lines().map(|line| line.trim().to_owned());
        lines.collect::<Vec<_>>()
    });
    lines.filter(|line| !line.is_empty()).collect()
}

/// Runs the commands of a page in one folder, which holds all the machines' folders.
struct Table {
    dir: TempDir,
    registrar: String,
    node: String,
    token: String,
    digest: String,
    serving: Vec<Served>,
    joining: Option<Child>,
}

impl Table {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            registrar: free_address(),
            node: free_address(),
            token: String::new(),
            digest: String::new(),
            serving: Vec::new(),
            joining: None,
        }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(command(arguments).current_dir(self.dir.path()))
    }

    /// Runs one line of the page, with addresses of this machine.
    fn follow(&mut self, line: &str) {
        let line = line
            .replace("registrar.example:7400", &self.registrar)
            .replace("0.0.0.0:7400", &self.registrar)
            .replace("alpha.example:7401", &self.node)
            .replace("0.0.0.0:7401", &self.node)
            .replace("TOKEN", &self.token)
            .replace("DIGEST", &self.digest);
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(arguments) = words.strip_prefix(&["creditmesh"]) else {
            let mut shell = Command::new("sh");
            shell.args(["-ec", &line]).current_dir(self.dir.path());
            assert!(shell.status().unwrap().success(), "{line}");
            return;
        };
        match arguments {
            ["network", "serve", ..] => self.serve(arguments, "registrar serves on"),
            ["node", "serve", ..] => self.serve(arguments, "serving peers on"),
            ["network", "invite", ..] => {
                let invited = self.run(arguments);
                assert_eq!(invited.code, 0, "{line}: {invited:?}");
                invited.stdout.trim().clone_into(&mut self.token);
            }
            ["network", "sign", .., "--dry-run"] => {
                let shown = self.run(arguments);
                assert_eq!(shown.code, 0, "{line}: {shown:?}");
                let digest = shown
                    .stdout
                    .lines()
                    .find_map(|one| one.trim().strip_prefix("digest "));
                digest.unwrap().clone_into(&mut self.digest);
            }
            ["node", "join", ..] => self.joining = Some(begin_in(self.dir.path(), arguments)),
            ["network", "approve", ..] => self.patiently(arguments, "waits for nothing"),
            ["network", "rollover", "taint" | "revoke", ..] => {
                self.patiently(arguments, "not everybody is ready");
            }
            _ => {
                let ended = self.run(arguments);
                assert_eq!(ended.code, 0, "{line}: {ended:?}");
            }
        }
    }

    fn serve(&mut self, arguments: &[&str], says: &str) {
        if let Some(mut joining) = self.joining.take() {
            assert!(joining.wait().unwrap().success());
        }
        let mut command = command(arguments);
        command.current_dir(self.dir.path());
        self.serving.push(Served::of(&mut command, says));
    }

    /// Who waits for a request to come, or for nodes to be ready, gives the command again.
    fn patiently(&self, arguments: &[&str], as_long_as: &str) {
        for _ in 0..200 {
            let ended = self.run(arguments);
            if ended.code == 0 {
                return;
            }
            assert!(
                ended.stderr.contains(as_long_as),
                "{arguments:?}: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{arguments:?} did not end well within 20 s");
    }
}

#[test]
fn the_ceremony_of_the_page_ends_in_a_registrar_that_serves_and_a_node_that_joined() {
    let mut table = Table::new();
    let commands = commands_of("The ceremony");
    assert!(commands.len() > 15, "{commands:?}");
    for line in &commands {
        table.follow(line);
        if line.contains("ceremony") && !line.contains("certify") && !line.contains("assemble") {
            // Given again, it changes no key.
            let key = table.dir.path().join("chair/chair.key");
            let before = std::fs::read(&key).unwrap();
            table.follow(line);
            assert_eq!(std::fs::read(&key).unwrap(), before);
        }
    }
    let alpha = table.path("alpha");
    let status = creditmesh(&["node", "status", "--dir", &alpha, "--json"]).json(0);
    assert_eq!(status["list_version"], 2);
    assert!(!Path::new(&table.path("admin/administrators")).exists());
    assert!(!Path::new(&table.path("admin/authority/root.key")).exists());
    for name in ["root.crt", "issuing.crt"] {
        certificate_is_clean(&table.path(&format!("admin/authority/{name}")));
    }
    let shown = table.run(&["network", "show", "admin", "--json"]).json(0);
    assert_eq!(shown["members"][0]["id"], "alpha");
    let rollover = commands_of("A new root");
    let taints = rollover
        .iter()
        .position(|line| line.contains("rollover taint"));
    let (activate, revoke) = rollover.split_at(taints.unwrap());
    for line in activate {
        table.follow(line);
    }
    let renewed = creditmesh(&["cert", "renew", "--dir", &alpha]);
    assert_eq!(renewed.code, 0, "{renewed:?}");
    let node = table.path("alpha/node.crt");
    let chain = std::fs::read_to_string(&node).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 3);
    for (root, issuing) in [
        ("offline/root.crt", "carried/issuing.crt"),
        ("offline-2/root.crt", "carried/issuing-2.crt"),
    ] {
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-CAfile", &table.path(root)]);
        let verified = run(openssl.args(["-untrusted", &table.path(issuing), &node]));
        assert_eq!(verified.code, 0, "{root}: {verified:?}");
    }
    for line in revoke {
        table.follow(line);
    }
    let status = [
        "network",
        "rollover",
        "status",
        "admin",
        "--json",
        "--key",
        "chair/chair.key",
        "--key-passphrase-file",
        "chair/passphrase",
    ];
    let status = table.run(&status).json(0);
    assert_eq!(
        (&status["root_version"], &status["root_certificates"]),
        (&4.into(), &1.into()),
        "{status}"
    );
    // A founded network is not drafted anew.
    let again = commands.iter().find(|line| line.contains("draft admin"));
    let again: Vec<&str> = again.unwrap().split_whitespace().skip(1).collect();
    table.run(&again).says(1, &["holds a network already"]);
}

#[test]
fn what_does_not_belong_into_a_ceremony_is_refused() {
    let mut table = Table::new();
    let commands = commands_of("The ceremony");
    let until = |words: &str| {
        commands
            .iter()
            .position(|line| line.contains(words))
            .unwrap()
    };
    for line in &commands[..until("ceremony sign chair")] {
        table.follow(line);
    }
    let sign = |table: &Table, file: &str, name: &str| {
        let (key, secret) = (format!("{name}/{name}.key"), format!("{name}/passphrase"));
        let sign = ["network", "ceremony", "sign", file, "--key", &key];
        table.run(&[&sign[..], &["--key-passphrase-file", &secret]].concat())
    };
    // Too few, then one that signed twice over, then enough on the root alone.
    let assemble = |table: &Table, files: &[&str]| {
        table.run(
            &[
                &["network", "ceremony", "assemble", "admin", "--json"],
                files,
            ]
            .concat(),
        )
    };
    assert_eq!(sign(&table, "chair/network.json", "chair").code, 0);
    assert_eq!(sign(&table, "chair/network.json", "chair").code, 0);
    let short = assemble(&table, &["chair/network.json", "chair/network.json"]).json(1);
    assert_eq!(
        (&short["root_signed"], &short["founded"]),
        (&1.into(), &false.into())
    );
    // A passphrase of somebody else, and a stranger's key.
    let stranger = [
        "network", "ceremony", "key", "stranger", "--name", "stranger",
    ];
    assert_eq!(table.run(&stranger).code, 0);
    sign(&table, "chair/network.json", "stranger").says(1, &["none of the administrators"]);
    let wrong = [
        "network",
        "ceremony",
        "sign",
        "chair/network.json",
        "--key",
        "chair/chair.key",
        "--key-passphrase-file",
        "auditor/passphrase",
    ];
    table.run(&wrong).says(1, &["passphrase does not open"]);
    table.run(&wrong[..6]).says(1, &["--key-passphrase-file"]);
    // A copy that was altered, and one that was altered and signed.
    let draft = std::fs::read_to_string(table.path("auditor/network.json")).unwrap();
    let altered = draft.replace("\"threshold\": 2", "\"threshold\": 1");
    assert_ne!(altered, draft);
    std::fs::write(table.path("auditor/network.json"), altered).unwrap();
    assert_eq!(sign(&table, "auditor/network.json", "auditor").code, 0);
    assemble(&table, &["auditor/network.json"]).says(1, &["is another document than the draft"]);
    foreign_certificates_are_refused(&table, &commands);
    assert!(!Path::new(&table.path("admin/network.json")).exists());
}

fn foreign_certificates_are_refused(table: &Table, commands: &[String]) {
    // An issuing certificate by another root.
    let other = ["network", "ceremony", "root", "other", "--id", "credit-net"];
    assert_eq!(table.run(&other).code, 0);
    let drafted = commands
        .iter()
        .find(|line| line.contains("draft admin"))
        .unwrap();
    let drafted = drafted.replace("carried/root.crt", "other/root.crt");
    let drafted: Vec<&str> = drafted.split_whitespace().skip(1).collect();
    table.run(&drafted).says(1, &["not signed by this root"]);
    let elsewhere = [
        "network",
        "ceremony",
        "root",
        "offline",
        "--id",
        "other-net",
    ];
    table.run(&elsewhere).says(1, &["holds a network already"]);
}

#[test]
fn an_administrator_signs_drafts_and_lists_with_a_key_in_a_module() {
    let Some(module) = Module::with_token("net") else {
        println!("{SKIPPED}");
        return;
    };
    let mut table = Table::new();
    let commands = commands_of("The ceremony");
    let uri = module.uri("chair");
    let serves = commands
        .iter()
        .position(|line| line.contains("network serve"));
    let (before, after) = commands.split_at(serves.unwrap());
    let with_module = |table: &Table, line: &str| {
        let line = line.replace("--name chair", &format!("--name chair --key {uri}"));
        let line = line.replace(
            "chair/chair.key --key-passphrase-file chair/passphrase",
            &uri,
        );
        let line = line.replace("TOKEN", &table.token);
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let ended = run(module.seen_by(command(&words).current_dir(table.dir.path())));
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        ended.stdout
    };
    for line in before {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.contains("chair/chair.key") || line.contains("--name chair") {
            with_module(&table, &line);
        } else {
            table.follow(&line);
        }
    }
    let key = std::fs::read_to_string(table.path("chair/chair.key")).unwrap();
    assert!(key.starts_with("pkcs11:token=net;object=chair"), "{key}");
    table.follow(&after[0]);
    let invite = after[1].split_whitespace().collect::<Vec<_>>().join(" ");
    with_module(&table, &invite)
        .trim()
        .clone_into(&mut table.token);
    table.follow(&after[2]);
    // The second administrator first: its key is in a file, and waits for the request.
    table.follow(&after[4]);
    let approve = after[3].split_whitespace().collect::<Vec<_>>().join(" ");
    let approved = with_module(&table, &approve);
    assert!(approved.contains("published"), "{approved}");
    table.follow(&after[5]);
}
