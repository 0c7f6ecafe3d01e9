//! `rpc`: any method of the daemon's interface, for what has no command of its own.

use clap::Args;
use hermes_api::ErrorCode;
use hermes_api::client::ClientError;
use hermes_api::table::{Discover, TABLE, find};
use hermes_api::types::NoParams;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::Context;
use crate::door::{Door as _, Launcher};
use crate::fault::Fault;
use crate::input::Input;
use crate::output::{Format, Out, Table, View, json_pretty};

/// Most bytes of parameters; the daemon reads no longer requests.
const PARAMS_BYTES_MAX: usize = 1024 * 1024;

/// Most names that are offered in the place of one that does not exist.
const SUGGESTIONS_MAX: usize = 3;

/// Call a method of the daemon's interface
///
/// Prints the result as JSON. Events are for `recv`, which goes on where it was.
#[derive(Args, Debug)]
pub(crate) struct Rpc {
    /// Method, for example `message.send`
    #[arg(required_unless_present_any = ["list", "discover"])]
    method: Option<String>,
    /// Parameters as a JSON object; `-` reads them from stdin
    params: Option<String>,
    /// List the methods that this program knows
    #[arg(long, conflicts_with_all = ["method", "discover"])]
    list: bool,
    /// Print the daemon's description of its interface, an OpenRPC document
    #[arg(long, conflicts_with = "method")]
    discover: bool,
}

/// A row of `rpc --list`.
#[derive(Serialize)]
struct Row {
    method: &'static str,
    access: &'static str,
    since: &'static str,
    summary: &'static str,
}

#[derive(Serialize)]
struct Rows {
    items: Vec<Row>,
}

impl Rpc {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        if self.list {
            return list(&mut context.out);
        }
        if self.discover {
            let client = context.door.open(&mut context.out).await?;
            let document = client.call::<Discover>(NoParams {}).await?;
            return print(&document, &mut context.out);
        }
        let Some(method) = self.method else {
            return Err(Fault::usage("a method is needed").hint("see them with: rpc --list"));
        };
        let params = params(self.params, &context.input).await?;
        let client = context.door.open(&mut context.out).await?;
        match client.call_raw(&method, &params).await {
            Ok(result) => {
                // Escapes within the daemon's text must be looked at, so it cannot pass as it is.
                let result: Value = serde_json::from_str(result.get())
                    .map_err(|error| ClientError::Garbled(error.to_string()))?;
                print(&result, &mut context.out)
            }
            Err(error) => Err(explain(&method, error)),
        }
    }
}

/// The parameters, refused here if they cannot be right.
async fn params(given: Option<String>, input: &Input) -> Result<Box<RawValue>, Fault> {
    let text = match given.as_deref() {
        None => "{}".to_owned(),
        Some("-") => {
            let bytes = input.stdin(PARAMS_BYTES_MAX).await?;
            if bytes.len() > PARAMS_BYTES_MAX {
                return Err(Fault::usage("the parameters are longer than 1 MiB"));
            }
            String::from_utf8(bytes)
                .map_err(|_| Fault::usage("the parameters are not UTF-8 text"))?
        }
        Some(text) => text.to_owned(),
    };
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Fault::usage(format!("the parameters are not JSON: {error}")))?;
    if !value.is_object() {
        return Err(Fault::usage("the parameters are not a JSON object")
            .hint(r#"name them, for example '{"chat":"alice"}'"#));
    }
    to_raw_value(&value).map_err(|error| Fault::usage(error.to_string()))
}

fn list(out: &mut Out) -> Result<(), Fault> {
    let items = TABLE.iter().map(|spec| Row {
        method: spec.name,
        access: spec.access.as_str(),
        since: spec.since,
        summary: spec.summary,
    });
    let rows = Rows {
        items: items.collect(),
    };
    out.show(&rows, |_| {
        let cells = rows.items.iter().map(|row| {
            vec![
                row.method.to_owned(),
                row.access.to_owned(),
                row.summary.to_owned(),
            ]
        });
        View::Table(Table::new(&["method", "access", "summary"], "none").rows(cells))
    })
}

/// JSON in any case; on several lines only for somebody who looks at it.
fn print<T: Serialize>(value: &T, out: &mut Out) -> Result<(), Fault> {
    if out.format() == Format::Human && out.is_terminal() {
        let text = json_pretty(value);
        out.document(format!("{text}\n").as_bytes())
    } else {
        out.json(value)
    }
}

/// The daemon's error, with names like the one that it does not know.
fn explain(method: &str, error: ClientError) -> Fault {
    let fault = Fault::from(error);
    if !fault.is(ErrorCode::MethodNotFound) || find(method).is_some() {
        return fault;
    }
    fault
        .candidates(similar(method))
        .hint("see the methods with: hermes-cli rpc --list")
}

/// Methods with a name like this one, the nearest first.
fn similar(name: &str) -> Vec<String> {
    let most = name.chars().count() / 3 + 1;
    let mut near: Vec<(usize, &str)> = TABLE
        .iter()
        .map(|spec| (distance(name, spec.name), spec.name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort_unstable();
    let names = near.into_iter().map(|(_, name)| name.to_owned());
    names.take(SUGGESTIONS_MAX).collect()
}

/// How many characters must be changed, put in, taken out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let changed = last[j] + usize::from(from != to);
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to;
            if swapped {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use hermes_api::ApiError;

    use super::*;
    use crate::cmds::testing::block_on;
    use crate::input::tests::Scripted;

    #[test]
    fn near_names_are_offered() {
        assert_eq!(
            similar("mesage.send").first().map(String::as_str),
            Some("message.send")
        );
        assert_eq!(
            similar("stauts").first().map(String::as_str),
            Some("status")
        );
        assert!(similar("frobnicate_everything").is_empty());
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }

    #[test]
    fn only_an_unknown_method_is_explained() {
        let unknown = || ApiError::new(ErrorCode::MethodNotFound, "no such method").into();
        assert!(explain("mesage.send", unknown()).is(ErrorCode::MethodNotFound));
        let locked = ApiError::new(ErrorCode::StoreLocked, "locked").into();
        assert!(explain("message.send", locked).is(ErrorCode::StoreLocked));
    }

    #[test]
    fn parameters_must_be_an_object() {
        let read = |text: &str| {
            let input = Input::new(Scripted::default(), false);
            block_on(params(Some(text.to_owned()), &input)).map(|value| value.get().to_owned())
        };
        assert_eq!(read(r#" {"a": 1}"#).expect("fine"), r#"{"a":1}"#);
        for wrong in ["", "[1]", "\"x\"", "{", "{}{}"] {
            let fault = read(wrong).expect_err("refused");
            assert_eq!(fault.exit(), hermes_api::error::Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn parameters_come_from_stdin_too() {
        let script = Scripted {
            stdin: b"{\"chat\":\"alice\"}\n".to_vec(),
            ..Scripted::default()
        };
        let input = Input::new(script, false);
        let value = block_on(params(Some("-".to_owned()), &input)).expect("fine");
        assert_eq!(value.get(), r#"{"chat":"alice"}"#);
    }
}
