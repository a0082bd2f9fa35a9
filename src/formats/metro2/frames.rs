//! The records of a file by their descriptor words, and how reading goes on behind a damaged one.
//!
//! A record is believed where its descriptor word leads to the next record or to the end of the
//! file. Where it does not, the next record is looked for by what a base segment looks like, so
//! that one wrong length costs one record. Every damage is told once.

use std::io::{self, Read};

use super::coding::Coding;
use super::layout::{Fault, Layout};
use super::marks::{
    WORD, after_filler, form, is_header, is_record, is_segment, is_trailer, next_record,
    record_length, word,
};
use super::segments::{Account, Base};
use super::window::Window;
use crate::limits::{METRO2_BLOCK_BYTES_MAX, METRO2_RECORD_BYTES_MAX};

/// A record of the file, from its descriptor word on, or what is wrong with it.
pub(super) struct Frame {
    /// Number of the record in the file; the header is 1.
    pub(super) number: u64,
    /// Bytes from the start of the file to the end of this record.
    pub(super) end_offset: u64,
    pub(super) record: Result<Vec<u8>, Fault>,
    /// What is wrong with the word of the block that starts here.
    pub(super) block: Option<Fault>,
}

/// How far a record reaches from its descriptor word, or that it is damaged as far.
enum Extent {
    Sound(usize),
    Damaged(usize, String),
}

#[derive(Debug)]
pub(super) struct Frames<R> {
    window: Window<R>,
    coding: Coding,
    in_blocks: bool,
    number: u64,
    blocks: u64,
    /// Where the block ends that the last record stands in.
    block_end: u64,
    is_over: bool,
}

/// Bytes in view: a block, and the start of what follows it.
const VIEW: usize = METRO2_BLOCK_BYTES_MAX + METRO2_RECORD_BYTES_MAX;

impl<R: Read> Frames<R> {
    /// The records of `read`, unless it does not start with a header.
    pub(super) fn new(read: R) -> io::Result<Option<Self>> {
        let mut window = Window::new(read);
        let found = form(window.view(VIEW)?);
        Ok(found.map(|(coding, in_blocks)| Self {
            window,
            coding,
            in_blocks,
            number: 0,
            blocks: 0,
            block_end: 0,
            is_over: false,
        }))
    }

    pub(super) const fn coding(&self) -> Coding {
        self.coding
    }

    /// Number of the last record.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Blocks so far; a record outside of blocks is one by itself.
    pub(super) const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The next record, or nothing at the end of the file. Behind a trailer only that there is
    /// more is told.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        self.pass_filler()?;
        let coding = self.coding;
        let is_first = self.number == 0;
        let offset = self.window.offset();
        let view = self.window.view(VIEW)?;
        if view.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.is_over {
            return self.behind_trailer().map(Some);
        }
        let has_word = if view.len() < 2 * WORD {
            false
        } else if is_first {
            self.in_blocks
        } else if is_record(view, WORD, coding) {
            false
        } else {
            is_record(view, 2 * WORD, coding) || (self.in_blocks && offset >= self.block_end)
        };
        let start = if has_word { WORD } else { 0 };
        let extent = extent(view, start, coding, self.in_blocks);
        let mut block = None;
        let (used, record) = match extent {
            Extent::Sound(length) => {
                let record = view.get(start..start + length).unwrap_or_default().to_vec();
                if has_word {
                    block = wrong_block(view, coding);
                }
                (start + length, Ok(record))
            }
            Extent::Damaged(length, reason) => (
                start + length,
                Err(descriptor("record_descriptor", coding, reason)),
            ),
        };
        if has_word || offset >= self.block_end {
            self.blocks += 1;
        }
        if has_word && record.is_ok() && block.is_none() {
            let bytes = word(view, 0, coding).and_then(|bytes| u64::try_from(bytes).ok());
            self.block_end = offset + bytes.unwrap_or(0);
        }
        self.is_over = record.as_ref().is_ok_and(|record| is_trailer(record));
        self.window.pass(used);
        Ok(Some(Frame {
            number: self.number,
            end_offset: self.window.offset(),
            record,
            block,
        }))
    }

    fn pass_filler(&mut self) -> io::Result<()> {
        loop {
            let coding = self.coding;
            let view = self.window.view(VIEW)?;
            let filler = after_filler(view, 0, coding);
            if filler == 0 {
                return Ok(());
            }
            self.window.pass(filler);
        }
    }

    /// Passes over the rest of the file.
    fn behind_trailer(&mut self) -> io::Result<Frame> {
        let start = self.window.offset();
        loop {
            let count = self.window.view(VIEW)?.len();
            if count == 0 {
                break;
            }
            self.window.pass(count);
        }
        let count = self.window.offset() - start;
        Ok(Frame {
            number: self.number,
            end_offset: self.window.offset(),
            record: Err(Fault {
                segment: "trailer",
                field: "end_of_file",
                class: "record",
                positions: (1, usize::try_from(count).unwrap_or(usize::MAX)),
                reason: "nothing may stand behind the trailer: it was not read".to_owned(),
            }),
            block: None,
        })
    }
}

