//! Cuts a stream of bytes into lines, with a bound on what it holds.
//!
//! Both ends of the newline-delimited interface read through this. A line that is too long is
//! reported once and skipped, and the lines after it are read as usual: the connection survives.

/// Room for one read. Larger reads save system calls when calls are pipelined.
const CHUNK_BYTES: usize = 16 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP_BYTES: usize = 4 * CHUNK_BYTES;

/// What [`LineBuffer::show`] shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line with something in it, without its end.
    Text(&'a str),
    /// A line longer than the bound began; it will be skipped.
    TooLong,
    /// A line that is not UTF-8.
    NotText,
}

/// Where a line is; without a place, one that is too long. Good until the buffer is read into.
#[derive(Debug)]
pub(crate) struct Found(Option<std::ops::Range<usize>>);

/// Bytes read and not yet cut into lines.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the bytes that were read end; what follows is room.
    end: usize,
    /// Where the first line not yet handed out begins.
    start: usize,
    /// Up to where there is no line end after `start`.
    searched: usize,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
    line_bytes_max: usize,
}

impl LineBuffer {
    /// An empty buffer for lines of at most so many bytes.
    pub(crate) fn new(line_bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            end: 0,
            start: 0,
            searched: 0,
            skipping: false,
            line_bytes_max,
        }
    }

    /// Room to read into; tell [`LineBuffer::filled`] how much was used.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.searched = 0;
            if self.bytes.len() > KEEP_BYTES {
                self.bytes = Vec::new();
            }
        }
        if self.bytes.len() - self.end < CHUNK_BYTES / 4 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.searched -= self.start;
            self.start = 0;
            // Doubling keeps the work for a long line linear; the bound on lines bounds it.
            let room = CHUNK_BYTES.max(self.end);
            if self.bytes.len() < self.end + room {
                self.bytes.resize(self.end + room, 0);
            }
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Adds bytes that were read elsewhere.
    #[cfg(feature = "server")]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.room();
            let (piece, rest) = bytes.split_at(bytes.len().min(room.len()));
            room.iter_mut()
                .zip(piece)
                .for_each(|(to, from)| *to = *from);
            self.filled(piece.len());
            bytes = rest;
        }
    }

    /// Notes that so many bytes of the room were filled.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Whether a line has begun and not ended.
    pub(crate) fn is_amid_line(&self) -> bool {
        self.start < self.end || self.skipping
    }

    /// The next line that is complete, or a complaint. Empty lines are passed over.
    #[cfg(test)]
    fn next_line(&mut self) -> Option<Line<'_>> {
        let found = self.find()?;
        Some(self.show(found))
    }

    /// Steps over the next complete line and tells where it is, for [`LineBuffer::show`].
    pub(crate) fn find(&mut self) -> Option<Found> {
        loop {
            let unsearched = self.bytes.get(self.searched..self.end).unwrap_or_default();
            let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.end;
                return self.unfinished();
            };
            let line_end = self.searched + length;
            let line = self.start..line_end;
            self.start = line_end + 1;
            self.searched = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > self.line_bytes_max {
                return Some(Found(None));
            }
            let blank = self
                .bytes
                .get(line.clone())
                .is_none_or(|line| line.iter().all(u8::is_ascii_whitespace));
            if !blank {
                return Some(Found(Some(line)));
            }
        }
    }

    /// The line that was found last.
    pub(crate) fn show(&self, found: Found) -> Line<'_> {
        let Some(line) = found.0.and_then(|range| self.bytes.get(range)) else {
            return Line::TooLong;
        };
        std::str::from_utf8(line).map_or(Line::NotText, Line::Text)
    }

    /// Deals with a line whose end has not come: it may be too long already.
    fn unfinished(&mut self) -> Option<Found> {
        if self.skipping {
            self.start = self.end;
            return None;
        }
        if self.end - self.start <= self.line_bytes_max {
            return None;
        }
        self.start = self.end;
        self.skipping = true;
        Some(Found(None))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the bytes in pieces of the given sizes and notes what comes out.
    fn cut(bytes: &[u8], sizes: &[usize], max: usize) -> Vec<Result<String, bool>> {
        let mut buffer = LineBuffer::new(max);
        let mut found = Vec::new();
        let mut rest = bytes;
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let room = buffer.room();
            let count = sizes
                .next()
                .unwrap_or(1)
                .clamp(1, room.len())
                .min(rest.len());
            let (piece, after) = rest.split_at(count);
            room[..count].copy_from_slice(piece);
            buffer.filled(count);
            rest = after;
            while let Some(line) = buffer.next_line() {
                found.push(match line {
                    Line::Text(text) => Ok(text.to_owned()),
                    Line::TooLong => Err(true),
                    Line::NotText => Err(false),
                });
            }
        }
        found
    }

    fn text(text: &str) -> Result<String, bool> {
        Ok(text.to_owned())
    }

    #[test]
    fn lines_come_out_whole() {
        for size in 1..12 {
            assert_eq!(
                cut(b"one\n\n  \r\ntwo\r\nthree", &[size], 100),
                [text("one"), text("two\r")]
            );
        }
    }

    #[test]
    fn a_line_too_long_is_told_once_and_the_next_is_good() {
        let bytes = [
            vec![b'x'; 50],
            b"\ngood\n".to_vec(),
            vec![b'y'; 11],
            b"\nfine\n".to_vec(),
        ]
        .concat();
        for size in 1..70 {
            assert_eq!(
                cut(&bytes, &[size], 10),
                [Err(true), text("good"), Err(true), text("fine")],
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_fine() {
        assert_eq!(cut(b"0123456789\n", &[4], 10), [text("0123456789")]);
        assert_eq!(cut(b"01234567890\n", &[4], 10), [Err(true)]);
    }

    #[test]
    fn what_is_not_text_is_told() {
        assert_eq!(cut(b"\xff\xfe\nok\n", &[3], 10), [Err(false), text("ok")]);
    }

    #[test]
    fn an_endless_line_takes_no_more_room_than_the_bound_allows() {
        let mut buffer = LineBuffer::new(100_000);
        for _ in 0..1_000 {
            let room = buffer.room();
            room.fill(b'x');
            let count = room.len();
            buffer.filled(count);
            while buffer.next_line().is_some() {}
        }
        assert!(buffer.bytes.len() < 300_000, "{}", buffer.bytes.len());
    }

    #[test]
    fn room_is_given_back() {
        let mut buffer = LineBuffer::new(1 << 20);
        for byte in std::iter::repeat_n(b'x', 500_000).chain([b'\n']) {
            buffer.room()[0] = byte;
            buffer.filled(1);
        }
        assert!(matches!(buffer.next_line(), Some(Line::Text(_))));
        assert!(buffer.room().len() <= KEEP_BYTES);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b' '), any::<u8>()], 0..400),
            sizes in prop::collection::vec(1_usize..50, 1..8),
            max in 1_usize..40,
        ) {
            prop_assert_eq!(cut(&bytes, &sizes, max), cut(&bytes, &[usize::MAX], max));
        }
    }
}
