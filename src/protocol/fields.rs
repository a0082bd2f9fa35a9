//! Reading the fields of a stored row, one after the other.

/// What is left of a row. Numbers are big-endian; short texts have their length before them.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// A row from its beginning.
    pub(super) const fn of(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The next 8 bytes as a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next 8 bytes as a signed number.
    pub(super) fn signed(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text with its length, two bytes, before it.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let count = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.bytes(usize::from(count))?).ok()
    }

    /// Bytes with their length, two bytes, before them.
    pub(super) fn sized(&mut self) -> Option<&'a [u8]> {
        let count = u16::from_be_bytes(self.array()?);
        self.bytes(usize::from(count))
    }

    /// Nothing is left.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Appends bytes with their length, two bytes, before them. Longer ones are cut, which the reader
/// then refuses; nothing that is stored this way comes near 64 KiB.
pub(super) fn put_sized(row: &mut Vec<u8>, bytes: &[u8]) {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    row.extend_from_slice(&count.to_be_bytes());
    row.extend_from_slice(bytes.get(..usize::from(count)).unwrap_or_default());
}
