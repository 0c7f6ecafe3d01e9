//! `completions`: scripts by which a shell completes commands and flags.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::door::NAME;
use crate::fault::Fault;
use crate::output::Out;

/// Print completions for a shell
///
/// For bash, for example: hermes-cli completions bash > ~/.local/share/bash-completion/completions/hermes-cli
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Shell to print them for
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, out: &mut Out) -> Result<(), Fault> {
        out.document(&script(self.shell))
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).expect("text");
            for word in ["mark-read", "passphrase-file", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
