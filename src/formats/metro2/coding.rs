//! How the value of a field stands in bytes: in characters, or in packed decimals.
//!
//! A packed decimal has two digits in a byte, and in the last half byte the sign (C or F for a
//! number that is not negative). A packed date is `0MMDDYYYYs`, a packed time stamp
//! `0MMDDYYYYHHMMSSs`. Text and codes are ASCII characters in both codings.

use crate::domain::{Day, Timestamp};

/// The coding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Characters only: records of 426 bytes and more, optionally in blocks.
    Character,
    /// Packed decimals and binary descriptor words: records of 366 bytes and more, in blocks.
    Packed,
}

/// How many bytes a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) chars: usize,
    pub(super) packed: usize,
}

impl Width {
    pub(super) const fn in_coding(self, coding: Coding) -> usize {
        match coding {
            Coding::Character => self.chars,
            Coding::Packed => self.packed,
        }
    }

    /// Whether a number of this width is a packed decimal: those are narrower than their digits.
    pub(super) const fn is_packed(self, coding: Coding) -> bool {
        match coding {
            Coding::Character => false,
            Coding::Packed => self.packed < self.chars,
        }
    }
}

/// A value that a field can hold.
pub(super) trait Value: Sized {
    /// What it is, for the rejects file.
    const CLASS: &'static str;

    /// The value in `bytes`, or what is wrong with it; the reason does not repeat it.
    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String>;

    /// The bytes of the value.
    fn write(&self, width: Width, coding: Coding) -> Result<Vec<u8>, String>;
}

impl Value for String {
    const CLASS: &'static str = "text";

    fn read(bytes: &[u8], _: bool) -> Result<Self, String> {
        if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err("must be printable ASCII characters".to_owned());
        }
        let text: Self = bytes.iter().map(|byte| char::from(*byte)).collect();
        Ok(text.trim_end_matches(' ').to_owned())
    }

    fn write(&self, width: Width, coding: Coding) -> Result<Vec<u8>, String> {
        let most = width.in_coding(coding);
        if self.len() > most {
            return Err(format!("must have at most {most} characters"));
        }
        if !self.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("must be printable ASCII characters".to_owned());
        }
        let mut bytes = self.as_bytes().to_vec();
        bytes.resize(most, b' ');
        Ok(bytes)
    }
}

impl Value for u64 {
    const CLASS: &'static str = "number";

    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String> {
        if is_packed {
            unpacked(bytes)
        } else if bytes.iter().all(|byte| *byte == b' ') {
            Ok(0)
        } else {
            digits(bytes.iter().map(|byte| byte.wrapping_sub(b'0')))
                .ok_or_else(|| "must be digits".to_owned())
        }
    }

    fn write(&self, width: Width, coding: Coding) -> Result<Vec<u8>, String> {
        let text = format!("{self:0digits$}", digits = width.chars);
        if text.len() > width.chars {
            return Err(format!("must have at most {} digits", width.chars));
        }
        Ok(if width.is_packed(coding) {
            packed(&text, width.packed)
        } else {
            text.into_bytes()
        })
    }
}

/// The number of decimal digits, unless one of them is none or there are too many.
fn digits(values: impl Iterator<Item = u8>) -> Option<u64> {
    values.into_iter().try_fold(0_u64, |number, digit| {
        let digit = (digit < 10).then_some(digit)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

fn unpacked(bytes: &[u8]) -> Result<u64, String> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(0);
    }
    let halves: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .collect();
    let wrong = || "must be a packed decimal: digits, and C or F as its last half byte".to_owned();
    let (sign, number) = halves.split_last().ok_or_else(wrong)?;
    let number = digits(number.iter().copied()).ok_or_else(wrong)?;
    match sign {
        0xa | 0xc | 0xe | 0xf => Ok(number),
        0xb | 0xd if number == 0 => Ok(number),
        0xb | 0xd => Err("must not be negative".to_owned()),
        _ => Err(wrong()),
    }
}

/// The packed decimal of `digits`, in `bytes` bytes.
fn packed(digits: &str, bytes: usize) -> Vec<u8> {
    let mut halves = vec![0; (bytes * 2).saturating_sub(digits.len() + 1)];
    halves.extend(digits.bytes().map(|digit| digit.wrapping_sub(b'0')));
    halves.push(0xc);
    let pairs = halves.chunks(2);
    pairs
        .map(|pair| pair.iter().fold(0, |byte, half| byte << 4 | half))
        .collect()
}

impl Value for Option<Day> {
    const CLASS: &'static str = "date";

    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String> {
        day(u64::read(bytes, is_packed)?)
    }

    fn write(&self, width: Width, coding: Coding) -> Result<Vec<u8>, String> {
        self.map_or(0, day_number).write(width, coding)
    }
}

/// The day that the digits `MMDDYYYY` name; none for zeros.
fn day(number: u64) -> Result<Option<Day>, String> {
    if number == 0 {
        return Ok(None);
    }
    let wrong = || "must be a day, MMDDYYYY".to_owned();
    let year = i32::try_from(number % 10_000).ok().filter(|year| *year > 0);
    let month = u8::try_from(number / 1_000_000);
    let day = u8::try_from(number / 10_000 % 100);
    let (Some(year), Ok(month), Ok(day)) = (year, month, day) else {
        return Err(wrong());
    };
    Day::from_calendar(year, month, day)
        .map(Some)
        .ok_or_else(wrong)
}

/// The digits `MMDDYYYY` of a day.
fn day_number(day: Day) -> u64 {
    let text = day.to_string();
    let mut parts = text.split('-').map(|part| part.parse().unwrap_or(0));
    let (year, month, day): (u64, u64, u64) = (
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
    );
    month * 1_000_000 + day * 10_000 + year
}

const SECONDS_A_DAY: u64 = 86_400;

impl Value for Option<Timestamp> {
    const CLASS: &'static str = "moment";

    fn read(bytes: &[u8], is_packed: bool) -> Result<Self, String> {
        let number = u64::read(bytes, is_packed)?;
        let (hour, minute, second) = (number / 10_000 % 100, number / 100 % 100, number % 100);
        let wrong = || "must be a moment, MMDDYYYYHHMMSS".to_owned();
        let day = day(number / 1_000_000).map_err(|_| wrong())?;
        if hour > 23 || minute > 59 || second > 59 || (day.is_none() && number > 0) {
            return Err(wrong());
        }
        let seconds = i64::try_from(hour * 3_600 + minute * 60 + second).unwrap_or(0);
        Ok(day.map(|day| Timestamp::from_unix_ms(day.start().unix_ms() + seconds * 1_000)))
    }

    fn write(&self, width: Width, coding: Coding) -> Result<Vec<u8>, String> {
        let number = self.map_or(0, |moment| {
            let day = moment.day();
            let ms = moment.unix_ms() - day.start().unix_ms();
            let seconds = u64::try_from(ms / 1_000).unwrap_or(0) % SECONDS_A_DAY;
            let clock = seconds / 3_600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60;
            day_number(day) * 1_000_000 + clock
        });
        number.write(width, coding)
    }
}
