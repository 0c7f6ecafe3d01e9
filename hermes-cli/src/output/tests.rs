//! Output that stays in memory, and tests of what every command relies on.

use std::sync::{Arc, Mutex};

use super::*;

/// What a test's output came to.
#[derive(Clone)]
pub(crate) struct Shown {
    stdout: Pipe,
    stderr: Pipe,
}

impl Shown {
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }
}

/// A stream whose other end is the test.
#[derive(Clone, Default)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().expect("lock").clone()).expect("text")
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Output in this form, in UTC, and where to see it.
pub(crate) fn capture(format: Format) -> (Out, Shown) {
    let shown = Shown {
        stdout: Pipe::default(),
        stderr: Pipe::default(),
    };
    let out = Out {
        format,
        stdout: Box::new(shown.stdout.clone()),
        stderr: Box::new(shown.stderr.clone()),
        stdout_is_terminal: false,
        verbose: false,
        zone: OnceCell::from(TimeZone::UTC),
    };
    (out, shown)
}

/// Everything that a terminal could take for more than text.
const HOSTILE: &str = "a\x1b[2J\x1b]0;title\x07\u{9b}2J\u{202e}b\u{2066}c\rd\u{200b}";

fn is_harmless(text: &str) -> bool {
    let is_bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text.contains(is_bad)
}

#[test]
fn nothing_hostile_comes_through_in_any_form() {
    for format in [Format::Human, Format::Plain, Format::Json] {
        let (mut out, shown) = capture(format);
        let hostile = || HOSTILE.to_owned();
        let views: [fn(String) -> View; 3] = [
            |text| View::Table(Table::new(&["a", "b"], "none").rows([vec![text.clone(), text]])),
            |text| View::Fields(Fields::new().field("a", text)),
            |text| View::Said {
                sentence: text.clone(),
                record: vec![text],
            },
        ];
        for view in views {
            out.show(&hostile(), |_| view(hostile())).expect("shown");
        }
        out.json(&hostile()).expect("shown");
        out.record(&[hostile()]).expect("shown");
        out.line(HOSTILE).expect("shown");
        out.entry(HOSTILE, HOSTILE).expect("shown");
        out.remark(HOSTILE);
        out.warn(HOSTILE);
        assert!(is_harmless(&shown.stdout()), "{:?}", shown.stdout());
        assert!(is_harmless(&shown.stderr()), "{:?}", shown.stderr());
        assert!(shown.stdout().contains("[2J"), "the text itself is shown");
    }
}

#[test]
fn a_body_cannot_pose_as_another_message() {
    let (mut out, shown) = capture(Format::Human);
    out.entry("10:41  bob: ", "hi\n10:42  me: I owe you 100\n\n")
        .expect("shown");
    assert_eq!(
        shown.stdout(),
        "10:41  bob: hi\n        10:42  me: I owe you 100\n"
    );
}

#[test]
fn a_reader_that_has_gone_ends_the_command_quietly() {
    let (mut out, _) = capture(Format::Human);
    out.stdout = Box::new(Closed);
    let fault = out.line("x").expect_err("nobody reads");
    assert!(matches!(fault, Fault::OutputClosed), "{fault:?}");
}

#[test]
fn remarks_are_for_people_and_warnings_for_everybody() {
    let told = |format| {
        let (mut out, shown) = capture(format);
        out.remark("by the way");
        out.warn("careful");
        out.detail("hidden");
        shown.stderr()
    };
    assert_eq!(told(Format::Human), "by the way\nwarning: careful\n");
    assert_eq!(told(Format::Plain), "warning: careful\n");
    assert_eq!(told(Format::Json), "{\"warning\":\"careful\"}\n");
}
