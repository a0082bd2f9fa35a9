//! What a key ring promises, and every way in which it refuses.

use std::collections::BTreeSet;

use super::*;
use crate::crypto::SecretBytes;
use crate::env::SeededEntropy;

const ROW: SealContext<'static> = SealContext {
    table: "records",
    key: b"row-1",
    revision: 3,
};

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(SecretBytes::from(text.to_owned()))
}

fn key_file(byte: u8) -> Unlock {
    Unlock::KeyFile(Secret::from_bytes([byte; 32]))
}

fn entropy() -> SeededEntropy {
    SeededEntropy::from_seed(7)
}

fn ring() -> (Keyring, String) {
    Keyring::create(&key_file(1), "lender-a", &entropy(), KdfCost::FLOOR).unwrap()
}

fn reopened(text: &str) -> Keyring {
    Keyring::unlock(text, &key_file(1), &SeededEntropy::from_seed(8)).unwrap()
}

#[test]
fn passphrase_opens_its_ring_and_another_one_does_not() {
    let right = passphrase("correct horse battery staple");
    let (ring, text) = Keyring::create(&right, "lender-a", &entropy(), KdfCost::FLOOR).unwrap();
    let sealed = ring.seal(&ROW, b"plain").unwrap();
    let again = Keyring::unlock(&text, &right, &entropy()).unwrap();
    assert_eq!(again.open(&ROW, &sealed).unwrap().as_slice(), b"plain");
    assert_eq!(again.node_name(), "lender-a");
    let wrong = Keyring::unlock(&text, &passphrase("correct horse"), &entropy());
    assert!(matches!(wrong, Err(KeyringError::WrongPassphrase)));
    let file = Keyring::unlock(&text, &key_file(1), &entropy());
    assert!(matches!(file, Err(KeyringError::NeedsPassphrase)));
}

#[test]
fn key_file_opens_its_ring_and_another_one_does_not() {
    let (_, text) = ring();
    assert_eq!(reopened(&text).node_name(), "lender-a");
    let wrong = Keyring::unlock(&text, &key_file(2), &entropy());
    assert!(matches!(wrong, Err(KeyringError::WrongKeyFile)));
    let words = Keyring::unlock(&text, &passphrase("words"), &entropy());
    assert!(matches!(words, Err(KeyringError::NeedsKeyFile)));
}

#[test]
fn empty_passphrase_and_weak_cost_are_refused() {
    let create = |unlock: &Unlock, cost| Keyring::create(unlock, "a", &entropy(), cost);
    let empty = create(&passphrase(""), KdfCost::FLOOR);
    assert!(matches!(empty, Err(KeyringError::PassphraseEmpty)));
    let weak = KdfCost {
        memory_kib: 8,
        passes: 1,
    };
    let refused = create(&passphrase("words"), weak).unwrap_err();
    assert!(refused.to_string().contains("19456"), "{refused}");
}

#[test]
fn ring_with_weak_cost_in_its_text_is_refused() {
    let words = passphrase("words");
    let (_, text) = Keyring::create(&words, "a", &entropy(), KdfCost::FLOOR).unwrap();
    // Someone who can write the file also corrects the checksum: the floor still holds.
    let weakened = with_checksum(&text.replace("19456", "00008").replace("00008", "8"));
    let refused = Keyring::unlock(&weakened, &words, &entropy());
    assert!(
        matches!(refused, Err(KeyringError::KdfCost(_))),
        "{refused:?}"
    );
}

/// The text with the checksum that its content has.
fn with_checksum(text: &str) -> String {
    let mut file: serde_json::Value = serde_json::from_str(text).unwrap();
    let ring = text.find("\"ring\":").unwrap();
    let content: String = text[ring + 7..text.len() - 1]
        .split_inclusive('"')
        .enumerate()
        .map(|(n, piece)| {
            if n % 2 == 0 {
                piece.split_whitespace().collect::<String>()
            } else {
                piece.to_owned()
            }
        })
        .collect();
    let checksum = digest::digest(&digest::SHA256, content.as_bytes());
    file["checksum"] = data_encoding::HEXLOWER.encode(checksum.as_ref()).into();
    file.to_string()
}

#[test]
fn every_altered_character_of_a_ring_is_noticed() {
    let (_, text) = ring();
    for position in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[position] = if altered[position] == b'0' {
            b'1'
        } else {
            b'0'
        };
        let altered = String::from_utf8(altered).unwrap();
        let opened = Keyring::unlock(&altered, &key_file(1), &entropy());
        let unseen = text.as_bytes()[position].is_ascii_whitespace() && opened.is_ok();
        assert!(opened.is_err() || unseen, "position {position}");
    }
    for bytes in 0..text.len() {
        assert!(Keyring::unlock(&text[..bytes], &key_file(1), &entropy()).is_err());
    }
}

