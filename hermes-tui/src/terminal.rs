//! The terminal: taken over at the start, given back at the end, whichever end that is.

use std::io::{self, Write as _};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::execute;
use ratatui::DefaultTerminal;

/// The terminal, ours until this is dropped.
pub(crate) struct Screen {
    /// What to draw on.
    pub(crate) terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it is reported.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        // From here on dropping gives it back, also if what follows fails.
        let screen = Self { terminal };
        execute!(io::stdout(), EnableBracketedPaste, EnableFocusChange)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        ratatui::restore();
    }
}

fn give_back() {
    let mut out = io::stdout();
    // There is nobody to tell if the terminal is gone.
    let _ = execute!(out, DisableFocusChange, DisableBracketedPaste);
    let _ = out.flush();
}
