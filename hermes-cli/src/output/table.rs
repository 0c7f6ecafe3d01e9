//! Rows and fields, aligned for people or with tabs for programs.

use hermes_api::text;
use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: usize = 2;

/// Rows under headings.
pub(crate) struct Table {
    headings: &'static [&'static str],
    rows: Vec<Vec<String>>,
    /// What to say instead of a table without rows.
    empty: &'static str,
}

/// One record, with a line for each field.
pub(crate) struct Fields {
    fields: Vec<(&'static str, String)>,
}

impl Table {
    /// A table with these headings, and what to say if it has no rows.
    pub(crate) fn new(headings: &'static [&'static str], empty: &'static str) -> Self {
        Self {
            headings,
            rows: Vec::new(),
            empty,
        }
    }

    /// The table with these rows.
    pub(crate) fn rows(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Aligned columns under their headings.
    pub(super) fn aligned(&self) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.empty);
        }
        let headings = self.headings.iter().map(|heading| (*heading).to_owned());
        let mut rows: Vec<Vec<String>> = vec![headings.collect()];
        rows.extend(self.rows.iter().map(|row| clean(row)));
        align(&rows)
    }

    /// A line for each row, tabs between its cells, without headings.
    pub(super) fn plain(&self) -> String {
        self.rows.iter().map(|row| plain_row(row)).collect()
    }
}

impl Fields {
    /// A record without fields.
    pub(crate) fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// The record with one field more.
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The record with one field more, if it has a value.
    pub(crate) fn maybe(self, name: &'static str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Names and values in two columns.
    pub(super) fn aligned(&self) -> String {
        let row = |(name, value): &(&str, String)| {
            vec![format!("{name}:"), text::line(value).into_owned()]
        };
        let rows: Vec<Vec<String>> = self.fields.iter().map(row).collect();
        align(&rows)
    }

    /// Names and values with a tab between them; names without spaces.
    pub(super) fn plain(&self) -> String {
        let row =
            |(name, value): &(&str, String)| plain_row(&[name.replace(' ', "_"), value.clone()]);
        self.fields.iter().map(row).collect()
    }
}

/// The cells with tabs between them, and a line end.
pub(super) fn plain_row(cells: &[String]) -> String {
    let mut line = clean(cells).join("\t");
    line.push('\n');
    line
}

/// Cells fit to be shown, each on one line; the sanitizer turns tabs within them into spaces.
fn clean(cells: &[String]) -> Vec<String> {
    let cell = |cell: &String| text::line(cell).into_owned();
    cells.iter().map(cell).collect()
}

/// Lines up the columns by the cells that their text takes on a terminal.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut lines = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(row: &[&str]) -> Vec<String> {
        row.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_line_up_also_with_wide_text() {
        let table = Table::new(&["name", "state"], "none")
            .rows([cells(&["bob", "established"]), cells(&["你好", "asked"])]);
        assert_eq!(
            table.aligned(),
            "name  state\nbob   established\n你好  asked\n"
        );
        assert_eq!(table.plain(), "bob\testablished\n你好\tasked\n");
    }

    #[test]
    fn an_empty_table_says_so_to_people_only() {
        let table = Table::new(&["name"], "no contacts yet");
        assert_eq!(table.aligned(), "no contacts yet\n");
        assert_eq!(table.plain(), "");
    }

    #[test]
    fn a_hostile_cell_stays_in_its_cell() {
        let table = Table::new(&["name", "state"], "none").rows([cells(&[
            "bob\testablished\nmallory\x1b[2J\u{202e}",
            "asked",
        ])]);
        assert_eq!(table.plain(), "bob established mallory[2J\tasked\n");
        assert_eq!(table.aligned().lines().count(), 2);
    }

    #[test]
    fn fields_have_names() {
        let fields = Fields::new()
            .field("name", "alice")
            .field("sky nodes", "2")
            .maybe("note", None);
        assert_eq!(fields.aligned(), "name:       alice\nsky nodes:  2\n");
        assert_eq!(fields.plain(), "name\talice\nsky_nodes\t2\n");
    }
}
