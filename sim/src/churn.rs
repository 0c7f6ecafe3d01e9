//! How long programs run and how long they stay away.
//!
//! Models and their sources (durations are those of one session; the shape of a Weibull distribution below 1 means many short sessions
//! and a few very long ones):
//!
//! - `kad`: the KAD network, Steiner, En-Najjary and Biersack, six months of crawls every five minutes. On: Weibull, shape 0.61511,
//!   scale 169.5 min (mean 247 min). Off: Weibull, shape 0.47648, scale 413.7 min. About a fifth is there at a time.
//! - `home`: a computer at home. On: Weibull, shape 0.5, median 5.5 h, which is that of Skype's supernodes (Guha, Daswani and Jain).
//!   Off: exponential, mean 10 h, an assumption of ours.
//! - `box`: a small server. On: exponential, mean 7 days. Off: exponential, mean 4 h. Both are assumptions.
//! - `mix`: half `kad`, 30 % `home`, 20 % `box`, by head. An assumption.
//! - `always`: never away.
//! - `trace:FILE`: measured sessions, a line `node on_s off_s` each, in order for each node; a node's lines are repeated when they are
//!   used up, and nodes are dealt to slots in turn.
//!
//! On top there may be a wave over the day, as all crawls of home peers show one: sessions away begin shorter around 21 h and longer
//! around 9 h (UTC), by the given share.

use std::collections::BTreeMap;

use crate::{clock::HOUR_MS, draw::Draw};

const MINUTE_MS: f64 = 60_000.0;
const HOUR: f64 = 60.0 * MINUTE_MS;
const DAY: f64 = 24.0 * HOUR;

/// The least time that a session or an absence takes, in milliseconds: a program that starts has to get through its start.
const LEAST_MS: u64 = 5_000;

/// A population's model.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Every member behaves like this.
    Of(Kind),
    /// Half `kad`, 30 % `home`, 20 % `box`.
    Mix,
}

/// One member's model.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// As in the KAD network.
    Kad,
    /// A computer at home.
    Home,
    /// A small server.
    Box,
    /// Never away.
    Always,
    /// Measured nodes: each its sessions, in seconds on and off.
    Measured(Vec<Vec<(u64, u64)>>),
}

/// The times of one member.
#[derive(Debug, Clone)]
pub struct Sessions {
    kind: Kind,
    /// Which measured node, and how many of its sessions were used.
    at: (usize, usize),
    /// By how much an absence is shortened or lengthened at most, 0 to 1.
    wave: f64,
}

impl Model {
    /// A model by its name; `measured` is the text of the file that a name `trace:…` names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn named(name: &str, measured: Option<&str>) -> Result<Self, String> {
        Ok(match name {
            "kad" => Self::Of(Kind::Kad),
            "home" => Self::Of(Kind::Home),
            "box" => Self::Of(Kind::Box),
            "always" => Self::Of(Kind::Always),
            "mix" => Self::Mix,
            _ if name.starts_with("trace:") => {
                let text = measured.ok_or("the trace file was not read")?;
                Self::Of(Kind::Measured(parse(text)?))
            }
            _ => {
                return Err(format!(
                    "there is no model `{name}`; there are kad, home, box, mix, always and trace:FILE"
                ));
            }
        })
    }

    /// The times of the member with this number.
    pub fn member(&self, number: usize, wave: f64, draw: &mut Draw) -> Sessions {
        let kind = match self {
            Self::Of(kind) => kind.clone(),
            Self::Mix => match draw.below(10) {
                0..5 => Kind::Kad,
                5..8 => Kind::Home,
                _ => Kind::Box,
            },
        };
        Sessions {
            kind,
            at: (number, 0),
            wave,
        }
    }
}

impl Sessions {
    /// Whether it is there when the run begins; afterwards times are drawn as for sessions that begin then.
    pub fn begins_on(&self, draw: &mut Draw) -> bool {
        // Mean time on, over mean time on and off.
        draw.chance(match self.kind {
            Kind::Kad => 21.0,
            Kind::Home => 70.0,
            Kind::Box => 97.7,
            Kind::Always | Kind::Measured(_) => 100.0,
        })
    }

    /// How long the session that begins lasts, in milliseconds; `None` is for ever.
    pub fn on_ms(&mut self, draw: &mut Draw) -> Option<u64> {
        let ms = match &self.kind {
            Kind::Kad => draw.weibull(0.61511, 169.5 * MINUTE_MS),
            // The median of a Weibull distribution is its scale times (ln 2)^(1 / shape).
            Kind::Home => draw.weibull(
                0.5,
                5.5 * HOUR / (core::f64::consts::LN_2 * core::f64::consts::LN_2),
            ),
            Kind::Box => draw.exponential(7.0 * DAY),
            Kind::Always => return None,
            Kind::Measured(nodes) => return measured(nodes, self.at).map(|(on, _)| at_least(on)),
        };
        Some((ms as u64).max(LEAST_MS))
    }

