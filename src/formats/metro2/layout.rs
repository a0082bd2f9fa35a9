//! The frame of the segment tables: one line a field, from which reading, writing and positions
//! follow.

use super::coding::{Coding, Value, Width};
use crate::formats::reject::Problem;

/// A field as the table of its segment tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) width: Width,
    pub(super) class: &'static str,
}

/// What is wrong in a file, and where. It never carries a value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) segment: &'static str,
    pub(super) field: &'static str,
    pub(super) class: &'static str,
    /// First and last byte, counted from 1 in the segment.
    pub(super) positions: (usize, usize),
    pub(super) reason: String,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let (first, last) = fault.positions;
        Self {
            field: format!("{} {}", fault.segment, fault.field),
            class: fault.class,
            reason: format!("positions {first} to {last}: {}", fault.reason),
        }
    }
}

/// A segment or record of fixed layout.
pub(super) trait Layout: Sized {
    /// What it is called in rejects and documentation.
    const LABEL: &'static str;
    /// Position of the first field, from 1: what stands before tells what the segment is.
    const START: usize;
    /// The fields in their order, without gaps.
    const FIELDS: &'static [Field];

    /// The segment in `bytes`, from its first byte.
    fn read(bytes: &[u8], coding: Coding) -> Result<Self, Fault>;

    /// Appends the fields of the segment, without what stands before them.
    fn write(&self, coding: Coding, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Bytes of the whole segment.
    fn length(coding: Coding) -> usize {
        let fields = Self::FIELDS.iter();
        Self::START - 1
            + fields
                .map(|field| field.width.in_coding(coding))
                .sum::<usize>()
    }

    /// First and last byte of the field `name`, from 1.
    fn positions(name: &str, coding: Coding) -> Option<(usize, usize)> {
        let mut first = Self::START;
        for field in Self::FIELDS {
            let after = first + field.width.in_coding(coding);
            if field.name == name {
                return Some((first, after - 1));
            }
            first = after;
        }
        None
    }

    /// A fault in the field `name`.
    fn fault(name: &'static str, coding: Coding, reason: impl Into<String>) -> Fault {
        let field = Self::FIELDS.iter().find(|field| field.name == name);
        Fault {
            segment: Self::LABEL,
            field: name,
            class: field.map_or("number", |field| field.class),
            positions: Self::positions(name, coding).unwrap_or((1, Self::START - 1)),
            reason: reason.into(),
        }
    }
}

/// Takes the fields of one segment off its bytes.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    coding: Coding,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], start: usize, coding: Coding) -> Self {
        Self {
            rest: bytes.get(start - 1..).unwrap_or_default(),
            coding,
        }
    }

    pub(super) fn take<T: Value>(&mut self, width: Width) -> Result<T, String> {
        let (field, rest) = self
            .rest
            .split_at_checked(width.in_coding(self.coding))
            .ok_or("is cut off: the record ends before it")?;
        self.rest = rest;
        T::read(field, width.is_packed(self.coding))
    }
}

/// A segment as a struct with one typed field a line, and its [`Layout`]. After each type stand
/// the bytes that the field takes in characters, and packed.
macro_rules! segment {
    ($(#[$doc:meta])* $name:ident $label:literal from $start:literal {
        $($field:ident: $type:ty = $chars:literal / $packed:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Default)]
        pub(super) struct $name {
            $(pub(super) $field: $type,)*
        }

        impl $crate::formats::metro2::layout::Layout for $name {
            const LABEL: &'static str = $label;
            const START: usize = $start;
            const FIELDS: &'static [$crate::formats::metro2::layout::Field] = &[
                $($crate::formats::metro2::layout::Field {
                    name: stringify!($field),
                    width: $crate::formats::metro2::coding::Width {
                        chars: $chars,
                        packed: $packed,
                    },
                    class: <$type as $crate::formats::metro2::coding::Value>::CLASS,
                },)*
            ];

            fn read(
                bytes: &[u8],
                coding: $crate::formats::metro2::coding::Coding,
            ) -> Result<Self, $crate::formats::metro2::layout::Fault> {
                use $crate::formats::metro2::{coding::Width, layout::Cursor};
                let mut cursor = Cursor::new(bytes, $start, coding);
                Ok(Self {
                    $($field: cursor
                        .take(Width { chars: $chars, packed: $packed })
                        .map_err(|reason| Self::fault(stringify!($field), coding, reason))?,)*
                })
            }

            fn write(
                &self,
                coding: $crate::formats::metro2::coding::Coding,
                out: &mut Vec<u8>,
            ) -> Result<(), $crate::formats::metro2::layout::Fault> {
                use $crate::formats::metro2::coding::{Value, Width};
                $(out.extend(
                    Value::write(&self.$field, Width { chars: $chars, packed: $packed }, coding)
                        .map_err(|reason| Self::fault(stringify!($field), coding, reason))?,
                );)*
                Ok(())
            }
        }

        #[cfg(test)]
        impl $crate::formats::metro2::drawn::Drawn for $name {
            fn drawn(
                draw: &mut $crate::formats::metro2::drawn::Draw,
                _: $crate::formats::metro2::coding::Width,
            ) -> Self {
                use $crate::formats::metro2::{coding::Width, drawn::Drawn};
                Self {
                    $($field: Drawn::drawn(draw, Width { chars: $chars, packed: $packed }),)*
                }
            }
        }

        /// Shows what it is, and nothing of a borrower.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($label)
            }
        }
    };
}
pub(super) use segment;
