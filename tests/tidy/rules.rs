//! The house rules: each takes files and returns its findings, one sentence each.

use std::collections::BTreeMap;

use crate::source::Source;

/// The rooms in the order in which they may use each other: each uses only rooms before it.
pub(crate) const ROOMS: &[&str] = &[
    "limits",
    "domain",
    "env",
    "crypto",
    "merkle",
    "risk",
    "industry",
    "formats",
    "membership",
    "wire",
    "protocol",
    "store",
    "config",
    "net",
    "flows",
    "service",
    "console",
    "node",
    "workload",
    "cli",
];

/// Rooms that decide without waiting: no `.await`, no `async`.
const PURE: &[&str] = &[
    "limits",
    "domain",
    "env",
    "crypto",
    "merkle",
    "risk",
    "industry",
    "formats",
    "membership",
    "wire",
    "protocol",
    "config",
];

/// A path, and the only rooms that may name it.
struct Territory {
    path: &'static str,
    rooms: &'static [&'static str],
}

const TERRITORIES: &[Territory] = &[
    territory("sled", &["store"]),
    territory("tokio_postgres_rustls", &["store", "net"]),
    territory("rustls", &["membership", "net"]),
    territory("tokio_rustls", &["membership", "net"]),
    territory("x509_parser", &["membership", "net"]),
    territory("rcgen", &["membership", "net"]),
    territory("prost", &["wire"]),
    territory("tonic_prost", &["wire"]),
    territory("ring::aead", &["crypto"]),
    territory("curve25519_dalek", &["crypto", "workload", "cli"]),
    territory("argon2", &["crypto"]),
    territory("SystemTime", &["env"]),
    territory("SystemRandom", &["env"]),
    territory("std::time::SystemTime", &["env"]),
    territory("std::time::Instant", &["env", "workload", "cli"]),
    territory("ring::rand::SystemRandom", &["env"]),
    // cli is a client of the operator service: it turns its refusals into exit codes.
    territory("tonic::Status", &["net", "service", "cli"]),
    territory("tonic::Code", &["net", "service", "cli"]),
    territory("std::env", &["cli"]),
    territory("std::fs", &["store", "node", "workload", "cli"]),
    territory("tokio::fs", &["store", "node", "workload", "cli"]),
    territory("std::process", &["node", "workload", "cli"]),
    territory(
        "tokio::spawn",
        &["store", "net", "flows", "node", "workload"],
    ),
    territory("tokio_postgres", &["store"]),
    territory("deadpool_postgres", &["store"]),
    territory("tokio::task::spawn", &["net", "flows", "node", "workload"]),
    territory("std::thread::spawn", &["store", "node", "workload"]),
];

/// A library that one file alone may name.
const ONE_FILE: &[(&str, &str)] = &[("cryptoki", "src/membership/pkcs11.rs")];

const fn territory(path: &'static str, rooms: &'static [&'static str]) -> Territory {
    Territory { path, rooms }
}

/// Rooms that may name generated messages, because a generated trait's methods name them: those
/// that serve, and cli, which calls the operator service.
const GENERATED_MESSAGES: &[&str] = &["wire", "net", "service", "cli"];
/// Rooms that may name generated clients and servers, and nothing else of the generated code.
const GENERATED_ENDPOINTS: &[&str] = &["node", "workload"];

const PRINTING: &[&str] = &["println!", "eprintln!", "print!", "eprint!"];
const FORBIDDEN_SUFFIXES: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Handler"];
const FORBIDDEN_PREFIXES: &[&str] = &["get_", "do_"];
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/work/", "/Users/", "/tmp/"];
const FORBIDDEN_PACKAGES: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-rs",
    "aws-lc-sys",
    "async-std",
];

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

fn product_files(files: &[Source]) -> impl Iterator<Item = (&Source, &str)> {
    files
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !file.is_test_module())
        .filter_map(|file| file.room().map(|room| (file, room)))
}

fn rust_files(files: &[Source]) -> impl Iterator<Item = &Source> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}

