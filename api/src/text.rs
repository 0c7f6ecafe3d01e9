//! Makes text of others fit to be shown.
//!
//! Message bodies, names and everything else that another person chose is hostile until it passed
//! here: it may hold terminal commands, characters that reorder what stands around them, marks
//! that pile up over other lines, and characters that nobody sees. Whatever goes to a terminal, a
//! window title, a desktop notification or a clipboard sequence passes [`line()`] or [`block`] first.
//! JSON output does not need it, since JSON escapes by itself.
//!
//! What is removed: control characters (C0, DEL, C1), the format characters that have no width
//! (bidi marks, embeddings, overrides and isolates, zero-width spaces and joiners, tags, the soft
//! hyphen, the byte order mark), variation selectors, blank fillers, and combining marks beyond
//! [`MARKS_MAX`] on one character or on none. What is kept among these: the joiner and the
//! selector that emoji are made of.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};

/// Most combining marks on one character. Biblical Hebrew needs four; piles that leave their line
/// are made of dozens.
pub const MARKS_MAX: usize = 4;

const JOINER: char = '\u{200D}';
const EMOJI_SELECTOR: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';

/// What becomes of line breaks and tabs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Block,
}

/// Text for a single line: line breaks and tabs become spaces.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    sanitize(text, Form::Line)
}

/// Text that may have several lines: line breaks and tabs stay.
#[must_use]
pub fn block(text: &str) -> Cow<'_, str> {
    sanitize(text, Form::Block)
}

fn sanitize(text: &str, form: Form) -> Cow<'_, str> {
    let plain = |byte: u8| {
        (0x20..0x7F).contains(&byte) || (form == Form::Block && matches!(byte, b'\n' | b'\t'))
    };
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut state = State::default();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if let Some(kept) = state.next(c, &rest, form) {
            clean.push(kept);
        }
    }
    if clean == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(clean)
    }
}

/// What stands before the character that is looked at.
#[derive(Default)]
struct State {
    /// The last character kept that is not a mark; none at the start and after a line break.
    base: Option<char>,
    /// Marks kept since.
    marks: usize,
    /// Whether an emoji selector or joiner was the last thing kept.
    after_emoji_part: bool,
}

impl State {
    /// What to put in the place of `c`, if anything.
    fn next(&mut self, c: char, rest: &std::str::Chars<'_>, form: Form) -> Option<char> {
        match c {
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => {
                let kept = match (form, c) {
                    (Form::Line, _) => ' ',
                    (Form::Block, '\t') => '\t',
                    (Form::Block, _) => '\n',
                };
                *self = Self::default();
                self.base = (kept == ' ').then_some(' ');
                Some(kept)
            }
            JOINER => {
                let joins = self.base.is_some_and(is_picture)
                    && self.marks == usize::from(self.after_emoji_part)
                    && rest.clone().next().is_some_and(is_picture);
                if !joins || self.base == Some(JOINER) {
                    return None;
                }
                *self = Self {
                    base: Some(JOINER),
                    marks: 0,
                    after_emoji_part: false,
                };
                Some(c)
            }
            EMOJI_SELECTOR => {
                let selects = match self.base {
                    Some('0'..='9' | '#' | '*') => rest.clone().next() == Some(KEYCAP),
                    Some(base) => is_picture(base),
                    None => false,
                };
                if !selects || self.marks > 0 {
                    return None;
                }
                self.marks = 1;
                self.after_emoji_part = true;
                Some(c)
            }
            _ if is_unseen(c) => None,
            _ if is_mark(c) => {
                if self.base.is_none_or(|base| base == JOINER) || self.marks >= MARKS_MAX {
                    return None;
                }
                self.marks += 1;
                self.after_emoji_part = false;
                Some(c)
            }
            _ => {
                *self = Self {
                    base: Some(c),
                    marks: 0,
                    after_emoji_part: false,
                };
                Some(c)
            }
        }
    }
}

/// Whether the character is one that emoji sequences are made of; digits are emoji to Unicode, but
/// nothing joins them.
fn is_picture(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

fn is_mark(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
    )
}

