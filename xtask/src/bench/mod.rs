//! `cargo xtask bench`: the programs against the goals and against what others reach.
//!
//! Every row is measured with the real programs, built for release, on loopback. A number never fails the task; a row that could not
//! be measured says why. Values vary with the load of the machine, so the load stands beside them.

mod crowd;
mod keeper;
mod pair;
mod report;
mod screen;
mod socket;

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{nest::Nest, programs::Programs};
use report::{Report, Row};

/// What the caller asked for.
pub(crate) struct Options {
    is_quick: bool,
    json: Option<PathBuf>,
    /// Only groups with this word in their name.
    only: Option<String>,
}

impl Options {
    /// Reads the arguments after `bench`.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            is_quick: false,
            json: None,
            only: None,
        };
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("{argument} needs a value"))
            };
            match argument {
                "--quick" => options.is_quick = true,
                "--json" => options.json = Some(PathBuf::from(value()?)),
                "--only" => options.only = Some((*value()?).to_owned()),
                _ => bail!("bench does not know {argument}"),
            }
        }
        Ok(options)
    }

    /// One of two sizes of a measurement.
    fn size(&self, full: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { full }
    }
}

/// A group of rows that share what they need.
type Group = fn(&Arc<Nest>, &Arc<Programs>, &Options) -> Result<Vec<Row>>;

const GROUPS: &[(&str, Group)] = &[
    ("pair", pair::measure),
    ("socket", socket::measure),
    ("crowd", crowd::measure),
    ("screen", screen::measure),
    ("keeper", keeper::measure),
];

/// Measures everything and prints the table.
pub(crate) fn run(nest: &Arc<Nest>, options: &Options) -> Result<()> {
    let programs = Arc::new(Programs::build_for_bench(nest)?);
    let mut report = Report::new();
    for (name, group) in GROUPS {
        if options
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        let began = Instant::now();
        match group(nest, &programs, options) {
            Ok(rows) => report.rows.extend(rows),
            Err(error) => report
                .rows
                .push(Row::not_measured(name, &format!("{error:#}"))),
        }
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    report.finish();
    print!("{}", report.table());
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
