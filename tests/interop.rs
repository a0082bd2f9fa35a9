//! A client in another language against a real node: Python's gRPC over mutual TLS, with an OPRF
//! client written from RFC 9497 over libsodium.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

#[path = "interop/bench.rs"]
mod bench;

use std::collections::BTreeSet;

use bench::{Bench, SSN, canonical};
use creditmesh::crypto::Secret;
use creditmesh::crypto::oprf::{Blinding, Input};
use creditmesh::domain::{
    CountName, Epoch, FlagState, Level, Outcome, Severity, SilentReason, Summary,
};
use creditmesh::flows::OwnKeys;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

fn bytes<const N: usize>(hex: &Value) -> [u8; N] {
    let bytes = HEXLOWER.decode(hex.as_str().unwrap().as_bytes()).unwrap();
    bytes.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_matches_obliviously_and_opens_what_was_published() {
    let mut bench = Bench::new().await;
    bench.apply_at_alpha().await;
    let identifiers = [
        canonical(SSN),
        canonical("phone:+12025550143"),
        canonical("us-ssn:078-05-1121"),
    ];
    let told = bench
        .run("matching.py", json!({"identifiers": identifiers}))
        .await;

    assert_eq!(told["member"], "alpha");
    assert_eq!(told["network"], "test-net");
    assert_eq!(told["level"], "full");
    assert_eq!(told["statement_is_signed"], true);
    assert_eq!(told["altered_statement_is_signed"], false);
    assert_eq!(told["canonical"], true);
    assert_eq!(told["proof_holds"], true);
    assert_eq!(told["swapped_proof_holds"], false);
    assert_eq!(told["same_again"], true);
    assert_eq!(told["spent"], identifiers.len(), "a repeat is not debited");
    assert_eq!(told["truncated"], false);
    assert_eq!(told["size_is_signed"], true);
    assert_eq!(told["root_is_signed"], true);

    // The node's own tokens of the same identifiers, from the same stored key.
    let epoch = Epoch(u32::try_from(told["epoch"].as_u64().unwrap()).unwrap());
    let keys = OwnKeys::new(bench.alpha().core().home.clone());
    let key = keys.key(Level::Full, epoch).await.unwrap();
    assert_eq!(bytes(&told["public_key"]), key.secret.public().to_bytes());
    for (at, identifier) in identifiers.iter().enumerate() {
        let input = identifier.as_bytes();
        let token = key.secret.token_of(input);
        assert_eq!(bytes(&told["tokens"][at]), *token.expose());
        let factor = Secret::from_bytes(bytes(&told["scalars"][at]));
        let blinding = Blinding::from_secret(&factor).unwrap();
        assert!(blinding.blinds(Input::Present(input), &bytes(&told["blinded"][at])));
    }

    // The application that the node published, found by its tag and opened.
    let summary = Summary::decode(&bytes(&told["summaries"][0])).unwrap();
    assert_eq!(summary.level, Level::Full);
    assert_eq!(summary.applications.as_slice().len(), 1);
    assert_eq!(told["summaries"][1], Value::Null, "nothing is published");
    assert_eq!(told["summaries"][2], Value::Null, "nothing is published");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_members_valid_certificate_is_refused_and_the_alert_says_why() {
    let mut bench = Bench::new().await;
    let told = bench.run("refusals.py", json!({})).await;
    for (caller, alert) in [
        ("no_certificate", "CERTIFICATE_REQUIRED"),
        ("foreign", "UNKNOWN_CA"),
        ("expired", "CERTIFICATE_EXPIRED"),
    ] {
        let refused = &told[caller];
        assert_eq!(refused["code"], "UNAVAILABLE", "{caller}: {refused:#}");
        let heard = refused["alert"].as_str().unwrap();
        assert!(heard.ends_with(alert), "{caller}: {heard}");
    }
    // The same client with a member's certificate is let in: nothing else kept the others out.
    assert_eq!(told["member"]["code"], "OK", "{told:#}");
    assert_eq!(told["member"]["alert"], "let in");
    bench.stop().await;
}

/// Each broken message, the status that it gets, and a word that the reason must hold.
const BROKEN: [(&str, &str, &str); 23] = [
    ("truncated_element", "INVALID_ARGUMENT", "elements: "),
    ("no_element", "INVALID_ARGUMENT", "elements: "),
    ("too_many_elements", "INVALID_ARGUMENT", "1 to 1024"),
    ("oversized_message", "OUT_OF_RANGE", "too large"),
    ("unknown_purpose", "INVALID_ARGUMENT", "purpose: "),
    ("short_request_id", "INVALID_ARGUMENT", "16 bytes"),
    ("long_commitment", "INVALID_ARGUMENT", "32 bytes"),
    ("unaligned_mirror", "INVALID_ARGUMENT", "multiple of 8"),
    ("mirror_beyond_the_feed", "INVALID_ARGUMENT", "mirror_size"),
    ("epoch_not_live", "FAILED_PRECONDITION", "Describe"),
    ("list_version_in_words", "INVALID_ARGUMENT", "decimal"),
    ("not_protobuf", "INTERNAL", "decode"),
    ("cut_protobuf", "INTERNAL", "decode"),
    ("unknown_method", "UNIMPLEMENTED", ""),
    ("operator_method_for_peers", "UNIMPLEMENTED", ""),
    ("stream_from_beyond", "INVALID_ARGUMENT", "from: "),
    ("stream_unaligned", "INVALID_ARGUMENT", "multiple of 8"),
    ("stream_until_before_from", "INVALID_ARGUMENT", "until: "),
    ("stream_epoch_not_live", "FAILED_PRECONDITION", "Describe"),
    ("identity_element", "INVALID_ARGUMENT", "element 0"),
    ("element_not_canonical", "INVALID_ARGUMENT", "element 0"),
    ("one_bad_among_good", "INVALID_ARGUMENT", "element 1"),
    ("replayed_request_id", "INVALID_ARGUMENT", "fresh one"),
];

#[tokio::test(flavor = "multi_thread")]
async fn broken_messages_get_a_clear_status_and_the_node_serves_on() {
    let mut bench = Bench::new().await;
    bench.apply_at_alpha().await;
    let told = bench.run("malformed.py", json!({})).await;
    let refused = told["refused"].as_object().unwrap();
    assert_eq!(refused.len(), BROKEN.len());
    for (broken, code, word) in BROKEN {
        let status = &refused[broken];
        assert_eq!(status["code"], code, "{broken}: {status:#}");
        let words = status["words"].as_str().unwrap();
        assert!(words.contains(word), "{broken}: {words}");
    }
    assert_eq!(told["spent_on_unpaid"], 0, "refused before the debit");
    assert_eq!(told["full_batch"], 1_024 * 32);
    assert_eq!(told["streamed"], 8 * 160);
    assert_eq!(told["health"], "SERVING");
    let services: Vec<&str> = told["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(services.contains(&"creditmesh.v1.Peer"), "{services:?}");
    assert_eq!(told["still_describes"], true);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_of_the_documentation_runs_as_written() {
    let bench = Bench::new().await;
    let text = document("python.md");
    let commands = blocks(&text, "sh").nth(1).expect("the commands to run");
    let script = blocks(&text, "python").next().expect("the script");
    let printed = bench.follow_document(script, commands).await;
    assert!(
        printed.starts_with("INCONCLUSIVE: 0 of 2 members answered\n"),
        "{printed}"
    );
    assert!(printed.contains("CV TRUE"), "{printed}");
    let again = bench.follow_document(script, commands).await;
    assert_eq!(again, printed, "the same key, the same answer");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_an_answer_is_explained_in_the_documentation() {
    let text = document("answer.md");
    let mut bench = Bench::new().await;
    let real: Value = serde_json::from_str(&bench.answer_at_beta().await).unwrap();
    let shown: Value = serde_json::from_str(blocks(&text, "json").next().unwrap()).unwrap();
    assert_eq!(keys(&shown), keys(&real), "{real}");
    let mut words = keys(&real);
    let names = CountName::ALL.iter().map(|one| one.word());
    let reasons = SilentReason::ALL.iter().map(|one| one.word());
    let outcomes = Outcome::ALL.iter().map(|one| one.word());
    let states = FlagState::ALL.iter().map(|one| one.word());
    let severities = Severity::ALL.iter().map(|one| one.word());
    words.extend(names.chain(reasons).map(str::to_owned));
    words.extend(outcomes.chain(states).chain(severities).map(str::to_owned));
    // Windows are keys too, and are explained by one of them.
    words.retain(|word| {
        !word
            .trim_end_matches('m')
            .chars()
            .all(|c| c.is_ascii_digit())
    });
    for word in words {
        assert!(text.contains(&format!("`{word}`")), "not explained: {word}");
    }
    bench.stop().await;
}

/// Every key of every object within.
fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => {
            let inner = object.values().flat_map(keys);
            object.keys().cloned().chain(inner).collect()
        }
        Value::Array(values) => values.iter().flat_map(keys).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

fn document(name: &str) -> String {
    std::fs::read_to_string(bench::project().join("docs").join(name)).unwrap()
}

/// The contents of the fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("\n```{language}\n");
    let after: Vec<&str> = text.split(&fence).skip(1).collect();
    after
        .into_iter()
        .filter_map(|rest| Some(rest.split_once("\n```")?.0))
}
