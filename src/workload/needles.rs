//! What the byte scanner looks for: planted values in every form in which they could leak.

use std::collections::BTreeMap;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use ring::{digest, hmac};

use crate::crypto::Keyring;
use crate::crypto::oprf::unblinded_element;
use crate::domain::{Identifier, Money, NetworkId};

/// Shorter needles would be found by chance: in the demo's stores, some hundred megabytes of sealed
/// bytes, hundreds of five-byte ones hit about every other time.
const NEEDLE_BYTES_MIN: usize = 6;

/// Shorter words of a name are sought only with the others.
const NAME_WORD_BYTES_MIN: usize = 8;

/// Bytes of each half of a hash. A half is enough to know it by, and an engine that leaves out a
/// common beginning of neighbouring keys still shows the other half.
const HALF_HASH_BYTES: usize = 16;

/// A value that must not lie in the clear.
#[derive(Debug, Clone)]
pub enum Planted {
    /// Sought with its kind, canonically, as bare characters, as a number, and as the hashes of
    /// each that anybody can compute.
    Identifier(Identifier),
    /// Sought as given, without spaces, and by its longer words, in either case.
    Name(String),
    /// Sought in minor units and as a decimal number. Amounts below twelve digits are found by
    /// chance.
    Amount(Money),
    /// Sought as given.
    Text(String),
}

/// What kind of value a needle came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueClass {
    /// An identifier itself.
    Identifier,
    /// A hash of an identifier that needs no secret key, or its element before blinding.
    Hash,
    /// A hash of an identifier under a secret key of a node: what the rows of its store are named
    /// by.
    KeyedHash,
    /// A name.
    Name,
    /// An amount.
    Amount,
    /// Other text.
    Text,
}

impl ValueClass {
    /// A word for reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Hash => "hash",
            Self::KeyedHash => "keyed-hash",
            Self::Name => "name",
            Self::Amount => "amount",
            Self::Text => "text",
        }
    }
}

/// Where a needle comes from. It does not tell the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Which of the planted values, counted from 0.
    pub value: usize,
    /// What it is.
    pub class: ValueClass,
    /// Its form, such as `canonical sha-256 hex`.
    pub form: String,
}

/// Needles by their bytes.
#[derive(Debug, Default)]
pub(super) struct Needles {
    pub(super) by_bytes: BTreeMap<Vec<u8>, Origin>,
}

/// One value's needles in the making.
struct Sheaf<'a> {
    needles: &'a mut Needles,
    value: usize,
    class: ValueClass,
}

impl Needles {
    /// The needles of all planted values. `network` names a key that an outsider would try.
    pub(super) fn of(planted: &[Planted], network: &NetworkId) -> Self {
        let mut needles = Self::default();
        for (value, planted) in planted.iter().enumerate() {
            match planted {
                Planted::Identifier(identifier) => needles.identifier(value, identifier, network),
                Planted::Name(name) => needles.name(value, name),
                Planted::Amount(amount) => needles.amount(value, *amount),
                Planted::Text(text) => {
                    needles.sheaf(value, ValueClass::Text).text("text", text);
                }
            }
        }
        needles
    }

    /// Adds the hashes of an identifier under a node's own key, in every table.
    pub(super) fn keyed(&mut self, value: usize, identifier: &Identifier, keys: &Keyring) {
        for table in crate::store::Table::ALL {
            let hash = keys.row_key(table.name(), identifier.canonical().as_bytes());
            self.sheaf(value, ValueClass::KeyedHash)
                .hash(&format!("row key of {table}"), &hash);
        }
    }

    fn sheaf(&mut self, value: usize, class: ValueClass) -> Sheaf<'_> {
        Sheaf {
            needles: self,
            value,
            class,
        }
    }

    fn identifier(&mut self, value: usize, identifier: &Identifier, network: &NetworkId) {
        let typed = format!("{}:{}", identifier.kind(), identifier.value());
        let bare = identifier.value().trim_start_matches('+');
        let forms = [
            ("canonical", identifier.canonical()),
            ("typed", typed.as_str()),
            ("value", identifier.value()),
            ("bare", bare),
        ];
        for (name, text) in forms {
            self.sheaf(value, ValueClass::Identifier).text(name, text);
            let mut hashes = self.sheaf(value, ValueClass::Hash);
            for (hash_name, hash) in public_hashes(text.as_bytes(), network) {
                hashes.hash(&format!("{name} {hash_name}"), &hash);
            }
        }
        if let Ok(number) = bare.parse() {
            self.sheaf(value, ValueClass::Identifier).integer(number);
        }
    }

    fn name(&mut self, value: usize, name: &str) {
        let joined: String = name.split_whitespace().collect();
        let mut sheaf = self.sheaf(value, ValueClass::Name);
        let long = name
            .split_whitespace()
            .filter(|word| word.len() >= NAME_WORD_BYTES_MIN);
        let words = long.map(|word| ("word of a name", word));
        let whole = [("name", name), ("name without spaces", joined.as_str())];
        for (form, text) in whole.into_iter().chain(words) {
            sheaf.text(form, text);
            sheaf.text(form, &text.to_lowercase());
            sheaf.text(form, &text.to_uppercase());
        }
    }

    fn amount(&mut self, value: usize, amount: Money) {
        let mut sheaf = self.sheaf(value, ValueClass::Amount);
        sheaf.text("minor units", &amount.minor.to_string());
        let text = amount.to_string();
        let decimal = text.split(' ').next().unwrap_or_default();
        sheaf.text("decimal", decimal);
        sheaf.integer(amount.minor.unsigned_abs());
    }
}