#[test]
fn ring_altered_together_with_its_checksum_is_refused() {
    let (_, text) = ring();
    assert!(Keyring::unlock(&with_checksum(&text), &key_file(1), &entropy()).is_ok());
    for (from, to) in [
        ("\"node\": \"lender-a\"", "\"node\": \"lender-b\""),
        ("\"purpose\": \"index\"", "\"purpose\": \"seal\""),
        ("\"id\": 2", "\"id\": 3"),
    ] {
        assert!(text.contains(from), "{text}");
        let altered = with_checksum(&text.replace(from, to));
        let refused = Keyring::unlock(&altered, &key_file(1), &entropy());
        assert!(
            matches!(refused, Err(KeyringError::Damaged(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn foreign_text_and_foreign_version_are_named() {
    let (_, text) = ring();
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    let refused = Keyring::unlock(&newer, &key_file(1), &entropy());
    assert!(matches!(refused, Err(KeyringError::FormatVersion(2))));
    for foreign in [
        "",
        "{}",
        "[1]",
        "not json",
        r#"{"format": "something else"}"#,
    ] {
        let refused = Keyring::unlock(foreign, &key_file(1), &entropy());
        assert!(
            matches!(refused, Err(KeyringError::NotAKeyRing)),
            "{foreign}"
        );
    }
}

#[test]
fn text_of_a_ring_holds_no_key_in_the_clear() {
    let entropy = entropy();
    let (_, text) = Keyring::create(&key_file(0xab), "a", &entropy, KdfCost::FLOOR).unwrap();
    // The first 96 bytes drawn are the root key and the two data keys.
    let drawn = SeededEntropy::from_seed(7);
    for _ in 0..3 {
        let key = Secret::<32>::random(&drawn).unwrap();
        assert!(!text.contains(&data_encoding::HEXLOWER.encode(key.expose())));
    }
    assert!(!text.contains("abababab"));
}

#[test]
fn rewrapped_ring_opens_with_the_new_unlock_only_and_keeps_its_keys() {
    let (ring, text) = ring();
    let sealed = ring.seal(&ROW, b"plain").unwrap();
    let words = passphrase("words");
    let next = Keyring::rewrap(&text, &key_file(1), &words, KdfCost::FLOOR, &entropy()).unwrap();
    let reopened = Keyring::unlock(&next, &words, &entropy()).unwrap();
    assert_eq!(reopened.open(&ROW, &sealed).unwrap().as_slice(), b"plain");
    assert_eq!(reopened.row_key("t", b"n"), ring.row_key("t", b"n"));
    assert!(Keyring::unlock(&next, &key_file(1), &entropy()).is_err());
}

#[test]
fn new_data_key_seals_and_old_rows_still_open() {
    let (ring, text) = ring();
    let old_row = ring.seal(&ROW, b"old").unwrap();
    let next = Keyring::add_data_key(&text, &key_file(1), &entropy()).unwrap();
    let rotated = reopened(&next);
    let new_row = rotated.seal(&ROW, b"new").unwrap();
    assert_eq!(rotated.open(&ROW, &old_row).unwrap().as_slice(), b"old");
    assert_eq!(rotated.open(&ROW, &new_row).unwrap().as_slice(), b"new");
    assert_eq!(
        ring.open(&ROW, &new_row).unwrap_err(),
        OpenError::UnknownKey(3)
    );
    assert_eq!(rotated.row_key("t", b"n"), ring.row_key("t", b"n"));
    assert_eq!(rotated.digest_key(), ring.digest_key());
}

#[test]
fn row_opens_only_in_its_own_place() {
    let (ring, text) = ring();
    let sealed = ring.seal(&ROW, b"plain").unwrap();
    assert_eq!(
        reopened(&text).open(&ROW, &sealed).unwrap().as_slice(),
        b"plain"
    );
    for elsewhere in [
        SealContext {
            table: "record",
            ..ROW
        },
        SealContext {
            table: "recordsr",
            key: b"ow-1",
            ..ROW
        },
        SealContext {
            key: b"row-2",
            ..ROW
        },
        SealContext { revision: 2, ..ROW },
    ] {
        assert_eq!(ring.open(&elsewhere, &sealed), Err(OpenError::Refused));
    }
    let other_node = Keyring::create(&key_file(1), "lender-b", &entropy(), KdfCost::FLOOR)
        .unwrap()
        .0;
    assert_eq!(other_node.open(&ROW, &sealed), Err(OpenError::Refused));
}

#[test]
fn every_altered_byte_of_a_row_is_noticed() {
    let (ring, _) = ring();
    let sealed = ring.seal(&ROW, b"plain").unwrap();
    assert_eq!(sealed.as_bytes().len(), 37 + 5);
    for position in 0..sealed.as_bytes().len() {
        let mut altered = sealed.as_bytes().to_vec();
        altered[position] ^= 1;
        assert!(
            ring.open(&ROW, &Sealed::from_stored(altered)).is_err(),
            "{position}"
        );
    }
    for bytes in 0..sealed.as_bytes().len() {
        let cut = Sealed::from_stored(sealed.as_bytes()[..bytes].to_vec());
        assert!(ring.open(&ROW, &cut).is_err());
    }
    let newer = Sealed::from_stored([&[9], &sealed.as_bytes()[1..]].concat());
    assert_eq!(ring.open(&ROW, &newer), Err(OpenError::FormatVersion(9)));
}

#[test]
fn rows_of_many_processes_open_and_share_no_nonce() {
    let (_, text) = ring();
    let rings: Vec<Keyring> = (0..300)
        .map(|seed| Keyring::unlock(&text, &key_file(1), &SeededEntropy::from_seed(seed)).unwrap())
        .collect();
    let rows: Vec<Sealed> = rings
        .iter()
        .map(|ring| ring.seal(&ROW, b"same").unwrap())
        .collect();
    let heads: BTreeSet<&[u8]> = rows.iter().map(|row| &row.as_bytes()[..21]).collect();
    assert_eq!(heads.len(), rows.len());
    for row in &rows {
        assert_eq!(rings[0].open(&ROW, row).unwrap().as_slice(), b"same");
    }
}

#[test]
fn row_keys_and_derived_keys_differ_by_every_argument() {
    let (ring, text) = ring();
    assert_eq!(
        ring.row_key("ab", b"c"),
        reopened(&text).row_key("ab", b"c")
    );
    assert_ne!(ring.row_key("ab", b"c"), ring.row_key("a", b"bc"));
    let other = Keyring::create(
        &key_file(1),
        "lender-a",
        &SeededEntropy::from_seed(9),
        KdfCost::FLOOR,
    )
    .unwrap()
    .0;
    assert_ne!(ring.row_key("ab", b"c"), other.row_key("ab", b"c"));
    assert_eq!(
        ring.derive(b"label", b"x"),
        reopened(&text).derive(b"label", b"x")
    );
    assert_ne!(ring.derive(b"label", b"x"), ring.derive(b"labelx", b""));
    assert_ne!(ring.derive(b"label", b"x"), ring.digest_key());
}

#[test]
fn ring_without_sealing_shows_plaintext_and_a_real_ring_refuses_it() {
    let open = Keyring::without_sealing_for_scanner_tests();
    let row = open.seal(&ROW, b"11010519491231002X").unwrap();
    assert!(row.as_bytes().ends_with(b"11010519491231002X"));
    assert_eq!(
        open.open(&ROW, &row).unwrap().as_slice(),
        b"11010519491231002X"
    );
    let expected = digest::digest(&digest::SHA256, b"name");
    assert_eq!(open.row_key("t", b"name").as_slice(), expected.as_ref());
    let (ring, _) = ring();
    assert_eq!(ring.open(&ROW, &row), Err(OpenError::NotSealed));
    let sealed = ring.seal(&ROW, b"x").unwrap();
    assert_eq!(open.open(&ROW, &sealed), Err(OpenError::FormatVersion(1)));
}

#[test]
fn debug_of_a_ring_shows_the_node_only() {
    assert_eq!(
        format!("{:?}", ring().0),
        "Keyring { node: \"lender-a\", .. }"
    );
}

#[test]
fn what_a_dropped_data_key_sealed_is_opened_by_no_ring_that_has_it_not() {
    let (ring, text) = ring();
    let before = ring.seal(&ROW, b"before").unwrap();
    assert!(ring.is_newest(&before) && !ring.has_older_data_keys());
    let more = Keyring::add_data_key(&text, &key_file(1), &entropy()).unwrap();
    ring.take_data_keys(ring.data_keys_of(&more, &key_file(1)).unwrap());
    let after = ring.seal(&ROW, b"after").unwrap();
    assert!(ring.has_older_data_keys());
    assert_eq!(
        (ring.is_newest(&before), ring.is_newest(&after)),
        (false, true)
    );
    assert_eq!(ring.open(&ROW, &before).unwrap().as_slice(), b"before");

    let only = Keyring::drop_old_data_keys(&more, &key_file(1), &entropy()).unwrap();
    ring.take_data_keys(ring.data_keys_of(&only, &key_file(1)).unwrap());
    for ring in [ring, reopened(&only)] {
        assert_eq!(ring.open(&ROW, &before), Err(OpenError::UnknownKey(2)));
        assert_eq!(ring.open(&ROW, &after).unwrap().as_slice(), b"after");
        assert!(!ring.has_older_data_keys());
        assert_eq!(
            ring.row_key("records", b"x"),
            reopened(&text).row_key("records", b"x")
        );
    }
}

#[test]
fn data_keys_of_another_ring_are_refused() {
    let (ring, _) = ring();
    let other = SeededEntropy::from_seed(9);
    let (_, foreign) = Keyring::create(&key_file(1), "lender-a", &other, KdfCost::FLOOR).unwrap();
    let refused = ring.data_keys_of(&foreign, &key_file(1));
    assert!(matches!(
        refused,
        Err(KeyringError::Damaged("the index key"))
    ));
}
