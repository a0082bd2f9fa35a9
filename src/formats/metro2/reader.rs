//! Reads the records of a Metro 2 file one after the other, and checks its totals at the end.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::frames::{Frame, Frames};
use super::layout::{Fault, Layout};
use super::loans::records_of;
use super::marks::{is_header, is_trailer};
use super::segments::{Account, Header};
use super::trailer::Trailer;
use crate::domain::Record;
use crate::formats::reject::Problem;
use crate::formats::{FormatError, Row};

/// Reads records from a Metro 2 file. What a row calls its line is the number of the record in
/// the file; the header is 1. One account can give several rows: its consumers, its signals.
#[derive(Debug)]
pub struct Reader<R> {
    frames: Frames<R>,
    rows: VecDeque<Row>,
    counted: Trailer,
    damaged: u64,
    has_trailer: bool,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// A reader of `read`, whose coding shows in how its header starts.
    ///
    /// # Errors
    /// [`FormatError::NoMetroHeader`] where no header stands there.
    pub fn new(read: R) -> Result<Self, FormatError> {
        Ok(Self {
            frames: Frames::new(read)?.ok_or(FormatError::NoMetroHeader)?,
            rows: VecDeque::new(),
            counted: Trailer::default(),
            damaged: 0,
            has_trailer: false,
            is_over: false,
        })
    }

    pub(in crate::formats) fn skip_through(&mut self, record: u64) -> io::Result<()> {
        while self.frames.number() < record && !self.is_over {
            self.advance()?;
            self.rows.clear();
        }
        Ok(())
    }

    fn advance(&mut self) -> io::Result<()> {
        let Some(frame) = self.frames.next_frame()? else {
            self.is_over = true;
            if !self.has_trailer {
                let reason = "is missing: the file may have been cut off, and no total was checked";
                let fault = Trailer::fault("total_base_records", self.frames.coding(), reason);
                let missing = Problem {
                    field: "trailer".to_owned(),
                    class: "record",
                    reason: fault.reason,
                };
                self.push(self.frames.number() + 1, 0, Err(missing));
            }
            return Ok(());
        };
        let (number, end) = (frame.number, frame.end_offset);
        for result in self.results(frame) {
            self.push(number, end, result);
        }
        Ok(())
    }

    fn push(&mut self, line: u64, end_offset: u64, result: Result<Record, Problem>) {
        self.rows.push_back(Row {
            line,
            end_offset,
            result: result.map_err(|problem| problem.at(line)),
        });
    }

    fn results(&mut self, frame: Frame) -> Vec<Result<Record, Problem>> {
        let coding = self.frames.coding();
        let mut results: Vec<_> = frame.block.into_iter().map(refused).collect();
        let record = match frame.record {
            Ok(record) => record,
            Err(fault) => {
                self.damaged += u64::from(frame.number > 1 && !self.has_trailer);
                results.push(refused(fault));
                return results;
            }
        };
        if frame.number == 1 && is_header(&record) {
            results.extend(Header::read(&record, coding).err().map(refused));
        } else if is_trailer(&record) {
            self.has_trailer = true;
            match Trailer::read(&record, coding) {
                Ok(trailer) => results.extend(self.differences(&trailer).into_iter().map(refused)),
                Err(fault) => results.push(refused(fault)),
            }
        } else {
            match Account::read(&record, coding) {
                Ok(account) => {
                    self.counted.count(&account);
                    results.extend(records_of(&account, coding));
                }
                Err(fault) => {
                    self.damaged += 1;
                    results.push(refused(fault));
                }
            }
        }
        results
    }

    /// Where the trailer differs from what was read. What stood in a damaged record is not known:
    /// then only the number of records is compared.
    fn differences(&mut self, trailer: &Trailer) -> Vec<Fault> {
        self.counted.block_count = self.frames.blocks();
        self.counted.total_base_records += self.damaged;
        let mut found = trailer.differences(&self.counted, self.frames.coding());
        if self.damaged > 0 {
            found.retain(|fault| fault.field == "total_base_records");
        }
        found
    }
}

fn refused(fault: Fault) -> Result<Record, Problem> {
    Err(fault.into())
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.is_empty() && !self.is_over {
            if let Err(error) = self.advance() {
                return Some(Err(error));
            }
        }
        self.rows.pop_front().map(Ok)
    }
}
