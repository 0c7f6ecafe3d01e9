//! Strict reading and plain writing of fixed-width little-endian bytes (protocol section 1).
//!
//! A [`Reader`] walks over a slice and hands out borrowed parts, so that large bodies are never copied while they are
//! checked. Whoever decodes a whole object calls [`Reader::finish`] last: a single unread byte is an error.
//! Types that stand on the wire implement [`Wire`]; its provided `decode` does exactly that.

use thiserror::Error;

/// Why bytes are not what they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends too early.
    #[error("input ends too early: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that were asked for.
        needed: usize,
        /// Bytes that were there.
        left: usize,
    },
    /// The input goes on after its end.
    #[error("{left} bytes after the end")]
    Trailing {
        /// Bytes that nobody read.
        left: usize,
    },
    /// A length or count lies outside its range.
    #[error("length {len} of {field} is out of range")]
    Length {
        /// Which length.
        field: &'static str,
        /// What it says.
        len: usize,
    },
    /// A field holds a value that this version does not allow.
    #[error("{field} has a value that is not allowed: {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
    },
    /// A text is not UTF-8.
    #[error("{field} is not UTF-8")]
    Utf8 {
        /// Which text.
        field: &'static str,
    },
    /// A public key is not canonical, has small order or a torsion component.
    #[error("{field} is not an acceptable key")]
    Key {
        /// Which key.
        field: &'static str,
    },
}

/// Something with exactly one form in bytes.
pub trait Wire: Sized {
    /// Appends the bytes of `self`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value from the front of `r`.
    ///
    /// # Errors
    /// If the bytes there are not a well-formed value.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The bytes of `self`.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a value that is all of `bytes`.
    ///
    /// # Errors
    /// If `bytes` is not exactly one well-formed value.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        r.finish()?;
        Ok(value)
    }
}

/// A cursor over received bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends reading.
    ///
    /// # Errors
    /// If a byte is left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(DecodeError::Truncated {
                needed: n,
                left: self.rest.len(),
            })?;
        self.rest = rest;
        Ok(head)
    }

    /// All bytes that are left.
    #[must_use]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `N` bytes, borrowed.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn array_ref<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated {
                needed: N,
                left: self.rest.len(),
            })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.array_ref().copied()
    }

    /// The next byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }

    /// The next two bytes as a number.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes as a number.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A `u8` that must have one certain value, such as a version.
    ///
    /// # Errors
    /// If it has another one, or at the end.
    pub fn expect_u8(&mut self, field: &'static str, want: u8) -> Result<(), DecodeError> {
        let got = self.u8()?;
        if got == want {
            Ok(())
        } else {
            Err(DecodeError::Value {
                field,
                value: got.into(),
            })
        }
    }

    /// Bytes after a `u8` length of at most `max`.
    ///
    /// # Errors
    /// If the length is above `max` or fewer bytes are left.
    pub fn var8(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u8()?);
        self.bounded(field, len, max)
    }

    /// Bytes after a `u16` length of at most `max`.
    ///
    /// # Errors
    /// If the length is above `max` or fewer bytes are left.
    pub fn var16(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16()?);
        self.bounded(field, len, max)
    }

    /// UTF-8 text after a `u8` length of at most `max` bytes.
    ///
    /// # Errors
    /// If the length is above `max`, fewer bytes are left, or they are not UTF-8.
    pub fn text8(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.var8(field, max)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8 { field })
    }

    /// A `u8` count within `min..=max`.
    ///
    /// # Errors
    /// If it lies outside, or at the end.
    pub fn count8(
        &mut self,
        field: &'static str,
        min: usize,
        max: usize,
    ) -> Result<usize, DecodeError> {
        let n = usize::from(self.u8()?);
        within(field, n, min, max)
    }

    /// A `u16` count within `min..=max`.
    ///
    /// # Errors
    /// If it lies outside, or at the end.
    pub fn count16(
        &mut self,
        field: &'static str,
        min: usize,
        max: usize,
    ) -> Result<usize, DecodeError> {
        let n = usize::from(self.u16()?);
        within(field, n, min, max)
    }

    fn bounded(
        &mut self,
        field: &'static str,
        len: usize,
        max: usize,
    ) -> Result<&'a [u8], DecodeError> {
        if len > max {
            return Err(DecodeError::Length { field, len });
        }
        self.take(len)
    }
}

fn within(field: &'static str, n: usize, min: usize, max: usize) -> Result<usize, DecodeError> {
    if (min..=max).contains(&n) {
        Ok(n)
    } else {
        Err(DecodeError::Length { field, len: n })
    }
}

/// Appending of the protocol's elements to a buffer.
///
/// The methods with a length or count in front never write one that is wrong: what a length cannot express is cut off.
/// The types that use them keep their own, smaller limits, so nothing is ever cut in practice.
pub trait Put {
    /// One byte.
    fn put_u8(&mut self, v: u8);
    /// Two bytes.
    fn put_u16(&mut self, v: u16);
    /// Four bytes.
    fn put_u32(&mut self, v: u32);
    /// Eight bytes.
    fn put_u64(&mut self, v: u64);
    /// Bytes as they are.
    fn put(&mut self, bytes: &[u8]);
    /// A `u8` length and the bytes.
    fn put_var8(&mut self, bytes: &[u8]);
    /// A `u16` length and the bytes.
    fn put_var16(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, v: u8) {
        self.push(v);
    }

    fn put_u16(&mut self, v: u16) {
        self.extend_from_slice(&v.to_le_bytes());
    }

    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_le_bytes());
    }

    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_le_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_var8(&mut self, bytes: &[u8]) {
        let n = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.push(n);
        self.extend(bytes.iter().take(usize::from(n)));
    }

    fn put_var16(&mut self, bytes: &[u8]) {
        let n = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put_u16(n);
        self.extend_from_slice(bytes.get(..usize::from(n)).unwrap_or(bytes));
    }
}