/// Where `word` stands by itself in `text`: not inside a longer word.
fn has_word(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
    })
}

/// `lib.rs` lists the rooms, every room is known, and the list is in the order of [`ROOMS`].
pub(crate) fn rooms_stand_in_order(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let Some(door) = files.iter().find(|file| file.path == "src/lib.rs") else {
        return vec!["src/lib.rs is missing".to_owned()];
    };
    let declared: Vec<&str> = door
        .code
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let ranks: Vec<Option<usize>> = declared.iter().map(|room| rank(room)).collect();
    for (room, rank) in declared.iter().zip(&ranks) {
        if rank.is_none() {
            findings.push(format!("src/lib.rs: `{room}` is not a room of tests/tidy"));
        }
    }
    if !ranks.is_sorted() {
        findings.push("src/lib.rs: the rooms are not in the order of tests/tidy".to_owned());
    }
    for (file, room) in product_files(files) {
        if !declared.contains(&room) {
            findings.push(format!("{}: `{room}` is not in src/lib.rs", file.path));
        }
    }
    findings
}

/// A room uses only rooms above it.
pub(crate) fn rooms_use_only_rooms_above(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, room) in product_files(files) {
        for mention in file.mentions() {
            let line = format!("{}:{}", file.path, mention.line);
            let supers = mention
                .segments
                .iter()
                .take_while(|segment| *segment == "super")
                .count();
            let first = mention.segments.first().map(String::as_str);
            if supers >= file.module_depth() && supers > 0 {
                findings.push(format!("{line}: reach other rooms by `crate::`"));
            }
            if first == Some("creditmesh") {
                findings.push(format!("{line}: inside the library write `crate::`"));
            }
            if first != Some("crate") {
                continue;
            }
            let Some(used) = mention.segments.get(1) else {
                continue;
            };
            match (rank(room), rank(used)) {
                (Some(own), Some(other)) if other <= own => {}
                (_, Some(_)) => findings.push(format!("{line}: `{room}` may not use `{used}`")),
                (_, None) => findings.push(format!("{line}: `crate::{used}` is not a room")),
            }
        }
    }
    findings
}

/// Libraries, time, randomness, files and tasks are named only in the rooms that own them.
pub(crate) fn mentions_stay_in_their_rooms(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, room) in product_files(files) {
        for mention in file.mentions() {
            let line = format!("{}:{}", file.path, mention.line);
            let path = format!("{}::", mention.segments.join("::"));
            for (owned, only) in ONE_FILE {
                if path.starts_with(&format!("{owned}::")) && file.path != *only {
                    findings.push(format!("{line}: `{owned}` belongs to {only}"));
                }
            }
            for Territory { path: owned, rooms } in TERRITORIES {
                if path.starts_with(&format!("{owned}::")) && !rooms.contains(&room) {
                    findings.push(format!("{line}: `{owned}` belongs to {}", rooms.join(", ")));
                }
            }
            let generated = mention.segments.iter().any(|segment| segment == "pb");
            let endpoint = mention
                .segments
                .iter()
                .any(|segment| segment.ends_with("_client") || segment.ends_with("_server"));
            let allowed = GENERATED_MESSAGES.contains(&room)
                || (endpoint && GENERATED_ENDPOINTS.contains(&room));
            if generated && !allowed {
                findings.push(format!("{line}: generated messages (`pb`) belong to wire"));
            }
        }
    }
    findings
}

