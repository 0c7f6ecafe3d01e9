//! hermes-tui in a terminal: the first screen, a key, and what it weighs.
//!
//! The terminal comes from `script` of util-linux, whose output is read as it comes. What that costs by itself is measured in the same
//! way, with a program that does nothing but print.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Options, crowd, pair,
    report::{Goal, Row},
};
use crate::{
    lab::{Lab, Person},
    nest::{Nest, PATIENCE},
    programs::Programs,
};

/// Stands in no escape sequence and on no screen before it is typed.
const KEY: u8 = b'Z';

/// The friend whose name on the screen shows that the conversations are drawn.
const FRIEND: &str = "waldorf";

pub(super) fn measure(
    nest: &Arc<Nest>,
    programs: &Arc<Programs>,
    options: &Options,
) -> Result<Vec<Row>> {
    ensure!(
        cfg!(target_os = "linux"),
        "it needs `script` of util-linux and /proc"
    );
    let lab = Lab::start(nest, programs, 1, 6)?;
    let (mut owner, mut friend) = (lab.person("statler"), lab.person(FRIEND));
    owner.start()?;
    friend.start()?;
    pair::befriend(&owner, &friend)?;
    pair::send_pipelined(&mut owner.rpc()?, FRIEND, "on the screen", 50)?;

    let (mut first, mut floor, mut keys, mut rss) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.size(11, 3) {
        floor.push(Terminal::open(&format!("printf {FRIEND}"))?.until(FRIEND.as_bytes())?);
        let mut tui = Terminal::open(&tui(programs, &owner)?)?;
        first.push(tui.until(FRIEND.as_bytes())?);
        // The screen comes to rest before a key is timed.
        thread::sleep(Duration::from_millis(200));
        for _ in 0..10 {
            keys.push(tui.key()?);
            thread::sleep(Duration::from_millis(30));
        }
        rss.push(crowd::resident_mib(tui.pid)?);
    }
    owner.stop()?;
    friend.stop()?;
    Ok(vec![
        Row::new(
            "hermes-tui: from its start to the conversations on the screen",
            "ms",
            Goal::AtMost(30.0),
            &first,
        )
        .peer("toxic 24 ms")
        .note("through `script`, 100x30; the row below is in it"),
        Row::new(
            "the same for a program that only prints",
            "ms",
            Goal::None,
            &floor,
        ),
        Row::new("hermes-tui: key to screen", "ms", Goal::AtMost(6.0), &keys).peer("toxic 5.4 ms"),
        Row::new("hermes-tui: memory", "MiB", Goal::AtMost(20.0), &rss).peer("toxic 16 MiB"),
    ])
}

fn tui(programs: &Programs, owner: &Person) -> Result<String> {
    let path = programs.path("hermes-tui")?;
    Ok(format!(
        "exec '{}' --home '{}'",
        path.display(),
        owner.home.display()
    ))
}

/// A program in a terminal of its own.
struct Terminal {
    script: Child,
    keyboard: ChildStdin,
    output: Receiver<Vec<u8>>,
    began: Instant,
    /// The process in the terminal.
    pid: u64,
}

impl Terminal {
    fn open(shell: &str) -> Result<Self> {
        let shell = format!("stty rows 30 cols 100; echo \"pid $$ .\"; {shell}");
        let mut command = Command::new("script");
        command
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                &shell,
                "/dev/null",
            ])
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .env("HERMES_NO_AUTOSTART", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let began = Instant::now();
        let mut script = command.spawn().context("starting `script`")?;
        let keyboard = script.stdin.take().context("no stdin")?;
        let mut stdout = script.stdout.take().context("no stdout")?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                if sender
                    .send(buffer.iter().take(read).copied().collect())
                    .is_err()
                {
                    return;
                }
            }
        });
        Ok(Self {
            script,
            keyboard,
            output,
            began,
            pid: 0,
        })
    }

    /// Milliseconds from the start until this is on the screen.
    fn until(&mut self, text: &[u8]) -> Result<f64> {
        let seen = self.read_until(text)?;
        let took = pair::millis(self.began.elapsed());
        let seen = String::from_utf8_lossy(&seen);
        let pid = seen
            .split("pid ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        self.pid = pid
            .and_then(|pid| pid.parse().ok())
            .context("no process id")?;
        Ok(took)
    }

    /// Milliseconds from a key to its character on the screen.
    fn key(&mut self) -> Result<f64> {
        while self.output.try_recv().is_ok() {}
        let began = Instant::now();
        self.keyboard.write_all(&[KEY])?;
        self.keyboard.flush()?;
        self.read_until(&[KEY])?;
        Ok(pair::millis(began.elapsed()))
    }

    fn read_until(&self, text: &[u8]) -> Result<Vec<u8>> {
        let (mut seen, deadline) = (Vec::new(), Instant::now() + PATIENCE / 6);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => seen.extend(more),
                Err(_) => bail!(
                    "{:?} did not come to the screen, but {:?}",
                    String::from_utf8_lossy(text),
                    String::from_utf8_lossy(&seen)
                ),
            }
            if seen.windows(text.len()).any(|window| window == text) {
                return Ok(seen);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its terminal goes with it, and the program in it ends by the hang-up.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
