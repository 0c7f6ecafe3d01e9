//! Which key does what: one table, from which the help is made too.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send what was written.
    Send,
    /// Begin a new line.
    Newline,
    /// Go to the next conversation.
    NextChat,
    /// Go to the conversation before.
    PreviousChat,
    /// Go to the conversation with this place in the list, from 1.
    Chat(usize),
    /// Go to the next conversation with unread messages.
    NextUnread,
    /// Find a conversation by name.
    Switcher,
    /// Show or hide the list where there is only room for one pane.
    List,
    /// Scroll towards older messages.
    PageUp,
    /// Scroll towards newer messages.
    PageDown,
    /// One row towards older messages.
    RowUp,
    /// One row towards newer messages.
    RowDown,
    /// Go to the newest message.
    Bottom,
    /// Show the keys.
    Help,
    /// Close what is open above.
    Close,
    /// Reach the daemon again, starting it if need be.
    Reconnect,
    /// Draw everything anew.
    Redraw,
    /// Say how to quit.
    HowToQuit,
    /// End.
    Quit,
}

/// A row of the table.
pub(crate) struct Binding {
    code: KeyCode,
    modifiers: KeyModifiers,
    /// What the key asks for.
    pub(crate) action: Action,
    /// The key in words.
    pub(crate) keys: &'static str,
    /// What it does, in words; empty if another row says it.
    pub(crate) help: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

const fn bind(
    code: KeyCode,
    modifiers: KeyModifiers,
    action: Action,
    keys: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        code,
        modifiers,
        action,
        keys,
        help,
    }
}

/// Every binding; what is not here goes to the compose line.
#[rustfmt::skip]
pub(crate) const KEYMAP: &[Binding] = &[
    bind(KeyCode::Enter, NONE, Action::Send, "Enter", "send the message"),
    bind(KeyCode::Enter, ALT, Action::Newline, "Alt-Enter, Ctrl-J", "begin a new line"),
    bind(KeyCode::Enter, SHIFT, Action::Newline, "", ""),
    bind(KeyCode::Char('j'), CTRL, Action::Newline, "", ""),
    bind(KeyCode::Tab, NONE, Action::NextChat, "Tab, Alt-Down", "next chat"),
    bind(KeyCode::Down, ALT, Action::NextChat, "", ""),
    bind(KeyCode::BackTab, SHIFT, Action::PreviousChat, "Shift-Tab, Alt-Up", "previous chat"),
    bind(KeyCode::BackTab, NONE, Action::PreviousChat, "", ""),
    bind(KeyCode::Up, ALT, Action::PreviousChat, "", ""),
    bind(KeyCode::Char('1'), ALT, Action::Chat(1), "Alt-1 to Alt-9", "chat by its place in the list"),
    bind(KeyCode::Char('2'), ALT, Action::Chat(2), "", ""),
    bind(KeyCode::Char('3'), ALT, Action::Chat(3), "", ""),
    bind(KeyCode::Char('4'), ALT, Action::Chat(4), "", ""),
    bind(KeyCode::Char('5'), ALT, Action::Chat(5), "", ""),
    bind(KeyCode::Char('6'), ALT, Action::Chat(6), "", ""),
    bind(KeyCode::Char('7'), ALT, Action::Chat(7), "", ""),
    bind(KeyCode::Char('8'), ALT, Action::Chat(8), "", ""),
    bind(KeyCode::Char('9'), ALT, Action::Chat(9), "", ""),
    bind(KeyCode::Char('a'), ALT, Action::NextUnread, "Alt-a", "next chat with unread messages"),
    bind(KeyCode::Char('k'), CTRL, Action::Switcher, "Ctrl-K", "find a chat by name"),
    bind(KeyCode::F(2), NONE, Action::List, "F2", "chat list, on a narrow screen"),
    bind(KeyCode::PageUp, NONE, Action::PageUp, "PgUp", "older messages"),
    bind(KeyCode::PageDown, NONE, Action::PageDown, "PgDn", "newer messages"),
    bind(KeyCode::Up, CTRL, Action::RowUp, "Ctrl-Up, Ctrl-Down", "scroll by one row"),
    bind(KeyCode::Down, CTRL, Action::RowDown, "", ""),
    bind(KeyCode::End, CTRL, Action::Bottom, "Ctrl-End", "newest message"),
    bind(KeyCode::F(1), NONE, Action::Help, "F1", "this help"),
    bind(KeyCode::Esc, NONE, Action::Close, "Esc", "close what is open above"),
    bind(KeyCode::Char('r'), CTRL, Action::Reconnect, "Ctrl-R", "reach hermesd again, starting it if need be"),
    bind(KeyCode::Char('l'), CTRL, Action::Redraw, "Ctrl-L", "draw the screen anew"),
    bind(KeyCode::Char('c'), CTRL, Action::HowToQuit, "", ""),
    bind(KeyCode::Char('q'), CTRL, Action::Quit, "Ctrl-Q", "quit; hermesd goes on delivering"),
];

/// What can be typed into the compose line instead of a message.
pub(crate) const COMMANDS: &[(&str, &str)] = &[
    ("/invite", "make a link for a friend"),
    ("/accept LINK [NAME]", "use a friend's link"),
    ("/verify [NUMBER]", "show or compare the safety number"),
    ("/chat NAME", "go to a chat"),
    ("/chats", "list the chats"),
    ("/reconnect", "reach hermesd again, starting it if need be"),
    ("/help", "show the keys and commands"),
    ("/quit", "quit"),
    ("//...", "send a message that begins with /"),
];

/// What the key asks for, if it is in the table.
pub(crate) fn action(key: KeyEvent) -> Option<Action> {
    KEYMAP
        .iter()
        .find(|binding| binding.code == key.code && binding.modifiers == key.modifiers)
        .map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        let keys: HashSet<_> = KEYMAP
            .iter()
            .map(|binding| (binding.code, binding.modifiers))
            .collect();
        assert_eq!(keys.len(), KEYMAP.len());
    }

    #[test]
    fn every_row_with_keys_says_what_they_do() {
        for binding in KEYMAP {
            assert_eq!(binding.keys.is_empty(), binding.help.is_empty());
        }
    }
}
