//! Durations as people write them: `30s`, `10m`, `1h 30m`, `7d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// The longest duration that makes sense anywhere here, ten years; far from every overflow.
const SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// Reads a duration; a value parser for clap.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "write a number and a unit, for example 30s, 10m, 2h or 7d".to_owned())?;
    let exact = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "months and years have no fixed length; write days".to_owned())?;
    let duration =
        Duration::try_from(exact).map_err(|_| "a duration cannot be negative".to_owned())?;
    if duration.as_secs() > SECONDS_MAX {
        return Err("that is longer than ten years".to_owned());
    }
    Ok(duration)
}

/// Reads a duration that must be at least a second, for the lifetime of something.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration.as_secs() == 0 {
        return Err("it must be at least one second".to_owned());
    }
    Ok(duration)
}

/// The duration in whole milliseconds, for the daemon.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in the form that [`parse`] reads.
pub(crate) fn show(duration: Duration) -> String {
    if duration.subsec_millis() > 0 {
        return format!("{} ms", duration.as_millis());
    }
    let seconds = duration.as_secs();
    match seconds {
        0 => "0 s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let seconds = |text| parse(text).expect("a duration").as_secs();
        assert_eq!(seconds("30s"), 30);
        assert_eq!(seconds("0s"), 0);
        assert_eq!(seconds("10m"), 600);
        assert_eq!(seconds("1h 30m"), 5_400);
        assert_eq!(seconds("7d"), 604_800);
        assert_eq!(seconds("2 weeks"), 1_209_600);
        assert_eq!(parse("250ms").expect("a duration").as_millis(), 250);
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        assert!(parse("30").expect_err("no unit").contains("unit"));
        assert!(parse("soon").expect_err("no number").contains("unit"));
        assert!(parse("").is_err());
        assert!(parse("1 month").expect_err("no length").contains("days"));
        assert!(parse("-5s").expect_err("negative").contains("negative"));
        assert!(parse("999999999h").is_err());
        assert!(parse_lifetime("999ms").is_err());
        assert!(parse_lifetime("1s").is_ok());
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["0 s", "30 s", "10 min", "2 h", "7 d", "1500 ms"] {
            assert_eq!(show(parse(text).expect("a duration")), text);
        }
    }
}
