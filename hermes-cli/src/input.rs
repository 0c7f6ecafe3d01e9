//! What the user gives while a command runs: standard input, and answers to questions.
//!
//! Reading happens on a thread beside, so that Ctrl-C ends the program also while it waits for a
//! line. Questions are asked only if there is somebody to answer them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hermes_api::types::Passphrase;

use crate::args::Global;
use crate::fault::Fault;
use crate::output::text;

/// How long a prompt has to show the terminal again after Ctrl-C.
const PROMPT_GRACE: Duration = Duration::from_millis(300);

/// Whether a prompt hides what is typed at the moment.
static HIDING: AtomicBool = AtomicBool::new(false);

/// Where input comes from; tests have another one.
pub(crate) trait Source: Send {
    /// At most so many bytes of standard input, fewer only at its end.
    fn stdin(&mut self, limit: usize) -> io::Result<Vec<u8>>;
    /// Asks for a line.
    fn line(&mut self, prompt: &str) -> io::Result<String>;
    /// Asks for a line that is not shown.
    fn hidden(&mut self, prompt: &str) -> io::Result<String>;
}

/// What the user gives while a command runs.
pub(crate) struct Input {
    source: Arc<Mutex<dyn Source>>,
    /// Whether there is somebody to ask.
    interactive: bool,
}

impl Input {
    /// The input of this process.
    pub(crate) fn standard(global: &Global) -> Self {
        let interactive =
            !global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
        Self::new(Terminal, interactive)
    }

    /// Input from this source.
    pub(crate) fn new(source: impl Source + 'static, interactive: bool) -> Self {
        Self {
            source: Arc::new(Mutex::new(source)),
            interactive,
        }
    }

    /// Whether there is somebody to ask.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Standard input to its end, but no more than one byte beyond the limit, which tells that
    /// there is too much.
    pub(crate) async fn stdin(&self, limit: usize) -> Result<Vec<u8>, Fault> {
        self.read(move |source| source.stdin(limit.saturating_add(1)))
            .await
            .map_err(|error| Fault::system("cannot read standard input", &error))
    }

    /// Asks a question that is answered with yes or no; no is the default.
    pub(crate) async fn confirm(&self, question: &str) -> Result<bool, Fault> {
        let prompt = format!("{} [y/N] ", text::line(question));
        let answer = self
            .read(move |source| source.line(&prompt))
            .await
            .map_err(|error| unanswered(&error))?;
        let answer = answer.trim();
        Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
    }

    /// Asks for a passphrase, which is not shown.
    pub(crate) async fn passphrase(&self, prompt: &'static str) -> Result<Passphrase, Fault> {
        self.read(move |source| source.hidden(prompt))
            .await
            .map(Passphrase::new)
            .map_err(|error| unanswered(&error))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Source) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let source = Arc::clone(&self.source);
        let task = tokio::task::spawn_blocking(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            read(&mut *source)
        });
        task.await.map_err(io::Error::other)?
    }
}

fn unanswered(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::Interrupted {
        Fault::Interrupted
    } else {
        Fault::system("there is no answer", error)
    }
}

/// Gives a prompt that hides what is typed the time to show the terminal again.
pub(crate) async fn let_prompt_end(command: impl Future<Output = Result<(), Fault>>) {
    if HIDING.load(Ordering::Acquire) {
        let _ = tokio::time::timeout(PROMPT_GRACE, command).await;
    }
}

/// The terminal, or whatever stands in its place.
struct Terminal;

impl Source for Terminal {
    fn stdin(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self, prompt: &str) -> io::Result<String> {
        let mut stderr = io::stderr().lock();
        stderr.write_all(prompt.as_bytes())?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    }

    fn hidden(&mut self, prompt: &str) -> io::Result<String> {
        HIDING.store(true, Ordering::Release);
        let line = rpassword::prompt_password(prompt);
        HIDING.store(false, Ordering::Release);
        line
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Gives what a test wrote down before.
    #[derive(Clone, Default)]
    pub(crate) struct Scripted {
        pub(crate) stdin: Vec<u8>,
        pub(crate) answers: Vec<&'static str>,
        pub(crate) prompts: Arc<Mutex<Vec<String>>>,
    }

    impl Scripted {
        fn answer(&mut self, prompt: &str) -> io::Result<String> {
            self.prompts.lock().expect("lock").push(prompt.to_owned());
            if self.answers.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(self.answers.remove(0).to_owned())
        }
    }

    impl Source for Scripted {
        fn stdin(&mut self, limit: usize) -> io::Result<Vec<u8>> {
            let mut bytes = self.stdin.clone();
            bytes.truncate(limit);
            Ok(bytes)
        }

        fn line(&mut self, prompt: &str) -> io::Result<String> {
            self.answer(prompt)
        }

        fn hidden(&mut self, prompt: &str) -> io::Result<String> {
            self.answer(prompt)
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime")
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        let answers = vec!["y\n", "YES\n", "\n", "n\n", "yesterday\n"];
        let input = Input::new(
            Scripted {
                answers: answers.clone(),
                ..Scripted::default()
            },
            true,
        );
        let given: Vec<bool> = answers
            .iter()
            .map(|_| runtime().block_on(input.confirm("sure?")).expect("answer"))
            .collect();
        assert_eq!(given, [true, true, false, false, false]);
        let end = runtime().block_on(input.confirm("sure?"));
        assert!(end.is_err(), "the end of input is no answer");
    }

    #[test]
    fn one_byte_beyond_the_limit_is_read() {
        let input = Input::new(
            Scripted {
                stdin: vec![b'x'; 100],
                ..Scripted::default()
            },
            false,
        );
        let bytes = runtime().block_on(input.stdin(10)).expect("bytes");
        assert_eq!(bytes.len(), 11);
    }
}
