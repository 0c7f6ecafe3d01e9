//! Where a passphrase comes from: a file, an open file descriptor or a prompt. Never an argument
//! and never the environment, which other programs can read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use hermes_api::types::Passphrase;

use crate::fault::Fault;
use crate::input::Input;

/// Longest passphrase that the store takes.
const PASSPHRASE_BYTES_MAX: usize = 1024;

/// Ways to give a passphrase without a prompt.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PassphraseSource {
    /// Read the passphrase from the first line of this file; `-` for stdin
    #[arg(long, value_name = "FILE", group = "given_passphrase")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor
    #[arg(long, value_name = "N", group = "given_passphrase")]
    pub(crate) passphrase_fd: Option<u32>,
}

impl PassphraseSource {
    /// The passphrase, if a file or descriptor was named.
    pub(crate) async fn given(&self, input: &Input) -> Result<Option<Passphrase>, Fault> {
        if let Some(path) = &self.passphrase_file {
            return read_file(path, input).await.map(Some);
        }
        if let Some(number) = self.passphrase_fd {
            return read_descriptor(number, input).await.map(Some);
        }
        Ok(None)
    }
}

/// Asks for a passphrase that exists.
pub(crate) async fn ask(input: &Input, prompt: &'static str) -> Result<Passphrase, Fault> {
    if !input.is_interactive() {
        return Err(nobody_to_ask());
    }
    check(input.passphrase(prompt).await?, "the passphrase")
}

/// Asks for a new passphrase, twice, since nobody sees what is typed.
pub(crate) async fn ask_new(input: &Input) -> Result<Passphrase, Fault> {
    let first = ask(input, "New passphrase: ").await?;
    let second = input.passphrase("The same again: ").await?;
    if first != second {
        return Err(Fault::usage("the two passphrases differ").hint("try again"));
    }
    Ok(first)
}

fn nobody_to_ask() -> Fault {
    Fault::usage("a passphrase is needed, and there is no terminal to ask for it")
        .hint("give it with --passphrase-file FILE or --passphrase-fd N")
}

/// Reads a passphrase from a file.
pub(crate) async fn read_file(path: &Path, input: &Input) -> Result<Passphrase, Fault> {
    if path == Path::new("-") {
        return from_stdin(input).await;
    }
    let bytes = read(path).map_err(|error| {
        Fault::file(
            format!("cannot read the passphrase file {}", path.display()),
            &error,
        )
    })?;
    from_bytes(bytes, &format!("the passphrase in {}", path.display()))
}

/// Reads a passphrase from a descriptor that whoever started us has opened.
pub(crate) async fn read_descriptor(number: u32, input: &Input) -> Result<Passphrase, Fault> {
    if number == 0 {
        return from_stdin(input).await;
    }
    if cfg!(windows) {
        return Err(
            Fault::usage("--passphrase-fd does not exist on Windows").hint("use --passphrase-file")
        );
    }
    let path = PathBuf::from(format!("/dev/fd/{number}"));
    let bytes = read(&path).map_err(|error| {
        Fault::file(
            format!("cannot read the passphrase from file descriptor {number}"),
            &error,
        )
    })?;
    from_bytes(bytes, "the passphrase")
}

async fn from_stdin(input: &Input) -> Result<Passphrase, Fault> {
    from_bytes(
        input.stdin(PASSPHRASE_BYTES_MAX + 2).await?,
        "the passphrase on standard input",
    )
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Two more for the line break and one to see that it is too long.
    let limit = PASSPHRASE_BYTES_MAX as u64 + 3;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes the first line, as hermesd does with such files.
fn from_bytes(mut bytes: Vec<u8>, what: &str) -> Result<Passphrase, Fault> {
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        bytes.truncate(end);
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Fault::usage(format!("{what} is not UTF-8 text")))?;
    check(Passphrase::new(text), what)
}

fn check(passphrase: Passphrase, what: &str) -> Result<Passphrase, Fault> {
    match passphrase.expose().len() {
        0 => Err(Fault::usage(format!("{what} is empty"))),
        1..=PASSPHRASE_BYTES_MAX => Ok(passphrase),
        _ => Err(Fault::usage(format!(
            "{what} is longer than {PASSPHRASE_BYTES_MAX} bytes"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tests::Scripted;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime")
            .block_on(future)
    }

    fn of_file(bytes: &[u8]) -> Result<String, Fault> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, bytes).expect("written");
        let input = Input::new(Scripted::default(), false);
        let source = PassphraseSource {
            passphrase_file: Some(path),
            passphrase_fd: None,
        };
        let given = block_on(source.given(&input))?;
        Ok(given.expect("named").expose().to_owned())
    }

    #[test]
    fn the_first_line_counts() {
        assert_eq!(of_file(b"correct horse\n").expect("fine"), "correct horse");
        assert_eq!(
            of_file(b"correct horse\r\n").expect("fine"),
            "correct horse"
        );
        assert_eq!(of_file(b" a \nb\n").expect("fine"), " a ");
        let cut = [b"a\n".to_vec(), "ü".repeat(2_000).into_bytes()].concat();
        assert_eq!(of_file(&cut).expect("fine"), "a");
    }

    #[test]
    fn what_cannot_be_a_passphrase_is_refused() {
        for (bytes, why) in [
            (b"".to_vec(), "empty"),
            (b"\n".to_vec(), "empty"),
            (b"\xff\xfe".to_vec(), "UTF-8"),
            (vec![b'x'; PASSPHRASE_BYTES_MAX + 1], "longer"),
        ] {
            let fault = of_file(&bytes).expect_err("refused");
            assert!(fault.brief().contains(why), "{}", fault.brief());
            assert_eq!(fault.exit(), hermes_api::error::Exit::Usage);
        }
        assert!(of_file(&vec![b'x'; PASSPHRASE_BYTES_MAX]).is_ok());
    }

    #[test]
    fn a_missing_file_is_said_so() {
        let input = Input::new(Scripted::default(), false);
        let fault = block_on(read_file(Path::new("/nowhere/secret"), &input)).expect_err("missing");
        assert!(
            fault.brief().contains("/nowhere/secret"),
            "{}",
            fault.brief()
        );
    }

    #[test]
    fn standard_input_serves_as_file_and_descriptor() {
        let script = Scripted {
            stdin: b"abc\n".to_vec(),
            ..Scripted::default()
        };
        let input = Input::new(script, false);
        let file = block_on(read_file(Path::new("-"), &input)).expect("read");
        let descriptor = block_on(read_descriptor(0, &input)).expect("read");
        assert_eq!((file.expose(), descriptor.expose()), ("abc", "abc"));
    }

    #[test]
    fn nobody_is_asked_where_nobody_is() {
        let script = Scripted {
            answers: vec!["secret"],
            ..Scripted::default()
        };
        let prompts = script.prompts.clone();
        let fault = block_on(ask(&Input::new(script, false), "Passphrase: ")).expect_err("refused");
        assert!(fault.brief().contains("no terminal"), "{}", fault.brief());
        assert!(prompts.lock().expect("lock").is_empty());
    }

    #[test]
    fn a_new_passphrase_is_asked_for_twice() {
        let asked = |answers| {
            let script = Scripted {
                answers,
                ..Scripted::default()
            };
            block_on(ask_new(&Input::new(script, true)))
        };
        assert_eq!(asked(vec!["a b", "a b"]).expect("same").expose(), "a b");
        assert!(asked(vec!["a b", "a c"]).is_err());
    }
}
