//! Breaks text into rows of a given width, by grapheme, as the terminal will count them.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns that a tab becomes.
const TAB: &str = "    ";

/// What stands for a character that is wider than the whole row.
const TOO_WIDE: &str = "?";

/// How many columns the text takes on a screen.
pub(crate) fn columns(text: &str) -> usize {
    text.graphemes(true).map(|g| g.width()).sum()
}

/// The beginning of the text that fits, with an ellipsis if something was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > width {
            break;
        }
        kept.push_str(grapheme);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// The text in rows no wider than `width`, broken at spaces where that is possible.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut rows = Vec::new();
    for line in text.split('\n') {
        wrap_line(&line.replace('\t', TAB), width, &mut rows);
    }
    rows
}

fn wrap_line(line: &str, width: usize, rows: &mut Vec<String>) {
    let mut row = String::new();
    let mut used = 0;
    let mut after_space: Option<usize> = None;
    for grapheme in line.graphemes(true) {
        let (grapheme, columns_of_it) = match grapheme.width() {
            wide if wide > width => (TOO_WIDE, 1),
            fitting => (grapheme, fitting),
        };
        if used + columns_of_it > width {
            if grapheme == " " {
                rows.push(std::mem::take(&mut row));
                used = 0;
                after_space = None;
                continue;
            }
            let rest = after_space.take().map(|at| row.split_off(at));
            rows.push(row.trim_end_matches(' ').to_owned());
            row = rest.unwrap_or_default();
            used = columns(&row);
            if used + columns_of_it > width {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
        }
        row.push_str(grapheme);
        used += columns_of_it;
        if grapheme == " " {
            after_space = Some(row.len());
        }
    }
    rows.push(row);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn breaks_at_spaces_and_within_long_words() {
        assert_eq!(wrap("see you at eight", 8), ["see you", "at eight"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn wide_characters_are_not_halved() {
        assert_eq!(wrap("你好吗", 5), ["你好", "吗"]);
        assert_eq!(wrap("你", 1), ["?"]);
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(cut("alice", 5), "alice");
        assert_eq!(cut("alice", 4), "ali…");
        assert_eq!(cut("alice", 0), "");
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide(text in ".{0,80}", width in 1_usize..20) {
            for row in wrap(&text, width) {
                prop_assert!(columns(&row) <= width, "{row:?}");
            }
            prop_assert!(columns(&cut(&text, width)) <= width);
        }
    }
}
