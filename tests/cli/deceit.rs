//! One administrator alone puts something that the others should not sign: they see what it is,
//! and nothing is signed that they did not name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use creditmesh::config::UnlockSource;
use creditmesh::domain::Timestamp;
use creditmesh::env::{Clock, OsEntropy, SystemClock};
use creditmesh::membership::{Document, MemberList, MemberState, RootDocument, Signed, SigningKey};
use creditmesh::net::RegistrarClient;
use creditmesh::node::{AdminFolder, KeyPlace, open_signing_key, registrar_config};
use serde_json::Value;

use super::registrar::City;
use super::shell::Run;

const DAY: Duration = Duration::from_secs(86_400);

/// An administrator who uses its key otherwise than the program does.
struct Rogue {
    key: SigningKey,
    folder: AdminFolder,
    endpoint: String,
    now: Timestamp,
}

impl Rogue {
    fn of(city: &City, key: &str, passphrase: &str) -> Self {
        let place: KeyPlace = key.parse().unwrap();
        let admin = city.path("admin");
        let now = SystemClock.now();
        let opens = UnlockSource::PassphraseFile("passphrase".into());
        let entropy = OsEntropy::default();
        let config = registrar_config(Path::new(&admin)).unwrap().unwrap();
        Self {
            key: open_signing_key(&place, Some(Path::new(passphrase))).unwrap(),
            folder: AdminFolder::open(Path::new(&admin), &opens, now, &entropy).unwrap(),
            endpoint: config.addresses[0].clone(),
            now,
        }
    }

    fn signed<T: Document>(&self, document: T) -> String {
        let mut signed = Signed::unsigned(document);
        signed.sign(self.key.key()).unwrap();
        signed.to_text().unwrap()
    }

    async fn client(&self) -> RegistrarClient {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        RegistrarClient::connect(&self.endpoint, self.folder.root(), &clock)
            .await
            .unwrap()
    }

    fn put_list(&self, life: Duration, change: impl FnOnce(&mut MemberList)) -> Result<(), String> {
        let mut list = MemberList::following(self.folder.roster(), self.now, life);
        change(&mut list);
        let text = self.signed(list);
        let put = async { self.client().await.put_list(&text).await };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(put)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn put_root(&self, change: impl FnOnce(&mut RootDocument)) -> Result<(), String> {
        let mut root = RootDocument::following(self.folder.root(), self.now);
        change(&mut root);
        let text = self.signed(root);
        let put = async { self.client().await.put_root(&text).await };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(put)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// A network with three administrators of whom two must sign, and alpha on its list.
fn city_with_alpha() -> (City, [String; 3], String) {
    let city = City::found("chair,secretary,auditor", "2");
    city.join("alpha", "lender");
    let (keys, passphrase) = city.hand_over(["chair", "secretary", "auditor"]);
    (city, keys, passphrase)
}

#[test]
fn a_list_that_would_end_soon_or_was_swapped_meanwhile_is_not_signed() {
    let (city, keys, passphrase) = city_with_alpha();
    let by = |key: &str, arguments: &[&str]| -> Run {
        let signing = ["--key", key, "--key-passphrase-file", &passphrase];
        city.network(&[arguments, &signing].concat())
    };
    let rogue = Rogue::of(&city, &keys[2], &passphrase);
    // It changes nothing, and would stop everybody in a minute.
    rogue.put_list(Duration::from_secs(60), |_| ()).unwrap();
    let shown = by(&keys[1], &["sign", "--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in ["a list signed by auditor waits", "stop the whole network"] {
        assert!(shown.stdout.contains(words), "{words}: {shown:?}");
    }
    assert!(!shown.stdout.contains("digest"), "{shown:?}");
    // What is wished is not mixed up with it, though it has the same members.
    let suspend = |list: &mut MemberList| list.members[0].state = MemberState::Suspended;
    rogue.put_list(DAY * 20, suspend).unwrap();
    let wished = by(&keys[1], &["suspend", "alpha", "--json"]).json(0);
    assert_eq!(
        (&wished["signed"], &wished["published"]),
        (&1.into(), &false.into())
    );
    // The chair reads one thing; meanwhile another is put beside it.
    let waits = by(&keys[0], &["sign", "--dry-run", "--json"]).json(0);
    let lists = waits["proposals"].as_array().unwrap();
    let says = |list: &&Value| list["changes"].as_array().map(Vec::len) == Some(1);
    let read = lists.iter().find(says).unwrap();
    let digest = read["digest"].as_str().unwrap().to_owned();
    rogue
        .put_list(DAY * 90, |list| list.members[0].weight = 2)
        .unwrap();
    let published = by(&keys[0], &["sign", &digest, "--json"]).json(0);
    assert_eq!(published["proposals"][0]["published"], true, "{published}");
    let served = city.path("admin/members.json");
    let list: Value = serde_json::from_str(&std::fs::read_to_string(served).unwrap()).unwrap();
    let alpha = &list["document"]["members"][0];
    assert_eq!(
        (&alpha["state"], &alpha["weight"]),
        (&"suspended".into(), &1.into()),
        "{list}"
    );
}

#[test]
fn a_root_that_hides_what_it_changes_is_refused() {
    let (city, keys, passphrase) = city_with_alpha();
    let rogue = Rogue::of(&city, &keys[2], &passphrase);
    for name in [
        "auditor-2\u{1b}[8m",
        "e\r\u{1b}[2K",
        "\u{202e}riahc",
        "a b",
        "",
    ] {
        let refused = rogue.put_root(|root| {
            root.administrators[2].name = name.to_owned();
            root.threshold = 1;
        });
        let reason = refused.unwrap_err();
        assert!(reason.contains("visible ASCII"), "{name:?}: {reason}");
    }
    // One that would end soon is held, and not to be signed.
    let soon = rogue.now.plus(DAY);
    rogue.put_root(|root| root.expires_at = soon).unwrap();
    let signing = [
        "sign",
        "--dry-run",
        "--key",
        &keys[0],
        "--key-passphrase-file",
        &passphrase,
    ];
    let shown = city.network(&signing);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in ["a root signed by auditor waits", "stop the whole network"] {
        assert!(shown.stdout.contains(words), "{words}: {shown:?}");
    }
}

#[test]
fn a_contact_that_turns_text_around_is_refused() {
    let (city, keys, passphrase) = city_with_alpha();
    let rogue = Rogue::of(&city, &keys[2], &passphrase);
    for contact in ["desk\u{202e}moc.elpmaxe", "a\u{200b}b", "x\ny"] {
        let refused = rogue.put_list(DAY * 90, |list| {
            list.members[0].dispute = Some(contact.to_owned());
        });
        let reason = refused.unwrap_err();
        assert!(reason.contains("dispute contact"), "{contact:?}: {reason}");
    }
}
