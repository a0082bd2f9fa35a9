//! The house rules as a test: the rooms and what each may name, sizes, words, links, packages.
//!
//! Each rule of `tidy/rules.rs` runs over the project's own files, and over a planted violation, so
//! that a rule that finds nothing is known to be able to find something. Rules about product code
//! leave `#[cfg(test)]` items out.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where the project cannot be read"
)]

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Folders and files that hold text of the project; everything else (build output, a kept demo
/// network) is not ours to judge.
const OURS: &[&str] = &[
    "src", "tests", "benches", "fuzz", "proto", "docs", "assets", "certs", ".ci", ".config",
    ".cargo",
];
const TEXT: &[&str] = &[
    "rs", "proto", "md", "toml", "py", "json", "jsonl", "lock", "yml", "yaml",
];

/// Every text file of the project.
fn project() -> Vec<Source> {
    let mut files = Vec::new();
    for entry in fs::read_dir(ROOT).expect("the package's folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_file() {
            push_text(&path, &mut files);
        }
    }
    for folder in OURS {
        collect(&Path::new(ROOT).join(folder), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        if !path.is_dir() {
            push_text(&path, files);
        } else if !path.ends_with("target") && !path.ends_with("corpus") {
            collect(&path, files);
        }
    }
}

fn push_text(path: &Path, files: &mut Vec<Source>) {
    let kind = path.extension().and_then(|kind| kind.to_str());
    if !kind.is_some_and(|kind| TEXT.contains(&kind)) && !path.ends_with("run") {
        return;
    }
    let relative = path.strip_prefix(ROOT).expect("inside the package");
    if let Ok(text) = fs::read_to_string(path) {
        files.push(Source::new(&relative.to_string_lossy(), &text));
    }
}

fn nothing(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn rust(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

#[test]
fn rooms_stand_in_order() {
    nothing(&rules::rooms_stand_in_order(&project()));

    let swapped = rust("src/lib.rs", "pub mod crypto;\npub mod domain;\n");
    assert_eq!(rules::rooms_stand_in_order(&swapped).len(), 1);
    let unknown = rust("src/lib.rs", "pub mod cellar;\n");
    assert_eq!(rules::rooms_stand_in_order(&unknown).len(), 1);
}

#[test]
fn rooms_use_only_rooms_above() {
    nothing(&rules::rooms_use_only_rooms_above(&project()));

    for planted in [
        "use crate::store::Store;",
        "use crate::{env::Clock, store::{Batch, Store}};",
        "fn f() { crate::store::open() }",
        "use crate::{\n    domain::Day,\n    formats::csv,\n};",
        "use crate::cellar::Wine;",
        "use super::super::store::Store;",
        "use creditmesh::domain::Day;",
    ] {
        let files = rust("src/risk/flags.rs", planted);
        let findings = rules::rooms_use_only_rooms_above(&files);
        assert!(!findings.is_empty(), "{planted}");
    }
    let sound = "use crate::domain::Day; use super::Policy;\n#[cfg(test)]\nmod tests {\n    use \
                 crate::store::Store;\n}\n// crate::store\nconst S: &str = \"crate::store\";";
    nothing(&rules::rooms_use_only_rooms_above(&rust(
        "src/risk/flags.rs",
        sound,
    )));
}

#[test]
fn mentions_stay_in_their_rooms() {
    nothing(&rules::mentions_stay_in_their_rooms(&project()));

    for planted in [
        "use sled::Db;",
        "use rustls::ServerConfig;",
        "use ring::{aead, digest};",
        "use std::{fs, io};",
        "fn f() { let _ = std::fs::read(p); }",
        "use tonic::{Request, Status};",
        "use std::time::SystemTime;",
        "use std::time::{Duration, Instant};",
        "async fn f() { tokio::spawn(g()); }",
        "use crate::wire::pb::Answer;",
        "fn f(m: pb::Answer) {}",
        "use prost::Message;",
        "use cryptoki::session::Session;",
    ] {
        let files = rust("src/protocol/ask.rs", planted);
        assert_eq!(
            rules::mentions_stay_in_their_rooms(&files).len(),
            1,
            "{planted}"
        );
    }
    nothing(&rules::mentions_stay_in_their_rooms(&rust(
        "src/store/tree.rs",
        "use sled::Db;",
    )));
    let client = "use crate::wire::pb::peer_client::PeerClient;";
    nothing(&rules::mentions_stay_in_their_rooms(&rust(
        "src/node/mod.rs",
        client,
    )));
    let message = rust(
        "src/node/mod.rs",
        "use crate::wire::pb::{Answer, peer_client};",
    );
    assert_eq!(rules::mentions_stay_in_their_rooms(&message).len(), 1);
}

#[test]
fn only_cli_prints() {
    nothing(&rules::only_cli_prints(&project()));

    let planted = rust("src/node/mod.rs", "fn f() { println!(\"hello\"); }");
    assert_eq!(rules::only_cli_prints(&planted).len(), 1);
    nothing(&rules::only_cli_prints(&rust(
        "src/cli/mod.rs",
        "fn f() { println!(); }",
    )));
}

#[test]
fn pure_rooms_never_wait() {
    nothing(&rules::pure_rooms_never_wait(&project()));

    let planted = rust("src/protocol/ask.rs", "async fn f() {\n    g().await;\n}");
    assert_eq!(rules::pure_rooms_never_wait(&planted).len(), 2);
}

#[test]
fn unsafe_stands_only_in_lanes() {
    nothing(&rules::unsafe_stands_only_in_lanes(&project()));

    let planted = "fn f() { unsafe { g() } }";
    assert_eq!(
        rules::unsafe_stands_only_in_lanes(&rust("src/net/tls.rs", planted)).len(),
        1
    );
    nothing(&rules::unsafe_stands_only_in_lanes(&rust(
        "src/crypto/lanes/avx.rs",
        planted,
    )));
}

#[test]
fn files_open_with_their_job() {
    nothing(&rules::files_open_with_their_job(&project()));

    let planted = rust("src/net/tls.rs", "use std::io;\n//! Too late.\n");
    assert_eq!(rules::files_open_with_their_job(&planted).len(), 1);
}

#[test]
fn lines_and_files_are_short() {
    nothing(&rules::lines_are_short(&project()));
    nothing(&rules::files_are_short(&project()));

    let long_line = format!("//! {}\n", "é".repeat(97));
    assert_eq!(
        rules::lines_are_short(&rust("src/net/tls.rs", &long_line)).len(),
        1
    );
    let long_file = "//! Long.\n".repeat(501);
    assert_eq!(
        rules::files_are_short(&rust("src/net/tls.rs", &long_file)).len(),
        1
    );
}

#[test]
fn nothing_is_left_open() {
    nothing(&rules::nothing_is_left_open(&project()));

    let planted = concat!("// FIX", "ME later\nfn f() { to", "do!() }\n// XX", "X\n");
    assert_eq!(
        rules::nothing_is_left_open(&rust("src/net/tls.rs", planted)).len(),
        3
    );
}

#[test]
fn proto_fields_are_commented() {
    nothing(&rules::proto_fields_are_commented(&project()));

    let planted = "syntax = \"proto3\";\n// A thing.\nmessage Thing {\n  // Milliseconds.\n\
                   uint64 a = 1;\n  bytes b = 2;\n  string c = 3; // Text.\n}\n\
                   enum Kind {\n  KIND_X = 0;\n}\n";
    let files = vec![Source::new("proto/a.proto", planted)];
    assert_eq!(rules::proto_fields_are_commented(&files).len(), 3);
}

#[test]
fn labels_are_distinct() {
    nothing(&rules::labels_are_distinct(&project()));

    let planted = "pub const A: &[u8] = b\"tag\";\n    B = \"tag\";\n";
    assert_eq!(
        rules::labels_are_distinct(&rust("src/crypto/labels.rs", planted)).len(),
        1
    );
    assert_eq!(
        rules::labels_are_distinct(&rust("src/crypto/labels.rs", "//! None.\n")).len(),
        1
    );
}

#[test]
fn limits_are_used() {
    nothing(&rules::limits_are_used(&project()));

    let mut planted = rust(
        "src/limits.rs",
        "pub const A: usize = 1;\npub const B: usize = A + 1;\npub const C: usize = 3;\n\
         const _: () = assert!(C > B);\n",
    );
    planted.push(Source::new(
        "src/net/tls.rs",
        "const X: usize = limits::B; // C",
    ));
    assert_eq!(
        rules::limits_are_used(&planted),
        ["src/limits.rs: nothing uses C"]
    );
}

#[test]
fn names_say_something() {
    nothing(&rules::names_say_something(&project()));

    let planted = concat!(
        "struct Key",
        "Manager;\nfn get",
        "_key() {}\nenum Kind {}\nfn getter() {}"
    );
    assert_eq!(
        rules::names_say_something(&rust("src/net/tls.rs", planted)).len(),
        2
    );
}

#[test]
fn links_resolve() {
    let exists = |path: &str| Path::new(ROOT).join(path).exists();
    nothing(&rules::links_resolve(&project(), &exists));

    let text = "[a](protocol.md#feeds) [b](../src/lib.rs) [c](https://example.org) [d](gone.md)";
    let files = vec![Source::new("docs/glossary.md", text)];
    let exists = |path: &str| ["docs/protocol.md", "src/lib.rs"].contains(&path);
    assert_eq!(rules::links_resolve(&files, &exists).len(), 1);
}

#[test]
fn lock_file_is_clean() {
    let lock = fs::read_to_string(Path::new(ROOT).join("Cargo.lock")).expect("a lock file");
    nothing(&rules::lock_file_is_clean(&lock));

    let planted = "name = \"openssl-sys\"\nname = \"b\"\nsource = \"git+https://example.org/b\"\n";
    assert_eq!(rules::lock_file_is_clean(planted).len(), 2);
    assert_eq!(rules::lock_file_is_clean("").len(), 1);
}

#[test]
fn no_machine_paths() {
    nothing(&rules::no_machine_paths(&project()));

    let planted = concat!(
        "let a = \"/ho",
        "me/me/x\"; // target/tmp/x, https://a/wo",
        "rk/x\n"
    );
    assert_eq!(
        rules::no_machine_paths(&rust("src/net/tls.rs", planted)).len(),
        1
    );
}

#[test]
fn the_reader_sees_product_code_only() {
    let text = "let a = r#\"crate::x \" \"#; let b = 'c'; fn f<'a>(x: &'a str) {}\n\
                /* crate::y /* */ */\n#[cfg(test)]\n#[expect(lint, reason = \"; {\")]\n\
                mod tests { use crate::z; }\nlet d = b'\\''; crate::kept();";
    let code = Source::new("src/a.rs", text).code;
    assert!(code.contains("crate::kept"), "{code}");
    assert!(
        !code.contains("crate::x") && !code.contains("crate::y"),
        "{code}"
    );
    assert!(
        !code.contains("crate::z") && code.contains("fn f<'a>"),
        "{code}"
    );
    assert_eq!(code.lines().count(), text.lines().count());
}