/// Only `cli` prints.
pub(crate) fn only_cli_prints(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, room) in product_files(files).filter(|(_, room)| *room != "cli") {
        for (number, line) in file.code.lines().enumerate() {
            if PRINTING.iter().any(|print| has_word(line, print)) {
                findings.push(format!(
                    "{}:{}: `{room}` must not print; return what cli shall print",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    findings
}

/// Rooms that decide never wait.
pub(crate) fn pure_rooms_never_wait(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, room) in product_files(files).filter(|(_, room)| PURE.contains(room)) {
        for (number, line) in file.code.lines().enumerate() {
            if line.contains(".await") || has_word(line, "async") {
                findings.push(format!(
                    "{}:{}: `{room}` must not wait",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    findings
}

/// `unsafe` stands only in the vector lanes of the group arithmetic.
pub(crate) fn unsafe_stands_only_in_lanes(files: &[Source]) -> Vec<String> {
    rust_files(files)
        .filter(|file| !file.path.starts_with("src/crypto/lanes"))
        .filter(|file| has_word(&file.code, "unsafe"))
        .map(|file| format!("{}: `unsafe` belongs to src/crypto/lanes", file.path))
        .collect()
}

/// Every Rust file opens by saying its one job.
pub(crate) fn files_open_with_their_job(files: &[Source]) -> Vec<String> {
    rust_files(files)
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| format!("{}: open the file with `//!` and its one job", file.path))
        .collect()
}

/// Lines of Rust, protobuf and shell are at most 100 characters.
pub(crate) fn lines_are_short(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let wrapped = |path: &str| {
        path.ends_with(".rs")
            || path.ends_with(".proto")
            || path == "tests/run"
            || path == ".ci/run"
    };
    for file in files.iter().filter(|file| wrapped(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            let length = line.chars().count();
            if length > 100 {
                findings.push(format!("{}:{}: {length} characters", file.path, number + 1));
            }
        }
    }
    findings
}

/// Files under `src/` are at most 500 lines.
pub(crate) fn files_are_short(files: &[Source]) -> Vec<String> {
    rust_files(files)
        .filter(|file| file.path.starts_with("src/"))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(file, lines)| format!("{}: {lines} lines; is it one job?", file.path))
        .collect()
}

/// Nothing is left open in the code.
pub(crate) fn nothing_is_left_open(files: &[Source]) -> Vec<String> {
    // Written in halves so that this file does not find itself.
    let marks = [
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    let macros = [concat!("to", "do!"), concat!("unimpl", "emented!")];
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            // ISO 4217 writes "no currency" like a mark.
            let line = line.replace(concat!("Currency::XX", "X"), "");
            let open = marks.iter().any(|mark| has_word(&line, mark))
                || macros.iter().any(|name| line.contains(name));
            if open {
                findings.push(format!("{}:{}: left open", file.path, number + 1));
            }
        }
    }
    findings
}

/// Every message, field, enum value, service and call in `proto/` has a comment.
pub(crate) fn proto_fields_are_commented(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".proto")) {
        let mut above_is_comment = false;
        for (number, line) in file.text.lines().enumerate() {
            let trimmed = line.trim();
            let (statement, comment) = trimmed
                .split_once("//")
                .map_or((trimmed, None), |(before, after)| {
                    (before.trim(), Some(after))
                });
            let first = statement.split_whitespace().next().unwrap_or_default();
            let numbered = statement.contains(" = ")
                && statement.ends_with(';')
                && !["syntax", "option", "package"].contains(&first);
            let named = ["message", "enum", "service", "rpc", "oneof"].contains(&first);
            if (numbered || named) && !above_is_comment && comment.is_none() {
                findings.push(format!("{}:{}: say what it is", file.path, number + 1));
            }
            above_is_comment = statement.is_empty() && comment.is_some();
        }
    }
    findings
}

/// No two domain-separation labels of `src/crypto/label.rs` are equal, and there are labels.
pub(crate) fn labels_are_distinct(files: &[Source]) -> Vec<String> {
    let labels = |file: &&Source| file.path.starts_with("src/crypto/label");
    let Some(file) = files.iter().find(labels) else {
        return vec!["src/crypto/label.rs is missing".to_owned()];
    };
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let constant = line.contains(" = b\"") || line.contains(" = \"");
        let Some(value) = constant.then(|| line.split('"').nth(1)).flatten() else {
            continue;
        };
        if let Some(first) = seen.insert(value, number + 1) {
            findings.push(format!(
                "{}:{}: the label of line {first} again",
                file.path,
                number + 1
            ));
        }
    }
    if seen.is_empty() {
        findings.push(format!("{}: no label found", file.path));
    }
    findings
}

/// Every bound of the room `limits` bounds something: product code elsewhere names it.
pub(crate) fn limits_are_used(files: &[Source]) -> Vec<String> {
    let is_limits =
        |file: &Source| file.path == "src/limits.rs" || file.path.starts_with("src/limits/");
    let limits = rust_files(files).filter(|file| is_limits(file));
    let code: Vec<&str> = limits.map(|file| file.code.as_str()).collect();
    let code = code.join("\n");
    if code.is_empty() {
        return vec!["src/limits.rs is missing".to_owned()];
    }
    let lines = code.lines();
    let names = lines.filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let used = |name: &&str| {
        let elsewhere = rust_files(files)
            .filter(|file| file.path.starts_with("src/") && !is_limits(file))
            .any(|file| has_word(&file.code, name));
        let in_another_bound = code.split(';').any(|statement| {
            statement
                .split_once(" = ")
                .is_some_and(|(left, right)| !has_word(left, "_") && has_word(right, name))
        });
        elsewhere || in_another_bound
    };
    let unused = names.filter(|name| !used(name));
    unused
        .map(|name| format!("src/limits.rs: nothing uses {name}"))
        .collect()
}

/// Type names say what a thing is; function names say what it does, without padding.
pub(crate) fn names_say_something(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in rust_files(files) {
        let mut before = "";
        for (number, line) in file.code.lines().enumerate() {
            for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                let bad_type = ["struct", "enum", "trait", "type"].contains(&before)
                    && FORBIDDEN_SUFFIXES.iter().any(|end| word.ends_with(end));
                let bad_function = before == "fn"
                    && FORBIDDEN_PREFIXES
                        .iter()
                        .any(|start| word.starts_with(start));
                if bad_type || bad_function {
                    findings.push(format!(
                        "{}:{}: `{word}` says little",
                        file.path,
                        number + 1
                    ));
                }
                if !word.is_empty() {
                    before = word;
                }
            }
        }
    }
    findings
}

/// Links in Markdown to files of the project lead somewhere. `exists` knows relative paths.
pub(crate) fn links_resolve(files: &[Source], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in file.text.lines().enumerate() {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let path = target.split('#').next().unwrap_or_default();
                if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                    continue;
                }
                if !exists(&joined(folder, path)) {
                    findings.push(format!(
                        "{}:{}: `{target}` is missing",
                        file.path,
                        number + 1
                    ));
                }
            }
        }
    }
    findings
}

