//! Everything that is shown goes through here, and is made fit to be shown here.
//!
//! What a command found out is a value, printed as JSON, and a [`View`] of it, printed for people
//! or as tab-separated fields. Text of others is hostile: tables, fields and sentences pass the
//! sanitizer of `hermes-api` in the functions below and nowhere else, and JSON escapes whatever a
//! terminal could take for a command (see [`json_line`]), so that no command can forget it.

mod json;
mod table;
mod words;

use std::cell::OnceCell;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use hermes_api::types::Time;
use jiff::tz::TimeZone;
use serde::Serialize;

pub(crate) use hermes_api::text;
pub(crate) use json::{json_line, json_pretty};
pub(crate) use table::{Fields, Table};
pub(crate) use words::{Words, bytes, count, micros, word};

use crate::args::Global;
use crate::fault::Fault;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Sentences and aligned columns.
    Human,
    /// One record a line, with tabs between its fields.
    Plain,
    /// JSON.
    Json,
}

/// How people see a value.
pub(crate) enum View {
    /// Rows with headings.
    Table(Table),
    /// One record, a line for each of its fields.
    Fields(Fields),
    /// A sentence; for programs, the fields that matter in it.
    Said {
        sentence: String,
        record: Vec<String>,
    },
}

/// Where the output goes.
pub(crate) struct Out {
    format: Format,
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    stdout_is_terminal: bool,
    verbose: bool,
    zone: OnceCell<TimeZone>,
}

impl Out {
    /// The output of this process.
    pub(crate) fn standard(global: &Global) -> Self {
        Self {
            format: global.format(),
            stdout: Box::new(BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            stdout_is_terminal: io::stdout().is_terminal(),
            verbose: global.verbose,
            zone: OnceCell::new(),
        }
    }

    /// The form of the output.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether somebody looks at the output while it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Shows what a command found out: the value in JSON, else the view of it.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        value: &T,
        view: impl FnOnce(&Words<'_>) -> View,
    ) -> Result<(), Fault> {
        if self.format == Format::Json {
            return self.json(value);
        }
        let view = view(&self.words());
        match (view, self.format) {
            (View::Table(table), Format::Plain) => self.write(&table.plain()),
            (View::Table(table), _) => self.write(&table.aligned()),
            (View::Fields(fields), Format::Plain) => self.write(&fields.plain()),
            (View::Fields(fields), _) => self.write(&fields.aligned()),
            (View::Said { record, .. }, Format::Plain) => self.write(&table::plain_row(&record)),
            (View::Said { sentence, .. }, _) => self.line(&sentence),
        }
    }

    /// One value as a line of JSON.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Fault> {
        let line = json_line(value);
        self.write(&format!("{line}\n"))
    }

    /// One record as fields with tabs between them.
    pub(crate) fn record(&mut self, fields: &[String]) -> Result<(), Fault> {
        self.write(&table::plain_row(fields))
    }

    /// One line of text; line breaks in it become spaces.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Fault> {
        let line = text::line(line);
        self.write(&format!("{line}\n"))
    }

    /// A head and a text that may have several lines. What follows the first line is indented, so
    /// that no text can pose as the next head.
    pub(crate) fn entry(&mut self, head: &str, body: &str) -> Result<(), Fault> {
        let head = text::line(head);
        let body = text::block(body);
        let body = body.trim_end_matches('\n').replace('\n', "\n        ");
        self.write(&format!("{head}{body}\n"))
    }

    /// A document of our own, as it is.
    pub(crate) fn document(&mut self, document: &[u8]) -> Result<(), Fault> {
        self.stdout
            .write_all(document)
            .map_err(|error| Fault::output(&error))
    }

    /// Hands everything on to whoever reads.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        self.stdout.flush().map_err(|error| Fault::output(&error))
    }

    /// A remark for people, beside the output proper.
    pub(crate) fn remark(&mut self, remark: &str) {
        if self.format == Format::Human {
            self.tell(remark);
        }
    }

    /// Something that is not as it should be, though the command goes on.
    pub(crate) fn warn(&mut self, warning: &str) {
        if self.format == Format::Json {
            let line = json_line(&serde_json::json!({ "warning": warning }));
            self.tell(&line);
        } else {
            self.tell(&format!("warning: {warning}"));
        }
    }

    /// What is being done, for those who asked with `--verbose`.
    pub(crate) fn detail(&mut self, detail: &str) {
        if self.verbose {
            self.tell(detail);
        }
    }

    /// The words for states and times.
    pub(crate) fn words(&self) -> Words<'_> {
        Words::new(self.format, self.zone.get_or_init(TimeZone::system))
    }

    /// A point in time.
    pub(crate) fn when(&self, time: Time) -> String {
        self.words().when(time)
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        self.document(text.as_bytes())
    }

    /// If nobody reads stderr there is nobody left to be told.
    fn tell(&mut self, line: &str) {
        let _ = writeln!(self.stderr, "{}", text::line(line));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Shown, capture};
