//! SHA-256 of a whole text, or of what a reader gives.

use std::io::{self, Read};

use ring::digest::{Context, SHA256, digest};
use ring::hmac;

/// SHA-256 of `text`.
#[must_use]
pub fn sha256(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}

/// SHA-256 of all that `reader` gives, in constant memory.
///
/// # Errors
/// The reader's.
pub fn sha256_of(mut reader: impl Read) -> io::Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        context.update(bytes);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Ok(out)
}

/// The first 32 bits of HMAC-SHA-256 over `text` under a key that `label` and `context` make:
/// whoever knows them computes it too.
#[must_use]
pub fn light_prefix(label: &[u8], context: &[u8], text: &[u8]) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[label, context].concat());
    let tag = hmac::sign(&key, text);
    let first = tag.as_ref().first_chunk::<4>();
    first.map_or(0, |first| u32::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_and_text_hash_the_same() {
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let text = vec![7; length];
            assert_eq!(sha256_of(text.as_slice()).unwrap(), sha256(&text));
        }
    }
}
