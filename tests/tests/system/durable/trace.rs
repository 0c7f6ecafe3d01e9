//! System calls of a program, as `strace` writes them down.
//!
//! `strace` stays in the background, so the program itself is the child of the test and gets the test's signals. It writes into a
//! named pipe, whose end tells that the program has ended and that nothing is missing.

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    fs::File,
    io::Read as _,
    process::Command,
    sync::mpsc::{self, Receiver},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use hermes_tests::{PATIENCE, run};
use tempfile::TempDir;

const WATCHED: &str = "trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,recvmmsg,write,writev,sendto,sendmsg,sendmmsg";

/// Bytes of each buffer that are written down; enough for the heads of a few lines of JSON.
const SHOWN: &str = "2048";

/// A program under observation.
pub(super) struct Trace {
    text: Receiver<std::io::Result<Vec<u8>>>,
    _folder: TempDir,
}

/// The command that runs a command under observation; `None` where `strace` is missing and need not be there.
pub(super) fn traced(command: &Command) -> Result<Option<(Command, Trace)>> {
    let mut version = Command::new("strace");
    version.arg("--version");
    if let Err(error) = run(version) {
        ensure!(
            env::var_os("HERMES_REQUIRE_TOOLS").is_none(),
            "strace is needed here: {error:#}"
        );
        eprintln!("skipped: strace is not installed");
        return Ok(None);
    }
    let folder = tempfile::tempdir().context("a folder for the trace")?;
    let pipe = folder.path().join("trace");
    let mut make = Command::new("mkfifo");
    make.arg(&pipe);
    run(make)?.success().context("a named pipe")?;

    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-yy", "-ttt", "-s", SHOWN, "-e", WATCHED])
        .args(["-e", "signal=none", "-o"])
        .arg(&pipe)
        .arg(command.get_program())
        .args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(variable, value),
            None => strace.env_remove(variable as &OsStr),
        };
    }
    let (sender, text) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut bytes));
        let _ = sender.send(read.map(|_| bytes));
    });
    let trace = Trace {
        text,
        _folder: folder,
    };
    Ok(Some((strace, trace)))
}

impl Trace {
    /// Everything that was seen, once the program has ended.
    pub(super) fn finish(self) -> Result<Vec<Call>> {
        let text = self
            .text
            .recv_timeout(PATIENCE)
            .context("the trace has no end")??;
        let calls = parse(&String::from_utf8_lossy(&text));
        ensure!(!calls.is_empty(), "strace saw nothing");
        Ok(calls)
    }
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The journal of a database.
    Journal,
    /// A connection on a Unix socket.
    Unix,
    /// A UDP socket.
    Udp,
    /// Anything else.
    Other,
}

/// One system call that returned.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) fd: i32,
    pub(super) kind: Kind,
    /// Line of the trace in which it was entered, and in which it returned. Across threads this is the order of things.
    pub(super) began: usize,
    pub(super) ended: usize,
    /// Microseconds since 1970 when it was entered.
    pub(super) at_us: u128,
    pub(super) result: i64,
    pub(super) text: String,
}

/// A datagram, or several to or from the same port in one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram {
    pub(super) port: u16,
    pub(super) bytes: usize,
}

impl Call {
    /// Whether it put the journal on the disk.
    pub(super) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync")
            && self.kind == Kind::Journal
            && self.result == 0
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(
            self.name.as_str(),
            "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg"
        ) && self.result > 0
    }

    pub(super) fn is_write(&self) -> bool {
        matches!(
            self.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg"
        ) && self.result > 0
    }

    /// The datagrams that it carried.
    pub(super) fn datagrams(&self) -> Vec<Datagram> {
        if self.kind != Kind::Udp || self.result <= 0 {
            return Vec::new();
        }
        let several = self.name.ends_with("mmsg");
        let mut found = Vec::new();
        for part in self.text.split("port=htons(").skip(1) {
            let Some(port) = number(part) else { continue };
            let bytes = if several {
                part.split(", msg_len=").nth(1).and_then(number)
            } else {
                usize::try_from(self.result).ok()
            };
            found.extend(bytes.map(|bytes: usize| Datagram { port, bytes }));
        }
        found
    }
}

/// Now, on the clock of the trace.
#[allow(clippy::disallowed_methods, reason = "the clock that strace uses")]
pub(super) fn now_us() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros()
}

pub(super) fn parse(text: &str) -> Vec<Call> {
    let (mut calls, mut open) = (Vec::new(), HashMap::new());
    for (at, line) in text.lines().enumerate() {
        let mut words = line.trim_start().splitn(2, char::is_whitespace);
        let (Some(thread), Some(rest)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((time, rest)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        let mut call = if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(mut call): Option<Call> = open.remove(thread) else {
                continue;
            };
            call.text
                .push_str(resumed.split_once("resumed>").map_or("", |(_, rest)| rest));
            call
        } else {
            let Some((name, text)) = rest.split_once('(') else {
                continue;
            };
            Call {
                name: name.to_owned(),
                fd: number(text).unwrap_or(-1),
                kind: kind(text),
                began: at,
                ended: at,
                at_us: time.replace('.', "").parse().unwrap_or_default(),
                result: -1,
                text: text.to_owned(),
            }
        };
        if let Some(begun) = call.text.strip_suffix("<unfinished ...>") {
            call.text = begun.to_owned();
            open.insert(thread.to_owned(), call);
            continue;
        }
        call.ended = at;
        call.result = call
            .text
            .rsplit_once(" = ")
            .and_then(|(_, result)| number(result))
            .unwrap_or(-1);
        calls.push(call);
    }
    calls.sort_by_key(|call| call.began);
    calls
}

fn kind(text: &str) -> Kind {
    let about = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let path = about.split('>').next().unwrap_or_default();
    if about.starts_with("<UDP") {
        Kind::Udp
    } else if about.starts_with("<UNIX-STREAM") {
        Kind::Unix
    } else if path.ends_with(".jnl") {
        Kind::Journal
    } else {
        Kind::Other
    }
}

/// The number at the front of a text; none if it is negative or no number.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}