/// `folder/path` with `.` and `..` resolved.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The lock file has one source, the Rust registry, and none of the forbidden packages.
pub(crate) fn lock_file_is_clean(lock: &str) -> Vec<String> {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let mut findings = Vec::new();
    let mut packages = 0;
    for line in lock.lines() {
        let value = line.split('"').nth(1).unwrap_or_default();
        if line.starts_with("name = ") {
            packages += 1;
            if FORBIDDEN_PACKAGES.contains(&value) {
                findings.push(format!("Cargo.lock: `{value}` is forbidden"));
            }
        }
        if line.starts_with("source = ") && value != REGISTRY {
            findings.push(format!("Cargo.lock: `{value}` is not the registry"));
        }
    }
    if packages < 2 {
        findings.push("Cargo.lock: no packages found".to_owned());
    }
    findings
}

/// No path of one machine is written into the project.
pub(crate) fn no_machine_paths(files: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.path != "tests/tidy/rules.rs")
    {
        for (number, line) in file.text.lines().enumerate() {
            let stands_alone = |(at, _): (usize, &str)| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.~/".contains(c))
            };
            for path in MACHINE_PATHS {
                if line.match_indices(path).any(stands_alone) {
                    findings.push(format!("{}:{}: `{path}…`", file.path, number + 1));
                }
            }
        }
    }
    findings
}
