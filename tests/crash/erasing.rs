//! Erasing borrowers and re-keying, killed at random instants.

use std::path::Path;
use std::time::Duration;

use creditmesh::domain::RecordId;
use creditmesh::flows::Book;
use serde_json::Value;

use super::bed::{Bed, begin, kills_wanted, pause, served};
use super::{sound, unlocked};

/// How far each erasure came that is noted beside the store.
fn stages(dir: &str) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(Path::new(dir).join("erased.json")) else {
        return Vec::new();
    };
    let list: Value = serde_json::from_str(&text).unwrap();
    let entries = list["erased"].as_array().unwrap().iter();
    entries
        .map(|one| one["stage"].as_str().unwrap().to_owned())
        .collect()
}

fn data_keys(dir: &str) -> usize {
    let text = std::fs::read_to_string(Path::new(dir).join("keyring.json")).unwrap();
    text.matches("\"seal\"").count()
}

fn wait_for_the_end(dir: &str) {
    for _ in 0..600 {
        if stages(dir).iter().all(|stage| stage == "unreadable") && data_keys(dir) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not at its end within 60 s: {:?}", stages(dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_killed_comes_to_its_end_and_takes_nobody_else_along() {
    let mut bed = Bed::new(&["alpha"]).await;
    let (folder, dir) = bed.folder("alpha");
    let file = bed.write_import(400);
    let import = ["records", "import", &file.path, "--dir", &dir];
    assert!(begin(&import).wait().unwrap().success());
    let (mut told, mut most_keys) = (Vec::new(), 1);
    for kill in 0..kills_wanted() {
        let mut node = served(&dir);
        let borrower = format!("us-ssn:5369{:05}", kill + 1);
        let why = ["--reason", "request", "--by", "ann"];
        let erase = [&["records", "erase", &borrower, "--dir", &dir][..], &why].concat();
        let mut erase = begin(&erase);
        pause(350);
        let ended = erase.try_wait().unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
        erase.wait().unwrap();
        if ended.is_some_and(|status| status.success()) {
            told.push(file.ids[kill]);
        }
        most_keys = most_keys.max(data_keys(&dir));
        sound(&folder).await;
    }
    let mut node = served(&dir);
    wait_for_the_end(&dir);
    node.kill().unwrap();
    node.wait().unwrap();
    let rows = sound(&folder).await;

    let opened = unlocked(|| folder.open()).await;
    let book = Book::new(opened.vault.clone());
    let mut gone: Vec<RecordId> = Vec::new();
    for id in &file.ids {
        if book.find(*id).await.unwrap().is_none() {
            gone.push(*id);
        }
    }
    opened.close().await.unwrap();
    // Exactly those are gone that were noted before the first row went.
    assert_eq!(gone.len(), stages(&dir).len());
    assert!(
        gone.iter()
            .all(|id| file.ids[..kills_wanted()].contains(id))
    );
    assert!(told.iter().all(|id| gone.contains(id)), "{told:?}");
    bed.stop().await;
    println!(
        "the node while it erased borrowers and re-keyed: {} kills, {} erasures begun and all at \
         their end, {} of them acknowledged, at most {most_keys} data keys in the ring, {rows} \
         rows in the store verified clean",
        kills_wanted(),
        gone.len(),
        told.len(),
    );
}