    /// How long the absence that begins at this hour of the day lasts, in milliseconds.
    pub fn off_ms(&mut self, hour: u64, draw: &mut Draw) -> u64 {
        let ms = match &self.kind {
            Kind::Kad => draw.weibull(0.47648, 413.7 * MINUTE_MS),
            Kind::Home => draw.exponential(10.0 * HOUR),
            Kind::Box => draw.exponential(4.0 * HOUR),
            Kind::Always => 0.0,
            Kind::Measured(nodes) => {
                let off = measured(nodes, self.at).map_or(LEAST_MS, |(_, off)| at_least(off));
                self.at.1 += 1;
                return off;
            }
        };
        let turn = (hour % 24) as f64 / 24.0 * core::f64::consts::TAU;
        let peak = 21.0 / 24.0 * core::f64::consts::TAU;
        ((ms * (1.0 - self.wave * libm::cos(turn - peak))) as u64).max(LEAST_MS)
    }
}

/// The hour of the day at a moment of a run whose wall clock begins at `unix_s`.
pub(crate) const fn hour_of_day(unix_s: u64) -> u64 {
    unix_s / (HOUR_MS / 1_000) % 24
}

fn at_least(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000).max(LEAST_MS)
}

fn measured(nodes: &[Vec<(u64, u64)>], (node, used): (usize, usize)) -> Option<(u64, u64)> {
    let sessions = nodes.get(node % nodes.len().max(1))?;
    sessions.get(used % sessions.len().max(1)).copied()
}

fn parse(text: &str) -> Result<Vec<Vec<(u64, u64)>>, String> {
    let mut nodes: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || format!("line {} of the trace is not `node on_s off_s`", number + 1);
        let [node, on, off] = words.as_slice() else {
            return Err(wrong());
        };
        let times = (
            on.parse().map_err(|_| wrong())?,
            off.parse().map_err(|_| wrong())?,
        );
        nodes.entry(node).or_default().push(times);
    }
    if nodes.is_empty() {
        return Err("the trace has no sessions".to_owned());
    }
    Ok(nodes.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: f64 = HOUR;

    /// The means of very many times on and off, in hours.
    fn means(kind: Kind, wave: f64, hour: u64) -> (f64, f64) {
        const N: u32 = 300_000;
        let mut draw = Draw::new(7, 1);
        let mut sessions = Model::Of(kind).member(0, wave, &mut draw);
        let (mut on, mut off) = (0.0, 0.0);
        for _ in 0..N {
            on += sessions.on_ms(&mut draw).unwrap() as f64;
            off += sessions.off_ms(hour, &mut draw) as f64;
        }
        (on / f64::from(N) / HOURS, off / f64::from(N) / HOURS)
    }

    fn assert_near(got: f64, wanted: f64) {
        assert!(
            (got / wanted - 1.0).abs() < 0.03,
            "{got} instead of {wanted}"
        );
    }

    #[test]
    fn the_models_have_the_means_of_their_sources() {
        let (on, off) = means(Kind::Kad, 0.0, 0);
        assert_near(on, 247.0 / 60.0);
        // The mean of a Weibull distribution is its scale times Γ(1 + 1 / shape); here Γ(3.0987) is 2.1995.
        assert_near(off, 413.7 * 2.1995 / 60.0);
        let (on, off) = means(Kind::Home, 0.0, 0);
        assert_near(on, 22.9);
        assert_near(off, 10.0);
        let (on, off) = means(Kind::Box, 0.0, 0);
        assert_near(on, 168.0);
        assert_near(off, 4.0);
    }

    #[test]
    fn half_of_all_home_sessions_are_over_after_five_and_a_half_hours() {
        let mut draw = Draw::new(7, 1);
        let mut sessions = Model::Of(Kind::Home).member(0, 0.0, &mut draw);
        let short = (0..20_000).filter(|_| sessions.on_ms(&mut draw).unwrap() as f64 <= 5.5 * HOUR);
        assert_near(short.count() as f64, 10_000.0);
    }

    #[test]
    fn the_mix_has_its_shares() {
        let mut draw = Draw::new(7, 1);
        let kinds: Vec<Kind> = (0..20_000)
            .map(|n| Model::Mix.member(n, 0.0, &mut draw).kind)
            .collect();
        for (kind, share) in [(Kind::Kad, 0.5), (Kind::Home, 0.3), (Kind::Box, 0.2)] {
            assert_near(
                kinds.iter().filter(|k| **k == kind).count() as f64,
                share * 20_000.0,
            );
        }
    }

    #[test]
    fn the_wave_shortens_absences_in_the_evening() {
        assert_near(means(Kind::Home, 0.4, 21).1, 6.0);
        assert_near(means(Kind::Home, 0.4, 9).1, 14.0);
    }

    #[test]
    fn a_trace_is_repeated_and_dealt_in_turn() {
        let model =
            Model::named("trace:x", Some("# measured\na 10 20\nb 100 200\na 30 40\n")).unwrap();
        let mut draw = Draw::new(1, 1);
        let mut times = |number| {
            let mut sessions = model.member(number, 0.0, &mut draw);
            (0..3)
                .map(|_| {
                    (
                        sessions.on_ms(&mut draw).unwrap() / 1_000,
                        sessions.off_ms(0, &mut draw) / 1_000,
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(times(0), [(10, 20), (30, 40), (10, 20)]);
        assert_eq!(times(1), [(100, 200); 3]);
        assert_eq!(times(2), times(0));
        assert!(
            Model::named("trace:x", Some("a ten 20"))
                .unwrap_err()
                .contains("line 1")
        );
    }
}
