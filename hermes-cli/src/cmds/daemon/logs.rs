//! `daemon logs`: the last lines of the daemon's log, from its file or the journal, and what follows.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::super::Context;
use crate::door::Launcher;
use crate::fault::Fault;
use crate::output::{Format, Out};

/// Bytes at the end of the log that are looked at for its last lines.
const TAIL_BYTES: u64 = 1024 * 1024;

/// Bytes read at a time while following; a longer line is shown in pieces.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Between two looks at a log that is followed.
const POLL_PAUSE: Duration = Duration::from_millis(200);

/// Print the log of a daemon that this program started
///
/// A daemon that the service manager started logs to the journal, which is shown then.
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// How many of the last lines to print
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 50)]
    number: usize,
    /// Go on printing what is logged
    #[arg(long, short)]
    follow: bool,
}

impl Logs {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        let paths = context.door.paths()?;
        let path = paths.log_file();
        let out = &mut context.out;
        let mut log = match Log::open(path.clone()) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if paths.home().is_none() && cfg!(target_os = "linux") {
                    return self.journal(out);
                }
                return Err(
                    Fault::failed(format!("there is no log at {}", path.display()))
                        .hint("a log is written by a daemon that hermes-cli started"),
                );
            }
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let lines = log.tail().map_err(|error| cannot_read(&path, &error))?;
        let first = lines.len().saturating_sub(self.number);
        for line in lines.iter().skip(first) {
            print(line, out)?;
        }
        if !self.follow {
            return Ok(());
        }
        loop {
            out.flush()?;
            sleep(POLL_PAUSE).await;
            for line in log.more().map_err(|error| cannot_read(&path, &error))? {
                print(&line, out)?;
            }
        }
    }

    /// Has journalctl print the log; it makes control characters visible by itself.
    fn journal(&self, out: &mut Out) -> Result<(), Fault> {
        out.flush()?;
        let mut command = Command::new("journalctl");
        command.args(["--user", "--unit", "hermesd", "--no-pager", "--lines"]);
        command.arg(self.number.to_string());
        if self.follow {
            command.arg("--follow");
        }
        let status = command
            .status()
            .map_err(|error| Fault::system("cannot run journalctl", &error))?;
        if status.success() {
            return Ok(());
        }
        Err(Fault::failed("journalctl found nothing"))
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Fault {
    Fault::system(format!("cannot read {}", path.display()), error)
}

fn print(line: &str, out: &mut Out) -> Result<(), Fault> {
    match out.format() {
        Format::Json => out.json(&serde_json::json!({ "line": line })),
        Format::Human | Format::Plain => out.line(line),
    }
}

/// A log file that may grow, or be set aside for a new one.
struct Log {
    path: PathBuf,
    file: File,
    position: u64,
    /// A line whose end has not been written.
    unfinished: Vec<u8>,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self {
            path,
            file,
            position: 0,
            unfinished: Vec::new(),
        })
    }

    /// The last lines.
    fn tail(&mut self) -> io::Result<Vec<String>> {
        let end = self.file.metadata()?.len();
        self.position = end.saturating_sub(TAIL_BYTES);
        let is_cut = self.position > 0;
        let mut lines = Vec::new();
        while self.position < end {
            let found = self.read()?;
            if found.is_empty() && self.unfinished.is_empty() {
                break;
            }
            lines.extend(found);
        }
        if is_cut && !lines.is_empty() {
            lines.remove(0);
        }
        Ok(lines)
    }

    /// The lines that came since.
    fn more(&mut self) -> io::Result<Vec<String>> {
        let length = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            // It was set aside, and the new one has not come yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if length < self.position {
            *self = Self::open(self.path.clone())?;
        }
        self.read()
    }

    fn read(&mut self) -> io::Result<Vec<String>> {
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        let count = (&self.file).take(CHUNK_BYTES).read_to_end(&mut bytes)?;
        self.position += count as u64;
        self.unfinished.extend(bytes);
        let end = self.unfinished.iter().rposition(|byte| *byte == b'\n');
        let cut = match end {
            Some(end) => end + 1,
            None if self.unfinished.len() as u64 >= CHUNK_BYTES => self.unfinished.len(),
            None => 0,
        };
        let rest = self.unfinished.split_off(cut);
        let text = std::mem::replace(&mut self.unfinished, rest);
        let lines = String::from_utf8_lossy(&text);
        Ok(lines.lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_is_read_from_its_end_and_on() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hermesd.log");
        let mut file = File::create(&path).expect("file");
        file.write_all(b"one\ntwo\nthr").expect("written");
        let mut log = Log::open(path.clone()).expect("log");
        assert_eq!(log.tail().expect("tail"), ["one", "two"]);
        assert!(log.more().expect("more").is_empty());
        file.write_all(b"ee\nfour\n").expect("written");
        assert_eq!(log.more().expect("more"), ["three", "four"]);
        std::fs::rename(&path, folder.path().join("hermesd.log.old")).expect("set aside");
        assert!(log.more().expect("more").is_empty());
        std::fs::write(&path, "new\n").expect("written");
        assert_eq!(log.more().expect("more"), ["new"]);
    }

    #[test]
    fn a_long_log_is_cut_at_a_line() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hermesd.log");
        let line = "x".repeat(999);
        std::fs::write(&path, format!("{line}\n").repeat(3_000)).expect("written");
        let lines = Log::open(path).expect("log").tail().expect("tail");
        assert!(lines.len() > 1_000, "{}", lines.len());
        assert!(lines.iter().all(|found| *found == line));
    }
}
