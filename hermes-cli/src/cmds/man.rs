//! `man`: the manual pages, made of the same description as the help.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::args::Cli;
use crate::fault::Fault;
use crate::output::Out;

/// Print the manual page, or write all of them
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Folder to write a page for each command to; without it the main page is printed
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, out: &mut Out) -> Result<(), Fault> {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        match self.dir {
            None => out.document(&page(&root)?),
            Some(dir) => {
                let describe =
                    |error| Fault::file(format!("cannot write to {}", dir.display()), &error);
                fs::create_dir_all(&dir).map_err(describe)?;
                write_all(&root, &dir)
            }
        }
    }
}

/// Writes the page of a command and of all commands below it.
fn write_all(command: &Command, dir: &Path) -> Result<(), Fault> {
    let path = dir.join(Page::new(command.clone()).get_filename());
    fs::write(&path, page(command)?)
        .map_err(|error| Fault::file(format!("cannot write {}", path.display()), &error))?;
    command
        .get_subcommands()
        .try_for_each(|command| write_all(command, dir))
}

/// A page in roff. What stands below the options of the long help gets the headings that manual
/// pages have for it.
fn page(command: &Command) -> Result<Vec<u8>, Fault> {
    let mut page = Vec::new();
    Page::new(command.clone())
        .manual("Hermes")
        // Commands below the first have no version of their own.
        .source(concat!("hermes-cli ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Fault::system("cannot make the page", &error))?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    for (below, heading) in [
        ("\n.SH EXTRA\nExit codes:\n", "\n.SH \"EXIT STATUS\"\n"),
        ("\nEnvironment:\n", "\n.SH ENVIRONMENT\n"),
        ("\nFiles (", "\n.SH FILES\n("),
    ] {
        text = text.replace(below, heading);
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use hermes_api::error::Exit;

    use super::*;
    use crate::output::{Format, capture};

    fn main_page() -> String {
        String::from_utf8(page(&Cli::command()).expect("page")).expect("text")
    }

    #[test]
    fn the_main_page_lists_every_exit_code() {
        let page = main_page();
        for words in Exit::ALL {
            let line = format!("  {:<4} {}", words.exit.code(), words.meaning);
            assert!(page.contains(&line), "{line}\n{page}");
        }
    }

    #[test]
    fn the_main_page_has_the_usual_headings() {
        let page = main_page();
        for heading in [
            "NAME",
            "SYNOPSIS",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
        ] {
            assert!(
                page.contains(&format!("\n.SH {heading}\n")),
                "{heading}\n{page}"
            );
        }
        assert!(!page.contains("EXTRA"), "{page}");
    }

    #[test]
    fn every_page_says_which_program_it_belongs_to() {
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands() {
            let page = String::from_utf8(page(command).expect("page")).expect("text");
            let source = concat!("\"hermes-cli ", env!("CARGO_PKG_VERSION"), "\"");
            let title = page
                .lines()
                .find(|line| line.starts_with(".TH"))
                .unwrap_or_default();
            assert!(title.contains(source), "{title}");
        }
    }

    #[test]
    fn every_command_gets_a_page() {
        let folder = tempfile::tempdir().expect("folder");
        let dir = folder.path().join("share/man1");
        let (mut out, _) = capture(Format::Human);
        let man = Man {
            dir: Some(dir.clone()),
        };
        man.run(&mut out).expect("pages");
        for page in [
            "hermes-cli.1",
            "hermes-cli-send.1",
            "hermes-cli-invite-accept.1",
        ] {
            let text = fs::read_to_string(dir.join(page)).expect(page);
            assert!(text.contains(".SH NAME"), "{page}");
        }
    }
}
