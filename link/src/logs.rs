//! Logs of the programs that own sockets: to stderr, and without the addresses that the libraries below would tell.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Libraries that put addresses of peers into their warnings.
const TALKATIVE: [&str; 4] = ["quinn", "quinn_proto", "quinn_udp", "rustls"];

/// Writes logs to stderr from now on: `asked` is a level (`error`, `warn`, `info`, `debug`, `trace`), or a list of `TARGET=LEVEL` and
/// levels. The libraries that put addresses into their warnings are heard only by who debugs or names them. Does nothing if logs are
/// written somewhere already.
///
/// # Errors
///
/// If `asked` is neither.
pub fn log_to_stderr(asked: &str) -> Result<(), ParseError> {
    let targets = targets(asked)?;
    let is_plain = !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(!is_plain);
    // An error says that somebody else has set up logs for this process.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init();
    Ok(())
}

fn targets(asked: &str) -> Result<Targets, ParseError> {
    let targets: Targets = asked.parse()?;
    Ok(match asked.parse::<LevelFilter>() {
        Ok(level) if level <= LevelFilter::INFO => {
            targets.with_targets(TALKATIVE.map(|library| (library, LevelFilter::OFF)))
        }
        _ => targets,
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn hears(asked: &str, target: &str, level: Level) -> bool {
        targets(asked).unwrap().would_enable(target, &level)
    }

    #[test]
    fn warnings_of_libraries_below_are_for_those_who_ask_for_them() {
        for asked in ["info", "WARN"] {
            assert!(hears(asked, "hermes_sky::net", Level::WARN));
            for library in TALKATIVE {
                assert!(!hears(asked, library, Level::ERROR), "{library}");
            }
        }
        assert!(hears("debug", "quinn_udp", Level::WARN));
        assert!(hears("info,quinn_udp=warn", "quinn_udp", Level::WARN));
        assert!(!hears("info", "hermesd", Level::DEBUG));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(targets("loud=very=much").is_err());
    }
}