impl Sheaf<'_> {
    fn text(&mut self, form: &str, text: &str) {
        self.encoded(&format!("{form} text"), text.as_bytes());
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        self.encoded(&format!("{form} utf-16le"), &little);
        self.encoded(&format!("{form} utf-16be"), &big);
    }

    fn integer(&mut self, number: u64) {
        self.encoded("u64 big-endian", &number.to_be_bytes());
        self.encoded("u64 little-endian", &number.to_le_bytes());
        self.encoded("varint", &varint(number));
        self.encoded("zigzag varint", &varint(number.wrapping_mul(2)));
    }

    fn hash(&mut self, form: &str, hash: &[u8]) {
        let first = hash.get(..HALF_HASH_BYTES).unwrap_or(hash);
        let rest = hash.len().saturating_sub(HALF_HASH_BYTES);
        self.encoded(&format!("{form} beginning"), first);
        self.encoded(&format!("{form} end"), hash.get(rest..).unwrap_or_default());
    }

    /// The bytes raw, in hexadecimal, and in base64 at each of the three alignments.
    fn encoded(&mut self, form: &str, bytes: &[u8]) {
        self.push(form, "raw", bytes.to_vec());
        self.push(form, "hex", HEXLOWER.encode(bytes).into_bytes());
        self.push(form, "hex", HEXUPPER.encode(bytes).into_bytes());
        for shift in 0..3 {
            for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
                let shifted = [vec![0; shift], bytes.to_vec()].concat();
                let whole = encoding.encode(&shifted);
                self.push(form, "base64", steady(&whole, shift, bytes.len()));
            }
        }
    }

    fn push(&mut self, form: &str, encoding: &str, needle: Vec<u8>) {
        if needle.len() < NEEDLE_BYTES_MIN {
            return;
        }
        let origin = Origin {
            value: self.value,
            class: self.class,
            form: format!("{form} {encoding}"),
        };
        self.needles.by_bytes.entry(needle).or_insert(origin);
    }
}

/// The characters of a base64 text that depend on nothing but the bytes behind the first `shift`.
fn steady(whole: &str, shift: usize, bytes: usize) -> Vec<u8> {
    let first = (shift * 8).div_ceil(6);
    let last = (shift + bytes) * 8 / 6;
    let kept = whole.as_bytes().get(first..last);
    kept.unwrap_or_default().to_vec()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Hashes that need no secret: plain ones, ones under keys that everybody knows, the row key of a
/// node without keys, and the element before blinding.
fn public_hashes(text: &[u8], network: &NetworkId) -> Vec<(String, Vec<u8>)> {
    let plain = [
        ("sha-1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        ("sha-256", &digest::SHA256),
        ("sha-384", &digest::SHA384),
        ("sha-512", &digest::SHA512),
    ];
    let mut hashes: Vec<(String, Vec<u8>)> = plain
        .iter()
        .map(|(name, algorithm)| {
            let hash = digest::digest(algorithm, text);
            ((*name).to_owned(), hash.as_ref().to_vec())
        })
        .collect();
    let zeros = [0; 32];
    let keys: [(&str, &[u8]); 4] = [
        ("no key", b""),
        ("zeros", &zeros),
        ("network id", network.as_str().as_bytes()),
        ("product name", b"creditmesh"),
    ];
    for (name, key) in keys {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let hash = hmac::sign(&key, text).as_ref().to_vec();
        hashes.push((format!("hmac-sha-256 under {name}"), hash));
        let salted = [name.as_bytes(), text].concat();
        let hash = digest::digest(&digest::SHA256, &salted).as_ref().to_vec();
        hashes.push((format!("sha-256 salted with {name}"), hash));
    }
    let element = unblinded_element(text).to_vec();
    hashes.push(("element before blinding".to_owned(), element));
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_needles_are_found_at_every_alignment() {
        let value = b"536904399 Quillfeather";
        for before in 0..7 {
            let haystack = [vec![b'x'; before], value.to_vec(), b"tail".to_vec()].concat();
            let text = BASE64_NOPAD.encode(&haystack);
            let found = (0..3).any(|shift: usize| {
                let whole = BASE64_NOPAD.encode(&[vec![0; shift], value.to_vec()].concat());
                let needle = String::from_utf8(steady(&whole, shift, value.len())).unwrap();
                assert!(needle.len() > 25);
                text.contains(&needle)
            });
            assert!(found, "{before}");
        }
    }

    #[test]
    fn varint_is_that_of_protocol_buffers() {
        assert_eq!(varint(150), [0x96, 0x01]);
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }
}
