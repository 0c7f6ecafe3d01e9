//! JSON that is safe to look at.
//!
//! JSON escapes the control characters of ASCII but lets through the rest: a C1 control, a bidi
//! override or a pile of combining marks would reach the terminal of whoever looks at the output.
//! Such characters are written as `\u` escapes here. For a program that reads the JSON nothing
//! changes, because an escape means the same character.

use std::fmt::Write as _;

use hermes_api::text;
use serde::Serialize;

/// The value as JSON on one line, without a line end.
pub(crate) fn json_line<T: Serialize>(value: &T) -> String {
    // Our values have string keys and no map that could fail.
    escape(&serde_json::to_string(value).unwrap_or_else(|error| refused(&error)))
}

/// The value as JSON on several lines, for people.
pub(crate) fn json_pretty<T: Serialize>(value: &T) -> String {
    escape(&serde_json::to_string_pretty(value).unwrap_or_else(|error| refused(&error)))
}

fn refused(error: &serde_json::Error) -> String {
    serde_json::json!({ "error": { "kind": "json", "message": error.to_string() } }).to_string()
}

/// Escapes what is not fit for a terminal. Outside of strings JSON is plain ASCII, so whatever
/// needs an escape stands within a string.
fn escape(json: &str) -> String {
    if json.bytes().all(|byte| byte.is_ascii() && byte != 0x7F) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_fit(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// Whether the sanitizer would leave the character alone.
fn is_fit(c: char) -> bool {
    if c.is_ascii() {
        return c != '\x7F';
    }
    let mut buffer = [0; 4];
    let alone: &str = c.encode_utf8(&mut buffer);
    text::line(alone) == alone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(
            json_line(&serde_json::json!({ "body": "Grüße, 你好 👍\n" })),
            r#"{"body":"Grüße, 你好 👍\n"}"#
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            json_line(&"\x1b[2J\u{9b}2J\u{202e}x\u{7f}\u{e0041}"),
            r#""\u001b[2J\u009b2J\u202ex\u007f\udb40\udc41""#
        );
        assert_eq!(json_pretty(&["\u{2028}"]), "[\n  \"\\u2028\"\n]");
    }

    proptest! {
        #[test]
        fn a_reader_gets_the_same_text(text in any::<String>()) {
            let line = json_line(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&line).expect("json"), text);
            prop_assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