/// Whether nothing would be seen of the character, or worse.
fn is_unseen(c: char) -> bool {
    match c {
        // Numbers signs and the like of Arabic, Syriac and Kaithi are format characters with a shape.
        '\u{600}'..='\u{605}' | '\u{6DD}' | '\u{70F}' | '\u{890}' | '\u{891}' | '\u{8E2}' => false,
        '\u{110BD}' | '\u{110CD}' => false,
        // Letters and marks that are blank, and selectors of variants.
        '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' => {
            true
        }
        '\u{3164}' | '\u{FFA0}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0000}'..='\u{E0FFF}' => true,
        _ => matches!(
            c.general_category(),
            GeneralCategory::Control | GeneralCategory::Format
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(line("see you at eight?"), Cow::Borrowed(_)));
        assert!(matches!(block("one\n\ttwo"), Cow::Borrowed(_)));
        assert!(matches!(block("Grüße, 你好"), Cow::Borrowed(_)));
    }

    #[test]
    fn terminal_commands_lose_their_command() {
        assert_eq!(line("a\x1b[2Jb"), "a[2Jb");
        assert_eq!(line("a\u{9b}2Jb\x07\x08\x7f"), "a2Jb");
        assert_eq!(block("a\r\nb\x1b]52;c;aGk=\x07"), "a\nb]52;c;aGk=");
    }

    #[test]
    fn nothing_reorders_the_line() {
        assert_eq!(
            line("ok \u{202e}exe.txt\u{202c} \u{2066}x\u{2069}\u{200f}"),
            "ok exe.txt x"
        );
    }

    #[test]
    fn nothing_hides() {
        assert_eq!(
            line("pay\u{200b}pal\u{2060}\u{feff}\u{ad}\u{3164}\u{e0041}"),
            "paypal"
        );
    }

    #[test]
    fn a_line_has_no_breaks() {
        assert_eq!(line("a\nb\tc\u{2028}d"), "a b c d");
        assert_eq!(block("a\nb\tc\u{2028}d"), "a\nb\tc\nd");
    }

    #[test]
    fn emoji_keep_what_they_are_made_of() {
        for emoji in ["👩‍👩‍👧", "❤️", "🏳️‍🌈", "👍🏽", "1️⃣", "👩🏽‍🚀", "🇩🇪", "❤️‍🔥"]
        {
            assert_eq!(line(emoji), emoji);
        }
    }

    #[test]
    fn parts_of_emoji_do_not_hide_elsewhere() {
        assert_eq!(line("a\u{200d}b"), "ab");
        assert_eq!(line("a\u{fe0f}1\u{fe0f}2"), "a12");
        assert_eq!(line("👩\u{200d}"), "👩");
        assert_eq!(line("👩\u{200d}\u{200d}👩"), "👩\u{200d}👩");
        assert_eq!(line("❤\u{fe0f}\u{fe0f}"), "❤\u{fe0f}");
    }

    #[test]
    fn marks_do_not_pile_up() {
        let pile = format!("z{}x", "\u{300}".repeat(40));
        assert_eq!(line(&pile), format!("z{}x", "\u{300}".repeat(MARKS_MAX)));
        assert_eq!(line("\u{301}a"), "a");
        assert_eq!(block("a\n\u{301}b"), "a\nb");
        assert_eq!(line("ế"), "ế");
    }

    #[test]
    fn shaped_format_characters_stay() {
        assert_eq!(line("\u{600}12"), "\u{600}12");
    }

    /// Text with more trouble in it than chance would give.
    fn hostile() -> impl Strategy<Value = String> {
        let trouble = prop::sample::select(vec![
            '\x1b',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{200d}',
            '\u{fe0f}',
            '\u{300}',
            '\u{20e3}',
            '\n',
            '\t',
            '\r',
            '👩',
            '❤',
            '1',
            'a',
            '\u{e0067}',
            '\u{2028}',
            '\u{200f}',
            ' ',
        ]);
        prop::collection::vec(prop_oneof![3 => trouble, 1 => any::<char>()], 0..60)
            .prop_map(|chars| chars.into_iter().collect())
    }

    fn is_forbidden(c: char) -> bool {
        c.is_control()
            || matches!(
                c,
                '\u{61C}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{FEFF}'
            )
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{E0000}'..='\u{E0FFF}')
    }

    proptest! {
        #[test]
        fn no_line_holds_anything_forbidden(text in hostile()) {
            let clean = line(&text);
            prop_assert!(!clean.chars().any(is_forbidden), "{clean:?}");
            let breaks = clean.contains(['\u{2028}', '\u{2029}']);
            prop_assert!(!breaks);
        }

        #[test]
        fn no_block_holds_anything_forbidden_but_breaks(text in hostile()) {
            let clean = block(&text);
            prop_assert!(!clean.chars().any(|c| is_forbidden(c) && c != '\n' && c != '\t'), "{clean:?}");
        }

        #[test]
        fn clean_text_stays_as_it_is(text in hostile()) {
            let once = block(&text).into_owned();
            prop_assert_eq!(block(&once), once.as_str());
            let once = line(&text).into_owned();
            prop_assert_eq!(line(&once), once.as_str());
        }

        #[test]
        fn marks_never_exceed_the_cap(text in hostile()) {
            let mut run = 0;
            for c in block(&text).chars() {
                run = if is_mark(c) { run + 1 } else { 0 };
                prop_assert!(run <= MARKS_MAX);
            }
        }

        #[test]
        fn nothing_grows(text in hostile()) {
            prop_assert!(line(&text).len() <= text.len());
        }

        #[test]
        fn letters_survive(text in "[a-zA-Z0-9 äöüéßñçøåλжя中日本한국]{0,40}") {
            prop_assert_eq!(line(&text), text.as_str());
        }
    }
}
