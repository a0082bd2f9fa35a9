//! What tells in the bytes of a file where a record starts and how long it is.

use super::codes::{AccountStatus, Code, Portfolio};
use super::coding::{Coding, Value};
use super::layout::Layout;
use super::segments::Base;
use crate::domain::{Day, Timestamp};
use crate::limits::METRO2_RECORD_BYTES_MAX;

/// Bytes of a descriptor word, of a record or a block.
pub(super) const WORD: usize = 4;

const HEADER: &[u8] = b"HEADER";
const TRAILER: &[u8] = b"TRAILER";

/// What opens a segment that follows a base segment.
const SEGMENTS: [&[u8]; 8] = [b"J1", b"J2", b"K1", b"K2", b"K3", b"K4", b"L1", b"N1"];

fn stands(view: &[u8], at: usize, what: &[u8]) -> bool {
    view.get(at..).is_some_and(|rest| rest.starts_with(what))
}

pub(super) fn is_header(record: &[u8]) -> bool {
    stands(record, WORD, HEADER)
}

pub(super) fn is_trailer(record: &[u8]) -> bool {
    stands(record, WORD, TRAILER)
}

pub(super) fn is_segment(view: &[u8], at: usize) -> bool {
    SEGMENTS.iter().any(|tag| stands(view, at, tag))
}

/// The coding of the file, and whether it is in blocks, by how its header starts.
pub(super) fn form(view: &[u8]) -> Option<(Coding, bool)> {
    let in_blocks = stands(view, 2 * WORD, HEADER);
    if !in_blocks && !is_header(view) {
        return None;
    }
    let packed = likeness(view, Coding::Packed, in_blocks);
    let character = likeness(view, Coding::Character, in_blocks);
    // Where no word is left that tells, a text has no zeros.
    let has_zeros = stands(view, WORD - 2, &[0, 0]);
    let coding = if packed > character || (packed == character && has_zeros) {
        Coding::Packed
    } else {
        Coding::Character
    };
    Some((coding, in_blocks))
}

/// How much the words in front of the header look as this coding has them: one may be damaged.
fn likeness(view: &[u8], coding: Coding, in_blocks: bool) -> usize {
    let usual = Base::length(coding);
    let words: &[(usize, usize)] = if in_blocks {
        &[(0, usual + WORD), (WORD, usual)]
    } else {
        &[(0, usual)]
    };
    let like = |(at, usual): &(usize, usize)| {
        let length = record_length(view, *at, coding);
        length.map_or(0, |length| 1 + usize::from(length == *usual))
    };
    words.iter().map(like).sum()
}

/// The length in the descriptor word at `at`.
pub(super) fn word(view: &[u8], at: usize, coding: Coding) -> Option<usize> {
    let bytes = view.get(at..at + WORD)?;
    match (coding, bytes) {
        (Coding::Character, digits) if digits.iter().all(u8::is_ascii_digit) => {
            usize::try_from(u64::read(digits, false).ok()?).ok()
        }
        (Coding::Packed, &[high, low, 0, 0]) => Some(u16::from_be_bytes([high, low]).into()),
        (Coding::Character | Coding::Packed, _) => None,
    }
}

/// The length of a record by the descriptor word at `at`, where a record can have it.
pub(super) fn record_length(view: &[u8], at: usize, coding: Coding) -> Option<usize> {
    let bounds = Base::length(coding)..=METRO2_RECORD_BYTES_MAX;
    word(view, at, coding).filter(|length| bounds.contains(length))
}

/// Whether a trailer, or what looks like a base segment, stands at `at`, whatever the words
/// before it say. Of five fields four have to be as in a base segment: one may be the damage.
pub(super) fn is_record(view: &[u8], at: usize, coding: Coding) -> bool {
    signs_of_record(view, at, coding) >= SIGNS - 1
}

/// Fields by which a base segment is known.
const SIGNS: usize = 5;

/// How many of them stand where they should; all of them for a trailer.
fn signs_of_record(view: &[u8], at: usize, coding: Coding) -> usize {
    let Some(record) = at.checked_sub(WORD).and_then(|start| view.get(start..)) else {
        return 0;
    };
    if is_trailer(record) {
        return SIGNS;
    }
    let opened = readable::<Option<Day>>(record, "date_opened", coding).flatten();
    let signs: [bool; SIGNS] = [
        readable::<u64>(record, "processing_indicator", coding) == Some(1),
        readable::<Option<Timestamp>>(record, "time_stamp", coding).is_some(),
        readable::<Portfolio>(record, "portfolio_type", coding).is_some(),
        opened.is_some(),
        readable::<AccountStatus>(record, "account_status", coding).is_some(),
    ];
    signs.iter().filter(|sign| **sign).count()
}

fn readable<T: Value>(record: &[u8], name: &str, coding: Coding) -> Option<T> {
    let (first, last) = Base::positions(name, coding)?;
    let field = Base::FIELDS.iter().find(|field| field.name == name)?;
    T::read(record.get(first - 1..last)?, field.width.is_packed(coding)).ok()
}

/// Where the next record starts, at `from` or later: its block's word where it has one. Its length
/// must be sound, or else all of its signs: a record that lost its first bytes would otherwise seem
/// to start in the one before.
pub(super) fn next_record(
    view: &[u8],
    from: usize,
    coding: Coding,
    in_blocks: bool,
) -> Option<usize> {
    let mut bodies = from + WORD..view.len();
    let body = bodies.find(|at| {
        let signs = if could_be_record(view, *at, coding) {
            signs_of_record(view, *at, coding)
        } else {
            0
        };
        let has_length = record_length(view, at - WORD, coding).is_some();
        signs + usize::from(has_length) >= SIGNS
    })?;
    let start = body - WORD;
    let block = start
        .checked_sub(WORD)
        .filter(|block| *block >= from && in_blocks);
    let holds = |block: &usize| {
        word(view, *block, coding).is_some_and(|length| length >= Base::length(coding) + WORD)
    };
    Some(block.filter(holds).unwrap_or(start))
}

/// A quick look, so that a search over many bytes is no slower than reading them: a record opens
/// with the processing indicator, or its status stands where it should.
fn could_be_record(view: &[u8], at: usize, coding: Coding) -> bool {
    let status = Base::positions("account_status", coding).map_or(0, |(first, _)| first - 1);
    let status = (at + status)
        .checked_sub(WORD)
        .and_then(|first| view.get(first..first + 2));
    let known = |status: &[u8]| {
        std::str::from_utf8(status).is_ok_and(|code| AccountStatus::of(code).is_some())
    };
    view.get(at) == Some(&b'1') || stands(view, at, TRAILER) || status.is_some_and(known)
}

/// The first byte at `at` or later that is no filler between records.
pub(super) fn after_filler(view: &[u8], at: usize, coding: Coding) -> usize {
    let filler: &[u8] = match coding {
        Coding::Character => b" \r\n\x1a",
        Coding::Packed => b"",
    };
    let rest = view.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| filler.contains(byte)).count()
}