fn descriptor(field: &'static str, coding: Coding, reason: String) -> Fault {
    Fault {
        segment: "record",
        field,
        class: match coding {
            Coding::Character => "number",
            Coding::Packed => "binary number",
        },
        positions: (1, WORD),
        reason,
    }
}

/// How far the record reaches whose descriptor word stands at `start`.
fn extent(view: &[u8], start: usize, coding: Coding, in_blocks: bool) -> Extent {
    let least = Base::length(coding);
    let found = || next_record(view, start + WORD, coding, in_blocks).map(|next| next - start);
    let rest = view.len().saturating_sub(start);
    let Some(length) = record_length(view, start, coding) else {
        let reason = format!("must be a length, {least} to {METRO2_RECORD_BYTES_MAX}");
        return Extent::Damaged(found().unwrap_or(rest), reason);
    };
    let says = |is: usize| format!("says {length} bytes, and the record has {is}");
    if length > rest {
        let next = found().unwrap_or(rest);
        return Extent::Damaged(next, says(next));
    }
    if leads_on(view, start + length, coding) {
        return Extent::Sound(length);
    }
    match found() {
        Some(next) if next < length || is_segment(view, start + length) => {
            Extent::Damaged(next, says(next))
        }
        // Less than half a record in between is more of this one, unless this one is sound.
        Some(next) if next < length + least / 2 && !is_sound(view, start, length, coding) => {
            Extent::Damaged(next, says(next))
        }
        None if is_segment(view, start + length) => Extent::Damaged(rest, says(rest)),
        Some(_) | None => Extent::Sound(length),
    }
}

/// Whether the record of this length can be read.
fn is_sound(view: &[u8], start: usize, length: usize, coding: Coding) -> bool {
    let record = view.get(start..start + length).unwrap_or_default();
    is_header(record) || is_trailer(record) || Account::read(record, coding).is_ok()
}

/// Whether at `at` another record starts or the file ends.
fn leads_on(view: &[u8], at: usize, coding: Coding) -> bool {
    let at = after_filler(view, at, coding);
    at >= view.len() || is_record(view, at + WORD, coding) || is_record(view, at + 2 * WORD, coding)
}

/// What is wrong with the block word at the start of `view`, whose first record is sound: its
/// records, or blanks behind them, must end where it says.
fn wrong_block(view: &[u8], coding: Coding) -> Option<Fault> {
    let fault = |reason| Some(descriptor("block_descriptor", coding, reason));
    let Some(said) = word(view, 0, coding) else {
        return fault("must be the length of the block".to_owned());
    };
    let mut at = WORD;
    while at < said {
        match record_length(view, at, coding) {
            Some(length) if at == WORD || is_record(view, at + WORD, coding) => at += length,
            Some(_) | None => break,
        }
    }
    let next = after_filler(view, at, coding);
    let ends = next >= view.len() || is_record(view, next + 2 * WORD, coding);
    // Where a record inside the block is damaged, where the block ends cannot be told.
    if at == said || (at < said && (said <= next || !ends)) {
        return None;
    }
    fault(format!("says {said} bytes, and the block has {at}"))
}
