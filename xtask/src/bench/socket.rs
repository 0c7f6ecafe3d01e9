//! The local socket: one round trip, many at once, and a bare socket beside them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Options,
    report::{Goal, Row},
};
use crate::{
    lab::Lab,
    nest::{Nest, PATIENCE},
    programs::Programs,
};

/// Calls that are written before the first of them is answered.
const IN_FLIGHT: usize = 64;

const HELLO: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{}}\n";

pub(super) fn measure(
    nest: &Arc<Nest>,
    programs: &Arc<Programs>,
    options: &Options,
) -> Result<Vec<Row>> {
    let lab = Lab::start(nest, programs, 1, 0)?;
    let mut person = lab.person("caller");
    person.start()?;
    person.cli(&["init", "--name", "caller"])?;
    let socket = person.socket();
    let (count, batches) = (options.size(20_000, 2_000), options.size(2_000, 200));
    let bare = round_trips(echo()?, count)?;
    let hello = round_trips(connect(&socket)?, count)?;
    let rate = pipelined(connect(&socket)?, batches)?;
    person.stop()?;
    Ok(vec![
        Row::new(
            "RPC round trip (`hello`) on the Unix socket",
            "us",
            Goal::AtMost(40.0),
            &hello,
        )
        .peer("Delta Chat over stdio 25-100 us; bare socket 13 us"),
        Row::new(
            "the same line echoed by a thread on a bare Unix socket, in this window",
            "us",
            Goal::None,
            &bare,
        ),
        Row::new(
            "RPC pipelined (`hello`)",
            "calls/s",
            Goal::AtLeast(50_000.0),
            &[rate],
        )
        .peer("Delta Chat 50-90 000/s with 64 in flight")
        .note("bursts of 64; the caller does not parse the answers"),
    ])
}

fn connect(socket: &Path) -> Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket).context("connecting to the daemon")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// A thread that sends back every line.
fn echo() -> Result<BufReader<UnixStream>> {
    let (near, far) = UnixStream::pair()?;
    thread::spawn(move || {
        let mut far = BufReader::new(far);
        let mut line = Vec::new();
        while far.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if far.get_mut().write_all(&line).is_err() {
                return;
            }
            line.clear();
        }
    });
    Ok(BufReader::new(near))
}

/// Microseconds from writing the line to having read the answer.
fn round_trips(mut stream: BufReader<UnixStream>, count: usize) -> Result<Vec<f64>> {
    let mut line = Vec::new();
    let mut samples = Vec::with_capacity(count);
    for n in 0..count + 100 {
        line.clear();
        let began = Instant::now();
        stream.get_mut().write_all(HELLO)?;
        ensure!(
            stream.read_until(b'\n', &mut line)? > 0,
            "the connection ended"
        );
        if n >= 100 {
            samples.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    ensure!(
        !line.windows(7).any(|w| w == b"\"error\""),
        "an error was answered"
    );
    Ok(samples)
}

/// Calls a second.
fn pipelined(mut stream: BufReader<UnixStream>, batches: usize) -> Result<f64> {
    let burst = HELLO.repeat(IN_FLIGHT);
    let mut line = Vec::new();
    stream.get_mut().write_all(HELLO)?;
    let answer = stream.read_until(b'\n', &mut line)?;
    let began = Instant::now();
    for _ in 0..batches {
        stream.get_mut().write_all(&burst)?;
        for _ in 0..IN_FLIGHT {
            line.clear();
            // All answers to the same call are equally long; an error would not be.
            let read = stream.read_until(b'\n', &mut line)?;
            ensure!(
                read == answer,
                "another answer after {answer} bytes: {read}"
            );
        }
    }
    ensure!(
        !line.windows(7).any(|w| w == b"\"error\""),
        "an error was answered"
    );
    Ok((batches * IN_FLIGHT) as f64 / began.elapsed().as_secs_f64())
}
