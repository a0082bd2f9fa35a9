//! Keys in a PKCS#11 module, here `SoftHSM2`: the registrar works with them, outlives a module that
//! goes away, and says what is wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::certificates::{accepts, certificate_is_clean, list_is_clean};
use super::shell::{Run, Served, command, creditmesh, free_address, run};

/// Said where the module is missing.
pub(crate) const SKIPPED: &str = "SKIPPED: SoftHSM2 is not installed; tests/run installs it";

/// Where Debian and others put `SoftHSM2`.
const LIBRARIES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// A token of `SoftHSM2` in a folder of its own.
pub(crate) struct Module {
    dir: TempDir,
    library: PathBuf,
}

impl Module {
    /// `None` where `SoftHSM2` is not installed: `tests/run` installs it.
    pub(crate) fn with_token(label: &str) -> Option<Self> {
        let library = LIBRARIES.iter().map(PathBuf::from).find(|one| one.exists());
        let library = library?;
        let dir = tempfile::tempdir().unwrap();
        let module = Self { dir, library };
        std::fs::create_dir(module.tokens()).unwrap();
        let config = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            module.tokens().display()
        );
        std::fs::write(module.dir.path().join("softhsm2.conf"), config).unwrap();
        module.write_pin("1234");
        let mut token = Command::new("softhsm2-util");
        token.args(["--init-token", "--free", "--label", label]);
        token.args(["--pin", "1234", "--so-pin", "87654321"]);
        let made = run(module.seen_by(&mut token));
        assert_eq!(made.code, 0, "{made:?}");
        Some(module)
    }

    fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.dir.path().join("pin")
    }

    fn write_pin(&self, pin: &str) {
        let file = self.pin_file();
        std::fs::write(&file, format!("{pin}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The name of a key in the token.
    pub(crate) fn uri(&self, object: &str) -> String {
        let (library, pin) = (self.library.display(), self.pin_file());
        let pin = pin.display();
        format!("pkcs11:token=net;object={object}?module-path={library}&pin-source=file:{pin}")
    }

    /// Lets a command find the token.
    pub(crate) fn seen_by<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SOFTHSM2_CONF", self.dir.path().join("softhsm2.conf"))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(self.seen_by(&mut command(arguments)))
    }

    fn go_away(&self) {
        std::fs::rename(self.tokens(), self.dir.path().join("away")).unwrap();
        std::fs::create_dir(self.tokens()).unwrap();
    }

    fn come_back(&self) {
        std::fs::remove_dir(self.tokens()).unwrap();
        std::fs::rename(self.dir.path().join("away"), self.tokens()).unwrap();
    }
}

fn found(module: &Module, admin: &str) -> Run {
    let address = free_address();
    module.run(&[
        "network",
        "init",
        admin,
        "--id",
        "credit-net",
        "--currency",
        "USD",
        "--registrar",
        &address,
        "--registrar-listen",
        &address,
        "--root-key",
        &module.uri("root"),
        "--issuing-key",
        &module.uri("issuing"),
        "--freshness-key",
        &module.uri("freshness"),
    ])
}

/// Lets a member join, while the registrar serves.
fn join(module: &Module, admin: &str, member: &str, folder: &str) {
    let invited = module.run(&["network", "invite", admin, "--member", member, "--json"]);
    let token = invited.json(0)["token"].as_str().unwrap().to_owned();
    let listen = free_address();
    let mut joining =
        super::shell::begin(&["node", "join", &token, "--dir", folder, "--listen", &listen]);
    for _ in 0..200 {
        let approved = module.run(&["network", "approve", admin, member]);
        if approved.code == 0 {
            break;
        }
        assert!(
            approved.stderr.contains("waits for nothing"),
            "{approved:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(joining.wait().unwrap().success());
}

#[test]
fn a_registrar_works_with_keys_in_a_module_and_outlives_its_absence() {
    let Some(module) = Module::with_token("net") else {
        println!("{SKIPPED}");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (admin, alpha) = (path("admin"), path("alpha"));
    let founded = found(&module, &admin);
    assert_eq!(founded.code, 0, "{founded:?}");
    for name in ["root.key", "issuing.key", "freshness.key"] {
        let text = std::fs::read_to_string(format!("{admin}/authority/{name}")).unwrap();
        assert!(text.starts_with("pkcs11:token=net;object="), "{text}");
        assert!(!text.contains("1234"), "{text}");
    }
    // No key is overwritten.
    found(&module, &path("other")).says(1, &["no key is overwritten"]);

    let registrar = Served::of(
        module.seen_by(&mut command(&["network", "serve", &admin])),
        "registrar serves on",
    );
    join(&module, &admin, "alpha", &alpha);
    let certificate = format!("{alpha}/node.crt");
    accepts(&admin, &certificate);
    certificate_is_clean(&certificate);
    for name in ["root.crt", "issuing.crt"] {
        certificate_is_clean(&format!("{admin}/authority/{name}"));
    }
    list_is_clean(&admin);

    // The module loses its token while the registrar serves, and gets it back.
    let renew = || creditmesh(&["cert", "renew", "--dir", &alpha]);
    assert_eq!(renew().code, 0);
    module.go_away();
    let refused = renew();
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("connect the device"), "{refused:?}");
    assert!(!refused.stderr.contains("1234"), "{refused:?}");
    module.come_back();
    let renewed = renew();
    assert_eq!(renewed.code, 0, "{renewed:?}");
    accepts(&admin, &certificate);
    drop(registrar);
    what_is_wrong_is_told(&module, &admin);
}

fn what_is_wrong_is_told(module: &Module, admin: &str) {
    let serve = |module: &Module| module.run(&["network", "serve", admin]);
    module.write_pin("9999");
    serve(module).says(1, &["PIN is wrong or blocked", "object=issuing"]);
    module.write_pin("1234");
    module.go_away();
    serve(module).says(1, &["connect the device"]);
    module.come_back();
    let file = Path::new(admin).join("authority/issuing.key");
    let kept = std::fs::read_to_string(&file).unwrap();
    let wrong = |from: &str, to: &str, says: &str| {
        std::fs::write(&file, kept.replace(from, to)).unwrap();
        serve(module).says(1, &[says]);
    };
    wrong(
        "libsofthsm2.so",
        "absent.so",
        "cannot be loaded: install it",
    );
    wrong("object=issuing", "object=absent", "is not in the token");
    wrong("object=issuing", "object=freshness", "is not in the token");
    wrong("object=issuing", "object=root", "do not belong together");
    wrong("token=net", "token=absent", "correct token=");
    wrong(
        "?module-path=",
        "?pin-value=",
        "a PIN in the URI is seen by others",
    );
    let without_pin = kept.split("&pin-source").next().unwrap();
    wrong(&kept, without_pin, "set CREDITMESH_PIN");
    let mut command = command(&["network", "show", admin]);
    command.env("CREDITMESH_PIN", "1234");
    let by_environment = run(module.seen_by(&mut command));
    assert_eq!(by_environment.code, 0, "{by_environment:?}");
    std::fs::write(&file, kept).unwrap();
}
